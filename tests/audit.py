"""Watch every connection that Python code of the test run tries to open, and refuse those that leave it (PEP 578 audit hook)."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_CHILD = Path(__file__).resolve().parent / "audit_child"
_RECORD = "GLOSSATOR_TEST_CONNECTIONS"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that was tried; `refused` says why it was not let through, None where it was."""

    event: str
    address: str
    refused: str | None = None

    def __str__(self) -> str:
        return f"{self.event} {self.address}" + (f": {self.refused}" if self.refused else "")


class ConnectionForbidden(RuntimeError):
    """A test's code tried to reach an address that the test run did not start."""


class Watch:
    """What was tried, and which ports of this machine belong to the test run."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._started: set[int] = set()
        self._bound: weakref.WeakSet[Any] = weakref.WeakSet()

    def started(self, port: int) -> None:
        """Let tests connect to *port* of loopback: one of them started the server there, or knows that none listens."""
        self._started.add(port)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take one audit event; raise `ConnectionForbidden` where it must not go on."""
        if event == "socket.bind":
            self._bound.add(arguments[0])
            return
        if event in _CONNECTING:
            address = arguments[1]
            refused = self._judge_connection(address)
        elif event in _RESOLVING:
            address = arguments[0]
            refused = _judge_name(address)
        else:
            return
        self.attempts.append(Attempt(event, _spell(address), refused))
        if refused:
            raise ConnectionForbidden(f"{event} to {_spell(address)} was refused: {refused}")

    def _judge_connection(self, address: object) -> str | None:
        if isinstance(address, (str, bytes)) or address is None:
            return None  # a Unix socket; or a datagram socket that is connected already
        if not isinstance(address, tuple) or len(address) < 2:
            return "only TCP, UDP and Unix sockets are known here"
        host, port = address[0], address[1]
        if not is_loopback(str(host)):
            return "it is not this machine"
        if port in self._started or self._ours(port):
            return None
        return (
            "no server of this test run listens there; if a child process does, call the fixture started_server(port)"
        )

    def _ours(self, port: int) -> bool:
        for bound in list(self._bound):
            try:
                name = bound.getsockname()
            except OSError:
                continue  # closed meanwhile
            if isinstance(name, tuple) and len(name) >= 2:
                self._started.add(name[1])
        return port in self._started or port in _ports_of_descendants(os.getpid())


def is_loopback(host: str) -> bool:
    """Say whether a literal address is this machine's own; a name never is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _judge_name(name: object) -> str | None:
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    if text is None or text in {"", "localhost"} or not isinstance(text, str):
        return None
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        if all(part.isalnum() for part in text.split(".")) and text[0].isdigit():
            return None  # 127.1, 2130706433, 0x7f.1: spellings of an address, no question to a name server
        return "it asks a name server, and tests have no network"
    return None


def _spell(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return os.fsdecode(address) if isinstance(address, (str, bytes)) else str(address)


def _ports_of_descendants(pid: int) -> set[int]:
    """Return the TCP ports on which children of this process listen, as far as the system tells (Linux)."""
    listening: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(table)[1:]:
            fields = line.split()
            if fields[3] == "0A":  # TCP_LISTEN
                listening[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    ports: set[int] = set()
    waiting = [str(pid)]
    while waiting and listening:
        process = waiting.pop()
        ports.update(listening[link] for link in _links(f"/proc/{process}/fd") if link in listening)
        for task in _names(f"/proc/{process}/task"):
            waiting.extend(" ".join(_lines(f"/proc/{process}/task/{task}/children")).split())
    return ports


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("ascii").splitlines()
    except OSError:
        return []


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  names are wanted, thousands of times
    except OSError:
        return []


def _links(folder: str) -> Iterable[str]:
    for name in _names(folder):
        try:
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115  a socket is no path
        except OSError:
            continue


def install() -> Watch:
    """Install the hook, once in a process: audit hooks stay until it ends."""
    present: Watch | None = getattr(sys, "_glossator_watch", None)
    if present is None:
        present = Watch()
        sys._glossator_watch = present  # type: ignore[attr-defined]  # survives a second import under another name
        sys.addaudithook(present.audit)
    return present


@dataclass(frozen=True, slots=True)
class WatchedChild:
    """How to start a child Python under the same watch: pass `environment`, and read what it tried afterwards."""

    environment: Mapping[str, str]
    record: Path

    def attempts(self) -> list[Attempt]:
        """Return what the child, and Python children of its own, tried so far, in order."""
        if not self.record.exists():
            return []
        return [Attempt(**json.loads(line)) for line in self.record.read_text("utf-8").splitlines()]

    @property
    def watching(self) -> bool:
        """Whether a child has installed the hook at all: an empty list proves nothing without it."""
        return self.record.exists()


def watch_child(record: Path, environment: Mapping[str, str] = os.environ) -> WatchedChild:
    """Return the environment in which a child Python writes what it tries to connect to into *record*."""
    path = os.pathsep.join(part for part in (str(_CHILD), environment.get("PYTHONPATH", "")) if part)
    return WatchedChild({**environment, "PYTHONPATH": path, _RECORD: str(record)}, record)
