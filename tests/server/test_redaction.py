"""Redaction as the user sees it: the model is shown no secret, the edit holds them all, and nothing of them is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from applications import CLOUD, START, application, environment_of, follow, problem, project, snapshot_of, table
from glossator.app import Application
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Explanation, Note, Proposal, Refusal, Result, Said, TaskEvent, TaskName, Turn
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.testing import Asked, FakeProvider, Respond

# Made of two halves, so that no scanner takes this file for a leak.
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
PASSWORD = "hunter" + "7!Qz"
CODE = (
    f'TOKEN = "{TOKEN}"\n\n\ndef is_missing(value):\n    password = "{PASSWORD}"\n    return value == None, password\n'
)
REDACT = '[privacy]\non_secret = "redact"\n'
PLACEHOLDER = re.compile(r"redacted0x[0-9a-f]+")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace whose one file holds two secrets and a problem that ruff has no safe fix for."""
    return project(tmp_path / "work", {"guests.py": CODE, ".env": "A=1\n"})


def rewriting(change: Callable[[str, str], str]) -> Respond:
    """Answer with the function, its comparison mended; *change* is given that and the placeholder in it."""

    async def respond(asked: Asked) -> None:
        placeholder = re.findall(r'password = "(.*?)"', asked.body.decode().replace('\\"', '"'))[-1]
        mended = f'def is_missing(value):\n    password = "{placeholder}"\n    return value is None, password\n'
        said = f"It compares by identity.\n```python\n{change(mended, placeholder)}```\n"
        await asked.answer(*[said[place : place + 7] for place in range(0, len(said), 7)])

    return respond


async def fixed(workspace: Path, respond: Respond) -> tuple[list[TaskEvent], Result, FakeProvider]:
    """Ask for a fix of a provider that answers so, with redaction."""
    async with (
        FakeProvider(respond=respond) as fake,
        application(workspace, environment_of(workspace.parent / "user", table(fake), REDACT)) as opened,
    ):
        snapshot = snapshot_of(workspace / "guests.py")
        found = problem(snapshot, "None", code="E711", message="Comparison to `None` should be `cond is None`")
        told, result = await follow(opened, Ask(TaskName.FIX, snapshot, found.region, (found,), (found,)))
    return told, result, fake


async def test_a_fix_comes_back_with_its_secrets(workspace: Path) -> None:
    """The model sees placeholders, the user sees secrets, in the stream as in the edit, and is told how many were masked."""
    told, result, fake = await fixed(workspace, rewriting(lambda mended, _: mended))
    assert isinstance(result, Proposal)
    assert result.text == CODE.replace("value == None", "value is None")
    assert result.verdict.verified
    for request in fake.requests:
        assert TOKEN.encode() not in request.body
        assert PASSWORD.encode() not in request.body
    assert len(set(PLACEHOLDER.findall(fake.requests[-1].body.decode()))) == 2
    assert Note("2 secrets masked") in told
    said = "".join(event.text for event in told if isinstance(event, Said))
    assert not PLACEHOLDER.search(said)


async def test_an_edit_that_lost_a_secret_is_withheld(workspace: Path) -> None:
    """A model that leaves the password out cannot make the user leave it out."""
    _, result, _ = await fixed(workspace, rewriting(lambda mended, placeholder: mended.replace(placeholder, "")))
    assert isinstance(result, Refusal)
    assert result.kind == "withheld"
    assert "lost a masked secret" in result.message


async def test_an_edit_with_a_placeholder_of_its_own_is_refused(workspace: Path) -> None:
    """A placeholder that stands for nothing never gets into a file."""
    made_up = "redacted0x" + "0" * 14
    _, result, _ = await fixed(workspace, rewriting(lambda mended, placeholder: mended.replace(placeholder, made_up)))
    assert isinstance(result, Refusal)
    assert result.kind == "policy"
    assert result.rules == ('on_secret = "redact"',)


async def test_a_file_with_a_masked_secret_may_go_to_a_cloud(workspace: Path, connections: list[object]) -> None:
    """`why` says that it is open, with how many redactions; what is private by its path stays private."""
    environment = environment_of(workspace.parent / "user", CLOUD, REDACT, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        told = opened.why(snapshot_of(workspace / "guests.py"))
        assert (told.level, told.redactions, told.route, told.reasons) == ("open", 2, ("cloud",), ())
        told = opened.why(snapshot_of(workspace / ".env"))
        assert (told.level, told.redactions, told.route) == ("private", 0, ())
    assert connections == []


@pytest.mark.parametrize("tables", [(), ('[privacy]\non_secret = "refuse"\n',)], ids=["by default", "refused"])
async def test_nobody_else_redacts(workspace: Path, tables: tuple[str, ...]) -> None:
    """Without the user's wish a secret closes its file as before."""
    async with application(
        workspace, environment_of(workspace.parent / "user", CLOUD, *tables, CLOUD_KEY="k")
    ) as opened:
        told = opened.why(snapshot_of(workspace / "guests.py"))
        assert told.level != "open"
        assert (told.redactions, told.route) == (0, ())


@pytest.mark.parametrize(("project_says", "level"), [("local", "private"), ("refuse", "never"), ("redact", "open")])
async def test_a_project_may_only_tighten_it(workspace: Path, project_says: str, level: str) -> None:
    """A repository can forbid what the user lets be redacted."""
    (workspace / ".glossator.toml").write_text(f'[privacy]\non_secret = "{project_says}"\n', encoding="utf-8")
    environment = environment_of(workspace.parent / "user", CLOUD, REDACT, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        assert opened.why(snapshot_of(workspace / "guests.py")).level == level


async def test_a_project_that_asks_for_redaction_is_not_heard(workspace: Path) -> None:
    """It would loosen what the user has."""
    (workspace / ".glossator.toml").write_text(REDACT, encoding="utf-8")
    async with application(workspace, environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")) as opened:
        assert opened.why(snapshot_of(workspace / "guests.py")).level == "private"


async def echo(asked: Asked) -> None:
    """Answer with what was asked last, a few characters at a time."""
    said = asked.json["messages"][-1]["content"]
    await asked.answer(*[said[place : place + 5] for place in range(0, len(said), 5)])


async def test_a_key_in_a_question_and_in_earlier_turns_is_masked(workspace: Path) -> None:
    """What the user pastes, and what a model said before with the secret put back, travels masked; the answer shows it whole."""
    async with (
        FakeProvider(respond=echo) as fake,
        application(workspace, environment_of(workspace.parent / "user", table(fake), REDACT)) as opened,
    ):
        turns = (Turn("What is this?", f"The token is {TOKEN}."),)
        snapshot = snapshot_of(workspace / "guests.py")
        ask = Ask(TaskName.ASK, snapshot, START, instruction=f"Is key = '{TOKEN}' still valid?", turns=turns)
        _, result = await follow(opened, ask)
        assert isinstance(result, Explanation)
        assert TOKEN in result.markdown
        fragment = Fragment(f"key = '{TOKEN}'", (Origin(OriginKind.INSTRUCTION),))
        events = [event async for event in opened.ask(Request((Message(Role.USER, (fragment,)),)))]
        assert "".join(event.text for event in events if isinstance(event, Text)) == f"key = '{TOKEN}'"
        assert TOKEN not in "".join(map(repr, [event for event in events if not isinstance(event, Text)][:2]))
    assert len(fake.requests) == 2
    for request in fake.requests:
        assert TOKEN.encode() not in request.body


async def test_an_answer_that_ends_like_a_placeholder_is_shown_to_its_end(workspace: Path) -> None:
    """What was held back because a placeholder could begin with it is told at the end."""

    async def respond(asked: Asked) -> None:
        await asked.answer("It is ", "redac")

    async with (
        FakeProvider(respond=respond) as fake,
        application(workspace, environment_of(workspace.parent / "user", table(fake), REDACT)) as opened,
    ):
        fragment = Fragment(f"key = '{TOKEN}'", (Origin(OriginKind.INSTRUCTION),))
        events = [event async for event in opened.ask(Request((Message(Role.USER, (fragment,)),)))]
    assert "".join(event.text for event in events if isinstance(event, Text)) == "It is redac"


async def explained(opened: Application, snapshot: Snapshot) -> Result:
    """Let the problem of a document be explained."""
    found = problem(snapshot, "None", code="E711", message="Comparison to `None` should be `cond is None`")
    _, result = await follow(opened, Ask(TaskName.EXPLAIN, snapshot, found.region, (found,), (found,)))
    return result


async def test_an_explanation_with_a_secret_put_back_is_not_kept_on_disk(workspace: Path) -> None:
    """Explanations of open code are kept for other sessions, but not those into which a secret was put back."""
    async with (
        FakeProvider(respond=echo) as fake,
        application(workspace, environment_of(workspace.parent / "user", table(fake), REDACT)) as opened,
    ):
        result = await explained(opened, snapshot_of(workspace / "guests.py"))
        assert isinstance(result, Explanation)
    state = workspace.parent / "user" / "state"
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in kept
    assert TOKEN.encode() not in kept
    assert not PLACEHOLDER.search(kept.decode("latin-1"))
