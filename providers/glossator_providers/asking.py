"""One provider asked once: ready, signed, sent, read until the model has stopped; every failure in one vocabulary.

The router decides who is asked, when and how often; what happens between asking one provider and its last word is here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

from glossator_providers import allowances, capabilities, dialects, published
from glossator_providers.auth import signed
from glossator_providers.catalog import Provider
from glossator_providers.dialects import Dialect
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import EgressDenied, GlossatorError, Kind, ProviderError
from glossator_providers.framing import splitter
from glossator_providers.model import (
    Allowance,
    Answer,
    Attempt,
    Delta,
    Finished,
    FinishReason,
    Level,
    ModelInfo,
    Reasoning,
    Request,
    Started,
    Text,
    ToolCall,
    Usage,
)
from glossator_providers.models import choose_model, leaves_the_machine, list_models, reach, same_model
from glossator_providers.privacy import Cleared, Files, Policy, clear, clear_probe, is_near
from glossator_providers.transport import Call, Response, Transport
from glossator_providers.watchdog import Clock, Sleep, Watchdog

Prepare = Callable[[Provider], Awaitable[Provider]]

LIST_TIMEOUT = 5.0  # seconds
_LARGEST_ERROR = 1 << 20  # bytes
_CALL = 64  # characters that a call of a tool counts for beyond its name and arguments: many empty ones are large too
_LARGEST_ANSWER = 16 << 20  # bytes; also characters of text in a stream


@dataclass(slots=True)
class Heard:
    """What one attempt has brought so far; `began` is the clock's time in seconds."""

    began: float
    model: str
    local: bool
    stays: bool  # the request may not leave this machine
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    allowances: tuple[Allowance, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: FinishReason | None = None
    finish_raw: str | None = None
    first_token_seconds: float | None = None
    size: int = 0
    sent: bool = False  # the provider may have heard the question

    def hear(self, delta: Delta, clock: Clock) -> None:
        """Take what has come; raises ProviderError where it must not go on."""
        # No pattern for these: it costs more than all the rest, and most deltas are these.
        if isinstance(delta, (Text, Reasoning)):
            if self.first_token_seconds is None:
                self.first_token_seconds = clock() - self.began
            self._grow(len(delta.text))
            (self.text if isinstance(delta, Text) else self.reasoning).append(delta.text)
            return
        match delta:
            case Started(model, remote_host):
                self.model = model or self.model
                self.local = self.local and not remote_host
                if remote_host and self.stays:
                    raise ProviderError(
                        Kind.FORBIDDEN,
                        f"the server forwarded this private request to {remote_host} and was cut off; "
                        f"remove the model {self.model}, or set OLLAMA_NO_CLOUD=1 where it runs",
                    )
            case Usage():
                self.usage = delta
            case Finished(reason, raw):
                self.finish, self.finish_raw = reason, raw
            case ToolCall():
                self._grow(len(delta.name) + len(delta.arguments) + _CALL)
                self.calls.append(delta)

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > _LARGEST_ANSWER:
            raise ProviderError(Kind.BROKEN_STREAM, "its answer does not end and was cut off")

    def attempt(self, provider: Provider, error: ProviderError | None, *, now: float) -> Attempt:
        """Return this attempt as it is told when it is over."""
        return Attempt(provider.name, self.model, self.local, now - self.began, self.first_token_seconds, error)

    def answer(self, provider: Provider, attempts: Sequence[Attempt], *, bound: int) -> Answer:
        """Return the answer; *bound* is the most tokens that it may have."""
        finish = self.finish or FinishReason.OTHER
        if finish is FinishReason.OTHER and (self.usage.output_tokens or 0) >= bound:
            finish = FinishReason.LENGTH  # nobody said why it stopped, and it is as long as it may be, in tokens
        return Answer(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            finish=finish,
            usage=self.usage,
            provider=provider.name,
            model=self.model,
            local=self.local,
            attempts=tuple(attempts),
            finish_raw=self.finish_raw,
            calls=tuple(self.calls),
            allowances=self.allowances,
        )


class Asking:
    """How providers are asked. *prepare* makes one ready before (starts the embedded server)."""

    def __init__(
        self, transport: Transport, *, files: Files, clock: Clock, sleep: Sleep, prepare: Prepare | None
    ) -> None:
        self._transport = transport
        self._files = files
        self._clock = clock
        self._sleep = sleep
        self._prepare = prepare
        self._listed: dict[str, tuple[str, ...]] = {}  # the models that a provider named when it was last asked

    async def list_models(self, provider: Provider, policy: Policy) -> list[ModelInfo]:
        """Ask a provider which models it has; raises ProviderError or EgressDenied."""
        if self._prepare is not None:
            provider = await self._prepare(provider)
        models = await list_models(
            provider,
            transport=self._transport,
            cleared=self._cleared_empty(provider, policy),
            seconds=LIST_TIMEOUT,
            trusted_hosts=policy.trusted_hosts,
        )
        self._listed[provider.name] = tuple(model.name for model in models)
        return models

    async def reach(self, provider: Provider, policy: Policy) -> None:
        """Find a provider's key and ask its address, without it, whether anybody is there; raises ProviderError or EgressDenied."""
        await reach(
            provider,
            transport=self._transport,
            cleared=self._cleared_empty(provider, policy),
            seconds=LIST_TIMEOUT,
            trusted_hosts=policy.trusted_hosts,
        )

    def _cleared_empty(self, provider: Provider, policy: Policy) -> Cleared:
        """Clear a question that holds nothing of the user's: it may go wherever the user configured a provider."""
        if is_near(provider, policy.trusted_hosts):
            return clear_probe(policy)
        return clear(Request(messages=()), policy=policy, files=self._files)

    @asynccontextmanager
    async def opened(
        self, provider: Provider, request: Request, cleared: Cleared, policy: Policy, *, until: float, heard: Heard
    ) -> AsyncIterator[AsyncGenerator[Delta]]:
        """Ask one provider once, and give the deltas of its answer; leaving the block closes the connection."""
        request = capabilities.fitting(request, provider)
        if self._prepare is not None:
            provider = await self._prepare(provider)
        watchdog = Watchdog(
            provider.timeouts, streamed=request.stream, until=until, clock=self._clock, sleep=self._sleep
        )
        async with watchdog, AsyncExitStack() as stack:
            provider = await watchdog.wait(self._settle_model(provider, cleared, policy))
            if not cleared.covers(provider):
                raise EgressDenied(f"{provider.name} is not where it was when this request was cleared for it")
            dialect = dialects.get(provider.row.dialect)
            payload = dialect.encode(request, provider)
            headers = await signed(provider, payload, trusted_hosts=policy.trusted_hosts)
            call = Call(cleared, provider, payload, headers, lambda: heard.usage)
            heard.sent = True
            response = await watchdog.wait(stack.enter_async_context(self._transport.send(call)))
            heard.allowances = allowances.read(response.headers)
            async with aclosing(_read(response, dialect, request, provider, watchdog)) as deltas:
                yield deltas

    async def name_nearest(self, error: ProviderError, provider: Provider, policy: Policy) -> None:
        """Add to the word of a model that does not exist the names that come nearest."""
        if error.kind is Kind.NO_MODEL and provider.model:
            names = capabilities.nearest(provider.model, await self._names(provider, policy))
            if names:
                error.message = f"{error.message}; the nearest names are {', '.join(names)}"

    async def _names(self, provider: Provider, policy: Policy) -> Sequence[str]:
        """Return the models that a provider has: as it listed them, as a server on this machine lists them now, as is published."""
        if provider.name not in self._listed and is_near(provider, policy.trusted_hosts):
            with contextlib.suppress(GlossatorError):
                await self.list_models(provider, policy)
        if provider.name in self._listed:
            return [name for name in self._listed[provider.name] if name != provider.model]
        return await asyncio.to_thread(published.names, provider)  # a large module is imported for it

    async def _settle_model(self, provider: Provider, cleared: Cleared, policy: Policy) -> Provider:
        """Choose a model where none is named, and make sure that a private request meets one that runs here."""
        must_stay = cleared.decision.level is not Level.OPEN and provider.row.dialect == "ollama"
        if provider.model and not must_stay:
            return provider
        models = await self.list_models(provider, policy)
        model = provider.model or choose_model(models)
        if model is None:
            raise ProviderError(Kind.NO_MODEL, "it has no model that could answer; pull or load one")
        if must_stay and any(same_model(listed.name, model) and leaves_the_machine(listed) for listed in models):
            raise ProviderError(
                Kind.FORBIDDEN, f"its model {model} runs on another machine, and this may not leave this one"
            )
        return replace(provider, model=model)


def written(request: Request, provider: Provider) -> Payload:
    """Return a request as this provider would get it, all but its address and its signature."""
    return dialects.get(provider.row.dialect).encode(capabilities.fitting(request, provider), provider)


async def _read(
    response: Response, dialect: Dialect, request: Request, provider: Provider, watchdog: Watchdog
) -> AsyncGenerator[Delta]:
    """Yield the deltas of a response; raises ProviderError for every other thing that it may be."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status != 200 or content_type == "text/html":  # noqa: PLR2004  the only status with an answer
        body = await watchdog.wait(response.read(_LARGEST_ERROR))
        error = dialect.explain(response.status, response.headers, body)
        if response.status != 200:  # noqa: PLR2004  the only status with an answer
            raise error
        raise ProviderError(Kind.SERVER, f"it {error.message}; is base_url right?", response.status)
    if not request.stream:
        for delta in dialect.read(await watchdog.wait(response.read(_LARGEST_ANSWER))):
            yield delta
        return
    frames = splitter(dialect.framing)
    decoder = dialect.decoder(provider.row)
    # One iterator for the whole way from bytes to deltas: every further one would cost each piece of the answer.
    async with aclosing(cast("AsyncGenerator[bytes]", response.chunks())) as chunks:
        while not decoder.done:
            data = await watchdog.wait(anext(chunks, None))
            for frame in frames.end() if data is None else frames.feed(data):
                for delta in decoder.decode(frame):
                    if not isinstance(delta, Started):
                        watchdog.progress()
                    yield delta
            if data is None:
                break
    decoder.end()


def as_provider_error(error: GlossatorError, provider: Provider, *, partial: bool) -> ProviderError:
    """Return a failure in the providers' vocabulary, with the provider's name."""
    if not isinstance(error, ProviderError):
        kind = Kind.FORBIDDEN if isinstance(error, EgressDenied) else Kind.BAD_REQUEST
        error = ProviderError(kind, str(error))
    error.provider = error.provider or provider.name
    error.partial = error.partial or partial
    return error
