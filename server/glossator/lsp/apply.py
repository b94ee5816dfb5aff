"""Bring a proposal into the editor: merged with what was typed meanwhile, once, and believed only when its text shows it.

Editors differ in what they answer: Neovim says that it applied an edit that it refused, eglot answers an error, VS Code
gives no reason. So the reply is only a hint; the `didChange` that follows is the proof.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass

from lsprotocol import types

from glossator.document import Snapshot, split_lines
from glossator.lsp.connection import Connection
from glossator.lsp.convert import text_edits
from glossator.lsp.progress import one_line
from glossator.lsp.wire import Refused
from glossator.session import PENDING_SECONDS, OpenDocument, Pending
from glossator.tasks.task import Ask, Proposal, State

SECONDS_TO_SHOW = 2.0
SECONDS_AFTER_REFUSAL = 0.5
SECONDS_TO_CONFIRM = 600.0
MANY_LINES = 200
SILENT = "the editor did not answer"
UNTRUE = "the editor said that it did, but its text shows otherwise"
ATTEMPTS = 10  # an editor whose user does not stop typing refuses several times over


class Outcome(enum.Enum):
    """How an edit ended."""

    APPLIED = "applied"
    NOTHING = "nothing"  # the text is already as proposed
    CONFLICT = "conflict"
    REFUSED = "refused"  # kept as pending
    GONE = "gone"  # the document was closed
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Applied:
    """How an edit ended, and one sentence for the user."""

    outcome: Outcome
    message: str


async def apply(connection: Connection, proposal: Proposal, ask: Ask, *, anyway: bool = False) -> Applied:
    """Apply *proposal*; what cannot be applied is kept for ten minutes. *anyway* lets it win where both have changed."""
    session = connection.session
    uri = proposal.base.uri
    if proposal.verdict.withheld:
        reason = proposal.verdict.reason or "it would have broken the code"
        return Applied(Outcome.WITHHELD, f"The proposal was withheld: {reason}")
    if not connection.client.apply_edit:
        return Applied(Outcome.REFUSED, "This editor cannot be sent edits; nothing was changed")
    reason = "the editor refused the edit"
    for attempt in range(ATTEMPTS):
        document = session.documents.get(uri)
        if document is None:
            return _gone() if uri == ask.snapshot.uri else await _put(connection, proposal)
        now = document.snapshot()
        wanted = combine(proposal, now, anyway=anyway)
        if wanted is None:
            why = "You changed the same lines meanwhile; nothing was overwritten"
            _keep(connection, proposal, ask, why, conflict=True)
            return Applied(Outcome.CONFLICT, f"{why}: the code actions offer to apply it anyway or to ask again")
        if wanted == now.text:
            session.forget_pending(uri)
            return Applied(Outcome.NOTHING, "The text is already as proposed")
        landed, reason = await _send(connection, document, proposal, ask, now=now, wanted=wanted)
        if landed:
            session.forget_pending(uri)
            return Applied(Outcome.APPLIED, describe(proposal))
        if session.documents.get(uri) is not document:
            return _gone()
        had_its_time = attempt > 0 and reason in {SILENT, UNTRUE}
        if had_its_time or not document.lost(now):
            break  # where the text is still the same, it would say the same again
    _keep(connection, proposal, ask, reason, conflict=False)
    return Applied(Outcome.REFUSED, f"The edit was not applied: {reason}; it is kept as a code action for 10 minutes")


def combine(proposal: Proposal, now: Snapshot, *, anyway: bool) -> str | None:
    """Return the text of now with the proposal in it, None where both have changed the same lines."""
    from glossator.merge import Conflict, Merged, merge

    base, theirs = proposal.base.text, proposal.text
    merged = merge(base, theirs, now.text)
    if isinstance(merged, Merged):
        return merged.text
    if not anyway:
        return None
    lines = list(now.lines)
    for clash in sorted(merged.clashes, key=lambda one: one.region.start, reverse=True):
        lines[clash.region.start.line : clash.region.end.line] = split_lines(clash.base)
    # With what was typed in those lines taken back, nothing can clash any more.
    again = merge(base, theirs, "".join(lines))
    return None if isinstance(again, Conflict) else again.text


def has_landed(before: str, wanted: str, text: str) -> bool:
    """Say whether *text* has all of the edit that makes *wanted* of *before*, whatever was typed besides."""
    from glossator.merge import Merged, merge

    if _without_line_ends(text) == _without_line_ends(wanted):
        return True
    if text == before:
        return False
    merged = merge(before, wanted, text)
    return isinstance(merged, Merged) and merged.text == text


def describe(proposal: Proposal) -> str:
    """Say in a few words what the checker found, and who wrote it."""
    from glossator.verify import describe as describe_verdict

    verdict = proposal.verdict
    words = describe_verdict(verdict)
    if verdict.state is State.UNCHANGED and not words:
        words = "the problem is still there"
    label = words if verdict.verified else f"unverified: {words}" if words else "unverified"
    return f"{label} ({proposal.author.byline})"


async def _send(
    connection: Connection, document: OpenDocument, proposal: Proposal, ask: Ask, *, now: Snapshot, wanted: str
) -> tuple[bool, str]:
    """Send one edit; return whether the editor's text shows it, and why not."""
    confirm = _needs_confirmation(connection, proposal, ask, now)
    params = make_edit(connection, proposal, now, wanted, confirm=confirm)
    landed = connection.session.watch(document, lambda text: has_landed(now.text, wanted, text))
    newer = connection.session.watch(document, lambda text: text != now.text)
    reply = connection.server.spawn(_ask(connection, params), name="applyEdit")
    try:
        patience = SECONDS_TO_CONFIRM if confirm else SECONDS_TO_SHOW
        await asyncio.wait({landed, reply}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        reason = SILENT
        if not landed.done() and reply.done():
            refusal = reply.result()
            reason = refusal or UNTRUE
            if refusal:
                # Newer text explains the refusal, and is what the next attempt is made for.
                await asyncio.wait({landed, newer}, timeout=SECONDS_AFTER_REFUSAL, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.wait({landed}, timeout=SECONDS_TO_SHOW)
        if landed.cancelled():
            return False, "the document was closed"
        return landed.done(), reason
    finally:
        landed.cancel()
        newer.cancel()


async def _put(connection: Connection, proposal: Proposal) -> Applied:
    """Add to a file that is not open, or make it: what the editor answers is all that can be known of it."""
    base = proposal.base
    name = base.uri.rpartition("/")[2]
    changes: list[types.TextDocumentEdit | types.CreateFile | types.RenameFile | types.DeleteFile] = []
    if not base.text:
        if not connection.client.create_files:
            return Applied(
                Outcome.REFUSED, f"This editor cannot be asked to make {name}; run `glossator tests` instead"
            )
        changes.append(types.CreateFile(uri=base.uri, options=types.CreateFileOptions(ignore_if_exists=False)))
    reference = types.OptionalVersionedTextDocumentIdentifier(uri=base.uri, version=None)
    edits = text_edits(base, proposal.text, connection.client.encoding)
    changes.append(types.TextDocumentEdit(text_document=reference, edits=[*edits]))
    label = one_line(f"glossator: {proposal.summary or 'edit'}; {describe(proposal)}", 120)
    params = types.ApplyWorkspaceEditParams(edit=types.WorkspaceEdit(document_changes=changes), label=label)
    refusal = await _ask(connection, params)
    if refusal is not None:
        return Applied(Outcome.REFUSED, f"{name} was not changed: {refusal}")
    return Applied(Outcome.APPLIED, f"{name}: {describe(proposal)}")


async def _ask(connection: Connection, params: types.ApplyWorkspaceEditParams) -> str | None:
    """Ask the editor to apply an edit; return why it did not, None where it says that it did."""
    try:
        result = await connection.server.protocol.ask("workspace/applyEdit", params, seconds=SECONDS_TO_CONFIRM)
    except Refused as refusal:
        return f"the editor refused it ({one_line(str(refusal), 80)})"
    except TimeoutError:
        return SILENT
    if isinstance(result, dict) and result.get("applied") is True:
        return None
    reason = result.get("failureReason") if isinstance(result, dict) else None
    return f"the editor refused it ({one_line(reason, 80)})" if isinstance(reason, str) else "the editor refused it"


def make_edit(
    connection: Connection, proposal: Proposal, now: Snapshot, wanted: str, *, confirm: bool
) -> types.ApplyWorkspaceEditParams:
    """Return the one versioned edit that makes *wanted* of *now*."""
    label = one_line(f"glossator: {proposal.summary or 'edit'}; {describe(proposal)}", 120)
    edits: list[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit] = [
        *text_edits(now, wanted, connection.client.encoding)
    ]
    annotations = None
    if confirm:
        annotations = {"glossator": types.ChangeAnnotation(label=label, needs_confirmation=True)}
        edits = [
            types.AnnotatedTextEdit(annotation_id="glossator", range=edit.range, new_text=edit.new_text)
            for edit in text_edits(now, wanted, connection.client.encoding)
        ]
    change = types.TextDocumentEdit(
        text_document=types.OptionalVersionedTextDocumentIdentifier(uri=now.uri, version=now.version), edits=edits
    )
    edit = types.WorkspaceEdit(document_changes=[change], change_annotations=annotations)
    return types.ApplyWorkspaceEditParams(edit=edit, label=label)


def _needs_confirmation(connection: Connection, proposal: Proposal, ask: Ask, now: Snapshot) -> bool:
    if not connection.client.change_annotations or connection.settings.edits_confirm == "never":
        return False
    if connection.settings.edits_confirm == "always":
        return True
    grown = abs(len(split_lines(proposal.text)) - len(now.lines))
    doubtful = proposal.verdict.state in {State.WORSE, State.SUPPRESSED, State.UNCHANGED}
    return doubtful or grown > MANY_LINES or reaches_beyond(proposal, ask)


def reaches_beyond(proposal: Proposal, ask: Ask) -> bool:
    """Say whether a model's change goes beyond the code that it was asked about; an import that it needs does not."""
    from glossator.context import is_import, region_of
    from glossator.matching import changes

    if proposal.author.model is None:
        return False
    base = proposal.base
    region = ask.region
    if ask.diagnostics or region.start == region.end:
        region = region_of(base, region, ask.diagnostics)
    new = split_lines(proposal.text)
    return any(
        not (region.start.line <= change.old_start and change.old_end <= region.end.line + 1)
        and not all(
            is_import(line)
            for line in (*base.lines[change.old_start : change.old_end], *new[change.new_start : change.new_end])
        )
        for change in changes(base.lines, new)
    )


def _keep(connection: Connection, proposal: Proposal, ask: Ask, reason: str, *, conflict: bool) -> None:
    session = connection.session
    session.keep(Pending(proposal, ask, reason, session.clock() + PENDING_SECONDS, conflict))


def _gone() -> Applied:
    return Applied(Outcome.GONE, "The document was closed meanwhile; nothing was applied")


def _without_line_ends(text: str) -> list[str]:
    return [line.rstrip("\r\n") for line in split_lines(text)]
