"""Tests for a file in the editor: one edit that makes or extends a file that is not open, where the editor can."""

from __future__ import annotations

from typing import Any

import pytest

from glossator.document import Snapshot
from glossator.tasks.task import Proposal, TaskName
from lsp_application import AUTHOR, FIXED, Application
from lsp_client import Editor, in_process

URI = "file:///project/a.py"
TARGET = "file:///project/test_a.py"
OLD, NEW = "def test_one():\n    pass\n", "\n\ndef test_two():\n    pass\n"


@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize("able", [False, True])
async def test_a_file_is_made_or_extended(*, present: bool, able: bool) -> None:
    """A file that is there is added to at its end; one that is not is made first, by an editor that can make files."""
    application = Application()
    async with in_process(application) as client:
        operations = ["create"] if able else ["rename"]
        await client.initialize(
            {
                "workspace": {"applyEdit": True, "workspaceEdit": {"resourceOperations": operations}},
                "window": {"workDoneProgress": True},
            }
        )
        Editor(client).open(URI, "x = 1\n")
        asked: list[Any] = []

        def apply(params: Any) -> dict[str, bool]:
            asked.append(params)
            return {"applied": True}

        client.handlers["workspace/applyEdit"] = apply
        params = {"command": "glossator.tests", "arguments": [{"uri": URI}]}
        await client.request("workspace/executeCommand", params)
        run = await application.asked()
        assert run.ask.task is TaskName.TESTS
        base = Snapshot.of(OLD if present else "", uri=TARGET, language="python")
        run.tell(Proposal(base, base.text + NEW, AUTHOR, FIXED, "tests two"))
        end = await client.notification("$/progress", lambda one: one["value"]["kind"] == "end")
        if not (present or able):
            assert asked == []
            assert "run `glossator tests` instead" in end["value"]["message"]
            return
        changes = asked[0]["edit"]["documentChanges"]
        assert [one.get("kind") for one in changes] == ([None] if present else ["create", None])
        (edit,) = changes[-1]["edits"]
        assert changes[-1]["textDocument"] == {"uri": TARGET, "version": None}
        assert edit["newText"] == NEW
        assert edit["range"]["start"] == {"line": 2 if present else 0, "character": 0}
        assert "test_a.py" in end["value"]["message"]
