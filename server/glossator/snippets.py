"""Say where a block of bare code belongs: in place of the region, of a symbol of the same name, or of the whole file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glossator.document import Point, Region, Snapshot
from glossator.matching import match
from glossator.placing import Refused, indentation, trimmed
from glossator.syntax import enclosing, symbols

_ALIKE = 0.5  # of the lines that are not blank
_SHORT = 3  # lines; of so few, none need stay


@dataclass(frozen=True, slots=True)
class Target:
    """The file, its language, and the lines `start:end` that were asked for; all of them where no part was."""

    lines: tuple[str, ...]
    language: str
    start: int
    end: int

    @property
    def whole(self) -> bool:
        return not any(line.strip() for line in (*self.lines[: self.start], *self.lines[self.end :]))

    @property
    def region(self) -> tuple[str, ...]:
        return self.lines[self.start : self.end]


def place(code: Sequence[str], target: Target) -> list[str] | Refused | None:
    """Return the file with *code* in its place; None where it only quotes the file or is none of it."""
    code = trimmed(code)
    if not code or is_quote(code, target):
        return None
    if not target.whole:
        return _in_region(code, target)
    return _in_file(code, target)


def instead(code: Sequence[str], target: Target) -> list[str]:
    """Return the file with *code* in place of the region."""
    return _spliced(trimmed(code), target, target.start, target.end)


def is_quote(code: Sequence[str], target: Target) -> bool:
    """Say whether *code* stands in the file already, but for comments, blanks and indentation."""
    wanted, have = _essence(code, target.language), _essence(target.lines, target.language)
    if not wanted:
        return True
    return any(
        have[at : at + len(wanted)] == wanted for at in range(len(have) - len(wanted) + 1) if have[at] == wanted[0]
    )


def _in_region(code: list[str], target: Target) -> list[str] | Refused | None:
    region = trimmed(target.region)
    own, theirs = symbols(target.language, "\n".join(region)), symbols(target.language, "\n".join(code))
    everything = symbols(target.language, "\n".join(target.lines))
    if len(everything) > len(own) and set(everything) <= set(theirs):
        return code
    if own:
        if own[0] not in theirs:
            return None
    elif len(region) > _SHORT and _alike(region, code) < _ALIKE:
        return None
    return _spliced(code, target, target.start, target.end)


def _in_file(code: list[str], target: Target) -> list[str] | Refused | None:
    own, theirs = symbols(target.language, "\n".join(target.lines)), symbols(target.language, "\n".join(code))
    kept = _alike(trimmed(target.lines), code)
    if own and set(own) <= set(theirs) and kept >= _ALIKE:
        return code
    if not own:
        return code if kept >= _ALIKE or (len(trimmed(target.lines)) <= _SHORT and kept > 0) else None
    known = [name for name in dict.fromkeys(theirs) if name in own and "." not in name]
    if not known:
        return None
    if len(known) > 1 or own.count(known[0]) > 1:
        return Refused("ambiguous", "the code holds several symbols of the file, and not all of it")
    found = _symbol(target, known[0])
    if found is None:
        return None
    return _spliced(code, target, *found)


def _symbol(target: Target, name: str) -> tuple[int, int] | None:
    """Return the lines of the only symbol *name* at the file's top level."""
    snapshot = Snapshot.of("\n".join(target.lines), uri="", language=target.language)
    found: set[tuple[int, int]] = set()
    for number, line in enumerate(target.lines):
        if name in line:
            column = len(line) - len(line.lstrip())
            around = enclosing(snapshot, Region(Point(number, column), Point(number, column)))
            lines = target.lines[around.start.line : around.end.line + (around.end.column > 0)]
            if symbols(target.language, "\n".join(lines))[:1] == (name,):
                found.add((around.start.line, around.start.line + len(lines)))
    return found.pop() if len(found) == 1 else None


def _spliced(code: list[str], target: Target, start: int, end: int) -> list[str]:
    """Put *code* in place of lines start:end, with their indentation and the blank lines around them."""
    old = list(target.lines[start:end])
    inner = trimmed(old)
    head = next((number for number, line in enumerate(old) if line.strip()), 0)
    tail = len(old) - head - len(inner)
    real, written = indentation(inner), indentation(code)
    fitted = [real + line[len(written) :] if line.strip() else line for line in code]
    return [*target.lines[:start], *old[:head], *fitted, *old[len(old) - tail :], *target.lines[end:]]


def _alike(old: Sequence[str], new: Sequence[str]) -> float:
    """Return which part of the *old* lines stands in the *new* ones, in order."""
    before = [line.strip() for line in old if line.strip()]
    after = [line.strip() for line in new if line.strip()]
    return sum(part.size for part in match(before, after)) / len(before) if before else 0.0


_COMMENTS = {"python": "#", "shellscript": "#", "ruby": "#", "yaml": "#"}


def _essence(lines: Sequence[str], language: str) -> list[str]:
    mark = _COMMENTS.get(language, "//")
    result = []
    for line in lines:
        bare = " ".join(line.split(f" {mark}")[0].split())
        if bare and not bare.startswith(mark):
            result.append(bare)
    return result
