"""`glossator privacy` and `glossator forget`: what the user allowed is shown, taken back, and erased on request."""

from __future__ import annotations

import stat
from pathlib import Path

from applications import application, environment_of, follow, snapshot_of, table
from audit import WatchedChild
from e2e.command import glossator
from glossator.tasks.task import Ask, TaskName
from glossator_providers.testing import FakeProvider, answering

KEY = "no" + "-key-of-anybody"


async def test_the_user_allows_and_revokes_clouds(tmp_path: Path, watched_child: WatchedChild) -> None:
    """What was allowed for a workspace is shown for it alone, taken back, and written where its owner alone reads it."""
    environment = environment_of(tmp_path / "user", base=watched_child.environment, OPENAI_API_KEY=KEY)
    work, other = tmp_path / "work", tmp_path / "other"
    for folder in (work, other):
        (folder / ".git").mkdir(parents=True)
    before = (await glossator("privacy", "--json", environment=environment, folder=work)).json
    assert (before["clouds_allowed"], before["found"], before["configured"]) == (False, ["openai"], [])
    assert (await glossator("privacy", "allow", environment=environment, folder=work)).code == 0
    here = (await glossator("privacy", "--json", environment=environment, folder=work)).json
    there = (await glossator("privacy", "--json", environment=environment, folder=other)).json
    assert (here["clouds_allowed"], there["clouds_allowed"], there["other_workspaces"]) == (True, False, 1)
    assert stat.S_IMODE((tmp_path / "user" / "state" / "consent.json").stat().st_mode) == 0o600
    revoked = await glossator("privacy", "revoke", environment=environment, folder=work)
    assert (revoked.code, "openai; not allowed here" in revoked.out) == (0, True)
    assert [path.name for path in work.rglob("*")] == [".git"], "nothing is written into the repository"


async def test_an_open_editor_follows_what_is_revoked(tmp_path: Path) -> None:
    """A yes that the user takes back elsewhere counts at once in a server that runs, and so does a new one."""
    work, environment = tmp_path / "work", environment_of(tmp_path / "user", OPENAI_API_KEY=KEY)
    work.mkdir()
    async with application(work, environment) as one, application(work, environment) as other:
        assert not one.privacy().clouds_allowed
        other.allow_clouds(remember=True)
        assert one.privacy().clouds_allowed
        assert one.router.policy.cloud_allowed
        other.revoke_clouds()
        assert not one.privacy().clouds_allowed
        assert not one.local_router().policy.cloud_allowed
        one.allow_clouds(remember=False)
        assert one.privacy().clouds_allowed, "just this once lasts as long as this application"


async def test_forget_erases_what_is_remembered(tmp_path: Path, watched_child: WatchedChild) -> None:
    """Without --yes nobody's files are erased unseen; the ledgers go with --all alone, and strangers' files never."""
    async with FakeProvider(respond=answering("four")) as fake:
        environment = environment_of(tmp_path / "user", table(fake), base=watched_child.environment)
        await glossator("ask", "two plus two", environment=environment, folder=tmp_path)
        await glossator("privacy", "allow", environment=environment, folder=tmp_path)
    state = tmp_path / "user" / "state"
    (state / "explanations.sqlite").write_bytes(b"")
    (state / "notes-of-the-user.txt").write_text("mine", encoding="utf-8")
    refused = await glossator("forget", environment=environment, folder=tmp_path)
    assert (refused.code, (state / "consent.json").exists()) == (2, True)
    some = (await glossator("forget", "--yes", "--json", environment=environment, folder=tmp_path)).json
    assert {one["what"] for one in some["erased"]} == {"explanations of open code", "consent to clouds"}
    assert {path.name for path in state.iterdir()} >= {"egress", "usage.sqlite3", "notes-of-the-user.txt"}
    every = await glossator("forget", "--all", "--yes", environment=environment, folder=tmp_path)
    assert "the egress ledger" in every.out
    assert [path.name for path in state.iterdir()] == ["notes-of-the-user.txt"]
    nothing = await glossator("forget", "--all", environment=environment, folder=tmp_path)
    assert (nothing.code, "nothing is remembered" in nothing.err) == (0, True)


async def test_all_that_is_written_is_the_owners_and_holds_nothing(tmp_path: Path) -> None:
    """Whatever a session leaves in the user's folders is 0600 in folders of 0700, and holds no private word and no key."""
    work = tmp_path / "work"
    work.mkdir()
    private, key = "canary_of_a_private_line = 42", "canary" + "-key-" + "0123456789"
    (work / ".env").write_text(f"{private}\n", encoding="utf-8")
    async with FakeProvider(respond=answering("It is canary_of_a_private_line.")) as fake:
        keyed = f'{table(fake)}key_env = "FAKE_KEY"\n'
        environment = environment_of(tmp_path / "user", keyed, FAKE_KEY=key)
        async with application(work, environment) as opened:
            for task in (TaskName.EXPLAIN, TaskName.ASK, TaskName.REFACTOR):
                snapshot = snapshot_of(work / ".env", language="dotenv")
                await follow(opened, Ask(task, snapshot, snapshot.whole, instruction=f"what is {private}"))
            opened.allow_clouds(remember=True)
        assert fake.requests
        assert all(key in request.headers["authorization"] for request in fake.requests if request.method == "POST")
    written = [path for path in (tmp_path / "user").rglob("*") if path.name != "config.toml"]
    assert {path.name for path in written} >= {"consent.json", "usage.sqlite3", "egress", "head"}
    for path in written:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            data = path.read_bytes()
            assert b"canary" not in data, path
            assert str(work).encode() not in data, path
