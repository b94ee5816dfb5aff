"""Find what two sequences of lines (or words) have in common, fast on long texts and bounded on hostile ones.

Trims what is equal at both ends, anchors on what is unique in both (patience), and walks Myers' shortest edit path
between the anchors, giving a stretch up as wholly changed where that path is long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_PATH = 300  # edits; the cost of a stretch is at most this squared, some 50 ms


@dataclass(frozen=True, slots=True)
class Match:
    """`size` items from `old` on in the one are the items from `new` on in the other."""

    old: int
    new: int
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """Items `old_start:old_end` of the one became `new_start:new_end` of the other; either may be empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def match(old: Sequence[str], new: Sequence[str]) -> list[Match]:
    """Return the common stretches in order, adjacent ones joined."""
    found: list[Match] = []
    for part in sorted(_match(old, new), key=lambda one: one.old):
        if found and found[-1].old + found[-1].size == part.old and found[-1].new + found[-1].size == part.new:
            last = found.pop()
            part = Match(last.old, last.new, last.size + part.size)  # noqa: PLW2901  the joined one takes its place
        found.append(part)
    return found


def changes(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """Return what lies between the common stretches, in order."""
    result: list[Change] = []
    at_old = at_new = 0
    for part in [*match(old, new), Match(len(old), len(new), 0)]:
        if part.old > at_old or part.new > at_new:
            result.append(Change(at_old, part.old, at_new, part.new))
        at_old, at_new = part.old + part.size, part.new + part.size
    return result


def _match(old: Sequence[str], new: Sequence[str]) -> Iterator[Match]:
    todo = [(0, len(old), 0, len(new))]
    while todo:
        old_start, old_end, new_start, new_end = todo.pop()
        head = 0
        while (
            old_start + head < old_end and new_start + head < new_end and old[old_start + head] == new[new_start + head]
        ):
            head += 1
        if head:
            yield Match(old_start, new_start, head)
        old_start, new_start = old_start + head, new_start + head
        tail = 0
        while (
            old_end - tail > old_start
            and new_end - tail > new_start
            and old[old_end - tail - 1] == new[new_end - tail - 1]
        ):
            tail += 1
        old_end, new_end = old_end - tail, new_end - tail
        if tail:
            yield Match(old_end, new_end, tail)
        if old_start == old_end or new_start == new_end:
            continue
        anchors = _anchors(old, new, (old_start, old_end), (new_start, new_end))
        if not anchors:
            yield from _walk(old, new, (old_start, old_end), (new_start, new_end))
            continue
        for old_at, new_at in anchors:
            todo.append((old_start, old_at, new_start, new_at))
            yield Match(old_at, new_at, 1)
            old_start, new_start = old_at + 1, new_at + 1
        todo.append((old_start, old_end, new_start, new_end))


def _anchors(
    old: Sequence[str], new: Sequence[str], old_range: tuple[int, int], new_range: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the longest rising chain of items that stand exactly once on each side."""
    once_old = _unique(old, old_range)
    once_new = _unique(new, new_range)
    pairs = [(at, once_new[item]) for item, at in once_old.items() if item in once_new]
    pairs.sort()
    tops: list[int] = []  # the last pair's place in `new`, of the best chain of each length
    chains: list[int] = []
    before: list[int] = [-1] * len(pairs)
    for number, (_, new_at) in enumerate(pairs):
        length = bisect_left(tops, new_at)
        before[number] = chains[length - 1] if length else -1
        if length == len(tops):
            tops.append(new_at)
            chains.append(number)
        else:
            tops[length] = new_at
            chains[length] = number
    result = []
    number = chains[-1] if chains else -1
    while number >= 0:
        result.append(pairs[number])
        number = before[number]
    return result[::-1]


def _unique(items: Sequence[str], part: tuple[int, int]) -> dict[str, int]:
    seen: dict[str, int] = {}
    for at in range(*part):
        seen[items[at]] = -1 if items[at] in seen else at
    return {item: at for item, at in seen.items() if at >= 0}


def _walk(
    old: Sequence[str], new: Sequence[str], old_range: tuple[int, int], new_range: tuple[int, int]
) -> Iterator[Match]:
    """Match along Myers' shortest edit path (http://www.xmailserver.org/diff2.pdf); nothing if it is too long."""
    old_start, old_end = old_range
    new_start, new_end = new_range
    rows, columns = old_end - old_start, new_end - new_start
    reach = {1: 0}  # the furthest row on each diagonal
    steps: list[dict[int, int]] = []
    for length in range(min(rows + columns, MAX_PATH) + 1):
        steps.append(dict(reach))
        for diagonal in range(-length, length + 1, 2):
            down = diagonal == -length or (diagonal != length and reach[diagonal - 1] < reach[diagonal + 1])
            row = reach[diagonal + 1] if down else reach[diagonal - 1] + 1
            column = row - diagonal
            while row < rows and column < columns and old[old_start + row] == new[new_start + column]:
                row, column = row + 1, column + 1
            reach[diagonal] = row
            if row >= rows and column >= columns:
                yield from _retrace(steps, old_range, new_range)
                return


def _retrace(steps: list[dict[int, int]], old_range: tuple[int, int], new_range: tuple[int, int]) -> Iterator[Match]:
    row, column = old_range[1] - old_range[0], new_range[1] - new_range[0]
    for length in range(len(steps) - 1, -1, -1):
        reach = steps[length]
        diagonal = row - column
        down = diagonal == -length or (diagonal != length and reach[diagonal - 1] < reach[diagonal + 1])
        came_from = diagonal + 1 if down else diagonal - 1
        from_row = reach[came_from]
        from_column = from_row - came_from
        # The step itself takes one row or one column; what follows it on the diagonal is equal.
        after_row = from_row if down else from_row + 1
        if length == 0:
            after_row, from_row, from_column = 0, 0, 0
        if row > after_row:
            size = row - after_row
            yield Match(old_range[0] + after_row, new_range[0] + column - size, size)
        row, column = from_row, from_column
