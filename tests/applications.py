"""What the tests of the application share: a user's configuration in a temporary folder, and a place to be asked about."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from glossator.app import Application
from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.tasks.task import Ask, Result, TaskEvent
from glossator_providers.testing import FakeProvider, FaultServer, Respond

# An address that is reserved for documentation (RFC 5737): a cloud by its looks, and nobody ever answers there.
CLOUD = '[providers.cloud]\nkind = "openai-compatible"\nbase_url = "http://203.0.113.9:9/v1"\nmodel = "far"\nkey_env = "CLOUD_KEY"\n'
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "GLOSSATOR_TEST_CONNECTIONS")


def table(fake: FakeProvider | FaultServer, *, name: str = "fake", model: str = "fake-model") -> str:
    """Return the configuration of a provider that the test drives."""
    return f'[providers.{name}]\nkind = "{fake.kind}"\nbase_url = "{fake.base_url}"\nmodel = "{model}"\n'


def environment_of(folder: Path, *tables: str, base: Mapping[str, str] = os.environ, **more: str) -> dict[str, str]:
    """Return the environment of a user with these tables as configuration, and nothing else of this machine's."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "config.toml"
    configuration.write_text("[router]\nmax_retries = 0\n\n" + "\n".join(tables), encoding="utf-8")
    return {name: base[name] for name in _KEPT if name in base} | {
        "GLOSSATOR_CONFIG": str(configuration),
        "GLOSSATOR_STATE_DIR": str(folder / "state"),
        "GLOSSATOR_CACHE_DIR": str(folder / "cache"),
        "GLOSSATOR_DISCOVERY": "off",
        **more,
    }


@asynccontextmanager
async def application(
    root: Path, environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Application]:
    """Open an application for one workspace folder."""
    opened = Application.build(roots=(str(root),), environment=environment, clock=clock)
    try:
        yield opened
    finally:
        await opened.aclose()


@asynccontextmanager
async def asking(workspace: Path, respond: Respond | None = None) -> AsyncIterator[tuple[Application, FakeProvider]]:
    """Open an application whose only model is a fake one that behaves so; without *respond* the test drives it."""
    async with (
        FakeProvider(respond=respond) as fake,
        application(workspace, environment_of(workspace.parent / "user", table(fake))) as opened,
    ):
        yield opened, fake


def project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a workspace in which ruff reports pycodestyle's and pyflakes' errors; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ({"ruff.toml": '[lint]\nselect = ["E", "F"]\n'} | dict(files)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def snapshot_of(path: Path, *, language: str = "python", version: int = 1) -> Snapshot:
    """Return what an editor would show of a file."""
    text = path.read_bytes().decode("utf-8")
    return Snapshot.of(text, uri=path.as_uri(), language=language, version=version, path=str(path))


def place_of(snapshot: Snapshot, text: str) -> Region:
    """Return where *text* first stands."""
    start = snapshot.text.index(text)
    return Region(snapshot.point(start), snapshot.point(start + len(text)))


def problem(snapshot: Snapshot, text: str, *, code: str, message: str, source: str = "Ruff") -> Diagnostic:
    """Return a diagnostic at the place where *text* first stands."""
    return Diagnostic(place_of(snapshot, text), message, source, code)


async def follow(opened: Application, ask: Ask) -> tuple[list[TaskEvent], Result]:
    """Run a task; return what it told, and its one result, which must have come last."""
    async with aclosing(opened.run(ask)) as events:
        told = [event async for event in events]
    results = [event for event in told if isinstance(event, Result)]
    assert len(results) == 1, f"a task ends with exactly one result, not with {results}"
    assert told[-1] is results[0], "nothing comes after the result"
    return told, results[0]


START = Region(Point(0, 0), Point(0, 0))
