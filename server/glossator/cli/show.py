"""Print what commands have to say: colours and movement on a terminal, plain text and JSON for programs."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from glossator.document import Diagnostic
from glossator.tasks.task import (
    Author,
    Explanation,
    Found,
    Note,
    Progress,
    Proposal,
    Refusal,
    Restart,
    Result,
    Review,
    Routed,
    Said,
    Stage,
)
from glossator.verify import describe

_SHOWN = 500  # characters of a running answer
_NO_CHARACTERS = re.compile("[\ud800-\udfff]")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})  # control characters, direction marks, tags: a terminal may obey them


def as_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    # What is no character (a byte of a file's name, say) is spelled out, so that a program can read it back.
    print(_NO_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


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
        self.clear()

    def clear(self) -> None:
        """Leave the terminal to others, for good."""
        if self._moves:
            self._live.stop()
            self._moves = False

    def __call__(self, event: Progress) -> None:
        """Show one thing that a task tells."""
        match event:
            case Routed(author):
                self._stage, self._text = author.byline, ""
            case Said(text):
                self._text += text
            case Restart(reason):
                self._stage, self._text = reason, ""
            case Stage(message):
                self._stage = message
            case Note(message):
                say(message)
            case Found():
                pass  # its words have been said
        if self._moves:
            self._draw()

    def _draw(self) -> None:
        head = Spinner("dots", Text(printable(self._stage), style="bold"))
        self._live.update(_stack(head, Text(printable(self._text[-_SHOWN:]), style="dim")), refresh=False)


def _stack(head: Spinner, body: Text) -> Spinner | Group:
    return Group(head, body) if body.plain else head


def explanation(told: Explanation) -> None:
    """Print an explanation: rendered on a terminal, Markdown without its escapes otherwise."""
    console = Console()
    if console.is_terminal:
        console.print(Markdown(printable(told.markdown)))
        console.print(Text(f"— {told.byline}", style="dim"))
        return
    print(unescaped(printable(told.markdown)).rstrip())
    say(f"by {told.byline}")


def proposal(offered: Proposal, *, name: str) -> None:
    """Print a change as a diff, and on stderr who made it, why, and how its verdict came to be."""
    change(offered.base.text, offered.text, name=name)
    if offered.summary:
        say(offered.summary)
    for one in offered.left:
        say(f"left: line {one.diagnostic.region.start.line + 1}: {one.reason}")
    say(f"{describe(offered.verdict)} ({_how(offered)})")


def _how(offered: Proposal) -> str:
    """Say who wrote a change and who judged it, in one clause."""
    verdict, writer = offered.verdict, f"change by {offered.author.byline}"
    if verdict.checker is not None and verdict.before is not None:
        return f"{writer}; judged by running {verdict.checker} on the old and the new text"
    return f"{writer}; no checker has judged it"


def change(old: str, new: str, *, name: str) -> None:
    """Print a change as a diff on stdout."""
    text = diff(old, new, name=name)
    console = Console()
    if console.is_terminal:
        for line in text.removesuffix("\n").split("\n"):
            console.print(Text(printable(line), style=_colour(line)), soft_wrap=True)
    else:
        sys.stdout.write(text)


def unescaped(markdown: str) -> str:
    """Return Markdown as it is read and not rendered: a backslash before a sign is gone, code stays as it is."""
    lines: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            lines.append(line)
            fence = "" if mark and mark[1].startswith(fence) and not line.strip(" `~") else fence
        else:
            fence = mark[1] if mark else ""
            lines.append(_CODE_OR_ESCAPE.sub(lambda found: found["sign"] or found[0], line))
    return "\n".join(lines)


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# An escape is looked for first: an escaped tick begins no code.
_CODE_OR_ESCAPE = re.compile(r"\\(?P<sign>[!-/:-@\[-`{-~])|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)")


def diff(old: str, new: str, *, name: str) -> str:
    """Return a unified diff that `git apply` and `patch` take."""
    before, after = (_diff_name(f"{side}/{_relative(name)}") for side in "ab")
    lines = difflib.unified_diff(_diff_lines(old), _diff_lines(new), before, after)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _relative(name: str) -> str:
    """Return a file's name as a patch may hold it: from here if the file is below, and never absolute."""
    if Path(name).is_absolute() and Path(name).is_relative_to(Path.cwd()):
        return Path(name).relative_to(Path.cwd()).as_posix()
    return name.lstrip("/")


def _diff_name(name: str) -> str:
    """Quote a name that would not survive on a line as git does: https://git-scm.com/docs/git-config, core.quotePath."""
    if all(one.isprintable() and one not in '"\\' for one in name):
        return name
    raw = os.fsencode(name)
    return '"' + "".join(chr(one) if 32 <= one < 127 and one not in b'"\\' else f"\\{one:03o}" for one in raw) + '"'  # noqa: PLR2004  printable ASCII


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
        case Proposal(base, text, author, verdict, summary, left=left):
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
                "left": [{**diagnostic_as_json(one.diagnostic), "reason": one.reason} for one in left],
                **about,
            }
        case Review(findings, structure, dropped, author, refusal):
            return {
                "outcome": "review",
                "findings": [diagnostic_as_json(one) for one in findings],
                "structure": list(structure),
                "dropped": dropped,
                "author": _author(author) if author is not None else None,
                "refusal": {"kind": refusal.kind, "message": refusal.message, "rules": list(refusal.rules)}
                if refusal is not None
                else None,
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
        "title": author.byline,
    }
