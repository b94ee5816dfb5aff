"""Keep the text of one open document while the user types; what a key costs does not grow with the text."""

from __future__ import annotations

from glossator.document import Point, Region, Snapshot, split_lines


class Buffer:
    """The lines of an open document; `snapshot` freezes them."""

    def __init__(self, uri: str, language: str = "", version: int = 0, text: str = "", path: str | None = None) -> None:
        self.uri = uri
        self.language = language
        self.version = version
        self.path = path
        self._lines = list(split_lines(text))
        self._frozen: Snapshot | None = None

    @property
    def lines(self) -> int:
        """The number of lines, one that is open at the end included."""
        return len(self._lines)

    def line(self, number: int) -> str:
        """Return a line without its line end; empty beyond the last."""
        return self._lines[number].rstrip("\r\n") if 0 <= number < len(self._lines) else ""

    def replace(self, text: str) -> None:
        """Take *text* in place of everything."""
        self._frozen = None
        self._lines = list(split_lines(text))

    def change(self, region: Region, text: str) -> None:
        """Take *text* in place of *region*, whose points are clamped into the document as LSP asks."""
        self._frozen = None
        start, end = sorted((self._clamp(region.start), self._clamp(region.end)))
        head = self._lines[start.line][: start.column] if start.line < len(self._lines) else ""
        tail = self._lines[end.line][end.column :] if end.line < len(self._lines) else ""
        first, after = start.line, end.line + 1
        middle = head + text + tail
        if middle.startswith("\n") and first > 0 and self._lines[first - 1].endswith("\r"):
            first -= 1  # the two halves of a line end have met
            middle = self._lines[first] + middle
        self._lines[first:after] = split_lines(middle)

    def snapshot(self) -> Snapshot:
        """Return the text of now, frozen; the same object until it changes."""
        frozen = self._frozen
        if frozen is None or (frozen.version, frozen.language) != (self.version, self.language):
            frozen = Snapshot(self.uri, self.version, self.language, tuple(self._lines), self.path)
            self._frozen = frozen
        return frozen

    def _clamp(self, point: Point) -> Point:
        if point.line < 0:
            return Point(0, 0)
        if point.line < len(self._lines):
            return Point(point.line, max(0, min(point.column, len(self.line(point.line)))))
        if self._lines and not self._lines[-1].endswith(("\n", "\r")):
            return Point(len(self._lines) - 1, len(self._lines[-1]))
        return Point(len(self._lines), 0)
