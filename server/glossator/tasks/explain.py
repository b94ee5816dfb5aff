"""Explain a problem or a piece of code: what the checker's handbook says at once, then what a model adds, if one may."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from glossator.context import gather, region_of
from glossator.document import Diagnostic, Snapshot
from glossator.markdown import CleanStream, clean
from glossator.tasks.conversation import Answering, Models, author_for, converse
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import dialogue, pieces_of, words
from glossator.tasks.task import Ask, Author, Explanation, Refusal, Restart, Routed, Said, TaskEvent
from glossator_providers.errors import GlossatorError
from glossator_providers.model import FinishReason, Request

PROMPT_VERSION = 1  # to be raised with each change of explain.md.jinja: explanations made with another are not reused
MOST_KEPT = 200
MAX_TOKENS = 1_024


class Page(Protocol):
    """What a checker's own documentation says of a rule."""

    @property
    def markdown(self) -> str: ...
    @property
    def tool(self) -> str: ...


class Pages(Protocol):
    """What this task needs of the handbook."""

    async def page(self, diagnostic: Diagnostic, language: str, near: str | None) -> Page | None:
        """Return what is documented of the rule behind a diagnostic."""
        ...


class Explanations:
    """The explanations given since the start, in memory only, the oldest forgotten first."""

    def __init__(self, *, size: int = MOST_KEPT) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str, str], Explanation] = OrderedDict()

    def find(self, snapshot: Snapshot, diagnostic: Diagnostic, *, model: str | None = None) -> Explanation | None:
        """Return the latest explanation of this very problem in this very code, by *model* if one is named."""
        place, problem = _key(snapshot, diagnostic)
        for key in reversed(self._kept):
            if key[:2] == (place, problem) and model in (None, key[2]):
                return replace(self._kept[key], cached=True)
        return None

    def keep(self, snapshot: Snapshot, diagnostic: Diagnostic, explanation: Explanation) -> None:
        """Remember an explanation that a model gave."""
        key = (*_key(snapshot, diagnostic), explanation.author.model or "")
        self._kept[key] = explanation
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)


async def explain(
    ask: Ask, *, handbook: Pages, models: Models, explanations: Explanations
) -> AsyncIterator[TaskEvent]:
    """Tell what the handbook says, then what a model says; with neither, say why there is nothing."""
    diagnostics = ask.diagnostics[:1]
    page: Page | None = None
    if diagnostics and not ask.turns:
        page = await handbook.page(diagnostics[0], ask.snapshot.language, ask.snapshot.path)
    opening = clean(page.markdown).rstrip() + "\n" if page else ""
    if page:
        yield Routed(Author(page.tool))
        yield Said(opening)
    request = _request(ask, diagnostics, page=page, models=models)
    try:
        candidates = models.route(request).candidates
    except GlossatorError:
        candidates = ()  # the conversation below says why
    known = None
    if diagnostics and not ask.turns and not ask.instruction and candidates:
        known = explanations.find(ask.snapshot, diagnostics[0], model=ask.model or candidates[0].model)
    if known is not None:
        yield Routed(known.author)
        yield Said(known.markdown[len(opening) :] if known.markdown.startswith(opening) else known.markdown)
        yield known
        return
    if page and candidates and candidates[0].toy and ask.provider is None:
        note = f"\n*{author_for(candidates[0]).title} is no explainer, so this is the checker's documentation alone.*\n"
        yield Said(note)
        yield Explanation(opening + note, Author(page.tool))
        return
    async with aclosing(converse(request, models, cleaner=CleanStream)) as events:
        async for event in events:
            match event:
                case Routed():
                    yield event
                    if page:
                        yield Said("\n---\n\n")
                case Restart():
                    yield event
                    if page:  # the text that is to be forgotten was more than the model's
                        yield Routed(Author(page.tool))
                        yield Said(opening)
                case Answering(answer, author):
                    text = clean(answer.text).strip()
                    if answer.finish is FinishReason.LENGTH:
                        text += "\n\n*The answer was cut off here: it reached the token limit.*"
                    explanation = Explanation(f"{opening}\n---\n\n{text}\n" if page else f"{text}\n", author)
                    if diagnostics and not ask.turns and not ask.instruction and text:
                        explanations.keep(ask.snapshot, diagnostics[0], explanation)
                    yield explanation if text else Refusal("no-answer", f"{author.title} answered with nothing")
                case Refusal() if page:
                    note = f"\n*No model could add to this: {event.message}*\n"
                    yield Said(note)
                    yield Explanation(opening + note, Author(page.tool))
                case _:
                    yield event


def _request(ask: Ask, diagnostics: tuple[Diagnostic, ...], *, page: Page | None, models: Models) -> Request:
    """Make the request; the first message is the same for all follow-ups, so that providers can reuse what they read."""
    region = ask.region
    if diagnostics or region.start == region.end:
        region = region_of(ask.snapshot, region, diagnostics)
    context = gather(ask.snapshot, region, diagnostics=diagnostics, page=page.markdown if page else None)
    context = without_closing(context, models, roots=ask.roots)
    return Request(
        dialogue("explain", pieces_of(context), ask, question=words("Explain it.")),
        task="explain",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        max_tokens=MAX_TOKENS,
    )


def _key(snapshot: Snapshot, diagnostic: Diagnostic) -> tuple[str, str]:
    """Return what an explanation is about, as two digests that hold no code."""
    region = region_of(snapshot, diagnostic.region, (diagnostic,))
    place = (snapshot.uri, snapshot.language, snapshot.slice(region))
    problem = (str(PROMPT_VERSION), diagnostic.source or "", diagnostic.code or "", diagnostic.message)
    return _digest(place), _digest(problem)


def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
