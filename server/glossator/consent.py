"""Ask once per workspace before a cloud is used that nobody configured, and remember the yes in the user's own folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from glossator_providers.catalog import Provider

Consent = Callable[[str], Awaitable[bool]]
"""Ask the user this question; True is yes."""

HOW_TO_ALLOW = (
    "configure the provider in config.toml, or allow it once for this workspace: in the editor when asked, "
    "on the command line with --allow-cloud or `glossator privacy allow`"
)


class Remembered:
    """Which workspaces the user has let use the clouds whose keys are in the environment; a broken memory is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "consent.json"

    def allowed(self, roots: tuple[str, ...]) -> bool:
        """Say whether the user has said yes for exactly these folders; nobody is asked."""
        return bool(roots) and _name(roots) in self._read()

    def allow(self, roots: tuple[str, ...]) -> None:
        """Remember a yes. Where that cannot be written the user is asked again next time."""
        if roots:
            with contextlib.suppress(OSError):
                self._write({*self._read(), _name(roots)})

    def revoke(self, roots: tuple[str, ...]) -> None:
        """Forget a yes. Raises OSError where that cannot be written: a yes that goes on must not look like a no."""
        kept = self._read()
        if roots and _name(roots) in kept:
            self._write(kept - {_name(roots)})

    def others(self, roots: tuple[str, ...]) -> int:
        """Return in how many other workspaces the user has said yes."""
        return len(self._read() - {_name(roots)})

    def _write(self, kept: Iterable[str]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=".consent-")  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"version": 1, "clouds_allowed": sorted(kept)}, file)
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def _read(self) -> frozenset[str]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return frozenset()
        kept = content.get("clouds_allowed") if isinstance(content, dict) else None
        return frozenset(one for one in kept if isinstance(one, str)) if isinstance(kept, list) else frozenset()


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for what Glossator remembers: GLOSSATOR_STATE_DIR, or where the platform keeps such things."""
    if told := environment.get("GLOSSATOR_STATE_DIR"):
        return Path(told).expanduser()
    import platformdirs

    return platformdirs.user_state_path("glossator")


def question(providers: tuple[Provider, ...]) -> str:
    """Return what the user is asked: who would get the code, and that it is asked once."""
    names = " and ".join(provider.name for provider in providers)
    return (
        f"Send code of this workspace to {names}? Only keys in the environment name "
        f"{'it' if len(providers) == 1 else 'them'}; private files stay here in any case. This is asked once per workspace"
    )


def _name(roots: tuple[str, ...]) -> str:
    """Return a digest: which folders a user works in is nobody's business, not even that of a backup."""
    return hashlib.sha256(
        "\0".join(sorted(map(os.path.normpath, roots))).encode("utf-8", "surrogateescape")
    ).hexdigest()
