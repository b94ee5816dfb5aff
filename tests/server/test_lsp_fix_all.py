"""Fixing a whole rule and documenting, as an editor without our plugin sees them: one edit, and what was left is said."""

from __future__ import annotations

from typing import Any

import pytest

from glossator.document import Diagnostic, Point, Region
from glossator.tasks.task import Left, Proposal, TaskName
from lsp_application import AUTHOR, FIXED, Application
from lsp_client import Editor, in_process

URI = "file:///project/a.py"
TEXT = "import os\nimport sys\nx = 1\n"
PROBLEM: dict[str, Any] = {
    "range": {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 9}},
    "message": "`os` imported but unused",
    "source": "Ruff",
    "code": "F401",
}
LEFT = Left(Diagnostic(Region(Point(1, 0), Point(1, 10)), "unused", "ruff", "F401"), "nobody could prove it")


@pytest.mark.parametrize(
    ("title", "task"),
    [("Fix all F401 in this file (glossator, ", TaskName.FIX_ALL), ("Document this (glossator, ", TaskName.DOCUMENT)],
)
async def test_a_picked_action_becomes_one_edit(title: str, task: TaskName) -> None:
    """The action is in the menu, runs its task, and what comes of it is applied once; what is left is said."""
    application = Application()
    async with in_process(application) as client:
        capabilities = {
            "workspace": {"applyEdit": True},
            "textDocument": {"codeAction": {"codeActionLiteralSupport": {}}},
        }
        await client.initialize(capabilities)
        editor = Editor(client)
        editor.open(URI, TEXT)
        await client.request("glossator/status", {})
        params = {"textDocument": {"uri": URI}, "range": PROBLEM["range"], "context": {"diagnostics": [PROBLEM]}}
        actions = await client.request("textDocument/codeAction", params)
        (action,) = [one for one in actions if one["title"].startswith(title)]
        await client.request("workspace/executeCommand", action["command"])
        run = await application.asked()
        assert run.ask.task is task
        assert [one.code for one in run.ask.diagnostics] == (["F401"] if task is TaskName.FIX_ALL else [])
        new = "import sys\nx = 1\n" if task is TaskName.FIX_ALL else f"# Begins.\n{TEXT}"
        left = (LEFT,) if task is TaskName.FIX_ALL else ()
        run.tell(
            Proposal(run.ask.snapshot, new, AUTHOR, FIXED, "1 of 2 F401 fixed; left as they are: line 1", left=left)
        )
        await client.until(lambda: editor.texts[URI] == new)
        assert len(editor.edits) == 1
        if left:
            told = await client.notification("window/showMessage")
            assert "left as they are: line 1" in told["message"]
