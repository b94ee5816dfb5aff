"""In real Neovim: the provider picked from a list answers, and the status line names who would be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications import table
from e2e.neovim import DEADLINE, start_neovim
from editors.neovims import Installed, neovims
from glossator_providers.testing import FakeProvider, answering

pytestmark = pytest.mark.parametrize("installed", neovims())

# What `vim.ui.select` would show, and whichever the test picks.
SELECT = """
_G.shown = {}
vim.ui.select = function(items, options, callback)
  _G.shown = vim.tbl_map(options.format_item, items)
  callback(items[_G.picked])
end
"""


def configured(folder: Path, one: FakeProvider, two: FakeProvider) -> dict[str, str]:
    """Return the environment of a user with two models and a group of both."""
    file = folder / "two.toml"
    groups = '[router.groups]\nboth = ["two", "one"]\n'
    file.write_text(table(one, name="one", model="first") + table(two, name="two", model="second") + groups)
    return {"GLOSSATOR_CONFIG": str(file)}


async def test_a_provider_is_picked_from_a_list(installed: Installed, project: Path, tmp_path: Path) -> None:
    """`:Glossator provider` offers all, marks the one in force, and the one that is picked answers and is in the status line."""
    path = project / "app.py"
    path.write_text("x = 1\n")
    async with (
        FakeProvider(respond=answering("from one")) as one,
        FakeProvider() as two,
        start_neovim(installed, environment=configured(tmp_path, one, two)) as editor,
    ):
        await editor.open(path)
        await editor.until("require('glossator').statusline() == 'glossator: local: first'")
        await editor.run(f"{SELECT} _G.picked = 3")
        await editor.command("Glossator provider")
        await editor.until("require('glossator').statusline() == 'glossator: local: second'")
        assert await editor.value("_G.shown") == [
            "✓ automatic",
            "  one (local: first, ready)",
            "  two (local: second, ready)",
            "  both (group: two, one)",
        ]
        await editor.command("Glossator ask what is this?")
        await (await two.asked(DEADLINE)).answer("from two")
        await editor.until("(float_text() or ''):find('from two', 1, true)")
        await editor.until("require('glossator').status().providers[2].health == 'up'")
        assert await editor.value("require('glossator').status().preferred") == "two"
        await editor.command("Glossator provider")
        await editor.until(
            "vim.tbl_contains(_G.shown, function(l) return l:find('✓ two', 1, true) end, { predicate = true })"
        )
        await editor.command("Glossator provider automatic")
        await editor.until("require('glossator').statusline() == 'glossator: local: first'")
        await editor.command("Glossator provider nobody")
        await editor.until("table.concat(_G.messages, ' '):find(\"is called 'nobody'\", 1, true)")
        await editor.command("Glossator reset")
        await editor.until("table.concat(_G.messages, ' '):find('everybody may be asked again', 1, true)")
        await editor.command("Glossator status")
        await editor.until("(float_text() or ''):find('to the first token', 1, true)")


async def test_a_list_that_is_closed_changes_nothing(installed: Installed, project: Path, tmp_path: Path) -> None:
    """Who picks nothing keeps what was; without a server there is no status and no word in the line."""
    path = project / "app.py"
    path.write_text("x = 1\n")
    async with (
        FakeProvider() as one,
        FakeProvider() as two,
        start_neovim(installed, environment=configured(tmp_path, one, two)) as editor,
    ):
        assert await editor.value("require('glossator').status() == nil")
        assert await editor.value("require('glossator').statusline()") == ""
        await editor.open(path)
        await editor.until("require('glossator').statusline() == 'glossator: local: first'")
        await editor.run(f"{SELECT} _G.picked = 99")
        await editor.command("Glossator provider")
        await editor.until("#_G.shown == 4")
        await editor.until("require('glossator').statusline() == 'glossator: local: first'")
