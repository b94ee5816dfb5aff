"""A provider that only says what it was told to: an event stream of N chunks in OpenAI's chat wire; prints its port."""

from __future__ import annotations

import asyncio
import json
import sys

CHUNK = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "benchmark",
        "system_fingerprint": "fp_0123456789",
        "choices": [{"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}],
    }
)
LAST = json.dumps({"model": "benchmark", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


def piece(event: str) -> bytes:
    """Return one event as one HTTP chunk."""
    data = f"data: {event}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(chunks: int) -> None:
    """Answer every request with *chunks* pieces, at once."""
    body = piece(CHUNK) * chunks + piece(LAST) + piece("[DONE]") + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                writer.close()
                return
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in request.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            await reader.readexactly(length)
            writer.write(head + body)
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
