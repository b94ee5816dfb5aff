"""The application: what it offers in menus, why, whom it asks first, and that nothing of it opens a connection too early."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import CLOUD, START, application, asking, environment_of, follow, project, snapshot_of, table
from glossator.app import Application
from glossator.consent import Remembered
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Author, Explanation, Refusal, TaskName, Turn
from glossator_providers.errors import ConfigError
from glossator_providers.testing import FakeProvider, answering

FILES = {"app.py": "x = 1\n", ".env": "A=1\n", "no/pay.py": "x = 1\n"}
# Made of two halves, so that no scanner takes this file for a leak.
KEY = "sk-ant-api03-Zq3vB8xK1mN5pR7tW9yD2fH4jL6sA0cEgUiOqXzVbTnMkJhGfDsAqWeRtYuIoPlKjHgFdSaZxCvBnMqWeRtYuIoP12345AA"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with an open, a private and a forbidden file."""
    return project(tmp_path / "work", FILES)


async def test_menus_say_where_a_request_would_go(workspace: Path, connections: list[object]) -> None:
    """The open file goes to the cloud, the private one nowhere, with the rule; no connection is opened for that."""
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        offer = opened.offer(snapshot_of(workspace / "app.py"))
        assert offer.author is not None
        assert offer.author.title == "cloud: cloud"
        offer = opened.offer(snapshot_of(workspace / ".env"))
        assert offer.author is None
        assert offer.refusal is not None
        assert offer.refusal.kind == "policy"
        assert any(".env" in rule for rule in offer.refusal.rules)
    assert connections == []


async def test_local_comes_first_and_takes_the_private_file(workspace: Path) -> None:
    """With a local model, both files go there."""
    async with FakeProvider() as fake:
        environment = environment_of(workspace.parent / "user", CLOUD, table(fake), CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            for name in ("app.py", ".env"):
                offer = opened.offer(snapshot_of(workspace / name))
                assert offer.author is not None
                assert offer.author.title == "local: fake-model"
        assert fake.connections == 0


async def test_a_key_anywhere_in_the_file_keeps_all_of_it_here(tmp_path: Path, connections: list[object]) -> None:
    """The key stands far from the place asked about: the cloud is not asked all the same."""
    text = "x = 1\n" * 2000 + f'KEY = "{KEY}"\n'
    workspace = project(tmp_path / "work", {"app.py": text})
    environment = environment_of(tmp_path / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        ask = Ask(TaskName.ASK, snapshot_of(workspace / "app.py"), START, instruction="What is x?")
        _, result = await follow(opened, ask)
        assert opened.why(ask.snapshot).level == "private"
    assert isinstance(result, Refusal)
    assert result.kind == "policy"
    assert result.rules
    assert connections == []


async def test_a_private_file_is_answered_by_the_local_model_alone(workspace: Path) -> None:
    """The cloud comes first by the user's order, but not for this file."""
    async with FakeProvider(respond=answering("Local.")) as fake:
        router = 'strategy = "priority"\norder = ["cloud", "fake"]\n'
        environment = environment_of(workspace.parent / "user", router, CLOUD, table(fake), CLOUD_KEY="k")
        async with application(workspace, environment) as opened:
            assert opened.why(snapshot_of(workspace / "app.py")).route[0] == "cloud"
            ask = Ask(TaskName.ASK, snapshot_of(workspace / ".env"), START, instruction="What is this?")
            _, result = await follow(opened, ask)
    assert isinstance(result, Explanation)
    assert result.author.name == "fake"


@pytest.mark.parametrize("about", ["path", "content"])
async def test_a_follow_up_on_a_private_document_stays_private(
    workspace: Path, about: str, connections: list[object]
) -> None:
    """What was said of a private file is not told to a cloud with a later question: about another file, or without the key."""
    now = snapshot_of(workspace / "app.py")
    private = (
        snapshot_of(workspace / ".env")
        if about == "path"
        else Snapshot.of(f'KEY = "{KEY}"\n', uri=now.uri, language="python", path=now.path)
    )
    turns = (Turn("What is this?", "A setting called A.", private), Turn("And else?", "Nothing.", now))
    asks = [
        Ask(TaskName.ASK, now, START, instruction="And why?", turns=turns),
        Ask(TaskName.EXPLAIN, now, START, turns=turns),
        Ask(TaskName.ASK, now, START, instruction="And why?", turns=turns, provider="cloud"),
    ]
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        assert opened.why(now).level == "open"
        for ask in asks:
            _, result = await follow(opened, ask)
            assert isinstance(result, Refusal)
            assert result.kind == "policy"
    assert connections == []


async def test_no_model_sees_what_is_forbidden(workspace: Path) -> None:
    """Not even a local one, and the rule is named."""
    async with FakeProvider() as fake:
        tables = (table(fake), '[privacy]\nnever = ["no/**"]\n')
        async with application(workspace, environment_of(workspace.parent / "user", *tables)) as opened:
            snapshot = snapshot_of(workspace / "no" / "pay.py")
            _, result = await follow(opened, Ask(TaskName.ASK, snapshot, START, instruction="What is this?"))
            told = opened.why(snapshot)
        assert fake.connections == 0
    assert isinstance(result, Refusal)
    assert result.kind == "policy"
    assert "no/**" in " ".join(result.rules)
    assert (told.level, told.route) == ("never", ())


async def test_an_offer_is_made_anew_when_the_text_changes(workspace: Path) -> None:
    """A key that was just pasted changes the title of the menu."""
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        snapshot = snapshot_of(workspace / "app.py")
        assert opened.offer(snapshot).author is not None
        pasted = Snapshot.of(
            f'KEY = "{KEY}"\n', uri=snapshot.uri, language="python", version=snapshot.version, path=snapshot.path
        )
        assert opened.offer(pasted).author is None


async def test_a_menu_takes_the_latest_offer(workspace: Path) -> None:
    """It does not look through a text that was just changed; when that has been done, the next menu knows."""
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        snapshot = snapshot_of(workspace / "app.py")
        assert opened.latest_offer(snapshot).author is not None
        pasted = Snapshot.of(f'KEY = "{KEY}"\n', uri=snapshot.uri, language="python", version=2, path=snapshot.path)
        assert opened.latest_offer(pasted).author is not None
        assert opened.offer(pasted).author is None
        assert opened.latest_offer(pasted).author is None
        opened.use(())
        refusal = opened.latest_offer(snapshot).refusal
        assert refusal is not None
        assert refusal.kind == "no-provider"


@pytest.mark.parametrize(
    ("author", "title", "byline"),
    [
        (Author("ruff"), "ruff", "ruff"),
        (Author("ollama", "qwen"), "local: qwen", "local: ollama (qwen)"),
        (Author("work", "claude", local=False), "cloud: work", "cloud: work (claude)"),
        (Author("embedded", "smol", toy=True), "toy model: smol", "toy model: embedded (smol)"),
        (
            Author("llamacpp", "/models/Qwen2.5-Coder-7B.gguf"),
            "local: Qwen2.5-Coder-7B",
            "local: llamacpp (Qwen2.5-Coder-7B)",
        ),
        (Author("same", "same"), "local: same", "local: same"),
    ],
)
def test_menus_are_short_and_answers_name_all(author: Author, title: str, byline: str) -> None:
    """A menu names the model on this machine or the provider elsewhere, an answer both."""
    assert (author.title, author.byline) == (title, byline)


async def test_the_first_use_of_a_found_cloud_is_asked_once(workspace: Path, connections: list[object]) -> None:
    """A no refuses and is asked again; a yes is remembered in the user's own folder, for this workspace alone."""
    environment = environment_of(workspace.parent / "user", OPENAI_API_KEY="sk-nothing")
    questions: list[str] = []

    async def refuse(question: str) -> bool:
        questions.append(question)
        return False

    ask = Ask(TaskName.ASK, snapshot_of(workspace / "app.py"), START, instruction="What is x?")
    async with application(workspace, environment) as opened:
        opened.consent = refuse
        offer = opened.offer(ask.snapshot)
        assert offer.author is not None
        assert offer.author.title.startswith("cloud: openai")
        _, result = await follow(opened, ask)
        assert isinstance(result, Refusal)
        assert result.kind == "policy"
        assert "--allow-cloud" in result.message
        assert len(questions) == 1
        assert "openai" in questions[0]
        opened.allow_clouds(remember=True)
    async with application(workspace, environment) as opened:
        assert opened.why(ask.snapshot).route == ("openai",)
    kept = workspace.parent / "user" / "state" / "consent.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert str(workspace) not in kept.read_text()
    other = project(workspace.parent / "other", FILES)
    async with application(other, environment) as opened:
        assert opened.why(snapshot_of(other / "app.py")).route == ()
    assert connections == []


@given(st.binary(max_size=60))
def test_a_broken_memory_of_consent_is_no_consent(content: bytes) -> None:
    """Whatever stands in that file, nothing is allowed that was not, and nothing fails."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "consent.json").write_bytes(content)
        remembered = Remembered(Path(folder))
        assert not remembered.allowed(("/work",))
        remembered.allow(("/work",))
        assert remembered.allowed(("/work",))
        assert not remembered.allowed(())


async def test_status_lists_the_providers(workspace: Path) -> None:
    """Who is there, and a sentence for somebody who has none."""
    async with asking(workspace) as (opened, _):
        status = await opened.status()
        assert status.health == "ok"
        assert [(one.name, one.local, one.state) for one in status.providers] == [("fake", True, "ready")]
    async with application(workspace, environment_of(workspace.parent / "user")) as opened:
        status = await opened.status()
        assert status.health == "warning"
        assert "glossator doctor" in status.message


async def test_a_broken_configuration_is_told_at_once(workspace: Path) -> None:
    """Building fails with the file's name."""
    environment = environment_of(workspace.parent / "user", "[providers.x]\nkind = 'nobody'\n")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        Application.build(roots=(str(workspace),), environment=environment)


async def test_an_ask_without_roots_takes_the_applications(workspace: Path) -> None:
    """A front may leave them out; the ignore files of the workspace still count."""
    (workspace / ".aiignore").write_text("app.py\n")
    environment = environment_of(workspace.parent / "user", CLOUD, CLOUD_KEY="k")
    async with application(workspace, environment) as opened:
        ask = Ask(TaskName.ASK, snapshot_of(workspace / "app.py"), START, instruction="What is x?")
        _, result = await follow(opened, replace(ask, roots=()))
    assert isinstance(result, Refusal)
    assert result.kind == "policy"


def test_the_way_to_the_server_imports_nothing_heavy() -> None:
    """`glossator serve` answers an editor before typer, rich, pydantic or httpx are imported."""
    code = (
        "import sys; from glossator.__main__ import main; code = main(['serve', '--help']); "
        "import glossator.lsp; "
        "heavy = {'typer', 'rich', 'pydantic', 'httpx', 'jinja2', 'pygls', 'lsprotocol'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
