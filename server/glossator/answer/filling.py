"""Fill in what an answer leaves out within a symbol, where the file allows one reading only.

An elision stands for whole statements at its own depth. So what it stands for begins at its indentation, goes no
further out, closes every bracket that it opens, and lies between lines that the answer and the file share. Whatever
else could be meant makes the answer doubtful, and nothing is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from glossator.answer.elisions import is_elision
from glossator.answer.placing import indentation, trimmed
from glossator.matching import changes

_LONGEST = 1000  # lines of the file's part
_MOST_WORK = 30_000  # lines looked at, some 100 ms; an answer that needs more can be read in too many ways
_DEAR = 10  # lines that could be looked at while two are compared letter by letter
_LIKE = 0.7  # of the characters; a new line so like one that is left out may be that line, changed
_MOST_LOST = 1  # lines that a change may take away beyond those that it writes
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`")
_OPENING = re.compile(
    r"(?:(?:const|let|var|export|default|public|private|protected|static|readonly|override|abstract|final|mut|pub|async"
    r"|def|func|function|fn|class|struct|interface|type|enum|namespace)\s+)*(?P<word>[\w.$\"'-]+)"
)
_REMARK = re.compile(r"\s+(?:#|//|--).*$")
_REMOVED = re.compile(r"\b(?:removed?|deleted?)\b", re.IGNORECASE)


def filled(code: Sequence[str], part: Sequence[str]) -> list[str] | None:
    """Return *code* with the lines of *part* in place of its elisions, indented as *part* is; None if in doubt."""
    part, code = trimmed(part), trimmed(code)
    if len(part) > _LONGEST or len(code) > _LONGEST or any(is_elision(line) and _REMOVED.search(line) for line in code):
        return None
    real, written = indentation(part), indentation(code)
    search = _Search(_split([line[len(written) :].rstrip() for line in code]), [line[len(real) :] for line in part])
    found = list(dict.fromkeys(search.solutions()))
    if search.work > _MOST_WORK or len(found) != 1:
        return None
    return [real + line if line.strip() else line for line in found[0]]


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines that the answer writes; `before` is the indentation of the elision above it, where there is one."""

    lines: tuple[str, ...]
    before: int | None


def _split(code: Sequence[str]) -> list[_Run]:
    runs: list[_Run] = []
    lines: list[str] = []
    before: int | None = None
    for line in code:
        if is_elision(line):
            if trimmed(lines) or not runs:
                runs.append(_Run(tuple(trimmed(lines)), before))
                before = _depth(line)
            lines = []
        else:
            lines.append(line)
    return [*runs, _Run(tuple(trimmed(lines)), before)]


class _Search:
    """Looks for the places of all runs in the part of the file."""

    def __init__(self, runs: Sequence[_Run], part: Sequence[str]) -> None:
        self.runs = runs
        self.part = tuple(part)
        self.bare = [line.rstrip() for line in part]
        self.depths = [_depth(line) if line else None for line in self.bare]
        self.work = 0

    def solutions(self) -> Iterator[tuple[str, ...]]:
        """Yield each whole text that the answer can mean."""
        first = self.runs[0]
        if len(self.runs) == 1:
            return
        for end, index in self._ends(0, 0):
            if self._kept(0, end, first.lines[:index]):
                yield from self._from(1, end, first.lines, index)
        if not first.lines:
            yield from self._from(1, 0, (), 0)
        elif first.lines[0] not in self.bare:
            yield from self._from(1, 1, first.lines, 1)  # the line that opens the part was changed

    def _from(self, number: int, at: int, done: tuple[str, ...], index: int) -> Iterator[tuple[str, ...]]:
        """Yield the texts that begin with *done*, where the part's lines before *at* have been dealt with.

        *index* is the first line of the run before that stands below the last one that it shares with the part.
        """
        above, run = self.runs[number - 1], self.runs[number]
        last = number == len(self.runs) - 1
        if last and not run.lines:
            if self._stands_for(run.before, at, len(self.part), above.lines, above.lines[index:]):
                yield (*done, *self.part[at:])
            return
        for start, shared in self._starts(run, at):
            new = (*above.lines[index:], *run.lines[:shared])
            if not self._stands_for(run.before, at, start, (*above.lines, *run.lines), new):
                continue
            text = (*done, *self.part[at:start], *run.lines)
            if not last:
                for end, after in self._ends(number, start):
                    if after > shared and self._kept(start, end, run.lines[shared:after]):
                        yield from self._from(number + 1, end, text, after)
            elif self._kept(start, len(self.part), run.lines[shared:]):
                yield text

    def _starts(self, run: _Run, at: int) -> Iterator[tuple[int, int]]:
        """Yield where a line of *run* stands, as far as the elision above it can reach from *at* on, and which line it is."""
        depth = _depth(run.lines[0])
        for place in range(at, len(self.bare)):
            if self.work > _MOST_WORK:
                return
            own = self.depths[place]
            self.work += len(run.lines) if own == depth else 1
            if own == depth:
                yield from ((place, index) for index, line in enumerate(run.lines) if line == self.bare[place])
            if own is not None and own < (run.before or 0):
                return

    def _ends(self, number: int, start: int) -> Iterator[tuple[int, int]]:
        """Yield what follows a line of a run that the part shares: there, and in the run.

        A line that stands further in than the elision below it is shared only where its statement is.
        """
        run, below = self.runs[number], self.runs[number + 1].before
        reach = min(len(self.bare), start + (_MOST_LOST + 2) * len(run.lines) + _MOST_LOST)
        for index in range(len(run.lines) - 1, -1, -1):
            self.work += 1
            if self.work > _MOST_WORK:
                return
            if line := run.lines[index]:
                head = _head(run.lines, index, below)
                yield from (
                    (place + 1, index + 1)
                    for place in range(start, reach)
                    if self.bare[place] == line and _head(self.bare, place, below) == head
                )

    def _stands_for(self, depth: int | None, start: int, end: int, around: Sequence[str], new: Sequence[str]) -> bool:
        """Say whether an elision at *depth* can stand for the part's lines start:end.

        None of them may stand *around* the elision too, or have become a *new* line there.
        """
        self.work += end - start
        depths = [own for own in self.depths[start:end] if own is not None]
        if not depths or depths[0] != depth or min(depths) < depth:
            return False
        lines = [line for line in self.bare[start:end] if line]
        if not _closed(lines) or any(_tells(line) and line in lines for line in new):
            return False
        heads = [line for line in lines if _depth(line) == depth and _tells(line)]
        changed = [line for line in new if line and _depth(line) == depth and _tells(line)]
        self.work += _DEAR * len(heads) * len(changed)
        return not any(line in around or any(_alike(line, one) for one in changed) for line in heads)

    def _kept(self, start: int, end: int, new: Sequence[str]) -> bool:
        """Say whether *new* in place of the part's lines start:end takes hardly any away."""
        old, written = [line for line in self.bare[start:end] if line], [line for line in new if line]
        if len(old) > len(written) * (_MOST_LOST + 1) + _MOST_LOST:
            return False
        self.work += _DEAR * (len(old) + len(written))
        return all(
            change.old_end - change.old_start <= change.new_end - change.new_start + _MOST_LOST
            for change in changes(old, written)
        )


def _depth(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _closed(lines: Sequence[str]) -> bool:
    """Say whether each bracket that *lines* open is closed in them, and none besides."""
    depth = 0
    for line in lines:
        for character in _STRING.sub("", line):
            depth += (character in "([{") - (character in ")]}")
            if depth < 0:
                return False
    return depth == 0


def _head(lines: Sequence[str], at: int, depth: int | None) -> str:
    """Return the last line at *depth* or further out, from line *at* upwards."""
    return next((line for line in reversed(lines[: at + 1]) if line and _depth(line) <= (depth or 0)), "")


def _tells(line: str) -> bool:
    return any(character.isalnum() for character in line)


def _alike(one: str, other: str) -> bool:
    """Say whether one line may be the other, changed: they begin with the same name, or hardly differ."""
    one, other = (_REMARK.sub("", line).strip() for line in (one, other))
    openings = [_OPENING.match(line) for line in (one, other)]
    if openings[0] and openings[1] and openings[0]["word"] == openings[1]["word"]:
        return True
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= _LIKE and matcher.quick_ratio() >= _LIKE and matcher.ratio() >= _LIKE
