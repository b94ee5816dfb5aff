"""`glossator usage`: what it prints for people and for programs, of an empty ledger, a busy one and one that it may not read."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from applications import environment_of, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering, failing, in_turn
from glossator_providers.usage_ledger import LEDGER_FILE, SCHEMA, Entry, UsageLedger

CLOUD = Entry(
    datetime(2026, 11, 20, 12, tzinfo=UTC),
    task="fix",
    kind="anthropic",
    provider="work",
    model="claude-sonnet-5-5",
    local=False,
    outcome="answered",
    seconds=4.0,
    first_token_seconds=0.5,
    input_tokens=12_000,
    output_tokens=900,
    cached_tokens=6_000,
    dollars=0.03,
)
LOCAL = replace(CLOUD, kind="ollama", provider="ollama", model="qwen", local=True, dollars=0.0, cached_tokens=None)
UNPRICED = replace(CLOUD, provider="mine", dollars=None, task="explain")


async def fill(user: Path, *entries: Entry) -> None:
    """Write a user's ledger."""
    ledger = UsageLedger(user / "state" / LEDGER_FILE, now=lambda: CLOUD.at)
    for entry in entries:
        await ledger.record(entry)
    await ledger.aclose()


async def test_usage_is_a_table_in_80_columns(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Requests, tokens, cached share, money, durations and failures stand there, and what is not known is not made up."""
    await fill(
        tmp_path / "user",
        *[CLOUD] * 9,
        replace(CLOUD, outcome="rate", dollars=0.0, input_tokens=None, output_tokens=None, cached_tokens=None),
        replace(CLOUD, outcome="cancelled", estimated=True),
        LOCAL,
        replace(UNPRICED, provider="a-name\x1b[31m-that-is-longer-than-any-column-of-a-table-can-be"),
    )
    environment = environment_of(tmp_path / "user", base=watched_child.environment)
    done = await glossator("usage", "--since", "2026-11-01", environment=environment, folder=tmp_path)
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    lines = {line.split()[0]: line.split() for line in done.out.splitlines() if line.strip()}
    assert done.out.startswith("13 requests since 2026-11-01, 92% answered, ≥$0.30\n")
    assert lines["work"] == ["work", "11", "90%", "120k", "9k", "50%", "$0.30", "0.5/0.5", "4.0/4.0"]
    assert lines["ollama"] == ["ollama", "1", "100%", "12k", "900", "-", "free", "0.5/0.5", "4.0/4.0"]
    assert lines["all"][1:7] == ["13", "92%", "144k", "10.8k", "46%", "≥$0.30"]
    assert "work: 1 rate, 1 cancelled" in done.out
    assert "1 request at a price that nobody publishes" in done.out
    assert "1 request ended before the tokens were told" in done.out
    assert "\x1b" not in done.out
    assert [str(attempt) for attempt in watched_child.attempts()] == []


async def test_usage_for_programs_is_one_object(tmp_path: Path) -> None:
    """Rows and their sum, by what was asked for, with numbers as they are."""
    await fill(tmp_path / "user", CLOUD, UNPRICED, replace(CLOUD, outcome="timeout", dollars=0.0))
    environment = environment_of(tmp_path / "user", TZ="Asia/Tokyo")
    arguments = ("usage", "--by", "task", "--since", "2026-11-20", "--json")
    told = (await glossator(*arguments, environment=environment, folder=tmp_path)).json
    assert (told["since"], told["by"], told["problem"]) == ("2026-11-19T15:00:00+00:00", "task", None)
    fix, explain = told["rows"]
    assert fix == {
        "name": "fix",
        "local": False,
        "requests": 2,
        "success": 0.5,
        "answered": 1,
        "cancelled": 0,
        "failures": {"timeout": 1},
        "input_tokens": 24000,
        "output_tokens": 1800,
        "cached_tokens": 12000,
        "reasoning_tokens": 0,
        "dollars": 0.03,
        "unpriced": 0,
        "estimated": 0,
        "first_token": {"median": 0.5, "p95": 0.5},
        "whole": {"median": 4.0, "p95": 4.0},
    }
    assert (explain["name"], explain["dollars"], explain["unpriced"]) == ("explain", 0.0, 1)
    assert (told["total"]["requests"], told["total"]["unpriced"]) == (3, 1)
    later = ("usage", "--by", "task", "--since", "2026-11-21", "--json")
    assert (await glossator(*later, environment=environment, folder=tmp_path)).json["rows"] == []


async def test_what_was_asked_is_counted(tmp_path: Path) -> None:
    """An answer, and then a failure, stand in the ledger with the tokens that the provider told, once their commands have ended."""
    async with FakeProvider(respond=in_turn(answering("Yes."), failing(400))) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        asked = await glossator("ask", "Is it?", "--json", environment=environment, folder=tmp_path)
        await glossator("ask", "Is it?", environment=environment, folder=tmp_path)
    usage = asked.json["usage"]
    total = (await glossator("usage", "--json", environment=environment, folder=tmp_path)).json["total"]
    assert (total["requests"], total["answered"], total["failures"]) == (2, 1, {"bad-request": 1})
    assert usage["input_tokens"]
    assert (total["input_tokens"], total["output_tokens"]) == (usage["input_tokens"], usage["output_tokens"])
    assert (total["local"], total["dollars"], total["unpriced"]) == (True, 0.0, 0)


async def test_an_empty_ledger_is_told_kindly(tmp_path: Path) -> None:
    """Who has asked nothing yet reads so, the command has worked, and it leaves no file behind."""
    environment = environment_of(tmp_path / "user")
    done = await glossator("usage", environment=environment, folder=tmp_path)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("no model was asked since ")
    assert not (tmp_path / "user" / "state").exists()
    told = (await glossator("usage", "--json", environment=environment, folder=tmp_path)).json
    assert (told["rows"], told["total"]["requests"], told["total"]["success"]) == ([], 0, None)


async def test_days_count_back_from_today(tmp_path: Path) -> None:
    """`1d` is today and nothing else."""
    now = datetime.now(tz=UTC)
    await fill(tmp_path / "user", replace(CLOUD, at=now), replace(CLOUD, at=now - timedelta(days=1)))
    environment = environment_of(tmp_path / "user", TZ="UTC")
    arguments = ("usage", "--by", "day", "--json", "--since")
    today = (await glossator(*arguments, "1d", environment=environment, folder=tmp_path)).json
    both = (await glossator(*arguments, "3d", environment=environment, folder=tmp_path)).json
    assert len(both["rows"]) == 2
    assert today["rows"] == both["rows"][1:] or today["rows"] == [], "else midnight has come"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "colour"), "--by colour: there are day, provider, model, task, split"),
        (("--since", "yesterday"), "--since yesterday: say a number of days such as 7d, or a day such as"),
        (("--since", "0d"), "--since 0d: say a number of days"),
        (("--since", "2026-02-30"), "--since 2026-02-30: say a number of days"),
    ],
)
async def test_what_cannot_be_meant_is_said(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """A slip of the hand is answered with what may stand there."""
    done = await glossator("usage", *arguments, environment=environment_of(tmp_path / "user"), folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


async def test_usage_is_read_while_a_server_writes(tmp_path: Path) -> None:
    """The command sees what is there at some moment between its start and its end, and turns no writer away."""
    ledger = UsageLedger(tmp_path / "user" / "state" / LEDGER_FILE)
    await ledger.record(CLOUD)
    written, stop = 1, asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            await ledger.record(CLOUD)
            written += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        environment = environment_of(tmp_path / "user")
        before = written
        done = await glossator("usage", "--json", "--since", "2026-11-20", environment=environment, folder=tmp_path)
        stop.set()
    assert done.code == 0, done.err
    assert before <= done.json["total"]["requests"] <= written
    assert ledger.problem is None
    await ledger.aclose()


async def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """One of a newer version is left alone: the command fails with the reason, in both ways of telling."""
    state = tmp_path / "user" / "state"
    state.mkdir(parents=True)
    with closing(sqlite3.connect(state / LEDGER_FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    environment = environment_of(tmp_path / "user")
    done = await glossator("usage", environment=environment, folder=tmp_path)
    assert done.code == 1
    assert "was written by a newer version of Glossator and is left as it is: upgrade this one" in done.err
    done = await glossator("usage", "--json", environment=environment, folder=tmp_path)
    assert done.code == 1
    assert "newer version" in done.json["problem"]
