"""`glossator demo`: the real server over its pipes, a file with real errors, and ruff's word from outside."""

from __future__ import annotations

import importlib.util
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
        "saved; ruff, run from outside:",
    ):
        assert line in done.out
    assert done.out.index("F401 [*]") < done.out.index("-import os")
    assert "F401" not in done.out.partition("saved; ruff, run from outside:")[2]
    assert [one for one in watched_child.attempts() if not one.address.startswith(("127.0.0.1", "/"))] == []


@pytest.mark.slow
async def test_the_demo_shows_a_toy_model_for_what_it_is(tmp_path: Path) -> None:
    """Where the engine and the toy are there, it streams, labelled, and its change is shown only with a verdict."""
    if importlib.util.find_spec("xllamacpp") is None or find_toy() is None:
        pytest.skip("the engine or the toy model is not installed")
    done = await glossator("demo", environment=environment_of(tmp_path / "user"), folder=tmp_path)
    assert done.code == 0, done.out + done.err
    toy = done.out.partition("SmolLM2-135M, a toy")[2]
    assert "▸ toy model" in toy
    assert "```" in toy, "the model's own text streams by"
    if "All checks passed!" in toy:
        assert "✓ ruff 1 → 0" in toy
    else:
        assert "withheld or refused, and said so" in toy


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
