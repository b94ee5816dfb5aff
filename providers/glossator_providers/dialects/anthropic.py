"""Messages: the protocol of Anthropic, also spoken by llama.cpp, DeepSeek and others.

https://platform.claude.com/docs/en/api/messages. We send `anthropic-version: 2023-06-01` with the key in `x-api-key`,
although the official SDK has moved to 2026-10-21 with a bearer token: the new version only takes away things that we
do not send, its answers are the same, and the old one is understood by every server and gateway that speaks this
protocol, on every model, and is the one under which all recorded traffic was made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from glossator_providers import traits
from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure, future
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.openai_chat import sampling, serialised
from glossator_providers.dialects.values import arguments_of, count, items, mapping, parse, text
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame
from glossator_providers.model import (
    Delta,
    Effort,
    Finished,
    FinishReason,
    Message,
    ModelInfo,
    Progress,
    Reasoning,
    Request,
    Role,
    Started,
    Text,
    Usage,
)

framing: Literal["sse", "ndjson"] = "sse"

VERSION = ("anthropic-version", "2023-06-01")  # https://platform.claude.com/docs/en/api/versioning

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSED,
    # `pause_turn` (a tool of the server needs longer) is neither an end nor a failure: OTHER.
}


# How many tokens an older model may think, where it wants a number.
_BUDGETS: Mapping[Effort, int] = {Effort.LOW: 2048, Effort.MEDIUM: 8192, Effort.HIGH: 16384}
_LEAST_BUDGET = 1024  # https://platform.claude.com/docs/en/build-with-claude/extended-thinking


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; nothing optional is sent that was not asked for."""
    model = request.model or provider.model
    longest = request.max_tokens or provider.max_tokens
    body: dict[str, Any] = {"model": model, "max_tokens": longest, "messages": _turns(request.messages)}
    body |= _stable(request)
    thinking, output = thinking_fields(request, model, longest=longest)
    if request.structure is not None:
        # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
        output["format"] = {"type": "json_schema", "schema": mapping(parse(request.structure.schema))}
    if thinking:
        body["thinking"] = thinking
    if output:
        body["output_config"] = output
    if "budget_tokens" not in thinking:  # a model that thinks by a number of tokens draws them as it will
        body |= sampling(request)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.stream:
        body["stream"] = True
    headers = (("accept", "application/json"), ("content-type", "application/json"), VERSION)
    return Payload("POST", "/v1/messages", headers, serialised(body))


def _stable(request: Request) -> dict[str, Any]:
    """Write down the tools and what the system says, marked for the cache, since they are what stays the same.

    Everything up to the mark is cached, the tools first; what is too short for it is sent as ever, at no cost:
    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    system: list[dict[str, Any]] = [
        {"type": "text", "text": message.text}
        for message in request.messages
        if message.role is Role.SYSTEM and message.text.strip()  # an empty block would be an error
    ]
    tools: list[dict[str, Any]] = [
        {"name": tool.name, "description": tool.description, "input_schema": mapping(parse(tool.schema))}
        for tool in request.tools
    ]
    for last in (system or tools)[-1:]:
        last["cache_control"] = {"type": "ephemeral"}
    return {name: blocks for name, blocks in (("system", system), ("tools", tools)) if blocks}


def thinking_fields(request: Request, model: str, *, longest: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how this model is told to think, `thinking` and its part of `output_config`: newer ones by effort, older ones by tokens."""
    if request.effort is None:
        return {}, {}
    match traits.thinking(model):
        case "effort" if request.effort is Effort.NONE:
            return {}, {"effort": Effort.LOW.value}  # they always think: as little as they can is all there is
        case "effort":
            return {"type": "adaptive"}, {"effort": request.effort.value}
        case "budget":
            # Going on after a tool's result it would want its thoughts back, signed, which a conversation does not keep.
            if request.effort is Effort.NONE or any(message.calls for message in request.messages):
                return {}, {}
            budget = min(_BUDGETS[request.effort], longest - _LEAST_BUDGET)
            return ({"type": "enabled", "budget_tokens": budget}, {}) if budget >= _LEAST_BUDGET else ({}, {})
        case None:
            return {}, {}


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Write the turns down; what tools brought is said by the user, and all results of one turn stand in one message."""
    turns: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        if message.role is Role.TOOL:
            if results is None:
                results = []
                turns.append({"role": "user", "content": results})
            results.append({"type": "tool_result", "tool_use_id": message.answers or "", "content": message.text})
            continue
        results = None
        turns.append({"role": message.role.value, "content": _blocks(message) if message.calls else message.text})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    said = [{"type": "text", "text": message.text}] if message.text.strip() else []
    return [
        *said,
        *(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call)}
            for call in message.calls
        ),
    ]


def decoder(row: Row | None = None) -> MessagesDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return MessagesDecoder()


class MessagesDecoder:
    """The state of one streamed answer; it is complete with `message_stop`."""

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._started = False
        self._usage = Usage()
        self._tokens: dict[str, int] = {}
        self._calls = Calls()
        self._finished = False
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        data = frame.data.strip()
        if self.done or not data:
            return []
        value = parse(data, partial=self._partial)
        failure.check(value, event=frame.event, partial=self._partial)
        event = mapping(value)
        deltas: list[Delta] = []
        match text(event.get("type")):
            case "message_start":
                message = mapping(event.get("message"))
                self._start(message, deltas)
                self._count(message.get("usage"), deltas)
            case "content_block_start":
                block = mapping(event.get("content_block"))
                self._call(event.get("index"), block, deltas)
                self._speak(block, deltas)
            case "content_block_delta":
                self._call(event.get("index"), mapping(event.get("delta")), deltas)
                self._speak(mapping(event.get("delta")), deltas)
            case "message_delta":
                self._count(event.get("usage"), deltas)
                reason = text(mapping(event.get("delta")).get("stop_reason"))
                if reason:
                    self._finish(reason, deltas)
            case "message_stop":
                self._finish("", deltas)
                self.done = True
            case "message":  # a server without streaming sent the whole answer at once
                deltas += _whole(event)
                self.done = True
            case "ping" | "content_block_stop":
                pass
            case name:
                future.pass_over("anthropic", name or frame.event)
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if not self.done:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the stream's last event, message_stop",
                partial=self._partial,
            )

    def _start(self, message: Mapping[str, Any], deltas: list[Delta]) -> None:
        model = text(message.get("model"))
        if model and not self._started:
            self._started = True
            deltas.append(Started(mend(model)))

    def _call(self, index: object, block: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Take the beginning of a tool call or a piece of its arguments; tools that the server runs itself are none of ours."""
        key = count(index) or 0
        match block.get("type"):
            case "tool_use":
                given = mapping(block.get("input"))  # empty, save from servers that do not stream it
                written = json.dumps(given, ensure_ascii=False, separators=(",", ":")) if given else ""
                self._calls.feed(key, identity=text(block.get("id")), name=text(block.get("name")), arguments=written)
            case "input_json_delta":
                self._calls.feed(key, arguments=text(block.get("partial_json")))
            case "signature_delta":  # all that is heard of thoughts that are not shown
                pass
            case _:
                return
        deltas.append(Progress())

    def _speak(self, block: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Give out the text or the thought of a piece; signatures and redacted thoughts stay here."""
        content = self._content.feed(text(block.get("text"))) if block.get("type") in ("text", "text_delta") else ""
        thought = (
            self._reasoning.feed(text(block.get("thinking")))
            if block.get("type") in ("thinking", "thinking_delta")
            else ""
        )
        self._give(thought, content, deltas)

    def _give(self, thought: str, content: str, deltas: list[Delta]) -> None:
        if thought:
            deltas.append(Reasoning(thought))
        if content:
            self._partial = True
            deltas.append(Text(content))

    def _count(self, told: object, deltas: list[Delta]) -> None:
        """Add up what `message_start` tells of the prompt and what `message_delta`, cumulatively, tells of the answer."""
        for name, value in mapping(told).items():
            tokens = count(value)
            if tokens is not None:
                self._tokens[name] = tokens
        usage = _usage(self._tokens)
        if usage != self._usage:
            self._usage = usage
            deltas.append(usage)

    def _finish(self, reason: str, deltas: list[Delta]) -> None:
        if self._finished:
            return
        self._finished = True
        self._give(self._reasoning.end(), self._content.end(), deltas)
        deltas += self._calls.end()
        deltas.append(Finished(_REASONS.get(reason, FinishReason.OTHER), mend(reason) or None))


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    value = parse(body)
    failure.check(value)
    return _whole(mapping(value))


def _whole(message: Mapping[str, Any]) -> list[Delta]:
    if not isinstance(message.get("content"), list):
        raise ProviderError(
            Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
        )
    deltas: list[Delta] = []
    model = text(message.get("model"))
    if model:
        deltas.append(Started(mend(model)))
    for item in items(message.get("content")):
        block = mapping(item)
        said, thought = text(block.get("text")), text(block.get("thinking"))
        if block.get("type") == "thinking" and thought:
            deltas.append(Reasoning(mend(thought)))
        if block.get("type") == "text" and said:
            deltas.append(Text(mend(said)))
    calls = Calls()
    for place, item in enumerate(items(message.get("content"))):
        block = mapping(item)
        if block.get("type") == "tool_use":
            written = json.dumps(mapping(block.get("input")), ensure_ascii=False, separators=(",", ":"))
            calls.feed(place, identity=text(block.get("id")), name=text(block.get("name")), arguments=written)
    deltas += calls.end()
    told = mapping(message.get("usage"))
    if told:
        deltas.append(_usage(told))
    reason = text(message.get("stop_reason"))
    deltas.append(Finished(_REASONS.get(reason, FinishReason.OTHER), mend(reason) or None))
    return deltas


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    return failure.explain(status, headers, body, clock=clock)


def list_models() -> Payload:
    """Write down the request for the models that the provider has; a page holds 20 of them unless asked for more."""
    return Payload("GET", "/v1/models?limit=1000", (("accept", "application/json"), VERSION), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read the list of models; raises ProviderError where it is none."""
    value = parse(body)
    failure.check(value)
    listed = mapping(value).get("data")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    entries = [mapping(item) for item in listed]
    return [
        ModelInfo(mend(name), count(entry.get("max_input_tokens")), count(entry.get("max_tokens")))
        for entry in entries
        if (name := text(entry.get("id")))
    ]


def _usage(told: Mapping[str, Any]) -> Usage:
    """Return the tokens with the whole prompt as input: here `input_tokens` counts only what the cache had no part in.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
    """
    plain = count(told.get("input_tokens"))
    cached = count(told.get("cache_read_input_tokens"))
    written = count(told.get("cache_creation_input_tokens"))
    asked = None if plain is None else plain + (cached or 0) + (written or 0)
    return Usage(asked, count(told.get("output_tokens")), cached, told_input_tokens=plain if plain != asked else None)
