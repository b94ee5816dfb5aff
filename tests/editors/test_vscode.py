"""In a real VS Code: what a user sees and does with our extension, from the first hover to a provider that dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from editors.chromium import DEADLINE
from editors.conftest import configure, row
from editors.vscode import Checker, Installed, start_vscode
from glossator_providers.breaker import Thresholds
from glossator_providers.testing import FakeProvider

pytestmark = pytest.mark.slow

UNUSED = "import os\n\n\ndef double(number: int) -> int:\n    return number * 2\n"
UNDEFINED = '''"""Circles and what they hold."""

import math


def area(radius: float) -> float:
    """Return the area of a circle."""
    if radius < 0:
        raise ValueError(radius)

    squared = radius**2
    return math.pi * squred
'''
WRONG = (11, 22)  # line and column, from 0
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


def write(project: Path, text: str, name: str = "app.py") -> Path:
    """Write the file that is edited."""
    path = project / name
    path.write_text(text)
    return path


async def test_without_a_model_the_handbook_explains_and_fixes(
    *, installed_vscode: Installed, project: Path, tmp_path: Path, screenshots: Path, ruff: Checker
) -> None:
    """A hover shows the rule, the menu lists our actions below the checker's own, a verified fix is one undo step."""
    environment = configure(tmp_path, "")
    async with start_vscode(
        installed_vscode, project, screenshots=screenshots, environment=environment, checkers=(ruff,)
    ) as editor:
        await editor.open(write(project, UNUSED))
        await editor.diagnostics_of("ruff")
        await editor.hover("os", until="Checks for unused imports")
        await editor.screenshot("hover-offline")
        await editor.cursor(0, 8)
        lines = await editor.pick_action('Fix "`os` imported but unused', seen="menu")
        native = [number for number, line in enumerate(lines) if line.startswith("Ruff")]
        ours = [number for number, line in enumerate(lines) if "(glossator" in line]
        assert native
        assert ours
        quick = lines[: lines.index("Rewrite")] if "Rewrite" in lines else lines
        assert max(number for number in native if number < len(quick)) < min(ours)
        fixed = await editor.text_until("!text.includes('import os')")
        assert "def double" in fixed
        await editor.page.until_text("ruff 1 → 0, nothing new", ".statusbar")
        await editor.screenshot("fixed-by-the-handbook")
        await editor.page.press("Control+z")
        assert await editor.text_until("text.includes('import os')") == UNUSED


async def test_a_model_explains_answers_and_fixes_while_the_user_types(
    *,
    installed_vscode: Installed,
    project: Path,
    tmp_path: Path,
    screenshots: Path,
    basedpyright: Checker,
    ruff: Checker,
    fake: FakeProvider,
) -> None:
    """An explanation grows in the preview, a fix lands between what was typed meanwhile, and a cancelled one never does."""
    environment = configure(tmp_path, row("fake", fake))
    async with start_vscode(
        installed_vscode, project, screenshots=screenshots, environment=environment, checkers=(ruff, basedpyright)
    ) as editor:
        await editor.open(write(project, UNDEFINED))
        await editor.diagnostics_of("ruff")
        await editor.diagnostics_of("basedpyright")
        await editor.page.until_text("local: fake-model", ".statusbar")

        await editor.cursor(*WRONG)
        await editor.pick_action('Explain "')
        asked = await fake.asked(DEADLINE)
        await asked.say("The name was **never** bound ")
        await editor.previewed("The name was never bound")
        await editor.screenshot("explanation-streams")
        await asked.answer("in this function.")
        await editor.previewed("The name was never bound in this function.")
        await editor.screenshot("explanation")

        await editor.command("glossator.ask")
        await editor.page.until("document.querySelector('.quick-input-widget input')?.checkVisibility()")
        await editor.page.type("and why not?\n")
        asked = await fake.asked(DEADLINE)
        conversation = [message["content"] for message in asked.json["messages"]]
        assert "and why not?" in conversation[-1]
        assert any("bound in this function." in said for said in conversation)
        await asked.answer("Because of a typo.")
        await editor.previewed("Because of a typo.")
        await editor.screenshot("follow-up")

        await editor.cursor(*WRONG)
        await editor.pick_action('Fix "')
        asked = await fake.asked(DEADLINE)
        await asked.say(ANSWER[:80])
        await editor.page.until_text("glossator", ".statusbar")
        await editor.screenshot("fix-at-work")
        await editor.cursor(3, 0)
        await editor.page.type("LIMIT = 3\n")
        typed = await editor.text_until("text.includes('LIMIT = 3\\n')")
        await asked.answer(ANSWER[80:])
        assert await editor.text_until("!text.includes('squred')") == typed.replace("squred", "squared")
        await editor.page.until_text("→ 0", ".statusbar")
        await editor.screenshot("fixed-by-the-model")
        await editor.page.press("Control+z")
        assert await editor.text_until("text.includes('squred')") == typed

        await editor.cursor(12, 22)
        await editor.diagnostics_of("ruff")
        await editor.pick_action('Fix "')
        asked = await fake.asked(DEADLINE)
        await asked.say(ANSWER[:80])
        await editor.command("glossator.cancel")
        await asked.closed
        await editor.screenshot("cancelled")
        assert await editor.text() == typed


async def test_a_private_file_is_refused_with_its_rule(
    *, installed_vscode: Installed, project: Path, tmp_path: Path, screenshots: Path, fake: FakeProvider
) -> None:
    """With a cloud alone, the user is told which rule said no, and the provider hears nothing."""
    environment = configure(tmp_path, row("cloud", fake, host="models.example.invalid"))
    (project / ".aiignore").write_text("payroll/\n")
    (project / "payroll").mkdir()
    text = "print(salary)\n"
    async with start_vscode(installed_vscode, project, screenshots=screenshots, environment=environment) as editor:
        await editor.open(write(project, text, "payroll/pay.py"))
        await editor.cursor(0, 7)
        await editor.command("glossator.explain")
        await editor.told(".aiignore")
        await editor.screenshot("refused")
        await editor.command("glossator.why")
        await editor.previewed("Nothing was sent")
        await editor.screenshot("where-would-this-go")
        assert await editor.text() == text
    assert fake.connections == 0


async def test_the_status_item_follows_a_provider_that_dies(
    *, installed_vscode: Installed, project: Path, tmp_path: Path, screenshots: Path, fake: FakeProvider
) -> None:
    """The item names who would be asked: after several failures in a row that is the provider which answered instead."""
    async with FakeProvider("openai-compatible") as mortal:
        strategy = '[router]\nstrategy = "priority"\n'
        environment = configure(tmp_path, strategy + row("first", mortal) + row("second", fake))
        async with start_vscode(installed_vscode, project, screenshots=screenshots, environment=environment) as editor:
            await editor.open(write(project, FIXED))
            await editor.page.until_text("local: first-model", ".statusbar")
            await editor.screenshot("status-before")
            await mortal.stop()
            await editor.cursor(5, 5)
            # So many failures without a success between them let a provider rest.
            for number in range(Thresholds().failures):
                await editor.run(
                    "const editor = vscode.window.activeTextEditor;"
                    "void vscode.commands.executeCommand('glossator.ask', {uri: editor.document.uri.toString(),"
                    " version: editor.document.version, instruction: 'what is this?',"
                    " range: {start: {line: 5, character: 0}, end: {line: 11, character: 0}}})"
                )
                asked = await fake.asked(DEADLINE)
                await asked.answer(f"It computes area {number}.")
                await editor.previewed(f"It computes area {number}.")
            await editor.page.until_text("local: second-model", ".statusbar")
            await editor.screenshot("status-after")
