"""Many requests to providers that fail at random, and many streams at once: all are answered, each whole and by one model.

`make soak` runs the same with the full numbers.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import re
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import pytest

import audit
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Answer, Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.secrets import Secret
from glossator_providers.testing import Asked, FaultServer, Unreliable
from glossator_providers.transport import Transport

SOAK = os.environ.get("GLOSSATOR_SOAK") == "1"
REQUESTS = 10_000 if SOAK else 1_500
AT_ONCE = 20
STREAMS = 200
SECONDS = 60.0 if SOAK else 0.0  # how long the streams go on, beyond the rounds that every run makes
ROUNDS = 4
KIBIBYTES = 4096  # that a process may grow by for other reasons

PAIRS = [("openai", "anthropic"), ("gemini", "bedrock"), ("cohere", "ollama"), ("openai-responses", "openai-responses")]


def question(number: int, *, stream: bool) -> Request:
    """Make a request that can be told from every other by its text."""
    fragment = Fragment(f"This is question-{number}.", (Origin(OriginKind.INSTRUCTION),))
    return Request((Message(Role.USER, (fragment,)),), stream=stream)


def reply(mark: str, number: int, *, pieces: int = 6) -> list[str]:
    """Return the pieces of a provider's answer to a question; no other provider and no other question has them."""
    return [f"[{mark} {number}.{place}/{pieces} ✓]" for place in range(pieces)]


def replying(mark: str, *, pieces: int = 6) -> Callable[[Asked], Sequence[str]]:
    """Return how a server with this mark answers."""

    def answer(asked: Asked) -> Sequence[str]:
        found = re.search(rb"question-(\d+)", asked.body)
        assert found is not None
        return reply(mark, int(found[1]), pieces=pieces)

    return answer


async def soon(seconds: float) -> None:
    """End the pauses between two attempts at once; the time limits, which are longer, hold as they are."""
    await asyncio.sleep(seconds if seconds >= 10 else 0)


def provider(name: str, server: FaultServer) -> Provider:
    """Make a provider that a user would have configured for this server."""
    return Provider(name, ROWS[server.kind], "fake-model", server.base_url, key=Secret("k"))


@dataclass
class Clock:
    """The system's clock, that may be put forward."""

    ahead: float = 0.0

    def time(self) -> float:
        return time.monotonic() + self.ahead


@asynccontextmanager
async def asking(*servers: FaultServer, clock: Clock | None = None) -> AsyncIterator[tuple[Router, Transport]]:
    """Give a router to providers called a, b … at these servers, which serve for as long."""
    transport = Transport()
    for server in servers:
        await server.__aenter__()
    providers = [provider(name, server) for name, server in zip("ab", servers, strict=False)]
    try:
        router = Router(
            providers,
            transport=transport,
            policy=Policy(),
            files=LocalFiles(),
            strategy="priority",
            order=("a", "b"),
            clock=(clock or Clock()).time,
            sleep=soon,
            random=Random(4).random,
        )
        yield router, transport
    finally:
        await transport.aclose()
        for server in servers:
            await server.__aexit__(None, None, None)


async def together(work: Callable[[int], Awaitable[None]], numbers: Sequence[int], *, at_once: int) -> None:
    """Work through *numbers*, so many of them at the same time."""
    left = iter(numbers)

    async def go_on() -> None:
        for number in left:
            await work(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(go_on())


@pytest.mark.parametrize("kinds", PAIRS, ids=" and ".join)
async def test_two_unreliable_providers_answer_almost_everything(kinds: tuple[str, str]) -> None:
    """Each fails a fifth of the requests at random points: 99.9 % are answered, whole, by one model, and asked no more than permitted."""
    answers: dict[int, Answer] = {}
    failed: dict[int, GlossatorError] = {}
    behaviours = [Unreliable(replying(name), share=0.2, random=Random(f"{name} {kinds}")) for name in ("a", "b")]
    servers = [FaultServer(kind, fault=behaviour) for kind, behaviour in zip(kinds, behaviours, strict=True)]
    numbers = range(REQUESTS // len(PAIRS))

    async with asking(*servers) as (router, _):

        async def ask(number: int) -> None:
            try:
                answers[number] = await router.answer(question(number, stream=number % 3 > 0))
            except GlossatorError as error:
                failed[number] = error

        await together(ask, numbers, at_once=AT_ONCE)
        assert len(answers) + len(failed) == len(numbers)
        assert len(failed) <= len(numbers) * 0.001, failed
        for number, answer in answers.items():
            assert answer.text == "".join(reply(answer.provider, number))
        # Nobody was asked behind our back, and the failures were there.
        asked = sum(len(answer.attempts) for answer in answers.values())
        told = sum(len(getattr(error, "attempts", ())) for error in failed.values())
        assert sum(server.counts.requests for server in servers) == asked + told
        assert servers[0].counts.requests * 0.15 < behaviours[0].failed < servers[0].counts.requests * 0.25


async def test_the_tokens_of_all_answers_are_those_that_the_servers_told() -> None:
    """What the answers say was used adds up, to the token, to what the servers count."""
    for kind in dict.fromkeys(itertools.chain(*PAIRS)):
        server = FaultServer(kind)
        async with asking(server) as (router, _):
            said = [await router.answer(question(number, stream=number % 2 > 0)) for number in range(8)]
        used = [answer.usage for answer in said]
        assert server.counts.answers == server.counts.requests == len(said)
        assert sum(usage.input_tokens or 0 for usage in used) == server.counts.input_tokens
        assert sum(usage.output_tokens or 0 for usage in used) == server.counts.output_tokens
        assert len({answer.text for answer in said}) == 1


async def test_two_hundred_streams_at_once_lose_nothing(connections: list[audit.Attempt]) -> None:
    """Every stream is whole; and round after round nothing more is open, running or kept in memory than before."""
    long = replying("a", pieces=12)
    everybody = asyncio.Barrier(STREAMS)

    async def side_by_side(asked: Asked) -> None:
        first, *rest = long(asked)
        await asked.say(first)
        await everybody.wait()
        for piece in rest:
            await asked.say(piece)
            await asyncio.sleep(0)
        await asked.finish()

    server = FaultServer("anthropic", fault=side_by_side)
    kept: list[int] = []
    grown: list[int] = []
    tasks = len(asyncio.all_tasks())
    clock = Clock()
    async with asking(server, clock=clock) as (router, transport):

        async def ask(number: int) -> None:
            answer = await router.answer(question(number, stream=True))
            assert answer.text == "".join(reply("a", number, pieces=12))

        until = asyncio.get_running_loop().time() + SECONDS
        for rounds in itertools.count(1):
            await together(ask, range(STREAMS), at_once=STREAMS)
            clock.ahead += 120  # beyond every minute in which requests are counted
            connections.clear()  # the watch over the tests keeps them
            gc.collect()
            kept.append(len(gc.get_objects()))
            grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            if rounds >= ROUNDS and asyncio.get_running_loop().time() >= until:
                break
        assert server.counts.answers == rounds * STREAMS
        pools = transport._doorway._pools.values()
        assert sum(len(pool.connections) for pool in pools) <= 8  # those that wait for the next request
    assert len(asyncio.all_tasks()) == tasks
    assert kept[-1] <= kept[1] + STREAMS, kept
    assert grown[-1] <= grown[1] + KIBIBYTES, grown
    print(f"{rounds * STREAMS} streams; objects after each round {kept}; peak {grown} KiB")
