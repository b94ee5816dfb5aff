"""The messages of our own extension of LSP, typed; used only with editors that ask for it under `experimental.glossator`."""

from __future__ import annotations

from typing import Any

import attrs
from cattrs.gen import make_dict_structure_fn, override
from lsprotocol import types

DIAGNOSTICS = "glossator/diagnostics"
RUN = "glossator/run"
ASK = "glossator/ask"
CANCEL = "glossator/cancel"
WHY = "glossator/why"
STATUS = "glossator/status"
DID_ACCEPT = "glossator/didAccept"
DID_REJECT = "glossator/didReject"
STREAM = "glossator/stream"
PREVIEW = "glossator/preview"
STATUS_CHANGED = "glossator/statusChanged"


@attrs.define
class DocumentReference:
    """A document, and the version that the editor speaks of."""

    uri: str = attrs.field(validator=attrs.validators.instance_of(str))
    version: int | None = None


@attrs.define
class DiagnosticsParams:
    """All that other servers say of a document, in place of what was said before."""

    text_document: DocumentReference
    diagnostics: list[types.Diagnostic]
    origin: str | None = None


@attrs.define
class RunParams:
    """A task to begin; `apply` is `edit`, `preview` or `none`."""

    action: str
    text_document: DocumentReference
    range: types.Range | None = None
    diagnostics: list[types.Diagnostic] | None = None
    instruction: str | None = None
    apply: str | None = None
    provider: str | None = None
    model: str | None = None


@attrs.define
class AskParams:
    """A question: about an earlier job's answer, or about a place."""

    question: str
    job: str | None = None
    text_document: DocumentReference | None = None
    range: types.Range | None = None


@attrs.define
class JobParams:
    """A job, by the name that its begin told."""

    job: str | None = None


@attrs.define
class WhyParams:
    """A document whose privacy decision is asked for."""

    text_document: DocumentReference


@attrs.define
class VerdictParams:
    """What the user did with a preview."""

    job: str
    reason: str | None = None


PARAMS: dict[str, type[Any]] = {
    DIAGNOSTICS: DiagnosticsParams,
    RUN: RunParams,
    ASK: AskParams,
    CANCEL: JobParams,
    WHY: WhyParams,
    DID_ACCEPT: VerdictParams,
    DID_REJECT: VerdictParams,
}
_NAMES = {"text_document": "textDocument"}


def register(converter: Any) -> None:
    """Teach *converter* the messages: their spelling on the wire, and that unknown fields are ignored."""
    messages = {DocumentReference, *PARAMS.values()}

    def make(message: type[Any]) -> Any:
        renamed: dict[str, Any] = {
            field.name: override(rename=_NAMES[field.name]) for field in attrs.fields(message) if field.name in _NAMES
        }
        return make_dict_structure_fn(message, converter, **renamed)

    # A factory: what is made for a message is made when the first one comes, not while an editor waits for its first hover.
    converter.register_structure_hook_factory(lambda message: message in messages, make)
