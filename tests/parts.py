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


def program(name: str) -> str:
    """Return the path of an installed program, the environment's own first, or skip."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
