"""Who is asked next: everybody once, those who may be asked at once before those who rest, and the full ones again at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.remaining import Remaining
from glossator_providers.strategies import Candidate

CANDIDATES = [Candidate(Provider(name, ROWS["ollama"], "m", "http://127.0.0.1:1"), local=True) for name in "abcd"]


@given(st.permutations(CANDIDATES), st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))
def test_everybody_is_given_once_and_the_full_twice(
    candidates: list[Candidate], resting: set[str], full: set[str]
) -> None:
    """The order of the plan holds among those who may be asked; who rests comes after them; who was full comes once more."""
    remaining = Remaining(candidates, permits=lambda one: one.name not in resting)
    given: list[str] = []
    for candidate in remaining:
        assert remaining.rests == (candidate.name in resting)
        given.append(candidate.name)
        if candidate.name in full:
            remaining.put_off(candidate)
    assert remaining.last
    once = list(dict.fromkeys(given))
    planned = [one.name for one in candidates]
    assert once == [name for name in planned if name not in resting] + [name for name in planned if name in resting]
    again = [name for index, name in enumerate(given) if name in given[:index]]
    assert set(again) <= full
    assert full - {given[-1]} <= {*again, once[-1]}
