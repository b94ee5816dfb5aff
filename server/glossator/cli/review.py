"""`glossator review`: what a model and the structure find in files, folders or the changed lines of a diff."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AllowCloud, AsJson, Instruction, Model, Provider

if TYPE_CHECKING:
    from glossator.app import Application
    from glossator.document import Diagnostic, Snapshot
    from glossator.tasks.task import Review

_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "target", "dist", "build", "vendor"})
_MOST_FILES = 200
_EVERYTHING: tuple[tuple[int, int], ...] = ()
_COLOURS = {"error": "red", "warning": "yellow"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed, beside the files."""

    instruction: str | None = None
    provider: str | None = None
    model: str | None = None
    allow_cloud: bool = False
    asks: bool = True
    as_json: bool = False


def review(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH…", help="Files, and folders to walk through.", show_default=False),
    ] = None,
    *,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="FILE",
            help="Review only the lines that this diff changes; `-` reads `git diff` from a pipe.",
        ),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Look at the structure alone; ask nobody.")] = False,
    instruction: Instruction = None,
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    as_json: AsJson = False,
) -> int:
    """Review code: findings with their lines, and how complex its functions are; nothing is changed."""
    wish = Wish(instruction, provider, model, allow_cloud=allow_cloud, asks=not no_model, as_json=as_json)
    if diff is not None:
        files = _of_diff(diff, paths or [])
    else:
        files = dict.fromkeys((file for path in paths or [] for file in _files(path)), _EVERYTHING)
    if not files:
        raise failures.UsageError(
            "the diff changes no file that is there"
            if diff is not None
            else "name files or folders to review, or a --diff"
        )
    if len(files) > _MOST_FILES:
        raise failures.UsageError(
            f"these are {len(files)} files, and {_MOST_FILES} are reviewed at once; name fewer, or review a --diff"
        )
    return asyncio.run(_review(files, wish))


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or the files of known languages below the folder, sorted; hidden and built folders are left out."""
    from glossator.cli.places import is_folder, language_of
    from glossator.syntax import GRAMMARS

    if not is_folder(path):
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(names):
            if language_of(Path(name), "") in GRAMMARS and Path(folder, name).is_file():
                yield Path(folder, name)


def _of_diff(name: str, paths: list[Path]) -> dict[Path, tuple[tuple[int, int], ...]]:
    """Return the changed lines of each file of a diff that is there, below *paths* where some are named."""
    from glossator.cli.diffs import changed_lines
    from glossator.cli.places import is_file, read_text, root_of

    here = Path.cwd()
    wanted = [path.absolute() for path in paths]
    found: dict[Path, tuple[tuple[int, int], ...]] = {}
    for spelled, lines in changed_lines(read_text(name)).items():
        # A diff names files from where git's repository begins, or from here.
        path = next((one for one in (here / spelled, root_of(here) / spelled) if is_file(one)), None)
        if path is None:
            show.say(f"{spelled} is in the diff and not here; it was left out")
        elif not wanted or any(one == path or one in path.parents for one in wanted):
            found[path.relative_to(here) if here in path.parents else path] = lines
    return found


async def _review(files: dict[Path, tuple[tuple[int, int], ...]], wish: Wish) -> int:
    from glossator.cli.places import open_file, root_of
    from glossator.cli.work import application

    code = failures.DONE
    told: list[dict[str, Any]] = []
    by_root: dict[Path, list[Path]] = {}
    for file in files:
        by_root.setdefault(root_of(file), []).append(file)
    for root, some in by_root.items():
        async with application(root, allow_cloud=wish.allow_cloud, discover=wish.asks) as product:
            for file in some:
                try:
                    snapshot = open_file(file).snapshot
                except failures.UsageError as problem:
                    show.say(str(problem))
                    told.append({"file": file.as_posix(), "error": failures.as_object(problem)})
                    code = code or failures.FAILED
                    continue
                result = await _review_file(product, snapshot, files[file], wish)
                name = file.as_posix()
                told.append({"file": name, **show.result_as_json(result, diagnostics=(), name=name)})
                if not wish.as_json:
                    _show(result, snapshot, name)
                if result.refusal is not None:
                    code = max(code, failures.exit_code_of(result.refusal))
    if wish.as_json:
        show.as_json({"files": told})
    return code


async def _review_file(
    product: Application, snapshot: Snapshot, lines: tuple[tuple[int, int], ...], wish: Wish
) -> Review:
    from glossator.cli.work import run_task
    from glossator.tasks.review import review as look
    from glossator.tasks.task import Ask, Review, TaskEvent, TaskName

    ask = Ask(
        TaskName.REVIEW,
        snapshot,
        snapshot.whole,
        instruction=wish.instruction,
        roots=product.roots,
        provider=wish.provider,
        model=wish.model,
        lines=lines,
    )
    with show.Watch() as watch:
        told: TaskEvent
        if wish.asks:
            told = await run_task(product, ask, watch)
        else:
            *_, told = [event async for event in look(ask, models=None)]
    assert isinstance(told, Review), "a review ends with a review"
    return told


def _show(result: Review, snapshot: Snapshot, name: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for one in result.findings:
        line = Text(show.printable(_as_line(one, name)), style=_COLOURS.get(one.severity.name.lower(), ""))
        console.print(line, soft_wrap=True)
        console.print(
            Text(f"    {show.printable(snapshot.line(one.region.start.line).strip())}", style="dim"), soft_wrap=True
        )
    for words in result.structure:
        console.print(Text(show.printable(f"{name}: structure: {words}"), style="dim"), soft_wrap=True)
    show.say(f"{name}: {result.summary}")
    if result.refusal is not None:
        rules = f" [{', '.join(result.refusal.rules)}]" if result.refusal.rules else ""
        show.say(f"{name}: {result.refusal.message}{rules}")


def _as_line(one: Diagnostic, name: str) -> str:
    """Return a finding as compilers write theirs, so that editors can jump to it."""
    start = one.region.start
    return f"{name}:{start.line + 1}:{start.column + 1}: {one.severity.name.lower()}: {one.message} [{one.code}]"
