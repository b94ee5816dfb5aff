"""Documenting: words around the code change, the code does not, whoever writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import START, asking, follow, place_of, project, snapshot_of
from glossator.document import Snapshot
from glossator.tasks.document import leaves_code
from glossator.tasks.task import Ask, Proposal, Refusal, State, TaskName
from glossator_providers.testing import answering

CODE = "def double(number):\n    return number * 2\n\n\ndef triple(number):\n    return number * 3\n"
TOLD = CODE.replace("def double(number):\n", 'def double(number):\n    """Return twice the *number*."""\n')
DONE = 'It says what comes back.\n```python\ndef double(number):\n    """Return twice the *number*."""\n    return number * 2\n```\n'


async def test_a_docstring_is_proposed_and_nothing_else(tmp_path: Path) -> None:
    """The symbol around the cursor is documented, and the checker has nothing new to say."""
    workspace = project(tmp_path / "work", {"sums.py": CODE})
    async with asking(workspace, answering(DONE)) as (opened, fake):
        snapshot = snapshot_of(workspace / "sums.py")
        ask = Ask(TaskName.DOCUMENT, snapshot, place_of(snapshot, "number * 2"), instruction="in one line")
        _, result = await follow(opened, ask)
    assert isinstance(result, Proposal)
    assert result.text == TOLD
    assert result.verdict.state in {State.FIXED, State.UNKNOWN}
    assert "in one line" in fake.requests[0].json["messages"][1]["content"]


@pytest.mark.parametrize("unproven", [False, True])
async def test_a_change_of_the_code_is_never_offered(tmp_path: Path, *, unproven: bool) -> None:
    """Documentation that comes with another result of the function is withheld, also from who asks for unproven changes."""
    workspace = project(tmp_path / "work", {"sums.py": CODE})
    async with asking(workspace, answering(DONE.replace("number * 2", "number + number"))) as (opened, _):
        snapshot = snapshot_of(workspace / "sums.py")
        ask = Ask(TaskName.DOCUMENT, snapshot, place_of(snapshot, "number * 2"), unproven=unproven)
        _, result = await follow(opened, ask)
    assert isinstance(result, Refusal)
    assert "changes the code" in result.message


JAVASCRIPT = "const url = /a\\/\\/b/.test(x) ? `//${y}` : '//z';\n"


@pytest.mark.parametrize(
    ("language", "old", "new", "same"),
    [
        ("python", CODE, TOLD, True),
        ("python", TOLD, CODE, True),
        ("python", CODE, f'"""Sums."""\n\n# Two of them.\n{CODE}', True),
        ("python", "class A:\n    a = 1\n", 'class A:\n    """An A."""\n\n    a = 1\n', True),
        ("python", "def f():\n    return 1\n", 'def f():\n    return 1\n    """No docstring."""\n', False),
        ("python", "if a:\n    b\nc\n", "if a:\n    b\n    c\n", False),
        ("python", "a = '# b'\n", "a = '# c'\n", False),
        ("python", "a = 1\n", "a = 1  # one\n", True),
        ("javascript", JAVASCRIPT, f"/** Where. */\n{JAVASCRIPT}", True),
        ("javascript", JAVASCRIPT, JAVASCRIPT.replace("/b/", "/c/"), False),
        ("javascript", JAVASCRIPT, JAVASCRIPT.replace("'//z'", "'//w'"), False),
        ("javascript", JAVASCRIPT, JAVASCRIPT.replace("`//$", "`/$"), False),
        ("rust", "fn f() {}\n", "/// Does nothing.\nfn f() {}\n", True),
        ("go", "package a\n\nfunc f() {}\n", "package a\n\n// f does nothing.\nfunc f() {}\n", True),
        ("shellscript", "f() { a; }\n", "# Calls a.\nf() { a; }\n", True),
        ("shellscript", "cat <<E\na # b\nE\n", "cat <<E\na # c\nE\n", False),
        ("java", "int a = 1;\n", "// One.\nint a = 1;\n", True),
        ("java", "int a = 1;\n", "int a = 2;\n", False),
    ],
)
def test_the_gate_knows_code_from_words(language: str, old: str, new: str, *, same: bool) -> None:
    """Comments and docstrings are words; strings, structure and what only looks like a comment are code."""
    assert leaves_code(Snapshot.of(old, uri="file:///a", language=language), new) is same


@given(st.sampled_from(sorted({*CODE.split("\n")} - {""})), st.integers(0, 30), st.sampled_from("xX1+"))
def test_no_letter_of_the_code_can_change(line: str, at: int, letter: str) -> None:
    """Whichever letter of a line becomes another, the gate sees it."""
    place = CODE.index(line) + min(at, len(line) - 1)
    if CODE[place] not in {letter, " "}:
        changed = f"{CODE[:place]}{letter}{CODE[place + 1 :]}"
        assert not leaves_code(Snapshot.of(CODE, uri="file:///a.py", language="python"), changed)


async def test_nothing_to_say_is_an_answer(tmp_path: Path) -> None:
    """A model that finds nothing worth saying is quoted."""
    workspace = project(tmp_path / "work", {"sums.py": CODE})
    async with asking(workspace, answering("CANNOT FIX: the name says it all")) as (opened, _):
        _, result = await follow(opened, Ask(TaskName.DOCUMENT, snapshot_of(workspace / "sums.py"), START))
    assert isinstance(result, Refusal)
    assert "the name says it all" in result.message
