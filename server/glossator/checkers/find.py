"""Find the program of a checker as the editor would: the workspace's own first, the environment of Glossator last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

ENVIRONMENTS = (".venv", "venv")
_BIN = "Scripts" if os.name == "nt" else "bin"


def programs(
    name: str,
    *,
    near: Path | None,
    roots: tuple[Path, ...],
    trusted: bool,
    environment: Mapping[str, str],
    own: Path | None,
) -> Iterator[Path]:
    """Yield the absolute paths at which *name* is installed, best first.

    From *near*, a file or folder of a workspace, `.venv`, `venv` and `node_modules/.bin` are looked for upwards to its
    root; then $VIRTUAL_ENV, PATH, and *own*, the folder of our own interpreter's programs. In a workspace that is not
    trusted nothing that lies inside of a root counts.
    """
    for folder in _folders(near, roots, environment, own):
        # An empty or relative entry of PATH would be a place in whatever folder we happen to run.
        if not folder.is_absolute():
            continue
        found = shutil.which(name, path=str(folder))
        if found is not None and (trusted or not inside(Path(found), roots)):
            yield Path(found)


def inside(path: Path, roots: tuple[Path, ...]) -> bool:
    """Say whether *path*, as it is spelled or where it leads, lies in one of *roots*."""
    spelled, real = Path(os.path.normpath(path)), path.resolve()
    for root in roots:
        for place in (spelled, real):
            if root in {place, *place.parents} or root.resolve() in {place, *place.parents}:
                return True
    return False


def interpreter(near: Path | None, roots: tuple[Path, ...]) -> Path | None:
    """Return the Python of the workspace's own environment; it belongs to the workspace and is run only where that is trusted."""
    for folder in _upwards(near, roots):
        for environment in ENVIRONMENTS:
            python = folder / environment / _BIN / ("python.exe" if os.name == "nt" else "python")
            if python.is_file():
                return python
    return None


def _folders(
    near: Path | None, roots: tuple[Path, ...], environment: Mapping[str, str], own: Path | None
) -> Iterator[Path]:
    for folder in _upwards(near, roots):
        for name in ENVIRONMENTS:
            yield folder / name / _BIN
        yield folder / "node_modules" / ".bin"
    if environment.get("VIRTUAL_ENV"):
        yield Path(environment["VIRTUAL_ENV"]) / _BIN
    yield from (Path(entry) for entry in environment.get("PATH", "").split(os.pathsep) if entry)
    if own is not None:
        yield own


def _upwards(near: Path | None, roots: tuple[Path, ...]) -> Iterator[Path]:
    root = root_of(near, roots)
    if near is None or root is None:
        return
    folder = near
    while folder != root:
        folder = folder.parent
        yield folder


def root_of(path: Path | None, roots: tuple[Path, ...]) -> Path | None:
    """Return the innermost of *roots* that holds *path*."""
    if path is None:
        return None
    holding = [root for root in roots if root in path.parents]
    return max(holding, key=lambda root: len(root.parts), default=None)
