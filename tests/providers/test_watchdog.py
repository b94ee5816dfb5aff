"""The time limits of one attempt: what is ready costs nothing, what must be waited for can be cut off and cleaned up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from glossator_providers.catalog import Timeouts
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.watchdog import Watchdog


class Time:
    """A clock that moves only when somebody sleeps on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.now += seconds


@asynccontextmanager
async def watching(time: Time, timeouts: Timeouts = Timeouts()) -> AsyncIterator[Watchdog]:  # noqa: B008  a frozen value
    """Watch over a streamed answer by this clock."""
    async with Watchdog(timeouts, streamed=True, until=1e9, clock=time.clock, sleep=time.sleep) as watchdog:
        yield watchdog


async def test_what_is_ready_is_not_waited_for() -> None:
    """Pieces that are there already, and failures too, pass without a clock being set."""

    async def ready() -> str:
        return "here"

    async def failing() -> str:
        raise ValueError("there")

    time = Time()
    async with watching(time) as watchdog:
        for _ in range(3):
            assert await watchdog.wait(ready()) == "here"
        with pytest.raises(ValueError, match="there"):
            await watchdog.wait(failing())
        await asyncio.sleep(0)
    assert time.slept == 0


async def test_silence_is_cut_off_and_cleaned_up() -> None:
    """A limit cancels what waits, lets it clean up at its leisure, and is told as a timeout."""
    told: list[str] = []

    async def silent() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            told.append("cleaned")

    async with watching(Time()) as watchdog:
        with pytest.raises(ProviderError, match="did not begin") as raised:
            await watchdog.wait(silent())
    assert raised.value.kind is Kind.TIMEOUT
    assert told == ["cleaned"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_swallows_the_cut_may_still_answer() -> None:
    """What is waited for may end well although it was cancelled: then its answer counts."""

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return "never"

    async with watching(Time()) as watchdog:
        assert await watchdog.wait(stubborn()) == "late"


async def test_a_cancellation_from_outside_stays_one() -> None:
    """Who cancels the whole gets a cancellation, and what was waited for has been cleaned up by then."""
    cleaned = asyncio.Event()
    waiting = asyncio.Event()

    async def slow() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async def attempt() -> None:
        async with Watchdog(
            Timeouts(), streamed=True, until=1e9, clock=asyncio.get_running_loop().time, sleep=asyncio.sleep
        ) as watchdog:
            await watchdog.wait(slow())

    task = asyncio.create_task(attempt())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()
