"""The corners of the Responses protocol, at OpenAI and at Azure, that no recording shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

import recorded
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import (
    Effort,
    Finished,
    FinishReason,
    Fragment,
    Message,
    Progress,
    Reasoning,
    Request,
    Role,
    Started,
    Structure,
    Text,
    ToolCall,
    Usage,
)

RESPONSES = dialects.get("openai_responses")


def responses(*events: object) -> recorded.Heard:
    """Hear an event stream of these values."""
    return recorded.hear(RESPONSES, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


def piece(text: str, *, kind: str = "output_text") -> dict[str, str]:
    """Write one piece of an answer."""
    return {"type": f"response.{kind}.delta", "delta": text}


def ending(status: str = "completed", **more: object) -> dict[str, object]:
    """Write the last event."""
    return {
        "type": f"response.{status}",
        "response": {"object": "response", "status": status, "output": [], "incomplete_details": None, **more},
    }


def message(*parts: object) -> dict[str, object]:
    """Write an item that is a message."""
    return {"type": "message", "content": list(parts)}


def body_of(request: Request, kind: str = "openai-responses", **choices: Any) -> dict[str, Any]:
    """Return what is sent for a request."""
    provider = Provider("p", ROWS[kind], "m", "https://r.openai.azure.com", **choices)
    body: dict[str, Any] = json.loads(dialects.get(ROWS[kind].dialect).encode(request, provider).body)
    return body


def said(text: str, role: Role = Role.USER, **more: Any) -> Message:
    """Make one turn of a conversation."""
    return Message(role, (Fragment(text, ()),), **more)


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        ({"type": "error", "code": "server_is_overloaded", "message": "busy"}, Kind.OVERLOADED, "server_is_overloaded"),
        (
            {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow"}},
            Kind.RATE,
            "rate_limit_exceeded",
        ),
        ({"type": "error", "message": None}, Kind.SERVER, "error"),
        (ending("failed", error={"code": "server_error", "message": "oh"}), Kind.SERVER, "server_error"),
        (ending("failed", error={"code": "invalid_prompt", "message": "no"}), Kind.REFUSED, "invalid_prompt"),
        (ending("failed", error={"code": "content_filter", "message": "no"}), Kind.REFUSED, "content_filter"),
        (ending("failed", error=None), Kind.SERVER, None),
        (ending("cancelled"), Kind.SERVER, None),
    ],
)
def test_a_failure_after_status_200_is_one(event: dict[str, Any], kind: Kind, code: str | None) -> None:
    """Both shapes of an error, of which the official SDK overlooks the flat one, and both events end no answer."""
    heard = responses(piece("hi"), event, ending())
    assert heard.error is not None
    assert (heard.error.kind, heard.error.code, heard.error.partial, heard.text) == (kind, code, True, "hi")
    assert heard.error.message
    if "response" in event:
        with pytest.raises(ProviderError) as caught:
            RESPONSES.read(json.dumps(event["response"]).encode())
        assert caught.value.kind is kind


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", "hibernated"])
def test_an_answer_that_is_not_there_yet_is_none(status: str) -> None:
    """A whole answer in any other state than an end is a failure, in words."""
    with pytest.raises(ProviderError, match=status):
        RESPONSES.read(json.dumps(ending(status)["response"]).encode())


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("content_filter", FinishReason.REFUSED),
        ("boredom", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_an_incomplete_answer_says_why(reason: str | None, expected: FinishReason) -> None:
    """What there is of it is an answer, streamed or not; a filter in the middle of it is a refusal."""
    last = ending("incomplete", incomplete_details={"reason": reason})
    heard = responses(piece("hi"), last)
    assert (heard.text, heard.error, heard.finished) == ("hi", None, Finished(expected, "incomplete"))
    assert RESPONSES.read(json.dumps(last["response"]).encode()) == [Finished(expected, "incomplete")]


def test_a_refusal_is_told_and_is_no_answer() -> None:
    """What the model says when it declines is shown, and its finish reason is not that of an answer."""
    heard = responses(piece("I can", kind="refusal"), piece("not", kind="refusal"), ending())
    assert (heard.text, heard.finished) == ("I cannot", Finished(FinishReason.REFUSED, "completed"))
    whole = ending(output=[message({"type": "refusal", "refusal": "no"})])
    assert RESPONSES.read(json.dumps(whole["response"]).encode()) == [
        Text("no"),
        Finished(FinishReason.REFUSED, "completed"),
    ]
    assert responses(whole).finished == Finished(FinishReason.REFUSED, "completed")


def test_thoughts_are_kept_apart_in_both_forms() -> None:
    """A summary of OpenAI's and the words of an open model are Reasoning, in pieces and in a whole answer."""
    heard = responses(
        piece("sum", kind="reasoning_summary_text"), piece("words", kind="reasoning_text"), piece("hi"), ending()
    )
    assert (heard.reasoning, heard.text) == ("sumwords", "hi")
    summary = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "sum"}],
        "content": [{"text": "words"}],
    }
    words = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "words"}]}
    for item, expected in ((summary, "sum"), (words, "words")):
        whole = ending(output=[item, message({"type": "output_text", "text": "hi"})])
        deltas = RESPONSES.read(json.dumps(whole["response"]).encode())
        assert deltas == [Reasoning(expected), Text("hi"), Finished(FinishReason.STOP, "completed")]


def test_a_call_is_given_once_however_often_it_is_told() -> None:
    """The arguments in pieces are a sign of life; the item that is done is the call; the last event repeats it."""
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    other = {"type": "function_call", "id": "fc2", "name": "g", "arguments": ""}
    heard = responses(
        {"type": "response.output_item.added", "item": {**item, "arguments": ""}},
        piece('{"a"', kind="function_call_arguments"),
        {"type": "response.output_item.done", "item": item},
        ending(output=[item, other]),
    )
    assert heard.deltas == (
        Progress(),
        ToolCall("c", "f", '{"a":1}'),
        ToolCall("fc2", "g", "{}"),
        Finished(FinishReason.TOOL_CALLS, "completed"),
    )


def test_an_answer_that_comes_only_in_the_last_event_is_read() -> None:
    """What a server did not send in pieces is taken from the event that repeats everything, and nothing twice."""
    last = ending(model="m", output=[message({"text": "h"}, {"text": "i"})], usage={"input_tokens": 1})
    expected = (Started("m"), Text("hi"), Usage(1), Finished(FinishReason.STOP, "completed"))
    assert responses(last).deltas == expected
    assert responses(piece("hi"), last).text == "hi"
    assert recorded.hear(RESPONSES, json.dumps(last["response"]).encode()).deltas == expected


def test_only_the_last_event_ends_an_answer() -> None:
    """Neither `[DONE]`, which some proxies add, nor the end of a part is an end; what follows the end is left alone."""
    body = b'data: {"type":"response.output_text.delta","delta":"hi"}\n\ndata: [DONE]\n\n'
    heard = recorded.hear(RESPONSES, body)
    assert heard.error is not None
    assert (heard.error.kind, heard.error.partial, heard.text) == (Kind.BROKEN_STREAM, True, "hi")
    assert responses(piece("hi"), {"type": "response.output_text.done", "text": "hi"}).error is not None
    assert responses(piece("hi"), ending(), piece("!"), {"type": "error"}).text == "hi"


def test_a_character_that_is_torn_between_two_events_is_joined() -> None:
    """The halves of an emoji from a server that counts in UTF-16 make one emoji."""
    assert responses(piece("a\ud83d"), piece("\ude00"), ending()).text == "a😀"
    assert responses(piece("a\ud83d"), ending()).text == "a\ufffd"


def test_what_this_protocol_cannot_say_is_left_out() -> None:
    """Stop words and `top_k` would be unknown fields, which are 400; OpenAI takes no bound below sixteen tokens."""
    body = body_of(Request((said("x"),), stop=("END",), top_k=3, max_tokens=1, stream=False))
    assert body == {"model": "m", "input": "x", "max_output_tokens": 16, "store": False}


def test_effort_and_shape_are_asked_for_as_documented() -> None:
    """Where thoughts are wanted their summary is; a shape is promised strictly."""
    structure = Structure("person", '{"type":"object"}')
    body = body_of(Request((said("x"),), effort=Effort.HIGH, structure=structure))
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    shape = {"type": "json_schema", "name": "person", "schema": {"type": "object"}, "strict": True}
    assert body["text"] == {"format": shape}
    assert body_of(Request((said("x"),), effort=Effort.NONE))["reasoning"] == {"effort": "none"}


def test_what_a_model_said_beside_its_call_goes_back_with_it() -> None:
    """A turn with words and calls is two items; a lone turn that is no question is a list as well."""
    call = ToolCall("c", "f", "{}")
    body = body_of(Request((said("wait", Role.ASSISTANT, calls=(call,)), said("r", Role.TOOL, answers="c"))))
    assert body["input"] == [
        {"role": "assistant", "content": "wait"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
    ]
    assert body_of(Request((said("x", Role.ASSISTANT),)))["input"] == [{"role": "assistant", "content": "x"}]


@pytest.mark.parametrize(
    ("kind", "version", "path"),
    [
        ("azure", None, "/openai/v1/chat/completions"),
        ("azure", "2024-10-21", "/openai/deployments/my%20gpt%2F5/chat/completions?api-version=2024-10-21"),
        ("azure-responses", None, "/openai/v1/responses"),
        ("azure-responses", "2025-03-01-preview", "/openai/responses?api-version=2025-03-01-preview"),
    ],
)
def test_a_deployment_is_where_its_api_has_it(kind: str, version: str | None, path: str) -> None:
    """The older API has the deployment in the path and a date in the query, the API v1 has neither."""
    row = ROWS[kind]
    provider = Provider("p", row, "my gpt/5", "https://r.openai.azure.com", api_version=version)
    payload = dialects.get(row.dialect).encode(Request((said("x"),)), provider)
    assert payload.path == path
    assert json.loads(payload.body)["model"] == "my gpt/5"
    assert dialects.get(row.dialect).list_models().path == "/openai/v1/models"


def test_an_answer_that_azure_took_away_is_a_refusal() -> None:
    """A choice whose message the filter removed is no broken answer; one without both is."""
    azure = dialects.get("azure")
    deltas = azure.read(b'{"model":"m","choices":[{"finish_reason":"content_filter"}]}')
    assert deltas == [Started("m"), Finished(FinishReason.REFUSED, "content_filter")]
    with pytest.raises(ProviderError):
        azure.read(b'{"model":"m","choices":[{}]}')


def test_a_server_that_cannot_say_why_it_stopped_is_not_taken_to_have_said_it() -> None:
    """Without the field that tells an answer from half of one, "completed" is no reason; the answer's word beats the event's."""
    bare = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    assert responses(piece("hi"), bare).finished == Finished(FinishReason.OTHER, "completed")
    inner = {"status": "incomplete", "output": [], "incomplete_details": {"reason": "max_output_tokens"}}
    contradicting = {"type": "response.completed", "response": inner}
    assert responses(piece("hi"), contradicting).finished == Finished(FinishReason.LENGTH, "incomplete")
    failed = {
        "type": "response.completed",
        "response": {"status": "failed", "error": {"message": "oh", "code": "server_error"}},
    }
    assert responses(piece("hi"), failed).error is not None
