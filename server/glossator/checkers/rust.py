"""How to run rustc on a shadow copy and read its JSON lines; https://doc.rust-lang.org/rustc/json.html."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Edit, Finding, Job, Output
from glossator.checkers.wire import by_code_points, first_line, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Region, Related, Severity

_EDITIONS = ("2015", "2018", "2021", "2024")
_MAIN = re.compile(r"^\s*(?:pub\s+)?(?:async\s+)?fn\s+main\s*\(", re.MULTILINE)
_TESTS = re.compile(r"#\[(?:cfg\(test\)|test)\]")


def command(job: Job) -> Command:
    """Ask for the problems of one file as a crate of its own; nothing is linked, what is written goes to the scratch folder."""
    kind = (
        ("--test",)
        if _TESTS.search(job.snapshot.text)
        else ("--crate-type=bin" if _MAIN.search(job.snapshot.text) else "--crate-type=lib",)
    )
    return Command(
        (
            job.tool,
            f"--edition={_edition(job)}",
            *kind,
            "--crate-name=glossator_checked",
            "--error-format=json",
            "--emit=metadata",
            f"--out-dir={job.scratch}",
            str(job.file),
        ),
        # rustup would read a `rust-toolchain.toml` of the workspace here, which may name a program of its own.
        folder=job.scratch,
    )


def _edition(job: Job) -> str:
    folder = job.file.parent
    while folder == job.root or job.root in folder.parents:
        try:
            edition = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))["package"]["edition"]
        except (OSError, ValueError, KeyError, TypeError):
            folder = folder.parent
            continue
        return edition if edition in _EDITIONS else "2021"
    return "2021"


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read one JSON object a line; raises CheckerFailed."""
    lines = [line for line in output.stderr.splitlines() if line.startswith(b"{")]
    if not lines and output.status != 0:
        raise CheckerFailed(f"{name_of(job)} could not check the text: {first_line(output)}")
    try:
        found = (_finding(parse_json(line, job, output), job) for line in lines)
        return tuple(finding for finding in found if finding is not None)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding | None:
    if item.get("level") not in {"error", "warning", "error: internal compiler error"}:
        return None
    ours = [span for span in item["spans"] if span["is_primary"] and _is_ours(span, job)]
    if not ours:
        return None
    code = (item.get("code") or {}).get("code")
    related = tuple(
        Related(job.snapshot.uri, _region(span, job), words(span["label"]))
        for span in item["spans"]
        if not span["is_primary"] and span.get("label") and _is_ours(span, job)
    )
    return Finding(
        Diagnostic(
            _region(ours[0], job),
            words(item["message"]),
            source="rustc",
            code=code if isinstance(code, str) else None,
            severity=SEVERITIES.get(str(item["level"]), Severity.ERROR),
            related=related,
        ),
        edits=_edits(item, job),
    )


def _edits(item: Any, job: Job) -> tuple[Edit, ...]:
    """Return the edits of the one suggestion that rustc would apply by itself; two of them exclude each other."""
    offers = [spans for child in item.get("children", ()) if (spans := _offered(child, job))]
    return offers[0] if len(offers) == 1 else ()


def _offered(child: Any, job: Job) -> tuple[Edit, ...]:
    spans = [span for span in child["spans"] if span.get("suggested_replacement") is not None]
    if not spans or any(span["suggestion_applicability"] != "MachineApplicable" for span in spans):
        return ()
    if any(span.get("expansion") or not _is_ours(span, job) for span in spans):
        return ()
    return tuple(Edit(_region(span, job), words(span["suggested_replacement"])) for span in spans)


def _is_ours(span: Any, job: Job) -> bool:
    return Path(words(span["file_name"])) == job.file


def _region(span: Any, job: Job) -> Region:
    return region(
        by_code_points(job.snapshot, number(span["line_start"]) - 1, number(span["column_start"]) - 1),
        by_code_points(job.snapshot, number(span["line_end"]) - 1, number(span["column_end"]) - 1),
    )
