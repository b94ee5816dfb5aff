"""Run a `glossator` command as a person would, in its own process, and note every connection that it tries."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that it printed."""
        assert self.out.count("\n") == 1, f"one object on one line, not {self.out!r}; stderr: {self.err}"
        return json.loads(self.out)


async def glossator(*arguments: str, environment: Mapping[str, str], folder: Path, stdin: str = "") -> Done:
    """Run the command in *folder*; fail if it does not end within a minute."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "glossator",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=dict(environment),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), SECONDS)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    assert "Traceback" not in err.decode(), err.decode()
    return Done(process.returncode, out.decode(), err.decode())
