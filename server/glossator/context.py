"""What a model needs to see of a document: pieces that each say where they came from, and what was left out.

The code is shown without line numbers, inside fences longer than any fence in it, so that it stays data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from glossator.document import Diagnostic, Point, Region, Related, Snapshot, split_lines
from glossator.syntax import enclosing
from glossator_providers.model import Fragment, Origin, OriginKind

WHOLE_FILE = 12_000  # characters: a file up to this size is shown whole
WINDOW = 40  # lines shown on each side of the region in a larger file
LONGEST_WINDOW = 6_000  # characters of such a side: lines may be long
LONGEST_MESSAGE = 2_000  # characters of a checker's message
MOST_RELATED = 5
IMPORT_LINES = 300  # lines from the top in which imports are looked for
LONGEST_PAGE = 6_000  # characters of a rule's documentation

_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|export\b.*\bfrom\b|#\s*include\b|use\s|extern\s+crate\b|package\s|using\s|mod\s+\w+;"
    r"|source\s|\.\s+\S|(?:const|let|var)\s.*\brequire\s*\()"
)
_FENCES = re.compile(r"^[ \t]*(`{3,})", re.MULTILINE)
_WORD = re.compile(r"[\w+#.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Context:
    """The pieces of a prompt that come from a document; `left_out` says in our words what the model is not shown.

    `quiet` are the problems without the checker's words, for where these may quote a private file that they speak of.
    """

    region: Region
    language: str
    name: Fragment
    subject: Fragment
    problems: tuple[Fragment, ...]
    quiet: tuple[Fragment, ...]
    related: tuple[Fragment, ...]
    imports: Fragment | None
    before: Fragment | None
    after: Fragment | None
    rule: Fragment | None
    left_out: str


def gather(
    snapshot: Snapshot,
    region: Region,
    *,
    diagnostics: tuple[Diagnostic, ...] = (),
    page: str | None = None,
) -> Context:
    """Collect what a model needs for a request about *region*, which is shown as it stands.

    `page` is the documentation of the rule that was broken, in Markdown.
    """
    before, imports, left_before = _before(snapshot, region)
    after, left_after = _after(snapshot, region)
    return Context(
        region=region,
        language=language_word(snapshot.language),
        name=_piece(snapshot.uri.rpartition("/")[2], snapshot.uri, OriginKind.CONTEXT),
        subject=_code(snapshot, region, OriginKind.DOCUMENT),
        problems=tuple(_problem(snapshot, diagnostic, diagnostic.message) for diagnostic in diagnostics),
        quiet=tuple(_problem(snapshot, diagnostic, "") for diagnostic in diagnostics),
        related=tuple(
            _related(snapshot, related) for diagnostic in diagnostics for related in diagnostic.related[:MOST_RELATED]
        ),
        imports=imports,
        before=before,
        after=after,
        rule=Fragment(fenced(page[:LONGEST_PAGE], "markdown"), (Origin(OriginKind.RULE),)) if page else None,
        left_out=_left_out(left_before, left_after),
    )


def region_of(snapshot: Snapshot, region: Region, diagnostics: tuple[Diagnostic, ...]) -> Region:
    """Return the whole lines that a request is about: the symbol that holds the place and all the problems meant."""
    start = min([region.start, *(diagnostic.region.start for diagnostic in diagnostics)])
    end = max([region.end, *(diagnostic.region.end for diagnostic in diagnostics)])
    return enclosing(snapshot, Region(start, end))


def is_import(line: str) -> bool:
    """Say whether a line imports something, in whichever language, or is blank."""
    return not line.strip() or _IMPORT.match(line) is not None


def fenced(text: str, language: str = "") -> str:
    """Put *text* between fences that no line of it can close."""
    longest = max((len(found) for found in _FENCES.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith(("\n", "\r")) or not text else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def language_word(language: str) -> str:
    """Return the editor's name of the language if it is one word, else nothing: it stands outside of every fence."""
    return language if _WORD.fullmatch(language) else ""


def _piece(text: str, uri: str | None, kind: OriginKind) -> Fragment:
    return Fragment(text, (Origin(kind, uri),))


def _code(snapshot: Snapshot, region: Region, kind: OriginKind) -> Fragment:
    return _piece(fenced(snapshot.slice(region), language_word(snapshot.language)), snapshot.uri, kind)


def _problem(snapshot: Snapshot, diagnostic: Diagnostic, message: str) -> Fragment:
    """Say what a checker found, and quote the line instead of counting it; its words may quote each place that they relate to."""
    name = " ".join(part for part in (diagnostic.source, diagnostic.code) if part) or "a checker"
    line = snapshot.line(diagnostic.region.start.line).strip()
    told = f"{name} says:\n{fenced(message[:LONGEST_MESSAGE])}" if message else f"{name} reports a problem"
    if line:
        told += f"\nin this line:\n{fenced(line[:LONGEST_MESSAGE], language_word(snapshot.language))}"
    uris = (snapshot.uri, *(related.uri for related in diagnostic.related)) if message else (snapshot.uri,)
    return Fragment(told, tuple(Origin(OriginKind.DIAGNOSTIC, uri) for uri in dict.fromkeys(uris)))


def _related(snapshot: Snapshot, related: Related) -> Fragment:
    """Pass on a second place that a problem speaks of; text of another document is not fetched, its message counts as its own."""
    told = fenced(related.message[:LONGEST_MESSAGE])
    if related.uri == snapshot.uri and (line := snapshot.line(related.region.start.line).strip()):
        told += f"\nin this line:\n{fenced(line[:LONGEST_MESSAGE], language_word(snapshot.language))}"
    return _piece(told, related.uri, OriginKind.DIAGNOSTIC)


def _before(snapshot: Snapshot, region: Region) -> tuple[Fragment | None, Fragment | None, int]:
    """Return what stands before the region, the imports that this does not show, and how many lines are left out."""
    first = 0
    if len(snapshot.text) > WHOLE_FILE:
        first = max(0, region.start.line - WINDOW)
        while first < region.start.line and _length(snapshot, first, region.start.line) > LONGEST_WINDOW:
            first += 1
    shown = Region(Point(first, 0), region.start)
    imports = "".join(line for line in snapshot.lines[: min(first, IMPORT_LINES)] if _IMPORT.match(line))
    return (
        _code(snapshot, shown, OriginKind.CONTEXT) if snapshot.slice(shown).strip() else None,
        _piece(fenced(imports, language_word(snapshot.language)), snapshot.uri, OriginKind.CONTEXT)
        if imports
        else None,
        first - len(split_lines(imports)),
    )


def _after(snapshot: Snapshot, region: Region) -> tuple[Fragment | None, int]:
    """Return what stands after the region, and how many lines are left out."""
    count = len(snapshot.lines)
    last = count
    if len(snapshot.text) > WHOLE_FILE:
        last = min(count, region.end.line + WINDOW)
        while last > region.end.line and _length(snapshot, region.end.line, last) > LONGEST_WINDOW:
            last -= 1
    shown = Region(region.end, snapshot.whole.end if last >= count else Point(last, 0))
    return _code(snapshot, shown, OriginKind.CONTEXT) if snapshot.slice(shown).strip() else None, count - last


def _length(snapshot: Snapshot, first: int, last: int) -> int:
    return sum(len(line) for line in snapshot.lines[first:last])


def _left_out(before: int, after: int) -> str:
    parts = [f"{count} lines {where}" for count, where in ((before, "above"), (after, "below")) if count > 0]
    return f"Not shown of this file: {' and '.join(parts)}." if parts else ""
