"""Document a symbol: a docstring or comments by a model, and a gate through which not one token of the code may change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from glossator import syntax
from glossator.checkers.suppressions import without_comments
from glossator.checkers.toolbox import Toolbox
from glossator.context import gather, region_of
from glossator.document import Snapshot, split_lines
from glossator.tasks.conversation import Models
from glossator.tasks.ladder import Tries
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import compose, pieces_of, typed
from glossator.tasks.rewrite import rewrite
from glossator.tasks.task import Ask, State, TaskEvent, Verdict
from glossator.verify import verify
from glossator_providers.model import Request


async def document(ask: Ask, *, toolbox: Toolbox | None, models: Models) -> AsyncGenerator[TaskEvent]:
    """Let a model document the selection, or the symbol around the cursor; `instruction` may say how."""
    snapshot = ask.snapshot
    region = region_of(snapshot, ask.region, ())

    async def check(text: str) -> Verdict:
        if text != snapshot.text and not leaves_code(snapshot, text):
            return Verdict(State.DESTROYED, reason="changes the code, where only its documentation was to change")
        return await verify(snapshot, text, (), region=region, toolbox=toolbox)

    context = without_closing(gather(snapshot, region), models, roots=ask.roots)
    instruction = typed(ask.instruction, snapshot.uri) if ask.instruction else None
    request = Request(
        compose("document", {**pieces_of(context), "instruction": instruction}, own=ask.prompts),
        task="document",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        thread=snapshot.uri,
        temperature=0.0,
    )
    tries = Tries(snapshot.text, unproven=ask.unproven)
    story = rewrite(request, base=snapshot, region=region, models=models, check=check, tries=tries, checker=None)
    async with aclosing(story) as events:
        async for event in events:
            yield event


def leaves_code(base: Snapshot, text: str) -> bool:
    """Say whether *text* has the very code of *base*, and differs in comments, docstrings and blank lines alone."""
    before, after = syntax.code(base.language, base.text), syntax.code(base.language, text)
    if before is not None:
        return before == after
    old, new = (split_lines(without_comments(base.language, one)) for one in (base.text, text))
    return [line.rstrip() for line in old if line.strip()] == [line.rstrip() for line in new if line.strip()]
