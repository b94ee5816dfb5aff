"""A real Ollama with real weights in a child process, whose log can be waited for and whose processes can be stopped and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import model_server
import parts

MODEL = "smollm2"
_PATIENCE = 60.0  # seconds to wait for a line of the log before the test fails


class Log:
    """The lines that a server has written so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def find(self, pattern: str) -> list[str]:
        """Return the first group, or all, of each line so far that the pattern matches."""
        with self._grown:
            return self._find(pattern)

    def wait(self, pattern: str, *, times: int = 1) -> str:
        """Return the first match when there have been so many; fails where the server ends or too much time passes before."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended or len(self._find(pattern)) >= times, _PATIENCE)
            found = self._find(pattern)
            assert len(found) >= times, f"not in the log of Ollama: {pattern}\n" + "".join(self._lines[-10:])
            return found[0]

    def _find(self, pattern: str) -> list[str]:
        matches = (re.search(pattern, line) for line in self._lines)
        return [match[match.re.groups and 1] for match in matches if match]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._grown:
                self._lines.append(line)
                self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()


class OllamaServer:
    """A running server; the model runs in a process of its own, the runner, which the server starts when it is first asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log = Log(process)
        self.port = int(self.log.wait(r"Listening on 127\.0\.0\.1:(\d+)"))
        self.address = f"http://127.0.0.1:{self.port}"

    @property
    def runners(self) -> list[int]:
        """The numbers of the processes in which models run, the oldest first."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return sorted(int(number) for path in children for number in path.read_text().split())

    @property
    def contexts(self) -> list[int]:
        """The contexts that models were loaded with so far, in tokens."""
        return [int(size) for size in self.log.find(r"--ctx-size (\d+)")]

    def send(self, number: signal.Signals, whom: str) -> None:
        """Send a signal to the `server`, or to the `runner` of the model that it loaded last."""
        os.kill(self.process.pid if whom == "server" else self.runners[-1], number)

    def end(self) -> None:
        """Kill it with its runner, however they are."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


CHAT = r'POST +"/api/chat"'  # the line that the log gets when a chat has come to its end


def program() -> Path:
    """Return the server that `tests/models/install.sh` brought, or skip."""
    found = sorted(parts.folder().glob("ollama-*/.glossator-part"))
    if not found:
        pytest.skip("no Ollama is there: tests/models/install.sh brings it, or says why it cannot be had")
    return found[-1].parent / "ollama"


@contextmanager
def stored_model() -> Iterator[Path]:
    """Give a folder in which Ollama has the toy model under the name *MODEL*."""
    weights = model_server.toy_model()
    with tempfile.TemporaryDirectory(prefix="glossator-ollama-") as name, serving(Path(name)) as server:
        recipe = Path(name, "Modelfile")
        # One thread: two spin against each other on a busy machine.
        recipe.write_text(f"FROM {weights}\nPARAMETER num_thread 1\n")
        subprocess.run(
            [program(), "create", MODEL, "-f", recipe],
            env=environment(Path(name), server.port),
            check=True,
            capture_output=True,
        )
        server.end()
        yield Path(name)


@contextmanager
def serving(
    folder: Path, started_server: Callable[[int], None] = lambda _: None, *, port: int = 0, **variables: str
) -> Iterator[OllamaServer]:
    """Run the server with the models of that folder, on a free port if none is given; *variables* are of its environment."""
    with subprocess.Popen(
        [program(), "serve"],
        env=environment(folder, port) | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            server = OllamaServer(process)
            started_server(server.port)
            yield server
        finally:
            with suppress(ProcessLookupError):  # a test has ended it already
                os.killpg(process.pid, signal.SIGKILL)  # the runner outlives its server


def environment(folder: Path, port: int) -> dict[str, str]:
    """Make an environment in which it uses nothing of the user's, and answers one request at a time."""
    return {
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NUM_PARALLEL": "1",
    }
