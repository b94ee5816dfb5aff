"""Whether and when to ask the same provider again: pure arithmetic, the waiting is the router's.

Our own few lines and not stamina's: its retry wraps one call, while the router's loop goes over providers too, streams out of the
middle of an attempt and must end a wait early when somebody else could answer; what remains of a retry library is this formula.
"""

from __future__ import annotations

from dataclasses import dataclass

from glossator_providers.errors import Kind, ProviderError, may_try_again


@dataclass(frozen=True, slots=True)
class Patience:
    """How often one provider is asked, and how long a pause between two attempts may be, in seconds.

    A longer pause than `elsewhere` is not made while another provider could answer, nor one longer than `alone` when none could.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0
    elsewhere: float = 2.0
    alone: float = 30.0


def pause(
    error: ProviderError, *, tries: int, alone: bool, remaining: float, chance: float, patience: Patience
) -> float | None:
    """Return the seconds to wait before asking the same provider again, or None when it is not to be asked again.

    `tries` counts the attempts made there, `remaining` is what is left of the request's time in seconds, `chance` a random number in [0, 1).
    """
    if not may_try_again(error.kind) or tries >= patience.attempts:
        return None
    if error.kind is Kind.TIMEOUT and not alone:
        return None  # it cost the whole time limit once; somebody else may be quicker
    # Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): clients that failed together
    # do not come back together.
    seconds = chance * min(patience.cap, patience.base * 2.0 ** (tries - 1))
    if error.retry_after is not None:
        # The provider's own word is a floor: a recorded 429 said `retry-after-ms: 0` beside `retry-after: 1`.
        seconds += error.retry_after
    longest = min(patience.alone if alone else patience.elsewhere, remaining)
    return seconds if seconds <= longest else None
