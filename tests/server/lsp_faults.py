"""A little language server for the tests of the wire: the same features on plain pygls and on ours (`ours`, `plain`, or `narrow`: plain with one worker)."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from glossator.lsp import boot, wire
from glossator.lsp.capabilities import answer


def make(kind: str) -> LanguageServer:
    """Return a server of this kind, without features."""
    return (
        wire.Server("faults", "1")
        if kind == "ours"
        else LanguageServer("faults", "1", max_workers=1 if kind == "narrow" else None)
    )


def add_features(server: LanguageServer, folder: Path) -> None:  # noqa: C901  a list of small handlers
    """Add what the scenarios need; marks are files in *folder*, and a named pipe there holds a handler back."""

    def mark(name: str) -> None:
        (folder / name).touch()

    @server.command("wait")
    async def wait() -> str:
        mark("waiting")
        await asyncio.sleep(1)
        mark("ran-to-its-end")
        return "waited"

    @server.command("hang")
    async def hang() -> None:
        mark("hanging")
        await asyncio.Event().wait()

    @server.command("echo")
    def echo(*given: Any) -> list[Any]:
        return list(given)

    @server.command("flood")
    def flood() -> None:
        text = "x" * 60_000
        for _ in range(100):
            server.window_log_message(types.LogMessageParams(types.MessageType.Log, text))
        mark("flooded")

    @server.command("askAndForget")
    def ask_and_forget() -> None:
        params = types.ShowMessageRequestParams(types.MessageType.Info, "well?")
        server.window_show_message_request(params).cancel()

    @server.command("progress")
    def progress() -> int:
        for number in range(5):
            server.work_done_progress.begin(number, types.WorkDoneProgressBegin("t"))
            server.work_done_progress.end(number, types.WorkDoneProgressEnd())
        return len(server.work_done_progress.tokens)

    @server.command("text")
    def text(uri: str) -> str:
        return server.workspace.get_text_document(uri).source

    @server.feature("test/blocked")
    def blocked(_: Any) -> str:
        mark("blocked")
        os.close(os.open(folder / "gate", os.O_RDONLY))  # returns when the test opens the other end
        return "free"

    @server.feature("test/counted")
    def counted(_: Any) -> None:
        mark("counted")

    @server.thread()
    @server.feature("test/thread")
    def thread(_: Any) -> str:
        return "from a thread"

    @server.thread()
    @server.feature("test/stuck")
    def stuck(_: Any) -> None:
        mark("stuck")
        os.close(os.open(folder / "gate", os.O_RDONLY))

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return [types.CodeAction(title=one.message) for one in params.context.diagnostics]

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover:
        return types.Hover(contents=f"{params.position.line}:{params.position.character}")

    @server.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT)
    def content(_: Any) -> None:
        return None

    @server.feature("test/unwritable")
    def unwritable(_: Any) -> Any:
        return {1, 2}


def main(kind: str, folder: Path) -> int:
    """Serve on standard input and output; return the exit code."""
    server = make(kind)
    add_features(server, folder)
    logging.basicConfig(level=logging.INFO)
    if not isinstance(server, wire.Server):
        server.start_io()
        return 0
    channel = boot.take_standard_streams()
    greeting = boot.greet(channel, answer)
    if isinstance(greeting, int):
        return greeting
    code = wire.run(server, channel, greeting)
    boot.leave_threads_behind(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
