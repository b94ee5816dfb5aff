"""Where the rooms of one connection meet: which method is answered by what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lsprotocol import types

from glossator import __version__
from glossator.lsp import protocol, wire
from glossator.lsp.actions import list_actions
from glossator.lsp.application import Build
from glossator.lsp.channel import Channel, Greeting
from glossator.lsp.commands import Commands
from glossator.lsp.connection import Connection
from glossator.lsp.display import Library
from glossator.lsp.findings import Findings
from glossator.lsp.hover import Hover
from glossator.lsp.jobs import Jobs
from glossator.lsp.looks import look_each_minute
from glossator.lsp.notices import Notices
from glossator.lsp.offers import Offers
from glossator.lsp.oversight import Oversight
from glossator.lsp.selection import Selection
from glossator.lsp.sync import Sync
from glossator.lsp.wire import Server, configure_log
from glossator.session import Session, path_of


def run(channel: Channel, greeting: Greeting, *, build: Build, environment: Mapping[str, str]) -> int:
    """Serve one editor until it leaves; return the exit code of the process."""
    configure_log()
    server, connection = connect(greeting, build=build, environment=environment)
    return wire.run(server, channel, greeting, close=connection.close)


def connect(greeting: Greeting, *, build: Build, environment: Mapping[str, str]) -> tuple[Server, Connection]:
    """Make the server and the state of one connection; nothing runs yet."""
    server = Server("glossator", __version__)
    connection = Connection(
        server,
        greeting.client,
        Session(clock=time.monotonic),
        build=build,
        options=greeting.params.get("initializationOptions"),
        environment=environment,
    )
    register(server, connection)
    return server, connection


def register(server: Server, connection: Connection) -> None:
    """Tell *server* which method is answered by what."""
    library = Library()
    notices = Notices(connection)
    findings = Findings(connection)
    jobs = Jobs(connection, library, notices, findings)
    offers = Offers(connection)
    sync, hover = Sync(connection, jobs, offers), Hover(connection)
    commands = Commands(connection, jobs, Selection(connection, notices), findings)
    oversight = Oversight(connection, library)
    connection.built = lambda: tell_all(offers, notices)
    protocol.register(server.protocol._converter)  # noqa: SLF001  pygls offers no other way to its converter
    server.protocol.extension = protocol.PARAMS
    server.protocol.late_cancel = jobs.cancel_request
    server.protocol.unreadable = sync.unreadable

    def initialized(_: types.InitializedParams) -> None:
        if connection.client.register_configuration:
            server.spawn(register_configuration(server), name="registration")
        connection.begin()
        server.spawn(look_each_minute(connection, notices), name="looks")

    async def code_action(params: types.CodeActionParams) -> list[Any] | None:
        return await list_actions(connection, jobs, params)

    async def shutdown(_: None) -> None:
        await jobs.cancel_all()

    async def configuration_changed(_: types.DidChangeConfigurationParams) -> None:
        if await connection.read_settings():
            await connection.build()

    def folders_changed(params: types.DidChangeWorkspaceFoldersParams) -> None:
        gone = {path_of(folder.uri) for folder in params.event.removed}
        added = [path for folder in params.event.added if (path := path_of(folder.uri)) is not None]
        connection.roots = tuple(dict.fromkeys([*(root for root in connection.roots if root not in gone), *added]))

    def progress_cancelled(params: types.WorkDoneProgressCancelParams) -> None:
        jobs.cancel_token(params.token)

    def content(params: types.TextDocumentContentParams) -> types.TextDocumentContentResult:
        return types.TextDocumentContentResult(text=library.read(params.uri))

    features: dict[str, Any] = {
        types.INITIALIZED: initialized,
        types.SHUTDOWN: shutdown,
        types.TEXT_DOCUMENT_DID_OPEN: sync.opened,
        types.TEXT_DOCUMENT_DID_CHANGE: sync.changed,
        types.TEXT_DOCUMENT_DID_CLOSE: sync.closed,
        types.TEXT_DOCUMENT_CODE_ACTION: code_action,
        types.TEXT_DOCUMENT_HOVER: hover.show,
        types.WORKSPACE_DID_CHANGE_CONFIGURATION: configuration_changed,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: folders_changed,
        types.WORKSPACE_TEXT_DOCUMENT_CONTENT: content,
        types.WINDOW_WORK_DONE_PROGRESS_CANCEL: progress_cancelled,
        protocol.DIAGNOSTICS: sync.told,
        protocol.RUN: commands.run,
        protocol.ASK: commands.ask,
        protocol.CANCEL: commands.cancel,
        protocol.WHY: oversight.why,
        protocol.STATUS: commands.status,
        protocol.DID_ACCEPT: commands.did_accept,
        protocol.DID_REJECT: commands.did_reject,
    }
    server.protocol.fm.features.update(features)
    server.protocol.fm.commands.update(commands.handlers() | oversight.handlers())


def tell_all(offers: Offers, notices: Notices) -> None:
    """Let menus and status lines show who answers now."""
    offers.renew_all()
    notices.status_changed()


async def register_configuration(server: Server) -> None:
    """Ask an editor that wants to be asked to tell of changed settings."""
    registration = types.Registration(
        "glossator-configuration", types.WORKSPACE_DID_CHANGE_CONFIGURATION, {"section": "glossator"}
    )
    await server.protocol.ask("client/registerCapability", types.RegistrationParams([registration]), seconds=30)
