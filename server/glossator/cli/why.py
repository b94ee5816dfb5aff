"""`glossator why`: where files would go, and by which rules; nothing is sent and no connection opened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson

if TYPE_CHECKING:
    from glossator.app import Why, WhyReason

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
    as_json: AsJson = False,
) -> int:
    """Say where files would go if you asked about them, and which rules decide it."""
    from glossator.cli.places import read_range

    wanted = read_range(text_range) if text_range else None
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise failures.UsageError(f"there is nothing at {path}")
    limits = None
    if wanted is not None:
        limits = (wanted.start.line, wanted.start.column, wanted.end.line, wanted.end.column)
    return asyncio.run(_why(paths, limits, as_json=as_json))


async def _why(paths: list[Path], limits: tuple[int, int, int, int] | None, *, as_json: bool) -> int:
    from glossator.cli.places import LARGEST, root_of, snapshot_of
    from glossator.cli.work import application

    code = failures.DONE
    for path in paths:
        async with application(root_of(path)) as product:
            for file in _files(path):
                try:
                    with file.open("rb") as opened:
                        data = opened.read(LARGEST)
                except OSError as error:
                    show.say(f"{file} cannot be read: {error.strerror}")
                    code = failures.FAILED
                    continue
                told = product.why(snapshot_of(file, data.decode("utf-8", "replace")))
                reasons = [one for one in told.reasons if _is_inside(one.range, limits)]
                if as_json:
                    show.as_json(_as_json(file, told, reasons))
                else:
                    _tell(file, told, reasons)
    return code


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or every file below the folder, sorted; folders behind links are not entered."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (Path(folder, name) for name in sorted(files) if Path(folder, name).is_file())


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
