"""`glossator review` as a person runs it: on files, folders and diffs, with a model and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import environment_of, project, table
from e2e.command import glossator
from glossator.cli.diffs import changed_lines
from glossator_providers.testing import FakeProvider, answering

CODE = "def collect(one, found=[]):\n    found.append(one)\n    return found\n"
ANSWER = "FINDING 1 warning mutable-default\n> def collect(one, found=[]):\nThe list is shared.\n\nFINDING 3 error made-up\n> return nothing\nNo.\n"
DIFF = """diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,2 +1,3 @@
-def collect(one):
+def collect(one, found=[]):
     found.append(one)
+    return found
"""


async def test_findings_are_printed_as_compilers_print_theirs(tmp_path: Path) -> None:
    """A line that editors can jump to, the code below it, the structure, and on stderr what was left out."""
    folder = project(tmp_path / "work", {"a.py": CODE, "notes.txt": "nothing\n", ".hidden/b.py": CODE})
    async with FakeProvider(respond=answering(ANSWER)) as fake:
        done = await glossator("review", ".", environment=environment_of(tmp_path / "user", table(fake)), folder=folder)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "a.py:1:1: warning: The list is shared. [mutable-default]",
        "    def collect(one, found=[]):",
        "a.py: structure: collect: 3 lines, complexity 1, depth 0, 2 parameters",
    ]
    assert "a.py: 1 finding; 1 left out" in done.err
    assert (folder / "a.py").read_text() == CODE


async def test_a_program_reads_one_object(tmp_path: Path) -> None:
    """--json tells all files in one object; one that cannot be read is among them, and the others are reviewed."""
    folder = project(tmp_path / "work", {"a.py": CODE})
    (folder / "b.py").write_bytes(b"\xff\xfe")
    async with FakeProvider(respond=answering(ANSWER)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("review", "b.py", "a.py", "--json", environment=environment, folder=folder)
    broken, read = done.json["files"]
    assert done.code == 1
    assert broken["error"]["kind"] == "usage"
    assert [(one["code"], one["range"]) for one in read["findings"]] == [("mutable-default", "1:1-1:28")]
    assert (read["dropped"], read["author"]["name"]) == (1, "fake")


async def test_a_diff_is_reviewed_from_a_pipe(tmp_path: Path) -> None:
    """Only what has changed is looked at, and a diff of files that are not here says so."""
    folder = project(tmp_path / "work", {"a.py": CODE})
    async with FakeProvider(respond=answering(ANSWER)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("review", "--diff", "-", environment=environment, folder=folder, stdin=DIFF)
        prompt = fake.requests[0].json["messages"][1]["content"]
        elsewhere = DIFF.replace("b/a.py", "b/gone.py")
        gone = await glossator("review", "--diff", "-", environment=environment, folder=folder, stdin=elsewhere)
    assert done.code == 0, done.err
    assert "+1| def collect(one, found=[]):\n 2|     found.append(one)\n+3|     return found\n" in prompt
    assert gone.code == 2
    assert "gone.py is in the diff and not here" in gone.err


async def test_the_structure_needs_no_model(tmp_path: Path) -> None:
    """--no-model asks nobody and is done; without a provider the structure is shown, and the command says what is missing."""
    folder = project(tmp_path / "work", {"a.py": CODE})
    done = await glossator("review", "a.py", "--no-model", environment=environment_of(tmp_path / "user"), folder=folder)
    assert done.code == 0, done.err
    assert "structure: collect" in done.out
    done = await glossator("review", "a.py", environment=environment_of(tmp_path / "user"), folder=folder)
    assert done.code == 1
    assert "structure: collect" in done.out


@pytest.mark.parametrize(
    ("diff", "expected"),
    [
        (DIFF, {"a.py": ((0, 1), (2, 3))}),
        ("--- a/x\n+++ b/x\n@@ -3,2 +3 @@\n a\n-b\n", {"x": ((2, 3),)}),
        ("--- a/x\n+++ b/x\n@@ -3,3 +3,2 @@\n a\n-b\n c\n", {"x": ((3, 4),)}),
        ("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", {}),
        ('--- a/x\n+++ "b/\\303\\244 \\"q\\".py"\n@@ -0,0 +1 @@\n+b\n', {'ä "q".py': ((0, 1),)}),
        ("--- a/x\n+++ b/x\t2026-01-01\n@@ -0,0 +1,2 @@\n+++ b/y\n+@@ -1 +1 @@\n", {"x": ((0, 2),)}),
    ],
)
def test_a_diff_says_which_lines_have_changed(diff: str, expected: dict[str, tuple[tuple[int, int], ...]]) -> None:
    """Added and changed lines count, and the neighbour of what was taken away; no line of a hunk is taken for a head."""
    assert changed_lines(diff) == expected


@given(st.text(alphabet='+-@ \\"ab/0123,\n', max_size=300))
def test_any_text_can_be_read_as_a_diff(text: str) -> None:
    """Whatever comes from the pipe, the stretches are in order and hold something."""
    for stretches in changed_lines("+++ b/x\n" + text).values():
        assert all(0 <= first < end for first, end in stretches)
