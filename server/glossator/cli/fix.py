"""`glossator fix`: print a change that the checker accepts, or write it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from glossator.cli.failures import UsageError
from glossator.cli.options import (
    AllowCloud,
    Apply,
    AsJson,
    Checker,
    FileAt,
    Instruction,
    Model,
    Provider,
    Unproven,
    Untrusted,
)
from glossator.tasks.task import TaskName


def fix(
    file: FileAt,
    *,
    apply: Apply = False,
    instruction: Instruction = None,
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    checker: Checker = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="CODE", help="Only problems of this rule.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Fix all problems of the --rule in the file.")] = False,
    unproven: Unproven = False,
    as_json: AsJson = False,
) -> int:
    """Fix the problem that checkers report there: print a diff, checked by the checker that found the problem."""
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
        checkers=tuple(checker or ()),
        rule=rule,
    )
    if everywhere and rule is None:
        raise UsageError("--all fixes one rule at a time: name it with --rule CODE")
    return asyncio.run(perform(TaskName.FIX_ALL if everywhere else TaskName.FIX, file, wish))
