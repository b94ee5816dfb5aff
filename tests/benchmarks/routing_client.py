"""One router under measurement, in a process of its own: `routing_client.py CLIENT PORT TIMES`, prints JSON.

CPU is that of this process for a request whose answer comes in one piece and in many; times are from the question to the last word.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Ask = Callable[[str], Awaitable[str]]
"""Ask this question, and return the whole answer."""

ALONE, ONE, THREE = "alone", "one", "three"
MANY = 300  # pieces of a long answer
FIRST_TOKEN = 1.0  # seconds
TROUBLES = ("none", "refuses", "overloaded", "hangs")
REPEATED = 5
BATCH = 10  # requests in turn, of each kind


@asynccontextmanager
async def glossator(kind: str, addresses: list[str]) -> AsyncIterator[Ask]:
    """Ask one provider as the router does it for a single attempt, or through the router, with as many as there are addresses."""
    from glossator_providers.asking import Asking, Heard
    from glossator_providers.catalog import ROWS, Provider, Timeouts
    from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
    from glossator_providers.privacy import LocalFiles, Policy, clear
    from glossator_providers.router import Router
    from glossator_providers.secrets import Secret
    from glossator_providers.state import State
    from glossator_providers.transport import Transport
    from glossator_providers.usage_ledger import UsageLedger

    timeouts = Timeouts(first_token=FIRST_TOKEN)
    providers = [
        Provider(f"p{number}", ROWS["openai"], "gpt-4o", address, Secret("no-key"), timeouts=timeouts)
        for number, address in enumerate(addresses)
    ]
    transport, policy, files = Transport(), Policy(), LocalFiles()
    origins = (Origin(OriginKind.INSTRUCTION),)

    def request(question: str) -> Request:
        return Request((Message(Role.USER, (Fragment(question, origins),)),))

    asking = Asking(transport, files=files, clock=time.monotonic, sleep=asyncio.sleep, prepare=None)

    async def alone(question: str) -> str:
        asked = request(question)
        cleared = clear(asked, policy=policy, files=files)
        heard = Heard(time.monotonic(), "gpt-4o", local=True, stays=False)
        until = time.monotonic() + 300
        async with asking.opened(providers[0], asked, cleared, policy, until=until, heard=heard) as deltas:
            async for delta in deltas:
                heard.hear(delta, time.monotonic)
        return heard.answer(providers[0], (), bound=4096).text

    with TemporaryDirectory() as folder:
        ledger = UsageLedger(Path(folder, "usage")) if kind == THREE else None
        state = State(clock=time.monotonic, sleep=asyncio.sleep, ledger=ledger)
        router = Router(
            providers, transport=transport, policy=policy, files=files, strategy="priority", state=state, max_attempts=1
        )

        async def routed(question: str) -> str:
            return (await router.answer(request(question))).text

        yield alone if kind == ALONE else routed
        await state.aclose()
    await transport.aclose()


@asynccontextmanager
async def lite_llm(kind: str, addresses: list[str]) -> AsyncIterator[Ask]:
    """Ask through LiteLLM's Router: several deployments of one name, or one name that falls back to the next at its first failure."""
    import litellm

    names = [kind if kind == THREE else f"p{number}" for number, _ in enumerate(addresses)]
    deployments: list[dict[str, Any]] = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4o", "api_base": address, "api_key": "no-key", "max_retries": 0},
        }
        for name, address in zip(names, addresses, strict=True)
    ]
    fallbacks = [] if kind == THREE else [{names[0]: names[1:]}]
    router = litellm.Router(model_list=deployments, num_retries=0, timeout=FIRST_TOKEN, fallbacks=fallbacks)

    async def ask(question: str) -> str:
        said = [{"role": "user", "content": question}]
        stream = await router.acompletion(model=names[0], messages=said, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return "".join(pieces)

    yield ask


@asynccontextmanager
async def trouble(kind: str, sound: str) -> AsyncIterator[str]:
    """Give the address of a provider that this ails."""
    if kind == "none":
        yield sound
        return
    if kind == "refuses":
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{chosen.getsockname()[1]}/v1"  # bound, and nobody listens
        return
    ended = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if kind == "hangs":
            await ended.wait()
        else:
            body = b'{"error":{"message":"Overloaded"}}'
            head = f"HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ended.set()


async def run(client: str, port: int, times: int) -> dict[str, float]:
    """Measure one client."""
    routed = {"Glossator": glossator, "LiteLLM": lite_llm}[client]
    sound = f"http://127.0.0.1:{port}/v1"
    measured: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        ways = {
            kind: await stack.enter_async_context(routed(kind, [sound] * (3 if kind == THREE else 1)))
            for kind in ((ALONE, ONE, THREE) if client == "Glossator" else (THREE,))
        }
        for pieces, repeated in ((1, times), (MANY, times // 10)):
            spent: dict[str, list[float]] = {kind: [] for kind in ways}
            for number in range(max(2, repeated // BATCH + 1)):
                for kind, ask in ways.items():
                    begin = time.process_time()
                    for _ in range(BATCH):
                        await heard(ask, pieces)
                    if number:  # the first ones import, connect and learn
                        spent[kind].append((time.process_time() - begin) / BATCH * 1e6)
            measured |= {f"{kind} {pieces}": statistics.median(one) for kind, one in spent.items()}
    for kind in TROUBLES:
        measured[kind] = statistics.median([await answered_in(routed, kind, sound) for _ in range(REPEATED)])
    return measured


async def answered_in(routed: Callable[..., Any], kind: str, sound: str) -> float:
    """Return the milliseconds to a whole answer of a new router whose first provider this ails, and the second nothing."""
    async with trouble(kind, sound) as first, routed("trouble", [first, sound]) as ask:
        begin = time.perf_counter()
        await heard(ask, 1)
        return (time.perf_counter() - begin) * 1000


async def heard(ask: Ask, pieces: int) -> None:
    """Ask for an answer of so many pieces, and make sure that it has come."""
    answer = await ask(f"Say {pieces} words")
    assert answer == "".join(f" word{number}" for number in range(pieces))


if __name__ == "__main__":
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch its prices otherwise
    name, *numbers = sys.argv[1:]
    print("\n" + json.dumps(asyncio.run(run(name, *map(int, numbers)))))
