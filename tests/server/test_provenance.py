"""What was copied from a private file goes to no cloud, although nobody has opened that file in this session."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications import CLOUD, START, application, environment_of, follow, project, snapshot_of, table
from e2e.command import glossator
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Explanation, Refusal, TaskName
from glossator_providers.testing import FakeProvider, answering

PRICES = """def price_zephyr_note(notional, months_to_call):
    shifted = notional * (1 - (0.0481 + 0.0373) * months_to_call / 12)
    return shifted - {"initech-fra": 4471, "initech-sgp": 9082}["initech-fra"]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with a folder that no cloud may see, and a copy of one of its files elsewhere."""
    files = {
        ".aiignore": "desk/\n",
        "desk/pricing.py": PRICES,
        "copy.py": f"import os\n\n{PRICES}",
        "open.py": "x = 1\n",
    }
    return project(tmp_path / "work", files)


async def test_a_copy_of_a_private_file_goes_to_no_cloud(workspace: Path, connections: list[object]) -> None:
    """It is refused with the name of the file it comes from; what was pasted into a question is, too."""
    async with application(workspace, environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")) as opened:
        for name, question in (("copy.py", "What is this?"), ("open.py", f"What is this?\n{PRICES}")):
            ask = Ask(TaskName.ASK, snapshot_of(workspace / name), START, instruction=question)
            _, result = await follow(opened, ask)
            assert isinstance(result, Refusal)
            assert result.rules == ("lines of desk/pricing.py",)
        told = opened.why(snapshot_of(workspace / "copy.py"))
        assert (told.level, told.route) == ("private", ())
        assert [(one.source, one.range) for one in told.reasons] == [("index", (2, 0, 3, 0))]
        assert opened.why(snapshot_of(workspace / "open.py")).level == "open"
    assert connections == []


async def test_a_local_model_may_see_the_copy(workspace: Path) -> None:
    """It is private, not forbidden."""
    async with FakeProvider(respond=answering("A price.")) as fake:
        environment = environment_of(workspace.parent / "user", CLOUD, table(fake), CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            snapshot = snapshot_of(workspace / "copy.py")
            _, result = await follow(opened, Ask(TaskName.ASK, snapshot, START, instruction="What is this?"))
    assert isinstance(result, Explanation)
    assert result.author.name == "fake"


async def test_a_line_that_is_typed_in_closes_the_document(workspace: Path) -> None:
    """The text of the editor counts, not that of the disk."""
    async with application(workspace, environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")) as opened:
        opened.look_around()
        before = snapshot_of(workspace / "open.py")
        assert opened.offer(before).author is not None
        after = Snapshot.of(before.text + PRICES, uri=before.uri, language="python", version=2, path=before.path)
        assert opened.offer(after).author is None


async def test_why_knows_the_files_that_nobody_opened(workspace: Path) -> None:
    """The command names the private file for its copy, and opens no connection."""
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    done = await glossator("why", "copy.py", "--json", environment=environment, folder=workspace)
    assert done.json["level"] == "private"
    assert [reason["source"] for reason in done.json["reasons"]] == ["index"]
