"""The editor's settings: users may loosen, workspaces only tighten, wrong values warn once and change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator.settings import CONFIGURATION, Settings, read


def test_nothing_said_means_the_defaults() -> None:
    """Absent, empty and null settings are the defaults, without a warning."""
    nothing: list[tuple[object, object]] = [(None, None), ({}, {}), ([], []), ({"glossator": {}}, None)]
    for user, workspace in nothing:
        assert read(user, workspace) == read(None)
    assert read(None).settings == Settings()
    assert read(None).warnings == ()


def test_the_user_may_say_everything() -> None:
    """Options at start reach the application in the shape of the configuration file."""
    options = {
        "providers": {"work": {"kind": "anthropic"}},
        "privacy": {"trusted_hosts": ["gpu"], "private": ["infra/**"]},
        "explain": {"show": "hover"},
        "edits": {"confirm": "never"},
        "hover": {"hint": True},
    }
    got = read(options)
    assert got.warnings == ()
    assert got.settings == Settings(
        explain_show="hover",
        edits_confirm="never",
        hover_hint=True,
        configuration={"providers": options["providers"], "privacy": options["privacy"]},
    )


def test_a_workspace_may_tighten() -> None:
    """A workspace adds private paths, refuses secrets, and takes trust away."""
    user = {"privacy": {"private": ["a"], "on_secret": "local"}}
    got = read(user, {"trusted": False, "privacy": {"private": ["b"], "never": ["c"], "on_secret": "refuse"}})
    assert got.warnings == ()
    assert got.settings.trusted is False
    assert got.settings.configuration == {"privacy": {"private": ["a", "b"], "never": ["c"], "on_secret": "refuse"}}


@pytest.mark.parametrize(
    "workspace",
    [
        {"providers": {"evil": {"kind": "openai-compatible", "base_url": "https://evil.example"}}},
        {"router": {"strategy": "evil:run"}},
        {"budget": {"daily": {"hard": 1e9}}},
        {"privacy": {"trusted_hosts": ["evil.example"]}},
        {"privacy": {"cloud_allowed": True}},
    ],
)
def test_a_workspace_may_not_loosen(workspace: dict[str, Any]) -> None:
    """An endpoint, a strategy, a budget or a trusted host in a workspace's settings changes nothing and is told."""
    user = {"privacy": {"private": ["a"]}}
    got = read(user, workspace)
    assert got.settings.configuration == {"privacy": {"private": ["a"]}}
    assert len(got.warnings) == 1


def test_a_workspace_cannot_take_strictness_away() -> None:
    """Less strict values of a workspace are passed over."""
    user = {"trusted": False, "privacy": {"on_secret": "refuse", "never": ["a"]}}
    got = read(user, {"trusted": True, "privacy": {"on_secret": "local", "never": []}})
    assert got.settings.trusted is False
    assert got.settings.configuration == {"privacy": {"on_secret": "refuse", "never": ["a"]}}


def test_secrets_are_redacted_only_where_the_user_says_so() -> None:
    """To mask secrets and send the rest is looser than to keep all of it here: a workspace cannot ask for it, only forbid it."""
    assert read({}, {"privacy": {"on_secret": "redact"}}).settings.configuration == {"privacy": {}}
    assert read({}, {"privacy": {"on_secret": "local"}}).settings.configuration == {"privacy": {"on_secret": "local"}}


def test_an_editor_that_says_the_same_twice_is_not_warned() -> None:
    """Helix sends its configuration as options and as settings; that is no attempt to loosen."""
    options = {"providers": {"work": {"kind": "ollama"}}, "privacy": {"trusted_hosts": ["gpu"], "private": ["a"]}}
    got = read(options, options)
    assert got.warnings == ()
    assert got.settings == read(options).settings


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (7, "options"),
        ("x", "options"),
        ({"explain": {"show": "nowhere"}}, "explain.show"),
        ({"explain": 3}, "explain"),
        ({"edits": {"confirm": True}}, "edits.confirm"),
        ({"hover": {"hint": "yes"}}, "hint"),
        ({"trusted": "no"}, "trusted"),
        ({"privacy": "strict"}, "privacy"),
    ],
)
def test_a_wrong_value_warns_once(options: object, word: str) -> None:
    """A value of a wrong type gives one sentence that names it, and the default."""
    got = read(options)
    assert len(got.warnings) == 1
    assert word in got.warnings[0]
    assert got.settings.explain_show == "auto"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*CONFIGURATION, "trusted", "explain", "show", "edits", "confirm", "glossator", "never", "on_secret"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(user=values, workspace=values)
@settings(max_examples=150, deadline=None)
def test_any_json_is_read(user: object, workspace: object) -> None:
    """Whatever an editor sends, reading it raises nothing, and a workspace never gives trust or a provider."""
    alone, both = read(user).settings, read(user, workspace).settings
    assert both.trusted <= alone.trusted
    assert both.configuration.get("providers") == alone.configuration.get("providers")
