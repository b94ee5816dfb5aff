"""A clock for tests in which something real stands still: it stands until it is told to run, and then no wait takes any time."""

from __future__ import annotations

import asyncio


class StoppedTime:
    """Give `clock` and `sleep` to what is tested, and set `running` when the waiting may begin and be over."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await self.running.wait()
        self.now += seconds
