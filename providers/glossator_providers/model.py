"""The vocabulary: what is asked of a model, and what comes back; frozen values that know neither wire nor editor."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from glossator_providers.errors import ProviderError


class Level(enum.IntEnum):
    """How far a text may travel; the strictest of two is their `max`."""

    OPEN = 0  # any provider
    PRIVATE = 1  # proven-local providers only
    NEVER = 2  # no model at all


class Role(enum.StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"  # what a tool that the model called has brought


class OriginKind(enum.StrEnum):
    """What a piece of a prompt is."""

    DOCUMENT = "document"  # the text that the user pointed at
    CONTEXT = "context"  # text that the product fetched from around it
    DIAGNOSTIC = "diagnostic"  # what a checker said of it, which may quote it
    INSTRUCTION = "instruction"  # what the user typed
    ANSWER = "answer"  # an earlier answer of a model
    RULE = "rule"  # a checker's own documentation
    PRODUCT = "product"  # our own words


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a piece of a prompt comes from; `uri` names the document, `None` only for what comes from no document."""

    kind: OriginKind
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a prompt with all its origins; the strictest of them decides for the whole request."""

    text: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask to be called; `schema` is the JSON schema of its arguments, as JSON text."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; `arguments` is JSON text as the model wrote it, perhaps not valid.

    `signature` is what some models (Gemini 3) want back with the call, word for word, when its result is sent.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `calls` are those that an assistant's turn asked for. A turn of the role TOOL answers the call `answers`, an id.
    """

    role: Role
    fragments: tuple[Fragment, ...]
    calls: tuple[ToolCall, ...] = ()
    answers: str | None = None

    @property
    def text(self) -> str:
        return "".join(fragment.text for fragment in self.fragments)


class Effort(enum.StrEnum):
    """How much a reasoning model should think before it answers."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape that an answer must have where the provider can promise one; `schema` is a JSON schema as JSON text."""

    name: str
    schema: str


Who = tuple[str, str]  # one model of one provider: the provider's name, the model


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of whichever model the router finds.

    `roots` are the absolute paths of the workspace's folders. `provider` and `model` are set when the user named them.
    `max_tokens` bounds the answer; `None` leaves it to the provider's configuration. `temperature` is sent only if set.
    `background` says that nobody waits for the answer: where requests must wait, those of persons come first.
    `thread` names the conversation or document that it belongs to, for those who keep a prompt cache warm; `rule` the
    checker's rule that it is about, so that it can be learned who answers to it well. Neither is sent. So many secrets have
    been `masked` in it, by placeholders.
    """

    messages: tuple[Message, ...]
    task: str = "ask"
    roots: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    stream: bool = True
    top_p: float | None = None
    top_k: int | None = None
    effort: Effort | None = None
    tools: tuple[Tool, ...] = ()
    structure: Structure | None = None
    background: bool = False
    thread: str | None = None
    rule: str | None = None
    masked: int = 0


class FinishReason(enum.StrEnum):
    """Why a model stopped, in one vocabulary."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool-calls"
    REFUSED = "refused"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; `input_tokens` includes those read from and written to the cache. `None`: not told.

    `told_input_tokens` and `told_output_tokens` are the provider's own numbers where it counts otherwise: Anthropic leaves
    out of the input what the cache had a part in, xAI leaves out of the output what was thought. `billed_input_tokens` and
    `billed_output_tokens` are what is paid for, where the provider tells that this is another number: Cohere does.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    told_input_tokens: int | None = None
    told_output_tokens: int | None = None
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The provider names the model that answers; `remote_host` is set when a local server forwards to elsewhere."""

    model: str
    remote_host: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks aloud; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The model stopped; `raw` is the provider's own word for why."""

    reason: FinishReason
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The model is at something that cannot be told before it is complete, such as a tool's arguments; it is not silent."""


Delta = Started | Text | Reasoning | ToolCall | Progress | Usage | Finished


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider says is left of one of its limits: `what` is `requests` or `tokens`; `resets_in` is in seconds.

    A limit that counts only some of them says so: `input tokens`, `output tokens`, `project tokens`, `tokens a month`.
    """

    what: str
    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider lists. `remote` says that the server forwards it to another machine."""

    name: str
    context_tokens: int | None = None
    output_tokens: int | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider asked once; durations are in seconds, `error` is None where it answered."""

    provider: str
    model: str
    local: bool
    seconds: float
    first_token_seconds: float | None = None
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of one model, never spliced from two."""

    text: str
    reasoning: str
    finish: FinishReason
    usage: Usage
    provider: str
    model: str
    local: bool
    attempts: tuple[Attempt, ...]
    finish_raw: str | None = None  # the provider's own word for why it stopped: `Finished.raw`
    calls: tuple[ToolCall, ...] = ()
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The router is about to ask this provider; the first event of every attempt."""

    provider: str
    model: str
    local: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """The provider that was chosen is not asked before so many seconds have passed; `reason` says why, in words."""

    provider: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know, though the request goes on: a budget that is nearly spent."""

    message: str


@dataclass(frozen=True, slots=True)
class Masked:
    """Secrets were replaced by placeholders before anything was sent, and are put back into what comes back."""

    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Restarted:
    """The attempt failed after text had been shown: forget that text, another attempt begins."""

    error: ProviderError


@dataclass(frozen=True, slots=True)
class Answered:
    """The last event of a request that succeeded."""

    answer: Answer


Event = Chosen | Waiting | Warned | Masked | Text | Reasoning | Restarted | Answered
