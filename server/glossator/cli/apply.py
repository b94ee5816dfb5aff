"""`glossator apply`: take a model's answer from anywhere (a chat, a file) as our own would be taken, or say why not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from glossator.answer import Outcome, Reading, read, read_all
from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator.cli.places import Opened, open_file, read_text, region_of
from glossator.cli.writing import write as write_file
from glossator.document import Region
from glossator.tasks.task import State, Verdict
from glossator.verify import describe, verify
from glossator_providers.model import FinishReason


def apply(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="The file that the answer is about, or several.")
    ],
    *,
    answer: Annotated[str, typer.Option("--answer", metavar="PATH", help="Where the answer is; - is standard input.")],
    text_range: Annotated[
        str | None,
        typer.Option("--range", metavar="L:C-L:C", help="What the model was asked to replace; counted from 1."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the change to the file.")] = False,
    as_json: AsJson = False,
) -> int:
    """Apply a model's answer to a file: print a diff, or the reason why it cannot be applied."""
    if len(files) > 1 and text_range:
        raise failures.UsageError("--range is a place in one file: name one file, or leave it out")
    return asyncio.run(_apply(files, read_text(answer), text_range, write=write, as_json=as_json))


async def _apply(files: list[Path], answer: str, text_range: str | None, *, write: bool, as_json: bool) -> int:
    opened = [open_file(path) for path in files]
    bases = [one.snapshot for one in opened]
    if len(bases) == 1:
        region = region_of(text_range, bases[0]) if text_range else bases[0].whole
        readings: tuple[Reading, ...] = (read(answer, finish=FinishReason.STOP, base=bases[0], region=region),)
    else:
        region = bases[0].whole
        readings = read_all(answer, finish=FinishReason.STOP, bases=bases)
    changes = [
        Change(one, reading.text, await _judge(one, reading.text, region if len(bases) == 1 else one.snapshot.whole))
        for one, reading in zip(opened, readings, strict=True)
        if reading.text is not None
    ]
    worst = max(
        (change.verdict for change in changes), key=lambda verdict: list(State).index(verdict.state), default=None
    )
    refused = worst is None or worst.withheld
    if write and not refused:
        for change in changes:
            write_file(change.opened, change.text)
    outcome = Outcome.EDIT if changes else readings[0].outcome
    if as_json:
        told = None if worst is None else {"state": worst.state.value, "description": describe(worst)}
        texts = {} if refused else {str(change.opened.path): change.text for change in changes}
        show.as_json({"outcome": str(outcome), "files": texts, "verdict": told})
    elif worst is None:
        show.say(f"{outcome}: {readings[0].reason or 'nothing was applied'}")
    else:
        for change in changes:
            show.change(change.opened.snapshot.text, change.text, name=change.opened.path.as_posix())
        show.say(f"{'withheld: ' if refused else ''}{describe(worst)}")
        if write and not refused:
            show.say(f"written to {', '.join(str(change.opened.path) for change in changes)}")
    return failures.FAILED if refused else failures.DONE


@dataclass(frozen=True, slots=True)
class Change:
    """What the answer makes of one file, and what the gates that need no checker say of it."""

    opened: Opened
    text: str
    verdict: Verdict


async def _judge(opened: Opened, text: str, region: Region) -> Verdict:
    return await verify(opened.snapshot, text, (), region=region, toolbox=None)
