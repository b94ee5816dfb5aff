"""What the tests with a real VS Code share: the installed program, providers, and the folder of their screenshots."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import parts
from editors.vscode import Checker, Installed, install_extensions
from glossator_providers.testing import FakeProvider

SCREENSHOTS = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def installed_vscode(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return a VS Code into which our package was installed."""
    return install_extensions(tmp_path_factory.mktemp("vscode"))


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the pictures that this run leaves for a person to look at."""
    # Not pytest's folder: that of an earlier run goes away with later ones.
    folder = Path(tempfile.mkdtemp(prefix="glossator-screenshots-"))
    request.config.stash[SCREENSHOTS] = folder
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the pictures are."""
    folder = config.stash.get(SCREENSHOTS, None)
    if folder is not None:
        terminalreporter.write_line(f"screenshots of VS Code: {folder}")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a Python project in which ruff reports unused imports and undefined names."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[tool.ruff]\nlint.select = ["F"]\n')
    return folder


@pytest.fixture
def ruff() -> Checker:
    """Return ruff's language server."""
    return Checker("ruff", (parts.program("ruff"), "server"))


@pytest.fixture
def basedpyright() -> Checker:
    """Return basedpyright's language server."""
    return Checker("basedpyright", (parts.program("basedpyright-langserver"), "--stdio"))


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """Run a provider that the test drives by hand."""
    async with FakeProvider("openai-compatible") as provider:
        yield provider


def configure(folder: Path, text: str) -> dict[str, str]:
    """Return the environment of a user with this configuration."""
    path = folder / "glossator.toml"
    path.write_text(text)
    return {"GLOSSATOR_CONFIG": str(path)}


def row(name: str, provider: FakeProvider, *, host: str = "127.0.0.1") -> str:
    """Return a provider's lines of the configuration."""
    address = provider.base_url.replace("127.0.0.1", host)
    return f'[providers.{name}]\nkind = "openai-compatible"\nbase_url = "{address}"\nmodel = "{name}-model"\n'
