"""Messages on their way to the editor, written by a thread: an editor that does not read slows nothing here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable

from glossator.lsp.channel import Channel

LIMIT = 64 * 1024 * 1024
_CHUNK = 256 * 1024

Item = bytes | Callable[[], bytes]
"""A message, or the maker of one, called when its turn has come: it can hold all that was to say until then."""


class Outbox:
    """A bounded queue before one channel. `gone` is called once, on the loop, when the editor cannot be reached."""

    def __init__(self, channel: Channel, *, gone: Callable[[], None], limit: int = LIMIT) -> None:
        self._channel = channel
        self._gone = gone
        self._limit = limit
        self._items: deque[Item] = deque()
        self._size = 0
        self._closing = False
        self._broken = False
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._write_all, name="glossator-writer", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Queue a message; never blocks. After the editor has gone it is dropped."""
        with self._changed:
            if self._broken or self._closing:
                return
            self._items.append(item)
            self._size += len(item) if isinstance(item, bytes) else 0
            overflow = self._size > self._limit
            self._changed.notify_all()
        if overflow:
            self._break()

    async def finish(self, seconds: float) -> None:
        """Write what is queued, for *seconds* at most, and take no more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _write_all(self) -> None:
        while data := self._take():
            try:
                self._channel.write(data)
            except OSError:
                self._break()
                break
        self._call(self._ended.set)

    def _take(self) -> bytes:
        """Wait for messages; return some of them as one piece, empty when there will be no more."""
        with self._changed:
            while not self._items and not self._closing and not self._broken:
                self._changed.wait()
            if self._broken:
                return b""
        pieces: list[bytes] = []
        size = 0
        while size < _CHUNK:
            with self._changed:
                if not self._items:
                    break
                item = self._items.popleft()
                self._size -= len(item) if isinstance(item, bytes) else 0
            piece = item if isinstance(item, bytes) else item()
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _break(self) -> None:
        with self._changed:
            first, self._broken = not self._broken, True
            self._items.clear()
            self._changed.notify_all()
        if first:
            self._call(self._gone)

    def _call(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function)
