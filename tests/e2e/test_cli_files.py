"""The commands on files: what they print, what they write, what they refuse, and how they exit."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from applications import CLOUD, environment_of, project, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering

UNUSED = "import os\nimport json\n\nprint(json.dumps(1))\n"
COMPARED = "def is_missing(value):\n    return value == None\n"
RIGHT = "It compares by identity.\n```python\ndef is_missing(value):\n    return value is None\n```\n"
# Made of two halves, so that no scanner takes this file for a leak.
KEY = "sk-ant-api03-Zq3vB8xK1mN5pR7tW9yD2fH4jL6sA0cEgUiOqXzVbTnMkJhGfDsAqWeRtYuIoPlKjHgFdSaZxCvBnMqWeRtYuIoP12345AA"


async def test_fix_prints_a_diff_that_applies_and_touches_nothing(tmp_path: Path) -> None:
    """Without --apply the file stays; the diff is all that is on stdout."""
    folder = project(tmp_path / "work", {"app.py": UNUSED})
    done = await glossator(
        "fix", "app.py:1", "--checker", "ruff", environment=environment_of(tmp_path / "user"), folder=folder
    )
    assert done.code == 0
    assert done.out.startswith("--- a/app.py\n+++ b/app.py\n")
    assert "-import os\n" in done.out
    assert "✓ ruff" in done.err
    assert (folder / "app.py").read_text() == UNUSED


async def test_fix_writes_the_file_and_keeps_its_mode_and_line_ends(tmp_path: Path) -> None:
    """--apply changes what must change: CRLF, byte order mark and permissions stay."""
    folder = project(tmp_path / "work", {"app.py": ""})
    file = folder / "app.py"
    file.write_bytes(b"\xef\xbb\xbf" + UNUSED.replace("\n", "\r\n").encode())
    file.chmod(0o755)
    done = await glossator(
        "fix", "app.py:1", "--checker", "ruff", "--apply", environment=environment_of(tmp_path / "user"), folder=folder
    )
    assert done.code == 0, done.err
    assert file.read_bytes() == b"\xef\xbb\xbf" + UNUSED.removeprefix("import os\n").replace("\n", "\r\n").encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    assert sorted(path.name for path in folder.iterdir()) == ["app.py", "ruff.toml"], "nothing is left lying around"


async def test_fix_as_json_says_all_that_is_known(tmp_path: Path) -> None:
    """One object with the diff, the author and the verdict."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider(respond=answering(RIGHT)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator(
            "fix", "app.py:2", "--checker", "ruff", "--json", "--apply", environment=environment, folder=folder
        )
    told = done.json
    assert done.code == 0
    assert told["outcome"] == "proposal"
    assert told["applied"] is True
    assert told["verdict"]["state"] == "fixed"
    assert told["verdict"]["verified"] is True
    assert told["author"]["name"] == "fake"
    assert told["diagnostics"][0]["code"] == "E711"
    assert (folder / "app.py").read_text() == COMPARED.replace("== None", "is None")


async def test_a_change_that_its_checker_does_not_accept_is_not_written(tmp_path: Path) -> None:
    """--apply leaves the file alone and exits with 1 where the problem is still there; --unproven takes it."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    wrong = RIGHT.replace("value is None", "None == value")
    async with FakeProvider(respond=answering(wrong)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator(
            "fix", "app.py:2", "--checker", "ruff", "--apply", environment=environment, folder=folder
        )
        assert done.code == 1
        assert (folder / "app.py").read_text() == COMPARED
        done = await glossator(
            "fix", "app.py:2", "--checker", "ruff", "--apply", "--unproven", environment=environment, folder=folder
        )
        assert done.code == 0
        assert (folder / "app.py").read_text() == COMPARED.replace("value == None", "None == value")


async def test_a_file_that_changes_meanwhile_is_not_touched(tmp_path: Path) -> None:
    """What somebody else wrote while the model answered is not overwritten."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider() as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        running = asyncio.create_task(
            glossator("fix", "app.py:2", "--checker", "ruff", "--apply", environment=environment, folder=folder)
        )
        asked = await fake.asked(30)
        (folder / "app.py").write_text("print('mine')\n")
        await asked.answer(RIGHT)
        done = await running
    assert done.code == 1
    assert "changed meanwhile" in done.err
    assert (folder / "app.py").read_text() == "print('mine')\n"


async def test_explain_prints_the_handbook_without_any_model(tmp_path: Path, watched_child: WatchedChild) -> None:
    """The rule's own page, no connection."""
    folder = project(tmp_path / "work", {"app.py": UNUSED})
    environment = environment_of(tmp_path / "user", base=watched_child.environment)
    done = await glossator("explain", "app.py:1:8", "--checker", "ruff", environment=environment, folder=folder)
    assert done.code == 0
    assert "Unused imports add a performance overhead" in done.out
    assert watched_child.watching
    assert watched_child.attempts() == []


async def test_refactor_prints_the_change(tmp_path: Path) -> None:
    """The instruction goes to the model, the diff to stdout."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    async with FakeProvider(respond=answering(RIGHT)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator(
            "refactor", "app.py:2", "--instruction", "use identity", environment=environment, folder=folder
        )
    assert done.code == 0, done.err
    assert "+    return value is None" in done.out


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        (".env", "PASSWORD=1\n", ".env"),
        ("app.py", f'KEY = "{KEY}"\n', "anthropic-key"),
        ("secret/app.py", "x = 1\n", "secret/"),
    ],
)
@pytest.mark.parametrize(
    "command", [("explain",), ("fix", "--checker", "ruff"), ("refactor", "--instruction", "make it shorter")]
)
async def test_a_private_file_is_refused_to_a_cloud_and_nobody_is_connected_to(  # noqa: PLR0917  two tables of parameters
    name: str, text: str, rule: str, command: tuple[str, ...], tmp_path: Path, watched_child: WatchedChild
) -> None:
    """Exit code 3, the rule's name, no connection: a path, a key in the text, an ignore file."""
    broken = f"{text}{COMPARED}" if name.endswith(".py") else text
    folder = project(tmp_path / "work", {name: broken, ".aiignore": "secret/\n"})
    environment = environment_of(tmp_path / "user", CLOUD, base=watched_child.environment, CLOUD_KEY="k")
    line = broken.count("\n")
    arguments = (command[0], f"{name}:{line}", *command[1:])
    done = await glossator(*arguments, environment=environment, folder=folder)
    if command[0] == "explain" and name.endswith(".py"):
        assert done.code == 0, "the handbook may explain what no model may see"
    else:
        assert done.code == 3, done.err
    assert rule in done.err + done.out
    assert "PASSWORD" not in done.err
    assert KEY not in done.out + done.err
    assert watched_child.watching
    assert watched_child.attempts() == []


async def test_why_agrees_with_what_is_done(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Levels, rules and routes of a folder, one object a line; nothing is connected to."""
    folder = project(
        tmp_path / "work",
        {".env": "A=1\n", "app.py": "x = 1\n", "key.py": f'KEY = "{KEY}"\n', "no/pay.py": "x = 1\n"},
    )
    tables = (CLOUD, '[privacy]\nnever = ["no/**"]\n')
    environment = environment_of(tmp_path / "user", *tables, base=watched_child.environment, CLOUD_KEY="k")
    done = await glossator("why", ".", "--json", environment=environment, folder=folder)
    assert done.code == 0
    told = {row["path"]: row for row in map(json.loads, done.out.splitlines())}
    assert set(told) == {".env", "app.py", "key.py", "no/pay.py", "ruff.toml"}
    assert {name: row["level"] for name, row in told.items()} == {
        ".env": "private",
        "app.py": "open",
        "key.py": "private",
        "no/pay.py": "never",
        "ruff.toml": "open",
    }
    assert told["app.py"]["route"] == ["cloud"]
    assert told[".env"]["route"] == told["key.py"]["route"] == told["no/pay.py"]["route"] == []
    found = next(reason for reason in told["key.py"]["reasons"] if reason["source"] == "content")
    assert found["range"].startswith("1:")
    assert {reason["source"] for reason in told["no/pay.py"]["reasons"]} >= {"policy"}
    assert watched_child.attempts() == []
    one = await glossator("why", "app.py", "--json", environment=environment, folder=folder)
    assert one.json == told["app.py"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("fix", "missing.py"),
        ("fix", "app.py:99"),
        ("fix", "app.py:0"),
        ("fix", "."),
        ("fix", "binary.py"),
        ("explain",),
        ("refactor", "app.py"),
        ("why", "missing"),
        ("why", "app.py", "--range", "nonsense"),
        ("nonsense",),
        ("ask", " "),
        ("serve", "--tcp", "192.0.2.7:1234"),
        ("serve", "--tcp", "127.0.0.1:port"),
        ("serve", "--nonsense"),
        ("apply", "app.py", "--answer", "missing.md"),
    ],
)
async def test_what_was_typed_wrong_is_said_and_exits_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A sentence on stderr, nothing on stdout, no traceback."""
    folder = project(tmp_path / "work", {"app.py": "x = 1\n"})
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    done = await glossator(*arguments, environment=environment_of(tmp_path / "user"), folder=folder)
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.strip()


async def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    """The file and the mistake are told; the commands that explain it still work."""
    folder = project(tmp_path / "work", {"app.py": "x = 1\n"})
    environment = environment_of(tmp_path / "user", "[providers.x]\nkind = 'ollamma'\n")
    done = await glossator("providers", environment=environment, folder=folder)
    assert done.code == 2
    assert "config.toml" in done.err
    assert "ollama" in done.err
    done = await glossator("doctor", "--json", environment=environment, folder=folder)
    assert done.code == 1
    assert done.json["ok"] is False


async def test_what_is_in_force_can_be_printed(tmp_path: Path) -> None:
    """Each value with its source, and the schema."""
    folder = project(tmp_path / "work", {".glossator.toml": '[privacy]\nnever = ["pay/**"]\n'})
    environment = environment_of(tmp_path / "user", CLOUD)
    done = await glossator("config", "--json", environment=environment, folder=folder)
    assert done.json["config"]["privacy"]["never"] == ["pay/**"]
    assert done.json["config"]["providers"]["cloud"]["model"] == "far"
    assert any(".glossator.toml" in str(origin) for origin in done.json["origins"].values())
    done = await glossator("config", "schema", environment=environment, folder=folder)
    assert json.loads(done.out)["title"]


async def test_providers_are_listed_and_checked(tmp_path: Path) -> None:
    """A provider that answers is up, one that does not is down and says why."""
    folder = project(tmp_path / "work", {})
    async with FakeProvider(models=("one", "two")) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("providers", "--check", "--json", environment=environment, folder=folder)
        (row,) = done.json["providers"]
        assert (row["name"], row["local"], row["state"], row["models"]) == ("fake", True, "up", ["one", "two"])
        assert row["price"] == 0
        assert "lists no model" in row["warning"]
        await fake.stop()
        done = await glossator("providers", "--check", "--json", environment=environment, folder=folder)
        (row,) = done.json["providers"]
        assert row["state"] == "down"
        assert row["error"]


async def test_what_is_known_of_a_model_and_what_looks_wrong_is_listed(tmp_path: Path) -> None:
    """Price, sizes and abilities of a cloud's model, and a key of another vendor told in a sentence, without the key."""
    folder = project(tmp_path / "work", {})
    environment = environment_of(tmp_path / "user", ANTHROPIC_API_KEY="gsk_a1B2c3D4e5F6g7H8i9J0kLmNoPqRsT")
    done = await glossator("providers", "--json", environment=environment, folder=folder)
    (row,) = done.json["providers"]
    assert (row["kind"], row["state"]) == ("anthropic", "ask first")
    assert row["price"] == {"input": 2, "output": 10}
    assert row["context_tokens"] == 1_000_000
    assert row["capabilities"] == ["stream", "reasoning", "caching", "tools"]
    assert row["warning"] == "ANTHROPIC_API_KEY looks like a key of Groq, and not of Anthropic"
    done = await glossator("providers", environment=environment, folder=folder)
    assert "$2/10" in done.out
    assert "looks like a key of Groq" in done.err
    told = await glossator("doctor", "--json", environment=environment, folder=folder)
    findings = [finding["detail"] for finding in told.json["findings"] if finding["what"] == "model anthropic"]
    assert any("looks like a key of Groq" in detail for detail in findings)
    assert "a1B2c3D4" not in done.out + done.err + told.out + told.err


async def test_a_cloud_known_only_by_its_key_needs_a_yes(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Without anybody to ask, the request is refused and says how to allow it; nobody is connected to."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    environment = environment_of(tmp_path / "user", base=watched_child.environment, OPENAI_API_KEY="sk-nothing")
    done = await glossator("fix", "app.py:2", "--checker", "ruff", environment=environment, folder=folder)
    assert done.code == 3
    assert "--allow-cloud" in done.err
    assert watched_child.attempts() == []
    assert not (tmp_path / "user" / "state").exists()


async def test_an_answer_from_anywhere_is_applied_as_our_own(tmp_path: Path) -> None:
    """A pasted chat answer becomes a diff; a cut one becomes a label."""
    folder = project(tmp_path / "work", {"app.py": COMPARED})
    environment = environment_of(tmp_path / "user")
    arguments = ("apply", "app.py", "--answer", "-", "--json", "--write")
    done = await glossator(*arguments, environment=environment, folder=folder, stdin=RIGHT)
    assert done.code == 0, done.err
    assert done.json["outcome"] == "edit"
    assert done.json["files"] == {"app.py": COMPARED.replace("== None", "is None")}
    assert (folder / "app.py").read_text() == COMPARED.replace("== None", "is None")
    done = await glossator(*arguments, environment=environment, folder=folder, stdin="I cannot say.")
    assert done.code == 1
    assert done.json["files"] == {}


async def test_help_lists_every_command(tmp_path: Path) -> None:
    """What the README names is there."""
    done = await glossator("--help", environment=environment_of(tmp_path / "user"), folder=tmp_path)
    assert done.code == 0
    for command in ("serve", "demo", "explain", "fix", "refactor", "ask", "why", "providers", "doctor", "config"):
        assert command in done.out


async def test_a_reader_that_leaves_is_no_failure_to_be_reported(tmp_path: Path) -> None:
    """`glossator why . | head -1` ends without a word on stderr."""
    folder = project(tmp_path / "work", {f"f{number}.py": "x = 1\n" for number in range(300)})
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "glossator", "why", "."),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=environment_of(tmp_path / "user"),
    )
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 1)
    os.close(reading)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert b"Traceback" not in err
    assert b"Exception" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
async def test_ctrl_c_ends_at_once_and_hangs_up(tmp_path: Path) -> None:
    """A person who stops a running question gets one word, exit code 130, and the connection is closed."""
    async with FakeProvider() as fake:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "glossator", "ask", "What is x?"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=environment_of(tmp_path / "user", table(fake)),
        )
        asked = await fake.asked(30)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 10)
        await asyncio.wait_for(asked.closed, 1)
    assert process.returncode == 130
    assert err.decode().strip() == "stopped"
