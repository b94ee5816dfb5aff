"""Bytes from an editor to JSON bodies, and back; any split of the bytes gives the same bodies.

https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LARGEST_BODY = 256 * 1024 * 1024
LARGEST_HEADER = 8 * 1024

_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"content-length[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no message; `reason` says why, without showing them."""

    reason: str


class Splitter:
    """Find the bodies in a stream of bytes; after garbage it goes on at the next header."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._length: int | None = None  # of the body that comes next
        self._skip = 0  # bytes of an oversized body still to be thrown away

    def feed(self, data: bytes) -> list[bytes | Garbage]:
        """Take bytes, give every body that is complete now."""
        self._bytes += data
        found: list[bytes | Garbage] = []
        while (item := self._next()) is not None:
            found.append(item)
        return found

    def _next(self) -> bytes | Garbage | None:
        if self._skip:
            gone = min(self._skip, len(self._bytes))
            del self._bytes[:gone]
            self._skip -= gone
            if self._skip:
                return None
        if self._length is None:
            return self._read_header()
        if len(self._bytes) < self._length:
            return None
        body = bytes(self._bytes[: self._length])
        del self._bytes[: self._length]
        self._length = None
        return body

    def _read_header(self) -> bytes | Garbage | None:
        end = _HEADER_END.search(self._bytes)
        if end is None:
            if len(self._bytes) <= LARGEST_HEADER:
                return None
            self._resynchronise(1)
            return Garbage("a header without an end")
        header = bytes(self._bytes[: end.start()])
        length = _LENGTH.search(header)
        if length is None:
            self._resynchronise(end.end())
            return Garbage("a header without a usable Content-Length")
        del self._bytes[: end.end()]
        size = int(length[1])
        if size > LARGEST_BODY:
            self._skip = size
            return Garbage("a message that is too large")
        self._length = size
        return self._next()

    def _resynchronise(self, beyond: int) -> None:
        """Throw away what is garbage; a header may begin inside of it, and its first bytes may have come already."""
        start = _START.search(self._bytes, 1)
        if start is not None:
            del self._bytes[: start.start()]
        else:
            kept = min(len(self._bytes) - beyond, 64)
            del self._bytes[: len(self._bytes) - max(kept, 0)]


def encode(message: Mapping[str, Any]) -> bytes:
    """Return *message* with its header, in ASCII: half a surrogate pair from an editor cannot break the encoding."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def decode(body: bytes) -> dict[str, Any] | list[Any] | Garbage:
    """Return the JSON object or batch in *body*."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):  # also broken UTF-8, and numbers of thousands of digits
        return Garbage("a message that is not JSON")
    if isinstance(message, (dict, list)):
        return message
    return Garbage("a message that is no JSON object")


def failure(message_id: object, code: int, message: str) -> dict[str, Any]:
    """Return the error response to the request *message_id*."""
    return {"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": message}}
