"""What one connection remembers: documents, diagnostics of others, the last place, edits that wait."""

from __future__ import annotations

import asyncio

import pytest

from glossator.document import Diagnostic, Point, Region, Severity
from glossator.session import PENDING_SECONDS, Pending, Place, Session, path_of
from glossator.tasks.task import Ask, Author, Proposal, State, TaskName, Verdict

URI = "file:///project/a.py"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def region(line: int, start: int = 0, end: int = 3) -> Region:
    """Return a stretch of one line."""
    return Region(Point(line, start), Point(line, end))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///project/a.py", "/project/a.py"),
        ("file:///project/caf%C3%A9%20x.py", "/project/café x.py"),
        ("file://localhost/a", "/a"),
        ("file:///c%3A/x.py", "c:/x.py"),
        ("file:///C:/x.py", "c:/x.py"),
        ("file://server/share/x", "//server/share/x"),
        ("file:///a%00b", None),
        ("untitled:Untitled-1", None),
        ("vscode-remote://ssh/a", None),
        ("", None),
        ("file:relative", None),
        ("http://[", None),
    ],
)
def test_only_file_uris_have_paths(uri: str, path: str | None) -> None:
    """A path is what a `file:` URI names, with its escapes undone; nothing else has one."""
    assert path_of(uri) == path


def test_the_context_wins_for_its_range() -> None:
    """What the editor tells of a range replaces what was pushed for it, and leaves the rest."""
    session = Session(clock=Clock())
    session.open(URI, language="python", version=0, text="a\nb\nc\n")
    pushed = tuple(Diagnostic(region(line), f"pushed {line}") for line in range(3))
    session.report(URI, pushed)
    told = (Diagnostic(region(1), "told"),)
    session.learn(URI, region(1), told)
    assert [one.message for one in session.known(URI)] == ["told", "pushed 0", "pushed 2"]
    session.learn(URI, region(0), ())
    assert len(session.known(URI)) == 3
    session.learn("file:///other", region(0), told)
    assert session.known("file:///other") == ()


def test_the_worst_and_smallest_problem_comes_first() -> None:
    """At one place errors come before warnings, and the narrow before the wide."""
    session = Session(clock=Clock())
    session.open(URI, language="python", version=0, text="abcdef\n")
    hint = Diagnostic(region(0, 0, 1), "hint", severity=Severity.HINT)
    wide, narrow = Diagnostic(region(0, 0, 6), "wide"), Diagnostic(region(0, 0, 2), "narrow")
    session.report(URI, (hint, wide, narrow))
    assert [one.message for one in session.diagnostics_at(URI, region(0, 1, 1))] == ["narrow", "wide", "hint"]


def test_a_closed_document_is_forgotten() -> None:
    """Nothing of a closed document stays: text, problems, place, edits that wait."""
    session = Session(clock=Clock())
    session.open(URI, language="python", version=0, text="a")
    session.report(URI, (Diagnostic(region(0), "x"),))
    session.place = Place(URI, region(0))
    session.close(URI)
    session.close(URI)
    assert not session.documents
    assert not session.known(URI)
    assert session.place is None


def test_pending_edits_are_forgotten_after_ten_minutes() -> None:
    """A proposal that waits is offered for ten minutes."""
    clock = Clock()
    session = Session(clock=clock)
    snapshot = session.open(URI, language="python", version=0, text="a").snapshot()
    ask = Ask(TaskName.FIX, snapshot, region(0))
    proposal = Proposal(snapshot, "b", Author("ruff"), Verdict(State.FIXED))
    session.keep(Pending(proposal, ask, "refused", clock() + PENDING_SECONDS))
    clock.now = PENDING_SECONDS - 1
    assert session.pending(URI) is not None
    clock.now = PENDING_SECONDS + 1
    assert session.pending(URI) is None


async def test_watchers_hear_of_the_text_they_wait_for() -> None:
    """A watcher is done when its text has come, not before; closing the document cancels it."""
    session = Session(clock=Clock())
    document = session.open(URI, language="python", version=0, text="a\n")
    waiting = session.watch(document, lambda text: text == "b\n")
    never = session.watch(document, lambda text: text == "c\n")
    session.changed(document)
    assert not waiting.done()
    document.buffer.replace("b\n")
    session.changed(document)
    await asyncio.wait_for(waiting, 1)
    session.close(URI)
    assert never.cancelled()


async def test_an_opened_again_document_keeps_its_watchers() -> None:
    """An editor that opens a document anew after a reload does not lose the edit that is on its way."""
    session = Session(clock=Clock())
    document = session.open(URI, language="python", version=0, text="a\n")
    waiting = session.watch(document, lambda text: text == "b\n")
    session.changed(session.open(URI, language="python", version=0, text="b\n"))
    await asyncio.wait_for(waiting, 1)


def test_old_versions_are_remembered_a_few_at_a_time() -> None:
    """The texts that menus were made for are kept, a bounded number of them."""
    session = Session(clock=Clock())
    document = session.open(URI, language="python", version=0, text="a\n")
    for version in range(40):
        document.buffer.version = version
        document.remember()
    assert list(document.shown) == list(range(32, 40))
