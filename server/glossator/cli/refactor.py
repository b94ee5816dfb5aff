"""`glossator refactor`: print a change made as the user says, or write it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from glossator.cli.options import (
    AllowCloud,
    Apply,
    AsJson,
    FileAt,
    Model,
    Provider,
    Unproven,
    Untrusted,
)
from glossator.tasks.task import TaskName


def refactor(
    file: FileAt,
    *,
    apply: Apply = False,
    instruction: Annotated[str, typer.Option("--instruction", metavar="TEXT", help="What should change.")],
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    unproven: Unproven = False,
    as_json: AsJson = False,
) -> int:
    """Change the code there as you say: print a diff; the change must parse, lose nothing and bring no new problem."""
    from glossator.cli.task import Wish, perform

    wish = Wish(
        instruction,
        provider,
        model,
        allow_cloud=allow_cloud,
        untrusted=untrusted,
        unproven=unproven,
        apply=apply,
        as_json=as_json,
    )
    return asyncio.run(perform(TaskName.REFACTOR, file, wish))
