"""A raw editor for tests: JSON-RPC over a child's pipes or to a server in this loop; a scripted editor that can lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from glossator.lsp import boot, server
from glossator.lsp.application import Build
from glossator.lsp.capabilities import answer
from glossator.lsp.tcp import Connection
from glossator.lsp.wire import converse

DEADLINE = 20.0  # seconds; generous, because the machine may be busy
SILENT = object()  # a handler that returns this never answers


class Failed(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.code = error.get("code")
        self.message = error.get("message")


class Client:
    """One side of a connection: what comes is kept, nothing is lost, and each wait has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._write = write
        self._next = 0
        self._news = asyncio.Event()
        self.responses: dict[Any, list[dict[str, Any]]] = {}
        self.notifications: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.handlers: dict[str, Callable[[Any], Any]] = {}
        self.ended = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.exit_code: asyncio.Task[int] | None = None
        self._task = asyncio.create_task(self._read_all())

    async def _read_all(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await self._reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", header)
                assert length is not None, header
                self._take(json.loads(await self._reader.readexactly(int(length[1]))))
        self.ended.set()
        self._news.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self.responses.setdefault(message["id"], []).append(message)
        elif "id" in message:
            self.requests.append(message)
            handler = self.handlers.get(message["method"], lambda _: None)
            self._answer(message["id"], handler, message.get("params"))
        else:
            self.notifications.append(message)
            handler = self.handlers.get(message["method"], lambda _: None)
            handler(message.get("params"))
        self._news.set()

    def _answer(self, message_id: Any, handler: Callable[[Any], Any], params: Any) -> None:
        try:
            result = handler(params)
        except Failed as failure:
            self.send({"id": message_id, "error": {"code": failure.code, "message": failure.message}})
            return
        if result is not SILENT:
            self.send({"id": message_id, "result": result})

    def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._write(data)

    def send(self, message: Mapping[str, Any]) -> None:
        self.send_bytes(frame({"jsonrpc": "2.0", **message}))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"method": method, "params": params})

    def begin(self, method: str, params: Any = None) -> int:
        """Send a request; return its id."""
        self._next += 1
        self.send({"id": self._next, "method": method, "params": params})
        return self._next

    def pause(self) -> None:
        """Stop reading: the pipe fills up."""
        self._reader._transport.pause_reading()  # type: ignore[attr-defined]  # no other way to it

    def go_on(self) -> None:
        """Read again."""
        self._reader._transport.resume_reading()  # type: ignore[attr-defined]  # no other way to it

    async def response(self, message_id: Any) -> Any:
        """Wait for the answer to a request; raise `Failed` if it is an error."""
        await self.until(lambda: message_id in self.responses or self.ended.is_set())
        assert message_id in self.responses, "the server ended without an answer"
        message = self.responses[message_id][0]
        if "error" in message:
            raise Failed(message["error"])
        return message["result"]

    async def request(self, method: str, params: Any = None) -> Any:
        return await self.response(self.begin(method, params))

    async def until(self, condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
        """Wait until *condition* holds; it is looked at after each message."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def happens(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Say whether *condition* comes to hold within *seconds*."""
        try:
            await self.until(condition, seconds)
        except TimeoutError:
            return False
        return True

    def heard(self, method: str) -> list[Any]:
        """Return the params of all notifications of *method* so far."""
        return [one.get("params") for one in self.notifications if one["method"] == method]

    def asked(self, method: str) -> list[Any]:
        """Return the params of all requests of *method* by the server so far."""
        return [one.get("params") for one in self.requests if one["method"] == method]

    async def notification(self, method: str, matching: Callable[[Any], bool] = lambda _: True) -> Any:
        """Wait for a notification; return its params."""
        await self.until(lambda: any(matching(one) for one in self.heard(method)))
        return next(one for one in self.heard(method) if matching(one))

    async def initialize(self, capabilities: Mapping[str, Any] | None = None, **params: Any) -> Any:
        """Do the opening handshake; return the server's answer."""
        given = {"processId": None, "rootUri": None, "capabilities": capabilities or {}, **params}
        result = await self.request("initialize", given)
        self.notify("initialized", {})
        return result

    async def leave(self) -> int:
        """Do the closing handshake; return the exit code."""
        await self.request("shutdown")
        self.notify("exit")
        return await self.code()

    async def code(self) -> int:
        """Wait for the end of the server; return its exit code."""
        assert self.exit_code is not None
        return await asyncio.wait_for(asyncio.shield(self.exit_code), DEADLINE)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


def frame(message: Mapping[str, Any]) -> bytes:
    """Return a message with its header, as an editor writes it: in UTF-8."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@contextlib.asynccontextmanager
async def spawn(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, stderr: Any = None
) -> AsyncIterator[Client]:
    """Run a language server as a child process."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **(environment or {})},
        limit=1 << 16,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    client = Client(process.stdout, process.stdin.write)
    client.process = process
    client.exit_code = asyncio.create_task(process.wait())
    try:
        yield client
    finally:
        await client.close()
        if process.returncode is None:
            process.kill()
        await client.exit_code
        process._transport.close()  # type: ignore[attr-defined]  # else its pipes are reported as left open


@contextlib.asynccontextmanager
async def in_process(build: Build, *, environment: Mapping[str, str] | None = None) -> AsyncIterator[Client]:
    """Run our server in this loop, over a pair of sockets."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    client = Client(reader, writer.write)
    channel = Connection(theirs)

    async def serve() -> int:
        greeting = await asyncio.to_thread(boot.greet, channel, answer)
        if isinstance(greeting, int):
            channel.close()
            return greeting
        language_server, connection = server.connect(greeting, build=build, environment=environment or {})
        return await converse(language_server, channel, greeting, close=connection.close)

    client.exit_code = asyncio.create_task(serve())
    try:
        yield client
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await client.close()
        await asyncio.wait_for(client.exit_code, DEADLINE)


PYTHON = sys.executable


class Editor:
    """Documents as an editor keeps them, in its own units; its conversions share nothing with the server's.

    `manner` is how it takes `workspace/applyEdit`:
    `honest` checks the version; `refuse` answers false; `error` answers a JSON-RPC error; `lie` says that it did and
    does not; `silent` applies and never answers; `mute` does neither; `deny` applies and says that it did not.
    """

    def __init__(self, client: Client, *, encoding: str = "utf-16", manner: str = "honest") -> None:
        self.client = client
        self.encoding = encoding
        self.manner = manner
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.edits: list[dict[str, Any]] = []
        self.before_edit: Callable[[], None] = lambda: None
        client.handlers["workspace/applyEdit"] = self._apply

    def open(self, uri: str, text: str, *, language: str = "python", version: int = 0) -> None:
        self.texts[uri], self.versions[uri] = text, version
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.client.notify("textDocument/didOpen", {"textDocument": item})

    def close(self, uri: str) -> None:
        del self.texts[uri]
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def type(self, uri: str, start: int, end: int, text: str) -> None:
        """Replace characters *start* to *end* and tell the server."""
        old = self.texts[uri]
        range_ = {"start": self.position(uri, start), "end": self.position(uri, end)}
        self.texts[uri] = old[:start] + text + old[end:]
        self._tell(uri, [{"range": range_, "text": text}])

    def position(self, uri: str, offset: int) -> dict[str, int]:
        """Return the position of the character at *offset*, counted one by one."""
        line, start = 0, 0
        text = self.texts[uri]
        for match in re.finditer(r"\r\n|\r|\n", text):
            if match.end() <= offset:
                line, start = line + 1, match.end()
        return {"line": line, "character": sum(self._units(one) for one in text[start:offset])}

    def offset(self, uri: str, position: Mapping[str, int]) -> int:
        """Return the offset of *position*; inverse of `position`."""
        text = self.texts[uri]
        starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
        offset, units = starts[position["line"]], position["character"]
        while units > 0:
            units -= self._units(text[offset])
            offset += 1
        assert units == 0, "a position inside of a character"
        return offset

    def place(self, uri: str, text: str) -> dict[str, Any]:
        """Return the range of the first *text* in a document."""
        start = self.texts[uri].index(text)
        return {"start": self.position(uri, start), "end": self.position(uri, start + len(text))}

    def _units(self, character: str) -> int:
        if self.encoding == "utf-32":
            return 1
        if self.encoding == "utf-8":
            return len(character.encode())
        return len(character.encode("utf-16-le")) // 2

    def _tell(self, uri: str, changes: Sequence[Mapping[str, Any]]) -> None:
        self.versions[uri] += 1
        identifier = {"uri": uri, "version": self.versions[uri]}
        self.client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": list(changes)})

    def _apply(self, params: Mapping[str, Any]) -> Any:
        self.edits.append(dict(params))
        self.before_edit()
        (change,) = params["edit"]["documentChanges"]
        uri, version = change["textDocument"]["uri"], change["textDocument"]["version"]
        assert isinstance(version, int)
        stale = self.versions.get(uri) != version
        if self.manner == "refuse" or (stale and self.manner == "honest"):
            return {"applied": False}
        if self.manner == "error":
            raise Failed({"code": -32603, "message": "Edit is not for this version"})
        if self.manner == "lie" or stale:
            return {"applied": True}
        if self.manner == "mute":
            return SILENT
        self.make(uri, change["edits"])
        if self.manner == "silent":
            return SILENT
        return {"applied": self.manner != "deny"}

    def make(self, uri: str, edits: Sequence[Mapping[str, Any]]) -> None:
        """Make the edits of one change and tell the server of each, last first, as editors do."""
        changes: list[dict[str, Any]] = []
        places = [
            (self.offset(uri, edit["range"]["start"]), self.offset(uri, edit["range"]["end"]), edit) for edit in edits
        ]
        for start, end, edit in sorted(places, key=lambda one: one[0], reverse=True):
            text = self.texts[uri]
            changes.append({"range": edit["range"], "text": edit["newText"]})
            self.texts[uri] = text[:start] + edit["newText"] + text[end:]
        self._tell(uri, changes)
