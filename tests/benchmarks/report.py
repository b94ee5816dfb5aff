"""Measure everything and write the table: `python -m benchmarks.report [FILE.md]`; every figure is a ratio to a reference in the same run."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from benchmarks import menus, start, streams
from benchmarks.figures import Figure

HEAD = """# Benchmarks

Made by `make bench`, which writes this file. Each line compares Glossator with a reference that is measured in turn with it, in the same run on the same machine.
The ratio is the median of the ratios round by round, ± half the interquartile range; below 1 Glossator is the faster or smaller one.
Only ratios mean anything: absolute values change with the machine and its mood.

{machine}
"""
TABLE = "| figure | Glossator | reference | ratio | rounds |\n|---|---|---|---|---|\n"
SECTIONS = {
    "Start-up, beside a bare pygls server": start.measure,
    "Menus and hovers, beside a bare pygls server": menus.measure,
    "Streams, beside bare httpx reading the same bytes": streams.measure,
}


def main() -> None:
    """Measure, print, and write the file if one is named."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    parts = [HEAD.format(machine=f"Last run: {machine}, load {os.getloadavg()[0]:.1f} at the start.")]
    for title, measure in SECTIONS.items():
        print(f"measuring: {title}", file=sys.stderr)
        figures: list[Figure] = measure()
        parts.append(f"## {title}\n\n{TABLE}" + "".join(figure.row() + "\n" for figure in figures))
    text = "\n".join(parts)
    print(text)
    for name in sys.argv[1:]:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
