"""What the documentation shows of the configuration is what the program takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glossator_providers import config
from glossator_providers.strategies import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(_BLOCK.findall(page.read_text("utf-8")))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example: str, tmp_path: Path) -> None:
    """Each block of TOML in the documentation is a configuration without a mistake and without a warning."""
    path = tmp_path / "config.toml"
    path.write_text(example)
    loaded = config.load(config.Sources(environment={}, user=path, organisation=()))
    assert not loaded.problems


def test_there_are_examples() -> None:
    """The pages are found, and their blocks too."""
    assert len(EXAMPLES) >= 4


def test_every_strategy_is_documented() -> None:
    """The page on routing names each of them."""
    page = (ROOT / "docs" / "routing.md").read_text("utf-8")
    assert not [name for name in BUILT_IN if f"`{name}`" not in page]
