"""Let models change a region until the gates accept a change, as often as the ladder allows; fix and refactor share it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from glossator.answer import AnswerStream, Outcome, Reading, read, read_addition
from glossator.context import fenced
from glossator.document import Region, Snapshot
from glossator.tasks.conversation import Answering, Models, converse
from glossator.tasks.ladder import MOST_TRIES, Tries
from glossator.tasks.prompt import answered, words
from glossator.tasks.task import Author, Progress, Proposal, Refusal, Restart, Result, Stage, State, Verdict
from glossator.verify import describe
from glossator_providers.adaptive import Outcome as Lesson
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Answer, Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy.redact import lost

Check = Callable[[str], Awaitable[Verdict]]
"""What the gates say of a whole new text."""

# What one more try can mend; an answer that was cut off would be cut off again.
_MENDABLE = frozenset({Outcome.ELIDED, Outcome.AMBIGUOUS, Outcome.NO_MATCH, Outcome.NO_CHANGE, Outcome.OTHER_FILE})
_MOST_NEW = 5


@dataclass(frozen=True, slots=True)
class _Step:
    """What follows from one answer: what a model is told for another try, or nothing if the climb ends here."""

    told: tuple[Fragment, ...] = ()
    reason: str = ""
    failure: Refusal | None = None


async def rewrite(
    request: Request,
    *,
    base: Snapshot,
    region: Region | None,
    models: Models,
    check: Check,
    tries: Tries,
    checker: str | None,
) -> AsyncGenerator[Progress | Result]:
    """Ask models for the region anew until a change passes; the last event is the best proposal, or why there is none.

    Without a *region* the answer is added at the end of the document.
    `tries` may hold proposals that were made without a model. `checker` is named while it runs.
    """
    failure: Refusal | None = None
    asked = request
    while tries.left:
        tries.count += 1
        heard: Answering | None = None
        async with aclosing(converse(asked, models, cleaner=AnswerStream)) as events:
            async for event in events:
                if isinstance(event, Answering):
                    heard = event
                elif isinstance(event, Refusal):
                    failure = event
                else:
                    yield event
        if heard is None:
            break
        reading = _read(heard.answer, base, region)
        if reading.text is None:
            models.learn(asked, heard.answer, Lesson.FAILED)
            step = _unusable(reading, heard.author, base)
        elif gone := lost(heard.masked, before=base.text, after=reading.text):
            step = _Step(failure=Refusal("withheld", _without_secrets(gone, heard.author)))
        elif tries.repeats(reading.text):
            models.learn(asked, heard.answer, Lesson.FAILED)
            step = _Step(failure=Refusal("no-change", f"{heard.author.byline} proposes the same again"))
        else:
            yield Stage(f"checking with {checker}" if checker else "checking that it still parses")
            verdict = await check(reading.text)
            models.learn(asked, heard.answer, _lesson(verdict))
            seconds = heard.answer.attempts[-1].seconds
            tries.add(Proposal(base, reading.text, heard.author, verdict, reading.prose, seconds))
            step = _judged(verdict, base)
        failure = step.failure or failure
        if not step.told or not tries.left:
            break
        asked = _again(request, heard, base, told=step.told)
        asked = _asked_elsewhere(asked, heard.author, models, last=tries.count == MOST_TRIES - 1)
        yield Restart(step.reason)
    yield _outcome(tries, failure)


def _read(answer: Answer, base: Snapshot, region: Region | None) -> Reading:
    if region is None:
        return read_addition(answer.text, finish=answer.finish, base=base)
    return read(answer.text, finish=answer.finish, base=base, region=region)


def _unusable(reading: Reading, author: Author, base: Snapshot) -> _Step:
    failure = Refusal(reading.outcome.value, _why_not(reading.outcome, reading.reason, author))
    if reading.outcome not in _MENDABLE:
        return _Step(failure=failure)
    told = [words(f"That answer could not be used: {failure.kind}. ")]
    if reading.near:
        lines = fenced("\n".join(reading.near))
        nearest = f"What it replaces does not stand in the file. Did you mean these lines?\n{lines}\n"
        told.append(Fragment(nearest, (Origin(OriginKind.DOCUMENT, base.uri),)))
    told.append(
        words(
            "Answer again in the form that was asked for: one sentence, then one fenced block with every line of the region"
        )
    )
    return _Step(tuple(told), failure.message, failure)


def _judged(verdict: Verdict, base: Snapshot) -> _Step:
    """End where the change is verified, or where the verdict tells a model nothing that it could do better."""
    if verdict.state in {State.FIXED, State.UNKNOWN}:
        return _Step()
    return _Step(_told(verdict, base), f"{describe(verdict)}; asking once more")


def _lesson(verdict: Verdict) -> Lesson:
    """Return what a verdict teaches of who wrote the change; nothing where no checker could say."""
    if verdict.state is State.UNKNOWN:
        return Lesson.ANSWERED
    return Lesson.VERIFIED if verdict.verified else Lesson.FAILED


def _again(request: Request, heard: Answering, base: Snapshot, *, told: tuple[Fragment, ...]) -> Request:
    """Make the request that goes on after an answer: what was asked, what came, and what is wrong with it."""
    messages = (*request.messages, answered(heard.answer.text, base.uri), Message(Role.USER, told))
    return replace(request, messages=messages)


def _told(verdict: Verdict, base: Snapshot) -> tuple[Fragment, ...]:
    """Tell a model what its change did; what the checker says of the new text is a piece of the document."""
    origin = (Origin(OriginKind.DIAGNOSTIC, base.uri),)
    parts = [words(f"That change does not pass: {verdict.state.value}.\n")]
    if verdict.reason:
        parts.append(Fragment(f"{fenced(verdict.reason)}\n", origin))
    parts += [
        Fragment(f"Now there is:\n{fenced(' '.join(filter(None, (one.source, one.code, one.message))))}\n", origin)
        for one in verdict.new[:_MOST_NEW]
    ]
    parts.append(words("Try again in the same form: one sentence, then the whole region as it first stood, changed."))
    return tuple(parts)


def _asked_elsewhere(request: Request, author: Author, models: Models, *, last: bool) -> Request:
    """Let the last try go to a stronger model, where the user named none and a local one has not done it twice."""
    if not last or not author.local or request.provider is not None or request.model is not None:
        return request
    try:
        candidates = models.route(request).candidates
    except GlossatorError:
        return request
    stronger = next((provider for provider in candidates if not provider.local), None)
    return replace(request, provider=stronger.name) if stronger else request


def _outcome(tries: Tries, failure: Refusal | None) -> Result:
    if (best := tries.best) is not None:
        return best
    if (withheld := tries.withheld) is not None:
        # A failure that came after it (the network, say) would hide that something was found and not shown.
        return _withheld(withheld)
    return failure or Refusal("no-change", "No change was proposed")


def _withheld(proposal: Proposal) -> Refusal:
    verdict = proposal.verdict
    way_out = "" if verdict.withheld or proposal.author.toy else "; ask for unproven changes to see it"
    return Refusal("withheld", f"The change by {proposal.author.byline} is withheld: {describe(verdict)}{way_out}")


def _without_secrets(gone: int, author: Author) -> str:
    what = "a masked secret" if gone == 1 else f"{gone} masked secrets"
    return f"The change by {author.byline} is withheld: it lost {what}; ask again, or let a model on this machine do it"


def _why_not(outcome: Outcome, reason: str, author: Author) -> str:
    detail = f": {reason}" if reason else ""
    match outcome:
        case Outcome.CANNOT_FIX:
            return f"{author.byline} says that it cannot be fixed here{detail}"
        case Outcome.TRUNCATED:
            return f"The answer of {author.byline} was cut off, so nothing was applied; raise max_tokens or select less"
        case _:
            return f"The answer of {author.byline} could not be used ({outcome}), so nothing was applied{detail}"
