"""Read the JSON that checkers write, and turn their columns into code points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glossator.checkers.row import CheckerFailed, Job, Output
from glossator.document import Point, Region, Snapshot

_LAST_OF_ONE_UNIT = 0xFFFF  # characters beyond it take two units of UTF-16


def name_of(job: Job) -> str:
    """Return the checker's name as a sentence can hold it."""
    return Path(job.tool).name


def first_line(output: Output) -> str:
    """Return the first thing that a process said about its failure, shortened; its stderr before its stdout."""
    for raw in (output.stderr, output.stdout):
        for line in raw.decode("utf-8", "replace").splitlines():
            if line.strip():
                return line.strip()[:200]
    return f"it ended with status {output.status} and no message"


def parse_json(raw: bytes, job: Job, output: Output) -> Any:
    """Return the JSON value in *raw*; raises CheckerFailed where there is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise CheckerFailed(f"{name_of(job)} did not answer in JSON: {first_line(output)}") from None


def number(value: Any) -> int:
    """Return *value* as a whole number; raises TypeError for anything else, true and false too."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a number was expected")
    return value


def words(value: Any) -> str:
    """Return *value* as text; raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def by_code_points(snapshot: Snapshot, line: int, column: int) -> Point:
    """Return the place at *line* and *column*, both from 0, inside the text."""
    line = max(0, min(line, len(snapshot.lines)))
    return Point(line, max(0, min(column, len(snapshot.line(line)))))


def by_utf16(snapshot: Snapshot, line: int, column: int) -> Point:
    """Return the place at *line* and *column*, both from 0, the column in UTF-16 units."""
    units = 0
    for index, character in enumerate(snapshot.line(line)):
        if units >= column:
            return Point(line, index)
        units += 2 if ord(character) > _LAST_OF_ONE_UNIT else 1
    return by_code_points(snapshot, line, len(snapshot.line(line)))


def by_bytes(snapshot: Snapshot, line: int, column: int) -> Point:
    """Return the place at *line* and *column*, both from 0, the column in UTF-8 bytes."""
    raw = snapshot.line(line).encode("utf-8", "surrogatepass")
    return by_code_points(snapshot, line, len(raw[: max(0, column)].decode("utf-8", "ignore")))


def region(start: Point, end: Point) -> Region:
    """Return the region between two places; an end before the start is the start."""
    return Region(start, max(start, end))


def word_at(snapshot: Snapshot, start: Point) -> Region:
    """Return the word that begins at *start*, or one character: for checkers that tell no end."""
    line = snapshot.line(start.line)
    end = start.column
    while end < len(line) and (line[end].isalnum() or line[end] in "_$"):
        end += 1
    return region(start, Point(start.line, min(len(line), max(end, start.column + 1))))
