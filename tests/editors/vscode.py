"""A real VS Code in a browser without a screen, with our extension as users install it: its window, and its extension host."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import parts
from editors.chromium import DEADLINE, Page, PageFailed, browse

HERE = Path(__file__).resolve().parent
EXTENSION = parts.ROOT / "editors" / "vscode"
NPM_PACKAGES = EXTENSION / "node_modules"
TOASTS = ".notifications-toasts .notification-list-item-message"

# What would move, ask, or look outside, and has nothing to do with us.
SETTINGS = {
    "chat.disableAIFeatures": True,
    "editor.hover.delay": 100,
    "editor.minimap.enabled": False,
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "files.autoSave": "off",
    "git.enabled": False,
    "remote.autoForwardPorts": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "window.confirmBeforeClose": "never",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}


class VSCodeFailed(AssertionError):
    """VS Code did not do what the test waited for; the message tells what stood in its window."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A VS Code with a folder of extensions, ours among them."""

    node: Path
    program: Path
    extensions: Path


@dataclass(frozen=True, slots=True)
class Checker:
    """A language server beside ours."""

    name: str
    command: tuple[str, ...]


class VSCode:
    """One window: `page` is what a person sees and touches, `run` goes behind it."""

    def __init__(
        self, page: Page, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, screenshots: Path
    ) -> None:
        self.page = page
        self._reader = reader
        self._writer = writer
        self._screenshots = screenshots
        self._number = 0
        self._document = ""  # the expression of the file that was opened last

    async def run(self, code: str) -> Any:
        """Run JavaScript in the extension host and return what it returns."""
        answer = await self._ask({"code": code})
        if not answer["ok"]:
            raise VSCodeFailed(f"{answer['result']}\nin: {code}")
        return answer.get("result")

    async def until(self, expression: str, *, deadline: float = DEADLINE) -> Any:
        """Wait until an expression in the extension host is true, and return its value."""
        answer = await self._ask({"code": f"return {expression}", "deadline": deadline})
        if not answer["ok"]:
            seen = await self.page.text()
            raise VSCodeFailed(f"not within {deadline:g} s: {expression} ({answer.get('result')})\n{seen}")
        return answer["result"]

    async def open(self, path: Path) -> None:
        """Open a file."""
        self._document = (
            f"vscode.workspace.textDocuments.find((one) => one.uri.fsPath === {json.dumps(str(path))} && !one.isClosed)"
        )
        await self.run(
            f"await vscode.window.showTextDocument(vscode.Uri.file({json.dumps(str(path))}), {{preview: false}})"
        )

    async def text(self) -> str:
        """Return the text of the file that was opened last."""
        return await self.text_until("true")

    async def text_until(self, condition: str) -> str:
        """Wait until a condition on `text` holds, and return the text."""
        found = await self.until(
            f"(() => {{ const text = {self._document}.getText(); return ({condition}) ? {{text}} : false; }})()"
        )
        return str(found["text"])

    async def diagnostics_of(self, source: str) -> None:
        """Wait until the editor's file has a diagnostic of a source."""
        await self.until(
            f"vscode.languages.getDiagnostics({self._document}.uri)"
            f".some((one) => (one.source ?? '').toLowerCase() === {json.dumps(source.lower())})"
        )

    async def cursor(self, line: int, column: int) -> None:
        """Put the cursor on a line and a column, both from 0, and the focus into the editor."""
        await self.run(
            f"const editor = await vscode.window.showTextDocument({self._document}, {{viewColumn: 1}});"
            f"editor.selection = new vscode.Selection({line}, {column}, {line}, {column})"
        )
        # What the extension host sets reaches the window a little later, and keys go where the window has the cursor.
        await self.page.until_text(f"Ln {line + 1}, Col {column + 1}", ".statusbar")
        await self.page.until("document.hasFocus() && document.activeElement.closest('.monaco-editor')")

    async def hover(self, word: str, *, until: str) -> None:
        """Rest the mouse on a word of the code until the hover shows a text."""
        for attempts_left in (2, 1, 0):
            # A hover that opens before the server is up stays as it is: a user rests the mouse there again.
            await self.page.point(".statusbar")
            await self.page.until("!document.querySelector('.monaco-hover:not(.hidden)')")
            await self.page.point(".monaco-editor .view-line span span", word)
            try:
                await self.page.until_text(until, ".monaco-hover:not(.hidden)", deadline=DEADLINE / 3)
            except PageFailed:
                if not attempts_left:
                    raise
            else:
                return

    async def pick_action(self, title: str, *, seen: str | None = None) -> list[str]:
        """Open the menu of the light bulb, perhaps leave a picture, choose the line that begins with *title*; return all lines."""
        rows = ".action-widget .monaco-list-row"
        for attempts_left in (2, 1, 0):
            # A key can be lost while the window is laid out, and a menu can come before the server is up: a user opens it again.
            await self.page.press("Control+.")
            try:
                await self.page.until_text(title, rows, deadline=DEADLINE / 3)
                break
            except PageFailed:
                if not attempts_left:
                    raise
                await self.page.press("Escape")
        lines = await self.page.value(
            f"[...document.querySelectorAll({json.dumps(rows)})]"
            ".sort((one, other) => one.getBoundingClientRect().y - other.getBoundingClientRect().y)"
            ".map((one) => one.innerText.replaceAll('\\u00a0', ' ').trim())"
        )
        if seen is not None:
            await self.screenshot(seen)
        await self.page.click(rows, title)
        await self.page.until("!document.querySelector('.action-widget')?.checkVisibility()")
        return list(lines)

    async def command(self, name: str) -> None:
        """Run a command as the palette would, and do not wait for its end."""
        await self.run(f"void vscode.commands.executeCommand({json.dumps(name)})")

    async def previewed(self, text: str) -> None:
        """Wait until the preview beside the code shows a text."""
        # The page is two frames deep, both from the same origin as the window; the inner one is pending until it is painted.
        await self.page.until(
            "[...document.querySelectorAll('iframe.webview')]"
            ".flatMap((outer) => [...(outer.contentDocument?.querySelectorAll('iframe#active-frame') ?? [])])"
            f".some((inner) => inner.checkVisibility({{visibilityProperty: true}}) && inner.contentDocument?.body.innerText.includes({json.dumps(text)}))"
        )

    async def told(self, text: str) -> None:
        """Wait until VS Code shows a message."""
        await self.page.until_text(text, TOASTS)

    async def screenshot(self, name: str) -> None:
        """Leave a picture for a person to look at."""
        await self.page.screenshot(self._screenshots / f"{name}.png")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._writer.write(json.dumps({"id": self._number, **request}).encode() + b"\n")
        await self._writer.drain()
        line = await asyncio.wait_for(self._reader.readline(), DEADLINE + request.get("deadline", 0.0))
        if not line:
            raise VSCodeFailed("the extension host has ended")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        assert answer["id"] == self._number
        return answer


def find_vscode() -> tuple[Path, Path]:
    """Return the program of Node and that of VS Code, or skip."""
    stamps = sorted(parts.folder().glob("vscode-*/.glossator-part"))
    if not stamps:
        pytest.skip("no VS Code is installed: tests/editors/install.sh brings one by npm")
    packages = stamps[-1].parent / "node_modules"
    node = next(packages.glob("node-linux-*/bin/node"))
    return node, packages / "code-server" / "out" / "node" / "entry.js"


def install_extensions(folder: Path) -> Installed:
    """Package our extension as a release does, and the tests' driver, and install both into a new VS Code below *folder*."""
    node, program = find_vscode()
    if not (NPM_PACKAGES / ".package-lock.json").exists():
        pytest.skip("the extension's packages are not installed: `npm ci` in editors/vscode brings them")
    installed = Installed(node, program, folder / "extensions")
    ours, driver = folder / "glossator.vsix", folder / "driver.vsix"
    _done([parts.program("npm"), "run", "package", "--", "--out", str(ours)], cwd=EXTENSION)
    bundle = folder / "driver"
    shutil.copytree(HERE / "vscode_driver", bundle)
    (bundle / "LICENSE").write_text("MIT\n")
    source = bundle / "driver.js"
    esbuild, vsce = (str(NPM_PACKAGES / ".bin" / name) for name in ("esbuild", "vsce"))
    into = (f"--outfile={source}", "--allow-overwrite", "--log-level=warning")
    _done(
        [esbuild, str(source), "--bundle", "--platform=node", "--external:vscode", *into],
        cwd=bundle,
        NODE_PATH=str(NPM_PACKAGES),
    )
    _done([vsce, "package", "--no-dependencies", "--allow-missing-repository", "--out", str(driver)], cwd=bundle)
    for package in (ours, driver):
        _done([*_code_server(installed, folder / "home"), "--install-extension", str(package)], cwd=folder)
    return installed


@asynccontextmanager
async def start_vscode(
    installed: Installed,
    folder: Path,
    *,
    screenshots: Path,
    environment: Mapping[str, str],
    checkers: tuple[Checker, ...] = (),
    settings: Mapping[str, object] | None = None,
) -> AsyncIterator[VSCode]:
    """Open a folder in a VS Code with a home of its own; end it, its extension host and the browser with the block."""
    # Not pytest's folder: the path of a socket may have 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="vscode-"))
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
        asyncio.get_running_loop().create_future()
    )

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result((reader, writer))

    listener = await asyncio.start_unix_server(accept, path=str(home / "driver"), limit=1 << 24)
    server = {"glossator.path": sys.executable, "glossator.arguments": ["-m", "glossator", "serve"]}
    for kind, told in (("User", {**SETTINGS, **(settings or {})}), ("Machine", server)):
        (home / kind).mkdir()
        (home / kind / "settings.json").write_text(json.dumps(told))
    log = (home / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *_code_server(installed, home),
        *("--auth", "none", "--bind-addr", "127.0.0.1:0", "--disable-workspace-trust"),
        str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=_environment(
            GLOSSATOR_TEST_SOCKET=str(home / "driver"),
            GLOSSATOR_TEST_CHECKERS=json.dumps([{"name": one.name, "command": one.command} for one in checkers]),
            GLOSSATOR_DISCOVERY="off",
            GLOSSATOR_STATE_DIR=str(home / "glossator-state"),
            GLOSSATOR_CACHE_DIR=str(home / "glossator-cache"),
            HOME=str(home),
            **environment,
        ),
        start_new_session=True,
    )
    try:
        async with browse(home / "chromium") as page:
            address = await asyncio.wait_for(_address(process), DEADLINE)
            await page.go(f"{address}?folder={quote(str(folder))}")
            try:
                reader, writer = await asyncio.wait_for(asyncio.shield(connected), DEADLINE)
            except TimeoutError:
                await page.screenshot(screenshots / "did-not-start.png")
                raise VSCodeFailed(
                    f"the driver did not start in VS Code; its window shows:\n{await page.text()}"
                ) from None
            editor = VSCode(page, reader, writer, screenshots)
            try:
                yield editor
            except BaseException:
                await editor.screenshot(f"failed-{folder.parent.name}")
                raise
            finally:
                writer.close()
    finally:
        listener.close()
        os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        log.close()
        shutil.rmtree(home, ignore_errors=True)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if found := re.search(rb"listening on (http://\S+)", line):
            return found[1].decode()
    raise VSCodeFailed("VS Code has ended before it listened")


def _code_server(installed: Installed, home: Path) -> list[str]:
    return [
        *(str(installed.node), str(installed.program)),
        *("--config", str(home / "config.yaml"), "--user-data-dir", str(home)),
        *("--extensions-dir", str(installed.extensions)),
        *("--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"),
    ]


def _environment(**more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    # Port 9 discards: nothing is looked up in a gallery.
    return {**inherited, "EXTENSIONS_GALLERY": '{"serviceUrl":"http://127.0.0.1:9"}', **more}


def _done(command: list[str], *, cwd: Path, **environment: str) -> None:
    told = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **_environment(**environment)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
