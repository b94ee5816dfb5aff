"""Secrets replaced by placeholders before a request travels, and put back into what comes back; nothing else is changed.

Only what closes a request by its content can be redacted: a file that is private by its path, its rules or its lines stays
private. What cannot be replaced whole (a private key has no end that a rule knows) is left as it stands, and closes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from glossator_providers.errors import PolicyRefusal
from glossator_providers.model import Answer, Fragment, Message, Request
from glossator_providers.privacy import blocks, contents
from glossator_providers.privacy.decide import is_ours, judge
from glossator_providers.privacy.files import Files
from glossator_providers.privacy.policy import Policy

RULE = 'on_secret = "redact"'  # how the user finds it again
# The detector takes what holds this word for no secret, and no text holds it by accident.
_MARK = "redacted0x"
_SHORTEST, _LONGEST = 24, 40  # characters: 14 hexadecimal digits tell two secrets apart, and a model copies 40 reliably
_MORE_AROUND = frozenset({"private-key", "putty-key", "jwk", "too-many", "too-large"})  # of these a rule finds a part
_COMPLETE = frozenset(
    {"assigned-secret", "passed-secret", "configured-secret", "url-password"}
)  # the rule sees the end
_ROUNDS = 8  # a scan tells of twenty secrets; a text with more than so many times twenty stays closed
_DELIMITED = 12  # characters: a shorter secret may be a part of harmless words
_QUOTED_PART = 12  # characters: a checker that shortens what it quotes may leave so many of a secret
# What a rule with a limit may have left over of a long secret.
_REST = re.compile(r"[^\s\"'`<>,;(){}\[\]&|$\\]*")


@dataclass(frozen=True, slots=True)
class Mask:
    """A secret and what stands for it."""

    secret: str = field(repr=False)
    placeholder: str


@dataclass(frozen=True)
class Redacted:
    """A request without its secrets, and what is needed to put them back; `masks` are those that stood in it.

    `known` are words of the request itself that only look like placeholders.
    """

    request: Request
    masks: tuple[Mask, ...] = ()
    known: frozenset[str] = frozenset()

    @cached_property
    def _secrets(self) -> Mapping[str, str]:
        return {mask.placeholder: mask.secret for mask in self.masks}

    @cached_property
    def _places(self) -> re.Pattern[str]:
        words = [re.escape(mask.placeholder) for mask in self.masks]
        return re.compile("|".join([*words, f"(?i:{_MARK})[0-9A-Za-z]*"]))

    def restore(self, text: str) -> str:
        """Put the secrets back; what looks like a placeholder and is none stays as it is."""
        return self._places.sub(lambda found: self._secrets.get(found[0], found[0]), text)

    def restore_answer(self, answer: Answer) -> Answer:
        """Put the secrets back into a whole answer; raises PolicyRefusal where it names one that does not exist."""
        calls = tuple(replace(call, arguments=self._restore_json(call.arguments)) for call in answer.calls)
        for written in (answer.text, *(call.arguments for call in answer.calls)):
            if any(word not in self._secrets and word not in self.known for word in self._places.findall(written)):
                raise PolicyRefusal(
                    f"{answer.provider} changed or made up the placeholder of a masked secret, so its answer is not used; "
                    "ask again, or let a model on this machine answer",
                    (RULE,),
                )
        return replace(answer, text=self.restore(answer.text), reasoning=self.restore(answer.reasoning), calls=calls)

    def _restore_json(self, text: str) -> str:
        return self._places.sub(
            lambda found: json.dumps(self._secrets[found[0]])[1:-1] if found[0] in self._secrets else found[0], text
        )


class Restoring:
    """Puts secrets back into text that comes in pieces; a piece that may end inside a placeholder waits for its rest."""

    def __init__(self, redacted: Redacted) -> None:
        self._redacted = redacted
        self._placeholders = tuple(mask.placeholder for mask in redacted.masks)
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be shown now."""
        if not self._placeholders:
            return text
        whole = self._held + text
        keep = self._unfinished(whole)
        self._held = whole[len(whole) - keep :]
        return self._redacted.restore(whole[: len(whole) - keep])

    def end(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return held

    def _unfinished(self, text: str) -> int:
        """Return how many characters at the end of *text* may begin a placeholder."""
        for length in range(min(len(text), _LONGEST - 1), 0, -1):
            end = text[-length:]
            if any(placeholder.startswith(end) and placeholder != end for placeholder in self._placeholders):
                return length
        return 0


def redact(request: Request, *, policy: Policy, files: Files, key: bytes, whole: Request | None = None) -> Redacted:
    """Replace the secrets in *request* where the user wants that, and where nothing but secrets closes it.

    *key* is the session's: the same secret has the same placeholder in all of its requests, and in no other session.
    What *whole*, the documents that the request is about, shows to be a secret is one in each of their parts too.
    """
    if policy.on_secret != "redact":  # noqa: S105  a choice, no password
        return Redacted(request)
    reasons = judge(request, policy=policy, files=files).reasons
    if whole is not None:
        reasons += judge(whole, policy=policy, files=files).reasons
    if not reasons or any(reason.source != "content" or reason.rule in _MORE_AROUND for reason in reasons):
        return Redacted(request)
    texts = [*_texts(request), *(_texts(whole) if whole is not None else ())]
    secrets = _secrets(texts)
    if not secrets or any(_stands_across(secret, request) for secret in secrets):
        return Redacted(request)
    parts = {part: None for secret in secrets if len(secret) > _QUOTED_PART for part in _beginnings(secret, texts)}
    longest_first = sorted(secrets | parts, key=len, reverse=True)
    masks = tuple(Mask(secret, _placeholder(secret, key)) for secret in longest_first)
    messages = tuple(_masked(message, masks) for message in request.messages)
    masked = replace(request, messages=messages)
    if judge(masked, policy=policy, files=files).reasons:  # half a redaction helps nobody
        return Redacted(request)
    sent = "\n".join(_texts(masked))
    standing = tuple(mask for mask in masks if mask.placeholder in sent)
    known = frozenset(re.findall(f"(?i){_MARK}[0-9A-Za-z]*", "\n".join(_texts(request))))
    return Redacted(replace(masked, masked=len(standing)), standing, known)


def lost(masks: Iterable[str], *, before: str, after: str) -> int:
    """Count the secrets among *masks* that stand less often in the text *after* a change than *before* it."""
    return sum(_count(secret, after) < _count(secret, before) for secret in masks)


def _texts(request: Request) -> Iterator[str]:
    """Yield what is looked through for secrets: each fragment, and the fragments of a message as they will stand together."""
    for message in request.messages:
        texts = [fragment.text for fragment in message.fragments if not is_ours(fragment)]
        yield from texts
        if len(texts) > 1:
            yield "".join(texts)
        for call in message.calls:
            yield call.arguments


def _secrets(texts: Iterable[str]) -> dict[str, None]:
    """Return every secret in *texts*."""
    found: dict[str, None] = {}
    for text in texts:
        left = text
        for _ in range(_ROUNDS):
            here = dict.fromkeys(_whole(finding, left) for finding in blocks.scan(left))
            if not here:
                break
            found |= here
            for secret in sorted(here, key=len, reverse=True):
                left = left.replace(secret, _MARK)
    return found


def _stands_across(secret: str, request: Request) -> bool:
    """Say whether *secret* stands where two fragments meet, of which neither holds it: then it cannot be replaced."""
    for message in request.messages:
        texts = [fragment.text for fragment in message.fragments if not is_ours(fragment)]
        if "".join(texts).count(secret) > sum(text.count(secret) for text in texts):
            return True
    return False


def _whole(finding: contents.Finding, text: str) -> str:
    """Return the whole secret that a rule, which counts only so far, has found."""
    end = finding.end
    if finding.rule not in _COMPLETE and (rest := _REST.match(text, end)) is not None:
        end += len(rest[0].rstrip(".:!?"))  # the end of a sentence is none of the secret
    return text[finding.start : end]


def _beginnings(secret: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield the beginnings of *secret* that stand in *texts* without their end."""
    for text in texts:
        place = text.find(secret[:_QUOTED_PART])
        while place >= 0:
            end = _QUOTED_PART
            while end < len(secret) and text[place + end : place + end + 1] == secret[end]:
                end += 1
            if end < len(secret):
                yield secret[:end]
            place = text.find(secret[:_QUOTED_PART], place + end)


def _placeholder(secret: str, key: bytes) -> str:
    """Return what stands for *secret*: of its case, about as long, the same each time, and telling nothing without *key*."""
    length = min(max(len(secret), _SHORTEST), _LONGEST) - len(_MARK)
    digest = hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=32).hexdigest()[:length]
    word = _MARK + digest
    return word.upper() if secret.upper() == secret and secret.lower() != secret else word


def _masked(message: Message, masks: tuple[Mask, ...]) -> Message:
    placeholders = {mask.secret: mask.placeholder for mask in masks}
    places = re.compile("|".join(_occurrence(mask.secret) for mask in masks))

    def without(text: str) -> str:
        return places.sub(lambda found: placeholders[found[0]], text)

    fragments = tuple(
        fragment if is_ours(fragment) else Fragment(without(fragment.text), fragment.origins)
        for fragment in message.fragments
    )
    calls = tuple(replace(call, arguments=without(call.arguments)) for call in message.calls)
    return replace(message, fragments=fragments, calls=calls)


def _count(secret: str, text: str) -> int:
    return len(re.findall(_occurrence(secret), text))


def _occurrence(secret: str) -> str:
    """Return where *secret* stands in a text: a short one only as a word of its own, since `pass1` also begins other names."""
    return re.escape(secret) if len(secret) >= _DELIMITED else f"(?<!\\w){re.escape(secret)}(?!\\w)"
