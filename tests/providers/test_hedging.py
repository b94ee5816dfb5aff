"""When a second provider is started beside a late one, and whom it is never."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.health import View
from glossator_providers.hedging import SOONEST, Hedge, hedge
from glossator_providers.strategies import Asked, Candidate

ASKED = Asked("explain", 1000, 4096)


def one(name: str, address: str | None = None, **changes: Any) -> Candidate:
    """Make somebody who may answer, each in a cloud of its own where nothing else is said."""
    provider = Provider(name, ROWS["openai-compatible"], "m", address or f"https://{name}.example/v1")
    return dataclasses.replace(Candidate(provider, local=False), **changes)


WORK, SPARE = one("work"), one("spare")
OLLAMA = one("ollama", "http://127.0.0.1:11434", local=True)
LLAMACPP = one("llamacpp", "http://localhost:8080/v1", local=True)
TOWER = one("tower", "http://tower.lan:11434", local=True)


def test_the_next_one_is_started_when_the_first_is_late() -> None:
    """After the time within which the first nearly always begins, and not for a blink."""
    assert hedge(ASKED, [WORK, SPARE], usual=1.5) == Hedge(SPARE, 1.5)
    assert hedge(ASKED, [WORK, SPARE], usual=0.1) == Hedge(SPARE, SOONEST)


@pytest.mark.parametrize(
    ("ranked", "second"),
    [
        ([WORK], None),
        ([], None),
        ([WORK, OLLAMA], OLLAMA),
        ([OLLAMA, WORK, SPARE], None),
        ([OLLAMA, LLAMACPP], None),
        ([OLLAMA, WORK, TOWER], TOWER),
        ([WORK, one("other", "https://work.example/v2"), SPARE], SPARE),
        ([WORK, one("resting", available=False), SPARE], SPARE),
        ([WORK, one("broken", health=View("down")), one("failing", health=View("failing"))], None),
    ],
    ids=range(9),
)
def test_whom(ranked: list[Candidate], second: Candidate | None) -> None:
    """Somebody else on another machine who is well, and never a cloud because this machine is slow."""
    decided = hedge(ASKED, ranked, usual=1)
    assert (decided and decided.candidate) == second


def test_nobody_waits_in_the_background() -> None:
    """What nobody waits for, and whose usual time is not known, is not hedged."""
    assert hedge(dataclasses.replace(ASKED, background=True), [WORK, SPARE], usual=1) is None
    assert hedge(ASKED, [WORK, SPARE], usual=None) is None


@given(ranked=st.lists(st.sampled_from([WORK, SPARE, OLLAMA, LLAMACPP, TOWER]), unique=True), usual=st.floats(0, 100))
def test_a_hedge_is_one_of_the_others(ranked: list[Candidate], usual: float) -> None:
    """It is never the first itself, nobody who was not given, and never away from this machine."""
    decided = hedge(ASKED, ranked, usual=usual)
    if decided is not None:
        assert decided.candidate in ranked[1:]
        assert decided.candidate.local or not ranked[0].local
        assert decided.seconds >= usual
