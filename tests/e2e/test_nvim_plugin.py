"""The plugin's own arithmetic and manners, in real Neovim."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from e2e.neovim import lua_string, start_neovim
from editors.neovims import Installed, neovims

pytestmark = pytest.mark.parametrize("installed", neovims())

CHARACTERS = "aß€😀\u0301\u200d\x0c\u2028\t �"


async def test_counts_columns_in_every_encoding_as_python_does(installed: Installed, no_model: dict[str, str]) -> None:
    """Byte columns of random lines become UTF-8, UTF-16 and UTF-32 columns; beyond the line is its end."""
    generator = random.Random(7)
    lines = ["".join(generator.choices(CHARACTERS, k=generator.randrange(12))) for _ in range(60)]
    async with start_neovim(installed, environment=no_model) as editor:
        for line in lines:
            cut = generator.randrange(len(line) + 1)
            head = line[:cut]
            byte = len(head.encode())
            expected = [byte, len(head.encode("utf-16-le")) // 2, len(head)]
            quoted = lua_string(line)
            found = await editor.value(
                "vim.tbl_map(function(encoding) return require('glossator.client').to_units("
                f"{quoted}, {byte}, encoding) end, {{ 'utf-8', 'utf-16', 'utf-32' }})"
            )
            assert found == expected, line
            assert (
                await editor.value(f"require('glossator.client').to_units({quoted}, {byte + 999}, 'utf-16')")
                == len(line.encode("utf-16-le")) // 2
            )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("{ colour = 1 }", "unknown option `colour`"),
        ("{ debounce = 'fast' }", "`debounce` must be a number, not a string"),
        ("{ float = { focus = 1 } }", "`float.focus` must be a boolean, not a number"),
        ("{ float = { with = 1 } }", "unknown option `float.with`"),
    ],
)
async def test_a_wrong_option_is_named(installed: Installed, no_model: dict[str, str], options: str, told: str) -> None:
    """A misspelt option, or one of a wrong type, is an error that says which."""
    async with start_neovim(installed, environment=no_model) as editor:
        problem = await editor.value(f"select(2, pcall(require('glossator').setup, {options}))")
        assert told in problem


async def test_the_command_completes_its_words(installed: Installed, no_model: dict[str, str]) -> None:
    """Tab after `:Glossator` offers what there is, and nothing after the first word."""
    async with start_neovim(installed, environment=no_model) as editor:
        names = await editor.value("vim.fn.getcompletion('Glossator ', 'cmdline')")
        assert {"explain", "fix", "refactor", "ask", "cancel", "status", "why"} <= set(names)
        assert await editor.value("vim.fn.getcompletion('Glossator ex', 'cmdline')") == ["explain"]
        assert await editor.value("vim.fn.getcompletion('Glossator refactor ', 'cmdline')") == []


async def test_a_buffer_that_is_no_file_is_left_alone(installed: Installed, no_model: dict[str, str]) -> None:
    """In a help page or a scratch buffer the command says what to do, and no server is started."""
    async with start_neovim(installed, environment=no_model) as editor:
        await editor.run("vim.bo.buftype = 'nofile'")
        await editor.command("Glossator explain")
        await editor.until("table.concat(_G.messages, ' '):find('not a file', 1, true)")
        assert await editor.value("#vim.lsp.get_clients()") == 0


async def test_setup_starts_the_server_for_open_files(
    installed: Installed, project: Path, no_model: dict[str, str]
) -> None:
    """`require('glossator').setup {}` is enough on every version, also for files that were open before."""
    path = project / "app.py"
    path.write_text("x = 1\n")
    async with start_neovim(installed, environment=no_model) as editor:
        await editor.run("if vim.lsp.enable then vim.lsp.enable('glossator', false) end")
        await editor.run(f"vim.cmd('noautocmd edit {path}') vim.bo.filetype = 'python'")
        await editor.run(
            "require('glossator').setup { cmd = vim.json.decode(vim.env.GLOSSATOR_TEST_SERVER), debounce = 10 }"
        )
        await editor.attached()


async def test_an_answer_whose_stream_lost_a_message_is_whole_in_the_end(
    installed: Installed, project: Path, no_model: dict[str, str]
) -> None:
    """The end repeats the text; a second begin forgets the first provider's; nothing comes after the end."""
    path = project / "app.py"
    path.write_text("x = 1\n")
    async with start_neovim(installed, environment=no_model) as editor:
        await editor.open(path)

        async def receive(fields: str) -> None:
            uri = path.as_uri()
            await editor.run(f"require('glossator.stream').receive({{ job = 'j', uri = '{uri}', {fields} }})")

        await receive("seq = 0, kind = 'begin', action = 'explain', route = { title = 'cloud: one' }")
        await receive("seq = 1, kind = 'delta', text = 'wrong'")
        assert await editor.value("float_text()") == "wrong"
        await receive(
            "seq = 2, kind = 'begin', action = 'explain', route = { title = 'local: two' }, reason = 'one failed'"
        )
        assert "local: two" in await editor.value("float_frame()")
        assert "one failed" in await editor.value("float_frame()")
        await receive("seq = 3, kind = 'delta', text = 'right\\n'")
        await receive("seq = 5, kind = 'delta', text = 'end'")
        await receive("seq = 6, kind = 'end', final = { text = 'right\\nmiddle\\nend' }")
        assert await editor.value("float_text()") == "right\nmiddle\nend"
        await receive("seq = 7, kind = 'delta', text = 'late'")
        assert await editor.value("float_text()") == "right\nmiddle\nend"


async def test_an_edit_for_an_older_text_is_refused_and_said_so(
    installed: Installed, project: Path, no_model: dict[str, str]
) -> None:
    """Neovim's own handler would answer `applied = true` without applying, and apply to a file that was just opened."""
    path = project / "app.py"
    path.write_text("x = 1\n")
    async with start_neovim(installed, environment=no_model) as editor:
        await editor.open(path)
        apply = (
            "require('glossator.edits').apply({ edit = { documentChanges = { { textDocument = "
            f"{{ uri = '{path.as_uri()}', version = %s }}, edits = {{ {{ newText = 'y', range = "
            "{ start = { line = 0, character = 0 }, ['end'] = { line = 0, character = 1 } } } } } } } },"
            " { client_id = vim.lsp.get_clients({ name = 'glossator' })[1].id })"
        )
        await editor.type("Otyped<Esc>")
        await editor.until("text():find('typed', 1, true)")
        refused = await editor.value(apply % "0")
        assert refused["applied"] is False
        assert "changed" in refused["failureReason"]
        assert await editor.text() == "typed\nx = 1"
        accepted = await editor.value(apply % "vim.lsp.util.buf_versions[vim.api.nvim_get_current_buf()]")
        assert accepted["applied"] is True
        assert await editor.text() == "yyped\nx = 1"
