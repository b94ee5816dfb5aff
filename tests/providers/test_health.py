"""How providers have been: what is learned of them, what is forgotten, and the time limits that follow."""

from __future__ import annotations

import gc
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.health import UNKNOWN, Health, View, in_seconds, percentile
from glossator_providers.model import Attempt, Who

WHO: Who = ("work", "large")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Past:
    """A health that is told of attempts in few words."""

    def __init__(self, *, local: bool = False) -> None:
        self.clock = Hand()
        self.health = Health(clock=self.clock)
        self.local = local

    def answers(self, *first: float, who: Who = WHO, size: int = 0, streamed: bool = True) -> None:
        """Let it answer once for each of these times to the first token."""
        for seconds in first:
            attempt = Attempt(*who, self.local, seconds + 1, seconds)
            self.health.note(attempt, size=size, streamed=streamed)
            self.clock.now += 1

    def fails(self, *kinds: Kind, seconds: float = 1, who: Who = WHO) -> None:
        """Let it fail once in each of these ways, before its first token."""
        for kind in kinds:
            self.health.note(Attempt(*who, self.local, seconds, None, ProviderError(kind, "told")))
            self.clock.now += 1

    def leaves(self, seconds: float, first: float | None = None) -> None:
        """Let the user lose patience with it."""
        self.health.note(Attempt(*WHO, self.local, seconds, first), abandoned=True)

    def view(self) -> View:
        return self.health.view(WHO)

    @property
    def limit(self) -> float:
        return self.health.first_token_limit(WHO, 30)


def test_nothing_is_known_at_first() -> None:
    """Who was never asked is unknown, without anything against it, and keeps the configured limit."""
    past = Past()
    assert (past.view(), past.limit, past.health.hedge_after(WHO)) == (UNKNOWN, 30, None)
    assert (UNKNOWN.state, UNKNOWN.score) == ("unknown", 1.0)


def test_an_answer_makes_it_known() -> None:
    """One answer: up, its time, and when it was."""
    past = Past()
    past.answers(0.4)
    past.clock.now += 9
    assert past.view() == View("up", 1.0, attempts=1, p50=0.4, p95=0.4, last_success_ago=10)
    assert str(past.view()) == "up, 0.4 s to the first token"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([Kind.SERVER], "failing"),
        ([Kind.SERVER] * 3, "down"),
        ([Kind.AUTH], "down"),
        ([Kind.NO_CREDIT], "down"),
        ([Kind.NO_MODEL], "down"),
        ([Kind.RATE] * 2, "failing"),
        ([Kind.BAD_REQUEST] * 5, "up"),
        ([Kind.REFUSED, Kind.TOO_LONG], "up"),
    ],
)
def test_failures_are_told_apart(kinds: list[Kind], state: str) -> None:
    """What waiting mends is failing before it is down, a key that does not work is down, and the request's own fault is neither."""
    past = Past()
    past.fails(*kinds)
    assert past.view().state == state
    assert past.view().failures == len(kinds)
    error = past.view().last_error
    assert error is not None
    assert error.kind is kinds[-1]
    assert past.view().last_error_ago == 1


def test_one_failure_among_many_answers_is_no_state() -> None:
    """Who has answered twenty times is up after a failure, and an answer after many failures ends being down."""
    past = Past()
    past.answers(*[0.5] * 20)
    past.fails(Kind.SERVER)
    assert past.view().state == "up"
    past.fails(*[Kind.SERVER] * 30)
    assert past.view().state == "down"
    past.answers(0.5)
    assert past.view().state == "failing"
    assert str(past.view()) == "failing, 0.5 s to the first token, 31 of 52 failed, the last time with server"


def test_the_score_recovers_by_itself() -> None:
    """A failure weighs half after ten minutes, and nothing after an hour."""
    past = Past()
    past.fails(Kind.SERVER)
    scores = []
    for _ in range(5):
        scores.append(past.view().score)
        past.clock.now += 600
    assert scores[0] == pytest.approx(0.5, abs=0.01)
    assert scores == sorted(scores)
    assert past.view().state == "failing"
    past.clock.now += 3600
    assert past.view() == UNKNOWN


def test_old_times_fade_while_it_works_on() -> None:
    """A first token counts for an hour, though it answers all the time."""
    past = Past()
    past.answers(*[4.0] * 10)
    past.clock.now += 3000
    past.answers(*[1.0] * 3)
    assert (past.view().p50, past.limit) == (4, 12)
    past.clock.now += 601
    assert (past.view().p50, past.view().p95, past.limit) == (1, 1, 30)


@pytest.mark.parametrize(
    ("first", "state"),
    [
        ([9.0], "slow"),
        ([7.0], "up"),
        ([1.0] * 10 + [2.5] * 3, "slow"),
        ([0.2] * 10 + [0.9] * 5, "up"),
        ([2.5] * 15, "up"),
        ([9.0] * 15, "slow"),
        ([9.0] * 10 + [1.0] * 3, "up"),
    ],
)
def test_slow_is_what_people_notice(first: list[float], state: str) -> None:
    """Slow is who makes everybody wait, or who takes noticeably longer than usual, by its latest answers."""
    past = Past()
    past.answers(*first)
    assert past.view().state == state


@given(first=st.lists(st.floats(0, 100), min_size=1, max_size=80), share=st.floats(0, 1))
def test_percentiles_agree_with_their_definition(first: list[float], share: float) -> None:
    """A percentile is the smallest value that is not exceeded by that share, also in the view, of the last fifty."""
    found = percentile(sorted(first), share)
    enough = [value for value in first if sum(other <= value for other in first) >= share * len(first)]
    assert found == min(enough)
    past = Past()
    past.answers(*first)
    last = sorted(first[-50:])
    assert past.view().p50 == last[math.ceil(len(last) / 2) - 1]
    assert past.view().p95 in last


def test_the_limit_follows_what_is_usual() -> None:
    """From the eighth answer on a first token is waited for three times as long as it nearly always takes, not less than 5 s."""
    past = Past()
    past.answers(*[3.0] * 7)
    assert past.limit == 30
    past.answers(4.0)
    assert past.limit == 12
    past.answers(*[0.1] * 50)
    assert past.limit == 5
    assert past.health.first_token_limit(WHO, 2) == 2
    here = Past(local=True)
    here.answers(*[0.1] * 8)
    assert here.limit == 20


def test_who_became_slower_is_cut_off_once() -> None:
    """After a limit was reached the configured one holds until eight more have answered, and those alone count."""
    past = Past()
    past.answers(*[1.0] * 40)
    assert past.limit == 5
    past.fails(Kind.TIMEOUT, seconds=5)
    assert past.limit == 30
    past.answers(*[7.0] * 7)
    assert past.limit == 30
    past.answers(7.0)
    assert past.limit == 21


def test_a_large_request_is_not_measured_by_small_ones() -> None:
    """A limit for a long text is drawn from answers to texts at least half as long."""
    past = Past()
    past.answers(*[0.5] * 20, size=500)
    assert past.health.first_token_limit(WHO, 120, size=30_000) == 120
    assert past.health.first_token_limit(WHO, 120, size=900) == 5
    past.answers(*[20.0] * 8, size=20_000)
    assert past.health.first_token_limit(WHO, 120, size=30_000) == 60
    assert past.health.hedge_after(WHO, size=30_000) == 20


def test_whole_answers_tell_nothing_of_first_tokens() -> None:
    """An answer in one piece is no measure of when a stream begins, nor is its time limit."""
    past = Past()
    past.answers(*[25.0] * 20, streamed=False)
    assert (past.view().state, past.view().p50, past.limit) == ("up", None, 30)
    past.answers(*[1.0] * 8)
    error = ProviderError(Kind.TIMEOUT, "told")
    past.health.note(Attempt(*WHO, local=False, seconds=120, error=error), streamed=False)
    assert past.limit == 5


def test_who_was_given_up_is_neither_praised_nor_blamed() -> None:
    """An attempt that the user ended counts as nothing; only a first token that had come is a time."""
    past = Past()
    past.leaves(0.1)
    assert past.view() == UNKNOWN
    past.leaves(3, first=0.5)
    assert past.view() == View("up", p50=0.5, p95=0.5)


def test_losing_to_another_makes_nobody_look_faster() -> None:
    """Who is given up because it was late is known to have been late; a user's early change of mind says nothing."""
    past = Past()
    past.answers(*[1.0] * 19, 2.0)
    before = past.health.hedge_after(WHO)
    for _ in range(40):
        past.leaves(0.3)
    assert (past.health.hedge_after(WHO), past.view().p50) == (before, 1)
    for _ in range(20):
        usual = past.health.hedge_after(WHO)
        assert usual is not None
        past.leaves(usual + 0.1)
    after = past.health.hedge_after(WHO)
    assert after is not None
    assert before is not None
    assert after > before


def test_an_idle_look_tells_who_is_there() -> None:
    """A list of models that comes makes it up, one that does not makes it down, and the next answer is worth more than either."""
    past = Past()
    refused = ProviderError(Kind.NETWORK, "nobody listens")
    past.health.seen("work", ok=False, seconds=0.1, error=refused)
    assert past.view().state == "down"
    assert past.view().last_error is not None
    past.clock.now += 1
    past.answers(0.5)
    assert past.view().state == "up"
    past.health.seen("work", ok=False, seconds=0.1, error=refused)
    assert (past.view().state, past.view().last_error_ago) == ("down", 0)
    past.clock.now += 1
    past.health.seen("work", ok=True, seconds=0.1)
    assert past.view().state == "up"
    assert past.health.view(("work", "another")).state == "up"
    assert past.health.view(("other", "large")) == UNKNOWN
    past.clock.now += 3601
    assert past.view() == UNKNOWN


@pytest.mark.parametrize("kind", [Kind.FORBIDDEN, Kind.NO_MODEL, Kind.BAD_REQUEST, Kind.RATE])
def test_who_lists_no_models_is_not_down(kind: Kind) -> None:
    """A restricted key, or a server without such a list, is there."""
    past = Past()
    past.health.seen("work", ok=False, seconds=0.1, error=ProviderError(kind, "no list"))
    assert (past.view().state, past.view().last_error) == ("up", None)


def test_a_look_is_no_answer() -> None:
    """Who fails to answer is not up because it lists its models, and a wrong key stays one."""
    past = Past()
    past.fails(*[Kind.SERVER] * 4)
    past.health.seen("work", ok=True, seconds=0.1)
    assert past.view().state == "failing"
    past.fails(Kind.AUTH)
    past.health.seen("work", ok=True, seconds=0.1)
    assert past.view().state == "down"


def test_only_the_idle_are_looked_at_while_somebody_works() -> None:
    """Nobody is asked before there was a request, nor those who were heard of just now, nor over night."""
    past = Past()
    names = ("work", "home", "spare")
    assert past.health.idle(names) == ()
    past.answers(0.5)
    assert past.health.idle(names) == ("home", "spare")
    past.health.seen("home", ok=True, seconds=0.1)
    assert past.health.idle(names) == ("spare",)
    past.clock.now += 61
    assert past.health.idle(names) == names
    past.clock.now += 3600
    assert past.health.idle(names) == ()


def test_another_name_for_the_model_is_the_same_model() -> None:
    """An answer counts for the model that was asked, though the provider calls it by its full name."""
    past = Past()
    past.health.note(Attempt("work", "large-2026-10-01", local=False, seconds=2, first_token_seconds=1), asked=WHO)
    assert past.view().p50 == 1


def test_memory_is_bounded_and_holds_no_request() -> None:
    """However many models, providers and answers there were, few are kept, and no error keeps what it was raised in."""
    past = Past()
    for number in range(300):
        who = (f"provider {number}", "m")
        past.answers(*[0.1] * 3, who=who)
        past.health.seen(who[0], ok=True, seconds=0.1)
    past.answers(*[0.1] * 500)
    assert max(len(past.health._records), len(past.health._looks), len(past.health._heard)) <= 64
    assert len(past.health._records[WHO].tokens) == 50

    class Prompt:
        """Something that must not be kept."""

    def ask() -> None:
        prompt = Prompt()
        assert isinstance(prompt, Prompt)
        raise ProviderError(Kind.SERVER, "told", 500, "code", 3.0, "work", partial=True)

    try:
        ask()
    except ProviderError as error:
        past.health.note(Attempt(*WHO, local=False, seconds=1, error=error))
    gc.collect()
    assert not any(isinstance(kept, Prompt) for kept in gc.get_objects())
    kept = past.view().last_error
    assert kept is not None
    assert kept.__traceback__ is None
    assert (kept.status, kept.code, kept.retry_after, kept.provider, kept.partial) == (500, "code", 3.0, "work", True)


@given(
    steps=st.lists(
        st.tuples(
            st.floats(-1e6, 1e6),
            st.sampled_from([None, *Kind]),
            st.none() | st.floats(0, 1000),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    ),
    configured=st.floats(0.1, 1000),
)
def test_any_history_on_any_clock_is_survived(
    steps: list[tuple[float, Kind | None, float | None, bool, bool]], configured: float
) -> None:
    """Whatever happens and however the clock leaps: a score from 0 to 1, no negative age, no limit above the configured one."""
    past = Past()
    for leap, kind, first, abandoned, look in steps:
        past.clock.now += leap
        error = ProviderError(kind, "told") if kind else None
        if look:
            past.health.seen("work", ok=error is None, seconds=first or 0.0, error=error)
        else:
            past.health.note(
                Attempt(*WHO, local=False, seconds=1, first_token_seconds=first, error=error), abandoned=abandoned
            )
        view = past.view()
        assert 0 < view.score <= 1
        assert min(view.last_error_ago or 0, view.last_success_ago or 0) >= 0
        assert 0 <= view.failures <= view.attempts
        assert view.p50 is None or (view.p95 is not None and view.p50 <= view.p95)
        assert str(view)
        assert 0 < past.health.first_token_limit(WHO, configured) <= configured
        past.health.idle(["work"])


def test_durations_are_told_as_people_read_them() -> None:
    """One decimal where it matters."""
    told = [in_seconds(seconds) for seconds in (0.04, 0.44, 9.94, 12.3, sys.float_info.epsilon)]
    assert told == ["less than 0.1 s", "0.4 s", "9.9 s", "12 s", "less than 0.1 s"]
