"""What stands in private files is private wherever it stands: their lines are remembered as they are seen, and recognised."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from glossator_providers.privacy import paths
from glossator_providers.privacy.files import Files
from glossator_providers.privacy.policy import Policy
from glossator_providers.privacy.reasons import Reason, Source

# A file that merely lies elsewhere, or is not saved yet, gives nothing away by its lines: it may be a library's.
_CLOSING: frozenset[Source] = frozenset({"path", "ignore", "policy", "git"})
# What git ignores is often a copy of what it does not: built, installed, generated.
_COPIES = frozenset({
    *("node_modules", "bower_components", "site-packages", "vendor", "third_party", ".venv", "venv", "env", ".tox", ".nox"),
    *("dist", "build", "out", "target", "bin", "obj", "coverage", "htmlcov", ".next", ".nuxt", ".svelte-kit", ".gradle"),
    *("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".cache", ".eggs", ".idea"),
})  # fmt: skip
_NOT_WALKED = _COPIES | {".git", ".hg", ".svn"}
_MOST_FILES = 3000
_LARGEST = 1 << 17  # bytes of a file that is read while looking around
SECONDS = 1.0  # that looking around may take, so that no first request waits noticeably


@dataclass(frozen=True, slots=True)
class Places:
    """The documents of one decision: where they lie, and what is remembered of those that are private."""

    policy: Policy
    roots: tuple[str, ...]
    files: Files

    def reasons(self, uri: str, texts: Iterable[str] = ()) -> list[Reason]:
        """Return every reason that the place of a document gives; of a private one, remember the *texts* that were shown."""
        found = paths.reasons(uri, policy=self.policy, roots=self.roots, files=self.files)
        closing = _closing(uri, found)
        for text in texts if closing else ():
            self.files.lines.add(uri, text, max(reason.level for reason in closing))
        return found

    def of_lines(self, texts: Collection[str], *, uris: Collection[str], uri: str | None = None) -> list[Reason]:
        """Say whether *texts*, which come from *uris*, hold what stands in another file that is private."""
        while (shared := self.files.lines.find(texts, but=uris)) is not None:
            if _closing(shared.uri, self.reasons(shared.uri)):
                name = self._name(shared.uri)
                clause = f"it holds what also stands in `{name}`, which {'no model may see' if shared.level > 1 else 'is private'}"
                place = (shared.line, 0, shared.line + 1, 0) if uri is not None and shared.line is not None else None
                return [Reason(shared.level, f"lines of {name}", "index", uri, place, clause)]
            self.files.lines.forget(shared.uri)
        return []

    def look_around(self, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the workspace's files, as far as that takes no longer: the private ones to know them, the open ones beside them.

        Folders are walked from the top down; what is not reached is known once it is opened.
        """
        until, count = clock() + seconds, 0
        folders = deque(self.roots)
        while folders:
            for entry in _listed(folders.popleft()):
                if clock() >= until or count >= _MOST_FILES:
                    return
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _NOT_WALKED:
                        folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    count += 1
                    self._read(entry.path)

    def _read(self, path: str) -> None:
        text = _text(path)
        if text is None:
            return
        try:
            uri = Path(path).as_uri()
        except ValueError:
            return  # it lies in a relative root, in which nothing is open either
        if not self.reasons(uri, [text]):
            self.files.lines.add_open(text)

    def _name(self, uri: str) -> str:
        path = paths.to_path(uri) or uri
        inside = [root for root in self.roots if path.startswith(root.rstrip("/") + "/")]
        return path[len(max(inside, key=len).rstrip("/")) + 1 :] if inside else path


def _closing(uri: str, reasons: Iterable[Reason]) -> list[Reason]:
    """Return those of *reasons* by which the content of a document is private, and not only its place."""
    closing = [reason for reason in reasons if reason.source in _CLOSING]
    if all(reason.source == "git" for reason in closing) and _COPIES & set(uri.split("/")):
        return []
    return closing


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _text(path: str) -> str | None:
    """Return the text of a file, None where it is large, binary or cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  a Path costs more than the call, for thousands of files
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    return None if len(data) > _LARGEST or b"\0" in data else data.decode("utf-8", "replace")
