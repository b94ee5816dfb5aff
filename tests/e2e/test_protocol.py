"""The protocol as pytest-lsp checks it: older editors' capabilities, every message held against the specification."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities, make_test_lsp_client

import parts

TEXT = "import os\n\nprint('hello')\n"
EDITORS = ("neovim@v0.6.1", "neovim@v0.11.0", "emacs@v29.1", "visual_studio_code@v1.65.2")
DEADLINE = 30.0  # seconds


def make_client() -> LanguageClient:
    """Make an editor that keeps the edits it is sent and applies the last of them to its only document."""
    client = make_test_lsp_client()
    edits: asyncio.Queue[types.ApplyWorkspaceEditParams] = asyncio.Queue()
    client.edits = edits  # type: ignore[attr-defined]  # the test's own mailbox

    # lsprotocol takes every code action that carries a command for a bare command.
    client.protocol._converter.register_structure_hook(
        types.Command | types.CodeAction,
        lambda value, _: client.protocol._converter.structure(
            value, types.Command if isinstance(value.get("command"), str) else types.CodeAction
        ),
    )

    @client.feature(types.CLIENT_REGISTER_CAPABILITY)  # type: ignore[untyped-decorator]  # pygls has no types for it
    def register(params: types.RegistrationParams) -> None:
        """Allow whatever the server wants to be told of."""

    @client.feature(types.WORKSPACE_APPLY_EDIT)  # type: ignore[untyped-decorator]  # pygls has no types for it
    def apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        edits.put_nowait(params)
        return types.ApplyWorkspaceEditResult(applied=True)

    return client


@pytest_lsp.fixture(  # type: ignore[untyped-decorator]  # pytest-lsp has no types for it
    params=EDITORS,
    config=ClientServerConfig(
        server_command=[sys.executable, "-m", "glossator", "serve"],
        client_factory=make_client,
        server_env={**os.environ, "GLOSSATOR_DISCOVERY": "off", "GLOSSATOR_CONFIG": os.devnull},
    ),
)
async def client(
    request: pytest.FixtureRequest, lsp_client: LanguageClient, tmp_path: Path
) -> AsyncIterator[LanguageClient]:
    """Start the real program and open one file with a real problem in it."""
    parts.program("ruff")
    (tmp_path / "app.py").write_text(TEXT, encoding="utf-8")
    await lsp_client.initialize_session(
        types.InitializeParams(
            capabilities=client_capabilities(request.param),
            workspace_folders=[types.WorkspaceFolder(tmp_path.as_uri(), tmp_path.name)],
            root_uri=tmp_path.as_uri(),
        )
    )
    lsp_client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem((tmp_path / "app.py").as_uri(), "python", 1, TEXT))
    )
    yield lsp_client
    await lsp_client.shutdown_session()


async def test_a_problem_is_listed_fixed_and_explained_over_plain_lsp(client: LanguageClient, tmp_path: Path) -> None:
    """Menu, command, one versioned edit, hover: what every editor gets without a plugin."""
    document = types.TextDocumentIdentifier((tmp_path / "app.py").as_uri())
    place = types.Range(types.Position(0, 7), types.Position(0, 9))
    problem = types.Diagnostic(
        place, "`os` imported but unused", types.DiagnosticSeverity.Warning, "F401", source="Ruff"
    )
    actions = await client.text_document_code_action_async(
        types.CodeActionParams(document, place, types.CodeActionContext([problem]))
    )
    fixes = [
        action
        for action in actions or ()
        if isinstance(action, types.CodeAction) and action.title.startswith('Fix "') and action.command
    ]
    assert len(fixes) == 1, actions
    command = fixes[0].command
    assert command is not None
    assert not fixes[0].is_preferred
    await client.workspace_execute_command_async(types.ExecuteCommandParams(command.command, command.arguments))

    edits: asyncio.Queue[types.ApplyWorkspaceEditParams] = client.edits  # type: ignore[attr-defined]  # see make_client
    edit = (await asyncio.wait_for(edits.get(), DEADLINE)).edit
    assert edit.document_changes is not None
    (change,) = edit.document_changes
    assert isinstance(change, types.TextDocumentEdit)
    assert change.text_document.version == 1
    assert [getattr(one, "new_text", None) for one in change.edits] == [""]
    client.text_document_did_change(
        types.DidChangeTextDocumentParams(
            types.VersionedTextDocumentIdentifier(2, document.uri),
            [types.TextDocumentContentChangePartial(change.edits[0].range, "")],
        )
    )

    hover = await client.text_document_hover_async(types.HoverParams(document, types.Position(0, 8)))
    assert hover is None or isinstance(hover.contents, types.MarkupContent)
