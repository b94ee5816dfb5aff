"""Attacks on where a provider is: addresses, proxies, redirects, failover, and every channel beside the body."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import audit
from applications import CLOUD, START, application, environment_of, follow, problem, project, snapshot_of, table
from attacks.stage import CANARY
from glossator.tasks.task import Ask, Explanation, Refusal, TaskName
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Answered, Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.secrets import Secret
from glossator_providers.testing import Asked, FakeProvider, Respond, answering, failing, in_turn
from glossator_providers.transport import Transport

KEY = "canary-key-7f3a9c"
# One kind of each wire; Bedrock and Google sign by libraries of their own, and go through the same door.
KINDS = ("openai-compatible", "openai-responses", "anthropic", "gemini", "azure", "cohere", "ollama", "mistral", "xai")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

PRIVATE = Request((Message(Role.USER, (Fragment(CANARY, (Origin(OriginKind.DOCUMENT, "untitled:Untitled-1"),)),)),))
OPEN = Request((Message(Role.USER, (Fragment("Hello.", (Origin(OriginKind.INSTRUCTION),)),)),))


def provider(base_url: str, *, kind: str = "openai-compatible", name: str = "work", **changes: Any) -> Provider:
    """Make a provider at an address, with a key that must not get about."""
    key = None if ROWS[kind].local else Secret(KEY)
    return Provider(name=name, row=ROWS[kind], model="fake-model", base_url=base_url, key=key, **changes)


def resolving(answers: Sequence[str] | Mapping[str, Sequence[str]]) -> Callable[[str, int], Awaitable[list[str]]]:
    """Make a name server that answers every name so."""

    async def resolve(host: str, port: int) -> list[str]:
        if host == "127.0.0.1":
            return [host]
        return list(answers[host] if isinstance(answers, Mapping) else answers)

    return resolve


class Hurried:
    """A clock that jumps over every pause between attempts; what waits for a provider waits as ever."""

    def __init__(self) -> None:
        self._passed = 0.0

    def clock(self) -> float:
        return time.monotonic() + self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds < 5:
            self._passed += seconds
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(seconds)


@asynccontextmanager
async def routed(
    *providers: Provider,
    policy: Policy = Policy(),  # noqa: B008  a frozen value
    strategy: str = "priority",
    **transport: Any,
) -> AsyncIterator[Router]:
    """Open a router over the real door."""
    door = Transport(trusted_hosts=policy.trusted_hosts, **transport)
    hurried = Hurried()
    try:
        yield Router(
            providers,
            transport=door,
            policy=policy,
            files=LocalFiles(),
            strategy=strategy,
            clock=hurried.clock,
            sleep=hurried.sleep,
        )
    finally:
        await door.aclose()


async def ask(router: Router, request: Request) -> str | GlossatorError:
    """Return the answer's text, or why there is none."""
    try:
        async with aclosing(router.ask(request)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return event.answer.text
    except GlossatorError as error:
        return error
    raise AssertionError("a request ends with an answer or an error")


NOT_LOCAL = (
    ("localhost", ["192.0.2.7"]),
    ("localhost", ["127.0.0.1", "192.0.2.7"]),
    ("localhost", ["::ffff:192.0.2.7"]),
    ("localhost", ["::ffff:c000:207"]),
    ("localhost", ["0.0.0.0"]),
    ("localhost", ["::"]),
    ("localhost", ["::ffff:0.0.0.0"]),
    ("localhost", ["fe80::1%lo"]),
    ("localhost", ["169.254.169.254"]),
    ("localhost", ["64:ff9b::7f00:1"]),
    ("localhost", ["2002:7f00:1::"]),
    ("localhost", ["::127.0.0.1"]),
    ("localhost", ["10.0.0.7"]),
    ("localhost", ["not-an-address"]),
    ("LOCALHOST", ["192.0.2.7"]),
    ("localhost.", ["192.0.2.7"]),
    ("0.0.0.0", ["0.0.0.0"]),
    ("0", ["0.0.0.0"]),
    ("[::]", ["::"]),
    ("[::ffff:192.0.2.7]", ["::ffff:192.0.2.7"]),
    ("[fe80::1]", ["fe80::1"]),
    ("169.254.169.254", ["169.254.169.254"]),
    ("localhost.evil.test", ["127.0.0.1"]),
    ("127.0.0.1.evil.test", ["127.0.0.1"]),
    ("evil-localhost", ["127.0.0.1"]),
    ("gpu.lan", ["127.0.0.1"]),
    ("127.0.0.1\u3002evil.test", ["127.0.0.1"]),
    ("xn--localhost-", ["127.0.0.1"]),
)


@pytest.mark.parametrize(("host", "addresses"), NOT_LOCAL)
async def test_attack_09_a_local_host_that_is_remote(
    host: str, addresses: list[str], connections: list[audit.Attempt]
) -> None:
    """A private text opens no socket to a host that only calls itself this machine, by any spelling or any DNS answer."""
    async with FakeProvider(respond=answering("leaked")) as server:
        to = provider(f"http://{host}:{server.port}/v1")
        async with routed(to, resolve=resolving(addresses)) as router:
            told = await ask(router, PRIVATE)
        assert isinstance(told, GlossatorError), told
        assert CANARY not in str(told)
        assert server.connections == 0
    assert connections == []


async def test_attack_09_dns_answers_that_change() -> None:
    """A name that was loopback a moment ago is looked up anew for each connection, and not believed when it has moved."""
    answers = [["127.0.0.1"], ["192.0.2.7"]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    gone = asyncio.Event()

    async def closing(asked: Asked) -> None:
        await asked.answer("here")
        asked.drop()
        await asked.closed
        gone.set()

    async with FakeProvider(respond=closing) as server:
        async with routed(provider(f"http://localhost:{server.port}/v1"), resolve=resolve) as router:
            assert await ask(router, PRIVATE) == "here"
            await gone.wait()
            told = await ask(router, PRIVATE)
        assert isinstance(told, GlossatorError)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("listed", "address", "arrives"),
    [
        (("127.0.0.2",), "127.0.0.2", True),
        (("gpu.lan", "127.0.0.1"), "127.0.0.1", True),
        (("gpu.lan",), "192.0.2.7", False),
        (("gpu.lan", "192.0.2.8"), "192.0.2.7", False),
    ],
)
async def test_attack_09_a_trusted_name_without_a_certificate(
    listed: tuple[str, ...], address: str, *, arrives: bool, connections: list[audit.Attempt]
) -> None:
    """A trusted host is proven by its address or its certificate: over plain HTTP a name that a DNS server may move is neither."""
    async with FakeProvider(respond=answering("here")) as server:
        host = listed[0]
        to = provider(f"http://{host}:{server.port}/v1")
        policy = Policy(trusted_hosts=listed)
        async with routed(to, policy=policy, resolve=resolving([address])) as router:
            told = await ask(router, PRIVATE)
    if arrives and address == "127.0.0.1":
        assert told == "here"
    elif not arrives:
        assert isinstance(told, GlossatorError)
        assert "https" in str(told)
        assert connections == []


@pytest.mark.parametrize("by", ["name", "list", "answer"])
async def test_attack_09_a_local_server_that_forwards(by: str) -> None:
    """Ollama's cloud models get no private text, whether their name, the server's list or only its answer gives them away."""
    model = "gpt-oss:120b-cloud" if by == "name" else "quiet"

    async def forwarding(asked: Asked) -> None:
        await asked.forward("https://ollama.com:443", "leaked")

    remote = (model,) if by == "list" else ()
    async with FakeProvider("ollama", models=(model,), remote_models=remote, respond=forwarding) as server:
        to = Provider(name="ollama", row=ROWS["ollama"], model=model, base_url=server.base_url)
        async with routed(to) as router:
            told = await ask(router, PRIVATE)
        assert isinstance(told, GlossatorError), told
        if by != "answer":
            assert all(CANARY.encode() not in request.body for request in server.requests)


@pytest.mark.parametrize("no_proxy", ["", "*", "localhost", "evil.test"])
async def test_attack_10_proxies(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every proxy variable set, every protocol goes straight to every spelling of this machine."""
    async with FakeProvider(respond=answering("leaked")) as proxy, AsyncExitStack() as stack:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        monkeypatch.setenv("no_proxy", no_proxy)
        for kind, host in itertools.product(KINDS, ("localhost", "127.0.0.1", "LOCALHOST")):
            server = await stack.enter_async_context(FakeProvider(kind, respond=answering("here")))
            to = provider(server.base_url.replace("127.0.0.1", host), kind=kind)
            async with routed(to) as router:
                assert await ask(router, PRIVATE) == "here", (kind, host)
        assert proxy.connections == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_attack_11_redirects(kind: str) -> None:
    """A redirect of any number to anywhere is an error: neither body nor key goes on, and nothing is asked a second time there."""
    async with FakeProvider(kind, respond=answering("leaked")) as thief, AsyncExitStack() as stack:
        for status in (300, 301, 302, 303, 305, 307, 308):
            for target in (thief.origin, f"//127.0.0.1:{thief.port}/x", f"http://u:p@127.0.0.1:{thief.port}/"):
                headers = {
                    "location": target,
                    "refresh": f"0; url={thief.origin}",
                    "alt-svc": f'h2="127.0.0.1:{thief.port}"; ma=9999, http/1.1="127.0.0.1:{thief.port}"',
                    "content-location": thief.origin,
                    "link": f"<{thief.origin}>; rel=preconnect",
                    "strict-transport-security": "max-age=9999",
                }
                server = await stack.enter_async_context(FakeProvider(kind, respond=failing(status, b"{}", headers)))
                async with routed(provider(server.base_url, kind=kind)) as router:
                    told = await ask(router, PRIVATE)
                assert isinstance(told, GlossatorError), (status, target)
                assert KEY not in str(told)
                assert CANARY not in str(told)
        assert thief.connections == 0


async def test_attack_11_alternative_services() -> None:
    """An alternative service that a provider advertises with a good answer is never used."""

    async def advertising(asked: Asked) -> None:
        await asked.start(headers={"alt-svc": f'h3="127.0.0.1:{thief.port}"; ma=9999; persist=1'})
        await asked.answer("here")

    async with FakeProvider() as thief, FakeProvider(respond=advertising) as server:
        async with routed(provider(server.base_url)) as router:
            for _ in range(3):
                assert await ask(router, PRIVATE) == "here"
        assert thief.connections == 0


async def _hang_up(asked: Asked) -> None:
    asked.drop()


async def _break_off(asked: Asked) -> None:
    await asked.say("half an ans")
    asked.drop()


async def _late(asked: Asked) -> None:
    await asked.say("half an ans")
    await asked.fail_in_stream()


async def _garbage(asked: Asked) -> None:
    await asked.send(b"\x00\xff garbage")
    await asked.end()


async def _empty(asked: Asked) -> None:
    await asked.end()


FAILURES: Mapping[str, Respond] = {
    "hang up": _hang_up,
    "break off": _break_off,
    "late": _late,
    "garbage": _garbage,
    "empty": _empty,
    "overloaded": failing(529),
    "rate": failing(429, headers={"retry-after": "0"}),
    "server": failing(500),
    "no model": failing(404),
    "auth": failing(401),
    "too long": failing(413),
    "in turn": in_turn(_break_off, failing(503), _garbage, _hang_up),
}


@pytest.mark.parametrize("strategy", ["priority", "local-first", "fastest", "cheapest", "round-robin", "sticky"])
@pytest.mark.parametrize("name", FAILURES)
async def test_attack_13_fallback_to_a_cloud(name: str, strategy: str) -> None:
    """However a local server fails, a private request goes to no cloud; the same router takes an open one there."""
    async with FakeProvider(respond=FAILURES[name]) as here, FakeProvider(respond=answering("from afar")) as cloud:
        near = provider(here.base_url, name="near")
        far = replace(provider(f"http://cloud.test:{cloud.port}/v1", name="far"), key=None)
        resolve = resolving(["127.0.0.1"])
        async with routed(far, near, strategy=strategy, resolve=resolve) as router:
            for _ in range(3):  # the third time its breaker is open
                assert isinstance(await ask(router, PRIVATE), GlossatorError)
            assert cloud.connections == 0
            assert await ask(router, OPEN) == "from afar"


async def test_attack_13_named_by_the_user(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """Even where the user names the cloud, or nothing else is left, a private document gets a refusal with its rule."""
    workspace = project(tmp_path / "work", {".env": f"A={CANARY}\n"})
    environment = environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        for named in ("cloud", None):
            question = Ask(TaskName.ASK, snapshot_of(workspace / ".env"), START, instruction="Why?", provider=named)
            _, result = await follow(opened, question)
            assert isinstance(result, Refusal)
            assert result.kind == "policy"
            assert CANARY not in result.message
    assert connections == []


_HEADERS = frozenset(
    {
        *("host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "connection"),
        *("authorization", "x-api-key", "api-key", "x-goog-api-key", "anthropic-version", "anthropic-beta"),
    }
)


@pytest.mark.parametrize("kind", KINDS)
async def test_attack_20_channels_beside_the_body(kind: str, tmp_path: Path) -> None:
    """Neither the request's line nor its headers hold a word of the workspace, of the text or of this machine's user."""
    workspace = project(tmp_path / f"work-{CANARY}", {f"{CANARY}.py": f"import os\nx = '{CANARY}'\n"})
    async with FakeProvider(kind, respond=answering("Fine.")) as server:
        environment = environment_of(tmp_path / "user", table(server), ANTHROPIC_API_KEY="unused")
        async with application(workspace, environment) as opened:
            snapshot = snapshot_of(workspace / f"{CANARY}.py")
            known = problem(snapshot, "os", code="F401", message=f"`os` imported but unused, {CANARY}")
            question = Ask(TaskName.EXPLAIN, snapshot, known.region, (known,))
            _, result = await follow(opened, question)
            assert isinstance(result, Explanation)
    heads = [request.raw.partition(b"\r\n\r\n")[0].decode("latin-1") for request in server.requests]
    assert any(CANARY.encode() in request.body for request in server.requests)
    for request, head in zip(server.requests, heads, strict=True):
        assert set(request.headers) <= _HEADERS, set(request.headers) - _HEADERS
        assert request.headers["user-agent"] == "glossator"
        for word in (CANARY, str(tmp_path), Path.home().name, "canary-7f3a9c"):
            assert word not in head


async def test_attack_20_the_name_of_a_private_file_stays_too(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """A request about an open file that a checker relates to a private one goes out without the private one's name or words."""
    workspace = project(tmp_path / "work", {"app.py": "x = 1\n", f"secrets/{CANARY}.py": "y = 1\n"})
    async with application(workspace, environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")) as opened:
        why = opened.why(snapshot_of(workspace / "secrets" / f"{CANARY}.py"))
        assert why.level == "private"
        assert why.route == ()
        assert opened.why(snapshot_of(workspace / "app.py")).route == ("cloud",)
    assert connections == []
