"""Explain a problem or a piece of code: what the checker's handbook says at once, then what a model adds, if one may."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from glossator.context import gather, region_of
from glossator.document import Diagnostic, Snapshot
from glossator.markdown import CleanStream, clean
from glossator.tasks.conversation import Answering, Models, author_for, converse, first_candidate
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import dialogue, pieces_of, words
from glossator.tasks.task import Ask, Author, Explanation, Refusal, Restart, Routed, Said, TaskEvent
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """An explanation and the code that it is about: so many lines, that begin so far above the problem's line."""

    explanation: Explanation
    problem: str
    above: int
    lines: int
    code: str


class Explanations:
    """The explanations given since the start, in memory only, the oldest forgotten first."""

    def __init__(self, *, size: int = MOST_KEPT) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str, str, int, str], _Kept] = OrderedDict()
        self._of: Counter[str] = Counter()  # how many there are of each document: most have none

    def find(self, snapshot: Snapshot, diagnostic: Diagnostic, *, model: str | None = None) -> Explanation | None:
        """Return the latest explanation of this very problem in this very code, by *model* if one is named.

        A hover waits for this: nothing is parsed, and only the lines that an explanation of this problem is about are read.
        """
        if not self._of[snapshot.uri]:
            return None
        problem = _problem(diagnostic)
        for (uri, *_, author), kept in reversed(self._kept.items()):
            if uri != snapshot.uri or kept.problem != problem or model not in (None, author):
                continue
            if _code(snapshot, diagnostic.region.start.line - kept.above, kept.lines) == kept.code:
                return replace(kept.explanation, cached=True)
        return None

    def keep(self, snapshot: Snapshot, diagnostic: Diagnostic, explanation: Explanation) -> None:
        """Remember an explanation that a model gave."""
        region = region_of(snapshot, diagnostic.region, (diagnostic,))
        first = region.start.line
        lines = region.end.line - first + (region.end.column > 0)
        above = diagnostic.region.start.line - first
        kept = _Kept(explanation, _problem(diagnostic), above, lines, _code(snapshot, first, lines))
        key = (snapshot.uri, kept.problem, kept.code, above, explanation.author.model or "")
        if self._kept.pop(key, None) is None:
            self._of[snapshot.uri] += 1
        self._kept[key] = kept
        while len(self._kept) > self._size:
            (uri, *_), _ = self._kept.popitem(last=False)
            self._of[uri] -= 1
        self._of = +self._of


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
    about = diagnostics[0] if diagnostics and not ask.turns and not ask.instruction else None  # what may be reused
    known = explanations.find(ask.snapshot, about, model=ask.model or first.model) if about and first else None
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
        max_tokens=MAX_TOKENS,
    )


def _problem(diagnostic: Diagnostic) -> str:
    """Return which problem an explanation is about, as a digest that holds no code."""
    return _digest((str(PROMPT_VERSION), diagnostic.source or "", diagnostic.code or "", diagnostic.message))


def _code(snapshot: Snapshot, first: int, count: int) -> str:
    """Return which code an explanation is about, as a digest; *count* lines from line *first*, which may be outside."""
    return _digest((snapshot.language, *(snapshot.lines[first : first + count] if first >= 0 else ())))


def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
