"""What was asked of whom, what it cost and how it ended: one row an attempt, in a file that several servers share, without any content.

The file is SQLite's, in WAL mode: a row that `record` has written survives whatever kills the process, and readers wait for
nobody. A thread of its own does the work, so the event loop never waits for a disk; and whatever is wrong with the file,
requests go on: rows that could not be written are kept, counted, and written when that is possible again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import operator
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from glossator_providers import lessons
from glossator_providers.adaptive import Learned, Lesson
from glossator_providers.budget import Spent

if TYPE_CHECKING:
    import sqlite3

    _Reply = TypeVar("_Reply")

By = Literal["day", "provider", "model", "task", "split"]
Now = Callable[[], datetime]

LEDGER_FILE = "usage.sqlite3"  # in the folder for what Glossator remembers

ANSWERED = "answered"
CANCELLED = "cancelled"

KEPT = timedelta(days=400)  # older attempts are summed into days
SCHEMA = 1

_PATIENCE = 0.25  # seconds for which a row waits for other writers, before it is kept for later
_LAST_PATIENCE = 5.0  # seconds, where there is no later
_UNWRITTEN = 10_000  # rows; of those that cannot be written the oldest are forgotten
_BUSY_TRIES = 3  # others may hold the file for a moment: that is told when it lasts
_LONGEST_NAME = 200  # characters: the name of a model is the provider's own word
_PLACES: Mapping[By, int] = {"task": 1, "provider": 2, "model": 3, "split": 6}  # in a row that was selected
_QUARTER = 15 * 60 * 1000  # milliseconds; no zone changes its day within one
_CHUNK = 100  # rows
_MOST_TOKENS = 10**12  # no answer has more, whatever its provider says

_TABLES = (
    """
    CREATE TABLE attempts (
        at INTEGER NOT NULL, -- milliseconds since 1970, UTC
        task TEXT NOT NULL, kind TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, local INTEGER NOT NULL,
        outcome TEXT NOT NULL, split TEXT NOT NULL,
        input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER,
        dollars REAL, estimated INTEGER NOT NULL,
        seconds REAL NOT NULL, first_token_seconds REAL
    )
    """,
    "CREATE INDEX attempts_at ON attempts (at)",
    # What a budget asks before every request is answered from this index alone.
    "CREATE INDEX attempts_spent ON attempts (at, provider, dollars, input_tokens, output_tokens) WHERE NOT local",
    """
    CREATE TABLE days (
        day TEXT NOT NULL, -- UTC
        task TEXT NOT NULL, kind TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, local INTEGER NOT NULL,
        outcome TEXT NOT NULL, split TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
        dollars REAL NOT NULL, unpriced INTEGER NOT NULL, estimated INTEGER NOT NULL,
        PRIMARY KEY (day, task, kind, provider, model, local, outcome, split)
    ) WITHOUT ROWID
    """,
)
_INSERT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FOLD = """
    INSERT INTO days
    SELECT date(at / 1000, 'unixepoch'), task, kind, provider, model, local, outcome, split, count(*),
        coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
        coalesce(sum(cached_tokens), 0), coalesce(sum(reasoning_tokens), 0),
        coalesce(sum(dollars), 0), sum(dollars IS NULL), sum(estimated)
    FROM attempts WHERE at < ? GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT (day, task, kind, provider, model, local, outcome, split) DO UPDATE SET
        attempts = attempts + excluded.attempts,
        input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        dollars = dollars + excluded.dollars, unpriced = unpriced + excluded.unpriced,
        estimated = estimated + excluded.estimated
"""
_SPENT = """
    SELECT provider, coalesce(sum(dollars), 0), coalesce(sum(input_tokens), 0) + coalesce(sum(output_tokens), 0)
    FROM attempts WHERE at >= ? AND NOT local GROUP BY provider
"""
_ATTEMPTS = """
    SELECT at, task, provider, model, local, outcome, split, 1, coalesce(input_tokens, 0), coalesce(output_tokens, 0),
        coalesce(cached_tokens, 0), coalesce(reasoning_tokens, 0), coalesce(dollars, 0), dollars IS NULL, estimated,
        seconds, first_token_seconds
    FROM attempts WHERE at >= ?
"""
_DAYS = """
    SELECT strftime('%s', day, '+12 hours') * 1000, task, provider, model, local, outcome, split, attempts,
        input_tokens, output_tokens, cached_tokens, reasoning_tokens, dollars, unpriced, estimated, NULL, NULL
    FROM days WHERE strftime('%s', day, '+1 day') * 1000 > ?
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt that has ended at `at` (aware); `kind` is the provider's row in the catalog, durations are in seconds.

    `outcome` is `answered`, `cancelled` or the value of an error's `Kind`. Tokens that were not told are None, and so are
    `dollars` where nobody knows the price; an attempt that nobody bills, a refused one say, has cost 0. `estimated` says
    that its tokens are counted by us, because it ended before its provider told them. `split` is the arm of a comparison.
    """

    at: datetime
    task: str
    kind: str
    provider: str
    model: str
    local: bool
    outcome: str
    seconds: float
    first_token_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    dollars: float | None = None
    estimated: bool = False
    split: str = ""


@dataclass(frozen=True, slots=True)
class Durations:
    """The middle one of some durations, and the one that 19 of 20 do not exceed, in seconds."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Line:
    """All attempts that have `name` in common; durations are of those that were answered.

    `dollars` leaves out the `unpriced` attempts, whose price nobody knows; `estimated` ones are in all sums.
    """

    name: str
    local: bool  # all of them stayed on this machine
    attempts: int
    answered: int
    cancelled: int
    failures: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    dollars: float
    unpriced: int
    estimated: int
    first_token: Durations | None
    whole: Durations | None

    @property
    def success(self) -> float | None:
        """The share of answers among the attempts that nobody cancelled, None where there are none."""
        ended = self.attempts - self.cancelled
        return self.answered / ended if ended else None


@dataclass(frozen=True, slots=True)
class Summary:
    """Attempts by what they have in common, days in their order, else the most expensive and most frequent first; and all of them."""

    lines: tuple[Line, ...]
    total: Line


class UsageLedger:
    """The ledger at *path*; the file is made when the first row is written, readable by its owner alone.

    Nothing here raises for what is wrong with the file: `problem` says it, in the same words as long as it is the same.
    """

    def __init__(self, path: Path, *, now: Now | None = None) -> None:
        self._path = path
        self._now = now or _utc_now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="usage-ledger")
        self._closed = False
        self._latest: Future[None] | None = None  # the row that was enqueued last
        # What follows belongs to the thread.
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._unwritten: deque[Entry] = deque(maxlen=_UNWRITTEN)
        self._folded = False
        self._trouble: str | None = None
        self._damage: str | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file now, or was so wrong that counting began anew."""
        return self._trouble or self._damage

    async def record(self, entry: Entry) -> None:
        """Write a row; whoever stops waiting does not stop it. After `aclose` nothing is written any more."""
        if not self._closed:
            await self._do(lambda: self._write(entry, patience=_PATIENCE))

    def enqueue(self, make: Callable[[], Entry]) -> None:
        """Have a row made and written without waiting; whoever asks for sums after that finds it in them.

        *make* is called on the ledger's thread, where it may take its time: to look up a price takes a moment.
        """
        if not self._closed:
            self._latest = self._thread.submit(lambda: self._write(make(), patience=_PATIENCE))
            self._latest.add_done_callback(
                Future.result
            )  # what *make* raises is told by the thread pool, not swallowed

    async def caught_up(self) -> None:
        """Wait until all rows that were enqueued are written, or kept for later: whoever is killed then has lost none of them."""
        if self._latest is not None and not self._latest.done():
            await asyncio.wait([asyncio.wrap_future(self._latest)])

    def teach(self, lesson: Lesson) -> None:
        """Add what became of an answer to what all servers have learned, without waiting; one that cannot be written is lost."""
        if not self._closed:
            self._thread.submit(lambda: self._try(lambda connection: self._add(connection, lesson), create=True))

    async def learned(self) -> tuple[Learned, ...]:
        """Return what was learned from what became of answers, all servers together."""
        return await self._do(lambda: self._try(lessons.read) or ())

    async def spent(self, since: datetime) -> Mapping[str, Spent]:
        """Return what each provider beyond this machine has cost since then, all servers together; nothing after `aclose`."""
        if self._closed:
            return {}
        return await self._do(lambda: self._sum(_milliseconds(since)))

    async def summary(self, by: By, since: datetime | None = None, *, zone: tzinfo | None = None) -> Summary:
        """Return the attempts since then by what they have in common; days are those of *zone*, or of this machine.

        By `split` only those are counted that belong to a comparison.
        """
        after = _milliseconds(since) if since else 0
        rows = await self._do(lambda: self._select(after))
        return await asyncio.to_thread(_summarise, rows, by, zone)

    async def aclose(self) -> None:
        """Write what is left and close the file."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._do(self._finish)
        finally:
            self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[], _Reply]) -> _Reply:
        # Shielded: a row whose request is cancelled at this moment is written all the same.
        return await asyncio.shield(asyncio.wrap_future(self._thread.submit(work)))

    def _write(self, entry: Entry | None, *, patience: float) -> None:
        if entry is not None:
            self._unwritten.append(entry)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
            if not self._folded:
                with _transaction(connection):
                    before = _milliseconds(self._now() - KEPT)
                    connection.execute(_FOLD, (before,))
                    connection.execute("DELETE FROM attempts WHERE at < ?", (before,))
            self._folded = True
            while self._unwritten:
                # Not all at once: where a full disk takes none of very many rows, every new row would pay for them all.
                some = list(itertools.islice(self._unwritten, _CHUNK))
                with _transaction(connection):
                    connection.executemany(_INSERT, map(_row, some))
                for _ in some:
                    self._unwritten.popleft()

        if len(self._unwritten) > 1:
            self._close()  # the last row failed: what stood in its way may be gone, but not for a file that is open
            if entry is not None:
                patience = 0.0  # where others hold the file for long, that costs only the first row its time
        self._try(write, create=True)

    def _add(self, connection: sqlite3.Connection, lesson: Lesson) -> None:
        with _transaction(connection):
            lessons.add(connection, lesson, self._now())

    def _sum(self, since: int) -> Mapping[str, Spent]:
        rows = self._try(lambda connection: connection.execute(_SPENT, (since,)).fetchall()) or ()
        sums = {provider: Spent(dollars, tokens) for provider, dollars, tokens in rows}
        for entry in self._unwritten:
            if not entry.local and _milliseconds(entry.at) >= since:
                tokens = (entry.input_tokens or 0) + (entry.output_tokens or 0)
                sums[entry.provider] = sums.get(entry.provider, Spent()) + Spent(entry.dollars or 0.0, tokens)
        return sums

    def _select(self, since: int) -> list[tuple[Any, ...]]:
        def select(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return [*connection.execute(_DAYS, (since,)), *connection.execute(_ATTEMPTS, (since,))]

        return [
            *(self._try(select) or ()),
            *(_selected(entry) for entry in self._unwritten if _milliseconds(entry.at) >= since),
        ]

    def _finish(self) -> None:
        if self._unwritten:
            self._write(None, patience=_LAST_PATIENCE)
        self._close()

    def _try(self, work: Callable[[sqlite3.Connection], _Reply], *, create: bool = False) -> _Reply | None:
        """Do something with the file; where that fails say why in `problem` and return None."""
        import sqlite3

        for last in (False, True):
            try:
                connection = self._opened(create=create)
                if connection is None:
                    return None
                reply = work(connection)
            except (sqlite3.Error, OSError, _NewerSchemaError) as error:
                if create and not last and _is_damaged(error) and self._set_aside():
                    continue
                self._fail(error)
                return None
            if not self._unwritten:
                self._trouble = None
            return reply
        return None

    def _opened(self, *, create: bool) -> sqlite3.Connection | None:
        """Return the open file, None where there is none and none is to be made."""
        import sqlite3

        if self._connection is not None and _identity(self._path) != self._identity:
            self._close()  # somebody has removed or replaced it, and what is written there would be lost
        if self._connection is not None:
            return self._connection
        if _identity(self._path) is None:
            if not create:
                return None
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))  # SQLite gives its other files the same mode
        connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
        self._connection, self._identity, self._folded = connection, _identity(self._path), False
        try:
            _prepare(connection)
        except BaseException:
            self._close()
            raise
        return connection

    def _set_aside(self) -> bool:
        """Move a damaged file out of the way, unless another server has done so; say whether to go on with a new one."""
        damaged = self._identity is not None and _identity(self._path) == self._identity
        self._close()
        if not damaged:
            return True
        name = f"{self._path.stem}-damaged-{self._now():%Y%m%dT%H%M%S%fZ}{self._path.suffix}"
        try:
            # Its log goes first: beside a new file it would be taken for the new file's.
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self._path.with_name(self._path.name + suffix).rename(self._path.with_name(name + suffix))
        except OSError:
            return False
        self._damage = f"the usage ledger {self._path} was damaged; it is kept as {name}, and counting began anew"
        return True

    def _close(self) -> None:
        if self._connection is not None:
            import sqlite3

            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _fail(self, error: Exception) -> None:
        """Note what is wrong; the file is opened afresh next time, for what was wrong with it may be over."""
        self._close()
        if not _is_busy(error) or len(self._unwritten) >= _BUSY_TRIES:
            kept = "requests go on, and are counted in this process alone until it can be written"
            self._trouble = f"the usage ledger {self._path} {_explain(error)}; {kept}"


class _NewerSchemaError(Exception):
    """The file was written by a newer version, which alone knows what its columns mean."""


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring a file that was just opened to our schema; raises what is wrong with it."""
    import sqlite3

    if _version(connection) == 0:
        with _transaction(connection):
            if _version(connection) == 0:  # else another server was quicker
                for table in _TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
    # A change of the mode does not wait for others; it lasts, so whoever opens the file next makes it. Without it (on a
    # file system without shared memory, say) everything holds but that readers and writers wait for each other.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    # A row is safe from what kills the process, not from a power cut; the file is safe from both.
    # https://sqlite.org/pragma.html#pragma_synchronous
    connection.execute("PRAGMA synchronous = NORMAL")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise _NewerSchemaError
    return version


def _is_damaged(error: BaseException) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_busy(error: BaseException) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _explain(error: Exception) -> str:
    """Return what to say of the ledger."""
    import sqlite3

    if isinstance(error, _NewerSchemaError):
        return "was written by a newer version of Glossator and is left as it is: upgrade this one"
    if isinstance(error, OSError):
        return f"cannot be opened ({error.strerror or type(error).__name__})"
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # https://sqlite.org/rescode.html: the primary code
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "is held by another program"
        case sqlite3.SQLITE_FULL:
            return "cannot grow, the disk is full: make room"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return "cannot be written: see who may write to it and to its folder"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "is damaged and will be set aside when the next row is written"
        case _:
            return f"cannot be used ({error})"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _row(entry: Entry) -> tuple[Any, ...]:
    names = (entry.task, entry.kind, entry.provider, entry.model)
    tokens = (entry.input_tokens, entry.output_tokens, entry.cached_tokens, entry.reasoning_tokens)
    return (
        _milliseconds(entry.at),
        *(_name(name) for name in names),
        entry.local,
        _name(entry.outcome),
        _name(entry.split),
        *(None if count is None else max(0, min(count, _MOST_TOKENS)) for count in tokens),
        entry.dollars,
        entry.estimated,
        entry.seconds,
        entry.first_token_seconds,
    )


def _selected(entry: Entry) -> tuple[Any, ...]:
    """Return a row that is not written yet as `_ATTEMPTS` would select it."""
    at, task, _, provider, model, local, outcome, split, *tokens, dollars, estimated, seconds, first = _row(entry)
    counts = (*(count or 0 for count in tokens), dollars or 0.0, dollars is None, estimated)
    return (at, task, provider, model, local, outcome, split, 1, *counts, seconds, first)


def _name(text: str) -> str:
    # What is no character cannot be stored; a provider's own word may hold that too.
    return text[:_LONGEST_NAME].encode("utf-8", "replace").decode()


def _milliseconds(moment: datetime) -> int:
    return math.floor(moment.timestamp() * 1000)


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(slots=True)
class _Tally:
    """A line that is still being counted."""

    local: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    estimated: int = 0
    first_token: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def take(self, other: _Tally) -> None:
        self.local = self.local and other.local
        self.outcomes.update(other.outcomes)
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.dollars += other.dollars
        self.unpriced += other.unpriced
        self.estimated += other.estimated
        self.first_token += other.first_token
        self.whole += other.whole

    def line(self, name: str) -> Line:
        attempts = self.outcomes.total()
        return Line(
            name=name,
            local=self.local and attempts > 0,
            attempts=attempts,
            answered=self.outcomes[ANSWERED],
            cancelled=self.outcomes[CANCELLED],
            failures={kind: n for kind, n in self.outcomes.most_common() if kind not in (ANSWERED, CANCELLED)},
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            reasoning_tokens=self.reasoning_tokens,
            dollars=self.dollars,
            unpriced=self.unpriced,
            estimated=self.estimated,
            first_token=_durations(self.first_token),
            whole=_durations(self.whole),
        )


def _summarise(rows: Iterable[tuple[Any, ...]], by: By, zone: tzinfo | None) -> Summary:
    name_of = _days(zone) if by == "day" else operator.itemgetter(_PLACES[by])
    tallies: dict[str, _Tally] = {}
    # A year of rows goes through here: they are spelled out, and added once.
    for row in rows:
        _, _, _, _, local, outcome, _, attempts, asked, answered, cached, thought, dollars, unpriced, estimated = row[
            :15
        ]
        name = name_of(row)
        if not name:
            continue  # what belongs to no comparison
        tally = tallies.get(name)
        if tally is None:
            tally = tallies[name] = _Tally()
        tally.local = tally.local and bool(local)
        tally.outcomes[outcome] += attempts
        tally.input_tokens += asked
        tally.output_tokens += answered
        tally.cached_tokens += cached
        tally.reasoning_tokens += thought
        tally.dollars += dollars
        tally.unpriced += unpriced
        tally.estimated += estimated
        if outcome == ANSWERED:
            seconds, first_token_seconds = row[15:]
            if seconds is not None:
                tally.whole.append(seconds)
            if first_token_seconds is not None:
                tally.first_token.append(first_token_seconds)
    total = _Tally()
    for tally in tallies.values():
        total.take(tally)
    lines = [tally.line(name) for name, tally in sorted(tallies.items())]
    if by != "day":
        lines.sort(key=lambda line: (-line.dollars, -line.attempts))
    return Summary(tuple(lines), total.line("all"))


def _days(zone: tzinfo | None) -> Callable[[tuple[Any, ...]], str]:
    """Return what names the day of a row."""
    known: dict[int, str] = {}

    def name(row: tuple[Any, ...]) -> str:
        quarter = row[0] // _QUARTER
        if quarter not in known:
            known[quarter] = datetime.fromtimestamp(row[0] / 1000, tz=UTC).astimezone(zone).date().isoformat()
        return known[quarter]

    return name


def _durations(seconds: list[float]) -> Durations | None:
    if not seconds:
        return None
    ranked, number = sorted(seconds), len(seconds)
    return Durations((ranked[(number - 1) // 2] + ranked[number // 2]) / 2, ranked[math.ceil(0.95 * number) - 1])
