"""How the demo looks: in colour on a terminal and in a recording, plain text where it is piped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from glossator.cli.show import diff, printable


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
        self._console.print()
        if self._colours:
            self._console.print(Rule(Text(text, style="bold cyan"), align="left", style="cyan"))
        else:
            self._plain(f"== {text}")

    def code(self, text: str) -> None:
        """Show a file with its line numbers."""
        if self._colours:
            self._console.print(
                Syntax(text, "python", line_numbers=True, theme="ansi_dark", background_color="default")
            )
        else:
            for number, line in enumerate(text.splitlines(), start=1):
                self._plain(f"{number:3} {line}")

    def output(self, text: str) -> None:
        """Show what a program printed."""
        for line in printable(text).splitlines():
            self._print(line, "green" if line.startswith("All checks passed") else "yellow")

    def item(self, text: str) -> None:
        """Show one line of a menu."""
        self._print(f"  • {printable(text)}", "")

    def markdown(self, text: str, *, lines: int) -> None:
        """Show the beginning of a page, whole paragraphs of at most so many lines."""
        whole = printable(text)
        kept = "\n".join(whole.splitlines()[:lines]).rpartition("\n\n")[0] or whole
        shown = whole if len(whole.splitlines()) <= lines else f"{kept}\n\n…"
        if self._colours:
            self._console.print(Panel(Markdown(shown), border_style="dim"))
        else:
            self._plain(shown)

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
                    self._print(f"▸ {printable(str(route.get('title')))}", "bold magenta")
            case "delta":
                self._console.print(Text(printable(str(message.get("text", ""))), style="dim"), end="", soft_wrap=True)
                self._in_line = True
            case _:
                self._end_line()

    def diff(self, before: str, after: str) -> None:
        """Show what changed; nothing where nothing did."""
        if before == after:
            return
        for line in diff(before, after, name="greet.py").splitlines()[2:]:
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            self._print(line, colour)

    def verdict(self, end: Mapping[str, Any]) -> None:
        """Show how a task ended: the checker's verdict, or why there is no change."""
        error, final = end.get("error"), end.get("final")
        if error:
            self._print(f"withheld or refused, and said so: {printable(str(error.get('message')))}", "yellow")
        elif final:
            said = str(final.get("message") or final.get("label") or "done")
            self._print(printable(said), "bold green" if "✓" in said else "yellow")

    def close(self, text: str) -> None:
        """End the show."""
        self._console.print()
        self._print(text, "bold")
        self._print("Next: glossator doctor, and README.md for your editor.", "dim")

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
