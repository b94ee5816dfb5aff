"""`glossator compare`: the same task of several models, with what each took, what it cost and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AllowCloud, AsJson, Checker, FileAt, Instruction, Untrusted
from glossator.cli.usage import amount
from glossator.tasks.task import Ask, Author, Explanation, Proposal, Refusal, Result, Review, State, TaskName
from glossator.verify import describe
from glossator_providers import published
from glossator_providers.budget import money
from glossator_providers.usage_ledger import ANSWERED, Entry

if TYPE_CHECKING:
    from rich.text import Text

    from glossator.app import Application, Why
    from glossator.cli.task import Wish
    from glossator.document import Diagnostic

_TASKS = (TaskName.FIX, TaskName.EXPLAIN, TaskName.REFACTOR)
_SOON = 10  # seconds: what takes longer needs no digit behind the point


@dataclass(frozen=True, slots=True)
class _Contestant:
    """One who is asked, for its own model or for another."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """What came of it: all requests that the task made there, and the seconds that it took with its checks."""

    contestant: _Contestant
    author: Author
    result: Result
    entries: tuple[Entry, ...]
    seconds: float

    @property
    def first_token(self) -> float | None:
        return next((one.first_token_seconds for one in self.entries if one.outcome == ANSWERED), None)

    @property
    def tokens(self) -> tuple[int, int]:
        return sum(one.input_tokens or 0 for one in self.entries), sum(one.output_tokens or 0 for one in self.entries)

    @property
    def dollars(self) -> float | None:
        costs = [one.dollars for one in self.entries]
        return None if None in costs else sum(one for one in costs if one is not None)


def compare(
    file: FileAt,
    *,
    providers: Annotated[
        str,
        typer.Option(
            "--providers", metavar="NAME[=MODEL],…", help="Whom to compare; all who may be asked where nobody is named."
        ),
    ] = "",
    task: Annotated[str, typer.Option("--task", metavar="|".join(_TASKS), help="What to ask of each.")] = TaskName.FIX,
    instruction: Instruction = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    checker: Checker = None,
    as_json: AsJson = False,
) -> int:
    """Ask several models the same, one after the other: print what each answers, how long it took, its cost and its verdict."""
    from glossator.cli.task import Wish

    if task not in _TASKS:
        raise failures.UsageError(f"--task {task}: there are {', '.join(_TASKS)}")
    if task == TaskName.REFACTOR and not instruction:
        raise failures.UsageError("--task refactor needs --instruction: say how the code should be changed")
    wish = Wish(
        instruction, allow_cloud=allow_cloud, untrusted=untrusted, as_json=as_json, checkers=tuple(checker or ())
    )
    return asyncio.run(_compare(TaskName(task), file, providers, wish))


async def _compare(task: TaskName, at: str, named: str, wish: Wish) -> int:
    from glossator.cli.places import open_file, read_place, root_of
    from glossator.cli.task import make_ask, no_problem
    from glossator.cli.work import application

    place = read_place(at)
    opened = open_file(place.path)
    async with application(root_of(opened.path), allow_cloud=wish.allow_cloud, trusted=not wish.untrusted) as product:
        why = product.why(opened.snapshot)
        wanted = _contestants(named, product, why)
        left_out = _left_out(wanted, product, why)
        chosen = [one for one in wanted if one.provider not in left_out]
        if not wish.as_json:
            for name, reason in left_out.items():
                show.say(f"{name} is not compared: {reason}")
        refusal = _nobody(chosen, product.offer(opened.snapshot).refusal, left_out)
        ask = await make_ask(task, place, opened, wish, product) if refusal is None else None
        if ask is not None and task is TaskName.FIX and not ask.diagnostics:
            refusal = no_problem(product.offer(opened.snapshot))
        runs: list[_Run] = []
        if ask is not None and refusal is None:
            await asyncio.to_thread(_look_up_prices, product)
            for one in chosen:
                runs.append(await _run(one, replace(ask, provider=one.provider, model=one.model, fresh=True), product))
                if not wish.as_json:
                    _show_answer(runs[-1], name=place.path.as_posix())
    diagnostics = ask.diagnostics if ask is not None else ()
    if wish.as_json:
        rows = [_as_object(run, diagnostics=diagnostics, name=place.path.as_posix()) for run in runs]
        others = [{"provider": name, "reason": reason} for name, reason in left_out.items()]
        told: dict[str, Any] = {"file": place.path.as_posix(), "task": task.value, "level": why.level}
        show.as_json(told | {"rows": rows, "left_out": others, "error": refusal.message if refusal else None})
    elif refusal is not None:
        show.say(refusal.message + (f" [{', '.join(refusal.rules)}]" if refusal.rules else ""))
    else:
        _tell(runs)
    return _exit_code(runs, refusal)


def _contestants(named: str, product: Application, why: Why) -> list[_Contestant]:
    """Return those who are meant; raises UsageError for names that nobody has."""
    words = dict.fromkeys(word.strip() for word in named.split(",") if word.strip())
    if not words:
        return [_Contestant(name) for name in why.route]
    known = [provider.name for provider in product.router.providers]
    chosen = []
    for word in words:
        name, _, model = word.partition("=")
        if name not in known:
            raise failures.UsageError(f"--providers {name}: there are {', '.join(known) or 'none'}")
        chosen.append(_Contestant(name, model or None))
    return chosen


def _left_out(wanted: Sequence[_Contestant], product: Application, why: Why) -> dict[str, str]:
    """Return those who may not see this file, with the reason; whatever else stands against somebody, its own run tells."""
    if why.level == "open":
        return {}
    toys = {provider.name for provider in product.router.providers if provider.toy}
    refused = dict(why.refused)
    return {
        one.provider: refused[one.provider] for one in wanted if one.provider in refused and one.provider not in toys
    }


def _nobody(chosen: Sequence[_Contestant], refusal: Refusal | None, left_out: dict[str, str]) -> Refusal | None:
    if chosen:
        return None
    return refusal or Refusal("policy", f"nobody is left to compare: {'; '.join(left_out.values())}")


def _look_up_prices(product: Application) -> None:
    """Import what knows the prices now: it would count as time of the first one who is asked."""
    for provider in product.router.providers:
        published.prices(provider)


async def _run(contestant: _Contestant, ask: Ask, product: Application) -> _Run:
    from glossator.cli.work import run_task

    entries: list[Entry] = []
    product.state.listeners.append(entries.append)
    began = time.perf_counter()
    try:
        with show.Watch() as watch:
            result = await run_task(product, ask, watch)
    finally:
        product.state.listeners.remove(entries.append)
    seconds = time.perf_counter() - began
    if isinstance(result, Explanation) and result.author.name != contestant.provider:
        how = entries[-1].outcome if entries else "failed"
        result = Refusal(how, f"it gave no answer ({how}); {result.author.name} has a page on this of its own")
    provider = next(one for one in product.router.providers if one.name == contestant.provider)
    local = entries[-1].local if entries else provider.local
    author = Author(provider.name, contestant.model or provider.model, local, provider.toy)
    return _Run(contestant, author, result, tuple(entries), seconds)


def _as_object(run: _Run, *, diagnostics: tuple[Diagnostic, ...], name: str) -> dict[str, Any]:
    asked, answered = run.tokens
    return {
        "provider": run.author.name,
        "model": run.author.model,
        "local": run.author.local,
        "first_token_seconds": None if run.first_token is None else round(run.first_token, 3),
        "seconds": round(run.seconds, 3),
        "requests": len(run.entries),
        "input_tokens": asked,
        "output_tokens": answered,
        "dollars": run.dollars,
        "verdict": _verdict(run.result),
        "result": show.result_as_json(run.result, diagnostics=diagnostics, name=name),
    }


def _show_answer(run: _Run, *, name: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(f"── {show.printable(run.author.byline)}", style="bold"), soft_wrap=True)
    match run.result:
        case Explanation():
            show.explanation(run.result)
        case Proposal():
            show.proposal(run.result, name=name)
        case Review():
            show.say(run.result.summary)
        case Refusal():
            show.say(run.result.message)


def _tell(runs: Sequence[_Run]) -> None:
    """Print one row for each, in no more columns than there are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("provider", overflow="fold", max_width=24)
    for heading in ("first", "whole", "in", "out", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for run in runs:
        who = Text(show.printable(run.author.name))
        who.append(f"\n{show.printable(run.author.model or 'its own choice')}", style="dim")
        asked, answered = run.tokens
        tokens = [amount(asked), amount(answered)] if run.entries else ["-", "-"]
        times = [_seconds(run.first_token), _seconds(run.seconds)]
        table.add_row(who, *times, *tokens, _cost(run), show.printable(_verdict(run.result)))
    console = Console()
    console.print()
    console.print(table)
    console.print()
    console.print(Text("first, whole: seconds to the first token, and to the end of all tries and checks", style="dim"))
    console.print(Text("in, out: tokens of all requests that it took", style="dim"))


def _verdict(result: Result) -> str:
    match result:
        case Explanation(markdown):
            number = len(markdown.split())
            return f"{number:,} word{'s'[: number != 1]}"
        case Proposal():
            return describe(result.verdict) or result.verdict.state.value
        case Review():
            return result.summary
        case Refusal():
            return result.message


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f}" if seconds < _SOON else f"{seconds:,.0f}"


def _cost(run: _Run) -> Text | str:
    from rich.text import Text

    if run.author.local:
        return Text("free", style="green")
    return "?" if run.dollars is None else money(run.dollars)


def _exit_code(runs: Sequence[_Run], refusal: Refusal | None) -> int:
    """Return 0 where anybody has given something that can be used."""
    if refusal is not None:
        return failures.exit_code_of(refusal)
    results = [run.result for run in runs]
    if any(_is_usable(result) for result in results):
        return failures.DONE
    codes = {failures.exit_code_of(one) for one in results if isinstance(one, Refusal)}
    return codes.pop() if len(codes) == 1 and len(results) == 1 else failures.FAILED


def _is_usable(result: Result) -> bool:
    match result:
        case Explanation() | Review():
            return True
        case Proposal():
            return result.verdict.state in {State.FIXED, State.UNKNOWN}
        case Refusal():
            return False
