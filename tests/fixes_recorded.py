"""Real broken files with their diagnostic, its checker and a known-good fix, put into a workspace as they were recorded."""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import parts
from glossator.checkers import Toolbox
from glossator.document import Diagnostic, Point, Region, Snapshot

NODE = parts.ROOT / "tests" / "node" / "node_modules" / ".bin"
CHECKERS = ("ruff", "basedpyright", "shellcheck", "gcc", "rustc", "tsc", "eslint")

# Not a fix of the one diagnostic: half of a documentation page went with it, functions became methods, or a name got lost.
OTHER_THAN_A_FIX = frozenset(
    {"ruffdoc-PT006", "rustlings-structs3", "rustexplain-E0201-93", "rustexplain-E0577-356", "rustexplain-E0117-59"}
)
# What cannot be asked here: a preview rule, clippy, the types of node, the TypeScript parser of ESLint.
NOT_ASKED = frozenset({"ruffdoc-E225", "rustlings-clippy1"})


@dataclass(frozen=True, slots=True)
class Case:
    """One broken file."""

    name: str
    checker: str
    language: str
    files: Mapping[str, str]
    main: str
    diagnostic: Diagnostic
    fixed: str
    options: Mapping[str, Any]

    def put(self, folder: Path) -> tuple[Toolbox, Snapshot]:
        """Write the case into *folder*, with the settings that it was recorded with."""
        for name, text in {**self.files, **self._settings()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8", newline="")
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{NODE}"}
        box = Toolbox(roots=(str(folder),), trusted=True, environment=environment, time_limit=60)
        file = folder / self.main
        return box, Snapshot.of(
            self.files[self.main], uri=file.as_uri(), language=self.language, path=str(file), version=1
        )

    def _settings(self) -> Mapping[str, str]:
        match self.checker:
            case "ruff":
                return {"ruff.toml": f'target-version = "py312"\nlint.select = {json.dumps(self.options["select"])}\n'}
            case "basedpyright":
                return {"pyrightconfig.json": '{"typeCheckingMode": "standard"}'}
            case "eslint":
                language = {key: self.options[key] for key in ("sourceType", "globals") if key in self.options}
                settings = [{"files": ["**/*"], "rules": self.options["rules"], "languageOptions": language}]
                return {"eslint.config.mjs": f"export default {json.dumps(settings)};\n"}
            case _:
                return {}


@functools.cache
def cases(checker: str) -> tuple[Case, ...]:
    """Return the recorded cases of *checker* that can be judged here, or skip the test."""
    with gzip.open(parts.shared_data("fixes", "broken_dev.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = [_case(row) for row in rows if row["checker"] == checker]
    return tuple(case for case in found if not _cannot_be_asked(case))


def _cannot_be_asked(case: Case) -> bool:
    return (
        case.name in NOT_ASKED
        or (case.checker == "eslint" and case.language != "javascript")
        or (case.checker == "tsc" and "compilerOptions" in case.options)
    )


def _case(row: Mapping[str, Any]) -> Case:
    told = row["diagnostic"]
    region = Region(Point(told["line"], told["col"]), Point(told["end_line"], told["end_col"]))
    return Case(
        row["id"],
        row["checker"],
        row["lang"],
        row["files"],
        row["main"],
        Diagnostic(region, told["message"], source=told["source"], code=told["code"]),
        row["fixed"],
        row["checker_opts"],
    )


def needs(checker: str) -> None:
    """Skip where the checker is not installed."""
    if not (NODE / checker).exists():
        parts.program(checker)
