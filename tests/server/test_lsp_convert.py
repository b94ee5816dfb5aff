"""Positions between the editor's units and code points, for every encoding and every character that has made trouble."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types

from glossator.document import Diagnostic, Point, Region, Severity, Snapshot
from glossator.edits import Hunk
from glossator.edits import apply as apply_hunks
from glossator.lsp.client import Client, choose_encoding
from glossator.lsp.convert import (
    clean_text,
    from_diagnostic,
    move,
    text_edits,
    to_column,
    to_diagnostic,
    to_diagnostics,
    to_point,
    to_position,
    to_region,
    to_units,
)

Encoding = Literal["utf-8", "utf-16", "utf-32"]
ENCODINGS: list[Encoding] = ["utf-8", "utf-16", "utf-32"]
encodings = st.sampled_from(ENCODINGS)
ALPHABET = "ab é😀\U0010ffff\u2028\x0c\x85\x1c\t"
lines = st.text(ALPHABET, max_size=12)
texts = st.lists(st.tuples(lines, st.sampled_from(["\n", "\r\n", "\r"])), max_size=6).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)
documents = st.builds(lambda head, tail: head + tail, texts, lines)


def width(character: str, encoding: Encoding) -> int:
    """Count the units of one character, by the encoding's own rules."""
    code = ord(character)
    if encoding == "utf-32":
        return 1
    if encoding == "utf-16":
        return 2 if code > 0xFFFF else 1
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4


@given(line=lines, encoding=encodings, data=st.data())
@settings(max_examples=150, deadline=None)
def test_columns_go_there_and_back(line: str, encoding: Encoding, data: st.DataObject) -> None:
    """Every column has its units, counted character by character, and comes back from them."""
    column = data.draw(st.integers(0, len(line)))
    units = sum(width(character, encoding) for character in line[:column])
    assert to_units(line, column, encoding) == units
    assert to_column(line, units, encoding) == column


@given(line=lines, encoding=encodings, units=st.integers(-3, 60))
@settings(max_examples=150, deadline=None)
def test_odd_units_are_clamped(line: str, encoding: Encoding, units: int) -> None:
    """Units inside of a character mean its start, those beyond the line its end."""
    column = to_column(line, units, encoding)
    assert 0 <= column <= len(line)
    assert to_units(line, column, encoding) <= max(units, 0)
    if column < len(line):
        assert to_units(line, column + 1, encoding) > units


@given(text=documents, encoding=encodings, data=st.data())
@settings(max_examples=100, deadline=None)
def test_points_go_there_and_back(text: str, encoding: Encoding, data: st.DataObject) -> None:
    """Every place of a text has a position that leads back to it."""
    snapshot = Snapshot.of(text, uri="file:///a")
    offset = data.draw(st.integers(0, len(text)))
    point = snapshot.point(offset)
    position = to_position(point, snapshot.line, encoding)
    assert to_point(position, snapshot.line, encoding) == Point(
        point.line, min(point.column, len(snapshot.line(point.line)))
    )


@given(before=documents, after=documents, encoding=encodings)
@settings(max_examples=100, deadline=None)
def test_edits_make_the_new_text(before: str, after: str, encoding: Encoding) -> None:
    """The edits for the editor, read back by their positions, make exactly the new text."""
    snapshot = Snapshot.of(before, uri="file:///a")
    hunks = []
    for edit in text_edits(snapshot, after, encoding):
        region = to_region(edit.range, snapshot.line, encoding)
        hunks.append(Hunk(snapshot.offset(region.start), snapshot.offset(region.end), edit.new_text))
    assert apply_hunks(before, hunks) == after


@given(text=documents, inserted=lines, data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_region_moves_with_what_is_typed_before_it(text: str, inserted: str, data: st.DataObject) -> None:
    """What is typed before a region pushes it along; it still holds the same text, or more."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    old = Snapshot.of("first line\n" + text, uri="file:///a")
    new = Snapshot.of("# " + inserted + "typed\nfirst line\n" + text, uri="file:///a")
    region = Region(old.point(start + 11), old.point(end + 11))
    assert new.slice(move(region, old, new)).endswith(old.slice(region))


def test_halves_of_characters_are_replaced() -> None:
    """Half a surrogate pair is no text; whole characters stay."""
    assert clean_text("a\ud83db\ude00😀") == "a\ufffdb\ufffd😀"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_diagnostic_goes_there_and_back(encoding: Encoding) -> None:
    """What another server said keeps its words, its numbers and its place."""
    snapshot = Snapshot.of("😀 = os\n", uri="file:///a")
    region = Region(Point(0, 4), Point(0, 6))
    ours = Diagnostic(region, "unused", "Ruff", "F401", Severity.WARNING, "https://docs.astral.sh/ruff")
    assert to_diagnostic(from_diagnostic(ours, snapshot.line, encoding), snapshot.line, encoding) == ours


def test_odd_diagnostics_are_read() -> None:
    """Missing severities, numbers for codes, ranges the wrong way round, and our own source."""
    snapshot = Snapshot.of("abc\n", uri="file:///a")
    wrong = types.Range(types.Position(0, 3), types.Position(0, 1))
    told = [
        types.Diagnostic(wrong, "first", code=2322),
        types.Diagnostic(wrong, "ours", source="Glossator"),
        *[types.Diagnostic(wrong, "more") for _ in range(300)],
    ]
    read = to_diagnostics(told, snapshot.line, "utf-16")
    assert len(read) == 200
    assert read[0] == Diagnostic(Region(Point(0, 1), Point(0, 3)), "first", None, "2322")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, "utf-16"),
        ([], "utf-16"),
        ("utf-8", "utf-16"),
        (["utf-7", "utf-8"], "utf-8"),
        ([1, "utf-32", "utf-8"], "utf-32"),
    ],
)
def test_the_encoding_is_the_editors_first_that_we_know(offered: object, chosen: str) -> None:
    """Unknown encodings are passed over; without any it is UTF-16."""
    assert choose_encoding(offered) == chosen


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "workspace",
                    "experimental",
                    "glossator",
                    "general",
                    "textDocument",
                    "uri",
                    "codeAction",
                    "window",
                    "version",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(capabilities=json_values, folders=json_values, info=json_values)
@settings(max_examples=100, deadline=None)
def test_any_capabilities_are_read(capabilities: object, folders: object, info: object) -> None:
    """Whatever JSON an editor sends as its abilities, reading it raises nothing."""
    params = {"capabilities": capabilities, "workspaceFolders": folders, "rootUri": folders, "clientInfo": info}
    client = Client.of(params)
    assert isinstance(client.stream, bool)
    assert all(isinstance(uri, str) for uri in client.roots)
