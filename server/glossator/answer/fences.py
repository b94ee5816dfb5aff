"""Tell the code of an answer from its prose: fenced blocks of every spelling, also unclosed ones and those in tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_OPENER = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
# Some models fence with tags, and close with the tag alone on its line.
_TAG_OPENER = re.compile(
    r"(?P<indent>[ \t]*)<(?P<tag>source|code|pre|codeblock|sourcecode)>[ \t]*(?P<info>[\w.+-]*)$", re.IGNORECASE
)
_NUMBERED = re.compile(r"[ \t]*(\d+)(?:[ ]?[|:│┃]|\t|[.)](?= ))[ ]?(.*)$")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: `lines` without their ends, `start:end` the answer's lines from fence to fence."""

    info: str
    lines: tuple[str, ...]
    start: int
    end: int
    closed: bool
    indent: str = ""

    @property
    def language(self) -> str:
        words = self.info.replace("{", " ").replace(",", " ").split()
        return words[0].lstrip(".").split(":")[0].lower() if words else ""


def fences(lines: Sequence[str]) -> list[Fence]:
    """Return the fenced blocks of an answer's *lines*, in order."""
    found: list[Fence] = []
    at = 0
    while at < len(lines):
        opener = _OPENER.match(lines[at]) or _TAG_OPENER.match(lines[at])
        if opener is None:
            at += 1
            continue
        end = _end(lines, at + 1, opener)
        inside = _dedented(lines[at + 1 : end], opener["indent"])
        found.append(
            Fence(
                opener["info"].strip(), tuple(inside), at, min(end + 1, len(lines)), end < len(lines), opener["indent"]
            )
        )
        at = end + 1
    return found


def outside(lines: Sequence[str], blocks: Sequence[Fence]) -> str:
    """Return the prose between the fenced blocks."""
    kept = list(lines)
    for block in reversed(blocks):
        kept[block.start : block.end] = [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def without_numbers(lines: Sequence[str]) -> tuple[str, ...]:
    """Return *lines* without line numbers, if all of them are numbered in rising order; else as they are."""
    numbers: list[int] = []
    bare: list[str] = []
    for line in lines:
        numbered = _NUMBERED.match(line)
        if numbered is None:
            if line.strip():
                return tuple(lines)
            bare.append(line)
            continue
        numbers.append(int(numbered[1]))
        bare.append(numbered[2])
    rising = all(later == earlier + 1 for earlier, later in pairwise(numbers))
    return tuple(bare) if len(numbers) > 1 and rising else tuple(lines)


def _end(lines: Sequence[str], at: int, opener: re.Match[str]) -> int:
    """Return the line that closes the block; the number of lines if none does."""
    if "tag" in opener.re.groupindex:
        closing = re.compile(rf"[ \t]*</{opener['tag']}>[ \t]*$", re.IGNORECASE)
        return next((number for number in range(at, len(lines)) if closing.match(lines[number])), len(lines))
    mark = opener["mark"]
    deepest = len(opener["indent"].expandtabs(4)) + 3
    nested = 0
    for number in range(at, len(lines)):
        stripped = lines[number].strip()
        if (
            not stripped.startswith(mark)
            or len(lines[number].expandtabs(4)) - len(lines[number].expandtabs(4).lstrip()) > deepest
        ):
            continue
        if stripped.strip(mark[0]):
            # A fence with a language inside a fence: a block that shows Markdown.
            nested += opener["info"].strip().lower() in {"markdown", "md", "mdx", "rst"}
        elif nested:
            nested -= 1
        else:
            return number
    return len(lines)


def _dedented(lines: Sequence[str], indent: str) -> list[str]:
    """Take the fence's own indentation off, where every line has it."""
    if not indent or not all(line.startswith(indent) or not line.strip() for line in lines):
        return list(lines)
    return [line[len(indent) :] for line in lines]
