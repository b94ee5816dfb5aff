"""How the servers under measurement are started: ours without any provider, and the bare one."""

from __future__ import annotations

import sys
from pathlib import Path


def glossator(folder: str) -> tuple[list[str], dict[str, str]]:
    """Return command, as an editor spells it, and environment of Glossator with its state in *folder*, no configuration and no discovery."""
    return [str(Path(sys.executable).with_name("glossator")), "serve"], {
        "GLOSSATOR_CONFIG": str(Path(folder, "config.toml")),
        "GLOSSATOR_STATE_DIR": folder,
        "GLOSSATOR_CACHE_DIR": folder,
        "GLOSSATOR_DISCOVERY": "off",
    }


def bare() -> tuple[list[str], dict[str, str]]:
    """Return command and environment of the reference server."""
    return [sys.executable, str(Path(__file__).with_name("bare_pygls.py"))], {}
