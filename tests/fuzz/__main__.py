"""Try every decoder for as long as one likes, two at a time: `MINUTES=10 make fuzz`; a failing input is printed as a command."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
import traceback
import zlib
from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, seed, settings

from fuzz.targets import TARGETS, Given, Target, varied

_AT_A_TIME = 2
_ROUND = 100  # inputs between two looks at the clock
_VARIANTS = 30  # of each


def main() -> int:
    """Fuzz what the command line names, or everything; 0 where nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)}; all of them unless named"
    )
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", "1")), help="for each target")
    parser.add_argument("--again", metavar="INPUT", help="try this one input, which a failure has printed")
    asked = parser.parse_args()
    names = asked.targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]}; there are: {', '.join(TARGETS)}")
    if asked.again is not None:
        for name in names:
            TARGETS[name].check(Given.of(asked.again))
        return 0
    if len(names) == 1:
        return _try(names[0], TARGETS[names[0]], seconds=60 * asked.minutes)
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        return max(threads.map(lambda name: _start(name, asked.minutes), names))


def _start(name: str, minutes: float) -> int:
    """Try one target in a process of its own."""
    return subprocess.run([sys.executable, "-m", "fuzz", name, "--minutes", str(minutes)], check=False).returncode


def _try(name: str, target: Target, *, seconds: float) -> int:
    """Try new inputs until the time is over or one breaks the target; the last that broke it is the smallest found."""
    broke: list[Given] = []
    tried = 0
    began = time.monotonic()

    def attempt(given: Given) -> None:
        nonlocal tried
        # From the input itself, so that a failure is found again while it is made smaller.
        chance = random.Random(zlib.crc32(given.body))
        for variant in varied(given, chance, times=_VARIANTS):
            tried += 1
            try:
                target.check(variant)
            except Exception:
                broke.append(variant)
                raise

    while time.monotonic() - began < seconds:
        number = random.getrandbits(64)
        bounded = settings(max_examples=_ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        try:
            seed(number)(bounded(given(target.inputs())(attempt)))()
        except Exception:  # noqa: BLE001  anything at all is what is looked for
            smallest = min(broke, key=lambda one: len(one.line()), default=Given())
            print(f"{name}: BROKEN after {tried} inputs\n{traceback.format_exc(limit=-4)}", flush=True)
            print(f"again: PYTHONPATH=tests {sys.executable} -m fuzz {name} --again {smallest.line()}", flush=True)
            return 1
    passed = time.monotonic() - began
    print(f"{name}: {tried} inputs in {passed:.0f} s, {tried / passed:.0f} a second, none broke it", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
