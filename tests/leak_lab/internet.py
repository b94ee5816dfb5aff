"""An internet of our own for one event loop: every name has an address here, and every address is one of our servers.

Only what goes through the loop is turned to it, as the product's connections all do; the watch over the test run (`audit`)
refuses whatever takes another way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NOWHERE = "203.0.113.254"  # of every name that nobody gave an address (RFC 5737: no real host has it)


@dataclass
class Internet:
    """Names with the addresses that they answer, one list for each look-up and the last one for ever; who serves where.

    `ports` says on which port of loopback the server really listens, by `address:port`; `trap` takes all the rest.
    """

    trap: int
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    record: str | None = None  # a file into which a child process writes the names that it asks for

    def dump(self) -> str:
        """Return all of it for a child process."""
        return json.dumps(asdict(self))

    def addresses(self, name: str) -> list[str]:
        """Answer one look-up of a name."""
        self.asked.append(name)
        if self.record is not None:
            with Path(self.record).open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
        answers = self.names.get(name.lower().rstrip("."), [["127.0.0.1"] if name == "localhost" else [NOWHERE]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def port(self, address: str, port: int) -> int | None:
        """Return where a connection to *address* really goes, None where it goes there itself: to this machine."""
        known = self.ports.get(f"{address}:{port}", self.ports.get(f"{address}:*"))
        if known is not None:
            return known
        return None if _literal(address).is_loopback else self.trap


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose connections end in an `Internet`; what it says of the other end is what a real one would."""

    def __init__(self, internet: Internet) -> None:
        super().__init__()
        self.internet = internet

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            addresses = [str(ipaddress.ip_address(name.partition("%")[0]))]
        except ValueError:
            addresses = self.internet.addresses(name)
        return [_info(address, int(port or 0)) for address in addresses]

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        if host is None:
            return await super().create_connection(protocol_factory, host, port, **more)
        ((_, _, _, _, (address, *_)), *_) = await self.getaddrinfo(host, port)
        real = self.internet.port(address, port)
        if real is None:
            return await super().create_connection(protocol_factory, address, port, **more)
        sock = _Elsewhere(address, port)
        sock.settimeout(0)
        try:
            await self.sock_connect(sock, ("127.0.0.1", real))
        except BaseException:
            sock.close()
            raise
        kept = {name: value for name, value in more.items() if name in {"ssl", "server_hostname"}}
        return await super().create_connection(protocol_factory, sock=sock, **kept)


class _Elsewhere(socket.socket):
    """A connection to loopback that says it ended where it was meant to end."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._named = (address, port)

    def getpeername(self) -> Any:
        return self._named


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops: for a child process that begins its loop itself."""

    def __init__(self, internet: Internet) -> None:
        super().__init__()
        self._internet = internet

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return Loop(self._internet)


def load(text: str) -> Internet:
    """Read what `dump` wrote."""
    return Internet(**json.loads(text))


def table(addresses: Mapping[str, Sequence[str]]) -> dict[str, list[list[str]]]:
    """Return names that always answer the same addresses."""
    return {name: [list(one)] for name, one in addresses.items()}


def _literal(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    literal = ipaddress.ip_address(address.partition("%")[0])
    return getattr(literal, "ipv4_mapped", None) or literal


def _info(address: str, port: int) -> Any:
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if six else (address, port))
