"""Let models change a region until the gates accept a change, as often as the ladder allows; fix and refactor share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from glossator import answer as answers
from glossator.context import fenced
from glossator.document import Region, Snapshot
from glossator.tasks.conversation import Answering, Models, converse
from glossator.tasks.ladder import Tries
from glossator.tasks.prompt import answered, words
from glossator.tasks.task import Author, Progress, Proposal, Refusal, Restart, Result, Stage, State, Verdict
from glossator.verify import describe
from glossator_providers.errors import GlossatorError
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role

Check = Callable[[str], Awaitable[Verdict]]
"""What the gates say of a whole new text."""

# What one more try can mend; an answer that was cut off would be cut off again.
_MENDABLE = frozenset({"elided", "ambiguous", "no-match", "no-change", "other-file"})
_MOST_NEW = 5


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a try gave nothing to check, and the answer that it was."""

    refusal: Refusal
    answer: str


async def rewrite(
    request: Request, *, base: Snapshot, region: Region, models: Models, check: Check, tries: Tries, checker: str | None
) -> AsyncIterator[Progress | Result]:
    """Ask models for the region anew until a change passes; the last event is the best proposal, or why there is none.

    `tries` may hold proposals that were made without a model. `checker` is named while it runs.
    """
    failure: Refusal | None = None
    asked = request
    while tries.left:
        tries.count += 1
        heard: Answering | None = None
        async with aclosing(converse(asked, models, cleaner=answers.AnswerStream)) as events:
            async for event in events:
                match event:
                    case Answering():
                        heard = event
                    case Refusal():
                        failure = event
                    case _:
                        yield event
        if heard is None:
            break
        reading = answers.read(heard.answer.text, finish=heard.answer.finish, base=base, region=region)
        if reading.text is None:
            failure = Refusal(reading.outcome, _why_not(reading.outcome, reading.reason, heard.author))
            if reading.outcome not in _MENDABLE or not tries.left:
                break
            asked = _again(request, heard, base, told=(words(f"{_not_usable(failure)}\n"),))
            yield Restart(failure.message)
            continue
        if tries.repeats(reading.text):
            failure = failure or Refusal("no-change", f"{heard.author.title} proposes the same again")
            break
        yield Stage(f"checking with {checker}" if checker else "checking that it still parses")
        verdict = await check(reading.text)
        proposal = Proposal(base, reading.text, heard.author, verdict, reading.prose)
        tries.add(proposal)
        if verdict.state is State.FIXED or not _worth_another_try(verdict):
            break
        if not tries.left:
            break
        asked = _again(request, heard, base, told=_told(verdict, base))
        asked = _asked_elsewhere(asked, heard.author, models, last=tries.count == 2)  # noqa: PLR2004  the third try follows
        yield Restart(f"{describe(verdict)}; asking once more")
    yield _outcome(tries, failure)


def _worth_another_try(verdict: Verdict) -> bool:
    """Say whether a verdict tells a model something that it can do better: `unknown` tells it nothing."""
    return verdict.state is not State.UNKNOWN


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


def _not_usable(failure: Refusal) -> str:
    return (
        f"That answer could not be used: {failure.kind}. Answer again in the form that was asked for: one sentence, then "
        "one fenced block with every line of the region"
    )


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
    return Refusal("withheld", f"The change by {proposal.author.title} is withheld: {describe(verdict)}{way_out}")


def _why_not(outcome: str, reason: str, author: Author) -> str:
    detail = f": {reason}" if reason else ""
    match outcome:
        case "cannot-fix":
            return f"{author.title} says that it cannot be fixed here{detail}"
        case "truncated":
            return f"The answer of {author.title} was cut off, so nothing was applied; raise max_tokens or select less{detail}"
        case _:
            return f"The answer of {author.title} could not be used ({outcome}), so nothing was applied{detail}"
