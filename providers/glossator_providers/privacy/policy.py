"""What the user and the organisation say about privacy, merged; the door asks nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glossator_providers.privacy.rules import NO_RULES, Rules


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules beside the built-in ones.

    `private` and `never` are globs in gitignore syntax, against the path in the workspace and against the whole path.
    `trusted_hosts` are names or addresses that count as this machine. `on_secret` says what a secret in a text means:
    it is masked before the text travels, or local models only, or no model. With `cloud_allowed` False, clouds that nobody configured (only a key was found in the
    environment) may not be used yet in this workspace. `rules` are the organisation's own, beside the built-in ones.
    `allow` are the kinds and hosts of providers that a request may leave the machine for, None for all; `deny` those never asked.
    """

    private: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    on_secret: Literal["redact", "local", "refuse"] = "local"  # noqa: S105  a choice, no password
    cloud_allowed: bool = True
    rules: Rules = NO_RULES
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
