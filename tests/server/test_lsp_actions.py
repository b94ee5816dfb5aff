"""The menu: at once, honest about where a request would go, and modest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from glossator.tasks.task import Author, Refusal
from lsp_application import Application, Offer, Run
from lsp_client import Client, Editor, Failed, in_process

URI = "file:///project/a.py"
TEXT = "import os\nx = 1\n"
ABLE: dict[str, Any] = {
    "workspace": {"applyEdit": True},
    "textDocument": {
        "codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": True, "tagSupport": {"valueSet": [1]}},
        "hover": {"contentFormat": ["markdown"]},
    },
}
HERE = {"start": {"line": 0, "character": 7}, "end": {"line": 0, "character": 9}}
PROBLEM = {"range": HERE, "message": "`os` imported\nbut unused " + "x" * 90, "source": "Ruff", "code": "F401"}


async def menu(client: Client, *, range_: Any = HERE, uri: str = URI, **context: Any) -> list[dict[str, Any]]:
    """Return the code actions at a place, as they are when the server has started up."""
    await client.request("glossator/status", {})
    context = {"diagnostics": [PROBLEM], **context}
    params = {"textDocument": {"uri": uri}, "range": range_, "context": context}
    result = await client.request("textDocument/codeAction", params)
    return list(result or [])


async def built(client: Client, application: Application, times: int) -> None:
    """Wait until the application has been built so many times; each look is a round trip."""
    async with asyncio.timeout(10):
        while application.builds < times:
            await menu(client)


def kinds(actions: list[dict[str, Any]]) -> list[str]:
    """Return the kind of each action."""
    return [one["kind"] for one in actions]


async def test_each_problem_gets_explain_and_fix() -> None:
    """Explain and Fix for three problems at most, one line each, with the route at the end, tagged and never preferred."""
    async with in_process(Application()) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        many = [{**PROBLEM, "message": f"problem {number}"} for number in range(9)]
        actions = await menu(client, diagnostics=many)
        assert kinds(actions).count("quickfix.glossator") == kinds(actions).count("quickfix.glossator.explain") == 3
        (title, *_) = [one["title"] for one in await menu(client)]
        assert title.startswith('Explain "`os` imported but unused xxx')
        assert title.endswith('…" (glossator, local: qwen2.5-coder)')
        assert all(one["tags"] == [1] for one in actions)
        assert not any("isPreferred" in one for one in actions)
        assert actions[1]["diagnostics"][0]["message"] == "problem 0"


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["quickfix"], {"quickfix.glossator", "quickfix.glossator.explain", "quickfix.glossator.rule"}),
        (["quickfix.glossator.explain"], {"quickfix.glossator.explain"}),
        (["refactor.rewrite"], {"refactor.rewrite.glossator", "refactor.rewrite.glossator.document"}),
        (["source.fixAll"], set()),
        (["source", "notebook"], set()),
        (["quick"], set()),
        (
            [""],
            {
                "quickfix.glossator",
                "quickfix.glossator.explain",
                "quickfix.glossator.rule",
                "refactor.rewrite.glossator",
                "refactor.rewrite.glossator.document",
                "refactor.glossator.ask",
                "refactor.glossator.tests",
                "refactor.glossator.review",
            },
        ),
    ],
)
async def test_only_is_honoured(only: list[str], expected: set[str]) -> None:
    """An editor that asks for a kind gets that kind and what is inside of it."""
    async with in_process(Application()) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        assert set(kinds(await menu(client, only=only))) == expected


async def test_the_cursor_alone_lights_no_lamp() -> None:
    """An automatic request where there is neither problem nor selection gets nothing; a call by hand gets the menu."""
    cursor = {"start": HERE["start"], "end": HERE["start"]}
    async with in_process(Application()) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        assert await menu(client, range_=cursor, diagnostics=[], triggerKind=2) == []
        assert "refactor.glossator.explain" in kinds(await menu(client, range_=cursor, diagnostics=[], triggerKind=1))
        assert await menu(client, triggerKind=2)


@pytest.mark.parametrize("disabled", [True, False])
async def test_a_private_document_says_why(*, disabled: bool) -> None:
    """What only a model can do is disabled with the reason; in other editors it runs into the reason."""
    application = Application()
    application.offered = Offer(None, Refusal("policy", "no model may answer: .env is private", ("path .env",)))
    able = {**ABLE, "textDocument": {"codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": disabled}}}
    async with in_process(application) as client:
        await client.initialize(able)
        Editor(client).open(URI, TEXT)
        actions = {one["kind"]: one for one in await menu(client)}
        refactor = actions["refactor.rewrite.glossator"]
        if disabled:
            assert refactor["disabled"]["reason"] == "no model may answer: .env is private"
            assert "command" not in refactor
        else:
            assert "disabled" not in refactor
            assert refactor["command"]["command"] == "glossator.why"
        assert actions["quickfix.glossator"]["title"].endswith("(glossator, ruff)")
        assert "refactor.glossator.why" in actions


async def test_titles_name_the_cloud() -> None:
    """A request that would leave the machine says so before it is made."""
    application = Application()
    application.offered = Offer(Author("anthropic", "claude", local=False))
    async with in_process(application) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        assert all("(glossator, cloud: anthropic)" in one["title"] for one in await menu(client))


async def test_an_old_editor_gets_commands() -> None:
    """Without literal support the answer is a list of commands."""
    async with in_process(Application()) as client:
        await client.initialize({})
        Editor(client).open(URI, TEXT)
        assert all(isinstance(one["command"], str) for one in await menu(client))


async def test_a_running_job_can_be_cancelled_from_the_menu() -> None:
    """While a job works on the document the menu offers to cancel it."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        assert "quickfix.glossator.cancel" not in kinds(await menu(client))
        await client.request(
            "workspace/executeCommand", {"command": "glossator.fix", "arguments": [{"uri": URI, "range": HERE}]}
        )
        run = await application.asked()
        (cancel,) = [one for one in await menu(client) if one["kind"] == "quickfix.glossator.cancel"]
        await client.request("workspace/executeCommand", cancel["command"])
        await asyncio.wait_for(run.closed.wait(), 5)


async def test_a_picked_action_speaks_of_the_text_it_was_made_for() -> None:
    """An action that is picked after more typing still means the place that it was listed for."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        editor = Editor(client)
        editor.open(URI, TEXT)
        actions = await menu(client)
        editor.type(URI, 0, 0, "# one\n# two\n")
        (fix,) = [one for one in actions if one["kind"] == "quickfix.glossator"]
        await client.request("workspace/executeCommand", fix["command"])
        ask = (await application.asked()).ask
        assert ask.snapshot.slice(ask.region) == "os"
        assert ask.snapshot.slice(ask.diagnostics[0].region) == "os"


async def test_menu_and_hover_answer_while_the_provider_hangs() -> None:
    """A task that says nothing, and a hover that never ends, keep nobody waiting."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        await client.request(
            "workspace/executeCommand", {"command": "glossator.fix", "arguments": [{"uri": URI, "range": HERE}]}
        )
        await application.asked()
        application.hovering = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(5):
            assert await menu(client)
            hover = {"textDocument": {"uri": URI}, "position": HERE["start"]}
            assert await client.request("textDocument/hover", hover) is None
        application.hovering.set_result("now it is known")
        application.hovering = "now it is known"
        result = await client.request("textDocument/hover", hover)
        assert result["contents"] == {"kind": "markdown", "value": "now it is known"}


async def test_the_menu_does_not_wait_for_the_start(tmp_path: Any) -> None:
    """While the application is still being built, or cannot be, the menu has no routes, and a task says why."""

    def build(
        *, roots: tuple[str, ...], environment: Mapping[str, str], trusted: bool, settings: Mapping[str, Any] | None
    ) -> Application:
        raise ValueError("broken")

    async with in_process(build) as client:
        await client.initialize({**ABLE, "window": {"workDoneProgress": True}})
        Editor(client).open(URI, TEXT)
        assert [one for one in await menu(client) if one["title"].endswith("(glossator)")]
        hover = {"textDocument": {"uri": URI}, "position": HERE["start"]}
        assert await client.request("textDocument/hover", hover) is None
        await client.request(
            "workspace/executeCommand", {"command": "glossator.fix", "arguments": [{"uri": URI, "range": HERE}]}
        )
        end = await client.notification("$/progress", lambda one: one["value"]["kind"] == "end")
        assert "could not start" in end["value"]["message"]


@pytest.mark.parametrize("uri", ["file:///not/open", "chatSessionInput:input-0", "", "no uri at all", "file:///%"])
async def test_documents_that_are_none_get_nothing(uri: str) -> None:
    """A document that is not open, or is none, gets no actions and no hover."""
    async with in_process(Application()) as client:
        await client.initialize(ABLE)
        if uri.startswith("chat"):
            Editor(client).open(uri, TEXT)
        assert await menu(client, uri=uri) == []
        hover = {"textDocument": {"uri": uri}, "position": HERE["start"]}
        assert await client.request("textDocument/hover", hover) is None


@pytest.mark.parametrize(
    "position", [{"line": -5, "character": 3}, {"line": 99, "character": 2**35}, {"line": 0, "character": 2**31 - 1}]
)
async def test_odd_positions_are_clamped(position: Any) -> None:
    """Positions outside of the text are taken as its nearest place."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        assert await menu(client, range_={"start": position, "end": position})
        params = {"textDocument": {"uri": URI}, "position": position}
        assert await client.request("textDocument/hover", params) is None
        with pytest.raises(Failed):
            await client.request("textDocument/hover", {"textDocument": {"uri": URI}, "position": None})


async def test_consent_to_a_cloud_is_asked_with_a_message() -> None:
    """The application's question reaches the user, and anything but a clear yes is a no."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE)
        Editor(client).open(URI, TEXT)
        await menu(client)
        assert application.consent is not None
        client.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        assert await application.consent("Send it?")
        client.handlers["window/showMessageRequest"] = lambda _: None
        assert not await application.consent("Send it?")
        assert "Send it?" in client.asked("window/showMessageRequest")[0]["message"]


async def test_settings_arrive_and_change() -> None:
    """Settings are pulled with a section, a wrong one warns once, and a stricter one rebuilds the application."""
    application = Application()
    answers: list[Any] = [{"explain": {"show": "nowhere"}}]
    async with in_process(application) as client:
        client.handlers["workspace/configuration"] = lambda params: [answers[-1] for _ in params["items"]]
        able = {**ABLE, "workspace": {**ABLE["workspace"], "configuration": True}}
        await client.initialize(able, initializationOptions={"trusted": True}, rootUri="file:///work")
        await client.notification("window/showMessage", lambda one: "explain.show" in one["message"])
        Editor(client).open(URI, TEXT)
        assert await menu(client)
        assert application.built["roots"] == ("/work",)
        assert client.asked("workspace/configuration")[0]["items"][0]["section"] == "glossator"
        answers.append({"explain": {"show": "nowhere"}, "trusted": False, "privacy": {"never": ["**/x"]}})
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await built(client, application, 2)
        assert application.built["trusted"] is False
        assert application.built["settings"] == {"privacy": {"never": ["**/x"]}}
        assert len([one for one in client.heard("window/showMessage") if "explain.show" in one["message"]]) == 1


async def test_the_menu_can_be_turned_off() -> None:
    """A user who wants no entries in the menu gets none; the commands go on working."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(ABLE, initializationOptions={"menu": {"enabled": False}})
        Editor(client).open(URI, TEXT)
        await client.request("textDocument/hover", {"textDocument": {"uri": URI}, "position": HERE["start"]})
        await built(client, application, 1)
        assert await menu(client) == []
        await client.request("workspace/executeCommand", {"command": "glossator.explain", "arguments": []})
        assert isinstance(await application.asked(), Run)
