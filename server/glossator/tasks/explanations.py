"""The explanations that models gave, found again for the same problem in the same code: in memory, those of open code on disk too."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import Protocol

from glossator.context import region_of
from glossator.document import Diagnostic, Snapshot
from glossator.tasks.task import Explanation

PROMPT_VERSION = 1  # to be raised with each change of explain.md.jinja: explanations made with another are not reused
MOST_KEPT = 200


class Shelf(Protocol):
    """Where explanations of open code outlive this process; both wait for a disk."""

    def find(self, key: str) -> Explanation | None: ...
    def keep(self, key: str, explanation: Explanation) -> None: ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """An explanation and the code that it is about: so many lines, that begin so far above the problem's line."""

    explanation: Explanation
    problem: str
    above: int
    lines: int
    code: str


class Explanations:
    """The explanations given since the start, the oldest forgotten first; with a shelf, those of open code of other sessions too."""

    def __init__(self, *, size: int = MOST_KEPT, shelf: Shelf | None = None) -> None:
        self._size = size
        self._shelf = shelf
        self._kept: OrderedDict[tuple[str, str, str, int, str], _Kept] = OrderedDict()
        self._of: Counter[str] = Counter()  # how many there are of each document: most have none

    def find(self, snapshot: Snapshot, diagnostic: Diagnostic, *, model: str | None = None) -> Explanation | None:
        """Return the latest explanation of this very problem in this very code, by *model* if one is named.

        A hover waits for this: nothing is parsed, and only the lines that an explanation of this problem is about are read.
        """
        if not self._of[snapshot.uri]:
            return None
        problem = _problem(diagnostic)
        for (uri, *_, author), kept in reversed(self._kept.items()):
            if uri != snapshot.uri or kept.problem != problem or model not in (None, author):
                continue
            if _code(snapshot, diagnostic.region.start.line - kept.above, kept.lines) == kept.code:
                return replace(kept.explanation, cached=True)
        return None

    def keep(self, snapshot: Snapshot, diagnostic: Diagnostic, explanation: Explanation) -> None:
        """Remember an explanation that a model gave."""
        above, lines, code = _around(snapshot, diagnostic)
        kept = _Kept(explanation, _problem(diagnostic), above, lines, code)
        key = (snapshot.uri, kept.problem, code, above, explanation.author.model or "")
        if self._kept.pop(key, None) is None:
            self._of[snapshot.uri] += 1
        self._kept[key] = kept
        while len(self._kept) > self._size:
            (uri, *_), _ = self._kept.popitem(last=False)
            self._of[uri] -= 1
        self._of = +self._of

    async def recall(self, snapshot: Snapshot, diagnostic: Diagnostic, *, model: str) -> Explanation | None:
        """Return what *model* said of this problem in this code in another session; only for documents that are open now."""
        if self._shelf is None:
            return None
        found = await asyncio.to_thread(self._shelf.find, _key(snapshot, diagnostic, model))
        if found is not None:
            self.keep(snapshot, diagnostic, found)
        return found

    async def shelve(self, snapshot: Snapshot, diagnostic: Diagnostic, explanation: Explanation) -> None:
        """Keep an explanation for other sessions; only for documents that are open."""
        if self._shelf is not None and explanation.author.model:
            key = _key(snapshot, diagnostic, explanation.author.model)
            await asyncio.to_thread(self._shelf.keep, key, explanation)


def _around(snapshot: Snapshot, diagnostic: Diagnostic) -> tuple[int, int, str]:
    """Return how many lines above the problem its code begins, how many lines it has, and its digest."""
    region = region_of(snapshot, diagnostic.region, (diagnostic,))
    first = region.start.line
    lines = region.end.line - first + (region.end.column > 0)
    return diagnostic.region.start.line - first, lines, _code(snapshot, first, lines)


def _key(snapshot: Snapshot, diagnostic: Diagnostic, model: str) -> str:
    """Return what an explanation is kept under: the code, the problem and its place there, the model; no name of a file."""
    above, _, code = _around(snapshot, diagnostic)
    return _digest((_problem(diagnostic), code, str(above), model))


def _problem(diagnostic: Diagnostic) -> str:
    """Return which problem an explanation is about, as a digest that holds no code."""
    return _digest((str(PROMPT_VERSION), diagnostic.source or "", diagnostic.code or "", diagnostic.message))


def _code(snapshot: Snapshot, first: int, count: int) -> str:
    """Return which code an explanation is about, as a digest; *count* lines from line *first*, which may be outside."""
    return _digest((snapshot.language, *(snapshot.lines[first : first + count] if first >= 0 else ())))


def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
