"""One client under measurement in a process of its own: `stream_client.py glossator|httpx PORT CHUNKS REQUESTS`, prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

SENT = {"model": "benchmark", "stream": True, "messages": [{"role": "user", "content": "Say many tokens"}]}


async def bare_httpx(port: int, requests: int) -> AsyncIterator[AsyncIterator[str]]:
    """Read the pieces with httpx and the standard library, as a careful person would by hand."""
    import httpx

    async def pieces(client: httpx.AsyncClient) -> AsyncIterator[str]:
        async with client.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json=SENT) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    content = json.loads(line[6:])["choices"][0]["delta"].get("content")
                    if content:
                        yield content

    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(requests):
            yield pieces(client)


async def glossator(port: int, requests: int) -> AsyncIterator[AsyncIterator[str]]:
    """Read the pieces through the whole path: policy, router, clearance, the door, the dialect."""
    from glossator_providers.catalog import ROWS, Provider
    from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role, Text
    from glossator_providers.privacy import Policy
    from glossator_providers.privacy.files import LocalFiles
    from glossator_providers.router import Router
    from glossator_providers.transport import Transport

    provider = Provider("benchmark", ROWS["openai-compatible"], "benchmark", f"http://127.0.0.1:{port}/v1")
    fragment = Fragment("Say many tokens", (Origin(OriginKind.INSTRUCTION),))
    request = Request((Message(Role.USER, (fragment,)),))
    transport = Transport()
    router = Router((provider,), transport=transport, policy=Policy(), files=LocalFiles())

    async def pieces() -> AsyncIterator[str]:
        async for event in router.ask(request):
            if isinstance(event, Text):
                yield event.text

    for _ in range(requests):
        yield pieces()
    await transport.aclose()


async def run(name: str, port: int, chunks: int, requests: int) -> None:
    """Print milliseconds to the first piece (median of the warm requests) and CPU microseconds a piece."""
    client = glossator if name == "glossator" else bare_httpx
    first: list[float] = []
    warm_cpu, counted = 0.0, 0
    number = 0
    async for pieces in client(port, requests):
        begin, cpu, count = time.perf_counter(), time.process_time(), 0
        async for _ in pieces:
            if not count:
                elapsed = time.perf_counter() - begin
            count += 1
        assert count == chunks, f"{name} lost pieces: {count} of {chunks}"
        if number >= 2:  # the first two open the connection and import what is imported late
            first.append(elapsed * 1000)
            warm_cpu += time.process_time() - cpu
            counted += count
        number += 1
    first.sort()
    print(json.dumps({"first_ms": first[len(first) // 2], "cpu_us": warm_cpu / counted * 1e6}))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
