"""Read a change out of a model's answer, from the most certain form to the least, and refuse when unsure.

What is asked for is one sentence and then one fenced block that takes the region's place, perhaps SEARCH/REPLACE
blocks for other places. What comes is anything; each form that is understood is one reader in `READERS`.
A wrong edit is worse than none: what does not fit in exactly one way is refused, with its reason.
"""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from glossator.answer import patches, snippets
from glossator.answer.elisions import elided
from glossator.answer.fences import Fence, fences, outside, without_numbers
from glossator.answer.placing import Refused, trimmed
from glossator.document import Region, Snapshot
from glossator.edits import fit
from glossator.markdown import CleanStream, clean, hides
from glossator.syntax import errors, symbols
from glossator_providers.model import FinishReason

CANNOT_FIX = "CANNOT FIX:"


class Outcome(enum.StrEnum):
    """How the reading of an answer ended; only the first gives a text."""

    EDIT = "edit"
    CANNOT_FIX = "cannot-fix"
    TRUNCATED = "truncated"
    ELIDED = "elided"
    AMBIGUOUS = "ambiguous"
    NO_MATCH = "no-match"
    NO_CHANGE = "no-change"
    OTHER_FILE = "other-file"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the whole new text where it is an edit, the prose beside the code, and why where it is none.

    `near` are the lines of the file that are most like those that the answer wants to replace and that are not there.
    """

    outcome: Outcome
    text: str | None
    prose: str
    reason: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The answer's lines beside those of the file, both without line ends; `start:end` are the lines that were asked for."""

    answer: tuple[str, ...]
    lines: tuple[str, ...]
    language: str
    path: str
    start: int
    end: int
    others: tuple[patches.Target, ...] = ()

    @property
    def patched(self) -> patches.Target:
        whole = self.start == 0 and self.end >= len(self.lines)
        return patches.Target(self.lines, self.path, None if whole else (self.start, self.end), self.others)

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols that the region defines."""
        return symbols(self.language, "\n".join(self.lines[self.start : self.end]))

    @property
    def placed(self) -> snippets.Target:
        return snippets.Target(self.lines, self.language, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Found:
    """The file's new lines; `ends` where the answer says itself whether the last one is closed."""

    lines: list[str]
    ends: bool = False


Read = Found | Refused | None
"""What a reader found, why it cannot be used, or None: the answer is not in this form."""


def read(
    answer: str, *, finish: FinishReason, base: Snapshot, region: Region, others: Sequence[Snapshot] = ()
) -> Reading:
    """Read the change that *answer* makes to *base*, asked for *region*; never raises, whatever the answer is.

    Changes of the files *others* are passed over; a change of any other file makes the answer unusable.
    """
    answer = answer.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    lines = tuple(answer.split("\n"))
    prose = clean(_prose(lines)).strip()
    refused = _ended_badly(lines, finish)
    if refused is not None:
        return Reading(Outcome(refused.outcome), None, prose, refused.reason)
    asked = _question(lines, base, region, others)
    for reader in READERS:
        found = reader(asked)
        if isinstance(found, Found):
            found = _gated(found.lines, asked) or found
        if isinstance(found, Refused):
            return Reading(Outcome(found.outcome), None, prose, found.reason, found.near)
        if found is not None:
            text = fit(base, "\n".join(found.lines), end=not found.ends)
            if text == base.text:
                return Reading(Outcome.NO_CHANGE, None, prose, "the answer changes nothing")
            return Reading(Outcome.EDIT, text, prose, "")
    return Reading(Outcome.NO_MATCH, None, prose, "no code in the answer fits the file")


def read_addition(answer: str, *, finish: FinishReason, base: Snapshot) -> Reading:
    """Read code that is to be added at the end of *base*: the one fenced block of *answer*; never raises."""
    lines = tuple(answer.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n"))
    prose = clean(_prose(lines)).strip()
    refused = _ended_badly(lines, finish)
    if refused is not None:
        return Reading(Outcome(refused.outcome), None, prose, refused.reason)
    blocks = [block for block in fences(lines) if any(line.strip() for line in block.lines)]
    if len(blocks) != 1:
        outcome = Outcome.AMBIGUOUS if blocks else Outcome.NO_MATCH
        return Reading(outcome, None, prose, f"one block of code was asked for, and {len(blocks) or 'none'} came")
    body = "\n".join(without_numbers(blocks[0].lines)).strip("\n").split("\n")
    if left_out := elided(body, base=()):
        return Reading(Outcome.ELIDED, None, prose, f"the answer leaves code out: {left_out[0].strip()}")
    before = base.text.rstrip()
    end = base.newline
    text = f"{before}{end * 3 if before else ''}{end.join(body)}{end}"
    return Reading(Outcome.EDIT, text, prose, "")


def read_all(answer: str, *, finish: FinishReason, bases: Sequence[Snapshot]) -> tuple[Reading, ...]:
    """Read the changes that *answer* makes to several files, one reading each; all are refused if one is."""
    readings = tuple(
        read(answer, finish=finish, base=base, region=base.whole, others=[one for one in bases if one is not base])
        for base in bases
    )
    bad = next((one for one in readings if one.outcome not in {Outcome.EDIT, Outcome.NO_CHANGE}), None)
    if bad is None:
        return readings
    return tuple(replace(bad, prose=one.prose) for one in readings)


class AnswerStream:
    """Cleans an answer while it arrives, for display: harmless at every moment, no character torn."""

    def __init__(self) -> None:
        self._stream = CleanStream()

    def feed(self, text: str) -> str:
        """Take the next piece; return what can be shown of it now."""
        return self._stream.feed(text)

    def end(self) -> str:
        """Return what was held back."""
        return self._stream.end()


def _tool_call(asked: Question) -> Read:
    return _applied(patches.tool_call("\n".join(asked.answer)), asked)


def _apply_patch(asked: Question) -> Read:
    return _applied(patches.apply_patch(asked.answer), asked)


def _find_replace(asked: Question) -> Read:
    return _applied(patches.find_replace(asked.answer), asked)


def _search_replace(asked: Question) -> Read:
    """Read SEARCH/REPLACE blocks, and beside them one fence for the region."""
    patch = patches.search_replace(asked.answer)
    if not isinstance(patch, patches.Patch):
        return patch
    rest = list(asked.answer)
    for start, end in patch.spans:
        rest[start:end] = [""] * (end - start)
    beside = None if asked.placed.whole else _fenced(replace(asked, answer=tuple(rest)))
    if isinstance(beside, Found):
        asked = replace(asked, lines=tuple(beside.lines), start=0, end=len(beside.lines))
    return _applied(patch, asked)


def _unified_diff(asked: Question) -> Read:
    patch = patches.unified_diff(asked.answer)
    found = _applied(patch, asked)
    if not isinstance(found, Found) or not isinstance(patch, patches.Patch) or patch.ends_open is None:
        return found
    lines = trimmed(found.lines) if not found.lines[-1] else found.lines
    return Found(lines if patch.ends_open else [*lines, ""], ends=True)


def _line_range(asked: Question) -> Read:
    found = patches.line_range(asked.answer, asked.patched)
    return _still_parsed(Found(found) if isinstance(found, list) else found, asked)


def _pseudo_diff(asked: Question) -> Read:
    return _applied(patches.pseudo_diff(asked.answer), asked)


_TAG = re.compile(
    r"<(?P<tag>code\d*|new_code|new_text|replacement|fixed_code|updated_code|rewritten)>[ \t]*\n?", re.IGNORECASE
)


def _tagged(asked: Question) -> Read:
    """Read code between tags, of which there must be one pair."""
    answer = "\n".join(asked.answer)
    opened = list(_TAG.finditer(answer))
    if not opened:
        return None
    if len(opened) > 1:
        return Refused("ambiguous", "there are several blocks of code")
    end = answer.find(f"</{opened[0]['tag']}>", opened[0].end())
    if end < 0:
        return Refused("truncated", "the block of code has no end")
    inside = answer[opened[0].end() : end].split("\n")
    within = fences(inside)
    code = within[0].lines if len(within) == 1 and within[0].closed else tuple(inside)
    return _instead(code, asked)


_SHELLS = frozenset({"bash", "sh", "shell", "zsh", "console", "powershell"})
_OTHER_LANGUAGES = _SHELLS | {"text", "txt", "plaintext", "output", "diff", "patch"}
_MOST_BLOCKS = 40  # different ones; an answer with more is none
_SHOWS_OLD = re.compile(
    r"\b(?:original|buggy|incorrect|current|existing|wrong|faulty|problematic|before)\b", re.IGNORECASE
)
_SHOWS_NEW = re.compile(r"\b(?:correct\w*|fix\w*|updated?|new|revised|improved|after|should)\b", re.IGNORECASE)


def _fenced(asked: Question) -> Read:
    """Read the one fenced block that fits the region or the file."""
    found: list[list[str]] = []
    doubtful: list[list[str]] = []
    refused: Refused | None = None
    blocks = {block.lines: block for block in reversed(fences(asked.answer))}
    if len(blocks) > _MOST_BLOCKS:
        return Refused("ambiguous", f"there are {len(blocks)} blocks of code")
    for block in reversed(blocks.values()):
        if block.language in _OTHER_LANGUAGES and not (asked.language == "shellscript" and block.language in _SHELLS):
            continue
        code = without_numbers(block.lines)
        missing = elided(code, base=asked.lines)
        placed = _merged(code, missing, asked) if missing else snippets.place(code, asked.placed)
        if placed is not None and not block.closed:
            return Refused("truncated", "the block of code has no end")
        if isinstance(placed, Refused):
            refused = refused or placed
        elif placed is not None:
            (doubtful if _introduced_as_old(asked.answer, block) else found).append(placed)
    found = found or doubtful
    if any(one != found[0] for one in found) and not asked.names:
        return Refused("ambiguous", "there are several blocks of code, and they differ")
    # Several versions of one symbol: the first is the fix, what follows varies it (right in 25 of 26 recorded answers).
    return _still_parsed(Found(found[0]), asked) if found else refused


def _introduced_as_old(answer: Sequence[str], block: Fence) -> bool:
    """Say whether the words right above a block call it the code that is wrong."""
    above = next((line for line in reversed(answer[: block.start]) if line.strip()), "")
    return bool(_SHOWS_OLD.search(above)) and not _SHOWS_NEW.search(above)


def _merged(code: Sequence[str], missing: Sequence[str], asked: Question) -> list[str] | Refused:
    """Fill in what was left out, where the syntax tree allows no doubt."""
    certain = not any(line.strip() == "..." for line in missing)  # which may be code
    merged = (snippets.by_symbols(code, asked.placed) or snippets.by_lines(code, asked.placed)) if certain else None
    return merged or _left_out(missing)


def _left_out(missing: Sequence[str]) -> Refused:
    return Refused("elided", f"the answer leaves something out: {missing[0].strip()}")


def _bare(asked: Question) -> Read:
    """Read an answer that is nothing but code, as models give it whose answer was begun for them with a tag or a fence.

    It must define what the region defines and parse by itself, or go line for line with a short region.
    """
    if fences(asked.answer) or (asked.placed.whole and not asked.names):
        return None
    code = trimmed(asked.answer)
    if elided(code, base=asked.lines):
        return None
    alike = _line_for_line(code, trimmed(asked.placed.region))
    defines = asked.names and set(asked.names) <= set(symbols(asked.language, "\n".join(code)))
    if not alike and not (defines and errors(asked.language, "\n".join(code)) == 0):
        return None
    placed = snippets.instead(code, asked.placed) if alike else snippets.place(code, asked.placed)
    return _still_parsed(Found(placed) if isinstance(placed, list) else placed, asked)


_ALIKE = 0.5  # of the letters
_FEW = 20  # lines


def _line_for_line(code: Sequence[str], region: Sequence[str]) -> bool:
    """Say whether each line of *code* is one of the region, changed: it begins alike and is like it."""
    return len(code) == len(region) <= _FEW and all(
        new[: len(new) - len(new.lstrip())] == old[: len(old) - len(old.lstrip())]
        and new.split()[:1] == old.split()[:1]
        and SequenceMatcher(None, new, old, autojunk=False).ratio() >= _ALIKE
        for new, old in zip(code, region, strict=True)
    )


READERS: Sequence[Callable[[Question], Read]] = (
    _tool_call,
    _apply_patch,
    _find_replace,
    _search_replace,
    _unified_diff,
    _line_range,
    _tagged,
    _pseudo_diff,
    _fenced,
    _bare,
)


def _applied(patch: patches.Patch | Refused | None, asked: Question) -> Read:
    if not isinstance(patch, patches.Patch):
        return patch
    found = patches.applied(patch, asked.patched)
    return Found(found) if isinstance(found, list) else found


def _instead(code: Sequence[str], asked: Question) -> Read:
    """Take *code* for the region, since the answer says so itself, if it leaves nothing out and still parses."""
    code = without_numbers(code)
    if missing := elided(code, base=asked.lines):
        return _left_out(missing)
    return _still_parsed(Found(snippets.instead(code, asked.placed)), asked)


def _still_parsed(found: Read, asked: Question) -> Read:
    """Refuse what breaks the syntax of a file whose form gives no certainty of its own."""
    if not isinstance(found, Found):
        return found
    before, after = errors(asked.language, "\n".join(asked.lines)), errors(asked.language, "\n".join(found.lines))
    if before is not None and after is not None and after > before:
        return Refused("ambiguous", "with it the file would not parse any more")
    if asked.language == "python" and _compiles(asked.lines) and not _compiles(found.lines):
        return Refused("ambiguous", "with it the file would not parse any more")
    return found


def _compiles(lines: Sequence[str]) -> bool:
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


_RESIDUE = re.compile(r"\s*(?:<{7} ?(?:SEARCH|ORIGINAL)\b|>{7} ?(?:REPLACE|UPDATED)\b|\*\*\* (?:Begin|End) Patch)")


def _gated(found: list[str], asked: Question) -> Refused | None:
    """Say what a new text holds that no text should: elisions, marks of the form itself, hidden characters."""
    if missing := elided(found, base=asked.lines):
        return _left_out(missing)
    known = set(asked.lines)
    new = [line for line in found if line not in known]
    if any(_RESIDUE.match(line) for line in new):
        return Refused("ambiguous", "marks of the answer's form would get into the file")
    familiar = set("".join(asked.lines))
    for line in new:
        for at, character in enumerate(line):
            if character not in familiar and not " " <= character <= "~" and hides(character, line[at - 1 : at]):
                return Refused("ambiguous", f"the answer holds a hidden character, U+{ord(character):04X}")
    return None


def _ended_badly(lines: Sequence[str], finish: FinishReason) -> Refused | None:
    first = next((line.strip().strip("*_`> ") for line in lines if line.strip()), "")
    if first.upper().startswith(CANNOT_FIX):
        rest = [first[len(CANNOT_FIX) :].strip(" *_"), *(line.strip() for line in lines[1:])]
        return Refused("cannot-fix", clean(" ".join(filter(None, rest)))[:500])
    if finish is FinishReason.LENGTH:
        return Refused("truncated", "the answer reached its longest length")
    if finish is FinishReason.REFUSED:
        return Refused("cannot-fix", "the model declined to answer")
    return None if any(line.strip() for line in lines) else Refused("no-match", "the answer is empty")


def _prose(lines: Sequence[str]) -> str:
    patch = patches.search_replace(lines)
    blocks: list[Fence] = fences(lines)
    rest = list(lines)
    if isinstance(patch, patches.Patch):
        for start, end in patch.spans:
            rest[start:end] = [""] * (end - start)
        blocks = [block for block in blocks if any(rest[block.start : block.end])]
    return outside(rest, blocks)


def _question(answer: tuple[str, ...], base: Snapshot, region: Region, others: Sequence[Snapshot]) -> Question:
    lines = _lines(base)
    start, end = sorted((region.start, region.end))
    first = min(start.line, len(lines))
    after = min(end.line + (end.column > 0 or end.line == start.line), len(lines))
    beside = tuple(patches.Target(_lines(one), one.path or one.uri) for one in others)
    return Question(answer, lines, base.language, base.path or base.uri, first, after, beside)


def _lines(snapshot: Snapshot) -> tuple[str, ...]:
    text = snapshot.text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return tuple(text.split("\n"))
