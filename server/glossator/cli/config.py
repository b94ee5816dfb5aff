"""`glossator config`: the settings that are in force, each with where it comes from, and their JSON schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson

group = typer.Typer(help="Print the settings in force, each with where it comes from.", invoke_without_command=True)


@group.callback(invoke_without_command=True)
def config(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Print the settings in force, each with where it comes from."""
    if context.invoked_subcommand is not None:
        return failures.DONE
    from glossator.cli.places import root_of
    from glossator_providers.config import load, standard_sources

    sources = standard_sources(roots=(root_of(Path.cwd()),), environment=dict(os.environ))
    loaded = load(sources)
    values = loaded.config.model_dump(mode="json", exclude_none=True)
    if as_json:
        show.as_json(
            {
                "config": values,
                "origins": dict(loaded.origins),
                "problems": [str(problem) for problem in loaded.problems],
                "user_file": str(sources.user),
            }
        )
        return failures.DONE
    for key, value in _leaves(values, ""):
        origin = _origin(key, loaded.origins)
        print(show.printable(f"{key} = {value!r}    # {origin}"))
    if not sources.user.exists():
        show.say(f"there is no {sources.user} yet; what is written there comes first")
    for problem in loaded.problems:
        show.say(str(problem))
    return failures.DONE


@group.command("schema")
def schema() -> int:
    """Print the JSON schema of the configuration file, for editors."""
    import json

    from glossator_providers.config import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return failures.DONE


def _leaves(value: Any, key: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for name, inner in value.items() for leaf in _leaves(inner, f"{key}.{name}" if key else name)]
    return [(key, value)]


def _origin(key: str, origins: Any) -> str:
    """Return the source of a value, or of the table that holds it; what nobody set is a default."""
    while key:
        if key in origins:
            return str(origins[key])
        key = key.rpartition(".")[0]
    return "default"
