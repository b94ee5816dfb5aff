"""Prompts of the user's own: taken where they can be used, said to be broken where not, and never trusted with more than ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment, meta

from applications import START, asking, follow, project, snapshot_of
from glossator.tasks import prompt as room
from glossator.tasks.prompt import VARIABLES, compose, problem_of, source_of
from glossator.tasks.task import Ask, Explanation, Note, TaskName
from glossator_providers.model import Fragment, Origin, OriginKind
from glossator_providers.testing import answering

OWN = "{% block system %}Answer like a pirate.{% endblock %}{% block user %}{{ subject }}\n{{ instruction }}{% endblock %}"
SUBJECT = Fragment("code {{ 7 * 7 }}", (Origin(OriginKind.DOCUMENT, "file:///a.py"),))
VALUES = {"subject": SUBJECT, "instruction": None}


def test_every_prompt_of_ours_names_its_variables_and_no_others() -> None:
    """The table that users go by is what the templates use, and each of them can be rendered with and without what may be missing."""
    folder = Path(room.__file__).parent
    included = meta.find_undeclared_variables(Environment().parse((folder / "file.md.jinja").read_text()))
    names = {path.name.removesuffix(".md.jinja") for path in folder.glob("*.md.jinja")}
    assert names - {"file", "data"} == set(VARIABLES)
    for name, variables in VARIABLES.items():
        text = (folder / f"{name}.md.jinja").read_text()
        used = meta.find_undeclared_variables(Environment().parse(text))
        assert used | included <= set(variables), name
        assert problem_of(name, str(folder)) is None


def test_a_prompt_of_the_user_is_taken(tmp_path: Path) -> None:
    """Its words count as the user's, so that they are looked through for secrets; the document's keep their origin."""
    (tmp_path / "ask.md.jinja").write_text(OWN)
    system, user = compose("ask", VALUES, own=str(tmp_path))
    assert [(one.text, one.origins[0].kind) for one in system.fragments] == [
        ("Answer like a pirate.", OriginKind.INSTRUCTION)
    ]
    assert user.fragments[0] == SUBJECT
    assert source_of("ask", str(tmp_path)) == OWN


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% block system %}{% endblock %}", "no block 'user'"),
        ("{% block system %}{% if %}{% endblock %}", "line 1"),
        (OWN.replace("subject", "subjekt"), "'subjekt' is undefined"),
        (OWN.replace("{{ subject }}", "{{ ''.__class__.__mro__ }}"), "unsafe"),
        (OWN.replace("{{ subject }}", "\ue00099\ue001"), "index out of range"),
        ("\ud800", "decode"),
    ],
)
def test_a_broken_prompt_is_not_used(tmp_path: Path, text: str, reason: str) -> None:
    """Ours is used in its place, and the reason is known."""
    (tmp_path / "ask.md.jinja").write_text(text, encoding="utf-8", errors="surrogatepass")
    assert reason in (problem_of("ask", str(tmp_path)) or "")
    values = {name: room._EXAMPLES[kind] for name, kind in VARIABLES["ask"].items()}
    assert compose("ask", values, own=str(tmp_path)) == compose("ask", values)
    assert source_of("ask", str(tmp_path)) == source_of("ask", None)


@pytest.mark.parametrize("broken", [False, True])
async def test_a_task_takes_it_or_says_that_it_is_broken(tmp_path: Path, *, broken: bool) -> None:
    """The folder stands beside config.toml; the answer comes in either case."""
    workspace = project(tmp_path / "work", {"a.py": "x = 1\n"})
    own = tmp_path / "user" / "prompts"
    own.mkdir(parents=True)
    (own / "ask.md.jinja").write_text(OWN.replace("endblock", "ende") if broken else OWN)
    async with asking(workspace, answering("Arr.")) as (opened, fake):
        ask = Ask(TaskName.ASK, snapshot_of(workspace / "a.py"), START, instruction="why?")
        told, result = await follow(opened, ask)
    assert isinstance(result, Explanation)
    notes = [one.message for one in told if isinstance(one, Note)]
    assert [bool(re.match("Your prompt ask is broken", one)) for one in notes] == ([True] if broken else [])
    assert (fake.requests[0].json["messages"][0]["content"] == "Answer like a pirate.") is not broken
