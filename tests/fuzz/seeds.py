"""What the fuzz begins with: small streams and documents of our own for each protocol, and recorded ones where they are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import recorded

Event = tuple[str | None, Any]  # the name, where the protocol has names, and the value; a plain word stands as it is


@dataclass(frozen=True, slots=True)
class Word:
    """What stands in a stream without being JSON."""

    text: str


_DONE = (None, Word("[DONE]"))
_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path":'}}
_TELLING = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def _chat(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return None, {"object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def _named(name: str, **fields: Any) -> Event:
    return name, {"type": name, **fields}


def _frame(name: str, **fields: Any) -> Event:
    return name, fields


OWN: Mapping[str, tuple[tuple[Event, ...], ...]] = {
    "openai_chat": (
        (
            _chat({"role": "assistant", "content": ""}),
            _chat({"reasoning_content": "hm"}),
            _chat({"content": "Grüße 😀"}),
            _chat({"content": "\ud83d"}),
            _chat({"content": "\ude00"}),
            _chat({"tool_calls": [_CALL]}),
            _chat({"tool_calls": [{"index": 0, "function": {"arguments": '"a.py"}'}}]}),
            _chat({}, "tool_calls", usage=None),
            (None, {"choices": [], "usage": {**_TELLING, "prompt_tokens_details": {"cached_tokens": 3}}}),
            _DONE,
        ),
        (
            _chat({"content": [{"type": "thinking", "thinking": [{"text": "a"}]}, {"type": "text", "text": "b"}]}),
            _chat({"refusal": "no"}, "stop", x_groq={"usage": _TELLING}),
            _DONE,
        ),
        (("error", {"error": {"message": "Overloaded", "code": "overloaded_error", "metadata": {"raw": "{}"}}}),),
    ),
    "openai_responses": (
        (
            _named("response.created", response={"model": "m", "status": "in_progress", "output": []}),
            _named("response.output_item.added", item={"type": "message"}),
            _named("response.reasoning_summary_text.delta", delta="hm"),
            _named("response.output_text.delta", delta="Grüße 😀"),
            _named("response.function_call_arguments.delta", delta="{"),
            _named(
                "response.output_item.done",
                item={"type": "function_call", "call_id": "c", "id": "f", "name": "read", "arguments": "{}"},
            ),
            _named(
                "response.completed",
                response={
                    "model": "m",
                    "status": "completed",
                    "incomplete_details": None,
                    "output": [
                        {"type": "reasoning", "summary": [{"text": "hm"}]},
                        {"type": "message", "content": [{"type": "output_text", "text": "hi"}, {"refusal": "no"}]},
                        {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
                    ],
                    "usage": {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 1}},
                },
            ),
        ),
        (_named("response.failed", response={"status": "failed", "error": {"code": "server_error", "message": "x"}}),),
        (_named("response.incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}),),
        ((None, {"type": "error", "code": "server_is_overloaded", "message": "busy"}),),
    ),
    "anthropic": (
        (
            _named("message_start", message={"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}),
            _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            _named("ping"),
            _named("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
            _named("content_block_delta", index=0, delta={"type": "text_delta", "text": "Grüße 😀"}),
            _named("content_block_stop", index=0),
            _named(
                "content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "r", "input": {}}
            ),
            _named("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": "{}"}),
            _named("content_block_delta", index=1, delta={"type": "signature_delta", "signature": "s"}),
            _named("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 5}),
            _named("message_stop"),
        ),
        (_named("error", error={"type": "overloaded_error", "message": "Overloaded"}),),
    ),
    "gemini": (
        (
            (None, {"modelVersion": "m", "candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}]}),
            (None, {"candidates": [{"content": {"parts": [{"text": "Grüße 😀"}]}, "index": 0}]}),
            (
                None,
                {
                    "candidates": [
                        {
                            "content": {
                                "parts": [{"functionCall": {"name": "r", "args": {"a": [1]}}, "thoughtSignature": "s"}]
                            },
                            "finishReason": "STOP",
                        }
                    ],
                    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 2},
                },
            ),
        ),
        ((None, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}),),
        (
            (
                None,
                {
                    "error": {
                        "code": 429,
                        "status": "RESOURCE_EXHAUSTED",
                        "message": "quota",
                        "details": [{"retryDelay": "48s", "violations": [{"quotaId": "PerDay"}], "reason": "x"}],
                    }
                },
            ),
        ),
    ),
    "bedrock": (
        (
            _frame("messageStart", role="assistant"),
            _frame("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}),
            _frame("contentBlockDelta", contentBlockIndex=0, delta={"text": "Grüße 😀"}),
            _frame("contentBlockStop", contentBlockIndex=0),
            _frame("contentBlockStart", contentBlockIndex=1, start={"toolUse": {"toolUseId": "t", "name": "r"}}),
            _frame("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": "{}"}}),
            _frame("messageStop", stopReason="tool_use"),
            _frame(
                "metadata",
                usage={"inputTokens": 7, "outputTokens": 5, "cacheReadInputTokens": 2},
                trace={"promptRouter": {"invokedModelId": "m"}},
            ),
        ),
        (_frame("throttlingException", message="Too many requests", originalMessage="x"),),
    ),
    "cohere": (
        (
            _named("message-start", delta={"message": {"role": "assistant"}}),
            _named("content-delta", index=0, delta={"message": {"content": {"thinking": "hm"}}}),
            _named("content-delta", index=0, delta={"message": {"content": {"text": "Grüße 😀"}}}),
            _named("tool-plan-delta", delta={"message": {"tool_plan": "then"}}),
            _named(
                "tool-call-start",
                index=0,
                delta={"message": {"tool_calls": {"id": "t", "function": {"name": "r", "arguments": ""}}}},
            ),
            _named("tool-call-delta", index=0, delta={"message": {"tool_calls": {"function": {"arguments": "{}"}}}}),
            _named(
                "message-end",
                delta={
                    "finish_reason": "TOOL_CALL",
                    "usage": {
                        "tokens": {"input_tokens": 7.0, "output_tokens": 5},
                        "billed_units": {"input_tokens": 7},
                        "cached_tokens": 1,
                    },
                },
            ),
            _DONE,
        ),
        (_named("message-end", delta={"finish_reason": "ERROR", "error": "x", "error_type": "TOO_MANY_TOKENS"}),),
    ),
    "ollama": (
        (
            (None, {"model": "m", "message": {"thinking": "hm"}, "done": False}),
            (None, {"model": "m", "message": {"content": "Grüße 😀"}, "remote_host": "https://h"}),
            (None, {"message": {"tool_calls": [{"id": "t", "function": {"name": "r", "arguments": {"a": 1}}}]}}),
            (None, {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 5}),
        ),
        ((None, {"response": "hi", "done": True}),),
        ((None, {"error": "model 'x' not found"}),),
    ),
}

# Answers in one piece.
WHOLE: Mapping[str, Any] = {
    "openai_chat": {
        "model": "m",
        "choices": [
            {
                "message": {"content": "Grüße 😀", "tool_calls": [_CALL], "function_call": {"name": "f"}},
                "finish_reason": "stop",
            }
        ],
        "usage": _TELLING,
    },
    "openai_responses": {
        "model": "m",
        "status": "completed",
        "incomplete_details": None,
        "output": [
            {"type": "reasoning", "summary": [{"text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "Grüße 😀"}]},
            {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 1}},
    },
    "anthropic": {
        "model": "m",
        "content": [
            {"type": "text", "text": "Grüße 😀"},
            {"type": "tool_use", "id": "t", "name": "r", "input": {"a": [1]}},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 2},
    },
    "gemini": {
        "modelVersion": "m",
        "candidates": [{"content": {"parts": [{"text": "Grüße 😀"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5},
    },
    "bedrock": {
        "output": {
            "message": {
                "content": [
                    {"text": "Grüße 😀"},
                    {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                    {"toolUse": {"toolUseId": "t", "name": "r", "input": {"a": 1}}},
                ]
            }
        },
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2},
    },
    "cohere": {
        "message": {"content": [{"type": "text", "text": "Grüße 😀"}], "tool_plan": "then", "tool_calls": [_CALL]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 7}},
    },
    "ollama": {"model": "m", "message": {"content": "Grüße 😀"}, "done": True, "done_reason": "stop"},
}

# Those, lists of models and failures, for whichever protocol: each meets those of the others.
DOCUMENTS: tuple[Any, ...] = (
    *WHOLE.values(),
    {"data": [{"id": "m", "context_window": 8192, "meta": {"n_ctx": 1}, "max_tokens": 5}]},
    {"models": [{"name": "models/m", "details": {"context_length": 5}, "remote_host": "h", "endpoints": ["chat"]}]},
    {"publisherModels": [{"name": "publishers/google/models/m"}]},
    {"error": {"message": "Rate limit. Please try again in 1m30.5s", "code": "rate_limited", "retry_after": 5}},
    {"error": {"code": 502, "message": "x", "metadata": {"raw": '{"error":{"message":"y"}}', "retry_after": "1"}}},
    {"detail": [{"type": "missing", "loc": ["body", 0], "msg": "no", "input": "secret"}]},
    {"message": {"detail": {"detail": "x"}}, "object": "error", "type": "x", "raw_status_code": 429},
    {"code": "invalid-argument", "error": "Incorrect API key provided: k"},
    {"__type": "a#ThrottlingException:http://", "Message": "x"},
    [OWN["gemini"][2][0][1]],
)

_MOST_EVENTS = 40
_LARGEST = 1 << 15  # bytes of a recorded answer: a larger one repeats itself
_MOST_RECORDED = 30


@cache
def streams(dialect: str) -> tuple[tuple[Event, ...], ...]:
    """Return the streams that the fuzz of a dialect begins with."""
    found = list(OWN[dialect])
    for case in recorded.cases(kept=lambda case: case.streamed and case.row.dialect == dialect):
        if len(found) < len(OWN[dialect]) + _MOST_RECORDED and len(case.body) <= _LARGEST:
            frames = recorded.frames(case.dialect, [case.body])[:_MOST_EVENTS]
            found.append(tuple((frame.event, _value(frame.data)) for frame in frames))
    return tuple(stream for stream in found if stream)


@cache
def documents(dialect: str) -> tuple[Any, ...]:
    """Return the documents that the fuzz of a dialect begins with."""
    bodies = [
        case.body
        for case in recorded.cases(kept=lambda case: not case.streamed and case.row.dialect == dialect)
        if len(case.body) <= _LARGEST
    ]
    return (*DOCUMENTS, *map(_value, bodies[:_MOST_RECORDED]))


def _value(body: str | bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return Word(body.decode("latin-1") if isinstance(body, bytes) else body)
