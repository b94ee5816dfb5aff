"""What has left this process, one line a request in hash-chained files that several servers append to: to whom, how much, from what; no content.

Each line is JSON and names the SHA-256 of the line before it, so whoever changes, removes, adds or moves a line breaks the
chain there. Beside the files lies `head`, the number and the hash of the last line: it tells of lines cut off at the end. Whoever
may write here may write all of it anew; a head that was noted elsewhere tells of that too.

A request has two lines: `sent` before its first byte leaves, `ended` when it is over. A line that a killed process left half
written stays as it is; the next line, `torn`, says how long it was and what its hash is. What the product removes itself when there is
much of it says `dropped`, and what could not be written is counted as `missed` by the first line that can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glossator_providers.catalog import Provider
from glossator_providers.errors import EgressDenied
from glossator_providers.model import Request, Usage
from glossator_providers.privacy import Cleared

EGRESS_FOLDER = "egress"  # in the folder for what Glossator remembers
LARGEST_FILE = 8 << 20  # bytes, from which on the next line begins another file
MOST_FILES = 50  # of which the oldest gives way

Price = Callable[[Usage, Provider, datetime], float | None]
"""Say what an answer has cost in dollars, None where nobody knows; may take its time."""

_FIRST = "0" * 64  # what the first line names as the hash before it
_HEAD = "head"
_HEAD_LINE = re.compile(rb"(\d{12}) ([0-9a-f]{64})\n")
_NAME = re.compile(r"\d{6}\.jsonl")
_TAIL = 1 << 20  # bytes; no line is longer
_PATIENCE = 2.0  # seconds for which another server may hold the files
_PAUSE = 0.005
_LONGEST_NAME = 200  # characters: a model's name is the provider's own word
_FRAGMENTS = 2_000  # told apart in one line
_HALF = 32  # hexadecimal digits of a keyed hash, 128 bits
_UNTOLD = Usage()


@dataclass(frozen=True, slots=True)
class Departure:
    """One request on its way out; `host` and `port` are those of its address, and *near* that it may only end on this machine."""

    provider: Provider
    cleared: Cleared
    method: str
    host: str
    port: int
    size: int  # bytes of the body
    near: bool
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a request ended: `peer` is where its connection was proven to end, `received` in bytes of the body."""

    outcome: str
    peer: str | None = None
    status: int | None = None
    received: int = 0
    usage: Usage = _UNTOLD


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place at which the files are not as they were written; `line` counts from 1, 0 is the file itself."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f', line {self.line}' if self.line else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` has found; `head` is the hash of the last line. Without `broken`, nothing was changed before it."""

    lines: int = 0
    requests: int = 0
    unended: int = 0  # requests whose end nobody wrote down: the process was killed, or they are under way
    torn: int = 0
    missed: int = 0
    dropped: int = 0  # files that gave way because there were many
    first: str | None = None
    last: str | None = None
    head: str = _FIRST
    broken: Broken | None = None


class EgressLedger:
    """The ledger in *folder*, which is made with the first line, for its owner alone.

    A thread of its own does the work. With *required*, nothing leaves the machine that could not be written down before;
    else `problem` says what is wrong and requests go on. *patience* is how many seconds other servers may hold the files.
    """

    def __init__(
        self,
        folder: Path,
        *,
        required: bool = False,
        price: Price | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
        random: Callable[[int], bytes] = secrets.token_bytes,
        largest: int = LARGEST_FILE,
        most: int = MOST_FILES,
        patience: float = _PATIENCE,
    ) -> None:
        self.problem: str | None = None
        self._folder = folder
        self._required = required
        self._price = price
        self._now = now
        self._random = random
        self._largest = largest
        self._most = most
        self._patience = patience
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="egress-ledger")
        self._closed = False
        # What follows belongs to the thread.
        self._missed = 0
        self._ending: dict[str, tuple[Departure, datetime]] = {}

    async def sent(self, departure: Departure) -> str:
        """Write that a request leaves now; return the name by which `ended` knows it.

        Raises EgressDenied where that cannot be written, must be, and the request would leave the machine.
        """
        work = asyncio.wrap_future(self._thread.submit(self._sent, departure))
        name, problem = await asyncio.shield(work)  # who stops waiting must not leave a line half told
        if problem is not None and self._required and not departure.near:
            raise EgressDenied(
                f"{problem}; privacy.require_ledger lets nothing leave the machine unrecorded, so nothing was sent"
            )
        return name

    def ended(self, name: str, arrival: Arrival) -> None:
        """Have it written how a request ended, without waiting."""
        if not self._closed:
            self._thread.submit(self._ended, name, arrival)

    async def aclose(self) -> None:
        """Wait until everything is written."""
        if not self._closed:
            self._closed = True
            await asyncio.shield(asyncio.wrap_future(self._thread.submit(lambda: None)))
            self._thread.shutdown(wait=False)

    def _sent(self, departure: Departure) -> tuple[str, str | None]:
        provider, cleared = departure.provider, departure.cleared
        name, at = self._random(8).hex(), self._now()
        self._ending[name] = departure, at
        told: dict[str, Any] = {
            "at": _time(at),
            "event": "sent",
            "id": name,
            "pid": os.getpid(),
            "task": cleared.request.task[:_LONGEST_NAME],
            "provider": provider.name[:_LONGEST_NAME],
            "kind": provider.row.kind,
            "model": provider.model[:_LONGEST_NAME],
            "method": departure.method,
            "host": departure.host[:_LONGEST_NAME],
            "port": departure.port,
            "local": departure.near,
            "level": cleared.decision.level.name.lower(),
            "bytes": departure.size,
            "redactions": cleared.request.masked,
        }
        if departure.proxied:
            told["proxied"] = True
        return name, self._append(
            lambda key: told | {"fragments": _fragments(cleared.request, key)}, safely=not departure.near
        )

    def _ended(self, name: str, arrival: Arrival) -> None:
        departure, began = self._ending.pop(name)
        at, usage = self._now(), arrival.usage
        told: dict[str, Any] = {
            "at": _time(at),
            "event": "ended",
            "id": name,
            "outcome": arrival.outcome,
            "peer": arrival.peer,
            "status": arrival.status,
            "received": arrival.received,
            "seconds": round((at - began).total_seconds(), 3),
        }
        if usage != _UNTOLD:
            told |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
            told["dollars"] = (
                0.0 if departure.near else self._price(usage, departure.provider, at) if self._price else None
            )
        self._append(lambda _: told, safely=False)

    def _append(self, make: Callable[[bytes], Mapping[str, Any]], *, safely: bool) -> str | None:
        """Append a line, with what must be told before it; return what is wrong where that fails."""
        try:
            _make_folder(self._folder)
            key = _key(self._folder, self._random)
            with _lock(self._folder / "lock", self._patience):
                writer = _Writer(self._folder, largest=self._largest, most=self._most)
                if self._missed:
                    writer.write({"at": _time(self._now()), "event": "missed", "lines": self._missed})
                    self._missed = 0
                writer.write(make(key), safely=safely)
        except OSError as error:
            self._missed += 1
            why = error.strerror or str(error) or type(error).__name__
            self.problem = f"the egress ledger in {self._folder} cannot be written ({why.lower()}); make it writable"
            return self.problem
        self.problem = None
        return None


class _Writer:
    """Appends lines; whoever makes one holds the lock."""

    def __init__(self, folder: Path, *, largest: int, most: int) -> None:
        self._folder = folder
        self._largest = largest
        self._most = most
        files = _files(folder)
        self._file = files[-1] if files else folder / "000001.jsonl"
        self._size = self._file.stat().st_size if files else 0
        self._number, self._previous, torn = _end_of(folder, files)
        if torn:
            with _opened(self._file, os.O_WRONLY | os.O_APPEND) as file:
                _write_all(file, b"\n")
            self._size += 1
            self.write({"event": "torn", "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})
        if self._size >= self._largest:
            self._file = folder / f"{int(self._file.stem) + 1:06}.jsonl"
            self._size = 0
            for old in files[: max(0, len(files) + 1 - most)]:
                last = _last_line(old)
                self.write({"event": "dropped", "file": old.name, "last": hashlib.sha256(last).hexdigest()})
                old.unlink()

    def write(self, told: Mapping[str, Any], *, safely: bool = False) -> None:
        """Append a line, and note it as the last; with *safely* it is on the disk when this returns."""
        numbered = {"n": self._number + 1, **told, "previous": self._previous}
        line = json.dumps(numbered, separators=(",", ":"), ensure_ascii=True).encode("ascii")
        with _opened(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            _write_all(file, line + b"\n")
            if safely:
                os.fsync(file)
        self._number, self._previous = self._number + 1, hashlib.sha256(line).hexdigest()
        self._size += len(line) + 1
        with _opened(self._folder / _HEAD, os.O_WRONLY | os.O_CREAT) as file:
            _write_all(file, f"{self._number:012} {self._previous}\n".encode("ascii"))


def verify(folder: Path, *, expected: str | None = None) -> Verified:
    """Prove that nothing in the ledger was changed, removed, added or moved since it was written, and that nothing is cut off.

    *expected* is the hash of a last line that was noted earlier: it must still be in the chain. Raises OSError.
    """
    if not folder.exists():
        broken = None if expected in {None, _FIRST} else Broken(str(folder), 0, "there is no ledger any more")
        return Verified(broken=broken)
    with contextlib.ExitStack() as stack:
        if os.access(folder, os.W_OK):  # else it is a copy, to which nobody writes
            stack.enter_context(_lock(folder / "lock", _PATIENCE))
        files = [(path, path.stat().st_size) for path in _files(folder)]
        head = _head(folder)
    return _Chain(expected).verify(files, head)  # what is written meanwhile comes behind these sizes


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each request as one object, what `sent` and `ended` say together, in the order in which they ended or were left.

    Lines that cannot be read are left out: `verify` tells of them. Raises OSError.
    """
    under_way: dict[str, dict[str, Any]] = {}
    for path in _files(folder):
        for line in path.read_bytes().splitlines():
            told = _parsed(line)
            name = told.get("id") if told is not None else None
            if told is None or not isinstance(name, str):
                continue
            if told.get("event") == "sent":
                under_way[name] = told
            elif name in under_way:
                ended = {key: value for key, value in told.items() if key not in {"n", "at", "event", "id", "previous"}}
                yield _request(under_way.pop(name)) | ended
    for told in under_way.values():
        yield _request(told) | {"outcome": None}


def fingerprint(folder: Path, text: str) -> str | None:
    """Return the hash that the ledger has for this text or URI, None where there is no ledger."""
    try:
        return _keyed((folder / "key").read_bytes(), text)
    except FileNotFoundError:
        return None


def _request(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key not in {"n", "event", "previous"}}


class _Chain:
    """Follows the chain from its first line to its head."""

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self._seen = expected in {None, _FIRST}
        self._found = Verified()
        self._open: set[str] = set()
        self._last: dict[str, Any] = {}  # the last line, empty before the first
        self._begins: tuple[str, str] | None = (
            None  # the first file that is there, and the hash that its first line names
        )
        self._dropped: dict[str, str] = {}

    def verify(self, files: list[tuple[Path, int]], head: tuple[int, str] | None) -> Verified:
        """Take all lines of these files, up to these sizes, and see whether the last is the one that *head* names."""
        for path, size in files:
            with path.open("rb") as file:
                lines = file.read(size).split(b"\n")
            rest = lines.pop()
            for place, line in enumerate(lines):
                if place + 1 < len(lines) and _tells_of(lines[place + 1], line):
                    continue  # a half line
                reason = self._take(line, path.name)
                if reason is not None:
                    return self._end(Broken(path.name, place + 1, reason))
            if rest and path != files[-1][0]:
                return self._end(Broken(path.name, len(lines) + 1, "a half line stands where others follow"))
            if rest:
                self._found = replace(self._found, torn=self._found.torn + 1)
        last = files[-1][0].name if files else _HEAD
        return self._end(self._cut_off(last, head) or self._removed() or self._unknown(last))

    def _take(self, line: bytes, file: str) -> str | None:
        """Take the next line into account; return what is wrong with it."""
        told = _parsed(line)
        if told is None:
            return "this is no line of the ledger"
        number, previous = told.get("n"), told.get("previous")
        if not isinstance(number, int) or not isinstance(previous, str):
            return "it has no number, or does not name the line before it"
        if not self._last:
            self._begins = file, previous
        elif number != self._last["n"] + 1:
            return f"it is line {number} of the ledger and stands behind line {self._last['n']}: lines are missing, or were moved"
        elif previous != self._found.head:
            return "the line before it was changed, or lines were taken out or put in between"
        self._last = told
        self._count(told, hashlib.sha256(line).hexdigest())
        return None

    def _count(self, told: Mapping[str, Any], head: str) -> None:
        found, at = self._found, told.get("at")
        event, name, lines = told["event"], str(told.get("id")), told.get("lines")
        if event == "sent":
            self._open.add(name)
        elif event == "ended":
            self._open.discard(name)
        elif event == "dropped":
            self._dropped[str(told.get("file"))] = str(told.get("last"))
        self._seen = self._seen or head == self._expected
        self._found = replace(
            found,
            lines=found.lines + 1,
            requests=found.requests + (event == "sent"),
            torn=found.torn + (event == "torn"),
            missed=found.missed + (lines if event == "missed" and isinstance(lines, int) else 0),
            first=found.first or at,
            last=at or found.last,
            head=head,
        )

    def _cut_off(self, last: str, head: tuple[int, str] | None) -> Broken | None:
        if head is None:
            return Broken(_HEAD, 0, "the note of the last line is missing or damaged") if self._last else None
        number, hashed = head
        here = self._last.get("n", 0)
        if (here, self._found.head) == head:
            return None
        if here == number + 1 and self._last["previous"] == hashed:
            return None  # between a line and its note in the head a process may have been killed
        if here < number:
            return Broken(last, 0, f"the ledger had {number} lines and ends after line {here}: the rest was cut off")
        return Broken(last, 0, "its last line is not the one that was written")

    def _removed(self) -> Broken | None:
        if self._begins is None or self._begins[1] in {_FIRST, *self._dropped.values()}:
            return None
        return Broken(self._begins[0], 1, "the files before it were removed, and not by glossator")

    def _unknown(self, last: str) -> Broken | None:
        if self._seen:
            return None
        return Broken(last, 0, "no line has the hash that was expected: the ledger was written anew, or cut off")

    def _end(self, broken: Broken | None) -> Verified:
        return replace(self._found, unended=len(self._open), dropped=len(self._dropped), broken=broken)


def _tells_of(line: bytes, torn: bytes) -> bool:
    """Say whether this line tells that the one before it was left half written."""
    told = _parsed(line)
    if told is None or told["event"] != "torn":
        return False
    return told.get("bytes") == len(torn) and told.get("sha256") == hashlib.sha256(torn).hexdigest()


def _end_of(folder: Path, files: list[Path]) -> tuple[int, str, bytes]:
    """Return the number and the hash that the next line builds on, and the half line that stands at the end.

    Where the last line is not the one that the head names, the head counts: what was cut off or changed must not be forgotten.
    """
    torn = b""
    number, hashed, previous = 0, _FIRST, ""
    if files:
        tail = _tail(files[-1])
        whole, _, torn = tail.rpartition(b"\n")
        line = whole.rpartition(b"\n")[2]
        if not line and len(files) > 1:
            line = _last_line(files[-2])
        told = _parsed(line)
        if told is not None and isinstance(told.get("n"), int):
            number, hashed, previous = told["n"], hashlib.sha256(line).hexdigest(), str(told.get("previous"))
    head = _head(folder)
    if head is None or head == (number, hashed) or (number == head[0] + 1 and previous == head[1]):
        return number, hashed, torn
    return *head, torn


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if _NAME.fullmatch(path.name))


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()


def _last_line(path: Path) -> bytes:
    return _tail(path).rpartition(b"\n")[0].rpartition(b"\n")[2]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("event"), str) else None


def _head(folder: Path) -> tuple[int, str] | None:
    try:
        found = _HEAD_LINE.fullmatch((folder / _HEAD).read_bytes())
    except FileNotFoundError:
        return None
    return None if found is None else (int(found[1]), found[2].decode("ascii"))


def _fragments(request: Request, key: bytes) -> list[dict[str, Any]]:
    """Return where the pieces of a request come from: kinds, and keyed hashes of what names and what holds them."""
    told = []
    for fragment in (fragment for message in request.messages for fragment in message.fragments):
        of = [_keyed(key, origin.uri) for origin in fragment.origins if origin.uri is not None]
        one: dict[str, Any] = {"origins": [str(origin.kind) for origin in fragment.origins]}
        told.append(one | ({"of": of} if of else {}) | {"text": _keyed(key, fragment.text)})
    return told if len(told) <= _FRAGMENTS else [*told[:_FRAGMENTS], {"more": len(told) - _FRAGMENTS}]


def _keyed(key: bytes, text: str) -> str:
    """Return a hash that nobody can guess from a list of likely names or lines."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_HALF]


def _key(folder: Path, random: Callable[[int], bytes]) -> bytes:
    path = folder / "key"
    with contextlib.suppress(FileNotFoundError):
        if len(key := path.read_bytes()) == 32:  # noqa: PLR2004  bytes, as long as the hash
            return key
        path.unlink()  # cut short by a full disk or a power failure: no line was made with it
    key = random(32)
    part = folder / f".key-{os.getpid()}"
    with _opened(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        _write_all(file, key)
    try:
        os.link(part, path)  # whole or not at all, and never over that of another server
    except FileExistsError:
        return path.read_bytes()
    finally:
        part.unlink()
    return key


def _make_folder(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file for its owner alone, and no link."""
    file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@contextlib.contextmanager
def _lock(path: Path, patience: float) -> Iterator[None]:
    """Hold the files alone; the system lets go of the lock of whoever dies. Raises TimeoutError."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as file:
        until = time.monotonic() + patience
        while not _try_lock(file):
            if time.monotonic() > until:
                raise TimeoutError("another program holds it")
            time.sleep(_PAUSE)
        yield  # closing the file lets go of it


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
