"""Edits are small, exact, and keep the style of the text; a patch is one that git takes."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parts
from glossator.document import Snapshot
from glossator.edits import Hunk, apply, fit, hunks, unified
from glossator.matching import changes, match

PIECES = ["a", "b", "foo ", "bar(", "😀", "\n", "\r\n", "\r", "\x0c", "\u2028", "  ", "\ud800"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=12)


@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_hunks_make_the_new_text(base: str, new: str) -> None:
    """Applied, the hunks give exactly the new text; none is empty, none touches another, none tears a line end."""
    found = hunks(base, new)
    assert apply(base, found) == new
    at = -1
    for hunk in found:
        assert hunk.start > at
        assert hunk.text != base[hunk.start : hunk.end]
        for edge in (hunk.start, hunk.end):
            assert not (edge and base[edge - 1 : edge + 1] == "\r\n")
        at = hunk.end


@given(TEXTS)
def test_the_same_text_needs_no_edit(text: str) -> None:
    """Nothing to do is nothing done."""
    assert hunks(text, text) == ()


def test_one_changed_word_is_one_small_hunk() -> None:
    """Cursors, marks and folds elsewhere survive because only the word is touched."""
    base = "def f(items):\n    for item in items:\n        total = total + item\n    return total\n"
    new = base.replace("total + item", "total + item.price").replace("return total", "return round(total)")
    assert hunks(base, new) == (
        Hunk(base.index("item\n    return") + 4, base.index("item\n    return") + 4, ".price"),
        Hunk(base.index("total\n", 60), base.index("total\n", 60), "round("),
        Hunk(len(base) - 1, len(base) - 1, ")"),
    )


@given(LINES, LINES)
def test_matching_finds_common_lines_in_order(old: list[str], new: list[str]) -> None:
    """Every match is true, they rise on both sides, and what lies between them rebuilds the new lines."""
    at_old = at_new = 0
    for part in match(old, new):
        assert old[part.old : part.old + part.size] == new[part.new : part.new + part.size]
        assert part.old >= at_old
        assert part.new >= at_new
        at_old, at_new = part.old + part.size, part.new + part.size
    rebuilt: list[str] = []
    at = 0
    for change in changes(old, new):
        rebuilt += old[at : change.old_start] + new[change.new_start : change.new_end]
        at = change.old_end
    assert rebuilt + old[at:] == new


@pytest.mark.parametrize("kind", ["typed", "shuffled", "two words", "all the same", "reversed"])
def test_long_and_hostile_texts_take_bounded_time(kind: str) -> None:
    """10,000 lines are compared in moments, whatever they hold; difflib needs minutes for some of these."""
    choose = random.Random(7)
    lines = [f"line {number}\n" for number in range(10_000)]
    old, new = {
        "typed": (lines, [*lines[:5000], "new\n", *lines[5001:]]),
        "shuffled": (lines, choose.sample(lines, len(lines))),
        "two words": ([choose.choice("ab") + "\n" for _ in lines], [choose.choice("ab") + "\n" for _ in lines]),
        "all the same": (["x\n"] * 10_000, ["y\n", *["x\n"] * 5000, "z\n", *["x\n"] * 5100]),
        "reversed": (lines, lines[::-1]),
    }[kind]
    start = time.thread_time()
    assert apply("".join(old), hunks("".join(old), "".join(new))) == "".join(new)
    assert time.thread_time() - start < 15


@pytest.mark.parametrize(
    "edits", [(Hunk(2, 1, ""),), (Hunk(0, 9, ""),), (Hunk(1, 2, ""), Hunk(0, 1, "")), (Hunk(-1, 0, "x"),)]
)
def test_edits_that_do_not_fit_are_refused(edits: tuple[Hunk, ...]) -> None:
    """Overlapping, unordered or outlying edits are an error, never a garbled text."""
    with pytest.raises(ValueError, match="does not fit"):
        apply("abc", edits)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("closed", [True, False])
def test_fit_keeps_line_ends_and_the_final_newline(end: str, *, closed: bool) -> None:
    """Models write LF and like to add or drop the last newline; the file keeps its own."""
    base = Snapshot.of(end.join(["a", "b"]) + (end if closed else ""), uri="file:///x")
    for written in ("a\nB\n", "a\nB", "a\r\nB\r\n"):
        assert fit(base, written) == end.join(["a", "B"]) + (end if closed else "")


def test_fit_leaves_mixed_line_ends_where_they_were() -> None:
    """A line that was there keeps its line end, a new one takes that of the line above."""
    base = Snapshot.of("one\r\ntwo\nthree\r\nfour\n", uri="file:///x")
    assert fit(base, "one\ntwo\nnew\nthree\nalso\nfour\n") == "one\r\ntwo\nnew\nthree\r\nalso\r\nfour\n"


def test_fit_keeps_the_byte_order_mark() -> None:
    """A mark at the start of the file is not lost because a model does not repeat it."""
    assert fit(Snapshot.of("\ufeffa\n", uri="file:///x"), "b\n") == "\ufeffb\n"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c", "", "x y"]), min_size=1, max_size=14),
    st.lists(st.sampled_from(["a", "b", "c", "", "x y"]), min_size=1, max_size=14),
    st.booleans(),
    st.booleans(),
)
def test_git_takes_the_patch(old: list[str], new: list[str], old_closed: bool, new_closed: bool) -> None:  # noqa: FBT001  hypothesis gives them by place
    """`git apply` makes the new file of the old one, with and without a final newline."""
    git = parts.program("git")
    base = "\n".join(old) + ("\n" if old_closed else "")
    text = "\n".join(new) + ("\n" if new_closed else "")
    patch = unified(base, text, path="folder/file.txt")
    if base == text:
        assert not patch
        return
    if not base or not text:
        return  # git says this with another header
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "folder", "file.txt")
        file.parent.mkdir()
        file.write_bytes(base.encode())
        subprocess.run([git, "apply", "--unidiff-zero", "-"], input=patch.encode(), cwd=folder, check=True)
        assert file.read_bytes() == text.encode()
