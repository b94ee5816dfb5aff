"""What we tell the editor we can do, in answer to `initialize`; plain JSON, so that nothing has to be imported for it."""

from __future__ import annotations

from typing import Any

from glossator import __version__
from glossator.lsp.client import Client

PROTOCOL_VERSION = 1
CONTENT_SCHEME = "glossator"
COMMANDS = (
    "glossator.explain",
    "glossator.fix",
    "glossator.refactor",
    "glossator.ask",
    "glossator.fixAll",
    "glossator.document",
    "glossator.tests",
    "glossator.review",
    "glossator.clearReview",
    "glossator.cancel",
    "glossator.status",
    "glossator.why",
    "glossator.privacy",
    "glossator.apply",
    "glossator.selectProvider",
    "glossator.resetProvider",
)


def answer(client: Client) -> dict[str, Any]:
    """Return the result of `initialize`."""
    workspace: dict[str, Any] = {"workspaceFolders": {"supported": True, "changeNotifications": True}}
    if client.text_document_content:
        workspace["textDocumentContent"] = {"schemes": [CONTENT_SCHEME]}
    capabilities: dict[str, Any] = {
        "positionEncoding": client.encoding,
        "textDocumentSync": {"openClose": True, "change": 2},
        # Never a `source` kind: editors run those on each save.
        "codeActionProvider": {"codeActionKinds": ["quickfix", "refactor"], "resolveProvider": False},
        "hoverProvider": True,
        "executeCommandProvider": {"commands": list(COMMANDS)},
        "workspace": workspace,
    }
    if client.extension:
        capabilities["experimental"] = {
            "glossator": {
                "version": PROTOCOL_VERSION,
                "stream": True,
                "preview": True,
                "diagnostics": "push",
                "ask": True,
                "followup": True,
                "status": True,
            }
        }
    return {"capabilities": capabilities, "serverInfo": {"name": "glossator", "version": __version__}}
