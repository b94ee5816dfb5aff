"""Open the application for one command, run a task to its end, and close everything again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from glossator.app import Application
from glossator.tasks.task import Ask, Progress, Result


@asynccontextmanager
async def application(
    *roots: Path, allow_cloud: bool = False, trusted: bool = True, discover: bool = True, tell: bool = True
) -> AsyncIterator[Application]:
    """Give an application for these folders, with the servers that run on this machine; raises ConfigError.

    What is wrong with a project's settings is told on stderr, unless *tell* is off.
    """
    opened = Application.build(roots=tuple(map(str, roots)), environment=dict(os.environ), trusted=trusted)
    try:
        for problem in opened.loaded.problems if tell else ():
            print(f"configuration: {problem}", file=sys.stderr)
        if allow_cloud:
            opened.allow_clouds(remember=False)
        if sys.stdin.isatty() and sys.stderr.isatty():
            opened.consent = _ask_on_terminal
        if discover:
            await opened.discover()
        yield opened
    finally:
        await opened.aclose()


async def run_task(opened: Application, ask: Ask, show: Callable[[Progress], None]) -> Result:
    """Run a task, showing what it tells meanwhile; return how it ended."""
    result: Result | None = None
    async with aclosing(opened.run(ask)) as events:
        async for event in events:
            if isinstance(event, Result):
                result = event
            else:
                show(event)
    assert result is not None, "every task ends with a result"
    return result


async def _ask_on_terminal(question: str) -> bool:
    def read() -> bool:
        print(f"{question}\n[y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return await asyncio.to_thread(read)
