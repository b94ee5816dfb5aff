"""The findings of reviews as the editor's diagnostics: shown as they come, moved with the text, gone where it was edited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from lsprotocol import types

from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.lsp.connection import Connection
from glossator.lsp.convert import from_diagnostic
from glossator.matching import changes

SECONDS_BETWEEN_LOOKS = 0.15


@dataclass(frozen=True, slots=True)
class Shown:
    """The findings of one document, at their places in *snapshot*."""

    snapshot: Snapshot
    findings: tuple[Diagnostic, ...]


class Findings:
    """What the reviews of one connection have found; each document's list is published whole, as LSP wants it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._shown: dict[str, Shown] = {}
        self._waiting: set[str] = set()

    def report(self, base: Snapshot, findings: tuple[Diagnostic, ...]) -> None:
        """Show what was found in *base*, in the place of all that was shown of this document."""
        if base.uri in self._connection.session.documents:
            self._shown[base.uri] = Shown(base, findings)
            self._look(base.uri)

    def changed(self, uri: str) -> None:
        """Look soon which findings an edit leaves."""
        if uri in self._shown and uri not in self._waiting:
            self._waiting.add(uri)
            asyncio.get_running_loop().call_later(SECONDS_BETWEEN_LOOKS, self._look_again, uri)

    def clear(self, uri: str | None = None) -> int:
        """Take the findings of a document back, or all; return how many there were."""
        gone = 0
        for name in list(self._shown) if uri is None else [uri]:
            shown = self._shown.pop(name, None)
            if shown is not None:
                gone += len(shown.findings)
                self._publish(name, None, [])
        return gone

    def _look_again(self, uri: str) -> None:
        self._waiting.discard(uri)
        if uri in self._shown and uri in self._connection.session.documents:
            self._look(uri)

    def _look(self, uri: str) -> None:
        """Move the findings into the text of now, and publish them."""
        shown, now = self._shown[uri], self._connection.session.documents[uri].snapshot()
        if shown.snapshot.lines != now.lines:
            shown = self._shown[uri] = Shown(now, _moved(shown, now))
        encoding = self._connection.client.encoding
        self._publish(uri, now.version, [from_diagnostic(one, now.line, encoding) for one in shown.findings])

    def _publish(self, uri: str, version: int | None, diagnostics: list[Any]) -> None:
        params = types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=diagnostics)
        self._connection.server.protocol.notify(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)


def _moved(shown: Shown, now: Snapshot) -> tuple[Diagnostic, ...]:
    """Return the findings whose lines nobody has edited, where they stand now."""
    edits = changes(shown.snapshot.lines, now.lines)
    kept = []
    for one in shown.findings:
        first, last = one.region.start, one.region.end
        if any(edit.old_start <= last.line and first.line < edit.old_end for edit in edits):
            continue
        shift = sum(
            (edit.new_end - edit.new_start) - (edit.old_end - edit.old_start)
            for edit in edits
            if edit.old_end <= first.line
        )
        region = Region(Point(first.line + shift, first.column), Point(last.line + shift, last.column))
        kept.append(replace(one, region=region))
    return tuple(kept)
