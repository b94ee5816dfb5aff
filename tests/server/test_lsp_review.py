"""Findings in the editor: published as they come, moved with the text, gone where it is edited, cleared by command or close."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from glossator.document import Diagnostic, Point, Region, Severity, Snapshot
from glossator.lsp.findings import Shown, _moved
from glossator.tasks.task import Found, Refusal, Review, TaskName
from lsp_application import AUTHOR, Application, Run
from lsp_client import Client, Editor, Failed, in_process

URI = "file:///project/a.py"
TEXT = "import os\nx = 1\ny = [😀, x]\n"


class Room:
    """An editor with one open document that is under review."""

    def __init__(self, client: Client, application: Application) -> None:
        self.client = client
        self.application = application
        self.editor = Editor(client)

    async def review(self, **argument: Any) -> Run:
        params = {"command": "glossator.review", "arguments": [{"uri": URI, **argument}]}
        await self.client.request("workspace/executeCommand", params)
        return await self.application.asked()

    @property
    def published(self) -> list[dict[str, Any]]:
        return [one for one in self.client.heard("textDocument/publishDiagnostics") if one["uri"] == URI]

    async def shows(self, *codes: str) -> list[dict[str, Any]]:
        """Wait until exactly these findings are shown; return them."""

        def same() -> bool:
            return bool(self.published) and [one["code"] for one in self.published[-1]["diagnostics"]] == list(codes)

        await self.client.until(same)
        return list(self.published[-1]["diagnostics"])


@asynccontextmanager
async def open_room() -> AsyncIterator[Room]:
    """Open one document in an editor without our extension."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize({"window": {"workDoneProgress": True}})
        room = Room(client, application)
        room.editor.open(URI, TEXT)
        yield room


def at(line: int, first: int, last: int, code: str) -> Diagnostic:
    """Return a finding."""
    return Diagnostic(
        Region(Point(line, first), Point(line, last)), f"about {code}", "glossator", code, Severity.WARNING
    )


IMPORT, LIST = at(0, 0, 9, "import"), at(2, 5, 9, "list")


async def test_findings_come_while_the_review_runs_and_stay_at_its_end() -> None:
    """Each list is published at once, in the editor's units, as ours; the end of the progress says how many there are."""
    async with open_room() as room:
        run = await room.review()
        assert run.ask.task is TaskName.REVIEW
        assert run.ask.region == run.ask.snapshot.whole, "a cursor chooses no part"
        run.route()
        run.tell(Found((IMPORT,)))
        await room.shows("import")
        run.tell(Found((IMPORT, LIST)))
        _, second = await room.shows("import", "list")
        assert second["range"] == {"start": {"line": 2, "character": 5}, "end": {"line": 2, "character": 10}}
        assert (second["source"], second["severity"], second["message"]) == ("glossator", 2, "about list")
        run.tell(Review((IMPORT, LIST), author=AUTHOR))
        end = await room.client.notification("$/progress", lambda one: one["value"]["kind"] == "end")
        assert end["value"]["message"] == "2 findings (local: ollama (qwen2.5-coder))"
        await room.shows("import", "list")


async def test_an_edit_of_the_place_takes_its_finding_away_and_moves_the_others() -> None:
    """Who changes a line has dealt with it; what stands below moves along."""
    async with open_room() as room:
        run = await room.review()
        run.tell(Review((IMPORT, LIST), author=AUTHOR))
        await room.shows("import", "list")
        room.editor.type(URI, 0, 0, "# new\n")
        await room.client.until(lambda: bool(room.published[-1]["diagnostics"][0]["range"]["start"]["line"]))
        assert [one["range"]["start"]["line"] for one in room.published[-1]["diagnostics"]] == [1, 3]
        room.editor.type(URI, len("# new\nimport os"), len("# new\nimport os"), "  # used")
        (left,) = await room.shows("list")
        assert left["range"]["start"] == {"line": 3, "character": 5}


@pytest.mark.parametrize("way", ["command", "command for all", "close"])
async def test_findings_can_be_cleared(way: str) -> None:
    """By command for one document or all, and when the document is closed."""
    async with open_room() as room:
        run = await room.review()
        run.tell(Review((IMPORT,), author=AUTHOR))
        await room.shows("import")
        if way == "close":
            room.editor.close(URI)
        else:
            arguments = [{"uri": URI}] if way == "command" else []
            params = {"command": "glossator.clearReview", "arguments": arguments}
            await room.client.request("workspace/executeCommand", params)
        await room.shows()
        with pytest.raises(Failed):
            await room.client.request(
                "workspace/executeCommand", {"command": "glossator.clearReview", "arguments": [{"uri": 7}]}
            )


async def test_a_review_without_a_model_says_why_and_shows_the_structure() -> None:
    """What was counted is published; the refusal is told like any other."""
    async with open_room() as room:
        run = await room.review()
        run.tell(Review((LIST,), refusal=Refusal("no-provider", "no model is there")))
        await room.shows("list")
        told = await room.client.notification("window/showMessage")
        assert "no model is there" in told["message"]


@pytest.mark.parametrize(
    ("new", "left"),
    [
        ("import os\nx = 1\ny = [😀, x]\n", [0, 2]),
        ("x = 1\ny = [😀, x]\n", [1]),
        ("import os\n\n\nx = 1\ny = [😀, x]\n", [0, 4]),
        ("import os\nx = 1\ny = [😀, x, x]\n", [0]),
        ("", []),
    ],
)
def test_findings_follow_their_lines(new: str, left: list[int]) -> None:
    """A finding is where its line is, and nowhere once that was changed."""
    base, now = (Snapshot.of(text, uri=URI, language="python") for text in (TEXT, new))
    assert [one.region.start.line for one in _moved(Shown(base, (IMPORT, LIST)), now)] == left
