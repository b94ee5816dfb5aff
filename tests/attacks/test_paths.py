"""Attacks on what a text is and where it comes from: links, spellings, copies, schemes, neighbours, and the moment of judging."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

import audit
import parts
from applications import CLOUD, START, application, environment_of, follow, place_of, problem, project, snapshot_of
from attacks.stage import CANARY
from glossator.app import Application
from glossator.document import Related, Snapshot
from glossator.tasks.task import Ask, Refusal, TaskName, Turn
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import EgressDenied
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, clear
from glossator_providers.testing import FakeProvider, answering
from glossator_providers.transport import Call, Transport

# A private file in which every line is its own, as in a real one.
PRIVATE_TEXT = "".join(
    f"ledger_{number} = compute_balance('{CANARY}{number:02}', rate={number * 7919})\n" for number in range(30)
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="links and names of this kind are not known on Windows")


def uri_text(uri: str, text: str = "x = 1\n") -> Snapshot:
    """Return a document as an editor opens it under any URI."""
    return Snapshot.of(text, uri=uri, language="python", version=1)


async def levels(workspace: Path, documents: Mapping[str, Snapshot]) -> dict[str, str]:
    """Return the level of each document in this workspace; where a cloud is configured only an open one may go to it."""
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        found = {}
        for name, snapshot in documents.items():
            why = opened.why(snapshot)
            assert (why.level == "open") == bool(why.route), name
            found[name] = why.level
        return found


@posix
async def test_attack_07_links(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """One private file is private under every name that the file system gives it: links to it, over it, hard and nested ones."""
    outside = project(tmp_path / "outside", {"notes.py": PRIVATE_TEXT})
    workspace = project(
        tmp_path / "work",
        {
            "app.py": "x = 1\n",
            ".env": PRIVATE_TEXT,
            "secrets/keys.py": PRIVATE_TEXT,
            "ignored/a.py": PRIVATE_TEXT,
            "sub/b.py": "",
        },
    )
    (workspace / ".gitignore").write_text("ignored/\n", encoding="utf-8")
    git = parts.program("git")
    await asyncio.to_thread(subprocess.run, [git, "init", "-q", str(workspace)], check=True)
    links = {
        "to a file": (".env", "plain.py"),
        "to an absolute file": (str(workspace / ".env"), "absolute.py"),
        "into a folder": ("secrets", "shown"),
        "to an ignored folder": ("ignored", "seen"),
        "out": (str(outside), "library"),
        "up and down": ("../work/.env", "round.py"),
        "to a link": ("plain.py", "twice.py"),
        "from below": ("../.env", "sub/c.py"),
    }
    for target, name in links.values():
        (workspace / name).symlink_to(target)
    os.link(workspace / ".env", workspace / "hard.py")
    os.link(outside / "notes.py", workspace / "from_outside.py")
    os.link(workspace / "secrets/keys.py", workspace / "sub/hard.py")
    (workspace / "loop.py").symlink_to("loop.py")
    (workspace / "dangling.py").symlink_to("/nowhere/at/all.py")
    names = [
        *(
            "plain.py",
            "absolute.py",
            "shown/keys.py",
            "seen/a.py",
            "library/notes.py",
            "round.py",
            "twice.py",
            "sub/c.py",
        ),
        *("hard.py", "from_outside.py", "sub/hard.py", "loop.py", "dangling.py"),
    ]
    found = await levels(workspace, {name: uri_text((workspace / name).as_uri()) for name in names})
    assert found == dict.fromkeys(names, "private")
    assert await levels(workspace, {"app": snapshot_of(workspace / "app.py")}) == {"app": "open"}
    assert connections == []


SECRET_NAMES = (".env", "id_rsa", "secrets/a.py", ".aws/credentials", "Größe.pem", "deploy.key", "private/ignored.py")
ALIASES: Mapping[str, object] = {
    "upper": str.upper,
    "title": str.title,
    "swapped": str.swapcase,
    "NFD": lambda path: unicodedata.normalize("NFD", path),
    "NFKD": lambda path: unicodedata.normalize("NFD", path.upper()),
    "dot": lambda path: f"./{path}",
    "up and down": lambda path: f"sub/../{path}",
    "double slash": lambda path: path.replace("/", "//"),
    "trailing dot": lambda path: f"{path}.",
    "trailing blank": lambda path: f"{path} ",
    "stream": lambda path: f"{path}::$DATA",
    "zero width": lambda path: path[:2] + "\u200c" + path[2:],
    "backslashes": lambda path: path.replace("/", "\\"),
}


@pytest.mark.parametrize("alias", ALIASES)
async def test_attack_08_spellings(alias: str, tmp_path: Path) -> None:
    """Case, composition, dots, streams and percent signs do not make another file of a private one, whether it is there or not."""
    workspace = project(
        tmp_path / "work", {**dict.fromkeys(SECRET_NAMES, "x = 1\n"), ".aiignore": "private/\n", "sub/a.py": ""}
    )
    spell = ALIASES[alias]
    assert callable(spell)
    documents = {}
    for name in SECRET_NAMES:
        spelled = str(spell(name))
        base = workspace.as_uri()
        documents[f"quoted {name}"] = uri_text(f"{base}/{quote(spelled)}")
        documents[f"raw {name}"] = uri_text(f"{base}/{spelled}")
        every = "".join(f"%{byte:02X}" for byte in spelled.encode())
        documents[f"all quoted {name}"] = uri_text(f"{base}/{every}")
        documents[f"twice {name}"] = uri_text(f"{base}/{quote(quote(spelled))}")
        documents[f"host {name}"] = uri_text(f"file://localhost{workspace}/{quote(spelled)}")
        documents[f"scheme {name}"] = uri_text(f"FILE://{workspace}/{quote(spelled)}")
        documents[f"query {name}"] = uri_text(f"{base}/{quote(spelled)}?app.py")
        documents[f"fragment {name}"] = uri_text(f"{base}/{quote(spelled)}#app.py")
    found = await levels(workspace, documents)
    assert {name for name, level in found.items() if level == "open"} == set()


@posix
@pytest.mark.parametrize("name", ["ID_RSA~1", "CREDEN~1.JSO", "SECRET~1/a.py", "DEPLOY~2.KEY", "ENV~1"])
async def test_attack_08_short_names(name: str, tmp_path: Path) -> None:
    """A name in the short form of Windows may be that of any file: it is closed where it cannot be told of which."""
    workspace = project(tmp_path / "work", {name: "x = 1\n"})
    assert await levels(workspace, {name: snapshot_of(workspace / name)}) == {name: "private"}


def _diff(text: str) -> str:
    return "".join(f"+{line}" for line in text.splitlines(keepends=True))


COPIES: Mapping[str, object] = {
    "renamed": lambda text: text,
    "one line": lambda text: text.splitlines()[7] + "\n",
    "indented": lambda text: "".join(f"        {line}" for line in text.splitlines(keepends=True)),
    "tabs": lambda text: "".join(f"\t{line}" for line in text.splitlines(keepends=True)),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "diff": _diff,
    "commented": lambda text: "".join(f"# {line}" for line in text.splitlines(keepends=True)),
    "quoted": lambda text: "".join(f"> {line}" for line in text.splitlines(keepends=True)),
    "among others": lambda text: "import os\n\n" + text.splitlines()[3] + "\n\n\ndef f():\n    return 1\n",
    "reversed": lambda text: "".join(reversed(text.splitlines(keepends=True))),
    "numbered": lambda text: "".join(f"{at:4} {line}" for at, line in enumerate(text.splitlines(keepends=True))),
    "notebook": lambda text: '{"cells": [{"source": ["' + '\\n", "'.join(text.splitlines()) + '"]}]}\n',
}


@pytest.mark.parametrize("way", COPIES)
async def test_attack_16_copies(way: str, tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """What was seen in a private file stays here when it is renamed, copied, pasted or diffed into an open one."""
    change = COPIES[way]
    assert callable(change)
    workspace = project(
        tmp_path / "work",
        {"secrets/ledger.py": PRIVATE_TEXT, "app.py": "x = 1\n", "copy.py": str(change(PRIVATE_TEXT))},
    )
    environment = environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        assert opened.why(snapshot_of(workspace / "app.py")).level == "open"
        private = snapshot_of(workspace / "secrets/ledger.py")
        assert opened.offer(private).author is None  # the editor has opened it
        copied = snapshot_of(workspace / "copy.py")
        ask = Ask(TaskName.ASK, copied, START, instruction="What is this?")
        _, result = await follow(opened, ask)
        assert isinstance(result, Refusal)
        assert result.kind == "policy"
        why = opened.why(copied)
        assert (why.level, why.route) == ("private", ())
    assert connections == []


SCHEMES = (
    *(
        "untitled:Untitled-1",
        "untitled:/work/app.py",
        "vscode-remote://ssh-remote+host/work/app.py",
        "vscode-vfs://github/o/r/app.py",
    ),
    *(
        "git:/work/app.py?%7B%22ref%22%3A%22HEAD%22%7D",
        "gitlens://x/app.py",
        "fugitive:///work/.git//0/app.py",
        "diffview:///x/app.py",
    ),
    *(
        "vscode-notebook-cell:/work/nb.ipynb#W0sZmlsZQ",
        "vscode-notebook-cell-output:/work/nb.ipynb",
        "zipfile:///work/a.zip::app.py",
    ),
    *(
        "jar:file:///work/a.jar!/A.java",
        "jdt://contents/A.class",
        "deno:/https/x/mod.ts",
        "oil-ssh://host/app.py",
        "scp://host/app.py",
    ),
    *(
        "ssh://host/app.py",
        "sftp://host/app.py",
        "http://host/app.py",
        "https://host/app.py",
        "ftp://host/app.py",
        "data:,x",
    ),
    *(
        "file://server/share/app.py",
        "file:app.py",
        "file:",
        "app.py",
        "",
        "inmemory://model/1",
        "output:x",
        "search-editor:x",
        "term://~//1:sh",
    ),
    *(
        "vscode-local-history:/work/app.py",
        "vscode-userdata:/settings.json",
        "chat-editing-text-model:/work/app.py",
        "comment://x/1",
    ),
)


@pytest.mark.parametrize("uri", SCHEMES)
async def test_attack_17_schemes(uri: str, tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """A document without a trustworthy path is private: unsaved, remote, virtual, of an archive, a notebook or a repository's past."""
    workspace = project(tmp_path / "work", {"app.py": "x = 1\n"})
    uri = uri.replace("/work/", f"{workspace}/")
    async with application(workspace, environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")) as opened:
        snapshot = uri_text(uri)
        assert opened.why(snapshot).level == "private"
        for task in (TaskName.EXPLAIN, TaskName.ASK, TaskName.REFACTOR):
            _, result = await follow(opened, Ask(task, snapshot, START, instruction="Why?"))
            assert isinstance(result, Refusal)
    assert connections == []


async def test_attack_18_context(tmp_path: Path) -> None:
    """What a checker relates to a private file stays out of an open file's prompt, its message too, by every task."""
    workspace = project(tmp_path / "work", {"app.py": "import os\nx = 1\n", "secrets/keys.py": PRIVATE_TEXT})
    async with FakeProvider(respond=answering("Fine.")) as cloud:
        environment = environment_of(tmp_path / "user", _far(cloud), CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            _look_up(opened, cloud)
            snapshot = snapshot_of(workspace / "app.py")
            secret = (workspace / "secrets/keys.py").as_uri()
            related = Related(secret, place_of(snapshot, "os"), f"defined here: {CANARY}")
            known = replace(problem(snapshot, "os", code="F401", message=f'"os" is not "{CANARY}"'), related=(related,))
            for task in (TaskName.EXPLAIN, TaskName.ASK, TaskName.FIX, TaskName.REFACTOR):
                ask = Ask(task, snapshot, known.region, (known,), (known,), instruction="Why?", provider="cloud")
                await follow(opened, ask)
    assert cloud.requests, "the open file itself goes out"
    for request in cloud.requests:
        assert CANARY.encode() not in request.raw
        assert b"secrets" not in request.raw


def _far(cloud: FakeProvider) -> str:
    """Return the configuration of a provider that is none of this machine by its name."""
    return f'[providers.cloud]\nkind = "openai-compatible"\nbase_url = "http://cloud.test:{cloud.port}/v1"\nmodel = "far"\n'


def _look_up(opened: Application, cloud: FakeProvider) -> None:
    """Let the application's own door find that name here: the capture server plays the cloud."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    opened._transport._doorway._far._resolve = resolve


async def test_attack_18_follow_ups_and_caches(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """An answer about a private file is private in every later question, and a kept one is shown for that file alone."""
    workspace = project(tmp_path / "work", {"app.py": "import os\nx = 1\n", ".env.py": "import os\nx = 1\n"})
    async with FakeProvider(respond=answering(f"It holds {CANARY}.")) as near:
        local = f'[providers.near]\nkind = "openai-compatible"\nbase_url = "{near.base_url}"\nmodel = "m"\n'
        environment = environment_of(tmp_path / "user", local, CLOUD, '[cache]\nanswers = "disk"\n', CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            private, public = snapshot_of(workspace / ".env.py"), snapshot_of(workspace / "app.py")
            known = problem(private, "os", code="F401", message="`os` imported but unused")
            await follow(opened, Ask(TaskName.EXPLAIN, private, known.region, (known,)))
            assert near.requests
            assert CANARY in str(await opened.hover(private, known.region.start, (known,)))
            assert CANARY not in str(await opened.hover(public, known.region.start, (known,)))
            turns = (Turn("What?", f"It holds {CANARY}.", private),)
            ask = Ask(TaskName.ASK, public, START, instruction="And?", turns=turns, provider="cloud")
            _, result = await follow(opened, ask)
            assert isinstance(result, Refusal)
    assert not any("203.0.113.9" in one.address for one in connections)


async def test_attack_19_the_moment_of_judging(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """A file that becomes private between the menu and the request, or while the user is asked, is judged as it is then."""
    workspace = project(tmp_path / "work", {"app.py": "x = 1\n", ".env": "A=1\n"})
    environment = environment_of(tmp_path / "user", ANTHROPIC_API_KEY="canary-key-7f3a9c")
    async with application(workspace, environment) as opened:
        snapshot = snapshot_of(workspace / "app.py")
        assert opened.offer(snapshot).author is not None

        async def consent(question: str) -> bool:
            (workspace / ".aiignore").write_text("*\n", encoding="utf-8")
            return True

        opened.consent = consent
        _, result = await follow(opened, Ask(TaskName.ASK, snapshot, START, instruction="Why?"))
        assert isinstance(result, Refusal)
        assert result.kind == "policy"
    assert connections == []


@posix
async def test_attack_19_a_link_that_moves(tmp_path: Path, connections: list[audit.Attempt]) -> None:
    """A link that points into a private folder after the menu was shown closes the request."""
    workspace = project(tmp_path / "work", {"open/a.py": "x = 1\n", "secrets/a.py": "x = 1\n"})
    (workspace / "link").symlink_to("open")
    async with application(workspace, environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")) as opened:
        snapshot = snapshot_of(workspace / "link/a.py")
        assert opened.offer(snapshot).author is not None
        (workspace / "link").unlink()
        (workspace / "link").symlink_to("secrets")
        _, result = await follow(opened, Ask(TaskName.ASK, snapshot, START, instruction="Why?"))
        assert isinstance(result, Refusal)
    assert connections == []


async def test_attack_19_the_last_look(connections: list[audit.Attempt]) -> None:
    """The very bytes are looked at once more at the door: a key that came in after the judgement opens no connection."""
    key = "sk-ant-api03-" + "Zq3vB8xK1mN5pR7tW9yD2fH4jL6sA0cEgUiOqXz" * 2
    request = Request((Message(Role.USER, (Fragment("Hello.", (Origin(OriginKind.INSTRUCTION),)),)),))
    cleared = clear(request, policy=Policy(), files=LocalFiles())
    to = Provider(name="cloud", row=ROWS["openai-compatible"], model="m", base_url="https://cloud.test/v1")
    transport = Transport()
    try:
        for written in (key, "".join(f"\\u{ord(one):04x}" for one in key)):
            call = Call(cleared, to, Payload("POST", "/x", (), f'{{"x": "{written}"}}'.encode()))
            with pytest.raises(EgressDenied, match="anthropic-key"):
                await transport.send(call).__aenter__()
    finally:
        await transport.aclose()
    assert connections == []
