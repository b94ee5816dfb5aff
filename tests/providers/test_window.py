"""A window never holds more than the limits, and says to the second when there will be room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import Limits
from glossator_providers.window import Room, Window

limits = st.builds(Limits, st.none() | st.integers(1, 5), st.none() | st.integers(10, 30))
requests = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 7.0, 20.0, 60.0, 61.0]), st.integers(0, 10)), max_size=20)


def fits(sent: list[tuple[float, int]], limits: Limits) -> bool:
    """Say whether the last of these requests was within the limits, by looking at every one."""
    now = sent[-1][0]
    recent = [tokens for moment, tokens in sent if now - 60 < moment <= now]
    return (limits.requests_per_minute is None or len(recent) <= limits.requests_per_minute) and (
        limits.tokens_per_minute is None or sum(recent) <= limits.tokens_per_minute
    )


@given(limits, requests)
def test_whoever_goes_when_told_keeps_the_limits_and_waits_no_longer_than_needed(
    limits: Limits, asked: list[tuple[float, int]]
) -> None:
    """Each request goes at the first moment at which it breaks no limit, found here by trying all moments that matter."""
    window, now, sent = Window(60.0), 0.0, list[tuple[float, int]]()
    for pause, tokens in asked:
        now += pause
        room = window.room(now, limits, [tokens])
        moments = sorted({now, *(moment + 60 for moment, _ in sent if moment + 60 > now)})
        assert room.moment == next(moment for moment in moments if fits([*sent, (moment, tokens)], limits))
        assert (room.limit == "") == (room.moment == now)
        now = room.moment
        window.add(now, tokens)
        sent.append((now, tokens))


@given(limits, requests, st.lists(st.integers(0, 10), min_size=1, max_size=6))
def test_a_whole_line_is_foreseen(limits: Limits, asked: list[tuple[float, int]], queue: list[int]) -> None:
    """What is said to the last of a line is when it goes after all those before it have gone as soon as they might."""
    window, now = Window(60.0), 0.0
    for pause, tokens in asked:
        now = window.room(now + pause, limits, [tokens]).moment
        window.add(now, tokens)
    foreseen = window.room(now, limits, queue).moment
    for tokens in queue:
        now = window.room(now, limits, [tokens]).moment
        window.add(now, tokens)
    assert foreseen == pytest.approx(now)


def test_what_is_known_later_is_corrected() -> None:
    """Tokens that were not needed make room, those beyond the estimate take it, and what did not go out does not count."""
    window, limits = Window(60.0), Limits(tokens_per_minute=100)
    first, second = window.add(0, 60), window.add(1, 40)
    assert window.room(2, limits, [10]) == Room(60, "tokens")
    window.settle(first, 50)
    assert window.room(2, limits, [10]) == Room(2, "")
    window.settle(first, 90)
    assert window.count(2) == (2, 130)
    assert window.room(2, limits, [10]) == Room(60, "tokens")
    window.withdraw(first)
    window.withdraw(first)
    assert window.room(2, limits, [60]) == Room(2, "")
    assert window.count(61) == (0, 0)
    window.settle(second, 1000)
    window.withdraw(second)
    assert window.count(61) == (0, 0)
