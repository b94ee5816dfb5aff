"""What each provider's server puts on the wire: streams, whole answers, failures and lists of models, in its own bytes.

A wire is the other side of a dialect, written from the vendors' pages and not from our decoders.
"""

# ruff: noqa: ARG002  each wire is given what any of them needs

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

from glossator_providers.catalog import ROWS

Block = Literal["text", "thinking"]
Tokens = tuple[int, int]  # of the prompt, of the answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The body of a response that reports a failure, with the headers that belong to it."""

    body: bytes
    headers: Mapping[str, str]


class Wire(Protocol):
    """One protocol from the server's side; a block is what stands between two of `opened` and `closed`."""

    @property
    def content_type(self) -> str:
        """What a stream is called in the header."""

    @property
    def keep_alive(self) -> bytes:
        """Bytes that keep a stream open without being part of an answer."""

    @property
    def words(self) -> Mapping[str, str]:
        """The provider's own words for why an answer stopped: `stop`, `length`, `refused`."""

    def first(self, model: str) -> bytes:
        """Return what a stream begins with."""

    def opened(self, block: Block, index: int) -> bytes:
        """Return what begins a block."""

    def closed(self, block: Block, index: int) -> bytes:
        """Return what ends a block."""

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        """Return a piece of text or of what is thought."""

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        """Return what a stream ends with."""

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        """Return an answer that is not streamed."""

    def failure(self, status: int, message: str) -> Failed:
        """Return a failure in place of an answer."""

    def late_failure(self, message: str, code: str) -> bytes:
        """Return a failure in the middle of a stream."""

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        """Return the list of models."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What the vendors call the failure with one status; where a vendor has no word for it, the nearest."""

    openai: tuple[str, str | None]  # type, code
    anthropic: str
    google: str
    amazon: str


# https://platform.openai.com/docs/guides/error-codes, https://platform.claude.com/docs/en/api/errors,
# https://cloud.google.com/apis/design/errors, https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
_WORDS: Mapping[int, _Words] = {
    400: _Words(("invalid_request_error", None), "invalid_request_error", "INVALID_ARGUMENT", "ValidationException"),
    401: _Words(
        ("invalid_request_error", "invalid_api_key"),
        "authentication_error",
        "UNAUTHENTICATED",
        "UnrecognizedClientException",
    ),
    402: _Words(("invalid_request_error", None), "billing_error", "FAILED_PRECONDITION", "OptInRequiredException"),
    403: _Words(
        ("invalid_request_error", "unsupported_country_region_territory"),
        "permission_error",
        "PERMISSION_DENIED",
        "AccessDeniedException",
    ),
    404: _Words(
        ("invalid_request_error", "model_not_found"), "not_found_error", "NOT_FOUND", "ResourceNotFoundException"
    ),
    408: _Words(("server_error", None), "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"),
    409: _Words(("invalid_request_error", None), "conflict_error", "ABORTED", "ConflictException"),
    413: _Words(("invalid_request_error", None), "request_too_large", "INVALID_ARGUMENT", "ValidationException"),
    422: _Words(("invalid_request_error", None), "invalid_request_error", "INVALID_ARGUMENT", "ValidationException"),
    429: _Words(("tokens", "rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"),
    500: _Words(("server_error", None), "api_error", "INTERNAL", "InternalServerException"),
    503: _Words(
        ("server_error", "server_is_overloaded"), "overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"
    ),
    529: _Words(
        ("server_error", "server_is_overloaded"), "overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"
    ),
}
_OTHER = _Words(("server_error", None), "api_error", "UNKNOWN", "InternalServerException")

_JSON: Mapping[str, str] = {"content-type": "application/json"}


def _words(status: int) -> _Words:
    return _WORDS.get(status, _OTHER)


def _failed(body: Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> Failed:
    return Failed(json.dumps(body, ensure_ascii=False).encode(), {**_JSON, **headers})


def _event(name: str | None, data: Mapping[str, Any]) -> bytes:
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class _OpenAIChat:
    """https://platform.openai.com/docs/api-reference/chat-streaming."""

    content_type = "text/event-stream"
    keep_alive = b": keep-alive\n\n"
    words: Mapping[str, str] = MappingProxyType({"stop": "stop", "length": "length", "refused": "content_filter"})

    def first(self, model: str) -> bytes:
        return self._delta(model, {"role": "assistant", "content": ""})

    def opened(self, block: Block, index: int) -> bytes:
        return b""

    def closed(self, block: Block, index: int) -> bytes:
        return b""

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        return self._delta(model, {"content" if block == "text" else "reasoning_content": text})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        return self._delta(model, {}, word) + self._chunk(model, [], _usage_of_chat(tokens)) + b"data: [DONE]\n\n"

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": word}],
            "usage": _usage_of_chat(tokens),
        }

    def failure(self, status: int, message: str) -> Failed:
        kind, code = _words(status).openai
        return _failed({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def late_failure(self, message: str, code: str) -> bytes:
        return _event(None, {"error": {"message": message, "type": code, "code": code}})

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        rows = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in here + remote]
        return {"object": "list", "data": rows}

    def _delta(self, model: str, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return self._chunk(model, [{"index": 0, "delta": delta, "finish_reason": finish}])

    def _chunk(self, model: str, choices: list[Any], usage: Mapping[str, int] | None = None) -> bytes:
        chunk = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": model}
        return _event(None, chunk | {"choices": choices, "usage": usage})


def _usage_of_chat(tokens: Tokens) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


class _OpenAIResponses:
    """https://platform.openai.com/docs/api-reference/responses-streaming."""

    content_type = "text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"
    words: Mapping[str, str] = MappingProxyType(
        {"stop": "completed", "length": "max_output_tokens", "refused": "content_filter"}
    )

    def first(self, model: str) -> bytes:
        begun = self._response(model, "in_progress")
        return self._named("response.created", {"response": begun}) + self._named(
            "response.in_progress", {"response": begun}
        )

    def opened(self, block: Block, index: int) -> bytes:
        item = {"id": f"item_{index}", "type": "message" if block == "text" else "reasoning", "status": "in_progress"}
        return self._named("response.output_item.added", {"output_index": index, "item": item})

    def closed(self, block: Block, index: int) -> bytes:
        item = {"id": f"item_{index}", "type": "message" if block == "text" else "reasoning", "status": "completed"}
        return self._named("response.output_item.done", {"output_index": index, "item": item})

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        name = "response.output_text.delta" if block == "text" else "response.reasoning_summary_text.delta"
        return self._named(name, {"item_id": f"item_{index}", "output_index": index, "content_index": 0, "delta": text})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        status = "completed" if word == "completed" else "incomplete"
        return self._named(f"response.{status}", {"response": self.whole(model, word, tokens, text)})

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        done = word == "completed"
        content = [{"type": "output_text", "annotations": [], "text": text}]
        usage = {
            "input_tokens": tokens[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(tokens),
        }
        return self._response(model, "completed" if done else "incomplete") | {
            "incomplete_details": None if done else {"reason": word},
            "output": [
                {"id": "item_0", "type": "message", "status": "completed", "role": "assistant", "content": content}
            ],
            "usage": usage,
        }

    def failure(self, status: int, message: str) -> Failed:
        return WIRES["openai_chat"].failure(status, message)

    def late_failure(self, message: str, code: str) -> bytes:
        return self._named("error", {"code": code, "message": message, "param": None})

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        return WIRES["openai_chat"].models(here, remote)

    def _named(self, name: str, data: Mapping[str, Any]) -> bytes:
        return _event(name, {"type": name, **data})

    def _response(self, model: str, status: str) -> dict[str, Any]:
        return {
            "id": "resp_fake",
            "object": "response",
            "created_at": 1,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": [],
            "usage": None,
        }


class _Anthropic:
    """https://platform.claude.com/docs/en/build-with-claude/streaming."""

    content_type = "text/event-stream"
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'
    words: Mapping[str, str] = MappingProxyType({"stop": "end_turn", "length": "max_tokens", "refused": "refusal"})

    def first(self, model: str) -> bytes:
        message = self._message(model) | {"content": [], "stop_reason": None}
        usage = {"input_tokens": 7, "output_tokens": 1}
        return self._named("message_start", {"message": message | {"usage": usage}})

    def opened(self, block: Block, index: int) -> bytes:
        return self._named("content_block_start", {"index": index, "content_block": {"type": block, block: ""}})

    def closed(self, block: Block, index: int) -> bytes:
        return self._named("content_block_stop", {"index": index})

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        return self._named("content_block_delta", {"index": index, "delta": {"type": f"{block}_delta", block: text}})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        delta = {"stop_reason": word, "stop_sequence": None}
        return self._named("message_delta", {"delta": delta, "usage": usage}) + self._named("message_stop", {})

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        return self._message(model) | {
            "content": [{"type": "text", "text": text}],
            "stop_reason": word,
            "stop_sequence": None,
            "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
        }

    def failure(self, status: int, message: str) -> Failed:
        error = {"type": _words(status).anthropic, "message": message}
        return _failed({"type": "error", "error": error, "request_id": "req_fake"})

    def late_failure(self, message: str, code: str) -> bytes:
        return self._named("error", {"error": {"type": code, "message": message}})

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        rows = [{"type": "model", "id": name, "display_name": name} for name in here + remote]
        return {"data": rows, "has_more": False}

    def _named(self, name: str, data: Mapping[str, Any]) -> bytes:
        return _event(name, {"type": name, **data})

    def _message(self, model: str) -> dict[str, Any]:
        return {"id": "msg_fake", "type": "message", "role": "assistant", "model": model}


class _Gemini:
    """https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent."""

    content_type = "text/event-stream"
    keep_alive = b": keep-alive\r\n\r\n"
    words: Mapping[str, str] = MappingProxyType({"stop": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"})

    def first(self, model: str) -> bytes:
        return b""

    def opened(self, block: Block, index: int) -> bytes:
        return b""

    def closed(self, block: Block, index: int) -> bytes:
        return b""

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        part: dict[str, Any] = {"text": text} if block == "text" else {"text": text, "thought": True}
        return self._chunk(self._answer(model, [part]))

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        return self._chunk(self.whole(model, word, tokens, ""))

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        answer = self._answer(model, [{"text": text}])
        answer["candidates"][0]["finishReason"] = word
        counted = {
            "promptTokenCount": tokens[0],
            "candidatesTokenCount": tokens[1],
            "totalTokenCount": sum(tokens),
        }
        return answer | {"usageMetadata": counted}

    def failure(self, status: int, message: str) -> Failed:
        error = {"code": status, "message": message, "status": _words(status).google}
        return _failed({"error": error}, {"content-type": "application/json; charset=UTF-8"})

    def late_failure(self, message: str, code: str) -> bytes:
        return self._chunk({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        methods = ["generateContent"]
        return {"models": [{"name": f"models/{name}", "supportedGenerationMethods": methods} for name in here + remote]}

    def _chunk(self, data: Mapping[str, Any]) -> bytes:
        return f"data: {json.dumps(data, ensure_ascii=False)}\r\n\r\n".encode()

    def _answer(self, model: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
        return {"candidates": [candidate], "modelVersion": model, "responseId": "fake"}


class _Bedrock:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html."""

    content_type = "application/vnd.amazon.eventstream"
    words: Mapping[str, str] = MappingProxyType(
        {"stop": "end_turn", "length": "max_tokens", "refused": "content_filtered"}
    )

    @property
    def keep_alive(self) -> bytes:
        return self.first("")  # no other event of this protocol is without content

    def first(self, model: str) -> bytes:
        return self._event("messageStart", {"role": "assistant"})

    def opened(self, block: Block, index: int) -> bytes:
        return b""  # only a tool's block is opened

    def closed(self, block: Block, index: int) -> bytes:
        return self._event("contentBlockStop", {"contentBlockIndex": index})

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        delta: dict[str, Any] = {"text": text} if block == "text" else {"reasoningContent": {"text": text}}
        return self._event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        counted = {"usage": self._usage(tokens), "metrics": {"latencyMs": 1}}
        return self._event("messageStop", {"stopReason": word}) + self._event("metadata", counted)

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": word,
            "usage": self._usage(tokens),
            "metrics": {"latencyMs": 1},
        }

    def failure(self, status: int, message: str) -> Failed:
        return _failed({"message": message}, {"x-amzn-errortype": _words(status).amazon})

    def late_failure(self, message: str, code: str) -> bytes:
        return self._message(
            {":exception-type": "serviceUnavailableException", ":message-type": "exception"}, {"message": message}
        )

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        return {"modelSummaries": [{"modelId": name} for name in here + remote]}

    def _usage(self, tokens: Tokens) -> dict[str, int]:
        return {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)}

    def _event(self, name: str, data: Mapping[str, Any]) -> bytes:
        return self._message({":event-type": name, ":message-type": "event"}, data)

    def _message(self, names: Mapping[str, str], data: Mapping[str, Any]) -> bytes:
        """Return one binary message, https://smithy.io/2.0/aws/amazon-eventstream.html."""
        payload = json.dumps(data, ensure_ascii=False).encode()
        headers = b"".join(
            struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
            for name, value in {**names, ":content-type": "application/json"}.items()
        )
        prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
        message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        return message + struct.pack(">I", zlib.crc32(message))


class _Cohere:
    """https://docs.cohere.com/reference/chat-stream."""

    content_type = "text/event-stream"
    keep_alive = b": keep-alive\n\n"
    words: Mapping[str, str] = MappingProxyType({"stop": "COMPLETE", "length": "MAX_TOKENS", "refused": "ERROR_TOXIC"})

    def first(self, model: str) -> bytes:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return self._named("message-start", {"id": "fake", "delta": {"message": message}})

    def opened(self, block: Block, index: int) -> bytes:
        return self._content("content-start", index, {"type": block, block: ""})

    def closed(self, block: Block, index: int) -> bytes:
        return self._named("content-end", {"index": index})

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        return self._content("content-delta", index, {block: text})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        delta = {"finish_reason": word, "usage": self._usage(tokens)}
        return self._named("message-end", {"delta": delta}) + b"data: [DONE]\n\n"

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        return {"id": "fake", "finish_reason": word, "message": message, "usage": self._usage(tokens)}

    def failure(self, status: int, message: str) -> Failed:
        return _failed({"id": "fake", "message": message})

    def late_failure(self, message: str, code: str) -> bytes:
        delta = {"finish_reason": "ERROR", "usage": {}, "error": message, "error_type": code.upper()}
        return self._named("message-end", {"delta": delta}) + b"data: [DONE]\n\n"

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        return {"models": [{"name": name, "endpoints": ["chat"]} for name in here + remote]}

    def _usage(self, tokens: Tokens) -> dict[str, Any]:
        counted = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
        return {"billed_units": counted, "tokens": counted}

    def _content(self, name: str, index: int, content: Mapping[str, str]) -> bytes:
        return self._named(name, {"index": index, "delta": {"message": {"content": content}}})

    def _named(self, name: str, data: Mapping[str, Any]) -> bytes:
        return _event(name, {"type": name, **data})


class _Ollama:
    """https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion."""

    content_type = "application/x-ndjson"
    keep_alive = b"\n"
    words: Mapping[str, str] = MappingProxyType({"stop": "stop", "length": "length", "refused": "stop"})

    def first(self, model: str) -> bytes:
        return b""

    def opened(self, block: Block, index: int) -> bytes:
        return b""

    def closed(self, block: Block, index: int) -> bytes:
        return b""

    def piece(self, model: str, block: Block, text: str, index: int) -> bytes:
        said = {"content": text} if block == "text" else {"content": "", "thinking": text}
        return self._line(self.line(model) | {"message": {"role": "assistant", **said}})

    def end(self, model: str, word: str, tokens: Tokens, text: str) -> bytes:
        return self._line(self.whole(model, word, tokens, ""))

    def whole(self, model: str, word: str, tokens: Tokens, text: str) -> dict[str, Any]:
        return self.line(model, text) | {
            "done": True,
            "done_reason": word,
            "prompt_eval_count": tokens[0],
            "eval_count": tokens[1],
        }

    def failure(self, status: int, message: str) -> Failed:
        return _failed({"error": message})

    def late_failure(self, message: str, code: str) -> bytes:
        return self._line({"error": message})

    def models(self, here: tuple[str, ...], remote: tuple[str, ...]) -> dict[str, Any]:
        forwarded = {"remote_host": "https://ollama.com:443"}
        return {
            "models": [
                *({"name": name, "model": name} for name in here),
                *({"name": name, "model": name, "remote_model": name, **forwarded} for name in remote),
            ]
        }

    def line(self, model: str, text: str = "") -> dict[str, Any]:
        """Return one piece of an answer, before it is written down."""
        message = {"role": "assistant", "content": text}
        return {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}

    def _line(self, data: Mapping[str, Any]) -> bytes:
        return json.dumps(data, ensure_ascii=False).encode() + b"\n"


OLLAMA = _Ollama()
WIRES: Mapping[str, Wire] = MappingProxyType(
    {
        "openai_chat": _OpenAIChat(),
        "openai_responses": _OpenAIResponses(),
        "anthropic": _Anthropic(),
        "gemini": _Gemini(),
        "bedrock": _Bedrock(),
        "cohere": _Cohere(),
        "ollama": OLLAMA,
    }
)
# Dialects that are another one at another address.
_SPOKEN: Mapping[str, str] = {
    "azure": "openai_chat",
    "azure_responses": "openai_responses",
    "vertex": "gemini",
    "vertex_anthropic": "anthropic",
}


def wire_of(kind: str) -> Wire:
    """Return the wire that providers of this catalog kind speak; what no row describes speaks OpenAI's."""
    dialect = ROWS[kind].dialect if kind in ROWS else "openai_chat"
    return WIRES[_SPOKEN.get(dialect, dialect)]
