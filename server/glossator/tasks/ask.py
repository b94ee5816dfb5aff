"""Answer a question about the code that the user points at, or go on with an earlier answer; the model's words alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from glossator.context import gather, region_of
from glossator.markdown import CleanStream, clean
from glossator.tasks.conversation import Answering, Models, converse
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import dialogue, pieces_of, words
from glossator.tasks.task import Ask, Explanation, Refusal, TaskEvent
from glossator_providers.model import FinishReason, Request


async def ask(asked: Ask, *, models: Models) -> AsyncGenerator[TaskEvent]:
    """Stream the model's answer to the question in `instruction`."""
    if not (asked.instruction or "").strip() and not asked.turns:
        yield Refusal("bad-request", "There was no question: say what you want to know")
        return
    async with aclosing(converse(_request(asked, models), models, cleaner=CleanStream)) as events:
        async for event in events:
            if not isinstance(event, Answering):
                yield event
                continue
            text = clean(event.answer.text).strip()
            if event.answer.finish is FinishReason.LENGTH:
                text += "\n\n*The answer was cut off here: it reached the token limit.*"
            if text:
                yield Explanation(f"{text}\n", event.author)
            else:
                yield Refusal("no-answer", f"{event.author.byline} answered with nothing")


def _request(asked: Ask, models: Models) -> Request:
    region = asked.region
    if asked.diagnostics or region.start == region.end:
        region = region_of(asked.snapshot, region, asked.diagnostics)
    context = without_closing(gather(asked.snapshot, region, diagnostics=asked.diagnostics), models, roots=asked.roots)
    return Request(
        dialogue("ask", pieces_of(context), asked, question=words("What should be known about it?")),
        task="ask",
        roots=asked.roots,
        provider=asked.provider,
        model=asked.model,
    )
