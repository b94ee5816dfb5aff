"""`glossator ledger`: what a request leaves in it, what `verify` says of it, and what an organisation can make of it."""

from __future__ import annotations

import json
from pathlib import Path

from applications import environment_of, table
from audit import WatchedChild
from e2e.command import glossator
from glossator_providers.testing import FakeProvider, answering


async def test_a_request_stands_in_the_ledger_and_is_proven(tmp_path: Path, watched_child: WatchedChild) -> None:
    """What was asked is shown without its words; `verify` proves it, and names the line that somebody changes."""
    async with FakeProvider(respond=answering("four")) as fake:
        environment = environment_of(tmp_path / "user", table(fake), base=watched_child.environment)
        asked = await glossator("ask", "what is canary-two plus two", environment=environment, folder=tmp_path)
        assert asked.code == 0, asked.err
        shown = await glossator("ledger", environment=environment, folder=tmp_path)
        assert (shown.out, shown.code) == ("", 0), "nothing has left this machine"
        assert "nothing has left this machine" in shown.err
        told = (await glossator("ledger", "--local", "--json", environment=environment, folder=tmp_path)).json
        assert (told["provider"], told["task"], told["local"], told["outcome"]) == ("fake", "ask", True, "complete")
        assert "canary" not in json.dumps(told)
        proven = (await glossator("ledger", "verify", "--json", environment=environment, folder=tmp_path)).json
        assert (proven["ok"], proven["requests"], proven["unended"]) == (True, 1, 0)
        head = proven["head"]
        kept = await glossator("ledger", "verify", "--expect", head, environment=environment, folder=tmp_path)
        assert kept.code == 0, kept.out
        path = tmp_path / "user" / "state" / "egress" / "000001.jsonl"
        path.write_text(path.read_text("ascii").replace('"task":"ask"', '"task":"fix"'), encoding="ascii")
        changed = await glossator("ledger", "verify", environment=environment, folder=tmp_path)
        assert changed.code == 1
        assert "000001.jsonl, line 2" in changed.out


async def test_a_wrong_head_is_a_mistake_of_typing(tmp_path: Path, watched_child: WatchedChild) -> None:
    """What is no hash is not looked for."""
    environment = environment_of(tmp_path / "user", base=watched_child.environment)
    done = await glossator("ledger", "verify", "--expect", "none", environment=environment, folder=tmp_path)
    assert done.code == 2


async def test_an_organisation_lets_nothing_leave_unrecorded(tmp_path: Path, watched_child: WatchedChild) -> None:
    """With `require_ledger` in its policy, and no way to write, a cloud is refused and not even called."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[privacy]\nrequire_ledger = true\n", encoding="utf-8")
    cloud = '[providers.far]\nkind = "openai-compatible"\nbase_url = "https://203.0.113.9/v1"\nmodel = "m"\n'
    environment = environment_of(tmp_path / "user", cloud, base=watched_child.environment, GLOSSATOR_POLICY=str(policy))
    (tmp_path / "user" / "state").mkdir()
    (tmp_path / "user" / "state" / "egress").write_text("in the way", encoding="utf-8")
    done = await glossator("ask", "hello", environment=environment, folder=tmp_path)
    assert done.code == 3, done.err
    assert "require_ledger" in done.err
