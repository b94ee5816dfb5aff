"""Print what commands have to say: colours and movement on a terminal, plain text and JSON for programs."""

from __future__ import annotations

import difflib
import json
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from glossator.document import Diagnostic
from glossator.tasks.task import Author, Explanation, Progress, Proposal, Refusal, Restart, Result, Routed, Said, Stage
from glossator.verify import describe

_SHOWN = 500  # characters of a running answer
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})  # control characters, direction marks, tags: a terminal may obey them


def as_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line."""
    print(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode("utf-8"))


def printable(text: str) -> str:
    """Remove from a text what a terminal would obey instead of show."""
    return "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in _HIDDEN)


def say(text: str) -> None:
    """Tell the person something that is not the result, on stderr."""
    print(printable(text), file=sys.stderr)


class Watch:
    """Shows on a terminal what a task is doing, and clears it away at the end; silent where nobody looks."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=12)
        self._moves = self._console.is_terminal
        self._stage = "thinking"
        self._text = ""

    def __enter__(self) -> Self:
        if self._moves:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._moves:
            self._live.stop()

    def __call__(self, event: Progress) -> None:
        """Show one thing that a task tells."""
        match event:
            case Routed(author):
                self._stage, self._text = author.title, ""
            case Said(text):
                self._text += text
            case Restart(reason):
                self._stage, self._text = reason, ""
            case Stage(message):
                self._stage = message
        if self._moves:
            self._draw()

    def _draw(self) -> None:
        head = Spinner("dots", Text(printable(self._stage), style="bold"))
        self._live.update(_stack(head, Text(printable(self._text[-_SHOWN:]), style="dim")), refresh=False)


def _stack(head: Spinner, body: Text) -> Spinner | Group:
    return Group(head, body) if body.plain else head


def explanation(told: Explanation) -> None:
    """Print an explanation: rendered on a terminal, Markdown otherwise."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(printable(told.markdown)))
        console.print(Text(f"— {told.author.title}", style="dim"))
        return
    print(printable(told.markdown).rstrip())
    say(f"by {told.author.title}")


def proposal(offered: Proposal, *, name: str) -> None:
    """Print a change as a diff, and on stderr who made it and what its checker says."""
    text = diff(offered.base.text, offered.text, name=name)
    console = Console()
    if console.is_terminal:
        for line in text.splitlines():
            console.print(Text(printable(line), style=_colour(line)), soft_wrap=True)
    else:
        sys.stdout.write(text)
    say(f"{offered.author.title}: {describe(offered.verdict)}")
    if offered.summary:
        say(offered.summary)


def diff(old: str, new: str, *, name: str) -> str:
    """Return a unified diff that `git apply` and `patch` take."""
    lines = difflib.unified_diff(_diff_lines(old), _diff_lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _diff_lines(text: str) -> list[str]:
    """Split after line feeds alone: to a patch, a carriage return is a character of its line."""
    pieces = text.split("\n")
    return [f"{piece}\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _colour(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def result_as_json(result: Result, *, diagnostics: tuple[Diagnostic, ...], name: str) -> dict[str, Any]:
    """Return how a task ended, for programs."""
    about: dict[str, Any] = {"diagnostics": [diagnostic_as_json(one) for one in diagnostics]}
    match result:
        case Explanation(markdown, author, cached):
            return {
                "outcome": "explanation",
                "markdown": markdown,
                "author": _author(author),
                "cached": cached,
                **about,
            }
        case Proposal(base, text, author, verdict, summary):
            verdict_told = {
                **asdict(verdict),
                "new": [diagnostic_as_json(one) for one in verdict.new],
                "verified": verdict.verified,
                "description": describe(verdict),
            }
            return {
                "outcome": "proposal",
                "diff": diff(base.text, text, name=name),
                "text": text,
                "summary": summary,
                "author": _author(author),
                "verdict": verdict_told,
                **about,
            }
        case Refusal(kind, message, rules):
            return {"outcome": "refusal", "kind": kind, "message": message, "rules": list(rules), **about}


def diagnostic_as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a problem for programs; the range as people count, from 1."""
    start, end = diagnostic.region.start, diagnostic.region.end
    return {
        "source": diagnostic.source,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "severity": diagnostic.severity.name.lower(),
        "range": range_as_text((start.line, start.column, end.line, end.column)),
    }


def range_as_text(numbers: tuple[int, int, int, int]) -> str:
    """Return a range as `--range` takes it: L:C-L:C, from 1, the end exclusive."""
    first, left, last, right = (number + 1 for number in numbers)
    return f"{first}:{left}-{last}:{right}"


def _author(author: Author) -> dict[str, Any]:
    return {
        "name": author.name,
        "model": author.model,
        "local": author.local,
        "toy": author.toy,
        "title": author.title,
    }
