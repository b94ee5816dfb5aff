"""Bytes to frames: bounded, incremental splitters for event streams, for lines of JSON and for Amazon's binary events.

Any split of the bytes gives the same frames. Two things break a stream here, because guessing on would put wrong
characters into somebody's code: a frame of more than 16 MiB, and bytes that are not UTF-8. (WHATWG would replace the
latter by U+FFFD; the official SDKs raise as we do.) Frames that came before the damage are still given out, however the
bytes were cut: the failure is raised by the call that has nothing else to give, and by every one after it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from glossator_providers.errors import Kind, ProviderError

Framing = Literal["sse", "ndjson", "amazon"]

LIMIT = 16 * 1024 * 1024  # bytes in one frame: forty times the longest that was ever recorded
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a stream; `event` is its name where the protocol has names.

    `failed` is set where the frame itself says that it reports a failure; `event` then is the failure's code.
    """

    event: str | None
    data: str
    failed: bool = False


def splitter(framing: Framing) -> EventStream | Lines | AmazonEvents:
    """Make the splitter for one streamed answer."""
    match framing:
        case "sse":
            return EventStream()
        case "ndjson":
            return Lines()
        case "amazon":
            return AmazonEvents()


class EventStream:
    """Split `text/event-stream`, https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.

    It goes further than the standard in two places. A body that begins with a brace is no event stream but the plain
    JSON error (or whole answer) that some servers send with status 200 instead, and one that begins with an angle bracket
    is a web page; it comes as one frame at the end, so that the decoder can say what it is. And an event that is complete but for its last blank line is not thrown
    away: some servers end right after `data: [DONE]`.
    """

    def __init__(self) -> None:
        self._mark_passed = False
        self._started = False
        self._plain = False  # the body is one JSON text or a web page, not an event stream
        self._after_return = False  # the last byte was a carriage return: a line feed now belongs to it
        self._line = bytearray()
        self._event: str | None = None
        self._data: list[str] = []
        self._size = 0  # bytes of the lines that the pending event holds
        self._failure: ProviderError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        if self._failure is not None:
            raise self._failure
        frames: list[Frame] = []
        try:
            self._split(data, frames)
        except ProviderError as failure:
            self._failure = failure
            if not frames:
                raise
        return frames

    def _split(self, data: bytes, frames: list[Frame]) -> None:
        if not self._started:
            data = self._begin(data)
            if not self._started:
                return
        if self._plain:
            self._extend(data)
            return
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
            self._after_return = False
        if not data:
            return
        self._after_return = data.endswith(b"\r")
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

    def end(self) -> list[Frame]:
        """Return what is left when the body has ended."""
        if self._failure is not None:
            raise self._failure
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
        self._plain = data.startswith((b"{", b"[", b"<"))
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
        self._failure: ProviderError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        if self._failure is not None:
            raise self._failure
        *ended, rest = data.split(b"\n")
        frames: list[Frame] = []
        try:
            for piece in ended:
                self._extend(piece)
                frames += self._take()
            self._extend(rest)
        except ProviderError as failure:
            self._failure = failure
            if not frames:
                raise
        return frames

    def end(self) -> list[Frame]:
        """Return what is left when the body has ended."""
        if self._failure is not None:
            raise self._failure
        return self._take()

    def _take(self) -> list[Frame]:
        line = _decoded(bytes(self._line)).strip()
        self._line.clear()
        return [Frame(None, line)] if line else []

    def _extend(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > LIMIT:
            raise _too_large()
        self._line += piece


_PRELUDE = struct.Struct(">III")  # bytes in all, bytes of headers, CRC32 of these two numbers
_CHECKSUM = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes of a header's value, by its type
_BYTES, _STRING = 6, 7  # types whose value says itself how long it is


class AmazonEvents:
    """Split `application/vnd.amazon.eventstream`, https://smithy.io/2.0/aws/amazon-eventstream.html.

    A message is a prelude, headers, a payload and a CRC32 of it all; the prelude has a CRC32 of its own, so a damaged length
    is noticed before anything is waited for. A body that begins as JSON or as a web page (no length begins so) comes as one
    frame without a name at the end, as in `EventStream`.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._failure: ProviderError | None = None
        self._block = b""  # the headers of the last event …
        self._told: Mapping[str, str] = {}  # … and what they say
        self._plain: bool | None = None  # not known before the first byte

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        if self._failure is None:
            self._bytes += data
        frames: list[Frame] = []
        if self._plain is None and data:
            self._plain = data.startswith((b"{", b"[", b"<"))
        try:
            if self._plain:
                if len(self._bytes) > LIMIT:
                    raise _too_large()
                return []
            for message, headers_end in self._messages():
                block = message[_PRELUDE.size : headers_end]
                if block != self._block:  # in most of an answer, one event is headed as the one before
                    self._block, self._told = block, _headers(block)
                frames += _frame(self._told, message[headers_end : -_CHECKSUM.size])
        except ProviderError as failure:
            self._failure = failure
            self._bytes.clear()
        if self._failure is not None and not frames:
            raise self._failure
        return frames

    def end(self) -> list[Frame]:
        """Return what is left when the body has ended; half a message is no frame, and the decoder knows what is missing."""
        if self._failure is not None:
            raise self._failure
        whole = _decoded(bytes(self._bytes)).strip() if self._plain else ""
        return [Frame(None, whole)] if whole else []

    def _messages(self) -> Iterator[tuple[bytes, int]]:
        """Yield each message that is complete and undamaged, with the place where its headers end."""
        start = 0
        try:
            while len(self._bytes) - start >= _PRELUDE.size:
                size, headers_size, checksum = _PRELUDE.unpack_from(self._bytes, start)
                if zlib.crc32(self._bytes[start : start + 8]) != checksum:
                    raise _damaged()
                if size > LIMIT:
                    raise _too_large()
                headers_end = _PRELUDE.size + headers_size
                if size < headers_end + _CHECKSUM.size:
                    raise _damaged()
                if len(self._bytes) - start < size:
                    return
                message = bytes(self._bytes[start : start + size])
                if zlib.crc32(message[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(message, size - _CHECKSUM.size)[0]:
                    raise _damaged()
                start += size
                yield message, headers_end
        finally:
            del self._bytes[:start]


def _frame(headers: Mapping[str, str], payload: bytes) -> list[Frame]:
    """Return what a message says: an event, or a failure that is modelled (exception) or not (error); others are passed over."""
    match headers.get(":message-type"):
        case "event":
            return [Frame(headers.get(":event-type"), _decoded(payload))]
        case "exception":
            return [Frame(headers.get(":exception-type"), _decoded(payload), failed=True)]
        case "error":
            # Its sentence stands in a header; it is put where an exception has it.
            words = json.dumps({"message": headers.get(":error-message", "")})
            return [Frame(headers.get(":error-code"), words, failed=True)]
    return []


def _headers(block: bytes) -> Mapping[str, str]:
    """Return the headers that are strings; raises ProviderError where the block is none of headers."""
    headers: dict[str, str] = {}
    place = 0
    try:
        while place < len(block):
            name_end = place + 1 + block[place]
            name, kind = block[place + 1 : name_end], block[name_end]
            place = name_end + 1
            if kind in (_BYTES, _STRING):
                size = _LENGTH.unpack_from(block, place)[0]
                place += _LENGTH.size
            else:
                size = _SIZES[kind]
            if kind == _STRING:
                headers[_decoded(name)] = _decoded(block[place : place + size])
            place += size
    except (IndexError, KeyError, struct.error):
        raise _damaged() from None
    if place != len(block):
        raise _damaged()
    return headers


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


def _damaged() -> ProviderError:
    return ProviderError(
        Kind.BROKEN_STREAM,
        "the answer is no event stream or was damaged on its way, so it was given up; ask again, or check the address",
    )
