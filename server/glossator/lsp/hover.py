"""Hover: what the checkers' handbook and earlier explanations say of this place; nothing is sent, and nothing is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types

from glossator.document import Region
from glossator.lsp.connection import Connection, log
from glossator.lsp.convert import to_point
from glossator.lsp.wire import describe_failure
from glossator.session import Place

SECONDS = 0.3
MOST_LOOKS = 8  # at once
HINT = "glossator can explain this: see the code actions"


class Hover:
    """Answers `textDocument/hover`. What is not there in time goes on in the background, for the next hover."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._looking: dict[Place, asyncio.Task[Any]] = {}

    async def show(self, params: types.HoverParams) -> types.Hover | None:
        """Return what is known of this place."""
        connection = self._connection
        document = connection.session.documents.get(params.text_document.uri)
        if document is None:
            return None
        snapshot = document.snapshot()
        point = to_point(params.position, snapshot.line, connection.client.encoding)
        place = Place(snapshot.uri, Region(point, point))
        connection.session.place = place
        application = connection.application
        diagnostics = connection.session.diagnostics_at(snapshot.uri, place.region)
        if application is None:
            return None
        task = self._looking.get(place)
        if task is None:
            if len(self._looking) >= MOST_LOOKS:
                return None  # whatever answers is stuck: no use in asking more
            task = connection.server.spawn(self._look(application.hover(snapshot, point, diagnostics)), name="hover")
            self._looking[place] = task
            task.add_done_callback(lambda _: self._looking.pop(place, None))
        await asyncio.wait({task}, timeout=SECONDS)
        markdown = task.result() if task.done() and not task.cancelled() else None
        if not markdown and diagnostics and connection.settings.hover_hint:
            markdown = HINT
        if not markdown:
            return None
        kind = types.MarkupKind.Markdown if connection.client.markdown_hover else types.MarkupKind.PlainText
        return types.Hover(contents=types.MarkupContent(kind=kind, value=markdown))

    @staticmethod
    async def _look(looking: Any) -> str | None:
        try:
            found = await looking
        except Exception as problem:  # noqa: BLE001  a hover without text is better than an error box on each move
            log.error("Hover failed: %s", describe_failure(problem))
            return None
        return found if isinstance(found, str) else None
