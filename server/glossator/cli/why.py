"""`glossator why`: where files would go, and by which rules; nothing is sent and no connection opened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson

if TYPE_CHECKING:
    from glossator.app import Why, WhyReason
    from glossator.document import Region

_PREVIEWED = ("explain", "fix", "ask")
_SKIPPED = frozenset({".git", ".hg", ".svn"})  # what version control keeps there is no file of the user


def why(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, and folders to walk through.")],
    *,
    text_range: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="L:C-L:C", help="Show only the reasons there; counted from 1, the end exclusive."
        ),
    ] = None,
    payload: Annotated[
        bool,
        typer.Option("--payload", help="Show also what would be sent, to the byte and without the key, for one file."),
    ] = False,
    task: Annotated[
        str, typer.Option("--task", metavar="explain|fix|ask", help="What would be asked, with --payload.")
    ] = "explain",
    as_json: AsJson = False,
) -> int:
    """Say where files would go if you asked about them, and which rules decide it."""
    from glossator.cli.places import read_range

    wanted = read_range(text_range) if text_range else None
    for path in paths:
        if not _exists(path):
            raise failures.UsageError(f"there is nothing at {path}")
    if payload:
        if task not in _PREVIEWED:
            raise failures.UsageError(f"--task {task}: there are {', '.join(_PREVIEWED)}")
        if len(paths) != 1:
            raise failures.UsageError("--payload shows one request: name one file")
        return asyncio.run(_preview(paths[0], wanted, task, as_json=as_json))
    limits = None
    if wanted is not None:
        limits = (wanted.start.line, wanted.start.column, wanted.end.line, wanted.end.column)
    return asyncio.run(_why(paths, limits, as_json=as_json))


async def _preview(path: Path, region: Region | None, task: str, *, as_json: bool) -> int:
    from glossator.cli import problems
    from glossator.cli.places import open_file, root_of
    from glossator.cli.work import application
    from glossator.preview import head_of
    from glossator.tasks.task import Ask, TaskName

    opened = open_file(path)
    async with application(root_of(opened.path), discover=False) as product:
        region = region or opened.snapshot.whole
        found = () if task == "ask" else await problems.find_problems(opened.snapshot, product.toolbox, region=region)
        ask = Ask(TaskName(task), opened.snapshot, found[0].region if found else region, found[:1], found)
        told = await product.preview(ask)
    sent = told.sending
    if as_json:
        shown = None if sent is None else asdict(sent) | {"headers": [list(pair) for pair in sent.headers]}
        show.as_json(_as_json(path, told.why, list(told.why.reasons)) | {"payload": shown, "note": told.note or None})
        return failures.DONE
    _tell(path, told.why, list(told.why.reasons))
    if told.note:
        show.say(told.note)
    if sent is not None:
        print(show.printable("\n".join(["", *head_of(sent), "", sent.body])))
    return failures.DONE


def _exists(path: Path) -> bool:
    try:
        return path.is_symlink() or path.exists()
    except (OSError, ValueError):  # a name too long, a folder that may not be looked into, half a character
        return False


async def _why(paths: list[Path], limits: tuple[int, int, int, int] | None, *, as_json: bool) -> int:
    from glossator.cli.places import root_of, snapshot_of
    from glossator.cli.work import application

    code = failures.DONE
    for path in paths:
        # Not even this machine's servers are looked for: this command opens no connection.
        async with application(root_of(path), discover=False) as product:
            product.look_around()
            for found in _files(path):
                if isinstance(found, Unreadable):
                    code = failures.FAILED
                    found.tell(as_json=as_json)
                    continue
                told = product.why(snapshot_of(found.path, found.data.decode("utf-8", "replace")))
                reasons = [one for one in told.reasons if _is_inside(one.range, limits)]
                if as_json:
                    show.as_json(_as_json(found.path, told, reasons))
                else:
                    _tell(found.path, told, reasons)
    return code


@dataclass(frozen=True, slots=True)
class Readable:
    """A file with as much of it as any editor would show."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder of which nothing can be said."""

    path: Path
    reason: str

    def tell(self, *, as_json: bool) -> None:
        """Say so on stderr and, for a program, in the place of the decision."""
        failure = failures.UsageError(f"{self.path} cannot be read: {self.reason}")
        show.say(str(failure))
        if as_json:
            show.as_json({"path": str(self.path), "error": failures.as_object(failure)})


def _files(path: Path) -> Iterator[Readable | Unreadable]:
    """Yield the file, or every file below the folder, sorted; folders behind links are not entered."""
    from glossator.cli.places import is_file, is_folder

    if not is_folder(path):
        yield _read(path)
        return
    closed: list[OSError] = []
    for folder, folders, files in os.walk(path, onerror=closed.append):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (_read(Path(folder, name)) for name in sorted(files) if is_file(Path(folder, name)))
    yield from (Unreadable(Path(error.filename), error.strerror or "unknown reason") for error in closed)


def _read(path: Path) -> Readable | Unreadable:
    from glossator.cli.places import LARGEST

    try:
        if path.exists() and not path.is_file():
            return Unreadable(path, "it is no regular file")
        with path.open("rb") as file:
            return Readable(path, file.read(LARGEST))
    except OSError as error:
        return Unreadable(path, error.strerror or "unknown reason")


def _is_inside(found: tuple[int, int, int, int] | None, limits: tuple[int, int, int, int] | None) -> bool:
    if found is None or limits is None:
        return True
    return found[:2] < limits[2:] and limits[:2] < found[2:]


def _as_json(file: Path, told: Why, reasons: list[WhyReason]) -> dict[str, Any]:
    return {
        "path": str(file),
        "level": told.level,
        "reasons": [
            {
                "rule": one.rule,
                "source": one.source,
                "range": show.range_as_text(one.range) if one.range else None,
            }
            for one in reasons
        ],
        "route": list(told.route),
        "redactions": told.redactions,
    }


def _tell(file: Path, told: Why, reasons: list[WhyReason]) -> None:
    route = " → ".join(told.route) if told.route else "no model"
    print(show.printable(f"{file}: {told.level}, {route}"))
    for one in reasons:
        where = f" at {show.range_as_text(one.range)}" if one.range else ""
        print(show.printable(f"  {one.clause}{where} [{one.source}: {one.rule}]"))
    if not told.route:
        for name, reason in told.refused:
            print(show.printable(f"  {name}: {reason}"))
