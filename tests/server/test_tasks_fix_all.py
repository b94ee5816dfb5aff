"""All of one rule: one change in the end, of proven parts alone; what is left is named, and nothing is half-done."""

from __future__ import annotations

import asyncio
from pathlib import Path

from applications import application, asking, environment_of, follow, problem, project, snapshot_of
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Proposal, Refusal, Stage, State, TaskName
from glossator_providers.testing import Asked, answering

UNUSED = "import os\nimport sys\nimport json\n\n\ndef f():\n    import re\n    print(json)\n"
NONE = "def a(x):\n    return x == None\n\n\ndef b(x):\n    return x == None\n\n\ndef c(x):\n    return x == None\n"


def all_of(snapshot: Snapshot, text: str, code: str, *, unproven: bool = False) -> Ask:
    """Ask for all of the rule that is broken where *text* first stands."""
    found = problem(snapshot, text, code=code, message=f"the words of {code}")
    return Ask(TaskName.FIX_ALL, snapshot, found.region, diagnostics=(found,), unproven=unproven)


async def answer_by_name(asked: Asked) -> None:
    """Mend a and c as they should be, and leave the problem in b."""
    region = asked.json["messages"][1]["content"].rpartition("The region:")[2]
    name = next(one for one in "abc" if f"def {one}(x)" in region)
    mended = "None == x" if name == "b" else "x is None"
    await asked.answer(f"It compares.\n```python\ndef {name}(x):\n    return {mended}\n```\n")


async def test_the_checkers_own_fixes_are_made_in_one_pass(tmp_path: Path) -> None:
    """No model is asked where the checker has a fix for each place, and other rules stay as they are."""
    workspace = project(tmp_path / "work", {"a.py": f"{UNUSED}x = 1;\n"})
    async with application(workspace, environment_of(tmp_path / "user")) as opened:
        _, result = await follow(opened, all_of(snapshot_of(workspace / "a.py"), "os", "F401"))
    assert isinstance(result, Proposal)
    assert result.text == "import json\n\n\ndef f():\n    print(json)\nx = 1;\n"
    assert (result.verdict.state, result.author.name, result.left) == (State.FIXED, "ruff", ())
    assert result.summary == "3 of 3 F401 fixed: 3 by ruff"


async def test_what_cannot_be_proven_is_left_and_listed(tmp_path: Path) -> None:
    """A place whose change leaves the problem stays as it was; the others are fixed, and the counts are told on the way."""
    workspace = project(tmp_path / "work", {"a.py": NONE})
    async with asking(workspace, answer_by_name) as (opened, _):
        told, result = await follow(opened, all_of(snapshot_of(workspace / "a.py"), "None", "E711"))
    assert isinstance(result, Proposal)
    assert result.text == NONE.replace("x == None", "x is None").replace(
        "def b(x):\n    return x is None", "def b(x):\n    return x == None"
    )
    assert [one.diagnostic.region.start.line for one in result.left] == [5]
    assert "E711" in result.left[0].reason
    assert result.verdict.state is State.FIXED
    assert (result.verdict.before, result.verdict.after) == (3, 1)
    assert result.author.model == "fake-model"
    assert "2 of 3 E711 fixed: 2 by local: fake (fake-model); left as they are, unproven: line 6" in result.summary
    assert "1 of 3 done, line 6 is next" in [one.message for one in told if isinstance(one, Stage)]


async def test_who_asks_for_unproven_changes_gets_them_with_an_honest_verdict(tmp_path: Path) -> None:
    """Nothing is left then, and the whole is not called fixed."""
    workspace = project(tmp_path / "work", {"a.py": NONE})
    async with asking(workspace, answer_by_name) as (opened, _):
        _, result = await follow(opened, all_of(snapshot_of(workspace / "a.py"), "None", "E711", unproven=True))
    assert isinstance(result, Proposal)
    assert "None == x" in result.text
    assert result.left == ()
    assert result.verdict.state is State.UNCHANGED


async def test_without_a_model_the_first_refusal_ends_it(tmp_path: Path) -> None:
    """Nothing could be changed, and the reason is that of the first place."""
    workspace = project(tmp_path / "work", {"a.py": NONE})
    async with application(workspace, environment_of(tmp_path / "user")) as opened:
        _, result = await follow(opened, all_of(snapshot_of(workspace / "a.py"), "None", "E711"))
    assert isinstance(result, Refusal)
    assert result.message.startswith("None of the 3 places of E711 was changed: ")


async def test_own_fixes_are_kept_where_no_model_can_do_the_rest(tmp_path: Path) -> None:
    """What the checker can do is proposed, what it cannot is left with the reason."""
    text = "import os\nimport sys\n\ntry:\n    import json\nexcept ImportError:\n    pass\n"
    workspace = project(tmp_path / "work", {"a.py": text})
    async with application(workspace, environment_of(tmp_path / "user")) as opened:
        _, result = await follow(opened, all_of(snapshot_of(workspace / "a.py"), "os", "F401"))
    assert isinstance(result, Proposal)
    assert result.text == text.removeprefix("import os\nimport sys\n")
    assert [one.diagnostic.region.start.line for one in result.left] == [2], "where it stands in the changed text"


async def test_a_rule_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """Without a checker nothing could be proven, so nothing is begun."""
    workspace = project(tmp_path / "work", {"a.py": NONE})
    async with asking(workspace, answering("no")) as (opened, fake):
        snapshot = snapshot_of(workspace / "a.py")
        found = problem(snapshot, "None", code="X1", message="odd", source="stranger")
        _, result = await follow(opened, Ask(TaskName.FIX_ALL, snapshot, found.region, diagnostics=(found,)))
        assert fake.connections == 0
    assert isinstance(result, Refusal)


async def test_cancelled_in_the_middle_nothing_is_proposed(tmp_path: Path) -> None:
    """Closing the story while a model writes leaves no change behind, also of the places that were done."""
    workspace = project(tmp_path / "work", {"a.py": NONE})
    async with asking(workspace) as (opened, fake):
        events: list[object] = []

        async def listen() -> None:
            events.extend(
                [event async for event in opened.run(all_of(snapshot_of(workspace / "a.py"), "None", "E711"))]
            )

        listening = asyncio.create_task(listen())
        await answer_by_name(await fake.asked())
        await fake.asked()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert events == []
    assert (workspace / "a.py").read_text() == NONE
