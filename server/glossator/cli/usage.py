"""`glossator usage`: what was asked of whom, what it cost, how long it took and how it ended."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator.consent import state_folder
from glossator_providers.budget import money
from glossator_providers.usage_ledger import LEDGER_FILE, By, Durations, Line, Summary, UsageLedger

if TYPE_CHECKING:
    from rich.text import Text

_DAYS = re.compile(r"([1-9]\d{0,4})d")
_THOUSAND = 1000
_SOON = 10  # seconds: what takes longer needs no digit behind the point


def usage(
    *,
    by: Annotated[
        str, typer.Option("--by", metavar="|".join(get_args(By)), help="What the requests are counted by.")
    ] = "provider",
    since: Annotated[
        str,
        typer.Option("--since", metavar="7d|DATE", help="So many days, today as the last of them; or from a day on."),
    ] = "30d",
    as_json: AsJson = False,
) -> int:
    """Show what was asked of whom, what it cost, how long it took and how it ended; opens no connection."""
    if by not in get_args(By):
        raise failures.UsageError(f"--by {by}: there are {', '.join(get_args(By))}")
    first, begins = beginning(since, today=datetime.now(tz=UTC).astimezone().date())
    summary, problem = asyncio.run(read(cast("By", by), begins))
    if as_json:
        rows = [_as_object(line) for line in summary.lines]
        total = _as_object(summary.total)
        show.as_json({"since": begins.isoformat(), "by": by, "rows": rows, "total": total, "problem": problem})
    elif summary.total.attempts:
        _tell(summary, by, first)
    elif problem is None:
        show.say(f"no model was asked since {first}{_SPLIT if by == 'split' else ''}; what is asked is counted here")
    if problem is not None:
        if not as_json:
            show.say(problem)
        return failures.FAILED
    return failures.DONE


_SPLIT = " in a comparison of two providers ([router] split)"


def beginning(since: str, *, today: date) -> tuple[date, datetime]:
    """Return the day that is meant, and when it began here; raises UsageError."""
    try:
        days = _DAYS.fullmatch(since)
        first = today - timedelta(days=int(days[1]) - 1) if days else date.fromisoformat(since)
        # By the clock of this machine, whatever its offset was at that midnight.
        return first, datetime.combine(first, time()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise failures.UsageError(
            f"--since {since}: say a number of days such as 7d, or a day such as {today}"
        ) from None


async def read(by: By, since: datetime) -> tuple[Summary, str | None]:
    """Return what this user has asked since then, and what is wrong with the ledger."""
    ledger = UsageLedger(state_folder(os.environ) / LEDGER_FILE)
    try:
        return await ledger.summary(by, since), ledger.problem
    finally:
        await ledger.aclose()


def _as_object(line: Line) -> dict[str, Any]:
    success = None if line.success is None else round(line.success, 4)
    told = {"name": line.name, "local": line.local, "requests": line.attempts, "success": success}
    told["dollars"] = round(line.dollars, 6)
    return told | {key: value for key, value in asdict(line).items() if key not in (*told, "attempts")}


def _tell(summary: Summary, by: str, first: date) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    total = summary.total
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(by, overflow="fold")
    for name in ("requests", "ok", "in", "out", "cached", "cost", "first", "whole"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in summary.lines:
        table.add_row(show.printable(line.name), *_cells(line))
    if len(summary.lines) > 1:
        table.add_row("all", *_cells(total), style="bold")
    console = Console()
    cost = _cost(total).plain
    head = f"{_count(total.attempts, 'request')} since {first}, {share(total.success)} answered, {cost}"
    console.print(Text(head.replace(", ?", ", at an unknown price"), style="bold"), end="\n\n")
    console.print(table)
    console.print()
    for note in _notes(summary):
        console.print(Text(show.printable(note), style="dim"))


def _cells(line: Line) -> Iterator[str | Text]:
    yield f"{line.attempts:,}"
    yield share(line.success)
    yield amount(line.input_tokens)
    yield amount(line.output_tokens)
    yield share(line.cached_tokens / line.input_tokens) if line.cached_tokens and line.input_tokens else "-"
    yield _cost(line)
    yield _seconds(line.first_token)
    yield _seconds(line.whole)


def _notes(summary: Summary) -> Iterator[str]:
    """Say what the table leaves open."""
    for line in summary.lines:
        ended = [f"{n:,} {kind}" for kind, n in line.failures.items()]
        ended += [f"{line.cancelled:,} cancelled"] if line.cancelled else []
        if ended:
            yield f"{line.name}: {', '.join(ended)}"
    total = summary.total
    if total.unpriced:
        yield f"{_count(total.unpriced, 'request')} at a price that nobody publishes: in no sum of money"
    if total.estimated:
        yield f"{_count(total.estimated, 'request')} ended before the tokens were told: counted here, about right"
    yield "ok: answered, of what nobody cancelled; in, out: tokens, cached of those in"
    yield "first, whole: seconds to the first token and to the end, median/p95"


def _cost(line: Line) -> Text:
    from rich.text import Text

    if line.local:
        return Text("free", style="green")
    if line.unpriced and not line.dollars:
        return Text("?")
    return Text(("≥" if line.unpriced else "") + money(line.dollars))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def share(part: float | None) -> str:
    """Say a share in whole hundredths, which is 0 or all only where that is so."""
    if part is None:
        return "-"
    return f"{min(99, max(1, round(part * 100)))}%" if 0 < part < 1 else f"{part:.0%}"


def amount(tokens: float) -> str:
    """Say a number in three digits."""
    for unit in ("", "k", "M", "G"):
        if tokens < _THOUSAND or unit == "G":
            break
        tokens /= _THOUSAND
    return f"{tokens:.0f}{unit}" if not unit or tokens >= _THOUSAND / 10 else f"{tokens:.3g}{unit}"


def _seconds(durations: Durations | None) -> str:
    if durations is None:
        return "-"
    return "/".join(f"{one:.1f}" if one < _SOON else f"{one:,.0f}" for one in (durations.median, durations.p95))
