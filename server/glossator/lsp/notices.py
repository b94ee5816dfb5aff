"""What the editor is told without having asked, no more often than it helps: states of the providers, and their failures."""

from __future__ import annotations

import asyncio

from lsprotocol import types

from glossator.lsp.application import Application
from glossator.lsp.connection import Connection, plain
from glossator.lsp.protocol import STATUS_CHANGED
from glossator_providers.errors import Kind

SECONDS_BETWEEN_STATES = 1.0
SECONDS_BETWEEN_FAILURES = 60.0  # of one provider
_ABOUT_THE_REQUEST = frozenset({Kind.TOO_LONG, Kind.REFUSED, Kind.BAD_REQUEST})
OUTAGES = frozenset(Kind) - _ABOUT_THE_REQUEST


class Notices:
    """The notices of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._failed_at: dict[str, float] = {}
        self._said_at: dict[str, float] = {}

    def status_changed(self) -> None:
        """Tell how the providers are: at once, or, if that was told just now, with the newest words a moment later."""
        if not self._connection.client.status or self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._sent_at + SECONDS_BETWEEN_STATES - loop.time()
        if wait > 0:
            self._timer = loop.call_later(wait, self._send_status)
        else:
            self._send_status()

    def _send_status(self) -> None:
        self._timer = None
        self._sent_at = asyncio.get_running_loop().time()
        if self._connection.application is not None:
            self._connection.server.spawn(self._tell_status(self._connection.application), name="status")

    async def _tell_status(self, application: Application) -> None:
        self._connection.server.protocol.notify(STATUS_CHANGED, plain(await application.status()))

    def say(self, message: str) -> None:
        """Show what the user should know while the work goes on, the same words at most every minute."""
        now = self._connection.session.clock()
        if now - self._said_at.get(message, float("-inf")) >= SECONDS_BETWEEN_FAILURES:
            self._said_at = {said: at for said, at in self._said_at.items() if now - at < SECONDS_BETWEEN_FAILURES}
            self._said_at[message] = now
            self._connection.show(f"glossator: {message}", types.MessageType.Warning)

    def warn(self, message: str, *, kind: str, provider: str) -> None:
        """Show why a task failed; where a provider is out, every minute: the progress of each task says it anyway."""
        if kind in OUTAGES and self._connection.client.progress:
            now = self._connection.session.clock()
            if now - self._failed_at.get(provider, float("-inf")) < SECONDS_BETWEEN_FAILURES:
                return
            self._failed_at[provider] = now
        self._connection.show(f"glossator: {message}", types.MessageType.Warning)
