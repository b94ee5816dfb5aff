"""When to stop spending: arithmetic on what was spent, what a request may cost at most, and what the user allows.

Only what leaves this machine is counted: local providers stay usable whatever was spent.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING

from glossator_providers.cost import Estimate

if TYPE_CHECKING:
    from glossator_providers.config import BudgetSettings
    from glossator_providers.config import Limit as LimitSettings

_CENT = 0.01  # dollars


class Period(enum.StrEnum):
    """How long a limit holds before it begins anew, by the name of its key in the configuration."""

    DAY = "daily"
    MONTH = "monthly"


@dataclass(frozen=True, slots=True)
class Limit:
    """A warning at the soft limits and no more at the hard ones, in US dollars and in tokens asked and answered."""

    hard: float | None = None
    soft: float | None = None
    hard_tokens: int | None = None
    soft_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a day and in a month."""

    daily: Limit = Limit()
    monthly: Limit = Limit()


@dataclass(frozen=True, slots=True)
class Budgets:
    """What may be spent in all, and with single providers by their names."""

    overall: Budget = Budget()
    providers: Mapping[str, Budget] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(budget != Budget() for budget in (self.overall, *self.providers.values()))


@dataclass(frozen=True, slots=True)
class Spent:
    """Money in US dollars, and tokens asked and answered; a price that nobody knows counts as nothing."""

    dollars: float = 0.0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.dollars + other.dollars, self.tokens + other.tokens)


@dataclass(frozen=True, slots=True)
class Spending:
    """What each provider has cost since the day began, and since the month did."""

    day: Mapping[str, Spent] = field(default_factory=dict)
    month: Mapping[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell the user; two of one `key` tell the same, though the numbers differ."""

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a budget allows a request: `refusal` says why not, and what the user can do."""

    refusal: str | None = None
    notices: tuple[Notice, ...] = ()


def budgets(settings: BudgetSettings) -> Budgets:
    """Return what the configuration allows."""
    named = {
        name: Budget(*(_limit(limit) for limit in (one.daily, one.monthly))) for name, one in settings.providers.items()
    }
    return Budgets(Budget(_limit(settings.daily), _limit(settings.monthly)), named)


def begins(period: Period, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return when the day or the month of *now* (aware) began by the clocks of *zone*, or of this machine."""
    first = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is Period.MONTH:
        first = first.replace(day=1)
    if zone is None:
        # The offset is that of *now*, and midnight's may have been another: without it, the system's clock is asked.
        first = first.replace(tzinfo=None)
    return first.astimezone(UTC)


def check(budgets: Budgets, spending: Spending, estimate: Estimate, *, provider: str, local: bool) -> Verdict:
    """Say whether a provider may be asked what costs *estimate* at most; one on this machine always may."""
    if local:
        return Verdict()
    notices: list[Notice] = []
    for gauge in _gauges(budgets, spending, estimate, provider):
        if gauge.hard is not None and (gauge.spent >= gauge.hard or gauge.spent + (gauge.asked or 0) > gauge.hard):
            return Verdict(gauge.refusal())
        if gauge.soft is not None and gauge.spent >= gauge.soft:
            notices.append(gauge.warning())
        if gauge.hard is not None and gauge.asked is None:
            notices.append(_unpriced(provider))
    return Verdict(None, tuple(dict.fromkeys(notices)))


class Reserved:
    """What the requests under way may still cost, so that many at a time do not pass a limit together; false where there is none.

    What is over counts on until `release`: the sums that are at hand were read before it was written down.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[str, Spent]] = {}
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, provider: str, estimate: Estimate) -> int:
        """Count an estimate as spent; return the number by which it is settled and released."""
        number = next(self._numbers)
        tokens = estimate.input_tokens + estimate.output_tokens
        self._held[number] = provider, Spent(estimate.dollars or 0.0, tokens)
        return number

    def settle(self, number: int, spent: Spent) -> None:
        """Count what it has really cost in place of the estimate."""
        if number in self._held:
            self._held[number] = self._held[number][0], spent

    def release(self, number: int) -> None:
        """Count it no longer: it is among the sums."""
        self._held.pop(number, None)

    def added_to(self, spending: Spending) -> Spending:
        """Return what is spent once all of them have cost what they may."""
        day, month = dict(spending.day), dict(spending.month)
        for provider, spent in self._held.values():
            day[provider] = day.get(provider, Spent()) + spent
            month[provider] = month.get(provider, Spent()) + spent
        return Spending(day, month)


class Reminders:
    """Tells every notice once a day."""

    def __init__(self) -> None:
        self._told: dict[str, date] = {}

    def fresh(self, notices: Iterable[Notice], *, today: date) -> tuple[str, ...]:
        """Return what has not been told today, and count it as told."""
        messages = []
        for notice in notices:
            if self._told.get(notice.key) != today:
                self._told[notice.key] = today
                messages.append(notice.message)
        return tuple(messages)


def money(dollars: float) -> str:
    """Say an amount as a price is written; what is below a cent with as many digits as it needs to be seen."""
    if dollars == 0 or dollars >= _CENT:
        return f"${dollars:,.2f}"
    return f"${dollars:.1g}" if dollars >= _CENT / 100 else "<$0.0001"


@dataclass(frozen=True, slots=True)
class _Gauge:
    """One limit beside what it limits; `asked` is what the request may cost at most, None where nobody knows."""

    key: str  # where its limits stand in the configuration
    whose: str
    unit: str
    spent: float
    asked: float | None
    hard: float | None
    soft: float | None

    def refusal(self) -> str:
        assert self.hard is not None, "what has no limit refuses nothing"
        spent, hard = self._say(self.spent), self._say(self.hard)
        what = f"{self.whose} is spent ({spent} of {hard})"
        if self.spent < self.hard:
            what = f"{self.whose} leaves too little ({spent} of {hard} spent, and this may take {self._say(self.asked or 0)})"
        return f"{what}, so it was not asked; use a model on this machine, or raise {self.key}.hard{self._suffix}"

    def warning(self) -> Notice:
        limits = "" if self.hard is None else f"; nothing more is sent at {self._say(self.hard)}"
        message = (
            f"{self.whose} has passed its soft limit ({self._say(self.spent)} of {self._say(self.soft or 0)}){limits}"
        )
        return Notice(f"{self.key}.soft{self._suffix}", message)

    @property
    def _suffix(self) -> str:
        return "" if self.unit == "dollars" else "_tokens"

    def _say(self, amount: float) -> str:
        return money(amount) if self.unit == "dollars" else f"{amount:,.0f} tokens"


def _gauges(budgets: Budgets, spending: Spending, estimate: Estimate, provider: str) -> Iterator[_Gauge]:
    """Yield everything that limits a request to this provider."""
    own = budgets.providers.get(provider, Budget())
    tokens = estimate.input_tokens + estimate.output_tokens
    for period in Period:
        spent_by = spending.day if period is Period.DAY else spending.month
        word = "today's" if period is Period.DAY else "this month's"
        for budget, section, whose, spent in (
            (budgets.overall, "[budget]", f"{word} budget", sum(spent_by.values(), Spent())),
            (own, f"[budget.providers.{provider}]", f"{word} budget of {provider}", spent_by.get(provider, Spent())),
        ):
            limit = budget.daily if period is Period.DAY else budget.monthly
            key = f"{section} {period.value}"
            yield _Gauge(key, whose, "dollars", spent.dollars, estimate.dollars, limit.hard, limit.soft)
            yield _Gauge(key, whose, "tokens", spent.tokens, tokens, limit.hard_tokens, limit.soft_tokens)


def _unpriced(provider: str) -> Notice:
    message = (
        f"nobody publishes what {provider} costs, so its requests count as free against the budget in dollars; "
        f"[budget.providers.{provider}] daily.hard_tokens limits them all the same"
    )
    return Notice(f"price of {provider}", message)


def _limit(settings: LimitSettings | None) -> Limit:
    return Limit(**settings.model_dump()) if settings is not None else Limit()
