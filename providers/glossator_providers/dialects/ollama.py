"""The native chat protocol of Ollama: a line of JSON per piece.

https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion. It is preferred to Ollama's
OpenAI-compatible one because only here the context can be made large enough, and a forwarded model says so.
"""

from __future__ import annotations

import json
import math
import string
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from glossator_providers.catalog import Provider, Row
from glossator_providers.dialects import failure
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.openai_chat import function, sampling, serialised
from glossator_providers.dialects.values import arguments_of, count, items, mapping, parse, text
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame, Lines
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
    Usage,
)

framing: Literal["sse", "ndjson"] = "ndjson"

_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    # `load` and `unload` answer a request without a prompt: OTHER.
}
# A change of `num_ctx` makes Ollama load the model again, so it grows in steps that a session rarely crosses.
_SMALLEST_CONTEXT = 8192  # tokens; the default of 4096 would be used up by the answer alone
_LARGEST_CONTEXT = 1 << 20  # no model has more; Ollama itself goes no further than the model can

# Tokens that a byte makes, by what it stands for; all others make one. Many tokenizers cut numbers into digits, and then what
# stands between them is a token too. Measured with a small vocabulary (49,152 pieces), of which a text takes more of than of a
# large one: tests/providers/test_real_llamacpp.py holds the guess to it.
_SHARES: tuple[tuple[bytes, float], ...] = (
    (string.ascii_lowercase.encode(), 0.35),
    (string.ascii_uppercase.encode(), 0.9),
    (string.digits.encode(), 2.0),
    (string.punctuation.encode(), 0.85),
    (b" ", 0.25),
    (b"\t\n\r", 0.8),
    (bytes(range(0x80, 0x100)), 0.75),
)


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down, with room for the whole prompt and the whole answer.

    `truncate` and `shift` off: rather an error than a prompt whose beginning was dropped without a word
    (https://github.com/ollama/ollama/pull/12519); versions before 0.12 do not know them and ignore them.
    """
    longest = request.max_tokens or provider.max_tokens
    options: dict[str, Any] = {"num_ctx": context_for(request, answer_tokens=longest), "num_predict": longest}
    options |= sampling(request)
    if request.stop:
        options["stop"] = list(request.stop)
    body: dict[str, Any] = {
        "model": request.model or provider.model,
        "messages": _turns(request.messages),
        "stream": request.stream,  # said both ways: it streams unless told not to
        "truncate": False,
        "shift": False,
        "options": options,
    }
    if request.tools:
        body["tools"] = [function(tool) for tool in request.tools]
    if request.structure is not None:
        body["format"] = mapping(
            parse(request.structure.schema)
        )  # https://docs.ollama.com/capabilities/structured-outputs
    if request.effort is not None:
        # A word for models that know several depths, which others take for "yes": https://docs.ollama.com/capabilities/thinking
        body["think"] = False if request.effort is Effort.NONE else request.effort.value
    headers = (("accept", "application/json"), ("content-type", "application/json"))
    return Payload("POST", "/api/chat", headers, serialised(body))


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Write the turns down; a tool's result names the tool, since calls had no id for most of Ollama's life."""
    names: dict[str, str] = {}
    turns: list[dict[str, Any]] = []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role.value, "content": message.text}
        if message.calls:
            names |= {call.id: call.name for call in message.calls}
            turn["tool_calls"] = [
                {"function": {"name": call.name, "arguments": arguments_of(call)}} for call in message.calls
            ]
        if message.role is Role.TOOL and message.answers in names:
            turn["tool_name"] = names[message.answers]
        turns.append(turn)
    return turns


def context_for(request: Request, *, answer_tokens: int) -> int:
    """Return the context to ask for, in tokens: a step that holds the prompt, guessed high, and the answer.

    64 tokens a message or a tool are for the template.
    """
    texts = [message.text for message in request.messages]
    texts += [call.name + call.arguments for message in request.messages for call in message.calls]
    texts += [tool.name + tool.description + tool.schema for tool in request.tools]
    prompt = sum(_most_tokens(text) + 64 for text in texts)
    context = _SMALLEST_CONTEXT
    while context < prompt + answer_tokens and context < _LARGEST_CONTEXT:
        context *= 2
    return context


def _most_tokens(text: str) -> int:
    """Guess high how many tokens a text is: a context too small would cut its beginning off, one too large costs memory.

    Code is given one and a half times what it takes, numbers and hashes, Chinese and symbols a little more than they do.
    """
    left = text.encode("utf-8", "replace")
    tokens = 0.0
    for characters, share in _SHARES:
        rest = left.translate(None, characters)
        tokens += share * (len(left) - len(rest))
        left = rest
    return math.ceil(tokens) + len(left)


def decoder(row: Row | None = None) -> LineDecoder:  # noqa: ARG001  no row differs from this protocol so far
    """Make the state for one streamed answer."""
    return LineDecoder()


class LineDecoder:
    """The state of one streamed answer; it is complete with the line that says `"done": true`."""

    def __init__(self) -> None:
        self._content = Joiner()
        self._reasoning = Joiner()
        self._model = ""
        self._host: str | None = None
        self._calls = Calls()
        self._number = 0
        self._partial = False  # text of the answer was given out
        self.done = False

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one line."""
        data = frame.data.strip()
        if self.done or not data:
            return []
        value = parse(data, partial=self._partial)
        failure.check(value, partial=self._partial)
        line = mapping(value)
        deltas: list[Delta] = []
        self._start(line, deltas)
        message = mapping(line.get("message"))
        thought = self._reasoning.feed(text(message.get("thinking")) or text(line.get("thinking")))
        # `/api/generate` says `response`: old servers and gateways answer in its form.
        content = self._content.feed(text(message.get("content")) or text(line.get("response")))
        self._call(message)
        done = line.get("done") is True
        if done:
            thought += self._reasoning.end()
            content += self._content.end()
        if thought:
            deltas.append(Reasoning(thought))
        if content:
            self._partial = True
            deltas.append(Text(content))
        if done:
            self.done = True
            asked, answered = count(line.get("prompt_eval_count")), count(line.get("eval_count"))
            if (asked, answered) != (None, None):
                deltas.append(Usage(asked, answered))
            deltas += self._calls.end()
            reason = text(line.get("done_reason"))
            # Old versions give no reason, and then it is the end.
            deltas.append(Finished(_REASONS.get(reason or "stop", FinishReason.OTHER), mend(reason) or None))
        return deltas

    def end(self) -> None:
        """Say that the body has ended."""
        if not self.done:
            raise ProviderError(
                Kind.BROKEN_STREAM,
                "the answer broke off: the connection ended before the line that says it is done",
                partial=self._partial,
            )

    def _call(self, message: Mapping[str, Any]) -> None:
        """Take the tool calls of a line; each is whole, its arguments are an object, and only newer versions give it an id."""
        for item in items(message.get("tool_calls")):
            call, told = mapping(item), mapping(mapping(item).get("function"))
            arguments = told.get("arguments")
            if not isinstance(arguments, str):
                arguments = json.dumps(mapping(arguments), ensure_ascii=False, separators=(",", ":"))
            self._number += 1
            self._calls.feed(
                self._number, identity=text(call.get("id")), name=text(told.get("name")), arguments=arguments
            )

    def _start(self, line: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Name the model, and the machine that it really runs on where that is another one."""
        model = mend(text(line.get("model"))) or self._model
        host = mend(text(line.get("remote_host"))) or self._host
        if model and (not self._model or host != self._host):
            deltas.append(Started(model, host))
            self._model, self._host = model, host


def read(body: bytes) -> list[Delta]:
    """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""
    whole = LineDecoder()
    deltas: list[Delta] = []
    lines = Lines()
    for frame in (*lines.feed(body), *lines.end()):
        deltas += whole.decode(frame)
    whole.end()
    return deltas


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed call."""
    return failure.explain(status, headers, body, clock=clock)


def list_models() -> Payload:
    """Write down the request for the models that the server has."""
    return Payload("GET", "/api/tags", (("accept", "application/json"),), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read the list of models; one that the server forwards to another machine is marked so."""
    value = parse(body)
    failure.check(value)
    listed = mapping(value).get("models")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    found = []
    for item in listed:
        entry = mapping(item)
        name = mend(text(entry.get("name")) or text(entry.get("model")))
        if name:
            context = count(mapping(entry.get("details")).get("context_length"))
            remote = bool(entry.get("remote_host") or entry.get("remote_model"))
            found.append(ModelInfo(name, context, remote=remote))
    return found
