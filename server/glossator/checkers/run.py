"""Start a checker's process, bounded in time and output, and leave nothing of it behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from glossator.checkers.row import CheckerFailed, Output

LARGEST_OUTPUT = 32_000_000  # bytes, stdout and stderr together
_PATIENCE = 0.5  # seconds in which the output must end after the process has, and the process after it was killed

# What a checker needs of the user's environment; keys and proxies are not among it.
_PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "SYSTEMROOT",
    "COMSPEC",
    "PATHEXT",
    "APPDATA",
    "LOCALAPPDATA",
    "USERPROFILE",
    "PROGRAMFILES",
    "XDG_CONFIG_HOME",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "MYPYPATH",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "NVM_DIR",
    "VOLTA_HOME",
    "FNM_DIR",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "NIX_PATH",
    "GUIX_PROFILE",
)
_SET = {
    "LC_ALL": "C.UTF-8",  # messages are compared, so that they must be in one language
    "NO_COLOR": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONSAFEPATH": "1",  # no module of the folder in which a tool happens to run
    "PYTHONUTF8": "1",
    "RUSTUP_AUTO_INSTALL": "0",  # nothing is fetched because somebody asked for a check
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
}


def trim(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return what of *environment* a checker gets; its temporary files go to *scratch*."""
    passed = {name: environment[name] for name in _PASSED if name in environment}
    return passed | _SET | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}


async def run(
    arguments: tuple[str, ...],
    *,
    folder: Path,
    stdin: bytes,
    environment: Mapping[str, str],
    time_limit: float,
) -> Output:
    """Run a program and return what it left, its whole process group ended; *time_limit* in seconds.

    Raises CheckerFailed when it cannot be started, takes too long or writes too much.
    """
    name = Path(arguments[0]).name
    loop = asyncio.get_running_loop()
    try:
        transport, collector = await loop.subprocess_exec(
            _Collector,
            *arguments,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CheckerFailed(f"{name} could not be started: {getattr(error, 'strerror', None) or error}") from None
    try:
        async with asyncio.timeout(time_limit):
            collector.write(transport, stdin)
            await collector.finished.wait()
            with contextlib.suppress(TimeoutError):
                # A child that it left behind may hold its output open.
                async with asyncio.timeout(_PATIENCE):
                    await collector.ended.wait()
    except TimeoutError:
        raise CheckerFailed(f"{name} did not answer within {time_limit:g} s and was stopped") from None
    finally:
        _end_group(transport.get_pid())
        with contextlib.suppress(TimeoutError):
            # The operating system takes a moment; a process that even SIGKILL does not end is left to it.
            async with asyncio.timeout(_PATIENCE):
                await collector.exited.wait()
        transport.close()
    if collector.too_much:
        raise CheckerFailed(f"{name} wrote more than {LARGEST_OUTPUT // 1_000_000} MB and was stopped")
    status = transport.get_returncode()
    if status is None or status < 0:
        how = signal.strsignal(-status) if status else None
        raise CheckerFailed(f"{name} crashed: {how or 'it ended without a status'}")
    return Output(status, bytes(collector.received[1]), bytes(collector.received[2]))


def _end_group(pid: int) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


class _Collector(asyncio.SubprocessProtocol):
    """What one process writes, up to `LARGEST_OUTPUT`; then its end."""

    def __init__(self) -> None:
        self.received = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.finished = asyncio.Event()  # it has exited, or need not go on
        self.ended = asyncio.Event()
        self.too_much = False
        self._open = {1, 2}

    def write(self, transport: asyncio.SubprocessTransport, data: bytes) -> None:
        """Give *data* to the process as its whole standard input."""
        pipe = cast("asyncio.WriteTransport | None", transport.get_pipe_transport(0))
        if pipe is not None:
            pipe.write(data)
            pipe.write_eof()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if sum(map(len, self.received.values())) + len(data) > LARGEST_OUTPUT:
            self.too_much = True
            self.finished.set()
            self.ended.set()
            return
        self.received[fd] += data

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  asyncio names it
        self._open.discard(fd)
        if not self._open:
            self.ended.set()

    def process_exited(self) -> None:
        self.exited.set()
        self.finished.set()
