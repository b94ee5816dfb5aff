"""What a checker is to Glossator: how it is found, started on a text, and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glossator.document import Diagnostic, Region, Severity, Snapshot


class CheckerFailed(Exception):
    """A checker could not say anything: it is missing, hung, crashed or wrote what nobody can read. The text is one sentence."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement that a checker proposes, in the text that it was run on."""

    region: Region
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with what only its checker knows of it: other names of its code, and the edits that the checker calls safe."""

    diagnostic: Diagnostic
    aliases: frozenset[str] = frozenset()
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """What a process left behind."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed checker: the row's name and the absolute path of its program."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a checker on one text.

    `root` is the workspace folder (or its shadow), `file` the document inside of it. `scratch` is a private folder that
    lives as long as the run. `codes` are those that the user asked about: a checker that can switch on single rules does.
    """

    tool: str
    snapshot: Snapshot
    root: Path
    file: Path
    scratch: Path
    codes: frozenset[str] = frozenset()
    interpreter: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, never seen by a shell. `stdin` says whether the text is written there."""

    arguments: tuple[str, ...]
    folder: Path
    stdin: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A checker. `sources` are the lower-case names under which editors show its diagnostics, `languages` LSP's ids.

    `programs` are tried in their order. `shadow` says that the checker wants a file in its project: the text is put into
    a private copy of the workspace made of links. `runs_workspace` marks a checker that executes files of the workspace.
    """

    name: str
    sources: frozenset[str]
    languages: frozenset[str]
    programs: tuple[str, ...]
    command: Callable[[Job], Command]
    read: Callable[[Output, Job], tuple[Finding, ...]]
    shadow: bool = False
    runs_workspace: bool = False


SEVERITIES: Mapping[str, Severity] = {
    "fatal": Severity.ERROR,
    "fatal error": Severity.ERROR,
    "error": Severity.ERROR,
    "error: internal compiler error": Severity.ERROR,
    "warning": Severity.WARNING,
    "information": Severity.INFORMATION,
    "info": Severity.INFORMATION,
    "note": Severity.INFORMATION,
    "style": Severity.HINT,
    "hint": Severity.HINT,
}
"""How checkers spell a severity."""
