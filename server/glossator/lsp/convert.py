"""Between the editor's positions, in UTF-8, UTF-16 or UTF-32 units, and ours, in code points; and what carries positions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from lsprotocol import types

from glossator.document import Diagnostic, Point, Region, Related, Severity, Snapshot
from glossator.lsp.client import Encoding

OUR_SOURCE = "glossator"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Line = Callable[[int], str]
"""Gives the text of a line without its line end, empty beyond the last."""


def clean_text(text: str) -> str:
    """Return *text* with lone halves of surrogate pairs replaced: they are not text, and no encoder takes them."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def to_column(line: str, units: int, encoding: Encoding) -> int:
    """Return the column of *units* into *line*; one that points inside a character is that character's start."""
    if units <= 0:
        return 0
    if line.isascii() or encoding == "utf-32":
        return min(units, len(line))
    if encoding == "utf-8":
        return len(line.encode("utf-8", "surrogatepass")[:units].decode("utf-8", "ignore"))
    return len(line.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "ignore"))


def to_units(line: str, column: int, encoding: Encoding) -> int:
    """Return how many units the first *column* code points of *line* have."""
    before = line[: max(0, column)]
    if encoding == "utf-32" or before.isascii():
        return len(before)
    if encoding == "utf-8":
        return len(before.encode("utf-8", "surrogatepass"))
    return len(before.encode("utf-16-le", "surrogatepass")) // 2


def to_point(position: types.Position, line: Line, encoding: Encoding) -> Point:
    """Return where *position* is; a place beyond the end of its line or of the text stays beyond, and is clamped in use."""
    return Point(position.line, to_column(line(position.line), position.character, encoding))


def to_region(range_: types.Range, line: Line, encoding: Encoding) -> Region:
    """Return where *range_* is, the right way round."""
    start, end = sorted((to_point(range_.start, line, encoding), to_point(range_.end, line, encoding)))
    return Region(start, end)


def to_position(point: Point, line: Line, encoding: Encoding) -> types.Position:
    """Return the editor's name for *point*."""
    return types.Position(point.line, to_units(line(point.line), point.column, encoding))


def to_range(region: Region, line: Line, encoding: Encoding) -> types.Range:
    """Return the editor's name for *region*."""
    return types.Range(to_position(region.start, line, encoding), to_position(region.end, line, encoding))


def to_diagnostic(diagnostic: types.Diagnostic, line: Line, encoding: Encoding) -> Diagnostic:
    """Read a diagnostic that some server made of this document."""
    related = tuple(
        # The other document's text is not at hand: its columns are taken as they are.
        Related(place.location.uri, _region_as_is(place.location.range), place.message)
        for place in diagnostic.related_information or ()
    )
    return Diagnostic(
        region=to_region(diagnostic.range, line, encoding),
        message=plain_message(diagnostic.message),
        source=diagnostic.source or None,
        code=None if diagnostic.code is None else str(diagnostic.code),
        severity=Severity(int(diagnostic.severity)) if diagnostic.severity else Severity.ERROR,
        href=diagnostic.code_description.href if diagnostic.code_description else None,
        related=related,
    )


def to_diagnostics(
    diagnostics: Iterable[types.Diagnostic], line: Line, encoding: Encoding, *, limit: int = 200
) -> tuple[Diagnostic, ...]:
    """Read other servers' diagnostics, *limit* at most; our own are left out."""
    read: list[Diagnostic] = []
    for diagnostic in diagnostics:
        if len(read) >= limit:
            break
        if (diagnostic.source or "").lower() != OUR_SOURCE:
            read.append(to_diagnostic(diagnostic, line, encoding))
    return tuple(read)


def from_diagnostic(diagnostic: Diagnostic, line: Line, encoding: Encoding) -> types.Diagnostic:
    """Write a diagnostic for the editor, so that it can recognise it."""
    return types.Diagnostic(
        range=to_range(diagnostic.region, line, encoding),
        message=diagnostic.message,
        severity=types.DiagnosticSeverity(int(diagnostic.severity)),
        code=diagnostic.code,
        source=diagnostic.source,
        code_description=types.CodeDescription(diagnostic.href) if diagnostic.href else None,
    )


def text_edits(now: Snapshot, new: str, encoding: Encoding) -> list[types.TextEdit]:
    """Return the smallest edits that make *new* of *now*."""
    from glossator.edits import hunks

    return [
        types.TextEdit(
            to_range(Region(now.point(hunk.start), now.point(hunk.end)), now.line, encoding), new_text=hunk.text
        )
        for hunk in hunks(now.text, new)
    ]


def move(region: Region, old: Snapshot, new: Snapshot) -> Region:
    """Return where *region* of *old* stands in *new*; what was typed inside of it belongs to it."""
    from glossator.edits import hunks

    if old.lines == new.lines:
        return region
    start, end = old.offset(region.start), old.offset(region.end)
    shift_start = shift_end = 0
    for hunk in hunks(old.text, new.text):
        grown = len(hunk.text) - (hunk.end - hunk.start)
        if hunk.end <= start:
            shift_start += grown
        if hunk.start < end or hunk.end <= start:
            shift_end += grown
    moved_start = start + shift_start
    return Region(new.point(moved_start), new.point(max(moved_start, end + shift_end)))


def _region_as_is(range_: types.Range) -> Region:
    start, end = sorted(
        (Point(range_.start.line, range_.start.character), Point(range_.end.line, range_.end.character))
    )
    return Region(start, end)


def plain_message(message: Any) -> str:
    """Return the words of a message, which LSP 3.18 allows to be Markdown in an object."""
    if isinstance(message, str):
        return message
    value = message.get("value") if isinstance(message, dict) else getattr(message, "value", None)
    return value if isinstance(value, str) else ""
