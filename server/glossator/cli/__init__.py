"""The commands that a person types: one file each, and here what they share when they end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0 done, 1 the work failed, 2 usage, 3 refused by policy."""
    from glossator.cli import failures

    _prepare_streams()
    try:
        from glossator.cli.main import invoke

        code = invoke(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return failures.FAILED
    except Exception as failure:
        if os.environ.get("GLOSSATOR_DEBUG") == "1":
            raise
        return failures.report(failure, as_json="--json" in arguments)
    if code == INTERRUPTED:
        print("stopped", file=sys.stderr)
    return code


def _prepare_streams() -> None:
    """Give a place to what was closed, and let no character be too foreign to be printed.

    What is piped is UTF-8 whatever the terminal speaks: a diff must apply, an object must be read.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115  for as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="replace", newline="\n")
