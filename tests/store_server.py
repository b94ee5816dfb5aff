"""A real Valkey or Redis in a child process, on a port of loopback, that can be stopped, killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import parts

_PATIENCE = 20.0  # seconds


class Store:
    """One server; what it counted is lost when it is killed."""

    def __init__(self, program: str, port: int) -> None:
        self._program = program
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self.process = self._start()

    def stop(self) -> None:
        """Let it hang: connections stay open, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, in whatever it is doing."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it on the same port, with nothing counted."""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            assert process.poll() is None, "the store ended"
            assert time.monotonic() < end, "the store did not begin to answer"
        return process

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False


@contextmanager
def running(started: object) -> Iterator[Store]:
    """Run a store; *started* is called with its port, for the watch over connections."""
    assert callable(started)
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    started(port)
    store = Store(_program(), port)
    try:
        yield store
    finally:
        store.kill()


def _program() -> str:
    brought = parts.folder() / "valkey-8" / "usr" / "bin" / "valkey-server"
    if brought.exists():
        return str(brought)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        pytest.skip(
            "no Valkey and no Redis is there: tests/editors/install.sh brings one where the system is Debian or Ubuntu"
        )
    return found
