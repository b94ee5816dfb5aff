"""What would be sent: to the byte what then is sent, to whom it then goes, and nothing of it on the way to know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from applications import application, environment_of, follow, place_of, problem, project, snapshot_of, table
from glossator.preview import as_markdown
from glossator.tasks.task import Ask, TaskName
from glossator_providers.testing import FakeProvider, answering

TEXT = "import os\nimport sys\n\n\ndef area(radius):\n    return 3.14 * radius ** 2 + undefined_name\n"
KINDS = ("openai", "anthropic", "gemini", "ollama", "openai-compatible", "cohere", "mistral")


def asks(path: Path) -> list[Ask]:
    """Return one ask of each task about a file."""
    snapshot = snapshot_of(path)
    found = problem(snapshot, "undefined_name", code="F821", message="Undefined name `undefined_name`")
    region = place_of(snapshot, "def area(radius):")
    return [
        Ask(TaskName.EXPLAIN, snapshot, found.region, (found,), (found,)),
        Ask(TaskName.FIX, snapshot, found.region, (found,), (found,), model="other-model"),
        Ask(TaskName.REFACTOR, snapshot, region, instruction="rename it"),
        Ask(TaskName.ASK, snapshot, region, instruction="what is it?"),
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_shown_is_what_is_sent(kind: str, tmp_path: Path) -> None:
    """For every task and protocol: method, path, headers and body of the preview are those of the first request."""
    workspace = project(tmp_path / "work", {"a.py": TEXT})
    async with FakeProvider(kind, respond=answering("I cannot say.")) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        async with application(workspace, environment) as opened:
            for ask in asks(workspace / "a.py"):
                asked = len(fake.requests)
                shown = (await opened.preview(ask)).sending
                assert len(fake.requests) == asked, "a preview asks nobody"
                assert shown is not None
                await follow(opened, ask)
                sent = fake.requests[asked]
                assert (shown.method, shown.body.encode()) == (sent.method, sent.body)
                assert shown.url.endswith(sent.path)
                assert shown.size == len(sent.body)
                assert {(name.lower(), value) for name, value in shown.headers} <= set(sent.headers.items())


async def test_a_preview_holds_no_key(tmp_path: Path) -> None:
    """The key of a cloud stands in no preview, only where it comes from; and nobody is asked for consent."""
    workspace = project(tmp_path / "work", {"a.py": TEXT})
    key = "canary" + "-key-" + "0123456789"
    environment = environment_of(tmp_path / "user", ANTHROPIC_API_KEY=key)
    async with application(workspace, environment) as opened:
        for ask in asks(workspace / "a.py"):
            preview = await opened.preview(ask)
            assert preview.sending is not None
            assert ("x-api-key", "(the key from ANTHROPIC_API_KEY)") in preview.sending.headers
            assert preview.sending.url == "https://api.anthropic.com/v1/messages"
            assert "allowed" in preview.note
            assert key not in as_markdown(preview) + repr(preview)


async def test_a_private_file_shows_its_rule_and_no_request(tmp_path: Path) -> None:
    """Where no model may answer there is no payload, and the document says by which rule."""
    workspace = project(tmp_path / "work", {"a.py": TEXT, ".aiignore": "a.py\n"})
    cloud = '[providers.far]\nkind = "openai-compatible"\nbase_url = "https://203.0.113.9/v1"\nmodel = "m"\n'
    async with application(workspace, environment_of(tmp_path / "user", cloud)) as opened:
        ask = asks(workspace / "a.py")[2]
        preview = await opened.preview(ask)
        assert preview.sending is None
        text = as_markdown(preview)
        assert "**private**" in text
        assert ".aiignore" in text
        assert "area(radius)" not in text


async def test_secrets_are_masked_in_what_is_shown(tmp_path: Path) -> None:
    """With `on_secret = "redact"`, the preview shows placeholders, as what is sent has them."""
    secret = "hunter2-" + "Zq9vT4kLw8"
    text = f'{TEXT}password = "{secret}"\n'
    workspace = project(tmp_path / "work", {"a.py": text})
    async with FakeProvider(respond=answering("I cannot say.")) as fake:
        environment = environment_of(tmp_path / "user", table(fake), '[privacy]\non_secret = "redact"\n')
        async with application(workspace, environment) as opened:
            ask = Ask(
                TaskName.REFACTOR,
                snapshot_of(workspace / "a.py"),
                snapshot_of(workspace / "a.py").whole,
                instruction="x",
            )
            shown = (await opened.preview(ask)).sending
            assert shown is not None
            assert (secret in shown.body, shown.redactions) == (False, 1)
            await follow(opened, ask)
            assert fake.requests[0].body == shown.body.encode()
            assert json.loads(shown.body)
