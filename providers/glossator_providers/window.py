"""What one provider was asked in the last minute: how many requests and tokens, and when there is room for more.

Our own few lines and not the memory of the library `limits`: that one reads the system's clock, keeps one entry for every token,
cannot say when there will be room for a large request, and takes nothing back when an answer turns out to be short.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from glossator_providers.catalog import Limits


@dataclass(slots=True, eq=False)
class Sent:
    """One request that went out; `moment` is in seconds of the clock that its window is asked with."""

    moment: float
    tokens: int
    counts: bool = True  # until it is older than the window, or taken back


@dataclass(frozen=True, slots=True)
class Room:
    """When there is room for a request, and which limit it waits for: `requests`, `tokens`, or "" where it need not wait."""

    moment: float
    limit: str


class Window:
    """The requests of the last `seconds`; the limits are given with each question, because a user may change them meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent: deque[Sent] = deque()  # the oldest first
        self._tokens = 0

    def room(self, now: float, limits: Limits, queue: Iterable[int]) -> Room:
        """Return when the last of *queue* may go, if each of them goes as soon as it may; they are given by their tokens.

        A request that is larger than the limit itself has room when nothing else counts.
        """
        self._forget(now)
        requests, most = limits.requests_per_minute, limits.tokens_per_minute
        count, total = len(self._sent), self._tokens
        following: list[Sent] = []
        leaving = chain(self._sent, following)
        moment, reason = now, ""
        for tokens in queue:
            while count:
                if requests is not None and count >= requests:
                    full = "requests"
                elif most is not None and total + tokens > most:
                    full = "tokens"
                else:
                    break
                oldest = next(leaving)
                count -= 1
                total -= oldest.tokens
                if oldest.moment + self._seconds > moment:
                    moment, reason = oldest.moment + self._seconds, full
            following.append(Sent(moment, tokens))
            count += 1
            total += tokens
        return Room(moment, reason)

    def add(self, now: float, tokens: int) -> Sent:
        """Count a request that goes out now; `settle` and `withdraw` take what this returns."""
        sent = Sent(now, tokens)
        self._sent.append(sent)
        self._tokens += tokens
        return sent

    def settle(self, sent: Sent, tokens: int) -> None:
        """Correct the tokens of a request, once they are known."""
        if sent.counts:
            self._tokens += tokens - sent.tokens
        sent.tokens = tokens

    def withdraw(self, sent: Sent) -> None:
        """Take back a request that did not go out."""
        if sent.counts:
            sent.counts = False
            self._sent.remove(sent)
            self._tokens -= sent.tokens

    def count(self, now: float) -> tuple[int, int]:
        """Return the requests and the tokens that count now."""
        self._forget(now)
        return len(self._sent), self._tokens

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0].moment + self._seconds <= now:
            oldest = self._sent.popleft()
            oldest.counts = False
            self._tokens -= oldest.tokens
