"""What the attacks share: a real server with a real application behind it, and eyes for what must not be there."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from glossator.app import Application
from lsp_client import Client, Editor, in_process

# Words of a private file: wherever one of them turns up, something has leaked.
CANARY = "cnry7f3a9c"
# What an editor can do that shows everything and applies edits.
ABLE: Mapping[str, Any] = {
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "workspaceEdit": {
            "documentChanges": True,
            "changeAnnotationSupport": {"groupsOnLabel": False},
            "normalizesLineEndings": True,
        },
    },
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "refactor"]}},
            "dataSupport": True,
        },
        "hover": {"contentFormat": ["markdown", "plaintext"]},
    },
}
_RENDERERS = (MarkdownIt("commonmark"), MarkdownIt("commonmark").enable("table"))


def harm(markdown: str) -> str | None:
    """Say what of *markdown* would load, link, run or hide in an editor; None where nothing does."""
    for renderer in _RENDERERS:
        todo = list(renderer.parse(markdown))
        while todo:
            token = todo.pop()
            if token.type in {"image", "link_open", "html_inline", "html_block"}:
                return f"{token.type}: {token.content}"
            if found := hidden(token.content):
                return found
            todo += token.children or ()
    return None


def hidden(text: str) -> str | None:
    """Name a character of *text* that hides, turns the text or speaks to a terminal; None where there is none."""
    for character in text:
        invisible = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        if (invisible and character not in "\t\n") or "\U000e0000" <= character <= "\U000e0fff":
            return f"U+{ord(character):04X}"
    return None


@asynccontextmanager
async def editing(
    root: Path,
    environment: Mapping[str, str],
    *,
    settings: object = None,
    show_document: bool = False,
    **initialize: Any,
) -> AsyncIterator[tuple[Client, Editor]]:
    """Open a workspace in a scripted editor with the real server and the real application; *settings* are the workspace's."""
    async with in_process(Application.build, environment=environment) as client:
        client.handlers["workspace/configuration"] = lambda _: [settings]
        folders = [{"uri": root.as_uri(), "name": root.name}]
        window = {"workDoneProgress": True, "showDocument": {"support": show_document}}
        await client.initialize(
            {**ABLE, "window": window}, workspaceFolders=folders, rootUri=root.as_uri(), **initialize
        )
        yield client, Editor(client)


def said(client: Client) -> str:
    """Return everything that the server told the editor so far, as one text."""
    told = [*client.notifications, *client.requests, *(one for many in client.responses.values() for one in many)]
    return json.dumps(told, ensure_ascii=False)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every regular file below *folder*, by its path."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_the_users_alone(path: str) -> bool:
    """Say whether nobody else may read a file; Windows tells that in another way than by its mode."""
    return sys.platform == "win32" or Path(path).stat().st_mode & 0o077 == 0
