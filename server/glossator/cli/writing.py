"""Write a changed text back: all of it or nothing, with the file's mode, and only over the very text that was read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from glossator.cli.failures import UsageError
from glossator.cli.places import Opened
from glossator_providers.errors import GlossatorError

_BOM = b"\xef\xbb\xbf"


class Changed(GlossatorError):
    """The file is not what it was when it was read; nothing was written."""


def write(opened: Opened, text: str) -> None:
    """Put *text* in the place of what was read; raises Changed if somebody else was faster."""
    path = opened.path.resolve()  # a link stays a link, what it names is written
    try:
        data = (_BOM if opened.marked else b"") + text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"the change holds half a character; {opened.path} was not touched") from None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(path.stat().st_mode & 0o7777)
        _demand_unchanged(path, opened)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _demand_unchanged(path: Path, opened: Opened) -> None:
    if path.read_bytes() != opened.data:
        raise Changed(f"{opened.path} has changed meanwhile and was not touched; run the command again")
