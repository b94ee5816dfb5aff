"""`glossator document` as a person runs it."""

from __future__ import annotations

from pathlib import Path

from applications import environment_of, project, table
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering

CODE = "def double(number):\n    return number * 2\n"
DONE = 'Said.\n```python\ndef double(number):\n    """Return twice the *number*."""\n    return number * 2\n```\n'


async def test_documentation_is_printed_and_written(tmp_path: Path) -> None:
    """A diff on stdout; with --apply the file; a change of the code is refused with exit 1 and writes nothing."""
    folder = project(tmp_path / "work", {"sums.py": CODE})
    async with FakeProvider(respond=answering(DONE)) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("document", "sums.py:2", environment=environment, folder=folder)
        assert done.code == 0, done.err
        assert '+    """Return twice the *number*."""\n' in done.out
        assert (folder / "sums.py").read_text() == CODE
        done = await glossator("document", "sums.py:2", "--apply", "--json", environment=environment, folder=folder)
        assert done.json["applied"] is True
    written = (folder / "sums.py").read_text()
    assert '    """Return twice the *number*."""\n' in written
    async with FakeProvider(respond=answering(DONE.replace("* 2", "* 3"))) as fake:
        environment = environment_of(tmp_path / "user", table(fake))
        done = await glossator("document", "sums.py:2", "--apply", environment=environment, folder=folder)
    assert done.code == 1
    assert (folder / "sums.py").read_text() == written
