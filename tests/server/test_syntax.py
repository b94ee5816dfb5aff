"""The syntax tree names what stands where, in every language that has a grammar, and survives garbage."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator.document import Point, Region, Snapshot
from glossator.syntax import GRAMMARS, LARGEST_SYMBOL, _parse, enclosing, errors, outline, symbols

PYTHON = """import os
import sys

LIMIT = 1
# about f
@cached
def f(a):
    'é😀'
    return a


class A:
    # says m
    @property
    def m(self):
        def inner():
            return 2
        return inner

    limit = 2
"""
TYPESCRIPT = """import { a } from './a';

/** Says it. */
export class A<T> {
    @Input() x = 1;

    /** Finds. */
    private find(x: number): number {
        return x;
    }

    arrow = () => {
        return 1;
    };
}
export const g = (x: number) => {
    return x < 1;
};
describe('all', () => {
    it('works', () => 1);
});
"""
RUST = """use std::fmt;

/// A thing.
#[derive(Debug)]
pub struct S { a: i32 }

impl S {
    /// New.
    #[inline]
    pub fn new() -> S {
        S { a: 1 }
    }
}

impl fmt::Display for S {
    fn fmt(&self) {}
}
"""
GO = """package p

// T is one.
type T struct{}

// M does.
func (t *T) M() int {
	return 1
}
"""
CPP = """template <class T>
class Box {
  public:
    int size() const { return 1; }
};

int Box::other(int x) { return x; }
"""
C = "static int *first(int *a) {\n    return a;\n}\n"
BASH = "# says hello\nhello() {\n  echo hello\n}\nhello\n"


def around(language: str, text: str, word: str) -> str:
    """Return the region around the first place of *word*."""
    snapshot = Snapshot.of(text, uri="file:///x", language=language)
    point = snapshot.point(text.index(word))
    return snapshot.slice(enclosing(snapshot, Region(point, point)))


@pytest.mark.parametrize(
    ("language", "text", "word", "first", "last"),
    [
        ("python", PYTHON, "return a", "# about f", "    return a"),
        ("python", PYTHON, "@cached", "# about f", "    return a"),
        ("python", PYTHON, "# about", "# about f", "    return a"),
        ("python", PYTHON, "return 2", "        def inner():", "            return 2"),
        ("python", PYTHON, "return inner", "    # says m", "        return inner"),
        ("python", PYTHON, "limit = 2", "class A:", "    limit = 2"),
        ("python", PYTHON, "LIMIT", "LIMIT = 1", "LIMIT = 1"),
        ("python", PYTHON, "import sys", "import os", "import sys"),
        ("typescript", TYPESCRIPT, "return x;", "    /** Finds. */", "    }"),
        ("typescript", TYPESCRIPT, "return 1", "    arrow = () => {", "    };"),
        ("typescript", TYPESCRIPT, "@Input", "/** Says it. */", "}"),
        ("typescript", TYPESCRIPT, "x < 1", "export const g = (x: number) => {", "};"),
        ("typescript", TYPESCRIPT, "works", "describe('all', () => {", "});"),
        ("typescriptreact", TYPESCRIPT.replace("<T>", ""), "return x;", "    /** Finds. */", "    }"),
        ("javascript", "class A {\n  m() {\n    return 1;\n  }\n}\n", "return", "  m() {", "  }"),
        ("rust", RUST, "a: i32", "/// A thing.", "pub struct S { a: i32 }"),
        ("rust", RUST, "#[derive", "/// A thing.", "pub struct S { a: i32 }"),
        ("rust", RUST, "a: 1", "    /// New.", "    }"),
        ("go", GO, "return 1", "// M does.", "}"),
        ("cpp", CPP, "return 1", "    int size() const { return 1; }", "    int size() const { return 1; }"),
        ("cpp", CPP, "template", "template <class T>", "};"),
        ("c", C, "return", "static int *first(int *a) {", "}"),
        ("shellscript", BASH, "echo", "# says hello", "}"),
        ("unheard-of", "a\nb\n\nc\nd\n\ne\n", "c", "c", "d"),
    ],
)
def test_the_innermost_symbol_with_what_belongs_to_it(
    language: str, text: str, word: str, first: str, last: str
) -> None:
    """Whole lines of the symbol, with decorators, attributes and comments; outside of symbols the statement or paragraph."""
    lines = around(language, text, word).splitlines()
    assert (lines[0], lines[-1]) == (first, last)


def test_a_selection_over_two_symbols_takes_both() -> None:
    """What no symbol holds alone is the lines of the selection."""
    snapshot = Snapshot.of(PYTHON, uri="file:///x", language="python")
    region = enclosing(snapshot, Region(Point(8, 0), Point(12, 3)))
    assert region.start <= Point(8, 0)
    assert region.end >= Point(13, 0)


def test_a_symbol_too_large_to_rewrite_is_not_the_region() -> None:
    """Of a function with a thousand lines the model gets the lines around the place."""
    text = "def f():\n" + "    x = 1\n" * 500 + "\n    y = 2\n    z = 3\n\n" + "    x = 1\n" * 500
    assert (
        around("python", text, "z = 3") == "    y = 2\n    z = 3\n"
        or len(around("python", text, "z = 3").splitlines()) <= LARGEST_SYMBOL
    )


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("python", PYTHON, ("f", "A", "A.m")),
        ("typescript", TYPESCRIPT, ("A", "A.find", "A.arrow", "g")),
        ("rust", RUST, ("S", "S.new", "fmt::Display for S", "fmt::Display for S.fmt")),
        ("go", GO, ("T", "T.M")),
        ("cpp", CPP, ("Box", "Box.size", "Box::other")),
        ("c", C, ("first",)),
        ("bash", BASH, ("hello",)),
        ("unheard-of", "def f(): pass", ()),
    ],
)
def test_names_of_a_text(language: str, text: str, names: tuple[str, ...]) -> None:
    """The symbols, members under their class, in order; each with its lines."""
    assert symbols(language, text) == names
    assert tuple(name for name, _, _ in outline(language, text)) == names


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        ("python", "def f():\n    return 1\n", "def f(:\n    return 1\n"),
        ("typescript", "const a: number = 1;\n", "const a: number = ;\n}"),
        ("javascript", "f();\n", "f(;\n"),
        ("go", "package p\n", "package p\nfunc {\n"),
        ("rust", "fn f() {}\n", "fn f( {}\n"),
        ("c", "int a;\n", "int f( { }\n"),
        ("cpp", "int a;\n", "class {{;\n"),
        ("shellscript", "if true; then echo; fi\n", "if true; then echo\n"),
    ],
)
def test_errors_are_counted(language: str, good: str, bad: str) -> None:
    """Good code has none, broken code has some."""
    assert errors(language, good) == 0
    assert (errors(language, bad) or 0) > 0


def test_no_grammar_is_not_no_error() -> None:
    """Where nobody can say, None is said."""
    assert errors("cobol", "anything") is None


PIECES = [
    "def f():\n",
    "class A {",
    "}",
    "(",
    ")",
    "\n",
    "\r\n",
    "\r",
    "    ",
    "@d\n",
    "// c\n",
    "# c\n",
    "😀",
    "\ud800",
    "\x00",
    "'",
    '"',
    "`",
    "fn x() {",
    "return\n",
]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(GRAMMARS)),
    st.lists(st.sampled_from(PIECES), max_size=15).map("".join),
    st.integers(0, 20),
    st.integers(0, 9),
)
def test_garbage_gives_a_region_that_holds_the_place(language: str, text: str, line: int, column: int) -> None:
    """Whatever stands in a file: whole lines come back, around the place that was asked for."""
    snapshot = Snapshot.of(text, uri="file:///x", language=language)
    point = snapshot.point(snapshot.offset(Point(line, column)))
    region = enclosing(snapshot, Region(point, point))
    assert region.start.column == 0
    assert region.start <= point
    assert region.end.line >= point.line or region.end == snapshot.whole.end
    assert region.end.column == 0 or region.end == snapshot.whole.end
    assert (errors(language, text) or 0) >= 0
    symbols(language, text)


@pytest.mark.parametrize("hostile", ["(" * 50_000, "{" * 50_000, "a." * 50_000, "'" * 20_001])
def test_deep_nesting_is_no_trap(hostile: str) -> None:
    """A tree deeper than Python's stack is walked all the same, in bounded time."""
    start = time.thread_time()
    snapshot = Snapshot.of(hostile, uri="file:///x", language="python")
    errors("python", hostile)
    symbols("python", hostile)
    middle = Point(0, len(hostile) // 2)
    enclosing(snapshot, Region(middle, middle))
    assert time.thread_time() - start < 10


@pytest.mark.parametrize("hostile", ["\x00", "[{", "<", "`${", '"a\n', "a=>"])
@pytest.mark.parametrize("language", sorted({"python", "typescript", "tsx", "go", "rust", "cpp", "shellscript"}))
def test_no_text_blocks_for_long(language: str, hostile: str) -> None:
    """Some texts of 150 KB would be parsed for minutes: that is foreseen, and their syntax is unknown."""
    began = time.thread_time()
    errors(language, hostile * (150_000 // len(hostile)))
    assert time.thread_time() - began < 2  # a quarter of a second, on a machine that is not busy


def test_what_takes_too_long_is_not_parsed() -> None:
    """Heads that grow dearer than they grow longer are not followed to the end; what is cheap is."""

    def clock(cost: float) -> Callable[[], float]:
        now = count()
        return lambda: next(now) * cost

    text = "x = 1\n" * 10_000
    assert _parse("python", text, clock(0.001)) is not None
    assert _parse("python", text, clock(0.1)) is None
    assert _parse("python", "x = 1\n", clock(100)) is not None  # nothing so short is measured
    assert _parse("python", text, clock(0.0)) is not None
