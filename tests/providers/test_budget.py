"""What a budget allows: never more for having spent more, never less of what is local, and days as people count them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glossator_providers.budget import (
    Budget,
    Budgets,
    Limit,
    Notice,
    Period,
    Reminders,
    Reserved,
    Spending,
    Spent,
    begins,
    budgets,
    check,
    money,
)
from glossator_providers.config import Sources, load
from glossator_providers.cost import Estimate

NOTHING = Estimate(0, 0, 0.0)
YEARS = (datetime.fromisoformat("1990-01-02"), datetime.fromisoformat("2037-12-30"))

amounts = st.floats(0, 1e6)
limits = st.builds(
    Limit,
    *(st.none() | amounts for _ in range(2)),
    *(st.none() | st.integers(0, 10**9) for _ in range(2)),
)
all_budgets = st.builds(
    Budgets,
    st.builds(Budget, limits, limits),
    st.dictionaries(st.sampled_from(["work", "home"]), st.builds(Budget, limits, limits)),
)
sums = st.builds(Spent, amounts, st.integers(0, 10**9))
by_provider = st.dictionaries(st.sampled_from(["work", "home", "gone"]), sums)
spendings = st.builds(Spending, by_provider, by_provider)
estimates = st.builds(Estimate, st.integers(0, 10**6), st.integers(0, 10**6), st.none() | amounts)


def day(**spent: Spent) -> Spending:
    """Say what was spent today, which was spent this month too."""
    return Spending(spent, spent)


def more(one: Mapping[str, Spent], other: Mapping[str, Spent]) -> dict[str, Spent]:
    """Return both together."""
    return {name: one.get(name, Spent()) + other.get(name, Spent()) for name in {*one, *other}}


@given(all_budgets, spendings, spendings, estimates)
def test_who_has_spent_more_is_never_allowed_more(
    allowed: Budgets, spent: Spending, further: Spending, asked: Estimate
) -> None:
    """What is refused stays refused after more was spent, and whatever was warned of is warned of or refused."""
    later = Spending(more(spent.day, further.day), more(spent.month, further.month))
    before, after = (check(allowed, one, asked, provider="work", local=False) for one in (spent, later))
    if before.refusal:
        assert after.refusal
    elif after.refusal is None:
        assert {notice.key for notice in before.notices} <= {notice.key for notice in after.notices}


@given(all_budgets, spendings, estimates, amounts, st.integers(0, 10**6))
def test_what_costs_more_is_never_allowed_where_less_is_not(
    allowed: Budgets, spent: Spending, asked: Estimate, dollars: float, tokens: int
) -> None:
    """A larger request is refused wherever the smaller one is."""
    assume(check(allowed, spent, asked, provider="work", local=False).refusal)
    larger = Estimate(asked.input_tokens + tokens, asked.output_tokens, (asked.dollars or 0.0) + dollars)
    assert check(allowed, spent, larger, provider="work", local=False).refusal


@given(all_budgets, spendings, estimates)
def test_local_providers_are_always_allowed(allowed: Budgets, spent: Spending, asked: Estimate) -> None:
    """Nothing that was spent keeps anybody from a model on this machine, nor says a word about it."""
    verdict = check(allowed, spent, asked, provider="work", local=True)
    assert verdict.refusal is None
    assert not verdict.notices


@given(limits, limits, spendings, estimates)
def test_a_lower_limit_never_allows_more(one: Limit, other: Limit, spent: Spending, asked: Estimate) -> None:
    """Where either of two limits refuses, the lower of both does: so an organisation can only tighten."""
    hard = min((limit.hard for limit in (one, other) if limit.hard is not None), default=None)
    tokens = min((limit.hard_tokens for limit in (one, other) if limit.hard_tokens is not None), default=None)
    lower = Limit(hard=hard, hard_tokens=tokens)
    verdicts = [
        check(Budgets(Budget(daily=limit)), spent, asked, provider="work", local=False) for limit in (one, other, lower)
    ]
    assert bool(verdicts[2].refusal) == bool(verdicts[0].refusal or verdicts[1].refusal)


def test_a_hard_limit_refuses_what_would_pass_it_and_says_the_way_out() -> None:
    """One cent too much is refused, with what was spent, what it is out of and what can be done; a cent less is not."""
    allowed = Budgets(Budget(daily=Limit(hard=5, soft=3)))
    spent = day(work=Spent(4.9), home=Spent(0.06))
    verdict = check(allowed, spent, Estimate(10, 10, 0.05), provider="work", local=False)
    assert verdict.refusal == (
        "today's budget leaves too little ($4.96 of $5.00 spent, and this may take $0.05), so it was not asked; "
        "use a model on this machine, or raise [budget] daily.hard"
    )
    verdict = check(allowed, spent, Estimate(10, 10, 0.04), provider="work", local=False)
    assert verdict.refusal is None
    assert [notice.message for notice in verdict.notices] == [
        "today's budget has passed its soft limit ($4.96 of $3.00); nothing more is sent at $5.00"
    ]
    full = check(allowed, day(work=Spent(5.0)), NOTHING, provider="work", local=False)
    assert full.refusal
    assert full.refusal.startswith("today's budget is spent ($5.00 of $5.00), so it was not asked")


def test_each_provider_has_its_own_budget_in_its_own_period() -> None:
    """What one provider may not, another may; a month is full before its last day is."""
    allowed = Budgets(providers={"work": Budget(monthly=Limit(hard_tokens=1000))})
    spent = Spending({"work": Spent(tokens=10)}, {"work": Spent(tokens=990), "home": Spent(tokens=10**6)})
    refused = check(allowed, spent, Estimate(6, 6, 0.0), provider="work", local=False)
    assert refused.refusal
    assert "this month's budget of work leaves too little (990 tokens of 1,000 tokens spent" in refused.refusal
    assert refused.refusal.endswith("raise [budget.providers.work] monthly.hard_tokens")
    assert check(allowed, spent, Estimate(5, 5, 0.0), provider="work", local=False).refusal is None
    assert check(allowed, spent, Estimate(6, 6, 0.0), provider="home", local=False).refusal is None


def test_a_price_that_nobody_knows_counts_as_nothing_and_that_is_said() -> None:
    """Under a limit in dollars it may be asked until the money is spent, once with a word; tokens limit it all the same."""
    unpriced = Estimate(10, 10, None)
    allowed = Budgets(Budget(Limit(hard=1), Limit(hard=9)))
    verdict = check(allowed, day(work=Spent(0.5)), unpriced, provider="mine", local=False)
    assert verdict.refusal is None
    assert len(verdict.notices) == 1
    assert "nobody publishes what mine costs" in verdict.notices[0].message
    assert check(allowed, day(work=Spent(1.0)), unpriced, provider="mine", local=False).refusal
    assert check(Budgets(Budget(Limit(hard=0))), Spending(), unpriced, provider="mine", local=False).refusal
    limited = replace(allowed, providers={"mine": Budget(Limit(hard_tokens=19))})
    assert check(limited, Spending(), unpriced, provider="mine", local=False).refusal
    assert not check(Budgets(Budget(Limit(soft=1))), Spending(), unpriced, provider="mine", local=False).notices


def test_requests_under_way_count_until_they_are_over() -> None:
    """Of many at a time only as many go as the limit lets pass together, and what is over takes no room any more."""
    allowed, reserved, asked = Budgets(Budget(Limit(hard=1))), Reserved(), Estimate(100, 100, 0.3)
    numbers = []
    for _ in range(3):
        verdict = check(allowed, reserved.added_to(day(work=Spent(0.05))), asked, provider="work", local=False)
        assert verdict.refusal is None
        numbers.append(reserved.hold("work", asked))
    assert check(allowed, reserved.added_to(day(work=Spent(0.05))), asked, provider="work", local=False).refusal
    assert reserved.added_to(Spending()).month["work"].tokens == 600
    reserved.settle(numbers[0], Spent(0.1, 50))
    assert reserved.added_to(Spending()).day["work"] == Spent(0.7, 450)
    for number in (*numbers, numbers[0]):
        reserved.release(number)
        reserved.settle(number, Spent(1.0, 1))
    assert reserved.added_to(Spending()) == Spending()
    assert not reserved


def test_a_notice_is_told_once_a_day() -> None:
    """The same with other numbers is the same; the next day it is news again."""
    reminders, monday = Reminders(), date(2026, 11, 23)
    assert reminders.fresh([Notice("a", "3 of 5"), Notice("b", "x")], today=monday) == ("3 of 5", "x")
    assert reminders.fresh([Notice("a", "4 of 5"), Notice("c", "y")], today=monday) == ("y",)
    assert reminders.fresh([Notice("a", "4 of 5")], today=monday + timedelta(days=1)) == ("4 of 5",)


@given(
    st.builds(datetime.astimezone, st.datetimes(*YEARS, timezones=st.just(UTC)), st.timezones()),
    st.sampled_from(Period),
)
def test_a_day_begins_once_for_all_its_moments(moment: datetime, period: Period) -> None:
    """Whatever the clocks do that day: the first moment of a day lies in it, the one before in another, and it is one."""
    zone = moment.tzinfo
    assert zone is not None
    first = begins(period, moment, zone)

    def name(one: datetime) -> tuple[int, ...]:
        local = one.astimezone(zone)
        return (local.year, local.month, local.day)[: 3 if period is Period.DAY else 2]

    assert first <= moment.astimezone(UTC)
    assert name(first) == name(moment.astimezone(UTC))
    before = first - timedelta(microseconds=1)
    assert name(before) < name(first)
    assert begins(period, first, zone) == first


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("Asia/Beirut", "2026-03-29T12:00", 23),  # its clocks go forward at midnight: the day begins at one
        ("Australia/Lord_Howe", "2026-04-05T12:00", 24.5),
        ("Asia/Kathmandu", "2026-04-05T12:00", 24),
    ],
)
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(zone: str, noon: str, hours: float) -> None:
    """23 or 25 hours, or whatever it is there, are one day of the budget."""
    here = ZoneInfo(zone)
    first, after = (
        begins(Period.DAY, datetime.fromisoformat(noon).replace(tzinfo=here) + timedelta(days=n), here) for n in (0, 1)
    )
    assert after - first == timedelta(hours=hours)


def test_a_midnight_that_comes_twice_counts_once() -> None:
    """Where the clocks go back from one to midnight, the day has begun at the first of the two."""
    azores = ZoneInfo("Atlantic/Azores")
    for minute in (15, 75):
        moment = datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + timedelta(minutes=minute)
        assert begins(Period.DAY, moment.astimezone(azores), azores) == datetime(2026, 10, 25, tzinfo=UTC)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system's time zone cannot be set for one process")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Auckland", "America/St_Johns"])
def test_the_clock_of_this_machine_counts_where_no_zone_is_named(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a zone a day and a month begin as they do in this machine's, also where they began before the clocks changed."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        for moment in (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(1250)):
            for period in Period:
                assert begins(period, moment) == begins(period, moment, ZoneInfo(zone))
    time.tzset()


@given(st.floats(0, 1e6))
def test_money_is_never_shown_as_nothing_where_it_is_something(dollars: float) -> None:
    """Only nothing is $0.00; what is a cent or more has two digits behind the point."""
    shown = money(dollars)
    assert (shown == "$0.00") == (dollars == 0)
    if dollars >= 0.01:
        assert shown[-3] == "."


def test_the_configuration_says_what_may_be_spent(tmp_path: Path) -> None:
    """The user's file sets budgets, an organisation's can only lower them, for single providers too."""
    user, policy = tmp_path / "config.toml", tmp_path / "policy.toml"
    user.write_text(
        '[providers.work]\nkind = "anthropic"\n'
        "[budget]\ndaily = { hard = 5, soft = 3, hard_tokens = 1000 }\n"
        "[budget.providers.work]\nmonthly = { hard = 50 }\n"
    )
    policy.write_text(
        "[budget]\ndaily = { hard = 9, soft = 1 }\n[budget.providers.work]\nmonthly = { hard = 20 }\ndaily = { hard = 2 }\n"
        "[budget.providers.other]\ndaily = { hard_tokens = 7 }\n"
    )
    loaded = load(Sources({}, user, (policy,)))
    assert budgets(loaded.config.budget) == Budgets(
        Budget(Limit(hard=5, soft=1, hard_tokens=1000)),
        {
            "work": Budget(Limit(hard=2), Limit(hard=20)),
            "other": Budget(Limit(hard_tokens=7)),
        },
    )
    assert not budgets(load(Sources({}, tmp_path / "none", ())).config.budget)
