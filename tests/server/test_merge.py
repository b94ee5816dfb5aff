"""What the user types while a model answers is never lost."""

from __future__ import annotations

import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from merge3 import Merge3

from glossator.document import Snapshot, split_lines
from glossator.merge import Conflict, Merged, merge

BASE = [f"line {number}\n" for number in range(8)]
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def edited(draw: st.DrawFn, base: list[str], word: str) -> list[str]:
    """Draw a text that was made from *base* by a few replacements, insertions and deletions."""
    lines = list(base)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(lines)))
        end = min(len(lines), start + draw(st.integers(0, 2)))
        lines[start:end] = [f"{word} {draw(st.integers(0, 5))}\n" for _ in range(draw(st.integers(0, 2)))]
    return lines


def text(lines: list[str], end: str, *, closed: bool = True) -> str:
    """Join *lines* with the line end *end*; not *closed*: without the last one."""
    joined = "".join(lines).replace("\n", end)
    return joined if closed else joined.removesuffix(end)


@given(edited(BASE, "theirs"), edited(BASE, "typed"), ENDS, st.booleans())
def test_who_changed_nothing_has_no_say(theirs: list[str], now: list[str], end: str, closed: bool) -> None:  # noqa: FBT001  hypothesis gives it by place
    """With one side unchanged the other is the result, and the same on both sides is that."""
    base, proposal, typed = (text(one, end, closed=closed) for one in (BASE, theirs, now))
    assert merge(base, proposal, base) == Merged(proposal)
    assert merge(base, base, typed) == Merged(typed)
    assert merge(base, proposal, proposal) == Merged(proposal)


@settings(max_examples=400)
@given(edited(BASE, "theirs"), edited(BASE, "typed"), ENDS)
def test_every_typed_line_is_in_a_clean_merge(theirs: list[str], now: list[str], end: str) -> None:
    """A clean merge holds all that the user typed and all that the proposal adds, and drops only what one of them dropped."""
    base, proposal, typed = (text(one, end) for one in (BASE, theirs, now))
    merged = merge(base, proposal, typed)
    if isinstance(merged, Merged):
        lines = Counter(split_lines(merged.text))
        for side in (typed, proposal):
            added = Counter(split_lines(side)) - Counter(split_lines(base))
            assert not added - lines
        kept = Counter(split_lines(base)) & Counter(split_lines(typed)) & Counter(split_lines(proposal))
        assert not kept - lines
    else:
        snapshot = Snapshot.of(typed, uri="untitled:1")
        assert merged.clashes
        for clash in merged.clashes:
            assert snapshot.slice(clash.region) == clash.now
            assert clash.base in base
            assert clash.theirs in proposal


@settings(max_examples=400)
@given(edited(BASE, "theirs"), edited(BASE, "typed"))
def test_what_merge3_merges_we_merge_alike(theirs: list[str], now: list[str]) -> None:
    """Where diff3 sees no conflict there is none, and the text is the same; we are only finer."""
    known = Merge3(BASE, theirs, now)
    if any(region[0] == "conflict" for region in known.merge_regions()):
        return
    assert merge("".join(BASE), "".join(theirs), "".join(now)) == Merged("".join(known.merge_lines()))


def test_neighbouring_lines_merge() -> None:
    """The user types in the line right below the one that the proposal changes: both stay."""
    merged = merge("a\nb\nc\n", "A\nb\nc\n", "a\nB\nc\n")
    assert merged == Merged("A\nB\nc\n")


def test_lines_inserted_beside_a_change_merge() -> None:
    """A line typed right above or below a changed one stays beside it."""
    assert merge("a\nb\n", "A\nb\n", "a\nnew\nb\n") == Merged("A\nnew\nb\n")
    assert merge("a\nb\n", "a\nB\n", "a\nnew\nb\n") == Merged("a\nnew\nB\n")


def test_the_same_line_is_a_conflict_that_names_its_place() -> None:
    """Two changes of one line are told with both texts, and nothing is applied."""
    merged = merge("a\nb\nc\n", "a\ntheirs\nc\n", "new\na\ntyped\nc\n")
    assert isinstance(merged, Conflict)
    (clash,) = merged.clashes
    assert (clash.base, clash.theirs, clash.now) == ("b\n", "theirs\n", "typed\n")
    assert clash.region.start.line == 2


def test_two_insertions_at_one_place_are_a_conflict() -> None:
    """Nobody can say which comes first."""
    assert isinstance(merge("a\nb\n", "a\ntheirs\nb\n", "a\ntyped\nb\n"), Conflict)


def test_a_change_that_both_made_is_made_once() -> None:
    """The user wrote the fix by hand meanwhile, and something else too."""
    assert merge("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\nd\n") == Merged("a\nB\nc\nd\n")


def test_a_last_line_without_newline_gets_one_when_lines_follow() -> None:
    """Two lines never run together where one side appended."""
    assert merge("a\nb\nc", "A\nb\nc", "a\nb\nc\nd") == Merged("A\nb\nc\nd")


def test_typing_inside_and_above_the_changed_function_survives() -> None:
    """The everyday case: the region is rewritten while the user types three lines above and inside it."""
    base = "import os\n\n\ndef f(a):\n    x = 1\n    y = 2\n    return x\n"
    theirs = base.replace("    return x\n", "    return x + y\n")
    now = base.replace("import os\n", "import os\nimport sys\n").replace("    x = 1\n", "    x = 10\n")
    assert merge(base, theirs, now) == Merged(now.replace("    return x\n", "    return x + y\n"))


def test_long_and_hostile_texts_take_bounded_time() -> None:
    """10,000 lines, alike or not, are merged in moments."""
    start = time.thread_time()
    base = [f"line {number}\n" for number in range(10_000)]
    theirs, now = [*base[:100], "theirs\n", *base[101:]], [*base[:9000], "typed\n", *base[9000:]]
    assert isinstance(merge("".join(base), "".join(theirs), "".join(now)), Merged)
    same = "x\n" * 10_000
    assert isinstance(merge(same, "y\n" + same, same + "z\n"), Merged)
    merge(same, "".join(base[::-1]), "".join(base))
    assert time.thread_time() - start < 10
