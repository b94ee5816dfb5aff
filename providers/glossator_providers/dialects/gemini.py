"""generateContent: the protocol of Google's Gemini API, and of Vertex AI at another path.

https://ai.google.dev/api/generate-content. Enumerations of Google grow without notice, so no word of theirs is taken for
impossible: a finish reason that we do not know is OTHER, a block reason is a refusal whatever it says.

A model's *thought signature* is kept where it must come back, on a function call (Gemini 3 answers 400 without it:
https://ai.google.dev/gemini-api/docs/thought-signatures), and dropped on plain text, where sending it back is only advised
and a conversation of ours has no place for it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure
from glossator_providers.dialects.characters import Joiner, mend, presentable
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.openai_chat import serialised
from glossator_providers.dialects.values import arguments_of, count, items, load, mapping, parse, text
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame
from glossator_providers.model import (
    Delta,
    Effort,
    Finished,
    FinishReason,
    Message,
    ModelInfo,
    Reasoning,
    Request,
    Role,
    Started,
    Text,
    Tool,
    ToolCall,
    Usage,
)
from glossator_providers.traits import takes_sampling

framing: Literal["sse", "ndjson"] = "sse"

HEADERS = (("accept", "*/*"), ("content-type", "application/json"))

_UNCOUNTED = Usage()
_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.REFUSED,
    "RECITATION": FinishReason.REFUSED,
    "BLOCKLIST": FinishReason.REFUSED,
    "PROHIBITED_CONTENT": FinishReason.REFUSED,
    "SPII": FinishReason.REFUSED,
    "MODEL_ARMOR": FinishReason.REFUSED,
    "IMAGE_SAFETY": FinishReason.REFUSED,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.REFUSED,
    "IMAGE_RECITATION": FinishReason.REFUSED,
    # LANGUAGE, OTHER, MALFORMED_FUNCTION_CALL, MISSING_THOUGHT_SIGNATURE … are neither an end nor a refusal: OTHER.
}

# Gemini before the third generation (and Gemma) takes a number of tokens to think where later ones take a level:
# https://ai.google.dev/gemini-api/docs/thinking. What a level is worth there is Google's own table:
# https://ai.google.dev/gemini-api/docs/openai#thinking
_OLDER = re.compile(r"(^|/)(gemini-[12]\b|gemma)")
_BUDGETS: Mapping[Effort, int] = {Effort.NONE: 0, Effort.LOW: 1024, Effort.MEDIUM: 8192, Effort.HIGH: 24576}
_LEAST_OF_PRO = 128  # tokens: the large models cannot be kept from thinking

# What Google documents for a call that another model made: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
_FOREIGN_SIGNATURE = "skip_thought_signature_validator"
_OWN_ID = "gemini-call-"  # begins the names that we give to calls that came without one

_TOO_LONG = re.compile(r"input token count.{0,80}exceeds|exceeds the maximum number of tokens", re.IGNORECASE)
_NO_CREDIT = re.compile(r"credits? (are|is|has been|have been) (depleted|exhausted)|prepa(y|id)", re.IGNORECASE)


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; what stays the same comes first, where the provider's own cache looks for it."""
    model = request.model or provider.model
    named = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return Payload("POST", f"/v1/{quote(named)}:{method(request)}", HEADERS, serialised(content(request, provider)))


def method(request: Request) -> str:
    """Return the end of the path; without `alt=sse` a stream would be one long JSON array."""
    return "streamGenerateContent?alt=sse" if request.stream else "generateContent"


def content(request: Request, provider: Provider) -> Mapping[str, Any]:
    """Return the body of a request, the same for the Gemini API and for Vertex AI."""
    model = request.model or provider.model
    body: dict[str, Any] = {}
    system = [message.text for message in request.messages if message.role is Role.SYSTEM and message.text.strip()]
    if system:
        body["systemInstruction"] = {"role": "user", "parts": [{"text": said} for said in system]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
    body["contents"] = _turns(request.messages, older=bool(_OLDER.search(model)))
    body["generationConfig"] = _settings(request, model, request.max_tokens or provider.max_tokens)
    return body


def _declared(tool: Tool) -> Mapping[str, Any]:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": json.loads(tool.schema)}


def _settings(request: Request, model: str, max_tokens: int) -> Mapping[str, Any]:
    settings: dict[str, Any] = {"maxOutputTokens": max_tokens}
    if takes_sampling(model):
        sampling = (("temperature", request.temperature), ("topP", request.top_p), ("topK", request.top_k))
        settings |= {name: value for name, value in sampling if value is not None}
    if request.stop:
        settings["stopSequences"] = list(request.stop)
    if request.effort is not None:
        settings["thinkingConfig"] = _thinking(request.effort, model)
    if request.structure is not None:
        settings["responseMimeType"] = "application/json"
        settings["responseJsonSchema"] = json.loads(request.structure.schema)
    return settings


def _thinking(effort: Effort, model: str) -> Mapping[str, Any]:
    """Say how much to think, and that the thoughts be told where there are any.

    The large models (…-pro) always think, so "none" is the least that they take.
    """
    thinking: dict[str, Any] = {"includeThoughts": True} if effort is not Effort.NONE else {}
    large = "-pro" in model
    if _OLDER.search(model):
        thinking["thinkingBudget"] = _LEAST_OF_PRO if large and effort is Effort.NONE else _BUDGETS[effort]
    elif effort is Effort.NONE:
        thinking["thinkingLevel"] = "low" if large else "minimal"
    else:
        thinking["thinkingLevel"] = effort.value
    return thinking


def _turns(messages: tuple[Message, ...], *, older: bool) -> list[Mapping[str, Any]]:
    """Return the conversation; what several tools brought is one turn, as the calls were."""
    turns: list[Mapping[str, Any]] = []
    names: dict[str, str] = {}  # of the calls, by their ids: an answer repeats the name
    before: Role | None = None
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        parts: list[Mapping[str, Any]]
        if message.role is Role.TOOL:
            parts = [_result(message, names)]
        else:
            parts = [{"text": message.text}] if message.text or not message.calls else []
            for position, call in enumerate(message.calls):
                names[call.id] = call.name
                parts.append(_call(call, needs_signature=position == 0 and not older))
        if message.role is Role.TOOL and before is Role.TOOL:
            turns[-1]["parts"].extend(parts)
        else:
            turns.append({"role": "model" if message.role is Role.ASSISTANT else "user", "parts": parts})
        before = message.role
    return turns


def _call(call: ToolCall, *, needs_signature: bool) -> Mapping[str, Any]:
    """Write down a call that a model made; only the first one of a turn is asked for its signature."""
    part: dict[str, Any] = {"functionCall": {**_id(call.id), "name": call.name, "args": arguments_of(call)}}
    signature = call.signature or (_FOREIGN_SIGNATURE if needs_signature else None)
    if signature:
        part["thoughtSignature"] = signature
    return part


def _result(message: Message, names: Mapping[str, str]) -> Mapping[str, Any]:
    answered = message.answers or ""
    name = names.get(answered, "unknown")
    return {"functionResponse": {**_id(answered), "name": name, "response": {"result": message.text}}}


def _id(name: str) -> Mapping[str, str]:
    """Return the field of a call's id, unless we gave it: a model that names none matches calls by their order."""
    return {} if not name or name.startswith(_OWN_ID) else {"id": name}


def decoder(row: Row | None = None) -> ContentDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return ContentDecoder()


class ContentDecoder:
    """The state of one streamed answer; it is complete when the body ends after a finish reason or a block reason.

    Nothing marks the end beyond that. The reason stands in the last chunk today, but older models on Vertex AI repeat
    one in every chunk, so the last one counts and `done` is not known before the body has ended.
    """

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._started = False
        self._usage = _UNCOUNTED
        self._counted: Mapping[str, Any] = {}  # the same in the provider's words
        self._finished: Finished | None = None
        self._calls = 0
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame."""
        data = frame.data.strip()
        if not data:
            return []
        value = parse(data, partial=self._partial)
        # Where `alt=sse` was lost on the way the whole stream is one array of the same chunks.
        return [delta for chunk in _chunks(value) for delta in self.take(chunk)]

    def take(self, value: object) -> list[Delta]:
        """Read one chunk; raises the failure that it reports."""
        error = failure.reported(value, partial=self._partial)
        if error is not None:
            raise _refined(error, value)
        chunk = mapping(value)
        deltas: list[Delta] = []
        model = text(chunk.get("modelVersion"))
        if model and not self._started:
            self._started = True
            deltas.append(Started(mend(model)))
        reason = ""
        for item in items(chunk.get("candidates")):
            candidate = mapping(item)
            if candidate.get("index", 0) in (0, None):  # we ask for one answer; of several the first counts
                for part in items(mapping(candidate.get("content")).get("parts")):
                    self._read_part(mapping(part), deltas)
                reason = text(candidate.get("finishReason")) or reason
        counted = mapping(chunk.get("usageMetadata"))
        if counted and counted != self._counted:  # every chunk counts anew: what is the same costs nothing more
            self._counted = counted
            usage = _usage(counted)
            if usage not in (_UNCOUNTED, self._usage):
                self._usage = usage
                deltas.append(usage)
        blocked = text(mapping(chunk.get("promptFeedback")).get("blockReason"))
        if blocked:
            self._finish(Finished(FinishReason.REFUSED, mend(blocked)), deltas)
        elif reason:
            self._finish(Finished(self._meaning(reason), mend(reason)), deltas)
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if self._finished is None:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the model said that it was done",
                partial=self._partial,
            )
        self.done = True

    def _read_part(self, part: Mapping[str, Any], deltas: list[Delta]) -> None:
        said = text(part.get("text"))
        if part.get("thought") is True:
            self._give(self._reasoning.feed(said), "", deltas)
        else:
            self._give("", self._content.feed(said), deltas)
        call = mapping(part.get("functionCall"))
        name = mend(text(call.get("name")))
        if name:
            told = mend(text(call.get("id")))
            arguments = json.dumps(mapping(call.get("args")), ensure_ascii=False)
            signature = mend(text(part.get("thoughtSignature")))
            deltas.append(ToolCall(told or f"{_OWN_ID}{self._calls}", name, mend(arguments), signature or None))
            self._calls += 1

    def _give(self, thought: str, said: str, deltas: list[Delta]) -> None:
        if thought:
            deltas.append(Reasoning(thought))
        if said:
            self._partial = True
            deltas.append(Text(said))

    def _meaning(self, reason: str) -> FinishReason:
        meaning = _REASONS.get(reason, FinishReason.OTHER)
        return FinishReason.TOOL_CALLS if meaning is FinishReason.STOP and self._calls else meaning

    def _finish(self, finished: Finished, deltas: list[Delta]) -> None:
        self._give(self._reasoning.end(), self._content.end(), deltas)
        if finished != self._finished:
            self._finished = finished
            deltas.append(finished)


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    value = parse(body)
    whole = ContentDecoder()
    deltas = [delta for chunk in _chunks(value) for delta in whole.take(chunk)]
    if isinstance(value, list):
        whole.end()
    elif not any(isinstance(delta, Finished) for delta in deltas):
        answer = mapping(value)
        if items(answer.get("candidates")):
            deltas.append(Finished(FinishReason.OTHER))  # the whole JSON text is here, so nothing was cut off
        elif "promptFeedback" in answer:
            # No answer but a word about the prompt: it was blocked, though the reason is missing.
            deltas.append(Finished(FinishReason.REFUSED))
        else:
            raise ProviderError(
                Kind.BROKEN_STREAM, "the provider's answer holds no message; check the address, or ask again"
            )
    return deltas


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    error = failure.explain(status, headers, body, clock=clock)
    try:
        value = load(body)
    except ValueError:
        return error
    return _refined(error, value)


def list_models() -> Payload:
    """Write down the request for the models that the provider has; a page holds 50 of them unless asked for more."""
    return Payload("GET", "/v1/models?pageSize=1000", (("accept", "*/*"),), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read the list of models that answer in words; raises ProviderError where it is none."""
    value = parse(body)
    error = failure.reported(value)
    if error is not None:
        raise _refined(error, value)
    listed = mapping(value).get("models")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    found = []
    for item in listed:
        entry = mapping(item)
        name = mend(text(entry.get("name"))).removeprefix("models/")
        methods = entry.get("supportedGenerationMethods", ["generateContent"])
        if name and "generateContent" in items(methods):
            found.append(ModelInfo(name, count(entry.get("inputTokenLimit")), count(entry.get("outputTokenLimit"))))
    return found


def _chunks(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _usage(told: Mapping[str, Any]) -> Usage:
    """Return the tokens with those that were thought counted as output, as they are billed.

    https://ai.google.dev/api/generate-content#UsageMetadata. `promptTokenCount` includes what came from the cache.
    """
    said, thought = count(told.get("candidatesTokenCount")), count(told.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=count(told.get("promptTokenCount")),
        output_tokens=(said or 0) + thought if thought else said,
        cached_tokens=count(told.get("cachedContentTokenCount")),
        reasoning_tokens=thought,
        told_output_tokens=said if thought else None,
    )


def _refined(error: ProviderError, value: object) -> ProviderError:
    """Say what Google's own words add: `status` and `details` of https://cloud.google.com/apis/design/errors."""
    whole = value[0] if isinstance(value, list) and len(value) == 1 else value
    told = mapping(mapping(whole).get("error"))
    status = text(told.get("status"))
    details = [mapping(detail) for detail in items(told.get("details"))]
    reasons = {text(detail.get("reason")) for detail in details}
    error.code = presentable(status[:100]) or error.code
    if reasons & {"API_KEY_INVALID", "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"}:
        error.kind = Kind.AUTH
    elif "User location is not supported" in error.message:
        error.kind = Kind.FORBIDDEN
    elif _TOO_LONG.search(error.message):
        error.kind = Kind.TOO_LONG
    elif status == "RESOURCE_EXHAUSTED":
        # The same words, "exceeded your current quota", are said of a minute's quota and of a day's.
        error.kind = Kind.NO_CREDIT if _NO_CREDIT.search(error.message) else Kind.RATE
        if any("PerDay" in quota for detail in details for quota in _quotas(detail)):
            # The delay that comes along is that of the minute: who waits for it is refused again, until midnight.
            error.kind, error.retry_after = Kind.NO_CREDIT, None
    return error


def _quotas(detail: Mapping[str, Any]) -> list[str]:
    """Return the names of the quotas that a detail says were exceeded."""
    violated = [text(mapping(violation).get("quotaId")) for violation in items(detail.get("violations"))]
    return [*violated, text(mapping(detail.get("metadata")).get("quota_limit"))]
