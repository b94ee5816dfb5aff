"""`glossator serve` in the list of commands; `__main__` starts the server before any of this is imported."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    *,
    tcp: Annotated[
        str | None, typer.Option("--tcp", metavar="HOST:PORT", help="Wait for one editor on a loopback address.")
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Speak on standard input and output; the default.")] = True,  # noqa: ARG001  editors pass it
) -> int:
    """Run the language server on standard input and output; `glossator` alone does the same."""
    from glossator.__main__ import main

    return main(["serve", *(["--tcp", tcp] if tcp else [])])
