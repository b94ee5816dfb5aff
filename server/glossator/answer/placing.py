"""Find the one place in a text that an answer speaks of, and put what it says there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate

_AROUND = 2  # lines that are shown before and after those that are like what was looked for
_MOST_NEAR = 40  # lines that are shown
_MOST_LINES = 2000  # lines that are compared letter by letter, as far as
_LONGEST_LINE = 200  # characters of each


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer was understood, and it cannot be used; `outcome` is one of `answer.Outcome`'s words.

    `near` are the file's lines that are most like those that were not found in it.
    """

    outcome: str
    reason: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Lines `start:end` of the text; the answer's indentation `written` stands for `real` there.

    `units` is set where the answer indents with other blanks: one step of its own, and one of the text's.
    """

    start: int
    end: int
    written: str = ""
    real: str = ""
    units: tuple[str, str] | None = None

    def fitted(self, lines: Sequence[str]) -> list[str]:
        """Return *lines* with the indentation of the place."""
        if self.units is not None:
            return [stepped(line, *self.units) for line in lines]
        if self.written == self.real:
            return list(lines)
        return [self._fitted(line) for line in lines]

    def _fitted(self, line: str) -> str:
        if not line.strip():
            return line
        if line.startswith(self.written):
            return self.real + line[len(self.written) :]
        # The line stands further out than the place: as far as there is something to take off, take it.
        if self.written.startswith(self.real):
            return line[min(len(self.written) - len(self.real), len(line) - len(line.lstrip())) :]
        return self.real + line.lstrip()


def locate(lines: Sequence[str], search: Sequence[str]) -> list[Place]:
    """Return every place where *search* stands; none where it is blank.

    Exactly; else but for blanks at the ends of lines; else but for indentation.
    """
    wanted = list(search)
    if not any(line.strip() for line in wanted):
        return []
    exact = _find(lines, wanted)
    if exact:
        return [Place(at, at + len(wanted)) for at in exact]
    bare, bare_wanted = [line.rstrip() for line in lines], [line.rstrip() for line in wanted]
    loose = _find(bare, bare_wanted)
    if loose:
        return [Place(at, at + len(wanted)) for at in loose]
    stripped, stripped_wanted = [line.strip() for line in lines], [line.strip() for line in wanted]
    places = []
    for at in _find(stripped, stripped_wanted):
        real = bare[at : at + len(wanted)]
        shift = _shift(bare_wanted, real)
        if shift is not None:
            places.append(Place(at, at + len(wanted), *shift))
        elif (units := _units(bare_wanted, real)) is not None:
            places.append(Place(at, at + len(wanted), units=units))
    return places


def the_one(places: Sequence[Place], *, inside: tuple[int, int] | None = None) -> Place | Refused:
    """Return the only place, or the only one *inside* lines start:end; else say why not."""
    if len(places) > 1 and inside is not None:
        places = [place for place in places if inside[0] <= place.start and place.end <= inside[1]] or places
    if len(places) == 1:
        return places[0]
    if places:
        return Refused("ambiguous", f"what it replaces stands at {len(places)} places of the file")
    return Refused("no-match", "what it replaces does not stand in the file")


def nearest(lines: Sequence[str], search: Sequence[str]) -> tuple[str, ...]:
    """Return the lines that are most like *search*, with some around them; none where hardly anything is like it."""
    wanted = [line.strip() for line in trimmed(search)]
    if not wanted:
        return ()
    telling = max(wanted, key=len)
    bare = [line.strip() for line in lines]
    shared = {line for line in wanted if any(map(str.isalnum, line))}
    scores = list(accumulate((line in shared for line in bare), initial=0))
    size = min(len(wanted), len(lines))
    found = [scores[at + size] - scores[at] for at in range(len(lines) - size + 1)]
    score = max(found, default=0)
    best = [at for at, one in enumerate(found) if one == score][:_MOST_NEAR]
    first = max(best, key=lambda at: sum(map(str.__eq__, bare[at : at + size], wanted)), default=0)
    last = first + size
    if not score:
        alike = get_close_matches(telling[:_LONGEST_LINE], {line[:_LONGEST_LINE] for line in bare[:_MOST_LINES]}, n=1)
        if not alike:
            return ()
        first = next(number for number, line in enumerate(bare) if line[:_LONGEST_LINE] == alike[0])
        first, last = max(0, first - wanted.index(telling)), first - wanted.index(telling) + size
    return tuple(lines[max(0, first - _AROUND) : min(last + _AROUND, first + _MOST_NEAR)])


def trimmed(lines: Sequence[str]) -> list[str]:
    """Return *lines* without the blank ones at the start and the end."""
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return list(lines[start:end])


def indentation(lines: Sequence[str]) -> str:
    """Return the blanks that all lines begin with, blank lines apart."""
    common: str | None = None
    for line in lines:
        if line.strip():
            own = line[: len(line) - len(line.lstrip())]
            common = own if common is None else _shared(common, own)
    return common or ""


def stepped(line: str, written: str, real: str) -> str:
    """Return *line* with each step of its indentation *written* exchanged for *real*."""
    rest = line
    steps = 0
    while written and rest.startswith(written):
        rest, steps = rest[len(written) :], steps + 1
    return real * steps + rest


def _units(written: Sequence[str], real: Sequence[str]) -> tuple[str, str] | None:
    """Return one step of indentation on each side, if tabs on one side stand for so many spaces on the other."""
    for width in (2, 4, 8, 3):
        for units in ((" " * width, "\t"), ("\t", " " * width)):
            if all(stepped(one, *units) == other for one, other in zip(written, real, strict=True)):
                return units
    return None


def locate_loosely(lines: Sequence[str], search: Sequence[str]) -> list[Place]:
    """Return every place where *search* stands but for blank lines."""
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    filled = [line.rstrip() for line in search if line.strip()]
    found = _find([lines[number].rstrip() for number in numbers], filled) if filled else []
    return [Place(numbers[at], numbers[at + len(filled) - 1] + 1) for at in found]


def _shared(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]


def _find(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    first = wanted[0]
    last = len(lines) - len(wanted)
    return [
        at
        for at, line in enumerate(lines)
        if at <= last and line == first and list(lines[at : at + len(wanted)]) == list(wanted)
    ]


def _shift(written: Sequence[str], real: Sequence[str]) -> tuple[str, str] | None:
    """Return which indentation became which, if one exchange explains all lines."""
    from_indent, to_indent = indentation(written), indentation(real)
    for one, other in zip(written, real, strict=True):
        if one.strip() and one[len(from_indent) :] != other[len(to_indent) :]:
            return None
    return from_indent, to_indent
