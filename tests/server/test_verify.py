"""The gates: a good fix is verified by its own checker, and every other kind of answer gets its own label."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixes_recorded import CHECKERS, OTHER_THAN_A_FIX, Case, cases, needs
from glossator import syntax
from glossator.checkers import Toolbox
from glossator.checkers.recognise import target
from glossator.checkers.row import Finding
from glossator.checkers.suppressions import without_comments
from glossator.document import Diagnostic, Point, Region, Severity, Snapshot, split_lines
from glossator.tasks.task import State, Verdict
from glossator.verify import Change, compare, describe, verify

ALL = bool(os.environ.get("GLOSSATOR_TEST_ALL_FIXES"))
SAMPLE = {"ruff": 12, "shellcheck": 8, "rustc": 12, "gcc": 2, "basedpyright": 3, "tsc": 2, "eslint": 4}


def sample(checker: str) -> tuple[Case, ...]:
    """Return some recorded cases spread over the whole set; all of them with GLOSSATOR_TEST_ALL_FIXES."""
    found = cases(checker)
    return found if ALL else found[:: max(1, len(found) // SAMPLE[checker])]


def at(line: int, column: int = 0, *, to: int | None = None, until: int | None = None) -> Region:
    """Return a region on one line, or on some."""
    return Region(Point(line, column), Point(line if until is None else until, column + 1 if to is None else to))


def problem(code: str | None, line: int, message: str = "wrong", *, severity: Severity = Severity.ERROR) -> Diagnostic:
    """Return what a checker found on a line."""
    return Diagnostic(at(line), message, source="tool", code=code, severity=severity)


def found(*diagnostics: Diagnostic) -> tuple[Finding, ...]:
    """Return a checker's findings."""
    return tuple(Finding(diagnostic) for diagnostic in diagnostics)


async def judge(text: str, new: str, diagnostic: Diagnostic, folder: Path, language: str = "python") -> Verdict:
    """Ask the real gates about a document in *folder*."""
    file = folder / {"python": "a.py", "rust": "a.rs", "shellscript": "a.sh"}[language]
    base = Snapshot.of(text, uri=file.as_uri(), language=language, path=str(file))
    box = Toolbox(roots=(str(folder),), trusted=True, environment=dict(os.environ))
    return await verify(base, new, (diagnostic,), region=syntax.enclosing(base, diagnostic.region), toolbox=box)


# Real broken files, real checkers


@pytest.mark.parametrize("checker", CHECKERS)
async def test_known_good_fixes_are_verified(tmp_path: Path, checker: str) -> None:
    """Each recorded fix is accepted by the checker that reported the problem."""
    needs(checker)
    wrong = []
    for number, case in enumerate(sample(checker)):
        box, base = case.put(tmp_path / str(number))
        region = syntax.enclosing(base, case.diagnostic.region)
        verdict = await verify(base, case.fixed, (case.diagnostic,), region=region, toolbox=box)
        expected = State.DESTROYED if case.name in OTHER_THAN_A_FIX else State.FIXED
        if verdict.state is not expected:
            wrong.append((case.name, describe(verdict)))
    assert wrong == []


def _with_noise(case: Case) -> str:
    lines = list(split_lines(case.files[case.main]))
    mark = "// " if case.language in {"rust", "cpp", "typescript", "javascript"} else "# "
    return "".join([*lines, "" if not lines or lines[-1].endswith("\n") else "\n", f"{mark}looked at\n"])


def _emptied(case: Case) -> str:
    mark = "// " if case.language in {"rust", "cpp", "typescript", "javascript"} else "# "
    return f"{mark}the code was here\n"


def _torn(case: Case) -> str:
    return case.fixed.rstrip() + "\n)]}\n"


_SHORT = 6  # lines
# Each spoils a recorded case; the labels it may get.
SPOILED: list[tuple[Callable[[Case], str], set[State]]] = [
    (_with_noise, {State.UNCHANGED}),
    (_emptied, {State.DESTROYED}),
    (_torn, {State.BROKEN, State.WORSE, State.UNCHANGED}),
]


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize(("spoil", "labels"), SPOILED)
async def test_spoiled_fixes_are_never_verified(
    tmp_path: Path, checker: str, spoil: Callable[[Case], str], labels: set[State]
) -> None:
    """An answer that changes nothing, one that deletes all and one that does not parse are told apart."""
    needs(checker)
    wrong = []
    for number, case in enumerate(sample(checker)[: None if ALL else 2]):
        box, base = case.put(tmp_path / str(number))
        region = syntax.enclosing(base, case.diagnostic.region)
        verdict = await verify(base, spoil(case), (case.diagnostic,), region=region, toolbox=box)
        if spoil is _torn and syntax.errors(base.language, base.text):
            continue  # what did not parse before may be torn elsewhere unseen
        if spoil is _emptied and len(without_comments(base.language, base.text).split("\n")) < _SHORT:
            continue  # one line that the problem points at may be all that is too much
        if verdict.state not in labels:
            wrong.append((case.name, verdict.state, describe(verdict)))
    assert wrong == []


LONG = """import json


def total(rows):
    result = 0
    for row in rows:
        if row is None:
            continue
        result += row["price"] * row["count"]
        result -= row.get("rebate", 0)
    print(json.dumps(result))
    return resutl
"""
UNDEFINED = Diagnostic(at(11, 11, to=17), "Undefined name `resutl`", source="Ruff", code="F821")


@pytest.mark.parametrize(
    ("new", "state", "words"),
    [
        (LONG.replace("resutl", "result"), State.FIXED, "✓ ruff 1 → 0, nothing new"),
        (LONG, State.UNCHANGED, "nothing was changed"),
        (LONG.replace("0)\n", "0.0)\n"), State.UNCHANGED, "ruff still reports F821"),
        (LONG.replace("resutl", "resutl + 0"), State.UNCHANGED, "ruff still reports F821"),
        (
            LONG.replace("    return resutl", "    import os\n    return result"),
            State.WORSE,
            "1 new problem: F401 `os` imported but unused",
        ),
        (
            LONG.replace("import json\n", "").replace("resutl", "result"),
            State.WORSE,
            "1 new problem: F821 Undefined name `json`",
        ),
        (
            LONG.replace("resutl", "resutl  # noqa: F821"),
            State.SUPPRESSED,
            "silences the problem instead of mending it: noqa",
        ),
        (
            "import json\n\n\ndef total(rows):\n    pass\n",
            State.DESTROYED,
            "removes 8 of 9 lines, which the problem is not about",
        ),
        ("import json\n\nprint(json)\n", State.DESTROYED, "removes total, which the problem is not about"),
        (LONG.replace("resutl", "result)"), State.BROKEN, "does not parse: 1 new syntax error"),
        (
            LONG.replace("        if row", "    if row").replace("resutl", "result"),
            State.BROKEN,
            "does not compile: expected an indented block after 'for' statement on line 6 (line 7)",
        ),
        (
            LONG.replace("    return resutl", "return result"),
            State.BROKEN,
            "does not compile: 'return' outside function",
        ),
        ("", State.DESTROYED, "removes total, which the problem is not about"),
    ],
)
async def test_each_kind_of_answer_has_its_label(tmp_path: Path, new: str, state: State, words: str) -> None:
    """The one line that every front shows says what became of the problem."""
    needs("ruff")
    verdict = await judge(LONG, new, UNDEFINED, tmp_path)
    assert (verdict.state, describe(verdict)) == (state, words)


async def test_a_human_name_of_a_rule_is_as_good_as_its_code(tmp_path: Path) -> None:
    """Ruff in preview mode calls F821 `undefined-name`, and ends its messages otherwise."""
    needs("ruff")
    shown = Diagnostic(UNDEFINED.region, "Undefined name `resutl`\n\nhelp: …", source="ruff", code="undefined-name")
    verdict = await judge(LONG, LONG.replace("resutl", "result"), shown, tmp_path)
    assert describe(verdict) == "✓ ruff 1 → 0, nothing new"


async def test_two_problems_of_two_checkers_must_both_be_gone(tmp_path: Path) -> None:
    """One checker's applause does not drown the other's objection."""
    needs("ruff")
    needs("basedpyright")
    text = "import os\n\nx: int = 'a'\n"
    base = Snapshot.of(text, uri="file:///a.py", language="python", path=str(tmp_path / "a.py"))
    box = Toolbox(roots=(str(tmp_path),), trusted=True, environment=dict(os.environ))
    asked = (
        Diagnostic(at(0, 7, to=9), "`os` imported but unused", source="Ruff", code="F401"),
        Diagnostic(at(2, 9, to=12), "Type …", source="basedpyright", code="reportAssignmentType"),
    )
    half = await verify(base, "x: int = 'a'\n", asked, region=base.whole, toolbox=box)
    whole = await verify(base, "x: int = 1\n", asked, region=base.whole, toolbox=box)
    assert (half.state, half.checker) == (State.UNCHANGED, "basedpyright")
    assert whole.state is State.FIXED


async def test_without_a_checker_only_the_syntax_is_vouched_for(tmp_path: Path) -> None:
    """No toolbox, a source that nobody knows, a tool that is missing: all are told, none is called verified."""
    new = LONG.replace("resutl", "result")
    base = Snapshot.of(LONG, uri="file:///a.py", language="python", path=str(tmp_path / "a.py"))
    empty = Toolbox(roots=(str(tmp_path),), trusted=True, environment={"PATH": ""}, own=None)
    unknown = Diagnostic(UNDEFINED.region, "?", source="sonarlint", code="S1")
    verdicts = [
        await verify(base, new, (UNDEFINED,), region=base.whole, toolbox=None),
        await verify(base, new, (unknown,), region=base.whole, toolbox=empty),
        await verify(base, new, (UNDEFINED,), region=base.whole, toolbox=empty),
        await verify(base, new, (), region=base.whole, toolbox=empty),
    ]
    assert {verdict.state for verdict in verdicts} == {State.UNKNOWN}
    assert [describe(verdict) for verdict in verdicts] == [
        "parses; no checker could confirm",
        "parses; no checker could confirm; Glossator cannot run sonarlint",
        "parses; ruff could not confirm: ruff is not installed where Glossator could find it",
        "parses; no checker could confirm",
    ]


async def test_what_was_not_parsed_is_not_said_to_parse(tmp_path: Path) -> None:
    """In a language without a grammar nobody has looked at the syntax, and the label says so."""
    base = Snapshot.of("( x", uri="file:///a.cob", language="cobol", path=str(tmp_path / "a.cob"))
    verdict = await verify(base, "( y", (), region=base.whole, toolbox=None)
    assert describe(verdict) == "syntax not checked; no checker could confirm"


async def test_a_problem_that_the_checker_does_not_see_is_not_called_fixed(tmp_path: Path) -> None:
    """Other settings in the editor, or a stale diagnostic: the checker's silence proves nothing."""
    needs("ruff")
    stale = Diagnostic(at(0), "Undefined name `gone`", source="ruff", code="F822")
    verdict = await judge("x = 1\n", "x = 2\n", stale, tmp_path)
    assert describe(verdict) == "parses; ruff does not report F822 here, so it could not confirm"


async def test_a_refactoring_must_bring_nothing_new(tmp_path: Path) -> None:
    """Without a diagnostic, an installed checker of the language looks for new problems; a new name is no loss."""
    needs("ruff")
    text = "def area(a, b):\n    return a * b\n"
    base = Snapshot.of(text, uri="file:///a.py", language="python", path=str(tmp_path / "a.py"))
    box = Toolbox(roots=(str(tmp_path),), trusted=True, environment=dict(os.environ))
    good = await verify(base, text.replace("area", "surface"), (), region=base.whole, toolbox=box)
    bad = await verify(base, text.replace("* b", "* c"), (), region=base.whole, toolbox=box)
    gone = await verify(base, "x = 1\n", (), region=base.whole, toolbox=box)
    assert (good.state, describe(good)) == (State.FIXED, "✓ ruff 0 → 0, nothing new")
    assert (bad.state, describe(bad)) == (State.WORSE, "1 new problem: F821 Undefined name `c`")
    assert gone.state is State.DESTROYED


async def test_newer_grammar_than_our_own_python_is_no_syntax_error(tmp_path: Path) -> None:
    """The user's Python may be newer than the one that runs Glossator."""
    if sys.version_info >= (3, 14):
        pytest.skip("this Python knows all the grammar there is")
    new = LONG.replace("resutl", "result").replace("def total(rows)", "def total[T](rows: T)")
    base = Snapshot.of(LONG, uri="file:///a.py", language="python", path=str(tmp_path / "a.py"))
    verdict = await verify(base, new, (UNDEFINED,), region=base.whole, toolbox=None)
    assert verdict.state is State.UNKNOWN


async def test_removing_what_is_too_much_is_a_fix(tmp_path: Path) -> None:
    """A problem about unused code may take that code away, be it most of the region."""
    needs("ruff")
    names = "".join(f"    name{number},\n" for number in range(9))
    text = f"from module import (\n{names})\n\nprint(1)\n"
    unused = Diagnostic(at(1, 4, to=9), "`module.name0` imported but unused", source="ruff", code="F401")
    verdict = await judge(text, "print(1)\n", unused, tmp_path)
    assert verdict.state is State.FIXED


@pytest.mark.parametrize(
    ("text", "code", "message", "destroyed"),
    [
        ("x == None\n", "E711", "Comparison to `None` should be `cond is None`", True),
        ("# a comment that is too long\n", "E501", "Line too long", True),
        ("# Copyright\nimport os\n", "F401", "`os` imported but unused", True),
        ("import os\n\nprint(1)\n", "F401", "`os` imported but unused", True),
        ("import os\n", "F401", "`os` imported but unused", False),
        ("# noqa\n", "RUF100", "Unused `noqa` directive", False),
    ],
)
@pytest.mark.parametrize("nothing", ["", "\n", "   \n\n"])
async def test_nothing_is_left_only_where_all_of_it_was_too_much(
    text: str, code: str, message: str, nothing: str, *, destroyed: bool
) -> None:
    """A text is emptied, comments included, only if the problem says that exactly its lines are unused."""
    base = Snapshot.of(text, uri="file:///a.py", language="python", path="/a.py")
    line = text.count("\n") - 1 if destroyed and "Copyright" in text else 0
    diagnostic = Diagnostic(Region(Point(line, 0), Point(line, 9)), message, "ruff", code)
    verdict = await verify(base, nothing, (diagnostic,), region=base.whole, toolbox=None)
    assert (verdict.state is State.DESTROYED) == destroyed, describe(verdict)


async def test_texts_that_nothing_can_parse_do_no_harm(tmp_path: Path) -> None:
    """Null bytes, half characters, a very deep expression, an unknown language: a verdict, no exception."""
    for new in ("\x00", "\ud800", "(" * 5000, "x = " + "-" * 20000 + "1\n", "\r\r\r", "\ufeffx = 1\n"):
        for language in ("python", "rust", "nolang"):
            base = Snapshot.of(LONG, uri="file:///a", language=language, path=str(tmp_path / "a.py"))
            box = Toolbox(roots=(str(tmp_path),), trusted=True, environment=dict(os.environ))
            verdict = await verify(base, new, (UNDEFINED,), region=base.whole, toolbox=box)
            assert not verdict.verified
            assert describe(verdict)


# The comparison of two reports, without any tool


def test_a_problem_that_moved_is_neither_gone_nor_new() -> None:
    """Lines shift when others come before them."""
    base = Snapshot.of("a\nb\nc\nd\n", uri="file:///a")
    asked = problem("X1", 1)
    verdict = compare(
        "tool",
        base,
        "a\nnew\nnew\nB\nc\nd\n",
        (asked,),
        before=found(asked, problem("X2", 3)),
        after=found(problem("X2", 5)),
    )
    assert (verdict.state, verdict.before, verdict.after) == (State.FIXED, 2, 1)


def test_of_two_problems_on_one_line_the_one_asked_about_counts_as_gone() -> None:
    """Two unquoted variables on one line read alike; when one is left, one was mended."""
    base = Snapshot.of("$1 $2\n", uri="file:///a")
    both = (problem("SC2086", 0), Diagnostic(at(0, 3), "wrong", source="tool", code="SC2086"))
    one_left = compare("t", base, '"$1" $2\n', both[:1], before=found(*both), after=found(both[1]))
    none_gone = compare("t", base, "$1  $2\n", both[:1], before=found(*both), after=found(*both))
    both_asked = compare("t", base, '"$1" $2\n', both, before=found(*both), after=found(both[1]))
    assert [verdict.state for verdict in (one_left, none_gone, both_asked)] == [
        State.FIXED,
        State.UNCHANGED,
        State.UNCHANGED,
    ]


def test_what_a_message_counts_does_not_make_it_another_problem() -> None:
    """`too complex (12 > 10)` that became `too complex (11 > 10)` is still too complex."""
    base = Snapshot.of("a\nb\n", uri="file:///a")
    asked = problem("C901", 0, "`f` is too complex (12 > 10)")
    left = problem("C901", 0, "`f` is too complex (11 > 10)")
    verdict = compare("ruff", base, "a\nB\n", (asked,), before=found(asked), after=found(left))
    assert describe(verdict) == "ruff still reports C901"


def test_milder_and_distant_remarks_are_told_and_do_not_refuse() -> None:
    """A compiler shows more once it gets further; what it shows elsewhere was there before."""
    base = Snapshot.of("a\nb\nc\n", uri="file:///a")
    asked = problem("E1", 0)
    mild = problem("W1", 0, "mild", severity=Severity.WARNING)
    verdict = compare("rustc", base, "A\nb\nc\n", (asked,), before=found(asked), after=found(mild, problem("E2", 2)))
    assert (verdict.state, describe(verdict)) == (State.FIXED, "✓ rustc 1 → 2, 2 other remarks: W1 mild; E2 wrong")


def test_long_lists_of_new_problems_are_cut() -> None:
    """The line stays a line."""
    base = Snapshot.of("a\n", uri="file:///a")
    many = found(*(problem(f"X{number}", 0, "m" * 300) for number in range(9)))
    verdict = compare("tool", base, "b\n", (problem("Y", 0),), before=found(problem("Y", 0)), after=many)
    line = describe(verdict)
    assert line.startswith("9 new problems: X0 mmm")
    assert line.endswith("…; 6 more")
    assert len(line) < 300


def test_an_editors_problem_is_found_among_the_checkers_own() -> None:
    """By code or name near its place; by message where there is no code; by place where another tool has other words."""
    gcc = Finding(Diagnostic(at(4, 3, to=9), "\u2018foo\u2019 was not declared in this scope", source="gcc"))
    ruff = Finding(problem("F401", 7), aliases=frozenset({"unused-import"}))
    reports = (Finding(problem("F401", 1)), gcc, ruff)
    assert target(problem("unused-import", 8), reports) is ruff
    assert target(problem("F401", 6), reports) is ruff
    assert target(problem("F999", 7), reports) is None
    assert target(problem("F401", 20), reports) is None
    assert target(Diagnostic(at(4), "'foo' was not declared in this scope", source="gcc"), reports) is gcc
    clangd = Diagnostic(at(4, 5), "Use of undeclared identifier 'foo'", source="clang", code="undeclared_var_use")
    assert target(clangd, (gcc,)) is gcc
    assert target(clangd, ()) is None


LINES = st.lists(st.sampled_from("abc"), max_size=8).map(lambda lines: tuple(f"{line}\n" for line in lines))


@given(old=LINES, new=LINES)
def test_a_change_knows_where_each_line_went(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """A line that is said to have moved is the same line there, in order, and the rest is marked as changed."""
    change = Change.between(old, new)
    moved = [change.moved(line) for line in range(len(old))]
    kept = [line for line in moved if line is not None]
    assert all(new[there] == old[line] for line, there in enumerate(moved) if there is not None)
    assert kept == sorted(set(kept))
    for line in set(range(len(new))) - set(kept):
        assert change.touches(Region(Point(line, 0), Point(line, 1)))


@pytest.mark.skipif(not ALL, reason="set GLOSSATOR_TEST_ALL_FIXES to measure the whole set")
@pytest.mark.parametrize("checker", CHECKERS)
async def test_report_the_whole_set(tmp_path: Path, checker: str) -> None:
    """Print how many of all recorded fixes are verified."""
    needs(checker)
    states = Counter[str]()
    for number, case in enumerate(cases(checker)):
        box, base = case.put(tmp_path / str(number))
        region = syntax.enclosing(base, case.diagnostic.region)
        verdict = await verify(base, case.fixed, (case.diagnostic,), region=region, toolbox=box)
        states[verdict.state] += 1
    print(f"\n{checker}: {dict(states)}")
    assert states[State.FIXED] >= 0.85 * states.total()
