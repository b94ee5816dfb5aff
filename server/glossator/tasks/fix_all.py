"""Fix every problem of one rule in a document: the checker's own fixes in one pass, then place after place; one change in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from glossator.checkers.row import CheckerFailed, Edit, Finding
from glossator.checkers.toolbox import Toolbox
from glossator.document import Diagnostic, Snapshot
from glossator.handbook import apply
from glossator.tasks.conversation import Models
from glossator.tasks.fix import Handbook, fix
from glossator.tasks.task import (
    Ask,
    Author,
    Left,
    Progress,
    Proposal,
    Refusal,
    Result,
    Stage,
    State,
    TaskEvent,
    TaskName,
    Verdict,
)
from glossator.verify import Change, describe, verify

MOST_PLACES = 30  # that a model is asked about in one go
_ENDS = frozenset({"policy", "no-provider"})  # who refuses one place so refuses them all
_SHOWN = 5
_TOO_MANY = f"more than {MOST_PLACES} places; ask again for the rest"


@dataclass(slots=True)
class _Work:
    """How far it is: the text so far, who changed how many places, and what is left, at the places of `now`."""

    base: Snapshot
    now: Snapshot
    by: Counter[Author] = field(default_factory=Counter)
    left: list[Left] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, text: str, author: Author, places: int) -> None:
        """Go on from this text."""
        change = Change.between(self.now.lines, (now := _with_text(self.now, text)).lines)
        self.left = [replace(one, diagnostic=_moved(one.diagnostic, change)) for one in self.left]
        self.now = now
        self.by[author] += places


async def fix_all(
    ask: Ask, *, handbook: Handbook, toolbox: Toolbox | None, models: Models
) -> AsyncGenerator[TaskEvent]:
    """Fix all problems of the rule of the first of `diagnostics`; what cannot be proven stays as it is, and is listed."""
    rule = next((one for one in ask.diagnostics if one.code), None)
    checker = toolbox.checker_for(rule, ask.snapshot.language) if toolbox and rule else None
    if rule is None or toolbox is None or checker is None:
        yield Refusal("no-change", "Only problems of a rule whose checker is known here can be fixed all at once")
        return
    yield Stage(f"asking {checker} for all of {rule.code}")
    work = _Work(ask.snapshot, ask.snapshot)
    try:
        found = await _of_rule(rule, work.now, toolbox, checker)
        total = len(found)
        if ask.provider is None and ask.model is None:
            await _take_own_fixes(work, found, toolbox, checker)
            found = await _of_rule(rule, work.now, toolbox, checker)
    except CheckerFailed as failure:
        yield Refusal("failed", f"{checker} could not be asked for all of {rule.code}: {failure}")
        return
    if not total:
        yield Refusal("no-change", f"{checker} reports no {rule.code} in this file")
        return
    places = [one.diagnostic for one in found]
    story = _fix_places(ask, work, places, total=total, handbook=handbook, toolbox=toolbox, models=models)
    async with aclosing(story) as events:
        async for event in events:
            yield event
    yield Stage(f"checking all with {checker}")
    yield await _outcome(work, rule, total, toolbox)


async def _of_rule(rule: Diagnostic, snapshot: Snapshot, toolbox: Toolbox, checker: str) -> list[Finding]:
    """Return what the checker reports of this rule, in order; raises CheckerFailed."""
    code = (rule.code or "").lower()
    found = await toolbox.inspect(checker, snapshot, snapshot.text, codes=frozenset({rule.code} if rule.code else ()))
    same = (one for one in found if code in {(one.diagnostic.code or "").lower(), *map(str.lower, one.aliases)})
    return sorted(same, key=lambda one: one.diagnostic.region.start)


async def _take_own_fixes(work: _Work, found: list[Finding], toolbox: Toolbox, checker: str) -> None:
    """Make all the checker's own edits that do not meet, if the checker accepts what comes of them."""
    fixed: list[Diagnostic] = []
    edits: list[Edit] = []
    for one in found:
        new = [edit for edit in one.edits if edit not in edits]
        if one.edits and apply(work.now, (*edits, *new)) is not None:
            edits += new
            fixed.append(one.diagnostic)
    text = apply(work.now, tuple(edits))
    if not fixed or text is None or text == work.now.text:
        return
    verdict = await verify(work.now, text, tuple(fixed), region=work.now.whole, toolbox=toolbox)
    if verdict.state is State.FIXED:
        work.take(text, Author(checker), len(fixed))


async def _fix_places(
    ask: Ask,
    work: _Work,
    todo: list[Diagnostic],
    *,
    total: int,
    handbook: Handbook,
    toolbox: Toolbox,
    models: Models,
) -> AsyncGenerator[Progress]:
    """Fix one place after the other, from the last to the first: what stands above has not moved when its turn comes."""
    todo = sorted(todo, key=lambda one: one.region.start, reverse=True)
    work.left += [Left(one, _TOO_MANY) for one in todo[MOST_PLACES:]]
    stopped: Refusal | None = None
    for number in range(min(len(todo), MOST_PLACES)):
        problem = todo[number]
        if stopped is not None:
            work.left.append(Left(problem, stopped.message))
            continue
        yield Stage(f"{total - len(todo) + number} of {total} done, line {problem.region.start.line + 1} is next")
        one = replace(
            ask, task=TaskName.FIX, snapshot=work.now, region=problem.region, diagnostics=(problem,), known=(problem,)
        )
        result: Result | None = None
        async with aclosing(fix(one, handbook=handbook, toolbox=toolbox, models=models)) as events:
            async for event in events:
                if isinstance(event, Result):
                    result = event
                elif not isinstance(event, Stage):  # of many places each step would only flicker
                    yield event
        match result:
            case Proposal() if result.verdict.verified or ask.unproven:
                before = work.now
                work.take(result.text, result.author, 1)
                work.seconds += result.seconds
                change = Change.between(before.lines, work.now.lines)
                todo[number + 1 :] = [_moved(later, change) for later in todo[number + 1 :]]
            case Proposal():
                work.left.append(Left(problem, describe(result.verdict) or result.verdict.state.value))
            case Refusal():
                stopped = result if result.kind in _ENDS else None
                work.left.append(Left(problem, result.message))
            case _:
                work.left.append(Left(problem, "nothing came of it"))


async def _outcome(work: _Work, rule: Diagnostic, total: int, toolbox: Toolbox) -> Result:
    left = tuple(sorted(work.left, key=lambda one: one.diagnostic.region.start))
    if work.now.text == work.base.text:
        why = left[0].reason if left else "no change was proposed"
        return Refusal("no-change", f"None of the {total} places of {rule.code} was changed: {why}")
    checker = toolbox.checker_for(rule, work.base.language) or ""
    verdict = await _judged(work, rule, toolbox, checker, expected=len(left))
    done = sum(work.by.values())
    authors = ", ".join(f"{count} by {author.byline}" for author, count in work.by.most_common())
    summary = f"{done} of {total} {rule.code} fixed: {authors}"
    if left:
        lines = ", ".join(str(one.diagnostic.region.start.line + 1) for one in left[:_SHOWN])
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        summary += f"; left as they are, unproven: line{'s' if len(left) > 1 else ''} {lines}{more}"
    # A model's name goes before a checker's: whoever reads the change must know that a model wrote in it.
    author = max(work.by, key=lambda one: (one.model is not None, work.by[one]))
    return Proposal(work.base, work.now.text, author, verdict, summary, work.seconds, left)


async def _judged(work: _Work, rule: Diagnostic, toolbox: Toolbox, checker: str, *, expected: int) -> Verdict:
    """Judge the whole change by the checker: of the rule no more may be left than was left out, and nothing new may have come."""
    try:
        before = await _of_rule(rule, work.base, toolbox, checker)
        after = await _of_rule(rule, work.now, toolbox, checker)
    except CheckerFailed as failure:
        return Verdict(State.UNKNOWN, checker, reason=f"parses; {checker} could not confirm: {failure}")
    change = Change.between(work.base.lines, work.now.lines)
    there = {one.diagnostic.region.start.line for one in after}
    gone = tuple(one.diagnostic for one in before if change.moved(one.diagnostic.region.start.line) not in there)
    verdict = await verify(work.base, work.now.text, gone, region=work.base.whole, toolbox=toolbox)
    if verdict.state is State.FIXED and len(after) > expected:
        return replace(verdict, state=State.UNCHANGED, reason=f"{checker} still reports {rule.code}")
    return verdict


def _with_text(snapshot: Snapshot, text: str) -> Snapshot:
    return Snapshot.of(text, uri=snapshot.uri, language=snapshot.language, version=snapshot.version, path=snapshot.path)


def _moved(diagnostic: Diagnostic, change: Change) -> Diagnostic:
    """Return a problem where it stands after a change elsewhere."""
    start, end = diagnostic.region.start, diagnostic.region.end
    first, last = change.moved(start.line), change.moved(end.line)
    if first is None or last is None:
        return diagnostic
    return replace(
        diagnostic, region=replace(diagnostic.region, start=replace(start, line=first), end=replace(end, line=last))
    )
