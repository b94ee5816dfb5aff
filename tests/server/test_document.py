"""Texts, their lines and places: exact under every line end of LSP and no other, also while they change."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from glossator.buffer import Buffer
from glossator.document import Point, Region, Snapshot, split_lines

# What other tools take for line ends, halves of characters, and characters outside the BMP.
ODD = [
    "a",
    "b ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "😀",
    "\ud83d",
    "\ufeff",
    "é",
]
TEXTS = st.lists(st.sampled_from(ODD), max_size=25).map("".join)
POINTS = st.builds(Point, st.integers(-2, 12), st.integers(-2, 12))


def reference_lines(text: str) -> list[str]:
    """Split as LSP 3.17 words it, character by character."""
    lines, line = [], ""
    for at, character in enumerate(text):
        line += character
        if character == "\n" or (character == "\r" and text[at + 1 : at + 2] != "\n"):
            lines.append(line)
            line = ""
    return [*lines, line] if line else lines


@given(TEXTS)
def test_lines_end_only_where_lsp_says(text: str) -> None:
    """LF, CRLF and CR end a line; form feed, U+0085 and U+2028 do not."""
    assert list(split_lines(text)) == reference_lines(text)
    assert "".join(split_lines(text)) == text


@given(TEXTS)
def test_offset_and_point_are_inverse(text: str) -> None:
    """Every place of a text has one point, and the point leads back to it, but for the middle of a CRLF."""
    snapshot = Snapshot.of(text, uri="untitled:1")
    for offset in range(len(text) + 1):
        point = snapshot.point(offset)
        torn = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
        assert snapshot.offset(point) == (offset - 1 if torn else offset)
        assert snapshot.point(snapshot.offset(point)) == point


@given(TEXTS, POINTS)
def test_points_outside_are_clamped(text: str, point: Point) -> None:
    """A point beyond its line is the line's end, one beyond the last line is the end of the text."""
    snapshot = Snapshot.of(text, uri="untitled:1")
    offset = snapshot.offset(point)
    assert 0 <= offset <= len(text)
    if point.line >= len(snapshot.lines) and point.line >= 0:
        assert offset == len(text)
    elif point.line >= 0:
        assert snapshot.point(offset).line in {point.line, len(snapshot.lines) - 1}


@given(TEXTS)
def test_the_whole_region_is_the_whole_text(text: str) -> None:
    """`whole` slices to everything."""
    snapshot = Snapshot.of(text, uri="untitled:1")
    assert snapshot.slice(snapshot.whole) == text


@settings(max_examples=300)
@given(TEXTS, st.lists(st.tuples(POINTS, POINTS, TEXTS), max_size=6))
def test_a_buffer_does_what_strings_would_do(text: str, changes: list[tuple[Point, Point, str]]) -> None:
    """Any series of edits leaves the same lines as cutting and joining one string, CR and LF that meet included."""
    buffer = Buffer("untitled:1", text=text)
    for start, end, new in changes:
        before = Snapshot.of(text, uri="untitled:1")
        first, last = sorted((before.offset(start), before.offset(end)))
        text = text[:first] + new + text[last:]
        buffer.change(Region(start, end), new)
        assert buffer.snapshot().text == text
        assert buffer.snapshot().lines == split_lines(text)


def test_typing_a_line_feed_behind_a_carriage_return_joins_them() -> None:
    """The two halves of a CRLF may come in two edits."""
    buffer = Buffer("untitled:1", text="one\rtwo")
    buffer.change(Region(Point(1, 0), Point(1, 0)), "\n")
    assert buffer.snapshot().lines == ("one\r\n", "two")


def test_a_snapshot_stays_while_the_buffer_goes_on() -> None:
    """What a job holds does not change under it, and is made once per version."""
    buffer = Buffer("file:///a.py", language="python", version=3, text="x = 1\n", path="/a.py")
    first = buffer.snapshot()
    assert buffer.snapshot() is first
    buffer.change(Region(Point(0, 4), Point(0, 5)), "2")
    buffer.version = 4
    assert (first.text, first.version) == ("x = 1\n", 3)
    assert (buffer.snapshot().text, buffer.snapshot().version) == ("x = 2\n", 4)
    buffer.replace("")
    assert buffer.snapshot().lines == ()


def test_a_key_costs_the_same_in_a_long_text() -> None:
    """A thousand keys in 50,000 lines cost at most a few times what they cost in 500; a copy per key would cost 100 times."""

    def seconds(lines: int) -> float:
        buffer = Buffer("untitled:1", text="some_name = another_name(1, 2)\n" * lines)
        best = 1.0
        for _ in range(5):
            start = time.thread_time()
            for key in range(1000):
                buffer.change(Region(Point(lines // 2, key), Point(lines // 2, key)), "x")
            best = min(best, time.thread_time() - start)
            buffer.change(Region(Point(lines // 2, 0), Point(lines // 2, 10_000)), "")
        return best

    assert seconds(50_000) < 15 * seconds(500)
