"""Explaining and answering: the handbook at once, a model after it, cleaned and remembered."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import (
    CLOUD,
    START,
    application,
    asking,
    environment_of,
    follow,
    problem,
    project,
    snapshot_of,
    table,
)
from glossator.app import _Models, _whole
from glossator.context import gather
from glossator.document import Diagnostic, Point, Region, Related, Snapshot
from glossator.tasks.explanations import Explanations
from glossator.tasks.lightest import without_closing
from glossator.tasks.task import Ask, Author, Explanation, Refusal, Restart, Routed, Said, TaskEvent, TaskName, Turn
from glossator_providers.testing import Asked, FakeProvider, answering, failing, in_turn

CODE = "import os\n\nprint(1)\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with an unused import."""
    return project(tmp_path / "work", {"app.py": CODE})


def explain_of(snapshot: Snapshot) -> Ask:
    """Return what the user asks who points at the import."""
    found = problem(snapshot, "os", code="F401", message="`os` imported but unused")
    return Ask(TaskName.EXPLAIN, snapshot, found.region, diagnostics=(found,))


def shown(told: list[TaskEvent]) -> str:
    """Return what stands on the screen in the end, as a front would show it."""
    text = ""
    for event in told:
        if isinstance(event, Said):
            text += event.text
        elif isinstance(event, Restart):
            text = ""
    return text


async def test_without_a_model_the_handbook_explains(workspace: Path, connections: list[object]) -> None:
    """Ruff's own documentation is the explanation, it says that no model was there, and nobody is connected to."""
    async with application(workspace, environment_of(workspace.parent / "user")) as opened:
        told, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    assert "Unused imports add a performance overhead" in result.markdown
    assert "No model adds to this" in result.markdown
    assert result.author == Author("ruff")
    assert shown(told) == result.markdown
    assert connections == []


async def test_the_model_speaks_after_the_handbook(workspace: Path) -> None:
    """The page comes first, then the streamed answer; the whole bears the model's name."""
    async with asking(workspace, answering("Here `os` ", "is not needed.")) as (opened, fake):
        told, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    assert result.markdown.index("Unused imports") < result.markdown.index("Here `os` is not needed.")
    assert result.author.model == "fake-model"
    assert shown(told).strip() == result.markdown.strip()
    prompt = fake.requests[0].json["messages"][1]["content"]
    assert "Unused imports add a performance overhead" in prompt, "the rule's page is the model's hint"


async def test_an_explanation_is_remembered_and_shown_on_hover(workspace: Path) -> None:
    """The same problem in the same code is not asked about twice; changed code is."""
    async with asking(workspace, answering("Because.")) as (opened, fake):
        ask = explain_of(snapshot_of(workspace / "app.py"))
        assert opened.known(ask.snapshot, ask.diagnostics[0]) is None
        _, first = await follow(opened, ask)
        _, again = await follow(opened, ask)
        assert isinstance(first, Explanation)
        assert again == replace(first, cached=True)
        hover = await opened.hover(ask.snapshot, ask.diagnostics[0].region.start, ask.diagnostics)
        assert hover is not None
        assert "Because." in hover
        assert "fake-model" in hover
        assert len(fake.requests) == 1
        changed = Snapshot.of(
            "import os, sys\n\nprint(1)\n", uri=ask.snapshot.uri, language="python", path=ask.snapshot.path
        )
        assert opened.known(changed, ask.diagnostics[0]) is None


async def test_hovering_asks_no_model(workspace: Path) -> None:
    """A hover shows the rule's page; elsewhere there is none, and the provider is not connected to."""
    async with asking(workspace) as (opened, fake):
        ask = explain_of(snapshot_of(workspace / "app.py"))
        hover = await opened.hover(ask.snapshot, ask.diagnostics[0].region.start, ask.diagnostics)
        assert hover is not None
        assert "F401" in hover
        assert await opened.hover(ask.snapshot, Point(2, 0), ask.diagnostics) is None
        assert fake.connections == 0


async def test_a_model_that_fails_leaves_the_handbook(workspace: Path) -> None:
    """The page stays, with the reason why there is no more."""
    async with asking(workspace, failing(500)) as (opened, _fake):
        told, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    assert result.author == Author("ruff")
    assert "No model adds to this" in result.markdown
    assert shown(told).count("Unused imports add") == 1


async def test_after_a_failover_the_page_stands_there_once(workspace: Path) -> None:
    """A stream that breaks is taken back whole, and the next provider's answer follows the page."""

    async def break_off(asked: Asked) -> None:
        await asked.say("half an ans")
        asked.drop()

    async with (
        FakeProvider(respond=break_off) as first,
        FakeProvider(respond=answering("A whole answer.")) as second,
    ):
        tables = (table(first, name="one"), table(second, name="two"))
        async with application(workspace, environment_of(workspace.parent / "user", *tables)) as opened:
            told, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    assert result.author.name == "two"
    assert "half an ans" not in result.markdown
    assert shown(told).strip() == result.markdown.strip()
    assert [event.author.name for event in told if isinstance(event, Routed)] == ["one", "two"]


async def test_what_a_model_writes_is_cleaned_before_anybody_shows_it(workspace: Path) -> None:
    """No image, no HTML, no command link reaches the screen, neither live nor at the end."""
    bad = "![x](http://203.0.113.9/leak.png) <img src=x> [run](command:evil) fine"
    async with asking(workspace, answering(*bad)) as (opened, _fake):
        told, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    for text in (shown(told), result.markdown):
        assert "![" not in text
        assert not re.search(r"(?<!\\)<img", text), "as text at most, never as HTML"
        assert "](command:" not in text
        assert "fine" in text


async def test_code_without_a_problem_is_explained_by_a_model(workspace: Path) -> None:
    """A selection is enough; without a model there is a refusal, as nobody else knows."""
    snapshot = snapshot_of(workspace / "app.py")
    ask = Ask(TaskName.EXPLAIN, snapshot, snapshot.whole)
    async with asking(workspace, answering("It prints.")) as (opened, _fake):
        _, result = await follow(opened, ask)
        assert isinstance(result, Explanation)
        assert result.markdown == "It prints.\n"
    async with application(workspace, environment_of(workspace.parent / "user")) as opened:
        _, result = await follow(opened, ask)
        assert isinstance(result, Refusal)
        assert result.kind == "no-provider"


async def test_a_follow_up_goes_on_with_what_was_said(workspace: Path) -> None:
    """The earlier question and answer are told again before the new question."""
    snapshot = snapshot_of(workspace / "app.py")
    ask = Ask(TaskName.ASK, snapshot, START, instruction="And why?", turns=(Turn("What is this?", "An import."),))
    async with asking(workspace, answering("So.")) as (opened, fake):
        _, result = await follow(opened, ask)
    assert isinstance(result, Explanation)
    messages = fake.requests[0].json["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "What is this?" in messages[1]["content"]
    assert messages[2]["content"] == "An import."
    assert messages[3]["content"] == "And why?"


async def test_an_empty_question_is_no_question(workspace: Path) -> None:
    """Nobody is asked nothing."""
    async with application(workspace, environment_of(workspace.parent / "user")) as opened:
        _, result = await follow(opened, Ask(TaskName.ASK, snapshot_of(workspace / "app.py"), START, instruction=" "))
    assert isinstance(result, Refusal)


async def test_a_related_place_in_a_private_file_does_not_close_the_request(tmp_path: Path) -> None:
    """A cloud may still answer for an open file: the hint from `.env` is left out, and the prompt says so."""
    workspace = project(tmp_path / "work", {"app.py": CODE, ".env": "A=1\n"})
    snapshot = snapshot_of(workspace / "app.py")
    related = Related(
        (workspace / ".env").as_uri(), Region(Point(0, 0), Point(0, 3)), "the value hunter2 comes from here"
    )
    found = replace(problem(snapshot, "os", code="F401", message="unused"), related=(related,))
    environment = environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        models = _Models(opened, whole=_whole(snapshot, roots=opened.roots))
        context = gather(snapshot, snapshot.whole, diagnostics=(found,))
        assert len(context.related) == 1
        lighter = without_closing(context, models, roots=opened.roots)
    assert lighter.related == ()
    assert "stay private" in lighter.left_out


async def test_the_oldest_explanations_are_forgotten(workspace: Path) -> None:
    """Memory is bounded."""
    explanations = Explanations(size=2)
    snapshot = snapshot_of(workspace / "app.py")
    region = Region(Point(0, 7), Point(0, 9))
    problems = [Diagnostic(region, f"message {number}", "tool", "C") for number in range(3)]
    for one in problems:
        explanations.keep(snapshot, one, Explanation(one.message, Author("fake", "m")))
    assert explanations.find(snapshot, problems[0]) is None
    assert explanations.find(snapshot, problems[2]) is not None
    assert explanations.find(snapshot, problems[2], model="another") is None


def test_an_explanation_moves_with_its_code_and_ends_with_it() -> None:
    """It is found again wherever the same function stands, not after a change inside, not for the same words elsewhere."""
    explanations = Explanations()
    code = "def f():\n    y = 1\n    return os\n"

    def look(text: str, *, line: int) -> bool:
        snapshot = Snapshot.of(text, uri="file:///a.py", language="python")
        place = Region(Point(line, 11), Point(line, 13))
        return explanations.find(snapshot, Diagnostic(place, "undefined", "ruff", "F821")) is not None

    snapshot = Snapshot.of(f"x = 1\n\n\n{code}", uri="file:///a.py", language="python")
    told = Diagnostic(Region(Point(5, 11), Point(5, 13)), "undefined", "ruff", "F821")
    explanations.keep(snapshot, told, Explanation("It is not imported", Author("fake", "m")))
    assert look(snapshot.text, line=5)
    assert look(code, line=2)
    assert look(f"# more\n\n{code}\n\nz = 2\n", line=4)
    assert not look(snapshot.text.replace("y = 1", "y = 2"), line=5)
    assert not look(snapshot.text, line=4)
    assert not look("", line=5)
    assert not look(code, line=0)


async def test_menus_and_hovers_read_no_whole_text(workspace: Path) -> None:
    """While somebody types in a large file, neither joins, parses nor hashes it, with an explanation given before or without."""
    large = project(workspace.parent / "large", {"app.py": "import os\n" + "x = 1\n" * 10_000})
    first = snapshot_of(large / "app.py")
    found = problem(first, "os", code="F401", message="`os` imported but unused")
    async with asking(large, answering("A word.")) as (opened, _):
        typed = Snapshot(first.uri, 2, first.language, (*first.lines, "y = 2\n"), first.path)
        assert opened.latest_offer(first).author is not None
        assert await opened.hover(typed, found.region.start, (found,))
        assert opened.latest_offer(typed).author is not None
        _, told = await follow(opened, explain_of(first))
        assert isinstance(told, Explanation)
        again = Snapshot(first.uri, 3, first.language, (*typed.lines, "z = 3\n"), first.path)
        text = await opened.hover(again, found.region.start, (found,))
        assert text is not None
        assert text.endswith("*local: fake (fake-model)*")
        assert opened.known(again, found) is not None
    for snapshot in (typed, again):
        assert not {"text", "_starts"} & set(vars(snapshot))


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12))
def test_the_memory_never_grows_beyond_its_size(messages: list[str]) -> None:
    """Whatever is kept in whatever order, the last one kept is found, and there are never more than the size."""
    explanations = Explanations(size=2)
    snapshot = Snapshot.of("x = 1\n", uri="file:///a.py", language="python")
    region = Region(Point(0, 0), Point(0, 1))
    for message in messages:
        explanations.keep(snapshot, Diagnostic(region, message), Explanation(message, Author("fake", "m")))
    found = [one for one in "abcd" if explanations.find(snapshot, Diagnostic(region, one)) is not None]
    assert len(found) == min(2, len(set(messages)))
    assert not messages or messages[-1] in found


async def test_an_unusable_second_provider_is_not_needed(workspace: Path) -> None:
    """The first that answers is the one that is named."""
    async with FakeProvider(respond=in_turn(answering("One."))) as fake:
        tables = (table(fake, name="one"), CLOUD)
        environment = environment_of(workspace.parent / "user", *tables, CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            _, result = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert isinstance(result, Explanation)
    assert result.author.name == "one"
