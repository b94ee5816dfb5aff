"""A Chromium without a screen, driven by a test over a pipe in its DevTools protocol: keys, the mouse, what stands on the page.

The protocol: https://chromedevtools.github.io/devtools-protocol/. A pipe and no port, so that nobody else can drive it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import parts

# Two cores are shared with other tests: far beyond what anything takes, so that only what never comes fails.
DEADLINE = 60.0  # seconds
SIZE = (1280, 800)
LARGEST_MESSAGE = 1 << 26  # bytes: a screenshot is one message

# The pipe is at the descriptors 3 and 4 of the browser; a shell puts our two there.
ON_A_PIPE = ("sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh")
QUIET = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # in a container there is often none to be had; the browser shows our own page only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    f"--window-size={SIZE[0]},{SIZE[1]}",
)

# What the protocol calls a key, and its number: https://www.w3.org/TR/uievents-code/ and the virtual keys of Windows.
KEYS = {
    "Enter": ("Enter", 13),
    "Escape": ("Escape", 27),
    "ArrowUp": ("ArrowUp", 38),
    "ArrowDown": ("ArrowDown", 40),
    "End": ("End", 35),
    "Home": ("Home", 36),
    "F1": ("F1", 112),
    ".": ("Period", 190),
    "z": ("KeyZ", 90),
}
MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}


class PageFailed(AssertionError):
    """The page did not show what the test waited for."""


class Page:
    """One tab of a running browser."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._session: str | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen())

    async def attach(self) -> None:
        """Open the tab that is driven from now on."""
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self._ask("Page.enable")
        await self._ask("Emulation.setFocusEmulationEnabled", enabled=True)
        width, height = SIZE
        await self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def go(self, address: str) -> None:
        """Load a page."""
        await self._ask("Page.navigate", url=address)

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        told = await self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise PageFailed(f"{told['exceptionDetails']}\nin: {expression}")
        return told["result"].get("value")

    async def until(self, expression: str, *, deadline: float = DEADLINE) -> Any:
        """Wait until a JavaScript expression is true, and return its value; seconds beyond *deadline* fail the test."""
        found = await self.value(
            f"""new Promise((settle) => {{
              const end = performance.now() + {deadline * 1000};
              const look = () => {{
                let value;
                try {{ value = {expression}; }} catch (problem) {{ value = undefined; }}
                if (value || performance.now() > end) settle(value instanceof Node ? true : value || null);
                else setTimeout(look, 50);
              }};
              look();
            }})"""
        )
        if found is None:
            raise PageFailed(f"not within {deadline:g} s: {expression}\n{await self.text()}")
        return found

    async def text(self, selector: str = "body") -> str:
        """Return what can be read in an element."""
        text = await self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        assert isinstance(text, str)
        return text.replace("\u00a0", " ")

    async def until_text(self, text: str, selector: str = "body", *, deadline: float = DEADLINE) -> None:
        """Wait until an element shows a text."""
        await self.until(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".some((one) => one.innerText.replaceAll('\\u00a0', ' ').includes({json.dumps(text)}))",
            deadline=deadline,
        )

    async def press(self, keys: str) -> None:
        """Press a key with what is held meanwhile, such as `Control+.`."""
        *held, name = keys.split("+")
        code, number = KEYS[name]
        # What is held is a key that goes down and up too: VS Code looks for that.
        modifiers = 0
        for one in held:
            modifiers |= MODIFIERS[one]
            await self._key("rawKeyDown", one, f"{one}Left", modifiers)
        text = {"text": "\r"} if name == "Enter" and not held else {}
        await self._key(
            "keyDown" if text else "rawKeyDown", name, code, modifiers, windowsVirtualKeyCode=number, **text
        )
        await self._key("keyUp", name, code, modifiers, windowsVirtualKeyCode=number)
        for one in reversed(held):
            modifiers &= ~MODIFIERS[one]
            await self._key("keyUp", one, f"{one}Left", modifiers)

    async def type(self, text: str) -> None:
        """Type characters where the focus is."""
        for character in text:
            if character == "\n":
                await self.press("Enter")
            else:
                await self._ask("Input.dispatchKeyEvent", type="char", text=character)

    async def point(self, selector: str, text: str = "") -> None:
        """Put the mouse on the last element that shows *text*."""
        x, y = await self._middle(selector, text)
        await self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x - 1, y=y)
        await self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def click(self, selector: str, text: str = "") -> None:
        """Click on the last element that shows *text*."""
        await self.point(selector, text)
        x, y = await self._middle(selector, text)
        for kind in ("mousePressed", "mouseReleased"):
            await self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def screenshot(self, path: Path) -> None:
        """Write what a person would see."""
        told = await self._ask("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))

    async def _middle(self, selector: str, text: str) -> tuple[float, float]:
        box = await self.until(
            f"""(() => {{
              const shown = [...document.querySelectorAll({json.dumps(selector)})]
                .filter((one) => (one.innerText ?? '').replaceAll('\\u00a0', ' ').includes({json.dumps(text)}))
                .map((one) => one.getBoundingClientRect()).filter((box) => box.width && box.height);
              const box = shown.at(-1);
              return box && [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        return float(box[0]), float(box[1])

    async def _key(self, kind: str, key: str, code: str, modifiers: int, **more: Any) -> None:
        await self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=modifiers, **more)

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        await self._writer.drain()
        told = await asyncio.wait_for(answer, DEADLINE * 2)
        if "error" in told:
            raise PageFailed(f"{method}: {told['error']['message']}")
        result = told["result"]
        assert isinstance(result, dict)
        return result

    async def _listen(self) -> None:
        try:
            while message := await self._reader.readuntil(b"\0"):
                told = json.loads(message[:-1])
                if (waiting := self._waiting.pop(told.get("id", 0), None)) is not None and not waiting.done():
                    waiting.set_result(told)
        except asyncio.IncompleteReadError:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(PageFailed("the browser has ended"))


def find_chromium() -> tuple[Path, dict[str, str]]:
    """Return the browser and what its environment needs: one on the PATH, else the one that `install.sh` brought, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (on_path := shutil.which(name)) is not None:
            return Path(on_path), {}
    brought = parts.folder() / "chromium"
    if (brought / ".glossator-part").exists():
        return brought / "usr" / "lib" / "chromium" / "chromium", {"FONTCONFIG_SYSROOT": str(brought)}
    pytest.skip("no Chromium is installed: tests/editors/install.sh brings one where the system is Debian or Ubuntu")


@asynccontextmanager
async def browse(profile: Path) -> AsyncIterator[Page]:
    """Start a browser with a profile of its own, and end it with the block."""
    program, environment = find_chromium()
    process = await asyncio.create_subprocess_exec(
        *ON_A_PIPE,
        str(program),
        *QUIET,
        f"--user-data-dir={profile}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LARGEST_MESSAGE,
        env={"PATH": os.environ["PATH"], "HOME": str(profile), "LANG": "C.UTF-8", **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    page = Page(process.stdout, process.stdin)
    try:
        await page.attach()
        yield page
    finally:
        process.stdin.close()  # a browser whose pipe ends, ends
        try:
            await asyncio.wait_for(process.wait(), DEADLINE)
        except TimeoutError:
            process.kill()
            await process.wait()
        await page._listening
