"""Cut off a provider that is silent for too long: time counts only while we wait for it, and only an answer's own content resets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType, coroutine
from typing import Any, Self, TypeVar, cast

from glossator_providers.catalog import Timeouts
from glossator_providers.errors import Kind, ProviderError

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]
Result = TypeVar("Result")


class Watchdog:
    """The time limits of one attempt.

    Bytes are no progress: keep-alives have held a client for 18 minutes against a limit of five. What counts is reported by `progress`.
    One sleeping task serves a whole stream, and both *clock* and *sleep* are given, so that tests move time by hand.
    """

    def __init__(self, timeouts: Timeouts, *, streamed: bool, until: float, clock: Clock, sleep: Sleep) -> None:
        self._idle = timeouts.idle
        self._total = min(timeouts.total, max(0.0, until - clock()))
        self._end = clock() + self._total
        # An answer in one piece says nothing until it is whole.
        self._limit = timeouts.first_token if streamed else self._total
        self._left = self._limit
        self._spoke = False
        self._due = self._end
        self._clock = clock
        self._sleep = sleep
        self._waiting = asyncio.Event()
        self._waiter: asyncio.Task[object] | None = None
        self._bitten = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def progress(self) -> None:
        """Note that content arrived: from now on the limit between two pieces holds."""
        self._spoke = True
        self._limit = self._left = self._idle

    @coroutine
    def wait(self, awaitable: Awaitable[Result]) -> Generator[Any, None, Result]:
        """Wait for the provider; raises ProviderError(TIMEOUT) where a limit is reached first."""
        steps = awaitable.__await__()
        try:
            first = next(steps)
        except StopIteration as ready:  # it was here already, like most pieces of a fast answer: nothing to watch
            return cast("Result", ready.value)
        task = asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        began = self._clock()
        self._due = min(began + self._left, self._end)
        self._waiter = task
        self._waiting.set()
        try:
            return (yield from _rest(steps, first))
        except asyncio.CancelledError:
            # The same account that asyncio.timeout keeps: a cancellation from outside wins over ours.
            if self._bitten and task.uncancel() <= cancelled_before:
                raise ProviderError(Kind.TIMEOUT, self._reason()) from None
            raise
        finally:
            self._waiter = None
            self._waiting.clear()
            self._left -= self._clock() - began

    async def _watch(self) -> None:
        while True:
            await self._waiting.wait()
            # Never longer than the limit between two pieces: the first piece may bring the deadline forward.
            await self._sleep(max(0.0, min(self._due - self._clock(), self._idle)))
            if self._waiter is not None and self._clock() >= self._due:
                self._bitten = True
                self._waiter.cancel()
                return

    def _reason(self) -> str:
        if self._clock() >= self._end:
            return f"it did not finish within {self._total:g} s and was cut off; raise timeout.total, or ask for less"
        if self._spoke:
            return f"it fell silent for {self._limit:g} s in the middle of its answer and was cut off"
        return f"it did not begin to answer within {self._limit:g} s; raise timeout.first_token if it is a slow machine"


def _rest(steps: Generator[Any, Any, Result], first: object) -> Generator[Any, Any, Result]:
    """Go on with what waits for *first*, as `yield from` would have done from its beginning."""
    try:
        yield first
    except BaseException as error:  # noqa: BLE001  a cancellation above all: it belongs to what waits
        try:
            following = steps.throw(error)
        except StopIteration as done:
            return cast("Result", done.value)
        return (yield from _rest(steps, following))
    return (yield from steps)
