"""The child process of `embedded`: llama.cpp's server for one model, ended by the end of its standard input.

It reads one line of JSON, `{"model", "name", "socket" or null, "key", "parent"}`, and writes one, `{"address"}`, when it is ready.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

CONTEXT_TOKENS = 8192
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def main() -> None:
    """Serve the model that the first line of standard input names, until standard input ends."""
    settings = json.loads(sys.stdin.buffer.readline())
    signal.signal(signal.SIGTERM, lambda *_: _leave(settings["socket"]))
    _die_with(settings["parent"])
    import xllamacpp  # not above: loading it takes long, and the parent may die meanwhile

    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["model"]
    parameters.model_alias = {settings["name"]}  # it would tell the path otherwise
    # A host name that ends in .sock is a Unix socket for llama.cpp's server.
    parameters.hostnames = [settings["socket"] or "127.0.0.1"]
    parameters.port = 0  # the system finds a free one
    parameters.api_keys = [settings["key"]]
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    # One thread: two spin against each other on a busy machine and are ten times slower than one.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    sys.stdout.write(json.dumps({"address": server.listening_address}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()  # until the parent closes it, or is no more
    _leave(settings["socket"])


def _leave(path: str | None) -> NoReturn:
    """End at once: llama.cpp would finish its answers first, and nobody is left to read them. Take the socket along."""
    if path is not None:
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()  # stays while another child has its socket there
    os._exit(0)


def _die_with(parent: int) -> None:
    """Ask Linux to end this process with its parent; elsewhere the end of standard input does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)  # it died before we asked


if __name__ == "__main__":
    main()
