"""What the installed checkers say of a file: where no editor is there to show diagnostics, they are asked themselves."""

from __future__ import annotations

import asyncio
import sys

from glossator.checkers.row import CheckerFailed
from glossator.checkers.table import ROWS
from glossator.checkers.toolbox import Toolbox
from glossator.cli.failures import UsageError
from glossator.document import Diagnostic, Region, Snapshot


async def find_problems(snapshot: Snapshot, toolbox: Toolbox, *, only: tuple[str, ...] = ()) -> tuple[Diagnostic, ...]:
    """Run every installed checker of the language, or *only* those; return what they find, the most severe first."""
    if unknown := [name for name in only if name not in ROWS]:
        raise UsageError(f"no checker is called {unknown[0]!r}; there are {', '.join(ROWS)}")
    names: dict[str, str] = {}  # two rows may share a program
    for row in ROWS.values():
        wanted = snapshot.language in row.languages and (not only or row.name in only)
        tool = toolbox.find(row.name, snapshot.path) if wanted else None
        if tool is not None:
            names.setdefault(tool.path, row.name)
    found = await asyncio.gather(*(_check(name, snapshot, toolbox) for name in names.values()))
    return tuple(sorted((one for ones in found for one in ones), key=lambda one: (one.severity, one.region.start)))


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
