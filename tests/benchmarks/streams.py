"""Streams of every protocol: CPU per piece and time to the first one, beside httpx by hand, the official SDK and LiteLLM.

All read the same bytes from the same server, each in a fresh process, in turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.figures import Against, against, number
from benchmarks.stream_client import PIECES
from benchmarks.stream_source import STREAMS

ROOT = Path(__file__).resolve().parent.parent.parent
REFERENCE = "httpx"
# Where each client is installed; the environments of the peers are made by get_peers.sh.
PYTHONS = {
    REFERENCE: Path(sys.executable),
    "Glossator": Path(sys.executable),
    "SDK": ROOT / ".tools/bench/bench-sdks/bin/python",
    "LiteLLM": ROOT / ".tools/bench/bench-litellm/bin/python",
}
PACKAGES = ("openai", "anthropic", "google-genai", "boto3", "cohere", "ollama", "litellm")
SECONDS = 120  # that one client may take
LONG, SHORT = 6, 40  # answers of many pieces, and of one
SLOW = {"LiteLLM": 3}  # who takes so long to start that fewer rounds must do
_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        pass
"""

INTRODUCTION = """All read the same bytes from the same server, {pieces:,} pieces in a burst: Glossator through its policy, router and door;
bare httpx as a careful person would by hand for this one protocol, with nothing around it; the vendor's own SDK; LiteLLM.
The ratios are those to bare httpx, in brackets what is added to it. {rounds} rounds, {slow} of LiteLLM; each client in a fresh process.
"""


def measure(rounds: int = 5) -> str:
    """Let all clients read a burst of pieces, and many short answers, in turn; return the section."""
    samples = {name: {client: _empty() for client in PYTHONS} for name in STREAMS}
    unread: dict[tuple[str, str], str] = {}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(source(name)) for name in STREAMS}
        for _ in range(rounds):
            for name, port in ports.items():
                for client, python in PYTHONS.items():
                    enough = len(samples[name][client]["cpu_us"]) >= SLOW.get(client, rounds)
                    if not python.exists() or (name, client) in unread or enough:
                        continue
                    try:
                        measured = listen(client, name, port)
                    except (OSError, subprocess.SubprocessError) as error:
                        unread[name, client] = _reason(error)
                        continue
                    for key, value in measured.items():
                        samples[name][client][key].append(value)
    clients = [client for client in PYTHONS if client != REFERENCE]
    return "\n".join(
        [
            INTRODUCTION.format(pieces=PIECES, rounds=rounds, slow=min(rounds, SLOW["LiteLLM"])),
            f"Compared with: {_versions() or 'nobody else, for none could be installed'}.\n",
            _table("CPU per piece", "µs", {n: _of("cpu_us", s) for n, s in samples.items()}, clients),
            _table("time to the first piece, warm", "ms", {n: _of("first_ms", s) for n, s in samples.items()}, clients),
            *(f"{client} does not read the stream of `{name}`: {why}" for (name, client), why in unread.items()),
        ]
    )


def listen(client: str, dialect: str, port: int, *, long: int = LONG, short: int = SHORT) -> dict[str, float]:
    """Return what one client measures of itself; raises SubprocessError where it does not read the stream."""
    done = subprocess.run(
        [str(PYTHONS[client]), "-m", "benchmarks.stream_client", client, dialect, *map(str, (port, long, short))],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


@contextmanager
def source(dialect: str) -> Iterator[int]:
    """Start the server of a protocol, and give its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stream_source", dialect],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def _empty() -> dict[str, list[float]]:
    return {"cpu_us": [], "first_ms": []}


def _reason(error: Exception) -> str:
    """Return the last words of a client that failed."""
    if isinstance(error, subprocess.CalledProcessError):
        return next((line for line in reversed(error.stderr.splitlines()) if "Error" in line), "it failed")[:200]
    return f"it took more than {SECONDS} seconds" if isinstance(error, subprocess.TimeoutExpired) else str(error)


def _versions() -> str:
    """Name the peers that are installed."""
    told: dict[str, None] = {}
    for client in ("SDK", "LiteLLM"):
        if PYTHONS[client].exists():
            asked = [str(PYTHONS[client]), "-c", _VERSIONS, *(PACKAGES[:-1] if client == "SDK" else PACKAGES[-1:])]
            told |= dict.fromkeys(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines())
    return ", ".join(told)


def _of(key: str, samples: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[float]]:
    return {client: measured[key] for client, measured in samples.items()}


def _table(what: str, unit: str, samples: Mapping[str, Mapping[str, list[float]]], clients: Sequence[str]) -> str:
    """Return a table of protocols and clients; a client that is not installed, or does not read the stream, has a dash."""
    lines = [f"| {what} | bare httpx | {' | '.join(clients).replace('SDK', 'official SDK')} |"]
    lines.append("|---|" + "---|" * (len(clients) + 1))
    for name, taken in samples.items():
        cells = [
            _cell(against(taken[client], taken[REFERENCE][: len(taken[client])]), unit, bold=client == "Glossator")
            if taken[client]
            else "-"
            for client in clients
        ]
        lines.append(f"| `{name}` | {number(statistics.median(taken[REFERENCE]))} {unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Against, unit: str, *, bold: bool) -> str:
    ratio = f"**{number(figure.ratio)}**" if bold else f"{number(figure.ratio)}"
    return f"{ratio} ± {number(figure.spread)} ({'+' if figure.added >= 0 else ''}{number(figure.added)} {unit})"
