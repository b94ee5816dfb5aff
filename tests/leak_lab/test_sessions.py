"""Sessions of the leak lab in the suite: as many as fit into three minutes; `make leak-lab` plays ten thousand."""

from __future__ import annotations

import pytest

from leak_lab.__main__ import CHILD_EVERY, sessions

COUNT = 300


@pytest.mark.slow
def test_no_session_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    """No private text reaches anybody who is not this machine or stays in a file, whatever the editor, servers and files do."""
    outcomes = list(sessions(COUNT, first=1_000_000, profile="everything", workers=4))
    leaks = {outcome["seed"]: outcome["leaks"] for outcome in outcomes if outcome["leaks"]}
    assert leaks == {}
    assert len(outcomes) == COUNT
    # Sessions in which nobody sends anything would prove nothing.
    assert sum(outcome["requests"] for outcome in outcomes) > COUNT
    assert sum(outcome["kept"] for outcome in outcomes) > COUNT / 4
    assert COUNT // CHILD_EVERY >= 10, "some are played with the real server process"
    with capsys.disabled():
        print(
            f"\nleak lab: {COUNT} sessions, 0 leaks: fewer than {300 / COUNT:.3g} % of such sessions leak (95 % confidence)"
        )
