"""`glossator tests` as a person runs it."""

from __future__ import annotations

from pathlib import Path

from applications import environment_of, project, table
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering

CODE = "def double(number):\n    return number * 2\n"
WHOLE = "Said.\n```python\nfrom sums import double\n\n\ndef test_two():\n    assert double(2) == 4\n```\n"


async def test_tests_are_printed_and_written_and_not_run(tmp_path: Path) -> None:
    """A diff that makes the file; with --apply the file itself."""
    folder = project(tmp_path / "work", {"sums.py": CODE})
    async with FakeProvider(respond=answering(WHOLE)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("tests", "sums.py:1", environment=environment, folder=folder)
        assert done.code == 0, done.err
        assert "+++ b/test_sums.py\n" in done.out
        assert "+def test_two():\n" in done.out
        assert not (folder / "test_sums.py").exists()
        done = await glossator("tests", "sums.py:1", "--apply", "--json", environment=environment, folder=folder)
    assert done.json["applied"] is True
    assert (folder / "test_sums.py").read_text() == done.json["text"]
    assert sorted(path.name for path in folder.iterdir()) == ["ruff.toml", "sums.py", "test_sums.py"]
