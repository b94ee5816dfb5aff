"""How each provider has been of late: whether it answers, how soon it begins, what it said last; learned from real traffic.

Nothing is asked for it but the names of models, where a provider was idle (`seen`). Everything is forgotten after an hour, and
sooner where much happened: each model of a provider keeps its last times to the first token, and counts that fade.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Attempt, Who
from glossator_providers.watchdog import Clock

State = Literal["unknown", "up", "slow", "failing", "down"]
Key = TypeVar("Key")
Value = TypeVar("Value")

FORGOTTEN_AFTER = 3600.0  # seconds
HALF_LIFE = 600.0  # seconds, of an answer or a failure in the score
REMEMBERED = 50  # times to the first token, for each model of a provider
KNOWN = 8  # times to the first token that must have been seen before a time limit is drawn from them
_LARGEST = 64  # models of providers, and providers
_FACTOR = 3.0  # a first token that takes so many times as long as nearly all did is not waited for
_FLOOR, _LOCAL_FLOOR = 5.0, 20.0  # seconds: no limit that was learned is shorter; a model here may be loaded anew
_SLOW = 8.0  # seconds to the first token that make anybody slow …
_SLOWER, _NOTICED = 2.0, 2.0  # … as do so many times its usual ones, where that is so many seconds or more
_LATEST = 5  # first tokens
_DOWN_AFTER = 3  # failures in a row
_FAILING_BELOW = 0.7  # of the score
_WORKING = 900.0  # seconds after the last request in which it is worth knowing how the idle ones are

# The request's own fault: it says nothing against whoever could not answer it.
_BLAMELESS = frozenset({Kind.TOO_LONG, Kind.REFUSED, Kind.BAD_REQUEST})
# Waiting does not mend these.
_LASTING = frozenset({Kind.AUTH, Kind.FORBIDDEN, Kind.NO_CREDIT, Kind.NO_MODEL})
# A list of models that is not given: a restricted key and a server without such a list answer requests all the same.
_NO_LIST = _BLAMELESS | {Kind.FORBIDDEN, Kind.NO_MODEL, Kind.NO_CREDIT, Kind.RATE}


@dataclass(frozen=True, slots=True)
class View:
    """How one model of a provider has been: `score` is from 0 to 1, and 1 while nothing speaks against it.

    `attempts` and `failures` are those since it was last forgotten; `p50` and `p95` are seconds to the first token, of answers alone.
    """

    state: State = "unknown"
    score: float = 1.0
    attempts: int = 0
    failures: int = 0
    p50: float | None = None
    p95: float | None = None
    last_error: ProviderError | None = None
    last_error_ago: float | None = None  # seconds
    last_success_ago: float | None = None  # seconds

    def __str__(self) -> str:
        said: list[str] = [self.state]
        if self.p50 is not None:
            said.append(f"{in_seconds(self.p50)} to the first token")
        if self.failures:
            said.append(f"{self.failures} of {self.attempts} failed")
        if self.last_error is not None and self.state in ("failing", "down"):
            said.append(f"the last time with {self.last_error.kind}")
        return ", ".join(said)


UNKNOWN = View()


@dataclass(frozen=True, slots=True)
class _FirstToken:
    """How long one answer was waited for, in seconds, and how large its request was, in tokens."""

    at: float
    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class _Pace:
    """How soon it begins, drawn from its first tokens."""

    p50: float | None = None
    p95: float | None = None
    slow: bool = False


@dataclass(slots=True)
class _Record:
    """What is remembered of one model of a provider."""

    at: float  # when it was last heard of
    local: bool
    attempts: int = 0
    failures: int = 0
    good: float = 0.0  # answers and …
    bad: float = 0.0  # … failures, as they had faded at …
    counted_at: float = 0.0
    streak: int = 0  # failures since it last answered
    error: ProviderError | None = None
    error_at: float | None = None
    answered_at: float | None = None
    tokens: deque[_FirstToken] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    pace: _Pace | None = None  # None: to be drawn anew
    trusted: int = 0  # how many of the first tokens came after the last time that none came in time


@dataclass(frozen=True, slots=True)
class _Look:
    """What became of the last list of models that was asked for while nobody wanted anything else."""

    at: float
    ok: bool
    seconds: float
    error: ProviderError | None


class Health:
    """How all providers have been, by a monotonic *clock*; a clock that leaps ahead makes it forget, no more."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[Who, _Record] = OrderedDict()
        self._looks: OrderedDict[str, _Look] = OrderedDict()
        self._heard: OrderedDict[str, float] = OrderedDict()  # when each provider was last asked for anything

    def note(
        self,
        attempt: Attempt,
        *,
        asked: Who | None = None,
        size: int = 0,
        streamed: bool = True,
        abandoned: bool = False,
    ) -> None:
        """Learn from an attempt that ended; `abandoned` says that it was the user, or another who was sooner, who ended it.

        *asked* is who was asked, where the answer bears another model's name; *size* is the request's, in tokens.
        """
        now = self._clock()
        who = asked or (attempt.provider, attempt.model)
        _put(self._heard, who[0], now)
        record = self._records.get(who)
        if record is None or self._is_old(record.at, now):
            record = _Record(now, attempt.local, counted_at=now)
        _put(self._records, who, record)
        record.local = attempt.local
        first = attempt.first_token_seconds if streamed else None
        if abandoned:
            if streamed:
                _take_abandoned(record, attempt.seconds, first, size, now)
            return
        record.at = now
        record.attempts += 1
        if attempt.error is None:
            _fade(record, now)
            record.good += 1
            record.streak = 0
            record.answered_at = now
            if first is not None:
                _take_first_token(record, _FirstToken(now, first, size))
            return
        record.failures += 1
        record.error, record.error_at = _bare(attempt.error), now
        if attempt.error.kind is Kind.TIMEOUT and streamed and first is None:
            record.trusted = 0
        if attempt.error.kind not in _BLAMELESS:
            _fade(record, now)
            record.bad += 1
            record.streak += 1

    def seen(self, provider: str, *, ok: bool, seconds: float, error: ProviderError | None = None) -> None:
        """Learn from a list of models that an idle provider was asked for, which costs nothing."""
        if error is not None and error.kind in _NO_LIST:
            ok, error = True, None
        _put(self._looks, provider, _Look(self._clock(), ok, seconds, error and _bare(error)))

    def view(self, who: Who) -> View:
        """Say how this model of this provider has been."""
        now = self._clock()
        record, look = self._records.get(who), self._looks.get(who[0])
        if look is not None and self._is_old(look.at, now):
            look = None
        if record is None or self._is_old(record.at, now) or not (record.attempts or record.tokens):
            return _looked_at(look, now)
        pace = self._pace(record, now)
        score = _score(record, now)
        error, error_at = record.error, record.error_at
        if look is not None and look.error is not None and (error_at is None or look.at > error_at):
            error, error_at = look.error, look.at
        return View(
            state=_state(record, look, score, slow=pace.slow),
            score=score,
            attempts=record.attempts,
            failures=record.failures,
            p50=pace.p50,
            p95=pace.p95,
            last_error=error,
            last_error_ago=None if error_at is None else max(0.0, now - error_at),
            last_success_ago=None if record.answered_at is None else max(0.0, now - record.answered_at),
        )

    def first_token_limit(self, who: Who, configured: float, *, size: int = 0) -> float:
        """Return how many seconds to wait for the first token: less than *configured* where it is known to come sooner.

        What is drawn from are answers to requests at least half as large. After a limit was reached the configured one
        holds again until enough answers have come: who became slower is cut off once, and not for ever.
        """
        record = self._records.get(who)
        usual = self._usual(who, size)
        if record is None or usual is None:
            return configured
        return min(configured, max(_LOCAL_FLOOR if record.local else _FLOOR, _FACTOR * usual))

    def hedge_after(self, who: Who, *, size: int = 0) -> float | None:
        """Return after how many seconds its first token is later than nearly always, None while that is not known."""
        return self._usual(who, size)

    def idle(self, providers: Iterable[str], *, after: float = 60.0) -> tuple[str, ...]:
        """Return those of *providers* that nobody asked for *after* seconds, while somebody is at work.

        With nobody at work, as over night, there is nobody whom it would serve: then it is none of them.
        """
        now = self._clock()
        if not any(now - heard <= _WORKING for heard in self._heard.values()):
            return ()
        return tuple(name for name in providers if now - self._last_contact(name) >= after)

    def was_asked(self, provider: str) -> bool:
        """Say whether anybody asked this provider for an answer since the start."""
        return provider in self._heard

    def _last_contact(self, provider: str) -> float:
        look = self._looks.get(provider)
        return max(self._heard.get(provider, -math.inf), look.at if look else -math.inf)

    def _usual(self, who: Who, size: int) -> float | None:
        """Return the seconds within which nearly all first tokens came, of requests at least half as large."""
        record = self._records.get(who)
        if record is None:
            return None
        trusted = islice(reversed(record.tokens), record.trusted)
        oldest = self._clock() - FORGOTTEN_AFTER
        # A list, and no call for each: this is asked for with every request.
        first = sorted([token.seconds for token in trusted if 2 * token.size >= size and token.at >= oldest])
        return percentile(first, 0.95) if len(first) >= KNOWN else None

    def _pace(self, record: _Record, now: float) -> _Pace:
        """Return how soon it begins; it is asked for with every request, and changes with few."""
        while record.tokens and self._is_old(record.tokens[0].at, now):
            record.tokens.popleft()
            record.pace = None
        if record.pace is None:
            latest = [token.seconds for token in record.tokens]
            first = sorted(latest)
            record.pace = _Pace(percentile(first, 0.5), percentile(first, 0.95), _is_slow(latest)) if first else _Pace()
        return record.pace

    def _is_old(self, at: float, now: float) -> bool:
        return now - at > FORGOTTEN_AFTER


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of *ordered*, rising numbers that is not exceeded by *share* of them; there must be one."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def in_seconds(seconds: float) -> str:
    """Return a duration as people read it."""
    if seconds < 0.1:  # noqa: PLR2004  what one decimal can show
        return "less than 0.1 s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  two digits suffice


def _state(record: _Record, look: _Look | None, score: float, *, slow: bool) -> State:
    """Say in a word how it is: what happened last counts, then the score, then how soon it begins."""
    looked_since = look is not None and look.at > record.at
    if looked_since and look is not None and not look.ok:
        return "down"
    lasting = record.error is not None and record.error.kind in _LASTING and record.streak > 0
    if lasting or (record.streak >= _DOWN_AFTER and not looked_since):
        return "down"
    never = record.streak > 0 and record.answered_at is None
    if never or record.streak >= _DOWN_AFTER or score < _FAILING_BELOW:
        return "failing"
    return "slow" if slow else "up"


def _is_slow(first: Sequence[float]) -> bool:
    """Say whether the latest first tokens made one wait, by any measure or by its own."""
    if len(first) < _LATEST:
        return min(first) > _SLOW
    latest = percentile(sorted(first[-_LATEST:]), 0.5)
    usual = percentile(sorted(first[:-_LATEST]), 0.5) if len(first) >= 2 * _LATEST else latest
    return latest > _SLOW or (latest > _NOTICED and latest > _SLOWER * usual)


def _looked_at(look: _Look | None, now: float) -> View:
    """Say how a provider is that was not asked for an answer of late."""
    if look is None:
        return UNKNOWN
    ago = max(0.0, now - look.at)
    if not look.ok:
        return View(state="down", score=0.5, last_error=look.error, last_error_ago=ago)
    return View(state="slow" if look.seconds > _SLOW else "up")


def _score(record: _Record, now: float) -> float:
    """Return the share of answers, one of them granted: nobody is condemned by a single failure, nor for ever."""
    kept = _kept(record, now)
    good = record.good * kept + 1.0
    return good / (good + record.bad * kept)


def _fade(record: _Record, now: float) -> None:
    kept = _kept(record, now)
    record.good, record.bad, record.counted_at = record.good * kept, record.bad * kept, now


def _kept(record: _Record, now: float) -> float:
    return float(0.5 ** (max(0.0, now - record.counted_at) / HALF_LIFE))


def _take_abandoned(record: _Record, seconds: float, first: float | None, size: int, now: float) -> None:
    """Learn how soon it began; where it had not begun, it is at least known to have been late.

    Were those left out to which another was preferred because they were late, the usual time would become shorter with each,
    and others preferred sooner and sooner.
    """
    if first is None and record.tokens:
        usual = percentile(sorted(token.seconds for token in record.tokens), 0.95)
        first = seconds if seconds > usual else None
    if first is not None:
        record.at = now
        _take_first_token(record, _FirstToken(now, first, size))


def _take_first_token(record: _Record, token: _FirstToken) -> None:
    record.tokens.append(token)
    record.pace = None
    record.trusted = min(record.trusted + 1, REMEMBERED)


def _bare(error: ProviderError) -> ProviderError:
    """Return an error without its traceback, whose frames hold the whole request."""
    return ProviderError(
        error.kind, error.message, error.status, error.code, error.retry_after, error.provider, partial=error.partial
    )


def _put(table: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    """Put a value in the last place, and let go of the oldest where they become too many."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > _LARGEST:
        table.popitem(last=False)
