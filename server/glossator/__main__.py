"""`glossator` and `glossator serve` go straight to the language server; everything else goes to the command line.

The way to the server imports nothing that it does not need: an editor waits for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glossator import __version__

if TYPE_CHECKING:
    from glossator.app import Application

USAGE = """\
Usage: glossator serve [--stdio | --tcp HOST:PORT]

  The language server, on standard input and output, or for one editor on a port of this machine.

Options:
  --stdio          Speak on standard input and output; this is the default.
  --tcp HOST:PORT  Wait for one editor on a loopback address; port 0 takes a free one and names it on stderr.
  --version        Show the version.
  --help           Show this.
"""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    forget_folder_of_start()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] == "serve":
        return _serve(arguments[1:])
    if not arguments or arguments[0] in {"--stdio", "--tcp"} or arguments[0].startswith("--tcp="):
        return _serve(arguments)
    if arguments == ["--version"]:
        return _tell_version()
    from glossator.cli import run

    return run(arguments)


def forget_folder_of_start() -> None:
    """Let nothing be imported from the folder that the program was started in, which may be anybody's repository.

    `python -m glossator` would look there first, for every library and for a strategy of the user's own.
    """
    here = os.path.realpath(".")  # an editor waits: pathlib is not imported yet
    home = os.path.realpath(f"{__file__}/../..")
    if here != home:
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]


def build(
    *,
    roots: tuple[str, ...],
    environment: Mapping[str, str],
    trusted: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> Application:
    """Make the application; its imports happen here, after the editor has its first answer."""
    from glossator.app import Application

    return Application.build(roots=roots, environment=environment, trusted=trusted, settings=settings)


def _serve(arguments: Sequence[str]) -> int:
    tcp: tuple[str, int] | None = None
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, _, value = word.partition("=")
        if word in {"--help", "-h"}:
            sys.stdout.write(USAGE)
            return 0
        if word == "--version":
            return _tell_version()
        if word == "--stdio":
            continue
        if name != "--tcp":
            return _refuse(f"glossator serve does not know {word!r}")
        value = value or (rest.pop(0) if rest else "")
        parsed = _address(value)
        if isinstance(parsed, str):
            return _refuse(parsed)
        tcp = parsed
    if tcp is None and sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write(
            "This is the language server: it waits for an editor on standard input. Ctrl-C ends it; "
            "`glossator --help` lists the commands, `glossator demo` shows what it does\n"
        )
    from glossator.lsp import serve

    try:
        return serve(build, tcp=tcp)
    except KeyboardInterrupt:
        return 130


def _address(text: str) -> tuple[str, int] | str:
    """Read HOST:PORT, or say what is wrong with it."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]").lower()
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004  the largest port
        return f"--tcp needs HOST:PORT, for example 127.0.0.1:0, and was given {text!r}"
    if host not in LOOPBACK:
        return f"--tcp serves this machine only: the host must be 127.0.0.1, ::1 or localhost, not {host!r}"
    return host, int(port)


def _refuse(message: str) -> int:
    sys.stderr.write(f"{message}\n\n{USAGE}")
    return USAGE_ERROR


def _tell_version() -> int:
    sys.stdout.write(f"glossator {__version__}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
