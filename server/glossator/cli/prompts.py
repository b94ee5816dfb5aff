"""`glossator prompts`: which prompts there are, where each is from, and the text of the one in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson


def prompts(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show the text of this prompt.")] = None,
    *,
    as_json: AsJson = False,
) -> int:
    """List the prompts, or show one; a file of its name in the folder `prompts` beside config.toml takes its place."""
    from glossator.tasks.prompt import VARIABLES, is_own, problem_of, source_of
    from glossator_providers.config import standard_sources

    folder = str(standard_sources(roots=(), environment=dict(os.environ)).user.parent / "prompts")
    if name is not None and name not in VARIABLES:
        raise failures.UsageError(f"no prompt is called {name!r}; there are {', '.join(VARIABLES)}")
    told = []
    for one in VARIABLES if name is None else (name,):
        own = is_own(one, folder)
        problem = problem_of(one, folder) if own else None
        told.append(
            {
                "name": one,
                "own": own and problem is None,
                "file": str(Path(folder) / f"{one}.md.jinja"),
                "problem": problem,
                "variables": dict(VARIABLES[one]),
                **({"text": source_of(one, folder)} if name is not None else {}),
            }
        )
    if as_json:
        show.as_json({"prompts": told})
        return failures.DONE
    for prompt in told:
        if prompt["problem"] is not None:
            show.say(f"{prompt['file']} is broken, so Glossator's own is used: {prompt['problem']}")
        if "text" in prompt:
            print(show.printable(str(prompt["text"])), end="")
            variables = ", ".join(f"{variable} ({kind})" for variable, kind in VARIABLES[str(prompt["name"])].items())
            show.say(f"variables: {variables}")
        else:
            print(show.printable(f"{prompt['name']:<9} {prompt['file'] if prompt['own'] else 'built in'}"))
    if name is None:
        show.say(f"your own go into {folder}, as NAME.md.jinja; `glossator prompts NAME` shows where to begin")
    return failures.DONE
