"""`glossator compare`, and what the usage ledger tells of a comparison in daily use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applications import CLOUD, environment_of, project, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import Asked, FakeProvider, answering, failing
from glossator_providers.usage_ledger import LEDGER_FILE, Entry, UsageLedger

COMPARED = "def is_missing(value):\n    return value == None\n"
RIGHT = "It compares by identity.\n```python\ndef is_missing(value):\n    return value is None\n```\n"
WRONG = "It swaps the sides.\n```python\ndef is_missing(value):\n    return None == value\n```\n"
EXPLAINED = "It compares with `==`, which a class may define otherwise."
PROVIDERS = ("--providers", "good,bad")


async def test_models_are_compared_on_one_fix_in_80_columns(tmp_path: Path) -> None:
    """Each one's answer, and a table with times, tokens, cost and the checker's verdict; the file stays as it is."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider(respond=answering(RIGHT)) as good, FakeProvider(respond=answering(WRONG)) as bad:
        environment = environment_of(
            tmp_path / "user",
            table(good, name="good", model="a-model-with-a-name-that-is-longer-than-its-column"),
            table(bad, name="bad"),
            COLUMNS="80",
        )
        done = await glossator(
            "compare", "app.py:2", "--checker", "ruff", *PROVIDERS, environment=environment, folder=folder
        )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if line.startswith("── ")).startswith("── local: good (a-model-")
    assert "+    return value is None" in lines
    rows = {line.split()[0]: line for line in lines if line.startswith(("good ", "bad "))}
    assert "✓ ruff 1 → 0" in rows["good"]
    assert "free" in rows["good"]
    assert rows["bad"].split()[1:3] != ["-", "-"], "it has answered, in so many seconds"
    assert "ruff still reports E711" in " ".join(done.out.split())
    assert (folder / "app.py").read_text() == COMPARED


async def test_a_program_reads_the_whole_comparison(tmp_path: Path) -> None:
    """One object: for each one its times, tokens, cost, verdict and result; who failed has the reason, and nobody stands in."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider(respond=answering(RIGHT)) as good, FakeProvider(respond=failing(401)) as bad:
        environment = environment_of(tmp_path / "user", table(good, name="good"), table(bad, name="bad"))
        arguments = ("compare", "app.py:2", "--checker", "ruff", "--json", "--providers", "good,good=another,bad")
        told = (await glossator(*arguments, environment=environment, folder=folder)).json
    first, second, third = told["rows"]
    assert (told["task"], told["level"], told["left_out"], told["error"]) == ("fix", "open", [], None)
    assert [(row["provider"], row["model"]) for row in told["rows"]] == [
        ("good", "fake-model"),
        ("good", "another"),
        ("bad", "fake-model"),
    ]
    assert first.keys() == third.keys()
    assert 0 < first["first_token_seconds"] <= first["seconds"]
    assert (first["requests"], first["dollars"], first["local"]) == (1, 0.0, True)
    assert first["input_tokens"]
    assert first["output_tokens"]
    assert first["result"]["verdict"]["verified"]
    assert second["verdict"].startswith("✓ ruff")
    assert (third["first_token_seconds"], third["result"]["outcome"], third["result"]["kind"]) == (
        None,
        "refusal",
        "auth",
    )


async def test_an_explanation_is_asked_of_each_anew(tmp_path: Path) -> None:
    """Two providers of the same model are both asked, and one that fails does not borrow the checker's page for its answer."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with (
        FakeProvider(respond=answering(EXPLAINED)) as good,
        FakeProvider(respond=answering(EXPLAINED)) as same,
        FakeProvider(respond=failing(500)) as bad,
    ):
        environment = environment_of(
            tmp_path / "user", table(good, name="good"), table(same, name="same"), table(bad, name="bad")
        )
        arguments = ("compare", "app.py:2", "--task", "explain", "--checker", "ruff", "--json")
        told = (await glossator(*arguments, environment=environment, folder=folder)).json
        assert (len(good.requests), len(same.requests)) == (1, 1)
    rows = {row["provider"]: row for row in told["rows"]}
    assert list(rows) == ["good", "same", "bad"], "without --providers all who may be asked"
    assert not rows["same"]["result"]["cached"]
    assert rows["good"]["verdict"].endswith(" words")
    assert rows["bad"]["verdict"].startswith("it gave no answer (server)")


async def test_a_private_file_is_compared_among_local_models_alone(tmp_path: Path, watched_child: WatchedChild) -> None:
    """The cloud is left out with the rule, no connection to it is tried, and with nobody left the command is refused."""
    folder = project(tmp_path / "work", {"app.py": COMPARED, ".aiignore": "app.py\n"})
    async with FakeProvider(respond=answering(RIGHT)) as good:
        environment = environment_of(
            tmp_path / "user", table(good, name="good"), CLOUD, base=watched_child.environment, CLOUD_KEY="x" * 20
        )
        arguments = ("compare", "app.py:2", "--checker", "ruff", "--providers")
        done = await glossator(*arguments, "good,cloud", environment=environment, folder=folder)
        told = (await glossator(*arguments, "good,cloud", "--json", environment=environment, folder=folder)).json
        alone = await glossator(*arguments, "cloud", environment=environment, folder=folder)
    assert done.code == 0
    assert "cloud is not compared: only a model on this machine may see this" in done.err
    assert (told["level"], [row["provider"] for row in told["rows"]]) == ("private", ["good"])
    assert [one["provider"] for one in told["left_out"]] == ["cloud"]
    assert alone.code == 3
    assert not [attempt for attempt in watched_child.attempts() if "203.0.113.9" in str(attempt)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--providers", "nobody"), "--providers nobody: there are good"),
        (("--task", "sing"), "--task sing: there are fix, explain, refactor"),
        (("--task", "refactor"), "--task refactor needs --instruction"),
    ],
)
async def test_what_cannot_be_compared_is_said(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """A slip of the hand is answered with what may stand there, and nobody is asked."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider() as good:
        environment = environment_of(tmp_path / "user", table(good, name="good"))
        done = await glossator("compare", "app.py:2", *arguments, environment=environment, folder=folder)
        assert good.requests == []
    assert (done.code, done.out) == (2, "")
    assert said in done.err


async def test_a_split_is_counted_by_its_arms(tmp_path: Path) -> None:
    """`[router] split` sends each request to one of two first, and `glossator usage --by split` tells how both arms did."""
    split = '[router.split]\nbetween = ["one", "two"]\nshare = 0.5\n'
    served: dict[str, int] = {"one": 0, "two": 0}

    def counting(name: str) -> FakeProvider:
        async def respond(asked: Asked) -> None:
            served[name] += 1
            await asked.answer("Yes.")

        return FakeProvider(respond=respond)

    async with counting("one") as one, counting("two") as two:
        environment = environment_of(tmp_path / "user", table(one, name="one"), table(two, name="two"), split)
        asking = [glossator("ask", "Is it?", environment=environment, folder=tmp_path) for _ in range(2)]
        await asyncio.gather(*asking)
        for name in ("one", "two"):  # who is named is no part of the comparison
            await glossator("ask", "Is it?", "--provider", name, environment=environment, folder=tmp_path)
    told = (await glossator("usage", "--by", "split", "--json", environment=environment, folder=tmp_path)).json
    arms = {row["name"]: row["answered"] for row in told["rows"]}
    assert arms == {name: count - 1 for name, count in served.items() if count > 1}
    assert told["total"]["requests"] == 2
    shown = await glossator("usage", "--by", "split", environment=environment, folder=tmp_path)
    assert shown.out.startswith("2 requests since ")


async def test_providers_tell_how_the_last_day_went(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Requests, their success and the time to the first token, read from the ledger without asking anybody, in 80 columns."""
    now = datetime.now(tz=UTC)
    answered = Entry(now, "fix", "openai-compatible", "cloud", "far", local=False, outcome="answered", seconds=3, first_token_seconds=0.5)  # fmt: skip
    failed = Entry(now, "fix", "openai-compatible", "cloud", "far", local=False, outcome="timeout", seconds=9)
    ledger = UsageLedger(tmp_path / "user" / "state" / LEDGER_FILE)
    for entry in (answered, answered, answered, failed):
        await ledger.record(entry)
    await ledger.aclose()
    folder = project(tmp_path / "work", {})
    environment = environment_of(
        tmp_path / "user", CLOUD, base=watched_child.environment, CLOUD_KEY="x" * 20, COLUMNS="80"
    )
    done = await glossator("providers", environment=environment, folder=folder)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "last day: 4 requests, 75% answered, 0.5 s to the first token, 1 timeout" in done.out
    (row,) = (await glossator("providers", "--json", environment=environment, folder=folder)).json["providers"]
    assert row["last_day"] == {"requests": 4, "success": 0.75, "p50": 0.5, "p95": 0.5, "failures": {"timeout": 1}}
    assert [str(attempt) for attempt in watched_child.attempts()] == []
