"""Explanations between sessions: found again, named as such, never of a private document, and no harm where the disk fails."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from applications import application, asking, environment_of, follow, problem, project, snapshot_of, table
from glossator import shelf
from glossator.document import Snapshot
from glossator.shelf import Shelf
from glossator.tasks.task import Ask, Author, Explanation, TaskName
from glossator_providers.testing import FakeProvider, answering

CODE = "import os\n\nprint(1)\n"
TOLD = Explanation("It is *not* needed.", Author("work", "m", local=False))


def explain_of(snapshot: Snapshot, **changes: object) -> Ask:
    """Return what the user asks who points at the import."""
    found = problem(snapshot, "os", code="F401", message="`os` imported but unused")
    return replace(Ask(TaskName.EXPLAIN, snapshot, found.region, diagnostics=(found,)), **changes)  # type: ignore[arg-type]  # a test's own names


async def test_another_session_remembers_and_says_so(tmp_path: Path) -> None:
    """After a restart the same problem in the same code costs nothing: the answer names its model and that it was known."""
    workspace = project(tmp_path / "work", {"app.py": CODE})
    async with asking(workspace, answering("Because.")) as (opened, _):
        _, first = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    async with asking(workspace, answering("Never asked.")) as (opened, fake):
        _, again = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
        assert not fake.requests
    assert isinstance(first, Explanation)
    assert again == replace(first, cached=True)


async def test_nothing_of_a_private_document_is_kept(tmp_path: Path) -> None:
    """What a local model says of private code is forgotten with the session, and no file holds a word of it."""
    workspace = project(tmp_path / "work", {"app.py": CODE, ".aiignore": "app.py\n"})
    async with asking(workspace, answering("Quoting hunter2.")) as (opened, _):
        _, told = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
        assert isinstance(told, Explanation)
    kept = [path.read_bytes() for path in (tmp_path / "user").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in content for content in kept)


async def test_a_document_that_became_private_is_not_looked_up(tmp_path: Path) -> None:
    """The shelf is for open documents alone, whatever stood there before."""
    workspace = project(tmp_path / "work", {"app.py": CODE})
    async with asking(workspace, answering("One.")) as (opened, _):
        await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    (workspace / ".aiignore").write_text("app.py\n")
    async with asking(workspace, answering("Two.")) as (opened, fake):
        _, told = await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
        assert len(fake.requests) == 1
    assert isinstance(told, Explanation)
    assert "Two." in told.markdown


async def test_memory_alone_leaves_no_file(tmp_path: Path) -> None:
    """With `answers = "memory"` nothing is written."""
    workspace = project(tmp_path / "work", {"app.py": CODE})
    async with FakeProvider(respond=answering("Because.")) as fake:
        environment = environment_of(tmp_path / "user", table(fake), '[cache]\nanswers = "memory"')
        async with application(workspace, environment) as opened:
            await follow(opened, explain_of(snapshot_of(workspace / "app.py")))
    assert not list((tmp_path / "user").rglob("explanations*"))


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The file and its journals have mode 0600."""
    kept = Shelf(tmp_path / "state" / "explanations.sqlite", clock=lambda: 1.0)
    kept.keep("a", TOLD)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()} == {0o600}
    assert kept.find("a") == replace(TOLD, cached=True)
    kept.close()


def test_the_oldest_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are never more than the most."""
    monkeypatch.setattr(shelf, "MOST", 2)
    times = iter(range(10))
    kept = Shelf(tmp_path / "e.sqlite", clock=lambda: float(next(times)))
    for key in "abc":
        kept.keep(key, TOLD)
    assert [kept.find(key) is not None for key in "abc"] == [False, True, True]
    kept.close()


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at", b"SQLite format 3\0garbage" * 99]
)
def test_a_broken_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """It is a cache: what cannot be read is thrown away."""
    path = tmp_path / "e.sqlite"
    path.write_bytes(content)
    kept = Shelf(path, clock=lambda: 1.0)
    assert kept.find("a") is None
    kept.keep("a", TOLD)
    assert kept.find("a") is not None
    kept.close()


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    """A table that another version made is not read as ours."""
    path = tmp_path / "e.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE explanations (key TEXT)")
        other.execute("PRAGMA user_version = 99")
    other.close()
    kept = Shelf(path, clock=lambda: 1.0)
    kept.keep("a", TOLD)
    assert kept.find("a") is not None
    kept.close()


def test_a_folder_that_cannot_be_made_bothers_nobody(tmp_path: Path) -> None:
    """No disk, no cache, no error."""
    (tmp_path / "state").write_text("a file where the folder should be")
    kept = Shelf(tmp_path / "state" / "e.sqlite", clock=lambda: 1.0)
    kept.keep("a", TOLD)
    assert kept.find("a") is None
