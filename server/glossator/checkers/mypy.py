"""How to run mypy on a shadow copy and read its JSON lines; https://mypy.readthedocs.io/en/stable/command_line.html."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Finding, Job, Output
from glossator.checkers.wire import by_code_points, first_line, name_of, number, parse_json, region, word_at, words
from glossator.document import Diagnostic, Severity

_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")
_SYNTAX = re.compile(
    r"^(?P<file>.+?):(?P<line>[0-9]+):(?:(?P<column>[0-9]+):)? error: (?P<message>.+?)(?:  \[syntax\])?$"
)


def command(job: Job) -> Command:
    """Ask for the problems of one file, from the workspace's root, where mypy looks for its configuration."""
    codes = sorted(code for code in job.codes if _CODE.fullmatch(code) and code not in {"syntax", "misc"})
    interpreter = (f"--python-executable={job.interpreter}",) if job.interpreter else ()
    return Command(
        (
            job.tool,
            "--output=json",
            "--no-incremental",
            f"--cache-dir={os.devnull}",
            "--no-error-summary",
            "--no-pretty",
            *(f"--enable-error-code={code}" for code in codes),
            *interpreter,
            "--",
            str(job.file.relative_to(job.root)),
        ),
        folder=job.root,
    )


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read one JSON object a line; raises CheckerFailed."""
    lines = [line for line in output.stdout.splitlines() if line.strip()]
    if output.status not in {0, 1} and not any(line.startswith(b"{") for line in lines):
        raise CheckerFailed(f"{name_of(job)} could not check the text: {first_line(output)}")
    try:
        found = (_finding(parse_json(line, job, output), job) for line in lines if line.startswith(b"{"))
        return tuple(finding for finding in found if finding is not None)
    except (KeyError, TypeError, AttributeError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding | None:
    if (job.root / Path(words(item["file"]))) != job.file:
        return None
    # mypy 2.4 takes away the bytes of wide characters twice, earlier ones not at all: on such a line the column is a guess.
    start = by_code_points(job.snapshot, number(item["line"]) - 1, number(item["column"]))
    place = word_at(job.snapshot, start)
    if isinstance(item.get("end_line"), int):
        place = region(start, by_code_points(job.snapshot, item["end_line"] - 1, number(item["end_column"])))
    code = item.get("code")
    return Finding(
        Diagnostic(
            place,
            words(item["message"]),
            source="mypy",
            code=code if isinstance(code, str) else None,
            severity=SEVERITIES.get(str(item["severity"]), Severity.ERROR),
        )
    )
