"""How to run the TypeScript compiler on a shadow copy and read its plain lines."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from glossator.checkers.row import SEVERITIES, CheckerFailed, Command, Finding, Job, Output
from glossator.checkers.wire import by_utf16, first_line, name_of, word_at
from glossator.document import Diagnostic, Severity

# file.ts(3,5): error TS2322: Type 'string' is not assignable to type 'number'.
_LINE = re.compile(
    r"^(?P<file>[^\r\n]+?)\((?P<line>[0-9]+),(?P<column>[0-9]+)\): (?P<severity>error|warning|message) TS(?P<code>[0-9]+): (?P<message>.*)$"
)
_GLOBAL = re.compile(r"^error TS(?P<code>[0-9]+): (?P<message>.*)$")
_ALONE = {"strict": True, "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "skipLibCheck": True}
# What would write files, or stand in the way of writing none; null takes back what the project's own file says.
_QUIET: dict[str, bool | None] = {
    "noEmit": True,
    "incremental": False,
    "composite": False,
    "declaration": None,
    "declarationMap": None,
    "emitDeclarationOnly": None,
    "tsBuildInfoFile": None,
    "generateTrace": None,
    "generateCpuProfile": None,
}


def command(job: Job) -> Command:
    """Ask for the problems of the file's project; our own settings file, beside the project's, only forbids writing."""
    project = _project(job.file.parent, job.root)
    ours = (project.parent if project else job.file.parent) / f"tsconfig.glossator-{os.getpid()}.json"
    if project is None:
        jsx = {"jsx": "preserve"} if job.file.suffix in {".tsx", ".jsx"} else {}
        script = {"allowJs": True, "checkJs": True} if job.file.suffix in {".js", ".jsx", ".mjs", ".cjs"} else {}
        settings = {"compilerOptions": {**_ALONE, **jsx, **script, **_QUIET}, "files": [str(job.file)]}
    else:
        settings = {"extends": f"./{project.name}", "compilerOptions": _QUIET}
    ours.write_text(json.dumps(settings), "utf-8")
    return Command((job.tool, "--project", str(ours), "--pretty", "false", "--listFiles"), folder=job.root)


def _project(folder: Path, root: Path) -> Path | None:
    while True:
        for name in ("tsconfig.json", "jsconfig.json"):
            if (folder / name).is_file():
                return folder / name
        if folder == root or root not in folder.parents:
            return None
        folder = folder.parent


def read(output: Output, job: Job) -> tuple[Finding, ...]:
    """Read one problem a line, its further lines indented; raises CheckerFailed."""
    found: list[tuple[re.Match[str], list[str]]] = []
    listed = False
    for line in output.stdout.decode("utf-8", "replace").splitlines():
        problem = _LINE.match(line)
        if problem:
            found.append((problem, [problem["message"]]))
        elif line.startswith("  ") and found:
            found[-1][1].append(line)
        elif failed := _GLOBAL.match(line):
            raise CheckerFailed(
                f"{name_of(job)} cannot use the project's settings: TS{failed['code']} {failed['message']}"[:300]
            )
        elif Path(line).name == job.file.name:
            listed = True
    if not listed:
        if found or output.stdout.strip():
            raise CheckerFailed(f"{name_of(job)} does not count {job.file.name} to its project")
        raise CheckerFailed(f"{name_of(job)} could not check the text: {first_line(output)}")
    ours = ((problem, message) for problem, message in found if job.root / problem["file"] == job.file)
    return tuple(_finding(problem, "\n".join(message), job) for problem, message in ours)


def _finding(problem: re.Match[str], message: str, job: Job) -> Finding:
    start = by_utf16(job.snapshot, int(problem["line"]) - 1, int(problem["column"]) - 1)
    return Finding(
        Diagnostic(
            word_at(job.snapshot, start),
            message,
            source="ts",
            code=problem["code"],
            severity=SEVERITIES.get(problem["severity"], Severity.INFORMATION),
        ),
        aliases=frozenset({f"TS{problem['code']}"}),
    )
