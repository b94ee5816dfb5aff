"""Look through a text again after an edit: only the blocks of lines that changed are scanned anew.

The answer is always that of `contents.scan` for the whole text. A block ends only where no rule can meet across its end,
and a block that was looked through before is recognised by a keyed hash: nothing of any text is kept.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from glossator_providers.privacy.contents import KEYWORD, Finding, Piece, examine, find, join

SIZE = 6144  # characters of a block, or a little more: smaller ones cost more to compare, larger ones more to scan
_TEXTS = 16  # as many are remembered
_TRIED = 32  # line ends that are tried for the end of a block, before a block longer is
_BEFORE = 320  # characters before a line end that show whether a rule can meet across it
# What may stand between the header of a private key and its first line; `n` and `r` of their escapes.
_BLANK = b" \t\n\r\f\v\"',+\\nr"
_MOST_BLANK = 200
# How every rule that can meet in several lines begins, up to the end of one of them: a little more than the rules say.
_BEGINNINGS = (
    KEYWORD + r"[\w.-]*(?:[\s\"'`\]:=>|!?+.&(,\[@]|str|string|'static|new)*",
    r"\b(?:login|user)[ \t]+[^\s\"']{1,80}\s*",
    r"(?:basic|bearer)\s*",
    r"curl\b[^\n]*\s",
    r"private key(?: block)?-----(?:\\[nr]|[\s\"',+\\])*",
    r"\b(?:d|dp|dq|qi|k)[\"']?\s*:?\s*",
)
_BEGINS = "(?i)(?:" + "|".join(_BEGINNINGS) + ")$"


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    length: int
    digest: int
    piece: Piece


class Scanner:
    """What is remembered of the texts that were looked through last."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = max(size, _BEFORE)  # then the inside of a block shows whether its end is a good one
        self._key = secrets.token_hex(8)
        self._texts: list[tuple[_Block, ...]] = []  # the latest first
        self._lock = threading.Lock()

    def scan(self, text: str) -> tuple[Finding, ...]:
        """Return what `contents.scan` returns."""
        if len(text) <= 2 * self._size:
            return join(((0, 0, examine(text)),))
        with self._lock:
            before = next((known for known in self._texts if self._resembles(known, text)), ())
            blocks = self._look_through(text, before)
            self._texts = [blocks, *(known for known in self._texts if known is not before)][:_TEXTS]
        place = line = 0
        pieces = []
        for block in blocks:
            if block.piece.met:
                pieces.append((place, line, block.piece))
            place += block.length
            line += block.piece.lines
        return join(pieces)

    def _resembles(self, known: tuple[_Block, ...], text: str) -> bool:
        first, last = known[0], known[-1]
        return self._stands(first, text, 0) or self._stands(last, text, len(text) - last.length)

    def _stands(self, block: _Block, text: str, start: int) -> bool:
        return start >= 0 and self._digest(text[start : start + block.length]) == block.digest

    def _digest(self, piece: str) -> int:
        return hash(self._key + piece)  # SipHash: keyed, and faster than anything in hashlib

    def _look_through(self, text: str, before: tuple[_Block, ...]) -> tuple[_Block, ...]:
        """Keep the blocks of *before* at both ends of *text*, and scan what lies between them."""
        start, end = 0, len(text)
        head: list[_Block] = []
        for block in before[:-1]:  # the last ended with its text, not with a line that ends a block
            if not self._stands(block, text, start):
                break
            head.append(block)
            start += block.length
        tail: list[_Block] = []
        for block in reversed(before[len(head) :]):
            if end - block.length < start or not self._stands(block, text, end - block.length):
                break
            tail.append(block)
            end -= block.length
        # A new neighbour: its end must be a good one, and the first block that is kept must show its own end by itself.
        while tail and end > start and not (tail[-1].length >= _BEFORE and may_end(text, end)):
            end += tail.pop().length
        # Of several edits the first and the last lie at the ends of what is left; most between them is known all the same.
        known = {block.digest: block for block in before[len(head) : len(before) - len(tail)]}
        middle = [self._examine(text[one:other], known) for one, other in self._split(text, start, end)]
        return (*head, *middle, *reversed(tail))

    def _examine(self, piece: str, known: Mapping[int, _Block]) -> _Block:
        digest = self._digest(piece)
        block = known.get(digest)
        return block if block is not None and block.length == len(piece) else _Block(len(piece), digest, examine(piece))

    def _split(self, text: str, start: int, end: int) -> list[tuple[int, int]]:
        pieces = []
        while (cut := self._cut(text, start, end)) is not None:
            pieces.append((start, cut))
            start = cut
        return [*pieces, (start, end)] if start < end else pieces

    def _cut(self, text: str, start: int, end: int) -> int | None:
        """Return the first good end of a block that begins at *start*, None where the rest is one block."""
        place = start
        while place + 2 * self._size < end:
            place += self._size
            cut = place
            for _ in range(_TRIED):
                cut = text.find("\n", cut, end) + 1
                if not cut:
                    return None
                if may_end(text, cut):
                    return cut if cut < end else None
        return None


def may_end(text: str, place: int) -> bool:
    """Say whether a block may end at *place*: behind a line end that no rule meets across, whatever follows."""
    if text[place - 1 : place] != "\n":
        return False
    before = text[max(0, place - _BEFORE) : place].encode("utf-8", "surrogatepass")
    if len(before) - len(before.rstrip(_BLANK)) > _MOST_BLANK:
        return False
    return find(_BEGINS, before) is None


_SCANNER = Scanner()


def scan(text: str) -> tuple[Finding, ...]:
    """Return what `contents.scan` returns, sooner where most of *text* was looked through before."""
    return _SCANNER.scan(text)
