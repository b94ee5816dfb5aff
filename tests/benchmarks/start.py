"""Start-up: from the start of the process to `initialize`, the first hover and the first menu, beside a bare pygls server."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.editor import Editor
from benchmarks.figures import Figure, compare
from benchmarks.servers import bare, glossator


def measure(rounds: int = 9) -> list[Figure]:
    """Start both servers in turn and compare wall time, CPU time and memory."""
    seconds: dict[str, list[float]] = {"ours": [], "reference": []}
    cpu: dict[str, list[float]] = {"ours": [], "reference": []}
    hover: dict[str, list[float]] = {"ours": [], "reference": []}
    menu: dict[str, list[float]] = {"ours": [], "reference": []}
    memory: dict[str, list[float]] = {"ours": [], "reference": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.py")
        file.write_text("x = 1\n", encoding="utf-8")
        for _ in range(rounds):
            for name, (command, environment) in {"ours": glossator(folder), "reference": bare()}.items():
                with Editor(command, environment) as editor:
                    seconds[name].append(editor.initialize() * 1000)
                    cpu[name].append(editor.cpu_seconds * 1000)
                    editor.open(file.as_uri(), "x = 1\n")
                    position = {"textDocument": {"uri": file.as_uri()}, "position": {"line": 0, "character": 0}}
                    editor.request("textDocument/hover", position)
                    hover[name].append((time.perf_counter() - editor.started) * 1000)
                    memory[name].append(editor.resident_bytes / 1e6)
                    range_ = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
                    problem = {"range": range_, "message": "unused", "source": "Ruff", "code": "F401", "severity": 1}
                    asked = {"textDocument": {"uri": file.as_uri()}, "range": range_}
                    editor.request("textDocument/codeAction", {**asked, "context": {"diagnostics": [problem]}})
                    menu[name].append((time.perf_counter() - editor.started) * 1000)
    return [
        compare("spawn → `initialize` answered, wall", "ms", seconds),
        compare("spawn → `initialize` answered, CPU", "ms", cpu),
        compare("spawn → first hover, wall", "ms", hover),
        compare("spawn → first menu after it, wall", "ms", menu),
        compare("resident memory after the first hover", "MB", memory),
    ]
