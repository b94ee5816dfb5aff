"""The story of one request: who may answer it, who is asked first, what happens when that fails, and the words as they come.

`ask` tells it. What must always hold: nobody is asked whom the clearance does not cover; every attempt says who is asked before it
begins; an answer is one model's, whole, never spliced; and whoever stops listening has closed the connection.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing

from glossator_providers.asking import Asking, Heard, Prepare
from glossator_providers.catalog import Provider
from glossator_providers.errors import EgressDenied, GlossatorError, PolicyRefusal, ProviderError, may_try_elsewhere
from glossator_providers.model import Answer, Answered, Attempt, Chosen, Event, ModelInfo, Request, Restarted
from glossator_providers.privacy import Cleared, Files, Policy, clear, is_near, judge
from glossator_providers.retry import Patience, pause
from glossator_providers.route import Groups, Route, named, nobody, objection
from glossator_providers.transport import Transport
from glossator_providers.watchdog import Clock, Sleep

__all__ = ["RequestFailed", "Route", "Router"]

DEADLINE = 300.0  # seconds for one request with all its attempts, unless a single attempt is allowed more


class RequestFailed(ProviderError):
    """Everybody who could be asked has failed: the last failure, with all attempts that were made."""

    def __init__(self, last: ProviderError, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(
            last.kind,
            last.message,
            last.status,
            last.code,
            last.retry_after,
            last.provider,
            partial=last.partial,
        )
        self.attempts = attempts


class Router:
    """The providers and the rules by which requests go to them.

    `providers` and `policy` may be replaced between requests: after discovery, after a change of the configuration.
    *prepare* makes a provider ready before it is asked (starts the embedded server). `max_attempts` counts per provider.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        *,
        transport: Transport,
        policy: Policy,
        files: Files,
        strategy: str = "local-first",
        order: Sequence[str] = (),
        groups: Groups | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
        prepare: Prepare | None = None,
        max_attempts: int = 3,
        deadline: float = DEADLINE,
    ) -> None:
        self.providers = tuple(providers)
        self.policy = policy
        self._files = files
        self._asking = Asking(transport, files=files, clock=clock, sleep=sleep, prepare=prepare)
        self._strategy = strategy
        self._order = tuple(order)
        self._groups = groups or {}
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._patience = Patience(attempts=max_attempts)
        self._deadline = deadline

    def replace(self, providers: Iterable[Provider]) -> None:
        """Take these providers from the next request on."""
        self.providers = tuple(providers)

    def route(self, request: Request) -> Route:
        """Say where a request would go and why; opens no connection."""
        try:
            cleared = clear(request, policy=self.policy, files=self._files)
        except PolicyRefusal as refusal:
            decision = judge(request, policy=self.policy, files=self._files)
            return Route(decision, (), tuple((provider, str(refusal)) for provider in self.providers))
        return self._route(request, cleared)

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Yield what happens until one model has answered; raises PolicyRefusal, NoProvider, EgressDenied, RequestFailed.

        Every attempt begins with Chosen. Restarted takes back all text since then. Closing the iterator closes the connection.
        """
        cleared = clear(request, policy=self.policy, files=self._files)
        route = self._route(request, cleared)
        if not route.candidates:
            raise nobody(request, route, self.providers, self.policy)
        attempts: list[Attempt] = []
        until = self._clock() + max(self._deadline, *(provider.timeouts.total for provider in route.candidates))
        for provider in route.candidates:
            alone = provider is route.candidates[-1]
            for tries in itertools.count(1):
                yield Chosen(provider.name, provider.model, self._is_local(provider))
                heard = Heard(self._clock(), provider.model, self._is_local(provider))
                try:
                    async with aclosing(
                        self._asking.ask(provider, request, cleared, self.policy, until=until, heard=heard)
                    ) as events:
                        async for event in events:
                            yield event
                except GlossatorError as caught:
                    error = await self._asking.told(caught, provider, self.policy, partial=bool(heard.text))
                    attempts.append(heard.attempt(provider, error, now=self._clock()))
                    wait = self._pause(error, tries=tries, alone=alone, until=until)
                    if wait is None and (alone or not may_try_elsewhere(error.kind) or self._clock() >= until):
                        raise _failure(caught, error, attempts) from None
                else:
                    attempts.append(heard.attempt(provider, None, now=self._clock()))
                    yield Answered(heard.answer(provider, attempts, bound=request.max_tokens or provider.max_tokens))
                    return
                if heard.text or heard.reasoning:
                    yield Restarted(error)
                if wait is None:
                    break
                await self._sleep(wait)

    async def answer(self, request: Request) -> Answer:
        """Return the whole answer; raises as `ask` does."""
        async with aclosing(self.ask(request)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return event.answer
        raise AssertionError("ask ends with Answered or raises")

    async def list_models(self, provider: Provider) -> list[ModelInfo]:
        """Ask a provider which models it has; raises ProviderError or EgressDenied."""
        return await self._asking.list_models(provider, self.policy)

    async def reach(self, provider: Provider) -> None:
        """Find a provider's key and ask its address, without it, whether anybody is there; raises ProviderError or EgressDenied."""
        await self._asking.reach(provider, self.policy)

    def _route(self, request: Request, cleared: Cleared) -> Route:
        """Filter by clearance before anything else, then by what the request names, then put into order."""
        candidates: list[Provider] = []
        refused: list[tuple[Provider, str]] = []
        for provider in named(request, self.providers, self._groups):
            reason = objection(provider, cleared, self.policy)
            if reason is None and provider.toy and not self._is_wanted(provider, request):
                reason = "it is a toy, asked only by its name"
            if reason is None:
                candidates.append(provider)
            else:
                refused.append((provider, reason))
        if request.provider not in self._groups:
            candidates.sort(key=self._rank)
        return Route(cleared.decision, tuple(candidates), tuple(refused))

    def _is_wanted(self, provider: Provider, request: Request) -> bool:
        return request.provider is not None or provider.name in self._order

    def _is_local(self, provider: Provider) -> bool:
        """Say whether its address is this machine's or a trusted host's; the kind alone says nothing of that."""
        return is_near(provider, self.policy.trusted_hosts)

    def _rank(self, provider: Provider) -> tuple[bool, int]:
        """Rank by place where the strategy says so, then by the user's order; the rest stay as they were configured."""
        away = self._strategy == "local-first" and not self._is_local(provider)
        position = self._order.index(provider.name) if provider.name in self._order else len(self._order)
        return away, position

    def _pause(self, error: ProviderError, *, tries: int, alone: bool, until: float) -> float | None:
        return pause(
            error,
            tries=tries,
            alone=alone,
            remaining=until - self._clock(),
            chance=self._random(),
            patience=self._patience,
        )


def _failure(caught: GlossatorError, error: ProviderError, attempts: Sequence[Attempt]) -> GlossatorError:
    """Return what to raise when nobody is left; the door's own word stays the door's."""
    return caught if isinstance(caught, EgressDenied) else RequestFailed(error, tuple(attempts))
