"""The lab's eyes: every disguise of a mark is seen, and nothing else is taken for one."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leak_lab.canaries import Canaries, planted

DISGUISES = sorted(planted("q"))


@pytest.mark.parametrize("name", DISGUISES)
def test_every_planted_disguise_is_found(name: str) -> None:
    """A mark is found in each disguise, for fifty different marks, alone and in the middle of a request."""
    for seed in range(50):
        canaries = Canaries(Random(seed))
        mark = canaries.make("here")
        data = planted(mark)[name]
        assert canaries.find(data) == {"here"}, data
        head = b"POST /v1 HTTP/1.1\r\nhost: a\r\n\r\n"
        # These two have no beginning that could be found inside of something else.
        inside = b"" if name in {"deflate without a header", "one chunk a character"} else b'{"a": "b", "x": '
        assert canaries.find(head + inside + data) == {"here"}


def test_there_are_thirty_disguises() -> None:
    """As many as were promised."""
    assert len(DISGUISES) >= 30


@given(st.binary(max_size=4000))
def test_nothing_is_found_where_nothing_is(data: bytes) -> None:
    """Bytes without a mark raise no alarm, and nothing that they hold breaks the detector."""
    canaries = Canaries(Random(1))
    for number in range(200):
        canaries.make(str(number))
    assert canaries.find(data) == frozenset()
