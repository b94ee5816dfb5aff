"""The fault matrix: whatever fails at a provider, in whichever protocol, the user gets the next one's answer or one clear error.

Each case asks a real server on loopback through a real door. Time is moved by hand, and only while a server is silent, so that
no case waits for a time limit and none runs into one by accident.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

import parts
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import GlossatorError, Kind, may_try_again
from glossator_providers.model import (
    Answer,
    Answered,
    Chosen,
    Event,
    Fragment,
    Message,
    Origin,
    OriginKind,
    Request,
    Restarted,
    Role,
    Text,
    Waiting,
)
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.testing import DEADLINE, FAULTS, Asked, FaultServer, Respond, fault
from glossator_providers.transport import Transport

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One kind of provider for each protocol.
KINDS = ("openai", "openai-responses", "anthropic", "gemini", "bedrock", "cohere", "ollama")
KEY = "sk-" + "0123456789abcdef" * 2
PROMPT = "Why is nobody but me to read this?"
ATTEMPTS = 3  # that a provider is asked at most

# What happens before a server has read the request: the address is at fault.
ADDRESSES = (
    "refused",
    "unknown name",
    "unknown certificate",
    "no TLS where TLS is expected",
    "TLS where none is expected",
)
# How far the clock leaps, in seconds, while a provider answers well, and whether sleepers wake by it: those of a process do when
# its machine was frozen and the clock went on, and they do not where the clock alone was set.
JUMPS: Mapping[str, tuple[float, bool]] = {
    "clock leaps ahead": (3600.0, True),
    "clock leaps a little": (45.0, True),
    "clock is set ahead": (3600.0, False),
    "clock is set back": (-3600.0, False),
}

EXPECTED: Mapping[str, Kind] = {
    **dict.fromkeys(ADDRESSES, Kind.NETWORK),
    "closed before the headers": Kind.NETWORK,
    "reset before the headers": Kind.NETWORK,
    "closed after the headers": Kind.NETWORK,
    "reset after the headers": Kind.NETWORK,
    "closed in the middle": Kind.NETWORK,
    "reset in the middle": Kind.NETWORK,
    "ends in the middle": Kind.BROKEN_STREAM,
    "hangs before the headers": Kind.TIMEOUT,
    "hangs after the headers": Kind.TIMEOUT,
    "hangs in the middle": Kind.TIMEOUT,
    "drips at first": Kind.TIMEOUT,
    "drips in the middle": Kind.TIMEOUT,
    "says nothing": Kind.BROKEN_STREAM,
    "garbage": Kind.BROKEN_STREAM,
    "garbage in the middle": Kind.BROKEN_STREAM,
    "a character cut in two": Kind.BROKEN_STREAM,
    "error at once": Kind.OVERLOADED,
    "error in the middle": Kind.OVERLOADED,
    "web page": Kind.SERVER,
    "echo": Kind.BROKEN_STREAM,
    "redirect": Kind.BAD_REQUEST,
    "429 for long": Kind.RATE,
    "400": Kind.BAD_REQUEST,
    "401": Kind.AUTH,
    "402": Kind.NO_CREDIT,
    "403": Kind.FORBIDDEN,
    "404": Kind.NO_MODEL,
    "408": Kind.TIMEOUT,
    "409": Kind.BAD_REQUEST,
    "413": Kind.TOO_LONG,
    "422": Kind.BAD_REQUEST,
    "429": Kind.RATE,
    "500": Kind.SERVER,
    "502": Kind.SERVER,
    "503": Kind.OVERLOADED,
    "504": Kind.TIMEOUT,
    "520": Kind.SERVER,
    "521": Kind.SERVER,
    "522": Kind.SERVER,
    "523": Kind.SERVER,
    "524": Kind.TIMEOUT,
    "525": Kind.SERVER,
    "526": Kind.SERVER,
    "529": Kind.OVERLOADED,
    **dict.fromkeys(JUMPS, Kind.TIMEOUT),
}
# With status 200 a failure of these two is a document without an answer, and cannot be told from any other such.
ELSEWISE: Mapping[tuple[str, str, bool], Kind] = {
    (name, kind, False): Kind.BROKEN_STREAM
    for name in ("error at once", "error in the middle")
    for kind in ("bedrock", "cohere")
}
# A leap of the clock is no fault of the provider's, which may well have answered.
MAY_BE_ANSWERED = frozenset(JUMPS)
OVER_TLS = tuple(name for name in FAULTS if not name[0].isdigit())


@dataclass
class Clock:
    """A clock that is moved by hand; the pauses of the task that asks pass at once, all other sleeps are stepped through.

    What it shows may leap, and sleepers may or may not take that for time that has passed.
    """

    now: float = 1000.0
    asker: asyncio.Task[object] | None = None
    _passed: float = 0.0
    _sleepers: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if asyncio.current_task() is self.asker:
            self._move(seconds)
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._passed + seconds, future))
        await future

    @property
    def soon(self) -> bool:
        """Whether somebody sleeps for so short a time that it is no time limit."""
        return any(end - self._passed < 1 for end, future in self._sleepers if not future.done())

    def step(self) -> None:
        """Move to the end of the next sleep."""
        waiting = [end for end, future in self._sleepers if not future.done()]
        if waiting:
            self._move(max(0.0, min(waiting) - self._passed))

    def leap(self, seconds: float, *, wakes: bool) -> None:
        """Show another time from now on; *wakes* says that sleepers take it for time that has passed."""
        if wakes:
            self._move(seconds)
        else:
            self.now += seconds

    def _move(self, seconds: float) -> None:
        self._passed += seconds
        self.now += seconds
        for end, future in self._sleepers:
            if end <= self._passed and not future.done():
                future.set_result(None)
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]


@dataclass(frozen=True)
class Servers:
    """All servers of the suite, one for each kind, each with a mark of its own in all that it says."""

    plain: Mapping[str, FaultServer]
    encrypted: Mapping[str, FaultServer]
    trusting: ssl.SSLContext
    refused: int  # a port at which nobody listens


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a server's certificate for this machine, with its key in the same file."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    key, pem = folder / "key", folder / "pem"
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([parts.program("openssl"), *command, *subject], check=True, capture_output=True, timeout=60)
    pem.write_text(pem.read_text() + key.read_text())
    return pem


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(certificate: Path) -> AsyncIterator[Servers]:
    """Start every server once."""
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    plain = {kind: FaultServer(kind, pieces=said_by(kind)) for kind in KINDS}
    encrypted = {kind: FaultServer(kind, pieces=said_by(kind), tls=own) for kind in KINDS}
    gone = FaultServer()
    everybody = [*plain.values(), *encrypted.values(), gone]
    for server in everybody:
        await server.__aenter__()
    refused = gone.port
    await gone.stop()
    yield Servers(plain, encrypted, ssl.create_default_context(cafile=str(certificate)), refused)
    for server in everybody:
        await server.__aexit__(None, None, None)


def said_by(kind: str) -> tuple[str, ...]:
    """Return the pieces of this kind's answer, none of which another kind says."""
    return tuple(f"{kind} {place} ✓ " for place in range(4))


async def resolve(host: str, port: int) -> list[str]:
    """Know no names, only addresses."""
    if host == "127.0.0.1":
        return [host]
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@asynccontextmanager
async def opened(trusting: ssl.SSLContext | None = None) -> AsyncIterator[Transport]:
    """Give a door of its own to each case, so that what it leaves open is told."""
    context = trusting or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = Transport(resolve=resolve, make_context=lambda: context)
    try:
        yield transport
    finally:
        await transport.aclose()


def busy(transport: Transport) -> list[str]:
    """Return the connections of a door that serve nobody any more and cannot serve anybody again."""
    every = (connection for pool in transport._doorway._pools.values() for connection in pool.connections)
    return [repr(connection) for connection in every if not (connection.is_idle() or connection.is_closed())]


def provider(name: str, kind: str, address: str) -> Provider:
    """Make a provider that a user would have configured for this address."""
    return Provider(name, ROWS[kind], "fake-model", address, key=Secret(KEY))


def route(*providers: Provider, transport: Transport, clock: Clock, hedged: bool = False) -> Router:
    """Make a router that asks these in this order."""
    return Router(
        providers,
        transport=transport,
        policy=Policy(),
        files=LocalFiles(),
        strategy="priority",
        order=[one.name for one in providers],
        clock=clock.time,
        sleep=clock.sleep,
        random=lambda: 0.5,
        max_attempts=ATTEMPTS,
        hedged=hedged,
    )


@dataclass
class Outcome:
    """What a request came to: every event, and the error that ended it."""

    events: list[Event] = field(default_factory=list)
    error: GlossatorError | None = None

    @property
    def answer(self) -> Answer | None:
        last = self.events[-1] if self.events else None
        return last.answer if isinstance(last, Answered) else None


async def turns(number: int = 10) -> None:
    """Let the event loop go round, so that bytes on loopback arrive."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> bool:
    """Let the event loop go round until something holds, or for so long that it never will."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110  it waits for bytes on loopback, which set no event
                await asyncio.sleep(0)
    return condition()


def _waits(outcome: Outcome) -> bool:
    return bool(outcome.events) and isinstance(outcome.events[-1], Waiting)


async def ask(router: Router, request: Request, clock: Clock, *servers: FaultServer) -> Outcome:
    """Ask, and move the clock wherever a server has fallen silent; a case that hangs all the same fails."""
    outcome = Outcome()

    async def listen() -> None:
        clock.asker = asyncio.current_task()
        try:
            async with aclosing(router.ask(request)) as events:
                async for event in events:
                    outcome.events.append(event)
        except GlossatorError as error:
            outcome.error = error

    listener = asyncio.create_task(listen())
    async with asyncio.timeout(DEADLINE):
        while not listener.done():
            if any(server.silent for server in servers):
                await turns()
                if any(server.silent for server in servers):
                    clock.step()
            elif not any(server.in_flight for server in servers) and (_waits(outcome) or clock.soon):
                clock.step()  # it waits for its turn, and nobody is asked meanwhile
            await asyncio.sleep(0)
    await listener
    return outcome


def leaping(seconds: float, clock: Clock, *, wakes: bool) -> Respond:
    """Return a provider that answers well, while the client's clock leaps."""

    async def respond(asked: Asked) -> None:
        pieces = said_by("leaping")
        await asked.say(pieces[0])
        await turns()
        clock.leap(seconds, wakes=wakes)
        for piece in pieces[1:]:
            await asked.say(piece)
            await turns()
        await asked.finish()

    return respond


def check(outcome: Outcome, name: str, *, second: str | None, expected: Kind) -> None:
    """Fail unless the request came to one whole answer of one model, or to one clear error, in the permitted attempts."""
    shown, chosen = "", []
    for event in outcome.events:
        match event:
            case Chosen(who):
                assert not shown, "text of one attempt stands before another"
                chosen.append(who)
            case Text(text):
                shown += text
            case Restarted():
                shown = ""
            case _:
                pass
    answers = [event for event in outcome.events if isinstance(event, Answered)]
    assert len(answers) + (outcome.error is not None) == 1
    permitted = ATTEMPTS if may_try_again(expected) else 1
    assert 1 <= chosen.count("first") <= permitted
    assert chosen.count("second") <= 1
    assert chosen == sorted(chosen)
    if outcome.answer is not None:
        answer = outcome.answer
        assert second is not None or name in MAY_BE_ANSWERED
        wrote = {"first": "leaping", "second": second or ""}[answer.provider]
        assert answer.text == shown == "".join(said_by(wrote))
        assert [attempt.provider for attempt in answer.attempts] == chosen
        failures = [attempt.error for attempt in answer.attempts[:-1]]
    else:
        assert second is None or name == "clock leaps ahead"
        assert isinstance(outcome.error, RequestFailed)
        assert outcome.error.kind is expected
        assert [attempt.provider for attempt in outcome.error.attempts] == chosen
        failures = [outcome.error, *(attempt.error for attempt in outcome.error.attempts)]
    for failure in failures:
        assert failure is not None
        assert failure.kind is expected
        assert len(failure.message) > 5
        for said in (str(failure), repr(failure), str(failure.code)):
            assert KEY not in said
            assert "0123456789abcdef" not in said
            assert PROMPT not in said


def cases(names: tuple[str, ...]) -> list[object]:
    """Return each fault for each kind, streamed and not, with and without somebody else to ask."""
    every = itertools.product(names, KINDS, (True, False), (True, False))
    return [
        pytest.param(
            *case, id=f"{case[0]}, {case[1]}, {'stream' if case[2] else 'whole'}, {'two' if case[3] else 'one'}"
        )
        for case in every
    ]


REQUEST = Request((Message(Role.USER, (Fragment(PROMPT, (Origin(OriginKind.INSTRUCTION),)),)),))


def address(name: str, kind: str, servers: Servers) -> str:
    """Return where the first provider of a case is thought to be."""
    plain, encrypted = servers.plain[kind].base_url, servers.encrypted[kind].base_url
    match name:
        case "refused":
            return plain.replace(str(servers.plain[kind].port), str(servers.refused))
        case "unknown name":
            return "https://provider.invalid/v1"
        case "unknown certificate":
            return encrypted
        case "no TLS where TLS is expected":
            return plain.replace("http:", "https:")
        case "TLS where none is expected":
            return encrypted.replace("https:", "http:")
    return plain


async def play(name: str, kind: str, servers: Servers, *, stream: bool, two: bool, encrypted: bool = False) -> None:
    """Play one case and check what it came to, and that nothing is left open or running."""
    clock = Clock()
    other = KINDS[(KINDS.index(kind) + 1) % len(KINDS)]
    first, second = (servers.encrypted if encrypted else servers.plain)[kind], servers.plain[other]
    everybody = (first, second, servers.encrypted[kind])
    where = first.base_url if encrypted else address(name, kind, servers)
    tasks = asyncio.all_tasks()
    before = replace(first.counts), replace(second.counts)
    second.fault = None
    if name in JUMPS:
        seconds, wakes = JUMPS[name]
        first.fault = leaping(seconds, clock, wakes=wakes)
    elif name in FAULTS:
        first.fault = fault(name, sleep=clock.sleep)
    else:
        first.fault = None
    async with opened(servers.trusting if encrypted else None) as transport:
        providers = [provider("first", kind, where)] + [provider("second", other, second.base_url)] * two
        router = route(*providers, transport=transport, clock=clock)
        outcome = await ask(router, replace(REQUEST, stream=stream), clock, first)
        expected = ELSEWISE.get((name, kind, stream), EXPECTED[name])
        check(outcome, name, second=other if two else None, expected=expected)
        assert await until(lambda: not any(server.in_flight for server in everybody)), "a request is still open"
        assert not busy(transport)
    assert await until(lambda: not any(server.open_connections for server in everybody)), "a connection is left"
    clock.step()  # whoever drips wakes up, and finds that nobody listens
    assert await until(lambda: asyncio.all_tasks() == tasks), "a task is left"
    asked = [event.provider for event in outcome.events if isinstance(event, Chosen)]
    assert first.counts.requests - before[0].requests == (0 if name in ADDRESSES else asked.count("first"))
    assert second.counts.requests - before[1].requests == asked.count("second")


@pytest.mark.parametrize(("name", "kind", "stream", "two"), cases((*ADDRESSES, *FAULTS, *JUMPS)))
async def test_every_fault_ends_in_the_next_answer_or_one_clear_error(
    servers: Servers, started_server: Callable[[int], None], name: str, kind: str, *, stream: bool, two: bool
) -> None:
    """No hang, no second answer, no text of two models, nothing left open, no attempt too many, no key and no prompt in what is said."""
    started_server(servers.refused)
    await play(name, kind, servers, stream=stream, two=two)


@pytest.mark.parametrize(("name", "kind", "stream", "two"), cases(OVER_TLS))
async def test_every_fault_of_a_connection_is_the_same_over_tls(
    servers: Servers, name: str, kind: str, *, stream: bool, two: bool
) -> None:
    """Encryption is no other world: the same outcome, and as little left behind."""
    await play(name, kind, servers, stream=stream, two=two, encrypted=True)


@pytest.mark.parametrize("seed", range(30))
async def test_any_sequence_of_faults_is_survived_by_one_router(servers: Servers, seed: int) -> None:
    """What a router has learned from faults (who rests, who is slow, who is asked at the same time) never costs an outcome its form."""
    chance = Random(seed)
    clock = Clock()
    first, second = (servers.plain[kind] for kind in chance.sample(KINDS, 2))
    kinds = {"first": first.kind, "second": second.kind}
    tasks = asyncio.all_tasks()
    async with opened() as transport:
        providers = [
            provider(name, server.kind, server.base_url) for name, server in zip(kinds, (first, second), strict=True)
        ]
        router = route(*providers, transport=transport, clock=clock, hedged=seed % 2 > 0)
        for _ in range(12):
            names = [chance.choice(FAULTS) if chance.random() < 0.6 else None for _ in kinds]
            for server, name in zip((first, second), names, strict=True):
                server.fault = fault(name, sleep=clock.sleep) if name else None
            asked = first.counts.requests, second.counts.requests
            outcome = await ask(router, replace(REQUEST, stream=chance.random() < 0.7), clock, first, second)
            check_form(outcome, kinds)
            # Who rests or must wait may be passed over (see the expected failure below), but who is asked and sound has answered.
            now = first.counts.requests, second.counts.requests
            sound = [place for place, name in enumerate(names) if name is None]
            assert outcome.answer is not None or all(now[place] == asked[place] for place in sound), names
            assert await until(lambda: not first.in_flight + second.in_flight), "a request is still open"
            assert not busy(transport)
            assert first.counts.requests - asked[0] <= ATTEMPTS
            assert second.counts.requests - asked[1] <= ATTEMPTS
            clock.leap(chance.choice((0.0, 10.0, 100.0)), wakes=True)
    assert await until(lambda: not first.open_connections + second.open_connections), "a connection is left"
    clock.leap(60.0, wakes=True)
    assert await until(lambda: asyncio.all_tasks() == tasks), "a task is left"


async def test_who_rests_is_asked_where_nobody_else_can_answer(servers: Servers) -> None:
    """After both have failed for long the first is sound again, and answers though its rest is not over."""
    clock = Clock()
    first, second = servers.plain["openai"], servers.plain["anthropic"]
    first.fault = second.fault = fault("500")
    async with opened() as transport:
        providers = provider("first", "openai", first.base_url), provider("second", "anthropic", second.base_url)
        router = route(*providers, transport=transport, clock=clock)
        for _ in range(3):
            assert (await ask(router, REQUEST, clock, first, second)).answer is None
        first.fault = None
        answer = (await ask(router, REQUEST, clock, first, second)).answer
    assert answer is not None
    assert answer.provider == "first"


def check_form(outcome: Outcome, kinds: Mapping[str, str]) -> None:
    """Fail unless there is one whole answer of one model, which is what was shown, or one error without key and prompt."""
    shown = ""
    for event in outcome.events:
        if isinstance(event, Text):
            shown += event.text
        elif isinstance(event, Restarted):
            shown = ""
    assert sum(isinstance(event, Answered) for event in outcome.events) + (outcome.error is not None) == 1
    if outcome.answer is not None:
        assert outcome.answer.text == shown == "".join(said_by(kinds[outcome.answer.provider]))
    else:
        assert isinstance(outcome.error, RequestFailed)
        assert len(outcome.error.message) > 5
        assert not any(secret in repr(outcome.error) for secret in (KEY, PROMPT))


async def test_the_matrix_is_whole() -> None:
    """Each fault has its expected outcome, and none is named that there is not."""
    assert set(EXPECTED) == {*ADDRESSES, *FAULTS, *JUMPS}
