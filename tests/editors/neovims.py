"""The real Neovims that tests can run: those that `install.sh` brought, and one on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import parts

OLDEST = (0, 10)


@dataclass(frozen=True, slots=True)
class Installed:
    """One Neovim; `version` is its major and minor number."""

    version: tuple[int, int]
    program: Path

    def __str__(self) -> str:
        return f"nvim-{self.version[0]}.{self.version[1]}"


@cache
def find_neovims() -> tuple[Installed, ...]:
    """Return one Neovim of each version that is new enough, the oldest first."""
    stamps = sorted(parts.folder().glob("nvim-*/.glossator-part"))
    programs = [stamp.parent / "usr" / "bin" / "nvim" for stamp in stamps]
    if (on_path := shutil.which("nvim")) is not None:
        programs.append(Path(on_path))
    found = [Installed(version, program) for program in programs if (version := version_of(program)) is not None]
    return tuple({one.version: one for one in sorted(found, key=lambda one: one.version)}.values())


def version_of(program: Path) -> tuple[int, int] | None:
    """Return the version of a Neovim, None where it does not start or is too old."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except OSError:
        return None
    match = re.match(r"NVIM v(\d+)\.(\d+)\.", told)
    if match is None:
        return None
    version = (int(match[1]), int(match[2]))
    return version if version >= OLDEST else None


def neovims() -> list[object]:
    """Return the parameters of a test that runs in each Neovim; without any it is one that skips with the reason."""
    if found := find_neovims():
        return [pytest.param(one, id=str(one)) for one in found]
    reason = (
        "no Neovim 0.10 or newer is installed: tests/editors/install.sh brings two where the system is Debian or Ubuntu"
    )
    return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="nvim")]
