"""The router's benchmark measures what it says: every way gives the whole answer, and the tables name what was measured."""

from __future__ import annotations

import pytest

from benchmarks import routing, streams
from benchmarks.routing_client import ALONE, MANY, ONE, THREE, TROUBLES


@pytest.mark.slow
@pytest.mark.parametrize("client", ["Glossator", "LiteLLM"])
def test_every_way_gives_the_whole_answer_whatever_ails_the_first_provider(client: str) -> None:
    """Each is heard to its last word, which the client itself checks; only who hangs costs its whole time limit."""
    if not streams.PYTHONS[client].exists():
        pytest.skip(f"{client} is not installed; `make bench` does that")
    with streams.source("openai_chat") as port:
        measured = routing.run(client, port, times=1)
    ways = (ALONE, ONE, THREE) if client == "Glossator" else (THREE,)
    assert set(measured) == {f"{way} {pieces}" for way in ways for pieces in (1, MANY)} | set(TROUBLES)
    assert all(value > 0 for value in measured.values())
    assert measured["hangs"] >= 1000


def test_the_tables_tell_of_everybody_who_was_measured() -> None:
    """A request and its pieces are told apart, and who is not installed has a dash."""
    ours = {f"{way} {pieces}": 100.0 + pieces for way in (ALONE, ONE, THREE) for pieces in (1, MANY)}
    told = {"Glossator": [ours | dict.fromkeys(TROUBLES, 5.0)], "LiteLLM": []}
    assert "| a request | 101 µs | **1.00** ± 0.00 (+0.00 µs) | **1.00** ± 0.00 (+0.00 µs) | - |" in routing._costs(
        told
    )
    assert "| each further piece | 1.00 µs |" in routing._costs(told)
    assert routing._times(told).count("| 5.00 ms | - |") == len(TROUBLES) == len(routing.TROUBLES)
