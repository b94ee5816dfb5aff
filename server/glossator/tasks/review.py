"""Review a document, a selection or changed lines: what its structure shows at once, then what models find, piece after piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from glossator import structure
from glossator.context import fenced, gather, language_word
from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.syntax import outline
from glossator.tasks.conversation import Answering, Models, converse
from glossator.tasks.findings import Findings
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import compose, pieces_of, typed, words
from glossator.tasks.task import Ask, Author, Found, Note, Progress, Refusal, Restart, Review, Said, Stage, TaskEvent
from glossator_providers.model import FinishReason, Fragment, Origin, OriginKind, Request

PIECE_LINES = 250  # of a document that are reviewed together; a function is not cut in two for it, unless it is longer
PIECE_LENGTH = 14_000  # characters
MOST_PIECES = 20
MAX_TOKENS = 2_048
_MOST_PROBLEMS = 10


async def review(ask: Ask, *, models: Models | None) -> AsyncGenerator[TaskEvent]:
    """Tell findings as they come; without *models* the structure alone is looked at."""
    snapshot = ask.snapshot
    lines = _asked_lines(ask)
    seen = [one for one in structure.remarks(snapshot) if one.region.start.line in lines]
    measured = structure.measure(snapshot.language, snapshot.text)
    told = tuple(structure.describe(one) for one in measured if not lines.isdisjoint(range(one.first, one.end)))
    yield Found(tuple(seen))
    if models is None or not lines:
        yield Review(tuple(seen), told)
        return
    tally = _Tally(found=seen)
    pieces = list(_pieces(snapshot, lines))
    for number, piece in enumerate(pieces[:MOST_PIECES]):
        if len(pieces) > 1:
            yield Stage(f"reviewing part {number + 1} of {min(len(pieces), MOST_PIECES)}")
        async with aclosing(_review_piece(ask, piece, lines, models, tally)) as events:
            async for event in events:
                yield event
        if tally.stopped:
            break
    if len(pieces) > MOST_PIECES:
        last = pieces[MOST_PIECES - 1].end.line
        yield Note(f"Only the first {last} lines were reviewed; name a part of the file to review the rest")
    findings = _ordered(tally.found)
    yield Found(findings)
    yield Review(findings, told, tally.dropped, tally.author, tally.failure)


@dataclass(slots=True)
class _Tally:
    """What the pieces so far have given. `stopped` says that nobody could be asked any more."""

    found: list[Diagnostic]
    dropped: int = 0
    author: Author | None = None
    failure: Refusal | None = None
    stopped: bool = False


async def _review_piece(
    ask: Ask, piece: Region, lines: frozenset[int], models: Models, tally: _Tally
) -> AsyncGenerator[Progress]:
    readings: list[Findings] = []  # one for each attempt; only the last counts

    def anew() -> Findings:
        readings.append(Findings(ask.snapshot, lines & set(_numbers(piece))))
        return readings[-1]

    heard: Answering | None = None
    async with aclosing(converse(_request(ask, piece, lines, models), models, cleaner=anew)) as events:
        async for event in events:
            match event:
                case Answering():
                    heard = event
                case Refusal():
                    tally.failure, tally.stopped = event, True
                case _:
                    yield event
                    if isinstance(event, Said | Restart):
                        yield Found(_ordered([*tally.found, *(readings[-1].found if isinstance(event, Said) else ())]))
    if heard is None:
        return
    reading, whole = readings[-1], heard.answer.finish is not FinishReason.LENGTH
    reading.finish(whole=whole)
    tally.author = heard.author
    tally.found += reading.found
    tally.dropped += reading.dropped
    if not reading.understood:
        tally.failure = Refusal("no-answer", f"The answer of {heard.author.byline} could not be read as a review")
    elif not whole:
        yield Note(f"The review by {heard.author.byline} was cut off: it reached the token limit")


def _asked_lines(ask: Ask) -> frozenset[int]:
    """Return the numbers of the lines that are to be reviewed: those that changed, the selection, else all."""
    count = len(ask.snapshot.lines)
    if ask.lines:
        return frozenset(number for first, end in ask.lines for number in range(max(0, first), min(end, count)))
    if ask.region.start == ask.region.end:
        return frozenset(range(count))
    return frozenset(_numbers(ask.region)) & frozenset(range(count))


def _numbers(region: Region) -> range:
    return range(region.start.line, region.end.line + (region.end.column > 0))


def _pieces(snapshot: Snapshot, lines: frozenset[int]) -> Iterator[Region]:
    """Yield the stretches that hold all of *lines*, whole functions where they are small enough, and nothing twice."""
    blocks = [(first, end) for _, first, end in outline(snapshot.language, snapshot.text)]
    wanted = set(lines)
    for first, end in blocks:
        if end - first <= PIECE_LINES and not lines.isdisjoint(range(first, end)):
            wanted.update(range(first, end))
    starts = {first for first, _ in blocks}
    begun: int | None = None
    length = 0
    for number in range(len(snapshot.lines) + 1):
        here = number in wanted
        size = len(snapshot.lines[number]) if here else 0
        if begun is not None:
            full = number - begun >= PIECE_LINES or length + size > PIECE_LENGTH
            nearly = number in starts and (number - begun >= PIECE_LINES // 2 or length > PIECE_LENGTH // 2)
            if not here or full or nearly:
                yield Region(Point(begun, 0), snapshot.point(snapshot.offset(Point(number, 0))))
                begun, length = None, 0
        if here and begun is None:
            begun = number
        length += size


def _request(ask: Ask, piece: Region, lines: frozenset[int], models: Models) -> Request:
    snapshot = ask.snapshot
    here = tuple(one for one in ask.known if one.region.touches(piece))[:_MOST_PROBLEMS]
    context = gather(snapshot, piece, diagnostics=here)
    context = without_closing(context, models, roots=ask.roots)
    measured = structure.measure(snapshot.language, snapshot.text)
    inside = [structure.describe(one) for one in measured if one.first < piece.end.line and one.end > piece.start.line]
    pieces = {
        **pieces_of(context),
        "numbered": _numbered(snapshot, piece, lines if ask.lines else frozenset()),
        "structure": _of(snapshot, fenced("\n".join(inside))) if inside else None,
        "changed": bool(ask.lines),
        "instruction": typed(ask.instruction, snapshot.uri) if ask.instruction else None,
    }
    return Request(
        compose("review", pieces, own=ask.prompts),
        task="review",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        thread=snapshot.uri,
        temperature=0.0,
        max_tokens=MAX_TOKENS,
    )


def _numbered(snapshot: Snapshot, piece: Region, changed: frozenset[int]) -> tuple[Fragment, ...]:
    """Return the piece with a number before each line, and a plus before those that have *changed*, if not all count.

    The numbers are fragments of their own: what stands across two lines, a secret say, is still found in the others.
    """
    width = len(str(piece.end.line + 1))
    fence = fenced(snapshot.slice(piece), language_word(snapshot.language))
    opening, closing = fence.partition("\n")[0], fence.rpartition("\n")[2]
    parts = [words(f"{opening}\n")]
    for number in _numbers(piece):
        mark = "+" if number in changed else " " if changed else ""
        parts += [words(f"{mark}{number + 1:>{width}}| "), _of(snapshot, snapshot.lines[number])]
    if not snapshot.lines[_numbers(piece)[-1]].endswith(("\n", "\r")):
        parts.append(words("\n"))
    return (*parts, words(closing))


def _of(snapshot: Snapshot, text: str) -> Fragment:
    return Fragment(text, (Origin(OriginKind.DOCUMENT, snapshot.uri),))


def _ordered(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(found, key=lambda one: (one.region.start, one.severity)))
