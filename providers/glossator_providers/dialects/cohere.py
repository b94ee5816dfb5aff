"""Chat, version 2: the protocol of Cohere.

https://docs.cohere.com/reference/chat-stream. An answer never names the model. Before a model calls tools it may write
down a plan, which is thought and not answer; what is billed is less than the tokens that were read and written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure, future
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.openai_chat import function, serialised
from glossator_providers.dialects.values import count, items, mapping, parse, text
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
    Text,
    Usage,
)

framing: Literal["sse"] = "sse"

_REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
}
# A word in the place of a finish reason that means that the answer broke off.
_BROKEN: Mapping[str, Kind] = {"ERROR": Kind.SERVER, "TIMEOUT": Kind.TIMEOUT}

# How many tokens a model may think; without a number it may think as long as the answer may be:
# https://docs.cohere.com/docs/reasoning#thinking-budget
_BUDGETS: Mapping[Effort, int] = {Effort.LOW: 512, Effort.MEDIUM: 4096}


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; what stays the same comes first, where the provider's own cache looks for it."""
    body: dict[str, Any] = {
        "model": request.model or provider.model,
        "messages": [_turn(message) for message in request.messages],
        "max_tokens": request.max_tokens or provider.max_tokens,
        "stream": request.stream,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["p"] = request.top_p
    if request.top_k is not None:
        body["k"] = request.top_k
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.effort is not None:
        body["thinking"] = _thinking(request.effort)
    if request.tools:
        body["tools"] = [function(tool) for tool in request.tools]
    if request.structure is not None:
        # https://docs.cohere.com/reference/chat: version 2 names it so; `schema`, as in the guide's examples, is of version 1.
        body["response_format"] = {"type": "json_object", "json_schema": mapping(parse(request.structure.schema))}
    return Payload("POST", "/v2/chat", (("accept", "*/*"), ("content-type", "application/json")), serialised(body))


def _turn(message: Message) -> Mapping[str, Any]:
    """Return one turn; what a model said beside its calls was its plan."""
    if message.role is Role.TOOL:
        return {"role": "tool", "tool_call_id": message.answers or "", "content": message.text}
    if not message.calls:
        return {"role": message.role.value, "content": message.text}
    plan = {"tool_plan": message.text} if message.text else {}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.calls
    ]
    return {"role": message.role.value, **plan, "tool_calls": calls}


def _thinking(effort: Effort) -> Mapping[str, Any]:
    if effort is Effort.NONE:
        return {"type": "disabled"}
    return {"type": "enabled", **({"token_budget": _BUDGETS[effort]} if effort in _BUDGETS else {})}


def decoder(row: Row | None = None) -> ChatDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return ChatDecoder()


class ChatDecoder:
    """The state of one streamed answer; it is complete with `message-end`.

    The `[DONE]` that follows it, in every recording, says nothing more.
    """

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._calls = Calls()
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        data = frame.data.strip()
        if self.done or not data or data == "[DONE]":
            return []
        value = parse(data, partial=self._partial)
        failure.check(value, event=frame.event, partial=self._partial)
        event = mapping(value)
        delta = mapping(event.get("delta"))
        message = mapping(delta.get("message"))
        deltas: list[Delta] = []
        match text(event.get("type")):
            case "content-start" | "content-delta":
                content = mapping(message.get("content"))
                thought, said = text(content.get("thinking")), text(content.get("text"))
                self._give(self._reasoning.feed(thought), self._content.feed(said), deltas)
            case "tool-plan-delta":
                self._give(self._reasoning.feed(text(message.get("tool_plan"))), "", deltas)
            case "tool-call-start" | "tool-call-delta":
                _take_call(count(event.get("index")), mapping(message.get("tool_calls")), self._calls)
                deltas.append(Progress())
            case "message-end":
                self._end(delta, deltas)
            case "" if event.get("finish_reason"):  # a server without streaming sent the whole answer at once
                deltas += _whole(event)
                self.done = True
            case "message-start" | "content-end" | "tool-call-end" | "citation-start" | "citation-end":
                pass
            case name:
                future.pass_over("cohere", name or frame.event)
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if not self.done:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the stream's last event, message-end",
                partial=self._partial,
            )

    def _give(self, thought: str, content: str, deltas: list[Delta]) -> None:
        if thought:
            deltas.append(Reasoning(thought))
        if content:
            self._partial = True
            deltas.append(Text(content))

    def _end(self, delta: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._give(self._reasoning.end(), self._content.end(), deltas)
        reason = text(delta.get("finish_reason"))
        _check_unbroken(delta, reason, partial=self._partial)
        deltas += self._calls.end()
        deltas += _usage(delta)
        deltas.append(Finished(_REASONS.get(reason, FinishReason.OTHER), mend(reason) or None))
        self.done = True


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    value = parse(body)
    failure.check(value)
    return _whole(mapping(value))


def _whole(answer: Mapping[str, Any]) -> list[Delta]:
    message = answer.get("message")
    reason = text(answer.get("finish_reason"))
    _check_unbroken(answer, reason)
    if not isinstance(message, dict):
        raise ProviderError(
            Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
        )
    parts = [mapping(part) for part in items(message.get("content"))]
    thought = text(message.get("tool_plan")) + "".join(text(part.get("thinking")) for part in parts)
    said = "".join(text(part.get("text")) for part in parts)
    deltas: list[Delta] = []
    if thought:
        deltas.append(Reasoning(mend(thought)))
    if said:
        deltas.append(Text(mend(said)))
    calls = Calls()
    for place, told in enumerate(items(message.get("tool_calls"))):
        _take_call(place, mapping(told), calls)
    deltas += calls.end()
    deltas += _usage(answer)
    deltas.append(Finished(_REASONS.get(reason, FinishReason.OTHER), mend(reason) or None))
    return deltas


def _take_call(place: int | None, told: Mapping[str, Any], calls: Calls) -> None:
    """Take a call or a piece of one, of which only the first has the names."""
    function = mapping(told.get("function"))
    identity, name = text(told.get("id")), text(function.get("name"))
    calls.feed(place, identity=identity, name=name, arguments=text(function.get("arguments")))


def _check_unbroken(ending: Mapping[str, Any], reason: str, *, partial: bool = False) -> None:
    """Raise the failure that a finish reason means; the official SDK leaves it to the caller to look."""
    if reason not in _BROKEN:
        return
    error = failure.reported(
        {"error": {"message": ending.get("error"), "code": ending.get("error_type")}}, partial=partial
    )
    if error is None or not ending.get("error"):
        message = f"the provider gave up in the middle of the answer ({reason})"
        error = ProviderError(_BROKEN[reason], message, code=reason, partial=partial)
    raise error


def _usage(told: Mapping[str, Any]) -> list[Delta]:
    """Return what an ending tells of the tokens, where it tells anything."""
    usage = mapping(told.get("usage"))
    tokens, billed = mapping(usage.get("tokens")), mapping(usage.get("billed_units"))
    if not tokens:
        return []
    return [
        Usage(
            _count(tokens.get("input_tokens")),
            _count(tokens.get("output_tokens")),
            _count(usage.get("cached_tokens")),
            _count(tokens.get("reasoning_tokens")),
            billed_input_tokens=_count(billed.get("input_tokens")),
            billed_output_tokens=_count(billed.get("output_tokens")),
        )
    ]


def _count(value: object) -> int | None:
    """Return a number of tokens; the API's own schema has it as a double."""
    return count(int(value) if isinstance(value, float) and value.is_integer() else value)


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    return failure.explain(status, headers, body, clock=clock)


def list_models() -> Payload:
    """Write down the request for the models that can chat; a page holds 20 of them unless asked for more.

    https://docs.cohere.com/reference/list-models
    """
    return Payload("GET", "/v1/models?page_size=1000&endpoint=chat", (("accept", "*/*"),), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read the list of models; raises ProviderError where it is none."""
    value = parse(body)
    failure.check(value)
    listed = mapping(value).get("models")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    entries = [mapping(item) for item in listed]
    return [
        ModelInfo(mend(name), _count(entry.get("context_length")) or None)
        for entry in entries
        if (name := text(entry.get("name"))) and "chat" in (items(entry.get("endpoints")) or ["chat"])
    ]
