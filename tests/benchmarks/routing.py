"""What the router costs beside the dialect alone, LiteLLM's Router on the same server, and the time to an answer when the first fails."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence

from benchmarks.figures import against, number
from benchmarks.routing_client import ALONE, MANY, ONE, THREE
from benchmarks.streams import PYTHONS, ROOT, SECONDS, source

TROUBLES = {
    "none": "nothing",
    "refuses": "it refuses the connection",
    "overloaded": "it answers 503",
    "hangs": "it hangs; 1 s is allowed to the first token",
}
INTRODUCTION = """*The dialect alone* is what the router itself calls for one attempt: clearance, encoding, the door, decoding; without order, limits,
breaker, health and ledger. The same requests go to the same server on this machine, in turn, in one process; CPU is the client's.
LiteLLM's Router has three deployments there, or one that falls back to another at its first failure. {rounds} rounds, {slow} of LiteLLM.
"""
SLOW = 3  # rounds of LiteLLM
TIMES = 150  # requests in a round


def measure(rounds: int = 7) -> str:
    """Measure both in turn, and return the section."""
    told: dict[str, list[dict[str, float]]] = {"Glossator": [], "LiteLLM": []}
    with source("openai_chat") as port:
        for turn in range(rounds):
            told["Glossator"].append(run("Glossator", port))
            if turn < SLOW and PYTHONS["LiteLLM"].exists():
                told["LiteLLM"].append(run("LiteLLM", port, times=TIMES // 3))
    return "\n".join(
        [
            INTRODUCTION.format(rounds=rounds, slow=len(told["LiteLLM"])),
            _costs(told),
            _times(told),
        ]
    )


def run(client: str, port: int, *, times: int = TIMES) -> dict[str, float]:
    """Return what one client measures of itself; raises SubprocessError where it fails."""
    done = subprocess.run(
        [str(PYTHONS[client]), "-m", "benchmarks.routing_client", client, str(port), str(times)],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _costs(told: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the table of CPU: for a request with its first piece, and for each further piece."""
    lines = [
        "| CPU of the client | the dialect alone | Glossator, one provider | three, and the ledger | LiteLLM's Router, three |"
    ]
    lines.append("|---|---|---|---|---|")
    ours, theirs = told["Glossator"], told["LiteLLM"]
    for what, of in {"a request": _request, "each further piece": _piece}.items():
        alone = [of(one, ALONE) for one in ours]
        cells = [f"{number(statistics.median(alone))} µs"]
        cells += [_cell([of(one, kind) for one in ours], alone) for kind in (ONE, THREE)]
        cells.append(_cell([of(one, THREE) for one in theirs], alone[: len(theirs)]) if theirs else "-")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _request(measured: Mapping[str, float], kind: str) -> float:
    return measured[f"{kind} 1"]


def _piece(measured: Mapping[str, float], kind: str) -> float:
    return (measured[f"{kind} {MANY}"] - measured[f"{kind} 1"]) / (MANY - 1)


def _times(told: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the table of times to an answer, by what ails the provider that is asked first."""
    lines = [
        "| time to the answer of a second provider, where this ails the first | Glossator | LiteLLM's Router |",
        "|---|---|---|",
    ]
    for kind, ails in TROUBLES.items():
        cells = [
            f"{number(statistics.median([one[kind] for one in told[client]]))} ms" if told[client] else "-"
            for client in told
        ]
        lines.append(f"| {ails} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(samples: Sequence[float], alone: Sequence[float]) -> str:
    figure = against(samples, alone)
    return f"**{number(figure.ratio)}** ± {number(figure.spread)} ({'+' if figure.added >= 0 else ''}{number(figure.added)} µs)"
