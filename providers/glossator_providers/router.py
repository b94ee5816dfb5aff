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
from dataclasses import dataclass, field, replace

from glossator_providers import cost, published
from glossator_providers.asking import Asking, Heard, Prepare, as_provider_error
from glossator_providers.catalog import Provider
from glossator_providers.errors import (
    EgressDenied,
    GlossatorError,
    Kind,
    PolicyRefusal,
    ProviderError,
    may_try_elsewhere,
)
from glossator_providers.hedging import Hedge, hedge
from glossator_providers.model import (
    Answer,
    Answered,
    Attempt,
    Chosen,
    Event,
    ModelInfo,
    Reasoning,
    Request,
    Restarted,
    Text,
    Waiting,
    Warned,
    Who,
)
from glossator_providers.privacy import Cleared, Files, Policy, clear, is_near, judge
from glossator_providers.race import first_to_speak
from glossator_providers.remaining import Remaining
from glossator_providers.retry import Patience, pause
from glossator_providers.route import Groups, Route, Split, named, nobody, objection
from glossator_providers.state import Ended, State, size_of
from glossator_providers.strategies import Asked, Candidate, Rule, Strategies
from glossator_providers.transport import Transport
from glossator_providers.watchdog import Clock, Sleep

__all__ = ["RequestFailed", "Route", "Router"]

DEADLINE = 300.0  # seconds for one request with all its attempts, unless a single attempt is allowed more
_LARGE = 8_000  # tokens of a request from which on it is looked up who can hold it
_NOTICED = 0.5  # seconds: a shorter wait is not worth a word


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


class _AttemptFailed(Exception):
    """One provider has failed; `shown` says that text was yielded, which must be taken back, `asked` that it was asked at all."""

    def __init__(
        self, candidate: Candidate, error: ProviderError, caught: GlossatorError, *, shown: bool, asked: bool
    ) -> None:
        super().__init__(str(error))
        self.candidate = candidate
        self.error = error
        self.caught = caught
        self.shown = shown
        self.asked = asked


@dataclass(frozen=True, slots=True)
class _Plan:
    """Who may be asked, in this order, and who not."""

    asked: Asked
    candidates: tuple[Candidate, ...]
    route: Route
    split: str = ""


@dataclass(slots=True)
class _Turn:
    """One request on its way."""

    request: Request
    cleared: Cleared
    plan: _Plan
    until: float  # of the clock, when it has taken too long in all
    tokens: int | None  # of the request and its longest answer, None where nobody counts them
    attempts: list[Attempt] = field(default_factory=list)


class Router:
    """The providers and the rules by which requests go to them.

    `providers` and `policy` may be replaced between requests: after discovery, after a change of the configuration.
    *prepare* makes a provider ready before it is asked (starts the embedded server). `max_attempts` counts per provider.
    *state* is what requests have learned; routers of one process share it. With *hedged*, a second provider is asked where
    the first is later than it usually is.
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
        rules: Iterable[Rule] = (),
        split: Split | None = None,
        state: State | None = None,
        hedged: bool = False,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
        prepare: Prepare | None = None,
        max_attempts: int = 3,
        deadline: float = DEADLINE,
    ) -> None:
        self.providers = tuple(providers)
        self.policy = policy
        self.preferred: str | None = None
        self.state = state or State(clock=clock, sleep=sleep)
        self._files = files
        self._asking = Asking(transport, files=files, clock=clock, sleep=sleep, prepare=prepare)
        rules = tuple(rules)
        self._strategies = Strategies(
            strategy, chance=random, order=order, groups=groups, rules=rules, adaptive=self.state.adaptive
        )
        self._by_price = "cheapest" in {strategy, *(rule.use for rule in rules)}
        self._order = tuple(order)
        self._groups = groups or {}
        self._split = split
        self._hedged = hedged
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._patience = Patience(attempts=max_attempts)
        self._deadline = deadline
        self._prices: dict[Who, tuple[float, float] | None] = {}  # dollars for a million tokens asked and answered
        self._windows: dict[Who, int | None] = {}  # tokens

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
        return self._plan(request, cleared).route

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Yield what happens until one model has answered; raises PolicyRefusal, NoProvider, EgressDenied, RequestFailed.

        Every attempt begins with Chosen. Restarted takes back all text since then. Closing the iterator closes the connection.
        """
        cleared = clear(request, policy=self.policy, files=self._files)
        turn = await self._begin(request, cleared)
        for message in turn.plan.route.warnings:
            yield Warned(message)
        remaining = Remaining(turn.plan.candidates, permits=self._permits)
        for candidate in remaining:
            for tries in itertools.count(1):
                if tries > 1 and not remaining.last and not self._permits(candidate):
                    break
                try:
                    async with aclosing(self._story(turn, candidate, remaining, tries)) as events:
                        async for event in events:
                            yield event
                except _AttemptFailed as caught:
                    failed = caught
                else:
                    return
                wait = self._wait_or_raise(turn, failed, remaining, tries)
                if failed.shown:
                    yield Restarted(failed.error)
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

    async def _begin(self, request: Request, cleared: Cleared) -> _Turn:
        """Learn what the order depends on, and put those who may be asked into it; raises where there is nobody."""
        await self.state.refresh()
        await self._look_up(request)
        tokens: int | None = None
        if self.state.limited or any(provider.limits.tokens_per_minute for provider in self.providers):
            tokens = cost.tokens_of(request)
        plan = self._parted(self._plan(request, cleared, tokens=tokens, news=True), request)
        if not plan.candidates:
            raise nobody(request, plan.route, self.providers, self.policy)
        # Noted now, though it may wait for its turn: else all who wait would stand in the same queue.
        self._strategies.began(plan.candidates[0].name)
        longest = max(candidate.provider.timeouts.total for candidate in plan.candidates)
        return _Turn(request, cleared, plan, self._clock() + max(self._deadline, longest), tokens)

    async def _look_up(self, request: Request) -> None:
        """Find prices and windows that are published, where the order depends on them: that imports a large module."""
        priced, large = self._by_price or self.state.limited, size_of(request) > _LARGE
        if not (priced or large):
            return
        wanted = [provider for provider in self.providers if not self._is_local(provider) and provider.model]
        if request.model is not None:
            wanted = [replace(provider, model=request.model) for provider in wanted]
        prices = [one for one in wanted if priced and (one.name, one.model) not in self._prices]
        windows = [one for one in wanted if large and (one.name, one.model) not in self._windows]
        if prices or windows:
            await asyncio.to_thread(self._find, prices, windows)

    def _find(self, prices: Iterable[Provider], windows: Iterable[Provider]) -> None:
        for provider in prices:
            self._prices[provider.name, provider.model] = published.prices(provider)
        for provider in windows:
            self._windows[provider.name, provider.model] = published.context_tokens(provider)

    def _plan(self, request: Request, cleared: Cleared, *, tokens: int | None = None, news: bool = False) -> _Plan:
        """Filter by clearance before anything else, then by what the request names and the budget, then put into order."""
        size = size_of(request) if tokens is None else tokens
        asked = Asked(
            request.task,
            size,
            request.max_tokens or 0,
            cleared.decision.level,
            request.thread,
            request.background,
            request.rule,
        )
        candidates: list[Candidate] = []
        refused: list[tuple[Provider, str]] = []
        verdicts = []
        for provider in named(request, self.providers, self._groups):
            reason = objection(provider, cleared, self.policy)
            if reason is None and provider.toy and not self._is_wanted(provider, request):
                reason = "it is a toy, asked only by its name"
            if reason is None:
                local = self._is_local(provider)
                estimate = self._estimate(asked, request, provider, local=local)
                verdict = self.state.allows(provider, estimate, local=local)
                reason = verdict.refusal
                verdicts.append(verdict)
                if reason is None:
                    candidates.append(self._candidate(provider, estimate, local=local))
            if reason is not None:
                refused.append((provider, reason))
        first = next((name for name in (request.provider, self.preferred) if name is not None), None)
        arranged = self._strategies.arrange(asked, candidates, first=() if first is None else (first,))
        route = Route(
            cleared.decision,
            tuple(candidate.provider for candidate in arranged.candidates),
            (*refused, *((candidate.provider, reason) for candidate, reason in arranged.refused)),
            self.state.news(verdicts, arranged.warnings) if news else (),
            arranged.reason,
        )
        return _Plan(asked, arranged.candidates, route)

    def _candidate(self, provider: Provider, estimate: cost.Estimate, *, local: bool) -> Candidate:
        who = (provider.name, provider.model)
        return Candidate(
            provider,
            local,
            health=self.state.health.view(who),
            dollars=estimate.dollars,
            context_tokens=provider.capabilities.context_tokens or self._windows.get(who),
            active=self.state.active[who],
            available=self.state.available(provider, tokens=estimate.input_tokens + estimate.output_tokens),
        )

    def _estimate(self, asked: Asked, request: Request, provider: Provider, *, local: bool) -> cost.Estimate:
        """Say what a request may cost at most, as far as prices are at hand."""
        answered = request.max_tokens or provider.max_tokens
        if local:
            return cost.Estimate(asked.input_tokens, answered, 0.0)
        price = self._prices.get((provider.name, provider.model))
        dollars = None if price is None else (price[0] * asked.input_tokens + price[1] * answered) / 1e6
        return cost.Estimate(asked.input_tokens, answered, dollars)

    def _parted(self, plan: _Plan, request: Request) -> _Plan:
        """Let the user's comparison of two providers decide which of them comes first, where both may answer."""
        split = self._split
        if split is None or request.provider is not None or self.preferred is not None:
            return plan
        by_name = {candidate.name: candidate for candidate in plan.candidates}
        if not set(split.between) <= by_name.keys():
            return plan
        arm = split.between[self._random() < split.share]
        others = tuple(candidate for candidate in plan.candidates if candidate.name != arm)
        return replace(plan, candidates=(by_name[arm], *others), split=arm)

    def _story(self, turn: _Turn, candidate: Candidate, remaining: Remaining, tries: int) -> AsyncGenerator[Event]:
        """Return one attempt, or, where the user wants that and the first is late, the sooner one of two."""
        story = self._attempt(turn, candidate, alone=remaining.last, anyway=remaining.last or remaining.rests)
        beside = self._beside(turn, candidate) if self._hedged and tries == 1 else None
        if beside is None:
            return story

        def second() -> AsyncGenerator[Event]:
            return self._attempt(turn, beside.candidate, alone=False, anyway=False)

        return first_to_speak(story, second, seconds=beside.seconds, sleep=self._sleep)

    def _beside(self, turn: _Turn, candidate: Candidate) -> Hedge | None:
        following = turn.plan.candidates[turn.plan.candidates.index(candidate) :]
        usual = self.state.health.hedge_after(_who(candidate), size=size_of(turn.request))
        return hedge(turn.plan.asked, following, usual=usual)

    async def _attempt(self, turn: _Turn, candidate: Candidate, *, alone: bool, anyway: bool) -> AsyncGenerator[Event]:
        """Ask one provider once, when it is this request's turn; ends with Answered or raises _AttemptFailed.

        With *alone* nobody else could answer, so it is waited for; with *anyway* it is asked although it rests.
        """
        request, state = turn.request, self.state
        provider = candidate.provider if alone else self._hurried(turn, candidate)
        yield Chosen(provider.name, provider.model, candidate.local)
        estimate = self._estimate(turn.plan.asked, request, provider, local=candidate.local)
        tokens = estimate.input_tokens + estimate.output_tokens if provider.limits.tokens_per_minute else 0
        longest = turn.until - self._clock() if alone else self._patience.elsewhere
        wait = state.limiter.expected(provider, tokens)
        if wait is not None and _NOTICED <= wait.seconds <= longest:
            yield Waiting(provider.name, wait.seconds, wait.reason)
        stays = bool(turn.cleared.decision.level)
        heard = Heard(self._clock(), provider.model, candidate.local, stays)
        begun = cancelled = False
        number = -1
        caught: GlossatorError | None = None
        error: ProviderError | None = None
        try:
            async with state.limiter.turn(
                provider, tokens, background=request.background, longest=max(0.0, longest)
            ) as ticket:
                await state.written()
                for message in state.news([], ()):  # what was found meanwhile, such as a shared quota that is away
                    yield Warned(message)
                self._enter(candidate, estimate, anyway=anyway)
                number = state.began(provider, estimate, local=candidate.local)
                begun = cancelled = True
                heard.began = self._clock()
                self._strategies.began(provider.name)
                async with self._asking.opened(
                    provider, request, turn.cleared, self.policy, until=turn.until, heard=heard
                ) as deltas:
                    async for delta in deltas:
                        heard.hear(delta, self._clock)
                        if isinstance(delta, (Text, Reasoning)):
                            yield delta
                ticket.settle((heard.usage.input_tokens or 0) + (heard.usage.output_tokens or 0))
            cancelled = False
        except GlossatorError as problem:
            cancelled = False
            caught, error = problem, as_provider_error(problem, provider, partial=bool(heard.text))
            await self._asking.name_nearest(error, provider, self.policy)
        finally:
            if begun:
                attempt = heard.attempt(provider, error, now=self._clock())
                turn.attempts.append(attempt)
                state.ended(Ended(request, provider, heard, attempt, caught, cancelled, turn.plan.split, number))
        if error is not None and caught is not None:
            raise _AttemptFailed(candidate, error, caught, shown=bool(heard.text or heard.reasoning), asked=begun)
        self._strategies.answered(turn.plan.asked, provider.name)
        yield Answered(heard.answer(provider, turn.attempts, bound=request.max_tokens or provider.max_tokens))

    def _hurried(self, turn: _Turn, candidate: Candidate) -> Provider:
        """Return the provider with less patience for its first word, where it is known to speak sooner and others could answer."""
        timeouts = candidate.provider.timeouts
        limit = self.state.health.first_token_limit(_who(candidate), timeouts.first_token, size=size_of(turn.request))
        if limit >= timeouts.first_token:
            return candidate.provider
        return replace(candidate.provider, timeouts=replace(timeouts, first_token=limit))

    def _enter(self, candidate: Candidate, estimate: cost.Estimate, *, anyway: bool) -> None:
        """Take leave to ask; raises ProviderError where its budget is spent, or it rests after failures and others could answer."""
        # The budget allowed it when the request began, but since then this has waited for its turn, or for others to fail.
        refusal = self.state.allows(candidate.provider, estimate, local=candidate.local).refusal
        if refusal is not None:
            raise ProviderError(Kind.NO_CREDIT, refusal, provider=candidate.name)
        who = _who(candidate)
        if not self.state.breakers.enter(who) and not anyway:
            seconds = self.state.breakers.retry_in(who)
            raise ProviderError(
                Kind.OVERLOADED,
                f"it was not asked: it rests after failures, and is asked again in {seconds:.0f} s",
                retry_after=max(seconds, self._patience.elsewhere),
                provider=candidate.name,
            )

    def _permits(self, candidate: Candidate) -> bool:
        return self.state.breakers.permits(_who(candidate))

    def _is_wanted(self, provider: Provider, request: Request) -> bool:
        return request.provider is not None or provider.name == self.preferred or provider.name in self._order

    def _is_local(self, provider: Provider) -> bool:
        """Say whether its address is this machine's or a trusted host's; the kind alone says nothing of that."""
        return is_near(provider, self.policy.trusted_hosts)

    def _wait_or_raise(self, turn: _Turn, failed: _AttemptFailed, remaining: Remaining, tries: int) -> float | None:
        """Return the seconds until the same provider is asked again, None for the next one; raises what ends the request."""
        if not failed.asked and remaining.put_off(failed.candidate):
            return None
        error, left, alone = failed.error, turn.until - self._clock(), remaining.last
        chance, patience = self._random(), self._patience
        wait = pause(error, tries=tries, alone=alone, remaining=left, chance=chance, patience=patience)
        if wait is not None or not (alone or not may_try_elsewhere(error.kind) or left <= 0):
            return wait
        if isinstance(failed.caught, EgressDenied):
            raise failed.caught  # the door's own word stays the door's
        raise RequestFailed(error, tuple(turn.attempts))


def _who(candidate: Candidate) -> Who:
    return candidate.name, candidate.provider.model
