"""Put a request to the router and tell what comes back as a task tells it; the only place where tasks meet models."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from glossator.markdown import plain, visible
from glossator.tasks.task import Author, Note, Progress, Refusal, Restart, Routed, Said, Stage
from glossator_providers.adaptive import Outcome
from glossator_providers.capabilities import edit_format
from glossator_providers.catalog import EditFormat, Provider
from glossator_providers.errors import EgressDenied, GlossatorError, NoProvider, PolicyRefusal, ProviderError
from glossator_providers.model import (
    Answer,
    Answered,
    Chosen,
    Event,
    Level,
    Masked,
    Reasoning,
    Request,
    Restarted,
    Text,
    Waiting,
    Warned,
)
from glossator_providers.privacy import Reason

# A provider says itself which model has answered, and that stands in hovers and menus: of it only what names are made of.
_IN_NO_NAME = re.compile(r"[^A-Za-z0-9_ .:/@+()-]")
_ADDRESS = re.compile(r":/{2,}|www\.+", re.IGNORECASE)
_LONGEST_NAME = 120  # characters


class Decision(Protocol):
    """How far a request may travel, and why not farther."""

    @property
    def level(self) -> Level: ...
    @property
    def reasons(self) -> tuple[Reason, ...]: ...


class Route(Protocol):
    """Where a request would go."""

    @property
    def decision(self) -> Decision: ...
    @property
    def candidates(self) -> tuple[Provider, ...]: ...
    @property
    def masked(self) -> int: ...


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

    def learn(self, request: Request, answer: Answer, outcome: Outcome) -> None:
        """Take what became of an answer to this request."""
        ...


class Cleaner(Protocol):
    """Makes the pieces of an answer fit to be shown while they come; one for each attempt."""

    def feed(self, text: str) -> str: ...
    def end(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Answering:
    """A model has answered; the last event of a conversation that went well.

    `masked` are the secrets that it was not shown, and that were put back into its answer.
    """

    answer: Answer
    author: Author
    masked: tuple[str, ...] = field(default=(), repr=False)


async def converse(
    request: Request, models: Models, *, cleaner: Callable[[], Cleaner]
) -> AsyncGenerator[Progress | Answering | Refusal]:
    """Ask the models; the last event is `Answering` or `Refusal`, and there is exactly one of the two."""
    author: Author | None = None
    masked: tuple[str, ...] = ()
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
                    case Waiting() | Warned() | Masked() | Restarted():
                        masked = event.secrets if isinstance(event, Masked) else masked
                        yield aside(event)
                    case Reasoning():
                        pass  # never part of an answer
                    case Answered(answer):
                        if shown := live.end():
                            yield Said(shown)
                        toy = author is not None and author.toy
                        yield Answering(answer, Author(answer.provider, _name(answer.model), answer.local, toy), masked)
    except GlossatorError as error:
        yield refusal_of(error)


def aside(event: Waiting | Warned | Masked | Restarted) -> Progress:
    """Return what the user is told of an event that is no part of an answer."""
    match event:
        case Waiting(provider, seconds, reason):
            return Stage(f"{provider} in {max(1, round(seconds))} s: {plain(visible(reason))}")
        case Warned(message):
            return Note(visible(message))
        case Masked(secrets):
            return Note("1 secret masked" if len(secrets) == 1 else f"{len(secrets)} secrets masked")
        case Restarted(error):
            return Restart(_told(error))
    assert_never(event)


def author_of(chosen: Chosen, providers: tuple[Provider, ...]) -> Author:
    """Return who a chosen provider is, as every front names it."""
    toy = any(provider.toy for provider in providers if provider.name == chosen.provider)
    return Author(chosen.provider, _name(chosen.model), chosen.local, toy)


def author_for(provider: Provider) -> Author:
    """Return the author that an answer of this provider would have."""
    return Author(provider.name, _name(provider.model), provider.local, provider.toy)


def _name(model: str) -> str:
    """Return a model's name with nothing in it that an editor or a terminal would act on."""
    return _ADDRESS.sub(" ", _IN_NO_NAME.sub("", model[:_LONGEST_NAME]))


def _told(error: GlossatorError) -> str:
    """Return what an error says, fit for every place that shows it: a provider's words are those of a stranger."""
    text = visible(str(error))
    return plain(text) if isinstance(error, ProviderError) else text


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
            return Refusal("policy", _told(error), error.rules)
        case EgressDenied():
            return Refusal("policy", _told(error))
        case NoProvider():
            return Refusal("no-provider", _told(error))
        case ProviderError():
            return Refusal(error.kind.value, _told(error))
        case _:
            return Refusal("failed", _told(error))
