"""Responses: the newer protocol of OpenAI, also spoken by Azure, xAI and llama.cpp.

https://platform.openai.com/docs/api-reference/responses. The answer comes as items (thoughts, messages, calls of tools)
in events with names; the last of them carries the whole answer once more. We keep no conversation at the provider
(`store` is false), so nothing has to be deleted there, and each request says everything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure, future, openai_chat
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend, presentable
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
    Progress,
    Reasoning,
    Request,
    Role,
    Started,
    Text,
    Tool,
    ToolCall,
    Usage,
)

framing: Literal["sse"] = "sse"

# OpenAI answers a smaller number with 400 integer_below_min_value:
# https://platform.openai.com/docs/api-reference/responses/create#responses-create-max_output_tokens
_FEWEST_TOKENS = 16

# Why an answer is incomplete: https://platform.openai.com/docs/api-reference/responses/object#responses-object-incomplete_details
_INCOMPLETE: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSED,
}
# Events that tell nothing new: parts that begin or end, which come once more as a whole, and the server's own tools.
_SILENT = re.compile(
    r"response\.((output_item|content_part|reasoning_\w+_part)\.(added|done)"
    r"|(output_text|refusal|reasoning_\w+|function_call_arguments|custom_tool_call_input)\.done"
    r"|output_text\.annotation\.added|(mcp|web_search|file_search|code_interpreter|image_generation)_\w+\.\w+)"
)
# The states in which an answer is there, whole or as far as it went.
_ENDED = ("completed", "incomplete")


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; what stays the same comes first, where the provider's own cache looks for it.

    This protocol has neither stop words nor `top_k`, and answers a field that it does not know with 400, so these are
    left out.
    """
    body: dict[str, Any] = {"model": request.model or provider.model}
    system = [message.text for message in request.messages if message.role is Role.SYSTEM and message.text.strip()]
    if system:
        body["instructions"] = "\n\n".join(system)
    if request.tools:
        body["tools"] = [_declared(tool) for tool in request.tools]
    body["input"] = _input(tuple(message for message in request.messages if message.role is not Role.SYSTEM))
    body["max_output_tokens"] = max(_FEWEST_TOKENS, request.max_tokens or provider.max_tokens)
    body["store"] = False
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.effort is not None:
        # Without `summary` nothing of what is thought is told. From an organization that is not verified OpenAI answers the
        # wish with 400 unsupported_value, and says so: https://github.com/home-assistant/core/issues/160212.
        told = {} if request.effort is Effort.NONE else {"summary": "auto"}
        body["reasoning"] = {"effort": request.effort.value, **told}
    if request.structure is not None:
        shape = {"name": request.structure.name, "schema": mapping(parse(request.structure.schema)), "strict": True}
        body["text"] = {"format": {"type": "json_schema", **shape}}
    if request.stream:
        body["stream"] = True
        if provider.row.include_obfuscation is not None:
            body["stream_options"] = {"include_obfuscation": provider.row.include_obfuscation}
    headers = (("accept", "application/json"), ("content-type", "application/json"))
    return Payload("POST", "/responses", headers, serialised(body))


def _declared(tool: Tool) -> Mapping[str, Any]:
    """Write a tool down; `strict` would be the default here, and refuses schemas with optional arguments."""
    return {"type": "function", **function(tool)["function"], "strict": False}


def _input(turns: tuple[Message, ...]) -> str | list[Mapping[str, Any]]:
    """Return the conversation; a lone question is a plain string, as the official SDK's examples have it."""
    if len(turns) == 1 and turns[0].role is Role.USER:
        return turns[0].text
    return [item for turn in turns for item in _items(turn)]


def _items(turn: Message) -> list[Mapping[str, Any]]:
    if turn.role is Role.TOOL:
        return [{"type": "function_call_output", "call_id": turn.answers or "", "output": turn.text}]
    said = [{"role": turn.role.value, "content": turn.text}] if turn.text or not turn.calls else []
    calls = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in turn.calls
    ]
    return [*said, *calls]


def decoder(row: Row | None = None) -> ResponseDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return ResponseDecoder()


class ResponseDecoder:
    """The state of one streamed answer; it is complete with `response.completed` or `response.incomplete`."""

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._started = False
        self._thought = False
        self._refused = False
        self._called: set[str] = set()  # the ids of those that were given out
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        data = frame.data.strip()
        if self.done or not data or data == "[DONE]":  # some proxies send it; it ends nothing here
            return []
        value = parse(data, partial=self._partial)
        failure.check(value, event=frame.event, partial=self._partial)
        event = mapping(value)
        deltas: list[Delta] = []
        match text(event.get("type")):
            case "response.output_text.delta" | "response.refusal.delta" as name:
                self._refused = self._refused or name == "response.refusal.delta"
                self._give("", self._content.feed(text(event.get("delta"))), deltas)
            # The second is what open models think, word for word: https://platform.openai.com/docs/api-reference/responses-streaming/response/reasoning_text
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._give(self._reasoning.feed(text(event.get("delta"))), "", deltas)
            case "response.output_item.done":
                self._call(_calls([event.get("item")]), deltas)
            case "response.function_call_arguments.delta":
                deltas.append(Progress())  # the item that is done tells all of them
            case "response.created" | "response.queued" | "response.in_progress":
                self._start(mapping(event.get("response")), deltas)
            case "response.completed" | "response.incomplete" as name:
                self._end(mapping(event.get("response")), name.removeprefix("response."), deltas)
            case "response.failed" | "response.cancelled":
                raise _failed(mapping(event.get("response")), partial=self._partial)
            case "" if event.get("object") == "response":  # a server without streaming sent the whole answer at once
                deltas += _whole(event)
                self.done = True
            case name:
                future.pass_over("openai_responses", name or frame.event, known=_SILENT)
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if not self.done:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the stream's last event, response.completed",
                partial=self._partial,
            )

    def _start(self, response: Mapping[str, Any], deltas: list[Delta]) -> None:
        model = text(response.get("model"))
        if model and not self._started:
            self._started = True
            deltas.append(Started(mend(model)))

    def _give(self, thought: str, content: str, deltas: list[Delta]) -> None:
        if thought:
            self._thought = True
            deltas.append(Reasoning(thought))
        if content:
            self._partial = True
            deltas.append(Text(content))

    def _call(self, calls: list[ToolCall], deltas: list[Delta]) -> None:
        deltas += [call for call in calls if call.id not in self._called]
        self._called.update(call.id for call in calls)

    def _end(self, response: Mapping[str, Any], name: str, deltas: list[Delta]) -> None:
        """Read the last event, which repeats the whole answer: what did not come in pieces is taken from there.

        The answer's own word counts more than the event's *name*: vLLM ends what is incomplete with `response.completed`,
        https://github.com/vllm-project/agentic-api/issues/273.
        """
        status = text(response.get("status")) or name
        if status not in _ENDED:
            raise _failed(response, partial=self._partial)
        self._start(response, deltas)  # llama.cpp names the model only here
        output = _read_output(response)
        self._give(self._reasoning.end(), self._content.end(), deltas)
        self._give("" if self._thought else output.thought, "" if self._partial else output.said, deltas)
        self._call(output.calls, deltas)
        usage = _usage(response)
        if usage is not None:
            deltas.append(usage)
        refused = self._refused or output.refused
        deltas.append(_finished(response, status, called=bool(self._called), refused=refused))
        self.done = True


@dataclass(frozen=True, slots=True)
class _Output:
    """What the items of a whole answer say."""

    thought: str
    said: str
    refused: bool
    calls: list[ToolCall]


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    value = parse(body)
    failure.check(value)
    return _whole(mapping(value))


def _whole(response: Mapping[str, Any]) -> list[Delta]:
    status = text(response.get("status")) or "completed"
    if status not in _ENDED:
        raise _failed(response)
    if not isinstance(response.get("output"), list):
        raise ProviderError(
            Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
        )
    deltas: list[Delta] = []
    model = text(response.get("model"))
    if model:
        deltas.append(Started(mend(model)))
    output = _read_output(response)
    if output.thought:
        deltas.append(Reasoning(output.thought))
    if output.said:
        deltas.append(Text(output.said))
    deltas += output.calls
    usage = _usage(response)
    if usage is not None:
        deltas.append(usage)
    deltas.append(_finished(response, status, called=bool(output.calls), refused=output.refused))
    return deltas


def _read_output(response: Mapping[str, Any]) -> _Output:
    thought = said = ""
    refused = False
    output = items(response.get("output"))
    for item in map(mapping, output):
        # Of one thought there is a summary, or, from open models, every word.
        if item.get("type") == "reasoning":
            thought += _texts(item.get("summary")) or _texts(item.get("content"))
        elif item.get("type") == "message":
            refusals = "".join(text(mapping(part).get("refusal")) for part in items(item.get("content")))
            refused = refused or bool(refusals)
            said += _texts(item.get("content")) + refusals
    return _Output(mend(thought), mend(said), refused, _calls(output))


def _texts(parts: object) -> str:
    return "".join(text(mapping(part).get("text")) for part in items(parts))


def _calls(output: list[Any]) -> list[ToolCall]:
    """Return the calls of tools among the items of an answer."""
    calls = Calls()
    for place, item in enumerate(map(mapping, output)):
        if item.get("type") == "function_call":
            identity, name = text(item.get("call_id")) or text(item.get("id")), text(item.get("name"))
            calls.feed(place, identity=identity, name=name, arguments=text(item.get("arguments")))
    return calls.end()


def _finished(response: Mapping[str, Any], status: str, *, called: bool, refused: bool) -> Finished:
    raw = mend(status)
    if status == "incomplete":
        why = text(mapping(response.get("incomplete_details")).get("reason"))
        return Finished(_INCOMPLETE.get(why, FinishReason.OTHER), raw)
    if refused:
        return Finished(FinishReason.REFUSED, raw)
    if called:
        return Finished(FinishReason.TOOL_CALLS, raw)
    # llama.cpp says "completed" of an answer that the bound cut off as well, and has no field to tell them apart.
    return Finished(FinishReason.STOP if "incomplete_details" in response else FinishReason.OTHER, raw)


def _failed(response: Mapping[str, Any], *, partial: bool = False) -> ProviderError:
    """Return the failure of an answer that ended without one; it stands inside the answer."""
    error = failure.reported({"error": response.get("error")}, partial=partial)
    if error is not None:
        return error
    status = text(response.get("status"))[:40] or "failed"
    message = f"the provider gave up the answer without saying why ({presentable(status)}); ask again"
    return ProviderError(Kind.SERVER, message, partial=partial)


def _usage(response: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that an answer tells, of which those that were thought are part of the output."""
    told = mapping(response.get("usage"))
    if not told:
        return None
    return Usage(
        count(told.get("input_tokens")),
        count(told.get("output_tokens")),
        count(mapping(told.get("input_tokens_details")).get("cached_tokens")),
        count(mapping(told.get("output_tokens_details")).get("reasoning_tokens")),
    )


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    return failure.explain(status, headers, body, clock=clock)


list_models = openai_chat.list_models  # both protocols have the same models, at the same place
models = openai_chat.models
