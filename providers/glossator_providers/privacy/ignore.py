"""The ignore files that people already have, read as closing rules: whatever one of them excludes stays on this machine.

Each kind of file is read by itself, from the top of the repository down, as git reads its own; what any kind excludes is
closed, and no kind opens what another closes. A file that cannot be read or understood closes its whole folder.
"""

from __future__ import annotations

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
    source: Source = "git" if kind in (GIT, _EXCLUDE) else "ignore"
    listings: list[tuple[int, str, Listing]] = []
    for depth in range(len(names)):
        folder = "/".join([top, *names[:depth]])
        if depth == 0 and kind == GIT:
            listings += _load(_EXCLUDE, folder, depth, shown=_EXCLUDE, files=files)
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


def _load(kind: str, folder: str, depth: int, *, shown: str, files: Files) -> list[tuple[int, str, Listing]]:
    try:
        found = files.read(f"{folder}/{kind}")
    except OSError as error:
        if kind == _EXCLUDE:
            return []  # `.git` may be a file, and is git's own affair
        return [(depth, shown, Listing((), f"it cannot be read ({error.strerror or error})"))]
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
