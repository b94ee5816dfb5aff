"""Change code as the user asks; the change must parse, destroy nothing and bring no checker anything new to say."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from glossator.checkers.toolbox import Toolbox
from glossator.context import gather, region_of
from glossator.document import Diagnostic
from glossator.tasks.conversation import Models, first_candidate, form_of_change
from glossator.tasks.ladder import Tries
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import compose, pieces_of, typed
from glossator.tasks.rewrite import rewrite
from glossator.tasks.task import Ask, Refusal, TaskEvent, Verdict
from glossator.verify import verify
from glossator_providers.model import Request


async def refactor(ask: Ask, *, toolbox: Toolbox | None, models: Models) -> AsyncGenerator[TaskEvent]:
    """Let a model change the selection, or the symbol around the cursor, as `instruction` says."""
    if not (ask.instruction or "").strip():
        yield Refusal("bad-request", "There was no instruction: say what should change")
        return
    assert ask.instruction is not None
    snapshot = ask.snapshot
    region = region_of(snapshot, ask.region, ask.diagnostics)
    tries = Tries(snapshot.text, unproven=ask.unproven)

    async def check(text: str) -> Verdict:
        return await verify(snapshot, text, (), region=region, toolbox=toolbox)

    here: tuple[Diagnostic, ...] = tuple(one for one in ask.known if one.region.touches(region))
    context = gather(snapshot, region, diagnostics=ask.diagnostics or here)
    context = without_closing(context, models, roots=ask.roots)
    pieces = {**pieces_of(context), "instruction": typed(ask.instruction, snapshot.uri)}
    request = Request(
        compose("refactor", {**pieces, "blocks": True}, own=ask.prompts),
        task="refactor",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        thread=ask.snapshot.uri,
        temperature=0.0,
    )
    if form_of_change(first_candidate(request, models)) != "region-and-blocks":
        request = replace(request, messages=compose("refactor", {**pieces, "blocks": False}, own=ask.prompts))
    story = rewrite(request, base=snapshot, region=region, models=models, check=check, tries=tries, checker=None)
    async with aclosing(story) as events:
        async for event in events:
            yield event
