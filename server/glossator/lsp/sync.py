"""Documents as the editor tells of them: opened, changed, closed; and what other servers find in them."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from glossator.lsp.client import look_up
from glossator.lsp.connection import Connection
from glossator.lsp.convert import clean_text, to_diagnostics, to_region
from glossator.lsp.jobs import Jobs
from glossator.lsp.offers import Offers
from glossator.lsp.protocol import DiagnosticsParams

SCHEMES = ("file:", "untitled:", "vscode-notebook-cell:")  # others are not documents: VS Code's chat box is one


class Sync:
    """Answers the document notifications of one connection."""

    def __init__(self, connection: Connection, jobs: Jobs, offers: Offers) -> None:
        self._connection = connection
        self._jobs = jobs
        self._offers = offers

    def opened(self, params: types.DidOpenTextDocumentParams) -> None:
        """Take a document."""
        self._connection.begin()  # for an editor that never says `initialized`
        item = params.text_document
        if item.uri.startswith(SCHEMES):
            document = self._connection.session.open(
                item.uri, language=item.language_id, version=item.version, text=clean_text(item.text)
            )
            self._connection.session.changed(document)
            self._offers.changed(item.uri)

    def changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """Take changes; the positions of each are those after the one before."""
        session = self._connection.session
        document = session.documents.get(params.text_document.uri)
        if document is None:
            return
        buffer = document.buffer
        for change in params.content_changes:
            text = clean_text(change.text)
            if isinstance(change, types.TextDocumentContentChangePartial):
                buffer.change(to_region(change.range, buffer.line, self._connection.client.encoding), text)
            else:
                buffer.replace(text)
        if isinstance(params.text_document.version, int):
            buffer.version = params.text_document.version
        session.changed(document)
        self._jobs.document_changed(params.text_document.uri)
        self._offers.changed(params.text_document.uri)

    def closed(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forget a document, and end what works on it."""
        self._forget(params.text_document.uri)

    def unreadable(self, method: str, raw: Any) -> None:
        """Give up a document whose change could not be read: every edit of it would land in the wrong place."""
        uri = look_up(raw, "textDocument", "uri")
        if (
            method == types.TEXT_DOCUMENT_DID_CHANGE
            and isinstance(uri, str)
            and uri in self._connection.session.documents
        ):
            self._forget(uri)
            self._connection.show(
                "glossator could not read a change of this document and has let go of it; close and open it again",
                types.MessageType.Warning,
            )

    def told(self, params: DiagnosticsParams) -> None:
        """Take other servers' diagnostics of a document."""
        uri = params.text_document.uri
        document = self._connection.session.documents.get(uri)
        if document is None:
            return
        encoding = self._connection.client.encoding
        told = to_diagnostics(params.diagnostics, document.buffer.line, encoding)
        self._connection.session.report(uri, told)

    def _forget(self, uri: str) -> None:
        self._jobs.document_closed(uri)
        self._connection.session.close(uri)
