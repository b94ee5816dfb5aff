"""Edits reach editors that lie, that are slow, and whose user goes on typing; nothing typed is ever lost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from glossator.lsp.apply import has_landed
from glossator.merge import Merged, merge
from glossator.tasks.task import State, Verdict
from lsp_application import FIXED, Application, Run
from lsp_client import Client, Editor, in_process

URI = "file:///project/a.py"
TEXT = "import os\n\n\ndef f():\n    return 1\n\n\ny = 2\n"
FIXED_TEXT = "def f():\n    return 1\n\n\ny = 2\n"
ABLE: dict[str, Any] = {
    "workspace": {"applyEdit": True},
    "window": {"workDoneProgress": True},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": True}},
}


async def fix(client: Client, editor: Editor, application: Application, *, uri: str = URI) -> Run:
    """Ask for a fix of the first line; return the task."""
    arguments = [{"uri": uri, "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}}]
    await client.request("workspace/executeCommand", {"command": "glossator.fix", "arguments": arguments})
    return await application.asked()


async def end(client: Client, count: int = 1) -> str:
    """Wait for the end of a progress; return its message."""

    def ends() -> list[str]:
        return [one["value"]["message"] for one in client.heard("$/progress") if one["value"]["kind"] == "end"]

    await client.until(lambda: len(ends()) >= count)
    return ends()[count - 1]


async def menu(client: Client) -> dict[str, Any]:
    """Return the code actions of the first line, by title."""
    range_ = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
    params = {"textDocument": {"uri": URI}, "range": range_, "context": {"diagnostics": []}}
    return {one["title"]: one for one in await client.request("textDocument/codeAction", params)}


@pytest.mark.parametrize(
    ("manner", "applied", "tries"),
    [
        ("honest", True, 1),
        ("refuse", False, 1),
        ("error", False, 1),
        ("lie", False, 1),
        ("silent", True, 1),
        ("mute", False, 1),
        ("deny", True, 1),
    ],
)
async def test_the_text_is_believed_and_not_the_reply(manner: str, *, applied: bool, tries: int) -> None:
    """Whatever an editor answers, an edit counts as made when the text shows it, and is kept when it does not."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client, manner=manner)
        editor.open(URI, TEXT)
        run = await fix(client, editor, application)
        run.propose(FIXED_TEXT)
        message = await end(client)
        assert ("✓" in message) == applied
        assert len(editor.edits) == tries
        assert (editor.texts[URI] == FIXED_TEXT) == applied
        waiting = "Apply the pending fix (glossator)"
        actions = await menu(client)
        assert (waiting in actions) == (not applied)
        if applied:
            return
        assert "not applied" in message
        editor.manner = "honest"
        command = actions[waiting]["command"]
        await client.request(
            "workspace/executeCommand", {"command": command["command"], "arguments": command["arguments"]}
        )
        await client.until(lambda: editor.texts[URI] == FIXED_TEXT)
        await client.notification("window/showMessage", lambda one: "✓" in one["message"])
        assert waiting not in await menu(client)


@pytest.mark.parametrize("manner", ["honest", "lie"])
async def test_a_stale_edit_is_made_again_for_the_text_of_now(manner: str) -> None:
    """Typing that crosses the edit on its way makes it stale: it is merged again and sent once more."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client, manner=manner)
        editor.open(URI, TEXT)

        def type_once() -> None:
            if len(editor.edits) == 1:
                editor.type(URI, len(TEXT), len(TEXT), "z = 3\n")
            else:
                editor.manner = "honest"

        editor.before_edit = type_once
        run = await fix(client, editor, application)
        run.propose(FIXED_TEXT)
        assert "✓" in await end(client)
        assert editor.texts[URI] == FIXED_TEXT + "z = 3\n"
        versions = [one["edit"]["documentChanges"][0]["textDocument"]["version"] for one in editor.edits]
        assert versions == [0, 1]


async def test_somebody_who_does_not_stop_typing_gets_the_edit_too() -> None:
    """Each edit is stale when it arrives, several times over: it is made again as soon as the newer text is there."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client)
        editor.open(URI, TEXT)
        keys = iter("# on")

        def type_a_key() -> None:
            key = next(keys, None)
            if key is not None:
                end = len(editor.texts[URI])
                editor.type(URI, end, end, key)

        editor.before_edit = type_a_key
        run = await fix(client, editor, application)
        run.propose(FIXED_TEXT)
        assert "✓" in await end(client)
        assert editor.texts[URI] == FIXED_TEXT + "# on"
        assert len(editor.edits) == 5


async def test_typing_while_the_answer_streams_survives() -> None:
    """Text typed above and in the same function while the answer streams is there in the end, and so is the fix."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client)
        editor.open(URI, TEXT)
        run = await fix(client, editor, application)
        run.say("thinking")
        editor.type(URI, TEXT.index("    return"), TEXT.index("    return"), "    a = 5\n")
        editor.type(URI, len(editor.texts[URI]), len(editor.texts[URI]), "z = 3\n")
        await menu(client)  # what was typed has arrived
        run.propose(FIXED_TEXT)
        assert "✓" in await end(client)
        assert editor.texts[URI] == "def f():\n    a = 5\n    return 1\n\n\ny = 2\nz = 3\n"
        assert len(editor.edits) == 1


async def test_a_conflict_is_shown_and_overwrites_nothing() -> None:
    """Where both changed the same line the user decides: by an action, and only then."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client)
        editor.open(URI, TEXT)
        run = await fix(client, editor, application)
        editor.type(URI, 0, 9, "import re")
        editor.type(URI, len(editor.texts[URI]), len(editor.texts[URI]), "z = 3\n")
        await menu(client)  # what was typed has arrived
        run.propose(TEXT.replace("import os", "import sys"))
        assert "nothing was overwritten" in await end(client)
        assert editor.edits == []
        actions = await menu(client)
        again, anyway = "Ask again for the text of now (glossator)", "Apply the pending fix anyway (glossator)"
        assert {again, anyway} <= set(actions)
        await client.request("workspace/executeCommand", actions[anyway]["command"] | {"title": None})
        await client.until(lambda: editor.texts[URI].startswith("import sys"))
        assert editor.texts[URI] == TEXT.replace("import os", "import sys") + "z = 3\n"


async def test_a_conflict_can_be_asked_again() -> None:
    """'Ask again' begins the same task with the text of now, at the place to which it has moved."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client)
        editor.open(URI, TEXT)
        run = await fix(client, editor, application)
        editor.type(URI, 7, 9, "re")
        editor.type(URI, 0, 0, "# first\n")
        await menu(client)  # what was typed has arrived
        run.propose(TEXT.replace("import os", "import sys"))
        await end(client)
        command = (await menu(client))["Ask again for the text of now (glossator)"]["command"]
        await client.request("workspace/executeCommand", command)
        second = await application.asked()
        assert second.ask.snapshot.text == editor.texts[URI]
        assert second.ask.region.start.line == 1


async def test_a_document_that_closes_under_the_edit_is_left_alone() -> None:
    """When the document closes while the edit is on its way, nothing is applied later."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client, manner="mute")
        editor.open(URI, TEXT)
        editor.before_edit = lambda: client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        run = await fix(client, editor, application)
        run.propose(FIXED_TEXT)
        assert "closed" in await end(client)
        assert len(editor.edits) == 1


async def test_doubtful_edits_ask_first_where_the_editor_can() -> None:
    """A change that its checker does not confirm asks for confirmation in an editor that can."""
    application = Application()
    able = {**ABLE, "workspace": {"applyEdit": True, "workspaceEdit": {"changeAnnotationSupport": {}}}}
    async with in_process(application) as client:
        await client.initialize(able)
        editor = Editor(client)
        editor.open(URI, TEXT)
        run = await fix(client, editor, application)
        run.propose(FIXED_TEXT, verdict=Verdict(State.WORSE, "ruff", 1, 2))
        await end(client)
        edit = editor.edits[0]["edit"]
        (annotation,) = edit["changeAnnotations"].values()
        assert annotation["needsConfirmation"] is True
        assert "annotationId" in edit["documentChanges"][0]["edits"][0]


async def test_an_editor_that_takes_no_edits_is_told() -> None:
    """Without `workspace.applyEdit` nothing is sent, and the user reads why."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize({**ABLE, "workspace": {}})
        editor = Editor(client)
        editor.open(URI, TEXT)
        (await fix(client, editor, application)).propose(FIXED_TEXT)
        assert "cannot be sent edits" in await end(client)
        assert editor.edits == []


PIECES = ["", "\n", "a", "word", "😀", "x = 1\n", "\r\n", "\x0c", "\u2028", "é"]


@pytest.mark.parametrize("seed", range(12))
async def test_random_typing_is_merged_or_refused(seed: int) -> None:
    """Under random typing the text is in the end the reference merge, or exactly what was typed."""
    chance = random.Random(seed)
    application = Application()
    lines = [f"line {number} 😀\x0c é\n" for number in range(12)]
    text = "".join(lines) + "last without end"
    proposal = "".join([*lines[:5], "new one\n", "new two 😀\n", *lines[7:]]) + "last without end"
    encoding = chance.choice(["utf-8", "utf-16", "utf-32"])
    able = {**ABLE, "general": {"positionEncodings": [encoding]}}
    async with in_process(application) as client:
        await client.initialize(able)
        editor = Editor(client, encoding=encoding)
        editor.open(URI, text)
        run = await fix(client, editor, application)
        for _ in range(chance.randint(1, 6)):
            now = editor.texts[URI]
            start = chance.randint(0, len(now))
            stop = min(len(now), start + chance.choice([0, 0, 1, 5]))
            editor.type(URI, start, stop, chance.choice(PIECES))
        typed = editor.texts[URI]
        run.propose(proposal)
        await end(client)
        reference = merge(text, proposal, typed)
        assert editor.texts[URI] == (reference.text if isinstance(reference, Merged) else typed)


def test_what_counts_as_landed() -> None:
    """An edit is in the text when making it again changes nothing, whatever was typed besides."""
    before, wanted = "a\nb\nc\n", "a\nB\nc\n"
    assert has_landed(before, wanted, wanted)
    assert has_landed(before, wanted, "a\r\nB\r\nc\r\n")
    assert has_landed(before, wanted, "a\nB\nc\ntyped\n")
    assert not has_landed(before, wanted, before)
    assert not has_landed(before, wanted, "a\nb\nc\ntyped\n")
    assert not has_landed(before, wanted, "a\nx\nc\n")
    assert FIXED.verified
