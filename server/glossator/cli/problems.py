"""What the installed checkers say of a file: where no editor is there to show diagnostics, they are asked themselves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from glossator.checkers.row import CheckerFailed
from glossator.checkers.table import ROWS
from glossator.checkers.toolbox import Toolbox
from glossator.cli.failures import UsageError
from glossator.document import Diagnostic, Region, Severity, Snapshot
from glossator.tasks.task import Stage


async def find_problems(
    snapshot: Snapshot,
    toolbox: Toolbox,
    *,
    region: Region | None,
    only: tuple[str, ...] = (),
    tell: Callable[[Stage], None] = lambda _: None,
) -> tuple[Diagnostic, ...]:
    """Run the installed checkers of the language, or *only* those; return what they find, the most severe first.

    Those that look at one text alone answer at once and begin; those that read the whole project follow, all at the
    same time, unless an error is known by then where the user points: at *region*, None for the whole file.
    """
    if unknown := [name for name in only if name not in ROWS]:
        raise UsageError(f"no checker is called {unknown[0]!r}; there are {', '.join(ROWS)}")
    names: dict[str, str] = {}  # two rows may share a program
    for row in ROWS.values():
        wanted = snapshot.language in row.languages and (not only or row.name in only)
        tool = toolbox.find(row.name, snapshot.path) if wanted else None
        if tool is not None:
            names.setdefault(tool.path, row.name)
    known: tuple[Diagnostic, ...] = ()
    for slow in (False, True):
        group = [name for name in names.values() if ROWS[name].shadow is slow]
        if not group:
            continue
        tell(Stage(f"asking {', '.join(group)} for problems"))
        found = await asyncio.gather(*(_check(name, snapshot, toolbox) for name in group))
        known = tuple(
            sorted((*known, *(one for ones in found for one in ones)), key=lambda one: (one.severity, one.region.start))
        )
        if region is not None and any(one.severity is Severity.ERROR for one in at(region, known, anywhere=False)):
            break
    return known


def at(region: Region, problems: tuple[Diagnostic, ...], *, anywhere: bool) -> tuple[Diagnostic, ...]:
    """Return the problems at a place: those that touch it, else those whose lines it is on; all of them if `anywhere`."""
    if anywhere:
        return problems
    touching = tuple(one for one in problems if one.region.touches(region))
    line = region.start.line
    return touching or tuple(one for one in problems if one.region.start.line <= line <= one.region.end.line)


def title(diagnostic: Diagnostic) -> str:
    """Return a problem as one line: `ruff F401 at 3:8: message`."""
    name = " ".join(part for part in (diagnostic.source, diagnostic.code) if part) or "a checker"
    start = diagnostic.region.start
    return f"{name} at {start.line + 1}:{start.column + 1}: {' '.join(diagnostic.message.split())}"


async def _check(name: str, snapshot: Snapshot, toolbox: Toolbox) -> tuple[Diagnostic, ...]:
    try:
        return await toolbox.check(name, snapshot, snapshot.text)
    except CheckerFailed as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return ()
