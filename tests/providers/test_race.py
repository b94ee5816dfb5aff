"""Two attempts at once: the sooner one is heard whole, the other one is stopped, and nothing of the two is mixed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Chosen, Event, Text
from glossator_providers.race import Story, first_to_speak


class Stage:
    """Two stories that speak when the test says so, and the alarm between them."""

    def __init__(self) -> None:
        self.alarm = asyncio.Event()
        self.words: dict[str, asyncio.Queue[str | Exception | None]] = {"a": asyncio.Queue(), "b": asyncio.Queue()}
        self.begun: list[str] = []
        self.ended: list[str] = []

    async def story(self, name: str) -> AsyncGenerator[Event]:
        self.begun.append(name)
        try:
            yield Chosen(name, "m", local=True)
            while (word := await self.words[name].get()) is not None:
                if isinstance(word, Exception):
                    raise word
                yield Text(word)
        finally:
            self.ended.append(name)

    def race(self) -> Story:
        async def sleep(_: float) -> None:
            await self.alarm.wait()

        return first_to_speak(self.story("a"), lambda: self.story("b"), seconds=1.0, sleep=sleep)

    def says(self, name: str, *words: str | Exception | None) -> None:
        for word in words:
            self.words[name].put_nowait(word)


def told(events: list[Event]) -> list[str]:
    """Return the events in short: who is chosen as `[a]`, and the words."""
    return [f"[{event.provider}]" if isinstance(event, Chosen) else getattr(event, "text", "?") for event in events]


async def collect(stage: Stage) -> list[str]:
    """Return all that the race tells; nothing is left running."""
    async with aclosing(stage.race()) as events:
        heard = told([event async for event in events])
    assert len(asyncio.all_tasks()) == 1
    assert sorted(stage.ended) == sorted(stage.begun)
    return heard


async def test_who_speaks_in_time_is_alone() -> None:
    """No second story is begun, and the first is heard to its end."""
    stage = Stage()
    stage.says("a", "one", "two", None)
    assert await collect(stage) == ["[a]", "one", "two"]
    assert stage.begun == ["a"]


async def test_the_second_is_heard_whole_where_the_first_is_late() -> None:
    """The first is stopped, and its words, were it to find any, are not told."""
    stage = Stage()
    stage.alarm.set()
    stage.says("b", "one", "two", None)
    assert await collect(stage) == ["[a]", "[b]", "one", "two"]
    assert set(stage.ended) == {"a", "b"}


async def test_the_first_may_still_win_and_is_named_again() -> None:
    """Whoever listens must know who speaks."""
    stage = Stage()
    stage.alarm.set()
    async with aclosing(stage.race()) as events:
        assert told([await anext(events), await anext(events)]) == ["[a]", "[b]"]
        stage.says("a", "one", None)
        assert told([event async for event in events]) == ["[a]", "one"]
    assert len(asyncio.all_tasks()) == 1


async def test_a_failure_before_the_alarm_is_the_failure() -> None:
    """The router goes on with it as it would without a race."""
    stage = Stage()
    stage.says("a", ProviderError(Kind.SERVER, "broken"))
    with pytest.raises(ProviderError, match="broken"):
        await collect(stage)
    assert stage.begun == ["a"]


async def test_one_failure_of_two_leaves_the_other() -> None:
    """The one that goes on is heard."""
    stage = Stage()
    stage.alarm.set()
    async with aclosing(stage.race()) as events:
        assert told([await anext(events), await anext(events)]) == ["[a]", "[b]"]
        stage.says("a", ProviderError(Kind.SERVER, "broken"))
        stage.says("b", "one", None)
        assert told([event async for event in events]) == ["one"]


async def test_two_failures_are_the_first_ones() -> None:
    """What is raised is what the first provider said."""
    stage = Stage()
    stage.alarm.set()
    stage.says("b", ProviderError(Kind.SERVER, "also broken"))
    async with aclosing(stage.race()) as events:
        assert told([await anext(events), await anext(events)]) == ["[a]", "[b]"]
        stage.says("a", ProviderError(Kind.SERVER, "broken"))
        with pytest.raises(ProviderError, match=r"^broken"):
            await anext(events)


async def test_a_failure_after_the_first_word_is_told() -> None:
    """What broke off is not continued by the other."""
    stage = Stage()
    stage.alarm.set()
    stage.says("b", "one", ProviderError(Kind.BROKEN_STREAM, "broke off"))
    heard: list[str] = []

    async def listen() -> None:
        async with aclosing(stage.race()) as events:
            async for event in events:
                heard.extend(told([event]))

    with pytest.raises(ProviderError, match="broke off"):
        await listen()
    assert heard == ["[a]", "[b]", "one"]
    assert len(asyncio.all_tasks()) == 1


@given(late=st.booleans(), steps=st.integers(0, 6), words=st.integers(0, 3))
def test_whoever_stops_listening_stops_both(*, late: bool, steps: int, words: int) -> None:
    """Closed at any point, no story and no task is left."""

    async def run() -> None:
        stage = Stage()
        if late:
            stage.alarm.set()
        stage.says("b" if late else "a", *("word",) * words)
        race = stage.race()
        for _ in range(min(steps, words + 1 + late)):
            await anext(race)
        await race.aclose()
        assert len(asyncio.all_tasks()) == 1
        assert sorted(stage.ended) == sorted(stage.begun)

    asyncio.run(run())
