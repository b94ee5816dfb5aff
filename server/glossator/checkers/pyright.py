"""How to run basedpyright or pyright on a shadow copy and read its JSON.

https://microsoft.github.io/pyright/#/command-line?id=json-output
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Finding, Job, Output
from glossator.checkers.wire import by_utf16, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Severity

_CONFIGURATIONS = ("pyrightconfig.json", "pyproject.toml")


def command(job: Job) -> Command:
    """Ask for the problems of one file, by the configuration that stands nearest above it."""
    # With a file on the command line, the configuration is looked for in the current folder only.
    folder = _configured(job.file.parent, job.root)
    interpreter = (f"--pythonpath={job.interpreter}",) if job.interpreter else ()
    return Command((job.tool, "--outputjson", *interpreter, str(job.file)), folder=folder)


def _configured(folder: Path, root: Path) -> Path:
    while folder != root and root in folder.parents:
        if any((folder / name).exists() for name in _CONFIGURATIONS):
            return folder
        folder = folder.parent
    return root


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read the list of diagnostics; raises CheckerFailed."""
    # Before the JSON, pyright may tell of its version and its configuration.
    begin = output.stdout.find(b"{\n")
    answer = parse_json(output.stdout[max(0, begin) :], job, output)
    try:
        items = [item for item in answer["generalDiagnostics"] if _is_ours(words(item["file"]), job)]
        return tuple(_finding(item, job) for item in items)
    except (KeyError, TypeError, AttributeError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _is_ours(file: str, job: Job) -> bool:
    return Path(file).name == job.file.name and Path(file).resolve() == job.file.resolve()


def _finding(item: Any, job: Job) -> Finding:
    start, end = item["range"]["start"], item["range"]["end"]
    rule = item.get("rule")
    return Finding(
        Diagnostic(
            region(
                by_utf16(job.snapshot, number(start["line"]), number(start["character"])),
                by_utf16(job.snapshot, number(end["line"]), number(end["character"])),
            ),
            words(item["message"]),
            source="basedpyright" if "based" in name_of(job) else "Pyright",
            code=rule if isinstance(rule, str) else None,
            severity=SEVERITIES.get(str(item["severity"]), Severity.INFORMATION),
        )
    )
