"""What the ledger says agrees with what the providers served: every request a row, every token counted once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path
from random import Random

import pytest

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.secrets import Secret
from glossator_providers.state import State
from glossator_providers.testing import Asked, FaultServer, Unreliable
from glossator_providers.transport import Transport
from glossator_providers.usage_ledger import ANSWERED, CANCELLED, UsageLedger

REQUESTS = 240
AT_ONCE = 12
PAIRS = [("anthropic", "openai"), ("gemini", "bedrock"), ("cohere", "ollama"), ("openai-responses", "mistral")]


class Varied:
    """A provider that fails a fifth of the requests, lets a sixth of them wait in the middle, and counts other tokens each time."""

    def __init__(self, seed: str, silent: dict[int, asyncio.Event]) -> None:
        self._silent = silent
        self._random = Random(seed)
        self._unreliable = Unreliable(lambda _: ("one ", "two ", "three"), share=1.0, random=self._random)
        self.left_waiting = 0

    async def __call__(self, asked: Asked) -> None:
        match self._random.choices(("answer", "fail", "wait"), (4, 1.2, 1))[0]:
            case "answer":
                await asked.say("one ")
                await asked.finish(
                    input_tokens=self._random.randrange(1, 5000), output_tokens=self._random.randrange(1, 900)
                )
            case "fail":
                await self._unreliable(asked)
            case "wait":
                self.left_waiting += 1
                await asked.half("one ")
                found = re.search(rb"question-(\d+)", asked.body)
                assert found is not None
                self._silent[int(found[1])].set()
                await asked.hang()


@pytest.mark.parametrize("kinds", PAIRS, ids=" and ".join)
async def test_the_ledger_agrees_with_the_servers_to_the_token(kinds: tuple[str, str], tmp_path: Path) -> None:
    """Through failures, second attempts, failover and requests that are given up: rows are requests, and their tokens those served."""
    silent: dict[int, asyncio.Event] = {}
    behaviours = [Varied(f"{kinds} {place}", silent) for place in range(2)]
    path, transport = tmp_path / "usage", Transport()
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(FaultServer(kind, fault=behaviour))
            for kind, behaviour in zip(kinds, behaviours, strict=True)
        ]
        stack.push_async_callback(transport.aclose)
        state = State(clock=soon_clock, sleep=soon, ledger=UsageLedger(path))
        providers = [
            Provider(name, ROWS[server.kind], "fake-model", server.base_url, key=Secret("k"))
            for name, server in zip("ab", servers, strict=True)
        ]
        router = Router(
            providers,
            transport=transport,
            policy=Policy(),
            files=LocalFiles(),
            strategy="round-robin",
            state=state,
            clock=soon_clock,
            sleep=soon,
            random=Random(7).random,
        )
        numbers = iter(range(REQUESTS))

        async def ask_one_after_another() -> None:
            for number in numbers:
                await ask(router, number, silent)

        await asyncio.gather(*(ask_one_after_another() for _ in range(AT_ONCE)))
        await state.aclose()

    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT provider, outcome, input_tokens, output_tokens FROM attempts").fetchall()
    for name, server, behaviour in zip("ab", servers, behaviours, strict=True):
        outcomes = Counter(outcome for provider, outcome, *_ in rows if provider == name)
        told = [
            (asked, answered) for provider, outcome, asked, answered in rows if (provider, outcome) == (name, ANSWERED)
        ]
        assert outcomes.total() == server.counts.requests
        assert outcomes[ANSWERED] == server.counts.answers > REQUESTS // 4
        assert outcomes[CANCELLED] == behaviour.left_waiting > 5
        assert outcomes.total() - outcomes[ANSWERED] == server.counts.failures
        assert sum(asked for asked, _ in told) == server.counts.input_tokens
        assert sum(answered for _, answered in told) == server.counts.output_tokens


def soon_clock() -> float:
    """Stand still: nobody rests or waits for longer than the pauses, which are over at once."""
    return 0.0


async def soon(seconds: float) -> None:
    """End the pauses between two attempts at once; the time limits, which are longer, hold as they are."""
    await asyncio.sleep(seconds if seconds >= 10 else 0)


async def ask(router: Router, number: int, silent: dict[int, asyncio.Event]) -> None:
    """Ask, and give up where the provider says no more."""
    fragment = Fragment(f"This is question-{number}.", (Origin(OriginKind.INSTRUCTION),))
    request = Request((Message(Role.USER, (fragment,)),), stream=number % 3 > 0)
    silent[number] = asyncio.Event()
    asking = asyncio.ensure_future(router.answer(request))
    giving_up = asyncio.ensure_future(silent[number].wait())
    await asyncio.wait([asking, giving_up], return_when=asyncio.FIRST_COMPLETED)
    for task in (asking, giving_up):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError, GlossatorError):
        await asking
