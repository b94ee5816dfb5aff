"""How to run ESLint on standard input and read its JSON; https://eslint.org/docs/latest/use/formatters/#json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glossator.checkers.row import CheckerFailed, Command, Edit, Finding, Job, Output
from glossator.checkers.wire import by_utf16, first_line, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Point, Region, Severity, Snapshot

_CONFIGURATIONS = ("eslint.config.*", ".eslintrc", ".eslintrc.*")
_SEVERITIES = {1: Severity.WARNING, 2: Severity.ERROR}


def command(job: Job) -> Command:
    """Ask for the problems of the text, from the folder whose configuration is in force."""
    return Command(
        (job.tool, "--stdin", f"--stdin-filename={job.file}", "--format=json", "--no-color"),
        folder=_configured(job.file.parent, job.root),
        stdin=True,
    )


def _configured(folder: Path, root: Path) -> Path:
    while folder != root and root in folder.parents:
        if any(any(folder.glob(pattern)) for pattern in _CONFIGURATIONS):
            return folder
        folder = folder.parent
    return root


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read the messages of the one file; raises CheckerFailed."""
    if output.status not in {0, 1}:
        raise CheckerFailed(f"{name_of(job)} could not check the text: {first_line(output)}")
    answer = parse_json(output.stdout, job, output)
    try:
        return tuple(_finding(item, job) for file in answer for item in file["messages"])
    except (KeyError, TypeError, AttributeError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding:
    rule = item.get("ruleId")
    start = _point(item.get("line") or 1, item.get("column") or 1, job)
    end = _point(item["endLine"], item["endColumn"], job) if item.get("endLine") and item.get("endColumn") else start
    fix = item.get("fix")
    return Finding(
        Diagnostic(
            region(start, end),
            words(item["message"]),
            source="eslint",
            code=rule if isinstance(rule, str) else None,
            severity=_SEVERITIES.get(number(item["severity"]), Severity.WARNING),
        ),
        edits=(Edit(_span(fix["range"], job.snapshot), words(fix["text"])),) if fix else (),
    )


def _point(line: Any, column: Any, job: Job) -> Point:
    return by_utf16(job.snapshot, number(line) - 1, number(column) - 1)


def _span(span: Any, snapshot: Snapshot) -> Region:
    """Return the region between two offsets in UTF-16 units."""
    raw = snapshot.text.encode("utf-16-le")
    start, end = (len(raw[: 2 * number(offset)].decode("utf-16-le", "ignore")) for offset in span)
    return Region(snapshot.point(start), snapshot.point(end))
