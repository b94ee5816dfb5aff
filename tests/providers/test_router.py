"""The story of a request: who is asked, how often, what is told meanwhile, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glossator_providers.catalog import ROWS, Capabilities, Provider, Timeouts
from glossator_providers.errors import EgressDenied, Kind, NoProvider, PolicyRefusal, ProviderError
from glossator_providers.model import (
    Allowance,
    Answered,
    Chosen,
    Effort,
    Event,
    FinishReason,
    Fragment,
    Message,
    Origin,
    OriginKind,
    Request,
    Restarted,
    Role,
    Text,
    ToolCall,
)
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.testing import Asked, FakeProvider, Respond, answering, failing, in_turn
from glossator_providers.transport import Transport

KINDS = ["openai-compatible", "anthropic", "ollama"]


def ask_for(text: str = "hello", *, origin: Origin | None = None, **changes: Any) -> Request:
    """Make a request of one typed message; with an origin it is text of that document."""
    fragment = Fragment(text, (origin or Origin(OriginKind.INSTRUCTION),))
    return replace(Request((Message(Role.USER, (fragment,)),)), **changes)


PRIVATE = ask_for("the plan", origin=Origin(OriginKind.DOCUMENT, "untitled:Untitled-1"))


def at(fake: FakeProvider, name: str = "fake", **changes: Any) -> Provider:
    """Make a provider that a user would have configured for this fake."""
    provider = Provider(name, ROWS[fake.kind], "fake-model", fake.base_url, key=Secret("k"))
    return replace(provider, **changes)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Give a real door."""
    transport = Transport()
    yield transport
    await transport.aclose()


Make = Callable[..., Router]


@pytest.fixture
def make(transport: Transport) -> Make:
    """Give a maker of routers that never wait and always draw the largest pause."""
    passed = 0.0

    async def no_sleep(seconds: float) -> None:
        nonlocal passed
        if seconds < 5:
            passed += seconds  # a pause is over at once: time moves on by it
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(seconds)

    def make(*providers: Provider, **options: Any) -> Router:
        settings: dict[str, Any] = {
            "transport": transport,
            "policy": Policy(),
            "files": LocalFiles(),
            "sleep": no_sleep,
            "clock": lambda: time.monotonic() + passed,
            "random": lambda: 0.99,
        }
        return Router(providers, **(settings | options))

    return make


async def everything(events: AsyncIterator[Event]) -> list[Event]:
    """Collect all events."""
    return [event async for event in events]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_comes_whole(make: Make, kind: str, *, stream: bool) -> None:
    """Chosen first, the text in order, Answered last with the model's name and the usage; one connection."""
    async with FakeProvider(kind, respond=answering("Grüße ", "😀")) as fake:
        events = await everything(make(at(fake)).ask(ask_for(stream=stream)))
        assert fake.connections == 1
    assert events[0] == Chosen("fake", "fake-model", local=True)
    assert "".join(event.text for event in events if isinstance(event, Text)) == "Grüße 😀"
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    assert (answer.text, answer.finish, answer.model, answer.local) == (
        "Grüße 😀",
        FinishReason.STOP,
        "fake-model",
        True,
    )
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)
    assert [attempt.error for attempt in answer.attempts] == [None]


async def garbage(asked: Asked) -> None:
    """Send what is no JSON and no UTF-8."""
    await asked.send(b"data: {{{\n\n\xff\xfe{")
    await asked.end()


async def half_a_character(asked: Asked) -> None:
    """Break a character in the middle."""
    await asked.send('data: {"choices":[{"delta":{"content":"ü"}}]}'.encode()[:-4] + b"\xc3\n\n")
    await asked.end()


async def nothing(asked: Asked) -> None:
    """Answer 200 and nothing else."""
    await asked.end()


async def dropped_at_once(asked: Asked) -> None:
    """Close the connection before the headers."""
    asked.drop()


async def dropped_after_headers(asked: Asked) -> None:
    """Close the connection before the first byte of the body."""
    await asked.start()
    asked.drop()


async def dropped_in_the_middle(asked: Asked) -> None:
    """Close the connection after some text."""
    await asked.say("half an ans")
    asked.drop()


async def ended_in_the_middle(asked: Asked) -> None:
    """End the body cleanly, without the protocol's last event."""
    await asked.say("half an ans")
    await asked.end()


async def a_hundred_megabytes(asked: Asked) -> None:
    """Send a line that does not end."""
    await asked.flood(100_000_000)


async def a_web_page(asked: Asked) -> None:
    """Answer with the login page of some gateway."""
    await asked.reply(200, "<html><title>Log in</title></html>", {"content-type": "text/html; charset=utf-8"})


async def json_for_a_stream(asked: Asked) -> None:
    """Answer 200 with an error in JSON, as xAI does."""
    await asked.reply(200, '{"code": "invalid-argument", "error": "Incorrect API key provided: k"}')


async def overloaded_in_the_stream(asked: Asked) -> None:
    """Report an overload after some text."""
    await asked.say("half an ans")
    await asked.fail_in_stream()


async def redirected(asked: Asked) -> None:
    """Send the client elsewhere."""
    await asked.fail(307, b"away", {"location": "http://127.0.0.1:1/"})


FAULTS = [
    pytest.param(failing(401), Kind.AUTH, 1, id="401"),
    pytest.param(failing(403), Kind.FORBIDDEN, 1, id="403"),
    pytest.param(failing(404), Kind.NO_MODEL, 1, id="404"),
    pytest.param(failing(400), Kind.BAD_REQUEST, 1, id="400"),
    pytest.param(failing(413), Kind.TOO_LONG, 1, id="413"),
    pytest.param(failing(402), Kind.NO_CREDIT, 1, id="402"),
    pytest.param(failing(429, headers={"retry-after": "1"}), Kind.RATE, 3, id="429"),
    pytest.param(failing(503), Kind.OVERLOADED, 3, id="503"),
    pytest.param(failing(529), Kind.OVERLOADED, 3, id="529"),
    pytest.param(failing(500, b"x" * 500_000), Kind.SERVER, 3, id="500"),
    pytest.param(redirected, Kind.BAD_REQUEST, 1, id="redirected"),
    pytest.param(garbage, Kind.BROKEN_STREAM, 3, id="garbage"),
    pytest.param(half_a_character, Kind.BROKEN_STREAM, 3, id="half_a_character"),
    pytest.param(nothing, Kind.BROKEN_STREAM, 3, id="nothing"),
    pytest.param(dropped_at_once, Kind.NETWORK, 3, id="dropped_at_once"),
    pytest.param(dropped_after_headers, Kind.NETWORK, 3, id="dropped_after_headers"),
    pytest.param(dropped_in_the_middle, Kind.NETWORK, 3, id="dropped_in_the_middle"),
    pytest.param(ended_in_the_middle, Kind.BROKEN_STREAM, 3, id="ended_in_the_middle"),
    pytest.param(a_hundred_megabytes, Kind.BROKEN_STREAM, 3, id="a_hundred_megabytes"),
    pytest.param(a_web_page, Kind.SERVER, 3, id="a_web_page"),
    pytest.param(json_for_a_stream, Kind.AUTH, 1, id="json_for_a_stream"),
    pytest.param(overloaded_in_the_stream, Kind.OVERLOADED, 3, id="overloaded_in_the_stream"),
]


@pytest.mark.parametrize(("fault", "kind", "times"), FAULTS)
async def test_every_fault_is_one_clear_error(make: Make, fault: Respond, kind: Kind, times: int) -> None:
    """With nobody else to ask: exactly the permitted attempts, then one error that names the provider; nothing is left open."""
    tasks = len(asyncio.all_tasks())
    async with FakeProvider(respond=fault) as fake:
        with pytest.raises(RequestFailed) as caught:
            await make(at(fake)).answer(ask_for())
        assert len([request for request in fake.requests if request.method == "POST"]) == times
        assert len(caught.value.attempts) == times
    assert (caught.value.kind, caught.value.provider) == (kind, "fake")
    assert str(caught.value)
    assert not str(caught.value).endswith(".")
    assert len(asyncio.all_tasks()) == tasks


@pytest.mark.parametrize(("fault", "kind", "times"), FAULTS)
async def test_every_fault_is_answered_by_the_next(make: Make, fault: Respond, kind: Kind, times: int) -> None:
    """The second provider's answer is whole, says who wrote it, and nothing of the first one's is in it."""
    async with FakeProvider(respond=fault) as broken, FakeProvider("anthropic", respond=answering("whole")) as sound:
        router = make(at(broken, "first"), at(sound, "second"))
        events = await everything(router.ask(ask_for()))
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    assert (answer.text, answer.provider) == ("whole", "second")
    asked = [attempt.provider for attempt in answer.attempts]
    assert asked == ["first"] * times + ["second"]
    assert [event.provider for event in events if isinstance(event, Chosen)] == asked
    # Since the last Restarted (or the start) there is only the second provider's text.
    shown = ""
    for event in events:
        match event:
            case Text(text):
                shown += text
            case Restarted():
                shown = ""
            case _:
                pass
    assert shown == "whole"


async def test_a_refused_connection_is_told(make: Make, started_server: Callable[[int], None]) -> None:
    """A server that is not there is a network error, or the next provider's turn."""
    async with FakeProvider(respond=answering("x")) as gone, FakeProvider(respond=answering("ok")) as fake:
        await gone.stop()
        started_server(gone.port)
        with pytest.raises(RequestFailed) as caught:
            await make(at(gone)).answer(ask_for())
        assert caught.value.kind is Kind.NETWORK
        assert (await make(at(gone, "a"), at(fake, "b")).answer(ask_for())).provider == "b"


async def test_a_second_try_may_succeed_where_the_first_failed(make: Make) -> None:
    """What passes by itself is waited for, with the provider's own word on how long."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds < 10:
            waits.append(seconds)
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(seconds)

    respond = in_turn(failing(429, headers={"retry-after": "3"}), failing(503), answering("ok"))
    async with FakeProvider(respond=respond) as fake:
        answer = await make(at(fake), sleep=sleep, clock=lambda: time.monotonic() + sum(waits)).answer(ask_for())
    assert [attempt.error.kind if attempt.error else None for attempt in answer.attempts] == [
        Kind.RATE,
        Kind.OVERLOADED,
        None,
    ]
    assert waits == pytest.approx([3 + 0.99 * 0.5, 0.99 * 1.0])


async def test_nobody_waits_long_while_somebody_else_could_answer(make: Make) -> None:
    """A long retry-after is waited for only when there is no other provider."""
    async with (
        FakeProvider(respond=failing(429, headers={"retry-after": "20"})) as limited,
        FakeProvider(respond=answering("ok")) as fake,
    ):
        answer = await make(at(limited, "a"), at(fake, "b")).answer(ask_for())
    assert [attempt.provider for attempt in answer.attempts] == ["a", "b"]


async def test_a_refusal_is_not_taken_elsewhere(make: Make) -> None:
    """A provider that declines the content ends the request: nobody goes round asking for a looser one."""
    refusal = failing(400, {"error": {"message": "no", "code": "content_policy_violation"}})
    async with FakeProvider(respond=refusal) as fake, FakeProvider(respond=answering("x")) as other:
        with pytest.raises(RequestFailed) as caught:
            await make(at(fake, "a"), at(other, "b")).answer(ask_for())
        assert other.connections == 0
    assert caught.value.kind is Kind.REFUSED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", ["before the headers", "before the first text", "in the middle", "at the end"])
async def test_whoever_stops_listening_closes_the_connection(make: Make, kind: str, moment: str) -> None:
    """The provider sees the client hang up within 200 ms, wherever the answer was."""
    async with FakeProvider(kind) as fake:
        events = make(at(fake)).ask(ask_for())
        seen: asyncio.Queue[Event] = asyncio.Queue()

        async def listen() -> None:
            async with aclosing(events):
                async for event in events:
                    seen.put_nowait(event)

        listener = asyncio.create_task(listen())
        asked = await fake.asked()
        if moment != "before the headers":
            await asked.start()
        if moment in {"in the middle", "at the end"}:
            await asked.say("one")
            while not isinstance(await seen.get(), Text):
                pass
        if moment == "at the end":
            await asked.say("two")
            while not isinstance(await seen.get(), Text):
                pass
        listener.cancel()
        await asyncio.wait([listener])
        await asyncio.wait_for(asked.closed, 2)
        assert listener.cancelled()


async def test_closing_the_iterator_between_two_events_closes_the_connection(make: Make) -> None:
    """A consumer that has seen enough closes the iterator, and the provider notices."""
    async with FakeProvider() as fake:
        events = make(at(fake)).ask(ask_for())
        assert isinstance(await anext(events), Chosen)
        first = asyncio.ensure_future(anext(events))
        asked = await fake.asked()
        await asked.say("one")
        assert await first == Text("one")
        await events.aclose()
        await asyncio.wait_for(asked.closed, 0.2)


async def turns() -> None:
    """Let the event loop go round, so that bytes on loopback arrive."""
    for _ in range(20):
        await asyncio.sleep(0)


class HandClock:
    """A clock that stands still until somebody moves it; a sleep ends when the clock has passed its end."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    async def move(self, seconds: float) -> None:
        """Move the clock and let everybody who is due run."""
        self.now += seconds
        for end, future in self._sleepers:
            if end <= self.now and not future.done():
                future.set_result(None)
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
        await turns()


LIMITS = Timeouts(connect=5, first_token=30, idle=20, total=100)


async def test_a_provider_that_does_not_begin_is_cut_off(make: Make) -> None:
    """Bytes that only keep the connection open are no answer: the limit to the first token holds."""
    clock = HandClock()
    async with FakeProvider() as fake:
        router = make(at(fake, timeouts=LIMITS), clock=clock.time, sleep=clock.sleep, max_attempts=1)
        answer = asyncio.create_task(router.answer(ask_for()))
        asked = await fake.asked()
        for _ in range(3):
            await asked.keep_alive()
            await turns()
            await clock.move(9.9)
            assert not answer.done()
        await clock.move(0.4)
        with pytest.raises(RequestFailed, match="did not begin to answer within 30 s"):
            await asyncio.wait_for(answer, 2)
        await asyncio.wait_for(asked.closed, 2)


async def test_a_provider_that_falls_silent_is_cut_off(make: Make) -> None:
    """After the first piece the limit between two pieces holds, and every piece begins it anew."""
    clock = HandClock()
    async with FakeProvider("anthropic") as fake:
        router = make(at(fake, timeouts=LIMITS), clock=clock.time, sleep=clock.sleep, max_attempts=1)
        events = router.ask(ask_for())
        await anext(events)
        texts = asyncio.create_task(anext(events))
        asked = await fake.asked()
        for _ in range(3):
            await asked.say("a")
            await asyncio.wait_for(texts, 2)
            texts = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            await clock.move(19)
            assert not texts.done()
        for _ in range(2):
            await asked.keep_alive()
            await turns()
        await clock.move(1.5)
        with pytest.raises(RequestFailed, match="fell silent for 20 s"):
            await asyncio.wait_for(texts, 2)


async def test_an_answer_that_does_not_end_is_cut_off(make: Make) -> None:
    """The limit for the whole holds however lively the provider is, and time that the listener takes is not the provider's silence."""
    clock = HandClock()
    async with FakeProvider("ollama") as fake:
        router = make(at(fake, timeouts=LIMITS), clock=clock.time, sleep=clock.sleep, max_attempts=1)
        events = router.ask(ask_for())
        await anext(events)
        text = asyncio.create_task(anext(events))
        asked = await fake.asked()
        for _ in range(3):
            await asked.say("a")
            assert await asyncio.wait_for(text, 2) == Text("a")
            await clock.move(30)  # the listener is busy: longer than the provider may be silent
            text = asyncio.create_task(anext(events))
            await turns()
        assert not text.done()
        await clock.move(11)
        with pytest.raises(RequestFailed, match="did not finish within 100 s"):
            await asyncio.wait_for(text, 2)


async def test_a_hanging_provider_is_followed_by_the_next_without_asking_it_twice(make: Make) -> None:
    """A time limit costs its whole time once; the next provider is asked instead."""
    clock = HandClock()
    async with FakeProvider() as hanging, FakeProvider(respond=answering("ok")) as fake:
        router = make(at(hanging, "a", timeouts=LIMITS), at(fake, "b"), clock=clock.time, sleep=clock.sleep)
        answer = asyncio.create_task(router.answer(ask_for()))
        await hanging.asked()
        await clock.move(31)
        got = await asyncio.wait_for(answer, 2)
    assert [(attempt.provider, attempt.error is None) for attempt in got.attempts] == [("a", False), ("b", True)]


async def test_a_private_request_meets_local_providers_only(make: Make) -> None:
    """The cloud comes first in the user's order and is not asked, not even when the local one fails."""
    cloud = Provider("cloud", ROWS["anthropic"], "m", "https://api.anthropic.com", key=Secret("k"))
    async with FakeProvider(respond=failing(400)) as fake:
        router = make(cloud, at(fake, "near"), strategy="priority", order=("cloud", "near"))
        route = router.route(PRIVATE)
        assert [provider.name for provider in route.candidates] == ["near"]
        assert route.refused[0][0].name == "cloud"
        with pytest.raises(RequestFailed) as caught:
            await router.answer(PRIVATE)
    assert [attempt.provider for attempt in caught.value.attempts] == ["near"]


async def test_a_private_request_without_a_local_provider_is_refused(make: Make) -> None:
    """The refusal names the rules and the way out."""
    cloud = Provider("cloud", ROWS["anthropic"], "m", "https://api.anthropic.com", key=Secret("k"))
    with pytest.raises(PolicyRefusal, match="Ollama") as caught:
        await make(cloud).answer(PRIVATE)
    assert caught.value.rules


async def test_without_providers_it_is_said_what_was_looked_for(make: Make) -> None:
    """Nothing configured, a name that is not there, and a key that is missing are three different sentences."""
    cloud = Provider("cloud", ROWS["anthropic"], "m", "https://api.anthropic.com")
    with pytest.raises(NoProvider, match="ANTHROPIC_API_KEY"):
        await make().answer(ask_for())
    with pytest.raises(NoProvider, match="no provider is called 'x'; there are: cloud"):
        await make(cloud).answer(ask_for(provider="x"))
    with pytest.raises(NoProvider, match="its key is missing: set ANTHROPIC_API_KEY"):
        await make(cloud).answer(ask_for())


async def test_text_that_no_model_may_see_is_refused_before_anything(make: Make, tmp_path: Path) -> None:
    """A never rule ends the request without a route."""
    (tmp_path / "pay.py").write_text("x")
    request = ask_for("x", origin=Origin(OriginKind.DOCUMENT, (tmp_path / "pay.py").as_uri()), roots=(str(tmp_path),))
    async with FakeProvider() as fake:
        router = make(at(fake), policy=Policy(never=("pay.py",)))
        assert router.route(request).candidates == ()
        with pytest.raises(PolicyRefusal):
            await router.answer(request)
        assert fake.connections == 0


async def test_a_server_that_forwards_a_private_request_is_cut_off(make: Make) -> None:
    """What an Ollama says of a remote host in its answer ends the attempt at once, before any text is shown."""
    forward: Respond = lambda asked: asked.forward("https://ollama.com:443")  # noqa: E731  a behaviour in one line
    async with FakeProvider("ollama", respond=forward) as fake:
        events = make(at(fake)).ask(PRIVATE)
        assert isinstance(await anext(events), Chosen)
        with pytest.raises(RequestFailed, match=r"ollama\.com"):
            await anext(events)
        assert sum(request.method == "POST" for request in fake.requests) == 1


async def test_a_forwarded_open_request_is_not_called_local(make: Make) -> None:
    """An open request may be forwarded; the answer then does not claim to be local."""

    async def forward(asked: Asked) -> None:
        await asked.forward("https://ollama.com:443", "far ")
        await asked.finish()

    async with FakeProvider("ollama", respond=forward) as fake:
        answer = await make(at(fake)).answer(ask_for())
    assert (answer.text, answer.local) == ("far ", False)


@pytest.mark.parametrize("model", ["big-cloud", "alias"])
async def test_a_model_that_runs_elsewhere_is_not_sent_private_text(make: Make, model: str) -> None:
    """A name that says so, or the server's own list, is believed before anything is sent."""
    async with FakeProvider("ollama", remote_models=("alias:latest",), respond=answering("x")) as fake:
        with pytest.raises((RequestFailed, NoProvider), match="runs on another machine"):
            await make(at(fake, model=model)).answer(PRIVATE)
        assert all(request.method == "GET" for request in fake.requests)


async def test_a_local_server_without_a_named_model_uses_the_sensible_one(make: Make) -> None:
    """The model for code is chosen among those that it lists."""
    models = ("nomic-embed-text", "llama3", "qwen2.5-coder:7b")
    async with FakeProvider("ollama", models=models, respond=answering("x")) as fake:
        answer = await make(at(fake, model="")).answer(ask_for())
    assert answer.model == "qwen2.5-coder:7b"


async def test_the_strategies_order_the_candidates(make: Make) -> None:
    """Local first unless the user wants their own order; what the order does not name keeps its place."""
    row = ROWS["openai-compatible"]
    names = {
        "far": "https://a.example",
        "near": "http://127.0.0.1:1",
        "far2": "https://b.example",
        "lan": "http://gpu:1",
    }
    providers = [Provider(name, row, "m", url, key=Secret("k")) for name, url in names.items()]

    def order(**options: Any) -> list[str]:
        return [provider.name for provider in make(*providers, **options).route(ask_for()).candidates]

    assert order() == ["near", "far", "far2", "lan"]
    assert order(policy=Policy(trusted_hosts=("gpu",))) == ["near", "lan", "far", "far2"]
    assert order(order=("far2", "near")) == ["near", "far2", "far", "lan"]
    assert order(strategy="priority", order=("far2", "near")) == ["far2", "near", "far", "lan"]
    router = make(*providers, groups={"review": ("far2", "far")})
    assert [provider.name for provider in router.route(ask_for(provider="review")).candidates] == ["far2", "far"]
    assert [provider.name for provider in router.route(ask_for(provider="far")).candidates] == ["far"]
    assert {provider.model for provider in router.route(ask_for(model="z")).candidates} == {"z"}


async def test_a_found_cloud_waits_for_consent(make: Make) -> None:
    """A provider found by its key is not asked in a workspace where clouds were not allowed yet."""
    cloud = Provider("anthropic", ROWS["anthropic"], "m", "https://api.anthropic.com", key=Secret("k"), found=True)
    with pytest.raises(NoProvider, match="not allowed it"):
        await make(cloud, policy=Policy(cloud_allowed=False)).answer(ask_for())


async def test_a_toy_is_asked_only_by_its_name(make: Make) -> None:
    """A toy does not answer by itself, but when it is named or listed in the order."""
    async with FakeProvider(respond=answering("toy")) as fake:
        toy = at(fake, "toy", toy=True)
        with pytest.raises(NoProvider, match="toy"):
            await make(toy).answer(ask_for())
        assert (await make(toy).answer(ask_for(provider="toy"))).text == "toy"
        assert (await make(toy, order=("toy",)).answer(ask_for())).text == "toy"


async def test_the_door_has_the_last_word(make: Make) -> None:
    """A provider that moved after it was cleared is not asked; the refusal is the door's own."""

    async def move(provider: Provider) -> Provider:
        return replace(provider, base_url="https://elsewhere.example")

    async with FakeProvider(respond=answering("x")) as fake:
        with pytest.raises(EgressDenied):
            await make(at(fake), prepare=move).answer(PRIVATE)
        assert fake.connections == 0


async def test_a_provider_that_cannot_be_prepared_is_passed_over(make: Make) -> None:
    """A failing preparation is a failed attempt like any other."""

    async def fail(provider: Provider) -> Provider:
        if provider.name == "a":
            raise ProviderError(Kind.NO_MODEL, "there is no such file")
        return provider

    async with FakeProvider(respond=answering("x")) as fake:
        answer = await make(at(fake, "a"), at(fake, "b"), prepare=fail).answer(ask_for())
    assert [(attempt.provider, attempt.error and attempt.error.kind) for attempt in answer.attempts] == [
        ("a", Kind.NO_MODEL),
        ("b", None),
    ]


async def test_models_are_listed(make: Make) -> None:
    """A provider tells its models; one that does not is a provider error."""
    async with FakeProvider("ollama", models=("a",), remote_models=("b",)) as fake:
        models = await make().list_models(at(fake))
    assert [(model.name, model.remote) for model in models] == [("a", False), ("b", True)]


async def test_asking_for_the_route_opens_no_connection(make: Make) -> None:
    """A menu may ask for the route as often as it likes."""
    async with FakeProvider(respond=answering("x")) as fake:
        router = make(at(fake))
        for request in (ask_for(), PRIVATE, ask_for(provider="x")):
            router.route(request)
        assert fake.connections == 0


async def test_concurrent_requests_do_not_mix(make: Make) -> None:
    """Twenty requests at once get each its own answer."""

    async def echo(asked: Asked) -> None:
        text = asked.json["messages"][0]["content"]
        for character in text:
            await asked.say(character)
        await asked.finish()

    async with FakeProvider(respond=echo) as fake:
        router = make(at(fake))
        answers = await asyncio.gather(*(router.answer(ask_for(f"question {i}")) for i in range(20)))
    assert [answer.text for answer in answers] == [f"question {i}" for i in range(20)]


async def test_an_answer_tells_the_calls_and_what_is_left_of_the_limits(transport: Transport) -> None:
    """Tool calls come with the answer, whole; the headers of every answer, good or bad, say what may still be asked."""
    call = {"index": 0, "id": "c1", "function": {"name": "read", "arguments": '{"path":"a.py"}'}}
    events = [
        {"model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]},
        {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    headers = {
        "content-type": "text/event-stream",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "1m0.5s",
    }

    async def respond(asked: Asked) -> None:
        await asked.reply(200, body, headers)

    async with FakeProvider(kind="openai-compatible", respond=respond) as fake:
        answer = await Router([at(fake)], transport=transport, policy=Policy(), files=LocalFiles()).answer(ask_for())
    assert answer.calls == (ToolCall("c1", "read", '{"path":"a.py"}'),)
    assert (answer.finish, answer.finish_raw) == (FinishReason.TOOL_CALLS, "tool_calls")
    assert answer.allowances == (Allowance("requests", 500, 499, 60.5),)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_that_does_not_exist_is_told_with_the_nearest_names(kind: str, transport: Transport) -> None:
    """A server on this machine is asked for its list once the request has failed; the names most alike are proposed."""
    models = ("qwen2.5-coder:7b", "gemma3:1b", "llama3.2")
    async with FakeProvider(kind=kind, respond=failing(404, "model 'qwen2.5-codr' not found"), models=models) as fake:
        router = Router([at(fake, model="qwen2.5-codr")], transport=transport, policy=Policy(), files=LocalFiles())
        with pytest.raises(RequestFailed, match=r"not found; the nearest names are qwen2\.5-coder:7b") as caught:
            await router.answer(ask_for())
    assert caught.value.kind is Kind.NO_MODEL
    assert "gemma" not in str(caught.value)


async def test_what_a_model_rejects_is_left_out(transport: Transport) -> None:
    """A temperature is not sent to a model that is known to answer it with an error, by its name or by the user's word."""
    bodies: dict[str, Any] = {}

    async def respond(asked: Asked) -> None:
        bodies[asked.model] = asked.json
        await asked.answer("fine")

    async with FakeProvider(kind="anthropic", respond=respond) as fake:
        asked = ask_for(temperature=0.2, top_p=0.9, top_k=3, effort=Effort.LOW)
        for model, said in (
            ("claude-sonnet-5-5", Capabilities()),
            ("claude-3-haiku", Capabilities(output_tokens=100)),
            ("claude-9", Capabilities(sampling=True, reasoning=False)),
        ):
            provider = at(fake, model=model, capabilities=said)
            router = Router([provider], transport=transport, policy=Policy(), files=LocalFiles())
            await router.answer(asked)
    assert not {"temperature", "top_p", "top_k"} & bodies["claude-sonnet-5-5"].keys()
    assert bodies["claude-sonnet-5-5"]["output_config"] == {"effort": "low"}
    assert (bodies["claude-3-haiku"]["temperature"], bodies["claude-3-haiku"]["max_tokens"]) == (0.2, 100)
    assert "thinking" not in bodies["claude-3-haiku"]
    assert bodies["claude-9"]["top_k"] == 3
    assert "output_config" not in bodies["claude-9"]
