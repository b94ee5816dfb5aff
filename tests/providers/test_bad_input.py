"""Bad input, for every protocol, streamed and whole, over a real connection: one clear failure of the right kind, in time, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import parts
from fuzz import seeds, shapes
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.errors import Kind
from glossator_providers.model import Answer, Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

# Every dialect by a kind of provider that speaks it; the last three are decoded as others are, at other addresses.
KINDS: Mapping[str, str] = {
    "openai-compatible": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
    "azure": "openai_chat",
    "azure-responses": "openai_responses",
    "vertex": "gemini",
    "vertex-anthropic": "anthropic",
}
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "amazon": "application/vnd.amazon.eventstream"}
SAID = "Grüße 😀"
CANARY = "canary_of_the_users_code"
DEADLINE = 30.0  # seconds: what takes longer than this hangs
LIMITS = Timeouts(connect=5, first_token=20, idle=20, total=25)

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
every = pytest.mark.parametrize("kind", KINDS)


def good(kind: str, *, stream: bool, text: str = SAID) -> bytes:
    """Return the body of an answer that says *text*."""
    name = KINDS[kind]
    if not stream:
        return shapes.written(seeds.WHOLE[name]).replace(json.dumps(SAID)[1:-1], text).replace(SAID, text).encode()
    events = [(event, shapes.written(value)) for event, value in seeds.OWN[name][0]]
    told = [(event, data.replace(json.dumps(SAID)[1:-1], text).replace(SAID, text)) for event, data in events]
    return shapes.framed(told, dialects.get(name).framing)


def content_type(kind: str, *, stream: bool) -> str:
    """Return what a provider of this kind calls its answer."""
    return TYPES[dialects.get(KINDS[kind]).framing] if stream else "application/json"


@asynccontextmanager
async def serving(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve every request by *script* on loopback, and keep the first lines of what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readline())
            await script(writer)
            await writer.drain()
        except ConnectionError:
            pass  # the client has read enough
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1], asked
    finally:
        listener.close()


def answering(body: bytes, type_of_content: str, status: str = "200 OK", more: str = "") -> Script:
    """Answer with these bytes, and end."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: {type_of_content}\r\n{more}connection: close\r\n\r\n".encode()
        )
        writer.write(body)

    return script


async def ask(
    port: int,
    kind: str,
    *,
    stream: bool,
    scheme: str = "http",
    make_context: Callable[[], ssl.SSLContext] | None = None,
) -> Answer | RequestFailed:
    """Ask a provider of this kind once, through the real router and the real door."""
    host = "localhost" if scheme == "https" else "127.0.0.1"
    provider = Provider("work", ROWS[kind], "m", f"{scheme}://{host}:{port}", Secret("k"), project="p", timeouts=LIMITS)
    transport = Transport(make_context=make_context)
    router = Router([provider], transport=transport, policy=Policy(), files=LocalFiles(), max_attempts=1)
    fragment = Fragment(CANARY, (Origin(OriginKind.INSTRUCTION),))
    try:
        async with asyncio.timeout(DEADLINE):
            return await router.answer(Request((Message(Role.USER, (fragment,)),), stream=stream))
    except RequestFailed as failed:
        return failed
    finally:
        await transport.aclose()


def check(got: Answer | RequestFailed, *kinds: Kind) -> RequestFailed:
    """Check that this is a failure of one of these kinds, told in one sentence that repeats nothing."""
    assert isinstance(got, RequestFailed), f"taken for an answer: {got!r:.200}"
    assert got.kind in kinds, f"{got.kind}: {got}"
    said = str(got)
    assert said.startswith("work: ")
    assert len(said) < 500
    assert CANARY not in said
    assert "Traceback" not in said
    return got


@every
@both
async def test_a_good_answer_is_read(kind: str, *, stream: bool) -> None:
    """What the bad ones are made of is itself understood."""
    async with serving(answering(good(kind, stream=stream), content_type(kind, stream=stream))) as (port, _):
        got = await ask(port, kind, stream=stream)
    assert isinstance(got, Answer), got
    assert got.text.startswith(SAID)


PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>canary_of_the_users_code</body></html>"
SHAPES: Mapping[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\r\n ",
    "a page": PAGE,
    "an object": b'{"canary_of_the_users_code": [1, {"choices": 7, "content": "x", "output": null, "candidates": {}}]}',
    "an array": b"[1, [2], {}]",
    "a word": b'"canary_of_the_users_code"',
    "a number": b"1e999",
    "null": b"null",
    "no JSON": b"canary_of_the_users_code",
    "zeros": b"\x00" * 1000,
    "deep": b'{"a":' * 100_000,
    "latin-1": '{"choices":[{"delta":{"content":"é canary_of_the_users_code"}}]}'.encode("latin-1"),
    "invalid UTF-8": b'data: {"message": "\xff\xfe canary_of_the_users_code"}\n\n',
}


@every
@both
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_no_answer_is_a_broken_stream(kind: str, shape: str, *, stream: bool) -> None:
    """Whatever a status 200 brings in place of an answer, as the type that was asked for or as plain JSON, is one failure."""
    for type_of_content in {content_type(kind, stream=stream), "application/json"}:
        async with serving(answering(SHAPES[shape], type_of_content)) as (port, _):
            failed = check(await ask(port, kind, stream=stream), Kind.BROKEN_STREAM)
        if shape == "a page":
            assert "is a web page" in str(failed)


@every
@both
async def test_a_web_page_is_told_as_one(kind: str, *, stream: bool) -> None:
    """A login page in place of an answer: the address is wrong, and the message says so."""
    async with serving(answering(PAGE, "text/html; charset=utf-8")) as (port, _):
        failed = check(await ask(port, kind, stream=stream), Kind.SERVER)
    assert "web page" in str(failed)
    assert "base_url" in str(failed)


@every
@both
@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "cp1252"])
async def test_no_character_is_guessed(kind: str, coding: str, *, stream: bool) -> None:
    """An answer in another encoding is read rightly, where its bytes say which it is, or is a failure: never other characters."""
    body = good(kind, stream=stream).decode("utf-8", "replace").replace("😀", "é").encode(coding, "replace")
    async with serving(answering(body, content_type(kind, stream=stream))) as (port, _):
        got = await ask(port, kind, stream=stream)
    if isinstance(got, Answer):
        assert got.text.startswith("Grüße")
        assert not stream
    else:
        check(got, Kind.BROKEN_STREAM)


@every
@both
async def test_a_null_in_a_text_is_kept_and_a_bare_one_refused(kind: str, *, stream: bool) -> None:
    """JSON can say NUL by an escape; as a byte of its own it is no JSON."""
    type_of_content = content_type(kind, stream=stream)
    async with serving(answering(good(kind, stream=stream, text="a\\u0000b"), type_of_content)) as (port, _):
        got = await ask(port, kind, stream=stream)
    assert isinstance(got, Answer), got
    assert got.text.startswith("a\x00b")
    async with serving(answering(good(kind, stream=stream, text="a\x00b"), type_of_content)) as (port, _):
        check(await ask(port, kind, stream=stream), Kind.BROKEN_STREAM)


@every
async def test_events_of_the_future_change_nothing(kind: str) -> None:
    """An event that did not exist when this was written stands between those of an answer, and the answer is whole."""
    name = KINDS[kind]
    events = [(event, shapes.written(value)) for event, value in seeds.OWN[name][0]]
    events.insert(1, ("hologram.delta", '{"type": "hologram.delta", "hologram": [{"text": "canary"}]}'))
    body = shapes.framed(events, dialects.get(name).framing)
    async with serving(answering(body, content_type(kind, stream=True))) as (port, _):
        got = await ask(port, kind, stream=True)
    assert isinstance(got, Answer), got
    assert got.text.startswith(SAID)


@every
@both
async def test_ten_megabytes_in_one_event_take_no_more_than_ten_times_themselves(kind: str, *, stream: bool) -> None:
    """A very large event is an answer like any other, and what it costs in memory is in proportion."""
    text = "x" * 10_000_000
    body = good(kind, stream=stream, text=text)
    async with serving(answering(body, content_type(kind, stream=stream))) as (port, _):
        tracemalloc.start()
        try:
            got = await ask(port, kind, stream=stream)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(got, Answer), got
    assert got.text.startswith(text)
    assert most < 10 * len(body), f"{most / len(body):.1f} times itself"


@every
@both
async def test_a_line_without_end_is_given_up(kind: str, *, stream: bool) -> None:
    """A body that never ends a line is cut off at the limit, with as much memory as the limit allows."""
    closed = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        begin = {"sse": b"data: ", "ndjson": b"{", "amazon": b"\x00\xff\xff\xff"}[dialects.get(KINDS[kind]).framing]
        await answering(begin if stream else b'{"a": "', content_type(kind, stream=stream))(writer)
        try:
            while True:
                writer.write(b"x" * (1 << 20))
                await writer.drain()
        finally:
            closed.set()

    async with serving(endless) as (port, _):
        tracemalloc.start()
        try:
            check(await ask(port, kind, stream=stream), Kind.BROKEN_STREAM)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await asyncio.wait_for(closed.wait(), DEADLINE)
    assert most < 10 * (16 << 20)


@every
@both
async def test_a_header_without_end_is_given_up(kind: str, *, stream: bool) -> None:
    """A head that never ends is no HTTP: the connection is closed after little of it."""
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with serving(endless) as (port, _):
        check(await ask(port, kind, stream=stream), Kind.NETWORK)
    assert sent < 16 << 20


@every
@both
async def test_a_redirect_is_refused(kind: str, *, stream: bool) -> None:
    """Nobody is led elsewhere: the other address hears nothing, and the message says where it would have gone."""
    async with serving(answering(b"", "text/plain")) as (elsewhere, asked):
        where = f"location: http://localhost:{elsewhere}/v1\r\n"
        async with serving(answering(PAGE, "text/html", "307 Temporary Redirect", where)) as (port, _):
            failed = check(await ask(port, kind, stream=stream), Kind.BAD_REQUEST)
    assert "redirects to localhost, which is never followed" in str(failed)
    assert asked == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate that nobody has signed, for another host than the one that shows it."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "pem", "-days", "2"]
    subject = ["-subj", "/CN=other.test", "-addext", "subjectAltName=DNS:other.test"]
    openssl = parts.program("openssl")
    subprocess.run([openssl, *command, *subject], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@every
@both
@pytest.mark.parametrize("trusted", [True, False], ids=["of another host", "that nobody signed"])
async def test_a_certificate_that_does_not_match_is_refused(
    kind: str, certificate: Path, *, stream: bool, trusted: bool
) -> None:
    """Nothing is sent to a server whose certificate is another's or nobody's, and the message says that this is why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "pem", certificate / "key")

    def make_context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(certificate / "pem") if trusted else None)

    async with serving(answering(good(kind, stream=stream), "application/json"), context) as (port, asked):
        got = await ask(port, kind, stream=stream, scheme="https", make_context=make_context)
    failed = check(got, Kind.NETWORK)
    assert "its certificate could not be verified" in str(failed)
    assert ("Hostname mismatch" in str(failed)) is trusted
    assert asked == []


def test_every_dialect_is_here() -> None:
    """A dialect that is added is tried with bad input as well."""
    assert {ROWS[kind].dialect for kind in KINDS} == dialects.DIALECTS.keys()
