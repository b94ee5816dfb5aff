"""Half characters made whole: JSON can hold one half of a surrogate pair, Python's UTF-8 cannot.

A server that counts in UTF-16 may send the first half of an emoji in one event and the second half in the next.
"""

from __future__ import annotations

import re

_HIGH = ("\ud800", "\udbff")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def mend(text: str) -> str:
    """Return `text` with surrogate pairs joined and lone halves replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def presentable(text: str) -> str:
    """Return `text` mended and without the characters that steer a terminal or turn the direction of what is read."""
    return _STEERING.sub(" ", mend(text)).strip()


class Joiner:
    """Join the pieces of one text whose characters may be torn between them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what is certain with this piece; a first half at its end is held back for the next one."""
        piece = self._held + piece
        self._held = ""
        if piece and _HIGH[0] <= piece[-1] <= _HIGH[1]:
            self._held = piece[-1]
            piece = piece[:-1]
        return mend(piece)

    def end(self) -> str:
        """Return what was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return mend(held)
