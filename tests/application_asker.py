"""One of several processes of the real application, which asks as its standard input says: each line how many questions, and how many of them at once.

Prints a line for every question that has ended (`answered`, or `failed` with the kind), and `warned` with each sentence of warning.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator

from glossator.app import Application
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Answered, Fragment, Message, Origin, OriginKind, Request, Role, Warned


async def main() -> None:
    """Ask until nobody says how often any more, or until it is killed; what still waits then is given up."""
    product = Application.build(roots=(), environment=os.environ)
    asking: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        times, at_once = map(int, line.split())
        left = iter(range(times))
        asking |= {asyncio.ensure_future(ask_on(product, left)) for _ in range(at_once)}
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await product.aclose()


async def ask_on(product: Application, left: Iterator[int]) -> None:
    """Ask one after another, as many as are left."""
    for _ in left:
        await ask(product)


async def ask(product: Application) -> None:
    """Ask one question, and tell what comes of it."""
    fragment = Fragment("What is this?", (Origin(OriginKind.INSTRUCTION),))
    try:
        async for event in product.ask(Request((Message(Role.USER, (fragment,)),))):
            if isinstance(event, Warned):
                print("warned", event.message, flush=True)
            if isinstance(event, Answered):
                print("answered", flush=True)
    except GlossatorError as error:
        print("failed", getattr(error, "kind", type(error).__name__), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
