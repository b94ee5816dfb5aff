"""The checkers that Glossator knows, a row each; a new one is a row and a file that runs and reads it."""

from __future__ import annotations

from collections.abc import Mapping

from glossator.checkers import eslint, gcc, mypy, pyright, ruff, rust, shellcheck, typescript
from glossator.checkers.row import Row

_PYTHON = frozenset({"python"})
_C = frozenset({"c", "cpp", "c++"})
_SCRIPTS = frozenset({"typescript", "typescriptreact", "javascript", "javascriptreact", "tsx", "jsx"})
_SHELL = frozenset({"shellscript", "bash", "sh"})

_ROWS = (
    Row(
        "ruff",
        sources=frozenset({"ruff"}),
        languages=_PYTHON,
        programs=("ruff",),
        command=ruff.command,
        read=ruff.read,
    ),
    Row(
        "basedpyright",
        sources=frozenset({"basedpyright"}),
        languages=_PYTHON,
        programs=("basedpyright",),
        command=pyright.command,
        read=pyright.read,
        shadow=True,
    ),
    Row(
        "pyright",
        sources=frozenset({"pyright", "pylance"}),
        languages=_PYTHON,
        programs=("pyright", "basedpyright"),  # they share their rules and their code
        command=pyright.command,
        read=pyright.read,
        shadow=True,
    ),
    Row(
        "mypy",
        sources=frozenset({"mypy", "pylsp_mypy", "dmypy"}),
        languages=_PYTHON,
        programs=("mypy",),
        command=mypy.command,
        read=mypy.read,
        shadow=True,
        runs_workspace=True,  # `plugins` and `python_executable` of its configuration
    ),
    Row(
        "tsc",
        sources=frozenset({"ts", "typescript", "tsc", "tsserver", "ts-plugin", "deno-ts"}),
        languages=_SCRIPTS,
        programs=("tsc",),
        command=typescript.command,
        read=typescript.read,
        shadow=True,
    ),
    Row(
        "eslint",
        sources=frozenset({"eslint"}),
        languages=_SCRIPTS,
        programs=("eslint",),
        command=eslint.command,
        read=eslint.read,
        runs_workspace=True,  # its configuration is a program
    ),
    Row(
        "shellcheck",
        sources=frozenset({"shellcheck"}),
        languages=_SHELL,
        programs=("shellcheck",),
        command=shellcheck.command,
        read=shellcheck.read,
    ),
    Row(
        "gcc",
        sources=frozenset({"gcc", "g++", "cc", "clang", "clangd"}),
        languages=_C,
        programs=("gcc", "g++"),
        command=gcc.command,
        read=gcc.read,
        shadow=True,
    ),
    Row(
        "rustc",
        sources=frozenset({"rustc", "rust-analyzer"}),
        languages=frozenset({"rust"}),
        programs=("rustc",),
        command=rust.command,
        read=rust.read,
        shadow=True,
    ),
)

ROWS: Mapping[str, Row] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are asked where no diagnostic names one."""
