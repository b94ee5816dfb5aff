"""Which lines of which files a unified diff adds or changes, or stands next to where it takes some away."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NEW_FILE = re.compile(r"\+\+\+ (?P<name>\"(?:[^\"\\]|\\.)*\"|[^\t\r\n]+)")
_HUNK = re.compile(r"@@ -\d+(?:,(?P<old>\d+))? \+(?P<first>\d+)(?:,(?P<new>\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def changed_lines(diff: str) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the changed stretches of each new file, as first line and the one after the last, from 0; names without `b/`."""
    found: dict[str, list[tuple[int, int]]] = {}
    name: str | None = None
    lines = iter(diff.split("\n"))
    for line in lines:
        if (head := _NEW_FILE.match(line)) is not None:
            name = _name(head["name"])
        elif name is not None and (hunk := _HUNK.match(line)) is not None:
            counts = (int(hunk["old"] or 1), int(hunk["new"] or 1))
            found.setdefault(name, []).extend(_stretches(lines, int(hunk["first"]), *counts))
    return {name: tuple(stretches) for name, stretches in found.items()}


def _stretches(lines: Iterator[str], first: int, old: int, new: int) -> Iterator[tuple[int, int]]:
    """Read one hunk of *old* and *new* lines to its end; yield what it changes."""
    at = max(0, first - 1 if new else first)
    begun: int | None = None
    removed = False
    while old > 0 or new > 0:
        line = next(lines, None)
        if line is None:
            break
        match line[:1]:
            case "+":
                begun = at if begun is None else begun
                at, new = at + 1, new - 1
                continue
            case "-":
                removed, old = True, old - 1
                continue
            case "\\":
                continue
        if begun is not None or removed:
            yield (begun, at) if begun is not None else (at, at + 1)
        begun, removed = None, False
        at, old, new = at + 1, old - 1, new - 1
    if begun is not None:
        yield begun, at
    elif removed:
        yield max(0, at - 1), max(1, at)


def _name(spelled: str) -> str | None:
    """Return the name of the new file, None where the file is gone."""
    name = spelled.rstrip()
    if name.startswith('"'):  # as git writes what is not plain ASCII
        raw = _ESCAPE.sub(_unescaped, name[1:-1].encode("utf-8", "surrogateescape"))
        name = raw.decode("utf-8", "surrogateescape")
    return None if name == "/dev/null" else name.removeprefix("b/")


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8) & 0xFF]) if len(code) > 1 else _LETTERS.get(code, code)
