"""What stands in private files, as keyed hashes: a text that holds enough of it is private too, wherever it was pasted.

Nothing of any text is kept. A line is compared by its letters and digits alone, so that indentation, line ends, comment and
diff marks change nothing; runs of words are compared across line ends, so that neither does breaking the lines anew.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

from glossator_providers.model import Level

MOST = 300_000  # hashes of private files; the file that was seen longest ago is forgotten first
MOST_COMMON = 300_000  # hashes of open files
LARGEST = 1 << 18  # characters; of a longer private file the beginning counts
_LONG = (
    1 << 16
)  # characters; in a longer text runs are looked for only where a line was found: it is not sent in one piece
_SHORTEST = 10  # letters and digits of a line that counts at all
_LEAST_DIFFERENT = 6  # different ones
_WORDS = 12  # of a run
_RUN = 40  # letters and digits of a run
# A text is private that shares lines of so many letters and digits, or so many runs, with private files. Measured on the
# sources of this project and on real files of six languages: what is shared by accident stays below, except for true copies.
_ENOUGH_LETTERS = 80
_ENOUGH_RUNS = 2
_STRIDE = 4  # words from one run to the next that is looked for; all of a private file are known
_DIGIT = 6  # letters that a digit counts for: two people write the same words sooner than the same numbers
_SHARED = 3  # open files that hold a line: then it is everybody's, such as the header of a licence
_TEXTS = 256  # are remembered as seen

# Of UTF-8, which is quicker to look through than text; each byte of another letter than those of ASCII counts as one.
_MARKS = bytes(code for code in range(128) if not chr(code).isalnum() and chr(code) != "\n")
_SPACED = bytes(ord(" ") if code in _MARKS + b"\n" else code for code in range(256))
_EVERYBODYS = re.compile(rb"(?:from|import|include|using|use|require|package|export)[a-z0-9]")
_DIGITS = re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class Shared:
    """What a text has in common with a private file: how far that file may travel, and the first of the lines, from 0.

    `line` is None where only runs of words are shared.
    """

    uri: str
    level: Level
    line: int | None


@dataclass(slots=True)
class _Known:
    level: Level
    hashes: set[int]


class PrivateLines:
    """The lines of the private files that were seen in this session, under a key that no other session has."""

    def __init__(self) -> None:
        self._key = secrets.token_hex(16)
        self._known: OrderedDict[str, _Known] = OrderedDict()  # by URI, the latest last
        self._lines: dict[int, tuple[str, int]] = {}  # the file that holds a line, and how many letters it counts
        self._runs: dict[int, str] = {}
        self._in_open: Counter[int] = Counter()
        self._everybodys: set[int] = set()
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, uri: str, text: str, level: Level) -> None:
        """Remember what stands in a file that is private or may be seen by no model."""
        with self._lock:
            if self._was_seen(uri, f"{level}{text}"):
                return
            known = self._known.setdefault(uri, _Known(level, set()))
            known.level = level
            self._known.move_to_end(uri)
            folded = _folded(text[:LARGEST])
            for line, letters in self._worthy_lines(folded):
                if self._lines.setdefault(line, (uri, letters))[0] == uri:
                    known.hashes.add(line)
            for run in self._worthy_runs(folded):
                if self._runs.setdefault(run, uri) == uri:
                    known.hashes.add(run)
            while len(self._lines) + len(self._runs) > MOST and len(self._known) > 1:
                self._forget(next(iter(self._known)))

    def add_open(self, text: str) -> None:
        """Note what stands in an open file: what stands in several of them gives no private file away."""
        with self._lock:
            if len(self._in_open) >= MOST_COMMON:
                return
            folded = _folded(text[:LARGEST])
            hashes = {line for line, _ in self._worthy_lines(folded)} | self._worthy_runs(folded)
            self._in_open.update(hashes)
            self._everybodys |= {one for one in hashes if self._in_open[one] >= _SHARED}

    def forget(self, uri: str) -> None:
        """Forget a file that is private no more."""
        with self._lock:
            if uri in self._known:
                self._forget(uri)

    def find(self, texts: Iterable[str], *, but: Collection[str] = ()) -> Shared | None:
        """Say with which private file *texts* together share too much; None with none. The files in *but* do not count."""
        if not self._known:
            return None
        with self._lock:
            lines: set[int] = set()
            runs: set[int] = set()
            folded = list(map(_folded, texts))
            for one in folded:
                letters = _letters(one)
                letters += [line.lstrip(b"0123456789") for line in letters if line[:1].isdigit()]  # a line's number
                lines |= self._lines.keys() & set(self._hashes(letters))
            for one in folded if lines or sum(map(len, folded)) <= _LONG else ():
                runs |= self._runs.keys() & set(self._run_hashes(one, _STRIDE))
            lines = {one for one in lines - self._everybodys if self._lines[one][0] not in but}
            runs = {one for one in runs - self._everybodys if self._runs[one] not in but}
            if sum(self._lines[one][1] for one in lines) < _ENOUGH_LETTERS and len(runs) < _ENOUGH_RUNS:
                return None
            owners = {self._lines[one][0] for one in lines} or {self._runs[one] for one in runs}
            uri = max(sorted(owners), key=lambda owner: self._known[owner].level)
            return Shared(uri, self._known[uri].level, self._first(folded, lines))

    def _first(self, folded: list[bytes], lines: set[int]) -> int | None:
        if len(folded) != 1:
            return None
        return next((place for place, one in enumerate(self._hashes(_letters(folded[0]))) if one in lines), None)

    def _was_seen(self, uri: str, text: str) -> bool:
        seen = (uri, hash(self._key + text))
        if seen in self._seen:
            return uri in self._known
        self._seen[seen] = None
        if len(self._seen) > _TEXTS:
            self._seen.popitem(last=False)
        return False

    def _forget(self, uri: str) -> None:
        for one in self._known.pop(uri).hashes:
            self._lines.pop(one, None)
            self._runs.pop(one, None)
        for seen in [seen for seen in self._seen if seen[0] == uri]:
            del self._seen[seen]

    def _worthy_lines(self, folded: bytes) -> Iterator[tuple[int, int]]:
        """Yield the hash of each line that says something of its own, and how many letters it counts."""
        letters = _letters(folded)
        for line, one in zip(letters, self._hashes(letters), strict=True):
            if len(line) >= _SHORTEST and len(set(line)) >= _LEAST_DIFFERENT and not _EVERYBODYS.match(line):
                yield one, len(line) + _DIGIT * len(_DIGITS.findall(line))

    def _worthy_runs(self, folded: bytes) -> set[int]:
        lengths = list(map(len, _words(folded)))
        runs = enumerate(self._run_hashes(folded))
        return {run for place, run in runs if sum(lengths[place : place + _WORDS]) >= _RUN}

    def _hashes(self, letters: list[bytes]) -> Iterator[int]:
        # SipHash: keyed, and faster than anything in hashlib
        return map(hash, zip(repeat(self._key, len(letters)), letters, strict=True))

    def _run_hashes(self, folded: bytes, stride: int = 1) -> Iterator[int]:
        """Yield the hash of the run of words that begins at each word, or at every so manieth."""
        words = _words(folded)
        return map(hash, zip(repeat(self._key), *(words[place::stride] for place in range(_WORDS)), strict=False))


def _folded(text: str) -> bytes:
    folded = text.casefold().encode("utf-8", "surrogatepass").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return folded.replace(b"\\n", b"\n") if b"\\n" in folded else folded  # in a notebook, and in any other JSON


def _letters(folded: bytes) -> list[bytes]:
    """Return the letters and digits of each line."""
    return folded.translate(None, _MARKS).split(b"\n")


def _words(folded: bytes) -> list[bytes]:
    return folded.translate(_SPACED).split()
