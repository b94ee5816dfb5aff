"""`glossator tests`: print tests for a symbol as a change of its test file, or write them; nothing is run."""

from __future__ import annotations

import asyncio

from glossator.cli.options import AllowCloud, Apply, AsJson, FileAt, Instruction, Model, Provider, Unproven, Untrusted
from glossator.tasks.task import TaskName


def write_tests(
    file: FileAt,
    *,
    apply: Apply = False,
    instruction: Instruction = None,
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    unproven: Unproven = False,
    as_json: AsJson = False,
) -> int:
    """Write tests for the symbol there: print a diff of its test file, which may be new; the tests are not run."""
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
    return asyncio.run(perform(TaskName.TESTS, file, wish))
