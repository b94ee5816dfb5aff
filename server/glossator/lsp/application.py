"""What the LSP rooms need of the application behind them; `glossator.app.Application` is one, a test's script is another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from glossator.document import Diagnostic, Point, Snapshot
from glossator.tasks.task import Ask, Author, Explanation, Proposal, Refusal, TaskEvent


class Offer(Protocol):
    """Where a request about a document would go: an author, or the reason why to none."""

    @property
    def author(self) -> Author | None: ...
    @property
    def refusal(self) -> Refusal | None: ...


class Application(Protocol):
    """The product without an editor. `consent` asks the user a yes-or-no question; the connection sets it."""

    consent: Callable[[str], Awaitable[bool]] | None
    preferred: str | None  # the provider or group that is asked first in this session

    async def discover(self) -> None:
        """Look for servers on this machine."""
        ...

    def run(self, ask: Ask, /) -> AsyncIterator[TaskEvent]:
        """Do what was asked; closing the iterator cancels."""
        ...

    def offer(self, snapshot: Snapshot, /) -> Offer:
        """Say where a request about this document would go; no connection, no wait."""
        ...

    def latest_offer(self, snapshot: Snapshot, /) -> Offer:
        """Return the latest offer of this document, perhaps of an earlier version: a menu does not wait for it."""
        ...

    async def hover(self, snapshot: Snapshot, point: Point, diagnostics: tuple[Diagnostic, ...], /) -> str | None:
        """Return Markdown about this place; never asks a model."""
        ...

    def known(self, snapshot: Snapshot, diagnostic: Diagnostic, /) -> Explanation | None:
        """Return an explanation that was given before."""
        ...

    def stays(self, ask: Ask, /) -> bool:
        """Say whether what is asked is about a private document: then nothing of it is written to a disk."""
        ...

    def why(self, snapshot: Snapshot, /) -> Any:
        """Return the privacy decision of a document with its reasons."""
        ...

    async def describe_preview(self, ask: Ask, /) -> str:
        """Return where a task would go and what it would send, in Markdown; asks nobody."""
        ...

    def privacy(self) -> Any:
        """Return what may leave the machine from this workspace."""
        ...

    def allow_clouds(self, *, remember: bool) -> None:
        """Let the clouds that were found by their keys be used in this workspace."""
        ...

    def revoke_clouds(self) -> None:
        """Let them be used no more; raises OSError."""
        ...

    async def status(self) -> Any:
        """Return the providers and how they are."""
        ...

    async def look(self) -> bool:
        """Look how idle providers are, at no cost; say whether any of them is not as it was."""
        ...

    async def prefer(self, name: str | None, /) -> None:
        """Ask this provider or group first from now on, or whoever the strategy says; raises GlossatorError."""
        ...

    def reset(self, name: str | None = None, /) -> None:
        """Let those be asked again who rest after failures; raises GlossatorError for a name that nobody has."""
        ...

    def settle(self, ask: Ask, proposal: Proposal, /, *, kept: bool) -> None:
        """Learn from what the user did with a change: kept it, or took it back."""
        ...

    async def aclose(self) -> None:
        """Close connections and child processes."""
        ...


class Build(Protocol):
    """Make an application; called in a thread, does its own imports, opens no connection."""

    def __call__(
        self,
        *,
        roots: tuple[str, ...],
        environment: Mapping[str, str],
        trusted: bool,
        settings: Mapping[str, Any] | None,
    ) -> Application: ...
