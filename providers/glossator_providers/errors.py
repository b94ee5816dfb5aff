"""Every failure named once: one vocabulary for all providers, and what each kind means for the router.

* GlossatorError
  x ConfigError          the user's configuration cannot be used as it stands
  x PolicyRefusal        privacy forbids the request; carries the rules that say so
  x NoProvider           nothing that could answer is configured, found or permitted
  x EgressDenied         the door was asked to open for something that the clearance does not cover
  x ProviderError        a provider was asked and failed, classified by `Kind`
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import assert_never


class Kind(enum.StrEnum):
    """What went wrong at a provider, in one vocabulary for all of them."""

    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NO_MODEL = "no-model"
    NO_CREDIT = "no-credit"
    TOO_LONG = "too-long"
    RATE = "rate"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    NETWORK = "network"
    SERVER = "server"
    REFUSED = "refused"
    BAD_REQUEST = "bad-request"
    BROKEN_STREAM = "broken-stream"


def may_try_again(kind: Kind) -> bool:
    """Say whether the same provider may be asked the same once more."""
    match kind:
        case Kind.RATE | Kind.OVERLOADED | Kind.TIMEOUT | Kind.NETWORK | Kind.SERVER | Kind.BROKEN_STREAM:
            return True
        case (
            Kind.AUTH
            | Kind.FORBIDDEN
            | Kind.NO_MODEL
            | Kind.NO_CREDIT
            | Kind.TOO_LONG
            | Kind.REFUSED
            | Kind.BAD_REQUEST
        ):
            return False
    assert_never(kind)


def may_try_elsewhere(kind: Kind) -> bool:
    """Say whether another provider may be able to answer what this one could not."""
    match kind:
        case Kind.REFUSED:
            return False  # a model declined the content: asking around until one does not is not ours to do
        case (
            Kind.AUTH
            | Kind.FORBIDDEN
            | Kind.NO_MODEL
            | Kind.NO_CREDIT
            | Kind.TOO_LONG
            | Kind.RATE
            | Kind.OVERLOADED
            | Kind.TIMEOUT
            | Kind.NETWORK
            | Kind.SERVER
            | Kind.BAD_REQUEST
            | Kind.BROKEN_STREAM
        ):
            return True
    assert_never(kind)


class GlossatorError(Exception):
    """The root of all failures that are told to the user; `str()` is the whole message, without code and without keys."""


class ConfigError(GlossatorError):
    """The user's configuration cannot be used: the message names the file, the key and the way out."""


class NoProvider(GlossatorError):
    """Nothing that could answer is configured, found or permitted: the message says what was looked for."""


class EgressDenied(GlossatorError):
    """The door refused to send: the address is not covered by the clearance of what would be sent."""


class PolicyRefusal(GlossatorError):
    """Privacy forbids this request; `rules` names each rule that says so, strictest first."""

    def __init__(self, message: str, rules: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rules = rules


@dataclass(eq=False)
class ProviderError(GlossatorError):
    """A provider was asked and failed; the raw status, code and message are kept beside the kind.

    `retry_after` is in seconds; `partial` says that text had already arrived when it failed.
    """

    kind: Kind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    provider: str | None = None
    partial: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        where = f"{self.provider}: " if self.provider else ""
        status = f" (HTTP {self.status})" if self.status else ""
        return f"{where}{self.message}{status}"
