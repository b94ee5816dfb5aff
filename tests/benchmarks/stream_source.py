"""A provider that only says what it was told to: `stream_source.py DIALECT` answers every request with a stream; prints its port.

The number of pieces is what the question asks for, "Say 2000 words": one server gives long answers and short ones.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

Event = tuple[str | None, Mapping[str, Any] | str]
"""One message of a stream: its name where the protocol has names, and what it says."""

TYPES = {"bedrock": "application/vnd.amazon.eventstream", "ollama": "application/x-ndjson"}
_WANTED = re.compile(rb"Say (\d+) words")


def words(count: int) -> Iterator[str]:
    """Yield the pieces of the answer; no two neighbours are alike, which LiteLLM takes for a model that runs in circles."""
    return (f" word{number}" for number in range(count))


def openai_chat(count: int) -> Iterator[Event]:
    """Yield https://platform.openai.com/docs/api-reference/chat-streaming."""

    def chunk(delta: Mapping[str, str], reason: str | None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        head = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
        return None, {**head, "system_fingerprint": "fp_0123456789", "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""}, None)
    for word in words(count):
        yield chunk({"content": word}, None)
    yield chunk({}, "stop")
    yield None, "[DONE]"


def openai_responses(count: int) -> Iterator[Event]:
    """Yield https://platform.openai.com/docs/api-reference/responses-streaming."""
    number = 0
    place = {"item_id": "msg_0123456789", "output_index": 0}

    def event(name: str, fields: Mapping[str, Any]) -> Event:
        nonlocal number
        number += 1
        return name, {"type": name, "sequence_number": number - 1, **fields}

    def item(status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": "msg_0123456789", "type": "message", "status": status, "role": "assistant", "content": content}

    def response(status: str, output: list[dict[str, Any]], usage: Mapping[str, Any] | None) -> dict[str, Any]:
        settled: dict[str, Any] = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
        settled |= {"parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0}
        head = {"id": "resp_0123456789", "object": "response", "created_at": 1, "model": "gpt-4o"}
        return {**head, "status": status, "output": output, "usage": usage, **settled}

    def part(said: str) -> dict[str, Any]:
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": said}

    yield event("response.created", {"response": response("in_progress", [], None)})
    yield event("response.in_progress", {"response": response("in_progress", [], None)})
    yield event("response.output_item.added", {"output_index": 0, "item": item("in_progress", [])})
    yield event("response.content_part.added", {**place, "content_index": 0, "part": part("")})
    for word in words(count):
        yield event("response.output_text.delta", {**place, "content_index": 0, "delta": word, "logprobs": []})
    whole = "".join(words(count))
    yield event("response.output_text.done", {**place, "content_index": 0, "text": whole, "logprobs": []})
    yield event("response.content_part.done", {**place, "content_index": 0, "part": part(whole)})
    done = item("completed", [part(whole)])
    yield event("response.output_item.done", {"output_index": 0, "item": done})
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": count,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count + 9,
    }
    yield event("response.completed", {"response": response("completed", [done], usage)})


def anthropic(count: int) -> Iterator[Event]:
    """Yield https://platform.claude.com/docs/en/build-with-claude/streaming."""
    message: dict[str, Any] = {
        "id": "msg_0123456789",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    yield _typed("message_start", {"message": message})
    yield _typed("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
    yield _typed("ping", {})
    for word in words(count):
        yield _typed("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
    yield _typed("content_block_stop", {"index": 0})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _typed("message_delta", {"delta": ended, "usage": {"output_tokens": count}})
    yield _typed("message_stop", {})


def gemini(count: int) -> Iterator[Event]:
    """Yield https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent."""
    for number, word in enumerate(words(count), 1):
        ended = {"finishReason": "STOP"} if number == count else {}
        candidate = {"content": {"parts": [{"text": word}], "role": "model"}, **ended, "index": 0}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": number, "totalTokenCount": number + 9}
        head = {"modelVersion": "gemini-2.5-flash", "responseId": "0123456789"}
        yield None, {"candidates": [candidate], "usageMetadata": usage, **head}


def bedrock(count: int) -> Iterator[Event]:
    """Yield https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html, padding included."""
    padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    yield "messageStart", {"p": padding[:20], "role": "assistant"}
    for number, word in enumerate(words(count)):
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}, "p": padding[: number % 62]}
    yield "contentBlockStop", {"contentBlockIndex": 0, "p": padding[:30]}
    yield "messageStop", {"p": padding[:40], "stopReason": "end_turn"}
    usage = {"inputTokens": 9, "outputTokens": count, "totalTokens": count + 9}
    yield "metadata", {"metrics": {"latencyMs": 100}, "p": padding[:50], "usage": usage}


def cohere(count: int) -> Iterator[Event]:
    """Yield https://docs.cohere.com/reference/chat-stream."""
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield _typed("message-start", {"id": "0123456789", "delta": {"message": empty}})
    block = {"message": {"content": {"type": "text", "text": ""}}}
    yield _typed("content-start", {"index": 0, "delta": block})
    for word in words(count):
        yield _typed("content-delta", {"index": 0, "delta": {"message": {"content": {"text": word}}}})
    yield _typed("content-end", {"index": 0})
    tokens = {"input_tokens": 9, "output_tokens": count}
    ended = {"finish_reason": "COMPLETE", "usage": {"billed_units": tokens, "tokens": tokens}}
    yield _typed("message-end", {"id": "0123456789", "delta": ended})


def ollama(count: int) -> Iterator[Event]:
    """Yield https://docs.ollama.com/api/chat."""
    head = {"model": "llama3.2", "created_at": "2026-11-20T13:47:55.580951Z"}
    for word in words(count):
        yield None, {**head, "message": {"role": "assistant", "content": word}, "done": False}
    ended = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    times = {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 3}
    yield None, {**head, **ended, **times, "prompt_eval_count": 9, "eval_count": count}


STREAMS: Mapping[str, Callable[[int], Iterator[Event]]] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
    "cohere": cohere,
    "ollama": ollama,
}


def _typed(name: str, fields: Mapping[str, Any]) -> Event:
    return name, {"type": name, **fields}


def framed(dialect: str, event: Event) -> bytes:
    """Return one event as its protocol frames it."""
    name, said = event
    data = (said if isinstance(said, str) else json.dumps(said, separators=(",", ":"))).encode()
    match dialect:
        case "ollama":
            return data + b"\n"
        case "bedrock":
            return _amazon(name or "", data)
        case "gemini":
            return b"data: %s\r\n\r\n" % data  # the only one who ends lines like this
    return (f"event: {name}\n".encode() if name else b"") + b"data: %s\n\n" % data


def _amazon(name: str, payload: bytes) -> bytes:
    """Return a message of https://smithy.io/2.0/aws/amazon-eventstream.html."""
    told = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(f">B{len(key)}sBH", len(key), key.encode(), 7, len(value)) + value.encode()
        for key, value in told.items()
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


@cache
def answer(dialect: str, count: int) -> bytes:
    """Return the whole response of *count* pieces; each event is an HTTP chunk of its own."""
    kind = TYPES.get(dialect, "text/event-stream")
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    events = (framed(dialect, event) for event in STREAMS[dialect](count))
    return head + b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


async def serve(dialect: str) -> None:
    """Answer until killed."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            wanted = _WANTED.search(body)
            # LiteLLM asks Ollama about the model first.
            writer.write(
                answer(dialect, int(wanted[1])) if wanted else b"HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n"
            )
            await writer.drain()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
