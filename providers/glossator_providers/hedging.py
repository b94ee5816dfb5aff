"""Whether a second provider is started beside one that is late, whom, and when: a decision, nothing is asked here.

Nobody is asked whom the request would not have reached anyway, and being late is no reason to go from this machine to a cloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glossator_providers.catalog import Provider, host_of, is_loopback
from glossator_providers.strategies import Asked, Candidate

SOONEST = 0.5  # seconds: what is a little late is not worth a second request


@dataclass(frozen=True, slots=True)
class Hedge:
    """Who is started beside the first, when that has said nothing for so many seconds."""

    candidate: Candidate
    seconds: float


def hedge(asked: Asked, ranked: Sequence[Candidate], *, usual: float | None) -> Hedge | None:
    """Return whom to start beside the first of *ranked*, or None for nobody.

    *usual* are the seconds within which the first nearly always begins (`Health.hedge_after`), None while that is not known.
    """
    if usual is None or asked.background or len(ranked) < 2:  # noqa: PLR2004  somebody else must be there
        return None
    first, *others = ranked
    second = next((other for other in others if _helps(first, other)), None)
    return None if second is None else Hedge(second, max(usual, SOONEST))


def _helps(first: Candidate, other: Candidate) -> bool:
    """Say whether another is likely to be sooner, and is asked without costing more than a request."""
    if not other.available or other.health.state in ("failing", "down"):
        return False
    if first.local and not other.local:
        return False
    # The same machine is late for the same reason, and a second model would only slow the first one down.
    return _machine(first.provider) != _machine(other.provider)


def _machine(provider: Provider) -> str:
    host = host_of(provider.base_url)
    return "localhost" if provider.socket is not None or is_loopback(host) else host
