"""The list of mutants fits the product: each text that a mutant breaks stands where it is said to stand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from leak_lab.mutants import MUTANTS, Mutant, write
from leak_lab.profiles import PROFILES


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_breaks_what_is_there(mutant: Mutant, tmp_path: Path) -> None:
    """A mutant whose text has changed would break nothing, and its being found out would prove nothing."""
    write(mutant, tmp_path)
    assert mutant.profile in PROFILES
    for edit in mutant.edits:
        (path,) = tmp_path.glob(f"*/{edit.file}")
        ast.parse(path.read_text("utf-8"))


def test_there_are_forty_mutants() -> None:
    """As many as were promised, each with a name of its own."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40
