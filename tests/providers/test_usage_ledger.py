"""The ledger keeps every row, whoever is killed, writes beside it or has broken the file; and no request fails for it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import os
import sqlite3
import stat
import statistics
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.budget import Spent
from glossator_providers.errors import Kind
from glossator_providers.usage_ledger import KEPT, SCHEMA, By, Durations, Entry, Summary, UsageLedger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = Entry(
    NOON,
    task="fix",
    kind="anthropic",
    provider="work",
    model="claude-sonnet-5-5",
    local=False,
    outcome="answered",
    seconds=2.0,
    first_token_seconds=0.5,
    input_tokens=1000,
    output_tokens=100,
    cached_tokens=10,
    reasoning_tokens=1,
    dollars=0.25,
)
LOCAL = replace(ONE, kind="ollama", provider="ollama", model="qwen", local=True, dollars=0.0)
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.just("half a pair: \ud83d")
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

Open = Callable[..., Awaitable[UsageLedger]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Give a maker of ledgers whose clock stands at noon."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(path: Path | None = None, now: datetime = NOON) -> UsageLedger:
            ledger = UsageLedger(path or tmp_path / "state" / "usage.sqlite3", now=lambda: now)
            stack.push_async_callback(ledger.aclose)
            return ledger

        yield opened


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Read the file as anybody could."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM attempts").fetchall()


async def problem_after(ledger: UsageLedger, entry: Entry) -> str | None:
    """Record a row, and return what the ledger says then."""
    await ledger.record(entry)
    return ledger.problem


def names(folder: Path) -> list[str]:
    """List a folder."""
    return [path.name for path in folder.iterdir()]


async def child(*arguments: object) -> asyncio.subprocess.Process:
    """Start a writer of `ledger_writers.py`."""
    script = Path(__file__).with_name("ledger_writers.py")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, str(script), *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )


async def outcome(process: asyncio.subprocess.Process, said: bytes = b"") -> Any:
    """Wait for a writer, and return what it printed."""
    import json

    out, err = await process.communicate(said)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_what_was_recorded_is_found_by_the_next_server(opened: Open, tmp_path: Path) -> None:
    """Rows outlive their ledger, are summed by provider without what stayed here, and their file is its owner's alone."""
    first = await opened()
    for entry in (ONE, LOCAL, replace(ONE, at=NOON - timedelta(days=2)), replace(ONE, provider="home", dollars=None)):
        await first.record(entry)
        assert first.problem is None
    await first.aclose()
    second = await opened()
    assert await second.spent(NOON - timedelta(days=1)) == {"work": Spent(0.25, 1100), "home": Spent(0.0, 1100)}
    assert (await second.spent(NOON - timedelta(days=2)))["work"] == Spent(0.5, 2200)
    assert await second.spent(NOON + timedelta(milliseconds=1)) == {}
    assert second.problem is None
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


async def test_a_ledger_that_nobody_wrote_to_is_empty_and_makes_no_file(opened: Open, tmp_path: Path) -> None:
    """Looking leaves nothing behind."""
    ledger = await opened()
    summary = await ledger.summary("day")
    assert (summary.lines, summary.total.attempts, summary.total.success) == ((), 0, None)
    assert await ledger.spent(BEGINNING) == {}
    assert ledger.problem is None
    await ledger.aclose()
    assert names(tmp_path) == []


async def test_a_summary_tells_what_happened(opened: Open) -> None:
    """Success leaves out what was cancelled, durations are those of answers, and unknown prices are counted apart."""
    ledger = await opened()
    for seconds in range(1, 21):
        await ledger.record(replace(ONE, seconds=float(seconds), first_token_seconds=None))
    for kind in (Kind.RATE, Kind.RATE, Kind.TIMEOUT):
        await ledger.record(replace(ONE, outcome=kind.value, seconds=99.0, dollars=0.0))
    await ledger.record(replace(ONE, outcome="cancelled", seconds=99.0, dollars=None, estimated=True))
    await ledger.record(LOCAL)
    summary = await ledger.summary("provider")
    work, local = summary.lines
    assert (work.name, work.local, work.attempts, work.answered, work.cancelled) == ("work", False, 24, 20, 1)
    assert work.success == 20 / 23
    assert list(work.failures.items()) == [("rate", 2), ("timeout", 1)]
    assert (work.input_tokens, work.output_tokens, work.cached_tokens, work.reasoning_tokens) == (24000, 2400, 240, 24)
    assert (work.dollars, work.unpriced, work.estimated) == (5.0, 1, 1)
    assert (work.first_token, work.whole) == (None, Durations(10.5, 19.0))
    assert (local.name, local.local, local.first_token) == ("ollama", True, Durations(0.5, 0.5))
    assert (summary.total.attempts, summary.total.dollars, summary.total.local) == (25, 5.0, False)


async def test_attempts_are_told_by_day_model_task_and_arm(opened: Open) -> None:
    """Days are those of the user's clock and in their order; a comparison leaves out what is no part of it."""
    ledger = await opened()
    await ledger.record(replace(ONE, at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC), split="a"))
    await ledger.record(replace(ONE, at=datetime(2026, 3, 29, 21, 59, tzinfo=UTC), task="explain", split="b"))
    await ledger.record(replace(LOCAL, at=datetime(2026, 3, 29, 22, 0, tzinfo=UTC)))

    async def told(by: By) -> list[str]:
        summary = await ledger.summary(by, zone=ZoneInfo("Europe/Berlin"))
        return [line.name for line in summary.lines]

    assert await told("day") == ["2026-03-29", "2026-03-30"]
    assert await told("model") == ["claude-sonnet-5-5", "qwen"]
    assert await told("task") == ["fix", "explain"]
    assert await told("split") == ["a", "b"]
    utc = await ledger.summary("day", datetime(2026, 3, 29, tzinfo=UTC), zone=UTC)
    assert [(line.name, line.attempts) for line in utc.lines] == [("2026-03-29", 2)]


@given(st.lists(st.floats(0, 1e6), min_size=1) | st.lists(st.floats(0, 1e6), min_size=20, max_size=60))
def test_percentiles_are_those_of_a_plain_reading(seconds: list[float]) -> None:
    """Half are no longer than the median; 19 of 20 are no longer than the p95, and of anything shorter that is not so."""
    from glossator_providers.usage_ledger import _durations

    found = _durations(seconds)
    assert found is not None
    assert found.median == statistics.median(seconds)
    assert found.p95 in seconds
    assert sum(one <= found.p95 for one in seconds) >= 0.95 * len(seconds)
    assert sum(one < found.p95 for one in seconds) < 0.95 * len(seconds)


async def test_old_attempts_are_summed_into_days(opened: Open, tmp_path: Path) -> None:
    """What is older than 400 days keeps its sums and loses its moments; twice is as once, and later days are added."""
    ledger = await opened()
    old = NOON - KEPT - timedelta(days=1)
    for entry in (replace(ONE, at=old), replace(ONE, at=old + timedelta(hours=1), dollars=None), ONE):
        await ledger.record(entry)
    await ledger.aclose()
    before = await (await opened()).summary("provider")
    for _ in range(2):
        later = await opened()
        await later.record(replace(ONE, at=old + timedelta(hours=2)))
        await later.aclose()
    ledger = await opened()
    await ledger.record(LOCAL)
    assert len(rows(tmp_path / "state" / "usage.sqlite3")) == 2, "the recent ones"
    line = (await ledger.summary("provider")).lines[0]
    assert before.lines[0].attempts == 3
    assert (line.attempts, line.answered, line.input_tokens, line.dollars, line.unpriced) == (5, 5, 5000, 1.0, 1)
    assert line.whole == Durations(2.0, 2.0)
    days = (await ledger.summary("day", zone=UTC)).lines
    assert [(one.name, one.attempts) for one in days] == [(old.date().isoformat(), 4), ("2026-11-20", 2)]
    assert (await ledger.summary("day", old + timedelta(days=2))).total.attempts == 2


async def test_nothing_of_a_request_is_in_the_file() -> None:
    """A row has no place for a prompt, an answer, a file's name or a key."""
    assert {field.name for field in dataclasses.fields(Entry)} == {
        *("at", "task", "kind", "provider", "model", "local", "outcome", "seconds", "first_token_seconds"),
        *("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "dollars", "estimated", "split"),
    }


@given(
    st.builds(
        Entry,
        st.datetimes(datetime.fromisoformat("1980-01-01"), timezones=st.just(UTC)),
        *(ANY_TEXT for _ in range(4)),
        local=st.booleans(),
        outcome=ANY_TEXT,
        seconds=st.floats(0, 1e9),
        input_tokens=st.none() | st.integers(),
        output_tokens=st.none() | st.integers(min_value=10**30),
        dollars=st.none() | st.floats(0, 1e9),
    )
)
def test_whatever_a_provider_says_becomes_a_row(entry: Entry) -> None:
    """Names that are no text, are endless or hold half a character, and numbers of any size, are kept as well as can be."""
    from glossator_providers.usage_ledger import _INSERT, _TABLES, _row

    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for table in _TABLES:
            connection.execute(table)
        connection.execute(_INSERT, _row(entry))
        found = connection.execute("SELECT input_tokens, output_tokens, length(model) FROM attempts").fetchone()
    assert found[0] is None or 0 <= found[0] <= 10**12
    assert found[1] in (None, 10**12)
    assert found[2] <= 200


async def test_a_writer_that_is_killed_loses_at_most_the_attempt_in_flight(tmp_path: Path) -> None:
    """At 100 random moments: SQLite finds nothing wrong, every promised row is there, and at most one that was not promised yet."""
    process = await child("kill", tmp_path / "usage.sqlite3", 100, 20261121)
    rounds = await outcome(process)
    assert len(rounds) == 100
    assert {verdict for _, _, verdict in rounds} == {"ok"}
    assert [(promised, found) for promised, found, _ in rounds if not promised <= found <= promised + 1] == []
    assert sum(found for _, found, _ in rounds) > 500


async def test_four_servers_write_at_once(tmp_path: Path, opened: Open) -> None:
    """Begun at one moment with no file there, four processes leave all of their rows, and a reader is never turned away."""
    path = tmp_path / "usage.sqlite3"
    writers = [await child("write", path, f"writer {number}", 150) for number in range(4)]
    reader = await opened(path)
    running = asyncio.gather(*(outcome(writer, b"go\n") for writer in writers))
    seen = [0]
    while not running.done():
        seen.append((await reader.summary("task")).total.attempts)
        assert reader.problem is None
    await running
    assert seen == sorted(seen)
    assert {line.name: line.attempts for line in (await reader.summary("task")).lines} == {
        f"writer {number}": 150 for number in range(4)
    }
    numbers = [row[8] for row in rows(path)]
    assert sorted(numbers) == sorted([*range(150)] * 4)


async def test_a_file_that_is_held_by_others_keeps_nobody_waiting_and_loses_nothing(
    tmp_path: Path, opened: Open
) -> None:
    """While it is locked rows are kept and counted, which is said once; after that all are written."""
    path = tmp_path / "usage.sqlite3"
    ledger = await opened(path)
    await ledger.record(ONE)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = [await problem_after(ledger, ONE) for _ in range(250)]
        assert (await ledger.spent(BEGINNING))["work"] == Spent(251 * 0.25, 251 * 1100)
        assert (await ledger.summary("task")).total.attempts == 251
        assert said[:2] == [None, None], "a moment is nothing to speak of"
        assert len({*said[2:]}) == 1
        assert "is held by another program; requests go on" in str(said[2])
        other.execute("ROLLBACK")
    assert await problem_after(ledger, ONE) is None
    assert len(rows(path)) == 252


async def test_what_is_kept_is_written_at_the_end(tmp_path: Path, opened: Open) -> None:
    """A ledger that is closed after the lock is gone leaves nothing unwritten."""
    path = tmp_path / "usage.sqlite3"
    ledger = await opened(path)
    await ledger.record(ONE)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await ledger.record(ONE)
        other.execute("ROLLBACK")
    await ledger.aclose()
    assert len(rows(path)) == 2
    await ledger.record(ONE)
    ledger.enqueue(lambda: ONE)
    assert len(rows(path)) == 2, "after its end it takes nothing"


async def test_the_event_loop_never_waits_for_the_file(tmp_path: Path, opened: Open) -> None:
    """While a row waits for a lock, other tasks run; and whoever stops waiting does not lose the row."""
    path = tmp_path / "usage.sqlite3"
    ledger = await opened(path)
    await ledger.record(ONE)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.create_task(ledger.record(ONE)) for _ in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        other.execute("ROLLBACK")
    await ledger.record(ONE)
    assert len(rows(path)) == 5


async def test_a_row_can_be_left_to_the_ledger(tmp_path: Path, opened: Open) -> None:
    """What is enqueued is made on another thread than the loop's, and is in every sum that is asked for after it."""
    ledger = await opened()
    makers = []

    def make() -> Entry:
        makers.append(threading.get_ident())
        return ONE

    for number in range(1, 4):
        ledger.enqueue(make)
        assert (await ledger.spent(BEGINNING))["work"] == Spent(0.25 * number, 1100 * number)
    assert threading.get_ident() not in makers
    ledger.enqueue(make)
    await ledger.aclose()
    assert len(rows(tmp_path / "state" / "usage.sqlite3")) == 4


async def test_a_damaged_file_is_set_aside_once(tmp_path: Path, opened: Open) -> None:
    """What is no database is kept under another name, the row at hand is written, and that is said once."""
    path = tmp_path / "usage.sqlite3"
    path.write_bytes(b"this is no database" * 1000)
    reader = await opened(path)
    assert (await reader.summary("day")).total.attempts == 0
    assert "is damaged" in str(reader.problem)
    ledger = await opened(path)
    for _ in range(2):
        assert await problem_after(ledger, ONE) == (
            f"the usage ledger {path} was damaged; it is kept as usage-damaged-20261120T120000000000Z.sqlite3, "
            "and counting began anew"
        )
    assert len(rows(path)) == 2
    aside = tmp_path / "usage-damaged-20261120T120000000000Z.sqlite3"
    assert aside.read_bytes().startswith(b"this is no database")


async def test_damage_in_the_middle_is_found_by_both_servers_and_set_aside_by_one(tmp_path: Path, opened: Open) -> None:
    """Pages that become garbage under two open ledgers cost one file, not two, and neither a request."""
    path = tmp_path / "usage.sqlite3"
    one, other = await opened(path), await opened(path)
    for ledger in (one, other):
        for _ in range(200):
            await ledger.record(ONE)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
        os.fsync(file.fileno())
    for _ in range(3):
        await one.record(ONE)
        await other.record(ONE)
    assert len(rows(path)) == 6
    other._identity = (0, 0)  # as if it had come upon the damage while the first was at it
    assert await other._do(other._set_aside)
    assert len(rows(path)) == 6
    assert sum("damaged" in name and name.endswith(".sqlite3") for name in names(tmp_path)) == 1


async def test_a_file_that_is_removed_is_made_anew(tmp_path: Path, opened: Open) -> None:
    """Who deletes the ledger begins with an empty one, also under a running server."""
    path = tmp_path / "usage.sqlite3"
    ledger = await opened(path)
    await ledger.record(ONE)
    for name in names(tmp_path):
        (tmp_path / name).unlink()
    assert await ledger.spent(BEGINNING) == {}
    assert await problem_after(ledger, ONE) is None
    assert len(rows(path)) == 1


async def test_the_file_of_a_newer_version_is_left_alone(tmp_path: Path, opened: Open) -> None:
    """It is neither read nor written; that is said once, and what is asked is counted all the same."""
    path = tmp_path / "usage.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE attempts (everything)")
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    ledger = await opened(path)
    said = {await problem_after(ledger, ONE) for _ in range(3)}
    assert len(said) == 1
    assert "newer version of Glossator and is left as it is: upgrade this one" in str(said)
    assert await ledger.spent(BEGINNING) == {"work": Spent(0.75, 3300)}
    await ledger.aclose()
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["below a file", "a folder", "/proc/glossator/usage.sqlite3"])
async def test_a_place_that_cannot_be_written_fails_no_request(place: str, tmp_path: Path, opened: Open) -> None:
    """Where no file can be, rows are counted in memory, which is said once."""
    (tmp_path / "file").touch()
    path = {"below a file": tmp_path / "file" / "usage.sqlite3", "a folder": tmp_path}.get(place, Path(place))
    ledger = await opened(path)
    said = {await problem_after(ledger, ONE) for _ in range(3)}
    assert len(said) == 1
    assert f"the usage ledger {path} cannot be" in str(said)
    assert await ledger.spent(BEGINNING) == {"work": Spent(0.75, 3300)}


async def test_a_file_that_may_only_be_read_is_read(tmp_path: Path, opened: Open) -> None:
    """What is in it counts together with what cannot be added; when it may be written again, all is."""
    path = tmp_path / "usage.sqlite3"
    first = await opened(path)
    await first.record(ONE)
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write everywhere")
    ledger = await opened(path)
    assert "cannot be written" in str(await problem_after(ledger, ONE))
    assert "cannot be written" in str(await problem_after(ledger, ONE))
    assert (await ledger.spent(BEGINNING))["work"] == Spent(0.75, 3300)
    path.chmod(0o600)
    assert await problem_after(ledger, ONE) is None
    assert len(rows(path)) == 4


async def test_a_full_disk_fails_no_request_and_no_file(tmp_path: Path, opened: Open) -> None:
    """A writer whose files cannot grow goes on and says so once; what it has written before is whole."""
    path = tmp_path / "usage.sqlite3"
    said = await outcome(await child("full", path, 400, 40_000))
    assert len(said) == 1
    assert "requests go on, and are counted in this process alone" in said[0]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert 0 < len(rows(path)) < 400
    assert [row[8] for row in rows(path)] == list(range(len(rows(path))))
    ledger = await opened(path)
    assert await problem_after(ledger, ONE) is None


async def test_what_cannot_be_written_takes_no_more_room_than_it_may(tmp_path: Path, opened: Open) -> None:
    """Of very many rows the oldest are forgotten."""
    from glossator_providers import usage_ledger

    ledger = await opened(tmp_path)
    ledger._unwritten.extend([ONE] * (usage_ledger._UNWRITTEN - 1))
    for _ in range(3):
        await ledger.record(LOCAL)
    assert len(ledger._unwritten) == usage_ledger._UNWRITTEN
    assert list(ledger._unwritten)[-3:] == [LOCAL] * 3


def test_summaries_are_plain_values() -> None:
    """What is told of no attempts has no shares and no durations, and no number is made up for them."""
    from glossator_providers.usage_ledger import _summarise

    summary: Summary = _summarise([], "model", UTC)
    assert summary.total.first_token is None
    assert summary.total.local is False
    assert math.isclose(summary.total.dollars, 0.0)


async def test_a_closed_ledger_knows_nothing_and_fails_nobody(tmp_path: Path) -> None:
    """A status that is asked for while the server shuts down is told without money, and no error is logged."""
    ledger = UsageLedger(tmp_path / "usage")
    await ledger.aclose()
    assert await ledger.spent(datetime.now(tz=UTC)) == {}
