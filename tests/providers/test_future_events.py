"""Events of kinds that did not exist when this was written: passed over, told in the log once each, and never with their content."""

from __future__ import annotations

import json
import logging

import pytest

import recorded
from fuzz import seeds, shapes
from glossator_providers import dialects
from glossator_providers.dialects import future
from glossator_providers.framing import Frame
from glossator_providers.model import Progress

SECRET = "def secret(): ..."
NAMED = ("anthropic", "bedrock", "cohere", "openai_chat", "openai_responses")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Begin with a log in which nothing was told, and listen to all of it."""
    monkeypatch.setattr(future, "_told", set())
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("name", NAMED)
def test_an_unknown_event_is_told_once_and_changes_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of an answer, twice, in two answers: the answer is the same, and the log has one line with the name alone."""
    dialect = dialects.get(name)
    events = [(event, shapes.written(value)) for event, value in seeds.OWN[name][0]]
    strange = ("thought_bubble.delta", json.dumps({"type": "thought_bubble.delta", "delta": SECRET, "text": SECRET}))
    plain = recorded.hear(dialect, shapes.framed(events, dialect.framing))
    assert plain.error is None
    for _ in range(2):
        heard = recorded.hear(dialect, shapes.framed([events[0], strange, strange, *events[1:]], dialect.framing))
        assert heard == plain
    assert [record.getMessage() for record in caplog.records] == [
        f"{name}: an event of a kind that we do not know was passed over: thought_bubble.delta"
    ]


@pytest.mark.parametrize("name", NAMED)
def test_a_name_that_is_none_is_not_repeated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Code, control characters and endless words in the place of a name do not reach the log."""
    decoder = dialects.get(name).decoder()
    for strange in (SECRET, "a\nb\x1b[31m", "x" * 5000, "\ud800"):
        assert decoder.decode(Frame(strange, json.dumps({"type": strange}))) == []
    (record,) = caplog.records
    assert record.getMessage().endswith("passed over: a name that is none")


def test_nobody_fills_the_log_by_inventing_names(caplog: pytest.LogCaptureFixture) -> None:
    """After a hundred of them there is silence."""
    for number in range(1000):
        future.pass_over("anthropic", f"event_{number}")
    assert len(caplog.records) == 100


@pytest.mark.parametrize("case", recorded.cases(kept=lambda case: case.streamed), ids=lambda case: case.name)
def test_no_recorded_stream_holds_an_event_that_is_told(case: recorded.Case, caplog: pytest.LogCaptureFixture) -> None:
    """What real providers send today is known, so that a line in the log means something new."""
    recorded.hear(case.dialect, case.body, row=case.row)
    assert [record.getMessage() for record in caplog.records] == []


def test_bedrock_is_not_silent_while_it_writes_what_is_not_shown() -> None:
    """The beginning of a call, each piece of its arguments, and thoughts that are hidden count as progress."""
    decoder = dialects.get("bedrock").decoder()
    call = {"contentBlockIndex": 1}
    for event, fields in (
        ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "r"}}}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": '{"path":'}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "s"}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"redactedContent": "b64"}}}),
    ):
        assert decoder.decode(Frame(event, json.dumps(call | fields))) == [Progress()]
    assert decoder.decode(Frame("contentBlockDelta", json.dumps(call | {"delta": {"toolUse": {"input": ""}}}))) == []
