"""What only keeps a connection open never postpones a time limit, in any protocol that streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from fuzz import seeds, shapes
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.errors import Kind
from glossator_providers.model import Event, Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport
from hand_clock import HandClock

# A kind of provider for every decoder.
KINDS = {
    "openai-compatible": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
}
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "amazon": "application/vnd.amazon.eventstream"}
KEEP_ALIVES = {
    "sse": (b": keep-alive\n\n", b'event: ping\ndata: {"type": "ping"}\n\n', b"\n\n", b"data: {}\n\n", b"data:\n\n"),
    "ndjson": (b"\n", b"{}\n", b" \n", b'{"message": {"content": ""}, "done": false}\n'),
    "amazon": (
        shapes.amazon(b"{}", **{":message-type": "event", ":event-type": "ping"}),
        shapes.amazon(b"{}", **{":message-type": "event", ":event-type": "initial-response"}),
        shapes.amazon(b"", **{":message-type": "keep-alive"}),
    ),
}
LIMITS = Timeouts(connect=5, first_token=30, idle=20, total=1000)


@asynccontextmanager
async def streaming(content_type: str) -> AsyncIterator[tuple[int, Callable[[bytes], Awaitable[None]]]]:
    """Begin a streamed answer to whoever asks, and send the pieces that the test gives."""
    opened: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readline()
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
            opened.set_result(writer)
            while await reader.read(65536):
                pass
        writer.close()

    async def send(data: bytes) -> None:
        writer = await asyncio.wait_for(opened, 10)
        writer.write(data)
        await writer.drain()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], send
    finally:
        listener.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("began", [False, True], ids=["before the first token", "in the middle"])
async def test_a_keep_alive_is_no_progress(kind: str, *, began: bool) -> None:
    """Comments, pings, blank lines and events without content arrive all the time, and the limit is reached all the same."""
    dialect = dialects.get(KINDS[kind])
    clock, transport = HandClock(), Transport()
    text = next(
        shapes.framed([(event, shapes.written(value))], dialect.framing)
        for event, value in seeds.OWN[KINDS[kind]][0]
        if "Grüße" in shapes.written(value) or "Gr\\u00fc" in shapes.written(value)
    )
    async with streaming(TYPES[dialect.framing]) as (port, send):
        provider = Provider(
            "work", ROWS[kind], "m", f"http://127.0.0.1:{port}", Secret("k"), project="p", timeouts=LIMITS
        )
        router = Router(
            [provider],
            transport=transport,
            policy=Policy(),
            files=LocalFiles(),
            clock=clock.time,
            sleep=clock.sleep,
            max_attempts=1,
        )
        fragment = Fragment("hello", (Origin(OriginKind.INSTRUCTION),))
        heard: asyncio.Queue[Event] = asyncio.Queue()

        async def listen() -> None:
            async for event in router.ask(Request((Message(Role.USER, (fragment,)),))):
                heard.put_nowait(event)

        listening = asyncio.create_task(listen())
        if began:
            await send(text)
            while not isinstance(await asyncio.wait_for(heard.get(), 10), Text):
                pass
        limit = LIMITS.idle if began else LIMITS.first_token
        alive = KEEP_ALIVES[dialect.framing]
        await send(alive[0])
        for piece in alive:
            await clock.move((limit - 1) / len(alive))
            assert not listening.done()
            await send(piece)
        await clock.move(2)
        with pytest.raises(RequestFailed) as caught:
            await asyncio.wait_for(listening, 10)
        await transport.aclose()
    assert caught.value.kind is Kind.TIMEOUT
    assert ("fell silent for 20 s" if began else "did not begin to answer within 30 s") in str(caught.value)
