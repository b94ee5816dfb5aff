"""The code-action menu: made in memory at once, each title says where the request would go; never preferred, never a `source` kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from glossator.document import Snapshot
from glossator.lsp.application import Application, Offer
from glossator.lsp.connection import Connection, log
from glossator.lsp.convert import OUR_SOURCE, from_diagnostic, plain_message, to_diagnostics, to_region
from glossator.lsp.jobs import Jobs
from glossator.lsp.progress import one_line
from glossator.lsp.wire import describe_failure
from glossator.session import Place

MOST_DIAGNOSTICS = 3
LONGEST_QUOTE = 50  # characters of a diagnostic's message in a title
LLM_GENERATED = types.CodeActionTag.LlmGenerated

EXPLAIN_PROBLEM = "quickfix.glossator.explain"
FIX_PROBLEM = "quickfix.glossator"
FIX_RULE = "quickfix.glossator.rule"
CANCEL_JOB = "quickfix.glossator.cancel"
APPLY_PENDING = "quickfix.glossator.apply"
REFACTOR = "refactor.rewrite.glossator"
DOCUMENT = "refactor.rewrite.glossator.document"
TESTS = "refactor.glossator.tests"
EXPLAIN_CODE = "refactor.glossator.explain"
ASK = "refactor.glossator.ask"
REVIEW = "refactor.glossator.review"
WHY = "refactor.glossator.why"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu before it is spelled for a client."""

    title: str
    kind: str
    command: str
    argument: dict[str, Any]
    diagnostic: types.Diagnostic | None = None
    disabled: str | None = None


async def list_actions(connection: Connection, jobs: Jobs, params: types.CodeActionParams) -> list[Any] | None:
    """Answer `textDocument/codeAction`."""
    document = connection.session.documents.get(params.text_document.uri)
    if document is None:
        return None
    snapshot = document.remember()
    encoding = connection.client.encoding
    region = to_region(params.range, snapshot.line, encoding)
    told = [one for one in params.context.diagnostics if (one.source or "").lower() != OUR_SOURCE]
    automatic = params.context.trigger_kind is types.CodeActionTriggerKind.Automatic
    if not automatic or connection.session.place is None:
        connection.session.place = Place(snapshot.uri, region)
    connection.session.learn(snapshot.uri, region, to_diagnostics(told, snapshot.line, encoding))
    if not connection.settings.menu:
        return []
    problems = told[:MOST_DIAGNOSTICS] or _remembered(connection, snapshot, params)
    if automatic and region.start == region.end and not problems:
        return []  # no lamp on every line that the cursor passes
    offer = _offer(connection.application, snapshot)  # while the server starts there is none: better than a late menu
    items = [*_for_work(connection, jobs, snapshot), *_for_code(connection, snapshot, params, problems, offer)]
    only = params.context.only
    chosen = [item for item in items if _wanted(item.kind, only)]
    return [spelled for item in chosen if (spelled := _spell(connection, item)) is not None]


def route_title(offer: Offer | None, problem: types.Diagnostic | None = None) -> str:
    """Return what stands in brackets at the end of a title."""
    if offer is not None and offer.author is not None:
        return f"(glossator, {offer.author.title})"
    if problem is not None and offer is not None:
        # No model: the checkers' own handbook answers.
        return f"(glossator, {(problem.source or 'handbook').lower()})"
    return "(glossator)"


def _offer(application: Application | None, snapshot: Snapshot) -> Offer | None:
    if application is None:
        return None
    try:
        return application.latest_offer(snapshot)
    except Exception as failure:  # noqa: BLE001  a menu without routes is better than none
        log.error("No offer could be made: %s", describe_failure(failure))
        return None


def _remembered(connection: Connection, snapshot: Snapshot, params: types.CodeActionParams) -> list[types.Diagnostic]:
    """Return what a plugin told of this place, where the editor itself does not."""
    encoding = connection.client.encoding
    region = to_region(params.range, snapshot.line, encoding)
    known = connection.session.diagnostics_at(snapshot.uri, region)
    return [from_diagnostic(one, snapshot.line, encoding) for one in known[:MOST_DIAGNOSTICS]]


def _for_work(connection: Connection, jobs: Jobs, snapshot: Snapshot) -> list[Item]:
    """Return what can be done about what is being done, or waits."""
    items = [
        Item(f"Cancel glossator: {job.ask.task.value}", CANCEL_JOB, "glossator.cancel", {"job": job.name})
        for job in jobs.running(snapshot.uri)[-1:]
    ]
    pending = connection.session.pending(snapshot.uri)
    if pending is None:
        return items
    argument = {"uri": snapshot.uri}
    if pending.conflict:
        items += [
            Item(
                "Ask again for the text of now (glossator)",
                APPLY_PENDING,
                "glossator.apply",
                {**argument, "mode": "again"},
            ),
            Item(
                "Apply the pending fix anyway (glossator)",
                APPLY_PENDING,
                "glossator.apply",
                {**argument, "mode": "anyway"},
            ),
        ]
    else:
        items.append(Item("Apply the pending fix (glossator)", APPLY_PENDING, "glossator.apply", argument))
    return items


def _for_code(
    connection: Connection,
    snapshot: Snapshot,
    params: types.CodeActionParams,
    problems: Sequence[types.Diagnostic],
    offer: Offer | None,
) -> list[Item]:
    refusal = offer.refusal if offer is not None else None
    modelless = refusal.message if refusal is not None else None
    place = {"uri": snapshot.uri, "version": snapshot.version}
    converter = connection.server.protocol._converter  # noqa: SLF001  pygls offers no other way to its converter
    items: list[Item] = []
    # These stay on without a model: the checkers' handbook may answer, and where it cannot, the run says why not.
    for problem in problems:
        plain = converter.unstructure(problem)
        argument = {**place, "range": plain["range"], "diagnostics": [plain]}
        quote = one_line(plain_message(problem.message), LONGEST_QUOTE)
        route = route_title(offer, problem)
        items += [
            Item(f'Explain "{quote}" {route}', EXPLAIN_PROBLEM, "glossator.explain", argument, problem),
            Item(f'Fix "{quote}" {route}', FIX_PROBLEM, "glossator.fix", argument, problem),
        ]
    if (ruled := next((one for one in problems if one.code is not None), None)) is not None:
        plain = converter.unstructure(ruled)
        argument = {**place, "range": plain["range"], "diagnostics": [plain]}
        code = one_line(str(ruled.code), LONGEST_QUOTE)
        title = f"Fix all {code} in this file {route_title(offer, ruled)}"
        items.append(Item(title, FIX_RULE, "glossator.fixAll", argument, ruled))
    route = route_title(offer)
    here = {**place, "range": converter.unstructure(params.range)}
    if not problems:
        items.append(Item(f"Explain this code {route}", EXPLAIN_CODE, "glossator.explain", here, None, modelless))
    items += [
        Item(f"Refactor… {route}", REFACTOR, "glossator.refactor", here, None, modelless),
        Item(f"Document this {route}", DOCUMENT, "glossator.document", here, None, modelless),
        Item(f"Write tests {route}", TESTS, "glossator.tests", here, None, modelless),
        Item(f"Ask… {route}", ASK, "glossator.ask", here, None, modelless),
        # It stays on without a model: the structure is shown in any case.
        Item(f"Review this {_part(params.range)} {route}", REVIEW, "glossator.review", here),
    ]
    if modelless is not None:
        items.append(Item("Where would this go? (glossator)", WHY, "glossator.why", {"uri": snapshot.uri}))
    return items


def _part(selected: types.Range) -> str:
    return "file" if selected.start == selected.end else "selection"


def _wanted(kind: str, only: Sequence[types.CodeActionKind | str] | None) -> bool:
    """Say whether *kind* is one of those asked for, or inside of one."""
    if not only:
        return True
    names = [one.value if isinstance(one, types.CodeActionKind) else one for one in only]
    return any(name in {"", kind} or kind.startswith(f"{name}.") for name in names)


def _spell(connection: Connection, item: Item) -> types.CodeAction | types.Command | None:
    """Return the item as this client can take it."""
    client = connection.client
    # Where a disabled action cannot be shown as such, it runs into the reason.
    if item.disabled is not None:
        command = types.Command(title=item.title, command="glossator.why", arguments=[{"uri": item.argument["uri"]}])
    else:
        command = types.Command(title=item.title, command=item.command, arguments=[item.argument])
    if not client.action_literals:
        return command
    disabled = client.disabled_actions and item.disabled is not None
    return types.CodeAction(
        title=item.title,
        kind=item.kind,
        diagnostics=[item.diagnostic] if item.diagnostic is not None else None,
        disabled=types.CodeActionDisabled(reason=item.disabled) if disabled and item.disabled else None,
        command=None if disabled else command,
        tags=[LLM_GENERATED] if client.action_tags and item.kind not in {CANCEL_JOB, APPLY_PENDING, WHY} else None,
    )
