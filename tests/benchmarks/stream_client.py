"""One client under measurement, in a process of its own: `stream_client.py CLIENT DIALECT PORT LONG SHORT`, prints JSON.

The clients are what people would take: Glossator's router, httpx by hand, the vendor's own SDK, and LiteLLM.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

Ask = Callable[[str], AsyncIterator[str]]
"""Ask this question, and yield the pieces of the answer."""

# Names that every client knows: some look at the name before they send anything.
MODELS = {
    "openai_chat": "gpt-4o",
    "openai_responses": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "cohere": "command-a-03-2025",
    "ollama": "llama3.2",
}

PIECES = 2_000  # in a long answer, by which CPU is measured
ENOUGH = 0.4  # seconds of CPU for long answers, after which no more are asked for
KEY = "no-key-at-all"


def said(question: str) -> list[Any]:
    """Return the conversation in the form that most protocols share."""
    return [{"role": "user", "content": question}]


@asynccontextmanager
async def glossator(dialect: str, address: str) -> AsyncIterator[Ask]:
    """Read through the whole path: policy, router, clearance, the door, the dialect."""
    from glossator_providers.catalog import ROWS, Provider
    from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role, Text
    from glossator_providers.privacy import Policy
    from glossator_providers.privacy.files import LocalFiles
    from glossator_providers.router import Router
    from glossator_providers.secrets import Secret
    from glossator_providers.transport import Transport

    kinds = {"openai_chat": "openai", "openai_responses": "openai-responses"}
    base = f"{address}/v1" if dialect in kinds else address
    provider = Provider(
        "benchmark",
        ROWS[kinds.get(dialect, dialect)],
        MODELS[dialect],
        base,
        None if dialect == "bedrock" else Secret(KEY),  # botocore's rules: it signs
    )
    origins = (Origin(OriginKind.INSTRUCTION),)
    transport = Transport()
    router = Router((provider,), transport=transport, policy=Policy(), files=LocalFiles())

    async def ask(question: str) -> AsyncIterator[str]:
        async for event in router.ask(Request((Message(Role.USER, (Fragment(question, origins),)),))):
            if isinstance(event, Text):
                yield event.text

    yield ask
    await transport.aclose()


@asynccontextmanager
async def bare_httpx(dialect: str, address: str) -> AsyncIterator[Ask]:
    """Read with httpx and the standard library, as a careful person would by hand who knows only this one protocol."""
    import httpx

    pick = _PICK[dialect]

    async def ask(question: str) -> AsyncIterator[str]:
        path, body = _by_hand(dialect, question)
        async with client.stream("POST", address + path, json=body) as response:
            if dialect == "bedrock":
                async for piece in _amazon_pieces(response.aiter_raw()):
                    yield piece
                return
            async for line in response.aiter_lines():
                data = line if dialect == "ollama" else line[6:] if line.startswith("data: ") else ""
                if data and data != "[DONE]":
                    said = pick(json.loads(data))
                    if said:
                        yield said

    async with httpx.AsyncClient(trust_env=False) as client:
        yield ask


def _by_hand(dialect: str, question: str) -> tuple[str, Mapping[str, Any]]:
    """Return path and body of a request."""
    model, parts, messages = MODELS[dialect], [{"text": question}], said(question)
    chat = {"model": model, "messages": messages, "stream": True}
    match dialect:
        case "openai_chat":
            return "/v1/chat/completions", chat
        case "openai_responses":
            return "/v1/responses", {"model": model, "input": messages, "stream": True}
        case "anthropic":
            return "/v1/messages", {**chat, "max_tokens": 4096}
        case "gemini":
            return f"/v1beta/models/{model}:streamGenerateContent?alt=sse", {
                "contents": [{"role": "user", "parts": parts}]
            }
        case "bedrock":
            return f"/model/{model}/converse-stream", {"messages": [{"role": "user", "content": parts}]}
        case "cohere":
            return "/v2/chat", chat
        case _:
            return "/api/chat", chat


_PICK: Mapping[str, Callable[[Any], str | None]] = {
    "openai_chat": lambda chunk: chunk["choices"][0]["delta"].get("content"),
    "openai_responses": lambda event: event["delta"] if event["type"] == "response.output_text.delta" else None,
    "anthropic": lambda event: event["delta"]["text"] if event["type"] == "content_block_delta" else None,
    "gemini": lambda chunk: chunk["candidates"][0]["content"]["parts"][0]["text"],
    "bedrock": lambda event: event["delta"]["text"] if "delta" in event else None,
    "cohere": lambda event: event["delta"]["message"]["content"]["text"] if event["type"] == "content-delta" else None,
    "ollama": lambda line: line["message"]["content"],
}


async def _amazon_pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Cut the events out by their lengths; unlike the product, trust every checksum and look at no header."""
    pending = b""
    async for chunk in chunks:
        pending += chunk
        while len(pending) >= 12 and len(pending) >= (size := int.from_bytes(pending[:4], "big")):
            headers = int.from_bytes(pending[4:8], "big")
            said = _PICK["bedrock"](json.loads(pending[12 + headers : size - 4]))
            pending = pending[size:]
            if said:
                yield said


@asynccontextmanager
async def official_sdk(dialect: str, address: str) -> AsyncIterator[Ask]:
    """Read with the SDK of the protocol's own vendor, as its first example does."""
    yield _SDKS[dialect](address)


def _openai_chat(address: str) -> Ask:
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{address}/v1", max_retries=0)

    async def ask(question: str) -> AsyncIterator[str]:
        async for chunk in await client.chat.completions.create(
            model=MODELS["openai_chat"], messages=said(question), stream=True
        ):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return ask


def _openai_responses(address: str) -> Ask:
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{address}/v1", max_retries=0)

    async def ask(question: str) -> AsyncIterator[str]:
        async for event in await client.responses.create(
            model=MODELS["openai_responses"], input=said(question), stream=True
        ):
            if event.type == "response.output_text.delta":
                yield event.delta

    return ask


def _anthropic(address: str) -> Ask:
    import anthropic

    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=address, max_retries=0)

    async def ask(question: str) -> AsyncIterator[str]:
        async for event in await client.messages.create(
            model=MODELS["anthropic"], messages=said(question), max_tokens=4096, stream=True
        ):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

    return ask


def _gemini(address: str) -> Ask:
    import google.genai

    client = google.genai.Client(api_key=KEY, http_options={"base_url": address})

    async def ask(question: str) -> AsyncIterator[str]:
        async for chunk in await client.aio.models.generate_content_stream(model=MODELS["gemini"], contents=question):
            if chunk.text:
                yield chunk.text

    return ask


def _bedrock(address: str) -> Ask:
    import boto3

    client = boto3.client("bedrock-runtime", endpoint_url=address, region_name="us-east-1")

    async def ask(question: str) -> AsyncIterator[str]:  # boto3 knows no asyncio
        turn = {"role": "user", "content": [{"text": question}]}
        for event in client.converse_stream(modelId=MODELS["bedrock"], messages=[turn])["stream"]:
            if "contentBlockDelta" in event:
                yield event["contentBlockDelta"]["delta"]["text"]

    return ask


def _cohere(address: str) -> Ask:
    import cohere

    client = cohere.AsyncClientV2(api_key=KEY, base_url=address)

    async def ask(question: str) -> AsyncIterator[str]:
        async for event in client.chat_stream(model=MODELS["cohere"], messages=said(question)):
            if event.type == "content-delta":
                yield event.delta.message.content.text

    return ask


def _ollama(address: str) -> Ask:
    import ollama

    client = ollama.AsyncClient(host=address)

    async def ask(question: str) -> AsyncIterator[str]:
        async for part in await client.chat(model=MODELS["ollama"], messages=said(question), stream=True):
            if part.message.content:
                yield part.message.content

    return ask


_SDKS: Mapping[str, Callable[[str], Ask]] = {
    "openai_chat": _openai_chat,
    "openai_responses": _openai_responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "ollama": _ollama,
}


@asynccontextmanager
async def lite_llm(dialect: str, address: str) -> AsyncIterator[Ask]:
    """Read with LiteLLM, in its form of each provider's name."""
    import litellm

    if dialect == "openai_responses":

        async def ask_responses(question: str) -> AsyncIterator[str]:
            stream = await litellm.aresponses(
                model=f"openai/{MODELS[dialect]}",
                input=said(question),
                stream=True,
                api_base=f"{address}/v1",
                api_key=KEY,
            )
            async for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta

        yield ask_responses
        return
    prefix, suffix = _LITELLM[dialect]

    async def ask(question: str) -> AsyncIterator[str]:
        base = address + suffix.format(model=MODELS[dialect])
        stream = await litellm.acompletion(
            model=f"{prefix}/{MODELS[dialect]}", messages=said(question), stream=True, api_base=base, api_key=KEY
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    yield ask


# Its name of the provider, and what it expects behind the address.
_LITELLM: Mapping[str, tuple[str, str]] = {
    "openai_chat": ("openai", "/v1"),
    "anthropic": ("anthropic", ""),
    "gemini": ("gemini", "/v1beta/models/{model}"),
    "bedrock": ("bedrock/converse", ""),
    "cohere": ("cohere_chat", "/v2/chat"),
    "ollama": ("ollama_chat", ""),
}

CLIENTS: Mapping[str, Callable[[str, str], AbstractAsyncContextManager[Ask]]] = {
    "Glossator": glossator,
    "httpx": bare_httpx,
    "SDK": official_sdk,
    "LiteLLM": lite_llm,
}


async def run(client: str, dialect: str, port: int, long: int, short: int) -> dict[str, float]:
    """Return the milliseconds to the first piece (median of *short* answers, warm) and the CPU microseconds that each of many costs."""
    async with CLIENTS[client](dialect, f"http://127.0.0.1:{port}") as ask:
        for _ in range(3):  # these open the connection and import what is imported late
            await _heard(ask, 20)
        first = [(await _heard(ask, 1)) * 1000 for _ in range(short)]
        cpu: list[float] = []
        while len(cpu) < long and sum(cpu) < ENOUGH:
            begin = time.process_time()
            await _heard(ask, PIECES)
            cpu.append(time.process_time() - begin)
    return {"first_ms": statistics.median(first), "cpu_us": statistics.median(cpu) / PIECES * 1e6}


async def _heard(ask: Ask, count: int) -> float:
    """Listen to an answer of *count* pieces; return the seconds to the first of them."""
    begin = time.perf_counter()
    first, heard, size = 0.0, 0, 0
    async for piece in ask(f"Say {count} words"):
        if not heard:
            first = time.perf_counter() - begin
        heard += 1
        size += len(piece)
    assert heard == count, f"{heard} pieces came, of {count}"
    assert size == sum(len(f" word{number}") for number in range(count))
    return first


if __name__ == "__main__":
    os.environ |= {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch its prices otherwise
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_EC2_METADATA_DISABLED": "true",  # so that nobody looks for keys in the network
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    name, protocol, *numbers = sys.argv[1:]
    print("\n" + json.dumps(asyncio.run(run(name, protocol, *map(int, numbers)))))
