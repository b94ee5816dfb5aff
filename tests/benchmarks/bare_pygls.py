"""The reference server: pygls as its own examples use it, with a hover and a code action that do nothing."""

from __future__ import annotations

from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("bare", "1")


@server.feature(types.TEXT_DOCUMENT_HOVER)
def hover(params: types.HoverParams) -> types.Hover:
    """Answer with a constant."""
    return types.Hover(contents=types.MarkupContent(types.MarkupKind.Markdown, "text"))


@server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
    """Offer one command for each diagnostic, as a real server would."""
    uri = params.text_document.uri
    server.workspace.get_text_document(uri)
    return [
        types.CodeAction(
            title=f"Fix {diagnostic.message}",
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[diagnostic],
            command=types.Command(title="fix", command="bare.fix", arguments=[uri]),
        )
        for diagnostic in params.context.diagnostics
    ]


@server.command("bare.fix")
def fix(*arguments: object) -> None:
    """Do nothing."""


if __name__ == "__main__":
    server.start_io()
