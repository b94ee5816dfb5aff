"""Finding the model servers on this machine, and nothing that is not on it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider, is_loopback
from glossator_providers.discovery import PROBE_TIMEOUT, find_local, ollama_address, together, usual_addresses
from glossator_providers.model import ModelInfo
from glossator_providers.models import choose_model
from glossator_providers.testing import Asked, FakeProvider
from glossator_providers.transport import Transport


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Give a real door."""
    transport = Transport()
    yield transport
    await transport.aclose()


async def test_running_servers_are_found_with_their_best_model(transport: Transport) -> None:
    """Each kind is asked in its own wire, and offers a model for code that runs here."""
    async with (
        FakeProvider("ollama", models=("llama3", "qwen2.5-coder:7b"), remote_models=("qwen3-coder:480b",)) as ollama,
        FakeProvider("lmstudio", models=("text-embedding-nomic", "gemma")) as studio,
    ):
        addresses = {"ollama": ollama.base_url, "lmstudio": studio.base_url}
        found = await find_local(transport, {"HTTP_PROXY": "http://127.0.0.1:1"}, addresses=addresses, seconds=5)
    assert [(p.name, p.model, p.found, p.local) for p in found] == [
        ("ollama", "qwen2.5-coder:7b", True, True),
        ("lmstudio", "gemma", True, True),
    ]


async def test_servers_that_are_none_are_left_out(transport: Transport, started_server: Callable[[int], None]) -> None:
    """A server without a model that runs here, one that is something else, and a closed port are not offered."""

    async def web_page(asked: Asked) -> None:
        await asked.reply(200, "<html>Django</html>", {"content-type": "text/html"})

    async with (
        FakeProvider("ollama", models=(), remote_models=("gpt-oss:120b-cloud",)) as remote,
        FakeProvider("vllm", models=(), respond=web_page) as empty,
        FakeProvider("llamacpp") as gone,
    ):
        await gone.stop()
        started_server(gone.port)
        addresses = {"ollama": remote.base_url, "vllm": empty.base_url, "llamacpp": gone.base_url}
        assert await find_local(transport, {}, addresses=addresses, seconds=5) == ()


async def test_a_server_that_hangs_holds_nobody_up(transport: Transport) -> None:
    """All are asked at once, and none for longer than the limit."""

    class Hanging(FakeProvider):
        async def received(self, *arguments: object) -> None:
            """Answer nothing, not even the list of models."""

    async with Hanging("ollama") as one, Hanging("vllm") as other, FakeProvider("llamacpp") as fake:
        addresses = {"ollama": one.base_url, "vllm": other.base_url, "llamacpp": fake.base_url}
        # The first call of a process imports the HTTP client, which is not what the limit is about.
        await find_local(transport, {}, addresses={"llamacpp": fake.base_url}, seconds=5)
        began = time.monotonic()
        found = await find_local(transport, {}, addresses=addresses)
        assert time.monotonic() - began < PROBE_TIMEOUT + 0.6
    assert [provider.name for provider in found] == ["llamacpp"]


async def test_discovery_can_be_switched_off(transport: Transport) -> None:
    """With GLOSSATOR_DISCOVERY=off nobody is asked."""
    async with FakeProvider("ollama") as fake:
        environment = {"GLOSSATOR_DISCOVERY": "off"}
        assert await find_local(transport, environment, addresses={"ollama": fake.base_url}) == ()
        assert fake.connections == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1:11435", "http://127.0.0.1:11435"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        (":9", "http://127.0.0.1:9"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://localhost:1/x/", "http://localhost:1/x"),
        ("[::1]:5", "http://[::1]:5"),
        ("::1", "http://[::1]:11434"),
        ("gpu-box:11434", None),
        ("https://localhost:1", None),
        ("127.0.0.1:99999", None),
        ("localhost.evil.example", None),
        ("127.0.0.1@evil.example", None),
    ],
)
def test_the_variable_of_ollama_is_read_as_ollama_reads_it(host: str, address: str | None) -> None:
    """All its spellings are understood, and an address that is not this machine is none of ours."""
    assert ollama_address(host) == address
    assert usual_addresses({"OLLAMA_HOST": host}).get("ollama") == address


@given(st.text(max_size=40))
def test_no_value_of_the_variable_leads_away(host: str) -> None:
    """Whatever stands in OLLAMA_HOST, what is asked is on this machine."""
    from urllib.parse import urlsplit

    address = ollama_address(host)
    assert address is None or is_loopback(urlsplit(address).hostname or "")


def test_without_the_variable_the_usual_ports_are_asked() -> None:
    """Four kinds, each at its vendor's port, all on loopback."""
    assert sorted(usual_addresses({})) == ["llamacpp", "lmstudio", "ollama", "vllm"]


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["llama3", "qwen2.5-coder:7b"], "qwen2.5-coder:7b"),
        (["starcoder2:3b-base", "llama3"], "llama3"),
        (["nomic-embed-text", "bge-m3"], None),
        (["gpt-oss:120b-cloud", "gemma3"], "gemma3"),
        (["gemma3", "llama3"], "gemma3"),
        ([], None),
    ],
)
def test_the_sensible_model_is_chosen(names: list[str], best: str | None) -> None:
    """Models for code first, never one that cannot chat or that runs elsewhere, otherwise the server's own order."""
    assert choose_model([ModelInfo(name) for name in names]) == best


def test_what_the_user_configured_is_not_found_twice() -> None:
    """A server that the configuration names, by name or by address, keeps the user's choices."""
    row = ROWS["ollama"]
    mine = Provider("mine", row, "m", "http://127.0.0.1:11434")
    found = replace(mine, name="ollama", model="x", found=True)
    other = replace(found, name="vllm", base_url="http://127.0.0.1:8000/v1")
    assert together((mine,), (found, other)) == (mine, other)
    assert together((replace(mine, name="ollama", base_url="http://127.0.0.1:1"),), (found,))[0].model == "m"
