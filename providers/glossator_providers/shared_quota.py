"""One quota for several servers: what each of them sends is counted in a Redis or Valkey, by the library `limits`.

The only room beside the door that connects to anything, and only to the one address that it is made with, which is the user's or
the organisation's configuration's. What it stores are numbers under names such as `glossator:requests/anthropic/work/…`.
The servers count together that have the same kind, name and limit of a provider. Their clocks have to agree within a second.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

from glossator_providers.catalog import Provider
from glossator_providers.errors import ConfigError
from glossator_providers.watchdog import Clock

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import MovingWindowRateLimiter
    from redis.asyncio import ConnectionPool

Answer = TypeVar("Answer")

_SCHEMES = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}  # both speak one protocol
_PORT = 6379
_ANSWERS_IN = 0.5  # seconds
_SHORTEST = 0.02  # seconds between two looks of a request that waits
_RESTS = 5.0  # seconds without a question after one that was not answered
_MARGIN = 1  # seconds that its minute is longer: clocks differ, and an answer takes its time
_UNITS = 1000  # entries that a minute's tokens are counted in: the store keeps an entry for each unit


@dataclass(frozen=True, slots=True)
class Refusal:
    """There is no room in the shared quota before so many seconds; `limit` is `requests` or `tokens`."""

    seconds: float
    limit: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What this process alone has sent in the last minute."""

    requests: int
    tokens: int


class SharedQuota:
    """The shared counters of all providers. `problem` says why they do not hold at the moment, None while they do."""

    def __init__(self, url: str, *, clock: Clock, wall: Clock = time.time, window: float = 60.0) -> None:
        """Take the address of the store; raises ConfigError where it is none. Opens no connection.

        *clock* is monotonic; *wall* is the clock that the library's counters are kept by, in seconds since 1970.
        """
        self._url, self._place = _address(url)
        self._clock = clock
        self._wall = wall
        self._seconds = math.ceil(window) + _MARGIN
        self._pool: ConnectionPool | None = None
        self._counters: MovingWindowRateLimiter | None = None
        self._rests_until = -math.inf
        self._losses = 0
        self._told: dict[str, int] = {}  # up to which loss of the store a provider's own requests were told again
        self.problem: str | None = None
        if not _is_installed():
            self._rests_until = math.inf
            self.problem = (
                "the shared quota needs packages that are not installed, so limits hold for this process alone; "
                "install glossator[redis]"
            )

    async def take(self, provider: Provider, tokens: int, own: Counted) -> Refusal | None:
        """Count one request that is about to go out; None where it may, also where the store cannot be asked.

        *own* is what this process sent before: a store that was away, or has forgotten, hears of that first.
        """

        async def ask(counters: MovingWindowRateLimiter) -> Refusal | None:
            if self._told.get(provider.name, 0) != self._losses:
                self._told[provider.name] = self._losses
                for counter in _counters(provider, own.requests, own.tokens, self._seconds):
                    await self._fill(counters, counter)
            return await self._take(counters, _counters(provider, 1, tokens, self._seconds))

        return await self._asked(ask)

    async def add(self, provider: Provider, tokens: int) -> None:
        """Count tokens that an answer used beyond those that were taken for it."""

        async def ask(counters: MovingWindowRateLimiter) -> None:
            for counter in _counters(provider, 0, tokens, self._seconds):
                await self._fill(counters, counter)

        await self._asked(ask)

    async def aclose(self) -> None:
        """Close the connections; the next question would open them again."""
        pool, self._pool, self._counters = self._pool, None, None
        if pool is not None:
            await pool.aclose()

    async def _asked(self, ask: Callable[[MovingWindowRateLimiter], Awaitable[Answer]]) -> Answer | None:
        """Ask the store within its time; one that fails is left alone for a while, and limits hold for this process alone."""
        if self._clock() < self._rests_until:
            return None
        counters = await self._open()
        from redis import exceptions

        try:
            async with asyncio.timeout(_ANSWERS_IN):
                try:
                    answer = await ask(counters)
                except exceptions.ConnectionError:
                    self._losses += 1  # perhaps only an idle connection was closed, perhaps the store began anew
                    answer = await ask(counters)
        except Exception as failure:  # noqa: BLE001  whatever ails a store, no request fails for it
            self._losses += 1
            self._rests_until = self._clock() + _RESTS
            self.problem = f"the shared quota at {self._place} {_ailment(failure)}; limits hold for this process alone"
            return None
        self.problem = None
        return answer

    async def _take(self, counters: MovingWindowRateLimiter, wanted: Sequence[_Counter]) -> Refusal | None:
        # A look first: what one counter has counted is not taken back when the other one refuses.
        for counter in wanted:
            if not await counters.test(counter.item, *counter.name, cost=counter.cost):
                return await self._refusal(counters, counter)
        for counter in wanted:
            if not await counters.hit(counter.item, *counter.name, cost=counter.cost):
                return await self._refusal(counters, counter)  # another server was quicker
        return None

    async def _refusal(self, counters: MovingWindowRateLimiter, counter: _Counter) -> Refusal:
        """Say when the oldest entry leaves: there is room then for one request, perhaps not yet for all tokens of a large one."""
        stats = await counters.get_window_stats(counter.item, *counter.name)
        # Where the last entry left since the question, the library names the end of a minute that has not begun.
        seconds = 0.0 if stats.remaining >= counter.cost else stats.reset_time - self._wall()
        return Refusal(max(_SHORTEST, seconds), counter.item.namespace)

    async def _fill(self, counters: MovingWindowRateLimiter, counter: _Counter) -> None:
        """Count what has been sent already, as far as there is room: more than full is full."""
        stats = await counters.get_window_stats(counter.item, *counter.name)
        cost = min(counter.cost, stats.remaining)
        if cost > 0:
            await counters.hit(counter.item, *counter.name, cost=cost)

    async def _open(self) -> MovingWindowRateLimiter:
        if self._counters is None:
            await asyncio.to_thread(_import_libraries)
        if self._counters is None:  # still, for another request may have waited for the libraries too
            from limits.aio.storage import RedisStorage
            from limits.aio.strategies import MovingWindowRateLimiter
            from redis.asyncio import ConnectionPool

            # In its second protocol, in which no server can tell the client to go on at another address.
            self._pool = ConnectionPool.from_url(self._url, protocol=2)
            storage = RedisStorage(
                f"async+{self._url}",
                implementation="redispy",
                key_prefix="glossator",
                connection_pool=self._pool,  # type: ignore[arg-type]  # it takes one, its annotations forget that
            )
            self._counters = MovingWindowRateLimiter(storage)
        return self._counters


@dataclass(frozen=True, slots=True)
class _Counter:
    """A counter in the store, and how much of it is wanted."""

    item: RateLimitItem
    name: tuple[str, ...]
    cost: int


def _counters(provider: Provider, requests: int, tokens: int, seconds: int) -> list[_Counter]:
    """Return the counters of a provider's limits that so many requests and tokens belong to.

    Tokens are counted in units, rounded up, so that never more of them go out than the limit says.
    """
    from limits import RateLimitItemPerSecond

    name = (provider.row.kind, quote(provider.name, safe=""))
    wanted = []
    if (most := provider.limits.tokens_per_minute) is not None and tokens > 0:
        unit = math.ceil(most / _UNITS)
        item = RateLimitItemPerSecond(most // unit, seconds, namespace="tokens")
        wanted.append(_Counter(item, name, min(math.ceil(tokens / unit), item.amount)))
    if (most := provider.limits.requests_per_minute) is not None and requests > 0:
        item = RateLimitItemPerSecond(most, seconds, namespace="requests")
        wanted.append(_Counter(item, name, min(requests, most)))
    return wanted


def _address(url: str) -> tuple[str, str]:
    """Return the address as the library wants it, and where it leads in words that hold no password; raises ConfigError."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORT
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and "," not in parts.netloc
    except ValueError:
        usable = False
    # A query could set any option of the client, such as another host to follow; a path names a database by its number.
    if not usable or parts.query or parts.fragment or not re.fullmatch(r"(?:/\d{0,5})?", parts.path):
        raise ConfigError(
            "the shared quota's address cannot be used: write it as redis://HOST:PORT/0, or with rediss, valkey or valkeys"
        )
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path}", f"{parts.hostname}:{port}"


def _is_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("limits", "redis"))


def _import_libraries() -> None:
    """Load what takes long, on another thread."""
    importlib.import_module("limits.aio.strategies")
    importlib.import_module("redis.asyncio")


def _ailment(failure: Exception) -> str:
    """Say what ails the store, without its own words, which might repeat what it was sent."""
    from redis import exceptions

    if isinstance(failure, TimeoutError):
        return "does not answer"
    if isinstance(failure, (exceptions.AuthenticationError, exceptions.NoPermissionError)):
        return "does not accept the user or the password of its address"
    if isinstance(failure, (exceptions.ConnectionError, OSError)):
        return "cannot be reached"
    return f"does not work ({type(failure).__name__})"
