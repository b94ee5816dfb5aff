"""Where an explanation is shown in an editor without our plugin: a virtual document that grows, a file, or one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from lsprotocol import types

from glossator.lsp.capabilities import CONTENT_SCHEME
from glossator.lsp.connection import Connection
from glossator.lsp.progress import one_line
from glossator.lsp.wire import Refused

KEPT = 20
SECONDS_BETWEEN_REFRESHES = 0.2
SECONDS_FOR_SHOW = 5.0
_SENTENCE = re.compile(r"^(.+?[.!?])(\s|$)", re.DOTALL)
_DECORATION = re.compile(r"[*_`#>]+")


class Library:
    """The virtual documents of one connection; the oldest give way."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()

    def write(self, uri: str, text: str) -> None:
        """Put *text* at *uri*."""
        self._texts[uri] = text
        self._texts.move_to_end(uri)
        while len(self._texts) > KEPT:
            self._texts.popitem(last=False)

    def read(self, uri: str) -> str:
        """Return the text at *uri*; editors spell our URIs with one slash or with three."""
        name = uri.removeprefix(f"{CONTENT_SCHEME}:").lstrip("/")
        return self._texts.get(f"{CONTENT_SCHEME}:/{name}", "This explanation is no longer at hand\n")


class Display:
    """The place of one explanation. *name* is its job's; what it shows replaces what it showed.

    What *stays* is about a private document: it is written to no file, also where an editor can show nothing else.
    """

    def __init__(self, connection: Connection, library: Library, name: str, *, stays: Callable[[], bool]) -> None:
        self._connection = connection
        self._library = library
        self._uri = f"{CONTENT_SCHEME}:/explain/{name}/explanation.md"  # editors show the last part as the title
        self._name = name
        self._stays = stays
        self._way = choose_way(connection)
        self._timer: asyncio.TimerHandle | None = None
        self._opened = False

    def grow(self, text: str) -> None:
        """Show what there is so far, where that can be shown."""
        if self._way != "content" or not text:
            return
        self._library.write(self._uri, text)
        if not self._opened:
            self._opened = True
            self._show(self._uri)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS_BETWEEN_REFRESHES, self._refresh)

    def end(self, text: str) -> None:
        """Show the whole explanation."""
        if self._way == "content":
            self.grow(text)
            if self._timer is not None:
                self._timer.cancel()
                self._refresh()
        elif self._way == "file" and self._stays():
            self._connection.show(
                f"{first_sentence(text)} (of a private file no more is shown here; hover to read it all)"
            )
        elif self._way == "file":
            from glossator.consent import state_folder

            try:
                path = write_file(state_folder(self._connection.environment), self._name, text)
            except OSError as problem:
                self._connection.show(f"{first_sentence(text)} (it could not be written to a file: {problem.strerror})")
                return
            self._show(path.as_uri())
        elif self._way == "message":
            self._connection.show(first_sentence(text))

    def _show(self, uri: str) -> None:
        self._connection.server.spawn(
            self._ask("window/showDocument", types.ShowDocumentParams(uri=uri, take_focus=False)), name="show"
        )

    def _refresh(self) -> None:
        self._timer = None
        params = types.TextDocumentContentRefreshParams(self._uri)
        self._connection.server.spawn(self._ask("workspace/textDocumentContent/refresh", params), name="refresh")

    async def _ask(self, method: str, params: object) -> None:
        with contextlib.suppress(Refused, TimeoutError):  # the explanation is at hand by hover all the same
            await self._connection.server.protocol.ask(method, params, seconds=SECONDS_FOR_SHOW)


def choose_way(connection: Connection) -> str:
    """Return `content`, `file`, `message` or `none`: what the editor can do and the user wants."""
    client, wanted = connection.client, connection.settings.explain_show
    if wanted == "hover" or (wanted == "auto" and client.stream):
        return "none"
    if wanted == "message":
        return "message"
    if client.text_document_content and client.show_document:
        return "content"
    return "file" if client.show_document else "message"


def first_sentence(markdown: str) -> str:
    """Return the first sentence, without decoration, on one line."""
    words = [line for line in markdown.splitlines() if line.strip() and not line.lstrip().startswith(("#", "```", "|"))]
    text = _DECORATION.sub("", " ".join(words))
    found = _SENTENCE.match(text)
    return one_line(found[1] if found else text, 300)


def write_file(folder: Path, name: str, text: str) -> Path:
    """Write an explanation that only the user can read; keep the last few. Raises OSError."""
    explanations = folder / "explanations"
    explanations.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = explanations / f"{name}.md"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text if text.endswith("\n") else f"{text}\n")
    old = sorted(explanations.glob("*.md"), key=lambda one: one.stat().st_mtime, reverse=True)[KEPT:]
    for gone in old:
        gone.unlink(missing_ok=True)
    return path
