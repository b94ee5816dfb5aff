"""The fake provider that all other tests lean on: real framing, counted connections, every fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import recorded
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import FinishReason, Fragment, Message, Origin, OriginKind, Request, Role, Usage
from glossator_providers.secrets import Secret
from glossator_providers.testing import (
    FAULTS,
    Asked,
    FakeProvider,
    FaultServer,
    Replay,
    answering,
    failing,
    fault,
    in_turn,
)


def body(model: str = "m", *, stream: bool = True) -> dict[str, object]:
    """Return a request in whichever wire: the fakes read only these two members."""
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Give an HTTP client that knows nothing of our own transport."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        yield client


@pytest.mark.parametrize(
    ("kind", "path", "last"),
    [
        ("openai-compatible", "/chat/completions", "data: [DONE]"),
        ("anthropic", "/v1/messages", "message_stop"),
        ("ollama", "/api/chat", '"done": true'),
    ],
)
async def test_a_stream_has_the_frames_of_its_wire(client: httpx.AsyncClient, kind: str, path: str, last: str) -> None:
    """What is said arrives in order, and the protocol's own last event ends it."""
    async with FakeProvider(kind) as fake:
        response = asyncio.create_task(client.post(fake.base_url + path, json=body()))
        asked = await fake.asked()
        assert (asked.method, asked.stream, asked.model) == ("POST", True, "m")
        await asked.think("hmm")
        await asked.say("Grüße ")
        await asked.say("😀")
        await asked.finish()
        text = (await response).text
    assert text.index("hmm") < text.index("Grüße ") < text.index("😀") < text.rindex(last)


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic", "ollama"])
async def test_a_client_that_wants_no_stream_gets_one_document(client: httpx.AsyncClient, kind: str) -> None:
    """The pieces are put together and sent as JSON when the answer is finished."""
    async with FakeProvider(kind, respond=answering("a", "b")) as fake:
        response = await client.post(f"{fake.base_url}/any", json=body(stream=False))
    assert "ab" in json.dumps(response.json())


async def test_the_client_hanging_up_is_seen(client: httpx.AsyncClient) -> None:
    """A client that leaves in the middle of an answer is noticed without writing to it."""
    async with FakeProvider() as fake:
        request = asyncio.create_task(client.post(f"{fake.base_url}/chat/completions", json=body()))
        asked = await fake.asked()
        await asked.say("one")
        assert not asked.closed.done()
        request.cancel()
        await asyncio.wait_for(asked.closed, 2)


async def test_connections_are_counted_and_reused(client: httpx.AsyncClient) -> None:
    """Two requests after each other use one connection of a client that keeps it."""
    async with FakeProvider(respond=answering("x")) as fake:
        for _ in range(2):
            await client.post(f"{fake.base_url}/chat/completions", json=body())
        assert (fake.connections, len(fake.requests)) == (1, 2)


async def test_faults_are_played(client: httpx.AsyncClient) -> None:
    """Errors with their headers, drops before and after the headers, and a clean end without the last event."""
    async with FakeProvider() as fake:
        url = f"{fake.base_url}/chat/completions"
        failed = asyncio.create_task(client.post(url, json=body()))
        await (await fake.asked()).fail(429, {"error": {"message": "slow"}}, {"retry-after": "3"})
        assert ((await failed).status_code, (await failed).headers["retry-after"]) == (429, "3")

        dropped = asyncio.create_task(client.post(url, json=body()))
        (await fake.asked()).drop()
        with pytest.raises(httpx.RemoteProtocolError):
            await dropped

        cut = asyncio.create_task(client.post(url, json=body()))
        asked = await fake.asked()
        await asked.say("half")
        asked.drop()
        with pytest.raises(httpx.RemoteProtocolError):
            await cut

        ended = asyncio.create_task(client.post(url, json=body()))
        asked = await fake.asked()
        await asked.say("half")
        await asked.end()
        assert "[DONE]" not in (await ended).text


async def test_a_large_answer_waits_for_its_reader(client: httpx.AsyncClient) -> None:
    """A hundred megabytes are sent only as fast as they are read, and stop with the reader."""
    over = asyncio.Event()

    async def flood(asked: Asked) -> None:
        await asked.flood(100_000_000)
        over.set()

    async with FakeProvider(respond=flood) as fake:
        async with client.stream("POST", f"{fake.base_url}/chat/completions", json=body()) as response:
            async for _ in response.aiter_raw():
                break
            assert not over.is_set()
        await asyncio.wait_for(over.wait(), 5)


async def test_behaviours_take_turns(client: httpx.AsyncClient) -> None:
    """A provider can fail once and answer afterwards without a test driving it."""
    async with FakeProvider("anthropic", respond=in_turn(failing(529), answering("ok"))) as fake:
        statuses = [(await client.post(f"{fake.base_url}/v1/messages", json=body())).status_code for _ in range(3)]
    assert statuses == [529, 200, 200]


async def test_models_are_listed(client: httpx.AsyncClient) -> None:
    """The list of models has the wire's shape and marks what an Ollama forwards elsewhere."""
    async with FakeProvider("ollama", models=("here",), remote_models=("there-cloud",)) as fake:
        models = (await client.get(f"{fake.base_url}/api/tags")).json()["models"]
    assert [(model["name"], "remote_host" in model) for model in models] == [("here", False), ("there-cloud", True)]


async def test_a_fake_can_listen_on_a_unix_socket(tmp_path: Path) -> None:
    """A provider behind a Unix socket answers as one behind a port."""
    path = tmp_path / "s"
    async with (
        FakeProvider(respond=answering("x"), socket=path) as fake,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client,
    ):
        assert (await client.post("http://localhost/v1/chat/completions", json=body())).status_code == 200
        assert fake.connections == 1


@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_a_replay_gives_the_recorded_bytes(client: httpx.AsyncClient, piece: int) -> None:
    """The body is what was recorded, in pieces of any size, and an aborted transfer is aborted again."""
    recorded = "data: {}\n\ndata: ü\n\n".encode()
    async with Replay(
        200, {"Content-Type": "text/event-stream", "Connection": "close"}, recorded, piece=piece
    ) as replay:
        assert (await client.post(replay.origin, json=body())).content == recorded
    async with Replay(200, {}, recorded, piece=piece, abort=True) as replay:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(replay.origin, json=body())


async def test_a_behaviour_that_fails_fails_the_test() -> None:
    """A mistake in the test's own script is not swallowed: leaving the fake raises it."""

    async def wrong(asked: Asked) -> None:
        raise RuntimeError("a mistake")

    async def ask() -> None:
        async with FakeProvider(respond=wrong) as fake, httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"{fake.base_url}/chat/completions", json=body())

    with pytest.raises(RuntimeError, match="a mistake"):
        await ask()


ASKED = Request((Message(Role.USER, (Fragment("hello", (Origin(OriginKind.INSTRUCTION),)),)),))


def called(kind: str, base_url: str, *, stream: bool) -> tuple[str, bytes]:
    """Return the address and the body of the request that a client of this kind makes."""
    provider = Provider("fake", ROWS[kind], "m", base_url, key=Secret("k"), project="p")
    payload = dialects.get(ROWS[kind].dialect).encode(replace(ASKED, stream=stream), provider)
    return base_url + payload.path, payload.body


@pytest.mark.parametrize("kind", ROWS)
async def test_every_kind_is_answered_in_its_own_protocol(client: httpx.AsyncClient, kind: str) -> None:
    """What a model thinks, says and uses, and why it stopped, is read from a stream and from a whole answer alike."""

    async def respond(asked: Asked) -> None:
        if asked.stream:
            await asked.think("hmm ü")
        await asked.say("Grüße ")
        await asked.say("😀")
        await asked.finish("length", input_tokens=9, output_tokens=4)

    dialect = dialects.get(ROWS[kind].dialect)
    async with FakeProvider(kind, respond=respond) as fake:
        address, body = called(kind, fake.base_url, stream=True)
        streamed = recorded.hear(dialect, (await client.post(address, content=body)).content, row=ROWS[kind])
        address, body = called(kind, fake.base_url, stream=False)
        whole = recorded.Heard(tuple(dialect.read((await client.post(address, content=body)).content)), None)
    assert (streamed.error, streamed.reasoning) == (None, "hmm ü")
    for heard in (streamed, whole):
        assert heard.text == "Grüße 😀"
        assert heard.finished is not None
        assert heard.finished.reason is FinishReason.LENGTH
        used = [delta for delta in heard.deltas if isinstance(delta, Usage)][-1]
        assert (used.input_tokens, used.output_tokens) == (9, 4)


@pytest.mark.parametrize("kind", ROWS)
async def test_every_kind_reports_an_overload_in_its_own_words(client: httpx.AsyncClient, kind: str) -> None:
    """In place of an answer and in the middle of one."""
    dialect = dialects.get(ROWS[kind].dialect)
    async with FaultServer(kind, fault=fault("503")) as server:
        address, body = called(kind, server.base_url, stream=True)
        response = await client.post(address, content=body)
        error: ProviderError | None = dialect.explain(response.status_code, dict(response.headers), response.content)
        assert error is not None
        assert (error.kind, error.status) == (Kind.OVERLOADED, 503)
        server.fault = fault("error in the middle")
        heard = recorded.hear(dialect, (await client.post(address, content=body)).content, row=ROWS[kind])
        assert heard.error is not None
        assert (heard.error.kind, heard.error.partial) == (Kind.OVERLOADED, True)


async def test_a_fault_server_counts_what_it_served(client: httpx.AsyncClient) -> None:
    """Requests, whole answers, failures and the tokens that were told; what hangs is in flight until the client hangs up."""
    async with FaultServer("anthropic", pieces=("a", "b", "c")) as server:
        address = f"{server.base_url}/v1/messages"
        answer = (await client.post(address, json=body(stream=False))).json()
        server.fault = fault("529")
        await client.post(address, json=body())
        assert (server.counts.requests, server.counts.answers, server.counts.failures) == (2, 1, 1)
        assert server.counts.input_tokens == answer["usage"]["input_tokens"]
        assert server.counts.output_tokens == answer["usage"]["output_tokens"] == 3
        server.fault = fault("hangs in the middle")
        async with client.stream("POST", address, json=body()) as response:
            assert (await anext(response.aiter_raw())).startswith(b"event: message_start")
            assert (server.in_flight, server.silent) == (1, 1)
        while server.counts.failures < 2:  # noqa: ASYNC110  it waits for the end of a connection, which sets no event
            await asyncio.sleep(0)
        assert (server.in_flight, server.silent) == (0, 0)


def test_a_fault_that_there_is_not_is_a_mistake() -> None:
    """A fault is named as it stands in the list."""
    assert all(callable(fault(name)) for name in FAULTS)
    with pytest.raises(KeyError):
        fault("418")
