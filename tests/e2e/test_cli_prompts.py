"""`glossator prompts` as a person runs it."""

from __future__ import annotations

from pathlib import Path

from applications import environment_of
from e2e.command import glossator


async def test_prompts_are_listed_and_shown(tmp_path: Path) -> None:
    """Each with where it is from; a broken one is said to be broken, and the text shown is the one in force."""
    environment = environment_of(tmp_path / "user")
    own = tmp_path / "user" / "prompts"
    own.mkdir()
    (own / "ask.md.jinja").write_text("{% block system %}a{% endblock %}{% block user %}b{% endblock %}")
    (own / "fix.md.jinja").write_text("nothing\n")
    done = await glossator("prompts", environment=environment, folder=tmp_path)
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert done.code == 0
    assert rows["ask"] == str(own / "ask.md.jinja")
    assert rows["fix"] == rows["review"] == "built in"
    assert "fix.md.jinja is broken, so Glossator's own is used: it has no block 'system'" in done.err
    done = await glossator("prompts", "fix", environment=environment, folder=tmp_path)
    assert "You fix a problem that a checker found in code." in done.out
    assert "blocks (yes or no)" in done.err
    done = await glossator("prompts", "ask", "--json", environment=environment, folder=tmp_path)
    (told,) = done.json["prompts"]
    assert (told["own"], told["text"][:16]) == (True, "{% block system ")
    assert (await glossator("prompts", "nothing", environment=environment, folder=tmp_path)).code == 2
