"""Play sessions by the thousand, or prove that the lab sees leaks: see `make leak-lab` and `make leak-mutants`."""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import audit
    from leak_lab.internet import Internet

TESTS = Path(__file__).resolve().parent.parent
CHILD_EVERY = 25  # sessions, of which one is played with the real server process
_PER_PROCESS = 200  # sessions, after which a process makes way for a fresh one


def main() -> int:
    """Do what the command line says; 0 where nothing leaked, or where every mutant was found out."""
    parser = argparse.ArgumentParser(prog="python -m leak_lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sessions = commands.add_parser("sessions", help="play sessions and look for leaks")
    sessions.add_argument("count", type=int)
    sessions.add_argument("--first", type=int, default=0, help="the seed of the first session")
    sessions.add_argument("--profile", default="everything")
    sessions.add_argument("--workers", type=int, default=4)
    worker = commands.add_parser("worker", help="play sessions in this process and print each outcome as JSON")
    worker.add_argument("profile")
    worker.add_argument("first", type=int)
    worker.add_argument("count", type=int)
    worker.add_argument("--until-leak", action="store_true")
    mutants = commands.add_parser("mutants", help="break the product in every way of the list; each must be found out")
    mutants.add_argument("names", nargs="*")
    mutants.add_argument("--workers", type=int, default=4)
    commands.add_parser("namespace", help="play with a real editor where the internet is ours")
    commands.add_parser("inside", help="the same, when the namespace is there")
    asked = parser.parse_args()
    match asked.command:
        case "worker":
            return _work(asked.profile, range(asked.first, asked.first + asked.count), until_leak=asked.until_leak)
        case "sessions":
            return report(asked.count, first=asked.first, profile=asked.profile, workers=asked.workers)
        case "namespace":
            from leak_lab.namespace import enter

            return enter()
        case "inside":
            from leak_lab.namespace import play

            return play()
        case _:
            from leak_lab.mutants import hunt

            return hunt(asked.names, workers=asked.workers)


def report(count: int, *, first: int = 0, profile: str = "everything", workers: int = 4) -> int:
    """Play *count* sessions, tell every leak, and print what the number of sessions proves."""
    began = time.monotonic()
    outcomes = list(sessions(count, first=first, profile=profile, workers=workers))
    leaks = [one for one in outcomes if one["leaks"]]
    for one in leaks[:20]:
        print(f"session {one['seed']} of the profile {profile!r}:")
        for leak in one["leaks"][:5]:
            print(f"  {leak}")
    total = {name: sum(int(one[name]) for one in outcomes) for name in ("jobs", "requests", "kept")}
    print(
        f"{len(outcomes)} sessions in {time.monotonic() - began:.0f} s: {total['jobs']} tasks, {total['requests']} requests to clouds, "
        f"{total['kept']} with private text that stayed; {len(leaks)} sessions leaked"
    )
    if outcomes and not leaks:
        # The rule of three: what was never seen in n trials happens in fewer than 3 of n, at 95 % confidence.
        print(f"so fewer than {300 / len(outcomes):.3g} % of such sessions leak (95 % confidence)")
    return 1 if leaks or len(outcomes) != count else 0


def sessions(count: int, *, first: int, profile: str, workers: int) -> Iterator[dict[str, Any]]:
    """Play sessions in processes of their own, some at a time, and yield the outcomes."""
    waiting = [
        (start, min(_PER_PROCESS, first + count - start, max(1, -(-count // workers))))
        for start in _starts(first, count, workers)
    ]
    running: list[subprocess.Popen[str]] = []
    while waiting or running:
        while waiting and len(running) < workers:
            start, many = waiting.pop(0)
            running.append(begin(("worker", profile, str(start), str(many))))
        process = running.pop(0)
        told, _ = process.communicate()
        for line in told.splitlines():
            yield json.loads(line)
        if process.returncode not in {0, 1}:
            raise RuntimeError(f"a worker of the leak lab failed with {process.returncode}; its words stand above")


def _starts(first: int, count: int, workers: int) -> range:
    return range(first, first + count, min(_PER_PROCESS, max(1, -(-count // workers))))


def begin(arguments: Sequence[str], *, path: Sequence[str] = (), errors: int | None = None) -> subprocess.Popen[str]:
    """Start the lab in a process of its own; packages in the folders *path* come before the installed ones."""
    paths = os.pathsep.join([*path, str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "leak_lab", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)


def _work(profile: str, seeds: Sequence[int], *, until_leak: bool) -> int:
    import audit
    from leak_lab.internet import Internet, Loop

    watch = audit.install()
    internet = Internet(0)
    with (
        tempfile.TemporaryDirectory(prefix="leak-lab-") as folder,
        asyncio.Runner(loop_factory=lambda: Loop(internet)) as runner,
    ):
        leaked = runner.run(_play(profile, seeds, internet, watch, Path(folder), until_leak=until_leak))
    return int(leaked)


async def _play(
    profile: str, seeds: Sequence[int], internet: Internet, watch: audit.Watch, folder: Path, *, until_leak: bool
) -> bool:
    from glossator_providers import transport
    from leak_lab import peers as peers_module
    from leak_lab.profiles import PROFILES
    from leak_lab.sessions import play

    # Reading all authorities takes longer than the rest of a session; they are the same in every one.
    transport._make_context = functools.cache(transport._make_context)
    leaked = False
    mood = peers_module.Mood()
    async with peers_module.opened(internet, mood, folder) as peers:
        os.environ["SSL_CERT_FILE"] = str(folder / "authority.pem")
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            os.environ[name] = f"http://127.0.0.1:{peers.proxy_port}"
        watch.started(peers_module.CLOSED)
        for seed in seeds:
            watch.attempts = []
            with tempfile.TemporaryDirectory(dir=folder) as place:
                outcome = await play(
                    seed, PROFILES[profile], peers, Path(place), child=seed % CHILD_EVERY == CHILD_EVERY - 1
                )
            outcome.leaks += [f"a connection beside the loop: {one}" for one in watch.attempts if one.refused]
            print(json.dumps(asdict(outcome)), flush=True)
            leaked = leaked or bool(outcome.leaks)
            if leaked and until_leak:
                break
    return leaked


if __name__ == "__main__":
    sys.exit(main())
