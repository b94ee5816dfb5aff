"""A clock that runs only while everybody waits: it jumps from one end of a sleep to the next, so that minutes take no time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Coroutine
from typing import Any


class HandClock:
    """Give `time` and `sleep` to what is tested, and let `run` move the clock until it is done, or `move` it by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._numbers), future))
        await future

    async def run(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run these to their ends and return what they return or raise; fails where everybody waits for nothing."""
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        while not all(task.done() for task in tasks):
            await turns()
            if not all(task.done() for task in tasks):
                assert self._step(), "everybody waits, and nobody for the clock"
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def move(self, seconds: float) -> None:
        """Move the clock, and let everybody run whose sleep ends meanwhile."""
        end = self.now + seconds
        await turns()
        while self._step(end):
            await turns()
        self.now = end

    def _step(self, end: float = math.inf) -> bool:
        """End the sleep that ends first, if that is by *end*."""
        while self._sleepers and (self._sleepers[0][2].done() or self._sleepers[0][0] <= end):
            moment, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self.now = max(self.now, moment)
                future.set_result(None)
                return True
        return False


async def turns() -> None:
    """Let everybody run who can."""
    for _ in range(100):  # enough for a line in which each wakes the next
        await asyncio.sleep(0)
