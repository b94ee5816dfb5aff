"""The state of one editor connection: open documents, other servers' diagnostics, where the user was last, edits that wait."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from glossator.buffer import Buffer
from glossator.document import Diagnostic, Region, Snapshot
from glossator.tasks.task import Ask, Proposal

PENDING_SECONDS = 600.0
SHOWN_SNAPSHOTS = 8
_DRIVE = re.compile(r"^/[A-Za-z]:")


def path_of(uri: str) -> str | None:
    """Return the absolute path that a `file:` URI names, None for every other scheme."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # not a URI at all
        return None
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    if "\0" in path or not path.startswith("/"):
        return None
    if parts.netloc not in {"", "localhost"}:
        return f"//{parts.netloc}{path}"
    return path[1].lower() + path[2:] if _DRIVE.match(path) else path


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user was last: what a command typed without arguments is about."""

    uri: str
    region: Region


@dataclass(frozen=True, slots=True)
class Pending:
    """A proposal that could not be applied; `until` is when it is forgotten, by the session's clock."""

    proposal: Proposal
    ask: Ask
    reason: str
    until: float
    conflict: bool = False


@dataclass(slots=True)
class OpenDocument:
    """A document of the editor and what is known of it."""

    buffer: Buffer
    diagnostics: tuple[Diagnostic, ...] = ()
    shown: OrderedDict[int, Snapshot] = field(default_factory=OrderedDict)  # versions that a menu was made for
    watchers: list[tuple[Callable[[str], bool], asyncio.Future[None]]] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        """Return the text of now, frozen."""
        return self.buffer.snapshot()

    def remember(self) -> Snapshot:
        """Return the text of now, and keep it: what the user picks from a menu speaks of it."""
        snapshot = self.buffer.snapshot()
        self.shown[snapshot.version] = snapshot
        self.shown.move_to_end(snapshot.version)
        while len(self.shown) > SHOWN_SNAPSHOTS:
            self.shown.popitem(last=False)
        return snapshot

    def lost(self, snapshot: Snapshot) -> bool:
        """Say whether the editor's text is another than *snapshot*."""
        return self.buffer.snapshot().lines != snapshot.lines


class Session:
    """Everything that one connection knows. *clock* tells seconds and only goes forward."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.documents: dict[str, OpenDocument] = {}
        self.place: Place | None = None
        self._pending: dict[str, Pending] = {}

    def open(self, uri: str, *, language: str, version: int, text: str) -> OpenDocument:
        """Take a document that the editor has opened, or has opened again."""
        document = OpenDocument(Buffer(uri, language, version, text, path_of(uri)))
        if (earlier := self.documents.get(uri)) is not None:
            document.watchers = earlier.watchers
        self.documents[uri] = document
        return document

    def close(self, uri: str) -> None:
        """Forget a document that the editor has closed."""
        document = self.documents.pop(uri, None)
        self._pending.pop(uri, None)
        if self.place is not None and self.place.uri == uri:
            self.place = None
        for _, future in document.watchers if document else ():
            future.cancel()

    def changed(self, document: OpenDocument) -> None:
        """Tell those who wait for a text that it may have come."""
        if not document.watchers:
            return
        text = document.snapshot().text
        for watcher in list(document.watchers):
            accepts, future = watcher
            if future.done() or accepts(text):
                document.watchers.remove(watcher)
                if not future.done():
                    future.set_result(None)

    def watch(self, document: OpenDocument, accepts: Callable[[str], bool]) -> asyncio.Future[None]:
        """Return a future that is done when a change has made a text that *accepts* takes; cancelled if it closes."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        document.watchers.append((accepts, future))
        return future

    def report(self, uri: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Take all that other servers say of a document, in place of what they said before."""
        if (document := self.documents.get(uri)) is not None:
            document.diagnostics = diagnostics

    def learn(self, uri: str, region: Region, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Take what the editor tells of *region* by the way; an editor that tells nothing may just not know."""
        document = self.documents.get(uri)
        if document is None or not diagnostics:
            return
        others = tuple(
            known for known in document.diagnostics if not known.region.touches(region) and known not in diagnostics
        )
        document.diagnostics = diagnostics + others

    def known(self, uri: str) -> tuple[Diagnostic, ...]:
        """Return other servers' diagnostics of a document."""
        document = self.documents.get(uri)
        return document.diagnostics if document else ()

    def diagnostics_at(self, uri: str, region: Region) -> tuple[Diagnostic, ...]:
        """Return those that touch *region*, the worst and the smallest first."""
        touching = [diagnostic for diagnostic in self.known(uri) if diagnostic.region.touches(region)]
        return tuple(sorted(touching, key=_importance))

    def keep(self, pending: Pending) -> None:
        """Keep a proposal that could not be applied; one for each document."""
        self._pending[pending.proposal.base.uri] = pending

    def pending(self, uri: str) -> Pending | None:
        """Return the proposal that waits for a document, if it is not too old."""
        pending = self._pending.get(uri)
        if pending is not None and pending.until < self.clock():
            del self._pending[uri]
            return None
        return pending

    def forget_pending(self, uri: str) -> None:
        """Forget the proposal that waits for a document."""
        self._pending.pop(uri, None)


def _importance(diagnostic: Diagnostic) -> tuple[int, int, int]:
    region = diagnostic.region
    lines = region.end.line - region.start.line
    return (int(diagnostic.severity), lines, region.end.column - region.start.column if lines == 0 else 0)
