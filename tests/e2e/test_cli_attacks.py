"""What an impatient person, a script and a hostile folder do to the commands: each ends with one clear word."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from applications import CLOUD, environment_of, project, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering

UNUSED = "import os\nimport json\n\nprint(json.dumps(1))\n"
# Made of two halves, so that no scanner takes this file for a leak.
KEY = (
    "sk-ant-api03-Zq3vB8xK1mN5pR7tW9yD2fH4jL6sA0cEgUiOqXz" + "VbTnMkJhGfDsAqWeRtYuIoPlKjHgFdSaZxCvBnMqWeRtYuIoP12345AA"
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="a file of this kind is not known on Windows")


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("fix", "missing.py"), 2, "usage"),
        (("fix", "folder"), 2, "usage"),
        (("fix", "--nonsense"), 2, "usage"),
        (("fix",), 2, "usage"),
        (("explain", "app.py:99"), 2, "usage"),
        (("explain", "app.py", "--checker", "nonsense"), 2, "usage"),
        (("refactor", "app.py"), 2, "usage"),
        (("why", "missing"), 2, "usage"),
        (("apply", "app.py", "--answer", "missing"), 2, "usage"),
        (("apply", "app.py", "--answer", "answer.md", "--range", "99:1-99:2"), 2, "usage"),
        (("ask", " "), 2, "usage"),
        (("ask", "Why?", "--provider", "nobody"), 1, "no-provider"),
    ],
)
async def test_json_is_one_object_whatever_fails(
    arguments: tuple[str, ...], code: int, kind: str, tmp_path: Path
) -> None:
    """A program that reads `--json` finds one object with an error of the promised shape, and the exit code."""
    folder = project(tmp_path / "work", {"app.py": "x = 1\n", "answer.md": "```python\nx = 2\n```\n", "folder/x": ""})
    done = await glossator(*arguments, "--json", environment=environment_of(tmp_path / "user"), folder=folder)
    assert done.code == code
    error = done.json["error"]
    assert set(error) == {"kind", "status", "message", "retry_after"}
    assert error["kind"] == kind
    assert error["message"]


@pytest.mark.parametrize(
    "command", [("ask", "Why?"), ("fix", "app.py:1"), ("why", "app.py"), ("providers",), ("config",)]
)
async def test_a_broken_configuration_is_one_object_too(command: tuple[str, ...], tmp_path: Path) -> None:
    """The file is named in the error, and `ask` keeps its whole shape."""
    folder = project(tmp_path / "work", {"app.py": UNUSED})
    done = await glossator(*command, "--json", environment=environment_of(tmp_path / "user", "x ="), folder=folder)
    assert done.code == 2
    assert done.json["error"]["kind"] == "configuration"
    assert "config.toml" in done.json["error"]["message"]
    if command[0] == "ask":
        assert set(done.json) == {"text", "finish_reason", "usage", "model", "provider", "attempts", "error"}


async def test_every_shape_is_the_promised_one(tmp_path: Path) -> None:
    """The fields that programs rely on, to the letter."""
    folder = project(
        tmp_path / "work",
        {"app.py": UNUSED, "answer.md": "```python\nimport os\nimport json\n\nprint(json.dumps(2))\n```\n"},
    )
    async with FakeProvider(respond=answering("It is so.")) as fake:
        environment = environment_of(tmp_path / "user", table(fake))

        async def told(*arguments: str) -> Any:
            done = await glossator(*arguments, "--json", environment=environment, folder=folder)
            assert done.code == 0, done.err
            return done.json

        asked = await told("ask", "Why?")
        assert set(asked) == {"text", "finish_reason", "usage", "model", "provider", "attempts", "error"}
        assert set(asked["usage"]) == {"input_tokens", "output_tokens", "cached_tokens"}
        assert asked["error"] is None
        assert set(await told("why", "app.py")) == {"path", "level", "reasons", "route", "redactions"}
        applied = await told("apply", "app.py", "--answer", "answer.md")
        assert set(applied) == {"outcome", "files", "verdict"}
        assert applied["files"] == {"app.py": "import os\nimport json\n\nprint(json.dumps(2))\n"}
        (row,) = (await told("providers"))["providers"]
        assert {"name", "kind", "local", "model", "capabilities", "price", "state", "latency"} <= set(row)


@pytest.mark.parametrize(
    ("files", "at", "rule"),
    [
        ({".env": "PASSWORD=1\n"}, ".env:1", ".env"),
        ({"app.py": f'KEY = "{KEY}"\n'}, "app.py:1", "anthropic-key"),
        ({"secret/app.py": "x = 1\n", ".aiignore": "secret/\n"}, "secret/app.py:1", "secret/"),
    ],
)
async def test_a_private_file_without_any_problem_is_refused_for_the_true_reason(
    files: dict[str, str], at: str, rule: str, tmp_path: Path, watched_child: WatchedChild
) -> None:
    """`fix` names the rule and exits with 3 where no model may look, although no checker reports anything there."""
    folder = project(tmp_path / "work", files)
    environment = environment_of(tmp_path / "user", CLOUD, base=watched_child.environment, CLOUD_KEY="k")
    done = await glossator("fix", at, "--checker", "ruff", environment=environment, folder=folder)
    assert done.code == 3
    assert rule in done.err
    assert KEY not in done.err
    assert watched_child.watching
    assert watched_child.attempts() == []


async def test_a_question_with_a_key_in_it_stays_here(tmp_path: Path, watched_child: WatchedChild) -> None:
    """`ask` scans what was typed like any other text, also where the cloud is named."""
    folder = project(tmp_path / "work", {})
    environment = environment_of(tmp_path / "user", CLOUD, base=watched_child.environment, CLOUD_KEY="k")
    for more in ((), ("--provider", "cloud")):
        done = await glossator("ask", f"Why is {KEY} refused?", *more, "--json", environment=environment, folder=folder)
        assert done.code == 3
        assert done.json["error"]["kind"] == "policy"
        assert "anthropic-key" in done.json["error"]["message"]
        assert KEY not in done.out + done.err
    assert watched_child.attempts() == []


async def test_why_opens_no_connection_at_all(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Not even the servers on this machine are looked for."""
    folder = project(tmp_path / "work", {"app.py": "x = 1\n"})
    environment = environment_of(tmp_path / "user", base=watched_child.environment)
    del environment["GLOSSATOR_DISCOVERY"]
    done = await glossator("why", "app.py", "--json", environment=environment, folder=folder)
    assert done.code == 0
    assert watched_child.watching
    assert watched_child.attempts() == []


async def test_a_quick_checkers_error_is_answer_enough(tmp_path: Path) -> None:
    """Where ruff reports an error on the named line, the checkers that read the project are not waited for."""
    folder = project(tmp_path / "work", {"app.py": UNUSED})
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("basedpyright", "mypy"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}-ran\nexit 1\n")
        (programs / name).chmod(0o755)
    environment = environment_of(tmp_path / "user")
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"

    def ran() -> list[Path]:
        return list(tmp_path.glob("*-ran"))

    done = await glossator("fix", "app.py:1", environment=environment, folder=folder)
    assert done.code == 0, done.err
    assert ran() == []
    done = await glossator("fix", "app.py:4", environment=environment, folder=folder)
    assert done.code == 1
    assert len(ran()) == 2, "without an error there, all are asked"


async def test_the_verdict_says_in_one_line_how_it_came_to_be(tmp_path: Path) -> None:
    """Who wrote the change, who judged it, and by what."""
    folder = project(tmp_path / "work", {"app.py": UNUSED})
    done = await glossator("fix", "app.py:1", environment=environment_of(tmp_path / "user"), folder=folder)
    assert (
        "✓ ruff 1 → 0, nothing new (change by ruff; judged by running ruff on the old and the new text)"
        in done.err.splitlines()
    )


async def test_an_explanation_shows_no_escapes(tmp_path: Path) -> None:
    """What is piped reads as words: links are spelled out, and no backslash stands before a sign."""
    folder = project(tmp_path / "work", {"app.py": UNUSED, "ruff.toml": 'lint.select = ["I", "F", "UP"]\n'})
    done = await glossator(
        "explain", "app.py:1:1", "--checker", "ruff", environment=environment_of(tmp_path / "user"), folder=folder
    )
    assert done.code == 0
    assert "isort" in done.out
    assert "\\" not in done.out
    assert "][" not in done.out


@posix
async def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes into it, and the command says so at once."""
    folder = project(tmp_path / "work", {})
    os.mkfifo(folder / "app.py")
    environment = environment_of(tmp_path / "user")
    assert (await glossator("fix", "app.py", environment=environment, folder=folder)).code == 2
    done = await glossator("why", "app.py", "--json", environment=environment, folder=folder)
    assert done.code == 1
    assert done.json["path"] == "app.py"
    assert "regular" in done.json["error"]["message"]


@posix
async def test_names_of_any_bytes_are_read_and_told(tmp_path: Path) -> None:
    """A name that is no UTF-8 comes back in JSON so that a program finds the file; colons and line ends are names, too."""
    folder = project(tmp_path / "work", {})
    environment = environment_of(tmp_path / "user")
    for raw in (b"n\xff\xfe.py", b"two:3", b"new\nline.py"):
        (folder / os.fsdecode(raw)).write_text("import os\n")
        done = await glossator("why", os.fsdecode(raw), "--json", environment=environment, folder=folder)
        assert os.fsencode(done.json["path"]) == raw
    done = await glossator("explain", "two:3:1", environment=environment, folder=folder)
    assert "no file" not in done.err
    done = await glossator("fix", "new\nline.py:1", "--checker", "ruff", environment=environment, folder=folder)
    assert done.out.splitlines()[:2] == ['--- "a/new\\012line.py"', '+++ "b/new\\012line.py"']
    assert await git_apply(done.out, folder) == 0
    assert (folder / "new\nline.py").read_text() == ""


async def git_apply(patch: str, folder: Path) -> int | None:
    """Let git apply a patch; return its exit code."""
    git = await asyncio.create_subprocess_exec("git", "apply", cwd=folder, stdin=asyncio.subprocess.PIPE)
    await git.communicate(patch.encode())
    return git.returncode


async def test_a_diff_of_an_absolute_path_applies_from_here(tmp_path: Path) -> None:
    """A patch holds no absolute names."""
    folder = project(tmp_path / "work", {"sub/app.py": UNUSED})
    done = await glossator(
        "fix", f"{folder}/sub/app.py:1", environment=environment_of(tmp_path / "user"), folder=folder
    )
    assert done.out.startswith("--- a/sub/app.py\n+++ b/sub/app.py\n")


@posix
async def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    """--apply and --write leave it alone, whoever runs them, and say why."""
    folder = project(
        tmp_path / "work",
        {"app.py": UNUSED, "answer.md": "```python\nimport os\nimport json\n\nprint(json.dumps(2))\n```\n"},
    )
    (folder / "app.py").chmod(0o444)
    environment = environment_of(tmp_path / "user")
    for command in (("fix", "app.py:1", "--apply"), ("apply", "app.py", "--answer", "answer.md", "--write")):
        done = await glossator(*command, environment=environment, folder=folder)
        assert done.code == 1
        assert "read-only" in done.err
    assert (folder / "app.py").read_text() == UNUSED
    assert stat.S_IMODE((folder / "app.py").stat().st_mode) == 0o444
    assert len(list(folder.iterdir())) == 3


async def test_an_answer_about_several_files_is_applied_to_all_or_to_none(tmp_path: Path) -> None:
    """Each file gets its change; one change that does not fit stops all of them."""
    folder = project(tmp_path / "work", {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    environment = environment_of(tmp_path / "user")
    block = "{0}.py\n```python\n<<<<<<< SEARCH\n{1} = 1\n=======\n{1} = 2\n>>>>>>> REPLACE\n```\n"
    arguments = ("apply", "a.py", "b.py", "--answer", "-", "--json", "--write")
    wrong = block.format("a", "x") + block.format("b", "z")
    done = await glossator(*arguments, environment=environment, folder=folder, stdin=wrong)
    assert done.code == 1
    assert done.json["files"] == {}
    assert ((folder / "a.py").read_text(), (folder / "b.py").read_text()) == ("x = 1\n", "y = 1\n")
    right = block.format("a", "x") + block.format("b", "y")
    done = await glossator(*arguments, environment=environment, folder=folder, stdin=right)
    assert done.code == 0, done.err
    assert done.json["files"] == {"a.py": "x = 2\n", "b.py": "y = 2\n"}
    assert ((folder / "a.py").read_text(), (folder / "b.py").read_text()) == ("x = 2\n", "y = 2\n")


@posix
async def test_closed_and_narrow_streams_are_no_crash(tmp_path: Path) -> None:
    """Without stdin or stdout, or in a locale of ASCII alone, the command does what it can and ends with its code."""
    folder = project(tmp_path / "work", {"app.py": f"{UNUSED}print('ü → 🙂')\n"})
    environment = environment_of(tmp_path / "user")
    for closing, arguments, code in ((">&-", "why app.py", 0), ("<&-", "why app.py", 0), ("2>&-", "fix missing.py", 2)):
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"exec {sys.executable} -m glossator {arguments} {closing}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=environment,
        )
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == code, err
        assert err == b""
    ascii_only = environment | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = await glossator("fix", "app.py:1", environment=ascii_only, folder=folder)
    assert done.code == 0, done.err
    assert await git_apply(done.out, folder) == 0
    assert (folder / "app.py").read_text() == f"{UNUSED}print('ü → 🙂')\n".removeprefix("import os\n")


async def test_a_folder_of_many_files_is_one_object_a_line(tmp_path: Path) -> None:
    """`why --json` on a folder is read line by line, and ends soon."""
    folder = project(tmp_path / "work", {f"{number % 7}/{number}.py": "x = 1\n" for number in range(700)})
    done = await glossator("why", ".", "--json", environment=environment_of(tmp_path / "user"), folder=folder)
    assert done.code == 0
    assert len({json.loads(line)["path"] for line in done.out.splitlines()}) == 701


async def test_a_broken_project_file_is_told_once_by_doctor(tmp_path: Path) -> None:
    """It is a warning with advice, in its place in the list, and what is private by it stays so."""
    folder = project(tmp_path / "work", {"app.py": "x = 1\n", ".glossator.toml": "garbage = ["})
    environment = environment_of(tmp_path / "user")
    done = await glossator("doctor", environment=environment, folder=folder)
    assert done.code == 0
    assert done.err == ""
    assert done.out.count(".glossator.toml: everything in this workspace stays on this machine") == 1
    assert "! configuration" in done.out
    why = await glossator("why", "app.py", "--json", environment=environment, folder=folder)
    assert why.json["level"] == "private"


@posix
async def test_a_person_who_waits_sees_whom_for(tmp_path: Path) -> None:
    """On a terminal the name of the model stands there until it speaks; then its words, and its name at the end."""
    import pty

    leader, follower = pty.openpty()
    async with FakeProvider() as fake:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "glossator", "ask", "Why?"),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment_of(tmp_path / "user", table(fake), TERM="xterm", COLUMNS="80"),
            cwd=tmp_path,
        )
        os.close(follower)
        shown = b""
        async with asyncio.timeout(30):
            asked = await fake.asked(30)
            while b"asking fake (fake-model)" not in shown:
                shown += await asyncio.to_thread(os.read, leader, 4096)
            await asked.answer("Because.")
            while b"local: fake (fake-model)" not in shown:
                shown += await asyncio.to_thread(os.read, leader, 4096)
            assert await process.wait() == 0
    os.close(leader)
    assert shown.index(b"asking fake") < shown.index(b"Because.") < shown.index(b"local: fake (fake-model)")


async def test_a_name_that_no_file_can_have_is_a_usage_error(tmp_path: Path) -> None:
    """What the system refuses to look at is told like what is not there."""
    folder = project(tmp_path / "work", {})
    environment = environment_of(tmp_path / "user")
    for arguments in (("fix", "a" * 300), ("why", "a" * 300), ("apply", "a" * 300, "--answer", "b" * 300)):
        done = await glossator(*arguments, environment=environment, folder=folder)
        assert done.code == 2, done.err
        assert len(done.err.splitlines()) == 1
