"""Where code would go, and what is allowed, as any editor shows it: a document that nobody can edit, and a question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from applications import environment_of, project, table
from glossator import __main__
from glossator_providers.testing import FakeProvider, answering
from lsp_client import Client, Editor, Failed, in_process

TEXT = "answer = 42\nother = answer\n"
SHOWS = {"window": {"showDocument": {"support": True}, "workDoneProgress": True}}
CONTENT = SHOWS | {"workspace": {"textDocumentContent": {}}}
EXTENSION = SHOWS | {"experimental": {"glossator": {"version": 1, "stream": True}}}
KEY = "no" + "-key-of-anybody"


@asynccontextmanager
async def editor_with(
    folder: Path, *tables: str, capabilities: dict[str, Any], files: dict[str, str], **variables: str
) -> AsyncIterator[tuple[Client, str]]:
    """Open an editor on a workspace with these files; give it and the address of `a.py`."""
    workspace = project(folder / "work", {"a.py": TEXT} | files)
    environment = environment_of(folder / "user", *tables) | variables
    async with in_process(__main__.build, environment=environment) as client:
        uri = (workspace / "a.py").as_uri()
        client.handlers["window/showDocument"] = lambda _: {"success": True}
        await client.initialize(capabilities, workspaceFolders=[{"uri": workspace.as_uri(), "name": "work"}])
        Editor(client).open(uri, TEXT)
        yield client, uri


async def execute(client: Client, command: str, *arguments: Any) -> Any:
    """Run a command of the server."""
    return await client.request("workspace/executeCommand", {"command": command, "arguments": list(arguments)})


def messages(client: Client) -> str:
    """Return all that the user was shown so far."""
    return "\n".join(one["message"] for one in client.heard("window/showMessage"))


async def test_where_it_would_go_is_a_virtual_document(tmp_path: Path) -> None:
    """Where the editor takes virtual documents, one holds the level, the way and the request; the model was not asked."""
    async with (
        FakeProvider(respond=answering("1")) as fake,
        editor_with(tmp_path, table(fake), capabilities=CONTENT, files={}) as (client, uri),
    ):
        await execute(client, "glossator.why", {"uri": uri})
        await client.until(lambda: bool(client.asked("window/showDocument")))
        (shown,) = client.asked("window/showDocument")
        told = await client.request("workspace/textDocumentContent", {"uri": shown["uri"]})
        assert shown["uri"].startswith("glossator:/why/")
        for words in ("**open**", "fake", f"POST {fake.base_url}", "answer = 42", "Nothing was sent"):
            assert words in told["text"]
        assert "open: would go to fake" in messages(client)
        assert not fake.requests


async def test_without_virtual_documents_it_is_a_file_that_nobody_writes_to(tmp_path: Path) -> None:
    """Other editors open a read-only file of the user's own; of a private document nothing is written anywhere."""
    async with FakeProvider(respond=answering("1")) as fake:
        async with editor_with(tmp_path / "open", table(fake), capabilities=SHOWS, files={}) as (client, uri):
            await execute(client, "glossator.why", {"uri": uri})
            await client.until(lambda: bool(client.asked("window/showDocument")))
            (path,) = (tmp_path / "open" / "user" / "state" / "explanations").iterdir()
            assert (path.stat().st_mode & 0o777, "answer = 42" in path.read_text("utf-8")) == (0o400, True)
        files = {".aiignore": "a.py\n"}
        async with editor_with(tmp_path / "closed", table(fake), capabilities=SHOWS, files=files) as (client, uri):
            await execute(client, "glossator.why", {"uri": uri})
            await client.until(lambda: "private (" in messages(client))
            await execute(client, "glossator.privacy", "list")
            assert not client.asked("window/showDocument")
            assert not (tmp_path / "closed" / "user" / "state" / "explanations").exists()


async def test_a_plugin_gets_the_request_with_the_decision(tmp_path: Path) -> None:
    """`glossator/why` answers with level, way and what would be sent, for the plugin to show."""
    async with (
        FakeProvider(respond=answering("1")) as fake,
        editor_with(tmp_path, table(fake), capabilities=EXTENSION, files={}) as (client, uri),
    ):
        told = await client.request("glossator/why", {"textDocument": {"uri": uri}})
        assert (told["level"], told["route"]) == ("open", ["fake"])
        assert f"POST {fake.base_url}" in told["request"]
        assert not fake.requests


async def test_what_is_allowed_is_shown_and_changed(tmp_path: Path) -> None:
    """A question over plain LSP allows and revokes; by a word it needs no question, and nonsense is refused."""
    async with editor_with(tmp_path, capabilities=SHOWS, files={}, OPENAI_API_KEY=KEY) as (client, uri):
        asked: list[Any] = []

        def answer(params: Any) -> Any:
            asked.append(params)
            return params["actions"][0]

        client.handlers["window/showMessageRequest"] = answer
        await execute(client, "glossator.privacy")
        await client.until(lambda: "openai, allowed in this workspace" in messages(client))
        assert [one["title"] for one in asked[0]["actions"]] == ["Allow found clouds here", "Leave it so"]
        assert "openai, not allowed in this workspace" in asked[0]["message"]
        assert "would go to openai" in (await why(client, uri))
        await execute(client, "glossator.privacy", {"do": "revoke"})
        assert "would go to no model" in (await why(client, uri))
        with pytest.raises(Failed, match="Say one of"):
            await execute(client, "glossator.privacy", "everything")


async def why(client: Client, uri: str) -> str:
    """Return the last sentence that the user is shown."""
    await execute(client, "glossator.why", {"uri": uri})
    return messages(client).splitlines()[-1]
