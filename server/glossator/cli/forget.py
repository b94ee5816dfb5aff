"""`glossator forget`: erase what Glossator remembers on this machine, and say what that was."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator.consent import state_folder
from glossator_providers.egress_ledger import EGRESS_FOLDER
from glossator_providers.usage_ledger import LEDGER_FILE

# What each kind is called, and by which names it begins in the state folder. What has none of these names is none of ours.
_KINDS = (
    ("explanations of open code", ("explanations",)),
    ("consent to clouds", ("consent.json", ".consent-")),
    ("usage and what was learned", (Path(LEDGER_FILE).stem,)),
    ("the egress ledger", (EGRESS_FOLDER,)),
)
_LEDGERS = frozenset({"the egress ledger", "usage and what was learned"})


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is remembered: files of one kind."""

    what: str
    paths: tuple[Path, ...]
    size: int  # bytes


def forget(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the egress ledger, which proves what left, and the usage ledger.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> int:
    """Erase what is remembered: explanations and consent, with --all the ledgers too. What was sent cannot be called back."""
    folder = state_folder(os.environ)
    kept = [one for one in _kept(folder) if everything or one.what not in _LEDGERS]
    if not kept:
        if as_json:
            show.as_json({"folder": str(folder), "erased": [], "failed": []})
        else:
            show.say(f"nothing is remembered in {folder}")
        return failures.DONE
    if not yes and not _may_erase(kept, folder):
        raise failures.UsageError("nothing was erased; --yes erases without a question")
    failed = [str(path) for one in kept for path in one.paths if not _erase(path)]
    if as_json:
        erased = [{"what": one.what, "files": len(one.paths), "bytes": one.size} for one in kept]
        show.as_json({"folder": str(folder), "erased": erased, "failed": failed})
    else:
        for one in kept:
            print(f"erased {one.what}: {one.size:,} bytes")
        for name in failed:
            show.say(f"{name} could not be erased; close the editors that use it and try again")
    return failures.FAILED if failed else failures.DONE


def _kept(folder: Path) -> Iterator[Kept]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for what, names in _KINDS:
        paths = tuple(path for path in entries if path.name.startswith(names))
        if paths:
            yield Kept(what, paths, sum(_size(path) for path in paths))


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(one.lstat().st_size for one in path.rglob("*") if not one.is_dir())
    return path.lstat().st_size


def _may_erase(kept: list[Kept], folder: Path) -> bool:
    if not sys.stdin.isatty():
        return False
    for one in kept:
        show.say(f"{one.what}: {one.size:,} bytes")
    print(f"Erase this from {folder}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _erase(path: Path) -> bool:
    """Erase a file, a folder with all that is in it, or a link but not what it leads to."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
