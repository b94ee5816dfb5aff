"""Rules of an organisation's own, in the TOML of gitleaks: read once, and run by RE2, which no rule can make slow.

Format: https://github.com/gitleaks/gitleaks#configuration; of Betterleaks' `filter` what only compares and lists is read.
An allowlist counts only for the rules of its own file: nothing here opens what another rule closes.
"""

from __future__ import annotations

import re
import secrets
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import re2

from glossator_providers.errors import ConfigError
from glossator_providers.privacy.contents import Finding, entropy, locate

LARGEST = 4 << 20  # bytes of a file of rules; those of gitleaks and Betterleaks have 0.2 and 0.4 million
_MOST_RULES = 5000
_MOST = 20  # findings of one text
_CANDIDATES = 2000  # places of one text; a text with more was made to keep us busy, and is closed
_MEMORY = 16 << 20  # bytes that RE2 may use for one rule

_Target = Literal["secret", "match", "line"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule met, as its allowlists and filters look at it."""

    secret: bytes
    match: bytes
    line: bytes
    path: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Allowlist:
    """What a rule shall not be asked about; with `every` all of its parts must agree, else one is enough."""

    targets: Any  # expressions, of which one must be found in `target`; None where there are none
    target: _Target
    paths: Any
    stopwords: tuple[bytes, ...]
    every: bool

    def allows(self, found: Found) -> bool:
        """Say whether *found* is none after all."""
        said = []
        if self.paths is not None:
            said.append(self.paths.search(found.path) is not None)
        if self.targets is not None:
            said.append(self.targets.search(getattr(found, self.target)) is not None)
        if self.stopwords:
            secret = found.secret.lower()
            said.append(any(word in secret for word in self.stopwords))
        return bool(said) and (all(said) if self.every else any(said))


@dataclass(frozen=True, slots=True, eq=False)
class OwnRule:
    """One rule of a file. Without an `expression` it speaks of the path alone."""

    name: str
    what: str
    expression: Any
    path: Any
    group: int
    entropy: float
    keywords: tuple[bytes, ...]
    allowed: tuple[Callable[[Found], bool], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What a file of rules says, and what of it cannot be done, in words for the user."""

    rules: tuple[OwnRule, ...] = ()
    problems: tuple[str, ...] = ()

    def __add__(self, other: Rules) -> Rules:
        return Rules(self.rules + other.rules, self.problems + other.problems)

    def scan(self, text: str, path: str = "") -> tuple[Finding, ...]:
        """Return what the rules find in *text* of the file *path*: at most twenty places, in the order of the text."""
        data = text.encode("utf-8", "surrogatepass")
        lowered, where = data.lower(), path.encode("utf-8", "surrogateescape")
        spans: list[tuple[int, int, OwnRule]] = []
        looked = 0
        for rule in self.rules:
            if rule.expression is None or (rule.path is not None and rule.path.search(where) is None):
                continue
            if rule.keywords and not any(keyword in lowered for keyword in rule.keywords):
                continue
            for match in rule.expression.finditer(data):
                looked += 1
                start, end = _secret(match, rule.group)
                if looked > _CANDIDATES:
                    flood = OwnRule("too-many", "more secrets than can be looked at", None, None, 0, 0, (), ())
                    spans.append((start, end, flood))
                    return _tell(data, spans)
                if not _is_allowed(rule, match, data, (start, end), where):
                    spans.append((start, end, rule))
                if len(spans) >= _MOST:
                    return _tell(data, spans)
        return _tell(data, spans)

    def closed_paths(self, path: str) -> tuple[OwnRule, ...]:
        """Return the rules that close a file for its path alone."""
        where = path.encode("utf-8", "surrogateescape")
        found = Found(b"", b"", b"", where)
        return tuple(
            rule
            for rule in self.rules
            if rule.expression is None
            and rule.path.search(where) is not None
            and not any(allowed(found) for allowed in rule.allowed)
        )


class Remembered:
    """What rules found in the texts that were asked about last, by a keyed hash: nothing of any text is kept."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._key = secrets.token_hex(8)
        self._known: dict[tuple[Rules, int, int, str], tuple[Finding, ...]] = {}
        self._lock = threading.Lock()

    def scan(self, rules: Rules, text: str, path: str) -> tuple[Finding, ...]:
        """Return what `rules.scan` returns."""
        if not rules.rules:
            return ()
        asked = (rules, len(text), hash(self._key + text), path)
        with self._lock:
            known = self._known.get(asked)
        if known is None:
            known = rules.scan(text, path)
            with self._lock:
                if len(self._known) >= self._size:
                    self._known.clear()
                self._known[asked] = known
        return known


_REMEMBERED = Remembered()


def scan(rules: Rules, text: str, path: str) -> tuple[Finding, ...]:
    """Return what `rules.scan` returns, at once where the same text was asked about before."""
    return _REMEMBERED.scan(rules, text, path)


NO_RULES = Rules()


def parse(content: bytes, source: str) -> Rules:
    """Read a file of rules called *source*; raise ConfigError where it is no such file.

    A rule or allowlist that cannot be run is left out and named in `problems`.
    """
    if len(content) > LARGEST:
        raise ConfigError(f"{source}: the rules are larger than {LARGEST >> 20} MiB; split the file")
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{source}: it cannot be read as rules in TOML ({error}); repair it or name another file"
        ) from error
    written = table.get("rules")
    if not isinstance(written, list) or not all(isinstance(rule, dict) for rule in written) or not written:
        raise ConfigError(f"{source}: there are no [[rules]] in it; name a file of rules as gitleaks reads them")
    if len(written) > _MOST_RULES:
        raise ConfigError(f"{source}: it has more than {_MOST_RULES:,} rules; keep only those that you need")
    return _Reader(source).read(table, written)


class _Reader:
    """Reads one file, and notes what cannot be done."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[str] = []

    def read(self, table: Mapping[str, Any], written: list[dict[str, Any]]) -> Rules:
        if "extend" in table:
            self._note("[extend] is not followed: name each file of rules in privacy.rules")
        everywhere: list[tuple[frozenset[str], Callable[[Found], bool]]] = []
        for allowlist in [*_tables(table.get("allowlist")), *_tables(table.get("allowlists"))]:
            allowed = self._allowlist(allowlist, "an allowlist of the file")
            if allowed is not None:
                everywhere.append((frozenset(_texts(allowlist.get("targetRules"))), allowed))
        everywhere += [(frozenset(), allowed) for allowed in self._filter(table.get("filter"), "the file's filter")]
        rules = [self._rule(rule, number, everywhere) for number, rule in enumerate(written, start=1)]
        return Rules(tuple(rule for rule in rules if rule is not None), tuple(self._problems))

    def _note(self, problem: str) -> None:
        self._problems.append(problem)

    def _rule(
        self, rule: Mapping[str, Any], number: int, everywhere: Iterable[tuple[frozenset[str], Callable[[Found], bool]]]
    ) -> OwnRule | None:
        name = str(rule.get("id") or f"number {number}")
        shown = f"the rule {name}"
        try:
            expression = self._compile(rule.get("regex"), shown)
            path = self._compile(rule.get("path"), shown)
        except _CannotRunError as error:
            self._note(f"{shown} is left out: {error}")
            return None
        group, least = rule.get("secretGroup", 0), rule.get("entropy", 0.0)
        if expression is None and path is None:
            self._note(f"{shown} is left out: it has neither `regex` nor `path`")
            return None
        if not isinstance(group, int) or not isinstance(least, int | float) or group < 0:
            self._note(f"{shown} is left out: its `secretGroup` or `entropy` is no number")
            return None
        if expression is not None and group > expression.groups:
            self._note(f"{shown} is left out: its expression has no group {group}")
            return None
        allowed = [one for only, one in everywhere if not only or name in only]
        for allowlist in [*_tables(rule.get("allowlist")), *_tables(rule.get("allowlists"))]:
            one = self._allowlist(allowlist, f"an allowlist of {shown}")
            allowed += [] if one is None else [one]
        allowed += self._filter(rule.get("filter"), f"the filter of {shown}")
        keywords = tuple(keyword.lower().encode() for keyword in _texts(rule.get("keywords")) if keyword)
        what = f"what {name} describes"
        return OwnRule(name, what, expression, path, group, float(least), keywords, tuple(allowed))

    def _allowlist(self, table: Mapping[str, Any], shown: str) -> Callable[[Found], bool] | None:
        target = table.get("regexTarget", "secret")
        if target not in {"secret", "match", "line"}:
            self._note(f"{shown} is left out: its regexTarget is neither secret, match nor line")
            return None
        try:
            targets = _union(_texts(table.get("regexes")))
            paths = _union(_texts(table.get("paths")))
        except _CannotRunError as error:
            self._note(f"{shown} is left out: {error}")
            return None
        stopwords = tuple(word.lower().encode() for word in _texts(table.get("stopwords")) if word)
        every = str(table.get("condition", "OR")).upper() in {"AND", "&&"}
        if table.get("commits") and every:
            return None  # here is no commit, so never all of it holds
        return Allowlist(targets, target, paths, stopwords, every).allows

    def _filter(self, written: object, shown: str) -> list[Callable[[Found], bool]]:
        """Read the terms of Betterleaks' filters that are joined by "or"; what is not understood is left out and named."""
        if not isinstance(written, str) or not written.strip():
            return []
        terms = [_read_term(term) for term in _terms(written)]
        if None in terms:
            self._note(f"{shown} is not understood as a whole: it finds more than it should")
        return [term for term in terms if term is not None]

    def _compile(self, written: object, shown: str) -> Any:
        if written is None:
            return None
        if not isinstance(written, str):
            raise _CannotRunError(f"an expression of {shown} is no text")
        return _compile(written)


class _CannotRunError(ValueError):
    """RE2 does not run an expression."""


def _compile(expression: str) -> Any:
    options = re2.Options()
    if expression.isascii():
        options.encoding = re2.Options.Encoding.LATIN1  # bytes that are no UTF-8 must not hide what stands beside them
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(expression.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        why = (
            error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        raise _CannotRunError(f"RE2 cannot run {expression[:60]!r} ({why})") from None


def _union(expressions: list[str]) -> Any:
    if not expressions:
        return None
    for expression in expressions:
        _compile(expression)  # so that the one that cannot be run is named
    return _compile("|".join(f"(?:{expression})" for expression in expressions))


def _tables(value: object) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [value]
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


_LITERAL = re.compile(r"`[^`]*`|\"(?:[^\"\\]|\\.)*\"")
_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
_ENTROPY = re.compile(r"\s*(?:filter\.)?entropy\(finding\[\"(secret|match|line)\"\]\)\s*(<=?)\s*([\d.]+)\s*")
_LISTED = re.compile(
    r"\s*(!?)\s*(?:filter\.)?(matches|contains)Any\(finding\[\"(secret|match|line)\"\],\s*\[(.*)\]\s*\)\s*", re.DOTALL
)


def _terms(written: str) -> list[str]:
    """Split a filter at its "or"s, outside of literals and brackets."""
    text = _COMMENT.sub("", written).strip()
    while text.startswith("(") and _closes_at(text) == len(text) - 1:
        text = text[1:-1].strip()
    terms, depth, start, place = [], 0, 0, 0
    while place < len(text):
        literal = _LITERAL.match(text, place)
        if literal is not None:
            place = literal.end()
            continue
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if depth == 0 and text.startswith("||", place):
            terms.append(text[start:place])
            start = place = place + 2
            continue
        place += 1
    return [*terms, text[start:]]


def _closes_at(text: str) -> int:
    """Return where the bracket that *text* begins with is closed, -1 where it never is."""
    depth = place = 0
    while place < len(text):
        literal = _LITERAL.match(text, place)
        if literal is not None:
            place = literal.end()
            continue
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if depth == 0:
            return place
        place += 1
    return -1


def _read_term(term: str) -> Callable[[Found], bool] | None:
    found = _ENTROPY.fullmatch(term)
    if found is not None:
        target, limit, or_equal = found[1], float(found[3]), found[2] == "<="
        return lambda place: (least := entropy(getattr(place, target))) < limit or (or_equal and least == limit)
    found = _LISTED.fullmatch(term)
    if found is None:
        return None
    target, negated = found[3], bool(found[1])
    words = [_plain(literal) for literal in _LITERAL.findall(found[4])]
    if found[2] == "contains":
        wanted = [word.lower().encode() for word in words]
        return lambda place: any(word in getattr(place, target).lower() for word in wanted) != negated
    try:
        union = _union(words)
    except _CannotRunError:
        return None
    return None if union is None else lambda place: (union.search(getattr(place, target)) is not None) != negated


def _plain(literal: str) -> str:
    return literal[1:-1] if literal[0] == "`" else re.sub(r"\\(.)", r"\1", literal[1:-1])


def _secret(match: Any, group: int) -> tuple[int, int]:
    """Return the place of the secret: the group that the rule names, else its first that met something, else all."""
    if group:
        start, end = match.span(group)
        return (start, end) if start >= 0 else match.span()
    for number in range(1, match.re.groups + 1):
        start, end = match.span(number)
        if end > start:
            return start, end
    start, end = match.span()
    return start, end


def _is_allowed(rule: OwnRule, match: Any, data: bytes, place: tuple[int, int], path: bytes) -> bool:
    secret = data[place[0] : place[1]]
    if rule.entropy and entropy(secret) <= rule.entropy:
        return True
    if not rule.allowed:
        return False
    start, end = match.span()
    first, last = data.rfind(b"\n", 0, start) + 1, data.find(b"\n", end)
    found = Found(secret, data[start:end], data[first : last if last >= 0 else len(data)], path)
    return any(allowed(found) for allowed in rule.allowed)


def _tell(data: bytes, spans: list[tuple[int, int, OwnRule]]) -> tuple[Finding, ...]:
    if not spans:
        return ()
    places = locate(data, sorted({place for start, end, _ in spans for place in (start, end)}))
    findings = []
    for start, end, rule in sorted(spans, key=lambda span: span[:2]):
        place, line, column = places[start]
        findings.append(Finding(rule.name, rule.what, place, places[end][0], line, column))
    return tuple(findings)
