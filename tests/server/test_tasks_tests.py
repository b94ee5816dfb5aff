"""Writing tests: into the file where they belong, beside what stands there, parsed and checked but never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from applications import START, application, asking, environment_of, follow, place_of, project, snapshot_of
from glossator.document import Snapshot
from glossator.tasks.task import Ask, Proposal, Refusal, TaskName
from glossator.tasks.tests import place_of_tests
from glossator_providers.testing import answering

CODE = "def double(number):\n    return number * 2\n"
THERE = "from sums import double\n\n\ndef test_one():\n    assert double(1) == 2\n"
WHOLE = "It holds the usual case.\n```python\nfrom sums import double\n\n\ndef test_two():\n    assert double(2) == 4\n```\n"
MORE = "It holds zero.\n```python\n\n\ndef test_zero():\n    assert double(0) == 0\n```\n"


async def test_a_new_file_is_proposed(tmp_path: Path) -> None:
    """Where no test file is, the proposal is a whole one against nothing, and nothing is written."""
    workspace = project(tmp_path / "work", {"sums.py": CODE, "tests/conftest.py": ""})
    async with asking(workspace, answering(WHOLE)) as (opened, fake):
        snapshot = snapshot_of(workspace / "sums.py")
        _, result = await follow(opened, Ask(TaskName.TESTS, snapshot, place_of(snapshot, "number * 2")))
    assert isinstance(result, Proposal)
    assert result.base.path == str(workspace / "tests" / "test_sums.py")
    assert (result.base.text, result.text) == ("", WHOLE.split("```python\n")[1].removesuffix("```\n"))
    assert not (workspace / "tests" / "test_sums.py").exists()
    assert "tests/test_sums.py" in fake.requests[0].json["messages"][1]["content"]


async def test_new_tests_are_added_at_the_end(tmp_path: Path) -> None:
    """What stands in the test file stays, and the model has seen it."""
    workspace = project(tmp_path / "work", {"sums.py": CODE, "test_sums.py": THERE})
    async with asking(workspace, answering(MORE)) as (opened, fake):
        _, result = await follow(opened, Ask(TaskName.TESTS, snapshot_of(workspace / "sums.py"), START))
    assert isinstance(result, Proposal)
    assert result.text.startswith(THERE)
    assert result.text.endswith("\n\n\ndef test_zero():\n    assert double(0) == 0\n")
    assert "def test_one():" in fake.requests[0].json["messages"][1]["content"]


async def test_tests_that_do_not_parse_are_withheld(tmp_path: Path) -> None:
    """Broken tests are no tests."""
    workspace = project(tmp_path / "work", {"sums.py": CODE})
    async with asking(workspace, answering(WHOLE.replace("assert double(2)", "assert double(2"))) as (opened, _):
        _, result = await follow(opened, Ask(TaskName.TESTS, snapshot_of(workspace / "sums.py"), START))
    assert isinstance(result, Refusal)
    assert result.kind == "withheld"


async def test_a_private_test_file_keeps_the_request_here(tmp_path: Path) -> None:
    """Tests that are private go to no cloud, although the code itself might."""
    workspace = project(tmp_path / "work", {"sums.py": CODE, "test_sums.py": THERE, ".aiignore": "test_sums.py\n"})
    cloud = '[providers.cloud]\nkind = "openai-compatible"\nbase_url = "http://203.0.113.9:9/v1"\nmodel = "far"\nkey_env = "CLOUD_KEY"\n'
    async with application(workspace, environment_of(tmp_path / "user", cloud, CLOUD_KEY="k" * 8)) as opened:
        _, result = await follow(opened, Ask(TaskName.TESTS, snapshot_of(workspace / "sums.py"), START))
    assert isinstance(result, Refusal)
    assert result.kind == "policy"


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("a/b/sums.py", "python", "a/tests/test_sums.py"),
        ("sums.py", "python", "test_sums.py"),
        ("a/sums.go", "go", "a/sums_test.go"),
        ("a/sums.tsx", "typescriptreact", "a/sums.test.tsx"),
        ("a/sums.rs", "rust", None),
    ],
)
def test_tests_stand_where_the_language_has_them(
    tmp_path: Path, name: str, language: str, expected: str | None
) -> None:
    """A `tests` folder above the file wins, inside of the workspace alone; a language without a custom has no place."""
    (tmp_path / "tests").mkdir()
    root = tmp_path / "work"
    (root / "a" / "tests").mkdir(parents=True)
    path = root / name
    snapshot = Snapshot.of("", uri=path.as_uri(), language=language, path=str(path))
    assert place_of_tests(snapshot, (str(root),)) == (None if expected is None else root / expected)
