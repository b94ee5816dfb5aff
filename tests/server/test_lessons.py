"""What becomes of a change teaches who is asked the next time: by its checker, by the user, and across restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from applications import application, environment_of, follow, problem, project, snapshot_of, table
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Proposal, TaskName
from glossator_providers.adaptive import Learned, Lesson, Outcome
from glossator_providers.testing import FakeProvider, Respond, answering, in_turn
from glossator_providers.usage_ledger import LEDGER_FILE, UsageLedger

CODE = "def is_missing(value):\n    return value == None\n"
RIGHT = "It compares by identity.\n```python\ndef is_missing(value):\n    return value is None\n```\n"
WRONG = "It swaps the sides.\n```python\ndef is_missing(value):\n    return None == value\n```\n"
ADAPTIVE = "[router]\nmax_retries = 0\nstrategy = 'adaptive'\n"


def fix_of(snapshot: Snapshot) -> Ask:
    """Return what the user asks who points at the comparison."""
    found = problem(snapshot, "None", code="E711", message="Comparison to `None` should be `cond is None`")
    return Ask(TaskName.FIX, snapshot, found.region, diagnostics=(found,), known=(found,))


def environment_with(folder: Path, fake: FakeProvider, *, adaptive: bool = True) -> dict[str, str]:
    """Return the environment of a user with one provider, who chooses by what was learned or does not."""
    environment = environment_of(folder, table(fake))
    if adaptive:
        Path(environment["GLOSSATOR_CONFIG"]).write_text(ADAPTIVE + table(fake))
    return environment


async def learned(folder: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the good and the bad answers that the ledger knows of, by task and rule."""
    ledger = UsageLedger(folder / "state" / LEDGER_FILE)
    try:
        rows: Sequence[Learned] = await ledger.learned()
    finally:
        await ledger.aclose()
    assert {(row.provider, row.model) for row in rows} <= {("fake", "fake-model")}
    return {(row.task, row.rule): (round(row.good, 2), round(row.bad, 2)) for row in rows}


async def taught(tmp_path: Path, respond: Respond, *, kept: bool | None = None, adaptive: bool = True) -> Path:
    """Ask for a fix of a provider that answers so, and settle it as the user does; return the user's folder."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    user = tmp_path / "user"
    async with FakeProvider(respond=respond) as fake:
        environment = environment_with(user, fake, adaptive=adaptive)
        async with application(workspace, environment) as opened:
            ask = fix_of(snapshot_of(workspace / "a.py"))
            _, result = await follow(opened, ask)
            if kept is not None:
                assert isinstance(result, Proposal)
                assert result.seconds > 0
                opened.settle(ask, result, kept=kept)
    return user


async def test_a_verified_change_is_a_good_answer(tmp_path: Path) -> None:
    """It counts for the rule, for the task and for everything, of the model as it is configured."""
    assert await learned(await taught(tmp_path, answering(RIGHT))) == {
        ("fix", "E711"): (1.0, 0.0),
        ("fix", ""): (1.0, 0.0),
        ("", ""): (1.0, 0.0),
    }


async def test_every_try_counts_by_its_own_verdict(tmp_path: Path) -> None:
    """A first change that its checker does not accept is a bad answer, and the good one after it a good one."""
    known = await learned(await taught(tmp_path, in_turn(answering(WRONG), answering(RIGHT))))
    assert known["fix", "E711"] == (1.0, 0.98)


async def test_an_answer_that_cannot_be_used_is_a_bad_one(tmp_path: Path) -> None:
    """What holds no change at all, again and again, speaks against who said it."""
    good, bad = (await learned(await taught(tmp_path, answering("I would compare by identity."))))["fix", "E711"]
    assert good == 0.0
    assert bad >= 1.0


async def test_what_the_user_does_counts_too(tmp_path: Path) -> None:
    """A kept change is another good answer; one that is taken back is a bad one, though its checker accepted it."""
    kept = await learned(await taught(tmp_path / "kept", answering(RIGHT), kept=True))
    undone = await learned(await taught(tmp_path / "undone", answering(RIGHT), kept=False))
    assert kept["fix", "E711"] == (1.98, 0.0)
    assert undone["fix", "E711"] == (0.98, 1.0)


async def test_nothing_is_kept_for_who_does_not_choose_by_it(tmp_path: Path) -> None:
    """With another strategy, and no rule that uses this one, no lesson is written."""
    assert await learned(await taught(tmp_path, answering(RIGHT), kept=True, adaptive=False)) == {}


async def test_lessons_are_there_after_a_restart(tmp_path: Path) -> None:
    """A new server knows what an earlier one has learned, with its first request."""
    user = await taught(tmp_path, answering(RIGHT))
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with (
        FakeProvider(respond=answering(RIGHT)) as fake,
        application(workspace, environment_with(user, fake)) as opened,
    ):
        who = ("fake", "fake-model")
        assert opened.state.adaptive.told(who, task="fix", rule="E711").startswith("tried to learn")
        await follow(opened, fix_of(snapshot_of(workspace / "a.py")))
        opened.state.learn(Lesson(*who, "fix", Outcome.VERIFIED, 1.0, "E711"))
        assert opened.state.adaptive.told(who, task="fix", rule="E711") == "100% of its answers to fix E711 were good"
