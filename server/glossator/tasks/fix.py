"""Fix problems that a checker found: its own safe fix first, then a model's, and nothing is called fixed but by the checker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from glossator.checkers.row import CheckerFailed
from glossator.checkers.toolbox import Toolbox
from glossator.context import gather, region_of
from glossator.document import Diagnostic, Snapshot
from glossator.tasks.conversation import Models, first_candidate, form_of_change
from glossator.tasks.explain import Pages
from glossator.tasks.ladder import Tries
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import Value, compose, pieces_of, typed
from glossator.tasks.rewrite import rewrite
from glossator.tasks.task import Ask, Author, Proposal, Refusal, Routed, Stage, State, TaskEvent, Verdict
from glossator.verify import verify
from glossator_providers.model import Request

TOY_TOKENS = 400  # a model of this size that says more says it over and over


class Suggestion(Protocol):
    """A checker's own fix: the whole new text."""

    @property
    def text(self) -> str: ...
    @property
    def tool(self) -> str: ...


class Handbook(Pages, Protocol):
    """What this task needs of the handbook."""

    async def fix(self, diagnostic: Diagnostic, snapshot: Snapshot) -> Suggestion | None:
        """Return the checker's own safe fix, if it has one."""
        ...


async def fix(ask: Ask, *, handbook: Handbook, toolbox: Toolbox | None, models: Models) -> AsyncGenerator[TaskEvent]:
    """Climb the ladder until a change is verified; end with the best that there is, labelled by its verdict."""
    diagnostics = _meant(ask)
    if not diagnostics:
        yield Refusal(
            "no-change", "No problem is known at this place; point at one, or use refactor to say what to change"
        )
        return
    snapshot = ask.snapshot
    region = region_of(snapshot, ask.region, diagnostics)
    tries = Tries(snapshot.text, unproven=ask.unproven)
    checker = toolbox.checker_for(diagnostics[0], snapshot.language) if toolbox else None

    async def check(text: str) -> Verdict:
        return await verify(snapshot, text, diagnostics, region=region, toolbox=toolbox)

    if ask.provider is None and ask.model is None:  # who names a model wants to see that model's work
        yield Stage(f"asking {checker} for its own fix" if checker else "looking for a checker's own fix")
        own = await _own_fix(diagnostics, snapshot, handbook=handbook, toolbox=toolbox, checker=checker)
        if own is not None and own.text != snapshot.text:
            tries.count += 1
            author = Author(own.tool)
            yield Routed(author)
            yield Stage(f"checking with {checker}" if checker else "checking that it still parses")
            proposal = Proposal(snapshot, own.text, author, await check(own.text), f"The safe fix of {own.tool} itself")
            if proposal.verdict.state is State.FIXED:
                yield proposal
                return
            tries.add(proposal)
    page = await handbook.page(diagnostics[0], snapshot.language, snapshot.path)
    context = gather(snapshot, region, diagnostics=diagnostics, page=page.markdown if page else None)
    context = without_closing(context, models, roots=ask.roots)
    pieces = {**pieces_of(context), "instruction": typed(ask.instruction, snapshot.uri) if ask.instruction else None}
    request = Request(
        compose("fix", {**pieces, "blocks": True}, own=ask.prompts),
        task="fix",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        thread=snapshot.uri,
        rule=diagnostics[0].code,
        temperature=0.0,
    )
    request = _asked_in_its_form(request, pieces, models, own=ask.prompts)
    story = rewrite(request, base=snapshot, region=region, models=models, check=check, tries=tries, checker=checker)
    async with aclosing(story) as events:
        async for event in events:
            yield event


def _asked_in_its_form(request: Request, pieces: Mapping[str, Value], models: Models, *, own: str | None) -> Request:
    """Ask in the form that the model masters which would be asked first."""
    first = first_candidate(request, models)
    match form_of_change(first):
        case "code":
            request = replace(request, messages=compose("fix-toy", pieces, own=own))
        case "region":
            request = replace(request, messages=compose("fix", {**pieces, "blocks": False}, own=own))
        case "region-and-blocks":
            pass  # it is composed so
    return replace(request, max_tokens=TOY_TOKENS) if first is not None and first.toy else request


def _meant(ask: Ask) -> tuple[Diagnostic, ...]:
    """Return the problems that the user means: those named, else those known where the cursor or selection is."""
    if ask.diagnostics:
        return ask.diagnostics
    here = [one for one in ask.known if one.region.touches(ask.region)]
    if not here and ask.region.start == ask.region.end:
        line = ask.region.start.line
        here = [one for one in ask.known if one.region.start.line <= line <= one.region.end.line]
    return tuple(sorted(here, key=lambda one: (one.severity, one.region.start)))


async def _own_fix(
    diagnostics: tuple[Diagnostic, ...],
    snapshot: Snapshot,
    *,
    handbook: Handbook,
    toolbox: Toolbox | None,
    checker: str | None,
) -> Suggestion | None:
    """Return the checker's own fix of all the problems, one after the other; None where it has none for one of them."""
    own: Suggestion | None = None
    now = snapshot
    todo = list(diagnostics)
    while todo:
        suggestion = await handbook.fix(todo.pop(0), now)
        if suggestion is None:
            return None
        own = suggestion
        if todo:
            now = Snapshot.of(
                own.text, uri=snapshot.uri, language=snapshot.language, version=snapshot.version, path=snapshot.path
            )
            todo = await _found_again(todo, snapshot, now, toolbox=toolbox, checker=checker)
    return own


async def _found_again(
    todo: list[Diagnostic], base: Snapshot, now: Snapshot, *, toolbox: Toolbox | None, checker: str | None
) -> list[Diagnostic]:
    """Return the problems that are left in the new text, at their new places; one that went with another is done."""
    if toolbox is None or checker is None:
        return todo
    try:
        found = list(await toolbox.check(checker, base, now.text))
    except CheckerFailed:
        return todo
    left = []
    for wanted in todo:
        same = next((one for one in found if (one.code, one.message) == (wanted.code, wanted.message)), None)
        if same is not None:
            found.remove(same)
            left.append(same)
    return left
