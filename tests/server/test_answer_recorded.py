"""How many real answers of models are read right, wrong, or not at all; printed by form, bounded where we stand."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

import parts
from glossator.answer import read, read_all
from glossator.document import Point, Region, Snapshot
from glossator_providers.model import FinishReason

LEAST_RIGHT = 0.925
MOST_HARMFUL = 0.0095

# What an editor would call the language; it knows by the file's name.
LANGUAGES = {
    "py": "python",
    "js": "javascript",
    "jsx": "javascriptreact",
    "ts": "typescript",
    "tsx": "typescriptreact",
    "go": "go",
    "rs": "rust",
    "c": "c",
    "cpp": "cpp",
    "sh": "shellscript",
    "md": "markdown",
}
SPOKEN = {
    "python": "python",
    "python3": "python",
    "go": "go",
    "typescript": "typescript",
    "javascript": "javascript",
    "cpp": "cpp",
}

Case = Mapping[str, Any]


def same(found: str, wanted: str, how: str) -> bool:
    """Compare as the case says its truth may be compared."""
    if how == "exact":
        return found == wanted
    one, other = (text.replace("\r\n", "\n").rstrip("\n").split("\n") for text in (found, wanted))
    if how in {"lines", "ignore_final_newline"}:
        return one == other
    one, other = ([line.rstrip() for line in lines] for lines in (one, other))
    if how == "ignore_blank_lines":
        one, other = (list(filter(None, lines)) for lines in (one, other))
    return [*filter(None, one[-1:])] == [*filter(None, other[-1:])] and one == other


def offered(case: Case) -> dict[str, str | None]:
    """Return what is offered for each file; the code sees only the answer, the files and the target."""
    bases = {
        path: Snapshot.of(
            file["original"] or "",
            uri=f"file:///work/{path}",
            language=LANGUAGES.get(path.rpartition(".")[2]) or SPOKEN.get((case["language"] or "").lower(), ""),
            path=f"/work/{path}",
        )
        for path, file in case["files"].items()
    }
    if len(bases) != 1:
        readings = read_all(case["answer"], finish=FinishReason.STOP, bases=list(bases.values()))
        return {path: reading.text for path, reading in zip(bases, readings, strict=True)}
    (path, base), target = next(iter(bases.items())), case["target"]
    region = base.whole
    if target:
        start, end = (Point(target[edge]["line"], target[edge]["character"]) for edge in ("start", "end"))
        region = Region(start, end)
    return {path: read(case["answer"], finish=FinishReason.STOP, base=base, region=region).text}


def judged(case: Case) -> str:
    """Say `right`, `harmful` (a wrong edit is offered) or `refused` (a right one was there and is not)."""
    found = offered(case)
    kind = case["expected"]["kind"]
    if kind == "no_correct_candidate":
        return "right"  # whatever is offered is told to be unverified
    refused = False
    for path, file in case["files"].items():
        text = found[path]
        if text is None:
            refused = refused or file["result"] != file["original"]
        elif kind == "reject" or not any(
            same(text, wanted, case["compare"]) for wanted in [file["result"], *(case.get("accept") or [])]
        ):
            return "harmful"
    return "refused" if refused and kind == "edit" else "right"


def test_real_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 320 answers, most are read as their truth says, and hardly any gives a wrong edit."""
    with gzip.open(parts.shared_data("fixes", "answers_dev.jsonl.gz"), "rt", encoding="utf-8") as lines:
        cases: list[Case] = [json.loads(line) for line in lines]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        if case["expected"]["kind"] != "blocks":  # these have no file to apply them to
            table[case["format"]][judged(case)] += 1
    total = sum(table.values(), Counter[str]())
    with capsys.disabled():
        print(f"\n{'form':28}{'right':>9}{'harmful':>9}{'refused':>9}")
        for form, counts in [*sorted(table.items()), ("all", total)]:
            print(f"{form:28}" + "".join(f"{counts[word]:9}" for word in ("right", "harmful", "refused")))
        print(
            "".join(f"{word} {100 * total[word] / total.total():.1f} %  " for word in ("right", "harmful", "refused"))
        )
    assert total["harmful"] <= MOST_HARMFUL * total.total()
    assert total["right"] >= LEAST_RIGHT * total.total()
