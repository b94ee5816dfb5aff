"""What is asked of a task, what it tells while it works, and how it can end; every task and every front speaks this."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import PurePath

from glossator.document import Diagnostic, Region, Snapshot


class TaskName(enum.StrEnum):
    """The things that a user can ask for."""

    EXPLAIN = "explain"
    FIX = "fix"
    FIX_ALL = "fix-all"
    REFACTOR = "refactor"
    ASK = "ask"
    REVIEW = "review"
    DOCUMENT = "document"
    TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier question and its answer, for a follow-up.

    `about` is the document as it was then, None for the one of the follow-up: what it may not see now, the answer may quote.
    """

    question: str
    answer: str
    about: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What the user asked, frozen at that moment.

    `region` is the selection, or the cursor as an empty region. `diagnostics` are those the user pointed at, most
    important first; `known` are all that the editor knows of the document. `roots` are absolute paths of workspace
    folders. `trusted` says whether the workspace's own tools may be run. `unproven` asks for a change even where its
    checker finds it worse or only silenced; what breaks or destroys code is never offered. `fresh` asks for an explanation
    anew that is known already. `lines` are those that a review is about, as first and after the last, from 0; none mean all.
    `prompts` is the folder of the user's own prompts.
    """

    task: TaskName
    snapshot: Snapshot
    region: Region
    diagnostics: tuple[Diagnostic, ...] = ()
    known: tuple[Diagnostic, ...] = ()
    instruction: str | None = None
    roots: tuple[str, ...] = ()
    trusted: bool = True
    provider: str | None = None
    model: str | None = None
    turns: tuple[Turn, ...] = ()
    unproven: bool = False
    fresh: bool = False
    lines: tuple[tuple[int, int], ...] = ()
    prompts: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote an answer, or would: a checker (`ruff`), or a model of a provider.

    `title` is for menus, where space is short: the model where it is on this machine, the provider where it is not.
    `byline` names both; every answer carries it.
    """

    name: str
    model: str | None = None
    local: bool = True
    toy: bool = False

    @property
    def title(self) -> str:
        if self.model is None:
            return self.name
        return f"{self._where}: {self._model if self.local else self.name}"

    @property
    def byline(self) -> str:
        if self.model is None or self.name == self.model:
            return self.title
        return f"{self._where}: {self.name} ({self._model})"

    @property
    def _model(self) -> str | None:
        """The model's name for a reader: llama.cpp calls its model by the whole path of the file."""
        path = PurePath(self.model or "")
        return path.stem if path.suffix.lower() == ".gguf" else self.model

    @property
    def _where(self) -> str:
        return "toy model" if self.toy else "local" if self.local else "cloud"


class State(enum.StrEnum):
    """What the checker says of a proposal, from the best to the worst; the last two are never offered."""

    FIXED = "fixed"  # the problem is gone and nothing new has come
    UNKNOWN = "unknown"  # no checker could say; syntax only
    UNCHANGED = "unchanged"  # the problem is still there
    WORSE = "worse"  # new problems have come
    SUPPRESSED = "suppressed"  # the problem is silenced, not mended
    DESTROYED = "destroyed"  # code is gone that the problem is not about
    BROKEN = "broken"  # the text does not parse any more


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates found. `before` and `after` count the problems of the checker, None where none ran."""

    state: State
    checker: str | None = None
    before: int | None = None
    after: int | None = None
    new: tuple[Diagnostic, ...] = ()
    reason: str = ""

    @property
    def verified(self) -> bool:
        return self.state is State.FIXED

    @property
    def withheld(self) -> bool:
        return self.state in {State.BROKEN, State.DESTROYED}


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer is about to come from this author; begins every attempt, before any text."""

    author: Author


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer, cleaned, fit to be shown at once."""

    text: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Forget the text shown so far; `reason` says why, in one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What is being done now, in a few words: 'checking with ruff'."""

    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user should know, though the work goes on: a budget that is nearly spent."""

    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """All that a review has found so far, in the place of what was told before."""

    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explanation in clean Markdown; `cached` when it was known already."""

    markdown: str
    author: Author
    cached: bool = False

    @property
    def byline(self) -> str:
        return f"{self.author.byline}, asked before" if self.cached else self.author.byline


@dataclass(frozen=True, slots=True)
class Left:
    """A problem that a change leaves as it is, at its place in the changed text, and why."""

    diagnostic: Diagnostic
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that the user may take: the whole new text against the snapshot that the author saw.

    `left` are the problems that were to be fixed as well and are not, because no change of them could be proven.
    """

    base: Snapshot
    text: str
    author: Author
    verdict: Verdict
    summary: str = ""
    seconds: float = 0.0  # that its author took to answer
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The task ended without a result; `rules` are set where privacy said no.

    `kind` is a provider's failure kind, or one of
    `policy no-provider truncated ambiguous no-match no-change cannot-fix elided other-file withheld`.
    """

    kind: str
    message: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What a review found: `findings` in the order of the text, those of the structure among them.

    `structure` are words about each function. `dropped` counts what a model said of lines that are not there, or quoted
    wrongly. `author` is None where no model has answered; `refusal` says why not, or why one stopped on the way.
    """

    findings: tuple[Diagnostic, ...]
    structure: tuple[str, ...] = ()
    dropped: int = 0
    author: Author | None = None
    refusal: Refusal | None = None

    @property
    def summary(self) -> str:
        """What was found, in one sentence."""
        number = len(self.findings)
        told = f"{number or 'no'} finding{'' if number == 1 else 's'}"
        if self.dropped:
            told += f"; {self.dropped} left out, which quoted what does not stand there"
        by = self.author.byline if self.author is not None else "the structure alone"
        return f"{told} ({by})"


Result = Explanation | Proposal | Review | Refusal
Progress = Routed | Said | Restart | Stage | Note | Found
TaskEvent = Progress | Result

Run = Callable[[Ask], AsyncIterator[TaskEvent]]
"""How a front starts a task: the last event is a `Result`, there is exactly one, and closing the iterator cancels."""
