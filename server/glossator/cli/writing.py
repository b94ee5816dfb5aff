"""Write a changed text back: all of it or nothing, with the file's mode, and only over the very text that was read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from glossator.cli.failures import UsageError
from glossator.cli.places import Opened
from glossator_providers.errors import GlossatorError

_BOM = b"\xef\xbb\xbf"


class Changed(GlossatorError):
    """The file is not what it was when it was read; nothing was written."""


class NotWritten(GlossatorError):
    """The file could not be written, or is not to be; it is as it was."""


def write(opened: Opened, text: str) -> None:
    """Put *text* in the place of what was read; raises Changed if somebody else was faster."""
    path = opened.path.resolve()  # a link stays a link, what it names is written
    try:
        data = (_BOM if opened.marked else b"") + text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"the change holds half a character; {opened.path} was not touched") from None
    _demand_writable(path, opened)
    try:
        # A name of its own length could be too long for the file system.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")
    except OSError as error:
        raise NotWritten(
            f"{opened.path} was not touched: nothing can be written beside it ({error.strerror})"
        ) from None
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _dress(new, path.stat())
        _demand_unchanged(path, opened)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise NotWritten(f"{opened.path} was not touched: it could not be written ({error.strerror})") from None
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def create(path: Path, text: str) -> None:
    """Write a file that is not there yet; raises Changed if somebody else was faster, NotWritten where nothing can be written."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise Changed(f"{path} has come meanwhile and was not touched; run the command again") from None
    except OSError as error:
        raise NotWritten(f"{path} could not be written ({error.strerror})") from None


def _demand_writable(path: Path, opened: Opened) -> None:
    """Refuse a file that is marked as read-only, by whoever we run: replacing it would not ask for its mode."""
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise NotWritten(f"{opened.path} is read-only and was not touched; make it writable and run the command again")


def _dress(new: Path, old: os.stat_result) -> None:
    """Give the new file the owner and the mode of the *old* one, as far as we may."""
    if hasattr(os, "chown") and (os.geteuid(), os.getegid()) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(new, old.st_uid, old.st_gid)
    new.chmod(old.st_mode & 0o7777)


def _demand_unchanged(path: Path, opened: Opened) -> None:
    if path.read_bytes() != opened.data:
        raise Changed(f"{opened.path} has changed meanwhile and was not touched; run the command again")
