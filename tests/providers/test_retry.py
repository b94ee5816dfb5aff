"""The arithmetic of asking again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.errors import Kind, ProviderError, may_try_again
from glossator_providers.retry import Patience, pause

PATIENCE = Patience(attempts=3, base=0.5, cap=8, elsewhere=2, alone=30)


def wait(
    kind: Kind = Kind.SERVER,
    *,
    tries: int = 1,
    alone: bool = True,
    remaining: float = 100,
    chance: float = 0.5,
    retry_after: float | None = None,
) -> float | None:
    """Ask for the pause after one failure."""
    error = ProviderError(kind, "x", retry_after=retry_after)
    return pause(error, tries=tries, alone=alone, remaining=remaining, chance=chance, patience=PATIENCE)


def test_the_pause_grows_and_is_jittered() -> None:
    """Each pause is a random part of a bound that doubles."""
    assert (wait(chance=0.5), wait(tries=2, chance=0.5), wait(chance=0)) == (0.25, 0.5, 0)


def test_the_providers_word_is_a_floor() -> None:
    """Nobody comes back earlier than the provider asked, and not all at the same moment."""
    assert wait(Kind.RATE, retry_after=3, chance=0.5) == 3.25


@pytest.mark.parametrize("kind", list(Kind))
def test_only_what_may_pass_is_tried_again(kind: Kind) -> None:
    """Every kind has its answer, and it is the one of the vocabulary."""
    assert (wait(kind) is not None) == may_try_again(kind)


def test_patience_ends() -> None:
    """The number of attempts, the time that is left and the limits for one pause are kept."""
    assert wait(tries=3) is None
    assert wait(remaining=0.1) is None
    assert wait(Kind.RATE, retry_after=31) is None
    assert wait(Kind.RATE, retry_after=5, alone=False) is None
    assert wait(Kind.TIMEOUT, alone=False) is None
    assert wait(Kind.TIMEOUT) is not None


@given(
    kind=st.sampled_from(Kind),
    tries=st.integers(1, 5),
    alone=st.booleans(),
    remaining=st.floats(-5, 500),
    chance=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.floats(0, 1e9),
)
def test_a_pause_is_never_negative_nor_too_long(
    *, kind: Kind, tries: int, alone: bool, remaining: float, chance: float, retry_after: float | None
) -> None:
    """Whatever happened, a pause fits into what is left and into somebody's patience."""
    seconds = wait(kind, tries=tries, alone=alone, remaining=remaining, chance=chance, retry_after=retry_after)
    if seconds is not None:
        assert 0 <= seconds <= min(remaining, 30 if alone else 2)
        assert seconds >= (retry_after or 0)
