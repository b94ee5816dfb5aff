"""An editor in miniature: starts the real server as an editor would, and speaks LSP with it over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from glossator_providers.errors import GlossatorError

DEADLINE = 60.0  # seconds for one answer: a model file of a hundred megabytes is read in the meantime
SECONDS_TO_LEAVE = 5.0
STARTING_ROUNDS = 30  # questions for the status; the server waits up to a second with each answer
STREAM_LIMIT = 1 << 24  # bytes of one line of a header; far above what the server sends


class ServerFailed(GlossatorError):
    """The server ended, or answered with an error, or did not answer."""


class Editor:
    """One open document and one server. `text` and `version` are the document as it stands, edits included.

    `on_stream` is called with each message of a running answer.
    """

    def __init__(self, process: asyncio.subprocess.Process, uri: str, text: str) -> None:
        self.uri = uri
        self.text = text
        self.version = 1
        self.messages: list[str] = []
        self.on_stream: Callable[[Mapping[str, Any]], None] = lambda _: None
        self._process = process
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ends: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def request(self, method: str, params: Any) -> Any:
        """Ask the server and return its answer."""
        self._number += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        try:
            return await asyncio.wait_for(answer, DEADLINE)
        except TimeoutError:
            raise ServerFailed(f"the server did not answer {method} within {DEADLINE:g} s") from None

    async def notify(self, method: str, params: Any) -> None:
        """Tell the server something."""
        await self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def finish(self) -> Mapping[str, Any]:
        """Wait for the running task; return the last message of its stream."""
        try:
            return await asyncio.wait_for(self._ends.get(), DEADLINE)
        except TimeoutError:
            raise ServerFailed(f"the task did not end within {DEADLINE:g} s") from None

    async def wait_until_ready(self) -> None:
        """Wait until the server has read its configuration: it answers before, but says less."""
        for _ in range(STARTING_ROUNDS):
            status = await self.request("glossator/status", {})
            if "providers" in status:
                return
        raise ServerFailed("the server does not get ready")

    async def close(self) -> None:
        """Leave as an editor does; a server that stays is ended."""
        try:
            async with asyncio.timeout(SECONDS_TO_LEAVE):
                # It may be leaving by itself: Ctrl-C reaches it, too.
                with contextlib.suppress(ServerFailed, ConnectionError):
                    await self.request("shutdown", None)
                    await self.notify("exit", None)
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        finally:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        data = json.dumps(message).encode()
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
            await self._process.stdin.drain()
        except ConnectionError:
            raise ServerFailed("the server has ended") from None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                head = await self._process.stdout.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
                await self._take(json.loads(await self._process.stdout.readexactly(int(fields[b"Content-Length"]))))
        except (asyncio.IncompleteReadError, ConnectionError, ServerFailed):
            gone = ServerFailed("the server has ended")
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(gone)
            await self._ends.put({"kind": "end", "error": {"message": str(gone)}})

    async def _take(self, message: Mapping[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method is None:
            answer = self._answers.pop(int(message["id"]), None)
            if answer is not None and not answer.done():
                if (error := message.get("error")) is not None:
                    answer.set_exception(ServerFailed(str(error.get("message"))))
                else:
                    answer.set_result(message.get("result"))
        elif number is not None:
            result = self._apply(message["params"]) if method == "workspace/applyEdit" else None
            await self._send({"jsonrpc": "2.0", "id": number, "result": result})
            if method == "workspace/applyEdit":
                await self._tell_change()
        elif method == "glossator/stream":
            params = message["params"]
            self.on_stream(params)
            if params["kind"] == "end":
                await self._ends.put(params)
        elif method == "window/showMessage":
            self.messages.append(str(message["params"]["message"]))

    def _apply(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make an edit as an editor does: from the last place to the first, in UTF-16 or whatever was agreed on."""
        edit = params["edit"]
        edits = [one for change in edit.get("documentChanges", ()) for one in change["edits"]]
        edits += [one for changes in edit.get("changes", {}).values() for one in changes]
        for one in sorted(edits, key=_start, reverse=True):
            start, end = (self._offset(one["range"][side]) for side in ("start", "end"))
            self.text = self.text[:start] + one["newText"] + self.text[end:]
        return {"applied": True}

    async def _tell_change(self) -> None:
        self.version += 1
        await self.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": self.uri, "version": self.version}, "contentChanges": [{"text": self.text}]},
        )

    def _offset(self, position: Mapping[str, int]) -> int:
        """Return a place in the text; we agreed on UTF-32, so a character is one code point."""
        lines = self.text.split("\n")
        return sum(len(line) + 1 for line in lines[: position["line"]]) + position["character"]


def _start(edit: Mapping[str, Any]) -> tuple[int, int]:
    start = edit["range"]["start"]
    return start["line"], start["character"]


@asynccontextmanager
async def editor(file: Path, text: str, environment: Mapping[str, str]) -> AsyncIterator[Editor]:
    """Start the server in *environment*, open *file* with its *text* in it, and leave it again at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "glossator",
        "serve",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environment),
        limit=STREAM_LIMIT,
    )
    opened = Editor(process, file.as_uri(), text)
    try:
        await opened.request("initialize", _greeting(file.parent))
        await opened.notify("initialized", {})
        document = {"uri": opened.uri, "languageId": "python", "version": opened.version, "text": opened.text}
        await opened.notify("textDocument/didOpen", {"textDocument": document})
        yield opened
    finally:
        await opened.close()


def _greeting(root: Path) -> dict[str, Any]:
    return {
        "processId": None,
        "clientInfo": {"name": "glossator demo"},
        "rootUri": root.as_uri(),
        "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}],
        "capabilities": {
            "general": {"positionEncodings": ["utf-32"]},
            "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
            "textDocument": {
                "hover": {"contentFormat": ["markdown"]},
                "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor"]}}},
            },
            "experimental": {"glossator": {"version": 1, "stream": True}},
        },
    }
