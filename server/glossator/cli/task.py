"""Do one task on one file as a command: read, ask, show, and write if that was wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from glossator.app import Application, Offer
from glossator.cli import failures, problems, show
from glossator.cli.places import Opened, Place, open_file, read_place, region_at, root_of
from glossator.cli.work import application, run_task
from glossator.cli.writing import create, write
from glossator.document import Diagnostic
from glossator.tasks.task import Ask, Explanation, Proposal, Refusal, Result, Review, State, TaskName

_ABOUT_PROBLEMS = frozenset({TaskName.EXPLAIN, TaskName.FIX, TaskName.FIX_ALL})
_APPLIED = frozenset({State.FIXED, State.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed, beside the task and the place."""

    instruction: str | None = None
    provider: str | None = None
    model: str | None = None
    allow_cloud: bool = False
    untrusted: bool = False
    unproven: bool = False
    apply: bool = False
    as_json: bool = False
    checkers: tuple[str, ...] = ()
    rule: str | None = None


async def perform(task: TaskName, at: str, wish: Wish) -> int:
    """Do the task where *at* says; return the exit code."""
    place = read_place(at)
    opened = open_file(place.path)
    root = root_of(opened.path)
    async with application(root, allow_cloud=wish.allow_cloud, trusted=not wish.untrusted) as product:
        ask = await make_ask(task, place, opened, wish, product)
        if task in {TaskName.FIX, TaskName.FIX_ALL} and not ask.diagnostics:
            return _end(opened, no_problem(product.offer(opened.snapshot)), wish, name=place.path.as_posix())
        with show.Watch() as watch:
            result = await run_task(product, ask, watch)
    if task is TaskName.TESTS and isinstance(result, Proposal):
        opened = _test_file(result)
        return _end(opened, result, wish, name=_from_here(opened.path), meant=())
    return _end(opened, result, wish, name=place.path.as_posix(), meant=ask.diagnostics)


async def make_ask(task: TaskName, place: Place, opened: Opened, wish: Wish, product: Application) -> Ask:
    """Find the problems that are meant by the checkers of the workspace, and return what is asked about them."""
    region = region_at(place, opened.snapshot)
    found: tuple[Diagnostic, ...] = ()
    if task in _ABOUT_PROBLEMS:
        with show.Watch() as watch:
            found = await problems.find_problems(
                opened.snapshot,
                product.toolbox,
                region=None if place.line is None else region,
                only=wish.checkers,
                tell=watch,
            )
    if wish.rule is not None:
        found = tuple(one for one in found if (one.code or "").lower() == wish.rule.lower())
    here = problems.at(region, found, anywhere=place.line is None)
    meant = here if task is TaskName.FIX and place.line is not None else here[:1]
    if task is TaskName.EXPLAIN and place.line is None and not meant:
        region = opened.snapshot.whole
    if not wish.as_json and task is not TaskName.FIX_ALL:
        _tell_meant(meant, here)
    return Ask(
        task,
        opened.snapshot,
        meant[0].region if meant and place.line is None else region,
        diagnostics=meant,
        known=found,
        instruction=wish.instruction,
        roots=product.roots,
        trusted=not wish.untrusted,
        provider=wish.provider,
        model=wish.model,
        unproven=wish.unproven,
    )


def _end(opened: Opened, result: Result, wish: Wish, *, name: str, meant: tuple[Diagnostic, ...] = ()) -> int:
    applied = _apply(opened, result, wish)
    if wish.as_json:
        show.as_json({"file": name, **show.result_as_json(result, diagnostics=meant, name=name), "applied": applied})
    else:
        _show(result, name, applied=applied, wished=wish.apply)
    return _exit_code(result, wish)


def no_problem(offer: Offer) -> Refusal:
    """Say that there is nothing to fix; where no model could have been asked in any case, the rule comes first."""
    refusal = offer.refusal
    if refusal is not None and refusal.kind == "policy":
        return Refusal("policy", f"{refusal.message}; and no checker reports a problem at this place", refusal.rules)
    return Refusal(
        "no-change",
        "no checker reports a problem at this place; name another, or say what should change with `glossator refactor`",
    )


def _tell_meant(meant: tuple[Diagnostic, ...], here: tuple[Diagnostic, ...]) -> None:
    for diagnostic in meant:
        show.say(problems.title(diagnostic))
    left = len(here) - len(meant)
    if left:
        show.say(f"({left} more {'problem' if left == 1 else 'problems'}: name one with FILE:LINE:COL)")


def _test_file(proposal: Proposal) -> Opened:
    """Return the file that tests were written for as the task has seen it, perhaps one that is not there yet."""
    assert proposal.base.path is not None
    return Opened(Path(proposal.base.path), proposal.base.text.encode("utf-8"), proposal.base, marked=False)


def _from_here(path: Path) -> str:
    return os.path.relpath(path)


def _apply(opened: Opened, result: Result, wish: Wish) -> bool:
    if not wish.apply or not isinstance(result, Proposal):
        return False
    if result.verdict.state not in _APPLIED and not wish.unproven:
        return False
    if opened.data or opened.path.exists():
        write(opened, result.text)
    else:
        create(opened.path, result.text)
    return True


def _show(result: Result, name: str, *, applied: bool, wished: bool) -> None:
    match result:
        case Explanation():
            show.explanation(result)
        case Proposal():
            show.proposal(result, name=name)
            if applied:
                show.say(f"written to {name}")
            elif wished:
                show.say(f"{name} was not touched: its checker does not accept this; --unproven takes it all the same")
        case Review():
            show.say(result.summary)
        case Refusal():
            rules = f" [{', '.join(result.rules)}]" if result.rules else ""
            show.say(f"{result.message}{rules}")


def _exit_code(result: Result, wish: Wish) -> int:
    match result:
        case Explanation() | Review():
            return failures.DONE
        case Proposal():
            return failures.DONE if result.verdict.state in _APPLIED or wish.unproven else failures.FAILED
        case Refusal():
            return failures.exit_code_of(result)
