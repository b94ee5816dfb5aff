"""Two attempts at once, where the first is late: whoever speaks first is heard to its end, and the other is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from glossator_providers.model import Answered, Event, Reasoning, Text

Story = AsyncGenerator[Event]
Sleep = Callable[[float], Awaitable[None]]


async def first_to_speak(first: Story, second: Callable[[], Story], *, seconds: float, sleep: Sleep) -> Story:
    """Yield the events of *first*; where it has not spoken after so many seconds, those of whoever speaks first.

    Raises what the first raises, if the second was not begun or fails as well. Each story runs in a task of its own.
    """
    runners = [_Runner(first)]
    alarm = asyncio.ensure_future(sleep(seconds))
    try:
        winner: _Runner | None = None
        while winner is None:
            waiting = [alarm] if len(runners) == 1 else []
            changed = [asyncio.ensure_future(runner.changed.wait()) for runner in runners]
            try:
                await asyncio.wait([*waiting, *changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _cancel(changed)
            for runner in runners:
                runner.changed.clear()
                for event in runner.asides():
                    yield event
            winner = next((runner for runner in runners if runner.spoke), None)
            if winner is None and all(runner.over for runner in runners):
                winner = runners[0]
            if winner is None and alarm.done() and len(runners) == 1:
                runners.append(_Runner(second()))
        await _cancel([runner.task for runner in runners if runner is not winner])
        if winner.spoke and winner is not runners[-1]:
            for event in winner.announced:  # the other one was announced last
                yield event
        async with aclosing(winner.rest()) as events:
            async for event in events:
                yield event
    finally:
        await _cancel([alarm, *(runner.task for runner in runners)])


class _Runner:
    """One story that runs ahead of its listener."""

    def __init__(self, story: Story) -> None:
        self.changed = asyncio.Event()
        self.announced: list[Event] = []  # what it told before it spoke
        self.spoke = False
        self._told = 0
        self._words: asyncio.Queue[Event | None] = asyncio.Queue()
        self.task = asyncio.create_task(self._run(story))
        self.task.add_done_callback(lambda _: self.changed.set())

    @property
    def over(self) -> bool:
        return self.task.done()

    def asides(self) -> Iterable[Event]:
        """Return what it has told since it was last asked, before it spoke."""
        fresh = self.announced[self._told :]
        self._told = len(self.announced)
        return fresh

    async def rest(self) -> Story:
        """Yield everything from its first word on; raises what it raises."""
        while (event := await self._words.get()) is not None:
            yield event
        await self.task

    async def _run(self, story: Story) -> None:
        try:
            async with aclosing(story) as events:
                async for event in events:
                    if not self.spoke and not isinstance(event, (Text, Reasoning, Answered)):
                        self.announced.append(event)
                        self.changed.set()
                        continue
                    self.spoke = True
                    self._words.put_nowait(event)
                    self.changed.set()
        finally:
            self._words.put_nowait(None)


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Stop tasks and wait until they are over; what they raise is not asked for."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
