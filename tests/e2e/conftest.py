"""What the tests with real editors share: a project with an error, a scripted provider, and the way to name it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import parts
from e2e.neovim import Checker
from glossator_providers.testing import FakeProvider


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


@pytest.fixture
def no_model(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user without any model: the handbook alone."""
    return _configuration(tmp_path, "")


@pytest.fixture
def with_fake(tmp_path: Path, fake: FakeProvider) -> dict[str, str]:
    """Return the environment of a user whose only model is the test's."""
    return _configuration(
        tmp_path,
        f'[providers.fake]\nkind = "openai-compatible"\nbase_url = "{fake.base_url}"\nmodel = "fake-model"\n',
    )


@pytest.fixture
def with_cloud(tmp_path: Path, fake: FakeProvider) -> dict[str, str]:
    """Return the environment of a user whose only model is at an address that is not this machine's by its name."""
    port = fake.base_url.rsplit(":", 1)[1].split("/")[0]
    return _configuration(
        tmp_path,
        f'[providers.cloud]\nkind = "openai-compatible"\nbase_url = "http://models.example.invalid:{port}/v1"\n'
        'model = "fake-model"\n',
    )


def _configuration(folder: Path, text: str) -> dict[str, str]:
    path = folder / "glossator.toml"
    path.write_text(text)
    return {"GLOSSATOR_CONFIG": str(path)}
