"""Put a request to the router and tell what comes back as a task tells it; the only place where tasks meet models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, assert_never

from glossator.tasks.task import Author, Note, Progress, Refusal, Restart, Routed, Said, Stage
from glossator_providers.capabilities import edit_format
from glossator_providers.catalog import EditFormat, Provider
from glossator_providers.errors import EgressDenied, GlossatorError, NoProvider, PolicyRefusal, ProviderError
from glossator_providers.model import (
    Answer,
    Answered,
    Chosen,
    Event,
    Level,
    Reasoning,
    Request,
    Restarted,
    Text,
    Waiting,
    Warned,
)


class Decision(Protocol):
    """How far a request may travel."""

    @property
    def level(self) -> Level: ...


class Route(Protocol):
    """Where a request would go."""

    @property
    def decision(self) -> Decision: ...
    @property
    def candidates(self) -> tuple[Provider, ...]: ...


class Models(Protocol):
    """What a task needs of the router."""

    @property
    def providers(self) -> tuple[Provider, ...]: ...

    def route(self, request: Request) -> Route:
        """Say where a request would go; opens no connection."""
        ...

    def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Ask whoever may answer; closing the iterator closes the connection."""
        ...


class Cleaner(Protocol):
    """Makes the pieces of an answer fit to be shown while they come; one for each attempt."""

    def feed(self, text: str) -> str: ...
    def end(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Answering:
    """A model has answered; the last event of a conversation that went well."""

    answer: Answer
    author: Author


async def converse(
    request: Request, models: Models, *, cleaner: Callable[[], Cleaner]
) -> AsyncGenerator[Progress | Answering | Refusal]:
    """Ask the models; the last event is `Answering` or `Refusal`, and there is exactly one of the two."""
    author: Author | None = None
    live = cleaner()
    try:
        async with aclosing(models.ask(request)) as events:
            async for event in events:
                match event:
                    case Chosen():
                        author = author_of(event, models.providers)
                        live = cleaner()
                        yield Routed(author)
                    case Text(text):
                        if shown := live.feed(text):
                            yield Said(shown)
                    case Waiting() | Warned() | Restarted():
                        yield aside(event)
                    case Reasoning():
                        pass  # never part of an answer
                    case Answered(answer):
                        if shown := live.end():
                            yield Said(shown)
                        toy = author is not None and author.toy
                        yield Answering(answer, Author(answer.provider, answer.model, answer.local, toy))
    except GlossatorError as error:
        yield refusal_of(error)


def aside(event: Waiting | Warned | Restarted) -> Progress:
    """Return what the user is told of an event that is no part of an answer."""
    match event:
        case Waiting(provider, seconds, reason):
            return Stage(f"{provider} in {max(1, round(seconds))} s: {reason}")
        case Warned(message):
            return Note(message)
        case Restarted(error):
            return Restart(str(error))
    assert_never(event)


def author_of(chosen: Chosen, providers: tuple[Provider, ...]) -> Author:
    """Return who a chosen provider is, as every front names it."""
    toy = any(provider.toy for provider in providers if provider.name == chosen.provider)
    return Author(chosen.provider, chosen.model, chosen.local, toy)


def author_for(provider: Provider) -> Author:
    """Return the author that an answer of this provider would have."""
    return Author(provider.name, provider.model, provider.local, provider.toy)


def first_candidate(request: Request, models: Models) -> Provider | None:
    """Return who would be asked first, None where nobody may be."""
    try:
        return next(iter(models.route(request).candidates), None)
    except GlossatorError:
        return None  # the conversation says why


def form_of_change(provider: Provider | None) -> EditFormat:
    """Return the form in which to ask this provider for a change; whoever answers in its place is read in any form."""
    return "region-and-blocks" if provider is None else edit_format(provider)


def refusal_of(error: GlossatorError) -> Refusal:
    """Return how a task ends that failed with this error."""
    match error:
        case PolicyRefusal():
            return Refusal("policy", str(error), error.rules)
        case EgressDenied():
            return Refusal("policy", str(error))
        case NoProvider():
            return Refusal("no-provider", str(error))
        case ProviderError():
            return Refusal(error.kind.value, str(error))
        case _:
            return Refusal("failed", str(error))
