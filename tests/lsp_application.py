"""An application on strings for the tests of the LSP rooms: what it says and when is in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from glossator.document import Diagnostic, Point, Snapshot
from glossator.tasks.task import (
    Ask,
    Author,
    Explanation,
    Proposal,
    Refusal,
    Result,
    Routed,
    Said,
    State,
    TaskEvent,
    Verdict,
)
from glossator_providers.errors import NoProvider

AUTHOR = Author("ollama", "qwen2.5-coder")
FIXED = Verdict(State.FIXED, "ruff", 1, 0)


@dataclass(frozen=True)
class Offer:
    """Where a request would go."""

    author: Author | None = AUTHOR
    refusal: Refusal | None = None


class Run:
    """One task that was begun: the test tells it what to say."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.closed = asyncio.Event()
        self._events: asyncio.Queue[TaskEvent | Exception] = asyncio.Queue()

    def route(self, author: Author = AUTHOR) -> None:
        self._events.put_nowait(Routed(author))

    def say(self, text: str) -> None:
        self._events.put_nowait(Said(text))

    def tell(self, event: TaskEvent | Exception) -> None:
        self._events.put_nowait(event)

    def propose(self, text: str, *, verdict: Verdict = FIXED, summary: str = "fixed it") -> None:
        self.tell(Proposal(self.ask.snapshot, text, AUTHOR, verdict, summary))

    def explain(self, markdown: str) -> None:
        self.tell(Explanation(markdown, AUTHOR))

    async def follow(self) -> AsyncIterator[TaskEvent]:
        try:
            while True:
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Result):
                    return
        finally:
            self.closed.set()


class Application:
    """Satisfies `glossator.lsp.application.Application`."""

    clouds_allowed = False

    def __init__(self) -> None:
        self.runs: asyncio.Queue[Run] = asyncio.Queue()
        self.offered: Offer = Offer()
        self.hovering: asyncio.Future[str | None] | str | None = None
        self.consent: Callable[[str], Awaitable[bool]] | None = None
        self.closed = False
        self.preferred: str | None = None
        self.looked = asyncio.Event()
        self.news = False  # what a look says
        self.resets: list[str | None] = []
        self.settled: list[bool] = []
        self.built: dict[str, Any] = {}
        self.builds = 0

    def __call__(
        self,
        *,
        roots: tuple[str, ...],
        environment: Mapping[str, str],
        trusted: bool,
        settings: Mapping[str, Any] | None,
    ) -> Application:
        self.built = {"roots": roots, "trusted": trusted, "settings": settings}
        self.builds += 1
        return self

    async def asked(self) -> Run:
        """Wait for the next task."""
        return await asyncio.wait_for(self.runs.get(), 20)

    async def discover(self) -> None:
        """Find nothing."""

    def run(self, ask: Ask, /) -> AsyncIterator[TaskEvent]:
        run = Run(ask)
        self.runs.put_nowait(run)
        return run.follow()

    def offer(self, _: Snapshot, /) -> Offer:
        return self.offered

    def latest_offer(self, snapshot: Snapshot, /) -> Offer:
        return self.offer(snapshot)

    async def hover(self, _: Snapshot, __: Point, ___: tuple[Diagnostic, ...], /) -> str | None:
        return await self.hovering if isinstance(self.hovering, asyncio.Future) else self.hovering

    def known(self, _: Snapshot, __: Diagnostic, /) -> Explanation | None:
        return None

    def stays(self, _: Ask, /) -> bool:
        return False

    def why(self, snapshot: Snapshot, /) -> Any:
        return {"path": snapshot.uri, "level": "open", "reasons": [], "route": ["ollama"]}

    async def describe_preview(self, ask: Ask, /) -> str:
        return f"# Where would this go?\n\nNothing was sent.\n\nPOST about {ask.snapshot.uri}\n"

    def privacy(self) -> Any:
        return {"cloudsAllowed": self.clouds_allowed, "configured": ["work"], "found": ["openai"]}

    def allow_clouds(self, *, remember: bool) -> None:
        self.clouds_allowed = remember

    def revoke_clouds(self) -> None:
        self.clouds_allowed = False

    async def status(self) -> Any:
        return {
            "providers": [
                {"name": "ollama", "local": True, "model": "qwen2.5-coder", "state": "ready"},
                {"name": "work", "local": False, "model": "claude", "state": "ready", "retryIn": 12.0},
            ],
            "groups": {"review": ["work", "ollama"]},
            "preferred": self.preferred,
            "first": "cloud: work" if self.preferred == "work" else "local: qwen2.5-coder",
        }

    async def look(self) -> bool:
        self.looked.set()
        return self.news

    async def prefer(self, name: str | None, /) -> None:
        if name not in {None, "ollama", "work"}:
            raise NoProvider(f"no provider or group is called {name!r}; there are: ollama, work")
        self.preferred = name

    def reset(self, name: str | None = None, /) -> None:
        self.resets.append(name)

    def settle(self, _: Ask, __: Proposal, /, *, kept: bool) -> None:
        self.settled.append(kept)

    async def aclose(self) -> None:
        self.closed = True
