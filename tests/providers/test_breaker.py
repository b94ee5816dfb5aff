"""A breaker opens when knocking is useless, lets one probe in, and never stays shut for good."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glossator_providers.breaker import Breakers, State, Thresholds
from glossator_providers.errors import Kind

WHO = ("work", "m")
PASSING = (Kind.TIMEOUT, Kind.NETWORK, Kind.SERVER, Kind.OVERLOADED, Kind.BROKEN_STREAM)
LASTING = (Kind.AUTH, Kind.NO_CREDIT, Kind.FORBIDDEN)
OTHERS = tuple(kind for kind in Kind if kind not in {*PASSING, *LASTING})
THRESHOLDS = Thresholds(failures=3, window=60, rest=30, longest_rest=100)


@dataclass
class Hand:
    """A clock that stands still until somebody moves it."""

    now: float = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    """Give a clock that the test moves."""
    return Hand()


@pytest.fixture
def breakers(clock: Hand) -> Breakers:
    """Give closed breakers on that clock."""
    return Breakers(THRESHOLDS, clock=clock.time)


def ask(breakers: Breakers, failure: Kind | None) -> None:
    """Ask once, with this outcome."""
    assert breakers.enter(WHO)
    breakers.left(WHO, failure)


def shut(breakers: Breakers) -> None:
    """Open the breaker."""
    for _ in range(THRESHOLDS.failures):
        ask(breakers, Kind.SERVER)
    assert breakers.state(WHO) is State.OPEN


@pytest.mark.parametrize("kind", PASSING)
def test_failures_in_a_row_open_it(breakers: Breakers, kind: Kind) -> None:
    """The third failure opens it, no earlier one, and only for this model of this provider."""
    for _ in range(2):
        ask(breakers, kind)
        assert breakers.permits(WHO)
    ask(breakers, kind)
    assert (breakers.state(WHO), breakers.permits(WHO), breakers.enter(WHO)) == (State.OPEN, False, False)
    assert breakers.retry_in(WHO) == 30
    assert breakers.permits(("work", "another"))


@pytest.mark.parametrize("kind", LASTING)
def test_a_key_that_does_not_work_opens_it_sooner(breakers: Breakers, kind: Kind, clock: Hand) -> None:
    """What does not pass by itself opens it the second time, however much later."""
    ask(breakers, kind)
    clock.now += 10_000
    ask(breakers, kind)
    assert breakers.state(WHO) is State.OPEN


@pytest.mark.parametrize("kind", OTHERS)
def test_a_refusal_of_one_request_does_not_open_it(breakers: Breakers, kind: Kind) -> None:
    """A provider that says no to one request is there."""
    for _ in range(50):
        ask(breakers, kind)
    assert breakers.state(WHO) is State.CLOSED


def test_a_success_forgets_the_failures_before_it(breakers: Breakers) -> None:
    """Only failures without a success between them count."""
    for _ in range(10):
        ask(breakers, Kind.SERVER)
        ask(breakers, Kind.TIMEOUT)
        ask(breakers, None)
    assert breakers.state(WHO) is State.CLOSED


def test_old_failures_do_not_count(breakers: Breakers, clock: Hand) -> None:
    """Failures that lie further apart than the window never open it."""
    for _ in range(10):
        ask(breakers, Kind.SERVER)
        clock.now += 31
    assert breakers.state(WHO) is State.CLOSED


def test_one_probe_decides(breakers: Breakers, clock: Hand) -> None:
    """After the rest one is let in; its success closes the breaker, its failure doubles the rest up to the longest."""
    shut(breakers)
    rests = []
    for _ in range(4):
        rests.append(breakers.retry_in(WHO))
        clock.now += rests[-1]
        assert breakers.state(WHO) is State.HALF_OPEN
        assert breakers.permits(WHO)
        assert breakers.permits(WHO)  # a menu that looks takes nothing
        assert breakers.enter(WHO)
        assert not breakers.permits(WHO)
        assert not breakers.enter(WHO)
        breakers.left(WHO, Kind.TIMEOUT)
    assert rests == [30, 60, 100, 100]
    clock.now += 100
    ask(breakers, None)
    assert breakers.state(WHO) is State.CLOSED
    shut(breakers)
    assert breakers.retry_in(WHO) == 30


def test_an_abandoned_probe_is_given_back(breakers: Breakers, clock: Hand) -> None:
    """A probe that the user cancels teaches nothing: the next one may be sent at once."""
    shut(breakers)
    clock.now += 30
    for _ in range(5):
        assert breakers.enter(WHO)
        assert not breakers.enter(WHO)
        breakers.left(WHO, None, abandoned=True)
    assert breakers.state(WHO) is State.HALF_OPEN
    assert breakers.enter(WHO)


def test_those_who_entered_before_the_probe_do_not_decide_for_it(breakers: Breakers, clock: Hand) -> None:
    """An old request that fails or is cancelled while the probe is out lets no second one in and keeps nothing shut."""
    assert breakers.enter(WHO)
    assert breakers.enter(WHO)
    shut(breakers)
    clock.now += 30
    assert breakers.enter(WHO)
    breakers.left(WHO, Kind.TIMEOUT)
    breakers.left(WHO, None, abandoned=True)
    assert breakers.state(WHO) is State.HALF_OPEN
    assert not breakers.permits(WHO)
    breakers.left(WHO, None)
    assert breakers.state(WHO) is State.CLOSED


def test_a_forgotten_probe_is_given_up(breakers: Breakers, clock: Hand) -> None:
    """Nobody has to report for a breaker to ask again in the end."""
    shut(breakers)
    clock.now += 30
    assert breakers.enter(WHO)
    clock.now += 100
    assert breakers.enter(WHO)


@pytest.mark.parametrize("leap", [-1e9, -40.0, 1e9])
def test_a_leaping_clock_leaves_nothing_shut(breakers: Breakers, clock: Hand, leap: float) -> None:
    """After a suspension, or a clock that went backwards, it may be asked, and failures count as before."""
    ask(breakers, Kind.SERVER)
    shut_at = clock.now
    ask(breakers, Kind.SERVER)
    ask(breakers, Kind.SERVER)
    clock.now = shut_at + leap
    assert breakers.retry_in(WHO) == 0
    ask(breakers, Kind.SERVER)
    assert 0 < breakers.retry_in(WHO) <= 100


def test_it_is_reset_by_hand(breakers: Breakers) -> None:
    """One or all are closed at once, and what leaves afterwards does no harm."""
    assert breakers.enter(WHO)
    shut(breakers)
    breakers.reset(("work", "another"))
    assert not breakers.permits(WHO)
    breakers.reset(WHO)
    assert breakers.permits(WHO)
    breakers.left(WHO, Kind.SERVER)
    shut_again = Breakers(THRESHOLDS, clock=lambda: 0.0)
    shut(shut_again)
    shut_again.reset()
    assert shut_again.permits(WHO)


@dataclass
class Out:
    """One that was let in."""

    since: float
    probe: bool = False


class Model(RuleBasedStateMachine):
    """Drive one breaker beside the simplest thing that could be right, with requests that leave in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Hand()
        self.breakers = Breakers(THRESHOLDS, clock=self.clock.time)
        self.out: list[Out] = []
        self.failures: list[float] = []
        self.lasting = 0
        self.opened: float | None = None
        self.rest = THRESHOLDS.rest

    @property
    def probing(self) -> bool:
        return any(one.probe for one in self.out)

    @property
    def half_open(self) -> bool:
        return self.opened is not None and self.clock.now - self.opened >= self.rest

    @rule(seconds=st.sampled_from([0.0, 1.0, 29.0, 31.0, 61.0, 101.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def enter(self) -> None:
        before = self.breakers.permits(WHO)
        let_in = self.breakers.enter(WHO)
        assert let_in == before
        if self.opened is None:
            assert let_in
            self.out.append(Out(self.clock.now))
        elif let_in:
            assert self.half_open
            for one in self.out:
                assert not one.probe or self.clock.now - one.since >= THRESHOLDS.longest_rest, "a second probe"
                one.probe = False
            self.out.append(Out(self.clock.now, probe=True))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), failure=st.none() | st.sampled_from(Kind), abandoned=st.booleans())
    def leave(self, data: st.DataObject, failure: Kind | None, *, abandoned: bool) -> None:
        # Only the order is free in which those of before the probe leave; with them out, the breaker cannot know who leaves.
        mixed = self.probing and len(self.out) > 1
        one = self.out[0] if mixed else data.draw(st.sampled_from(self.out))
        if mixed and failure is None and not abandoned:
            failure = Kind.TIMEOUT  # a success of whomever closes it: that has a test of its own
        self.out.remove(one)
        was_half_open = self.half_open
        self.breakers.left(WHO, failure, abandoned=abandoned)
        if abandoned:
            return
        if failure is None:
            self.close()
        elif self.opened is None:
            self.count(failure)
        elif was_half_open and one.probe:
            if failure in OTHERS:
                self.close()
            else:
                self.opened, self.rest = self.clock.now, min(2 * self.rest, THRESHOLDS.longest_rest)

    def close(self) -> None:
        self.failures, self.lasting, self.opened, self.rest = [], 0, None, THRESHOLDS.rest
        for one in self.out:
            one.probe = False

    def count(self, failure: Kind) -> None:
        self.lasting += failure in LASTING
        if failure in PASSING:
            self.failures.append(self.clock.now)
        recent = [moment for moment in self.failures if self.clock.now - moment <= THRESHOLDS.window]
        if len(recent) >= THRESHOLDS.failures or self.lasting >= 2:
            self.opened = self.clock.now

    @invariant()
    def agree(self) -> None:
        expected = State.CLOSED if self.opened is None else State.HALF_OPEN if self.half_open else State.OPEN
        assert self.breakers.state(WHO) is expected
        assert self.breakers.permits(WHO) == (self.breakers.retry_in(WHO) == 0)
        assert self.breakers.retry_in(WHO) <= THRESHOLDS.longest_rest


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
