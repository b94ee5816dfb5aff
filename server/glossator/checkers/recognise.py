"""Find a problem, as an editor shows it, among what its checker itself reports."""

from __future__ import annotations

import difflib
import re

from glossator.checkers.row import Finding
from glossator.document import Diagnostic, Region

# Tools whose problems another one is asked to judge (clangd's gcc): codes and words differ, the place decides.
_OTHER_WORDS = frozenset({"clang", "clangd"})
NEAR = 3  # lines; how far an editor's place of a problem and the checker's may lie apart


def target(diagnostic: Diagnostic, findings: tuple[Finding, ...]) -> Finding | None:
    """Return what *diagnostic*, as an editor shows it, is among the checker's own *findings*; None where it is not there.

    The rule's code or its name must agree, or, where one of them has none, the message; the place may be some lines off.
    """
    near = [one for one in findings if _distance(diagnostic.region, one.diagnostic.region) <= NEAR]
    same = [one for one in near if _agree(diagnostic, one)]
    if not same and _spelled(diagnostic.source) in _OTHER_WORDS:
        same = [one for one in near if one.diagnostic.region.touches(diagnostic.region)]
    return min(same, key=lambda one: _unlikeness(diagnostic, one.diagnostic), default=None)


def _unlikeness(one: Diagnostic, other: Diagnostic) -> tuple[int, int, int]:
    return (
        _distance(one.region, other.region),
        abs(one.region.start.column - other.region.start.column),
        int(normal(one.message) != normal(other.message)),
    )


def _agree(diagnostic: Diagnostic, finding: Finding) -> bool:
    code, own = _spelled(diagnostic.code), _spelled(finding.diagnostic.code)
    if code and own:
        return code == own or code in {_spelled(alias) for alias in finding.aliases}
    ours, theirs = normal(diagnostic.message), normal(finding.diagnostic.message)
    return (
        ours.startswith(theirs)
        or theirs.startswith(ours)
        or difflib.SequenceMatcher(None, ours, theirs).ratio() >= _ALIKE
    )


_ALIKE = 0.8  # share of two messages that must agree where there is no code


def _spelled(code: str | None) -> str:
    return (code or "").strip().lower()


def normal(message: str) -> str:
    """Return the first line of *message* without what differs between fronts, and without numbers, which move with the text."""
    first = (message.strip().splitlines() or [""])[0]
    return re.sub(r"\d+", "#", re.sub(r"[\u2018\u2019\u201c\u201d\"`]", "'", first)).casefold()


def _distance(one: Region, other: Region) -> int:
    """Return how many lines lie between two regions, 0 where they share one."""
    return max(0, one.start.line - other.end.line, other.start.line - one.end.line)
