"""Bring a proposal and what the user has typed meanwhile together, line by line; never lose what was typed.

Both sides are read as changes of the text that the model saw. Changes of different lines are both made, even where
they are neighbours; the same change on both sides is made once; two changes of one line are a conflict, which is told
and not resolved. Finer than diff3, which takes neighbouring changes for a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glossator.document import Point, Region, split_lines
from glossator.matching import Change, changes


@dataclass(frozen=True, slots=True)
class Merged:
    """Both changes went together: the text of now with the proposal in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Clash:
    """A place that both changed: whole lines. `region` is in the text of now."""

    region: Region
    base: str
    theirs: str
    now: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """The user has changed what the proposal changes; nothing was merged."""

    clashes: tuple[Clash, ...]


def merge(base: str, theirs: str, now: str) -> Merged | Conflict:
    """Merge the proposal *theirs* and the user's text of *now*, both made from *base*."""
    if now in (base, theirs):
        return Merged(theirs)
    if theirs == base:
        return Merged(now)
    old, proposed, typed = split_lines(base), split_lines(theirs), split_lines(now)
    lines: list[str] = []
    clashes: list[Clash] = []
    at = 0
    for group in _meeting(changes(old, proposed), changes(old, typed)):
        lines += old[at : group.start]
        at = group.end
        theirs_lines = _side(old, proposed, group.theirs, group)
        typed_lines = _side(old, typed, group.typed, group)
        if not group.typed or theirs_lines == typed_lines:
            lines += theirs_lines
        elif not group.theirs:
            lines += typed_lines
        else:
            clashes.append(_clash(old, theirs_lines, typed_lines, group))
    lines += old[at:]
    if clashes:
        return Conflict(tuple(clashes))
    return Merged(_joined(lines))


@dataclass(slots=True)
class _Group:
    """Lines `start:end` of the base, with the changes of both sides that meet there."""

    start: int
    end: int
    theirs: list[Change]
    typed: list[Change]


def _meeting(theirs: Sequence[Change], typed: Sequence[Change]) -> list[_Group]:
    """Gather the changes of both sides into groups that do not share a line."""
    groups: list[_Group] = []
    marked = [(change, True) for change in theirs] + [(change, False) for change in typed]
    # An insertion sorts before a replacement that begins at the same line.
    for change, is_theirs in sorted(marked, key=lambda one: (one[0].old_start, one[0].old_end)):
        if not groups or not _meets(groups[-1], change):
            groups.append(_Group(change.old_start, change.old_end, [], []))
        group = groups[-1]
        group.end = max(group.end, change.old_end)
        (group.theirs if is_theirs else group.typed).append(change)
    return groups


def _meets(group: _Group, change: Change) -> bool:
    if change.old_start < group.end:
        return True
    # Two insertions at one place: nobody can say which comes first.
    return change.old_start == change.old_end == group.start == group.end


def _side(old: Sequence[str], new: Sequence[str], side: Sequence[Change], group: _Group) -> list[str]:
    """Return what one side has made of the group's lines."""
    lines: list[str] = []
    at = group.start
    for change in side:
        lines += old[at : change.old_start]
        lines += new[change.new_start : change.new_end]
        at = change.old_end
    return lines + list(old[at : group.end])


def _clash(old: Sequence[str], theirs: list[str], typed: list[str], group: _Group) -> Clash:
    first, last = group.typed[0], group.typed[-1]
    start = first.new_start - (first.old_start - group.start)
    end = last.new_end + (group.end - last.old_end)
    return Clash(
        Region(Point(start, 0), Point(end, 0)),
        "".join(old[group.start : group.end]),
        "".join(theirs),
        "".join(typed),
    )


def _joined(lines: list[str]) -> str:
    """Join lines of both sides; one that was last in its own text and is not any more gets a line end."""
    newline = next((line[len(line.rstrip("\r\n")) :] for line in lines if line.endswith(("\n", "\r"))), "\n")
    return "".join(
        line if line.endswith(("\n", "\r")) or number == len(lines) - 1 else line + newline
        for number, line in enumerate(lines)
    )
