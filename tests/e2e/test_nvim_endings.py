"""In real Neovim: what is cancelled, refused or broken off leaves the text alone, and the user is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from audit import WatchedChild
from e2e.neovim import DEADLINE, Checker, start_neovim
from editors.neovims import Installed, neovims
from glossator_providers.testing import FakeProvider

pytestmark = pytest.mark.parametrize("installed", neovims())

TEXT = "def half(number: float) -> float:\n    return numbr / 2\n"


def write(project: Path, name: str, text: str) -> Path:
    """Write a file of the project."""
    path = project / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("said", ["", "The name is misspelt"], ids=["before the first word", "in mid-stream"])
async def test_cancel_closes_the_connection_and_changes_nothing(
    *, installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider, said: str
) -> None:
    """After `:Glossator cancel` the provider sees its client hang up, the float says so, and no edit comes."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, "app.py", TEXT))
        await editor.diagnostics_of("ruff")
        await editor.cursor(2, 11)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        if said:
            await asked.say(said)
            await editor.until("(float_text() or ''):find('The name is', 1, true)")
        await editor.until("require('glossator').statusline():find('fix', 1, true)")
        await editor.command("Glossator cancel")
        await asked.closed
        await editor.until("#require('glossator.stream').running() == 0")
        assert "cancelled" in await editor.value("(float_text() or '') .. (float_frame() or '')")
        assert await editor.text() == TEXT.rstrip("\n")
        assert await editor.value("require('glossator').statusline()") == "glossator: local: fake-model"
        await editor.command("Glossator cancel")
        await editor.until("table.concat(_G.messages, ' '):find('nothing is at work', 1, true)")


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        (".env", "DATABASE_PASSWORD=correct-horse-battery-staple\n", ".env"),
        (
            "app.py",
            'KEY = "sk-ant-api03-' + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ" * 3 + 'abcdefghijklmno-AA"\nprint(KEYS)\n',
            "key",
        ),
        ("payroll/pay.py", "print(salary)\n", ".aiignore"),
    ],
    ids=["a .env file", "a pasted key", "a folder in .aiignore"],
)
async def test_a_private_file_is_refused_with_the_rule(
    *,
    installed: Installed,
    project: Path,
    with_cloud: dict[str, str],
    fake: FakeProvider,
    watched_child: WatchedChild,
    name: str,
    text: str,
    rule: str,
) -> None:
    """With a cloud alone, the editor shows which rule said no, and the server tried no connection at all."""
    (project / ".aiignore").write_text("payroll/\n")
    (project / "payroll").mkdir()
    path = write(project, name, text)
    environment = {
        **with_cloud,
        **{name: watched_child.environment[name] for name in ("PYTHONPATH", "GLOSSATOR_TEST_CONNECTIONS")},
    }
    async with start_neovim(installed, environment=environment) as editor:
        await editor.run(f"vim.cmd.edit('{path}')")
        await editor.command("Glossator ask what is this?")
        await editor.until("#require('glossator.stream').running() == 0 and require('glossator.stream').last() ~= nil")
        shown = await editor.value("float_text()")
        assert rule in shown.lower(), shown
        await editor.command("Glossator why")
        await editor.until("(float_text() or ''):find('Nothing was sent', 1, true)")
        assert "private" in await editor.value("float_text()") or "never" in await editor.value("float_text()")
        assert await editor.text() == text.rstrip("\n")
    assert fake.connections == 0
    assert watched_child.attempts() == []


async def test_a_server_that_dies_is_told_and_comes_back(
    installed: Installed, project: Path, ruff: Checker, with_fake: dict[str, str], fake: FakeProvider
) -> None:
    """Killed in mid-answer: the editor says so, no text is touched, and the next command starts it again."""
    async with start_neovim(installed, environment=with_fake, checker=ruff) as editor:
        await editor.open(write(project, "app.py", TEXT))
        await editor.diagnostics_of("ruff")
        await editor.cursor(2, 11)
        await editor.command("Glossator fix")
        asked = await fake.asked(DEADLINE)
        await asked.say("The name is")
        await editor.until("(float_text() or ''):find('The name', 1, true)")
        children = await editor.value(
            "vim.tbl_filter(function(pid) return vim.api.nvim_get_proc(pid).name:find('python') ~= nil end,"
            " vim.api.nvim_get_proc_children(vim.fn.getpid()))"
        )
        assert len(children) == 1
        os.kill(children[0], signal.SIGKILL)
        await editor.until("table.concat(_G.messages, ' '):find('the server ended', 1, true)")
        await editor.until("(float_frame() or ''):find('the server ended', 1, true)")
        await asked.closed
        assert await editor.text() == TEXT.rstrip("\n")

        await editor.command("Glossator explain")
        asked = await fake.asked(DEADLINE)
        await asked.answer("It is alive again.")
        await editor.until("(float_text() or ''):find('alive again', 1, true)")
        assert await editor.text() == TEXT.rstrip("\n")


async def test_a_missing_server_is_told_with_the_way_out(
    installed: Installed, project: Path, no_model: dict[str, str]
) -> None:
    """Where the program is not installed, the command says how to install it, and nothing else breaks."""
    async with start_neovim(installed, environment=no_model, server=("glossator-that-is-not-here",)) as editor:
        await editor.run(f"vim.cmd.edit('{write(project, 'app.py', TEXT)}')")
        await editor.command("Glossator explain")
        await editor.until("table.concat(_G.messages, ' '):find('uv tool install glossator', 1, true)")
        await editor.command("checkhealth glossator")
        await editor.until("text():find('is not on the PATH', 1, true)")


async def test_checkhealth_finds_nothing_wrong(
    installed: Installed, project: Path, ruff: Checker, no_model: dict[str, str]
) -> None:
    """`:checkhealth glossator` names editor, server and the server beside it, without an error."""
    async with start_neovim(installed, environment=no_model, checker=ruff) as editor:
        await editor.open(write(project, "app.py", TEXT))
        await editor.diagnostics_of("ruff")
        await editor.command("checkhealth glossator")
        await editor.until("text():find('beside it ruff', 1, true)")
        report = await editor.text()
        assert "ERROR" not in report
        assert "WARNING" not in report
        assert "1 problems are known" in report
        assert await editor.messages() == ""


async def test_status_without_a_model_says_what_answers(
    installed: Installed, project: Path, no_model: dict[str, str]
) -> None:
    """`:Glossator status` of a user without a model tells that the checkers answer, and what could be done."""
    async with start_neovim(installed, environment=no_model) as editor:
        await editor.open(write(project, "app.py", TEXT))
        await editor.command("Glossator status")
        await editor.until("(float_text() or ''):find('no model', 1, true)")
        assert "status" in await editor.value("float_frame()")
