"""Chat completions: the protocol of OpenAI, and of nearly everybody else with a few differences.

https://platform.openai.com/docs/api-reference/chat. What differs in requests is a field of the catalog's row; what
differs in answers is read wherever it appears, because proxies and local servers mix the customs of several vendors.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure, future
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.dialect import Payload
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
    Started,
    Structure,
    Text,
    Tool,
    Usage,
)

framing: Literal["sse", "ndjson"] = "sse"

_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,  # Mistral
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSED,
}
# A word in the place of a finish reason that means that the answer broke off.
_BROKEN: Mapping[str, Kind] = {
    "error": Kind.SERVER,  # https://openrouter.ai/docs/api-reference/streaming#handling-errors-during-streaming
    "insufficient_system_resource": Kind.OVERLOADED,  # https://api-docs.deepseek.com/api/create-chat-completion
}


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down for this provider; nothing optional is sent that was not asked for."""
    row = provider.row
    body: dict[str, Any] = {
        "model": request.model or provider.model,
        "messages": [_message(message) for message in request.messages],
        row.max_tokens_field: request.max_tokens or provider.max_tokens,
    }
    body |= {name: value for name, value in sampling(request).items() if name != "top_k" or row.top_k}
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [function(tool) for tool in request.tools]
    if request.structure is not None:
        body["response_format"] = _format(request.structure, row)
    body |= _effort(request, row)
    if request.stream:
        body["stream"] = True
        options = {}
        if row.include_usage:
            options["include_usage"] = True
        if row.include_obfuscation is not None:
            options["include_obfuscation"] = row.include_obfuscation
        if options:
            body["stream_options"] = options
    headers = (("accept", "application/json"), ("content-type", "application/json"))
    return Payload("POST", "/chat/completions", headers, serialised(body))


def sampling(request: Request) -> dict[str, float]:
    """Return how the next token is to be drawn, as far as it was asked for, in the names that most protocols share."""
    wanted = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    return {name: value for name, value in wanted.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    """Write one turn down; one that only calls tools says nothing, which is null and not an empty text."""
    written: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.role is Role.TOOL and message.answers is not None:
        written["tool_call_id"] = message.answers
    if message.calls:
        written["content"] = message.text or None
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    return written


def function(tool: Tool) -> dict[str, Any]:
    """Write a tool down as Ollama wants it too; that the model may choose whether to call it is the default everywhere."""
    declared = {"name": tool.name, "description": tool.description, "parameters": mapping(parse(tool.schema))}
    return {"type": "function", "function": declared}


def _format(structure: Structure, row: Row) -> dict[str, Any]:
    if row.structure == "json_object":
        return {"type": "json_object"}
    schema = {"name": structure.name, "schema": mapping(parse(structure.schema)), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _effort(request: Request, row: Row) -> dict[str, Any]:
    """Return how this row's provider is told how much to think; nothing where it cannot be told, or was not asked."""
    effort = request.effort
    if row.effort == "thinking" and any(message.calls for message in request.messages):
        # Thinking, DeepSeek wants back with the tool's result what was thought before, which a conversation does not keep:
        # https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
        effort = Effort.NONE
    if effort is None:
        return {}
    match row.effort:
        case "reasoning_effort":
            return {"reasoning_effort": effort.value}
        case "high-or-none":
            return {"reasoning_effort": "none" if effort in (Effort.NONE, Effort.LOW) else "high"}
        case "reasoning":
            return {"reasoning": {"effort": effort.value}}
        case "thinking":
            return {"thinking": {"type": "disabled" if effort is Effort.NONE else "enabled"}}
        case "template":
            thinks = effort is not Effort.NONE
            level = {"reasoning_effort": effort.value} if thinks else {}
            return {"chat_template_kwargs": {"enable_thinking": thinks, **level}}
        case None:
            return {}


def serialised(body: Mapping[str, Any]) -> bytes:
    """Write JSON as UTF-8 without escapes, so that what is inspected at the door is what the user wrote."""
    return mend(json.dumps(body, ensure_ascii=False, separators=(",", ":"))).encode("utf-8")


def decoder(row: Row | None = None) -> ChatDecoder:
    """Make the state for one streamed answer."""
    return ChatDecoder(done_marker=row is None or row.done_marker)


class ChatDecoder:
    """The state of one streamed answer.

    It is complete with a finish reason and then `[DONE]`, as in every good stream on record (over 400, of ten vendors):
    where the marker is missing the connection was cut, and an error that would have come after the finish reason, as
    OpenRouter's do, may be what is missing. Only rows that say so (`done_marker`) do without the marker.
    """

    def __init__(self, *, done_marker: bool) -> None:
        self._done_marker = done_marker
        self._content = Joiner()
        self._reasoning = Joiner()
        self._model = ""
        self._usage = Usage()
        self._finish: str | None = None
        self._calls = Calls()
        self._spoke = False  # anything at all was said: text, thought, refusal or a tool's name
        self._partial = False  # text of the answer was given out
        self._refused = False
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        data = frame.data.strip()
        if self.done or not data:
            return []
        if data == "[DONE]":
            return self._end_of_stream()
        value = parse(data, partial=self._partial)
        failure.check(value, event=frame.event, partial=self._partial)
        chunk = mapping(value)
        deltas: list[Delta] = []
        model = text(chunk.get("model"))
        if model and not self._model:
            self._model = mend(model)
            deltas.append(Started(self._model))
        for item in items(chunk.get("choices")):
            choice = mapping(item)
            if choice.get("index", 0) in (0, None):  # we ask for one answer; of several the first counts
                self._read_choice(choice, deltas)
        if chunk.get("usage") or "x_groq" in chunk:  # most chunks tell none
            usage = _usage(chunk)
            if usage not in (None, self._usage):
                self._usage = usage
                deltas.append(usage)
        if not deltas and "choices" not in chunk:
            future.pass_over("openai_chat", frame.event or text(chunk.get("type")) or text(chunk.get("object")))
        if chunk.get("object") == "chat.completion" and self._finish is not None:
            deltas += self._end_of_stream()  # a server without streaming sent the whole answer at once
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if self.done:
            return
        if self._finish is None:
            raise self._broken("the answer broke off: the connection ended before the model said that it was done")
        if self._done_marker:
            raise self._broken("the answer may be incomplete: the stream ended without its last event, [DONE]")
        self._check_not_silent()
        self.done = True

    def _read_choice(self, choice: Mapping[str, Any], deltas: list[Delta]) -> None:
        delta = mapping(choice.get("delta")) or mapping(choice.get("message"))
        thought, said = _pieces(delta)
        refusal = text(delta.get("refusal"))
        self._refused = self._refused or bool(refusal)
        self._spoke = self._spoke or bool(
            thought or said or refusal or delta.get("tool_calls") or delta.get("function_call")
        )
        called = ("tool_calls" in delta or "function_call" in delta) and _call_pieces(delta, self._calls)
        finish = text(choice.get("finish_reason"))
        reasoning, content = self._reasoning.feed(thought), self._content.feed(said + refusal)
        if finish:
            reasoning += self._reasoning.end()
            content += self._content.end()
        if reasoning:
            deltas.append(Reasoning(reasoning))
        if content:
            self._partial = True
            deltas.append(Text(content))
        elif called and not reasoning:
            deltas.append(Progress())
        if finish in _BROKEN:
            raise ProviderError(
                _BROKEN[finish],
                f"the provider gave up in the middle of the answer ({finish})",
                code=finish,
                partial=self._partial,
            )
        if finish and self._finish is None:  # OpenRouter repeats it with the usage
            self._finish = finish
            deltas += self._calls.end()
            deltas.append(Finished(self._reason(finish), mend(finish)))

    def _reason(self, finish: str) -> FinishReason:
        reason = _REASONS.get(finish, FinishReason.OTHER)
        # A refusal comes with the finish reason of an answer.
        return FinishReason.REFUSED if self._refused and reason is FinishReason.STOP else reason

    def _end_of_stream(self) -> list[Delta]:
        if self._finish is None:
            raise self._broken("the answer broke off: the stream ended before the model said that it was done")
        self._check_not_silent()
        self.done = True
        return []

    def _check_not_silent(self) -> None:
        """Refuse an answer of nothing at all.

        LM Studio answers like this, with status 200, when the prompt does not fit into the context that it loaded:
        https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2339
        """
        if self._finish == "stop" and not self._spoke and not self._usage.output_tokens:
            raise ProviderError(
                Kind.TOO_LONG,
                "the model answered with nothing, as local servers do when the prompt is longer than the context that "
                "they loaded; load the model with a larger context length, or ask about less",
            )

    def _broken(self, message: str) -> ProviderError:
        return ProviderError(Kind.BROKEN_STREAM, message, partial=self._partial)


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    value = parse(body)
    failure.check(value)
    whole = mapping(value)
    choice = mapping(next(iter(items(whole.get("choices"))), None))
    message = mapping(choice.get("message"))
    if not message and not choice.get("finish_reason"):  # Azure leaves out the message that its filter took away
        raise ProviderError(
            Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
        )
    deltas: list[Delta] = []
    model = text(whole.get("model"))
    if model:
        deltas.append(Started(mend(model)))
    thought, said = _pieces(message)
    refusal = text(message.get("refusal"))
    if thought:
        deltas.append(Reasoning(mend(thought)))
    if said + refusal:
        deltas.append(Text(mend(said + refusal)))
    calls = Calls()
    _call_pieces(message, calls)
    usage = _usage(whole)
    if usage is not None:
        deltas.append(usage)
    # The whole JSON text is here, so nothing was cut off even where the reason is missing, as OpenRouter has shown.
    finish = text(choice.get("finish_reason"))
    if finish in _BROKEN:
        raise ProviderError(
            _BROKEN[finish], f"the provider gave up in the middle of the answer ({finish})", code=finish
        )
    deltas += calls.end()
    reason = FinishReason.REFUSED if refusal else _REASONS.get(finish, FinishReason.OTHER)
    deltas.append(Finished(reason, mend(finish) or None))
    return deltas


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    return failure.explain(status, headers, body, clock=clock)


def list_models() -> Payload:
    """Write down the request for the models that the provider has."""
    return Payload("GET", "/models", (("accept", "application/json"),), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read the list of models, without those that only embed; raises ProviderError where it is none."""
    value = parse(body)
    failure.check(value)
    listed = mapping(value).get("data")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    found = []
    for item in listed:
        entry = mapping(item)
        name = mend(text(entry.get("id")))
        if name and entry.get("type") not in ("embedding", "embeddings"):
            found.append(ModelInfo(name, _context(entry)))
    return found


def _context(entry: Mapping[str, Any]) -> int | None:
    """Return how many tokens fit; each vendor has its own word: Groq, OpenRouter, vLLM, Mistral and LM Studio, llama.cpp."""
    meta = mapping(entry.get("meta"))
    told = (
        entry.get("context_window"),
        entry.get("context_length"),
        entry.get("max_model_len"),
        entry.get("max_context_length"),
        meta.get("n_ctx"),
    )
    return next((tokens for tokens in map(count, told) if tokens), None)


def _call_pieces(message: Mapping[str, Any], calls: Calls) -> bool:
    """Take the tool calls, or their pieces, out of a message or a piece of one, and say whether there were any.

    A call goes by its `index`; where a server sends none, as some gateways do, by its place, and a new id there begins
    another call.
    """
    pieces = [mapping(item) for item in items(message.get("tool_calls"))]
    if mapping(message.get("function_call")):  # what came before tools, still sent by old gateways
        pieces.append({"function": message["function_call"]})
    for place, piece in enumerate(pieces):
        inner, identity = mapping(piece.get("function")), text(piece.get("id"))
        index = count(piece.get("index"))
        key = calls.key_of(place, identity) if index is None else index
        arguments = inner.get("arguments")
        if isinstance(arguments, dict):  # Ollama's way, which some gateways pass on
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        calls.feed(key, identity=identity, name=text(inner.get("name")), arguments=text(arguments))
    return bool(pieces)


def _pieces(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a message or a piece of one thinks and what it says.

    Thought is `reasoning_content` at xAI, DeepSeek and llama.cpp, `reasoning` at Groq, OpenRouter and Ollama; Mistral
    makes a list of both: https://docs.mistral.ai/capabilities/reasoning
    """
    thought = text(message.get("reasoning_content")) or text(message.get("reasoning"))
    content = message.get("content")
    said = text(content)
    for item in items(content):
        part = mapping(item)
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            thought += text(inner) + "".join(text(mapping(piece).get("text")) for piece in items(inner))
        elif part.get("type") == "text":
            said += text(part.get("text"))
    return thought, said


def _usage(chunk: Mapping[str, Any]) -> Usage | None:
    """Return the tokens that a chunk or a whole answer tells, with those that were thought counted as output."""
    told = mapping(chunk.get("usage")) or mapping(mapping(chunk.get("x_groq")).get("usage"))
    if not told:
        return None
    asked, answered = count(told.get("prompt_tokens")), count(told.get("completion_tokens"))
    cached = count(mapping(told.get("prompt_tokens_details")).get("cached_tokens"))
    if cached is None:
        cached = count(told.get("prompt_cache_hit_tokens"))  # https://api-docs.deepseek.com/guides/kv_cache
    thought = count(mapping(told.get("completion_tokens_details")).get("reasoning_tokens"))
    if (
        asked is not None
        and answered is not None
        and thought
        and count(told.get("total_tokens")) == asked + answered + thought
    ):
        # xAI leaves them out: https://docs.x.ai/docs/guides/reasoning
        return Usage(asked, answered + thought, cached, thought, told_output_tokens=answered)
    return Usage(asked, answered, cached, thought)
