"""The story of one request: who may answer it, who is asked first, what happens when that fails, and the words as they come.

`ask` tells it. What must always hold: nobody is asked whom the clearance does not cover; every attempt says who is asked before it
begins; an answer is one model's, whole, never spliced; and whoever stops listening has closed the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from glossator_providers import allowances, capabilities, dialects, published
from glossator_providers.auth import signed
from glossator_providers.catalog import Provider
from glossator_providers.dialects import Dialect
from glossator_providers.errors import (
    EgressDenied,
    GlossatorError,
    Kind,
    NoProvider,
    PolicyRefusal,
    ProviderError,
    may_try_elsewhere,
)
from glossator_providers.framing import splitter
from glossator_providers.model import (
    Allowance,
    Answer,
    Answered,
    Attempt,
    Chosen,
    Delta,
    Event,
    Finished,
    FinishReason,
    Level,
    ModelInfo,
    Reasoning,
    Request,
    Restarted,
    Started,
    Text,
    ToolCall,
    Usage,
)
from glossator_providers.models import choose_model, leaves_the_machine, list_models, same_model
from glossator_providers.privacy import Cleared, Decision, Files, Policy, clear, clear_probe, is_near, judge
from glossator_providers.retry import Patience, pause
from glossator_providers.transport import Call, Response, Transport
from glossator_providers.watchdog import Clock, Sleep, Watchdog

Prepare = Callable[[Provider], Awaitable[Provider]]

DEADLINE = 300.0  # seconds for one request with all its attempts, unless a single attempt is allowed more
LIST_TIMEOUT = 5.0  # seconds
_LARGEST_ERROR = 1 << 20  # bytes
_LARGEST_ANSWER = 16 << 20  # bytes; also characters of text in a stream


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request would go: who may answer, in the order of asking, and who may not, with the reason in words."""

    decision: Decision
    candidates: tuple[Provider, ...]
    refused: tuple[tuple[Provider, str], ...]


class RequestFailed(ProviderError):
    """Everybody who could be asked has failed: the last failure, with all attempts that were made."""

    def __init__(self, last: ProviderError, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(
            last.kind,
            last.message,
            last.status,
            last.code,
            last.retry_after,
            last.provider,
            partial=last.partial,
        )
        self.attempts = attempts


@dataclass(slots=True)
class _Heard:
    """What one attempt has brought so far."""

    began: float
    model: str
    local: bool
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    allowances: tuple[Allowance, ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish: FinishReason | None = None
    finish_raw: str | None = None
    first_token_seconds: float | None = None
    size: int = 0


class Router:
    """The providers and the rules by which requests go to them.

    `providers` and `policy` may be replaced between requests: after discovery, after a change of the configuration.
    *prepare* makes a provider ready before it is asked (starts the embedded server). `max_attempts` counts per provider.
    """

    def __init__(
        self,
        providers: Iterable[Provider],
        *,
        transport: Transport,
        policy: Policy,
        files: Files,
        strategy: str = "local-first",
        order: Sequence[str] = (),
        groups: Mapping[str, Sequence[str]] | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
        prepare: Prepare | None = None,
        max_attempts: int = 3,
        deadline: float = DEADLINE,
    ) -> None:
        self.providers = tuple(providers)
        self.policy = policy
        self._transport = transport
        self._files = files
        self._strategy = strategy
        self._order = tuple(order)
        self._groups = groups or {}
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._prepare = prepare
        self._patience = Patience(attempts=max_attempts)
        self._deadline = deadline
        self._listed: dict[str, tuple[str, ...]] = {}  # the models that a provider named when it was last asked

    def replace(self, providers: Iterable[Provider]) -> None:
        """Take these providers from the next request on."""
        self.providers = tuple(providers)

    def route(self, request: Request) -> Route:
        """Say where a request would go and why; opens no connection."""
        try:
            cleared = clear(request, policy=self.policy, files=self._files)
        except PolicyRefusal as refusal:
            decision = judge(request, policy=self.policy, files=self._files)
            return Route(decision, (), tuple((provider, str(refusal)) for provider in self.providers))
        return self._route(request, cleared)

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Yield what happens until one model has answered; raises PolicyRefusal, NoProvider, EgressDenied, RequestFailed.

        Every attempt begins with Chosen. Restarted takes back all text since then. Closing the iterator closes the connection.
        """
        cleared = clear(request, policy=self.policy, files=self._files)
        route = self._route(request, cleared)
        if not route.candidates:
            raise self._nobody(request, route)
        attempts: list[Attempt] = []
        until = self._clock() + max(self._deadline, *(provider.timeouts.total for provider in route.candidates))
        for provider in route.candidates:
            alone = provider is route.candidates[-1]
            for tries in itertools.count(1):
                yield Chosen(provider.name, provider.model, self._is_local(provider))
                heard = _Heard(self._clock(), provider.model, self._is_local(provider))
                try:
                    async with aclosing(self._attempt(provider, request, cleared, until, heard)) as events:
                        async for event in events:
                            yield event
                except GlossatorError as caught:
                    error = await self._told(caught, provider, partial=bool(heard.text))
                    attempts.append(self._attempted(provider, heard, error))
                    wait = self._pause(error, tries=tries, alone=alone, until=until)
                    if wait is None and (alone or not may_try_elsewhere(error.kind) or self._clock() >= until):
                        raise _failure(caught, error, attempts) from None
                else:
                    attempts.append(self._attempted(provider, heard, None))
                    yield Answered(_answer(provider, heard, attempts, bound=request.max_tokens or provider.max_tokens))
                    return
                if heard.text or heard.reasoning:
                    yield Restarted(error)
                if wait is None:
                    break
                await self._sleep(wait)

    async def answer(self, request: Request) -> Answer:
        """Return the whole answer; raises as `ask` does."""
        async with aclosing(self.ask(request)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return event.answer
        raise AssertionError("ask ends with Answered or raises")

    async def list_models(self, provider: Provider) -> list[ModelInfo]:
        """Ask a provider which models it has; raises ProviderError or EgressDenied."""
        if self._prepare is not None:
            provider = await self._prepare(provider)
        # The question holds nothing of the user's, so it may go wherever the user configured a provider.
        empty = Request(messages=())
        near = self._is_local(provider)
        cleared = clear_probe(self.policy) if near else clear(empty, policy=self.policy, files=self._files)
        models = await list_models(
            provider,
            transport=self._transport,
            cleared=cleared,
            seconds=LIST_TIMEOUT,
            trusted_hosts=self.policy.trusted_hosts,
        )
        self._listed[provider.name] = tuple(model.name for model in models)
        return models

    def _route(self, request: Request, cleared: Cleared) -> Route:
        """Filter by clearance before anything else, then by what the request names, then put into order."""
        candidates: list[Provider] = []
        refused: list[tuple[Provider, str]] = []
        for provider in self._named(request):
            reason = self._objection(provider, cleared)
            if reason is None and provider.toy and not self._is_wanted(provider, request):
                reason = "it is a toy, asked only by its name"
            if reason is None:
                candidates.append(provider)
            else:
                refused.append((provider, reason))
        if request.provider not in self._groups:
            candidates.sort(key=self._rank)
        return Route(cleared.decision, tuple(candidates), tuple(refused))

    def _objection(self, provider: Provider, cleared: Cleared) -> str | None:
        """Say in words why this provider may not or cannot answer."""
        if not cleared.covers(provider):
            if provider.found and not self._is_local(provider) and cleared.decision.level is Level.OPEN:
                return "it was found by its key, and you have not allowed it in this workspace yet"
            because = "; ".join(str(reason) for reason in cleared.decision.reasons) or "the privacy rules say so"
            return f"only a model on this machine may see this: {because}"
        if cleared.decision.level > Level.OPEN and leaves_the_machine(ModelInfo(provider.model)):
            return f"its model {provider.model} runs on another machine"
        if provider.key is None and provider.row.key_required and not self._is_local(provider):
            return f"its key is missing: set {' or '.join(provider.row.key_env or provider.row.project_env)}"
        return None

    def _named(self, request: Request) -> list[Provider]:
        """Return the providers that the request names, each with the model that it names."""
        chosen = list(self.providers)
        if request.provider is not None:
            names = self._groups.get(request.provider, (request.provider,))
            chosen = [provider for name in names for provider in self.providers if provider.name == name]
        elif request.model is not None:
            chosen = [provider for provider in chosen if provider.model == request.model] or chosen
        if request.model is None:
            return chosen
        return [replace(provider, model=request.model) for provider in chosen]

    def _is_wanted(self, provider: Provider, request: Request) -> bool:
        return request.provider is not None or provider.name in self._order

    def _is_local(self, provider: Provider) -> bool:
        """Say whether its address is this machine's or a trusted host's; the kind alone says nothing of that."""
        return is_near(provider, self.policy.trusted_hosts)

    def _rank(self, provider: Provider) -> tuple[bool, int]:
        """Rank by place where the strategy says so, then by the user's order; the rest stay as they were configured."""
        away = self._strategy == "local-first" and not self._is_local(provider)
        position = self._order.index(provider.name) if provider.name in self._order else len(self._order)
        return away, position

    def _nobody(self, request: Request, route: Route) -> GlossatorError:
        """Say why nobody can be asked, and what the user can do."""
        if request.provider is not None and not route.refused:
            names = ", ".join(provider.name for provider in self.providers) or "none"
            return NoProvider(f"no provider is called {request.provider!r}; there are: {names}")
        said = "; ".join(f"{provider.name}: {reason}" for provider, reason in route.refused)
        if route.decision.level is not Level.OPEN and any(
            not self._is_local(provider) for provider, _ in route.refused
        ):
            rules = tuple(reason.rule for reason in route.decision.reasons)
            because = "; ".join(str(reason) for reason in route.decision.reasons)
            return PolicyRefusal(
                f"this stays on this machine ({because}), and no local model is there to answer; "
                "start Ollama, LM Studio, llama.cpp or vLLM, or configure a local provider",
                rules,
            )
        if said:
            return NoProvider(f"no provider can be asked: {said}")
        return NoProvider(
            "no model provider is configured or running; start Ollama, LM Studio, llama.cpp or vLLM, "
            "set a key such as ANTHROPIC_API_KEY, or write a configuration file"
        )

    async def _attempt(
        self, provider: Provider, request: Request, cleared: Cleared, until: float, heard: _Heard
    ) -> AsyncGenerator[Text | Reasoning]:
        """Ask one provider once, note in *heard* what it says, and yield what is for the user."""
        request = capabilities.fitting(request, provider)
        if self._prepare is not None:
            provider = await self._prepare(provider)
        watchdog = Watchdog(
            provider.timeouts, streamed=request.stream, until=until, clock=self._clock, sleep=self._sleep
        )
        async with watchdog, AsyncExitStack() as stack:
            provider = await watchdog.wait(self._settle_model(provider, cleared))
            if not cleared.covers(provider):
                raise EgressDenied(f"{provider.name} is not where it was when this request was cleared for it")
            dialect = dialects.get(provider.row.dialect)
            payload = dialect.encode(request, provider)
            headers = await signed(provider, payload, trusted_hosts=self.policy.trusted_hosts)
            call = Call(cleared, provider, payload, headers)
            response = await watchdog.wait(stack.enter_async_context(self._transport.send(call)))
            heard.allowances = allowances.read(response.headers)
            async with aclosing(_read(response, dialect, request, provider, watchdog)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, Started) and delta.remote_host and cleared.decision.level is not Level.OPEN:
                        raise ProviderError(
                            Kind.FORBIDDEN,
                            f"the server forwarded this private request to {delta.remote_host} and was cut off; "
                            f"remove the model {provider.model}, or set OLLAMA_NO_CLOUD=1 where it runs",
                        )
                    self._hear(heard, delta)
                    if isinstance(delta, (Text, Reasoning)):
                        yield delta

    async def _told(self, caught: GlossatorError, provider: Provider, *, partial: bool) -> ProviderError:
        """Return a failure in the providers' vocabulary, and of a model that does not exist the names that come nearest."""
        error = _as_provider_error(caught, provider, partial=partial)
        if error.kind is Kind.NO_MODEL and provider.model:
            names = capabilities.nearest(provider.model, await self._names(provider))
            if names:
                error.message = f"{error.message}; the nearest names are {', '.join(names)}"
        return error

    async def _names(self, provider: Provider) -> Sequence[str]:
        """Return the models that a provider has: as it listed them, as a server on this machine lists them now, as is published."""
        if provider.name not in self._listed and self._is_local(provider):
            with contextlib.suppress(GlossatorError):
                await self.list_models(provider)
        if provider.name in self._listed:
            return [name for name in self._listed[provider.name] if name != provider.model]
        return await asyncio.to_thread(published.names, provider)  # a large module is imported for it

    async def _settle_model(self, provider: Provider, cleared: Cleared) -> Provider:
        """Choose a model where none is named, and make sure that a private request meets one that runs here."""
        must_stay = cleared.decision.level is not Level.OPEN and provider.row.dialect == "ollama"
        if provider.model and not must_stay:
            return provider
        models = await self.list_models(provider)
        model = provider.model or choose_model(models)
        if model is None:
            raise ProviderError(Kind.NO_MODEL, "it has no model that could answer; pull or load one")
        if must_stay and any(same_model(listed.name, model) and leaves_the_machine(listed) for listed in models):
            raise ProviderError(
                Kind.FORBIDDEN, f"its model {model} runs on another machine, and this may not leave this one"
            )
        return replace(provider, model=model)

    def _pause(self, error: ProviderError, *, tries: int, alone: bool, until: float) -> float | None:
        return pause(
            error,
            tries=tries,
            alone=alone,
            remaining=until - self._clock(),
            chance=self._random(),
            patience=self._patience,
        )

    def _hear(self, heard: _Heard, delta: Delta) -> None:
        if isinstance(
            delta, (Text, Reasoning)
        ):  # no pattern: it costs more than all the rest, and most deltas are these
            if heard.first_token_seconds is None:
                heard.first_token_seconds = self._clock() - heard.began
            heard.size += len(delta.text)
            if heard.size > _LARGEST_ANSWER:
                raise ProviderError(Kind.BROKEN_STREAM, "its answer does not end and was cut off")
            (heard.text if isinstance(delta, Text) else heard.reasoning).append(delta.text)
            return
        match delta:
            case Started(model, remote_host):
                heard.model = model or heard.model
                heard.local = heard.local and not remote_host
            case Usage():
                heard.usage = delta
            case Finished(reason, raw):
                heard.finish, heard.finish_raw = reason, raw
            case ToolCall():
                heard.calls.append(delta)

    def _attempted(self, provider: Provider, heard: _Heard, error: ProviderError | None) -> Attempt:
        seconds = self._clock() - heard.began
        return Attempt(provider.name, heard.model, heard.local, seconds, heard.first_token_seconds, error)


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
    if not request.stream or (content_type == "application/json" and dialect.framing != "ndjson"):
        # Some servers answer a request for a stream with one document: most often it is an error, which `read` raises.
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


def _answer(provider: Provider, heard: _Heard, attempts: Sequence[Attempt], *, bound: int) -> Answer:
    finish = heard.finish or FinishReason.OTHER
    if finish is FinishReason.OTHER and (heard.usage.output_tokens or 0) >= bound:
        finish = FinishReason.LENGTH  # nobody said why it stopped, and it is as long as it may be, in tokens
    return Answer(
        text="".join(heard.text),
        reasoning="".join(heard.reasoning),
        finish=finish,
        usage=heard.usage,
        provider=provider.name,
        model=heard.model,
        local=heard.local,
        attempts=tuple(attempts),
        finish_raw=heard.finish_raw,
        calls=tuple(heard.calls),
        allowances=heard.allowances,
    )


def _failure(caught: GlossatorError, error: ProviderError, attempts: Sequence[Attempt]) -> GlossatorError:
    """Return what to raise when nobody is left; the door's own word stays the door's."""
    return caught if isinstance(caught, EgressDenied) else RequestFailed(error, tuple(attempts))


def _as_provider_error(error: GlossatorError, provider: Provider, *, partial: bool) -> ProviderError:
    """Return a failure in the providers' vocabulary, with the provider's name."""
    if not isinstance(error, ProviderError):
        kind = Kind.FORBIDDEN if isinstance(error, EgressDenied) else Kind.BAD_REQUEST
        error = ProviderError(kind, str(error))
    error.provider = error.provider or provider.name
    error.partial = error.partial or partial
    return error
