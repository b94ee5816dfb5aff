"""How to run gcc on a shadow copy and read its JSON; https://gcc.gnu.org/onlinedocs/gcc-12.2.0/gcc/Diagnostic-Message-Formatting-Options.html."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Edit, Finding, Job, Output
from glossator.checkers.wire import by_bytes, first_line, name_of, number, parse_json, region, words
from glossator.document import Diagnostic, Point, Region, Severity

_LARGEST_DATABASE = 32_000_000  # bytes
# A compilation database belongs to the repository: only options that choose what is read or warned of are taken from it.
# `-fplugin=`, `-B`, `-wrapper` and their like would start programs.
_HARMLESS = re.compile(
    r"-(?:[IDU].*|std=[\w+:]+|W(?!p,|a,|l,)[\w+=-]+|f(?:no-)?(?:exceptions|rtti|permissive|signed-char|openmp)|pthread|ansi)"
)
_HARMLESS_PAIRS = frozenset({"-I", "-D", "-U", "-isystem", "-iquote", "-idirafter", "-include"})
_WARNING = re.compile(r"-W(?!p,|a,|l,)[a-z0-9+-]+")
_LANGUAGES = {"c": "c", "cpp": "c++", "c++": "c++"}


def command(job: Job) -> Command:
    """Ask for the problems of the text, with the options that the compilation database gives for the document."""
    own, folder = _database(job)
    asked = sorted(code for code in job.codes if _WARNING.fullmatch(code) and code != "-Wfatal-errors")
    return Command(
        (
            job.tool,
            *(own or ("-Wall", "-Wextra")),
            *asked,
            "-fsyntax-only",
            "-fdiagnostics-format=json",
            f"-iquote{_real(job).parent}",
            "-x",
            _LANGUAGES.get(job.snapshot.language, "c++"),
            str(job.file),
        ),
        folder=folder,
    )


def _real(job: Job) -> Path:
    return Path(job.snapshot.path) if job.snapshot.path else job.file


def _database(job: Job) -> tuple[tuple[str, ...], Path]:
    """Return the harmless options for the document, and the folder that they are relative to."""
    folder = job.file.parent
    while True:
        for path in (folder / "compile_commands.json", folder / "build" / "compile_commands.json"):
            found = _entry(path, _real(job))
            if found is not None:
                return found
        if folder in {job.root, folder.parent}:
            return (), job.scratch
        folder = folder.parent


def _entry(path: Path, file: Path) -> tuple[tuple[str, ...], Path] | None:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_DATABASE:
            return None
        entries = json.loads(path.read_bytes())
        for entry in entries:
            folder = path.parent / words(entry["directory"])
            if folder / words(entry["file"]) == file:
                arguments = entry.get("arguments") or shlex.split(words(entry["command"]))
                return harmless([words(argument) for argument in arguments]), folder if folder.is_dir() else file.parent
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # a broken database says nothing
    return None


def harmless(arguments: list[str]) -> tuple[str, ...]:
    """Return those compiler options that cannot make the compiler write a file or start a program."""
    kept: list[str] = []
    following = iter(arguments)
    for argument in following:
        if argument in _HARMLESS_PAIRS:
            value = next(following, None)
            if value is not None and not value.startswith("@"):
                kept += [argument, value]
        elif _HARMLESS.fullmatch(argument):
            kept.append(argument)
    return tuple(kept)


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read the list of diagnostics; raises CheckerFailed."""
    # The list is one line; gcc may say more around it ("compilation terminated").
    line = next((line for line in output.stderr.splitlines() if line.startswith(b"[")), None)
    if line is None:
        if output.status == 0 and not output.stderr.strip():
            return ()
        raise CheckerFailed(f"{name_of(job)} could not check the text: {first_line(output)}")
    try:
        found = (_finding(item, job) for item in parse_json(line, job, output))
        return tuple(finding for finding in found if finding is not None)
    except (KeyError, TypeError, AttributeError, IndexError):
        raise CheckerFailed(f"{name_of(job)} answered in a form that is not known here") from None


def _finding(item: Any, job: Job) -> Finding | None:
    place = item["locations"][0] if item["locations"] else None
    if place is None or not _is_ours(place["caret"], job):
        return None
    start = _point(place.get("start") or place["caret"], job)
    last = _point(place.get("finish") or place["caret"], job)
    option = item.get("option")
    return Finding(
        Diagnostic(
            region(start, Point(last.line, min(last.column + 1, len(job.snapshot.line(last.line))))),
            words(item["message"]),
            source="gcc",
            code=option if isinstance(option, str) else None,
            severity=SEVERITIES.get(str(item["kind"]), Severity.ERROR),
        ),
        edits=_edits(item, job),
    )


def _edits(item: Any, job: Job) -> tuple[Edit, ...]:
    """Return the fix-its of the problem itself or, where it has none, of its only note that has some (a missing include)."""
    offers = (
        [item.get("fixits")]
        if item.get("fixits")
        else [c["fixits"] for c in item.get("children", ()) if c.get("fixits")]
    )
    if len(offers) != 1:
        return ()
    if any(not _is_ours(fixit["start"], job) for fixit in offers[0]):
        return ()
    return tuple(
        Edit(Region(_point(fixit["start"], job), _point(fixit["next"], job)), words(fixit["string"]))
        for fixit in offers[0]
    )


def _is_ours(place: Any, job: Job) -> bool:
    return Path(words(place["file"])) == job.file


def _point(place: Any, job: Job) -> Point:
    # `column` counts columns of a screen in some versions; bytes are bytes in all.
    return by_bytes(job.snapshot, number(place["line"]) - 1, number(place.get("byte-column", place["column"])) - 1)
