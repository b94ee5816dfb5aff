"""The level of a request: the strictest of its fragments, with the reasons, and one type that stands for it."""

from __future__ import annotations

import copy
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import audit
from glossator_providers import privacy
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import EgressDenied, PolicyRefusal
from glossator_providers.model import (
    Fragment,
    Level,
    Message,
    Origin,
    OriginKind,
    Request,
    Role,
    Structure,
    Tool,
    ToolCall,
)
from glossator_providers.privacy import Cleared, Decision, LocalFiles, Policy, Reason
from glossator_providers.privacy.reasons import decide_by

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
SAID = Origin(OriginKind.INSTRUCTION)


def ask(*fragments: Fragment, roots: tuple[str, ...] = ()) -> Request:
    """Make a request of one message."""
    return Request((Message(Role.USER, fragments),), roots=roots)


def clear(request: Request, **policy: Any) -> Cleared:
    """Clear a request on the real disk."""
    return privacy.clear(request, policy=Policy(**policy), files=LocalFiles())


def provider(base_url: str, *, kind: str = "openai-compatible", **changes: Any) -> Provider:
    """Make a provider at *base_url*."""
    return Provider(name="work", row=ROWS[kind], model="m", base_url=base_url, **changes)


CLOUD = provider("https://api.example.test/v1")
HERE = provider("http://127.0.0.1:1/v1")


def test_a_pasted_key_makes_a_file_private(tmp_path: Path) -> None:
    """A key in app.py closes it, with the rule's name and the place, never the key."""
    (tmp_path / "app.py").touch()
    uri = (tmp_path / "app.py").as_uri()
    text = f"import os\n\nkey = '{KEY}'\n"
    decision = privacy.judge_text(uri, text, policy=Policy(), roots=(str(tmp_path),), files=LocalFiles())
    assert decision.level is Level.PRIVATE
    (reason,) = decision.reasons
    assert (reason.rule, reason.source, reason.uri) == ("github-token", "content", uri)
    assert reason.range == (2, 7, 2, 7 + len(KEY))
    assert str(reason) == "line 3 holds what looks like a GitHub token (rule github-token)"
    assert KEY not in repr(decision)


def test_the_user_can_refuse_secrets_altogether(tmp_path: Path) -> None:
    """With on_secret = "refuse" a secret means no model at all."""
    request = ask(Fragment(f"key = '{KEY}'", (SAID,)))
    with pytest.raises(PolicyRefusal, match="github-token") as raised:
        clear(request, on_secret="refuse")
    assert raised.value.rules == ("github-token",)
    assert KEY not in str(raised.value)


def test_a_very_large_text_is_private(tmp_path: Path) -> None:
    """What is too large to be looked through stays here, and says why."""
    (tmp_path / "a.py").touch()
    uri = (tmp_path / "a.py").as_uri()
    decision = privacy.judge_text(uri, "x\n" * 1_100_000, policy=Policy(), roots=(str(tmp_path),), files=LocalFiles())
    assert [reason.rule for reason in decision.reasons] == ["too-large"]


def test_the_strictest_fragment_decides(tmp_path: Path) -> None:
    """One piece of context from a private file makes the whole request private; from a forbidden one, impossible."""
    for name in ("app.py", ".env", "payroll.py"):
        (tmp_path / name).touch()
    document = Fragment("x = 1", (Origin(OriginKind.DOCUMENT, (tmp_path / "app.py").as_uri()),))
    context = Fragment("y", (Origin(OriginKind.CONTEXT, (tmp_path / ".env").as_uri()),))
    quoted = Fragment("z", (SAID, Origin(OriginKind.DIAGNOSTIC, (tmp_path / "payroll.py").as_uri())))
    roots = (str(tmp_path),)
    assert clear(ask(document, roots=roots)).decision == Decision(Level.OPEN)
    assert clear(ask(document, context, roots=roots)).decision.level is Level.PRIVATE
    with pytest.raises(PolicyRefusal, match="payroll") as raised:
        clear(ask(document, context, quoted, roots=roots), never=("payroll.py",))
    assert raised.value.rules == ("never payroll.py",)


@pytest.mark.parametrize("kind", [OriginKind.DOCUMENT, OriginKind.CONTEXT, OriginKind.DIAGNOSTIC])
def test_document_text_without_a_document_is_private(kind: OriginKind) -> None:
    """Text that must come from a document and does not say which stays here, as does text without an origin."""
    assert clear(ask(Fragment("x", (Origin(kind),)))).decision.level is Level.PRIVATE
    assert clear(ask(Fragment("x", ()))).decision.level is Level.PRIVATE


def test_a_secret_across_two_fragments_is_found() -> None:
    """Cutting a key in two does not hide it: the message is read as the model would."""
    halves = (Fragment(KEY[:20], (SAID,)), Fragment(KEY[20:], (SAID,)))
    assert clear(ask(*halves)).decision.level is Level.PRIVATE


def test_documentation_of_rules_may_show_passwords() -> None:
    """What a checker's own documentation shows as an example closes nothing, neither here nor at the last look."""
    rule = Fragment(f"Never write token = '{KEY}'", (Origin(OriginKind.RULE),))
    cleared = clear(ask(rule, Fragment("explain", (SAID,))))
    assert cleared.decision.level is Level.OPEN
    privacy.inspect(json.dumps({"content": cleared.request.messages[0].text}).encode(), cleared, local=False)
    mixed = Fragment(f"token = '{KEY}'", (Origin(OriginKind.RULE), SAID))
    assert clear(ask(mixed)).decision.level is Level.PRIVATE


def test_the_last_look_reads_the_bytes() -> None:
    """A secret that only the finished body shows is refused, whatever escapes it hides under."""
    cleared = clear(ask(Fragment("hello", (SAID,))))
    escaped = "".join(f"\\u{ord(character):04x}" for character in KEY)
    for body in (f'{{"a": ["{KEY}"]}}', f'{{"{KEY}": 1}}', f'{{"a": "{escaped}"}}', f"not json {KEY}"):
        privacy.inspect(body.encode(), cleared, local=True)
        with pytest.raises(EgressDenied, match="github-token") as raised:
            privacy.inspect(body.encode(), cleared, local=False)
        assert KEY not in str(raised.value)
    privacy.inspect(b'{"a": "hello"}', cleared, local=False)
    with pytest.raises(EgressDenied, match="too large"):
        privacy.inspect(b" " * 3_000_000, cleared, local=False)
    with pytest.raises(EgressDenied):
        privacy.inspect(b"[" * 100_000 + KEY.encode(), cleared, local=False)


def test_private_bytes_pass_only_where_it_is_proven() -> None:
    """The last look refuses a private request for a connection that is not proven to end here."""
    cleared = clear(ask(Fragment("x", ())))
    privacy.inspect(b"{}", cleared, local=True)
    with pytest.raises(EgressDenied, match="private"):
        privacy.inspect(b"{}", cleared, local=False)


def test_only_privacy_makes_a_clearance() -> None:
    """A clearance cannot be made, changed or printed by anybody else."""
    request = ask(Fragment("words of the user", (SAID,)))
    with pytest.raises(TypeError, match="only"):
        Cleared(request, Decision(Level.OPEN), Policy(), object())
    cleared = clear(request)
    with pytest.raises(AttributeError):
        cleared.decision = Decision(Level.OPEN)
    with pytest.raises(AttributeError):
        cleared._policy = Policy(trusted_hosts=("anywhere",))
    with pytest.raises((TypeError, AttributeError)):
        pickle.loads(pickle.dumps(cleared))
    with pytest.raises((TypeError, AttributeError)):
        copy.copy(cleared)
    assert "words" not in repr(cleared)


@pytest.mark.parametrize(
    ("changes", "opens", "keeps"),
    [
        ({"base_url": "https://api.example.test"}, "yes", "no"),
        ({"base_url": "http://127.0.0.1:1"}, "yes", "yes"),
        ({"base_url": "http://[::1]:1"}, "yes", "yes"),
        ({"base_url": "http://localhost:1"}, "yes", "yes"),
        ({"base_url": "http://x.test", "socket": "/run/s"}, "yes", "yes"),
        ({"base_url": "http://0.0.0.0:1"}, "yes", "no"),
        ({"base_url": "http://192.0.2.7:1", "kind": "ollama"}, "yes", "no"),
        ({"base_url": "http://localhost.evil.test"}, "yes", "no"),
        ({"base_url": "http://GPU.lan.:1"}, "yes", "yes"),
        ({"base_url": "http://[::ffff:192.0.2.9]:1"}, "yes", "yes"),
        ({"base_url": "https://api.example.test", "found": True}, "no", "no"),
        ({"base_url": "http://127.0.0.1:1", "found": True}, "yes", "yes"),
    ],
)
def test_what_a_clearance_covers(changes: dict[str, Any], opens: str, keeps: str) -> None:
    """Open text goes to whom the user chose; private text only to addresses of this machine and trusted hosts."""
    rules: dict[str, Any] = {"trusted_hosts": ("gpu.lan", "192.0.2.9"), "cloud_allowed": False}
    to = provider(**changes)
    assert clear(ask(Fragment("x", (SAID,))), **rules).covers(to) is (opens == "yes")
    assert clear(ask(Fragment("x", ())), **rules).covers(to) is (keeps == "yes")


def test_a_probe_stays_here(connections: list[audit.Attempt]) -> None:
    """Looking for servers asks this machine only."""
    probe = privacy.clear_probe()
    assert probe.covers(HERE)
    assert not probe.covers(CLOUD)
    assert probe.request.messages == ()
    assert connections == []


@given(st.lists(st.sampled_from(list(Level)), max_size=6))
def test_the_level_is_the_strictest_reason(levels: list[Level]) -> None:
    """Reasons join to the strictest of them, in any order, and are told strictest first."""
    reasons = [Reason(level, f"r{number}", "policy") for number, level in enumerate(levels)]
    decision = decide_by(reasons)
    assert decision.level is max(levels, default=Level.OPEN)
    assert decision.level is decide_by(reversed(reasons)).level
    assert [reason.level for reason in decision.reasons] == sorted(levels, reverse=True)


def test_judging_a_large_file_is_cheap_enough_for_a_menu(tmp_path: Path) -> None:
    """Asked again of 10,000 lines, the decision takes a few milliseconds; of a deep small file, well below one."""
    path = tmp_path.joinpath(*"abcdef", "app.py")
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / ".gitignore").write_text("\n".join(f"build{number}/*.o" for number in range(50)))
    text = "".join(f"    value_{number} = compute({number})\n" for number in range(10_000))
    files = LocalFiles()
    best = {}
    for what in (text, "x = 1\n"):
        times = []
        for _ in range(5):
            began = time.thread_time()
            privacy.judge_text(path.as_uri(), what, policy=Policy(), roots=(str(tmp_path),), files=files)
            times.append(time.thread_time() - began)
        best[len(what)] = min(times)
    print({length: f"{seconds * 1000:.2f} ms" for length, seconds in best.items()})
    assert max(best.values()) < 0.05


def turns(call: ToolCall, *, result: str = "fine", origins: tuple[Origin, ...] = (SAID,)) -> Request:
    """Make a request in which a tool was called and has answered."""
    return Request(
        (
            Message(Role.USER, (Fragment("look", (SAID,)),)),
            Message(Role.ASSISTANT, (Fragment("", origins),) if origins else (), calls=(call,)),
            Message(Role.TOOL, (Fragment(result, (SAID,)),), answers=call.id),
        )
    )


def test_the_arguments_and_the_result_of_a_tool_are_judged_like_any_text(tmp_path: Path) -> None:
    """A secret that a model wrote into a call's arguments, or that a tool brought, keeps the conversation here."""
    harmless = ToolCall("1", "read", '{"path": "a.py"}')
    assert clear(turns(harmless)).decision.level is Level.OPEN
    for request in (
        turns(ToolCall("1", "log_in", json.dumps({"token": KEY}))),
        turns(ToolCall("1", "log_in", '{"token": "' + "".join(f"\\u{ord(c):04x}" for c in KEY) + '"}')),
        turns(ToolCall("1", "log_in", f"token={KEY} and no JSON")),
        turns(harmless, result=f"key = '{KEY}'"),
        Request((), tools=(Tool("log_in", f"Use {KEY}", "{}"),)),
        Request((), structure=Structure("s", json.dumps({"const": KEY}))),
    ):
        decision = clear(request).decision
        assert decision.level is Level.PRIVATE
        assert "github-token" in {reason.rule for reason in decision.reasons}
        assert not clear(request).covers(CLOUD)


def test_a_call_travels_as_far_as_what_the_model_was_shown(tmp_path: Path) -> None:
    """Arguments may quote a private file: they share the origins of their turn, and without any they stay here."""
    quoting = ToolCall("1", "write", '{"text": "the plan"}')
    untitled = Origin(OriginKind.ANSWER, "untitled:Untitled-1")
    assert clear(turns(quoting, origins=(untitled,))).decision.level is Level.PRIVATE
    (reason,) = clear(turns(quoting, origins=())).decision.reasons
    assert reason.rule == "no origin"


def test_a_secret_in_the_arguments_of_a_call_is_seen_at_the_door(tmp_path: Path) -> None:
    """Escaped twice, as JSON inside JSON, a token still does not leave."""
    arguments = '{"token": "' + "".join(f"\\u{ord(c):04x}" for c in KEY) + '"}'
    body = json.dumps({"messages": [{"tool_calls": [{"function": {"arguments": arguments}}]}]}).encode()
    with pytest.raises(EgressDenied, match="github-token"):
        privacy.inspect(body, clear(ask(Fragment("hi", (SAID,)))), local=False)
