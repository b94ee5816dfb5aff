"""Whatever fails and however often: nobody is asked whom the clearance does not cover, and an answer is one model's, whole."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from glossator_providers.breaker import Thresholds
from glossator_providers.budget import Budget, Budgets, Limit
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import EgressDenied, GlossatorError, Kind, ProviderError
from glossator_providers.model import (
    Answered,
    Attempt,
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
    Warned,
)
from glossator_providers.privacy import LocalFiles, Policy, is_near
from glossator_providers.route import Split
from glossator_providers.router import RequestFailed, Router
from glossator_providers.secrets import Secret
from glossator_providers.state import State
from glossator_providers.strategies import BUILT_IN
from glossator_providers.transport import Call, Transport

ORIGINS = [Origin(OriginKind.INSTRUCTION), Origin(OriginKind.DOCUMENT, "untitled:x"), Origin(OriginKind.DOCUMENT)]
ADDRESSES = ["https://a.example", "http://127.0.0.1:1/v1", "https://gpu/v1", "https://localhost.evil.example"]


@dataclass
class Script:
    """What happens to one call: pieces of text, then a failure, a missing end or the end."""

    pieces: list[str]
    end: Kind | int | str


@dataclass
class ScriptedResponse:
    """A response in OpenAI's wire that goes as its script says."""

    script: Script
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})

    @property
    def status(self) -> int:
        return self.script.end if isinstance(self.script.end, int) else 200

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.script.pieces:
            yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n".encode()
        if isinstance(self.script.end, Kind):
            raise ProviderError(self.script.end, "scripted")
        if self.script.end == "whole":
            yield b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    async def read(self, limit: int) -> bytes:
        return b"{}"[:limit]


class ScriptedTransport:
    """A door that writes down who was asked for what, and follows the scripts in turn."""

    def __init__(self, scripts: list[Script]) -> None:
        self.calls: list[Call] = []
        self._scripts = scripts

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[ScriptedResponse]:
        self.calls.append(call)
        yield ScriptedResponse(self._scripts[len(self.calls) % len(self._scripts)])


scripts = st.lists(
    st.builds(
        Script,
        pieces=st.lists(st.sampled_from(["a", "b", "ü"]), max_size=2),
        end=st.sampled_from([*Kind, 401, 404, 429, 500, 503, "whole", "cut"]),
    ),
    min_size=1,
    max_size=6,
)
providers = st.lists(
    st.builds(
        lambda address, kind, found, toy: (address, kind, found, toy),
        st.sampled_from(ADDRESSES),
        st.sampled_from(["openai-compatible", "vllm"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
).map(
    lambda rows: [
        Provider(f"p{index}", ROWS[kind], "m", address, key=Secret("k"), found=found, toy=toy)
        for index, (address, kind, found, toy) in enumerate(rows)
    ]
)


async def short_sleep(seconds: float) -> None:
    """End a pause of the router at once; the limits of its watchdog, which are longer, must not be reached."""
    await (asyncio.sleep(0) if seconds < 10 else asyncio.Event().wait())


@settings(max_examples=150, deadline=None)
@given(
    providers=providers,
    scripts=scripts,
    origin=st.sampled_from(ORIGINS),
    policy=st.builds(Policy, trusted_hosts=st.sampled_from([(), ("gpu",)]), cloud_allowed=st.booleans()),
    strategy=st.sampled_from(BUILT_IN),
    named=st.sampled_from([None, "p0", "p1", "nobody"]),
)
def test_nobody_is_asked_whom_the_clearance_does_not_cover(
    *,
    providers: list[Provider],
    scripts: list[Script],
    origin: Origin,
    policy: Policy,
    strategy: str,
    named: str | None,
) -> None:
    """For any providers, failures and rules: the calls are covered, counted and told, and the answer is one attempt's."""
    request = Request((Message(Role.USER, (Fragment("text", (origin,)),)),), provider=named)
    door = ScriptedTransport(scripts)
    events: list[Event] = []

    async def run() -> GlossatorError | None:
        router = Router(
            providers,
            transport=cast("Transport", door),
            policy=policy,
            files=LocalFiles(),
            strategy=strategy,
            sleep=short_sleep,
            random=lambda: 0.5,
        )
        try:
            async for event in router.ask(request):
                events.append(event)  # noqa: PERF401  the events before an error count too
        except GlossatorError as error:
            return error
        finally:
            assert len(asyncio.all_tasks()) == 1  # nothing but this function is left
        return None

    error = asyncio.run(run())
    assert all(call.cleared.covers(call.provider) for call in door.calls)
    if origin.kind is OriginKind.DOCUMENT:
        near = {"http://127.0.0.1:1/v1"} | ({"https://gpu/v1"} if policy.trusted_hosts else set())
        assert {call.provider.base_url for call in door.calls} <= near
    everybody = [call.provider for call in door.calls]
    assert all(named in {None, provider.name} for provider in everybody)
    assert not any(provider.toy for provider in everybody if named is None)
    # A model that does not exist brings one question for the names that do: only to a server nearby that was asked
    # just before, and with nothing of the request in it.
    listed = [call for call in door.calls if call.payload.method == "GET"]
    asked = [call.provider for call in door.calls if call.payload.method != "GET"]
    assert not any(call.cleared.request.messages or call.payload.body for call in listed)
    assert all(is_near(call.provider, policy.trusted_hosts) and call.provider in asked for call in listed)
    assert len({call.provider.name for call in listed}) == len(listed)
    assert all(asked.count(provider) <= 3 for provider in asked)
    assert [event.provider for event in events if isinstance(event, Chosen)] == [provider.name for provider in asked]
    assert (error is None) == (bool(events) and isinstance(events[-1], Answered))
    assert not isinstance(error, EgressDenied)
    if isinstance(error, RequestFailed):
        assert [attempt.provider for attempt in error.attempts] == [provider.name for provider in asked]
    check_what_was_shown(events)


@settings(max_examples=100, deadline=None)
@given(
    providers=providers,
    scripts=scripts,
    origins=st.lists(st.sampled_from(ORIGINS), min_size=2, max_size=12),
    policy=st.builds(Policy, trusted_hosts=st.sampled_from([(), ("gpu",)]), cloud_allowed=st.booleans()),
    strategy=st.sampled_from([*BUILT_IN, "own:everybody"]),
    hedged=st.booleans(),
    preferred=st.sampled_from([None, "p0", "p1", "nobody"]),
    split=st.sampled_from([None, Split(("p0", "p1"))]),
    budget=st.sampled_from([Budgets(), Budgets(Budget(daily=Limit(hard_tokens=20_000)))]),
    seed=st.integers(0, 9),
)
def test_no_sequence_of_failures_reaches_whom_the_clearance_does_not_cover(
    *,
    providers: list[Provider],
    scripts: list[Script],
    origins: list[Origin],
    policy: Policy,
    strategy: str,
    hedged: bool,
    preferred: str | None,
    split: Split | None,
    budget: Budgets,
    seed: int,
) -> None:
    """Whatever was learned from earlier failures, in whatever order they are asked: private text meets nearby providers alone."""
    door = ScriptedTransport(scripts)
    near = {"http://127.0.0.1:1/v1"} | ({"https://gpu/v1"} if policy.trusted_hosts else set())

    async def run() -> None:
        chance = random.Random(seed).random
        state = State(clock=time.monotonic, sleep=short_sleep, thresholds=Thresholds(failures=2), budgets=budget)
        for who in [(provider.name, provider.model) for provider in providers]:
            for seconds in range(
                10
            ):  # all have been asked before: so long that a second one may be started beside them
                state.health.note(Attempt(*who, local=True, seconds=1.0, first_token_seconds=seconds / 100))
        router = Router(
            providers,
            transport=cast("Transport", door),
            policy=policy,
            files=LocalFiles(),
            strategy=strategy,
            state=state,
            split=split,
            hedged=hedged,
            sleep=short_sleep,
            random=chance,
        )
        router.preferred = preferred
        for origin in origins:
            before = len(door.calls)
            request = Request((Message(Role.USER, (Fragment("text", (origin,)),)),), thread=origin.uri)
            events: list[Event] = []
            error: GlossatorError | None = None
            try:
                async for event in router.ask(request):
                    events.append(event)  # noqa: PERF401  the events before an error count too
            except GlossatorError as caught:
                error = caught
            calls = door.calls[before:]
            assert all(call.cleared.covers(call.provider) for call in calls)
            if origin.kind is OriginKind.DOCUMENT:
                assert {call.provider.base_url for call in calls} <= near
            assert (error is None) == (bool(events) and isinstance(events[-1], Answered))
            check_what_was_shown(events)
            assert len(asyncio.all_tasks()) == 1
            assert not +state.active

    asyncio.run(run())


def check_what_was_shown(events: list[Event]) -> None:
    """Fail unless shown text is either taken back in words or the whole answer of the provider that was chosen last."""
    shown, chosen = "", ""
    for event in events:
        match event:
            case Chosen(provider):
                assert not shown
                chosen = provider
            case Text(text):
                shown += text
            case Restarted():
                shown = ""
            case Warned() | Waiting():
                pass
            case Answered(answer):
                assert (answer.text, answer.provider) == (shown, chosen)
            case _:
                raise AssertionError(event)
