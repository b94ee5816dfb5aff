"""The fix ladder: the checker's own fix first, then models, and nothing is called fixed but by the checker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from applications import application, asking, environment_of, follow, place_of, problem, project, snapshot_of, table
from glossator.app import Application
from glossator.document import Region, Snapshot
from glossator.tasks.task import Ask, Proposal, Refusal, Restart, Result, Routed, State, TaskEvent, TaskName
from glossator_providers.testing import Asked, FakeProvider, Respond, answering, failing, in_turn

CODE = """import json


def is_missing(value):
    return value == None


def load(path):
    first = json.load(path)
    second = json.load(path)
    third = json.load(path)
    fourth = json.load(path)
    fifth = json.load(path)
    return [one for one in (first, second, third, fourth, fifth) if not is_missing(one)]
"""
RIGHT = "It compares by identity.\n```python\ndef is_missing(value):\n    return value is None\n```\n"
WRONG = "It swaps the sides.\n```python\ndef is_missing(value):\n    return None == value\n```\n"
WORSE = "It asks another name.\n```python\ndef is_missing(value):\n    return valeu is None\n```\n"
SUPPRESSED = "It says nothing.\n```python\ndef is_missing(value):\n    return bool(value == None)  # noqa: E711\n```\n"
BROKEN = "It cannot be read.\n```python\ndef is_missing(value:\n    return value is None\n```\n"
NOT_AN_EDIT = "I would compare by identity."
MISSED = """It compares by identity.
<<<<<<< SEARCH
    fifth = json.load(open(path))
=======
    fifth = json.load(path, strict=False)
>>>>>>> REPLACE
"""
CANNOT = "CANNOT FIX: the caller depends on it"


def fix_of(snapshot: Snapshot, *, known: bool = True) -> Ask:
    """Return what the user asks who points at the comparison."""
    found = problem(snapshot, "None", code="E711", message="Comparison to `None` should be `cond is None`")
    return Ask(TaskName.FIX, snapshot, found.region, diagnostics=(found,) if known else (), known=(found,))


@pytest.fixture
async def workspace(tmp_path: Path) -> Path:
    """Return a workspace with one problem that ruff has no safe fix for."""
    return project(tmp_path / "work", {"guests.py": CODE})


async def fixed(
    workspace: Path, respond: Respond, *, unproven: bool = False
) -> tuple[list[TaskEvent], Result, FakeProvider]:
    """Ask for a fix of a provider that answers so; return what was told, the result, and the provider."""
    async with FakeProvider(respond=respond) as fake:
        environment = environment_of(workspace.parent / "user", table(fake))
        async with application(workspace, environment) as opened:
            ask = replace(fix_of(snapshot_of(workspace / "guests.py")), unproven=unproven)
            told, result = await follow(opened, ask)
        return told, result, fake


async def test_a_right_answer_is_verified_by_its_checker(workspace: Path) -> None:
    """A change that ruff accepts is offered as fixed, by the model that wrote it."""
    _, result, fake = await fixed(workspace, answering(RIGHT))
    assert isinstance(result, Proposal)
    assert result.verdict.state is State.FIXED
    assert (result.verdict.checker, result.verdict.before, result.verdict.after) == ("ruff", 1, 0)
    assert result.text == CODE.replace("value == None", "value is None")
    assert (result.author.name, result.author.model, result.author.local) == ("fake", "fake-model", True)
    assert result.summary.startswith("It compares by identity")
    assert len(fake.requests) == 1


async def test_a_wrong_answer_is_asked_again_with_the_verdict(workspace: Path) -> None:
    """The second request holds the first answer and what the checker said of it; a right second answer wins."""
    told, result, fake = await fixed(workspace, in_turn(answering(WRONG), answering(RIGHT)))
    assert isinstance(result, Proposal)
    assert result.verdict.verified
    roles = [message["role"] for message in fake.requests[1].json["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "E711" in fake.requests[1].json["messages"][-1]["content"]
    restart = next(event for event in told if isinstance(event, Restart))
    assert "E711" in restart.reason


async def test_a_block_that_does_not_match_is_asked_again_with_the_lines_that_it_may_mean(workspace: Path) -> None:
    """The second request shows the lines of the file that are most like those that were not found, as its own text."""
    _, result, fake = await fixed(workspace, in_turn(answering(MISSED), answering(RIGHT)))
    assert isinstance(result, Proposal)
    assert result.verdict.verified
    told = fake.requests[1].json["messages"][-1]["content"]
    assert "Did you mean these lines?" in told
    assert "    fifth = json.load(path)\n" in told
    assert "import json" not in told  # what is far off is not shown again


async def test_every_attempt_says_who_is_asked_before_its_text(workspace: Path) -> None:
    """Two tries are announced twice."""
    told, _, _ = await fixed(workspace, in_turn(answering(WRONG), answering(RIGHT)))
    assert sum(isinstance(event, Routed) and event.author.name == "fake" for event in told) == 2


async def test_an_unchanged_problem_is_offered_with_its_honest_label(workspace: Path) -> None:
    """Where nobody does better, the change is offered as what it is: the problem is still there."""
    other = WRONG.replace("None == value", "(None == value)")
    third = WRONG.replace("None == value", "bool(None == value)")
    _, result, fake = await fixed(workspace, in_turn(answering(WRONG), answering(other), answering(third)))
    assert isinstance(result, Proposal)
    assert result.verdict.state is State.UNCHANGED
    assert not result.verdict.verified
    assert len(fake.requests) == 3, "three tries and no more"


async def test_going_in_a_circle_ends(workspace: Path) -> None:
    """A model that proposes what it proposed before is not asked a third time."""
    _, result, fake = await fixed(workspace, answering(WRONG))
    assert isinstance(result, Proposal)
    assert result.verdict.state is State.UNCHANGED
    assert len(fake.requests) == 2


async def test_going_back_and_forth_ends(workspace: Path) -> None:
    """A, B and A again: the third answer is not checked as if it were new."""
    other = WRONG.replace("None == value", "(None == value)")
    _, result, fake = await fixed(workspace, in_turn(answering(WRONG), answering(other), answering(WRONG)))
    assert isinstance(result, Proposal)
    assert "(None == value)" in result.text, "of two as good as each other the later is offered"
    assert len(fake.requests) == 3


@pytest.mark.parametrize(("answer", "state"), [(WORSE, State.WORSE), (SUPPRESSED, State.SUPPRESSED)])
async def test_what_is_worse_or_silenced_is_offered_on_request_only(workspace: Path, answer: str, state: State) -> None:
    """A change with new problems, or with a silenced one, is withheld unless the user asks for unproven changes."""
    _, result, _ = await fixed(workspace, answering(answer))
    assert isinstance(result, Refusal)
    assert result.kind == "withheld"
    _, result, _ = await fixed(workspace, answering(answer), unproven=True)
    assert isinstance(result, Proposal)
    assert result.verdict.state is state


async def test_broken_code_is_never_offered(workspace: Path) -> None:
    """A change that does not parse is withheld even from somebody who asks for unproven changes."""
    _, result, _ = await fixed(workspace, answering(BROKEN), unproven=True)
    assert isinstance(result, Refusal)
    assert result.kind in {"withheld", "no-match", "ambiguous", "truncated"}


async def test_destroyed_code_is_never_offered(tmp_path: Path) -> None:
    """A change that gets rid of the problem by getting rid of the function is withheld."""
    workspace = project(tmp_path / "work", {"guests.py": CODE.replace("not is_missing(one)", "one == None")})
    snapshot = snapshot_of(workspace / "guests.py")
    found = problem(snapshot, "one == None", code="E711", message="Comparison to `None` should be `cond is None`")
    gone = "It is simpler now.\n```python\ndef load(path):\n    return []\n```\n"
    async with asking(workspace, answering(gone)) as (opened, _fake):
        ask = Ask(TaskName.FIX, snapshot, found.region, diagnostics=(found,), unproven=True)
        _, result = await follow(opened, ask)
    assert isinstance(result, Refusal)
    assert result.kind == "withheld"


async def test_a_truncated_answer_is_never_applied(workspace: Path) -> None:
    """An answer that stopped at the token limit is refused, even where its text happens to parse, and not asked again."""

    async def cut(asked: Asked) -> None:
        await asked.say(RIGHT)
        await asked.finish("length")

    _, result, fake = await fixed(workspace, cut)
    assert isinstance(result, Refusal)
    assert result.kind == "truncated"
    assert len(fake.requests) == 1


async def test_a_model_that_gives_up_is_believed(workspace: Path) -> None:
    """`CANNOT FIX` ends the climb with the model's reason."""
    _, result, fake = await fixed(workspace, answering(CANNOT))
    assert isinstance(result, Refusal)
    assert result.kind == "cannot-fix"
    assert "the caller depends on it" in result.message
    assert len(fake.requests) == 1


async def test_an_answer_without_an_edit_is_asked_again_in_the_right_form(workspace: Path) -> None:
    """Prose without code is no change; the model is told the form once more."""
    _, result, fake = await fixed(workspace, in_turn(answering(NOT_AN_EDIT), answering(RIGHT)))
    assert isinstance(result, Proposal)
    assert result.verdict.verified
    assert len(fake.requests) == 2


async def test_a_failing_provider_is_named_by_its_failure(workspace: Path) -> None:
    """What the provider says is what the user reads, with the failure's kind."""
    _, result, _ = await fixed(workspace, failing(401))
    assert isinstance(result, Refusal)
    assert result.kind == "auth"


async def test_a_failure_after_a_proposal_does_not_lose_the_proposal(workspace: Path) -> None:
    """The second request fails: the first, unverified change is still offered."""
    _, result, _ = await fixed(workspace, in_turn(answering(WRONG), failing(500)))
    assert isinstance(result, Proposal)
    assert result.verdict.state is State.UNCHANGED


@pytest.fixture
async def without_models(tmp_path: Path) -> AsyncIterator[Application]:
    """Open an application that knows no model, for a workspace with an unused import."""
    folder = project(tmp_path / "work", {"guests.py": f"import os\n{CODE}"})
    async with application(folder, environment_of(tmp_path / "user")) as opened:
        yield opened


async def test_the_checkers_own_fix_comes_first_and_needs_no_model(
    without_models: Application, tmp_path: Path, connections: list[object]
) -> None:
    """An unused import is removed by ruff itself, verified, and nobody is connected to."""
    snapshot = snapshot_of(tmp_path / "work" / "guests.py")
    found = problem(snapshot, "os", code="F401", message="`os` imported but unused")
    _, result = await follow(without_models, Ask(TaskName.FIX, snapshot, found.region, diagnostics=(found,)))
    assert isinstance(result, Proposal)
    assert result.verdict.verified
    assert (result.author.name, result.author.model) == ("ruff", None)
    assert result.text == CODE
    assert connections == []


async def test_several_problems_are_fixed_together(without_models: Application, tmp_path: Path) -> None:
    """Two unused imports that the user points at go in one change, although the first moves the second."""
    path = tmp_path / "work" / "two.py"
    path.write_text("import os\nimport sys\n\nprint(1)\n")
    snapshot = snapshot_of(path)
    both = tuple(
        problem(snapshot, name, code="F401", message=f"`{name}` imported but unused") for name in ("os", "sys")
    )
    region = Region(both[0].region.start, both[1].region.end)
    _, result = await follow(without_models, Ask(TaskName.FIX, snapshot, region, diagnostics=both))
    assert isinstance(result, Proposal)
    assert result.verdict.verified
    assert "import" not in result.text


async def test_with_neither_a_safe_fix_nor_a_model_the_user_hears_why(
    without_models: Application, tmp_path: Path
) -> None:
    """The refusal says what could be done."""
    snapshot = snapshot_of(tmp_path / "work" / "guests.py")
    _, result = await follow(without_models, fix_of(snapshot))
    assert isinstance(result, Refusal)
    assert result.kind == "no-provider"


async def test_the_problem_under_the_cursor_is_meant_where_none_is_named(workspace: Path) -> None:
    """A cursor on the line of a known problem is enough."""
    async with asking(workspace, answering(RIGHT)) as (opened, _fake):
        snapshot = snapshot_of(workspace / "guests.py")
        start = place_of(snapshot, "return value").start
        ask = replace(fix_of(snapshot, known=False), region=Region(start, start))
        _, result = await follow(opened, ask)
    assert isinstance(result, Proposal)


async def test_no_problem_means_no_fix(workspace: Path) -> None:
    """Where nothing is reported, nothing is asked of anybody."""
    async with asking(workspace) as (opened, fake):
        snapshot = snapshot_of(workspace / "guests.py")
        _, result = await follow(opened, Ask(TaskName.FIX, snapshot, place_of(snapshot, "import json")))
        assert fake.connections == 0
    assert isinstance(result, Refusal)
    assert result.kind == "no-change"


async def test_a_toys_change_is_shown_only_when_it_is_verified(workspace: Path) -> None:
    """What a toy model proposes and ruff does not accept is withheld; what ruff accepts is offered, labelled."""
    for answer, kind in ((WRONG, Refusal), (RIGHT, Proposal)):
        async with asking(workspace, answering(answer)) as (opened, _fake):
            opened.use(tuple(replace(provider, toy=True) for provider in opened.router.providers))
            ask = replace(fix_of(snapshot_of(workspace / "guests.py")), provider="fake")
            _, result = await follow(opened, ask)
        assert isinstance(result, kind)
        if isinstance(result, Proposal):
            assert result.author.title.startswith("toy model")
        elif isinstance(result, Refusal):
            assert result.kind == "withheld"


async def test_cancelling_closes_the_connection(workspace: Path) -> None:
    """Closing the story in mid-answer hangs up on the provider."""
    async with asking(workspace) as (opened, fake):
        story = opened.run(fix_of(snapshot_of(workspace / "guests.py")))
        event = await anext(story)
        while not (isinstance(event, Routed) and event.author.name == "fake"):
            event = await anext(story)
        task = asyncio.ensure_future(anext(story))
        asked = await fake.asked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await story.aclose()
        await asyncio.wait_for(asked.closed, 0.2)
