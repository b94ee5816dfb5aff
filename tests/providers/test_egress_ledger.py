"""The egress ledger: every request stands in it, in order and without a word of it, and nobody changes it unseen."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.dialects.dialect import Payload
from glossator_providers.egress_ledger import Arrival, EgressLedger, Verified, fingerprint, read, verify
from glossator_providers.errors import EgressDenied, ProviderError
from glossator_providers.model import Usage
from glossator_providers.testing import FakeProvider, answering
from glossator_providers.transport import Call, Transport
from providers.egress_writers import TEXT, URI, departure

WRITER = Path(__file__).with_name("egress_writers.py")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DONE = Arrival("complete", "203.0.113.9:443", 200, 12, Usage(10, 5))


async def fill(folder: Path, count: int, **arguments: Any) -> None:
    """Write so many requests with their ends."""
    ledger = EgressLedger(folder, **arguments)
    for _ in range(count):
        ledger.ended(await ledger.sent(departure()), DONE)
    await ledger.aclose()


def filled(folder: Path, count: int = 3, **arguments: Any) -> Path:
    """Return a folder with a ledger of so many requests."""
    asyncio.run(fill(folder, count, **arguments))
    return folder


def lines_of(folder: Path) -> list[bytes]:
    """Return all lines of the first file."""
    return (folder / "000001.jsonl").read_bytes().splitlines()


def put(folder: Path, lines: list[bytes]) -> Verified:
    """Write these lines in place of those that stand there, and look whether that is seen."""
    (folder / "000001.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return verify(folder)


def test_a_request_is_told_without_its_content(tmp_path: Path) -> None:
    """A line says to whom, how much and from where; names and texts stand there as keyed hashes alone."""
    folder = filled(tmp_path / "egress", 1, price=lambda *_: 0.25)
    (told,) = read(folder)
    assert {name: told[name] for name in ("task", "provider", "model", "host", "port", "local", "level", "bytes")} == {
        "task": "explain",
        "provider": "work",
        "model": "far-model",
        "host": "203.0.113.9",
        "port": 443,
        "local": False,
        "level": "private",
        "bytes": len(TEXT),
    }
    assert (told["outcome"], told["peer"], told["status"], told["received"]) == ("complete", "203.0.113.9:443", 200, 12)
    assert (told["input_tokens"], told["output_tokens"], told["dollars"]) == (10, 5, 0.25)
    (fragment,) = told["fragments"]
    assert fragment["origins"] == ["document", "diagnostic"]
    assert fragment["of"][1] == fingerprint(folder, URI)
    assert fragment["text"] == fingerprint(folder, TEXT)
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"canary" not in everything


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    """The folder is 0700 and each file in it 0600."""
    folder = filled(tmp_path / "state" / "egress")
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


def test_what_nobody_touched_is_whole(tmp_path: Path) -> None:
    """The whole ledger verifies, also by the head of its own, after several servers wrote to it one after the other."""
    folder = filled(tmp_path / "egress")
    noted = verify(folder).head
    filled(folder)
    found = verify(folder, expected=noted)
    assert (found.broken, found.lines, found.requests, found.unended, found.torn) == (None, 12, 6, 0, 0)


def test_no_ledger_is_no_fault(tmp_path: Path) -> None:
    """Where nothing was ever sent there is nothing to verify, unless there was something before."""
    assert verify(tmp_path / "egress") == Verified()
    assert verify(tmp_path / "egress", expected="a" * 64).broken is not None


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_change_is_seen(data: st.DataObject) -> None:
    """Whichever byte is changed, line removed, doubled, moved or put in: it is seen, and no later than one line behind it."""
    with tempfile.TemporaryDirectory() as name:
        folder = filled(Path(name) / "egress", now=lambda: NOON, random=bytes)
        lines = lines_of(folder)
        place = data.draw(st.integers(0, len(lines) - 1))
        changed, where = list(lines), place
        match data.draw(st.sampled_from(["byte", "remove", "double", "swap", "value", "cut"])):
            case "byte":
                at = data.draw(st.integers(0, len(lines[place]) - 1))
                byte = data.draw(st.sampled_from(sorted(set(b'0az"{') - {lines[place][at]})))
                changed[place] = lines[place][:at] + bytes([byte]) + lines[place][at + 1 :]
            case "remove":
                del changed[place]
            case "double":
                changed.insert(place, lines[place])
            case "swap":
                place, other = place - 1, place
                changed[place], changed[other] = lines[other], lines[place]
                where = min(place % len(lines), other)
            case "value":
                told = json.loads(lines[place]) | {"at": "2001-01-01T00:00:00.000Z"}
                changed[place] = json.dumps(told, separators=(",", ":")).encode()
            case "cut":
                del changed[place:]
        found = put(folder, changed)
        assert found.broken is not None
        assert found.broken.line <= where + 2


def test_what_was_changed_stays_seen_when_more_is_written(tmp_path: Path) -> None:
    """A server that goes on writing does not make a changed or cut ledger whole again."""
    changed = filled(tmp_path / "changed")
    lines = lines_of(changed)
    put(changed, [*lines[:-1], lines[-1].replace(b"complete", b"compleat")])
    cut = filled(tmp_path / "cut")
    put(cut, lines_of(cut)[:-2])
    for folder in (changed, cut):
        filled(folder)
        assert verify(folder).broken is not None


def test_a_ledger_written_anew_is_known_by_a_head_noted_elsewhere(tmp_path: Path) -> None:
    """Who removes everything and begins again is found out by the hash that somebody has written down."""
    noted = verify(filled(tmp_path / "egress")).head
    anew = filled(tmp_path / "anew")
    assert verify(anew).broken is None
    found = verify(anew, expected=noted)
    assert found.broken is not None
    assert "was written anew" in str(found.broken)


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_half_line_is_no_change(tmp_path: Path, left: int) -> None:
    """What a killed process left half written, even all but its end, is told apart from a change, before and after the next line."""
    folder = filled(tmp_path / "egress")
    lines = lines_of(folder)
    head = f"{len(lines) - 1:012} {json.loads(lines[-1])['previous']}\n"
    (folder / "head").write_text(head, encoding="ascii")
    half = lines[-1][:left] if left > 0 else lines[-1]
    (folder / "000001.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[:-1]) + half)
    found = verify(folder)
    assert (found.broken, found.torn, found.lines) == (None, 1, 5)
    filled(folder, 1)
    found = verify(folder)
    assert (found.broken, found.torn, found.lines, found.unended) == (None, 1, 8, 1)


def test_a_line_whose_note_was_not_written_is_no_change(tmp_path: Path) -> None:
    """A process may be killed between a line and the note of it in the head."""
    folder = filled(tmp_path / "egress")
    lines = lines_of(folder)
    (folder / "head").write_text(f"{len(lines) - 1:012} {json.loads(lines[-1])['previous']}\n", encoding="ascii")
    assert verify(folder).broken is None
    filled(folder)
    assert verify(folder).broken is None


def test_it_goes_on_in_another_file(tmp_path: Path) -> None:
    """Files do not grow for ever; the chain goes through all of them, and the oldest that gives way is told of."""
    folder = filled(tmp_path / "egress", 20, largest=2_000, most=3)
    found = verify(folder)
    assert (found.broken, found.requests > 0, found.dropped > 0) == (None, True, True)
    files = sorted(folder.glob("*.jsonl"))
    assert len(files) == 3
    files[0].unlink()
    assert "removed" in str(verify(folder).broken)


def test_several_servers_share_it_and_may_be_killed(tmp_path: Path) -> None:
    """Four servers write at once, two of them are killed in the middle: one whole chain, in which every line that stood there stands."""
    folder = tmp_path / "egress"
    command = [sys.executable, str(WRITER), str(folder)]
    folders = ":".join(str(place) for place in (WRITER.parent.parent, *map(Path, sys.path)) if str(place))
    writers = [
        subprocess.Popen([*command, f"w{n}", "60"], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": folders})
        for n in range(4)
    ]
    said: list[str] = []
    for writer in writers[:2]:
        assert writer.stdout is not None
        said += [writer.stdout.readline().strip() for _ in range(10)]
        writer.kill()
    for writer in writers:
        told, _ = writer.communicate(timeout=60)
        said += [line for line in told.split() if len(line) == 16]
    found = verify(folder)
    assert found.broken is None
    assert found.missed == 0
    assert {told["id"] for told in read(folder)} >= set(said)
    assert len(said) >= 140


def test_what_cannot_be_written_down_is_refused_where_that_is_required(tmp_path: Path) -> None:
    """With `require_ledger` nothing leaves the machine unrecorded; without it, it is said and counted when that is possible again."""
    folder = tmp_path / "egress"
    folder.write_text("a file where the folder should be", encoding="utf-8")

    async def scenario() -> None:
        strict, lax = EgressLedger(folder, required=True), EgressLedger(folder)
        with pytest.raises(EgressDenied, match="require_ledger"):
            await strict.sent(departure())
        assert await strict.sent(departure(base_url="http://203.0.113.9/v1")), "what stays here may go on"
        name = await lax.sent(departure())
        assert lax.problem is not None
        assert str(folder) in lax.problem
        folder.unlink()
        lax.ended(name, DONE)
        await strict.aclose()
        await lax.aclose()
        assert lax.problem is None

    asyncio.run(scenario())
    found = verify(folder)
    assert (found.broken, found.missed, found.requests) == (None, 1, 0)


def test_another_program_that_holds_it_does_not_hold_a_request_for_ever(tmp_path: Path) -> None:
    """Where somebody does not let go of the files, that is said after a while."""
    folder = filled(tmp_path / "egress")
    program = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        async def scenario() -> None:
            ledger = EgressLedger(folder, patience=0.0)
            await ledger.sent(departure())
            assert "another program" in str(ledger.problem)
            await ledger.aclose()

        asyncio.run(scenario())
        holder.kill()


def test_the_door_writes_down_every_request(tmp_path: Path) -> None:
    """What passes the door stands in the ledger, with where its connection ended; what it refuses does not."""
    folder = tmp_path / "egress"

    async def scenario() -> int:
        async with FakeProvider(respond=answering("four")) as fake:
            transport = Transport(ledger=EgressLedger(folder))
            provider = Provider("near", ROWS[fake.kind], "m", fake.base_url)
            private = departure().cleared
            payload = Payload("POST", "/chat/completions", (), b'{"messages": [], "stream": true}')
            async with transport.send(Call(private, provider, payload, usage=lambda: Usage(3, 2))) as response:
                size = len(await response.read(1 << 20))
            gone = replace(provider, base_url=fake.base_url.replace("http:", "https:"))
            with pytest.raises(ProviderError):
                async with transport.send(Call(private, gone, payload)):
                    pass
            far = replace(provider, base_url="https://198.51.100.7")
            with pytest.raises(EgressDenied):
                async with transport.send(Call(private, far, payload)):
                    pass
            await transport.aclose()
            return size

    size = asyncio.run(scenario())
    answered, failed = read(folder)
    assert (answered["outcome"], answered["peer"].partition(":")[0], answered["local"]) == (
        "complete",
        "127.0.0.1",
        True,
    )
    assert (answered["bytes"], answered["received"], answered["input_tokens"], answered["dollars"]) == (
        32,
        size,
        3,
        0.0,
    )
    assert (failed["outcome"], failed["peer"], failed["status"]) == ("network", None, None)
    assert verify(folder).broken is None
