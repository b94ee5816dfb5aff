"""From what an editor or a user sends to a question of ours: arguments checked, positions read, the text frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from glossator.document import Diagnostic, Point, Region
from glossator.lsp.connection import Connection
from glossator.lsp.convert import move, to_diagnostics, to_region
from glossator.session import OpenDocument
from glossator.tasks.task import Ask, TaskName

MOST_DIAGNOSTICS = 20
DEFAULT_QUESTION = "What does this code do, and what should I know before I change it?"


@dataclass(frozen=True, slots=True)
class Target:
    """What a command is about; everything but the URI may be absent."""

    uri: str
    version: int | None = None
    range: types.Range | None = None
    diagnostics: tuple[types.Diagnostic, ...] | None = None
    instruction: str | None = None
    provider: str | None = None
    model: str | None = None
    unproven: bool = False


def read_arguments(connection: Connection, arguments: tuple[Any, ...]) -> Target:
    """Read the arguments of a command: an object of ours, words of an instruction, or none at all; raises JsonRpcInvalidParams."""
    given: dict[str, Any] = {}
    words: list[str] = []
    for argument in arguments:
        if isinstance(argument, dict):
            given |= argument
        elif isinstance(argument, str):
            words.append(argument)
        elif argument is not None:
            raise JsonRpcInvalidParams(
                "The arguments of a glossator command are an object, words of an instruction, or none"
            )
    text_document = given.get("textDocument")
    uri = given.get("uri", text_document.get("uri") if isinstance(text_document, dict) else None)
    place = connection.session.place
    if uri is None and place is not None:
        uri = place.uri
    if not isinstance(uri, str):
        raise JsonRpcInvalidParams(
            "No document was named; put the cursor on some code first, or give an object with uri and range"
        )
    instruction = given.get("instruction") or given.get("question") or " ".join(words) or None
    converter = connection.server.protocol._converter  # noqa: SLF001  pygls offers no other way to its converter
    raw_diagnostics = given.get("diagnostics")
    try:
        range_ = converter.structure(given["range"], types.Range) if given.get("range") is not None else None
        diagnostics = (
            tuple(converter.structure(one, types.Diagnostic) for one in raw_diagnostics[:MOST_DIAGNOSTICS])
            if isinstance(raw_diagnostics, list)
            else None
        )
    except Exception as problem:
        raise JsonRpcInvalidParams("range or diagnostics of the command are not as LSP spells them") from problem
    version = given.get("version")
    return Target(
        uri=uri,
        version=version if isinstance(version, int) else None,
        range=range_,
        diagnostics=diagnostics,
        instruction=_word(instruction, "instruction"),
        provider=_word(given.get("provider"), "provider"),
        model=_word(given.get("model"), "model"),
        unproven=given.get("unproven") is True,
    )


def make_ask(connection: Connection, task: TaskName, target: Target) -> Ask:
    """Freeze the document and return what is asked; raises JsonRpcInvalidParams for a document that is not open."""
    document = connection.session.documents.get(target.uri)
    if document is None:
        raise JsonRpcInvalidParams(f"The document is not open in this editor: {target.uri[:200]}")
    snapshot = document.snapshot()
    region, diagnostics = _place(connection, document, target)
    if task is TaskName.EXPLAIN and not diagnostics and region.start == region.end:
        region = Region(Point(region.start.line, 0), Point(region.start.line, len(snapshot.line(region.start.line))))
    if task is TaskName.REVIEW:
        diagnostics = ()
        if region.start == region.end or target.range is None:  # a cursor chooses no part
            region = snapshot.whole
    if task in {TaskName.DOCUMENT, TaskName.TESTS}:
        diagnostics = ()
    instruction = target.instruction
    if task is TaskName.ASK and instruction is None:
        instruction = DEFAULT_QUESTION
    return Ask(
        task=task,
        snapshot=snapshot,
        region=region,
        diagnostics=diagnostics,
        known=connection.session.known(target.uri),
        instruction=instruction,
        roots=connection.roots,
        trusted=connection.settings.trusted,
        provider=target.provider,
        model=target.model,
        unproven=target.unproven,
    )


def _place(connection: Connection, document: OpenDocument, target: Target) -> tuple[Region, tuple[Diagnostic, ...]]:
    """Return region and diagnostics in the text of now, from ranges that may speak of an earlier version."""
    now = document.snapshot()
    old = document.shown.get(target.version, now) if target.version is not None else now
    encoding = connection.client.encoding
    if target.range is not None:
        region = move(to_region(target.range, old.line, encoding), old, now)
    elif (place := connection.session.place) is not None and place.uri == target.uri:
        region = place.region
    else:
        region = Region(Point(0, 0), Point(0, 0))
    if target.diagnostics is None:
        return region, connection.session.diagnostics_at(target.uri, region)
    told = to_diagnostics(target.diagnostics, old.line, encoding, limit=MOST_DIAGNOSTICS)
    if old is now:
        return region, told
    return region, tuple(replace(diagnostic, region=move(diagnostic.region, old, now)) for diagnostic in told)


def _word(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise JsonRpcInvalidParams(f"{name} must be a text")
