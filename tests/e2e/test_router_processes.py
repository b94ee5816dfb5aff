"""The router in real processes of the application: a quota that several share, a ledger that outlives every kill, budgets from files.

`make soak` runs the same for minutes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

import application_asker
import store_server
from applications import CLOUD, environment_of, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import Asked, FakeProvider, FaultServer, answering
from glossator_providers.usage_ledger import LEDGER_FILE, Entry, UsageLedger
from store_server import Store

SOAK = os.environ.get("GLOSSATOR_SOAK") == "1"
AWAY = "limits hold for this process alone"
PATIENCE = 30.0  # seconds
MINUTE = 60.0  # seconds
ON_THE_WAY = 0.5  # seconds, by which a request may arrive later after it was sent than another one does


@dataclass
class Asker:
    """One process of the application; `said` are the lines that it printed."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, times: int, *, at_once: int | None = None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"%d %d\n" % (times, at_once or times))

    def count(self, word: str) -> int:
        return sum(line.startswith(word) for line in self.said)

    async def until(self, word: str, times: int) -> None:
        """Wait until so many lines that begin with *word* are there."""
        async with asyncio.timeout(PATIENCE):
            while self.count(word) < times:
                self.news.clear()
                await self.news.wait()

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().rstrip())
            self.news.set()


@asynccontextmanager
async def asker(environment: Mapping[str, str], folder: Path) -> AsyncIterator[Asker]:
    """Run a process of the application."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        application_asker.__file__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
    )
    one = Asker(process)
    reading = asyncio.create_task(one.read())
    try:
        yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
        process._transport.close()  # type: ignore[attr-defined]  # else its pipes are reported as left open


@pytest.fixture
def store(started_server: Callable[[int], None]) -> Iterator[Store]:
    """Run a store of this test's own."""
    with store_server.running(started_server) as store:
        yield store


class Counting:
    """A provider that answers at once, and notes when it was asked."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self._news = asyncio.Event()

    async def __call__(self, asked: Asked) -> None:
        self.moments.append(time.monotonic())
        self._news.set()
        await asked.answer("yes")

    async def until(self, times: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(PATIENCE):
            while len(self.moments) < times:
                self._news.clear()
                await self._news.wait()

    def most_in_a_minute(self) -> int:
        """Return how many came in the fullest minute."""
        return max(sum(0 <= other - start < MINUTE - ON_THE_WAY for other in self.moments) for start in self.moments)


def limited(server: FaultServer, store: Store, requests: int) -> tuple[str, str]:
    """Return the configuration of a team that shares a quota."""
    return f'quota = "{store.url}"\n', table(server, name="work") + f"limits = {{ requests_per_minute = {requests} }}\n"


@pytest.mark.slow
@pytest.mark.parametrize("away", ["", "stopped", "killed"])
async def test_two_servers_keep_to_one_quota(
    store: Store, watched_child: WatchedChild, tmp_path: Path, away: str
) -> None:
    """Of two that want far more, six requests a minute go in all; where the store goes away each keeps to six by itself, and says so."""
    counting = Counting()
    async with FaultServer(fault=counting) as server:
        environment = environment_of(tmp_path / "user", *limited(server, store, 6), base=watched_child.environment)
        async with asker(environment, tmp_path) as one, asker(environment, tmp_path) as other:
            for process in (one, other):
                process.ask(2)
                await process.until("answered", 2)
            if away:
                (store.stop if away == "stopped" else store.kill)()
            for process in (one, other):
                process.ask(20)
            for process in (one, other) if away else ():
                await process.until("answered", 6)
                await process.until("warned", 1)
            await counting.until(12 if away else 6)
            await glossator("--version", environment=environment, folder=tmp_path)  # meanwhile nobody else goes
            if away == "stopped":
                store.go_on()
            assert len(counting.moments) == (12 if away else 6)
            for process in (one, other):
                assert process.count("failed") == 0, process.said
                assert all(line.endswith(AWAY) for line in process.said if line.startswith("warned"))
                assert process.count("warned") == (1 if away else 0)


@pytest.mark.skipif(not SOAK, reason="it takes minutes: `make soak` runs it")
@pytest.mark.parametrize("away", [False, True])
async def test_two_servers_never_ask_more_than_sixty_times_in_any_minute(
    store: Store, watched_child: WatchedChild, tmp_path: Path, *, away: bool
) -> None:
    """For two and a half minutes; where the store is killed in the middle, each goes on with sixty by itself and says so."""
    counting = Counting()
    async with FaultServer(fault=counting) as server:
        environment = environment_of(tmp_path / "user", *limited(server, store, 60), base=watched_child.environment)
        async with asker(environment, tmp_path) as one, asker(environment, tmp_path) as other:
            for process in (one, other):
                process.ask(150)
            await asyncio.wait([asyncio.ensure_future(one.process.wait())], timeout=70)
            if away:
                store.kill()
            await asyncio.wait([asyncio.ensure_future(one.process.wait())], timeout=80)
            print(f"{len(counting.moments)} requests, at most {counting.most_in_a_minute()} in a minute")
            assert counting.most_in_a_minute() <= (120 if away else 60)
            assert len(counting.moments) >= 120
            assert [process.count("warned") for process in (one, other)] == ([1, 1] if away else [0, 0])


async def test_a_process_that_is_killed_loses_at_most_the_attempt_in_flight(
    watched_child: WatchedChild, tmp_path: Path
) -> None:
    """At random moments of its work: SQLite finds nothing wrong, and of what the provider was asked each time at most one row is missing."""
    chance = Random(11)
    database = tmp_path / "user" / "state" / LEDGER_FILE
    async with FaultServer() as server:
        environment = environment_of(tmp_path / "user", table(server, name="work"), base=watched_child.environment)
        for kills in range(1, (100 if SOAK else 5) + 1):
            before = server.counts.requests
            async with asker(environment, tmp_path) as process:
                process.ask(1000, at_once=1)
                promised = chance.randrange(25)
                await process.until("answered", promised)
                for _ in range(chance.randrange(200_000)):  # a moment within an attempt
                    pass
                process.process.send_signal(signal.SIGKILL)
                await process.process.wait()
            for _ in range(10_000):  # until all that it had sent is counted
                if not server.open_connections:
                    break
                await asyncio.sleep(0)
            assert not server.open_connections
            asked = server.counts.requests - before
            rows = attempts(database)
            assert server.counts.requests - kills <= len(rows) <= server.counts.requests, (asked, promised)
            assert sum(row[1] or 0 for row in rows if row[0] == "answered") <= server.counts.input_tokens


def attempts(database: Path) -> Sequence[tuple[str, int | None]]:
    """Return outcome and tokens of all rows, of a file that is whole."""
    if not database.exists():
        return ()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return ()
        return connection.execute("SELECT outcome, input_tokens FROM attempts").fetchall()


SPENT = Entry(
    datetime.now(tz=UTC),
    task="ask",
    kind="openai-compatible",
    provider="cloud",
    model="far",
    local=False,
    outcome="answered",
    seconds=1.0,
    input_tokens=900,
    output_tokens=100,
    dollars=2.5,
)


async def spend(environment: Mapping[str, str], entry: Entry = SPENT) -> None:
    """Write into a user's ledger what was spent today."""
    ledger = UsageLedger(Path(environment["GLOSSATOR_STATE_DIR"], LEDGER_FILE))
    await ledger.record(entry)
    await ledger.aclose()


FIRST_THE_CLOUD = 'strategy = "priority"\norder = ["cloud", "fake"]\n'


@pytest.mark.parametrize("limit", ["hard = 2.0", "hard_tokens = 999", "hard = 9.0, hard_tokens = 1050"])
async def test_what_is_spent_is_refused_and_a_local_model_answers(
    watched_child: WatchedChild, tmp_path: Path, limit: str
) -> None:
    """Beyond a hard limit the cloud is not asked, though it comes first; named, it is refused with the sum and the way out."""
    async with FakeProvider(respond=answering("from here")) as fake:
        environment = environment_of(
            tmp_path / "user",
            FIRST_THE_CLOUD,
            f"[budget]\ndaily = {{ {limit} }}\n",
            table(fake),
            CLOUD,
            base=watched_child.environment,
            CLOUD_KEY="k",
        )
        await spend(environment)
        done = await glossator("ask", "What is this?", "--json", environment=environment, folder=tmp_path)
        assert (done.code, done.json["text"], done.json["provider"]) == (0, "from here", "fake")
        done = await glossator("ask", "What?", "--provider", "cloud", environment=environment, folder=tmp_path)
    assert done.code != 0
    assert "today's budget" in done.err
    assert "so it was not asked; use a model on this machine, or raise [budget] daily.hard" in done.err
    assert {attempt.address for attempt in watched_child.attempts() if attempt.event == "socket.connect"} == {
        f"127.0.0.1:{fake.port}"
    }


async def test_a_user_cannot_raise_the_budget_of_the_organisation(watched_child: WatchedChild, tmp_path: Path) -> None:
    """The lower of two limits holds, whoever wrote it; a project's file sets none that is higher."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[budget]\ndaily = { hard = 2.0 }\n", encoding="utf-8")
    (tmp_path / ".glossator.toml").write_text("[budget]\ndaily = { hard = 500.0 }\n", encoding="utf-8")
    environment = environment_of(
        tmp_path / "user",
        "[budget]\ndaily = { hard = 100.0 }\n[budget.providers.cloud]\ndaily = { hard = 50.0 }\n",
        CLOUD,
        base=watched_child.environment,
        CLOUD_KEY="k",
        GLOSSATOR_POLICY=str(policy),
    )
    await spend(environment)
    done = await glossator("ask", "What?", "--provider", "cloud", environment=environment, folder=tmp_path)
    assert done.code != 0
    assert "today's budget is spent ($2.50 of $2.00)" in done.err
    assert not [attempt for attempt in watched_child.attempts() if attempt.event == "socket.connect"]
