"""The VS Code extension's package: what it may take from a workspace, and that its commands are the server's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import parts
from glossator.lsp.capabilities import COMMANDS

FOLDER = parts.ROOT / "editors" / "vscode"


@pytest.fixture
def package() -> dict[str, Any]:
    """Return `package.json`."""
    told = json.loads((FOLDER / "package.json").read_text())
    assert isinstance(told, dict)
    return told


def test_a_workspace_cannot_choose_the_program(package: dict[str, Any]) -> None:
    """What names a program or its arguments is a setting of the machine, and restricted where trust is missing."""
    properties = package["contributes"]["configuration"]["properties"]
    dangerous = ["glossator.path", "glossator.arguments"]
    assert [properties[name]["scope"] for name in dangerous] == ["machine", "machine"]
    trust = package["capabilities"]["untrustedWorkspaces"]
    assert trust["supported"] == "limited"
    assert trust["restrictedConfigurations"] == dangerous


def test_settings_hold_no_provider_and_no_key(package: dict[str, Any]) -> None:
    """Models and keys are configured for the server: no setting of the editor can add or redirect one."""
    properties = package["contributes"]["configuration"]["properties"]
    assert not [
        name for name in properties if any(word in name.lower() for word in ("provider", "key", "url", "model"))
    ]


def test_commands_are_those_of_the_server(package: dict[str, Any]) -> None:
    """Each command that is offered is the server's own, or the one that starts it again."""
    offered = {command["command"] for command in package["contributes"]["commands"]}
    assert offered - {"glossator.restart"} <= set(COMMANDS)
    assert {"glossator.explain", "glossator.fix", "glossator.refactor", "glossator.ask"} <= offered
    in_menu = {item["command"] for item in package["contributes"]["menus"]["glossator.menu"]}
    assert in_menu <= offered


def test_lock_file_names_no_registry() -> None:
    """The lock file holds hashes and no address of the registry that made it."""
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)


@pytest.mark.slow
def test_types_hold(tmp_path: Path) -> None:
    """TypeScript's strictest reading of the sources finds nothing."""
    compiler = FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("the extension's packages are not installed: `npm ci` in editors/vscode brings them")
    command = [parts.program("node"), str(compiler), "--noEmit", "--project", str(FOLDER)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stdout
