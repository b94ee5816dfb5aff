"""Who is asked first, and how everybody is, through the real server: picked from a list, told to the editor, looked at while idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from applications import CLOUD, application, environment_of, project, table
from glossator import __main__
from glossator.lsp import looks
from glossator.lsp.selection import list_choices
from glossator_providers.errors import NoProvider
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.testing import FakeProvider, answering, failing
from hand_clock import HandClock
from lsp_application import Application
from lsp_client import SILENT, Client, Editor, Failed, in_process

PLAIN: dict[str, Any] = {"workspace": {"applyEdit": True}, "window": {"workDoneProgress": True}}
RICH = PLAIN | {"experimental": {"glossator": {"version": 1, "status": True}}}
GROUP = '[router.groups]\nreview = ["two", "one"]\n'
TEXT = "x = 1\n"


def request(text: str = "Is it?") -> Request:
    """Return a question that may go anywhere."""
    return Request((Message(Role.USER, (Fragment(text, (Origin(OriginKind.INSTRUCTION, ""),)),)),))


@asynccontextmanager
async def editor_with(
    folder: Path, *tables: str, capabilities: Mapping[str, Any] = RICH, **variables: str
) -> AsyncIterator[tuple[Client, str]]:
    """Connect an editor with one open document to our server with these providers; give it, and the document's URI."""
    workspace = project(folder / "work", {"a.py": TEXT})
    environment = environment_of(folder / "user", *tables) | variables
    async with in_process(__main__.build, environment=environment) as client:
        uri = (workspace / "a.py").as_uri()
        await client.initialize(capabilities, workspaceFolders=[{"uri": workspace.as_uri(), "name": "work"}])
        Editor(client).open(uri, TEXT)
        yield client, uri


async def execute(client: Client, command: str, *arguments: Any) -> Any:
    """Run a command of the server."""
    return await client.request("workspace/executeCommand", {"command": command, "arguments": list(arguments)})


async def ask(client: Client, uri: str) -> None:
    """Ask about the first line, and wait until the answer is there."""
    ends = len([one for one in client.heard("$/progress") if one["value"]["kind"] == "end"])
    place = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}
    await execute(client, "glossator.ask", {"uri": uri, "range": place, "instruction": "What is it?"})
    await client.until(lambda: len([one for one in client.heard("$/progress") if one["value"]["kind"] == "end"]) > ends)


def messages(client: Client) -> str:
    """Return all that the user was shown so far."""
    return "\n".join(one["message"] for one in client.heard("window/showMessage"))


async def test_the_user_picks_who_is_asked_first(tmp_path: Path) -> None:
    """Over plain LSP: a list of the providers and groups; whoever is picked answers from then on, and the list marks them."""
    async with FakeProvider(respond=answering("1")) as one, FakeProvider(respond=answering("2")) as two:
        tables = table(one, name="one", model="first"), table(two, name="two", model="second"), GROUP
        async with editor_with(tmp_path, *tables, capabilities=PLAIN) as (client, uri):
            await ask(client, uri)
            assert (len(one.requests), len(two.requests)) == (1, 0)
            titles: list[str] = []

            def pick(params: Any) -> Any:
                titles[:] = [action["title"] for action in params["actions"]]
                return {"title": next(title for title in titles if title.endswith("two (local: second)"))}

            client.handlers["window/showMessageRequest"] = pick
            await execute(client, "glossator.selectProvider")
            await client.until(lambda: "two is asked first from now on" in messages(client))
            assert titles == [
                "✓ Automatic",
                "one (local: first)",
                "two (local: second)",
                "review (group: two, one)",
            ]
            await ask(client, uri)
            assert (len(one.requests), len(two.requests)) == (1, 1)
            await execute(client, "glossator.selectProvider")
            await client.until(lambda: "✓ two (local: second)" in titles)


async def test_a_name_selects_without_a_question(tmp_path: Path) -> None:
    """A provider, a group or `automatic`, as a word or in an object; a name that nobody has changes nothing and is said."""
    async with FakeProvider(respond=answering("1")) as one, FakeProvider(respond=answering("2")) as two:
        async with editor_with(tmp_path, table(one, name="one"), table(two, name="two"), GROUP) as (client, uri):
            told = await execute(client, "glossator.selectProvider", {"provider": "review"})
            assert told == {"preferred": "review", "first": "local: fake-model"}
            await ask(client, uri)
            assert (len(one.requests), len(two.requests)) == (0, 1)
            await execute(client, "glossator.selectProvider", "thre")
            assert "no provider or group is called 'thre'; there are: one, two, review" in messages(client)
            assert (await client.request("glossator/status"))["preferred"] == "review"
            assert (await execute(client, "glossator.selectProvider", "automatic"))["preferred"] is None
            await ask(client, uri)
            assert (len(one.requests), len(two.requests)) == (1, 1)
            with pytest.raises(Failed, match="Name a provider or a group"):
                await execute(client, "glossator.selectProvider", 7)
        assert client.asked("window/showMessageRequest") == []


@pytest.mark.parametrize("answer", [None, {"title": "somebody else"}, SILENT, "refused"])
async def test_who_picks_nothing_changes_nothing(tmp_path: Path, answer: Any) -> None:
    """A dismissed list, nonsense, silence and an editor without lists leave everything as it was; the command has ended."""

    def reply(_: Any) -> Any:
        if answer == "refused":
            raise Failed({"code": -32601, "message": "not supported"})
        return answer

    async with FakeProvider() as one, editor_with(tmp_path, table(one, name="one")) as (client, _):
        client.handlers["window/showMessageRequest"] = reply
        await execute(client, "glossator.selectProvider")
        await client.until(lambda: bool(client.asked("window/showMessageRequest")))
        if answer == "refused":
            await client.until(lambda: "name one of automatic, one after the command" in messages(client))
        assert (await client.request("glossator/status"))["preferred"] is None
        assert "asked first" not in messages(client)


async def test_a_choice_survives_new_settings() -> None:
    """The application is built anew when the editor's settings change: who was picked stays picked."""
    built: list[Application] = []

    def build(
        *, roots: tuple[str, ...], environment: Mapping[str, str], trusted: bool, settings: Mapping[str, Any] | None
    ) -> Application:
        built.append(Application()(roots=roots, environment=environment, trusted=trusted, settings=settings))
        return built[-1]

    async with in_process(build) as client:
        settings = {"trusted": True}
        client.handlers["workspace/configuration"] = lambda _: [settings]
        await client.initialize({"workspace": {"configuration": True}})
        await execute(client, "glossator.selectProvider", "work")
        settings["trusted"] = False
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.until(lambda: len(client.asked("workspace/configuration")) == 2)
        await execute(client, "glossator.resetProvider", "work")
        while len(built) < 2 or built[1].preferred is None:
            await client.request("glossator/status")
        assert [one.preferred for one in built] == ["work", "work"]


async def test_a_cloud_found_by_its_key_is_asked_for_once_it_is_picked(tmp_path: Path) -> None:
    """Picking it asks whether it may be used here; a no leaves the choice as it was, a yes makes it the first."""
    key = "sk-ant" + "-api03-0123456789abcdefghijklmnop"
    async with editor_with(tmp_path, ANTHROPIC_API_KEY=key) as (client, _):
        await execute(client, "glossator.selectProvider", "anthropic")
        assert "anthropic may not be used in this workspace yet" in messages(client)
        assert (await client.request("glossator/status"))["preferred"] is None
        client.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        told = await execute(client, "glossator.selectProvider", "anthropic")
        assert told == {"preferred": "anthropic", "first": "cloud: anthropic"}


async def test_the_editor_is_told_how_everybody_is(tmp_path: Path) -> None:
    """Who would be asked, times and score after an answer, the last failure in words, who rests; a reset by hand ends that."""
    breaker = "[router.breaker]\nfailures = 1\n"
    async with FakeProvider(respond=answering("1")) as one, FakeProvider(respond=failing(500)) as two:
        tables = table(one, name="one"), table(two, name="two"), CLOUD, breaker
        async with editor_with(tmp_path, *tables, CLOUD_KEY="x" * 20) as (client, uri):
            told = await client.notification("glossator/statusChanged")
            assert (told["health"], told["first"], told["preferred"]) == ("ok", "local: fake-model", None)
            assert {one["name"]: one["health"] for one in told["providers"]} == dict.fromkeys(
                ("one", "two", "cloud"), "unknown"
            )
            await ask(client, uri)
            answered = (await client.request("glossator/status"))["providers"][0]
            assert (answered["health"], answered["score"], answered["retryIn"]) == ("up", 1.0, 0)
            assert 0 <= answered["p50"] <= answered["p95"] < 20
            assert (answered["lastError"], answered["dollarsToday"]) == (None, 0)
            await execute(client, "glossator.selectProvider", "two")
            await ask(client, uri)  # the other answers in its place
            failed = (await client.request("glossator/status"))["providers"][1]
            assert failed["health"] == "failing"
            assert failed["lastError"].startswith("server: ")
            assert 0 < failed["retryIn"] <= 30
            await client.notification("glossator/statusChanged", lambda told: told["providers"][1]["retryIn"] > 0)
            await execute(client, "glossator.resetProvider", "nobody")
            assert "no provider or group is called 'nobody'" in messages(client)
            await execute(client, "glossator.resetProvider", "two")
            assert (await client.request("glossator/status"))["providers"][1]["retryIn"] == 0


async def test_all_resting_is_a_warning_that_says_why(tmp_path: Path) -> None:
    """Where the only provider rests, the status says for how long and after what."""
    breaker = "[router.breaker]\nfailures = 1\n"
    async with (
        FakeProvider(respond=failing(500)) as one,
        editor_with(tmp_path, table(one, name="one"), breaker) as (client, uri),
    ):
        await ask(client, uri)
        status = await client.request("glossator/status")
        assert status["health"] == "warning"
        assert status["message"].startswith("all who may answer rest after failures: one for ")
        assert "server: " in status["message"]


async def test_money_of_today_is_told(tmp_path: Path) -> None:
    """What a cloud has cost today, by all servers of this user, stands beside it."""
    from glossator_providers.state import local_time
    from glossator_providers.usage_ledger import LEDGER_FILE, Entry, UsageLedger

    ledger = UsageLedger(tmp_path / "user" / "state" / LEDGER_FILE)
    await ledger.record(
        Entry(local_time(), "fix", "openai", "cloud", "far", local=False, outcome="answered", seconds=1, input_tokens=70, output_tokens=30, dollars=0.25)
    )  # fmt: skip
    await ledger.aclose()
    workspace = project(tmp_path / "work", {})
    async with application(workspace, environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="x" * 20)) as opened:
        (cloud,) = (await opened.status()).providers
        assert (cloud.dollars_today, cloud.tokens_today) == (0.25, 100)


# Idle providers


def add_to_router(environment: Mapping[str, str], line: str) -> None:
    """Write a line more into the table `[router]` of a user's configuration."""
    file = Path(environment["GLOSSATOR_CONFIG"])
    file.write_text(file.read_text().replace("[router]\n", f"[router]\n{line}\n"))


def lists(*fakes: FakeProvider) -> list[int]:
    """Return how often each was asked for its models."""
    return [sum(one.method == "GET" for one in fake.requests) for fake in fakes]


async def test_idle_providers_are_looked_at_while_somebody_works(tmp_path: Path) -> None:
    """Nobody before the first question; then, each minute, those of this machine that were idle; nobody after a quarter of an hour."""
    clock = HandClock()
    workspace = project(tmp_path / "work", {})
    async with FakeProvider(respond=answering("1")) as one, FakeProvider() as two:
        environment = environment_of(tmp_path / "user", table(one, name="one"), table(two, name="two"), CLOUD)
        async with application(workspace, environment, clock=clock.time) as opened:
            assert not await opened.look()
            assert lists(one, two) == [0, 0]
            await opened.router.answer(request())
            clock.now += 30
            assert await opened.look(), "the second was unknown and is up"
            assert lists(one, two) == [0, 1]
            clock.now += 45
            assert not await opened.look(), "both are as they were"
            assert lists(one, two) == [1, 1]
            await two.stop()
            clock.now += 60
            assert await opened.look()
            assert [one.health for one in (await opened.status()).providers] == ["up", "down", "unknown"]
            clock.now += 16 * 60
            assert not await opened.look()
            assert lists(one, two) == [2, 1], "the second one has hung up"


async def test_clouds_that_nobody_used_and_clouds_to_be_asked_for_are_left_alone(tmp_path: Path) -> None:
    """No connection is tried to a cloud before it was used in this session, nor to any while nobody is at work."""
    clock = HandClock()
    workspace = project(tmp_path / "work", {})
    async with FakeProvider(respond=answering("1")) as one, FakeProvider() as two:
        tables = table(one, name="one"), table(two, name="two"), CLOUD
        environment = environment_of(tmp_path / "user", *tables, CLOUD_KEY="x" * 20)
        async with application(workspace, environment, clock=clock.time) as opened:
            await opened.router.answer(request())
            clock.now += 120
            await opened.look()
            assert lists(two) == [1]
            assert (await opened.status()).providers[2].health == "unknown"


async def test_looks_can_be_switched_off(tmp_path: Path) -> None:
    """With `check_idle = false` nobody is asked for anything that no user asked."""
    clock = HandClock()
    workspace = project(tmp_path / "work", {})
    async with FakeProvider(respond=answering("1")) as one, FakeProvider() as two:
        environment = environment_of(tmp_path / "user", table(one, name="one"), table(two, name="two"))
        add_to_router(environment, "check_idle = false")
        async with application(workspace, environment, clock=clock.time) as opened:
            await opened.router.answer(request())
            clock.now += 120
            assert not await opened.look()
            assert lists(one, two) == [0, 0]


async def test_the_server_looks_each_minute_and_tells_what_is_news() -> None:
    """A minute passes, the application looks, and the editor hears of it where anything has changed; a failure ends nothing."""
    clock = HandClock()
    told: list[float] = []

    class Connection:
        application = Application()

    class Notices:
        def status_changed(self) -> None:
            told.append(clock.now)

    connection = Connection()
    looking = asyncio.ensure_future(looks.look_each_minute(connection, Notices(), sleep=clock.sleep))  # type: ignore[arg-type]  # as much of both as it needs
    began = clock.now
    await clock.move(59)
    assert not connection.application.looked.is_set()
    await clock.move(2)
    assert connection.application.looked.is_set()
    assert told == []
    connection.application.news = True
    await clock.move(60)
    assert [at - began for at in told] == [120]
    looking.cancel()
    await asyncio.wait({looking})


def test_a_list_says_what_keeps_somebody_from_answering() -> None:
    """No key, a rest and a failure stand beside the name; a status that is none is a list with the automatic choice alone."""
    status = {
        "providers": [
            {"name": "a", "model": "m", "state": "no key"},
            {"name": "b", "model": "", "local": True, "state": "ready", "retryIn": 12.4},
            {"name": "c", "model": "m", "toy": True, "state": "ready", "health": "failing"},
        ],
        "groups": None,
        "preferred": "b",
    }
    assert list_choices(status) == {
        "Automatic": None,
        "a (cloud: m, no key)": "a",
        "✓ b (local: its own choice, rests for 12 s)": "b",
        "c (toy model: m, failing)": "c",
    }
    assert list_choices(None) == {"✓ Automatic": None}


async def test_a_group_is_reset_and_preferred_as_one(tmp_path: Path) -> None:
    """A group's name stands for its members; one that nobody has raises and leaves everything as it was."""
    workspace = project(tmp_path / "work", {})
    async with FakeProvider() as one, FakeProvider() as two:
        environment = environment_of(tmp_path / "user", table(one, name="one"), table(two, name="two"), GROUP)
        async with application(workspace, environment) as opened:
            await opened.prefer("review")
            with pytest.raises(NoProvider, match="there are: one, two, review"):
                await opened.prefer("nobody")
            assert opened.preferred == "review"
            assert [one.name for one in opened.router.route(request()).candidates] == ["two", "one"]
