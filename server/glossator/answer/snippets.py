"""Say where a block of bare code belongs: in place of the region, of a symbol of the same name, or of the whole file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from glossator.answer.elisions import is_elision
from glossator.answer.filling import filled
from glossator.answer.placing import Refused, indentation, trimmed
from glossator.matching import match
from glossator.syntax import outline, symbols

_ALIKE = 0.5  # of the lines that are not blank
_SHORT = 3  # lines; of so few, none need stay
_TELLING = 2  # lines with words


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


def by_symbols(code: Sequence[str], target: Target) -> list[str] | None:
    """Return the file with each symbol of *code* in place of its own; None where anything is left to guess.

    Elisions between symbols stand for what the file has there, and those within one for what `filled` is sure of. A new
    symbol, or a line that the file has not, leaves something to guess.
    """
    whole = _margin(trimmed(code))
    margin = ["" if is_elision(line) else line for line in whole]
    text = "\n".join(margin)
    parts = [part for part in outline(target.language, text) if "." not in part[0]]
    places = {name: (start, end) for name, start, end in outline(target.language, "\n".join(target.lines))}
    names = Counter(symbols(target.language, "\n".join(target.lines)))
    lines = list(target.lines)
    inside: set[int] = set()
    for name, start, end in sorted(parts, key=lambda part: places.get(part[0], (0, 0)), reverse=True):
        numbers = set(range(start, end))
        if names[name] != 1 or numbers & inside:
            return None
        inside |= numbers
        part: list[str] | None = trimmed(margin[start:end])
        if any(is_elision(line) for line in whole[start:end]):
            part = filled(whole[start:end], target.lines[places[name][0] : places[name][1]])
        if part is None:
            return None
        lines = _spliced(part, replace(target, lines=tuple(lines)), *places[name])
    known = {line.strip() for line in target.lines}
    for number, line in enumerate(margin):
        if line.strip() and number not in inside and line.strip() not in known:
            changed = _import_changed(line, lines)
            if changed is None:
                return None
            lines = changed
    return lines if parts else None


def by_lines(code: Sequence[str], target: Target) -> list[str] | None:
    """Return the file with *code* in place of the region, its elisions filled in; None where anything is left to guess."""
    part = filled(code, target.region)
    if part is None:
        return None
    result = _spliced(part, target, target.start, target.end)
    names, known = symbols(target.language, "\n".join(result)), symbols(target.language, "\n".join(target.lines))
    return result if len(set(names)) >= len(set(known)) and set(known) <= set(names) else None


_IMPORT = re.compile(
    r"(?:from\s+(?P<python>[\w.]+)\s+import\s+[^(]+|import\s.*\bfrom\s+(?P<script>[\"'][^\"']+[\"']);?)$"
)


def _import_changed(line: str, lines: list[str]) -> list[str] | None:
    """Put an import in place of the file's only one from the same module; None where it is none, or has no such place."""
    imported = _IMPORT.match(line)
    if imported is None:
        return None
    same = [
        number
        for number, old in enumerate(lines)
        if (other := _IMPORT.match(old)) is not None and other.groups() == imported.groups()
    ]
    return [*lines[: same[0]], line, *lines[same[0] + 1 :]] if len(same) == 1 else None


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
    region = _margin(trimmed(target.region))
    own, theirs = symbols(target.language, "\n".join(region)), symbols(target.language, "\n".join(_margin(code)))
    everything = symbols(target.language, "\n".join(target.lines))
    if len(everything) > len(own) and set(everything) <= set(theirs) and _holds_the_rest(code, target):
        return code
    if own:
        if own[0] not in theirs:
            return None
        code = _without_examples(code, target.language)
    elif len(region) > _SHORT and _alike(region, code) < _ALIKE:
        return None
    return _instead(code, target, target.start, target.end)


def _in_file(code: list[str], target: Target) -> list[str] | Refused | None:
    own, theirs = symbols(target.language, "\n".join(target.lines)), symbols(target.language, "\n".join(_margin(code)))
    kept = _alike(trimmed(target.lines), code)
    if own and set(own) <= set(theirs) and kept >= _ALIKE and _holds_the_rest(code, target):
        return code
    if not own:
        return code if kept >= _ALIKE or (len(trimmed(target.lines)) <= _SHORT and kept > 0) else None
    known = [name for name in dict.fromkeys(theirs) if name in own and "." not in name]
    if not known:
        return None
    if len(known) > 1 or own.count(known[0]) > 1:
        several = by_symbols(code, target)
        return several or Refused("ambiguous", "the code holds several symbols of the file, and not all of it")
    place = next(one for one in outline(target.language, "\n".join(target.lines)) if one[0] == known[0])
    return _instead(_without_examples(code, target.language), target, place[1], place[2])


def _holds_the_rest(code: Sequence[str], target: Target) -> bool:
    """Say whether *code* holds most of the file's lines that stand outside of symbols: its imports and constants."""
    inside = {
        number for _, start, end in outline(target.language, "\n".join(target.lines)) for number in range(start, end)
    }
    rest = [line for number, line in enumerate(target.lines) if number not in inside and line.strip()]
    return len(rest) < _TELLING or _alike(rest, code) >= _ALIKE


def _margin(lines: Sequence[str]) -> list[str]:
    """Return *lines* moved to the margin."""
    indent = indentation(lines)
    return [line[len(indent) :] for line in lines]


def _without_examples(code: list[str], language: str) -> list[str]:
    """Return *code* up to the end of its last symbol: how to call it, which models like to show, is not asked for."""
    ends = [after for _, _, after in outline(language, "\n".join(_margin(code)))]
    return trimmed(code[: max(ends)]) if ends else code


def _instead(code: list[str], target: Target, start: int, end: int) -> list[str] | Refused:
    """Put *code* in place of lines start:end, less what it repeats of the lines around; refuse if it repeats more."""
    before, after = target.lines[:start], target.lines[end:]
    own = _without_known_head(code, {*before, *after}, target.language)
    if own is None:
        return Refused("ambiguous", "the code repeats parts of the file's first lines")
    code = trimmed(_without_tail(own, after))
    code = trimmed(_without_tail(code[::-1], before[::-1])[::-1])
    result = _spliced(code, target, start, end)
    names = Counter(symbols(target.language, "\n".join(result)))
    known = Counter(symbols(target.language, "\n".join(target.lines)))
    twice = [name for name, times in names.items() if times > max(1, known[name])]
    if twice:
        return Refused("ambiguous", f"the code would define {twice[0]} a second time")
    return result


_WHOLE_LINE = re.compile(r"\s*(?:import|from|use|using|#include)\b|\s*(?:#|//|/\*|\*)")


def _without_known_head(code: list[str], known: Collection[str], language: str) -> list[str] | None:
    """Return *code* without the lines above its first symbol that the file has elsewhere; None if that tears a statement."""
    starts = [start for _, start, _ in outline(language, "\n".join(_margin(code)))]
    first = min(starts, default=0)
    head = [line for line in code[:first] if line.strip()]
    new = [line for line in head if line not in known]
    if 0 < len(new) < len(head) and not all(_WHOLE_LINE.match(line) for line in head):
        return None
    return [*new, *code[first:]]


def _without_tail(code: list[str], following: Sequence[str]) -> list[str]:
    """Return *code* without the lines at its end with which the text goes on after it anyway."""
    rest = [line.rstrip() for line in following if line.strip()]
    filled = [number for number, line in enumerate(code) if line.strip()]
    for length in range(min(len(rest), len(filled) - 1), 0, -1):
        numbers = filled[-length:]
        said = [code[number].rstrip() for number in numbers]
        if said != rest[:length]:
            continue
        # One closing bracket repeats by chance; a line of words, or all that follows, does not.
        telling = sum(1 for line in said if any(character.isalnum() for character in line))
        if telling >= _TELLING or (telling and length == len(rest)):
            return code[: numbers[0]]
    return code


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
