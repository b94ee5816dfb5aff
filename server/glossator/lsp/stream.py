"""The live text of one job for editors that know our extension: numbered, merged while the editor is slow, whole at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

from glossator.lsp.protocol import STREAM
from glossator.lsp.wire import Server
from glossator.tasks.task import Author

SECONDS_BETWEEN_DELTAS = 0.1


class Stream:
    """`begin`, any number of `delta`, one `end`; a second `begin` means: forget the text so far."""

    def __init__(self, server: Server, job: str, *, wanted: bool) -> None:
        self._server = server
        self._job = job
        self._wanted = wanted
        self._lock = threading.Lock()
        self._unsent = ""
        self._queued = False
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._ended = False

    def begin(self, author: Author | None, *, action: str, uri: str, reason: str | None = None) -> None:
        """Tell where the answer comes from; again, with a *reason*, when another attempt begins."""
        self._flush()
        self._begun = True
        self._put("begin", {"route": describe_route(author), "action": action, "uri": uri, "reason": reason})

    @property
    def begun(self) -> bool:
        return self._begun

    def add(self, text: str) -> None:
        """Send *text*, together with what follows within a tenth of a second."""
        if not self._wanted or self._ended or not text:
            return
        with self._lock:
            self._unsent += text
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS_BETWEEN_DELTAS, self._flush)

    def end(self, *, final: str | None, error: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Send the whole text, or why there is none; the first end counts."""
        if self._ended:
            return
        self._flush()
        self._ended = True
        outcome = {"final": None if final is None else {"text": final, **more}, "error": error}
        self._put("end", outcome)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._lock:
            if not self._unsent or self._queued:
                return
            self._queued = True
        self._server.protocol.put(self._take)

    def _take(self) -> bytes:
        """Make the delta that is due, in the writing thread: it holds all that has come until now."""
        with self._lock:
            text, self._unsent, self._queued = self._unsent, "", False
            return self._encode("delta", {"text": text})

    def _put(self, kind: str, fields: Mapping[str, Any]) -> None:
        if not self._wanted:
            return

        def make() -> bytes:
            with self._lock:
                return self._encode(kind, fields)

        self._server.protocol.put(make)

    def _encode(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        params = {"job": self._job, "seq": self._number, "kind": kind, "channel": "text"}
        params |= {name: value for name, value in fields.items() if value is not None}
        self._number += 1
        return self._server.protocol.encode_notification(STREAM, params)


def describe_route(author: Author | None) -> dict[str, Any] | None:
    """Return the author for the wire."""
    if author is None:
        return None
    return {
        "route": "local" if author.local else "cloud",
        "provider": author.name,
        "model": author.model,
        "title": author.byline,
        "toy": author.toy,
    }
