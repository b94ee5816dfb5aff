"""One of several processes that share a quota: `store_sender.py URL REQUESTS MINUTE SECONDS` prints the moment of each turn.

Moments are those of the system's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace

from glossator_providers.catalog import ROWS, Limits, Provider
from glossator_providers.errors import ProviderError
from glossator_providers.limits import Limiter


async def main(url: str, requests: int, minute: float, seconds: float) -> None:
    """Go as often as one may, for so many seconds."""
    until = time.monotonic() + seconds
    limiter = Limiter(clock=time.monotonic, sleep=asyncio.sleep, url=url, minute=minute)
    provider = replace(Provider("work", ROWS["anthropic"], "m", "https://example.invalid"), limits=Limits(requests))
    problem = None

    async def send() -> None:
        nonlocal problem
        while time.monotonic() < until:
            try:
                async with limiter.turn(provider, 1, background=False, longest=until - time.monotonic()):
                    print("went", time.monotonic(), flush=True)
            except ProviderError:
                return
            if limiter.problem != problem:
                problem = limiter.problem
                print("problem", problem, flush=True)

    await asyncio.gather(*(send() for _ in range(4)))
    await limiter.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
