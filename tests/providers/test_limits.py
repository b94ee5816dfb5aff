"""Nobody is asked faster than the limits say, those who wait go in order, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parts
import recorded
from glossator_providers import allowances
from glossator_providers.catalog import ROWS, Limits, Provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.limits import Limiter, Ticket, Wait
from glossator_providers.model import Allowance
from hand_clock import HandClock, turns

RECORDED = 1_748_877_285.0  # 2025-06-02T15:14:45Z, when the refusal with dates was recorded
WORK = Provider("work", ROWS["anthropic"], "m", "https://example.invalid")


def allowing(
    requests: int | None = None, tokens: int | None = None, concurrent: int | None = None, *, name: str = "work"
) -> Provider:
    """Return a provider with these limits."""
    return replace(WORK, name=name, limits=Limits(requests, tokens, concurrent))


@dataclass(slots=True, eq=False)
class Job:
    """One request of a property, and what became of it; moments are those of the clock."""

    arrives: float
    tokens: int
    background: bool
    held: float
    longest: float
    cancelled: float | None
    joined: float = math.nan
    went: float | None = None
    refusal: ProviderError | None = None
    refused: float = math.nan


jobs = st.builds(
    Job,
    arrives=st.sampled_from([0.0, 0.25, 5.0, 30.0, 59.75, 60.0, 61.0]),
    tokens=st.integers(0, 10),
    background=st.booleans(),
    held=st.sampled_from([0.0, 0.5, 10.0, 70.0]),
    longest=st.sampled_from([0.0, 10.0, 90.0, 1e6]),
    cancelled=st.none() | st.sampled_from([0.0, 1.0, 59.75, 65.0]),
)
some_limits = st.builds(
    Limits, st.none() | st.integers(1, 4), st.none() | st.integers(10, 25), st.none() | st.integers(1, 3)
)


@settings(deadline=None)
@given(st.lists(jobs, max_size=15), some_limits)
def test_limits_and_order_are_kept_whatever_happens(asked: list[Job], limits: Limits) -> None:
    """Requests come, are held, given up and cancelled at any moment: in no minute are there too many, nor too many at once."""
    asyncio.run(_work_off(asked, limits))


async def _work_off(asked: list[Job], limits: Limits) -> None:
    clock = HandClock(0.0)
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = replace(WORK, limits=limits)
    waiting: list[Job] = []
    active = 0

    async def work(job: Job) -> None:
        nonlocal active
        await clock.sleep(job.arrives)
        job.joined = clock.now
        waiting.append(job)
        try:
            async with limiter.turn(provider, job.tokens, background=job.background, longest=job.longest):
                job.went = clock.now
                first = min(waiting, key=lambda one: (one.background, waiting.index(one)))
                assert first is job, "it went before its turn"
                waiting.remove(job)
                active += 1
                assert limits.concurrent is None or active <= limits.concurrent
                try:
                    await clock.sleep(job.held)
                finally:
                    active -= 1
        except ProviderError as error:
            job.refusal = error
            job.refused = clock.now
        finally:
            if job in waiting:
                waiting.remove(job)

    async def cancel(job: Job, task: asyncio.Task[None]) -> None:
        if job.cancelled is not None:
            await clock.sleep(job.arrives + job.cancelled)
            task.cancel()

    tasks = [asyncio.ensure_future(work(job)) for job in asked]
    await clock.run(*(cancel(job, task) for job, task in zip(asked, tasks, strict=True)), *map(_ended, tasks))
    for task in tasks:
        if not task.cancelled():
            task.result()  # a failed assertion
    _check(asked, limits)
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "something was left running"
    clock.now += 1000
    assert limiter.expected(provider, 1) is None


def _check(asked: list[Job], limits: Limits) -> None:
    """Look at all moments: no minute is too full, and nobody was kept longer than it said it could wait."""
    went = sorted((job.went, job.tokens) for job in asked if job.went is not None)
    for moment, _ in went:
        minute = [tokens for other, tokens in went if moment <= other < moment + 60]
        assert limits.requests_per_minute is None or len(minute) <= limits.requests_per_minute
        assert limits.tokens_per_minute is None or sum(minute) <= limits.tokens_per_minute
    for job in asked:
        assert job.went is None or job.went <= job.joined + job.longest + 1e-6
        if job.refusal is not None:
            assert job.refusal.kind is Kind.RATE
            assert job.refused <= job.joined + job.longest + 1e-6


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


@settings(deadline=None)
@given(st.lists(jobs, max_size=12), some_limits)
def test_nobody_waits_longer_than_needed(asked: list[Job], limits: Limits) -> None:
    """Persons who wait for nothing but the minute go when a plain calculation says that they may."""
    limits = replace(limits, concurrent=None)
    moments = asyncio.run(_moments(asked, limits))
    sent: list[tuple[float, int]] = []
    for arrives, tokens, went in moments:
        earliest = max([arrives, *(moment for moment, _ in sent)])
        due = sorted({earliest, *(moment + 60 for moment, _ in sent if moment + 60 > earliest)})
        for moment in due:
            recent = [other for before, other in sent if moment - 60 < before]
            if (limits.requests_per_minute is None or len(recent) < limits.requests_per_minute) and (
                limits.tokens_per_minute is None or sum(recent) + tokens <= limits.tokens_per_minute
            ):
                assert went == pytest.approx(moment, abs=0.01)
                break
        sent.append((went, tokens))


async def _moments(asked: Sequence[Job], limits: Limits) -> list[tuple[float, int, float]]:
    clock = HandClock(0.0)
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = replace(WORK, limits=limits)
    moments: list[tuple[float, int, float]] = []

    async def work(job: Job) -> None:
        await clock.sleep(job.arrives)
        async with limiter.turn(provider, job.tokens, background=False, longest=math.inf):
            moments.append((job.arrives, job.tokens, clock.now))

    await clock.run(*map(work, asked))
    return moments


async def test_what_is_expected_is_what_happens() -> None:
    """The wait that is foretold, with its reason in words, is the one that a request then has."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(2)
    for _ in range(2):
        assert limiter.expected(provider, 1) is None
        async with limiter.turn(provider, 1, background=False, longest=0):
            pass
    clock.now += 20
    assert limiter.expected(provider, 1) == Wait(40, "work allows 2 requests a minute")
    assert limiter.expected(allowing(2, name="another"), 1) is None
    began = clock.now

    async def ask() -> float:
        async with limiter.turn(provider, 1, background=False, longest=60):
            return clock.now - began

    assert await clock.run(ask()) == [40]


async def test_a_turn_that_would_not_come_in_time_is_told_at_once() -> None:
    """Who cannot wait so long is told so without waiting, with the time after which it is worth while."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(1)
    async with limiter.turn(provider, 1, background=False, longest=0):
        pass
    with pytest.raises(ProviderError) as caught:
        async with limiter.turn(provider, 1, background=False, longest=59):
            pytest.fail("it went")
    assert (caught.value.kind, caught.value.retry_after, clock.now) == (Kind.RATE, 60, 1000)
    assert str(caught.value) == (
        "work: it was not asked: work allows 1 requests a minute, and the next turn is in 60 s, longer than the 59 s "
        "that this request may wait; try again then, or choose another provider"
    )


async def test_a_request_larger_than_the_limit_is_refused() -> None:
    """What could never go is said at once, and is worth while elsewhere."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(tokens=100)
    assert limiter.expected(provider, 101) == Wait(
        math.inf, "this takes about 101 tokens, and work allows 100 a minute"
    )
    with pytest.raises(ProviderError, match=r"raise its limits\.tokens_per_minute") as caught:
        async with limiter.turn(provider, 101, background=False, longest=math.inf):
            pytest.fail("it went")
    assert caught.value.kind is Kind.TOO_LONG


async def test_real_tokens_make_room_for_those_who_wait() -> None:
    """An estimate that was too high is corrected as soon as the answer is there, and the next one goes at once."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(tokens=100)
    async with limiter.turn(provider, 90, background=False, longest=0) as ticket:
        second = asyncio.create_task(_hold(limiter, provider, 50))
        await turns()
        assert not second.done()
        ticket.settle(40)
        await turns()
        assert second.done()


async def _hold(limiter: Limiter, provider: Provider, tokens: int = 1, *, background: bool = False) -> Ticket:
    async with limiter.turn(provider, tokens, background=background, longest=math.inf) as ticket:
        return ticket


async def test_a_person_goes_before_background_jobs() -> None:
    """Of those who wait for a place, persons go first, in the order in which they came; then the jobs, in theirs."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(concurrent=1)
    order: list[str] = []

    async def wait(name: str, *, background: bool) -> None:
        async with limiter.turn(provider, 1, background=background, longest=math.inf):
            order.append(name)

    async with limiter.turn(provider, 1, background=True, longest=0):
        tasks = [
            asyncio.create_task(wait(name, background=name.startswith("job")))
            for name in ("job 1", "person 1", "job 2", "person 2")
        ]
        await turns()
        assert limiter.expected(provider, 1) == Wait(5.0 * 3, "work answers 1 requests at the same time")
    await asyncio.gather(*tasks)
    assert order == ["person 1", "person 2", "job 1", "job 2"]


async def test_whoever_gives_up_leaves_no_hole() -> None:
    """When the first in line is cancelled, at any of its steps, the second one goes, and no place is lost."""
    for steps in range(8):
        clock = HandClock()
        limiter = Limiter(clock=clock.time, sleep=clock.sleep)
        provider = allowing(concurrent=1)
        gone = asyncio.create_task(_hold(limiter, provider))
        async with limiter.turn(provider, 1, background=False, longest=0):
            first = asyncio.create_task(_hold(limiter, provider))
            second = asyncio.create_task(_hold(limiter, provider))
            await turns()
        for _ in range(steps):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first, second, gone], timeout=5)
        assert second.done(), f"cancelled after {steps} steps"
        assert limiter.expected(provider, 1) is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_refusal_holds_for_everybody() -> None:
    """After a 429 that says when to come back, nobody asks before; those who cannot wait so long are told at once."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    provider = allowing(concurrent=1)
    async with limiter.turn(provider, 1, background=False, longest=0):
        impatient = asyncio.create_task(_hold_for(limiter, provider, longest=10))
        patient = asyncio.create_task(_hold_for(limiter, provider, longest=50))
        await turns()
        limiter.refused(provider, ProviderError(Kind.RATE, "slow down", 429, retry_after=30))
    limiter.refused(provider, ProviderError(Kind.RATE, "slow down", 429, retry_after=5))
    limiter.refused(provider, ProviderError(Kind.SERVER, "x", 500, retry_after=500))
    assert limiter.expected(provider, 1) == Wait(30, "work asked to wait")
    await turns()
    with pytest.raises(ProviderError, match="work asked to wait, and the next turn is in 30 s"):
        await impatient
    await clock.move(29.9)
    assert not patient.done()
    await clock.move(0.2)
    assert patient.done()


async def _hold_for(limiter: Limiter, provider: Provider, *, longest: float) -> None:
    async with limiter.turn(provider, 1, background=False, longest=longest):
        pass


async def test_what_headers_say_is_left_is_kept_to() -> None:
    """So many more requests go as the provider says are left, then nobody before the reset, unless it says better."""
    clock = HandClock()
    limiter = Limiter(clock=clock.time, sleep=clock.sleep)
    limiter.told(WORK, (Allowance("requests", 50, 2, 30.0), Allowance("tokens", 1000, None, None)))
    for _ in range(2):
        await _hold_for(limiter, WORK, longest=0)
    assert limiter.expected(WORK, 1) == Wait(30, "work has none of its requests left")
    limiter.told(WORK, (Allowance("requests", 50, 1, 30.0), Allowance("output tokens", 1000, 0, 7.0)))
    assert limiter.expected(WORK, 1) == Wait(7, "work has none of its output tokens left")
    clock.now += 7
    assert limiter.expected(WORK, 1) is None
    # A reset that is told as a date is only as right as two clocks: it is not believed for long.
    limiter.told(WORK, (Allowance("requests", 50, 0, 1e9),))
    assert limiter.expected(WORK, 1) == Wait(300, "work has none of its requests left")


@pytest.mark.parametrize("refused_first", [True, False])
def test_recorded_headers_are_kept_to(*, refused_first: bool) -> None:
    """Of every recorded answer: nobody asks before its `retry-after`, else not before the reset of what is used up."""
    parts.shared_data("wire", "dev")
    held = 0
    for case in recorded.cases():
        headers = {name.lower(): value for name, value in case.response["headers"].items()}
        clock = HandClock()
        limiter = Limiter(clock=clock.time, sleep=clock.sleep)
        told = allowances.read(headers, clock=lambda: RECORDED)
        error = None
        if case.response["status"] == 429:
            error = case.dialect.explain(429, headers, case.body, clock=lambda: RECORDED)
        if error is not None and refused_first:
            limiter.refused(WORK, error)
        limiter.told(WORK, told)
        if error is not None and not refused_first:
            limiter.refused(WORK, error)
        wait = limiter.expected(WORK, 1)
        resets = [one.resets_in for one in told if one.remaining == 0 and one.resets_in]
        if error is not None and error.retry_after is not None:
            assert (wait.seconds if wait else 0) == pytest.approx(error.retry_after), case.name
            held += bool(wait)
        elif resets:
            assert wait is not None
            assert wait.seconds == pytest.approx(max(resets)), case.name
        else:
            assert wait is None, case.name
    assert held >= 4
