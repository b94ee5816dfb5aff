"""How the demo looks: in colour on a terminal and in a recording, plain text where it is piped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from glossator.cli.show import printable, unescaped


class Stage:
    """Everything that the demo shows, in its order; `stream` shows a running answer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._colours = console.is_terminal
        self._in_line = False

    def title(self, name: str, what: str) -> None:
        """Open the show."""
        if self._colours:
            self._console.print(Panel(Text(what), title=f"[bold]{name}[/]", border_style="cyan"))
        else:
            self._plain(f"{name}: {what}")

    def heading(self, text: str) -> None:
        """Begin a scene."""
        self._end_line()
        self._console.print()
        self._print(f"── {text}" if self._colours else f"== {text}", "bold cyan")

    def code(self, text: str) -> None:
        """Show a file with its line numbers."""
        if self._colours:
            self._console.print(
                Syntax(
                    text.rstrip("\n"),
                    "python",
                    line_numbers=True,
                    word_wrap=True,
                    theme="ansi_dark",
                    background_color="default",
                )
            )
        else:
            for number, line in enumerate(text.splitlines(), start=1):
                self._plain(f"{number:3} {line}")

    def output(self, text: str) -> None:
        """Show what a program printed."""
        for line in printable(text).splitlines():
            self._print(line, "green" if line.startswith("All checks passed") else "yellow")

    def menu(self, titles: list[str]) -> None:
        """Show a menu: what is about the problem on lines of its own, the rest together."""
        about = [title for title in titles if "“" in title or '"' in title]
        for title in about:
            self._print(f"  • {printable(title)}", "")
        self._print(f"  • {' · '.join(printable(title) for title in titles if title not in about)}", "dim")

    def markdown(self, text: str, *, lines: int) -> bool:
        """Show the beginning of a page, whole paragraphs of at most so many lines; return whether more is there."""
        whole = printable(text).strip()
        begun = "\n".join(whole.split("\n")[:lines])
        shown = whole if begun == whole else begun.rpartition("\n\n")[0] or begun
        if self._colours:
            self._console.print(Panel(Markdown(shown), border_style="dim"))
        else:
            self._plain(unescaped(shown))
        return shown != whole

    def say(self, text: str) -> None:
        """Tell something."""
        self._print(printable(text), "")

    def note(self, text: str) -> None:
        """Tell something aside."""
        self._print(printable(text), "dim")

    def stream(self, message: Mapping[str, Any]) -> None:
        """Show one message of a running answer, as it comes."""
        match message.get("kind"):
            case "begin":
                self._end_line()
                if reason := message.get("reason"):
                    self._print(f"… {printable(str(reason))}", "yellow")
                elif route := message.get("route"):
                    self._print(f"▸ from {printable(str(route.get('title')))}", "bold magenta")
            case "delta":
                self._console.print(Text(printable(str(message.get("text", ""))), style="dim"), end="", soft_wrap=True)
                self._in_line = not str(message.get("text", "\n")).endswith("\n")
            case _:
                self._end_line()

    def diff(self, before: str, after: str) -> None:
        """Show what changed; nothing where nothing did."""
        if before == after:
            return
        changed = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=1)
        for line in [one for one in changed if one.strip() and not one.startswith(("---", "+++", "@@"))]:
            self._print(f"  {line}", {"+": "green", "-": "red"}.get(line[:1], ""))

    def verdict(self, end: Mapping[str, Any]) -> None:
        """Show how a task ended: the checker's verdict, or why there is no change."""
        error, final = end.get("error"), end.get("final")
        if error:
            self._print(f"No change, and why: {printable(str(error.get('message')))}", "yellow")
        elif final:
            said = str(final.get("message") or final.get("label") or "done")
            self._print(printable(said), "bold green" if "✓" in said else "yellow")

    def close(self, text: str) -> None:
        """End the show."""
        self._console.print()
        self._print(text, "bold")
        self._print("Next: `glossator doctor` says what is set up; README.md brings it into your editor.", "dim")

    def _end_line(self) -> None:
        if self._in_line:
            self._console.print()
            self._in_line = False

    def _print(self, text: str, style: str) -> None:
        self._end_line()
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _plain(self, text: str) -> None:
        self._end_line()
        self._console.print(Text(text), soft_wrap=True)
