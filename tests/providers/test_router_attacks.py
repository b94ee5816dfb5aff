"""Whatever happens to a router at whatever moment, it keeps nothing: no connection, no place, no probe, no task, no reservation."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator_providers.breaker import Thresholds
from glossator_providers.budget import Budget, Budgets, Limit
from glossator_providers.catalog import ROWS, Limits, Provider, Timeouts
from glossator_providers.errors import GlossatorError, Kind, ProviderError
from glossator_providers.model import (
    Answered,
    Attempt,
    Chosen,
    Event,
    Fragment,
    Message,
    Origin,
    OriginKind,
    Request,
    Restarted,
    Role,
    Text,
)
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.secrets import Secret
from glossator_providers.state import State
from glossator_providers.strategies import Candidate
from glossator_providers.transport import Call, Transport
from glossator_providers.usage_ledger import UsageLedger
from hand_clock import HandClock

NAMES = "abc"
UNLIMITED = Limits()
PIECES = 3
HANG = float("inf")
WHOLE = "whole"


@dataclass(frozen=True)
class Script:
    """What one provider does with one call: a wait in seconds before each piece, so many pieces, and how it ends."""

    waits: tuple[float, ...] = (0, 0, 0, 0)
    pieces: int = PIECES
    end: Kind | int | str = WHOLE


SOUND = Script()


@dataclass
class Scripted:
    """A response in OpenAI's wire that goes as its script says."""

    script: Script
    clock: HandClock
    who: str
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream", "retry-after": "1"})

    @property
    def status(self) -> int:
        return self.script.end if isinstance(self.script.end, int) else 200

    async def chunks(self) -> AsyncIterator[bytes]:
        for number in range(self.script.pieces):
            await wait(self.clock, self.script.waits[number + 1])
            yield chunk({"content": f"{self.who}{number} "})
        if isinstance(self.script.end, Kind):
            raise ProviderError(self.script.end, "scripted")
        if self.script.end == WHOLE:
            yield chunk({}, finish="stop") + b"data: [DONE]\n\n"

    async def read(self, limit: int) -> bytes:
        await wait(self.clock, self.script.waits[1])
        return b"{}"[:limit]


def chunk(delta: dict[str, str], *, finish: str | None = None) -> bytes:
    """Return a piece of a stream."""
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}]})}\n\n".encode()


async def wait(clock: HandClock, seconds: float) -> None:
    """Wait for so long, for a turn of the loop, or for ever."""
    if seconds == HANG:
        await asyncio.Event().wait()
    await (clock.sleep(seconds) if seconds else asyncio.sleep(0))


class Door:
    """A door that follows each provider's scripts in turn, the last for ever; `open` are the connections of now."""

    def __init__(self, clock: HandClock, scripts: Mapping[str, Sequence[Script]]) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.open = 0
        self._scripts = scripts

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Scripted]:
        who = call.provider.name
        scripts = self._scripts[who]
        script = scripts[min(self.calls.count(who), len(scripts) - 1)]
        self.calls.append(who)
        self.open += 1
        try:
            await wait(self.clock, script.waits[0])
            yield Scripted(script, self.clock, who)
        finally:
            try:
                await asyncio.sleep(0)  # to close takes a moment, in which anything may happen
            finally:
                self.open -= 1


def question(**changes: Any) -> Request:
    """Make a request."""
    return replace(Request((Message(Role.USER, (Fragment("What?", (Origin(OriginKind.INSTRUCTION),)),)),)), **changes)


def everybody(limits: Limits = UNLIMITED) -> list[Provider]:
    """Make three providers, each on a machine of its own; nothing is sent there, for the door is the test's."""
    return [
        Provider(
            name,
            ROWS["openai-compatible"],
            "m",
            f"https://{name}.example/v1",
            key=Secret("k"),
            limits=limits,
            timeouts=Timeouts(connect=5, first_token=20, idle=10, total=60),
        )
        for name in NAMES
    ]


def known(state: State) -> None:
    """Let it be known of everybody that they usually begin within a second, so that a late one is raced."""
    for name in NAMES:
        for _ in range(10):
            state.health.note(Attempt(name, "m", local=False, seconds=1.0, first_token_seconds=1.0), size=100)


def make(door: Door, path: Path | None = None, *, limits: Limits = UNLIMITED, **options: Any) -> Router:
    """Make a router on this door, with a budget that nobody will exhaust, and a ledger where it has a place."""
    clock = door.clock
    ledger = None if path is None else UsageLedger(path)
    state = State(
        clock=clock.time,
        sleep=clock.sleep,
        thresholds=Thresholds(failures=2, rest=5.0),
        ledger=ledger,
        budgets=Budgets(Budget(Limit(hard_tokens=10**9))),
    )
    settings: dict[str, Any] = {
        "transport": cast("Transport", door),
        "policy": Policy(),
        "files": LocalFiles(),
        "strategy": "priority",
        "order": NAMES,
        "state": state,
        "clock": clock.time,
        "sleep": clock.sleep,
        "random": Random(3).random,
        "max_attempts": 2,
    }
    return Router(everybody(limits), **(settings | options))


@dataclass
class Told:
    """What a listener heard, and how it ended: None where it went away."""

    events: list[Event] = field(default_factory=list)
    error: GlossatorError | None = None
    left: bool = False


async def listen(router: Router, request: Request, told: Told, *, leave_after: int | None = None) -> None:
    """Listen to a request, at most to so many events."""
    try:
        async with aclosing(router.ask(request)) as events:
            async for event in events:
                told.events.append(event)
                if len(told.events) == leave_after:
                    told.left = True
                    return
    except GlossatorError as error:
        told.error = error
    except asyncio.CancelledError:
        told.left = True
        raise


def judge(told: Told) -> None:
    """Hold what was heard to its form: one answer, whole and of one model, or one error."""
    shown: list[str] = []
    for event in told.events:
        match event:
            case Chosen():
                assert not shown, "nobody else is named in the middle of an answer that is not taken back"
            case Restarted():
                shown.clear()
            case Text(text):
                shown.append(text)
            case Answered(answer):
                assert event is told.events[-1]
                assert "".join(shown) == answer.text == "".join(f"{answer.provider}{n} " for n in range(PIECES))
    answered = sum(isinstance(event, Answered) for event in told.events)
    assert answered <= 1
    assert told.left or answered + (told.error is not None) == 1, told


async def nothing_is_kept(router: Router, door: Door, tasks: int) -> None:
    """Assert that nothing is open, running, held or counted as if it were."""
    state = router.state
    await state.refresh()
    assert door.open == 0
    assert state.active.total() == 0, state.active
    assert min(state.active.values(), default=0) == 0
    assert not state.reserved
    for line in state.limiter._lines.values():
        assert (line.active, line.waiters) == (0, [])
    assert all(breaker.inside == 0 for breaker in state.breakers._breakers.values())
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks


SLOW = Script((2, 1, 1, 1))
HANGS = Script((HANG,))
MIDWAY = Script((0, 0, HANG, 0))
BREAKS = Script(pieces=2, end=Kind.BROKEN_STREAM)
DOWN = Script(end=Kind.NETWORK, pieces=0)
SCENES: Mapping[str, Mapping[str, Sequence[Script]]] = {
    "all hang": {"a": [HANGS], "b": [MIDWAY], "c": [HANGS, SOUND]},
    "broken off and slow": {"a": [BREAKS, BREAKS], "b": [Script(end=503, pieces=0), SLOW], "c": [SOUND]},
    "the second is sooner": {"a": [Script((9, 0, 0, 0))], "b": [SLOW], "c": [SOUND]},
    "both late and then broken": {"a": [Script((3, 1, 0, 0), pieces=2, end="cut")], "b": [DOWN], "c": [MIDWAY]},
}


@pytest.mark.parametrize("hedged", [False, True], ids=["alone", "raced"])
@pytest.mark.parametrize("scene", SCENES)
async def test_a_request_given_up_at_any_step_leaves_nothing(scene: str, *, hedged: bool) -> None:
    """Cancelled after every single turn of the loop, wherever the request is by then."""
    for turn in range(10_000):
        clock = HandClock()
        door = Door(clock, SCENES[scene])
        router = make(door, hedged=hedged, limits=Limits(concurrent=1))
        if hedged:
            known(router.state)
        tasks, told = len(asyncio.all_tasks()), Told()
        request = asyncio.ensure_future(listen(router, question(), told))
        for number in range(turn):
            if request.done():
                break
            await asyncio.sleep(0)
            if number % 12 == 11:
                clock._step()
        finished = request.done()
        request.cancel()
        await asyncio.wait([request])
        told.left = told.left or request.cancelled()  # also before it has begun
        judge(told)
        await nothing_is_kept(router, door, tasks)
        if finished:
            assert turn > 15, "it was given up at many of its steps"
            return
    pytest.fail("it never ended")


@pytest.mark.parametrize("hedged", [False, True], ids=["alone", "raced"])
@pytest.mark.parametrize("scene", SCENES)
async def test_a_listener_that_leaves_after_any_event_leaves_nothing(scene: str, *, hedged: bool) -> None:
    """Closed between two events, after each of them."""
    leave_after = 0
    while True:
        leave_after += 1
        clock = HandClock()
        door = Door(clock, SCENES[scene])
        router = make(door, hedged=hedged)
        if hedged:
            known(router.state)
        tasks, told = len(asyncio.all_tasks()), Told()
        await run(clock, listen(router, question(), told, leave_after=leave_after))
        judge(told)
        await nothing_is_kept(router, door, tasks)
        if not told.left:
            assert leave_after > PIECES
            return


async def run(clock: HandClock, *work: Any) -> None:
    """Run these to their ends, moving the clock where everybody waits for it; the ledger's thread is waited for."""
    tasks = [asyncio.ensure_future(one) for one in work]
    idle = 0
    while not all(task.done() for task in tasks):
        for _ in range(40):
            await asyncio.sleep(0)
        if all(task.done() for task in tasks):
            break
        idle = 0 if clock._step() else idle + 1
        assert idle < 100_000, "everybody waits, and nobody for the clock"
    for task in tasks:
        if not task.cancelled():
            task.result()


@dataclass(frozen=True)
class Job:
    """One request: when it begins, and when its listener leaves, in seconds after that or in events."""

    begin: int
    leave: tuple[str, int] | None
    background: bool
    provider: str | None


jobs = st.builds(
    Job,
    begin=st.integers(0, 30),
    leave=st.one_of(
        st.none(),
        st.tuples(st.just("seconds"), st.integers(0, 40)),
        st.tuples(st.just("events"), st.integers(1, 8)),
    ),
    background=st.booleans(),
    provider=st.sampled_from([None, None, "b"]),
)
scripts = st.builds(
    Script,
    waits=st.tuples(*[st.sampled_from([0, 0, 0.3, 1, 7, 15, HANG])] * 4),
    pieces=st.integers(0, PIECES),
    end=st.sampled_from([Kind.NETWORK, Kind.TIMEOUT, Kind.SERVER, 401, 404, 429, 503, "cut", WHOLE]),
).map(lambda script: replace(script, pieces=PIECES) if script.end == WHOLE else script)
upsets = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["forward", "backward", "replace", "remove", "break"])), max_size=4
)


@settings(max_examples=120, deadline=None)
@given(
    jobs=st.lists(jobs, min_size=1, max_size=8),
    scripts=st.fixed_dictionaries({name: st.lists(scripts, min_size=1, max_size=4) for name in NAMES}),
    limits=st.builds(
        Limits,
        requests_per_minute=st.sampled_from([None, 3, 100]),
        concurrent=st.sampled_from([None, 1, 2]),
    ),
    upsets=upsets,
    hedged=st.booleans(),
    strategy=st.sampled_from(["priority", "round-robin", "fastest", "load-balanced", "attacked:strategy"]),
    written=st.booleans(),
)
def test_no_storm_leaves_anything_behind(**storm: Any) -> None:
    """Requests at once, given up anywhere, by providers that fail and hang, while clocks leap and providers are replaced: each has its one end."""
    asyncio.run(endure(**storm))


async def endure(
    *,
    jobs: list[Job],
    scripts: dict[str, list[Script]],
    limits: Limits,
    upsets: list[tuple[int, str]],
    hedged: bool,
    strategy: str,
    written: bool,
) -> None:
    """Live through a storm, and look what is left."""
    clock = HandClock()
    door = Door(clock, scripts)
    own = Own()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        module = ModuleType("attacked")
        patch.setattr(module, "strategy", own, raising=False)
        patch.setitem(sys.modules, "attacked", module)
        router = make(door, Path(folder, "usage") if written else None, limits=limits, hedged=hedged, strategy=strategy)
        if hedged:
            known(router.state)
        tasks = len(asyncio.all_tasks())
        told = [Told() for _ in jobs]
        weather = Weather(router, clock, own, limits)
        requests = [go(router, clock, job, one) for job, one in zip(jobs, told, strict=True)]
        await run(clock, *requests, *(weather.turn(*one) for one in upsets))
        for one in told:
            judge(one)
        await nothing_is_kept(router, door, tasks)
        await router.state.aclose()


class Own:
    """A strategy of the user's, which may break."""

    broken = False

    def __call__(self, asked: object, candidates: Sequence[Candidate]) -> Sequence[str]:
        if self.broken:
            raise RuntimeError("it is broken")
        return [candidate.name for candidate in reversed(candidates)]


async def go(router: Router, clock: HandClock, job: Job, told: Told) -> None:
    """Ask when the job's time has come, and stop listening when it says so."""
    await clock.sleep(job.begin)
    how, number = job.leave or ("", 0)
    request = question(background=job.background, provider=job.provider)
    asking = asyncio.ensure_future(listen(router, request, told, leave_after=number if how == "events" else None))
    if how == "seconds":
        await clock.sleep(number)
        asking.cancel()
    await asyncio.wait([asking])
    told.left = told.left or asking.cancelled()
    if not asking.cancelled():
        asking.result()


@dataclass(frozen=True)
class Weather:
    """What happens around the requests, and none of them expects."""

    router: Router
    clock: HandClock
    own: Own
    limits: Limits

    async def turn(self, moment: int, what: str) -> None:
        """Let it happen at that moment."""
        await self.clock.sleep(moment)
        match what:
            case "forward":
                self.clock.now += 400
            case "backward":
                self.clock.now -= 400
            case "replace":
                self.router.replace(reversed(everybody(self.limits)))
            case "remove":
                self.router.replace(everybody(self.limits)[:1])
            case "break":
                self.own.broken = True


async def test_who_recovers_is_asked_again() -> None:
    """While its name cannot be found another answers; once it is found, and its rest is over, it is the first again."""
    clock = HandClock()
    unknown = Script(end=Kind.NETWORK, pieces=0)
    door = Door(clock, {"a": [unknown] * 3 + [SOUND], "b": [SOUND], "c": [SOUND]})
    router = make(door)
    answered: list[str] = []
    for _ in range(8):
        told = Told()
        await run(clock, listen(router, question(), told))
        judge(told)
        event = told.events[-1]
        assert isinstance(event, Answered)
        answered.append(event.answer.provider)
        await clock.move(4)
    assert answered[0] == "b"
    assert answered[-1] == "a"
    assert answered == sorted(answered, reverse=True), "once it is back it stays"
    assert door.calls.count("a") == 3 + answered.count("a"), "it was left in peace meanwhile"
