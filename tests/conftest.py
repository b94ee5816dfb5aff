"""No test reaches an address that the test run did not start; what was tried is told, even where the code hides it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import audit

_WATCH = audit.install()


@pytest.fixture(autouse=True)
def connections() -> Iterator[list[audit.Attempt]]:
    """List what this test tried to connect to or look up; fail it if any of that lies outside the test run."""
    attempts: list[audit.Attempt] = []
    _WATCH.attempts = attempts
    yield attempts
    refused = [str(attempt) for attempt in attempts if attempt.refused]
    if refused:
        pytest.fail(
            "the test's code tried to reach what the test run did not start:\n" + "\n".join(refused), pytrace=False
        )


@pytest.fixture
def started_server() -> Callable[[int], None]:
    """Tell the watch of a loopback port that the test knows: a child process serves there, or surely nobody does."""
    return _WATCH.started


@pytest.fixture
def watched_child(tmp_path: Path) -> audit.WatchedChild:
    """Prepare the environment of a child Python whose connections are written down: see `audit.WatchedChild`."""
    return audit.watch_child(tmp_path / "connections.jsonl")
