"""What privacy reads from the disk: ignore files, and where a path really leads."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from glossator_providers.privacy.index import PrivateLines


@dataclass(frozen=True, slots=True)
class Found:
    """The content of a small file; `linked` says that its last step is a symbolic link."""

    content: bytes
    linked: bool = False


class Files(Protocol):
    """The disk, as far as privacy looks at it."""

    def read(self, path: str) -> Found | None:
        """Return the file at *path*, None where there is none; raise OSError where there is one that cannot be read."""

    def resolve(self, path: str) -> str:
        """Return where *path* leads once every link is followed; raise OSError where it leads nowhere."""

    def exists(self, path: str) -> bool:
        """Say whether anything stands at *path*."""

    @property
    def home(self) -> str:
        """The user's folder, empty where there is none: git's own settings for all repositories lie there."""

    @property
    def settings(self) -> str:
        """The folder of the user's settings, empty where there is none."""

    def has_other_names(self, path: str) -> bool:
        """Say whether the file at *path* is at another place too, by a hard link; raise OSError where there is none."""

    @property
    def lines(self) -> PrivateLines:
        """What stands in the private files that were seen."""


_LARGEST = 1 << 20  # bytes; no ignore file that people write is larger
_REMEMBERED = 4096  # files


class LocalFiles:
    """The real disk; a file is read again when its time, size or identity changed, and only then."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.home = environment.get("HOME") or environment.get("USERPROFILE", "")
        self.settings = environment.get("XDG_CONFIG_HOME") or (f"{self.home}/.config" if self.home else "")
        self.lines = PrivateLines()
        self._known: dict[str, tuple[tuple[int, ...], Found]] = {}

    def read(self, path: str) -> Found | None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(path, None)
            return None
        linked = stat.S_ISLNK(status.st_mode)
        if linked:
            status = os.stat(path)  # noqa: PTH116  a Path costs more than the call, for each of dozens of names
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev, linked)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        if status.st_size > _LARGEST:
            raise OSError("it is larger than 1 MiB")
        with open(path, "rb") as file:  # noqa: PTH123  a Path costs more than the call, for each of dozens of names
            content = file.read(_LARGEST + 1)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        found = Found(content, linked)
        self._known[path] = (stamp, found)
        return found

    def resolve(self, path: str) -> str:
        return os.path.realpath(path, strict=True)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def has_other_names(self, path: str) -> bool:
        status = os.stat(path)  # noqa: PTH116  a Path costs more than the call
        return stat.S_ISREG(status.st_mode) and status.st_nlink > 1
