"""The ignore files that people already have, read as closing rules: whatever one of them excludes stays on this machine.

Each kind of file is read by itself, from the top of the repository down, as git reads its own; what any kind excludes is
closed, and no kind opens what another closes. A file that cannot be read or understood closes its whole folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache

from glossator_providers.model import Level
from glossator_providers.privacy.files import Files, Found
from glossator_providers.privacy.patterns import BadPattern, Pattern, parse
from glossator_providers.privacy.reasons import Reason, Source

GIT = ".gitignore"
NAMES = (
    ".glossatorignore",
    ".aiignore",
    ".aiexclude",
    ".noai",
    ".cursorignore",
    ".copilotignore",
    ".continueignore",
    ".codeiumignore",
    ".geminiignore",
    ".aiderignore",
    ".clineignore",
    ".rooignore",
    GIT,
)
_CLOSES_FOLDER = ".noai"  # https://www.jetbrains.com/help/ai-assistant/disable-ai-assistant.html
_WITHOUT_NEGATION = (
    ".aiexclude"  # https://developer.android.com/studio/gemini/aiexclude; an empty one closes its folder
)


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What one ignore file says; `closed` is why its whole folder is closed, None where it is not."""

    patterns: tuple[Pattern, ...]
    closed: str | None = None


def reasons(path: str, top: str, *, files: Files, uri: str | None = None) -> list[Reason]:
    """Return why ignore files between the folder *top* and *path* close it; *path* lies below *top*, both absolute."""
    names = path[len(top.rstrip("/")) + 1 :].split("/")
    found: list[Reason] = []
    for kind in NAMES:
        reason = _judge(kind, names, top.rstrip("/"), files=files, uri=uri)
        if reason is not None:
            found.append(reason)
    return found


def _judge(kind: str, names: list[str], top: str, *, files: Files, uri: str | None) -> Reason | None:
    """Walk from *top* down; the first folder, or at last the file itself, that *kind* excludes decides."""
    source: Source = "git" if kind == GIT else "ignore"
    listings: list[tuple[int, str, Listing]] = []
    for depth in range(len(names)):
        folder = "/".join([top, *names[:depth]])
        if kind == GIT:
            listings += _of_repository(folder, depth, files=files)
        listings += _load(kind, folder, depth, shown="/".join([*names[:depth], kind]), files=files)
        for _, shown, listing in listings:
            if listing.closed is not None:
                clause = f"`{shown}` closes its folder: {listing.closed}"
                return Reason(Level.PRIVATE, shown, source, uri, clause=clause)
        last = depth == len(names) - 1
        for level, shown, listing in reversed(listings):
            pattern = _last_match(listing, "/".join(names[level : depth + 1]), folder=not last)
            if pattern is None:
                continue
            if not pattern.negated:
                clause = f"`{shown}` line {pattern.line} lists it (`{pattern.text}`)"
                return Reason(Level.PRIVATE, f"{shown}:{pattern.line} {pattern.text}", source, uri, clause=clause)
            break
    return None


_EXCLUDE = ".git/info/exclude"
_NAMED = re.compile(rb"(?im)^[ \t]*(excludesfile|path)[ \t]*=[ \t]*\"?([^\"#;\r\n]+?)\"?[ \t]*(?:[#;].*)?\r?$")


def _of_repository(folder: str, depth: int, *, files: Files) -> list[tuple[int, str, Listing]]:
    """Read what is ignored in all repositories and in the one whose top is *folder*, where there is one.

    https://git-scm.com/docs/gitignore: the file that core.excludesFile names, and info/exclude of the repository.
    """
    inner = _git_folder(folder, files)
    if inner is None:
        return []
    listings = []
    for path in (*_excludes_files(inner, files), f"{inner}/info/exclude"):
        shown = _EXCLUDE if path.endswith("/info/exclude") else path
        listings += _load_file(GIT, path, depth, shown=shown, files=files)
    return listings


def _git_folder(folder: str, files: Files) -> str | None:
    """Return where the repository of *folder* keeps its settings, None where there is none.

    A worktree and a submodule have a file there that names another place.
    """
    path = f"{folder}/.git"
    try:
        found = files.read(path)
        if found is None:
            return None
        if found.content.startswith(b"gitdir:"):
            path = os.path.normpath(os.path.join(folder, os.fsdecode(found.content[7:].strip())))  # noqa: PTH118  strings
            common = files.read(f"{path}/commondir")
            if common is not None:
                path = os.path.normpath(os.path.join(path, os.fsdecode(common.content.strip())))  # noqa: PTH118  strings
    except (OSError, ValueError):
        pass  # a folder, as usually, or broken: then git ignores nothing by it
    return path


def _excludes_files(inner: str, files: Files) -> list[str]:
    """Return every file that some setting of git names for what is ignored everywhere, and the one that needs no setting."""
    named = [f"{files.settings}/git/ignore"] if files.settings else []
    settings = [f"{files.settings}/git/config"] if files.settings else []
    settings += [f"{files.home}/.gitconfig"] if files.home else []
    settings += [f"{inner}/config", "/etc/gitconfig"]
    for number, path in enumerate(settings):
        try:
            found = files.read(path)
        except (OSError, ValueError):
            continue  # git itself does not start with settings that it cannot read
        for key, value in _NAMED.findall(found.content if found is not None else b""):
            spelled = os.fsdecode(value)
            if spelled.startswith("~/"):
                spelled = f"{files.home}{spelled[1:]}"
            whole = os.path.normpath(os.path.join(os.path.dirname(path), spelled))  # noqa: PTH118, PTH120  strings
            if key.lower() != b"path":
                named.append(whole)
            elif number < _MOST_SETTINGS and whole not in settings:  # [include]
                settings.append(whole)
    return list(dict.fromkeys(named))


_MOST_SETTINGS = 16  # files of settings that include each other
_MOST_LINES = 10_000  # lines of an ignore file; nobody wrote more, and every path would wait for them


def _load(kind: str, folder: str, depth: int, *, shown: str, files: Files) -> list[tuple[int, str, Listing]]:
    return _load_file(kind, f"{folder}/{kind}", depth, shown=shown, files=files)


def _load_file(kind: str, path: str, depth: int, *, shown: str, files: Files) -> list[tuple[int, str, Listing]]:
    try:
        found = files.read(path)
    except (OSError, ValueError) as error:
        if path == os.devnull:
            return []
        return [(depth, shown, Listing((), f"it cannot be read ({getattr(error, 'strerror', None) or error})"))]
    return [] if found is None else [(depth, shown, read(kind, found))]


@lru_cache(maxsize=1024)
def read(kind: str, found: Found) -> Listing:
    """Read the content of one ignore file of *kind*."""
    if kind == _CLOSES_FOLDER:
        return Listing((), "the file is there")
    if kind == _WITHOUT_NEGATION and not found.content.strip():
        return Listing((), "the file is empty")
    if b"\0" in found.content:
        return Listing((), "it is not text")
    if found.content.count(b"\n") > _MOST_LINES:
        return Listing((), f"it has more than {_MOST_LINES:,} lines")
    text = found.content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    patterns: list[Pattern] = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            pattern = parse(line.removesuffix("\r"), number=number)
        except BadPattern as error:
            return Listing((), f"line {number} cannot be understood, {error}")
        if pattern is None:
            continue
        # git reads no linked .gitignore, and Android Studio no negation: then what is excluded counts, what is opened not
        if pattern.negated and (found.linked or kind == _WITHOUT_NEGATION):
            continue
        patterns.append(pattern)
    return Listing(tuple(patterns))


@lru_cache(maxsize=16384)
def _last_match(listing: Listing, path: str, *, folder: bool) -> Pattern | None:
    for pattern in reversed(listing.patterns):
        if pattern.matches(path, folder=folder):
            return pattern
    return None
