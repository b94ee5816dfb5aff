"""Converse and ConverseStream: the protocol of Amazon Bedrock, one for the models of all vendors that it serves.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. The older InvokeModel, where every
vendor's body is another, is not spoken: Converse reaches the same models, and Claude's own body brings nothing that we ask for.

Models are not listed: Bedrock lists them at another host (`bedrock.REGION.amazonaws.com`, the control plane), and a key
goes to no other origin than the one that the user configured it for.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure, future
from glossator_providers.dialects.anthropic import thinking_fields
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.openai_chat import serialised
from glossator_providers.dialects.values import arguments_of, count, load, mapping, parse, text
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame, Framing
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
    Tool,
    Usage,
)
from glossator_providers.traits import takes_sampling

framing: Framing = "amazon"

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "guardrail_intervened": FinishReason.REFUSED,
    "content_filtered": FinishReason.REFUSED,
    # `malformed_model_output` and `malformed_tool_use` are neither an end nor a refusal: OTHER.
}

# Models that take a cache point; every other refuses the whole request with 403 where there is one. What names no
# model, as the ARN of an application's inference profile, gets none.
# https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html#prompt-caching-models
_CACHES = re.compile(
    r"amazon\.nova-(?:2-|micro|lite|pro|premier)|anthropic\.claude-(?!v2|instant|3-sonnet|3-haiku|3-opus|3-5-sonnet)"
)


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; a cache point follows what the system says, since that and the tools are what stays the same."""
    model = mend(request.model or provider.model)
    body: dict[str, Any] = {}
    # An empty block would be an error, so an empty message of the system is left out.
    system: list[dict[str, Any]] = [
        {"text": message.text} for message in request.messages if message.role is Role.SYSTEM and message.text.strip()
    ]
    if system:
        body["system"] = [*system, {"cachePoint": {"type": "default"}}] if _CACHES.search(model) else system
    body["messages"] = _turns(request.messages)
    limits: dict[str, Any] = {"maxTokens": request.max_tokens or provider.max_tokens}
    more = _thinking(request, model, longest=limits["maxTokens"])
    # A Claude that thinks by a number of tokens draws them as it will, and the newest models always do.
    if takes_sampling(model) and "budget_tokens" not in more.get("thinking", ()):
        if request.temperature is not None:
            limits["temperature"] = request.temperature
        if request.top_p is not None:
            limits["topP"] = request.top_p
        if request.top_k is not None:
            more |= _top_k(model, request.top_k)
    if request.stop:
        limits["stopSequences"] = list(request.stop)
    body["inferenceConfig"] = limits
    if request.tools:
        body["toolConfig"] = {"tools": [_tool(tool) for tool in request.tools]}
    if request.structure is not None:
        schema = {"name": request.structure.name, "schema": request.structure.schema}
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    if more:
        body["additionalModelRequestFields"] = more
    # The name of a model may be an ARN: its slashes and colons are part of one step of the path.
    path = f"/model/{quote(model, safe='')}/{'converse-stream' if request.stream else 'converse'}"
    return Payload("POST", path, (("content-type", "application/json"),), serialised(body))


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the conversation in turns that alternate, as the models insist: all that follows an assistant is one user's."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    """Return the parts of one message; a blank text would be refused, so it is left out."""
    said = [{"text": message.text}] if message.text.strip() else []
    if message.role is Role.TOOL:
        return [{"toolResult": {"toolUseId": message.answers or "", "content": said}}]
    called = [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments_of(call)}} for call in message.calls
    ]
    return [*said, *called]


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"toolSpec": {"name": tool.name, **described, "inputSchema": {"json": mapping(parse(tool.schema))}}}


def _thinking(request: Request, model: str, *, longest: int) -> dict[str, Any]:
    """Return the fields that set how much a model thinks, in its vendor's own words; none where it knows none."""
    effort = request.effort
    if effort is None:
        return {}
    if "anthropic.claude-" in model:
        # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
        thinking, output = thinking_fields(request, model, longest=longest)
        return {name: value for name, value in (("thinking", thinking), ("output_config", output)) if value}
    if "amazon.nova-2-" in model:
        # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html: "high" is rejected together with a
        # bound of the answer, a temperature or a top_p; the bound is the user's, so it is kept, and "medium" is the most.
        if effort is Effort.NONE:
            return {"reasoningConfig": {"type": "disabled"}}
        level = "low" if effort is Effort.LOW else "medium"
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    if "openai." in model and effort is not Effort.NONE:
        return {"reasoning_effort": effort.value}
    return {}


def _top_k(model: str, top_k: int) -> dict[str, Any]:
    """Return the field for top-k, which Converse itself does not have; none where the vendor has none."""
    if "amazon.nova-" in model:
        # https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
        return {"inferenceConfig": {"topK": top_k}}
    if "anthropic." in model or "mistral." in model:
        return {"top_k": top_k}
    return {}


def decoder(row: Row | None = None) -> ConverseDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return ConverseDecoder()


class ConverseDecoder:
    """The state of one streamed answer; it is complete with `messageStop` and then `metadata`."""

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._calls = Calls()
        self._finished = False
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        if self.done:
            return []
        if frame.failed:
            raise _reported(frame, partial=self._partial)
        data = frame.data.strip()
        if not data:
            return []
        event = mapping(parse(data, partial=self._partial))
        deltas: list[Delta] = []
        match frame.event:
            case "messageStart" | "contentBlockStop":
                pass
            case "contentBlockStart":
                self._open(event, deltas)
            case "contentBlockDelta":
                self._continue(event, deltas)
            case "messageStop":
                self._finish(text(event.get("stopReason")), deltas)
            case "metadata":
                deltas += _metadata(event)
                self.done = self._finished
            case None:
                self._take_document(event, deltas)
            case name:
                future.pass_over("bedrock", name)
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if not self.done:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the stream's last events, messageStop and metadata",
                partial=self._partial,
            )

    def _take_document(self, event: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read what came in place of an event stream: a failure or a whole answer in plain JSON, as gates and proxies send."""
        failure.check(event, partial=self._partial)
        if "output" in event:
            deltas += _whole(event)
            self.done = True

    def _open(self, event: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Remember a tool that is called; one that the server calls for itself, `server_tool_use`, is its own affair."""
        tool = mapping(mapping(event.get("start")).get("toolUse"))
        if tool and tool.get("type") != "server_tool_use":
            self._calls.feed(_block(event), identity=text(tool.get("toolUseId")), name=text(tool.get("name")))
            deltas.append(Progress())

    def _continue(self, event: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Give out a piece of text or thought; signatures and redacted thoughts stay here."""
        delta = mapping(event.get("delta"))
        written = text(mapping(delta.get("toolUse")).get("input"))
        if written:
            self._calls.feed(_block(event), arguments=written)
        reasoning = mapping(delta.get("reasoningContent"))
        thought, said = text(reasoning.get("text")), text(delta.get("text"))
        self._give(self._reasoning.feed(thought), self._content.feed(said), deltas)
        if written or (reasoning and not thought):
            deltas.append(Progress())

    def _give(self, thought: str, content: str, deltas: list[Delta]) -> None:
        if thought:
            deltas.append(Reasoning(thought))
        if content:
            self._partial = True
            deltas.append(Text(content))

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


def _whole(whole: Mapping[str, Any]) -> list[Delta]:
    content = mapping(mapping(whole.get("output")).get("message")).get("content")
    if not isinstance(content, list):
        raise ProviderError(
            Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
        )
    deltas: list[Delta] = []
    calls = Calls()
    for place, item in enumerate(content):
        block = mapping(item)
        thought = text(mapping(mapping(block.get("reasoningContent")).get("reasoningText")).get("text"))
        said, tool = text(block.get("text")), mapping(block.get("toolUse"))
        if thought:
            deltas.append(Reasoning(mend(thought)))
        if said:
            deltas.append(Text(mend(said)))
        if tool and tool.get("type") != "server_tool_use":
            written = json.dumps(mapping(tool.get("input")), ensure_ascii=False)
            calls.feed(place, identity=text(tool.get("toolUseId")), name=text(tool.get("name")), arguments=written)
    deltas += calls.end()
    deltas += _metadata(whole)
    reason = text(whole.get("stopReason"))
    deltas.append(Finished(_REASONS.get(reason, FinishReason.OTHER), mend(reason) or None))
    return deltas


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call; the failure's name stands in the header `x-amzn-ErrorType`, the sentence in the body."""
    told = next((value for name, value in headers.items() if name.lower() == "x-amzn-errortype"), "")
    try:
        whole = mapping(load(body))
    except ValueError:
        whole = {}
    name = _name(told) or _name(text(whole.get("__type"))) or text(whole.get("code"))
    # A capital letter is what the gate before Bedrock writes, for instance to somebody with a wrong key.
    message = text(whole.get("message")) or text(whole.get("Message"))
    if name or message:
        body = serialised({"message": message or name, "code": name})
    return failure.explain(status, headers, body, clock=clock)


def _name(told: str) -> str:
    """Return the bare name of an exception, without its shape's namespace before and the address of its maker behind."""
    return told.partition(":")[0].rpartition("#")[2].strip()


def _reported(frame: Frame, *, partial: bool) -> ProviderError:
    """Return the failure that an exception in the stream reports, or an error that stands outside of the protocol's model."""
    try:
        value = mapping(load(frame.data))
    except ValueError:
        value = {}
    name = frame.event or "an error without a name"
    message = text(value.get("message")) or text(value.get("originalMessage")) or name
    error = failure.reported({"error": {"message": message, "code": name}}, partial=partial)
    assert error is not None
    return error


def list_models() -> Payload:
    """Refuse to ask for the models: the list is at another origin; raises ProviderError(BAD_REQUEST)."""
    raise _unlisted()


def models(body: bytes) -> list[ModelInfo]:  # noqa: ARG001  nobody can have asked for it
    """Refuse to read a list of models; raises ProviderError(BAD_REQUEST)."""
    raise _unlisted()


def _unlisted() -> ProviderError:
    return ProviderError(
        Kind.BAD_REQUEST,
        "Bedrock lists its models at another address than it answers at, so it was not asked; "
        "they are in its console, and in: aws bedrock list-inference-profiles",
    )


def _block(event: Mapping[str, Any]) -> int:
    return count(event.get("contentBlockIndex")) or 0


def _metadata(told: Mapping[str, Any]) -> list[Delta]:
    """Return which model a router of prompts chose, where one did, and the usage."""
    deltas: list[Delta] = []
    chosen = text(mapping(mapping(told.get("trace")).get("promptRouter")).get("invokedModelId"))
    if chosen:
        deltas.append(Started(mend(chosen)))
    counted = mapping(told.get("usage"))
    if counted:
        deltas.append(_usage(counted))
    return deltas


def _usage(told: Mapping[str, Any]) -> Usage:
    """Return the tokens with the whole prompt as input: here `inputTokens` counts only what the cache had no part in.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    plain = count(told.get("inputTokens"))
    cached = count(told.get("cacheReadInputTokens"))
    written = count(told.get("cacheWriteInputTokens"))
    asked = None if plain is None else plain + (cached or 0) + (written or 0)
    return Usage(asked, count(told.get("outputTokens")), cached, told_input_tokens=plain if plain != asked else None)
