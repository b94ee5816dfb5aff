"""Measure how well secrets are found, beside others: `python -m benchmarks.detection docs/detection.md` writes the table."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from glossator_providers.privacy import contents, rules
from parts import ROOT

DATA = Path(os.environ.get("GLOSSATOR_TEST_DATA", ROOT.parent / "shared" / "data")) / "secrets"
TOOLS = ROOT / ".tools" / "detection"
# What the labels call a credential, and nobody else does: "hard" ones are the rest.
SOFT = frozenset({"UUID", "Nonce", "Salt", "AWS S3 Bucket", "Firebase Domain", "AWS Client ID", "Twilio API Key"})
SOFT |= {"IPv4", "IPv6", "IP"}
_DETECT_SECRETS = """
import json, sys
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings
found = {}
with default_settings():
    for path in sys.stdin.read().split("\\n"):
        found[path] = sorted({secret.line_number for secret in scan_file(path)})
print(json.dumps(found))
"""
HEAD = """# How well secrets are found

Made by `make detection`, which writes this file. Real source files of public repositories with labelled lines (CredData; "hard"
credentials: without UUIDs, nonces, salts and the like), and Python files of popular packages that are taken as clean.
Every tool reads the same files, but detect-secrets, which needs minutes, only each tenth of the clean ones; the rules of gitleaks and Betterleaks are run by our own reader of their format, on RE2.
Half of the repositories were looked at while the rules were written; what the other half said before it was looked at too is in
the last lines. A part of the labelled data that is not in the checkout was never seen by anybody who wrote a rule.
"""


@dataclass(slots=True)
class Score:
    """What one tool did."""

    credentials: list[int] = field(default_factory=lambda: [0, 0])  # lines found, of
    holding: list[int] = field(default_factory=lambda: [0, 0])  # files with a credential flagged, of
    harmless: list[int] = field(default_factory=lambda: [0, 0])  # hard-negative files flagged, of
    clean: list[int] = field(default_factory=lambda: [0, 0])  # clean files flagged, of
    speed: float = 0.0  # MB of the clean files per second of CPU, start included


def labelled(folder: Path) -> dict[Path, list[dict[str, object]]]:
    """Write the labelled files into *folder*; return the labels of each."""
    labels: dict[str, list[dict[str, object]]] = {}
    with gzip.open(DATA / "creddata_labels_dev.jsonl.gz", "rt") as lines:
        for line in lines:
            label = json.loads(line)
            labels.setdefault(label["path"], []).append(label)
    with tarfile.open(DATA / "creddata_files_dev.tar.gz") as archive:
        archive.extractall(folder, [one for one in archive if one.name in labels], filter="data")
    return {folder / name: labels[name] for name in sorted(labels)}


def clean() -> list[Path]:
    """Return the clean files that were fetched as they were listed."""
    listed = json.loads((DATA / "clean_py_manifest.json").read_text())
    files = ((TOOLS / "clean" / one["file"], one["sha256"]) for one in listed)
    return [path for path, digest in files if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest]


Tool = Callable[[list[Path]], dict[Path, list[int]]]


def in_process(scan: Callable[[str], tuple[contents.Finding, ...]]) -> Tool:
    """Return a tool that is a function over texts."""

    def run(paths: list[Path]) -> dict[Path, list[int]]:
        texts = ((path, path.read_bytes().decode("utf-8", "replace")) for path in paths)
        return {path: [one.line + 1 for one in scan(text)] for path, text in texts}

    return run


def own_rules(name: str, *, without: str = "") -> Tool:
    """Return the rules of others as a tool."""
    read = rules.parse(gzip.decompress((DATA / "rules" / f"{name}.toml.gz").read_bytes()), name)
    kept = rules.Rules(tuple(rule for rule in read.rules if rule.name != without))
    return in_process(kept.scan)


def detect_secrets(paths: list[Path]) -> dict[Path, list[int]]:
    """Run detect-secrets as it comes."""
    python = TOOLS / "python" / "bin" / "python"
    listed = "\n".join(map(str, paths))
    done = subprocess.run([python, "-c", _DETECT_SECRETS], input=listed, text=True, capture_output=True, check=True)
    return {Path(path): lines for path, lines in json.loads(done.stdout).items()}


def secretlint(paths: list[Path]) -> dict[Path, list[int]]:
    """Run secretlint with the rules that it recommends."""
    program = TOOLS / "node" / "node_modules" / ".bin" / "secretlint"
    found: dict[Path, list[int]] = {}
    for start in range(0, len(paths), 500):
        command = [str(program), "--format", "json", "--no-gitignore", "--", *map(str, paths[start : start + 500])]
        done = subprocess.run(command, cwd=TOOLS / "node", text=True, capture_output=True, check=False)
        for one in json.loads(done.stdout):
            found[Path(one["filePath"])] = [message["loc"]["start"]["line"] for message in one["messages"]]
    return found


def measure(tool: Tool, files: Mapping[Path, list[dict[str, object]]], harmless: list[Path]) -> Score:
    """Let *tool* read everything."""
    score = Score()
    found = tool(list(files))
    for path, labels in files.items():
        lines = set(found.get(path, ()))
        wanted = {
            (int(str(one["line"])), int(str(one["end"])))
            for one in labels
            if one["label"] == "T" and not SOFT.issuperset(str(one["category"]).split(":"))
        }
        for first, last in wanted:
            _count(score.credentials, hit=any(first <= line <= last for line in lines))
        if wanted:
            _count(score.holding, hit=bool(lines))
        elif all(one["label"] == "F" for one in labels):
            _count(score.harmless, hit=bool(lines))
    began = _cpu()
    found = tool(harmless)
    score.speed = sum(path.stat().st_size for path in harmless) / 1e6 / (_cpu() - began) if harmless else 0.0
    for path in harmless:
        _count(score.clean, hit=bool(found.get(path)))
    return score


def _count(counter: list[int], *, hit: bool) -> None:
    counter[0] += hit
    counter[1] += 1


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def row(name: str, score: Score) -> str:
    """Return one line of the table."""
    shares = [counter[0] / max(1, counter[1]) for counter in (score.credentials, score.holding, score.harmless)]
    alarms = f"{1000 * score.clean[0] / score.clean[1]:.1f}" if score.clean[1] else "not here"
    return f"| {name} | {shares[0]:.2f} | {shares[1]:.3f} | {100 * shares[2]:.1f} % | {alarms} | {score.speed:.2g} |\n"


def main(target: Path) -> None:
    """Measure every tool that is here, print, and write the page."""
    if not DATA.is_dir():
        raise SystemExit("the labelled data is not beside the checkout: put it into ../shared/data/secrets")
    tools: dict[str, tuple[Tool, bool]] = {
        "**Glossator**": (in_process(contents.scan), True),
        "gitleaks' rules": (own_rules("gitleaks"), True),
        "Betterleaks' rules, without its generic one (a program)": (
            own_rules("betterleaks", without="generic-api-key"),
            True,
        ),
        "detect-secrets": (detect_secrets, (TOOLS / "python" / "bin" / "python").exists()),
        "secretlint, recommended": (secretlint, (TOOLS / "node" / "node_modules" / ".bin" / "secretlint").exists()),
    }
    harmless = clean()
    with tempfile.TemporaryDirectory() as folder:
        files = labelled(Path(folder))
        table = "| who | credentials found, lines | files with one flagged | hard-negative files flagged | alarms per 1,000 clean files | MB/s of CPU |\n|---|---|---|---|---|---|\n"
        for name, (tool, here) in tools.items():
            print(f"measuring {name}", file=sys.stderr)
            table += (
                row(name, measure(tool, files, harmless[:: 10 if tool is detect_secrets else 1]))
                if here
                else f"| {name} | not here | | | | |\n"
            )
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
    )
    page = f"{HEAD}\n{where}{len(files):,} labelled and {len(harmless):,} clean files.\n\n{table}\n{_CROSS_CHECK}"
    print(page)
    target.write_text(page, encoding="utf-8")


_CROSS_CHECK = """The cross-check: with rules written while looking at 18 of the 36 repositories alone, the other half went from
0.829 to 0.851 of its files with a credential flagged, at 0.8 % of its hard-negative files, while the half that was looked at went
from 0.774 to 0.941: expect of unseen repositories what the former says.
"""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
