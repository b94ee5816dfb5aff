"""Tasks as an editor sees them: one response, one progress end, live text, cancellation at every moment."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from glossator.tasks.task import Author, Refusal, Restart, Stage, State, TaskName, Verdict
from glossator_providers.errors import NoProvider
from lsp_application import AUTHOR, Application, Run
from lsp_client import SILENT, Client, Editor, Failed, in_process

URI = "file:///project/a.py"
TEXT = "import os\nx = 1\n"
FULL: dict[str, Any] = {
    "workspace": {"applyEdit": True},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {}}},
    "experimental": {"glossator": {"version": 1, "stream": True, "preview": True, "status": True}},
}


class Room:
    """An editor with one open document, and the application behind the server."""

    def __init__(self, client: Client, application: Application) -> None:
        self.client = client
        self.application = application
        self.editor = Editor(client)

    def command(self, name: str, **argument: Any) -> int:
        argument = {"uri": URI, "range": self.editor.place(URI, "os"), **argument}
        return self.client.begin("workspace/executeCommand", {"command": f"glossator.{name}", "arguments": [argument]})

    async def start(self, name: str, **argument: Any) -> tuple[str, Run]:
        """Send a command; return its job's name and the task that came of it."""
        result = await self.client.response(self.command(name, **argument))
        return result["job"] if result else "", await self.application.asked()

    def progress(self, kind: str) -> list[dict[str, Any]]:
        return [one["value"] for one in self.client.heard("$/progress") if one["value"]["kind"] == kind]

    def stream(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.client.heard("glossator/stream") if one["kind"] == kind]

    async def end(self, count: int = 1) -> dict[str, Any]:
        """Wait for the end of a progress; return it."""
        await self.client.until(lambda: len(self.progress("end")) >= count)
        return self.progress("end")[count - 1]

    async def settle(self) -> None:
        """Wait until all that was sent before has been handled."""
        await self.client.request("glossator/status")


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """Open one document in an editor that can do everything."""
    async with open_room(FULL) as opened:
        yield opened


@asynccontextmanager
async def open_room(capabilities: dict[str, Any]) -> AsyncIterator[Room]:
    """Open one document in an editor with these capabilities."""
    application = Application()
    async with in_process(application) as client:
        await client.initialize(capabilities)
        room = Room(client, application)
        room.editor.open(URI, TEXT)
        yield room


@pytest.mark.parametrize("way", ["progress", "command", "request", "cancelRequest"])
@pytest.mark.parametrize("moment", ["before", "mid-stream", "at the end"])
async def test_cancel(room: Room, moment: str, way: str) -> None:
    """A cancelled task ends once, closes what it held, and edits nothing; the request had its one response."""
    params = {"action": "fix", "textDocument": {"uri": URI, "version": 0}, "range": room.editor.place(URI, "os")}
    request = room.client.begin("glossator/run", params)
    job = (await room.client.response(request))["job"]
    run = await room.application.asked()
    run.route()
    if moment != "before":
        run.say("some text")
        await room.client.until(lambda: bool(room.stream("delta")))
    if moment == "at the end":
        run.tell(Stage("checking with ruff"))
    await room.client.until(lambda: bool(room.progress("begin")))
    match way:
        case "progress":
            token = room.client.asked("window/workDoneProgress/create")[0]["token"]
            room.client.notify("window/workDoneProgress/cancel", {"token": token})
        case "command":
            await room.client.response(room.command("cancel", job=job))
        case "request":
            await room.client.request("glossator/cancel", {"job": job})
        case _:
            room.client.notify("$/cancelRequest", {"id": request})
    await room.end()
    await asyncio.wait_for(run.closed.wait(), 1)
    run.propose("too late\n")
    await room.settle()
    assert len(room.client.responses[request]) == 1
    assert len(room.progress("begin")) == len(room.progress("end")) == 1
    assert [one["error"]["code"] for one in room.stream("end")] == ["cancelled"]
    assert room.editor.edits == []


async def test_a_task_cancelled_in_the_same_breath_ends_too(room: Room) -> None:
    """A task that never came to its first step has its one end in the stream, like every other."""
    run = {"action": "explain", "textDocument": {"uri": URI, "version": 0}, "range": room.editor.place(URI, "os")}
    begun = [room.client.begin("glossator/run", run) for _ in range(20)]  # each replaces the one before
    jobs = [(await room.client.response(one))["job"] for one in begun]
    await room.client.until(lambda: len(room.stream("end")) >= len(jobs) - 1)
    assert sorted(one["job"] for one in room.stream("end")) == sorted(jobs[:-1])
    assert {one["error"]["code"] for one in room.stream("end")} == {"cancelled"}


async def test_a_stream_is_numbered_and_whole(room: Room) -> None:
    """The pieces have numbers without gaps, and the end holds the whole text."""
    job, run = await room.start("explain")
    run.route()
    for word in ("one ", "two ", "three"):
        run.say(word)
    run.explain("one two three")
    await room.end()
    told = room.client.heard("glossator/stream")
    assert [one["seq"] for one in told] == list(range(len(told)))
    assert [told[0]["kind"], told[-1]["kind"]] == ["begin", "end"]
    assert told[0]["route"]["title"] == AUTHOR.byline
    assert "".join(one["text"] for one in room.stream("delta")) == "one two three"
    assert told[-1]["final"]["text"] == "one two three"
    assert {one["job"] for one in told} == {job}


async def test_an_editor_that_stops_reading_gets_less_and_loses_nothing(room: Room) -> None:
    """While nobody reads, pieces and reports merge; afterwards the text is whole and the numbers have no gaps."""
    job, run = await room.start("explain")
    run.route()
    await room.client.until(lambda: bool(room.stream("begin")))
    room.client.pause()
    filler = "x" * 100_000
    for number in range(20):
        params = {"textDocument": {"uri": filler}, "position": {"line": 0, "character": number}}
        room.client.begin(f"no/such/method/{filler}", params)
    words = [f"word {number} {'y' * 2_000}\n" for number in range(300)]
    for word in words:
        run.say(word)
        await asyncio.sleep(0)
    run.explain("".join(words))
    await asyncio.wait_for(run.closed.wait(), 10)
    room.client.go_on()
    await room.client.until(lambda: bool(room.stream("end")))
    await room.end()
    told = room.client.heard("glossator/stream")
    assert [one["seq"] for one in told] == list(range(len(told)))
    assert "".join(one["text"] for one in room.stream("delta")) == "".join(words)
    assert len(room.stream("delta")) < 50
    assert {one["job"] for one in told} == {job}


async def test_a_restart_begins_the_text_again(room: Room) -> None:
    """After a failed attempt the editor is told to forget the text, and who answers now."""
    _, run = await room.start("explain")
    run.route()
    run.say("wrong")
    run.tell(Restart("ollama broke off"))
    run.route(Author("work", "claude", local=False))
    run.explain("right")
    await room.end()
    begins = room.stream("begin")
    assert [one.get("reason") for one in begins] == [None, "ollama broke off", None]
    assert begins[-1]["route"]["route"] == "cloud"
    assert room.stream("end")[0]["final"]["text"] == "right"


async def test_progress_is_short_and_without_percentage(room: Room) -> None:
    """Reports are one line of at most 120 characters, and none has a percentage."""
    _, run = await room.start("explain")
    run.route()
    for number in range(50):
        run.say(f"line {number} of a long answer\n" * 20)
        await asyncio.wait_for(asyncio.sleep(0.01), 1)
    run.explain("done")
    await room.end()
    values = [*room.progress("begin"), *room.progress("report"), *room.progress("end")]
    assert all("percentage" not in one for one in values)
    assert all(len(one["message"]) <= 120 and "\n" not in one["message"] for one in values)
    assert 1 <= len(room.progress("report")) <= 15
    assert room.progress("begin")[0]["cancellable"] is True


@pytest.mark.parametrize("answer", ["refused", "silent", "unsupported"])
async def test_progress_needs_the_editors_consent(answer: str) -> None:
    """An editor that refuses progress gets none; one that never answers gets it all the same, with one end."""
    capabilities = {**FULL, "window": {"workDoneProgress": answer != "unsupported"}}
    async with open_room(capabilities) as room:

        def create(_: Any) -> Any:
            if answer == "refused":
                raise Failed({"code": -32601, "message": "no"})
            return SILENT

        room.client.handlers["window/workDoneProgress/create"] = create
        _, run = await room.start("explain")
        run.explain("done")
        await room.client.until(lambda: bool(room.stream("end")))
        if answer == "silent":
            await room.end()
        await room.settle()
        expected = 1 if answer == "silent" else 0
        assert (len(room.progress("begin")), len(room.progress("end"))) == (expected, expected)
        assert bool(room.client.asked("window/workDoneProgress/create")) == (answer != "unsupported")


async def test_a_new_task_for_the_same_place_replaces_the_old(room: Room) -> None:
    """Two fixes of one place do not run side by side; those of two places do."""
    _, first = await room.start("fix")
    _, second = await room.start("fix")
    await asyncio.wait_for(first.closed.wait(), 5)
    _, third = await room.start("fix", range=room.editor.place(URI, "x"))
    second.explain("second")
    third.explain("third")
    await room.end(3)
    assert len(room.progress("begin")) == 3


async def test_closing_the_document_ends_its_tasks(room: Room) -> None:
    """A document that closes takes its tasks along, nothing is applied, and the user is told."""
    _, run = await room.start("fix")
    run.say("…")
    await room.client.until(lambda: bool(room.progress("begin")))
    room.editor.close(URI)
    assert "closed" in (await room.end())["message"]
    await asyncio.wait_for(run.closed.wait(), 5)
    assert room.editor.edits == []
    assert any("closed" in one["message"] for one in room.client.heard("window/showMessage"))


async def test_shutdown_ends_all_tasks_first(room: Room) -> None:
    """Before `shutdown` is answered every progress has ended and every provider is let go."""
    _, run = await room.start("fix")
    await room.client.until(lambda: bool(room.progress("begin")))
    await room.client.request("shutdown")
    assert run.closed.is_set()
    assert len(room.progress("end")) == 1
    room.client.notify("exit")
    assert await room.client.code() == 0
    assert room.application.closed


async def test_a_lost_editor_ends_all_tasks(room: Room) -> None:
    """When the connection breaks, tasks are cancelled and the application is closed."""
    _, run = await room.start("fix")
    room.client.notify("exit")
    assert await room.client.code() == 1
    assert run.closed.is_set()
    assert room.application.closed


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Refusal("policy", "secrets stay here", ("path .env",)), ".env"),
        (Refusal("cannot-fix", "the model says that it cannot"), "cannot"),
        (NoProvider("nothing is configured"), "nothing is configured"),
        (ValueError("secret code"), "problem of its own"),
    ],
)
async def test_a_failure_is_told_once_and_the_server_lives(room: Room, problem: Any, words: str) -> None:
    """Whatever goes wrong, the user reads one calm sentence, and the next task works."""
    _, run = await room.start("fix")
    run.tell(problem)
    assert words in (await room.end())["message"]
    (shown,) = [one["message"] for one in room.client.heard("window/showMessage")]
    assert words in shown
    assert "secret code" not in str(room.client.notifications)
    assert "error" in room.stream("end")[0]
    _, again = await room.start("explain")
    again.explain("fine")
    await room.end(2)


async def test_a_preview_waits_for_the_user(room: Room) -> None:
    """A preview is sent whole, follows the typing, and is applied only when it is accepted."""
    params = {
        "action": "fix",
        "apply": "preview",
        "textDocument": {"uri": URI},
        "range": room.editor.place(URI, "os"),
    }
    job = (await room.client.request("glossator/run", params))["job"]
    run = await room.application.asked()
    run.propose("x = 1\n")
    await room.end()
    first = await room.client.notification("glossator/preview")
    assert (first["state"], first["job"], len(first["hunks"])) == ("complete", job, 1)
    room.editor.type(URI, len(TEXT), len(TEXT), "y = 2\n")
    moved = await room.client.notification("glossator/preview", lambda one: one["textDocument"]["version"] == 1)
    assert moved["state"] == "complete"
    assert room.editor.edits == []
    room.client.notify("glossator/didAccept", {"job": job})
    await room.client.until(lambda: room.editor.texts[URI] == "x = 1\ny = 2\n")


async def test_a_stale_preview_says_so_and_can_be_rejected(room: Room) -> None:
    """A preview whose lines the user has changed is stale; a rejected one is gone."""
    params = {"action": "fix", "apply": "preview", "textDocument": {"uri": URI}, "range": room.editor.place(URI, "os")}
    job = (await room.client.request("glossator/run", params))["job"]
    (await room.application.asked()).propose("import sys\nx = 1\n")
    await room.end()
    room.editor.type(URI, 7, 9, "re")
    await room.client.notification("glossator/preview", lambda one: one["state"] == "stale")
    room.client.notify("glossator/didReject", {"job": job})
    room.client.notify("glossator/didAccept", {"job": job})
    await room.settle()
    assert room.editor.edits == []


async def test_a_question_continues_an_answer(room: Room) -> None:
    """A follow-up carries the conversation so far."""
    job, run = await room.start("explain")
    run.explain("It is unused")
    await room.end()
    result = await room.client.request("glossator/ask", {"job": job, "question": "Why?"})
    second = await room.application.asked()
    assert result["job"] != job
    assert second.ask.task is TaskName.ASK
    assert (second.ask.instruction, second.ask.region) == ("Why?", run.ask.region)
    assert [turn.answer for turn in second.ask.turns] == ["It is unused"]


async def test_a_follow_up_remembers_the_text_that_was_spoken_of(room: Room) -> None:
    """After a key was taken out, and in a question about another document, the earlier text still comes along."""
    job, run = await room.start("explain")
    run.explain("It is unused")
    await room.end()
    room.editor.type(URI, 0, 0, "# new\n")
    await room.client.request("glossator/ask", {"job": job, "question": "Why?"})
    second = await room.application.asked()
    assert second.ask.snapshot.text == f"# new\n{TEXT}"
    assert second.ask.region.start.line == run.ask.region.start.line + 1
    assert [turn.about for turn in second.ask.turns] == [run.ask.snapshot]
    room.editor.open("file:///project/b.py", "y = 2\n")
    question = {"job": job, "question": "And here?", "textDocument": {"uri": "file:///project/b.py", "version": None}}
    await room.client.request("glossator/ask", question)
    third = await room.application.asked()
    assert third.ask.snapshot.uri == "file:///project/b.py"
    assert third.ask.diagnostics == ()
    assert [turn.about for turn in third.ask.turns] == [run.ask.snapshot]


async def test_unverified_is_said_and_withheld_is_never_applied(room: Room) -> None:
    """What no checker confirmed is labelled; what breaks the code is not offered at all."""
    _, run = await room.start("fix")
    run.propose("import os\nx = 2\n", verdict=Verdict(State.UNKNOWN, reason="parses; no checker could confirm"))
    await room.end()
    assert "unverified" in room.editor.edits[0]["label"]
    assert any("unverified" in one["message"] for one in room.client.heard("window/showMessage"))
    _, again = await room.start("fix", range=room.editor.place(URI, "x"))
    again.propose("x = (\n", verdict=Verdict(State.BROKEN, reason="does not parse"))
    assert "does not parse" in (await room.end(2))["message"]
    assert len(room.editor.edits) == 1


@pytest.mark.parametrize(
    "argument",
    [
        {"uri": 7},
        {"uri": "file:///not/open"},
        {"uri": URI, "range": {"start": "x"}},
        {"uri": URI, "range": {"start": {"line": -1, "character": 0}, "end": {"line": 0, "character": 0}}},
        {"uri": URI, "diagnostics": [{"message": 1}]},
        {"uri": URI, "instruction": ["x"]},
        7,
    ],
)
async def test_bad_arguments_are_refused_at_once(room: Room, argument: Any) -> None:
    """A command with arguments that make no sense answers with what is wrong, and begins nothing."""
    with pytest.raises(Failed) as failure:
        await room.client.request("workspace/executeCommand", {"command": "glossator.fix", "arguments": [argument]})
    assert failure.value.code == -32602
    assert room.application.runs.empty()


async def test_a_command_typed_by_hand_means_the_last_place(room: Room) -> None:
    """Without arguments a command is about where the user was last; words are an instruction."""
    position = room.editor.position(URI, 12)
    await room.client.request("textDocument/hover", {"textDocument": {"uri": URI}, "position": position})
    params = {"command": "glossator.refactor", "arguments": ["rename x", "to y"]}
    await room.client.request("workspace/executeCommand", params)
    run = await room.application.asked()
    assert run.ask.region.start.line == 1
    assert run.ask.instruction == "rename x to y"
    await room.client.request("workspace/executeCommand", {"command": "glossator.explain"})
    assert (await room.application.asked()).ask.snapshot.uri == URI


async def test_a_command_without_any_place_says_what_to_do() -> None:
    """With no document at all the user is told how to name one."""
    async with in_process(Application()) as client:
        await client.initialize(FULL)
        with pytest.raises(Failed, match="put the cursor"):
            await client.request("workspace/executeCommand", {"command": "glossator.explain", "arguments": []})


async def test_an_outage_pops_up_once_a_minute(room: Room) -> None:
    """Of three tasks that fail at one provider each ends with the reason, and only the first one pops up; another's does."""
    for count, (name, kind) in enumerate((("ollama", "network"), ("ollama", "network"), ("work", "rate")), 1):
        _, run = await room.start("explain")
        run.route(Author(name, "m"))
        run.tell(Refusal(kind, f"{name} does not answer"))
        assert (await room.end(count))["message"] == f"{name} does not answer"
    await room.settle()
    shown = [one["message"] for one in room.client.heard("window/showMessage")]
    assert shown == ["glossator: ollama does not answer", "glossator: work does not answer"]


async def test_what_is_wrong_with_a_request_pops_up_each_time(room: Room) -> None:
    """That a text is too long is no outage: who asks again is told again."""
    for count in (1, 2):
        _, run = await room.start("explain")
        run.route()
        run.tell(Refusal("too-long", "select less"))
        await room.end(count)
    await room.settle()
    assert len(room.client.heard("window/showMessage")) == 2


async def test_an_editor_without_progress_is_told_of_each_outage() -> None:
    """It sees nothing else of a task that failed."""
    async with open_room({"experimental": {"glossator": {"version": 1}}}) as room:

        async def fail(times: int) -> None:
            _, run = await room.start("explain")
            run.route()
            run.tell(Refusal("network", "ollama does not answer"))
            await room.client.until(lambda: len(room.client.heard("window/showMessage")) == times)

        await fail(1)
        await fail(2)


async def test_the_state_is_told_once_a_second(room: Room) -> None:
    """Of many tasks that end in a second, the first is told at once and the last one a second later."""
    times: list[float] = []
    room.client.handlers["glossator/statusChanged"] = lambda _: times.append(asyncio.get_running_loop().time())
    for count in range(1, 6):
        _, run = await room.start("explain")
        run.explain("done")
        await room.end(count)
    await room.client.until(lambda: len(times) > 1)
    assert len(times) < 5
    assert all(later - earlier > 0.8 for earlier, later in itertools.pairwise(times))


async def test_why_and_status(room: Room) -> None:
    """Where a request would go, and who is there to answer, can be asked by request and by command."""
    why = await room.client.request("glossator/why", {"textDocument": {"uri": URI}})
    assert why["level"] == "open"
    status = await room.client.request("glossator/status")
    assert status["providers"][0]["name"] == "ollama"
    await room.client.response(room.command("why"))
    await room.client.response(room.command("status"))
    shown = [one["message"] for one in room.client.heard("window/showMessage")]
    assert any("open" in one and "ollama" in one for one in shown)
    assert any("qwen2.5-coder" in one for one in shown)


async def test_pushed_diagnostics_reach_the_task(room: Room) -> None:
    """What a plugin tells of other servers is known to a task that names no diagnostics; our own are left out."""
    range_ = room.editor.place(URI, "os")
    diagnostics = [{"range": range_, "message": f"m{number}", "source": "pyright"} for number in range(300)]
    diagnostics.insert(0, {"range": range_, "message": "ours", "source": "glossator"})
    params = {"textDocument": {"uri": URI, "version": 0}, "origin": "editor", "diagnostics": diagnostics}
    room.client.notify("glossator/diagnostics", params)
    _, run = await room.start("explain")
    assert len(run.ask.known) == 200
    assert run.ask.diagnostics[0].message == "m0"
    assert "ours" not in {one.message for one in run.ask.known}


@pytest.mark.parametrize("manner", ["content", "file", "message"])
async def test_explanations_without_a_plugin(manner: str, tmp_path: Any) -> None:
    """An explanation is shown as a growing document, a private file, or its first sentence, as the editor can."""
    capabilities: dict[str, Any] = {"window": {"showDocument": {"support": manner != "message"}}, "workspace": {}}
    if manner == "content":
        capabilities["workspace"]["textDocumentContent"] = {}
    application = Application()
    async with in_process(application, environment={"GLOSSATOR_STATE_DIR": str(tmp_path)}) as client:
        client.handlers["window/showDocument"] = lambda _: {"success": True}
        await client.initialize(capabilities)
        editor = Editor(client)
        editor.open(URI, TEXT)
        arguments = [{"uri": URI, "range": editor.place(URI, "os")}]
        assert (
            await client.request("workspace/executeCommand", {"command": "glossator.explain", "arguments": arguments})
            is None
        )
        run = await application.asked()
        run.say("**Unused** import. ")
        run.explain("**Unused** import. Remove it.\n")
        if manner == "message":
            shown = await client.notification("window/showMessage")
            assert shown["message"] == "Unused import."
            return
        await client.until(lambda: bool(client.asked("window/showDocument")))
        uri = client.asked("window/showDocument")[0]["uri"]
        if manner == "content":
            assert uri.startswith("glossator:/explain/")
            await client.until(lambda: bool(client.asked("workspace/textDocumentContent/refresh")))
            text = (await client.request("workspace/textDocumentContent", {"uri": uri}))["text"]
            assert "Remove it" in text
        else:
            (path,) = (tmp_path / "explanations").glob("*.md")
            assert uri == path.as_uri()
            assert path.stat().st_mode & 0o777 == 0o600
            assert "Remove it" in path.read_text()


async def test_what_the_user_did_with_a_change_is_learned(room: Room) -> None:
    """An accepted preview was kept, a rejected one was not wanted, and a change that is undone soon after was wrong."""
    for verdict, learned in (("didAccept", [True]), ("didReject", [True, False])):
        params = {
            "action": "fix",
            "textDocument": {"uri": URI},
            "range": room.editor.place(URI, "x"),
            "apply": "preview",
        }
        job = (await room.client.request("glossator/run", params))["job"]
        run = await room.application.asked()
        run.route()
        run.propose(room.editor.texts[URI] + "y = 2\n")

        def is_its(told: dict[str, Any], job: str = job) -> bool:
            return bool(told["job"] == job)

        await room.client.notification("glossator/preview", is_its)
        room.client.notify(f"glossator/{verdict}", {"job": job})
        while len(room.application.settled) < len(learned):
            await room.settle()
        assert room.application.settled == learned
    before = room.editor.texts[URI]
    _, run = await room.start("fix")
    run.route()
    run.propose(before + "z = 3\n")
    await room.client.until(lambda: room.editor.texts[URI] == before + "z = 3\n")
    await room.end(3)
    room.editor.type(URI, len(before), len(before) + len("z = 3\n"), "")
    await room.settle()
    assert room.application.settled == [True, False, False]
    room.editor.type(URI, len(before), len(before), "z = 3\n")
    room.editor.type(URI, len(before), len(before) + len("z = 3\n"), "")
    await room.settle()
    assert room.application.settled == [True, False, False], "it is undone once"
