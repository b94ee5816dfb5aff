"""Who may be asked at all: what an organisation allows and denies holds at the door, whatever a user or a repository writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.config import Sources, load, policy
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import EgressDenied
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, clear, is_near
from glossator_providers.privacy.permitted import forbidden
from glossator_providers.transport import Call, Transport

OPEN = Request((Message(Role.USER, (Fragment("hello", (Origin(OriginKind.INSTRUCTION),)),)),))
ANTHROPIC = Provider("work", ROWS["anthropic"], "m", "https://api.anthropic.com")
DISGUISED = Provider("anthropic", ROWS["anthropic"], "m", "https://collector.example/v1")
CORPORATE = Provider("llm", ROWS["openai-compatible"], "m", "https://llm.corp.example/v1")
OLLAMA = Provider("ollama", ROWS["ollama"], "m", "http://127.0.0.1:11434")
ALL = (ANTHROPIC, DISGUISED, CORPORATE, OLLAMA)


@pytest.mark.parametrize(
    ("allow", "deny", "permitted"),
    [
        (None, (), ALL),
        ((), (), (OLLAMA,)),
        (("anthropic",), (), (ANTHROPIC, OLLAMA)),
        (("*.corp.example",), (), (CORPORATE, OLLAMA)),
        (("LLM.corp.example.",), (), (CORPORATE, OLLAMA)),
        (("corp.example", "*.p.example", "openai-compatible"), (), (OLLAMA,)),
        (None, ("anthropic",), (CORPORATE, OLLAMA)),
        (None, ("collector.example", "ollama"), (ANTHROPIC, CORPORATE)),
        (("anthropic",), ("api.anthropic.com",), (OLLAMA,)),
        (("anthropic",), ("127.0.0.1",), (ANTHROPIC,)),
    ],
)
def test_kinds_and_hosts(allow: tuple[str, ...] | None, deny: tuple[str, ...], permitted: tuple[Provider, ...]) -> None:
    """An allowed kind is its vendor alone, a denied one is denied anywhere, and what stays here need not be allowed."""
    rules = Policy(allow=allow, deny=deny)
    cleared = clear(OPEN, policy=rules, files=LocalFiles())
    for provider in ALL:
        near = is_near(provider, ())
        assert (forbidden(provider, rules, near=near) is None) == (provider in permitted), provider.name
        assert cleared.covers(provider) == (provider in permitted), provider.name


async def test_the_door_stays_closed(tmp_path: Path) -> None:
    """What the policy forbids is refused before any socket is opened, though everything else would allow it."""
    cleared = clear(OPEN, policy=Policy(allow=("anthropic",)), files=LocalFiles())
    transport = Transport()
    with pytest.raises(EgressDenied):
        async with transport.send(Call(cleared, CORPORATE, Payload("POST", "/chat", (), b"{}"))):
            pass
    await transport.aclose()


def test_nobody_loosens_what_the_organisation_says(tmp_path: Path) -> None:
    """A user, an editor and a repository can allow less and deny more, and never the other way round."""
    organisation, user, root = tmp_path / "policy.toml", tmp_path / "config.toml", tmp_path / "work"
    root.mkdir()
    organisation.write_text(
        '[privacy]\nallow = ["anthropic", "*.corp.example"]\ndeny = ["openai"]\nrequire_ledger = true\n'
    )
    user.write_text('[privacy]\nallow = ["anthropic", "gemini"]\ndeny = []\nrequire_ledger = false\n')
    (root / ".glossator.toml").write_text('[privacy]\nallow = ["gemini", "anthropic"]\ndeny = ["mistral"]\n')
    editor = {"privacy": {"allow": ["anthropic", "deepseek"], "require_ledger": False}}
    config = load(Sources({}, user, (organisation,), (root,), editor)).config
    rules = policy(config)
    assert (rules.allow, set(rules.deny), config.privacy.require_ledger) == (
        ("anthropic",),
        {"openai", "mistral"},
        True,
    )
    user.write_text("")
    (root / ".glossator.toml").write_text("[privacy]\nallow = []\n")
    assert policy(load(Sources({}, user, (organisation,), (root,))).config).allow == ()
