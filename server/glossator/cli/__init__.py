"""The commands that a person types: one file each, and here what they share when they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code: 0 done, 1 the work failed, 2 usage, 3 refused by policy."""
    from glossator.cli import failures

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
        print(failures.sentence(failure), file=sys.stderr)
        return failures.exit_code(failure)
    if code == INTERRUPTED:
        print("stopped", file=sys.stderr)
    return code
