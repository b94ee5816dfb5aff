"""How a failure ends a command: one sentence on stderr, and an exit code that programs can rely on."""

from __future__ import annotations

from glossator.tasks.task import Refusal
from glossator_providers.errors import ConfigError, EgressDenied, GlossatorError, PolicyRefusal

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


def sentence(failure: BaseException) -> str:
    """Say what happened in one sentence, with the rules that decided it."""
    if isinstance(failure, PolicyRefusal) and failure.rules:
        return f"{failure} [{', '.join(failure.rules)}]"
    if isinstance(failure, GlossatorError | UsageError):
        return str(failure)
    if isinstance(failure, OSError) and failure.strerror:
        return f"{failure.strerror}: {failure.filename}" if failure.filename else failure.strerror
    return f"glossator failed unexpectedly ({type(failure).__name__}); GLOSSATOR_DEBUG=1 shows where"
