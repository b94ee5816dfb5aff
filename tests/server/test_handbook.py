"""The handbook: a rule in its checker's own words, at once; a checker's own fix, of the one problem that was pointed at."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parts
from fixes_recorded import CHECKERS, NODE, cases, needs
from glossator import syntax
from glossator.checkers import Toolbox
from glossator.checkers.row import Edit
from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.handbook import Handbook, apply
from glossator.tasks.task import State
from glossator.verify import describe, verify

ALL = bool(os.environ.get("GLOSSATOR_TEST_ALL_FIXES"))
HERE = Region(Point(0, 0), Point(0, 1))


def handbook(folder: Path, *, trusted: bool = True) -> Handbook:
    """Make the handbook of a workspace in *folder*."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{NODE}"}
    return Handbook(Toolbox(roots=(str(folder),), trusted=trusted, environment=environment))


def snapshot(text: str, language: str, path: Path) -> Snapshot:
    """Make the snapshot of a document."""
    return Snapshot.of(text, uri=path.as_uri(), language=language, path=str(path))


@pytest.mark.parametrize(
    ("program", "asked", "title", "words"),
    [
        ("ruff", ("Ruff", "python", "F401"), "F401 unused-import (ruff)", "Checks for unused imports."),
        ("ruff", ("Ruff", "python", "unused-import"), "F401 unused-import (ruff)", "Checks for unused imports."),
        (
            "basedpyright",
            ("basedpyright", "python", "reportOptionalMemberAccess"),
            "reportOptionalMemberAccess (basedpyright)",
            "Report attempts to access members on a Optional type.",
        ),
        ("mypy", ("mypy", "python", "arg-type"), "arg-type (mypy)", "Check argument types in calls."),
        ("tsc", ("ts", "typescript", "2322"), "TS2322 (tsc)", "> Type '{0}' is not assignable to type '{1}'."),
        ("shellcheck", ("shellcheck", "shellscript", "SC2086"), "SC2086 (shellcheck)", "> the message"),
        ("shellcheck", ("shellcheck", "shellscript", "SC2086"), "SC2086 (shellcheck)", "shellcheck.net/wiki/SC2086"),
        ("gcc", ("gcc", "c", "-Wunused-variable"), "-Wunused-variable (gcc)", "Warn when a variable is unused."),
        ("rustc", ("rustc", "rust", "E0308"), "E0308 (rustc)", "```rust\nfn plus_one(x: i32) -> i32 {"),
        ("rustc", ("rust-analyzer", "rust", "unused_mut"), "unused_mut (rustc)", "detect mut variables"),
    ],
)
async def test_a_rule_is_explained_in_its_checkers_words(
    tmp_path: Path, program: str, asked: tuple[str, str, str], title: str, words: str
) -> None:
    """The page names code and tool and says what the tool ships of it; afterwards it is known without any work."""
    needs(program)
    book = handbook(tmp_path)
    source, language, code = asked
    diagnostic = Diagnostic(HERE, "the message\nmore of it", source=source, code=code)
    page = await book.page(diagnostic, language, str(tmp_path / "a"))
    assert page is not None
    assert page.title == title
    assert words in page.markdown
    assert page.markdown.startswith(f"**{title.split(' (', maxsplit=1)[0]}**")
    assert book.peek(diagnostic, language) == page


async def test_peeking_starts_nothing(tmp_path: Path) -> None:
    """A menu or a hover that may not wait sees only what is known already."""
    book = handbook(tmp_path)
    assert book.peek(Diagnostic(HERE, "m", source="Ruff", code="F401"), "python") is None
    assert book.peek(Diagnostic(HERE, "m", source="nobody", code="F401"), "python") is None


async def test_what_nobody_documents_has_no_page(tmp_path: Path) -> None:
    """An unknown rule, an unknown source, a problem without a code, a tool that is not there."""
    needs("ruff")
    book = handbook(tmp_path)
    near = str(tmp_path / "a.py")
    assert await book.page(Diagnostic(HERE, "m", source="Ruff", code="ZZZ999"), "python", near) is None
    assert await book.page(Diagnostic(HERE, "m", source="sonarlint", code="S1"), "python", near) is None
    assert await book.page(Diagnostic(HERE, "m", source="gcc"), "c", near) is None
    assert await book.page(Diagnostic(HERE, "m", source="rustc", code="E0000; id"), "rust", None) is None
    empty = Handbook(Toolbox(roots=(), trusted=True, environment={"PATH": ""}, own=None))
    assert await empty.page(Diagnostic(HERE, "m", source="Ruff", code="F401"), "python", near) is None
    assert (
        await empty.fix(Diagnostic(HERE, "m", source="Ruff", code="F401"), snapshot("x\n", "python", Path(near)))
        is None
    )


@pytest.mark.parametrize("body", ["print('garbage')", "print('[{}]')", "print('[null]')", "raise SystemExit(3)"])
async def test_a_broken_tool_documents_nothing(tmp_path: Path, body: str) -> None:
    """A tool that fails to tell of its rules leaves an empty page, not an error."""
    tool = tmp_path / "bin" / "ruff"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\n{body}\n")
    tool.chmod(0o755)
    book = Handbook(Toolbox(roots=(), trusted=True, environment={"PATH": str(tool.parent)}, own=None))
    assert await book.page(Diagnostic(HERE, "m", source="Ruff", code="F401"), "python", None) is None


async def test_one_fix_changes_only_what_it_is_about(tmp_path: Path) -> None:
    """Of two unused imports, and of two unquoted variables, the pointed one is mended; CRLF and wide characters stay."""
    needs("ruff")
    needs("shellcheck")
    book = handbook(tmp_path)
    text = 'x = "é😀"; import os\r\nimport sys\r\nimport re\r\nprint(re, "é")\r\n'
    second = Diagnostic(Region(Point(1, 7), Point(1, 10)), "`sys` imported but unused", source="Ruff", code="F401")
    fixed = await book.fix(second, snapshot(text, "python", tmp_path / "a.py"))
    assert fixed is not None
    assert (fixed.text, fixed.tool) == (text.replace("import sys\r\n", ""), "ruff")
    script = '#!/bin/bash\n\techo "é😀" $1 $2\n'
    last = Diagnostic(Region(Point(1, 14), Point(1, 16)), "Double quote …", source="shellcheck", code="SC2086")
    quoted = await book.fix(last, snapshot(script, "shellscript", tmp_path / "a.sh"))
    assert quoted is not None
    assert quoted.text == script.replace("$2", '"$2"')


async def test_a_fix_that_the_checker_does_not_call_safe_is_not_offered(tmp_path: Path) -> None:
    """Ruff marks some fixes as unsafe, rustc as perhaps incorrect: those are guesses like anybody else's."""
    needs("ruff")
    needs("rustc")
    book = handbook(tmp_path)
    text = "def f():\n    unused = g()\n"
    unsafe = Diagnostic(Region(Point(1, 4), Point(1, 10)), "Local variable", source="ruff", code="F841")
    assert await book.fix(unsafe, snapshot(text, "python", tmp_path / "a.py")) is None
    text = 'fn main() {\n    let _s: String = "a";\n}\n'
    guess = Diagnostic(Region(Point(1, 21), Point(1, 24)), "mismatched types", source="rustc", code="E0308")
    assert await book.fix(guess, snapshot(text, "rust", tmp_path / "a.rs")) is None


async def test_asking_for_a_fix_writes_nothing(tmp_path: Path) -> None:
    """Not even where the project tells ruff to fix by itself."""
    needs("ruff")
    (tmp_path / "ruff.toml").write_text("fix = true\n")
    (tmp_path / "a.py").write_text("import os\n")
    problem = Diagnostic(Region(Point(0, 7), Point(0, 9)), "unused", source="ruff", code="F401")
    fixed = await handbook(tmp_path).fix(problem, snapshot("import os\n", "python", tmp_path / "a.py"))
    assert fixed is not None
    assert fixed.text == ""
    files = {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)}  # noqa: PTH208  names are enough
    assert files == {"a.py": "import os\n", "ruff.toml": "fix = true\n"}


@pytest.mark.parametrize("checker", ["ruff", "shellcheck", "gcc", "rustc", "eslint"])  # the others offer none
async def test_the_checkers_own_fixes_of_real_files_are_verified(tmp_path: Path, checker: str) -> None:
    """What a checker calls safe is accepted by the same gates as a model's answer; gcc's guesses at names may fail them."""
    needs(checker)
    states = Counter[str]()
    wrong = []
    found = cases(checker)
    for number, case in enumerate(found if ALL else found[:: max(1, len(found) // (3 if checker == "gcc" else 9))]):
        box, base = case.put(tmp_path / str(number))
        suggestion = await Handbook(box).fix(case.diagnostic, base)
        if suggestion is None:
            states["none"] += 1
            continue
        region = syntax.enclosing(base, case.diagnostic.region)
        verdict = await verify(base, suggestion.text, (case.diagnostic,), region=region, toolbox=box)
        states[verdict.state] += 1
        if verdict.state is not State.FIXED:
            wrong.append((case.name, describe(verdict)))
    if ALL:
        print(f"\n{checker}: {dict(states)}")
    assert wrong == [] or checker == "gcc"


PLACES = st.integers(0, 12)


@given(
    text=st.text("ab\n\r😀", max_size=12),
    spans=st.lists(st.tuples(PLACES, PLACES, st.text("xy", max_size=2)), max_size=4),
)
def test_edits_are_made_all_or_none(text: str, spans: list[tuple[int, int, str]]) -> None:
    """Edits that do not overlap are made as if one after the other from the end; others are refused."""
    base = Snapshot.of(text, uri="file:///a")
    # A place between \r and \n is none.
    places = sorted(
        (base.offset(base.point(min(a, b))), base.offset(base.point(max(a, b))), new) for a, b, new in spans
    )
    edits = tuple(Edit(Region(base.point(start), base.point(end)), new) for start, end, new in places)
    result = apply(base, edits)
    if any(second[0] < first[1] for first, second in itertools.pairwise(places)):
        assert result is None
        return
    expected = text
    for start, end, new in reversed(places):
        expected = expected[:start] + new + expected[end:]
    assert result == expected


def test_the_parts_are_where_the_tests_look() -> None:
    """The recorded cases exist for each checker, or the tests above say that they were skipped."""
    parts.shared_data("fixes", "broken_dev.jsonl.gz")
    assert all(cases(checker) for checker in CHECKERS)
