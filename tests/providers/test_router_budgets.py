"""Budgets on the way of real requests: what is spent is refused, and many requests at a time do not spend it together."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import cast

import pytest

from glossator_providers.budget import Budget, Budgets, Limit
from glossator_providers.catalog import ROWS, Limits, Provider
from glossator_providers.errors import Kind, NoProvider, ProviderError
from glossator_providers.model import Answer, Event, Fragment, Message, Origin, OriginKind, Request, Role, Warned
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.state import State
from glossator_providers.transport import Call, Transport
from glossator_providers.usage_ledger import UsageLedger
from hand_clock import HandClock

ANSWERED = 100  # tokens of every answer, and the most that are asked for: an estimate is what it costs


@dataclass
class Answering:
    """A response in OpenAI's wire that tells what it used."""

    asked_tokens: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})

    async def chunks(self) -> AsyncIterator[bytes]:
        usage = {"prompt_tokens": self.asked_tokens, "completion_tokens": ANSWERED}
        yield b'data: {"choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":"stop"}]}\n\n'
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()

    async def read(self, limit: int) -> bytes:
        return b"{}"[:limit]


class Door:
    """A door behind which everybody answers once `before` lets them; `used` are the tokens of each provider."""

    def __init__(self, before: Callable[[str], Awaitable[None]]) -> None:
        self.used: dict[str, int] = {}
        self._before = before

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Answering]:
        await self._before(call.provider.name)
        self.used[call.provider.name] = self.used.get(call.provider.name, 0) + ASKED + ANSWERED
        yield Answering(ASKED)


def question(**changes: object) -> Request:
    """Make a request whose answer is as long as it may be."""
    fragment = Fragment("What is this?", (Origin(OriginKind.INSTRUCTION),))
    return replace(Request((Message(Role.USER, (fragment,)),), max_tokens=ANSWERED), **changes)  # type: ignore[arg-type]  # names of its fields


ASKED = 8  # tokens that the question is estimated to be
EACH = ASKED + ANSWERED


def cloud(name: str, **changes: object) -> Provider:
    """Make a provider that is no machine of the user's; nothing is sent there, for the door is the test's."""
    provider = Provider(name, ROWS["openai-compatible"], "m", f"https://{name}.example/v1", key=Secret("k"))
    return replace(provider, **changes)  # type: ignore[arg-type]  # names of its fields


def at_most(answers: float, *, soft: float | None = None) -> Budgets:
    """Allow so many answers a day, in tokens."""
    return Budgets(
        Budget(Limit(hard_tokens=round(answers * EACH), soft_tokens=None if soft is None else round(soft * EACH)))
    )


@asynccontextmanager
async def routing(
    providers: Sequence[Provider], door: Door, budgets: Budgets, path: Path, clock: HandClock
) -> AsyncIterator[Router]:
    """Give a router with these budgets and a ledger of its own."""
    state = State(clock=clock.time, sleep=clock.sleep, ledger=UsageLedger(path), budgets=budgets)
    router = Router(
        providers,
        transport=cast("Transport", door),
        policy=Policy(),
        files=LocalFiles(),
        strategy="priority",
        state=state,
        clock=clock.time,
        sleep=clock.sleep,
        random=Random(1).random,
    )
    try:
        yield router
    finally:
        await state.aclose()


async def outcome(router: Router, request: Request | None = None) -> Answer | Exception:
    """Return the answer, or what was raised."""
    try:
        return await router.answer(request or question())
    except (NoProvider, ProviderError) as error:
        return error


async def at_once(name: str) -> None:
    """Let everybody answer at once."""


def test_the_estimate_is_what_is_used(tmp_path: Path) -> None:
    """What follows compares limits with what was used: of this question the estimate is exact."""
    from glossator_providers.cost import tokens_of

    assert tokens_of(question()) == ASKED


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("concurrent", [None, 1, 2])
async def test_many_requests_at_once_do_not_pass_a_limit_together(
    tmp_path: Path, concurrent: int | None, *, slowly: bool
) -> None:
    """Of twenty that begin together three go, wherever they had to wait for their turn; the others are refused with the sentence."""
    gate = asyncio.Event()

    async def wait(name: str) -> None:
        if slowly:
            await gate.wait()

    door = Door(wait)
    provider = cloud("a", limits=Limits(concurrent=concurrent))
    async with routing([provider], door, at_most(3.5), tmp_path / "usage", HandClock()) as router:
        requests = [asyncio.ensure_future(outcome(router)) for _ in range(20)]
        for _ in range(3):
            await router.state.refresh()  # it comes after theirs: by then all of them stand where they wait
        gate.set()
        outcomes = await asyncio.gather(*requests)
    refusals = [str(one) for one in outcomes if isinstance(one, Exception)]
    assert door.used == {"a": 3 * EACH}
    assert len(refusals) == 17
    assert all("today's budget leaves too little" in refusal for refusal in refusals), refusals


async def test_a_limit_is_never_passed_however_requests_fall(tmp_path: Path) -> None:
    """Requests that begin and end at any moments, while sums are being read, are answered until the last that fits, and no further."""
    for seed in range(12):
        chance, clock = Random(seed), HandClock()

        async def some_turns(name: str, chance: Random = chance) -> None:
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)

        door = Door(some_turns)
        async with routing([cloud("a")], door, at_most(10), tmp_path / str(seed), clock) as router:

            async def one_by_one(router: Router = router, chance: Random = chance) -> None:
                for _ in range(8):
                    await some_turns("")
                    await outcome(router)

            await asyncio.gather(*(one_by_one() for _ in range(6)))
            assert door.used == {"a": 10 * EACH}, seed
            assert isinstance(await outcome(router), NoProvider)


async def test_who_is_asked_later_is_checked_again(tmp_path: Path) -> None:
    """While the first provider fails slowly another request spends the second one's budget: it is refused then, in words."""
    failing = asyncio.Event()
    waiting = asyncio.Event()

    async def slow(name: str) -> None:
        if name == "a":
            waiting.set()
            await failing.wait()
            raise ProviderError(Kind.AUTH, "its key is wrong", 401)

    door, clock = Door(slow), HandClock()
    limited = Budgets(providers={"b": at_most(1).overall})
    async with routing([cloud("a"), cloud("b")], door, limited, tmp_path / "usage", clock) as router:
        first = asyncio.ensure_future(outcome(router))
        await waiting.wait()
        assert isinstance(await outcome(router, question(provider="b")), Answer)
        failing.set()
        error = await first
    assert isinstance(error, RequestFailed)
    assert "budget of b is spent" in str(error)
    assert door.used == {"b": EACH}
    assert [attempt.provider for attempt in error.attempts] == ["a"]


async def test_what_a_request_did_not_use_is_there_for_the_next(tmp_path: Path) -> None:
    """Where an answer is much shorter than it may be, the next one goes as soon as that is known, and a menu says so."""
    door, clock = Door(at_once), HandClock()
    async with routing([cloud("a")], door, at_most(100), tmp_path / "usage", clock) as router:
        large = question(max_tokens=99 * EACH)
        for _ in range(3):
            assert isinstance(await outcome(router, large), (Answer, NoProvider))
        await router.state.refresh()
        assert router.route(question()).candidates
        for _ in range(97):
            assert isinstance(await outcome(router), Answer), "an estimate is held no longer than its request"
        assert door.used["a"] <= 100 * EACH


async def test_a_soft_limit_warns_once_and_stops_nobody(tmp_path: Path) -> None:
    """The first request beyond it is told so, the next ones are not, and all are answered."""
    door, clock = Door(at_once), HandClock()
    told: list[Event] = []
    async with routing([cloud("a")], door, at_most(9, soft=2), tmp_path / "usage", clock) as router:
        for _ in range(6):
            told += [event async for event in router.ask(question())]
    warned = [event.message for event in told if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "has passed its soft limit (216 tokens of 216 tokens); nothing more is sent at 972 tokens" in warned[0]
    assert door.used == {"a": 6 * EACH}


@pytest.mark.parametrize("ledger", [True, False])
async def test_nothing_is_reserved_once_all_is_over(tmp_path: Path, *, ledger: bool) -> None:
    """Whether requests were answered, failed or were given up, and whether or not they are written down."""
    calls = itertools.count()

    async def varied(name: str) -> None:
        match next(calls) % 3:
            case 0:
                raise ProviderError(Kind.BAD_REQUEST, "no", 400)
            case 1:
                await asyncio.Event().wait()

    clock = HandClock()
    async with routing([cloud("a")], Door(varied), at_most(1000), tmp_path / "usage", clock) as router:
        if not ledger:
            router.state = State(clock=clock.time, sleep=clock.sleep, budgets=at_most(1000))
        for _ in range(9):
            asked = asyncio.ensure_future(outcome(router))
            for _ in range(200):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.wait([asked])
        await router.state.refresh()
        assert not router.state.reserved
        assert router.state.active.total() == 0
