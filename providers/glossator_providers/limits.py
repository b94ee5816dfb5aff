"""Whose turn it is: how fast and how often at once a provider may be asked, by the user's limits and by its own word.

Who must wait stands in line: persons before background jobs, then whoever came first. Where several servers share a quota, the
shared counters are asked last, when it is a request's turn here.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from glossator_providers.catalog import Limits, Provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Allowance
from glossator_providers.shared_quota import Counted, SharedQuota
from glossator_providers.watchdog import Clock, Sleep
from glossator_providers.window import Sent, Window

MINUTE = 60.0  # seconds
_LONGEST_RESET = 300.0  # seconds: a reset told as a moment is only as right as two clocks
_LONGEST_REFUSAL = 86_400.0  # seconds: no quota that a client waits for is longer than a day
_SHORTEST = 0.001  # seconds: what is left after a sleep may be rounding
_USUAL = 5.0  # seconds that an answer is thought to take before the first one is known


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a request would wait, and for what, in words; infinite where its turn would never come."""

    seconds: float
    reason: str


class Ticket:
    """One request whose turn it is; `beyond` is how many tokens it took beyond the estimate."""

    def __init__(self, line: _Line, sent: Sent) -> None:
        self._line = line
        self._sent = sent
        self.beyond = 0

    def settle(self, tokens: int) -> None:
        """Tell how many tokens it really took, input and output, once that is known."""
        self.beyond += tokens - self._sent.tokens
        self._line.window.settle(self._sent, tokens)
        self._line.wake_first()


@dataclass(slots=True, eq=False)
class _Waiter:
    """One request in line; a person's sorts before a background job's."""

    background: bool
    number: int
    tokens: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[bool, int]:
        return self.background, self.number


@dataclass(slots=True)
class _Left:
    """What a provider said is left of one of its limits, until a moment."""

    remaining: int
    until: float


@dataclass(slots=True)
class _Full:
    """The shared quota has no room before a moment for a request of so many tokens, or more."""

    until: float = -math.inf
    tokens: int = 0
    limit: str = ""


@dataclass(slots=True)
class _Line:
    """What is known of one provider, and who waits for it."""

    window: Window
    waiters: list[_Waiter] = field(default_factory=list)
    active: int = 0
    usual: float = _USUAL  # seconds that a turn lasts
    left: dict[str, _Left] = field(default_factory=dict)
    refused_until: float = -math.inf
    full: _Full = field(default_factory=_Full)

    def join(self, waiter: _Waiter) -> None:
        self.waiters.append(waiter)
        self.waiters.sort(key=lambda one: one.place)

    def leave(self, waiter: _Waiter) -> None:
        self.waiters.remove(waiter)
        self.wake_first()

    def wake_first(self) -> None:
        if self.waiters:
            self.waiters[0].woken.set()

    def wake_all(self) -> None:
        for waiter in self.waiters:
            waiter.woken.set()


class Limiter:
    """The lines of all providers, by their names. `problem` says why a shared quota does not hold at the moment."""

    def __init__(
        self, *, clock: Clock, sleep: Sleep, url: str | None = None, wall: Clock | None = None, minute: float = MINUTE
    ) -> None:
        """*url* is the shared quota's address, from the user's or the organisation's configuration; raises ConfigError.

        *clock* is monotonic, *wall* what the shared counters are kept by. *minute* is how many seconds "per minute" means.
        """
        self._clock = clock
        self._sleep = sleep
        self._minute = minute
        self._lines: dict[str, _Line] = {}
        self._numbers = itertools.count()
        self._shared: SharedQuota | None = None
        if url is not None:
            self._shared = SharedQuota(url, clock=clock, window=minute, **({} if wall is None else {"wall": wall}))

    @property
    def problem(self) -> str | None:
        return None if self._shared is None else self._shared.problem

    def expected(self, provider: Provider, tokens: int) -> Wait | None:
        """Return how long a person's request would wait now, None where it would not; asks nobody."""
        line = self._line(provider)
        ahead = [waiter.tokens for waiter in line.waiters if not waiter.background]
        wait = self._obstacle(line, provider, [*ahead, tokens])
        concurrent = provider.limits.concurrent
        if concurrent is not None and line.active + len(ahead) >= concurrent:
            seconds = line.usual * (line.active + len(ahead) + 1 - concurrent) / concurrent
            if wait is None or seconds > wait.seconds:
                return Wait(seconds, _busy(provider))
        return wait

    @asynccontextmanager
    async def turn(self, provider: Provider, tokens: int, *, background: bool, longest: float) -> AsyncIterator[Ticket]:
        """Wait for this request's turn, and hold it until the block is left; `tokens` is an estimate of input and output.

        Raises ProviderError: RATE where its turn would not come within `longest` seconds, TOO_LONG where it never would.
        """
        line = self._line(provider)
        sent = await self._wait(line, provider, tokens, background=background, longest=longest)
        began = self._clock()
        ticket = Ticket(line, sent)
        try:
            yield ticket
        finally:
            line.active -= 1
            line.usual += (max(0.0, self._clock() - began) - line.usual) / 4  # the last few count most
            line.wake_first()
            if ticket.beyond > 0 and self._shared is not None:
                await self._shared.add(provider, ticket.beyond)

    def told(self, provider: Provider, allowances: Sequence[Allowance]) -> None:
        """Take what the provider's own headers say is left: of nothing that is left, nobody asks before its reset."""
        line, now = self._line(provider), self._clock()
        for allowance in allowances:
            if allowance.remaining is None or allowance.resets_in is None:
                continue
            if allowance.remaining == 0 and now < line.refused_until:
                # How long to wait was said in so many words; most vendors' reset is when the limit is whole again.
                continue
            until = now + min(allowance.resets_in, _LONGEST_RESET)
            line.left[allowance.what] = _Left(allowance.remaining, until)
        line.wake_all()

    def refused(self, provider: Provider, error: ProviderError) -> None:
        """Take a refusal that says when to come back: nobody asks before."""
        if error.kind not in {Kind.RATE, Kind.OVERLOADED} or error.retry_after is None:
            return
        line = self._line(provider)
        line.refused_until = max(line.refused_until, self._clock() + min(error.retry_after, _LONGEST_REFUSAL))
        line.left = {what: left for what, left in line.left.items() if left.remaining > 0}
        line.wake_all()

    async def aclose(self) -> None:
        """Close the connections to the shared quota."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _wait(self, line: _Line, provider: Provider, tokens: int, *, background: bool, longest: float) -> Sent:
        """Stand in line until it is this request's turn, and take it."""
        waiter = _Waiter(background, next(self._numbers), tokens)
        deadline = self._clock() + longest
        line.join(waiter)
        try:
            while True:
                waiter.woken.clear()
                ahead = line.waiters[: line.waiters.index(waiter)]
                wait = self._obstacle(line, provider, [*(one.tokens for one in ahead), tokens])
                now = self._clock()
                if wait is None and not ahead and _has_place(line, provider.limits):
                    sent = await self._enter(line, provider, tokens)
                    if sent is not None:
                        return sent
                    continue
                if now >= deadline or (wait is not None and wait.seconds > min(deadline - now, _LONGEST_REFUSAL)):
                    raise _too_late(provider, wait or Wait(line.usual, _busy(provider)), longest)
                await self._rest(waiter, min(deadline - now, wait.seconds if wait else math.inf))
        finally:
            line.leave(waiter)

    async def _enter(self, line: _Line, provider: Provider, tokens: int) -> Sent | None:
        """Take a place, and ask the shared quota for its leave; None where it has no room."""
        own = Counted(*line.window.count(self._clock()))
        sent = line.window.add(self._clock(), tokens)
        line.active += 1
        entered = False
        try:
            if self._shared is not None and _has_rate(provider.limits):
                refusal = await self._shared.take(provider, tokens, own)
                now = self._clock()
                if refusal is not None:
                    least = tokens if refusal.limit == "tokens" else 0
                    line.full = _Full(now + refusal.seconds, least, refusal.limit)
                    return None
                line.window.withdraw(sent)
                sent = line.window.add(now, tokens)  # it goes out now, and counts from now on
            if (left := line.left.get("requests")) is not None:
                left.remaining -= 1
            entered = True
            return sent
        finally:
            if not entered:
                line.window.withdraw(sent)
                line.active -= 1

    async def _rest(self, waiter: _Waiter, seconds: float) -> None:
        """Wait until somebody wakes this one, but no longer."""
        timer = asyncio.ensure_future(self._sleep(max(_SHORTEST, seconds)))
        timer.add_done_callback(lambda _: waiter.woken.set())
        try:
            await waiter.woken.wait()
        finally:
            timer.cancel()
            await asyncio.wait([timer])

    def _obstacle(self, line: _Line, provider: Provider, queue: Sequence[int]) -> Wait | None:
        """Return for how long at least the last of *queue* has to wait, places at the same time left aside."""
        now, limits, name = self._clock(), provider.limits, provider.name
        most = limits.tokens_per_minute
        if most is not None and queue[-1] > most:
            return Wait(math.inf, f"this takes about {queue[-1]} tokens, and {name} allows {most} a minute")
        room = line.window.room(now, limits, queue)
        until, reason = room.moment, _rate(provider, room.limit)
        if line.full.until > until and queue[-1] >= line.full.tokens:
            until, reason = line.full.until, f"{_rate(provider, line.full.limit)}, for all who share it"
        if line.refused_until > until:
            until, reason = line.refused_until, f"{name} asked to wait"
        for what, left in line.left.items():
            if left.remaining <= 0 and left.until > until:
                until, reason = left.until, f"{name} has none of its {what} left"
        return Wait(until - now, reason) if until > now else None

    def _line(self, provider: Provider) -> _Line:
        line = self._lines.get(provider.name)
        if line is None:
            line = self._lines[provider.name] = _Line(Window(self._minute))
        return line


def _has_place(line: _Line, limits: Limits) -> bool:
    return limits.concurrent is None or line.active < limits.concurrent


def _has_rate(limits: Limits) -> bool:
    return limits.requests_per_minute is not None or limits.tokens_per_minute is not None


def _rate(provider: Provider, limit: str) -> str:
    """Say in words what one of the user's limits is."""
    if limit == "tokens":
        return f"{provider.name} allows {provider.limits.tokens_per_minute} tokens a minute"
    return f"{provider.name} allows {provider.limits.requests_per_minute} requests a minute"


def _busy(provider: Provider) -> str:
    return f"{provider.name} answers {provider.limits.concurrent} requests at the same time"


def _too_late(provider: Provider, wait: Wait, longest: float) -> ProviderError:
    """Say why a request does not wait for its turn."""
    if math.isinf(wait.seconds):
        message = f"it was not asked: {wait.reason}; raise its limits.tokens_per_minute, or ask for less"
        return ProviderError(Kind.TOO_LONG, message, provider=provider.name)
    message = (
        f"it was not asked: {wait.reason}, and the next turn is in {wait.seconds:.0f} s, "
        f"longer than the {longest:.0f} s that this request may wait; try again then, or choose another provider"
    )
    return ProviderError(Kind.RATE, message, retry_after=wait.seconds, provider=provider.name)
