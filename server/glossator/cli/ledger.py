"""`glossator ledger`: what has left this machine, request by request, and the proof that this was not changed since."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator.cli.usage import beginning
from glossator.consent import state_folder
from glossator_providers.egress_ledger import EGRESS_FOLDER, Verified, fingerprint, read
from glossator_providers.egress_ledger import verify as verify_files

if TYPE_CHECKING:
    from collections.abc import Callable

group = typer.Typer(help="Show what has left this machine, and prove it.", invoke_without_command=True)
_HASH = re.compile(r"[0-9a-f]{64}")
Folder = Annotated[Path | None, typer.Option("--folder", help="Look at this copy of a ledger's folder instead.")]


@group.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    *,
    since: Annotated[
        str,
        typer.Option("--since", metavar="7d|DATE", help="So many days, today as the last of them; or from a day on."),
    ] = "30d",
    file: Annotated[
        Path | None, typer.Option("--file", help="Show only the requests in which something of this file was sent.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Show also what went to servers on this machine.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """Show what has left this machine: when, to whom, how much of what; one line a request, opens no connection."""
    if context.invoked_subcommand is not None:
        return failures.DONE
    place = folder or _folder()
    first, begins = beginning(since, today=datetime.now(tz=UTC).astimezone().date())
    of = None
    if file is not None:
        of = fingerprint(place, file.absolute().as_uri())
    shown = 0
    for told in read(place):
        # In one zone and one shape, times are ordered as their spellings are.
        if str(told.get("at")) < begins.isoformat() or (told.get("local") and not local):
            continue
        if file is not None and not _holds(told, of):
            continue
        shown += 1
        if as_json:
            show.as_json(told)
        else:
            print(show.printable(_line(told)))
    if not shown and not as_json:
        show.say(f"nothing has left this machine since {first}{f' of {file}' if file is not None else ''}")
    return failures.DONE


@group.command("verify")
def verify(
    *,
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="HASH", help="The head that was told earlier: it must still be in the chain."),
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """Prove that no line was changed, removed, put in or moved; exit 1 and the first broken line where that is not so."""
    if expect is not None and not _HASH.fullmatch(expect):
        raise failures.UsageError("--expect: give the head as an earlier `glossator ledger verify` printed it")
    found = verify_files(folder or _folder(), expected=expect)
    if as_json:
        show.as_json(_as_json(found))
    else:
        for sentence in _sentences(found):
            print(show.printable(sentence))
    return failures.FAILED if found.broken is not None else failures.DONE


def _folder() -> Path:
    return state_folder(os.environ) / EGRESS_FOLDER


def _holds(told: Mapping[str, Any], of: str | None) -> bool:
    return any(of in fragment.get("of", ()) for fragment in told.get("fragments", ()))


def _line(told: Mapping[str, Any]) -> str:
    at = datetime.fromisoformat(str(told["at"])).astimezone()
    kinds = dict.fromkeys(kind for fragment in told.get("fragments", ()) for kind in fragment.get("origins", ()))
    redacted = told.get("redactions")
    words = [
        f"{at:%Y-%m-%d %H:%M:%S}",
        f"{told.get('provider')} ({told.get('model')})" if told.get("model") else str(told.get("provider")),
        f"{told.get('host')}:{told.get('port')}",
        f"{told.get('bytes'):,} bytes",
        f"{told.get('task')}, {told.get('level')}" + (f", of {' '.join(kinds)}" if kinds else ""),
        *([f"{redacted} masked"] if redacted else []),
        str(told.get("outcome") or "no end was written"),
    ]
    return "  ".join(words)


def _as_json(found: Verified) -> dict[str, Any]:
    broken = found.broken
    return {
        "ok": broken is None,
        "lines": found.lines,
        "requests": found.requests,
        "unended": found.unended,
        "torn": found.torn,
        "missed": found.missed,
        "dropped": found.dropped,
        "first": found.first,
        "last": found.last,
        "head": found.head,
        "broken": None if broken is None else {"file": broken.file, "line": broken.line, "reason": broken.reason},
    }


def _sentences(found: Verified) -> Iterator[str]:
    if found.broken is not None:
        yield f"✗ {found.broken}"
        yield f"  the {found.lines} lines before that are as they were written"
        return
    if not found.lines:
        yield "✓ nothing was written yet: no request has been made"
        return
    yield f"✓ {found.lines} lines of {found.requests} requests are whole, from {found.first} to {found.last}"
    counted: list[tuple[int, Callable[[int], str]]] = [
        (found.unended, lambda n: f"{n} requests have no end: under way, or their process was killed"),
        (found.torn, lambda n: f"{n} lines were left half written by a killed process"),
        (found.missed, lambda n: f"{n} lines could not be written when they should have been"),
        (found.dropped, lambda n: f"{n} old files gave way to newer ones"),
    ]
    yield from (f"  {sentence(number)}" for number, sentence in counted if number)
    yield f"  head {found.head}"
    yield "  note it elsewhere: with --expect it proves later that nothing before it was written anew"
