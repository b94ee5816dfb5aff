"""`glossator fix --rule CODE --all` as a person runs it."""

from __future__ import annotations

from pathlib import Path

from applications import environment_of, project
from e2e.command import glossator

TEXT = "import os\nimport sys\n\ntry:\n    import json\nexcept ImportError:\n    pass\n"


async def test_all_of_a_rule_is_one_change(tmp_path: Path) -> None:
    """The proven parts are written at once, the others are listed with their lines; --all needs a rule."""
    folder, environment = project(tmp_path / "work", {"a.py": TEXT}), environment_of(tmp_path / "user")
    done = await glossator("fix", "a.py", "--rule", "F401", "--all", "--apply", environment=environment, folder=folder)
    assert done.code == 0, done.err
    assert (folder / "a.py").read_text() == TEXT.removeprefix("import os\nimport sys\n")
    assert "2 of 3 F401 fixed: 2 by ruff" in done.err
    assert "left: line 3: " in done.err
    done = await glossator("fix", "a.py", "--rule", "E711", "--all", environment=environment, folder=folder)
    assert done.code == 1
    done = await glossator("fix", "a.py", "--all", environment=environment, folder=folder)
    assert done.code == 2
    assert "name it with --rule" in done.err
