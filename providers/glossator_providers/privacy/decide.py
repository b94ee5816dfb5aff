"""How far a request may travel: the strictest of its fragments decides, and only a `Cleared` opens the door."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
from collections.abc import Iterable, Iterator
from typing import final

from glossator_providers.catalog import Provider, host_of, is_loopback
from glossator_providers.errors import EgressDenied, PolicyRefusal
from glossator_providers.model import Fragment, Level, Origin, OriginKind, Request
from glossator_providers.privacy import blocks, contents, paths, permitted, rules
from glossator_providers.privacy.files import Files
from glossator_providers.privacy.policy import Policy
from glossator_providers.privacy.provenance import Places
from glossator_providers.privacy.reasons import Decision, Reason, decide_by

_OURS = frozenset(
    {OriginKind.RULE, OriginKind.PRODUCT}
)  # a checker's documentation shows example passwords, and is public
# A model's earlier answer speaks of a document too: one that does not say of which is taken for a private one.
_FROM_DOCUMENTS = frozenset({OriginKind.DOCUMENT, OriginKind.CONTEXT, OriginKind.DIAGNOSTIC, OriginKind.ANSWER})
_CODE = frozenset({OriginKind.DOCUMENT, OriginKind.CONTEXT})
_TOKEN = object()
_NO_ORIGIN = Reason(
    Level.PRIVATE, "no origin", "policy", clause="a part of the request does not say where it comes from"
)


def judge_text(uri: str, text: str, *, policy: Policy, roots: Iterable[str], files: Files) -> Decision:
    """Judge one document: where it lies and what it holds."""
    roots = tuple(roots)
    places = Places(policy, roots, files)
    reasons = places.reasons(uri, [text]) + places.of_lines([text], uris=(uri,), uri=uri)
    own = _of_own_rules(text, policy=policy, path=paths.below_root(uri, roots), uri=uri)
    return decide_by(reasons + _of_content(text, policy=policy, uri=uri) + own)


def judge(request: Request, *, policy: Policy, files: Files) -> Decision:
    """Judge everything that *request* would send."""
    reasons: list[Reason] = []
    uris: set[str] = set()
    for message in request.messages:
        for fragment in message.fragments:
            reasons += _of_origins(fragment, uris)
            if not is_ours(fragment):
                reasons += _of_content(fragment.text, policy=policy)
                places = {origin.uri for origin in fragment.origins}
                place = paths.below_root(places.pop() or "", request.roots) if len(places) == 1 else ""
                reasons += _of_own_rules(fragment.text, policy=policy, path=place)
        for call in message.calls:
            if not message.fragments:  # what a model wrote holds what it was shown, so it travels no farther than that
                reasons.append(_NO_ORIGIN)
            meant = _readable(call.arguments.encode("utf-8", "replace"))
            said = f"{call.name}\n{call.arguments}\n{meant}"
            reasons += _of_content(said, policy=policy) + _of_own_rules(said, policy=policy)
        if len(message.fragments) > 1:  # a secret may stand across the seam of two fragments
            reasons += _of_content("".join(f.text for f in message.fragments if not is_ours(f)), policy=policy)
    for tool in request.tools:
        reasons += _of_content(f"{tool.name}\n{tool.description}\n{tool.schema}", policy=policy)
    if request.structure is not None:
        reasons += _of_content(request.structure.schema, policy=policy)
    known = Places(policy, request.roots, files)
    for uri in sorted(uris):
        reasons += known.reasons(uri, _shown(request, uri))
    return decide_by(reasons + known.of_lines(_texts(request), uris=uris))


def clear(request: Request, *, policy: Policy, files: Files) -> Cleared:
    """Let *request* travel as far as its decision says; raise PolicyRefusal where no model may see it."""
    decision = judge(request, policy=policy, files=files)
    if decision.level is Level.NEVER:
        named = tuple(reason.rule for reason in decision.reasons if reason.level is Level.NEVER)
        raise PolicyRefusal(f"no model may see this: {decision.reasons[0]}", named)
    return Cleared(request, decision, policy, _TOKEN)


def clear_probe(policy: Policy = Policy()) -> Cleared:  # noqa: B008  a frozen value
    """Clear an empty question to a server on this machine, such as which models it has."""
    reason = Reason(
        Level.PRIVATE, "probe", "policy", clause="a server that was not configured is asked only on this machine"
    )
    return Cleared(Request(messages=(), task="probe"), Decision(Level.PRIVATE, (reason,)), policy, _TOKEN)


@final
class Cleared:
    """A request that privacy has judged, the only thing that the door opens for; nobody but `clear` makes one."""

    __slots__ = ("_policy", "decision", "request")

    request: Request
    decision: Decision
    _policy: Policy

    def __init__(self, request: Request, decision: Decision, policy: Policy, token: object) -> None:
        if token is not _TOKEN:
            raise TypeError("only glossator_providers.privacy clears a request")
        object.__setattr__(self, "request", request)
        object.__setattr__(self, "decision", decision)
        object.__setattr__(self, "_policy", policy)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("what was cleared cannot be changed")

    def __repr__(self) -> str:
        return f"Cleared({self.decision.level.name.lower()})"

    def ask_own_rules(self, text: str) -> tuple[contents.Finding, ...]:
        """Return what the organisation's own rules find in *text*."""
        return rules.scan(self._policy.rules, text, "")

    def covers(self, provider: Provider) -> bool:
        """Say whether *provider* may see this, as far as its address tells; the door proves the rest."""
        policy = self._policy
        if self.decision.level is Level.NEVER:
            return False
        near = is_near(provider, policy.trusted_hosts)
        if permitted.forbidden(provider, policy, near=near) is not None:
            return False
        if near:
            return True
        if self.decision.level is Level.PRIVATE:
            return False
        return policy.cloud_allowed or not provider.found


def is_near(provider: Provider, trusted_hosts: Iterable[str]) -> bool:
    """Say whether *provider*'s address, as written, is this machine or a host that the user trusts like it."""
    host = host_of(provider.base_url)
    return provider.socket is not None or is_loopback(host) or is_trusted(host, trusted_hosts)


def is_trusted(host: str, trusted_hosts: Iterable[str]) -> bool:
    """Say whether the user listed *host*, a name or an address, in whichever spelling."""
    wanted = _normal_host(host)
    return bool(wanted) and any(_normal_host(trusted) == wanted for trusted in trusted_hosts)


@functools.lru_cache(maxsize=256)  # of the same few providers, many times a request
def _normal_host(host: str) -> str:
    text = host.strip().strip("[]").rstrip(".").casefold()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def inspect(body: bytes, cleared: Cleared, *, local: bool) -> None:
    """Look a last time at the bytes that would be sent; raise EgressDenied where they say more than was cleared.

    *local* says that the connection is proven to end on this machine or on a trusted host.
    """
    level = cleared.decision.level
    if level is Level.NEVER or (level is Level.PRIVATE and not local):
        raise EgressDenied(f"this is {level.name.lower()} and would have left the machine, so nothing was sent")
    if local:
        return
    if len(body) > contents.LARGEST:
        raise EgressDenied("the request is too large to look through for secrets, so nothing was sent")
    known = "\n".join(f.text for message in cleared.request.messages for f in message.fragments if is_ours(f))
    text = _readable(body)
    # What the organisation's own rules may allow depends on the file: they judged each fragment as one of its file.
    judged = "\n".join(f.text for message in cleared.request.messages for f in message.fragments)
    own = (one for one in cleared.ask_own_rules(text) if text[one.start : one.end] not in judged)
    for finding in (*contents.scan_specific(text), *own):
        if text[finding.start : finding.end] not in known:
            raise EgressDenied(
                f"the finished request holds what looks like {finding.what} (rule {finding.rule}), so nothing was sent"
            )


def _readable(body: bytes) -> str:
    """Return the strings of a JSON body without their escapes, under which a secret could hide; other bodies as they are."""
    text = body.decode("utf-8", "replace")
    try:
        found = list(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        return text
    for written in [one for one in found if one.startswith("{")]:  # the arguments of a tool are JSON inside JSON
        with contextlib.suppress(ValueError, RecursionError):
            found += _strings(json.loads(written))
    return "\n".join(found)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)


def is_ours(fragment: Fragment) -> bool:
    """Say whether *fragment* holds our own words alone, or a checker's public documentation."""
    return bool(fragment.origins) and all(origin.kind in _OURS and origin.uri is None for origin in fragment.origins)


def _shown(request: Request, uri: str) -> Iterator[str]:
    """Yield what *request* shows of a document itself, in one piece or several."""
    for message in request.messages:
        for fragment in message.fragments:
            if {origin.uri for origin in fragment.origins} == {uri} and fragment.origins[0].kind in _CODE:
                yield fragment.text


def _texts(request: Request) -> list[str]:
    """Return all that could come from a private file."""
    texts = [f.text for message in request.messages for f in message.fragments if not is_ours(f)]
    return texts + [call.arguments for message in request.messages for call in message.calls]


def _of_origins(fragment: Fragment, uris: set[str]) -> Iterator[Reason]:
    """Tell what the origins alone say of *fragment*, and collect the documents it comes from."""
    if not fragment.origins:
        yield _NO_ORIGIN
    for origin in fragment.origins:
        if origin.uri is not None:
            uris.add(origin.uri)
        elif _lacks_document(origin):
            yield Reason(Level.PRIVATE, "no document", "scheme", clause=f"it holds {origin.kind} text of no document")


def _lacks_document(origin: Origin) -> bool:
    return origin.kind in _FROM_DOCUMENTS


def _of_content(text: str, *, policy: Policy, uri: str | None = None) -> list[Reason]:
    level = Level.NEVER if policy.on_secret == "refuse" else Level.PRIVATE  # noqa: S105  a choice, no password
    if len(text) > contents.LARGEST:
        clause = "it is too large to be looked through for secrets (over 2 MB)"
        return [Reason(Level.PRIVATE, "too-large", "content", uri, clause=clause)]
    return _as_reasons(blocks.scan(text), level, uri)


def _of_own_rules(text: str, *, policy: Policy, path: str = "", uri: str | None = None) -> list[Reason]:
    """Ask the organisation's own rules; *path* is what their allowlists see."""
    if len(text) > contents.LARGEST:
        return []  # closed unread
    level = Level.NEVER if policy.on_secret == "refuse" else Level.PRIVATE  # noqa: S105  a choice, no password
    return _as_reasons(rules.scan(policy.rules, text, path), level, uri)


def _as_reasons(findings: Iterable[contents.Finding], level: Level, uri: str | None) -> list[Reason]:
    reasons = []
    for finding in findings:
        width = finding.end - finding.start
        place = (finding.line, finding.column, finding.line, finding.column + width) if uri is not None else None
        where = f"line {finding.line + 1}" if uri is not None else "a part of the request"
        clause = f"{where} holds what looks like {finding.what} (rule {finding.rule})"
        reasons.append(Reason(level, finding.rule, "content", uri, place, clause))
    return reasons
