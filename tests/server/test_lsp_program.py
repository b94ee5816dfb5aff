"""The real program, `python -m glossator`, as editors start it: no model, no key, no network; only the checkers' handbook."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import parts
from glossator import __version__
from glossator.lsp.capabilities import answer
from glossator.lsp.client import Client as BootClient
from lsp_client import DEADLINE, Client, Editor, spawn

ABLE: dict[str, Any] = {
    "workspace": {"applyEdit": True},
    "window": {"workDoneProgress": True},
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]},
        "codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": True},
    },
}
TEXT = "import os\n\n\nx = 1\n"
HEAVY = {
    "pygls",
    "lsprotocol",
    "asyncio",
    "cattrs",
    "attrs",
    "httpx",
    "pydantic",
    "glossator_providers",
    "logging",
    "re2",
}


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[Client]:
    """Run the program with an empty configuration and nothing to find."""
    environment = {
        "GLOSSATOR_CONFIG": str(folder / "config.toml"),
        "GLOSSATOR_STATE_DIR": str(folder / "state"),
        "GLOSSATOR_CACHE_DIR": str(folder / "cache"),
        "GLOSSATOR_DISCOVERY": "off",
        "ANTHROPIC_API_KEY": "",
        "OPENAI_API_KEY": "",
    }
    async with spawn([sys.executable, "-m", "glossator", *arguments], environment=environment) as client:
        yield client


async def test_a_ruff_problem_is_explained_and_fixed(tmp_path: Path) -> None:
    """From the error of another server to the fixed file, in one undo step, with the checker's word for it."""
    parts.program("ruff")
    uri = (tmp_path / "a.py").as_uri()
    (tmp_path / "a.py").write_text(TEXT, encoding="utf-8")
    async with program(tmp_path) as client:
        await client.initialize(ABLE, rootUri=tmp_path.as_uri())
        editor = Editor(client)
        editor.open(uri, TEXT)
        problem = {
            "range": editor.place(uri, "os"),
            "message": "`os` imported but unused",
            "source": "Ruff",
            "code": "F401",
        }
        params = {"textDocument": {"uri": uri}, "range": problem["range"], "context": {"diagnostics": [problem]}}
        actions = await client.request("textDocument/codeAction", params)
        (fix,) = [one for one in actions if one["kind"] == "quickfix.glossator"]
        await client.request("workspace/executeCommand", fix["command"])
        end = await client.notification("$/progress", lambda one: one["value"]["kind"] == "end")
        assert "✓ ruff" in end["value"]["message"]
        assert "import os" not in editor.texts[uri]
        assert len(editor.edits) == 1
        assert await client.leave() == 0


def test_the_version_is_told_the_same_everywhere() -> None:
    """In the answer to `initialize`, by `--version`, and in the package's metadata there stands one version."""
    command = (sys.executable, "-m", "glossator", "--version")
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    assert told == f"glossator {__version__}\n"
    assert answer(BootClient.of({}))["serverInfo"] == {"name": "glossator", "version": __version__}
    assert version("glossator") == __version__


async def test_the_end_of_input_ends_the_program(tmp_path: Path) -> None:
    """An editor that dies leaves nothing behind, at whatever moment."""
    async with program(tmp_path) as client:
        await client.initialize(ABLE)
        assert client.process is not None
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert await client.code() == 1


async def test_an_editor_that_leaves_before_a_word(tmp_path: Path) -> None:
    """Without `initialize` the program ends with 1, and at once."""
    async with program(tmp_path) as client:
        assert client.process is not None
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert await client.code() == 1


async def test_a_stop_signal_is_an_orderly_end(tmp_path: Path) -> None:
    """A server that is told to stop stops."""
    async with program(tmp_path) as client:
        await client.initialize(ABLE)
        await client.request("glossator/status")
        assert client.process is not None
        client.process.terminate()
        assert await client.code() == 1


async def test_one_editor_over_tcp(tmp_path: Path, started_server: Any) -> None:
    """On a loopback port the same conversation works, and the process ends with its one editor."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "glossator", "serve", "--tcp", "127.0.0.1:0", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), DEADLINE)
    port = int(line.rsplit(b":", 1)[1])
    started_server(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Client(reader, writer.write)
    client.exit_code = asyncio.create_task(process.wait())
    assert "capabilities" in await client.initialize(ABLE)
    assert await client.leave() == 0
    await client.close()
    writer.close()
    process._transport.close()  # type: ignore[attr-defined]  # else its pipes are reported as left open


def test_nothing_heavy_is_imported_for_the_first_answer() -> None:
    """What answers `initialize` needs the standard library's lightest parts and nothing else."""
    code = "import sys, glossator.lsp; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


async def test_nothing_is_imported_from_the_folder_that_it_was_started_in(tmp_path: Path) -> None:
    """A repository may hold modules named as our libraries, or as the user's own strategy: none of them runs."""
    planted = tmp_path / "repository"
    planted.mkdir()
    for name in ("httpx", "pydantic", "typer", "mine"):
        (planted / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'w').close()\n\ndef choose(*_): return []\n"
        )
    configuration = tmp_path / "config.toml"
    configuration.write_text(
        '[providers.a]\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\n'
        '[router]\nstrategy = "mine:choose"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "glossator", "providers", "--json"),
        cwd=planted,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "GLOSSATOR_CONFIG": str(configuration),
            "GLOSSATOR_STATE_DIR": str(tmp_path / "state"),
            "GLOSSATOR_DISCOVERY": "off",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert b'"name": "a"' in out
    assert not (tmp_path / "ran").exists()
