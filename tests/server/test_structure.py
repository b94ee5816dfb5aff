"""What is counted of a function: the same in every language that has a grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator.document import Severity, Snapshot
from glossator.structure import measure, remarks
from glossator.syntax import GRAMMARS

PYTHON = """
@cached
def f(self, a, *, b=1):
    if a and b or c:
        for x in y:
            if x:
                pass
            elif z:
                pass
    return [q for q in r if q]


class C:
    def m(self):
        pass
"""
TYPESCRIPT = """
export const f = (a: number, b = 2) => {
  if (a && b) { return a ? 1 : 2 } else if (b) { for (const x of b) {} }
};
"""
GO = "package a\n\nfunc f(a, b int) {\n\tif a > 0 && b > 0 {\n\t\tfor {}\n\t}\n}\n"


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", PYTHON, [("f", 1, 10, 9, 3, 2), ("C.m", 13, 15, 1, 0, 0)]),
        ("typescript", TYPESCRIPT, [("f", 1, 4, 6, 2, 2)]),
        ("c", "int f(int a, char *b) {\n  if (a || b) while (a) a--;\n  return 0;\n}\n", [("f", 0, 4, 4, 2, 2)]),
        ("c", "int g(void) { return 0; }\n", [("g", 0, 1, 1, 0, 0)]),
        ("go", GO, [("f", 2, 7, 4, 2, 2)]),
        ("rust", "fn f(&self, a: i32) { if a > 1 && b { match a { 1 => 2, _ => 3 }; } }\n", [("f", 0, 1, 5, 2, 1)]),
        ("shellscript", "f() { if a && b; then for x in y; do z; done; fi; }\n", [("f", 0, 1, 4, 2, 0)]),
        ("cobol", "IDENTIFICATION DIVISION.\n", []),
    ],
)
def test_a_function_is_measured(language: str, text: str, expected: list[tuple[str, int, int, int, int, int]]) -> None:
    """Lines, branches, depth and parameters are those that a reader counts; where there is no grammar nothing is."""
    assert [
        (one.name, one.first, one.end, one.branches, one.depth, one.parameters) for one in measure(language, text)
    ] == expected


def test_what_stands_out_is_told_at_the_head_of_its_function() -> None:
    """A remark is information with a rule of its own, on the line that names the function, below its decorators."""
    body = "".join(f"    if a{number}:\n        pass\n" for number in range(11))
    text = f"@cached\ndef tangled(a):\n{body}\n\ndef plain(a):\n    return a\n"
    (found,) = remarks(Snapshot.of(text, uri="file:///a.py", language="python"))
    assert (found.code, found.source, found.severity) == ("complex-function", "glossator", Severity.INFORMATION)
    assert found.region.start.line == 1
    assert "tangled has a cyclomatic complexity of 12" in found.message


@given(st.text(max_size=200), st.sampled_from(sorted(GRAMMARS)))
def test_any_text_can_be_measured(text: str, language: str) -> None:
    """However broken a text is, each measure is of lines that it has."""
    count = len(Snapshot.of(text, uri="file:///a", language=language).lines)
    assert all(0 <= one.first < one.end <= count and one.branches > 0 for one in measure(language, text))
