"""The house stands as it was drawn: who may know whom, who opens sockets, who clears a request, who prints."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"glossator_providers": ROOT / "providers", "glossator": ROOT / "server"}

# From the ground up. A room may import rooms of its own floor and of those below. A name with a dot is a room of its own.
FLOORS: dict[str, tuple[frozenset[str], ...]] = {
    "glossator_providers": (
        frozenset({"model", "errors"}),
        frozenset({"framing", "secrets", "config_file", "retry", "traits", "allowances"}),
        frozenset({"catalog"}),
        frozenset({"published", "auth", "aws", "dialects", "watchdog", "breaker", "window", "shared_quota", "limits"}),
        frozenset({"health", "adaptive", "strategies", "hedging"}),
        frozenset({"privacy"}),
        frozenset({"config", "egress_ledger", "google_tokens", "transport"}),
        frozenset({"capabilities", "cost", "budget", "lessons", "usage_ledger", "keys"}),
        frozenset({"models", "embedded", "embedded_child"}),
        frozenset({"discovery", "asking", "route", "checking"}),
        frozenset({"state", "race", "remaining"}),
        frozenset({"router"}),
        frozenset({"testing"}),
    ),
    "glossator": (
        frozenset({"document"}),
        frozenset(
            {
                "tasks.task",
                "matching",
                "buffer",
                "markdown",
                "syntax",
                "settings",
                "consent",
            }
        ),
        frozenset({"edits", "merge", "checkers", "context", "session", "shelf", "structure"}),
        frozenset({"answer", "handbook", "verify"}),
        frozenset({"tasks"}),
        frozenset({"lsp"}),
        frozenset({"app", "preview", "status", "looks"}),
        frozenset({"cli", "__main__"}),
    ),
}

NETWORK = (
    "httpx",
    "httpcore",
    "ssl",
    "socket",
    "urllib.request",
    "http.client",
    "requests",
    "aiohttp",
    "anyio",
    "socketserver",
)
EDITOR = ("lsprotocol", "pygls")
INPUT_OUTPUT = (
    *NETWORK,
    "asyncio",
    "os",
    "io",
    "pathlib",
    "subprocess",
    "shutil",
    "tempfile",
    "threading",
    "random",
)
OPENERS = frozenset({
    *("open_connection", "open_unix_connection", "create_connection", "create_unix_connection", "create_datagram_endpoint"),
    *("sock_connect", "start_server", "start_unix_server", "create_server", "create_unix_server", "start_tls"),
})  # fmt: skip
LISTENS = {
    "glossator_providers.testing.loopback": "providers for tests: they listen on loopback and never connect",
    "glossator_providers.testing.fake": "resets a connection that it was given, as a server that crashed does",
    "glossator_providers.testing.faults": "is given the certificate of a server for tests, and hands it on",
    "glossator.lsp.tcp": "`serve --tcp` waits on loopback for the editor, and never connects",
}
# google-auth may connect too: it is given the door's own exchange, and none of its transports is imported.
GOOGLE_SIGNER = "glossator_providers.google_tokens"
SIGNER = "glossator_providers.aws"  # botocore has an HTTP client of its own: it is wanted for its signatures alone
STORE = "glossator_providers.shared_quota"  # connects to the one store that the user or the organisation configured
STORE_LIBRARIES = ("limits", "redis", "valkey", "coredis")
PRINTS = {
    "glossator.__main__": "`--version` and the usage are answered before the command line is imported",
    "glossator.lsp.tcp": "with `--tcp HOST:0` a client must learn the port",
}
HEAVY = (
    "limits",
    "redis",
    "genai_prices",
    "botocore",
    "pydantic",
    "httpx",
    "httpcore",
    "anyio",
    "pygls",
    "lsprotocol",
    "re2",
    "jinja2",
    "typer",
    "rich",
    "markdown_it",
    "tree_sitter",
)


@dataclass(frozen=True)
class Module:
    """One file of the product, read."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        """The room it stands in, on the table of floors."""
        inner = self.name.partition(".")[2]
        named = [
            room for floor in FLOORS[self.package] for room in floor if inner == room or inner.startswith(f"{room}.")
        ]
        return max(named, key=len, default=inner.partition(".")[0])


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of both packages."""
    found = []
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path, ast.parse(path.read_text("utf-8"))))
    return tuple(found)


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Yield each imported name with its line, at whatever depth, those for the type checker alone left out."""
    for_types = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(module.tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def is_of(name: str, packages: tuple[str, ...]) -> bool:
    """Say whether *name* is one of *packages* or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def importing(module: Module, packages: tuple[str, ...]) -> Iterator[str]:
    """Yield where *module* imports one of *packages*."""
    yield from (f"{module.path}:{line} imports {name}" for name, line in imports(module) if is_of(name, packages))


def check_providers_know_no_editor(module: Module) -> Iterator[str]:
    """Keep the product and LSP out of the providers."""
    if module.package == "glossator_providers":
        yield from importing(module, ("glossator", *EDITOR))


def check_only_lsp_knows_lsp(module: Module) -> Iterator[str]:
    """Keep LSP's libraries in the `lsp` rooms."""
    if not is_of(module.name, ("glossator.lsp", "glossator.__main__")):
        yield from importing(module, EDITOR)


def check_one_door(module: Module) -> Iterator[str]:
    """Let only the door import what can open a socket, and connect."""
    if module.name == "glossator_providers.transport":
        return
    if module.name not in LISTENS:
        yield from importing(module, NETWORK)
    if module.name != SIGNER:
        yield from importing(module, ("botocore", "boto3"))
    if module.name != STORE:
        yield from importing(module, STORE_LIBRARIES)
    if module.name != GOOGLE_SIGNER:
        yield from importing(module, ("google.auth", "google.oauth2"))
    else:
        yield from importing(module, ("google.auth.transport", "google.auth.default", "google.auth.compute_engine"))
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in OPENERS
            and not (module.name in LISTENS and "server" in node.attr)
        ):
            yield f"{module.path}:{node.lineno} uses {node.attr}"


def check_only_privacy_clears(module: Module) -> Iterator[str]:
    """Let nobody but privacy make a `Cleared`, or get hold of what makes one."""
    if module.name == "glossator_providers.privacy.decide":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = any(getattr(argument, "id", "") == "Cleared" for argument in node.args)
            if called == "Cleared" or (called == "__new__" and given):
                yield f"{module.path}:{node.lineno} makes a Cleared"
        elif isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Cleared" for base in node.bases):
            yield f"{module.path}:{node.lineno} inherits from Cleared"
        elif isinstance(node, (ast.Name, ast.Attribute)) and "privacy.decide._TOKEN" in ast.unparse(node):
            yield f"{module.path}:{node.lineno} takes the token"
    yield from importing(module, ("glossator_providers.privacy.decide._TOKEN",))


def check_docstring(module: Module) -> Iterator[str]:
    """Begin a module with a sentence that says what it is for."""
    first = (ast.get_docstring(module.tree) or "").partition("\n\n")[0]
    if not first.endswith((".", ":", ";")):
        yield f"{module.path}:1 does not begin with a sentence that says what it is for"


def check_full_imports(module: Module) -> Iterator[str]:
    """Spell imports in full."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{module.path}:{node.lineno} imports relatively"


def check_silence(module: Module) -> Iterator[str]:
    """Only the command line prints: on stdout stands the protocol."""
    if is_of(module.name, ("glossator.cli",)) or module.name in PRINTS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "breakpoint"}:
            yield f"{module.path}:{node.lineno} calls {node.func.id}"


def check_no_shell(module: Module) -> Iterator[str]:
    """No child process is started through a shell."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", True) is not False:
            yield f"{module.path}:{node.value.lineno} passes shell="
        if isinstance(node, ast.Attribute) and node.attr in {
            "create_subprocess_shell",
            "getoutput",
            "getstatusoutput",
            "popen",
        }:
            yield f"{module.path}:{node.lineno} uses {node.attr}"
        if isinstance(node, ast.Attribute) and node.attr == "system" and getattr(node.value, "id", "") == "os":
            yield f"{module.path}:{node.lineno} uses os.system"


def check_pure_dialects(module: Module) -> Iterator[str]:
    """Keep input and output away from what reads and writes wire formats: it runs on bytes alone."""
    pure = ("dialects", "framing", "model", "errors", "traits", "allowances", "privacy.patterns", "privacy.contents")
    if is_of(module.name, tuple(f"glossator_providers.{room}" for room in pure)):
        yield from importing(module, INPUT_OUTPUT)


def check_floors(module: Module) -> Iterator[str]:
    """Nothing imports from a floor above its own."""
    heights = {room: height for height, floor in enumerate(FLOORS[module.package]) for room in floor}
    if module.room and module.room not in heights:
        yield f"{module.path}:1 stands on no floor: put the room {module.room} into FLOORS in {Path(__file__).name}"
        return
    here = heights.get(module.room, len(heights))
    for name, line in imports(module):
        if is_of(name, (module.package,)) and name != module.package:
            room = Module(name, module.path, module.tree).room
            if heights.get(room, -1) > here:
                yield f"{module.path}:{line} imports {name} from a floor above"


CHECKS: tuple[Callable[[Module], Iterator[str]], ...] = (
    check_providers_know_no_editor,
    check_only_lsp_knows_lsp,
    check_one_door,
    check_only_privacy_clears,
    check_docstring,
    check_full_imports,
    check_silence,
    check_no_shell,
    check_pure_dialects,
    check_floors,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_stands(check: Callable[[Module], Iterator[str]]) -> None:
    """Every module of the product keeps every rule of the house."""
    violations = [violation for module in modules() for violation in check(module)]
    assert not violations, f"{check.__doc__}\n" + "\n".join(violations)


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (check_providers_know_no_editor, "glossator_providers.router", "from glossator.document import Point"),
        (check_providers_know_no_editor, "glossator_providers.router", "def f():\n    import lsprotocol.types"),
        (check_only_lsp_knows_lsp, "glossator.app", "from lsprotocol import types"),
        (check_one_door, "glossator_providers.router", "import httpx"),
        (check_one_door, "glossator.app", "def f():\n    from urllib.request import urlopen"),
        (check_one_door, "glossator.app", "import asyncio\nasyncio.open_connection('a', 1)"),
        (check_one_door, "glossator.lsp.tcp", "loop.create_connection(x)"),
        (check_one_door, "glossator_providers.router", "from botocore.session import Session"),
        (check_one_door, "glossator_providers.router", "from google.oauth2 import service_account"),
        (check_one_door, "glossator_providers.router", "from redis.asyncio import Redis"),
        (check_one_door, "glossator_providers.limits", "import limits.aio"),
        (check_one_door, "glossator_providers.google_tokens", "import google.auth.transport.requests"),
        (check_only_privacy_clears, "glossator_providers.router", "Cleared(request, decision, policy, object())"),
        (check_only_privacy_clears, "glossator_providers.router", "object.__new__(Cleared)"),
        (
            check_only_privacy_clears,
            "glossator_providers.router",
            "from glossator_providers.privacy.decide import _TOKEN",
        ),
        (check_only_privacy_clears, "glossator_providers.router", "class Mine(Cleared): pass"),
        (check_docstring, "glossator.app", "import os"),
        (check_docstring, "glossator.app", '"""Stuff"""'),
        (check_full_imports, "glossator.app", "from .document import Point"),
        (check_silence, "glossator.app", "print('hello')"),
        (check_no_shell, "glossator.app", "subprocess.run('ls', shell=True)"),
        (check_no_shell, "glossator.app", "os.system('ls')"),
        (check_pure_dialects, "glossator_providers.dialects.ollama", "import asyncio"),
        (check_floors, "glossator_providers.model", "from glossator_providers.router import Router"),
        (check_floors, "glossator.tasks.task", "from glossator.tasks.fix import fix"),
        (check_floors, "glossator.somewhere", "import os"),
    ],
)
def test_the_rules_see_what_breaks_them(check: Callable[[Module], Iterator[str]], name: str, source: str) -> None:
    """Each rule finds its own violation in a module that breaks it, so its silence means something."""
    assert list(check(Module(name, Path("it.py"), ast.parse(source))))


def test_exceptions_are_still_needed() -> None:
    """An exception that no module needs any more is taken off its list."""
    names = {module.name for module in modules()}
    assert {*LISTENS, *PRINTS, SIGNER, STORE} <= names


@pytest.mark.skipif(importlib.util.find_spec("glossator.__main__") is None, reason="the entry point is not written yet")
def test_nothing_heavy_is_imported_before_initialize() -> None:
    """What the server loads until it can answer `initialize` contains no library that can wait."""
    program = (
        "import sys, importlib.util\n"
        "import glossator.__main__\n"
        "if importlib.util.find_spec('glossator.lsp.boot'):\n"
        "    import glossator.lsp.boot\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
