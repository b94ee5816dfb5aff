"""One line of an ignore file as a matcher that needs linear time and agrees with git, or errs to the closed side.

Syntax: https://git-scm.com/docs/gitignore, read as git's own wildmatch.c and dir.c read it: byte by byte.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

_GRAPH = frozenset(range(0x21, 0x7F))
_DIGIT = frozenset(b"0123456789")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CLASSES: dict[bytes, frozenset[int]] = {
    b"alnum": _DIGIT | _LOWER | _UPPER,
    b"alpha": _LOWER | _UPPER,
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset(range(0x20)) | {0x7F},
    b"digit": _DIGIT,
    b"graph": _GRAPH,
    b"lower": _LOWER,
    b"print": _GRAPH | {0x20},
    b"punct": _GRAPH - _DIGIT - _LOWER - _UPPER,
    b"space": frozenset(b" \t\n\r"),
    b"upper": _UPPER,
    b"xdigit": _DIGIT | frozenset(b"abcdefABCDEF"),
}
_ANY_CHARACTER = rb"(?:[\xc0-\xff][\x80-\xbf]*|[^/])"  # one byte, or the bytes of one character


class BadPattern(ValueError):
    """A line that git would never match, and that nobody can have meant as it stands."""


def fold_case(text: str) -> str:
    """Bring spellings that differ by case, composition (macOS, Windows) or invisible characters (HFS+) into one."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character) != "Cf")


def fold(path: str) -> str:
    """Bring all spellings of a path that some file system takes for the same into one; NTFS drops dots, spaces and streams."""
    folded = fold_case(path)
    if not any(mark in folded for mark in (":", "./", " /")) and not folded.endswith((".", " ")):
        return folded
    return "/".join(_fold_name(name) for name in folded.split("/"))


def _fold_name(name: str) -> str:
    head = name.partition(":")[0] or name
    return head.rstrip(". ") or name


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """One pattern. `by_name` patterns meet the last name of a path, the others the whole path below the pattern's folder."""

    text: str
    line: int
    negated: bool
    folder_only: bool
    by_name: bool
    exact: Any
    folded: Any

    def matches(self, path: str, *, folder: bool) -> bool:
        """Say whether this pattern meets *path*, relative to its folder; *folder* says whether a folder stands there.

        What excludes meets every spelling of a path; what includes again (`!`) only the very one that it names.
        """
        if self.folder_only and not folder:
            return False
        subject = path.rpartition("/")[2] if self.by_name else path
        if self.exact.fullmatch(encode(subject)) is not None:
            return True
        return not self.negated and self.folded.fullmatch(encode(fold(subject))) is not None


def parse(line: str, *, number: int = 0) -> Pattern | None:
    """Read one line of an ignore file without its line end; None for a comment or nothing; raise BadPattern."""
    if line.startswith("#"):
        return None
    text = _strip_spaces(line)
    if not text:
        return None
    negated = text.startswith("!")
    body = text[1:] if negated else text
    folder_only = body.endswith("/")
    body = body[:-1] if folder_only else body
    if not body:
        return None  # "/" and "!" alone meet nothing
    by_name = "/" not in body
    if not by_name:
        body = body.removeprefix("/")
    exact = _matcher(encode(body), by_name=by_name)
    folded = _matcher(encode(fold_case(body)), by_name=by_name, tolerant=True)
    return Pattern(text, number, negated, folder_only, by_name, exact, folded)


@dataclass(frozen=True, slots=True)
class _Literal:
    """A pattern without wildcards, as most lines of long ignore files are."""

    text: bytes

    def fullmatch(self, subject: bytes) -> _Literal | None:
        return self if subject == self.text else None


def _matcher(body: bytes, *, by_name: bool, tolerant: bool = False) -> Any:
    if not any(special in body for special in (b"*", b"?", b"[", b"\\")):
        return _Literal(body)
    return _compile(translate(body, by_name=by_name, tolerant=tolerant))


def compile_glob(glob: str, *, by_name: bool) -> Any:
    """Return a matcher of folded names or folded whole paths for one of our own or the user's globs; raise BadPattern."""
    return _compile(translate(encode(fold_case(glob)), by_name=by_name, tolerant=True))


def compile_all(globs: Iterable[tuple[str, bool]]) -> Any:
    """Return one matcher of folded whole paths that meets what any of *globs* meets, or may mean; each says whether it is a folder's."""
    expressions = []
    for glob, folder in globs:
        nested = "/" in glob
        expression = translate(encode(fold_case(f"**/{glob}" if nested else glob)), by_name=not nested, tolerant=True)
        before, after = b"" if nested else rb"(?:.*/)?", b"/.*" if folder else b""
        expressions.append(before + b"(?:" + expression + b")" + after)
    return _compile(b"|".join(b"(?:" + expression + b")" for expression in expressions))


def encode(path: str) -> bytes:
    """Return the bytes that a file system on Linux would see."""
    return path.encode("utf-8", "surrogateescape")


def _strip_spaces(line: str) -> str:
    """Drop spaces at the end that no backslash protects."""
    end = len(line)
    while end and line[end - 1] == " ":
        backslashes = len(line[: end - 1]) - len(line[: end - 1].rstrip("\\"))
        if backslashes % 2:
            break
        end -= 1
    return line[:end]


@lru_cache(maxsize=4096)
def _compile(expression: bytes) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        raise BadPattern("the pattern is too large") from error


def translate(body: bytes, *, by_name: bool, tolerant: bool = False) -> bytes:
    """Return *body* as an RE2 expression over bytes. *tolerant*: `?` may also be one character of several bytes."""
    first_special = next((index for index, byte in enumerate(body) if byte in b"*?[\\"), len(body))
    parts: list[bytes] = []
    index = 0
    while index < len(body):
        byte = body[index : index + 1]
        if byte == b"*":
            end = index
            while body[end : end + 1] == b"*":
                end += 1
            # git matches the plain text before the first wildcard by itself, so a wildcard there counts as a beginning
            begins = index == first_special or body[index - 1 : index] == b"/"
            ends = end == len(body) or body[end : end + 1] == b"/" or body[end : end + 2] == b"\\/"
            if by_name:
                parts.append(b".*")
            elif end - index >= 2 and begins and ends:  # noqa: PLR2004  two stars
                slash = body[end : end + 1] == b"/"
                parts.append(b"(?:.*/)?" if slash else b".*")
                end += slash
            else:
                parts.append(b"[^/]*")
            index = end
        elif byte == b"?":
            parts.append(_ANY_CHARACTER if tolerant else b"[^/]")
            index += 1
        elif byte == b"[":
            expression, index = _translate_set(body, index)
            parts.append(expression)
        elif byte == b"\\":
            if index + 1 == len(body):
                raise BadPattern("a backslash at the end of a pattern escapes nothing")
            parts.append(_literal(body[index + 1]))
            index += 2
        else:
            parts.append(_literal(body[index]))
            index += 1
    return b"".join(parts)


def _literal(byte: int) -> bytes:
    return b"\\x%02x" % byte


def _translate_set(body: bytes, start: int) -> tuple[bytes, int]:
    """Translate the set that opens at *start*; return it and the place behind it."""
    index = start + 1
    negated = body[index : index + 1] in (b"!", b"^")
    index += negated
    members: set[int] = set()
    previous: int | None = None  # the byte that a range could begin with
    first = index
    while index == first or body[index : index + 1] != b"]":
        byte = _byte(body, index)
        if byte == ord("-") and previous is not None and body[index + 1 : index + 2] not in (b"", b"]"):
            index += 1
            if body[index] == ord("\\"):
                index += 1
            members.update(range(previous, _byte(body, index) + 1))
            previous = None
        elif body[index : index + 2] == b"[:":
            end = body.find(b"]", index + 2)
            if end < 0:
                raise BadPattern("a bracket is opened and never closed")
            name = body[index + 2 : end - 1]
            if end > index + 2 and body[end - 1] == ord(":"):
                if name not in _CLASSES:
                    raise BadPattern("there is no such class of characters")
                members |= _CLASSES[name]
                previous = None
                index = end
            else:  # "[:" begins no class here: a bracket is a member like any other
                members.add(byte)
                previous = byte
        else:
            if byte == ord("\\"):
                index += 1
            previous = _byte(body, index)
            members.add(previous)
        index += 1
    chosen = (set(range(256)) - members if negated else members) - {ord("/")}  # no set ever meets a slash
    if not chosen:
        return b"[^\\x00-\\xff]", index + 1
    return b"[" + b"".join(_literal(member) for member in sorted(chosen)) + b"]", index + 1


def _byte(body: bytes, index: int) -> int:
    if index >= len(body):
        raise BadPattern("a bracket is opened and never closed")
    return body[index]
