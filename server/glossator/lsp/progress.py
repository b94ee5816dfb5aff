"""One work-done progress: begun at most once, ended exactly once, quiet where the editor does not want it.

https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#workDoneProgress
"""

from __future__ import annotations

import asyncio
import threading

from lsprotocol import types

from glossator.lsp.wire import Server

LONGEST_MESSAGE = 120  # characters
SECONDS_BETWEEN_REPORTS = 0.1
SECONDS_FOR_CREATE = 1.0


def one_line(text: str, limit: int) -> str:
    """Return *text* on one line, its end cut off beyond *limit* characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def last_line(text: str, limit: int) -> str:
    """Return the last *limit* characters of *text* on one line."""
    line = " ".join(text[-4 * limit :].split())
    return line if len(line) <= limit else "…" + line[1 - limit :]


class Progress:
    """The progress of one job. No percentage is ever sent: after one, VS Code drops messages that have none."""

    def __init__(self, server: Server, token: str, title: str, *, supported: bool) -> None:
        self._server = server
        self._token = token
        self._title = title
        self._loop = asyncio.get_running_loop()
        self._message = "waiting"
        self._last: str | None = None
        self._begun = False
        self._refused = not supported
        self._ended: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = 0.0
        self._lock = threading.Lock()
        self._queued = False
        if supported:
            server.spawn(self._create(), name="progress")

    async def _create(self) -> None:
        params = types.WorkDoneProgressCreateParams(token=self._token)
        try:
            await self._server.protocol.ask("window/workDoneProgress/create", params, seconds=SECONDS_FOR_CREATE)
        except TimeoutError:
            pass  # a busy editor may answer later; what it does not know it ignores
        except asyncio.CancelledError:
            self._refused = not self._begun
            raise
        except Exception:  # noqa: BLE001  whatever the editor answers instead of yes means no
            self._refused = True
            return
        self._begin()

    def _begin(self) -> None:
        self._begun = True
        self._send(
            types.WorkDoneProgressBegin(
                title=self._title, message=one_line(self._message, LONGEST_MESSAGE), cancellable=True
            )
        )
        self._sent_at = self._loop.time()
        if self._ended is not None:
            self._send(types.WorkDoneProgressEnd(message=self._ended))

    def report(self, message: str) -> None:
        """Show *message* soon; of several in a tenth of a second the last one counts."""
        self._message = message
        if not self._begun or self._ended is not None or self._timer is not None:
            return
        delay = self._sent_at + SECONDS_BETWEEN_REPORTS - self._loop.time()
        self._timer = self._loop.call_later(max(0.0, delay), self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._sent_at = self._loop.time()
        with self._lock:
            if self._queued:
                return  # the editor is slow: the report that waits will take the newest words
            self._queued = True
        self._server.protocol.put(self._take)

    def _take(self) -> bytes:
        with self._lock:
            self._queued = False
            message = one_line(self._message, LONGEST_MESSAGE)
        return self._encode(types.WorkDoneProgressReport(message=message))

    def end(self, message: str) -> None:
        """End with *message*; the first end counts."""
        if self._ended is not None:
            return
        self._ended = one_line(message, LONGEST_MESSAGE)
        if self._timer is not None:
            self._timer.cancel()
        if self._begun and not self._refused:
            self._send(types.WorkDoneProgressEnd(message=self._ended))

    def _send(self, value: object) -> None:
        self._server.protocol.put(self._encode(value))

    def _encode(self, value: object) -> bytes:
        return self._server.protocol.encode_notification("$/progress", types.ProgressParams(self._token, value))
