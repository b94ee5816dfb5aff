"""Explain a problem or a piece of code: what the checker's handbook says at once, then what a model adds, if one may."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from glossator.context import gather, region_of
from glossator.document import Diagnostic
from glossator.markdown import CleanStream, clean
from glossator.tasks.conversation import Answering, Models, author_for, converse, first_candidate
from glossator.tasks.explanations import Explanations
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import dialogue, pieces_of, words
from glossator.tasks.task import Ask, Author, Explanation, Refusal, Restart, Routed, Said, TaskEvent
from glossator_providers.model import FinishReason, Level, Request

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


async def explain(
    ask: Ask, *, handbook: Pages, models: Models, explanations: Explanations
) -> AsyncGenerator[TaskEvent]:
    """Tell what the handbook says, then what a model says; with neither, say why there is nothing."""
    diagnostics = ask.diagnostics[:1]
    page: Page | None = None
    if diagnostics and not ask.turns:
        page = await handbook.page(diagnostics[0], ask.snapshot.language, ask.snapshot.path)
    opening = f"{clean(page.markdown).rstrip()}\n\n" if page else ""
    request = _request(ask, diagnostics, page=page, models=models)
    first = first_candidate(request, models)
    reusable = not (ask.turns or ask.instruction or ask.fresh)
    about = diagnostics[0] if diagnostics and reusable else None
    known = None
    route = models.route(request)
    # An answer into which a secret may have been put back is kept in memory alone.
    open_now = route.decision.level is Level.OPEN and not route.masked
    if about and first:
        model = ask.model or first.model
        known = explanations.find(ask.snapshot, about, model=model)
        if known is None and open_now:
            known = await explanations.recall(ask.snapshot, about, model=model)
    if known is None and page and first and first.toy and ask.provider is None:
        note = f"*{author_for(first).byline} is no explainer: this is the checker's documentation alone.*"
        known = Explanation(f"{opening}{note}\n", Author(page.tool))
    if known is not None:
        yield Routed(known.author)
        yield Said(known.markdown)
        yield known
        return
    async with aclosing(_with_model(request, models, page=page, opening=opening)) as events:
        async for event in events:
            if isinstance(event, Explanation) and event.author.model is not None and about is not None:
                explanations.keep(ask.snapshot, about, event)
                if open_now:
                    await explanations.shelve(ask.snapshot, about, event)
            yield event


async def _with_model(
    request: Request, models: Models, *, page: Page | None, opening: str
) -> AsyncGenerator[TaskEvent]:
    """Tell the page as soon as it is known who goes on, then what the model says."""
    begun = False
    async with aclosing(converse(request, models, cleaner=CleanStream)) as events:
        async for event in events:
            match event:
                case Routed(author):
                    if begun:  # an attempt that failed before its first word: the page must not stand there twice
                        yield Restart(f"asking {author.byline}")
                    yield event
                    begun = True
                    if page:
                        yield Said(f"{opening}---\n\n")
                case Restart():
                    begun = False
                    yield event
                case Answering():
                    yield _explained(event, opening=f"{opening}---\n\n" if page else "")
                case Refusal() if page:
                    if begun:
                        yield Restart(event.message)
                    alone = _without_model(page, opening, event)
                    yield Routed(alone.author)
                    yield Said(alone.markdown)
                    yield alone
                case _:
                    yield event


def _explained(heard: Answering, *, opening: str) -> Explanation | Refusal:
    text = clean(heard.answer.text).strip()
    if not text and not opening:
        return Refusal("no-answer", f"{heard.author.byline} answered with nothing")
    if heard.answer.finish is FinishReason.LENGTH:
        text += "\n\n*The answer was cut off here: it reached the token limit.*"
    return Explanation(f"{opening}{text or '*The model answered with nothing.*'}\n", heard.author)


def _without_model(page: Page, opening: str, refusal: Refusal) -> Explanation:
    """Return what is left where no model has answered: the page, and why there is no more."""
    rules = f" [{', '.join(refusal.rules)}]" if refusal.rules else ""
    return Explanation(f"{opening}*No model adds to this: {refusal.message}{rules}*\n", Author(page.tool))


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
        thread=ask.snapshot.uri,
        rule=diagnostics[0].code if diagnostics else None,
        max_tokens=MAX_TOKENS,
    )
