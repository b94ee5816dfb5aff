"""How checkers are silenced instead of satisfied, in comments and in code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_HASH = frozenset({"python", "shellscript", "bash", "sh"})

# One pass over a text: what comes first wins, so that a `#` inside of a string begins no comment and a quote inside of a
# comment no string. A string that is not closed ends with its line.
_HASH_TOKENS = re.compile(
    r"""(?P<string>[rRbBuUfFtT]{0,2}(?:\"{3}.*?(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z))
    |"(?:\\.|[^"\\\n\r])*"?|'(?:\\.|[^'\\\n\r])*'?)
    |(?P<comment>\#[^\n\r]*)""",
    re.VERBOSE | re.DOTALL,
)
_SHELL_TOKENS = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'[^']*'|\\.|\$\#|\$\{[^}\n]*\})
    |(?P<comment>(?:(?<=[\s;|&()])|\A)\#[^\n\r]*)""",
    re.VERBOSE | re.DOTALL,
)
_SLASH_TOKENS = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\\n\r])*"?|`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\\n\r])*')
    |(?P<comment>//[^\n\r]*|/\*.*?(?:\*/|\Z))""",
    re.VERBOSE | re.DOTALL,
)

_CODES = r"[\w:/@.-]+(?:[ \t]*,[ \t]*[\w:/@.-]+)*"
# In comments; `codes` are the rules that are named, a comment without them silences all.
_IN_COMMENTS: Mapping[str, re.Pattern[str]] = {
    "noqa": re.compile(rf"#\s*(?:(?:ruff|flake8)\s*:\s*)?noqa\b(?:\s*:\s*(?P<codes>{_CODES}))?", re.IGNORECASE),
    "ruff: ignore": re.compile(
        rf"#\s*ruff\s*:\s*(?:file-)?(?:ignore|disable)\b(?:\s*\[\s*(?P<codes>{_CODES})\s*\])?", re.IGNORECASE
    ),
    "type: ignore": re.compile(rf"#\s*type\s*:\s*ignore\b(?:\s*\[\s*(?P<codes>{_CODES})\s*\])?", re.IGNORECASE),
    "pyright: ignore": re.compile(
        rf"#\s*(?:based)?pyright\s*:\s*ignore\b(?:\s*\[\s*(?P<codes>{_CODES})\s*\])?", re.IGNORECASE
    ),
    "pyright: basic": re.compile(
        r"#\s*(?:based)?pyright\s*:\s*(?:basic|off|(?P<codes>report\w+)\s*=\s*(?:false|none|\"?none\"?))", re.IGNORECASE
    ),
    "mypy: ignore-errors": re.compile(r"#\s*mypy\s*:\s*(?P<codes>[\w-]+)", re.IGNORECASE),
    "ty: ignore": re.compile(
        rf"#\s*(?:ty|pyrefly|pyre|pytype)\s*:\s*(?:ignore|disable)\b(?:\s*[\[=]\s*(?P<codes>{_CODES}))?", re.IGNORECASE
    ),
    "pyre-ignore": re.compile(r"#\s*pyre-(?:ignore|fixme)\w*(?:\[(?P<codes>[\w, ]+)\])?", re.IGNORECASE),
    "pylint: disable": re.compile(
        rf"#\s*pylint\s*:\s*(?:disable(?:-next)?\s*=\s*(?P<codes>{_CODES})|skip-file)", re.IGNORECASE
    ),
    "nosec": re.compile(r"#\s*nosec\b(?:\s*:?\s*(?P<codes>[BS][0-9]{3}(?:[ ,]+[BS][0-9]{3})*))?"),
    "shellcheck disable": re.compile(rf"#\s*shellcheck\s+.*?\bdisable\s*=\s*(?P<codes>{_CODES})", re.IGNORECASE),
    "@ts-ignore": re.compile(r"@ts-(?:ignore|expect-error|nocheck)\b"),
    "eslint-disable": re.compile(rf"eslint-disable(?:-next-line|-line)?\b(?:[ \t]+(?!--)(?P<codes>{_CODES}))?"),
    "eslint off": re.compile(r"/\*\s*eslint\s+(?P<codes>[\w/@-]+)\s*:\s*[\"'\[]*(?:0|off)\b"),
    "biome-ignore": re.compile(
        r"(?:biome|deno-lint|oxlint|prettier|tslint)[-:](?:ignore|disable)\S*(?:[ \t]+(?P<codes>[\w/-]+))?"
    ),
    "nolint": re.compile(r"//\s*nolint\b(?:\s*:\s*(?P<codes>[\w,-]+))?"),
    "NOLINT": re.compile(r"\bNOLINT(?:NEXTLINE|BEGIN)?\b(?:\(\s*(?P<codes>[^)\n]*)\))?"),
    "lint:ignore": re.compile(r"//\s*lint:(?:file-)?ignore\s+(?P<codes>[\w,]+)"),
    "cppcheck-suppress": re.compile(r"cppcheck-suppress\S*(?:\s+(?P<codes>\w+))?"),
}
# In code, strings and comments taken out.
_IN_CODE: Mapping[str, tuple[frozenset[str], re.Pattern[str]]] = {
    "as any": (
        frozenset({"typescript", "typescriptreact", "tsx"}),
        re.compile(r"\bas\s+(?:any|unknown\s+as|never)\b|<any>\s*[\w(\[{]"),
    ),
    "#[allow]": (
        frozenset({"rust"}),
        re.compile(r"#!?\[\s*(?:cfg_attr\s*\([^\]]*?,\s*)?(?:allow|expect)\s*\(\s*(?P<codes>[^)\]]*)\)"),
    ),
    "#pragma": (
        frozenset({"c", "cpp", "c++"}),
        re.compile(
            r"(?:\#\s*pragma|_Pragma\s*\()\s*(?:(?:GCC|clang)\s+(?:diagnostic\s+ignored|system_header)|warning\s*\(\s*disable)"
        ),
    ),
    "no_type_check": (frozenset({"python"}), re.compile(r"\bno_type_check\b")),
    "cast to Any": (frozenset({"python"}), re.compile(r"\bcast\s*\(\s*(?:typing\s*\.\s*)?Any\s*,")),
}


def silenced(language: str, old: str, new: str) -> str | None:
    """Return the name of a suppression that *new* has and *old* has not, or that silences more in *new*; else None."""
    before, after = _found(language, old), _found(language, new)
    for kind in after:
        was, now = before.get(kind, Counter()), after[kind]
        if now[""] > was[""]:
            return kind
        # A blanket suppression that now names its rules silences less, not more.
        if now - was and not was[""] > now[""]:
            return kind
    return None


def without_comments(language: str, text: str) -> str:
    """Return *text* without its comments, line for line."""
    return _tokens(language).sub(lambda match: match[0] if match["comment"] is None else _ends(match["comment"]), text)


def _ends(comment: str) -> str:
    return "".join(character for character in comment if character in "\r\n")


def _found(language: str, text: str) -> dict[str, Counter[str]]:
    """Count by kind the rules that *text* silences; the empty one stands for all rules."""
    found: dict[str, Counter[str]] = {}
    comments, code = _split(language, text)
    for kind, pattern in _IN_COMMENTS.items():
        for match in pattern.finditer(comments):
            found.setdefault(kind, Counter()).update(_codes(match))
    for kind, (languages, pattern) in _IN_CODE.items():
        if language in languages:
            for match in pattern.finditer(code):
                found.setdefault(kind, Counter()).update(_codes(match))
    return found


def _codes(match: re.Match[str]) -> Iterator[str]:
    named = match.groupdict().get("codes") or ""
    codes = [code for code in re.split(r"[\s,]+", named) if code]
    yield from codes or [""]


def _split(language: str, text: str) -> tuple[str, str]:
    """Return the comments of *text*, a line each or more, and its code with strings and comments blanked."""
    comments: list[str] = []

    def take(match: re.Match[str]) -> str:
        comment = match["comment"]
        if comment is not None:
            comments.append(comment)
            return " "
        return '""'

    code = _tokens(language).sub(take, text)
    return "\n".join(comments), code


def _tokens(language: str) -> re.Pattern[str]:
    return _HASH_TOKENS if language == "python" else _SHELL_TOKENS if language in _HASH else _SLASH_TOKENS
