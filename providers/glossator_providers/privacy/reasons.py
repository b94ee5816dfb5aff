"""Why a text may travel only so far: a level, and the reasons for it that a user can follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from glossator_providers.model import Level

Source = Literal["path", "ignore", "content", "policy", "git", "workspace", "scheme", "index"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that closes a text.

    `rule` is its name, as the user finds it again; `clause` the same in words, never quoting what was found.
    `range` is start line, start column, end line, end column, all from 0, columns in code points, the end exclusive.
    """

    level: Level
    rule: str
    source: Source
    uri: str | None = None
    range: tuple[int, int, int, int] | None = None
    clause: str = ""

    def __str__(self) -> str:
        return self.clause or f"{self.source} rule {self.rule}"


@dataclass(frozen=True, slots=True)
class Decision:
    """A level with its reasons, strictest first; a text without reasons is open."""

    level: Level
    reasons: tuple[Reason, ...] = ()


def decide_by(reasons: Iterable[Reason]) -> Decision:
    """Let the strictest of *reasons* decide; the same reason is told once."""
    ordered = tuple(sorted(dict.fromkeys(reasons), key=lambda reason: -reason.level))
    return Decision(ordered[0].level if ordered else Level.OPEN, ordered)
