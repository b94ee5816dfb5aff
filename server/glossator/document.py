"""A frozen copy of what the editor showed when the user asked: text, version, and the problems found in it.

Positions inside Glossator are counted in code points; only `lsp/convert` knows the editor's units.
Lines end where LSP says they do, at LF, CRLF or CR, and nowhere else.
"""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")


def split_lines(text: str) -> tuple[str, ...]:
    """Split *text* after each line end of LSP; joined again they are *text*."""
    return tuple(_LINES.findall(text))


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A place in a text: line and column, both from 0, the column in code points."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a text; `end` is exclusive."""

    start: Point
    end: Point

    def touches(self, other: Region) -> bool:
        """Say whether the two share a character or a border."""
        return self.start <= other.end and other.start <= self.end


class Severity(enum.IntEnum):
    """How bad a checker finds a problem; the numbers are LSP's."""

    ERROR = 1
    WARNING = 2
    INFORMATION = 3
    HINT = 4


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that a problem speaks of, perhaps in another document."""

    uri: str
    region: Region
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A problem that some checker found. `source` and `code` are as the checker spells them, None if it tells none."""

    region: Region
    message: str
    source: str | None = None
    code: str | None = None
    severity: Severity = Severity.ERROR
    href: str | None = None
    related: tuple[Related, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One version of one document; `lines` keep their line ends. `path` is absolute, None where no file stands behind."""

    uri: str
    version: int
    language: str
    lines: tuple[str, ...]
    path: str | None = None

    @classmethod
    def of(cls, text: str, *, uri: str, language: str = "", version: int = 0, path: str | None = None) -> Snapshot:
        """Make a snapshot of *text*."""
        return cls(uri, version, language, split_lines(text), path)

    @cached_property
    def text(self) -> str:
        return "".join(self.lines)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(accumulate((len(line) for line in self.lines), initial=0))

    @cached_property
    def newline(self) -> str:
        """The line end that the document uses: that of its first line, LF where it has none."""
        for line in self.lines[:1]:
            for end in ("\r\n", "\n", "\r"):
                if line.endswith(end):
                    return end
        return "\n"

    def line(self, number: int) -> str:
        """Return a line without its line end; empty beyond the last."""
        return self.lines[number].rstrip("\r\n") if 0 <= number < len(self.lines) else ""

    def offset(self, point: Point) -> int:
        """Return the place of *point* in `text`; a column beyond its line is the line's end, a line beyond the last is the text's."""
        if point.line < 0:
            return 0
        if point.line >= len(self.lines):
            return self._starts[-1]
        return self._starts[point.line] + max(0, min(point.column, len(self.line(point.line))))

    def point(self, offset: int) -> Point:
        """Return where the character at *offset* stands; the inverse of `offset`. Inside a CRLF it is the line's end."""
        offset = max(0, min(offset, self._starts[-1]))
        number = bisect_right(self._starts, offset) - 1
        if number == len(self.lines) and number > 0 and not self.lines[-1].endswith(("\n", "\r")):
            number -= 1
        column = offset - self._starts[number]
        if number < len(self.lines) and self.lines[number].endswith("\r\n"):
            column = min(column, len(self.lines[number]) - 2)
        return Point(number, column)

    def slice(self, region: Region) -> str:
        """Return the text of *region*."""
        return self.text[self.offset(region.start) : self.offset(region.end)]

    @property
    def whole(self) -> Region:
        """The region of the entire text."""
        return Region(Point(0, 0), self.point(self._starts[-1]))
