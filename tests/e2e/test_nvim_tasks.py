"""In real Neovim, ruff beside us: its problems are explained and fixed, typing survives, one undo brings the text back."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.neovim import DEADLINE, Checker, start_neovim
from editors.neovims import Installed, neovims
from glossator_providers.testing import FakeProvider

pytestmark = pytest.mark.parametrize("installed", neovims())

UNUSED = "import os\n\n\ndef double(number: int) -> int:\n    return number * 2\n"
UNDEFINED = '''"""Circles and what they hold."""

import math


def area(radius: float) -> float:
    """Return the area of a circle."""
    if radius < 0:
        raise ValueError(radius)

    squared = radius**2
    return math.pi * squred


def diameter(radius: float) -> float:
    """Return the diameter of a circle."""
    return 2 * radius
'''
WRONG_LINE = 12
FIXED = UNDEFINED.replace("squred", "squared")
ANSWER = """The name is misspelt: `squared` is what was computed above.

```python
def area(radius: float) -> float:
    \"""Return the area of a circle.\"""
    if radius < 0:
        raise ValueError(radius)

    squared = radius**2
    return math.pi * squared
```
"""


def write(project: Path, text: str) -> Path:
    """Write the file that is edited."""
    path = project / "app.py"
    path.write_text(text)
    return path


async def test_explains_what_another_server_reports_without_any_model(
    installed: Installed, project: Path, ruff: Checker, no_model: dict[str, str]
) -> None:
    """The handbook's page of ruff's rule appears in a float; the cursor stays in the code."""
    async with start_neovim(installed, environment=no_model, checker=ruff) as editor:
        await editor.open(write(project, UNUSED))
        await editor.diagnostics_of("ruff")
        window = await editor.value("vim.api.nvim_get_current_win()")
        await editor.command("Glossator explain")
        await editor.until("(float_text() or ''):find('unused', 1, true)")
        assert "explain, ruff" in await editor.value("float_frame()")
        assert await editor.value("vim.api.nvim_get_current_win()") == window
        assert await editor.text() == UNUSED.rstrip("\n")
        await editor.command("Glossator show")
        await editor.until(f"vim.api.nvim_get_current_win() ~= {window}")
        await editor.type("q")
        await editor.until("float_text() == nil")
        assert await editor.value("vim.api.nvim_get_current_win()") == window


async def test_fixes_what_another_server_reports_without_any_model(
    installed: Installed, project: Path, ruff: Checker, no_model: dict[str, str]
) -> None:
    """The checker's own fix is verified and applied; one undo brings the old text back exactly, one redo the new."""
    async with start_neovim(installed, environment=no_model, checker=ruff) as editor:
        await editor.open(write(project, UNUSED))
        await editor.diagnostics_of("ruff")
        await editor.command("Glossator fix")
        await editor.until("not text():find('import os', 1, true)")
        fixed = await editor.text()
        assert "def double" in fixed
        await editor.until("table.concat(_G.messages, ' '):find('ruff 1 → 0, nothing new', 1, true)")
        await editor.type("u")
        await editor.until("text():find('import os', 1, true)")
        assert await editor.text() == UNUSED.rstrip("\n")
        await editor.type("<C-r>")
        await editor.until("not text():find('import os', 1, true)")
        assert await editor.text() == fixed


async def test_explains_what_basedpyright_reports(
    installed: Installed, project: Path, basedpyright: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """The model is told the problem of a pull-diagnostics server, and its words are on the screen while it speaks."""
    async with start_neovim(installed, environment=with_fake, checker=basedpyright) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("basedpyright")
        await editor.cursor(WRONG_LINE, 22)
        await editor.command("Glossator explain")
        asked = await fake.asked(DEADLINE)
        assert b'\\"squred\\" is not defined' in asked.body
        await asked.say("The name was never bound ")
        await editor.until("(float_text() or ''):find('never bound', 1, true)")
        assert "local: fake (fake-model)" in await editor.value("float_frame()")
        await asked.answer("in this function.")
        await editor.until("(float_text() or ''):find('in this function', 1, true)")
        await editor.until("(float_frame() or ''):find('Glossator ask', 1, true)")

        await editor.command("Glossator ask and why not?")
        asked = await fake.asked(DEADLINE)
        conversation = [message["content"] for message in asked.json["messages"]]
        assert any("The name was never bound in this function." in said for said in conversation)
        assert "and why not?" in conversation[-1]
        await asked.answer("Because of a typo.")
        await editor.until("(float_text() or ''):find('Because of a typo', 1, true)")
        assert await editor.text() == UNDEFINED.rstrip("\n")


async def test_fixes_with_a_model_while_the_user_types(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """Lines typed above and inside the function while the answer streams survive; one undo takes back the fix alone."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.cursor(WRONG_LINE, 22)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        half = len(ANSWER) // 2
        await asked.say(ANSWER[:half])
        await editor.until("(float_text() or ''):find('misspelt', 1, true)")
        await editor.type("2GO# three lines above<Esc>")
        await editor.type("8Go    # inside the same function<Esc>")
        await editor.until("text():find('# inside the same function', 1, true)")
        typed = await editor.text()
        await asked.answer(ANSWER[half:])
        await editor.until("not text():find('squred', 1, true)")
        assert await editor.text() == typed.replace("squred", "squared")
        await editor.until("table.concat(_G.messages, ' '):find('ruff 2 → 0', 1, true)")
        await editor.type("u")
        await editor.until("text():find('squred', 1, true)")
        assert await editor.text() == typed


async def test_a_fix_that_comes_in_insert_mode_is_an_undo_step_of_its_own(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """What was typed before and after the edit, in one stretch of insert mode, is not undone with it."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.cursor(WRONG_LINE, 22)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        await editor.type("2GObefore = 1")
        await editor.until("text():find('before = 1', 1, true)")
        typed = await editor.text()
        await asked.answer(ANSWER)
        await editor.until("not text():find('squred', 1, true)")
        assert (await editor.value("vim.api.nvim_get_mode().mode")) == "i"
        await editor.type(" + 2<Esc>")
        await editor.until("text():find('before = 1 + 2', 1, true)")
        assert await editor.text() == typed.replace("squred", "squared").replace("before = 1", "before = 1 + 2")
        await editor.type("u")
        await editor.until("not text():find(' + 2', 1, true)")
        assert await editor.text() == typed.replace("squred", "squared")
        await editor.type("u")
        await editor.until("text():find('squred', 1, true)")
        assert await editor.text() == typed


async def test_the_same_line_typed_meanwhile_is_a_conflict(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """Where the user has changed the very line of the fix, their text stays and they are told."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.cursor(WRONG_LINE, 22)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        await editor.type(f"{WRONG_LINE}GS    return 3 * squred<Esc>")
        await editor.until("text():find('3 * squred', 1, true)")
        typed = await editor.text()
        await asked.answer(ANSWER)
        await editor.until("table.concat(_G.messages, ' '):find('nothing was overwritten', 1, true)")
        assert await editor.text() == typed


async def test_refactors_a_selection_in_the_users_words(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """The selection and the words reach the model; its answer replaces the selected code."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, FIXED))
        await editor.type("15GVG:Glossator refactor use a named constant<CR>")
        asked = await fake.asked(DEADLINE)
        assert b"use a named constant" in asked.body
        await asked.answer(
            "Named.\n\n```python\ndef diameter(radius: float) -> float:\n"
            '    """Return the diameter of a circle."""\n    sides = 2\n    return sides * radius\n```\n'
        )
        await editor.until("text():find('sides * radius', 1, true)")
        assert await editor.text() == FIXED.rstrip("\n").replace(
            "return 2 * radius", "sides = 2\n    return sides * radius"
        )


async def test_fixes_from_the_menu_of_code_actions(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """The standard path works as the command does: menu, background job, one edit; the stream is shown too."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.cursor(WRONG_LINE, 22)
        # While the server still starts, its titles do not say where a request would go: the user opens the menu again.
        await editor.run(
            "vim.ui.select = function(items, options, choose)"
            "  for _, item in ipairs(items) do"
            "    local title = options.format_item(item)"
            "    if title:find('^Fix.*local: fake%-model') then return choose(item) end"
            "  end"
            "  choose(nil)"
            "  vim.defer_fn(vim.lsp.buf.code_action, 50)"
            " end"
        )
        await editor.run("vim.lsp.buf.code_action()")
        asked = await fake.asked(DEADLINE)
        await asked.answer(ANSWER)
        await editor.until("not text():find('squred', 1, true)")
        assert await editor.text() == FIXED.rstrip("\n")


async def test_counts_columns_behind_emoji_as_the_server_does(
    installed: Installed, project: Path, ruff: Checker, no_model: dict[str, str]
) -> None:
    """A fix behind characters of two, three and four bytes lands where it belongs, with CRLF line ends kept."""
    text = 'a = "é€😀"; b = f"ü😀"  # 😀\r\nprint(a, b)\r\n'
    path = project / "app.py"
    path.write_bytes(text.encode())
    async with start_neovim(installed, environment=no_model, checker=ruff) as editor:
        await editor.open(path)
        await editor.diagnostics_of("ruff")
        column = len('a = "é€😀"; b = f'.encode())
        await editor.cursor(1, column)
        await editor.command("Glossator fix")
        await editor.until("not text():find('b = f', 1, true)")
        await editor.command("write")
        await editor.until("not vim.bo.modified")
        assert path.read_bytes().decode() == text.replace('b = f"', 'b = "')


async def test_a_fix_lands_while_keys_are_being_pressed(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """A fast typist who does not stop loses no letter, and the edit still lands, at once and where it belongs."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.cursor(WRONG_LINE, 22)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        await asked.say(ANSWER[:40])
        await editor.type("2GO# ")
        await editor.run(
            "_G.pressed = 0;"
            " local timer = vim.uv.new_timer();"
            " timer:start(0, 70, vim.schedule_wrap(function()"
            "   if _G.fixed_after or _G.pressed == 300 then timer:stop() return end"
            "   _G.pressed = _G.pressed + 1; vim.api.nvim_input('x')"
            "   if not text():find('squred', 1, true) then _G.fixed_after = _G.pressed end"
            " end))"
        )
        await editor.until("_G.pressed > 3")
        await asked.answer(ANSWER[40:])
        pressed = await editor.until("_G.fixed_after")
        await editor.until(f"text():find('\\n# {'x' * pressed}\\n', 1, true)")
        assert await editor.text() == FIXED.rstrip("\n").replace("\n\nimport", f"\n# {'x' * pressed}\n\nimport")
