"""The form in which a change is asked for: what a model is told that masters much, and what one that masters little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from applications import asking, follow, place_of, problem, project, snapshot_of
from glossator.tasks.fix import TOY_TOKENS
from glossator.tasks.task import Ask, Proposal, TaskName
from glossator_providers.catalog import Capabilities, EditFormat
from glossator_providers.testing import answering

CODE = "import os\n\n\ndef is_missing(value):\n    return value == None\n\n\nprint(os.name)\n"
RIGHT = "It compares by identity.\n```python\ndef is_missing(value):\n    return value is None\n```\n"


async def told(folder: Path, task: TaskName, form: EditFormat | None, *, toy: bool = False) -> tuple[str, int]:
    """Return the whole prompt for a change by a model of which the user says this, and how long its answer may be."""
    workspace = project(folder / "work", {"guests.py": CODE})
    snapshot = snapshot_of(workspace / "guests.py")
    found = problem(snapshot, "None", code="E711", message="Comparison to `None` should be `cond is None`")
    ask = Ask(task, snapshot, place_of(snapshot, "value =="), diagnostics=(found,), instruction="by identity")
    async with asking(workspace, answering(RIGHT)) as (opened, fake):
        said = Capabilities(edit_format=form)
        opened.use(tuple(replace(one, capabilities=said, toy=toy) for one in opened.router.providers))
        _, result = await follow(opened, replace(ask, provider="fake"))
        assert isinstance(result, Proposal)
        body = fake.requests[-1].json
    return "\n".join(message["content"] for message in body["messages"]), body["max_tokens"]


@pytest.mark.parametrize("task", [TaskName.FIX, TaskName.REFACTOR])
async def test_second_places_are_asked_for_only_where_they_are_mastered(tmp_path: Path, task: TaskName) -> None:
    """SEARCH/REPLACE blocks are explained to who can write them; a model on this machine, unless said otherwise, is not bothered."""
    rich, _ = await told(tmp_path / "rich", task, "region-and-blocks")
    plain, _ = await told(tmp_path / "plain", task, "region")
    usual, _ = await told(tmp_path / "usual", task, None)
    assert "<<<<<<< SEARCH" in rich
    assert "SEARCH" not in plain
    assert usual == plain
    assert "the whole region in one fenced block" in plain
    assert "CANNOT FIX" in plain


async def test_a_toy_is_told_next_to_nothing_and_stops_soon(tmp_path: Path) -> None:
    """A toy gets the shortest prompt; another model that the user wants asked so may answer as long as ever."""
    toy, few = await told(tmp_path / "toy", TaskName.FIX, None, toy=True)
    other, many = await told(tmp_path / "other", TaskName.FIX, "code")
    assert toy == other
    assert "CANNOT FIX" not in toy
    assert few == TOY_TOKENS < many
