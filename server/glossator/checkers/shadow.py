"""A private copy of a workspace in which one file holds another text; all else in it is links."""

from __future__ import annotations

import os
from pathlib import Path

from glossator.checkers.row import CheckerFailed

_MOST_ENTRIES = 20_000  # in the folders above one file


def make(folder: Path, *, root: Path, file: Path, data: bytes) -> tuple[Path, Path]:
    """Make the copy of *root* under *folder* and return its root and its file.

    Only the folders between *root* and *file* are folders of their own; their other entries are links, so that the
    project's settings and neighbours are in force. Raises CheckerFailed where the workspace cannot be read.
    """
    here, real = folder / (root.name or "workspace"), root
    entries = 0
    try:
        for part in file.relative_to(root).parts:
            here.mkdir()
            if real.is_dir():
                for entry in os.scandir(real):
                    entries += 1
                    if entries > _MOST_ENTRIES:
                        raise CheckerFailed(f"the folders above {file.name} hold too many files to be copied as links")
                    if entry.name != part:
                        (here / entry.name).symlink_to(entry.path)
            here, real = here / part, real / part
        here.write_bytes(data)
    except OSError as error:
        raise CheckerFailed(f"the workspace could not be mirrored for the check: {error.strerror}") from None
    return folder / (root.name or "workspace"), here
