"""What a task would send: the request to the first who would be asked, to the byte but without its key; nothing is sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glossator_providers.asking import written
from glossator_providers.auth import describe_key
from glossator_providers.catalog import Provider
from glossator_providers.model import Request
from glossator_providers.transport import destination, headers_of

if TYPE_CHECKING:
    from glossator.app import Why

_LEVELS = {
    "open": "any model that you configured may see this",
    "private": "only a model on this machine may see this",
    "never": "no model may see this",
}
_FENCE = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Sending:
    """One request as it would leave; of a header that carries the key, `headers` says only where the key is from.

    A provider without a configured model would first be asked which it has; `model` is empty then.
    """

    task: str
    provider: str
    model: str
    local: bool
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str
    size: int  # bytes of the body
    redactions: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """Where a task would go and what it would send; without `sending`, `note` says why no model would be asked."""

    why: Why
    sending: Sending | None = None
    note: str = ""


def sending(request: Request, provider: Provider, *, local: bool) -> Sending:
    """Write down the request that this provider would get; raises EgressDenied or ProviderError where it could not be sent."""
    payload = written(request, provider)
    return Sending(
        request.task,
        provider.name,
        provider.model,
        local,
        payload.method,
        destination(provider, payload),
        (*headers_of(payload), *describe_key(provider)),
        payload.body.decode("utf-8", "replace"),
        len(payload.body),
        request.masked,
    )


def as_markdown(preview: Preview) -> str:
    """Return a document for the user: the level with its reasons, the way, and the request."""
    why, sent = preview.why, preview.sending
    lines = ["# Where would this go?", "", f"**{why.level}**: {_LEVELS.get(why.level, why.level)}", ""]
    lines += [f"- {one.clause or one.rule} ({one.source}: {one.rule})" for one in why.reasons]
    lines += ["", f"Asked in this order: {', '.join(why.route)}" if why.route else "No model would be asked"]
    lines += [f"- not {name}: {reason}" for name, reason in why.refused]
    if why.redactions:
        lines += ["", f"{why.redactions} secrets of the document would be masked"]
    lines += ["", "Nothing was sent.", ""]
    if sent is None:
        return "\n".join([*lines, preview.note, ""])
    body = _indented(sent.body)
    fence = "`" * max(3, *(len(found) + 1 for found in _FENCE.findall(body)), 3)
    lines += [
        f"## What `{sent.task}` would send to {sent.provider}",
        "",
        *([preview.note, ""] if preview.note else []),
        f"{sent.size:,} bytes, indented here for reading:",
        "",
        f"{fence}http",
        *head_of(sent),
        "",
        body,
        fence,
        "",
    ]
    return "\n".join(lines)


def head_of(sent: Sending) -> list[str]:
    """Return the request's first line and its headers."""
    return [f"{sent.method} {sent.url}", *(f"{name}: {value}" for name, value in sent.headers)]


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
