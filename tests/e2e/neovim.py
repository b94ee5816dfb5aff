"""A real Neovim without a screen, driven by a test: it types keys, runs Lua, and waits for what a user would see."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parts
from editors.neovims import Installed

# Two cores are shared with other tests: far beyond what anything takes, so that only what never comes fails.
DEADLINE = 30.0  # seconds

HERE = Path(__file__).resolve().parent
PLUGIN = parts.ROOT / "editors" / "nvim"
SERVER = (sys.executable, "-m", "glossator", "serve")


class NeovimFailed(AssertionError):
    """Neovim did not do what the test waited for; the message tells what stood on its screen."""


@dataclass(frozen=True, slots=True)
class Checker:
    """Another language server beside ours."""

    name: str
    command: tuple[str, ...]


class Neovim:
    """One running editor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    async def run(self, code: str) -> Any:
        """Run Lua on a turn of the main loop and return what it returns."""
        answer = await self._ask({"code": code})
        if not answer["ok"]:
            raise NeovimFailed(f"{answer['result']}\nin: {code}")
        return answer["result"]

    async def value(self, expression: str) -> Any:
        """Return the value of a Lua expression."""
        return await self.run(f"return {expression}")

    async def until(self, expression: str, *, deadline: float = DEADLINE) -> Any:
        """Wait until a Lua expression is true, and return its value; seconds beyond *deadline* fail the test."""
        answer = await self._ask({"code": f"return {expression}", "deadline": deadline})
        if not answer["ok"]:
            screen = await self.screen()
            raise NeovimFailed(f"not within {deadline:g} s: {expression} ({answer['result']})\n{screen}")
        return answer["result"]

    async def type(self, keys: str) -> None:
        """Press keys as a user does; `<Esc>` and its like as in Neovim's mappings."""
        await self.run(f"vim.api.nvim_input({lua_string(keys)})")

    async def command(self, line: str) -> None:
        """Run a command of the command line by its keys: it is one turn of the main loop of its own."""
        await self.type(f":{line.replace('<', '<lt>')}<CR>")

    async def text(self) -> str:
        """Return the text of the current buffer."""
        text = await self.value("text()")
        assert isinstance(text, str)
        return text

    async def messages(self) -> str:
        """Return all that the user was told so far."""
        return "\n".join(await self.value("_G.messages"))

    async def screen(self) -> str:
        """Describe what a user would see, for the message of a failed test."""
        seen = await self.run(
            "return {mode = vim.api.nvim_get_mode(), float = float_text() or 'none', frame = float_frame() or 'none',"
            " messages = _G.messages, clients = vim.tbl_map(function(c) return c.name end, vim.lsp.get_clients()),"
            " screen = vim.fn.execute('messages'), text = text()}"
        )
        return "\n".join(f"{name}: {value}" for name, value in seen.items())

    async def open(self, path: Path) -> None:
        """Open a file and wait until our server serves it."""
        await self.run(f"vim.cmd.edit(vim.fn.fnameescape({lua_string(str(path))}))")
        await self.attached()

    async def attached(self) -> None:
        """Wait until our server has answered `initialize` for the current buffer."""
        await self.until("(vim.lsp.get_clients({ name = 'glossator', bufnr = 0 })[1] or {}).initialized")

    async def diagnostics_of(self, source: str, *, count: int = 1) -> None:
        """Wait until the current buffer shows diagnostics of a source."""
        await self.until(
            "#vim.tbl_filter(function(d) return (d.source or ''):lower() == "
            f"{lua_string(source.lower())} end, vim.diagnostic.get(0)) >= {count}"
        )

    async def cursor(self, line: int, column: int) -> None:
        """Put the cursor on a line, from 1, and a byte column, from 0."""
        await self.run(f"vim.api.nvim_win_set_cursor(0, {{ {line}, {column} }})")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._writer.write(json.dumps({"id": self._number, **request}).encode() + b"\n")
        await self._writer.drain()
        line = await asyncio.wait_for(self._reader.readline(), DEADLINE + request.get("deadline", 0.0))
        if not line:
            raise NeovimFailed("Neovim has ended")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        assert answer["id"] == self._number
        return answer


def lua_string(text: str) -> str:
    """Quote *text* as a Lua string: JSON's quoting of control characters is not Lua's."""
    quoted = "".join(
        f"\\{byte:03d}" if byte < 0x20 or byte in b'"\\' or byte > 0x7E else chr(byte) for byte in text.encode()
    )
    return f'"{quoted}"'


@asynccontextmanager
async def start_neovim(
    installed: Installed,
    *,
    environment: Mapping[str, str],
    checker: Checker | None = None,
    server: tuple[str, ...] = SERVER,
) -> AsyncIterator[Neovim]:
    """Start Neovim in a home of its own with our plugin and, beside our server, perhaps another; end it with the block."""
    # Not pytest's folder: the path of a socket may have 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="nvim-"))
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
        asyncio.get_running_loop().create_future()
    )

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result((reader, writer))

    listener = await asyncio.start_unix_server(accept, path=str(home / "driver"), limit=1 << 24)
    inherited = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH") if name in os.environ
    }
    process = await asyncio.create_subprocess_exec(
        str(installed.program),
        *("--headless", "-n", "-i", "NONE", "-u", str(HERE / "lua" / "init.lua")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env={
            **inherited,
            **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")},
            "HOME": str(home),
            "GLOSSATOR_TEST_SOCKET": str(home / "driver"),
            "GLOSSATOR_TEST_PLUGIN": str(PLUGIN),
            "GLOSSATOR_TEST_DRIVER": str(HERE / "lua" / "driver.lua"),
            "GLOSSATOR_TEST_SERVER": json.dumps(server),
            "GLOSSATOR_DISCOVERY": "off",
            "GLOSSATOR_STATE_DIR": str(home / "glossator-state"),
            "GLOSSATOR_CACHE_DIR": str(home / "glossator-cache"),
            **(
                {"GLOSSATOR_TEST_CHECKER": json.dumps({"name": checker.name, "cmd": checker.command})}
                if checker
                else {}
            ),
            **environment,
        },
    )
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        waiting: set[asyncio.Future[Any]] = {connected, errors}
        done, _ = await asyncio.wait(waiting, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if connected not in done:
            raise NeovimFailed(f"Neovim did not start: {errors.result().decode() if errors.done() else 'no answer'}")
        reader, writer = connected.result()
        try:
            editor = Neovim(reader, writer)
            yield editor
            mistakes = await editor.value("vim.v.errmsg")
            assert "stack traceback" not in mistakes, mistakes
        finally:
            # Neovim ends when its driver hears nothing more.
            writer.close()
            await writer.wait_closed()
    finally:
        listener.close()
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        except TimeoutError:
            process.kill()
            await process.wait()
        await errors
        shutil.rmtree(home, ignore_errors=True)
