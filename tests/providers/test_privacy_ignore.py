"""The ignore files: where git closes we close, broken files close their folder, and no kind opens what another closed."""

from __future__ import annotations

import os
import random
import subprocess
import time
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parts
from glossator_providers.model import Level
from glossator_providers.privacy import ignore
from glossator_providers.privacy.files import Found, LocalFiles
from glossator_providers.privacy.patterns import BadPattern, parse

PAIRS = int(os.environ.get("GLOSSATOR_FUZZ_PAIRS", "4000"))
NAMES = [
    "a",
    "b",
    "ab",
    "a.b",
    "foo",
    "bar",
    "foo.log",
    ".env",
    "é",
    "x y",
    "-",
    "]",
    "[",
    "a-b",
    "1",
    "src",
    "!a",
    "#a",
    "a*",
]
PIECES = [
    *("a", "b", "ab", "foo", "bar", ".log", ".env", "é", "1", "src", "x y", "-", "]"),
    *("*", "*", "**", "**/", "/**", "?", "/", "/", "/**/", "***"),
    *("[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[]-a]", "[!]a]", "[[:alpha:]]", "[[:digit:]]", "[[:alpha]"),
    *("[a-]", "[--0]", "[\\]]", "[\\-a]", "[/]", "[a/]", "\\a", "\\*", "\\?", "\\[", "\\ ", " ", "!", "#", "\t"),
]
BROKEN = ["[a", "[[:foo:]]", "[", "\\"]  # these close a whole folder: a share of the rounds goes without them


def closed(root: Path, path: str) -> list[str]:
    """Return the rules that close *path* below *root*."""
    return [reason.rule for reason in ignore.reasons(f"{root}/{path}", str(root), files=LocalFiles({}))]


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Write *files* below *root*."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def random_pattern(chance: random.Random, pieces: list[str]) -> str:
    """Return one line of an ignore file, often strange."""
    pattern = "".join(chance.choice(pieces) for _ in range(chance.randint(1, 4)))
    return chance.choice(["", "", "", "!", "/"]) + pattern + chance.choice(["", "", "", "/", " ", "\r"])


def random_path(chance: random.Random) -> str:
    """Return a path of a few names."""
    return "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, 4)))


def ask_git(root: Path, paths: list[str]) -> set[str]:
    """Return those of *paths* that git ignores below *root*."""
    done = subprocess.run(
        [parts.program("git"), "-c", "core.excludesFile=/dev/null", "check-ignore", "-z", "--stdin", "--no-index"],
        input="\0".join(paths).encode(),
        cwd=root,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in {0, 1}, done.stderr.decode()
    return {path for path in done.stdout.decode().split("\0") if path}


def test_never_open_where_git_closes(tmp_path: Path) -> None:
    """For random patterns in random folders and random paths, whatever git ignores is closed here."""
    seed = random.SystemRandom().randint(0, 2**32)
    chance = random.Random(seed)
    subprocess.run([parts.program("git"), "init", "-q", str(tmp_path)], check=True, timeout=60)
    asked = tighter = 0
    round_number = 0
    while asked < PAIRS:
        round_number += 1
        root = tmp_path / f"r{round_number}"
        pieces = PIECES + BROKEN if round_number % 4 == 0 else PIECES
        listings: dict[str, str | bytes] = {
            f"{folder}.gitignore": "\n".join(random_pattern(chance, pieces) for _ in range(chance.randint(1, 4)))
            for folder in {"", chance.choice(["", "a/", "foo/", "src/a/"])}
        }
        write(root, listings)
        paths = sorted(path for path in {random_path(chance) for _ in range(100)} if not (root / path).is_dir())
        git = ask_git(root, paths)
        files = LocalFiles({})
        for path in paths:
            asked += 1
            ours = bool(ignore.reasons(f"{root}/{path}", str(tmp_path), files=files))
            tighter += ours and path not in git
            assert ours or path not in git, f"seed {seed}: git closes {path!r} by {listings!r}, we do not"
    print(f"{asked} pairs, {tighter} closed here although git does not, none the other way")


def test_agrees_with_git_on_clean_patterns(tmp_path: Path) -> None:
    """Where patterns are well formed and case plays no part, what git leaves open stays open too."""
    chance = random.Random(7)
    subprocess.run([parts.program("git"), "init", "-q", str(tmp_path)], check=True, timeout=60)
    pieces = ["a", "b", "foo", ".log", "src", "*", "**", "/", "/**/", "?", "[ab]", "[!a]", "[[:alpha:]]"]
    for number in range(20):
        root = tmp_path / f"r{number}"
        lines = [chance.choice(["", "!"]) + "".join(chance.choices(pieces, k=chance.randint(1, 4))) for _ in range(3)]
        write(root, {".gitignore": "\n".join(lines)})
        paths = sorted({random_path(chance) for _ in range(60)} - {"é"})
        paths = [path for path in paths if path.isascii()]
        assert {path for path in paths if closed(root, path)} == ask_git(root, paths), lines


@pytest.mark.parametrize("kind", [name for name in ignore.NAMES if name != ".noai"])
def test_every_kind_closes_at_every_level(tmp_path: Path, kind: str) -> None:
    """A file of any kind, in any folder, closes what it lists below that folder, in any case, and nothing beside it."""
    write(tmp_path, {f"sub/{kind}": "private/\n*.Tf\n"})
    assert closed(tmp_path, "sub/private/a.py") == [f"sub/{kind}:1 private/"]
    assert closed(tmp_path, "sub/deep/main.tF") == [f"sub/{kind}:2 *.Tf"]
    assert closed(tmp_path, "sub/PRIVATE/a.py")
    assert closed(tmp_path, "private/a.py") == []
    assert closed(tmp_path, "sub/public/a.py") == []


def test_no_kind_opens_what_another_closes(tmp_path: Path) -> None:
    """A negation counts in its own kind only; the union of all exclusions holds."""
    write(tmp_path, {".aiignore": "*.py\n!ok.py\n", ".cursorignore": "!*.py\n", ".gitignore": "!secret.py\n"})
    assert closed(tmp_path, "secret.py") == [".aiignore:1 *.py"]
    assert closed(tmp_path, "ok.py") == []
    assert closed(tmp_path, "OK.py"), "a negation opens only the very name that it spells"


def test_noai_closes_its_folder(tmp_path: Path) -> None:
    """`.noai` closes its folder and everything below, whatever it contains."""
    write(tmp_path, {"sub/.noai": "!*\n", "sub/x/a.py": ""})
    assert closed(tmp_path, "sub/x/a.py") == ["sub/.noai"]
    assert closed(tmp_path, "b.py") == []


def test_empty_aiexclude_closes_its_folder(tmp_path: Path) -> None:
    """An empty `.aiexclude` closes its folder, and a negation in one opens nothing."""
    write(tmp_path, {"sub/.aiexclude": "\n", "other/.aiexclude": "*.py\n!a.py\n"})
    assert closed(tmp_path, "sub/a.py") == ["sub/.aiexclude"]
    assert closed(tmp_path, "other/a.py")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ok\n[a\n", "line 2"),
        (b"*\\\n", "backslash"),
        (b"[[:nonsense:]]\n", "class"),
        ("secret/\n".encode("utf-16"), "not text"),
        (b"x" * (1 << 21), "1 MiB"),
    ],
)
def test_what_cannot_be_understood_closes_its_folder(tmp_path: Path, content: bytes, why: str) -> None:
    """A broken ignore file fails closed, for its folder only, and the reason says what is wrong with it."""
    write(tmp_path, {"sub/.aiignore": content})
    (reason,) = ignore.reasons(f"{tmp_path}/sub/a.py", str(tmp_path), files=LocalFiles())
    assert reason.level is Level.PRIVATE
    assert why in str(reason)
    assert "sub/.aiignore" in str(reason)
    assert closed(tmp_path, "a.py") == []


def test_what_cannot_be_read_closes_its_folder(tmp_path: Path) -> None:
    """A folder or a dangling link in the place of an ignore file closes, as does one that may not be read."""
    (tmp_path / "folder" / ".aiignore").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / ".cursorignore").symlink_to("nowhere")
    assert closed(tmp_path, "folder/a.py") == ["folder/.aiignore"]
    assert closed(tmp_path, "link/a.py") == ["link/.cursorignore"]


def test_a_linked_file_only_closes(tmp_path: Path) -> None:
    """Git reads no linked .gitignore, so what one opens again does not count."""
    write(tmp_path, {".gitignore": "*.py\n", "sub/real": "!a.py\n*.txt\n"})
    (tmp_path / "sub" / ".gitignore").symlink_to("real")
    assert closed(tmp_path, "sub/a.py")
    assert closed(tmp_path, "sub/a.txt")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """What the user writes into an ignore file counts at once, and so does its removal."""
    files = LocalFiles()
    path, root = f"{tmp_path}/a.py", str(tmp_path)
    assert ignore.reasons(path, root, files=files) == []
    write(tmp_path, {".aiignore": "a.py\n"})
    assert ignore.reasons(path, root, files=files)
    write(tmp_path, {".aiignore": "b.py\n"})
    assert ignore.reasons(path, root, files=files) == []
    (tmp_path / ".aiignore").write_text("a.p?\n")
    assert ignore.reasons(path, root, files=files)
    (tmp_path / ".aiignore").unlink()
    assert ignore.reasons(path, root, files=files) == []


def test_repository_excludes_count(tmp_path: Path) -> None:
    """`.git/info/exclude` keeps files out of git like any .gitignore."""
    write(tmp_path, {".git/info/exclude": "mine.py\n"})
    assert closed(tmp_path, "sub/mine.py") == [".git/info/exclude:1 mine.py"]


@given(st.text(max_size=40))
def test_any_line_parses_or_says_why_not(line: str) -> None:
    """No line of text raises anything but `BadPattern`, and a parsed one can be asked."""
    try:
        pattern = parse(line.encode("utf-8", "ignore").decode())
    except BadPattern:
        return
    assert pattern is None or pattern.matches("some/path.py", folder=False) in {True, False}


@given(st.binary(max_size=60), st.sampled_from(ignore.NAMES))
def test_any_bytes_are_a_listing(content: bytes, kind: str) -> None:
    """Whatever stands in an ignore file, reading it ends in patterns or in a closed folder."""
    listing = ignore.read(kind, Found(content))
    assert listing.closed is None or listing.patterns == ()


def init(folder: Path, *options: str) -> None:
    """Make a repository of *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([parts.program("git"), "init", "-q", *options, str(folder)], check=True, timeout=60)


def git(folder: Path, *arguments: str, home: Path) -> None:
    """Let git work in *folder*, with a user who has settings of their own only in *home*."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        [parts.program("git"), *who, *arguments],
        cwd=folder,
        check=True,
        timeout=60,
        capture_output=True,
        env=environment,
    )


def closed_for(home: Path, root: Path, path: str) -> list[str]:
    """Return the rules that close *path* for a user whose folder is *home*."""
    files = LocalFiles({"HOME": str(home)})
    return [reason.rule for reason in ignore.reasons(f"{root}/{path}", str(root), files=files)]


@pytest.mark.parametrize(
    "settings",
    [
        {".config/git/ignore": "*.mine\n"},
        {".gitconfig": "[core]\n\texcludesFile = ~/everywhere # all\n", "everywhere": "*.mine\n"},
        {".config/git/config": '[core]\nexcludesfile="~/every where"\n', "every where": "*.mine\n"},
        {
            ".gitconfig": "[include]\n  path = more\n",
            "more": "[core]\n  excludesfile = ~/everywhere\n",
            "everywhere": "*.mine",
        },
    ],
)
def test_what_git_ignores_everywhere_is_closed(tmp_path: Path, settings: dict[str, str]) -> None:
    """The file that the user's own settings of git name, in each of its places, closes in every repository."""
    home, root = tmp_path / "home", tmp_path / "work"
    write(home, dict(settings))
    init(root)
    assert closed_for(home, root, "sub/notes.mine")
    assert closed_for(home, root, "sub/notes.txt") == []
    write(root, {"ok/.gitignore": "!kept.mine\n"})
    assert closed_for(home, root, "ok/kept.mine") == [], "a repository opens again what git itself would open"


def test_excludes_of_worktrees_and_submodules_count(tmp_path: Path) -> None:
    """In a worktree and in a submodule, whose `.git` is a file, what info/exclude lists is closed, as git closes it."""
    home, main, other = tmp_path / "home", tmp_path / "main", tmp_path / "other"
    home.mkdir()
    for root in (main, other):
        init(root)
        git(root, "commit", "-q", "--allow-empty", "-m", "x", home=home)
    git(main, "worktree", "add", "-q", str(tmp_path / "tree"), home=home)
    git(main, "submodule", "add", "-q", str(other), "inside", home=home)
    write(main, {".git/info/exclude": "mine.py\n", ".git/modules/inside/info/exclude": "theirs.py\n"})
    assert closed_for(home, tmp_path / "tree", "sub/mine.py")
    assert closed_for(home, main, "inside/theirs.py")
    assert closed_for(home, main / "inside", "theirs.py")
    assert closed_for(home, main, "inside/ours.py") == []


def test_a_nested_repository_opens_nothing_of_the_outer(tmp_path: Path) -> None:
    """What the repository around another one ignores stays closed inside of it, whatever the inner one says."""
    init(tmp_path / "inner")
    init(tmp_path)
    write(tmp_path, {".gitignore": "*.key2\n", "inner/.gitignore": "*.tmp\n", "inner/.git/info/exclude": "mine\n"})
    assert closed(tmp_path, "inner/a.key2")
    assert closed(tmp_path, "inner/a.tmp")
    assert closed(tmp_path, "inner/deep/mine")
    assert closed(tmp_path, "mine") == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_spellings_of_one_name_are_one(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    """A name that is listed composed or decomposed is closed in both spellings, and in every case."""
    write(tmp_path, {".gitignore": unicodedata.normalize(form, "Größe-é.txt\nÉtat/\n")})
    for spelled in ("NFC", "NFD"):
        for name in ("Größe-é.txt", "GRÖSSE-É.TXT", "état/a.py"):
            assert closed(tmp_path, unicodedata.normalize(spelled, name)), (form, spelled, name)


def test_an_ignore_file_that_may_not_be_read_closes(tmp_path: Path) -> None:
    """Without the right to read an ignore file nobody knows what it closes, so its folder is closed and the reason says so."""

    class Unreadable(LocalFiles):
        def read(self, path: str) -> Found | None:
            if path.endswith(("sub/.aiignore", "info/exclude")):
                raise PermissionError(13, "Permission denied")
            return super().read(path)

    (reason,) = ignore.reasons(f"{tmp_path}/sub/a.py", str(tmp_path), files=Unreadable({}))
    assert "sub/.aiignore" in str(reason)
    assert "Permission denied" in str(reason)
    (tmp_path / ".git").mkdir()
    (reason,) = ignore.reasons(f"{tmp_path}/a.py", str(tmp_path), files=Unreadable({}))
    assert "info/exclude" in str(reason)


def test_an_endless_ignore_file_closes_at_once(tmp_path: Path) -> None:
    """100,000 lines close their folder instead of making every path wait, and 10,000 are still read and asked in no time."""
    write(
        tmp_path, {"many/.gitignore": "a\n" * 100_000, "some/.gitignore": "".join(f"f{n}.x\n" for n in range(10_000))}
    )
    began = time.process_time()
    (reason,) = ignore.reasons(f"{tmp_path}/many/b", str(tmp_path), files=LocalFiles({}))
    assert "lines" in str(reason)
    assert closed(tmp_path, "some/f9999.x") == ["some/.gitignore:10000 f9999.x"]
    assert closed(tmp_path, "some/g.x") == []
    assert time.process_time() - began < 3
