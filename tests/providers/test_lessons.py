"""What was learned from answers outlives the server that learned it, and several servers learn together."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glossator_providers.adaptive import Adaptive, Lesson, Outcome
from glossator_providers.lessons import KEPT
from glossator_providers.usage_ledger import UsageLedger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WHO = ("work", "m")


def lesson(outcome: Outcome = Outcome.KEPT, *, rule: str = "F401", model: str = "m") -> Lesson:
    """Make a lesson on one rule."""
    return Lesson("work", model, "fix", outcome, 2.5, rule)


@contextlib.asynccontextmanager
async def ledger(path: Path, now: datetime = NOON) -> AsyncIterator[UsageLedger]:
    """Open a ledger and close it."""
    opened = UsageLedger(path, now=lambda: now)
    try:
        yield opened
    finally:
        await opened.aclose()


async def test_two_servers_learn_as_one(tmp_path: Path) -> None:
    """What two ledgers on one file were taught in turn is what one learner knows, also after both are gone."""
    path, alone = tmp_path / "usage.sqlite3", Adaptive()
    async with ledger(path) as one, ledger(path) as other:
        for number in range(30):
            taught = lesson(Outcome.UNDONE if number % 3 else Outcome.VERIFIED, rule="F401" if number % 2 else "E501")
            alone.learn(taught)
            (one if number % 2 else other).teach(taught)
            await (one if number % 2 else other).learned()  # each is heard before the next
    async with ledger(path) as later:
        again = Adaptive(await later.learned())
    assert len(again) == len(alone) == 4
    for rule in ("F401", "E501", "other"):
        expected = alone.promise(WHO, task="fix", rule=rule, chance=0.4)
        assert again.promise(WHO, task="fix", rule=rule, chance=0.4) == pytest.approx(expected)


async def test_nothing_was_learned_without_a_ledger(tmp_path: Path) -> None:
    """A ledger that is not there, and one that was taught nothing yet, knows nothing, and nothing is wrong with it."""
    path = tmp_path / "usage.sqlite3"
    async with ledger(path) as empty:
        assert await empty.learned() == ()
        assert not path.exists()
        empty.teach(lesson(Outcome.ANSWERED))
        assert await empty.learned() == ()
        assert empty.problem is None


async def test_names_and_counts_alone_are_kept(tmp_path: Path) -> None:
    """A rule that may be a piece of code is left out, a model's name that is no text is stored all the same."""
    path = tmp_path / "usage.sqlite3"
    async with ledger(path) as taught:
        taught.teach(lesson(rule="password = 'hunter2'", model="m\ud800"))
        assert {(one.model, one.rule) for one in await taught.learned()} == {("m?", "")}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert "hunter2" not in "".join(connection.iterdump())


async def test_what_nobody_needs_is_forgotten(tmp_path: Path) -> None:
    """After more than a year without a lesson a place is forgotten, and the latest come last."""
    path = tmp_path / "usage.sqlite3"
    async with ledger(path) as early:
        early.teach(lesson(model="old"))
        assert await early.learned()
    async with ledger(path, NOON + KEPT) as late:
        late.teach(lesson(model="new"))
        assert [one.model for one in await late.learned()] == ["old"] * 3 + ["new"] * 3
    async with ledger(path, NOON + KEPT * 1.01) as later:
        later.teach(lesson(model="newer"))
        assert [one.model for one in await later.learned()] == ["new"] * 3 + ["newer"] * 3


async def test_a_broken_file_loses_lessons_and_no_more(tmp_path: Path) -> None:
    """Where the file cannot be written the lesson is lost, the reason is told, and nothing is raised."""
    path = tmp_path / "usage.sqlite3"
    path.mkdir()
    async with ledger(path) as broken:
        broken.teach(lesson())
        assert await broken.learned() == ()
        assert broken.problem is not None
    broken.teach(lesson())
