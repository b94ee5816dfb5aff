"""The connection to one editor as bytes, and how it began: what the boot hands over to the real server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from glossator.lsp.client import Client
from glossator.lsp.frames import Garbage, Splitter

INVALID_REQUEST = -32600
PARSE_ERROR = -32700


class Channel(Protocol):
    """Both directions of the connection to one editor; calls block, so each runs in a thread of its own."""

    def read(self) -> bytes:
        """Return what has come, empty at the end; raises OSError."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of *data*; raises OSError when the editor is gone."""
        ...

    def close(self) -> None:
        """Let go of the connection; harmless when done twice."""
        ...


class Pipes:
    """A channel over two file descriptors."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing

    def read(self) -> bytes:
        return os.read(self._reading, 1 << 16)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._writing, view) :]

    def close(self) -> None:
        """Close the way out; the way in stays, because a thread may still wait there and the number must not be reused."""
        if self._writing >= 0:
            os.close(self._writing)
        self._writing = -1


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a connection began: the params of `initialize`, and the messages that came in the same breath."""

    params: Mapping[str, Any]
    client: Client
    splitter: Splitter
    early: tuple[bytes | Garbage, ...] = ()


def is_message_id(value: object) -> TypeGuard[int | str]:
    """Say whether *value* may be the id of a request."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)
