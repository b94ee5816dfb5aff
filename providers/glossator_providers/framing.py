"""Bytes to frames: bounded, incremental splitters for event streams and for lines of JSON.

Any split of the bytes gives the same frames. Two things break a stream here, because guessing on would put wrong
characters into somebody's code: a frame of more than 16 MiB, and bytes that are not UTF-8. (WHATWG would replace the
latter by U+FFFD; the official SDKs raise as we do.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from glossator_providers.errors import Kind, ProviderError

LIMIT = 16 * 1024 * 1024  # bytes in one frame: forty times the longest that was ever recorded
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a stream; `event` is its name where the protocol has names."""

    event: str | None
    data: str


class EventStream:
    """Split `text/event-stream`, https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.

    It goes further than the standard in two places. A body that begins with a brace is no event stream but the plain
    JSON error (or whole answer) that some servers send with status 200 instead; it comes as one frame at the end, so
    that the decoder can say what it says. And an event that is complete but for its last blank line is not thrown
    away: some servers end right after `data: [DONE]`.
    """

    def __init__(self) -> None:
        self._mark_passed = False
        self._started = False
        self._plain = False  # the body is one JSON text, not an event stream
        self._after_return = False  # the last byte was a carriage return: a line feed now belongs to it
        self._line = bytearray()
        self._event: str | None = None
        self._data: list[str] = []
        self._size = 0  # bytes of the lines that the pending event holds

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        if not self._started:
            data = self._begin(data)
            if not self._started:
                return []
        if self._plain:
            self._extend(data)
            return []
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
            self._after_return = False
        if not data:
            return []
        self._after_return = data.endswith(b"\r")
        frames: list[Frame] = []
        *ended, rest = _LINE_END.split(data) if b"\r" in data else data.split(b"\n")
        large = self._size + len(self._line) + len(data) > LIMIT
        for piece in ended:
            if large:
                self._check_size(piece)
            line = bytes(self._line) + piece if self._line else piece
            self._line.clear()
            self._take(line, frames)
        if rest:
            self._extend(rest)
        return frames

    def end(self) -> list[Frame]:
        """Return what is left when the body has ended."""
        frames: list[Frame] = []
        if not self._started or self._plain:
            whole = _decoded(bytes(self._line)).strip()
            self._line.clear()
            return [Frame(None, whole)] if whole else []
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            self._take(line, frames)
        self._dispatch(frames)
        return frames

    def _begin(self, data: bytes) -> bytes:
        """Pass by a byte order mark and blank lines until the first byte shows whether this is an event stream."""
        if not self._mark_passed:
            data = bytes(self._line) + data
            self._line.clear()
            if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
                self._line += data
                return b""
            self._mark_passed = True
            data = data.removeprefix(_BYTE_ORDER_MARK)
        data = data.lstrip(b"\r\n")  # DeepSeek sends blank lines while a request waits for its turn
        self._started = bool(data)
        self._plain = data.startswith((b"{", b"["))
        return data

    def _extend(self, piece: bytes) -> None:
        self._check_size(piece)
        self._line += piece

    def _check_size(self, piece: bytes) -> None:
        if self._size + len(self._line) + len(piece) > LIMIT:
            raise _too_large()

    def _take(self, line: bytes, frames: list[Frame]) -> None:
        if not line:
            self._dispatch(frames)
            return
        name, _, value = line.partition(b":")  # a keep-alive has no name
        if name == b"data":
            self._size += len(line)
            self._data.append(_decoded(value.removeprefix(b" ")))
        elif name == b"event":
            self._event = _decoded(value.removeprefix(b" "))

    def _dispatch(self, frames: list[Frame]) -> None:
        if not self._data:
            self._event = None
            return
        frames.append(Frame(self._event or None, "\n".join(self._data)))
        self._event = None
        self._data = []
        self._size = 0


class Lines:
    """Split newline-delimited JSON, https://github.com/ndjson/ndjson-spec; blank lines are skipped.

    Only a line feed ends a line: U+2028 and its like may stand unescaped inside a JSON string.
    """

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        *ended, rest = data.split(b"\n")
        frames: list[Frame] = []
        for piece in ended:
            self._extend(piece)
            frames += self.end()
        self._extend(rest)
        return frames

    def end(self) -> list[Frame]:
        """Return what is left when the body has ended."""
        line = _decoded(bytes(self._line)).strip()
        self._line.clear()
        return [Frame(None, line)] if line else []

    def _extend(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > LIMIT:
            raise _too_large()
        self._line += piece


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ProviderError(
            Kind.BROKEN_STREAM, "the answer holds bytes that are not UTF-8, so it was given up; ask again"
        ) from None


def _too_large() -> ProviderError:
    return ProviderError(
        Kind.BROKEN_STREAM,
        f"one message of the answer is larger than {LIMIT // (1024 * 1024)} MiB, so it was given up; ask again",
    )
