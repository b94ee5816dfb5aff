"""How to run ruff on standard input and read its JSON; https://docs.astral.sh/ruff/settings/#output-format."""

from __future__ import annotations

import re
from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Edit, Finding, Job, Output
from glossator.checkers.wire import by_code_points, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Region, Severity

_CODE = re.compile(r"[A-Z]{1,4}[0-9]{3,4}")


def command(job: Job) -> Command:
    """Ask for the problems of the text, by the project's own settings and with the pointed rules switched on."""
    codes = sorted(code for code in job.codes if _CODE.fullmatch(code))
    return Command(
        (
            job.tool,
            "check",
            "--quiet",
            "--no-cache",
            "--no-fix",  # a project that sets `fix = true` would make ruff print the text instead
            "--exit-zero",
            "--output-format=json",
            *((f"--extend-select={','.join(codes)}",) if codes else ()),
            f"--stdin-filename={job.file}",
            "-",
        ),
        folder=job.root,
        stdin=True,
    )


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read the list of problems; raises CheckerFailed."""
    listed = parse_json(output.stdout, job, output)
    try:
        return tuple(_finding(item, job) for item in listed)
    except (KeyError, TypeError, AttributeError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding:
    code = item["code"] or item.get("name") or "invalid-syntax"
    name = item.get("name")
    fix = item.get("fix") or {}
    edits = fix.get("edits", ()) if fix.get("applicability") == "safe" else ()
    return Finding(
        Diagnostic(
            _region(item, job),
            words(item["message"]),
            source="ruff",
            code=words(code),
            severity=SEVERITIES.get(str(item.get("severity") or ""), Severity.WARNING),
            href=item.get("url") if isinstance(item.get("url"), str) else None,
        ),
        aliases=frozenset({name}) if isinstance(name, str) else frozenset(),
        edits=tuple(Edit(_region(edit, job), words(edit["content"])) for edit in edits),
    )


def _region(item: Any, job: Job) -> Region:
    start, end = item["location"], item["end_location"]
    return region(
        by_code_points(job.snapshot, number(start["row"]) - 1, number(start["column"]) - 1),
        by_code_points(job.snapshot, number(end["row"]) - 1, number(end["column"]) - 1),
    )
