"""Streams: time to the first piece and CPU per piece through the whole path, beside bare httpx reading the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, compare

HERE = Path(__file__).parent
MANY = 2_000


def measure(rounds: int = 5) -> list[Figure]:
    """Let both read a burst of pieces, and many short answers, in turn."""
    cpu: dict[str, list[float]] = {"ours": [], "reference": []}
    first: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(rounds):
        for chunks, requests, key, samples in ((MANY, 8, "cpu_us", cpu), (1, 60, "first_ms", first)):
            with _source(chunks) as port:
                for name, client in {"ours": "glossator", "reference": "httpx"}.items():
                    samples[name].append(_client(client, port, chunks, requests)[key])
    return [
        compare("CPU per streamed piece, burst", "µs", cpu),
        compare("time to the first piece, warm, p50", "ms", first),
    ]


@contextmanager
def _source(chunks: int) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "stream_source.py"), str(chunks)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def _client(name: str, port: int, chunks: int, requests: int) -> dict[str, float]:
    arguments = [sys.executable, str(HERE / "stream_client.py"), name, str(port), str(chunks), str(requests)]
    measured: dict[str, float] = json.loads(
        subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    )
    return measured
