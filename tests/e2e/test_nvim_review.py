"""In real Neovim: a review shows its findings as diagnostics, an edit takes one away, and the command the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications import environment_of, table
from e2e.neovim import start_neovim
from editors.neovims import Installed, neovims
from glossator_providers.testing import FakeProvider, answering

pytestmark = pytest.mark.parametrize("installed", neovims())

CODE = "def collect(one, found=[]):\n    found.append(one)\n    return found\n\n\ndef last(some):\n    return some[len(some)]\n"
ANSWER = """FINDING 1 warning mutable-default
> def collect(one, found=[]):
The list is shared.

FINDING 7 error off-by-one
> return some[len(some)]
It reads behind the end.
"""
SHOWN = "vim.tbl_map(function(one) return one.code end, vim.diagnostic.get(0))"


async def test_findings_are_diagnostics(installed: Installed, project: Path, tmp_path: Path) -> None:
    """They stand where they are quoted, follow the text, go with their line, and are taken back by command."""
    path = project / "app.py"
    path.write_text(CODE)
    async with FakeProvider(respond=answering(ANSWER)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        async with start_neovim(installed, environment=environment) as editor:
            await editor.open(path)
            await editor.command("Glossator review")
            await editor.until("#vim.diagnostic.get(0) == 2")
            assert await editor.value(SHOWN) == ["mutable-default", "off-by-one"]
            await editor.cursor(1, 0)
            await editor.type("O# first<Esc>")
            await editor.type("jA  # noted<Esc>")
            await editor.until("#vim.diagnostic.get(0) == 1 and vim.diagnostic.get(0)[1].lnum == 7")
            await editor.command("Glossator clear")
            await editor.until("#vim.diagnostic.get(0) == 0")
