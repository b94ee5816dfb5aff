"""`glossator apply`: take a model's answer from anywhere (a chat, a file) as our own would be taken, or say why not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson


def apply(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The file that the answer is about.")],
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
    if len(files) != 1:
        raise failures.UsageError("an answer for several files is not understood yet: name one file")
    try:
        text = sys.stdin.read() if answer == "-" else Path(answer).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise failures.UsageError(f"the answer cannot be read from {answer}: {error}") from None
    return asyncio.run(_apply(files[0], text, text_range, write=write, as_json=as_json))


async def _apply(path: Path, answer: str, text_range: str | None, *, write: bool, as_json: bool) -> int:
    from glossator.answer import read
    from glossator.cli.places import open_file, read_range
    from glossator.cli.writing import write as write_file
    from glossator.tasks.task import Verdict
    from glossator.verify import describe, verify
    from glossator_providers.model import FinishReason

    opened = open_file(path)
    base = opened.snapshot
    region = read_range(text_range) if text_range else base.whole
    reading = read(answer, finish=FinishReason.STOP, base=base, region=region)
    verdict: Verdict | None = None
    outcome = str(reading.outcome)
    if reading.text is not None:
        verdict = await verify(base, reading.text, (), region=region, toolbox=None)
        if not verdict.withheld and write:
            write_file(opened, reading.text)
    refused = reading.text is None or (verdict is not None and verdict.withheld)
    if as_json:
        told = None if verdict is None else {"state": verdict.state.value, "description": describe(verdict)}
        files = {str(path): reading.text} if reading.text is not None and not refused else {}
        show.as_json({"outcome": outcome, "files": files, "verdict": told})
    elif reading.text is None:
        show.say(f"{outcome}: {reading.reason or 'nothing was applied'}")
    else:
        assert verdict is not None
        sys.stdout.write(show.diff(base.text, reading.text, name=path.as_posix()))
        show.say(f"{'withheld: ' if refused else ''}{describe(verdict)}")
    return failures.FAILED if refused else failures.DONE
