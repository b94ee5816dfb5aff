"""Make Markdown that a model or a tool wrote harmless: nothing in it loads, runs, links or hides.

Images, raw HTML, links and link definitions lose what makes them work and show their address as code; characters that
hide or turn the text become visible as `U+202E`; terminal escapes are gone. Code keeps its text.
"""

from __future__ import annotations

import html
import re
import unicodedata

from markdown_it import MarkdownIt
from markdown_it.token import Token

# What a terminal would obey: CSI, OSC/DCS/SOS/PM/APC strings with their terminator, and two-character escapes.
# https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
# Unicode calls these letters, marks or spaces, and yet nothing is seen of them.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2028\u2029\u2800\u2065\u3164\uffa0")
_HIDING_KINDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SUSPECT = re.compile(r"[^\t\n\x20-\x7e\xa0-\xac\xae-\u02ff\u0400-\u05ff\u3040-\u30ff\u4e00-\u9fff]")

_LINK_TEXT = r"!?\[(?P<words>(?:[^\[\]`\\\n<]|\\.){0,300})\]"
_LINK_TARGET = r"\(\s*<?(?P<target>[^\s<>()`]*(?:\([^\s<>()`]*\)[^\s<>()`]*)?)>?(?:\s+[\"'(][^\"'()\n`]*[\"')])?\s*\)"
_SCHEMES = "command|javascript|vbscript|data|file|vscode|vscode-insiders|mailto|xmpp|about|blob|tel|sms"
_LINK = re.compile(_LINK_TEXT + _LINK_TARGET)
_ACTING = re.compile(
    r"(?P<escaped>\\[!-/:-@\[-`{-~])"
    rf"|(?P<link>{_LINK_TEXT}{_LINK_TARGET})"
    r"|<(?P<autolink>[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>`]*|[\w.+-]+@[\w.-]+)>"
    r"|(?P<tag><(?=[a-zA-Z/!?]))"
    r"|(?P<entity>&(?=#?\w{1,32};))"
    r"|(?P<joint>\](?=[(:]))"
    rf"|(?P<address>(?<![\w.+-])(?:[a-z][a-z0-9+.-]{{1,20}}://|www\.|(?:{_SCHEMES}):(?=\S))[^\s<>`\\]+)"
    r"|(?P<mail>[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)",
    re.IGNORECASE,
)
_TICKS = re.compile(r"`+")
_PUNCTUATION = ".,;:!?'\")]}*_"
_HARMFUL = frozenset({"image", "html_inline", "html_block", "link_open"})

_PARSER = MarkdownIt("commonmark")
# Editors also know tables, and some see one where CommonMark sees code: what is shown must be harmless to both.
_PARSERS = (_PARSER, MarkdownIt("commonmark").enable("table"))


def clean(text: str) -> str:
    """Return *text* as Markdown in which nothing is an image, a link or HTML, and no character hides."""
    text = visible(text)
    for _ in range(3):
        text = _neutral(text)
        if _harmless(text):
            return text
    return _fenced(text)


def visible(text: str) -> str:
    """Return *text* with LF line ends, without terminal escapes, and with every hiding character spelled out."""
    text = _ESCAPES.sub("", text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _SUSPECT.search(text) is None:
        return text
    parts: list[str] = []
    for at, character in enumerate(text):
        parts.append(f"U+{ord(character):04X}" if hides(character, text[at - 1 : at]) else character)
    return "".join(parts)


def hides(character: str, before: str = "") -> bool:
    """Say whether *character* hides, turns or breaks the text around it; *before* is the one that it follows."""
    if character in "\t\n":
        return False
    if character in _UNSEEN or unicodedata.category(character) in _HIDING_KINDS:
        return True
    if character in "\ufe0e\ufe0f":  # chooses how the sign before it looks; alone or in rows it smuggles
        return not before or unicodedata.category(before) not in {"So", "Sm", "Po", "Nd", "Sk"}
    return "\ufe00" <= character <= "\ufe0d" or "\U000e0000" <= character <= "\U000e0fff"


def _neutral(text: str) -> str:
    """Take the edge off everything outside code."""
    code: set[int] = set()
    starts: set[int] = set()
    for token in _PARSER.parse(text):
        if token.type in {"fence", "code_block"} and token.map:
            code.update(range(*token.map))
        elif token.type == "inline" and token.map:
            starts.add(token.map[0])
    result: list[str] = []
    stretch: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if stretch and (number in code or number in starts):
            result.append(plain("\n".join(stretch)))
            stretch = []
        (result if number in code else stretch).append(line)
    if stretch:
        result.append(plain("\n".join(stretch)))
    return "\n".join(result)


def plain(prose: str) -> str:
    """Return one block of prose with its links, images, HTML and entities made plain; code spans are kept."""
    parts: list[str] = []
    at = looked = 0
    while (found := _TICKS.search(prose, looked)) is not None:
        start = found.start()
        if _escaped(prose, start):
            start += 1
        closing = _closing(prose, start, found.end()) if start < found.end() else None
        if closing is None:
            # Ticks that open nothing are shown as themselves, or they would pair with those that we write.
            _join(parts, _tame(prose[at:start]))
            parts.append("\\`" * (found.end() - start))
            at = looked = found.end()
        else:
            _join(parts, _tame(prose[at:start]))
            _join(parts, prose[start:closing])
            at = looked = closing
    _join(parts, _tame(prose[at:]))
    return "".join(parts)


def _escaped(prose: str, at: int) -> bool:
    before = prose[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _closing(prose: str, start: int, after: int) -> int | None:
    """Return where the code span ends that the ticks from *start* to *after* begin; None if it never does."""
    for found in _TICKS.finditer(prose, after):
        if found.end() - found.start() == after - start:
            return found.end()
    return None


def _join(parts: list[str], part: str) -> None:
    """Append *part*, held apart from ticks and backslashes that would run into its own ticks."""
    if part.startswith("`") and parts and _runs_into(parts[-1]):
        parts.append(" ")
    if part:
        parts.append(part)


def _runs_into(before: str) -> bool:
    """Say whether ticks right behind *before* would be read together with it."""
    if before.endswith("`"):
        return not _escaped(before, len(before) - 1)
    return _escaped(before, len(before))


def _tame(prose: str) -> str:
    """Make what would act in a stretch without code spans into words and code."""
    parts: list[str] = []
    at = 0
    for found in _ACTING.finditer(prose):
        _join(parts, prose[at : found.start()])
        at = found.end()
        kind, whole = str(found.lastgroup), found.group()
        if found["link"] is not None:
            _join(parts, _link(found["words"], found["target"]))
        elif kind == "autolink":
            _join(parts, f"`{found['autolink']}`")
        elif kind in {"tag", "joint"}:
            parts.append("\\<" if kind == "tag" else "]\\")
        elif kind == "entity":
            entity = prose[found.start() : prose.index(";", found.start()) + 1]
            parts.append("\\&" if any(hides(character) for character in html.unescape(entity)) else "&")
        elif kind in {"address", "mail"}:
            address = whole.rstrip(_PUNCTUATION)
            _join(parts, f"`{address}`" if address else whole)
            at = found.start() + len(address or whole)
            # What follows the address was not looked at yet: the next match may begin there.
            _join(parts, _tame(prose[at : found.end()]) if address else "")
            at = found.end()
        else:
            parts.append(whole)
    _join(parts, prose[at:])
    return "".join(parts)


def _link(words: str, target: str) -> str:
    """Show a link as its words, and its address as code where it says more than they do."""
    words = words.strip()
    if not target or target == words:
        return f"`{words}`" if target else _tame(words)
    return f"{_tame(words)} (`{target}`)" if words else f"`{target}`"


def _harmless(text: str) -> bool:
    todo: list[Token] = [token for parser in _PARSERS for token in parser.parse(text)]
    while todo:
        token = todo.pop()
        if token.type in _HARMFUL:
            return False
        todo += token.children or ()
    return True


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"


_LEAD = r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
_OPENER = re.compile(
    rf"(?P<lead>{_LEAD})(?:(?P<ticks>`{{3,}})(?P<info>[^`\n]*)|(?P<tildes>~{{3,}})(?P<about>[^\n]*))\n"
)
_MAYBE_OPENER = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)]?)[ \t]*)?(?:`*|~*|`{3,}[^`\n]*|~{3,}[^\n]*)\Z")
_TILDES = re.compile(rf"(?P<lead>{_LEAD})~(?=~~)")
_UNFINISHED_ESCAPE = re.compile(
    r"(?:\x1b|\x9b|[\x90\x98\x9d\x9e\x9f])[^\x1b]{0,4096}\Z|\x1b[\]PX^_][^\x07\x1b]{0,4096}\x1b?\Z"
)
_BLANK = re.compile(r"[ \t\n]")
_LONGEST_HOLD = 300  # characters of a construct that may still become a link or a code span


class CleanStream:
    """Cleans Markdown while it arrives; all that was given out together is harmless at every moment."""

    def __init__(self) -> None:
        self._raw = ""  # what may be half of a character or of an escape sequence
        self._held = ""  # clean characters whose meaning is not decided yet
        self._at_line_start = True
        self._fence: tuple[str, int] | None = None  # the open fence's mark, and the indentation it had
        self._last = ""  # the last characters given out

    def feed(self, text: str) -> str:
        """Take the next piece; return what can be shown of it now."""
        self._raw += text
        keep = _keep(self._raw)
        ready, self._raw = self._raw[: len(self._raw) - keep], self._raw[len(self._raw) - keep :]
        return self._take(ready, ended=False)

    def end(self) -> str:
        """Return what was held back."""
        ready, self._raw = self._raw, ""
        return self._take(ready, ended=True)

    def _take(self, ready: str, *, ended: bool) -> str:
        self._held += visible(_paired(ready))
        parts: list[str] = []
        while self._held:
            part = self._in_code(ended=ended) if self._fence else self._in_prose(ended=ended)
            if part is None:
                break
            _join(parts, part)
        shown = "".join(parts)
        if shown.startswith("`") and _runs_into(self._last):
            shown = " " + shown
        self._last = shown[-8:] or self._last
        return shown

    def _in_code(self, *, ended: bool) -> str | None:
        """Give out the next piece of a fenced block: a line, or what is sure of one."""
        assert self._fence is not None
        mark, indent = self._fence
        line, end, rest = self._held.partition("\n")
        body = line.strip(" \t")
        if self._at_line_start:
            closing = bool(body) and not body.strip(mark[0]) and len(body) >= len(mark)
            if not end and not ended and (not body.strip(mark[0]) and len(line) < _LONGEST_HOLD):
                return None
            drop = len(line) - len(line.lstrip(" \t"))
            line = line[min(drop, indent) :]
            if closing:
                self._fence, self._held = None, rest
                return body + (end or "\n")
            # A line that looks like an end further in would close our fence, which stands at the margin.
        self._held = rest
        self._at_line_start = bool(end)
        return line + end or None

    def _in_prose(self, *, ended: bool) -> str | None:
        if self._at_line_start:
            opener = _OPENER.match(self._held)
            if opener is not None:
                self._held = self._held[opener.end() :]
                lead, fence = opener["lead"], opener["ticks"] or opener["tildes"]
                self._fence = (fence, len(lead))
                # The block moves to the margin: there, every renderer agrees on where it begins and ends.
                before = lead.rstrip() + "\n" if lead.strip() else ""
                info = (opener["info"] or opener["about"] or "").replace("`", "").strip()
                return f"{before}{fence}{info}\n"
            if not ended and len(self._held) < _LONGEST_HOLD and _MAYBE_OPENER.match(self._held):
                return None
        cut = len(self._held) if ended else _decided(self._held)
        line_end = self._held.find("\n", 0, cut)
        if line_end >= 0:
            cut = line_end + 1  # a line at a time: code spans across lines are not told from the blocks that cut them
        torn = cut == 0 and len(self._held) > 2 * _LONGEST_HOLD
        if torn:
            cut = _LONGEST_HOLD
        if cut == 0:
            return None
        piece, self._held = self._held[:cut], self._held[cut:]
        if self._at_line_start:
            piece = _TILDES.sub(r"\g<lead>\\~", piece, count=1)  # what we do not take for a fence must be none
        self._at_line_start = piece.endswith("\n")
        return plain(piece) + (" " if torn else "")  # the halves of a torn word must not act together


def _decided(prose: str) -> int:
    """Return how much of *prose* nothing that may still come can change: it ends behind a blank."""
    prose = prose[: prose.find("\n") + 1] or prose
    safe = at = 0
    if _BLANK.search(prose) is None:
        return 0
    while at < len(prose):
        character = prose[at]
        pending = len(prose) - at < _LONGEST_HOLD and not prose.endswith("\n")
        if character == "\\":
            at += 2
            continue
        if character == "`":
            ticks = _TICKS.match(prose, at)
            assert ticks is not None
            closing = _closing(prose, at, ticks.end())
            if pending and (closing is None or closing == len(prose)):
                return safe
            at = closing or ticks.end()
            continue
        if character == "[" and (link := _LINK.match(prose, at)) is not None:
            at = link.end()
            continue
        if pending and character in "[<":
            end = prose.find("]" if character == "[" else ">", at)
            if end < 0 or (character == "[" and prose[end + 1 : end + 2] in {"", "("} and prose.find(")", end) < 0):
                return safe
        at += 1
        if character in " \t\n":
            safe = at
    return safe


def _keep(raw: str) -> int:
    """Return how many characters at the end of *raw* cannot be judged alone."""
    unfinished = _UNFINISHED_ESCAPE.search(raw)
    if unfinished is not None and _ESCAPES.match(raw, unfinished.start()) is None:
        return len(raw) - unfinished.start()
    if raw.endswith("\r") or "\ud800" <= raw[-1:] <= "\udbff":
        return 1
    return 0


def _paired(text: str) -> str:
    """Join the two halves of characters that came apart on their way."""
    if not any("\ud800" <= character <= "\udbff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
