"""The table in the usage ledger of what was learned from what became of answers: names and counts, which several servers add up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from glossator_providers.adaptive import FADING, Learned, Lesson, additions

if TYPE_CHECKING:
    import sqlite3

KEPT = timedelta(days=400)  # what nothing was added to for so long is forgotten

# It is made when the first lesson is learned: most users do not choose by what was learned.
_TABLE = """
    CREATE TABLE IF NOT EXISTS learned (
        at INTEGER NOT NULL, -- milliseconds since 1970, UTC
        provider TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL, rule TEXT NOT NULL,
        good REAL NOT NULL, bad REAL NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY (provider, model, task, rule)
    ) WITHOUT ROWID
"""
# What is kept fades with every lesson, wherever it is added up: as `Adaptive.learn` does it.
_ADD = f"""
    INSERT INTO learned VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (provider, model, task, rule) DO UPDATE SET
        at = excluded.at,
        good = good * {FADING} + excluded.good, bad = bad * {FADING} + excluded.bad,
        seconds = seconds * {FADING} + excluded.seconds
"""  # noqa: S608  a number of our own stands in it, and nothing of anybody else's


def add(connection: sqlite3.Connection, lesson: Lesson, now: datetime) -> None:
    """Add what a lesson teaches to what all servers have learned, within a transaction of the caller's; raises sqlite3.Error."""
    connection.execute(_TABLE)
    connection.execute("DELETE FROM learned WHERE at < ?", (_milliseconds(now - KEPT),))
    connection.executemany(
        _ADD,
        [
            (_milliseconds(now), *map(_storable, (one.provider, one.model, one.task, one.rule)), one.good, one.bad, one.seconds)
            for one in additions(lesson)
        ],
    )  # fmt: skip


def read(connection: sqlite3.Connection) -> tuple[Learned, ...]:
    """Return what was learned, the latest last; raises sqlite3.Error."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'learned'").fetchone() is None:
        return ()
    rows = connection.execute("SELECT provider, model, task, rule, good, bad, seconds FROM learned ORDER BY at")
    return tuple(Learned(*row) for row in rows)


def _storable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()  # what is no character cannot be stored


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
