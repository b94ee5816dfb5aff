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
from dataclasses import dataclass

from glossator import patches, snippets
from glossator.document import Region, Snapshot
from glossator.edits import fit
from glossator.elisions import elided
from glossator.fences import Fence, fences, outside, without_numbers
from glossator.markdown import CleanStream, clean, hides
from glossator.placing import Refused
from glossator.syntax import errors
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
    """What was read: the whole new text where it is an edit, the prose beside the code, and why where it is none."""

    outcome: Outcome
    text: str | None
    prose: str
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """The answer's lines beside those of the file, both without line ends; `start:end` are the lines that were asked for."""

    answer: tuple[str, ...]
    lines: tuple[str, ...]
    language: str
    path: str
    start: int
    end: int

    @property
    def patched(self) -> patches.Target:
        whole = self.start == 0 and self.end >= len(self.lines)
        return patches.Target(self.lines, self.path, None if whole else (self.start, self.end))

    @property
    def placed(self) -> snippets.Target:
        return snippets.Target(self.lines, self.language, self.start, self.end)


Read = list[str] | Refused | None
"""The file's new lines, why there are none, or None: the answer is not in this form."""


def read(answer: str, *, finish: FinishReason, base: Snapshot, region: Region) -> Reading:
    """Read the change that *answer* makes to *base*, asked for *region*; never raises, whatever the answer is."""
    answer = answer.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    lines = tuple(answer.split("\n"))
    prose = clean(_prose(lines)).strip()
    refused = _ended_badly(lines, finish)
    if refused is not None:
        return Reading(Outcome(refused.outcome), None, prose, refused.reason)
    asked = _question(lines, base, region)
    for reader in READERS:
        found = reader(asked)
        if isinstance(found, list):
            found = _gated(found, asked)
        if isinstance(found, Refused):
            return Reading(Outcome(found.outcome), None, prose, found.reason)
        if found is not None:
            text = fit(base, "\n".join(found))
            if text == base.text:
                return Reading(Outcome.NO_CHANGE, None, prose, "the answer changes nothing")
            return Reading(Outcome.EDIT, text, prose, "")
    return Reading(Outcome.NO_MATCH, None, prose, "no code in the answer fits the file")


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
    beside = (
        None
        if asked.placed.whole
        else _fenced(Question(tuple(rest), asked.lines, asked.language, asked.path, asked.start, asked.end))
    )
    if not isinstance(beside, list):
        return _applied(patch, asked)
    return _applied(patch, Question(asked.answer, tuple(beside), asked.language, asked.path, 0, len(beside)))


def _unified_diff(asked: Question) -> Read:
    return _applied(patches.unified_diff(asked.answer), asked)


def _line_range(asked: Question) -> Read:
    return _still_parsed(patches.line_range(asked.answer, asked.patched), asked)


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


_OTHER_LANGUAGES = frozenset(
    {"bash", "sh", "shell", "console", "zsh", "powershell", "text", "txt", "plaintext", "output", "diff", "patch"}
)


def _fenced(asked: Question) -> Read:
    """Read the one fenced block that fits the region or the file."""
    found: list[list[str]] = []
    refused: Refused | None = None
    for block in fences(asked.answer):
        if block.language in _OTHER_LANGUAGES and block.language not in {
            asked.language,
            "sh"[: 2 * asked.language.startswith("shell")],
        }:
            continue
        code = without_numbers(block.lines)
        missing = elided(code, base=asked.lines)
        placed = (
            Refused("elided", f"the answer leaves something out: {missing[0].strip()}")
            if missing
            else snippets.place(code, asked.placed)
        )
        if placed is not None and not block.closed:
            return Refused("truncated", "the block of code has no end")
        if isinstance(placed, Refused):
            refused = refused or placed
        elif placed is not None and placed not in found:
            found.append(placed)
    if len(found) > 1:
        return Refused("ambiguous", f"there are {len(found)} blocks of code that differ")
    return _still_parsed(found[0], asked) if found else refused


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
)


def _applied(patch: patches.Patch | Refused | None, asked: Question) -> Read:
    return patches.applied(patch, asked.patched) if isinstance(patch, patches.Patch) else patch


def _instead(code: Sequence[str], asked: Question) -> Read:
    """Take *code* for the region, since the answer says so itself, if it leaves nothing out and still parses."""
    code = without_numbers(code)
    if missing := elided(code, base=asked.lines):
        return Refused("elided", f"the answer leaves something out: {missing[0].strip()}")
    return _still_parsed(snippets.instead(code, asked.placed), asked)


def _still_parsed(found: Read, asked: Question) -> Read:
    """Refuse what breaks the syntax of a file whose form gives no certainty of its own."""
    if not isinstance(found, list):
        return found
    before, after = errors(asked.language, "\n".join(asked.lines)), errors(asked.language, "\n".join(found))
    if before is not None and after is not None and after > before:
        return Refused("ambiguous", "with it the file would not parse any more")
    if asked.language == "python" and _compiles(asked.lines) and not _compiles(found):
        return Refused("ambiguous", "with it the file would not parse any more")
    return found


def _compiles(lines: Sequence[str]) -> bool:
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


_RESIDUE = re.compile(r"\s*(?:<{7} ?(?:SEARCH|ORIGINAL)\b|>{7} ?(?:REPLACE|UPDATED)\b|\*\*\* (?:Begin|End) Patch)")


def _gated(found: list[str], asked: Question) -> list[str] | Refused:
    """Refuse a new text that holds what no text should: elisions, marks of the form itself, hidden characters."""
    if missing := elided(found, base=asked.lines):
        return Refused("elided", f"the answer leaves something out: {missing[0].strip()}")
    known = set(asked.lines)
    new = [line for line in found if line not in known]
    if any(_RESIDUE.match(line) for line in new):
        return Refused("ambiguous", "marks of the answer's form would get into the file")
    familiar = set("".join(asked.lines))
    for line in new:
        for at, character in enumerate(line):
            if character not in familiar and ord(character) > 126 and hides(character, line[at - 1 : at]):  # noqa: PLR2004  ASCII
                return Refused("ambiguous", f"the answer holds a hidden character, U+{ord(character):04X}")
    return found


def _ended_badly(lines: Sequence[str], finish: FinishReason) -> Refused | None:
    first = next((line.strip().strip("*_`> ") for line in lines if line.strip()), "")
    if first.upper().startswith(CANNOT_FIX):
        rest = [first[len(CANNOT_FIX) :].strip(" *_"), *(line.strip() for line in lines[1:])]
        return Refused("cannot-fix", clean(" ".join(filter(None, rest)))[:500])
    if finish is FinishReason.LENGTH:
        return Refused("truncated", "the answer reached its longest length")
    if finish is FinishReason.REFUSED:
        return Refused("cannot-fix", "the model declined to answer")
    return None if first else Refused("no-match", "the answer is empty")


def _prose(lines: Sequence[str]) -> str:
    patch = patches.search_replace(lines)
    blocks: list[Fence] = fences(lines)
    rest = list(lines)
    if isinstance(patch, patches.Patch):
        for start, end in patch.spans:
            rest[start:end] = [""] * (end - start)
        blocks = [block for block in blocks if any(rest[block.start : block.end])]
    return outside(rest, blocks)


def _question(answer: tuple[str, ...], base: Snapshot, region: Region) -> Question:
    lines = base.text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n")
    start, end = sorted((region.start, region.end))
    first = min(start.line, len(lines))
    after = min(end.line + (end.column > 0 or end.line == start.line), len(lines))
    return Question(answer, tuple(lines), base.language, base.path or base.uri, first, after)
