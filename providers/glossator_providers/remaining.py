"""Who is asked next: those who may be asked at once, in the order of the plan, and at the end those who rest or were full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from glossator_providers.strategies import Candidate


class Remaining:
    """The candidates that are still to be asked, each once; `last` says of the one given last that nobody comes after it.

    `rests` says of it that its breaker is open: it is asked because nobody else is left.
    """

    def __init__(self, candidates: Sequence[Candidate], *, permits: Callable[[Candidate], bool]) -> None:
        self.last = False
        self.rests = False
        self._waiting = list(candidates)
        self._put_off: set[str] = set()
        self._permits = permits

    def __iter__(self) -> Iterator[Candidate]:
        while self._waiting:
            chosen = next((one for one in self._waiting if self._permits(one)), None)
            self.rests = chosen is None
            chosen = chosen or self._waiting[0]
            self._waiting.remove(chosen)
            self.last = not self._waiting
            yield chosen

    def put_off(self, candidate: Candidate) -> bool:
        """Ask this one again after all others, who could not take it now; False where that was done, or there are no others."""
        if self.last or candidate.name in self._put_off:
            return False
        self._put_off.add(candidate.name)
        self._waiting.append(candidate)
        return True
