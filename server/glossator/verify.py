"""The gates that a change must pass before it is called a fix; each can only lower trust, and nothing is written to disk."""

from __future__ import annotations

import ast
import asyncio
import difflib
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from glossator import syntax
from glossator.checkers import CheckerFailed, Toolbox
from glossator.checkers.recognise import normal, target
from glossator.checkers.row import Finding
from glossator.checkers.suppressions import silenced, without_comments
from glossator.document import Diagnostic, Region, Severity, Snapshot, split_lines
from glossator.tasks.task import State, Verdict

KEPT = 0.3  # share of a region's lines below which a change destroys it; right recorded fixes go below in under 1 %
SUSPECT = 0.5  # share below which a change that also leaves a placeholder destroys
SMALL = 5  # lines; a region up to this size is not judged by the share alone
_LONGEST_DIFF = 4000  # lines; a longer changed stretch counts as changed throughout
_SHOWN = 3  # problems that one line names


async def verify(
    base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], *, region: Region, toolbox: Toolbox | None
) -> Verdict:
    """Say what became of *diagnostics* if *base* became *text*; *region* is what the author was asked to change.

    Without diagnostics (a refactoring), an installed checker of the language must find nothing new. A checker that
    cannot answer leaves the verdict at `UNKNOWN`; never raises for what a checker or a text does.
    """
    if text == base.text:
        return Verdict(State.UNCHANGED, reason="nothing was changed")
    verdict = _judge_text(base, text, diagnostics, region)
    if verdict is not None:
        return verdict
    if toolbox is None:
        return Verdict(State.UNKNOWN, reason=_unconfirmed(base, text))
    return await _ask_checkers(base, text, diagnostics, toolbox)


def describe(verdict: Verdict) -> str:
    """Return the line that every front shows of *verdict*."""
    match verdict.state:
        case State.FIXED:
            rest = verdict.reason or "nothing new"
            return f"✓ {verdict.checker} {verdict.before} → {verdict.after}, {rest}"
        case State.UNKNOWN | State.UNCHANGED | State.SUPPRESSED | State.DESTROYED | State.BROKEN:
            return verdict.reason
        case State.WORSE:
            return f"{_count(len(verdict.new), 'new problem')}: {_names(verdict.new)}"


# The gates that need no checker


def _unconfirmed(base: Snapshot, text: str) -> str:
    return f"{_parsing(base, text)}; no checker could confirm"


def _parsing(base: Snapshot, text: str) -> str:
    """Say whether the text was parsed at all: a language without a grammar is not, nor what would take too long."""
    return "syntax not checked" if syntax.errors(base.language, text) is None else "parses"


def _judge_text(base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], region: Region) -> Verdict | None:
    problem = _syntax(base, text)
    if problem:
        return Verdict(State.BROKEN, reason=problem)
    problem = _destruction(base, text, diagnostics, region)
    if problem:
        return Verdict(State.DESTROYED, reason=problem)
    added = silenced(base.language, base.text, text)
    if added:
        return Verdict(State.SUPPRESSED, reason=f"silences the problem instead of mending it: {added}")
    return None


def _syntax(base: Snapshot, text: str) -> str | None:
    before, after = syntax.errors(base.language, base.text), syntax.errors(base.language, text)
    if before is not None and after is not None and after > before:
        return f"does not parse: {_count(after - before, 'new syntax error')}"
    if base.language == "python":
        problem = _python_error(text, grammar_is_known=after is not None)
        if problem and _python_error(base.text, grammar_is_known=before is not None) is None:
            return f"does not compile: {problem}"
    return None


def _python_error(text: str, *, grammar_is_known: bool) -> str | None:
    """Return why Python would not compile *text*.

    Our own Python may be older than the user's: what only its grammar refuses is left to tree-sitter, which knows the newest.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except IndentationError as error:
            return f"{error.msg} (line {error.lineno})"
        except (SyntaxError, ValueError) as error:
            return None if grammar_is_known else str(error)
        except (RecursionError, MemoryError, OverflowError):
            return None
        try:
            compile(tree, "<text>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            return str(getattr(error, "msg", error))
        except (RecursionError, MemoryError, OverflowError):
            return None
    return None


def _parses(snapshot: Snapshot) -> bool:
    wrong = syntax.errors(snapshot.language, snapshot.text)
    return not wrong and (
        snapshot.language != "python" or _python_error(snapshot.text, grammar_is_known=wrong is not None) is None
    )


# A problem with one of these words is about code that is too much: taking that code away is the way to mend it.
_REMOVABLE = re.compile(
    r"\b(?:unused|un-used|never (?:used|read|constructed)|not (?:used|accessed)|unreachable|duplicate[ds]?|redefin\w*|redeclar\w*"
    r"|dead[ _]code|commented-out|multiple times|more than once|already (?:defined|declared|imported)|remove|debugg?er"
    r"|conflict(?:ing|s)?)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"^\s*(?:pass|\.\.\.|raise NotImplementedError\b.*|todo!\(.*|unimplemented!\(.*|throw new Error\(.*not implemented.*"
    r"|return(?: None| null| undefined| 0| false| nil)?;?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)


def _destruction(base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], region: Region) -> str | None:
    removable = any(_REMOVABLE.search(f"{one.message} {one.code or ''}") for one in diagnostics)
    lost_symbols = _lost_symbols(base, text, diagnostics, removable=removable)
    if lost_symbols:
        return f"removes {_listed(lost_symbols)}, which the problem is not about"
    old, new = without_comments(base.language, base.text), without_comments(base.language, text)
    first, last = region.start.line, max(region.start.line, region.end.line - (region.end.column == 0))
    inside, outside = Counter[str](), Counter[str]()
    for number, line in enumerate(split_lines(old)):
        (inside if first <= number <= last else outside)[_bare(line)] += 1
    here = Counter(_bare(line) for line in split_lines(new))
    del inside[""], outside[""], here[""]
    pointed = Counter[str]()
    if removable:
        code = split_lines(old)
        pointed = Counter(_bare(code[number]) for one in diagnostics for number in _statement(code, one.region))
    lost = (inside + outside) - here - pointed
    touched = inside.total() + (outside - here).total()
    kept = 1 - lost.total() / touched if touched else 1.0
    shorter = (inside + outside).total() - here.total() - min(pointed.total(), ((inside + outside) & pointed).total())
    if kept < KEPT and (touched > SMALL or shorter > 1) and not _words_stay(old, new, diagnostics):
        return f"removes {lost.total()} of {touched} lines, which the problem is not about"
    if len(_PLACEHOLDER.findall(new)) > len(_PLACEHOLDER.findall(old)) and kept < SUSPECT and lost.total() > 1:
        return f"replaces {lost.total()} of {touched} lines by a placeholder"
    if (not here and lost) or _empties(base, text, diagnostics, removable=removable):
        return "removes everything"
    return None


def _empties(base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], *, removable: bool) -> bool:
    """Say whether nothing is left of a text, comments included, other than lines that the problems call too much."""
    if text.strip() or not base.text.strip():
        return False
    lines = split_lines(base.text)
    pointed = {number for one in diagnostics for number in _statement(lines, one.region)} if removable else set[int]()
    return any(line.strip() and number not in pointed for number, line in enumerate(lines))


_IMPORT = re.compile(r"\s*(?:pub\s+)?(?:import|use|from|export)\b")


def _statement(code: tuple[str, ...], region: Region) -> range:
    """Return the lines of *region*, widened to the bracket that they stand in; a brace counts where it lists imports."""
    open_since: list[int | None] = []  # the line of each bracket; None for a brace that holds code
    first, last = region.start.line, max(region.start.line, region.end.line)
    outermost: int | None = None
    for number, line in enumerate(code):
        if number == first:
            outermost = next((since for since in open_since if since is not None), None)
        for character in line:
            if character in "([{":
                open_since.append(number if character != "{" or _IMPORT.match(line) else None)
            elif character in ")]}" and open_since:
                open_since.pop()
        if number == first and outermost is None:
            outermost = next((since for since in open_since if since == number), None)
        if number >= last and (outermost is None or outermost not in open_since):
            return range(min(first, outermost if outermost is not None else first), number + 1)
    return range(min(first, len(code)), min(last + 1, len(code)))


def _bare(line: str) -> str:
    return "".join(line.split())


_WORD = re.compile(r"\w+")
_WORDS_KEPT = 0.5  # share


_KEYWORDS = frozenset(
    (
        *("if", "elif", "else", "fi", "then", "for", "while", "do", "done", "in", "of", "not"),
        *("and", "or", "is", "return", "def", "fn", "func", "function", "class", "struct", "impl", "let"),
        *("const", "var", "mut", "import", "from", "as", "use", "with", "try", "except", "catch", "finally"),
        *("raise", "throw", "new", "self", "this", "pass", "lambda", "async", "await", "None", "null", "True"),
        *("False", "true", "false", "int", "void", "auto"),
    )
)


def _words_stay(old: str, new: str, diagnostics: tuple[Diagnostic, ...]) -> bool:
    """Say whether the words of the lines that went are mostly still there: code that was written anew, not removed.

    Keywords do not count, and neither do the words of the problem's message: it is about them.
    """
    there, here = Counter(split_lines(old)), Counter(split_lines(new))
    before, after = (set(_WORD.findall("".join(lines))) for lines in (there - here, here - there))
    before -= _KEYWORDS | {word for one in diagnostics for word in _WORD.findall(one.message)} - after
    return len(before & after) >= _WORDS_KEPT * len(before)


_COMPUTED = re.compile(r"""[\["']""")  # a member that is named by an expression has more than one spelling


def _lost_symbols(base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], *, removable: bool) -> list[str]:
    if not _parses(base):
        return []  # what a broken text defines is a guess
    before, after = (Counter(syntax.symbols(base.language, one)) for one in (base.text, text))
    lost = before - after
    if not diagnostics and after.total() >= before.total():
        return []  # a refactoring may give another name
    named = [name for name in lost if not _COMPUTED.search(name)]
    return [name for name in named if not any(_is_about(one, name, base, removable=removable) for one in diagnostics)]


def _is_about(diagnostic: Diagnostic, name: str, base: Snapshot, *, removable: bool) -> bool:
    own = name.rpartition(".")[2]
    if re.search(rf"\b{re.escape(own)}\b", diagnostic.message):
        return True
    place = " ".join(base.line(line) for line in range(diagnostic.region.start.line, diagnostic.region.end.line + 1))
    return bool(removable and re.search(rf"\b{re.escape(own)}\b", place)) or base.slice(diagnostic.region) == own


# The gate that asks the checker


async def _ask_checkers(base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], toolbox: Toolbox) -> Verdict:
    groups: dict[str | None, list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        groups.setdefault(toolbox.checker_for(diagnostic, base.language), []).append(diagnostic)
    if not diagnostics:
        groups = {toolbox.general(base.language, base.path): []}
    verdicts = [await _ask_checker(name, base, text, tuple(group), toolbox) for name, group in groups.items()]
    return max(verdicts, key=lambda verdict: _TRUST[verdict.state])


_TRUST: Mapping[State, int] = MappingProxyType(
    {state: rank for rank, state in enumerate(State)}
)  # from the best to the worst


async def _ask_checker(
    name: str | None, base: Snapshot, text: str, diagnostics: tuple[Diagnostic, ...], toolbox: Toolbox
) -> Verdict:
    if name is None:
        sources = sorted({one.source for one in diagnostics if one.source})
        about = f"; Glossator cannot run {_listed(sources)}" if sources else ""
        return Verdict(State.UNKNOWN, reason=f"{_unconfirmed(base, text)}{about}")
    codes = frozenset(one.code for one in diagnostics if one.code)
    try:
        before, after = await _side_by_side(name, base, text, codes, toolbox)
    except CheckerFailed as failure:
        return Verdict(State.UNKNOWN, name, reason=f"{_parsing(base, text)}; {name} could not confirm: {failure}")
    return compare(name, base, text, diagnostics, before=before, after=after)


async def _side_by_side(
    name: str, base: Snapshot, text: str, codes: frozenset[str], toolbox: Toolbox
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Run the checker on both texts at once, so that both see the machine and the neighbouring files in the same state."""
    try:
        async with asyncio.TaskGroup() as group:
            before = group.create_task(toolbox.inspect(name, base, base.text, codes=codes))
            after = group.create_task(toolbox.inspect(name, base, text, codes=codes))
    except* CheckerFailed as failures:
        failure: BaseException = failures
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from None
    return before.result(), after.result()


def compare(
    name: str,
    base: Snapshot,
    text: str,
    diagnostics: tuple[Diagnostic, ...],
    *,
    before: tuple[Finding, ...],
    after: tuple[Finding, ...],
) -> Verdict:
    """Judge by what the checker *name* says *before* (of *base*) and *after* (of *text*), both in the same state."""
    change = Change.between(base.lines, split_lines(text))
    targets = [target(one, before) for one in diagnostics]
    asked = [found for found in targets if found is not None]
    came, went = _differences(before, after, change, asked)
    mildest = max((found.diagnostic.severity for found in asked), default=Severity.WARNING)
    masked = not _parses(base)
    bad = tuple(
        one.diagnostic
        for one in came
        if one.diagnostic.severity <= mildest
        and (change.touches(one.diagnostic.region) or (not masked and _UNDEFINED.search(_title(one.diagnostic))))
    )
    remaining = next((one for one in asked if one not in went or _came_again(one, came, change)), None)
    if remaining is not None:
        reason = f"{name} still reports {remaining.diagnostic.code or _short(remaining.diagnostic.message)}"
        return Verdict(State.UNCHANGED, name, len(before), len(after), new=bad, reason=reason)
    if bad:
        return Verdict(State.WORSE, name, len(before), len(after), new=bad, reason=_names(bad))
    for diagnostic, found in zip(diagnostics, targets, strict=True):
        if found is None:
            what = diagnostic.code or _short(diagnostic.message)
            reason = f"{_parsing(base, text)}; {name} does not report {what} here, so it could not confirm"
            return Verdict(State.UNKNOWN, name, len(before), len(after), reason=reason)
    # Elsewhere, and milder than the problem: no reason to distrust, but not to be hidden either.
    others = tuple(one.diagnostic for one in came)
    reason = f"{_count(len(others), 'other remark')}: {_names(others)}" if others else ""
    return Verdict(State.FIXED, name, len(before), len(after), new=others, reason=reason)


# What others need and no longer find; not among what a checker finds only once the text parses.
_UNDEFINED = re.compile(
    r"\bF821\b|\breportUndefinedVariable\b|\bname-defined\b|\bE04(?:25|12|32|33)\b|\b(?:2304|2552)\b|was not declared in this scope"
)


@dataclass(frozen=True, slots=True)
class Change:
    """Which lines of a text became which; `stretches` are (start, end, new start, new end) of what is not the same."""

    stretches: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def between(cls, old: tuple[str, ...], new: tuple[str, ...]) -> Change:
        """Compare two texts by their lines."""
        shorter = min(len(old), len(new))
        head = next((index for index in range(shorter) if old[index] != new[index]), shorter)
        tail = next((index for index in range(shorter - head) if old[-1 - index] != new[-1 - index]), shorter - head)
        first, second = old[head : len(old) - tail], new[head : len(new) - tail]
        if max(len(first), len(second)) > _LONGEST_DIFF:
            return cls(((head, len(old) - tail, head, len(new) - tail),))
        matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
        return cls(
            tuple(
                (head + a, head + b, head + c, head + d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"
            )
        )

    def moved(self, line: int) -> int | None:
        """Return where an old *line* is now, None if it changed."""
        shift = 0
        for start, end, _, new_end in self.stretches:
            if line < start:
                break
            if line < end:
                return None
            shift = new_end - end
        return line + shift

    def touches(self, region: Region) -> bool:
        """Say whether *region* of the new text has a changed line; next to a deletion, both its neighbours count."""
        return any(self._in(stretch, region) for stretch in self.stretches)

    def replaces(self, old: Region, new: Region) -> bool:
        """Say whether *new* stands in what took the place of *old*."""
        return any(
            stretch[0] <= old.end.line and old.start.line < max(stretch[1], stretch[0] + 1) and self._in(stretch, new)
            for stretch in self.stretches
        )

    @staticmethod
    def _in(stretch: tuple[int, int, int, int], region: Region) -> bool:
        _, _, start, end = stretch
        if start == end:
            start, end = start - 1, end + 1
        return region.start.line < end and start <= region.end.line


def _differences(
    before: tuple[Finding, ...], after: tuple[Finding, ...], change: Change, asked: list[Finding]
) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that came and those that went; one that only moved is neither.

    Of several that read alike on changed lines nobody can say which one went: those *asked* about did, if any.
    """
    came, went = list(after), [one for one in before if one not in asked] + [one for one in before if one in asked]
    for alike in (_same_place, _same_problem, _same_rule):
        for old in list(went):
            line = change.moved(old.diagnostic.region.start.line)
            partners = [new for new in came if alike(old.diagnostic, new.diagnostic, line)]
            if partners:
                there = old.diagnostic.region.start.line if line is None else line
                came.remove(min(partners, key=lambda new: abs(new.diagnostic.region.start.line - there)))
                went.remove(old)
    return came, went


def _same_place(old: Diagnostic, new: Diagnostic, line: int | None) -> bool:
    return (
        _same_problem(old, new, line)
        and new.region.start.line == line
        and new.region.start.column == old.region.start.column
    )


def _same_problem(old: Diagnostic, new: Diagnostic, line: int | None) -> bool:  # noqa: ARG001  one of three with one shape
    return old.code == new.code and normal(old.message) == normal(new.message)


def _same_rule(old: Diagnostic, new: Diagnostic, line: int | None) -> bool:
    """Say whether a problem on an unchanged line is the old one in other words: its message names what changed elsewhere."""
    return (
        old.code is not None
        and old.code == new.code
        and new.region.start.line == line
        and new.region.start.column == old.region.start.column
    )


def _came_again(asked: Finding, came: list[Finding], change: Change) -> bool:
    """Say whether the rule is broken anew in the very lines that were to mend it."""
    old = asked.diagnostic
    return any(
        new.diagnostic.code == old.code
        and (old.code is not None or normal(new.diagnostic.message) == normal(old.message))
        and change.replaces(old.region, new.diagnostic.region)
        for new in came
    )


# Words


def _title(diagnostic: Diagnostic) -> str:
    return f"{diagnostic.code or ''} {_short(diagnostic.message)}".strip()


def _short(message: str) -> str:
    first = (message.strip().splitlines() or [""])[0]
    return first if len(first) <= _LONGEST_WORDS else f"{first[: _LONGEST_WORDS - 1]}…"


_LONGEST_WORDS = 80  # characters of a message that a one-line verdict shows


def _names(diagnostics: tuple[Diagnostic, ...]) -> str:
    shown = [_title(one) for one in diagnostics[:_SHOWN]]
    more = len(diagnostics) - len(shown)
    return "; ".join([*shown, f"{more} more"] if more else shown)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
