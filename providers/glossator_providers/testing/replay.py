"""A server that gives recorded bytes for whatever is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from glossator_providers.testing.loopback import HttpRequest, LoopbackServer, head


class Replay(LoopbackServer):
    """Serve one recorded response for whatever is asked, its body in pieces of `piece` bytes.

    *abort* drops the connection at the end of the bytes, as the recording did, instead of ending the body.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, *, piece: int = 1371, abort: bool = False
    ) -> None:
        super().__init__()
        self.requests: list[HttpRequest] = []
        self._head = (status, {name.lower(): value for name, value in headers.items()})
        self._pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
        self._abort = abort

    @classmethod
    def of(cls, case: Path, *, piece: int = 1371) -> Self:
        """Serve a recorded case: a folder with `response.json` (status, headers, transfer.abort) and `response.body`."""
        response = json.loads((case / "response.json").read_bytes())
        abort = bool(response.get("transfer", {}).get("abort", False))
        body = (case / "response.body").read_bytes()
        return cls(response["status"], response["headers"], body, piece=piece, abort=abort)

    async def received(
        self,
        request: HttpRequest,
        writer: asyncio.StreamWriter,
        closed: asyncio.Future[None],  # noqa: ARG002  a replay goes on until the bytes end
    ) -> None:
        self.requests.append(request)
        status, headers = self._head
        hop_by_hop = ("connection", "content-length", "transfer-encoding", "content-encoding")
        fields = {name: value for name, value in headers.items() if name not in hop_by_hop}
        try:
            writer.write(head(status, {**fields, "transfer-encoding": "chunked"}))
            for data in self._pieces:
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                await writer.drain()
            if self._abort:
                writer.close()
            else:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except ConnectionError:
            pass  # the client had read enough
