"""What all requests of one process have in common: who rests after failures, whose turn it is, how everybody has been, what was spent."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from glossator_providers import cost
from glossator_providers.adaptive import Adaptive, Lesson
from glossator_providers.asking import Heard
from glossator_providers.breaker import Breakers, Thresholds
from glossator_providers.budget import Budgets, Period, Reminders, Reserved, Spending, Spent, Verdict, begins, check
from glossator_providers.catalog import Provider
from glossator_providers.errors import EgressDenied, GlossatorError, Kind
from glossator_providers.health import Health
from glossator_providers.limits import Limiter
from glossator_providers.model import Attempt, Request, Usage, Who
from glossator_providers.usage_ledger import ANSWERED, CANCELLED, Entry, UsageLedger
from glossator_providers.watchdog import Clock, Sleep

Now = Callable[[], datetime]
Listener = Callable[[Entry], None]


def local_time() -> datetime:
    """Return the time of now with this machine's offset."""
    return datetime.now(tz=UTC).astimezone()


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt that is over, with `error` None and not `cancelled` where it was answered; `number` is what `began` returned."""

    request: Request
    provider: Provider
    heard: Heard
    attempt: Attempt
    caught: GlossatorError | None = None
    cancelled: bool = False
    split: str = ""
    number: int = -1

    @property
    def failure(self) -> Kind | None:
        """What its breaker learns: nothing from what we refused ourselves."""
        error = self.attempt.error
        if error is None or isinstance(self.caught, EgressDenied):
            return None
        return error.kind

    @property
    def blameless(self) -> bool:
        """Whether the provider has no part in how it ended: the user went away, or we did not let it go out."""
        error = self.attempt.error
        ours = error is not None and error.kind is Kind.FORBIDDEN and error.status is None
        return self.cancelled or isinstance(self.caught, EgressDenied) or ours


class State:
    """The memory of a router; several routers of one process share one."""

    def __init__(
        self,
        *,
        clock: Clock,
        sleep: Sleep,
        now: Now = local_time,
        thresholds: Thresholds | None = None,
        quota: str | None = None,
        ledger: UsageLedger | None = None,
        budgets: Budgets | None = None,
        learns: bool = False,
    ) -> None:
        """*quota* is the address of a store that a team shares; raises ConfigError where it is none.

        With *learns*, what becomes of answers is remembered, here and in the ledger.
        """
        self.breakers = Breakers(thresholds or Thresholds(), clock=clock)
        self.limiter = Limiter(clock=clock, sleep=sleep, url=quota)
        self.health = Health(clock=clock)
        self.adaptive = Adaptive()
        self.active: Counter[Who] = Counter()
        self.reserved = Reserved()
        self.budgets = budgets or Budgets()
        self.limited = bool(self.budgets)  # asked several times a request
        self.listeners: list[Listener] = []
        self.troubles: list[Callable[[], str | None]] = []  # who else may have something that the user should know
        self._ledger = ledger
        self._learns = learns
        self._recalled = False
        self._now = now
        self._spending = Spending()
        self._over: deque[int] = deque()  # attempts that are written down, and perhaps not among the sums yet
        self._readings = itertools.count()
        self._read = -1  # the latest reading of the sums that has come
        self._reminders = Reminders()
        self._told: set[str] = set()

    async def refresh(self) -> None:
        """Learn what was spent since the day and the month began, and once what earlier answers have taught; where anybody asks for it."""
        if self._learns and not self._recalled and self._ledger is not None:
            self._recalled = True
            self.adaptive.recall(await self._ledger.learned())
        if self.limited and self._ledger is not None:
            now, reading, over = self._now(), next(self._readings), tuple(self._over)
            day = await self._ledger.spent(begins(Period.DAY, now))
            month = await self._ledger.spent(begins(Period.MONTH, now))
            if reading < self._read:
                return  # another request has read more meanwhile
            self._read, self._spending = reading, Spending(day, month)
            for attempt in over:
                self.reserved.release(attempt)
            while self._over and self._over[0] in over:
                self._over.popleft()

    def allows(self, provider: Provider, estimate: cost.Estimate, *, local: bool) -> Verdict:
        """Say whether the budgets allow a request that costs *estimate* at most, with all that is under way."""
        if not self.limited:
            return Verdict()
        spending = self.reserved.added_to(self._spending)
        return check(self.budgets, spending, estimate, provider=provider.name, local=local)

    def news(self, verdicts: list[Verdict], warnings: tuple[str, ...]) -> tuple[str, ...]:
        """Return what the user should know and was not told yet: of budgets each day, of all else once."""
        notices = [notice for verdict in verdicts for notice in verdict.notices]
        told = self._reminders.fresh(notices, today=self._now().date()) if notices else ()
        problems = (self.limiter.problem, self._ledger.problem if self._ledger is not None else None)
        told_by = (*problems, *(trouble() for trouble in self.troubles))
        others = [*warnings, *(problem for problem in told_by if problem)]
        fresh = tuple(one for one in dict.fromkeys(others) if one not in self._told)
        self._told.update(fresh)
        return told + fresh

    def available(self, provider: Provider, *, tokens: int) -> bool:
        """Say whether this provider can be asked at once."""
        if not self.breakers.permits((provider.name, provider.model)):
            return False
        return self.limiter.expected(provider, tokens) is None

    async def spent_today(self) -> Mapping[str, Spent]:
        """Return what each provider beyond this machine has cost since the day began here, by all servers of the user."""
        return {} if self._ledger is None else await self._ledger.spent(begins(Period.DAY, self._now()))

    def learn(self, lesson: Lesson) -> None:
        """Learn from what became of an answer, where anybody chooses by that."""
        if not self._learns:
            return
        self.adaptive.learn(lesson)
        if self._ledger is not None:
            self._ledger.teach(lesson)

    async def written(self) -> None:
        """Wait until the attempts that are over are written down, so that nobody who kills us takes more than what is under way."""
        if self._ledger is not None:
            await self._ledger.caught_up()

    def began(self, provider: Provider, estimate: cost.Estimate, *, local: bool) -> int:
        """Note an attempt that begins now, and reserve what it may cost; return the number by which `ended` knows it."""
        self.active[provider.name, provider.model] += 1
        return self.reserved.hold(provider.name, estimate) if self.limited and not local else -1

    def ended(self, end: Ended) -> None:
        """Learn from an attempt that is over, and write it down."""
        provider, heard, attempt = end.provider, end.heard, end.attempt
        who = (provider.name, provider.model)
        self.active[who] -= 1
        self.breakers.left(who, None if end.blameless else end.failure, abandoned=end.blameless)
        self.limiter.told(provider, heard.allowances)
        if attempt.error is not None:
            self.limiter.refused(provider, attempt.error)
        if not end.blameless or end.cancelled:
            self.health.note(
                attempt, asked=who, size=size_of(end.request), streamed=end.request.stream, abandoned=end.cancelled
            )
        if self._ledger is None:
            self.reserved.release(end.number)
        else:
            self._ledger.enqueue(lambda: self._written(end))
            if end.number >= 0:
                self._over.append(end.number)
        for listener in self.listeners:
            listener(_entry(end, self._now()))

    def _written(self, end: Ended) -> Entry:
        """Return the row of an attempt, and count what it has cost; runs on the ledger's thread."""
        entry = _entry(end, self._now())
        tokens = (entry.input_tokens or 0) + (entry.output_tokens or 0)
        self.reserved.settle(end.number, Spent(entry.dollars or 0.0, tokens))
        return entry

    async def aclose(self) -> None:
        """Write what is left, and close what is open."""
        await self.limiter.aclose()
        if self._ledger is not None:
            await self._ledger.aclose()


def size_of(request: Request) -> int:
    """Return about how many tokens a request is, at once: good enough to tell large from small."""
    return sum(len(fragment.text) for message in request.messages for fragment in message.fragments) // 4


def _entry(end: Ended, at: datetime) -> Entry:
    """Return the row of an attempt; looks up a price, which takes a moment the first time."""
    provider, heard, attempt = end.provider, end.heard, end.attempt
    outcome = CANCELLED if end.cancelled else ANSWERED if attempt.error is None else attempt.error.kind.value
    usage, estimated = _billed(end)
    nothing = usage.input_tokens is None and usage.output_tokens is None
    return Entry(
        at=at,
        task=end.request.task,
        kind=provider.row.kind,
        provider=provider.name,
        model=heard.model,
        local=heard.local,
        outcome=outcome,
        seconds=attempt.seconds,
        first_token_seconds=attempt.first_token_seconds,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        dollars=0.0 if nothing and attempt.error is not None else cost.account(usage, provider, at=at),
        estimated=estimated,
        split=end.split,
    )


def _billed(end: Ended) -> tuple[Usage, bool]:
    """Return the tokens that will be billed, and whether they are counted by us: the provider did not live to tell them."""
    heard = end.heard
    untold = heard.usage.input_tokens is None and heard.usage.output_tokens is None
    began = bool(heard.text or heard.reasoning)
    if not untold or not (began or (end.cancelled and heard.sent)):
        return heard.usage, False
    asked = cost.tokens_of(end.request)
    return Usage(asked, cost.count_tokens("".join((*heard.reasoning, *heard.text)))), True
