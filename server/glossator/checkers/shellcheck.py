"""How to run shellcheck on standard input and read its JSON; `man shellcheck`, FORMATS, json1."""

from __future__ import annotations

from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Edit, Finding, Job, Output
from glossator.checkers.wire import by_code_points, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Region, Severity

_DIALECTS = {".bash": "bash", ".dash": "dash", ".ksh": "ksh", ".bats": "bats"}


def command(job: Job) -> Command:
    """Ask for the problems of the text; `.shellcheckrc` is looked for from the document's folder upwards."""
    dialect = _DIALECTS.get(job.file.suffix)
    if dialect is None and not job.snapshot.line(0).startswith("#!"):
        # Without a first line that names the shell, shellcheck says so and little else.
        dialect = "bash"
    return Command(
        (job.tool, "--format=json1", "--color=never", *((f"--shell={dialect}",) if dialect else ()), "-"),
        folder=job.file.parent,
        stdin=True,
    )


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read the list of comments; raises CheckerFailed."""
    if output.status not in {0, 1}:
        raise CheckerFailed(f"{name_of(job)} could not check the text (status {output.status})")
    answer = parse_json(output.stdout, job, output)
    try:
        # A sourced file has comments of its own; ours has no name.
        return tuple(_finding(item, job) for item in answer["comments"] if item["file"] == "-")
    except (KeyError, TypeError, AttributeError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding:
    code = f"SC{number(item['code']):04}"
    replacements = (item.get("fix") or {}).get("replacements", ())
    return Finding(
        Diagnostic(
            _region(item, job),
            words(item["message"]),
            source="shellcheck",
            code=code,
            severity=SEVERITIES.get(str(item["level"]), Severity.WARNING),
            href=f"https://www.shellcheck.net/wiki/{code}",
        ),
        aliases=frozenset({code.removeprefix("SC")}),
        edits=tuple(Edit(_region(edit, job), words(edit["replacement"])) for edit in replacements),
    )


def _region(item: Any, job: Job) -> Region:
    # In `json1` a tab is one column; in `json`, which is older, it reaches to the next multiple of eight.
    return region(
        by_code_points(job.snapshot, number(item["line"]) - 1, number(item["column"]) - 1),
        by_code_points(job.snapshot, number(item["endLine"]) - 1, number(item["endColumn"]) - 1),
    )
