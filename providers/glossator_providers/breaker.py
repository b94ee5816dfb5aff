"""When to stop knocking: a breaker for each model of each provider, opened by failures and closed again by one that succeeds.

Closed: everybody may ask. Open: nobody, until it has rested. Half-open: one probe, whose outcome decides. Nothing is written down:
after a restart everybody is asked again.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

from glossator_providers.errors import Kind
from glossator_providers.model import Who
from glossator_providers.watchdog import Clock

_PASSING = frozenset({Kind.TIMEOUT, Kind.NETWORK, Kind.SERVER, Kind.OVERLOADED, Kind.BROKEN_STREAM})
_LASTING = frozenset({Kind.AUTH, Kind.NO_CREDIT, Kind.FORBIDDEN})  # a key that does not work stays so
_LASTING_FAILURES = 2  # in a row


class State(enum.StrEnum):
    """Whether somebody may be asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a breaker opens: after so many failures without a success between them, all within `window`; durations are in seconds.

    It then rests for `rest`, after each failed probe twice as long as before, and never longer than `longest_rest`.
    """

    failures: int = 5
    window: float = 60.0
    rest: float = 30.0
    longest_rest: float = 300.0


@dataclass(slots=True)
class _Breaker:
    """What is known of one; `opened` and `probing` are moments."""

    rest: float
    failures: deque[float] = field(default_factory=deque)  # moments, since the last success
    lasting: int = 0  # failures of that sort, since the last success
    opened: float | None = None
    probing: float | None = None
    inside: int = 0  # those that entered and have not left
    older: int = 0  # of those, the ones that entered before the probe did


class Breakers:
    """The breakers of all models; *clock* gives seconds and never has to be right, only to go on."""

    def __init__(self, thresholds: Thresholds = Thresholds(), *, clock: Clock) -> None:
        self._thresholds = thresholds
        self._clock = clock
        self._breakers: dict[Who, _Breaker] = {}

    def permits(self, who: Who) -> bool:
        """Say whether *who* may be asked now; changes nothing."""
        return self.retry_in(who) == 0

    def enter(self, who: Who) -> bool:
        """Ask for leave to ask *who*; takes the one probe of a half-open breaker. Whoever was let in tells `left` how it ended."""
        if not self.permits(who):
            return False
        breaker = self._breakers.setdefault(who, _Breaker(self._rest()))
        if breaker.opened is not None:
            breaker.probing = self._clock()
            breaker.older = breaker.inside
        breaker.inside += 1
        return True

    def left(self, who: Who, failure: Kind | None, *, abandoned: bool = False) -> None:
        """Tell how it ended: with a success (None), a failure, or `abandoned` by the user, from which nothing is learned."""
        breaker = self._breakers.setdefault(who, _Breaker(self._rest()))
        breaker.inside = max(0, breaker.inside - 1)
        state = self.state(who)
        if abandoned:
            if not self._is_of_before(breaker):
                breaker.probing = None
        elif failure is None:
            self._close(breaker)
        elif state is State.HALF_OPEN:
            self._judge_probe(breaker, failure)
        elif state is State.CLOSED:
            self._count(breaker, failure)
        if breaker.opened is None and not (breaker.inside or breaker.failures or breaker.lasting):
            del self._breakers[who]

    def state(self, who: Who) -> State:
        """Return the state of *who*'s breaker."""
        breaker = self._breakers.get(who)
        if breaker is None or breaker.opened is None:
            return State.CLOSED
        return State.OPEN if self._left_of(breaker.opened, breaker.rest) > 0 else State.HALF_OPEN

    def retry_in(self, who: Who) -> float:
        """Return in how many seconds *who* may be asked; 0 when it may be now."""
        breaker = self._breakers.get(who)
        if breaker is None or breaker.opened is None:
            return 0
        resting = self._left_of(breaker.opened, breaker.rest)
        if resting == 0 and breaker.probing is not None:
            # A probe that nobody reports on is given up: a breaker must not stay shut because somebody forgot.
            return self._left_of(breaker.probing, self._thresholds.longest_rest)
        return resting

    def reset(self, who: Who | None = None) -> None:
        """Close the breaker of *who*, or all of them, by hand."""
        if who is None:
            self._breakers.clear()
        else:
            self._breakers.pop(who, None)

    def reset_provider(self, name: str) -> None:
        """Close the breakers of all models of a provider by hand."""
        for who in [who for who in self._breakers if who[0] == name]:
            del self._breakers[who]

    def _count(self, breaker: _Breaker, failure: Kind) -> None:
        """Take a failure of a closed breaker, and open it after too many."""
        now = self._clock()
        if failure in _LASTING:
            breaker.lasting += 1
        elif failure in _PASSING:
            breaker.failures.append(now)
            while not 0 <= now - breaker.failures[0] <= self._thresholds.window:
                breaker.failures.popleft()
        if len(breaker.failures) >= self._thresholds.failures or breaker.lasting >= _LASTING_FAILURES:
            breaker.opened = now
            breaker.probing = None

    def _judge_probe(self, breaker: _Breaker, failure: Kind) -> None:
        """Take a failure of a half-open breaker: its probe's, unless it is of one that entered earlier."""
        if breaker.probing is None or self._is_of_before(breaker):
            return
        if failure in _PASSING or failure in _LASTING:
            breaker.opened = self._clock()
            breaker.probing = None
            breaker.rest = min(2 * breaker.rest, self._thresholds.longest_rest)
        else:
            self._close(breaker)  # it refused this one request, so it is there again

    def _is_of_before(self, breaker: _Breaker) -> bool:
        """Say whether the one that leaves is taken for one that entered before the probe; it then tells old news.

        Nobody says which one leaves. To take it for an older one keeps a second probe out; in the end the count is right.
        """
        if breaker.older > 0:
            breaker.older -= 1
            return True
        return False

    def _close(self, breaker: _Breaker) -> None:
        breaker.failures.clear()
        breaker.lasting = breaker.older = 0
        breaker.opened = breaker.probing = None
        breaker.rest = self._rest()

    def _rest(self) -> float:
        return min(self._thresholds.rest, self._thresholds.longest_rest)

    def _left_of(self, since: float, seconds: float) -> float:
        """Return what is left of a duration; nothing where the clock has gone backwards, for then it tells nothing."""
        passed = self._clock() - since
        return max(0.0, seconds - passed) if passed >= 0 else 0.0
