"""Refactoring: the user's words decide, the gates still hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications import START, asking, follow, place_of, project, snapshot_of
from glossator.tasks.task import Ask, Proposal, Refusal, State, TaskName
from glossator_providers.testing import answering

CODE = "def double(number):\n    return number + number\n\n\ndef triple(number):\n    return number * 3\n"
DONE = "It multiplies.\n```python\ndef double(number):\n    return number * 2\n```\n"
WORSE = "It multiplies.\n```python\ndef double(number):\n    return numbre * 2\n```\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with clean code."""
    return project(tmp_path / "work", {"sums.py": CODE})


async def test_the_symbol_around_the_cursor_is_changed_as_told(workspace: Path) -> None:
    """The instruction reaches the model, only the function changes, and ruff has nothing new to say."""
    async with asking(workspace, answering(DONE)) as (opened, fake):
        snapshot = snapshot_of(workspace / "sums.py")
        region = place_of(snapshot, "number + number")
        ask = Ask(TaskName.REFACTOR, snapshot, region, instruction="multiply instead")
        _, result = await follow(opened, ask)
    assert isinstance(result, Proposal)
    assert result.text == CODE.replace("number + number", "number * 2")
    assert result.verdict.state in {State.FIXED, State.UNKNOWN}
    assert "multiply instead" in fake.requests[0].json["messages"][1]["content"]


async def test_a_change_with_a_new_problem_is_withheld(workspace: Path) -> None:
    """An undefined name that was not there before is a reason not to offer the change."""
    async with asking(workspace, answering(WORSE)) as (opened, _fake):
        snapshot = snapshot_of(workspace / "sums.py")
        ask = Ask(TaskName.REFACTOR, snapshot, place_of(snapshot, "double"), instruction="multiply instead")
        _, result = await follow(opened, ask)
    assert isinstance(result, Refusal)
    assert result.kind == "withheld"


async def test_without_an_instruction_nobody_is_asked(workspace: Path) -> None:
    """There is nothing to do, and the user is told what is missing."""
    async with asking(workspace) as (opened, fake):
        _, result = await follow(opened, Ask(TaskName.REFACTOR, snapshot_of(workspace / "sums.py"), START))
        assert fake.connections == 0
    assert isinstance(result, Refusal)
    assert "instruction" in result.message
