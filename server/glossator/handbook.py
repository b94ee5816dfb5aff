"""What the checkers themselves know of a problem: the page of its rule, and their own safe fix. No model, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from glossator.checkers import CheckerFailed, Toolbox
from glossator.checkers.recognise import target
from glossator.checkers.row import Edit, Finding
from glossator.checkers.rules import READERS, Rule, Rules, is_error_code, of_rustc_code
from glossator.document import Diagnostic, Snapshot


@dataclass(frozen=True, slots=True)
class Page:
    """What is documented of a rule, in Markdown; `tool` is who says it, `title` names rule and tool."""

    markdown: str
    tool: str
    title: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A checker's own fix of one problem: the whole new text, and who proposes it."""

    text: str
    tool: str


class Handbook:
    """The rules of a workspace's checkers, each read once and then known."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._tables: dict[str, Rules] = {}  # by the path of the program
        self._codes: dict[tuple[str, str], Rule | None] = {}  # by program and code, where a checker tells one at a time
        self._latest: dict[str, str] = {}  # the program that served each checker last

    async def page(self, diagnostic: Diagnostic, language: str, near: str | None) -> Page | None:
        """Return what the checker of *diagnostic* documents of its rule, None where nothing is known.

        *near* is the document's absolute path. A checker that is missing or fails says nothing.
        """
        name = self._toolbox.checker_for(diagnostic, language)
        if name is None:
            return None
        tool = self._toolbox.find(name, near)
        if tool is not None:
            self._latest[name] = tool.path
            try:
                await self._read(name, tool.path, diagnostic.code, near)
            except CheckerFailed:
                self._tables.setdefault(tool.path, {})
        return self.peek(diagnostic, language)

    def peek(self, diagnostic: Diagnostic, language: str) -> Page | None:
        """Return the page as far as it is known already; reads nothing, starts nothing."""
        name = self._toolbox.checker_for(diagnostic, language)
        if name is None:
            return None
        program = self._latest.get(name, "")
        rule = self._rule(program, diagnostic.code)
        if rule is not None:
            title = " ".join(part for part in (rule.code, rule.name) if part)
            return _page(title, rule.text, name, diagnostic)
        if name in READERS and program not in self._tables:
            return None
        return (
            _page(diagnostic.code, _quoted(diagnostic.message), name, diagnostic)
            if _says_more(name, diagnostic)
            else None
        )

    async def fix(self, diagnostic: Diagnostic, snapshot: Snapshot) -> Suggestion | None:
        """Return the text with the checker's own safe fix of *diagnostic* alone, None where it has none or cannot tell."""
        name = self._toolbox.checker_for(diagnostic, snapshot.language)
        if name is None:
            return None
        codes = frozenset({diagnostic.code} if diagnostic.code else ())
        try:
            findings = await self._toolbox.inspect(name, snapshot, snapshot.text, codes=codes)
        except CheckerFailed:
            return None
        found: Finding | None = target(diagnostic, findings)
        text = apply(snapshot, found.edits) if found is not None and found.edits else None
        return Suggestion(text, name) if text is not None and text != snapshot.text else None

    def _rule(self, program: str, code: str | None) -> Rule | None:
        key = (code or "").lower()
        return (
            self._codes.get((program, key))
            or self._tables.get(program, {}).get(key)
            or self._tables.get(program, {}).get(key.removeprefix("ts"))
        )

    async def _read(self, name: str, program: str, code: str | None, near: str | None) -> None:
        if name == "rustc" and code and is_error_code(code):
            if (program, code.lower()) not in self._codes:
                self._codes[program, code.lower()] = await of_rustc_code(code, self._toolbox, near)
        elif program not in self._tables and name in READERS:
            self._tables[program] = await READERS[name](self._toolbox, near)


def apply(snapshot: Snapshot, edits: tuple[Edit, ...]) -> str | None:
    """Return the text with *edits* made, None where two of them are about the same place."""
    text, at = "", 0
    places = [(snapshot.offset(edit.region.start), snapshot.offset(edit.region.end), edit.text) for edit in edits]
    for start, end, new in sorted(places, key=lambda place: place[:2]):
        if start < at:
            return None
        text += snapshot.text[at:start] + new
        at = end
    return text + snapshot.text[at:]


def _says_more(name: str, diagnostic: Diagnostic) -> bool:
    """Say whether a page made of the message alone is worth a look: shellcheck's words and the place where it says more."""
    return name == "shellcheck" and diagnostic.code is not None


def _page(title: str | None, text: str, name: str, diagnostic: Diagnostic) -> Page:
    code = title or name
    if name == "shellcheck" and title and re.fullmatch(r"(?:SC)?\d{4}", title):
        code = f"SC{title.removeprefix('SC')}"
        text += f"\n\nMore about it: https://www.shellcheck.net/wiki/{code}"
    elif name == "tsc" and code.isdigit():
        code = f"TS{code}"
    elif diagnostic.href and diagnostic.href.startswith("https://"):
        text += f"\n\nMore about it: {diagnostic.href}"
    return Page(f"**{code}** ({name})\n\n{text}\n", name, f"{code} ({name})")


def _quoted(message: str) -> str:
    return "\n".join(f"> {line}" for line in message.strip().splitlines())
