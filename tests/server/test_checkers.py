"""The checkers: found as the editor would, run on a text in no file, bounded, and read into code points."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parts
from glossator.checkers import CheckerFailed, Toolbox
from glossator.checkers.gcc import harmless
from glossator.checkers.row import Job, Output
from glossator.checkers.suppressions import silenced, without_comments
from glossator.checkers.table import ROWS
from glossator.checkers.wire import by_bytes, by_code_points, by_utf16
from glossator.document import Diagnostic, Point, Region, Snapshot

NODE = parts.ROOT / "tests" / "node" / "node_modules" / ".bin"
HERE = Region(Point(0, 0), Point(0, 1))


def toolbox(*roots: Path, path: Path | None = None, trusted: bool = True, time_limit: float = 10.0) -> Toolbox:
    """Make a toolbox; with *path*, only the programs in that folder exist."""
    environment = dict(os.environ)
    if path is not None:
        environment = {"PATH": str(path), "HOME": "/nonexistent", "SECRET_API_KEY": "sk-not-to-be-passed-on"}
    else:
        environment["PATH"] += f"{os.pathsep}{NODE}"
    names = tuple(map(str, roots))
    if path is not None:
        return Toolbox(roots=names, trusted=trusted, environment=environment, own=None, time_limit=time_limit)
    return Toolbox(roots=names, trusted=trusted, environment=environment, time_limit=time_limit)


def program(folder: Path, name: str, body: str) -> Path:
    """Write an executable Python script."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!{sys.executable}\nimport json, os, signal, subprocess, sys\n{textwrap.dedent(body)}", "utf-8")
    file.chmod(0o755)
    return file


def snapshot(text: str, language: str, path: Path | None = None) -> Snapshot:
    """Make the snapshot of a document."""
    uri = path.as_uri() if path else "untitled:Untitled-1"
    return Snapshot.of(text, uri=uri, language=language, path=str(path) if path else None)


def fingerprint(folder: Path) -> Mapping[str, tuple[str, int]]:
    """Return content and modification time of every file and folder under *folder*."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


# Which checker a diagnostic belongs to


@pytest.mark.parametrize(
    ("source", "language", "name"),
    [
        ("Ruff", "python", "ruff"),
        ("basedpyright", "python", "basedpyright"),
        ("Pyright", "python", "pyright"),
        ("Pylance", "python", "pyright"),
        ("mypy", "python", "mypy"),
        ("ts", "typescript", "tsc"),
        ("typescript", "javascriptreact", "tsc"),
        ("eslint", "javascript", "eslint"),
        ("shellcheck", "shellscript", "shellcheck"),
        ("gcc", "cpp", "gcc"),
        ("clang", "c", "gcc"),
        ("rustc", "rust", "rustc"),
        ("rust-analyzer", "rust", "rustc"),
        ("Ruff", "markdown", None),
        ("spell checker", "python", None),
        (None, "python", None),
    ],
)
def test_source_and_language_name_the_checker(source: str | None, language: str, name: str | None) -> None:
    """A diagnostic's checker is known by what editors call it, for the languages that it serves."""
    box = Toolbox(roots=(), trusted=True, environment={})
    assert box.checker_for(Diagnostic(HERE, "message", source=source), language) == name


# How a checker is found


def test_the_workspace_comes_before_path_and_path_before_our_own(tmp_path: Path) -> None:
    """The project's own version of a tool is the one that its diagnostics came from."""
    root = tmp_path / "work"
    document = root / "packages" / "one" / "a.py"
    own = program(tmp_path / "own", "ruff", "")
    environment = {"PATH": str(tmp_path / "path"), "VIRTUAL_ENV": str(tmp_path / "env")}
    box = Toolbox(roots=(str(root),), trusted=True, environment=environment, own=own.parent)
    found = [box.find("ruff", document)]
    for folder in (
        tmp_path / "path",
        tmp_path / "env" / "bin",
        root / "node_modules" / ".bin",
        root / ".venv" / "bin",
        root / "packages" / "one" / ".venv" / "bin",
    ):
        program(folder, "ruff", "")
        found.append(box.find("ruff", document))
    assert [Path(tool.path).parent for tool in found if tool] == [
        tmp_path / "own",
        tmp_path / "path",
        tmp_path / "env" / "bin",
        root / "node_modules" / ".bin",
        root / ".venv" / "bin",
        root / "packages" / "one" / ".venv" / "bin",
    ]


def test_a_workspace_that_is_not_trusted_brings_no_tools(tmp_path: Path) -> None:
    """Neither `.venv`, nor a folder of PATH inside the workspace, nor a link that leads there is run."""
    root = tmp_path / "work"
    inside = program(root / ".venv" / "bin", "ruff", "")
    linked = tmp_path / "bin"
    linked.mkdir()
    (linked / "ruff").symlink_to(inside)
    outside = program(tmp_path / "good", "ruff", "")
    path = os.pathsep.join([str(inside.parent), "", ".", ".venv/bin", str(linked), str(outside.parent)])
    environment = {"PATH": path, "VIRTUAL_ENV": str(root / ".venv")}
    found = [
        Toolbox(roots=(str(root),), trusted=trusted, environment=environment, own=None).find("ruff", root / "a.py")
        for trusted in (True, False)
    ]
    assert [tool.path for tool in found if tool] == [str(inside), str(outside)]


async def test_a_checker_that_runs_workspace_code_is_refused_where_that_is_not_trusted(tmp_path: Path) -> None:
    """A plugin named in a stranger's mypy.ini would be executed."""
    (tmp_path / "mypy.ini").write_text("[mypy]\nplugins = ./evil.py\n")
    (tmp_path / "evil.py").write_text("open('owned', 'w')\n")
    box = toolbox(tmp_path, trusted=False)
    for name, language in (("mypy", "python"), ("eslint", "javascript")):
        with pytest.raises(CheckerFailed, match="not trusted"):
            await box.check(name, snapshot("x = 1\n", language, tmp_path / "a.py"), "x = 1\n")
    assert sorted(fingerprint(tmp_path)) == ["evil.py", "mypy.ini"]


# What can go wrong with a process


async def test_a_missing_checker_says_so(tmp_path: Path) -> None:
    """The sentence names the tool."""
    box = toolbox(tmp_path, path=tmp_path / "empty")
    with pytest.raises(CheckerFailed, match="ruff is not installed where Glossator could find it"):
        await box.check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("print('garbage')", "ruff did not answer in JSON: garbage"),
        ("pass", "ruff did not answer in JSON: it ended with status 0 and no message"),
        ("sys.exit('error: unknown option')", "ruff did not answer in JSON: error: unknown option"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ruff crashed: Segmentation fault"),
        ("print('[{}]')", "ruff answered in a form that is not known here"),
        ("print('{\"a\": 1}')", "ruff answered in a form that is not known here"),
        ("print('null')", "ruff answered in a form that is not known here"),
        ("print('[' * 100000)", "ruff did not answer in JSON"),
        ("os.write(1, b'\\xff\\xfe\\x00' * 9)", "ruff did not answer in JSON"),
        ("while True: os.write(1, b'x' * 65536)", "ruff wrote more than 32 MB and was stopped"),
        ("signal.pause()", "ruff did not answer within 1 s and was stopped"),
    ],
)
async def test_a_checker_that_fails_ends_in_one_sentence(tmp_path: Path, body: str, sentence: str) -> None:
    """Whatever a tool does instead of answering, the user reads what happened."""
    program(tmp_path / "bin", "ruff", body)
    box = toolbox(tmp_path, path=tmp_path / "bin", time_limit=1 if "within" in sentence else 20)
    with pytest.raises(CheckerFailed) as failed:
        await box.check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n")
    assert str(failed.value).startswith(sentence)


async def test_a_program_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    """A file that is executable and no program is no reason to fall over."""
    file = tmp_path / "bin" / "ruff"
    file.parent.mkdir()
    file.write_bytes(b"\x7fELF nonsense")
    file.chmod(0o755)
    with pytest.raises(CheckerFailed, match="ruff could not be started"):
        await toolbox(tmp_path, path=file.parent).check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n")


FORKING = """
child = os.fork()
if child == 0:
    pipe = open({fifo!r}, "w")
    signal.pause()
{then}
"""


@pytest.mark.parametrize("then", ["signal.pause()", "print('[]', flush=True)"])
async def test_what_a_checker_forked_ends_with_it(tmp_path: Path, then: str) -> None:
    """After a time-out, and after an answer too, no child of a tool is left, though it holds the output open."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program(tmp_path / "bin", "ruff", FORKING.format(fifo=str(fifo), then=then))
    box = toolbox(tmp_path, path=tmp_path / "bin", time_limit=2)
    ended = asyncio.create_task(asyncio.to_thread(fifo.read_text))  # ends when the last writer has
    if "pause" in then:
        with pytest.raises(CheckerFailed, match="within 2 s"):
            await box.check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n")
    else:
        assert await box.check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n") == ()
    assert await asyncio.wait_for(ended, 10) == ""


async def test_cancelling_a_check_ends_its_processes(tmp_path: Path) -> None:
    """A user who cancels is not left with a tool that goes on."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    body = f"pipe = open({str(fifo)!r}, 'w')\npipe.write('up')\npipe.flush()\nos.fork()\nsignal.pause()"
    program(tmp_path / "bin", "ruff", body)
    check = asyncio.create_task(
        toolbox(tmp_path, path=tmp_path / "bin").check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x\n")
    )
    with await asyncio.to_thread(fifo.open) as pipe:
        assert await asyncio.to_thread(pipe.read, 2) == "up"
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
        assert await asyncio.wait_for(asyncio.to_thread(pipe.read), 10) == ""


ECHO = """
item = {"code": "X1", "name": "x", "message": json.dumps(%s), "severity": "error", "fix": None,
        "location": {"row": 1, "column": 1}, "end_location": {"row": 1, "column": 1}}
print(json.dumps([item]))
"""


async def test_a_checker_gets_the_text_and_no_keys(tmp_path: Path) -> None:
    """The text comes on standard input, the environment is trimmed, arguments are seen by no shell."""
    path = tmp_path / "$(touch owned) `id`;" / "a b.py"
    path.parent.mkdir()
    program(
        tmp_path / "bin",
        "ruff",
        ECHO % "[sys.stdin.read(), sorted(os.environ), sys.argv, os.getcwd(), os.getsid(0) == os.getpid()]",
    )
    (found,) = await toolbox(tmp_path, path=tmp_path / "bin").check(
        "ruff", snapshot("old\n", "python", path), "new ü\n"
    )
    text, names, arguments, folder, leads = json.loads(found.message)
    assert text == "new ü\n"
    assert "SECRET_API_KEY" not in names
    assert f"--stdin-filename={path}" in arguments
    assert Path(folder) == tmp_path
    assert leads
    assert not any("owned" in name and "touch" not in name for name in fingerprint(tmp_path))


async def test_a_text_with_half_a_character_is_refused(tmp_path: Path) -> None:
    """A lone surrogate has no bytes that a checker could read."""
    with pytest.raises(CheckerFailed, match="half a character"):
        await toolbox(tmp_path).check("ruff", snapshot("x\n", "python", tmp_path / "a.py"), "x = '\ud800'\n")


# The real checkers

WRONG: Mapping[str, tuple[str, str, str, str, int, int]] = {
    # row: file, language, text, code, line and column in code points
    "ruff": ("a.py", "python", 'x = "é😀"; import os\n', "F401", 0, 17),
    "basedpyright": ("a.py", "python", 'x = "é😀"; y: int = "b"\n', "reportAssignmentType", 0, 19),
    "pyright": ("a.py", "python", 'x = "é😀"; y: int = "b"\n', "reportAssignmentType", 0, 19),
    "mypy": ("a.py", "python", 'x = "é"\ny: int = "b"\n', "assignment", 1, 9),
    "tsc": ("a.ts", "typescript", "const s = '😀'; const y: number = 'b';\n", "2322", 0, 21),
    "shellcheck": ("a.sh", "shellscript", '#!/bin/bash\n\techo "é😀" $1\n', "SC2086", 1, 11),
    "gcc": (
        "a.c",
        "c",
        'int main(void) {\n\tconst char *s = "é😀"; return missing(s);\n}\n',
        "-Wimplicit-function-declaration",
        1,
        30,
    ),
    "rustc": ("a.rs", "rust", 'fn main() {\n    let s = "é😀"; let y: u8 = "b";\n}\n', "E0308", 1, 30),
}
PROGRAMS = {"pyright": "basedpyright"}


def needs(name: str) -> None:
    """Skip where the program of a row is not installed."""
    program_name = PROGRAMS.get(name, name)
    if not (NODE / program_name).exists():
        parts.program(program_name)


@pytest.mark.parametrize("name", WRONG)
async def test_a_real_checker_finds_the_problem_and_leaves_the_workspace_as_it_was(tmp_path: Path, name: str) -> None:
    """The text of the editor is checked, not the file's; columns are code points; no file comes, goes or changes."""
    needs(name)
    file, language, text, code, line, column = WRONG[name]
    root = tmp_path / "work"
    (root / "deep" / "er").mkdir(parents=True)
    document = root / "deep" / "er" / file
    document.write_text("", "utf-8")
    (root / "deep" / "other.py").write_text("y = 1\n")
    (root / "pyproject.toml").write_text('[tool.ruff]\nfix = true\n[tool.pyright]\ntypeCheckingMode = "standard"\n')
    before = fingerprint(root)
    found = await toolbox(root).check(name, snapshot("", language, document), text)
    places = [(one.code, one.region.start.line, one.region.start.column) for one in found]
    assert (code, line, column) in places
    assert fingerprint(root) == before


@pytest.mark.parametrize("name", WRONG)
async def test_a_document_without_a_file_is_checked_too(name: str) -> None:
    """An untitled buffer stands alone."""
    needs(name)
    _, language, text, code, line, _ = WRONG[name]
    found = await toolbox().check(name, snapshot(text, language), text)
    assert (code, line) in [(one.code, one.region.start.line) for one in found]


PYTHON_PACKAGE = {"pack/__init__.py": "", "pack/one.py": "def f(x: int) -> int: return x\n"}
TYPESCRIPT_PROJECT = {
    "tsconfig.json": '{"compilerOptions": {"strict": true, "composite": true, "outDir": "out"}}',
    "one.ts": "export const f = (x: number) => x;\n",
}
NEIGHBOURS: Mapping[str, tuple[str, Mapping[str, str], str, str]] = {
    # row: language, the project's files, the document, its text
    "basedpyright": ("python", PYTHON_PACKAGE, "pack/two.py", "from pack.one import f\nf(1)\n"),
    "mypy": ("python", PYTHON_PACKAGE, "pack/two.py", "from pack.one import f\nf(1)\n"),
    "tsc": ("typescript", TYPESCRIPT_PROJECT, "two.ts", "import { f } from './one';\nf(1);\n"),
    "gcc": ("c", {"one.h": "int f(int x);\n"}, "two.c", '#include "one.h"\nint main(void) { return f(1); }\n'),
    "rustc": (
        "rust",
        {"one.rs": "pub fn f(x: u8) -> u8 { x }\n"},
        "two.rs",
        "mod one;\nfn main() { one::f(1); }\n",
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_a_shadow_copy_has_the_neighbours(tmp_path: Path, name: str) -> None:
    """What the document needs of its project is found, and what is wrong with it is too."""
    needs(name)
    language, files, file, text = NEIGHBOURS[name]
    for other, content in {**files, "pyrightconfig.json": '{"typeCheckingMode": "standard"}'}.items():
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text(content)
    before = fingerprint(tmp_path)
    box = toolbox(tmp_path)
    document = snapshot(text, language, tmp_path / file)
    assert await box.check(name, document, text) == ()
    assert await box.check(name, document, text.replace("f(1)", 'f("oops", 2)')) != ()
    assert fingerprint(tmp_path) == before


async def test_a_missing_rule_is_switched_on_for_the_check(tmp_path: Path) -> None:
    """An editor may ask ruff for more than the project does; the check must see the same problem."""
    parts.program("ruff")
    text = "def f():\n    pass\n"
    document = snapshot(text, "python", tmp_path / "a.py")
    assert await toolbox(tmp_path).check("ruff", document, text) == ()
    found = await toolbox(tmp_path).check("ruff", document, text, codes=frozenset({"D103", "--config=/etc/passwd"}))
    assert [one.code for one in found] == ["D103"]


def test_a_compilation_database_cannot_start_programs() -> None:
    """Of a repository's compiler options only those are taken that read and warn."""
    dangerous = [
        "-fplugin=./evil.so",
        "-B.",
        "-wrapper",
        "sh,-c,id",
        "@options",
        "-Wp,-MD,out",
        "-Wl,-x",
        "-o",
        "out",
        "-MD",
        "-save-temps",
        "-specs=evil",
    ]
    assert harmless(
        ["gcc", *dangerous, "-Iinclude", "-isystem", "sys", "-DX=1", "-std=c++20", "-Wall", "-c", "a.c"]
    ) == (
        "-Iinclude",
        "-isystem",
        "sys",
        "-DX=1",
        "-std=c++20",
        "-Wall",
    )


# Reading what checkers write

# All that the readers look for.
WORDS = (
    *("code", "message", "location", "end_location", "row", "column", "fix", "edits", "applicability", "content"),
    *("comments", "file", "line", "endLine", "endColumn", "level", "generalDiagnostics", "range", "start", "end"),
    *("character", "severity", "spans", "is_primary", "file_name", "children", "caret", "locations", "kind"),
    *("option", "fixits", "messages", "ruleId", "replacements"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.text(max_size=5) | st.sampled_from(["error", "<stdin>", "-"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=8),
    max_leaves=20,
)


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=60, deadline=None)
@given(value=JSON, status=st.integers(0, 3), raw=st.none() | st.binary(max_size=40))
def test_any_output_is_read_or_refused(name: str, value: object, status: int, raw: bytes | None) -> None:
    """No answer of a tool, however wrong, is more than a refusal."""
    written = json.dumps(value).encode() if raw is None else raw
    text = snapshot("one\ntwo 😀\n", "python", Path("/w/a.py"))
    job = Job("/bin/tool", text, Path("/w"), Path("/w/a.py"), Path("/w"))
    with contextlib.suppress(CheckerFailed):
        for finding in ROWS[name].read(Output(status, written, written), job):
            assert text.whole.start <= finding.diagnostic.region.start <= finding.diagnostic.region.end


LINES = st.text(st.sampled_from("aé日😀\t \u2028\x0c"), max_size=12)


@given(line=LINES, column=st.integers(0, 12))
def test_every_way_to_count_columns_comes_back(line: str, column: int) -> None:
    """A place counted in UTF-16 or in bytes is the same place in code points."""
    text = snapshot(f"x\n{line}\n", "python")
    column = min(column, len(line))
    before = line[:column]
    assert by_code_points(text, 1, column) == Point(1, column)
    assert by_utf16(text, 1, len(before.encode("utf-16-le")) // 2) == Point(1, column)
    assert by_bytes(text, 1, len(before.encode())) == Point(1, column)


@given(line=st.integers(-2, 9), column=st.integers(-2, 99))
def test_a_place_outside_of_the_text_is_brought_inside(line: int, column: int) -> None:
    """A tool that counts wrongly leads to no place that does not exist."""
    text = snapshot("one\n😀two", "python")
    for count in (by_code_points, by_utf16, by_bytes):
        place = count(text, line, column)
        assert 0 <= place.column <= len(text.line(place.line))


# How checkers are silenced


@pytest.mark.parametrize(
    ("language", "old", "new", "kind"),
    [
        ("python", "import os\n", "import os  # noqa: F401\n", "noqa"),
        ("python", "import os\n", "import os  # NOQA\n", "noqa"),
        ("python", "x = 1\n", "# ruff: noqa\nx = 1\n", "noqa"),
        ("python", "x = 1\n", "x = 1  # ruff: ignore[F841]\n", "ruff: ignore"),
        ("python", "x = f()\n", "x = f()  # type: ignore\n", "type: ignore"),
        ("python", "x = f()\n", "x = f()  # pyright: ignore[reportX]\n", "pyright: ignore"),
        ("python", "x = 1\n", "# pyright: reportX=false\nx = 1\n", "pyright: basic"),
        ("python", "x = 1  # noqa: E501\n", "x = 1  # noqa: E501, F401\n", "noqa"),
        ("python", "x = 1  # noqa: E501\n", "x = 1  # noqa\n", "noqa"),
        ("python", "x = 1\n", "x = 1  # pylint: disable=C0103\n", "pylint: disable"),
        ("python", "x = y\n", "x = cast(Any, y)\n", "cast to Any"),
        ("typescript", "f();\n", "// @ts-ignore\nf();\n", "@ts-ignore"),
        ("typescript", "f();\n", "/* @ts-expect-error why */ f();\n", "@ts-ignore"),
        ("typescript", "f(x);\n", "f(x as any);\n", "as any"),
        ("typescript", "f(x);\n", "f(x as unknown as T);\n", "as any"),
        ("javascript", "f();\n", "f(); // eslint-disable-line no-console\n", "eslint-disable"),
        ("rust", "fn f() {}\n", "#[allow(dead_code)]\nfn f() {}\n", "#[allow]"),
        ("rust", "fn f() {}\n", "#![allow(warnings)]\nfn f() {}\n", "#[allow]"),
        ("go", "f()\n", "f() //nolint:errcheck\n", "nolint"),
        ("shellscript", "echo $x\n", "# shellcheck disable=SC2086\necho $x\n", "shellcheck disable"),
        ("cpp", "int x;\n", '#pragma GCC diagnostic ignored "-Wunused"\nint x;\n', "#pragma"),
        ("cpp", "int x;\n", "int x; // NOLINT\n", "NOLINT"),
    ],
)
def test_a_new_suppression_is_seen(language: str, old: str, new: str, kind: str) -> None:
    """Silencing a checker has a name in every language, and what was silenced before is no news."""
    assert silenced(language, old, new) == kind
    assert silenced(language, new, new) is None
    assert silenced(language, new, old) is None


@pytest.mark.parametrize(
    ("language", "old", "new"),
    [
        ("python", "x = 1\n", "x = '# noqa'\n"),
        ("python", "x = 1\n", 'x = """\n# type: ignore\n"""\n'),
        ("python", "x = f()  # type: ignore\n", "x = f()  # type: ignore[call-arg]\n"),
        ("python", "x = 1  # noqa: F401, E501\n", "x = 1  # noqa: E501\n"),
        ("typescript", "f();\n", "f('// @ts-ignore', `as any`);\n"),
        ("rust", "fn f() {}\n", "fn f<'a>(x: &'a str) { g(\"#[allow(x)]\") }\n"),
        ("shellscript", "echo\n", "echo '# shellcheck disable=SC2086' ${#x} $#\n"),
    ],
)
def test_what_only_looks_like_a_suppression_is_none(language: str, old: str, new: str) -> None:
    """Strings are data, and a narrower suppression silences less."""
    assert silenced(language, old, new) is None


@given(text=st.text(st.sampled_from("#/*'\"`\\\n\r ab$")))
def test_taking_comments_out_keeps_the_lines(text: str) -> None:
    """Lines are compared by number afterwards."""
    for language in ("python", "rust", "bash"):
        kept = without_comments(language, text)
        assert kept.count("\n") == text.count("\n")
        assert kept.count("\r") == text.count("\r")
