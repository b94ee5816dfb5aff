"""`glossator privacy`: what may leave the machine from this workspace; allows and revokes the clouds that were only found."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glossator.app import Allowed, Application

group = typer.Typer(help="Show or change what may leave the machine from this workspace.", invoke_without_command=True)


@group.callback(invoke_without_command=True)
def privacy(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Show what may leave the machine from the workspace of this folder."""
    if context.invoked_subcommand is not None:
        return failures.DONE
    return asyncio.run(_with_application("show", as_json=as_json))


@group.command("allow")
def allow(*, as_json: AsJson = False) -> int:
    """Let the clouds whose keys are in the environment be used in this workspace, from now on."""
    return asyncio.run(_with_application("allow", as_json=as_json))


@group.command("revoke")
def revoke(*, as_json: AsJson = False) -> int:
    """Let them be used no more in this workspace, also by editors that are open, before you say yes again."""
    return asyncio.run(_with_application("revoke", as_json=as_json))


async def _with_application(what: str, *, as_json: bool) -> int:
    from glossator.cli.places import root_of
    from glossator.cli.work import application

    root = root_of(Path.cwd())
    async with application(root, discover=False) as product:
        code = _change(product, what)
        allowed = product.privacy()
    if as_json:
        show.as_json({"workspace": str(root), **asdict(allowed)})
        return code
    for line in _lines(root, allowed):
        print(show.printable(line))
    return code


def _change(product: Application, what: str) -> int:
    if what == "allow":
        product.allow_clouds(remember=True)
        if not product.remembers_clouds:
            show.say("it could not be written down, so you will be asked again; make the state folder writable")
            return failures.FAILED
    elif what == "revoke":
        product.revoke_clouds()
    return failures.DONE


def _lines(root: Path, allowed: Allowed) -> Iterator[str]:
    yield f"workspace {root}"
    yield f"  clouds that you configured, usable everywhere: {', '.join(allowed.configured) or 'none'}"
    answer = "allowed here" if allowed.clouds_allowed else "not allowed here"
    yield f"  clouds of which only a key was found: {', '.join(allowed.found) or 'none'}; {answer}"
    if allowed.other_workspaces:
        yield f"  such clouds are allowed in {allowed.other_workspaces} other workspaces"
    secrets = {"local": "local models only", "redact": "masked before it is sent", "refuse": "no model"}
    yield f"  text with a secret in it: {secrets.get(allowed.on_secret, allowed.on_secret)}"
    for name, patterns in (("local models only", allowed.private), ("no model at all", allowed.never)):
        if patterns:
            yield f"  {name}: {' '.join(patterns)}"
    if allowed.trusted_hosts:
        yield f"  hosts trusted like this machine: {', '.join(allowed.trusted_hosts)}"
    yield "  `glossator why FILE` says it of one file; `glossator ledger` shows what has been sent"
