"""Menus and hovers in a 10,000-line file while the user types, beside a bare pygls server."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.editor import Editor
from benchmarks.figures import Figure, compare, percentile
from benchmarks.servers import bare, glossator

LINES = 10_000
REQUESTS = 120


def measure(rounds: int = 5) -> list[Figure]:
    """Type a character, hover, open the menu, many times; compare the medians and the slowest hundredth."""
    names = ("hover p50", "hover p99", "code action p50", "code action p99", "one keystroke to the next answer p50")
    samples: dict[str, dict[str, list[float]]] = {name: {"ours": [], "reference": []} for name in names}
    text = "".join(f"value_{number} = {number}  # a line of ordinary length\n" for number in range(LINES))
    with tempfile.TemporaryDirectory() as folder:
        uri = Path(folder, "large.py").as_uri()
        Path(folder, "large.py").write_text(text, encoding="utf-8")
        for _ in range(rounds):
            for name, (command, environment) in {"ours": glossator(folder), "reference": bare()}.items():
                with Editor(command, environment) as editor:
                    hovers, actions, keys = _session(editor, uri, text)
                samples["hover p50"][name].append(percentile(hovers, 0.5))
                samples["hover p99"][name].append(percentile(hovers, 0.99))
                samples["code action p50"][name].append(percentile(actions, 0.5))
                samples["code action p99"][name].append(percentile(actions, 0.99))
                samples["one keystroke to the next answer p50"][name].append(percentile(keys, 0.5))
    return [compare(f"{name}, {LINES:,} lines, while typing", "ms", samples[name]) for name in names]


def _session(editor: Editor, uri: str, text: str) -> tuple[list[float], list[float], list[float]]:
    editor.initialize()
    editor.open(uri, text)
    document = {"uri": uri}
    place = {"line": LINES // 2, "character": 3}
    start_end = {"start": place, "end": {"line": LINES // 2, "character": 8}}
    diagnostic = {
        "range": start_end,
        "message": "Undefined name `value`",
        "source": "Ruff",
        "code": "F821",
        "severity": 1,
    }
    hover = {"textDocument": document, "position": place}
    action = {"textDocument": document, "range": start_end, "context": {"diagnostics": [diagnostic]}}
    while editor.request("textDocument/codeAction", action)[0]["title"].endswith("(glossator)"):
        time.sleep(0.01)  # still starting: its menus have no routes yet, and its hovers nothing to say
    editor.request("textDocument/hover", hover)
    hovers, actions, keys = [], [], []
    for number in range(REQUESTS):
        change = {"range": {"start": place, "end": place}, "text": "x"}
        begin = time.perf_counter()
        editor.notify(
            "textDocument/didChange", {"textDocument": {"uri": uri, "version": number + 2}, "contentChanges": [change]}
        )
        editor.request("textDocument/hover", hover)
        keys.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        editor.request("textDocument/hover", hover)
        hovers.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        editor.request("textDocument/codeAction", action)
        actions.append((time.perf_counter() - begin) * 1000)
    return hovers, actions, keys
