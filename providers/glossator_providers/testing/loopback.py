"""A server on loopback that takes whole HTTP requests, and counts its connections."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# Nothing in a test takes this long: a test that would wait for ever fails with a sentence instead.
DEADLINE = 10.0  # seconds

_TLS_HANDSHAKE = b"\x16\x03"  # the first bytes of a client that speaks TLS (RFC 8446, 5.1)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it came in; header names are in lower case, `raw` is every byte of it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes
    peer: str

    @property
    def json(self) -> Any:
        """The body as JSON, None where there is no body."""
        return json.loads(self.body) if self.body else None


class LoopbackServer:
    """Accept connections on a free loopback port (or a Unix socket), count them and hand over whole requests.

    With *tls* it speaks TLS with that context's certificate, and its origin begins with https.
    """

    def __init__(self, *, socket: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.port = 0
        self._socket = socket
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mistakes: list[Exception] = []

    async def __aenter__(self) -> Self:
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._accept, path=str(self._socket))
        else:
            self._server = await asyncio.start_server(self._accept, host="127.0.0.1", port=0, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if error is None and self._mistakes:
            raise self._mistakes[0]

    @property
    def origin(self) -> str:
        """The address of the server, without a path."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._writers)

    async def stop(self) -> None:
        """Drop every connection and refuse new ones, as a server that was killed."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def start_task(self, work: Awaitable[None]) -> None:
        """Run work that ends with the server; what it raises is raised again when the server is left."""

        async def run() -> None:
            try:
                await work
            except Exception as mistake:  # noqa: BLE001  the script of a test may fail in any way
                self._mistakes.append(mistake)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def received(self, request: HttpRequest, writer: asyncio.StreamWriter, closed: asyncio.Future[None]) -> None:
        """Take one request; `closed` is done once the connection is."""
        raise NotImplementedError

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        peer = writer.get_extra_info("peername")
        buffer = bytearray()
        try:
            # We never stop reading: that is how a client that hangs up in mid-answer is noticed at once.
            while data := await reader.read(65536):
                buffer += data
                if buffer.startswith(_TLS_HANDSHAKE):
                    writer.write(head(400, {"connection": "close", "content-length": "0"}))  # as nginx does
                    break
                while (request := _take_request(buffer, peer=str(peer))) is not None:
                    await self.received(request, writer, closed)
        except (ConnectionError, asyncio.CancelledError):
            pass  # both are an end of the connection, which `closed` tells
        finally:
            if not closed.done():
                closed.set_result(None)
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return the first lines of a response, up to its body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase(status)}\r\n{lines}\r\n".encode("latin-1")


def phrase(status: int) -> str:
    """Return the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Other"  # providers use numbers of their own, such as 529


def _take_request(buffer: bytearray, *, peer: str) -> HttpRequest | None:
    """Remove one whole request from the front of *buffer*, or return None until there is one (RFC 9112)."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = end + 4 + int(headers.get("content-length", "0"))
    if len(buffer) < size:
        return None
    raw = bytes(buffer[:size])
    del buffer[:size]
    return HttpRequest(method, path, headers, raw[end + 4 :], raw, peer)
