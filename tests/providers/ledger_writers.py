"""Children that write into a usage ledger, for the tests that kill them or let several write at once.

ledger_writers.py write PATH NAME COUNT    waits for a line on stdin, records so many rows, says what went wrong
ledger_writers.py kill PATH ROUNDS SEED    kills a writer in every round, says how many rows were promised and found
ledger_writers.py full PATH COUNT BYTES    records rows into files that may not grow beyond so many bytes
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import resource
import signal
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from glossator_providers.usage_ledger import Entry, UsageLedger

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def entry(name: str, number: int) -> Entry:
    """Make a row that can be told from all others."""
    return Entry(AT, name, "anthropic", "work", "m", local=False, outcome="answered", seconds=1.0, input_tokens=number)


async def write(path: Path, name: str, count: int) -> list[str]:
    """Record rows as fast as it goes; return what the ledger had to say, each thing once."""
    ledger = UsageLedger(path, now=lambda: AT)
    said: dict[str, None] = {}
    for number in range(count):
        await ledger.record(entry(name, number))
        if ledger.problem:
            said[ledger.problem] = None
    await ledger.aclose()
    return list(said)


async def write_until_killed(path: Path, name: str, promise: int) -> None:
    """Record rows for ever, and say each on a pipe once it is recorded."""
    ledger = UsageLedger(path, now=lambda: AT)
    for number in itertools.count():
        await ledger.record(entry(name, number))
        os.write(promise, b".")


def kill(path: Path, name: str, chance: random.Random) -> tuple[int, int, str]:
    """Kill a writer at some moment; return how many rows it had promised, how many are there, and SQLite's own verdict."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(write_until_killed(path, name, writing))
        finally:
            os._exit(1)
    os.close(writing)
    promised = 0
    until = chance.randrange(40)
    while promised < until:
        promised += len(os.read(reading, 1))
    for _ in range(chance.randrange(50_000)):  # a moment within a row, from before the first one on
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 4096):
        promised += len(more)
    os.close(reading)
    if not path.exists():
        return promised, 0, "ok"
    with sqlite3.connect(path) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return promised, 0, verdict
        rows = connection.execute("SELECT input_tokens FROM attempts WHERE task = ? ORDER BY rowid", (name,)).fetchall()
    connection.close()
    assert [number for (number,) in rows] == list(range(len(rows))), "rows are there once and in their order"
    return promised, len(rows), verdict


def main() -> None:
    """Do what the arguments say, and print the outcome as JSON."""
    task, path, *rest = sys.argv[1:]
    match task:
        case "write":
            sys.stdin.readline()
            print(json.dumps(asyncio.run(write(Path(path), rest[0], int(rest[1])))))
        case "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest[1]), resource.RLIM_INFINITY))
            print(json.dumps(asyncio.run(write(Path(path), "full", int(rest[0])))))
        case "kill":
            chance = random.Random(int(rest[1]))
            rounds = []
            for number in range(int(rest[0])):
                # Most rounds go on with the file that was left behind; some begin with none, to be killed while making it.
                target = Path(path) if number % 4 else Path(f"{path}-{number}")
                rounds.append(kill(target, f"round {number}", chance))
            print(json.dumps(rounds))


if __name__ == "__main__":
    main()
