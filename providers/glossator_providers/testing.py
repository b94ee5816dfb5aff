"""A model provider on strings: a real HTTP server on loopback, in the wire of a real provider, driven by hand from a test.

    async with FakeProvider("openai-compatible") as fake:
        task = asyncio.create_task(something_that_asks(fake.base_url))
        asked = await fake.asked()
        await asked.say("Hello")
        await asked.finish()

Every fault that a provider has shown in the wild can be played: see the methods of `Asked`. `Replay` serves recorded bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

Wire = Literal["openai", "anthropic", "ollama"]
Respond = Callable[["Asked"], Awaitable[None]]

# Nothing in a test takes this long: a test that would wait for ever fails with a sentence instead.
DEADLINE = 10.0  # seconds

_CONTENT_TYPES: Mapping[Wire, str] = {
    "openai": "text/event-stream",
    "anthropic": "text/event-stream",
    "ollama": "application/x-ndjson",
}
# Bytes that keep a connection alive without being part of an answer, as each provider really sends them.
_KEEP_ALIVES: Mapping[Wire, bytes] = {
    "openai": b": keep-alive\n\n",
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "ollama": b"\n",
}
_FINISH_WORDS: Mapping[Wire, Mapping[str, str]] = {
    "openai": {"stop": "stop", "length": "length", "refused": "content_filter"},
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "refused": "refusal"},
    "ollama": {"stop": "stop", "length": "length", "refused": "stop"},
}


def wire_of(kind: str) -> Wire:
    """Return the wire that providers of this catalog kind speak."""
    match kind:
        case "anthropic" | "ollama":
            return kind
        case _:
            return "openai"


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


class _LoopbackServer:
    """Accept connections on a free loopback port (or a Unix socket), count them and hand over whole requests."""

    def __init__(self, *, socket: Path | None = None) -> None:
        self.connections = 0
        self.port = 0
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mistakes: list[Exception] = []

    async def __aenter__(self) -> Self:
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._accept, path=str(self._socket))
        else:
            self._server = await asyncio.start_server(self._accept, host="127.0.0.1", port=0)
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
        return f"http://127.0.0.1:{self.port}"

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


class Asked:
    """One request that a client made of a fake provider, and the ways to answer it.

    `closed` is done when the connection is: `await asked.closed` waits for the client to hang up.
    """

    def __init__(
        self, request: HttpRequest, writer: asyncio.StreamWriter, closed: asyncio.Future[None], *, wire: Wire
    ) -> None:
        self.request = request
        self.closed = closed
        self.wire = wire
        self._writer = writer
        self._began = False
        self._spoke = False
        self._block: str | None = None
        self._block_index = -1
        self._text: list[str] = []

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def raw(self) -> bytes:
        return self.request.raw

    @property
    def json(self) -> Any:
        return self.request.json

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str((self.json or {}).get("model", "fake-model"))

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for; Ollama streams unless told not to."""
        return bool((self.json or {}).get("stream", self.wire == "ollama"))

    async def say(self, text: str) -> None:
        """Send a piece of the answer; a client that asked for no stream gets all of it in `finish`."""
        self._text.append(text)
        if self.stream:
            await self._open_block("text")
            await self.send(_text_event(self.wire, self.model, text, self._block_index))

    async def think(self, text: str) -> None:
        """Send a piece of what the model thinks aloud; streams only."""
        await self._open_block("thinking")
        await self.send(_reasoning_event(self.wire, self.model, text, self._block_index))

    async def finish(
        self, reason: str = "stop", *, input_tokens: int = 7, output_tokens: int = 5, remote_host: str | None = None
    ) -> None:
        """End the answer properly; `reason` is `stop`, `length`, `refused` or a provider's own word."""
        word = _FINISH_WORDS[self.wire].get(reason, reason)
        if self.stream:
            await self._open_block(None)
            await self.send(_end_events(self.wire, self.model, word, (input_tokens, output_tokens)))
            await self.end()
            return
        answer = _whole_answer(self.wire, self.model, "".join(self._text), word, (input_tokens, output_tokens))
        if remote_host is not None:
            answer |= {"remote_host": remote_host, "remote_model": self.model}
        await self.reply(200, json.dumps(answer))

    async def answer(self, *pieces: str) -> None:
        """Say each piece, then finish."""
        for piece in pieces:
            await self.say(piece)
        await self.finish()

    async def fail(
        self, status: int, body: bytes | str | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with an error; a mapping is sent as JSON, an empty body becomes the wire's own error envelope."""
        if not body:
            body = _error_body(self.wire, _phrase(status).lower().replace(" ", "_"))
        await self.reply(status, json.dumps(body) if isinstance(body, Mapping) else body, headers)

    async def fail_in_stream(self, message: str = "Overloaded", code: str = "overloaded_error") -> None:
        """Report an error after HTTP 200, as overloaded providers do, and end."""
        await self._open_stream()
        match self.wire:
            case "openai":
                error = {"error": {"message": message, "type": code, "code": code}}
                await self.send(f"data: {json.dumps(error)}\n\n".encode())
            case "anthropic":
                await self.send(_sse("error", {"type": "error", "error": {"type": code, "message": message}}))
            case "ollama":
                await self.send(json.dumps({"error": message}).encode() + b"\n")
        await self.end()

    async def forward(self, remote_host: str, text: str = "from afar") -> None:
        """Answer as an Ollama that forwarded the request to another machine; Ollama's wire only."""
        assert self.wire == "ollama"
        line = _ollama_line(self.model, text) | {"remote_host": remote_host, "remote_model": self.model}
        await self.start()
        await self.send(json.dumps(line).encode() + b"\n")

    async def reply(self, status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response at once."""
        content = body.encode() if isinstance(body, str) else body
        fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        self._began = True
        await self._write(_head(status, fields) + content)

    async def start(self, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status and the headers of a stream, and nothing of its body; does nothing the second time."""
        if not self._began:
            self._began = True
            fields = {"content-type": _CONTENT_TYPES[self.wire], "transfer-encoding": "chunked", **(headers or {})}
            await self._write(_head(status, fields))

    async def send(self, data: bytes) -> None:
        """Send these bytes of a stream's body: garbage, half a character, anything."""
        await self.start()
        if data:
            await self._write(b"%x\r\n%s\r\n" % (len(data), data))

    async def drip(self, data: bytes) -> None:
        """Send bytes of a stream's body one by one."""
        for index in range(len(data)):
            await self.send(data[index : index + 1])
            await asyncio.sleep(0)

    async def keep_alive(self) -> None:
        """Send what this wire sends to keep a connection open: bytes, but no progress."""
        await self.send(_KEEP_ALIVES[self.wire])

    async def flood(self, size: int, piece: bytes = b"x" * 65536) -> None:
        """Send about `size` bytes that never end a line, for as long as the client reads them."""
        for _ in range(size // len(piece)):
            if self.closed.done():
                return
            await self.send(piece)

    async def end(self) -> None:
        """End the body cleanly, whether or not the protocol's last event was sent."""
        await self.start()
        await self._write(b"0\r\n\r\n")

    def drop(self) -> None:
        """Close the connection, wherever the answer is: before the headers, after them or in the middle."""
        self._writer.close()

    async def _open_stream(self) -> None:
        if not self._spoke:
            self._spoke = True
            await self.send(_first_events(self.wire, self.model))

    async def _open_block(self, kind: str | None) -> None:
        """Begin a block of text or thinking, ending the one before: only Anthropic's wire has them."""
        await self._open_stream()
        if self.wire != "anthropic" or kind == self._block:
            return
        if self._block is not None:
            await self.send(_sse("content_block_stop", {"type": "content_block_stop", "index": self._block_index}))
        self._block = kind
        if kind is not None:
            self._block_index += 1
            block = {
                "type": "content_block_start",
                "index": self._block_index,
                "content_block": {"type": kind, kind: ""},
            }
            await self.send(_sse("content_block_start", block))

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing() or self.closed.done():
            return  # the client is gone: what it does not read is nobody's fault
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            pass  # as above; `closed` tells it


class FakeProvider(_LoopbackServer):
    """A provider of a kind (`openai-compatible`, `anthropic`, `ollama`, or any other catalog kind) on loopback.

    Lists of models are answered from `models`; everything else waits in `asked()`, or goes to *respond* where one is given.
    `connections` counts every connection ever opened, `requests` keeps every request including those for models.
    """

    def __init__(
        self,
        kind: str = "openai-compatible",
        *,
        models: tuple[str, ...] = ("fake-model",),
        remote_models: tuple[str, ...] = (),
        respond: Respond | None = None,
        socket: Path | None = None,
    ) -> None:
        super().__init__(socket=socket)
        self.kind = kind
        self.wire = wire_of(kind)
        self.models = models
        self.remote_models = remote_models
        self.requests: list[HttpRequest] = []
        self._respond = respond
        self._waiting: asyncio.Queue[Asked] = asyncio.Queue()

    @property
    def base_url(self) -> str:
        """What a user would write in the configuration for this server."""
        return f"{self.origin}/v1" if self.wire == "openai" else self.origin

    async def asked(self, seconds: float = DEADLINE) -> Asked:
        """Return the next request for an answer; fails when none comes within `seconds`."""
        try:
            return await asyncio.wait_for(self._waiting.get(), seconds)
        except TimeoutError:
            raise AssertionError(f"nobody asked the fake {self.kind} within {seconds:g} s") from None

    @property
    def waiting(self) -> int:
        """How many requests nobody has taken with `asked()` yet."""
        return self._waiting.qsize()

    async def received(self, request: HttpRequest, writer: asyncio.StreamWriter, closed: asyncio.Future[None]) -> None:
        self.requests.append(request)
        asked = Asked(request, writer, closed, wire=self.wire)
        path = request.path.partition("?")[0]
        if request.method == "GET" and path.endswith(("/models", "/api/tags")):
            await asked.reply(200, json.dumps(_model_list(self.wire, self.models, self.remote_models)))
        elif request.method == "GET":
            await asked.reply(404, _error_body(self.wire, "not found"))
        elif self._respond is not None:
            self.start_task(self._play(self._respond, asked))
        else:
            self._waiting.put_nowait(asked)

    async def _play(self, respond: Respond, asked: Asked) -> None:
        try:
            await respond(asked)
        except Exception:
            asked.drop()  # else the client would wait for an answer that will not come
            raise


class Replay(_LoopbackServer):
    """Serve one recorded response for whatever is asked, its body in pieces of `piece` bytes.

    *abort* drops the connection at the end of the bytes, as the recording did, instead of ending the body.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, *, piece: int = 1371, abort: bool = False
    ) -> None:
        super().__init__()
        self.requests: list[HttpRequest] = []
        self._head = (status, {name.lower(): value for name, value in headers.items()})
        self._pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
        self._abort = abort

    @classmethod
    def of(cls, case: Path, *, piece: int = 1371) -> Self:
        """Serve a recorded case: a folder with `response.json` (status, headers, transfer.abort) and `response.body`."""
        response = json.loads((case / "response.json").read_bytes())
        abort = bool(response.get("transfer", {}).get("abort", False))
        body = (case / "response.body").read_bytes()
        return cls(response["status"], response["headers"], body, piece=piece, abort=abort)

    async def received(
        self,
        request: HttpRequest,
        writer: asyncio.StreamWriter,
        closed: asyncio.Future[None],  # noqa: ARG002  a replay goes on until the bytes end
    ) -> None:
        self.requests.append(request)
        status, headers = self._head
        hop_by_hop = ("connection", "content-length", "transfer-encoding", "content-encoding")
        fields = {name: value for name, value in headers.items() if name not in hop_by_hop}
        try:
            writer.write(_head(status, {**fields, "transfer-encoding": "chunked"}))
            for data in self._pieces:
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                await writer.drain()
            if self._abort:
                writer.close()
            else:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except ConnectionError:
            pass  # the client had read enough


def answering(*pieces: str) -> Respond:
    """Return a behaviour for `FakeProvider(respond=…)` that answers every request with these pieces."""

    async def respond(asked: Asked) -> None:
        await asked.answer(*pieces)

    return respond


def failing(
    status: int, body: bytes | str | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
) -> Respond:
    """Return a behaviour for `FakeProvider(respond=…)` that answers every request with this error."""

    async def respond(asked: Asked) -> None:
        await asked.fail(status, body, headers)

    return respond


def in_turn(*behaviours: Respond) -> Respond:
    """Return a behaviour that treats the first request by the first behaviour and so on; the last one stays."""
    left = list(behaviours)

    async def respond(asked: Asked) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked)

    return respond


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


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_phrase(status)}\r\n{lines}\r\n".encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Other"  # providers use numbers of their own, such as 529


def _sse(event: str | None, data: Mapping[str, Any]) -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _openai_chunk(model: str, choices: list[Any], usage: Mapping[str, int] | None = None) -> bytes:
    chunk = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return _sse(None, chunk | {"usage": usage})


def _openai_delta(model: str, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return _openai_chunk(model, [{"index": 0, "delta": delta, "finish_reason": finish}])


def _ollama_line(model: str, text: str) -> dict[str, Any]:
    return {
        "model": model,
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": False,
    }


def _first_events(wire: Wire, model: str) -> bytes:
    match wire:
        case "openai":
            return _openai_delta(model, {"role": "assistant", "content": ""})
        case "anthropic":
            message: dict[str, Any] = {
                "id": "msg_fake",
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 7, "output_tokens": 1},
            }
            return _sse("message_start", {"type": "message_start", "message": message})
        case "ollama":
            return b""


def _text_event(wire: Wire, model: str, text: str, block: int) -> bytes:
    match wire:
        case "openai":
            return _openai_delta(model, {"content": text})
        case "anthropic":
            return _anthropic_delta(block, {"type": "text_delta", "text": text})
        case "ollama":
            return json.dumps(_ollama_line(model, text), ensure_ascii=False).encode() + b"\n"


def _reasoning_event(wire: Wire, model: str, text: str, block: int) -> bytes:
    match wire:
        case "openai":
            return _openai_delta(model, {"reasoning_content": text})
        case "anthropic":
            return _anthropic_delta(block, {"type": "thinking_delta", "thinking": text})
        case "ollama":
            line = _ollama_line(model, "")
            line["message"]["thinking"] = text
            return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _anthropic_delta(block: int, delta: Mapping[str, Any]) -> bytes:
    return _sse("content_block_delta", {"type": "content_block_delta", "index": block, "delta": delta})


def _end_events(wire: Wire, model: str, word: str, tokens: tuple[int, int]) -> bytes:
    match wire:
        case "openai":
            usage = _openai_usage(tokens)
            return _openai_delta(model, {}, word) + _openai_chunk(model, [], usage) + b"data: [DONE]\n\n"
        case "anthropic":
            delta = {
                "type": "message_delta",
                "delta": {"stop_reason": word, "stop_sequence": None},
                "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
            }
            return _sse("message_delta", delta) + _sse("message_stop", {"type": "message_stop"})
        case "ollama":
            line = _ollama_line(model, "") | _ollama_end(word, tokens)
            return json.dumps(line).encode() + b"\n"


def _ollama_end(word: str, tokens: tuple[int, int]) -> dict[str, Any]:
    return {"done": True, "done_reason": word, "prompt_eval_count": tokens[0], "eval_count": tokens[1]}


def _openai_usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _whole_answer(wire: Wire, model: str, text: str, word: str, tokens: tuple[int, int]) -> dict[str, Any]:
    match wire:
        case "openai":
            return {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "created": 1,
                "model": model,
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": word},
                ],
                "usage": _openai_usage(tokens),
            }
        case "anthropic":
            return {
                "id": "msg_fake",
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [{"type": "text", "text": text}],
                "stop_reason": word,
                "stop_sequence": None,
                "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
            }
        case "ollama":
            return _ollama_line(model, text) | _ollama_end(word, tokens)


def _error_body(wire: Wire, message: str) -> str:
    match wire:
        case "openai":
            return json.dumps({"error": {"message": message, "type": message, "code": None, "param": None}})
        case "anthropic":
            return json.dumps({"type": "error", "error": {"type": message, "message": message}})
        case "ollama":
            return json.dumps({"error": message})


def _model_list(wire: Wire, models: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
    match wire:
        case "openai":
            rows = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in models + remote]
            return {"object": "list", "data": rows}
        case "anthropic":
            return {
                "data": [{"type": "model", "id": name, "display_name": name} for name in models + remote],
                "has_more": False,
            }
        case "ollama":
            here = [{"name": name, "model": name} for name in models]
            there = [
                {"name": name, "model": name, "remote_host": "https://ollama.com:443", "remote_model": name}
                for name in remote
            ]
            return {"models": here + there}
