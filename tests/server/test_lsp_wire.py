"""The faults of pygls 2.1.1 (facts/editors.md, section 7): each is shown on plain pygls, and closed in ours."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator.lsp.frames import Splitter
from glossator.lsp.mend import mend
from glossator.lsp.outbox import Outbox
from lsp_client import DEADLINE, Client, Failed, frame, spawn

SERVER = Path(__file__).with_name("lsp_faults.py")
PATIENCE = 1.0  # seconds in which an answer that never comes does not come
CANCELLED = -32800
Start = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the little server on plain pygls or on ours."""

    @asynccontextmanager
    async def begin(kind: str) -> AsyncIterator[Client]:
        folder = tmp_path / kind
        folder.mkdir(exist_ok=True)
        if not (folder / "gate").exists():
            os.mkfifo(folder / "gate")
        with (folder / "stderr").open("wb") as log:
            async with spawn([sys.executable, str(SERVER), kind, str(folder)], stderr=log) as client:
                yield client

    return begin


def command(client: Client, name: str, *arguments: Any) -> int:
    """Send a command; return the request's id."""
    return client.begin("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


async def answered(client: Client, request: int, seconds: float) -> bool:
    """Say whether a request is answered in time."""
    return await client.happens(lambda: request in client.responses, seconds)


async def appears(path: Path, seconds: float = DEADLINE) -> bool:
    """Say whether a mark of the server appears in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not path.exists():  # noqa: ASYNC110, ASYNC240  files tell nobody that they have come
                await asyncio.sleep(0.01)
    return path.exists()  # noqa: ASYNC240  as above


async def flood_over(client: Client) -> None:
    """Wait until all of the flood has been read."""
    await client.until(lambda: len(client.heard("window/logMessage")) == 100)


def open_gate(path: Path) -> None:
    """Let go whatever waits at the gate."""
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


async def test_01_a_cancelled_command_stops(start: Start, tmp_path: Path) -> None:
    """Fault 1: plain pygls answers 'cancelled' and lets the command run to its end; ours stops it."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            request = command(client, "wait")
            assert await appears(tmp_path / kind / "waiting")
            client.notify("$/cancelRequest", {"id": request})
            with pytest.raises(Failed) as failure:
                await client.response(request)
            assert failure.value.code == CANCELLED
            outcomes[kind] = await appears(tmp_path / kind / "ran-to-its-end", 1.6)
            assert len(client.responses[request]) == 1
    assert outcomes == {"plain": True, "ours": False}


async def test_02_shutdown_works_while_a_command_runs(start: Start, tmp_path: Path) -> None:
    """Fault 2: plain pygls fails to shut down while a command is in flight."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            hanging = command(client, "hang")
            assert await appears(tmp_path / kind / "hanging")
            try:
                await client.request("shutdown")
                outcomes[kind] = "done"
            except Failed as failure:
                outcomes[kind] = str(failure.code)
            if kind == "ours":
                with pytest.raises(Failed):
                    await client.response(hanging)
    assert outcomes == {"plain": "-32603", "ours": "done"}


NEWER = {
    "initialize": {"textDocument": {"codeAction": {"tagSupport": {"valueSet": [1, 99]}}}},
    "symbols": {"workspace": {"symbol": {"symbolKind": {"valueSet": [1, 2, 4711]}}}},
    "handling": {"workspace": {"workspaceEdit": {"failureHandling": "tomorrow"}}},
    "garbage": {"general": {"positionEncodings": "utf-8"}, "textDocument": 7},
}


@pytest.mark.parametrize("name", list(NEWER))
async def test_03_capabilities_of_a_newer_protocol_are_survived(start: Start, name: str) -> None:
    """Fault 3: plain pygls never answers an `initialize` with a value that it does not know."""
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            request = client.begin("initialize", {"processId": None, "rootUri": None, "capabilities": NEWER[name]})
            got = await answered(client, request, DEADLINE if kind == "ours" else 3)
            assert got == (kind == "ours")
            if kind == "ours":
                assert "capabilities" in await client.response(request)


ZERO = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
GOOD = {"range": ZERO, "message": "good"}
UNREADABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown severity": ("textDocument/codeAction", {"context": {"diagnostics": [GOOD, {**GOOD, "severity": 9}]}}),
    "unknown tag": ("textDocument/codeAction", {"context": {"diagnostics": [{**GOOD, "tags": [7]}, GOOD]}}),
    "unknown trigger": ("textDocument/codeAction", {"context": {"diagnostics": [GOOD], "triggerKind": 8}}),
    "no diagnostics": ("textDocument/codeAction", {"context": {"diagnostics": None}}),
    "a negative position": ("textDocument/hover", {"position": {"line": -1, "character": 2}}),
    "a huge position": ("textDocument/hover", {"position": {"line": 0, "character": 2**40}}),
}


@pytest.mark.parametrize("name", list(UNREADABLE))
async def test_03_requests_of_another_protocol_are_answered(start: Start, name: str) -> None:
    """Fault 3: plain pygls never answers a request with one value that it does not know; ours leaves that value out."""
    method, params = UNREADABLE[name]
    full = {"textDocument": {"uri": "file:///a"}, "range": ZERO, **params}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            request = client.begin(method, full)
            ping = command(client, "echo", 1)
            assert await client.response(ping) == [1]
            assert (request in client.responses) == (kind == "ours")
            if kind == "ours":
                result = await client.response(request)
                good = full.get("context", {"diagnostics": None})["diagnostics"]
                assert len(result) == len(good) if isinstance(good, list) else True


async def test_04_an_argument_may_hold_any_object(start: Start) -> None:
    """Fault 4: plain pygls takes an argument with a `jsonrpc` field for a message."""
    argument = {"jsonrpc": "2.0", "id": 3, "method": "exit"}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            request = command(client, "echo", argument)
            got = await answered(client, request, PATIENCE if kind == "plain" else DEADLINE)
            right = got and client.responses[request][0].get("result") == [argument]
            assert right == (kind == "ours")


async def test_05_a_late_answer_to_a_forgotten_question_is_ignored(start: Start) -> None:
    """Fault 5: plain pygls pops up an error box when the answer comes after it has lost interest."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            await client.response(command(client, "askAndForget"))
            assert await client.response(command(client, "echo", 1)) == [1]
            outcomes[kind] = len(client.heard("window/showMessage"))
    assert outcomes == {"plain": 1, "ours": 0}


async def test_06_a_broken_pipe_ends_the_server_at_once(start: Start, tmp_path: Path) -> None:
    """Faults 6 and 7: on a closed pipe plain pygls reports the failure of each report, and ends as if all were well."""
    outcomes: dict[str, tuple[bool, int | None]] = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            assert client.process is not None
            await client.response(command(client, "echo", 1))
            client.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # only the transport can close it
            command(client, "flood")
            with suppress(TimeoutError):
                await asyncio.wait_for(client.process.wait(), 3 if kind == "plain" else DEADLINE)
            text = (tmp_path / kind / "stderr").read_text()
            outcomes[kind] = (text.count("Traceback") > 5, client.process.returncode)
    assert outcomes["plain"][0]
    assert outcomes["plain"][1] in {None, 0}
    assert outcomes["ours"] == (False, 1)


async def test_07_the_exit_code_tells_an_orderly_end(start: Start) -> None:
    """Fault 7: plain pygls ends with 0 whether the editor said goodbye or not."""
    outcomes: dict[str, list[int]] = {"plain": [], "ours": []}
    for kind, codes in outcomes.items():
        async with start(kind) as client:
            await client.initialize()
            codes.append(await client.leave())
        async with start(kind) as client:
            await client.initialize()
            client.notify("exit")
            codes.append(await client.code())
    assert outcomes == {"plain": [0, 0], "ours": [0, 1]}


async def test_08_a_stuck_thread_does_not_delay_the_end(start: Start, tmp_path: Path) -> None:
    """Fault 8: plain pygls waits at its end for every thread that still works."""
    outcomes: dict[str, int | None] = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            client.begin("test/stuck", {})
            assert await appears(tmp_path / kind / "stuck")
            client.begin("shutdown")
            client.notify("exit")
            assert client.process is not None
            try:
                outcomes[kind] = await asyncio.wait_for(
                    client.process.wait(), PATIENCE if kind == "plain" else DEADLINE
                )
            except TimeoutError:
                outcomes[kind] = None
            open_gate(tmp_path / kind / "gate")
    assert outcomes == {"plain": None, "ours": 0}


async def test_09_an_editor_that_does_not_read_blocks_nothing(start: Start, tmp_path: Path) -> None:
    """Fault 9: plain pygls writes in its event loop, and hangs there while the editor does not read."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            client.pause()
            request = command(client, "flood")
            flooded = await appears(tmp_path / kind / "flooded", PATIENCE if kind == "plain" else DEADLINE)
            client.go_on()
            await client.response(request)
            await flood_over(client)
            outcomes[kind] = flooded
    assert outcomes == {"plain": False, "ours": True}


async def test_10_reading_takes_no_worker(start: Start, tmp_path: Path) -> None:
    """Fault 10: plain pygls reads in the pool of its threads: when all of them are busy it is deaf."""
    outcomes = {}
    for kind in ("narrow", "ours"):
        async with start(kind) as client:
            await client.initialize()
            client.begin("test/stuck", {})
            assert await appears(tmp_path / kind / "stuck")
            request = command(client, "echo", 1)
            outcomes[kind] = await answered(client, request, PATIENCE if kind == "narrow" else DEADLINE)
            open_gate(tmp_path / kind / "gate")
    assert outcomes == {"narrow": False, "ours": True}


async def test_11_progress_is_forgotten_after_its_end(start: Start) -> None:
    """Fault 11: plain pygls keeps every progress token for ever."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            outcomes[kind] = await client.response(command(client, "progress"))
    assert outcomes == {"plain": 5, "ours": 0}


async def test_12_a_request_after_shutdown_is_answered(start: Start) -> None:
    """Fault 12: plain pygls does not answer what comes after `shutdown`."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            await client.request("shutdown")
            request = command(client, "echo", 1)
            await answered(client, request, PATIENCE if kind == "plain" else DEADLINE)
            outcomes[kind] = [one["error"]["code"] for one in client.responses.get(request, [])]
    assert outcomes == {"plain": [], "ours": [-32600]}


async def test_13_all_capabilities_are_told(start: Start) -> None:
    """Fault 13: plain pygls leaves out the virtual documents although there is a feature for them."""
    able = {"workspace": {"textDocumentContent": {}}, "experimental": {"glossator": {"version": 1}}}
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            told = (await client.initialize(able))["capabilities"]
            outcomes[kind] = ("textDocumentContent" in told["workspace"], "experimental" in told)
    assert outcomes == {"plain": (False, False), "ours": (True, True)}


async def test_14_logs_hold_no_code(start: Start, tmp_path: Path) -> None:
    """Fault 14: plain pygls writes options, code and params into its log."""
    outcomes = {}
    secret = "m4rk3d-t3xt"
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize(initializationOptions={"key": secret})
            item = {"uri": "file:///a", "languageId": "python", "version": 0, "text": secret}
            client.notify("textDocument/didOpen", {"textDocument": item})
            client.begin("textDocument/codeAction", {"textDocument": {"uri": secret}})
            with suppress(Failed):
                await client.response(command(client, "text", secret))
            with suppress(Failed):
                await client.response(command(client, "echo", secret))
        outcomes[kind] = secret in (tmp_path / kind / "stderr").read_text()
    assert outcomes == {"plain": True, "ours": False}


async def test_15_what_was_cancelled_in_the_queue_is_not_run(start: Start, tmp_path: Path) -> None:
    """Fault 15: plain pygls runs a request that was cancelled while it waited behind a slow one."""
    outcomes = {}
    for kind in ("plain", "ours"):
        async with start(kind) as client:
            await client.initialize()
            slow = client.begin("test/blocked", {})
            assert await appears(tmp_path / kind / "blocked")
            counted = client.begin("test/counted", {})
            client.notify("$/cancelRequest", {"id": counted})
            await appears(tmp_path / kind / "nothing", 0.3)  # the cancellation has been read by now
            open_gate(tmp_path / kind / "gate")
            await client.response(slow)
            with suppress(Failed):
                await client.response(counted)
            outcomes[kind] = (tmp_path / kind / "counted").exists()
            assert len(client.responses[counted]) == 1
    assert outcomes == {"plain": True, "ours": False}


async def test_a_result_that_cannot_be_written_is_still_answered(start: Start) -> None:
    """Every request gets one response, also when its result is no JSON."""
    async with start("ours") as client:
        await client.initialize()
        with pytest.raises(Failed):
            await client.request("test/unwritable", {})
        with pytest.raises(Failed):
            await client.request("no/such/method", {})
        assert await client.response(command(client, "echo", 1)) == [1]
        assert all(len(answers) == 1 for answers in client.responses.values())


MALFORMED = {
    "not JSON": b"Content-Length: 9\r\n\r\n{not json",
    "broken UTF-8": b'Content-Length: 4\r\n\r\n"\xff\xfe"',
    "a number": b"Content-Length: 2\r\n\r\n42",
    "a batch": b"Content-Length: 2\r\n\r\n[]",
    "no method": b"Content-Length: 2\r\n\r\n{}",
    "an odd id": frame({"id": [1], "method": "shutdown"}),
    "an id of null": frame({"id": None, "method": "shutdown"}),
    "no length": b"Content-Type: x\r\n\r\n",
    "a long header": b"x" * 20_000 + b"\r\n\r\n",
    "a length of words": b"Content-Length: many\r\n\r\n",
    "deep": b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
    "a stranger's answer": frame({"id": 999, "result": 1}),
    "a cancellation of nothing": frame({"method": "$/cancelRequest", "params": None}),
    "a message without params": frame({"method": "textDocument/didChange"}),
}


@pytest.mark.parametrize("name", list(MALFORMED))
async def test_malformed_messages_do_no_harm(start: Start, name: str) -> None:
    """Garbage is told or ignored; before and after `initialize` the server lives on."""
    async with start("ours") as client:
        client.send_bytes(MALFORMED[name])
        await client.initialize()
        client.send_bytes(MALFORMED[name])
        assert await client.response(command(client, "echo", name)) == [name]
        assert await client.leave() == 0


async def test_two_messages_in_one_read(start: Start) -> None:
    """Messages that arrive together are all answered, also those that come with `initialize`."""
    async with start("ours") as client:
        first = frame({"id": "a", "method": "initialize", "params": {"capabilities": {}}})
        second = frame(
            {"id": "b", "method": "workspace/executeCommand", "params": {"command": "echo", "arguments": [1]}}
        )
        third = frame({"id": "c", "method": "shutdown"})
        client.send_bytes(first + second + third + frame({"method": "exit"}))
        assert await client.response("b") == [1]
        assert await client.response("c") is None
        assert await client.code() == 0


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_a_message_may_come_in_pieces(start: Start, size: int) -> None:
    """However the bytes are split, the messages are the same."""
    async with start("ours") as client:
        conversation = b"".join(
            frame(one)
            for one in (
                {"id": 1, "method": "initialize", "params": {"capabilities": {}}},
                {"id": 2, "method": "workspace/executeCommand", "params": {"command": "echo", "arguments": ["ö😀"]}},
            )
        )
        assert client.process is not None
        assert client.process.stdin is not None
        for start_ in range(0, len(conversation), size):
            client.send_bytes(conversation[start_ : start_ + size])
            await client.process.stdin.drain()
        assert await client.response(2) == ["ö😀"]


async def test_the_end_of_input_ends_the_server(start: Start, tmp_path: Path) -> None:
    """An editor that is killed leaves no server behind, whatever works there."""
    async with start("ours") as client:
        await client.initialize()
        command(client, "hang")
        assert await appears(tmp_path / "ours" / "hanging")
        assert client.process is not None
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert await client.code() == 1


@given(
    bodies=st.lists(st.binary(max_size=40), max_size=6),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=30),
    newline=st.sampled_from([b"\r\n", b"\n"]),
)
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same_bodies(bodies: list[bytes], sizes: list[int], newline: bytes) -> None:
    """The splitter gives what was framed, for any split of the bytes."""
    whole = b"".join(b"Content-Length: %d%b%b%b" % (len(body), newline, newline, body) for body in bodies)
    splitter, found, at, step = Splitter(), [], 0, 0
    while at < len(whole):
        size = sizes[step % len(sizes)]
        found += splitter.feed(whole[at : at + size])
        at, step = at + size, step + 1
    assert found == bodies


@given(noise=st.binary(max_size=300), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=10))
@settings(max_examples=60, deadline=None)
def test_noise_never_breaks_the_splitter(noise: bytes, sizes: list[int]) -> None:
    """Whatever comes, the splitter raises nothing."""
    splitter, at, step = Splitter(), 0, 0
    while at < len(noise):
        splitter.feed(noise[at : at + sizes[step % len(sizes)]])
        at, step = at + sizes[step % len(sizes)], step + 1


async def test_an_outbox_that_nobody_empties_gives_up() -> None:
    """What an editor that reads nothing makes us keep is bounded; then the connection counts as broken."""
    gate = threading.Event()

    class Stuck:
        def read(self) -> bytes:
            return b""

        def write(self, data: bytes) -> None:
            gate.wait(DEADLINE)

        def close(self) -> None:
            pass

    gone = asyncio.Event()
    outbox = Outbox(Stuck(), gone=gone.set, limit=1000)
    for _ in range(20):
        outbox.put(b"x" * 100)
    await asyncio.wait_for(gone.wait(), DEADLINE)
    gate.set()
    await outbox.finish(DEADLINE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["line", "character", "diagnostics", "triggerKind", "range"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(params=json_values)
@settings(max_examples=100, deadline=None)
def test_mended_params_have_only_possible_positions(params: Any) -> None:
    """Whatever is mended, no position is left that LSP does not allow, and nothing is raised."""
    found = [mend(params, lambda one: isinstance(one, dict))]
    while found:
        one = found.pop()
        if isinstance(one, dict):
            numbers = [one[name] for name in ("line", "character") if isinstance(one.get(name), (int, float))]
            assert all(isinstance(number, bool) or 0 <= number < 2**31 for number in numbers)
            found.extend(one.values())
        elif isinstance(one, list):
            found.extend(one)
