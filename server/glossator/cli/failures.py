"""How a failure ends a command: one sentence on stderr, and an exit code that programs can rely on."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from glossator.tasks.task import Refusal
from glossator_providers.errors import (
    ConfigError,
    EgressDenied,
    GlossatorError,
    NoProvider,
    PolicyRefusal,
    ProviderError,
)

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3


class UsageError(Exception):
    """What was typed cannot be done as it stands; the text is one sentence."""


def exit_code(failure: BaseException) -> int:
    """Return the exit code of a command that ended in this failure."""
    match failure:
        case PolicyRefusal() | EgressDenied():
            return REFUSED
        case UsageError() | ConfigError():
            return USAGE
        case _:
            return FAILED


def exit_code_of(refusal: Refusal) -> int:
    """Return the exit code of a task that ended without a result."""
    match refusal.kind:
        case "policy":
            return REFUSED
        case "usage":
            return USAGE
        case _:
            return FAILED


def report(failure: BaseException, *, as_json: bool) -> int:
    """Tell of a failure on stderr and, for a program, as its one object on stdout; return the exit code."""
    with contextlib.suppress(OSError):
        print(sentence(failure), file=sys.stderr)
    if as_json:
        with contextlib.suppress(OSError):  # it may be this stdout that has failed
            print(json.dumps({"error": as_object(failure)}), flush=True)
    return exit_code(failure)


def as_object(failure: BaseException) -> dict[str, Any]:
    """Return a failure as every command's `--json` tells it."""
    match failure:
        case ProviderError():
            return {
                "kind": failure.kind.value,
                "status": failure.status,
                "message": failure.message,
                "retry_after": failure.retry_after,
            }
        case PolicyRefusal() | EgressDenied():
            kind = "policy"
        case NoProvider():
            kind = "no-provider"
        case UsageError():
            kind = "usage"
        case ConfigError():
            kind = "configuration"
        case _:
            kind = "failed"
    return {"kind": kind, "status": None, "message": sentence(failure), "retry_after": None}


def sentence(failure: BaseException) -> str:
    """Say what happened in one sentence, with the rules that decided it."""
    if isinstance(failure, PolicyRefusal) and failure.rules:
        return f"{failure} [{', '.join(failure.rules)}]"
    if isinstance(failure, GlossatorError | UsageError):
        return str(failure)
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.strerror}: {failure.filename}" if failure.filename else failure.strerror
    return f"glossator failed unexpectedly ({type(failure).__name__}); GLOSSATOR_DEBUG=1 shows where"
