"""Turn a new text into the smallest edits of the old one, so that cursors, marks and folds survive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from glossator.document import Snapshot, split_lines
from glossator.matching import Change, changes, match

_WORDS = re.compile(r"\r\n|\w+|[^\S\r\n]+|.", re.DOTALL)
_WIDEST_HUNK = 20_000  # code points; a hunk beyond this is only trimmed, not told apart by words
_NARROWEST_GAP = 3  # code points; what is equal for less than this between two edits belongs to one edit


@dataclass(frozen=True, slots=True)
class Hunk:
    """*text* takes the place of the characters from `start` to `end`, offsets in the old text."""

    start: int
    end: int
    text: str


def hunks(base: str, new: str) -> tuple[Hunk, ...]:
    """Return the smallest edits that make *new* of *base*, in order, apart from each other, none inside a CRLF."""
    if base == new:
        return ()
    old_lines, new_lines = split_lines(base), split_lines(new)
    starts = list(accumulate((len(line) for line in old_lines), initial=0))
    found: list[Hunk] = []
    for change in changes(old_lines, new_lines):
        before = "".join(old_lines[change.old_start : change.old_end])
        after = "".join(new_lines[change.new_start : change.new_end])
        found.extend(_by_words(starts[change.old_start], before, after))
    return tuple(found)


def apply(base: str, edits: Sequence[Hunk]) -> str:
    """Return *base* with *edits* made; raises `ValueError` if they overlap, are out of order or lie outside."""
    parts: list[str] = []
    at = 0
    for hunk in edits:
        if not at <= hunk.start <= hunk.end <= len(base):
            raise ValueError(f"the edit of characters {hunk.start} to {hunk.end} does not fit the text")
        parts += [base[at : hunk.start], hunk.text]
        at = hunk.end
    return "".join([*parts, base[at:]])


def fit(base: Snapshot, new: str, *, end: bool = True) -> str:
    """Return *new* with the line ends, the byte order mark and, if *end*, the final newline of *base*.

    A line that was there keeps its own line end.
    """
    if not base.text or not new:
        return new
    if base.text.startswith("\ufeff") and not new.startswith("\ufeff"):
        new = "\ufeff" + new
    old_lines, new_lines = base.lines, split_lines(new)
    ends = _line_ends(old_lines, new_lines, base.newline)
    contents = [line.rstrip("\r\n") for line in new_lines]
    closed = (old_lines if end else new_lines)[-1].endswith(("\n", "\r"))
    if not closed:
        ends[-1] = ""
    return "".join(content + end for content, end in zip(contents, ends, strict=True))


def unified(base: str, new: str, *, path: str, context: int = 3) -> str:
    """Return the difference as a patch that `git apply` takes; empty if there is none. *path* has forward slashes."""
    old_lines, new_lines = split_lines(base), split_lines(new)
    parts: list[str] = []
    for group in _grouped(changes(old_lines, new_lines), context):
        first, last = group[0], group[-1]
        old_from, new_from = max(0, first.old_start - context), max(0, first.new_start - context)
        lead = min(first.old_start - old_from, first.new_start - new_from)
        old_from, new_from = first.old_start - lead, first.new_start - lead
        trail = min(context, len(old_lines) - last.old_end)
        old_to, new_to = last.old_end + trail, last.new_end + trail
        parts.append(f"@@ -{_span(old_from, old_to)} +{_span(new_from, new_to)} @@\n")
        at = old_from
        for change in group:
            parts += [_marked(" ", line) for line in old_lines[at : change.old_start]]
            parts += [_marked("-", line) for line in old_lines[change.old_start : change.old_end]]
            parts += [_marked("+", line) for line in new_lines[change.new_start : change.new_end]]
            at = change.old_end
        parts += [_marked(" ", line) for line in old_lines[at:old_to]]
    return f"--- a/{path}\n+++ b/{path}\n" + "".join(parts) if parts else ""


def _by_words(offset: int, before: str, after: str) -> Iterator[Hunk]:
    """Return the edits within one changed stretch that begins at *offset*."""
    if len(before) + len(after) > _WIDEST_HUNK:
        head, tail = _common_ends(before, after)
        yield Hunk(offset + head, offset + len(before) - tail, after[head : len(after) - tail])
        return
    old_words, new_words = _WORDS.findall(before), _WORDS.findall(after)
    starts = list(accumulate((len(word) for word in old_words), initial=0))
    gathered: list[Change] = []
    for change in changes(old_words, new_words):
        if gathered and _narrow(old_words[gathered[-1].old_end : change.old_start]):
            last = gathered.pop()
            change = Change(last.old_start, change.old_end, last.new_start, change.new_end)  # noqa: PLW2901  the joined one
        gathered.append(change)
    for change in gathered:
        old = "".join(old_words[change.old_start : change.old_end])
        new = "".join(new_words[change.new_start : change.new_end])
        head, tail = _common_ends(old, new)
        start = offset + starts[change.old_start]
        yield Hunk(start + head, start + len(old) - tail, new[head : len(new) - tail])


def _narrow(words: Sequence[str]) -> bool:
    """Say whether the equal words between two edits are too few to keep the edits apart."""
    gap = "".join(words)
    return len(gap) < _NARROWEST_GAP and "\n" not in gap and "\r" not in gap


def _common_ends(old: str, new: str) -> tuple[int, int]:
    """Return how many characters the two share at their start and at their end; a line end is not torn."""
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    while head and (_torn(old, head) or _torn(new, head)):
        head -= 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    while tail and (_torn(old, len(old) - tail) or _torn(new, len(new) - tail)):
        tail -= 1
    return head, tail


def _torn(text: str, at: int) -> bool:
    return text[at - 1 : at] == "\r" and text[at : at + 1] == "\n"


def _line_ends(old_lines: Sequence[str], new_lines: Sequence[str], usual: str) -> list[str]:
    """Return a line end for each new line: its own old one if it was there, else that of the line above."""
    old_contents = [line.rstrip("\r\n") for line in old_lines]
    kinds = {line[len(content) :] for line, content in zip(old_lines, old_contents, strict=True)} - {""}
    if len(kinds) <= 1:
        return [usual] * len(new_lines)
    ends = [""] * len(new_lines)
    for same in match(old_contents, [line.rstrip("\r\n") for line in new_lines]):
        for step in range(same.size):
            old = same.old + step
            ends[same.new + step] = old_lines[old][len(old_contents[old]) :]
    last = usual
    for number, end in enumerate(ends):
        last = end or last
        ends[number] = last
    return ends


def _grouped(all_changes: Sequence[Change], context: int) -> list[list[Change]]:
    groups: list[list[Change]] = []
    for change in all_changes:
        if groups and change.old_start - groups[-1][-1].old_end <= 2 * context:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _span(start: int, end: int) -> str:
    length = end - start
    return f"{start + 1 if length else start},{length}" if length != 1 else f"{start + 1}"


def _marked(mark: str, line: str) -> str:
    if line.endswith("\n"):
        return mark + line
    return f"{mark}{line}\n\\ No newline at end of file\n"
