"""A provider that is driven by hand: what is asked of it waits until the test says what it answers."""

from __future__ import annotations

import asyncio
import json
import re
import socket as sockets
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from glossator_providers.testing.loopback import DEADLINE, HttpRequest, LoopbackServer, head, phrase
from glossator_providers.testing.wires import OLLAMA, Block, Wire, wire_of

Respond = Callable[["Asked"], Awaitable[None]]

# Where Google and Amazon have the model's name, https://ai.google.dev/api/generate-content
_MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")


class Asked:
    """One request that a client made of a fake provider, and the ways to answer it.

    `closed` is done when the connection is: `await asked.closed` waits for the client to hang up.
    `told` are the tokens of prompt and answer that it was told, once it was told all of them.
    """

    def __init__(
        self, request: HttpRequest, writer: asyncio.StreamWriter, closed: asyncio.Future[None], *, wire: Wire
    ) -> None:
        self.request = request
        self.closed = closed
        self.wire = wire
        self.told: tuple[int, int] | None = None
        self.silent = False  # nothing more will come
        self._writer = writer
        self._began = False
        self._spoke = False
        self._block: Block | None = None
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
        named = _MODEL_IN_PATH.search(self.path)
        return str((self.json or {}).get("model") or (named[1] if named else "fake-model"))

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for; Google and Amazon have a path for it, Ollama streams unless told not to."""
        if "stream" in self.path.lower():
            return True
        return bool((self.json or {}).get("stream", self.wire is OLLAMA))

    async def say(self, text: str) -> None:
        """Send a piece of the answer; a client that asked for no stream gets all of it in `finish`."""
        self._text.append(text)
        if self.stream:
            await self._open_block("text")
            await self.send(self.wire.piece(self.model, "text", text, self._block_index))

    async def think(self, text: str) -> None:
        """Send a piece of what the model thinks aloud; streams only."""
        await self._open_block("thinking")
        await self.send(self.wire.piece(self.model, "thinking", text, self._block_index))

    async def finish(
        self, reason: str = "stop", *, input_tokens: int = 7, output_tokens: int = 5, remote_host: str | None = None
    ) -> None:
        """End the answer properly; `reason` is `stop`, `length`, `refused` or a provider's own word."""
        word, tokens, said = self.wire.words.get(reason, reason), (input_tokens, output_tokens), "".join(self._text)
        if self.stream:
            await self._open_block(None)
            await self.send(self.wire.end(self.model, word, tokens, said))
            await self.end()
        else:
            answer = self.wire.whole(self.model, word, tokens, said)
            if remote_host is not None:
                answer |= {"remote_host": remote_host, "remote_model": self.model}
            await self.reply(200, json.dumps(answer))
        if not self.closed.done():
            self.told = tokens

    async def half(self, text: str) -> None:
        """Send the first half of an answer: this text of a stream, or else the first half of the document."""
        await self.say(text)
        if not self.stream:
            whole = json.dumps(self.wire.whole(self.model, self.wire.words["stop"], (7, 5), text)).encode()
            await self.send(whole[: len(whole) // 2])

    async def answer(self, *pieces: str) -> None:
        """Say each piece, then finish."""
        for piece in pieces:
            await self.say(piece)
        await self.finish()

    async def fail(
        self, status: int, body: bytes | str | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with an error; a mapping is sent as JSON, an empty body becomes what the provider would say itself."""
        if not body:
            failed = self.wire.failure(status, phrase(status))
            body, headers = failed.body, {**failed.headers, **(headers or {})}
        await self.reply(status, json.dumps(body) if isinstance(body, Mapping) else body, headers)

    async def fail_in_stream(self, message: str = "Overloaded", code: str = "overloaded_error") -> None:
        """Report an error after HTTP 200, as overloaded providers do, and end."""
        if not self.stream:
            failed = self.wire.failure(503, message)
            await self.reply(200, failed.body, failed.headers)
            return
        await self._open_stream()
        await self.send(self.wire.late_failure(message, code))
        await self.end()

    async def forward(self, remote_host: str, text: str = "from afar") -> None:
        """Answer as an Ollama that forwarded the request to another machine; Ollama's wire only."""
        line = OLLAMA.line(self.model, text) | {"remote_host": remote_host, "remote_model": self.model}
        await self.start()
        await self.send(json.dumps(line).encode() + b"\n")

    async def reply(self, status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response at once."""
        content = body.encode() if isinstance(body, str) else body
        fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        self._began = True
        await self._write(head(status, fields) + content)

    async def start(self, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status and the headers of a stream, and nothing of its body; does nothing the second time."""
        if not self._began:
            self._began = True
            content_type = self.wire.content_type if self.stream else "application/json"
            fields = {"content-type": content_type, "transfer-encoding": "chunked", **(headers or {})}
            await self._write(head(status, fields))

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
        """Send what keeps a connection open: bytes, but no progress; before a whole document these are blank lines."""
        await self.send(self.wire.keep_alive if self.stream else b"\n")

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

    async def hang(self) -> None:
        """Say nothing more until the client hangs up."""
        self.silent = True
        await self.closed

    def drop(self) -> None:
        """Close the connection, wherever the answer is: before the headers, after them or in the middle."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection off with a reset, as a server that crashed: what was sent and not yet read is lost."""
        connection = self._writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _open_stream(self) -> None:
        if not self._spoke:
            self._spoke = True
            await self.send(self.wire.first(self.model))

    async def _open_block(self, kind: Block | None) -> None:
        """Begin a block of text or thinking, ending the one before: not all wires have them."""
        await self._open_stream()
        if kind == self._block:
            return
        if self._block is not None:
            await self.send(self.wire.closed(self._block, self._block_index))
        self._block = kind
        if kind is not None:
            self._block_index += 1
            await self.send(self.wire.opened(kind, self._block_index))

    async def _write(self, data: bytes) -> None:
        if self._writer.is_closing() or self.closed.done():
            return  # the client is gone: what it does not read is nobody's fault
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            pass  # as above; `closed` tells it


class FakeProvider(LoopbackServer):
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
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(socket=socket, tls=tls)
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
        return base_url(self.origin, self.kind)

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
        if request.method == "GET":
            await list_models(asked, self.models, self.remote_models)
        elif self._respond is not None:
            self.start_task(play(self._respond, asked))
        else:
            self._waiting.put_nowait(asked)


def base_url(origin: str, kind: str) -> str:
    """Return what a user would write for a provider of this kind at this origin: OpenAI's protocols are below `/v1`."""
    wire = wire_of(kind)
    return f"{origin}/v1" if wire in (wire_of("openai"), wire_of("openai-responses")) else origin


async def list_models(asked: Asked, models: tuple[str, ...], remote_models: tuple[str, ...] = ()) -> None:
    """Answer the question for the models that there are; every other question of this sort leads nowhere."""
    if asked.path.partition("?")[0].endswith(("/models", "/api/tags")):
        await asked.reply(200, json.dumps(asked.wire.models(models, remote_models)))
    else:
        await asked.fail(404)


async def play(respond: Respond, asked: Asked) -> None:
    """Let a behaviour answer; one that fails ends the connection, else the client would wait for ever."""
    try:
        await respond(asked)
    except Exception:
        asked.drop()
        raise


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
