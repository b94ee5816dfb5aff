"""`glossator document`: print a symbol with its documentation added, or write it."""

from __future__ import annotations

import asyncio

from glossator.cli.options import AllowCloud, Apply, AsJson, FileAt, Instruction, Model, Provider, Untrusted
from glossator.tasks.task import TaskName


def document(
    file: FileAt,
    *,
    apply: Apply = False,
    instruction: Instruction = None,
    provider: Provider = None,
    model: Model = None,
    allow_cloud: AllowCloud = False,
    untrusted: Untrusted = False,
    as_json: AsJson = False,
) -> int:
    """Document the symbol there: print a diff in which comments and docstrings alone have changed."""
    from glossator.cli.task import Wish, perform

    wish = Wish(
        instruction, provider, model, allow_cloud=allow_cloud, untrusted=untrusted, apply=apply, as_json=as_json
    )
    return asyncio.run(perform(TaskName.DOCUMENT, file, wish))
