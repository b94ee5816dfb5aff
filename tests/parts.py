"""Where the parts that a test needs can be found; a test whose part is absent says so and skips."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_data(*names: str) -> Path:
    """Return a folder or file of the recorded data, or skip: it lies beside the checkout, in `../shared/data`."""
    folder = Path(os.environ.get("GLOSSATOR_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = folder.joinpath(*names)
    if not path.exists():
        pytest.skip(f"the recorded data {'/'.join(names)} is not beside the checkout")
    return path


def folder() -> Path:
    """Return where `parts.sh` puts what it brings for all checkouts."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GLOSSATOR_TEST_PARTS") or Path(cache_home) / "glossator-test-parts")


def program(name: str) -> str:
    """Return the path of an installed program, the environment's own first, or skip."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
