"""The options that several commands share, described once."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Provider = Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Ask this provider (or group) only.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Ask for this model.")]
AllowCloud = Annotated[
    bool, typer.Option("--allow-cloud", help="Let providers be used of which only a key in the environment is known.")
]
Untrusted = Annotated[bool, typer.Option("--untrusted", help="Run no program that lies in the workspace.")]
FileAt = Annotated[
    str,
    typer.Argument(
        metavar="FILE[:LINE[:COL]]",
        help="The file, and where in it; lines and columns are counted from 1. Without a line, the worst problem of the file is meant; without a column, what stands on the line.",
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Write the change to the file, if its checker does not object.")]
Unproven = Annotated[
    bool,
    typer.Option("--unproven", help="Take even a change that its checker finds unchanged, worse or only silenced."),
]
Instruction = Annotated[str | None, typer.Option("--instruction", metavar="TEXT", help="What else should be known.")]
Checker = Annotated[
    list[str] | None,
    typer.Option(
        "--checker",
        metavar="NAME",
        help="Ask only this checker for problems; may be given more than once. Else all that are installed are asked: first those that need nothing but the text (ruff, eslint, shellcheck), then, if they report no error at that line, those that read the project, at the same time.",
    ),
]
