"""What the user can see and decide of where code goes: *Where would this go?* as a document, and what is allowed in the workspace."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from glossator.consent import state_folder
from glossator.lsp.application import Application
from glossator.lsp.arguments import Target, make_ask, read_arguments
from glossator.lsp.capabilities import CONTENT_SCHEME
from glossator.lsp.connection import Connection, plain
from glossator.lsp.display import SECONDS_FOR_SHOW, Library, write_file
from glossator.lsp.progress import one_line
from glossator.lsp.protocol import WhyParams
from glossator.lsp.wire import Refused
from glossator.tasks.task import Ask, TaskName

LONGEST_MESSAGE = 400
ALLOW, REVOKE, LEAVE = "Allow found clouds here", "Revoke them here", "Leave it so"
_SECONDS_TO_ANSWER = 120.0
_WORDS = {"allow": ALLOW, "revoke": REVOKE, "list": LEAVE}


class Oversight:
    """The commands `glossator.why` and `glossator.privacy`, and the request `glossator/why`, of one connection."""

    def __init__(self, connection: Connection, library: Library) -> None:
        self._connection = connection
        self._library = library
        self._numbers = itertools.count(1)

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """Return the commands by name."""
        return {"glossator.why": self.why_command, "glossator.privacy": self.privacy_command}

    async def why_command(self, *given: Any) -> Any:
        """Show where a request about this document would go, and why, and what it would send."""
        target = read_arguments(self._connection, given)
        application, ask = await self._look(target)
        decision = plain(application.why(ask.snapshot))
        self._connection.show(f"glossator: {explain_decision(decision)}")
        # In the background: eglot waits for this answer before it shows a document.
        self._connection.server.spawn(self._open(application, ask), name="why")
        return decision if self._connection.client.extension else None

    async def why(self, params: WhyParams) -> Any:
        """Answer `glossator/why`: the decision, and in `request` what would be sent, in Markdown."""
        application, ask = await self._look(Target(params.text_document.uri))
        decision = plain(application.why(ask.snapshot))
        return decision | {"request": (await application.describe_preview(ask)).partition("Nothing was sent.\n\n")[2]}

    async def privacy_command(self, *given: Any) -> Any:
        """Show what may leave the machine from this workspace, and let the user change it: by a word, or when asked."""
        word = next((one.get("do") if isinstance(one, dict) else one for one in given if one), None)
        if word is not None and word not in _WORDS:
            raise JsonRpcInvalidParams(f"Say one of {', '.join(_WORDS)}, or nothing")
        application = await self._wait()
        if word is None:
            # In the background: eglot waits for this answer before it shows a question.
            self._connection.server.spawn(self._ask(application), name="privacy")
            return None
        self._change(application, _WORDS[word])
        self._connection.show(f"glossator: {describe_allowed(plain(application.privacy()))}")
        return plain(application.privacy()) if self._connection.client.extension else None

    async def _ask(self, application: Application) -> None:
        allowed = plain(application.privacy())
        said = f"glossator: {describe_allowed(allowed)}"
        change = REVOKE if allowed["cloudsAllowed"] else ALLOW
        actions = [types.MessageActionItem(change), types.MessageActionItem(LEAVE)]
        params = types.ShowMessageRequestParams(types.MessageType.Info, said, actions)
        try:
            answer = await self._connection.server.protocol.ask(
                "window/showMessageRequest", params, seconds=_SECONDS_TO_ANSWER
            )
        except Refused:
            self._connection.show(
                f"{said}; this editor shows no list: name one of {', '.join(_WORDS)} after the command"
            )
            return
        except TimeoutError:
            return
        if isinstance(answer, dict) and answer.get("title") == change:
            self._change(application, change)
            self._connection.show(f"glossator: {describe_allowed(plain(application.privacy()))}")

    def _change(self, application: Application, change: str) -> None:
        if change == ALLOW:
            application.allow_clouds(remember=True)
        elif change == REVOKE:
            try:
                application.revoke_clouds()
            except OSError as problem:
                message = f"glossator: it could not be revoked ({problem.strerror}); make the state folder writable"
                self._connection.show(message, types.MessageType.Error)
                return
        self._connection.built()  # menus name who would be asked

    async def _open(self, application: Application, ask: Ask) -> None:
        """Open the decision with what would be sent, read-only; what is private goes into no file for that."""
        client = self._connection.client
        if not client.show_document or client.stream:
            return  # the sentence has said it; a plugin of ours asks for the whole by itself
        if not client.text_document_content and application.stays(ask):
            return
        text, name = await application.describe_preview(ask), f"why-{next(self._numbers)}"
        if client.text_document_content:
            uri = f"{CONTENT_SCHEME}:/why/{name}.md"
            self._library.write(uri, text)
        else:
            try:
                path = write_file(state_folder(self._connection.environment), name, text)
                path.chmod(0o400)
            except OSError:
                return
            uri = path.as_uri()
        with contextlib.suppress(Refused, TimeoutError):
            await self._connection.server.protocol.ask(
                "window/showDocument", types.ShowDocumentParams(uri=uri, take_focus=True), seconds=SECONDS_FOR_SHOW
            )

    async def _look(self, target: Target) -> tuple[Application, Ask]:
        ask = make_ask(self._connection, TaskName.EXPLAIN, target)
        return await self._wait(), ask

    async def _wait(self) -> Application:
        application = await self._connection.wait_for_application(1.0)
        if application is None:
            raise JsonRpcInvalidParams(self._connection.broken or "glossator is still starting; try again")
        return application


def explain_decision(decision: Any) -> str:
    """Return a privacy decision on one line, with its reasons."""
    data = plain(decision)
    if not isinstance(data, dict):
        return one_line(str(data), LONGEST_MESSAGE)
    reasons = [one.get("clause") or one.get("rule") for one in data.get("reasons") or [] if isinstance(one, dict)]
    route = [name for name in data.get("route") or [] if isinstance(name, str)]
    words = f"{data.get('level')}" + (f" ({'; '.join(map(str, reasons))})" if reasons else "")
    return one_line(f"{words}: would go to {', '.join(route) or 'no model'}", LONGEST_MESSAGE)


def describe_allowed(allowed: Any) -> str:
    """Return what may leave the machine from a workspace, on one line."""
    data = allowed if isinstance(allowed, dict) else {}
    configured, found = (", ".join(data.get(name) or []) for name in ("configured", "found"))
    state = "allowed in this workspace" if data.get("cloudsAllowed") else "not allowed in this workspace"
    words = [
        f"clouds that you configured: {configured or 'none'}",
        f"of which only a key was found: {found or 'none'}, {state}",
    ]
    return one_line("; ".join(words), LONGEST_MESSAGE)
