"""Read the findings of a review out of a model's answer while it comes; one that quotes what does not stand there is dropped.

The answer is words in lines, as models write them best, one finding after the other:

    FINDING 12 warning mutable-default
    > def collect(found=[]):
    The list is made once and shared by all calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from glossator.document import Diagnostic, Point, Region, Severity, Snapshot
from glossator.markdown import plain, visible
from glossator.structure import SOURCE

MOST_FINDINGS = 50  # of one answer
LONGEST_MESSAGE = 600  # characters
LONGEST_LINE = 2_000  # characters of an answer's line that are read
NOTHING = "NO FINDINGS"

_HEAD = re.compile(
    r"\W{0,9}FINDING\W{1,4}(?:lines?\W{1,3})?(?P<line>\d{1,7})(?:\s?[-\u2013]\s?\d{1,7})?\W{1,4}"
    r"(?P<severity>error|warning|information|info|hint|note)\b(?:\W{1,4}(?P<rule>[A-Za-z][\w./-]{0,80}))?\W{0,4}",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\W{0,9}NO\s+FINDINGS?\W{0,4}", re.IGNORECASE)
_FENCE = re.compile(r"\s*(?:```|~~~)\w*\s*")
_NUMBERED = re.compile(r"\s*\+?\s*\d{1,7}\s*\|\s?")
_SLUG = re.compile(r"[^a-z0-9]+")
_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "information": Severity.INFORMATION,
    "info": Severity.INFORMATION,
    "hint": Severity.HINT,
    "note": Severity.INFORMATION,
}


class Findings:
    """Reads one answer about some `lines` of a document, given as numbers from 0; any split of the text gives the same."""

    def __init__(self, snapshot: Snapshot, lines: Iterable[int]) -> None:
        self.found: list[Diagnostic] = []
        self.dropped = 0
        self.understood = False  # the answer has the form that was asked for
        self._snapshot = snapshot
        self._lines = frozenset(lines)
        self._unread = ""
        self._head: re.Match[str] | None = None
        self._quotes: list[str] = []
        self._words: list[str] = []

    def feed(self, text: str) -> str:
        """Take the next piece; return a line for each finding that is whole by now, fit to be shown."""
        before = len(self.found)
        *whole, self._unread = (self._unread + text).split("\n")
        for line in whole:
            self._take(line[:LONGEST_LINE])
        return self._shown(before)

    def end(self) -> str:
        """Take what is left; the last finding waits for `finish`."""
        line, self._unread = self._unread, ""
        before = len(self.found)
        self._take(line[:LONGEST_LINE])
        return self._shown(before)

    def finish(self, *, whole: bool) -> None:
        """Take the end of the answer for the end of its last finding; where that was cut off, nobody knows how it goes on."""
        if not whole:
            self._head = None
        self._close()

    def _take(self, line: str) -> None:
        if (head := _HEAD.fullmatch(line.rstrip())) is not None:
            self._close()
            self._head, self._quotes, self._words = head, [], []
            self.understood = True
        elif _NOTHING.fullmatch(line.rstrip()):
            self._close()
            self.understood = True
        elif self._head is None or _FENCE.fullmatch(line):
            return
        elif not self._words and line.lstrip().startswith(">"):
            self._quotes.append(line.lstrip()[1:])
        elif line.strip() or self._words:
            self._words.append(line)

    def _close(self) -> None:
        head, self._head = self._head, None
        if head is None:
            return
        finding = self._judged(head)
        if finding is None:
            self.dropped += 1
        elif len(self.found) < MOST_FINDINGS and finding not in self.found:
            self.found.append(finding)

    def _judged(self, head: re.Match[str]) -> Diagnostic | None:
        """Return the finding if it is about lines that are there, and says why."""
        first = int(head["line"]) - 1
        message = " ".join(plain(visible(" ".join("\n".join(self._words).split()))).split())
        quotes = [quote for one in self._quotes if (quote := _unmarked(one)).strip()]
        if not message or not any(re.search(r"\w", quote) for quote in quotes):
            return None
        places = [_place(self._snapshot.line(first + index), quote) for index, quote in enumerate(quotes)]
        whole = range(first, first + len(places))
        if first < 0 or not self._lines.issuperset(whole) or whole.stop > len(self._snapshot.lines):
            return None
        if any(place is None for place in places):
            return None
        start, end = places[0], places[-1]
        assert start is not None
        assert end is not None
        return Diagnostic(
            Region(Point(first, start[0]), Point(whole[-1], end[1])),
            message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…",
            SOURCE,
            _SLUG.sub("-", (head["rule"] or "review").lower()).strip("-")[:40] or "review",
            _SEVERITIES[head["severity"].lower()],
        )

    def _shown(self, before: int) -> str:
        return "".join(f"{one.region.start.line + 1}: {one.message}\n" for one in self.found[before:])


def _unmarked(quote: str) -> str:
    """Return a quoted line without what marks it as code, and without the number that it was shown with."""
    bare = quote.strip()
    if len(bare) > 1 and bare.startswith("`") and bare.endswith("`"):
        bare = bare.strip("`")
    return _NUMBERED.sub("", bare, count=1) if _NUMBERED.match(bare) else bare


def _place(line: str, quote: str) -> tuple[int, int] | None:
    """Return from where to where *quote* stands in *line*, blanks counted alike; None where it does not."""
    pattern = r"\s+".join(re.escape(word) for word in quote.split())
    found = re.search(pattern, line)
    return found.span() if found is not None else None
