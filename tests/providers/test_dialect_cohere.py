"""The corners of Cohere's protocol that no recording shows."""

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
    ModelInfo,
    Progress,
    Reasoning,
    Request,
    Role,
    Structure,
    Text,
    ToolCall,
    Usage,
)

COHERE = dialects.get("cohere")


def chat(*events: object) -> recorded.Heard:
    """Hear an event stream of these values."""
    return recorded.hear(COHERE, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


def piece(kind: str, index: int = 0, **message: object) -> dict[str, object]:
    """Write one event with a piece of the message."""
    return {"type": kind, "index": index, "delta": {"message": message}}


def ending(reason: str | None = "COMPLETE", **more: object) -> dict[str, object]:
    """Write the last event."""
    return {"type": "message-end", "delta": {"finish_reason": reason, **more}}


def body_of(request: Request) -> dict[str, Any]:
    """Return what is sent for a request."""
    provider = Provider("p", ROWS["cohere"], "m", "https://api.cohere.com")
    body: dict[str, Any] = json.loads(COHERE.encode(request, provider).body)
    return body


def test_a_plan_and_a_thought_are_no_answer() -> None:
    """Both are Reasoning; text is text; the pieces of calls are signs of life until they are whole, each by its index."""
    heard = chat(
        {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": []}}},
        piece("tool-plan-delta", tool_plan="I will "),
        piece("content-start", content={"type": "thinking", "thinking": "h"}),
        piece("content-delta", content={"thinking": "m"}),
        piece("content-start", 1, content={"type": "text", "text": "a"}),
        piece("content-delta", 1, content={"text": "b"}),
        piece("citation-start", citations={"text": "?"}),
        piece("tool-call-start", 0, tool_calls={"id": "1", "function": {"name": "f", "arguments": ""}}),
        piece("tool-call-start", 1, tool_calls={"id": "2", "function": {"name": "g", "arguments": ""}}),
        piece("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"x":1}'}}),
        piece("tool-call-end", 0),
        piece("hologram-delta", content={"text": "?"}),
        ending("TOOL_CALL", usage={"tokens": {"input_tokens": 9.0, "output_tokens": 4}, "cached_tokens": 2}),
    )
    assert heard.error is None
    assert heard.deltas == (
        Reasoning("I will "),
        Reasoning("h"),
        Reasoning("m"),
        Text("a"),
        Text("b"),
        Progress(),
        Progress(),
        Progress(),
        ToolCall("1", "f", '{"x":1}'),
        ToolCall("2", "g", "{}"),
        Usage(9, 4, 2),
        Finished(FinishReason.TOOL_CALLS, "TOOL_CALL"),
    )


def test_what_is_billed_is_told_beside_what_was_read() -> None:
    """The tokens of the model and the billed ones are both told; they differ by far."""
    usage = {
        "tokens": {"input_tokens": 506, "output_tokens": 5, "reasoning_tokens": 3},
        "billed_units": {"input_tokens": 11, "output_tokens": 4},
    }
    expected = Usage(506, 5, None, 3, billed_input_tokens=11, billed_output_tokens=4)
    assert chat(ending(usage=usage)).usage == expected
    whole = {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": usage}
    assert expected in COHERE.read(json.dumps(whole).encode())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("COMPLETE", FinishReason.STOP),
        ("STOP_SEQUENCE", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("TOOL_CALL", FinishReason.TOOL_CALLS),
        ("BORED", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_every_finish_reason_has_its_meaning(raw: str | None, reason: FinishReason) -> None:
    """What is known and what is not known is one of our reasons, with the raw word beside it."""
    assert chat(ending(raw)) == recorded.Heard((Finished(reason, raw),), None)


@pytest.mark.parametrize(
    ("last", "kind", "code"),
    [
        (
            ending("ERROR", error="invalid tool", error_type="INVALID_TOOL_GENERATION"),
            Kind.BAD_REQUEST,
            "INVALID_TOOL_GENERATION",
        ),
        (ending("ERROR", error="too much", error_type="TOO_MANY_TOKENS"), Kind.TOO_LONG, "TOO_MANY_TOKENS"),
        (ending("ERROR", error="oh"), Kind.SERVER, None),
        (ending("ERROR"), Kind.SERVER, "ERROR"),
        (ending("TIMEOUT"), Kind.TIMEOUT, "TIMEOUT"),
    ],
)
def test_a_finish_reason_that_means_failure_is_one(last: dict[str, Any], kind: Kind, code: str | None) -> None:
    """An answer that ends with an error is no answer, streamed or not, though the official SDK takes it for one."""
    heard = chat(piece("content-delta", content={"text": "hi"}), last)
    assert heard.error is not None
    assert (heard.error.kind, heard.error.code, heard.error.partial) == (kind, code, True)
    with pytest.raises(ProviderError) as caught:
        COHERE.read(json.dumps({"message": {"content": []}, **last["delta"]}).encode())
    assert (caught.value.kind, caught.value.code) == (kind, code)


def test_a_prompt_that_is_too_long_is_told_by_its_own_word() -> None:
    """The kind of error stands in a field of Cohere's own."""
    body = {"error_type": "TOO_MANY_TOKENS", "id": "x", "message": "size limit exceeded by 3 tokens"}
    error = COHERE.explain(400, {}, json.dumps(body).encode())
    assert (error.kind, error.code, error.message) == (Kind.TOO_LONG, "TOO_MANY_TOKENS", body["message"])


def test_a_stream_without_its_last_event_is_no_answer() -> None:
    """`[DONE]` alone ends nothing, and after the last event it is not waited for."""
    body = f"data: {json.dumps(piece('content-delta', content={'text': 'hi'}))}\n\ndata: [DONE]\n\n"
    heard = recorded.hear(COHERE, body.encode())
    assert heard.error is not None
    assert (heard.error.kind, heard.error.partial, heard.text) == (Kind.BROKEN_STREAM, True, "hi")
    assert chat(ending(), piece("content-delta", content={"text": "!"})).text == ""


def test_a_whole_answer_on_a_stream_request_is_read() -> None:
    """An answer that came at once is an answer, with its calls."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = {"message": {"tool_plan": "so", "tool_calls": [call]}, "finish_reason": "TOOL_CALL"}
    expected = (Reasoning("so"), ToolCall("1", "f", "{}"), Finished(FinishReason.TOOL_CALLS, "TOOL_CALL"))
    assert recorded.hear(COHERE, json.dumps(answer).encode()) == recorded.Heard(expected, None)


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        (Effort.NONE, {"type": "disabled"}),
        (Effort.LOW, {"type": "enabled", "token_budget": 512}),
        (Effort.HIGH, {"type": "enabled"}),
    ],
)
def test_effort_is_a_number_of_tokens(effort: Effort, expected: dict[str, Any]) -> None:
    """Only the most effort has no bound of its own."""
    assert body_of(Request((), effort=effort))["thinking"] == expected


def test_shape_and_choice_of_words_have_cohere_s_names() -> None:
    """`top_p` and `top_k` are `p` and `k` here; a shape is a schema beside the type."""
    body = body_of(Request((), top_p=0.5, top_k=3, structure=Structure("x", '{"type":"object"}')))
    assert (body["p"], body["k"]) == (0.5, 3)
    assert body["response_format"] == {"type": "json_object", "json_schema": {"type": "object"}}


def test_a_call_without_words_has_no_plan() -> None:
    """An empty plan is not sent."""
    turn = Message(Role.ASSISTANT, (Fragment("", ()),), calls=(ToolCall("1", "f", "{}"),))
    assert body_of(Request((turn,)))["messages"] == [
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]


def test_models_that_cannot_chat_are_not_listed() -> None:
    """Only models for the chat are listed, with their context, in the form that Cohere documents."""
    entries = [
        {"name": "command-a-03-2025", "endpoints": ["chat", "generate"], "context_length": 288000.0},
        {"name": "embed-v4.0", "endpoints": ["embed"], "context_length": 128000},
        {"name": "aya", "context_length": 0},
    ]
    found = COHERE.models(json.dumps({"models": entries, "next_page_token": ""}).encode())
    assert found == [ModelInfo("command-a-03-2025", 288_000), ModelInfo("aya")]
    with pytest.raises(ProviderError, match="check base_url"):
        COHERE.models(b'{"data": []}')
