"""A real Ollama with a real model behind the real router: its answers, its refusals, and its ends of all kinds."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ollama_server
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.discovery import find_local
from glossator_providers.errors import Kind
from glossator_providers.model import Answered, FinishReason, Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport
from ollama_server import CHAT, MODEL, OllamaServer
from stopped_time import StoppedTime

pytestmark = pytest.mark.slow

PATIENT = Timeouts(connect=5, first_token=60, idle=60, total=120)
ENDLESS = 4000  # tokens; it says some 40 in a second, so no test waits for the end


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    """Keep the model for all tests."""
    with ollama_server.stored_model() as folder:
        yield folder


@pytest.fixture
def server(store: Path, started_server: Callable[[int], None]) -> Iterator[OllamaServer]:
    """Run a server for one test; no model is loaded yet."""
    with ollama_server.serving(store, started_server) as server:
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Give a real door."""
    transport = Transport()
    yield transport
    await transport.aclose()


def ask_for(text: str, tokens: int = 16) -> Request:
    """Make a small request; the text is a document's, so only this machine may see it."""
    fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, "untitled:Untitled-1"),))
    return Request((Message(Role.USER, (fragment,)),), max_tokens=tokens)


def at(server: OllamaServer, **changes: Any) -> Provider:
    """Make a provider for the server."""
    return replace(Provider("ollama", ROWS["ollama"], MODEL, server.address, timeouts=PATIENT), **changes)


def router(transport: Transport, provider: Provider, **options: Any) -> Router:
    """Make a router of the real parts, which asks once."""
    return Router(
        (provider,), transport=transport, policy=Policy(), files=LocalFiles(), **({"max_attempts": 1} | options)
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_a_real_model_answers(server: OllamaServer, transport: Transport, *, stream: bool) -> None:
    """Text streams in pieces, the usage is told, and a limit on the answer is told as such."""
    asking = replace(ask_for("Tell me a long story about a dragon."), stream=stream)
    events = [event async for event in router(transport, at(server)).ask(asking)]
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    texts = [event.text for event in events if isinstance(event, Text)]
    assert answer.text == "".join(texts)
    assert answer.text
    assert len(texts) == 1 or stream
    assert (answer.local, answer.model, answer.finish) == (True, MODEL, FinishReason.LENGTH)
    assert (answer.usage.input_tokens or 0) > 8
    assert answer.usage.output_tokens == 16


async def test_the_context_holds_the_prompt(server: OllamaServer, transport: Transport) -> None:
    """A prompt larger than what Ollama gives by itself goes in whole, and the next small one needs no other context."""
    asking = router(transport, at(server))
    answer = await asking.answer(ask_for("word " * 2100))
    assert (answer.usage.input_tokens or 0) > 2100
    await asking.answer(ask_for("Say hello."))
    assert server.contexts == [8192]


async def test_whoever_stops_listening_stops_the_model(server: OllamaServer, transport: Transport) -> None:
    """A closed stream ends the server's work, so its only place is free for the next request."""
    asking = router(transport, at(server, timeouts=replace(PATIENT, first_token=30)))
    async with aclosing(asking.ask(ask_for("Tell a long story.", ENDLESS))) as events:
        async for event in events:
            if isinstance(event, Text):
                break
    await asyncio.to_thread(server.log.wait, CHAT)
    assert (await asking.answer(ask_for("Say hello."))).text


async def test_a_key_that_nobody_asked_for_does_no_harm(server: OllamaServer, transport: Transport) -> None:
    """Ollama asks for no key: it looks at none, and a wrong one changes nothing."""
    assert (await router(transport, at(server, key=Secret("wrong"))).answer(ask_for("Say hello."))).text


async def test_a_model_that_is_not_there_is_told_with_the_nearest_names(
    server: OllamaServer, transport: Transport
) -> None:
    """The failure names what the server has, in the spelling that it takes."""
    with pytest.raises(RequestFailed, match=f"not found.*the nearest names are {MODEL}:latest") as caught:
        await router(transport, at(server, model="smollm")).answer(ask_for("Say hello."))
    assert (caught.value.kind, caught.value.status) == (Kind.NO_MODEL, 404)


async def test_a_real_server_is_found(server: OllamaServer, transport: Transport) -> None:
    """Discovery finds it and offers the model that it has."""
    found = await find_local(transport, {}, addresses={"ollama": server.address}, seconds=5)
    assert [(provider.name, provider.model, provider.local) for provider in found] == [
        ("ollama", f"{MODEL}:latest", True)
    ]


async def test_a_request_waits_while_the_model_is_loaded(server: OllamaServer, transport: Transport) -> None:
    """The first request brings the model in and is answered; who gives up meanwhile has the loading broken off."""
    time = StoppedTime()
    impatient = router(transport, at(server), clock=time.clock, sleep=time.sleep)
    first = asyncio.create_task(impatient.answer(ask_for("Say hello.")))
    await asyncio.to_thread(server.log.wait, "waiting for llama runner to start responding")
    server.send(signal.SIGSTOP, "runner")
    time.running.set()
    with pytest.raises(
        RequestFailed, match=r"did not begin to answer within 60 s; raise timeout\.first_token"
    ) as caught:
        await first
    assert caught.value.kind is Kind.TIMEOUT
    await asyncio.to_thread(server.log.wait, "client connection closed before server finished loading, aborting load")
    assert (await router(transport, at(server)).answer(ask_for("Say hello."))).text


async def test_a_model_that_takes_too_long_to_load_is_told(
    store: Path, started_server: Callable[[int], None], transport: Transport
) -> None:
    """Ollama gives up loading by itself; that is the timeout that it says it is, so somebody else is asked rather than it again."""
    with ollama_server.serving(store, started_server, OLLAMA_LOAD_TIMEOUT="1s") as server:
        asking = asyncio.create_task(router(transport, at(server)).answer(ask_for("Say hello.")))
        await asyncio.to_thread(server.log.wait, "waiting for llama runner to start responding")
        server.send(signal.SIGSTOP, "runner")
        with pytest.raises(RequestFailed, match="timed out waiting for llama runner to start") as caught:
            await asking
        assert caught.value.kind is Kind.TIMEOUT


@pytest.mark.parametrize("whom", ["server", "runner"])
async def test_a_death_in_mid_stream_is_no_answer(server: OllamaServer, transport: Transport, whom: str) -> None:
    """What had arrived is not taken for an answer, whether the connection ends or the server tells that its model died."""
    with pytest.raises(RequestFailed) as caught:  # noqa: PT012  the error comes somewhere in the stream
        async for event in router(transport, at(server)).ask(ask_for("Tell a long story.", ENDLESS)):
            if isinstance(event, Text):
                server.send(signal.SIGKILL, whom)
    assert caught.value.kind is (Kind.NETWORK if whom == "server" else Kind.SERVER)
    assert caught.value.partial


@pytest.mark.parametrize("whom", ["server", "runner"])
async def test_a_standstill_in_mid_stream_is_cut_off(server: OllamaServer, transport: Transport, whom: str) -> None:
    """A server, or a model in it, that stops without closing the connection is left after the limit between two pieces."""
    time = StoppedTime()
    asking = router(transport, at(server), clock=time.clock, sleep=time.sleep)
    with pytest.raises(RequestFailed, match="fell silent for 60 s in the middle of its answer") as caught:  # noqa: PT012  the error comes somewhere in the stream
        async for event in asking.ask(ask_for("Tell a long story.", ENDLESS)):
            if isinstance(event, Text):
                server.send(signal.SIGSTOP, whom)
                time.running.set()
    assert caught.value.kind is Kind.TIMEOUT
    assert caught.value.partial
    server.send(signal.SIGCONT, whom)
    await asyncio.to_thread(server.log.wait, CHAT)
    assert (await router(transport, at(server)).answer(ask_for("Say hello."))).text


async def test_a_restart_between_two_requests_is_not_noticed(
    store: Path, started_server: Callable[[int], None], transport: Transport
) -> None:
    """The kept connection leads to a server that is no more; the next request opens another and is answered at once."""
    with ollama_server.serving(store, started_server) as server:
        asking = router(transport, at(server))
        await asking.answer(ask_for("Say hello."))
    with ollama_server.serving(store, started_server, port=server.port):
        answer = await asking.answer(ask_for("Say hello."))
    assert [attempt.error for attempt in answer.attempts] == [None]


async def test_a_server_that_is_gone_is_told(server: OllamaServer, transport: Transport) -> None:
    """Nobody listening is a failure of the network, which says what to do."""
    server.end()
    with pytest.raises(RequestFailed) as caught:
        await router(transport, at(server)).answer(ask_for("Say hello."))
    assert caught.value.kind is Kind.NETWORK
