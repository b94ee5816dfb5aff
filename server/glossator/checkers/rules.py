"""What checkers say of their own rules, read from what is installed with them; nothing is fetched."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from glossator.checkers.row import CheckerFailed
from glossator.checkers.toolbox import Toolbox

_LARGEST_FILE = 64_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in the words of its checker: Markdown, made by us from what the checker ships. `name` is its human name, if any."""

    code: str
    text: str
    name: str | None = None


Rules = Mapping[str, Rule]
"""By lower-case code, and by lower-case name where a rule has one."""


async def of_ruff(toolbox: Toolbox, near: str | None) -> Rules:
    """Return all rules of ruff, from its own documentation; raises CheckerFailed."""
    output = await toolbox.call("ruff", ("rule", "--all", "--output-format=json"), near=near)
    try:
        listed = json.loads(output.stdout)
        rules = [Rule(item["code"] or item["name"], _ruff_text(item), item["name"]) for item in listed]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CheckerFailed("ruff did not list its rules in a form that is known here") from None
    return _table(rules)


def _ruff_text(item: Mapping[str, str]) -> str:
    fix = item.get("fix") or ""
    return f"{_without_links(item['explanation'])}\n\n{fix}".strip()


def _without_links(markdown: str) -> str:
    """Return a page with its headings bold and its links spelled out, as `words (address)`; code stays as it is.

    What shows a page need not know of links whose words are code, nor of those whose address stands at the page's end.
    """
    parts = _FENCED.split(markdown.strip())
    addresses = {name.lower(): address for part in parts[::2] for name, address in _DEFINITION.findall(part)}

    def spell(found: re.Match[str]) -> str:
        if found["words"] is None:
            return found[0]
        name = (found["name"] or found["words"]).lower()
        address = found["address"] or addresses.get(name)
        if address is None:  # a name in brackets without any address; brackets alone may be mere words
            return found["words"] if found["name"] or found["words"].startswith("`") else found[0]
        return f"{found['words']} ({address})" if address.startswith("https://") else found["words"]

    for index in range(0, len(parts), 2):
        prose = _DEFINITION.sub("", parts[index])
        prose = re.sub(r"^#+ (.+)$", r"**\1**\n", _LINK.sub(spell, prose), flags=re.MULTILINE)
        parts[index] = re.sub(r"\n{3,}", "\n\n", prose)
    return "".join(parts).strip()


_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_DEFINITION = re.compile(r"^\[([^\]\n]+)\]: *(\S+)$", re.MULTILINE)
_LINK = re.compile(
    r"(?P<code>`+)[^`]+(?P=code)"
    r"|\[(?P<words>(?:`[^`\n]*`|[^\[\]`])+)\](?:\((?P<address>[^\s()]+)\)|\[(?P<name>[^\[\]]*)\])?"
)


async def of_rustc(toolbox: Toolbox, near: str | None) -> Rules:
    """Return the lints of rustc, a line each; its error codes are asked for one by one (`of_rustc_code`); raises CheckerFailed."""
    output = await toolbox.call("rustc", ("-W", "help"), near=near)
    lines = output.stdout.decode("utf-8", "replace").splitlines()
    found = (re.match(r"\s+([a-z][a-z0-9-]+)\s+(allow|warn|deny|forbid)\s+(\S.*)", line) for line in lines)
    return _table(
        Rule(match[1].replace("-", "_"), f"A lint of rustc, by default `{match[2]}`: {match[3]}.")
        for match in found
        if match
    )


def is_error_code(code: str) -> bool:
    """Say whether rustc explains *code* on a page of its own."""
    return re.fullmatch(r"E[0-9]{4}", code) is not None


async def of_rustc_code(code: str, toolbox: Toolbox, near: str | None) -> Rule | None:
    """Return what `rustc --explain` says of an error *code*; raises CheckerFailed."""
    output = await toolbox.call("rustc", ("--explain", code), near=near)
    text = output.stdout.decode("utf-8", "replace").strip()
    return Rule(code, _rust_fences(text)) if output.status == 0 and text else None


def _rust_fences(text: str) -> str:
    """Mark code as Rust, and take away the lines that rustdoc hides."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            lines.append("```rust" if inside and line[3:].strip() in _RUST_FENCES else line)
        elif not (inside and (line == "#" or line.startswith("# "))):
            lines.append(line)
    return re.sub(r"^#{1,4} (.+)$", r"**\1**", "\n".join(lines), flags=re.MULTILINE)


_RUST_FENCES = frozenset({"", "rust", "compile_fail", "edition2018", "edition2021", "ignore", "no_run"})


async def of_gcc(toolbox: Toolbox, near: str | None) -> Rules:
    """Return what each `-W…` option of gcc warns of; raises CheckerFailed."""
    output = await toolbox.call("gcc", ("--help=warnings",), near=near)
    joined = re.sub(r"\n {10,}", " ", output.stdout.decode("utf-8", "replace"))
    found = re.findall(r"^ +(-W[\w+-]+)[^ ]* +(\S.*)$", joined, re.MULTILINE)
    return _table(Rule(option, text.strip()) for option, text in found)


async def of_mypy(toolbox: Toolbox, near: str | None) -> Rules:
    """Return mypy's error codes, from the source beside its program, which is read and not run."""
    return await asyncio.to_thread(_read_mypy, _beside(toolbox, "mypy", near, "mypy/errorcodes.py"))


def _read_mypy(files: list[Path]) -> Rules:
    for file in files:
        source = _text(file)
        try:
            calls = [node for node in ast.walk(ast.parse(source or "")) if isinstance(node, ast.Call)]
        except (SyntaxError, ValueError, RecursionError):
            continue
        found = [
            (call.args[0].value, call.args[1].value, any(word.arg == "default_enabled" for word in call.keywords))
            for call in calls
            if isinstance(call.func, ast.Name)
            and call.func.id == "ErrorCode"
            and len(call.args) > 1
            and isinstance(call.args[0], ast.Constant)
            and isinstance(call.args[1], ast.Constant)
        ]
        if found:
            return _table(
                Rule(str(code), f"{str(what).rstrip('.')}.{_OPTIONAL if optional else ''}")
                for code, what, optional in found
            )
    return {}


_OPTIONAL = "\n\nNot on by default: this project or its `--strict` asked for it."


async def of_pyright(toolbox: Toolbox, near: str | None, *, name: str) -> Rules:
    """Return what each `report…` rule reports, from the source that ships in pyright's source map."""
    maps = _beside(
        toolbox, name, near, "basedpyright/dist/pyright.js.map", "pyright/dist/*.js.map", "dist/pyright*.js.map"
    )
    return await asyncio.to_thread(_read_pyright, maps)


_PYRIGHT_RULE = re.compile(rb"((?:[ ]*//(?:(?!\\n)[^\"])*\\n)+)[ ]*(report[A-Za-z]+): (?:DiagnosticLevel|boolean)")


def _read_pyright(maps: list[Path]) -> Rules:
    for file in maps:
        raw = _bytes(file)
        start = raw.find(b"interface DiagnosticRuleSet")
        if start < 0:
            continue
        rules = []
        for comment, rule in _PYRIGHT_RULE.findall(raw[start : start + 60_000]):
            words = json.loads(b'"' + comment + b'"').replace("//", " ").split()
            code = rule.decode()
            rules.append(
                Rule(code, f"{' '.join(words).rstrip('?.')}.\n\nIts severity is the setting `{code}` of the project.")
            )
        if rules:
            return _table(rules)
    return {}


async def of_tsc(toolbox: Toolbox, near: str | None) -> Rules:
    """Return TypeScript's numbered messages, from the table that the compiler carries."""
    return await asyncio.to_thread(
        _read_tsc, _beside(toolbox, "tsc", near, "lib/_tsc.js", "lib/tsc.js", "typescript/lib/_tsc.js")
    )


_TSC_MESSAGE = re.compile(r'\bdiag\((\d+), (\d) /\* \w+ \*/, "\w+", ("(?:[^"\\]|\\.)*")')
_TSC_KINDS = {"0": "Warning", "1": "Error", "2": "Suggestion", "3": "Message"}


def _read_tsc(files: list[Path]) -> Rules:
    for file in files:
        found = _TSC_MESSAGE.findall(_text(file) or "")
        if found:
            return _table(
                Rule(
                    code,
                    f"{_TSC_KINDS.get(kind, 'Message')} of the TypeScript compiler. In general words:\n\n> {json.loads(text)}",
                )
                for code, kind, text in found
            )
    return {}


def _table(rules: Iterator[Rule] | list[Rule]) -> Rules:
    table: dict[str, Rule] = {}
    for rule in rules:
        table[rule.code.lower()] = rule
        if rule.name:
            table.setdefault(rule.name.lower(), rule)
    return table


def _beside(toolbox: Toolbox, name: str, near: str | None, *patterns: str) -> list[Path]:
    """Return the files that *patterns* name in the package that the program of *name* belongs to."""
    tool = toolbox.find(name, near)
    if tool is None:
        raise CheckerFailed(f"{name} is not installed where Glossator could find it")
    folders: list[Path] = []
    for program in (Path(tool.path), Path(tool.path).resolve()):
        prefix = program.parent.parent
        folders += [
            *prefix.glob("lib/python*/site-packages"),
            prefix / "Lib" / "site-packages",
            prefix,
            program.parent,
            prefix / "node_modules",
        ]
    return [file for pattern in patterns for folder in folders for file in sorted(folder.glob(pattern))]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.stat().st_size <= _LARGEST_FILE else b""
    except OSError:
        return b""


def _text(file: Path) -> str:
    return _bytes(file).decode("utf-8", "replace")


READERS: Mapping[str, Callable[[Toolbox, str | None], Awaitable[Rules]]] = {
    "ruff": of_ruff,
    "rustc": of_rustc,
    "gcc": of_gcc,
    "mypy": of_mypy,
    "pyright": lambda toolbox, near: of_pyright(toolbox, near, name="pyright"),
    "basedpyright": lambda toolbox, near: of_pyright(toolbox, near, name="basedpyright"),
    "tsc": of_tsc,
}
"""Where the rules of a checker are read; shellcheck ships none."""
