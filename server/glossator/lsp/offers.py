"""Keep the routes that menus show fresh beside the typing, so that no menu has to look through a text."""

from __future__ import annotations

import asyncio

from glossator.lsp.connection import Connection, log
from glossator.lsp.wire import describe_failure

SECONDS_BETWEEN_OFFERS = 0.2


class Offers:
    """Renews the offer of each document that changes, a few times a second at most."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: set[str] = set()

    def changed(self, uri: str) -> None:
        """Renew the offer of a document soon."""
        if uri not in self._waiting:
            self._waiting.add(uri)
            asyncio.get_running_loop().call_later(SECONDS_BETWEEN_OFFERS, self._renew, uri)

    def renew_all(self) -> None:
        """Renew the offers of all open documents soon: who makes them has just come."""
        for uri in self._connection.session.documents:
            self.changed(uri)

    def _renew(self, uri: str) -> None:
        self._waiting.discard(uri)
        application, document = self._connection.application, self._connection.session.documents.get(uri)
        if application is None or document is None:
            return
        try:
            application.offer(document.snapshot())
        except Exception as failure:  # noqa: BLE001  the menu goes on with what was known
            log.error("No offer could be made: %s", describe_failure(failure))
