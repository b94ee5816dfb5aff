"""Measure and write the tables: `python -m benchmarks.report FILE.md [SECTION…]`; the sections that are not named stay as they are."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import imports, menus, routing, start, streams
from benchmarks.figures import Figure

HEAD = """# Benchmarks

Made by `make bench`, which writes this file; `make bench ONLY=dialects` measures one section again.
Each line compares Glossator with a reference that is measured in turn with it, in the same run on the same machine.
The ratio is the median of the ratios round by round, ± half the interquartile range; below 1 Glossator is the faster or smaller one.
Only ratios mean anything: absolute values change with the machine and its mood.
"""
TABLE = "| figure | Glossator | reference | ratio | rounds |\n|---|---|---|---|---|\n"


def table(measure: Callable[[], Sequence[Figure]]) -> str:
    """Measure, and return the table of what was found."""
    return TABLE + "".join(figure.row() + "\n" for figure in measure())


# By the name that `ONLY` has for it: the title, and what makes the section.
SECTIONS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "start": ("Start-up, beside a bare pygls server", partial(table, start.measure)),
    "menus": ("Menus and hovers, beside a bare pygls server", partial(table, menus.measure)),
    "dialects": ("Streams of every protocol, beside bare httpx, the official SDKs and LiteLLM", streams.measure),
    "router": ("The router, beside the dialect alone and LiteLLM's Router", routing.measure),
    "imports": ("Getting ready, beside `import httpx`", imports.measure),
}


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and put the sections into the file; raises SystemExit for a section that is not there."""
    path, wanted = Path(arguments[0]), list(arguments[1:]) or list(SECTIONS)
    if unknown := [name for name in wanted if name not in SECTIONS]:
        raise SystemExit(f"no section is called {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    written = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in wanted:
        title, make = SECTIONS[name]
        print(f"measuring: {title}", file=sys.stderr)
        where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
        when = f"{datetime.now(UTC):%Y-%m-%d}, {where}, load {os.getloadavg()[0]:.1f} at the start."
        written[title] = f"{when}\n\n{make().strip()}"
        print(written[title])
    kept = [f"## {title}\n\n{written[title]}\n" for title, _ in SECTIONS.values() if title in written]
    path.write_text("\n".join([HEAD, *kept]), encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Return what a file says under each of its titles."""
    titled = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return {title: body.strip() for title, body in zip(titled[::2], titled[1::2], strict=True)}


if __name__ == "__main__":
    main(sys.argv[1:])
