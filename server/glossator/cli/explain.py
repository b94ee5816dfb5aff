"""`glossator explain`: what the problem at a place means, or what the code there does."""

from __future__ import annotations

import asyncio

from glossator.cli.options import AllowCloud, AsJson, Checker, FileAt, Instruction, Model, Provider, Untrusted
from glossator.tasks.task import TaskName


def explain(
    file: FileAt,
    *,
    instruction: Instruction = None,
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    checker: Checker = None,
    as_json: AsJson = False,
) -> int:
    """Explain the problem that checkers report there; without a problem, the code."""
    from glossator.cli.task import Wish, perform

    wish = Wish(
        instruction,
        provider,
        model,
        allow_cloud=allow_cloud,
        untrusted=untrusted,
        as_json=as_json,
        checkers=tuple(checker or ()),
    )
    return asyncio.run(perform(TaskName.EXPLAIN, file, wish))
