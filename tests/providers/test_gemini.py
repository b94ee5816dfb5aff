"""What Google's protocol does beyond its recordings: signatures, ids, blocked prompts, quotas, and words of the future."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorded
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame
from glossator_providers.model import (
    Effort,
    Finished,
    FinishReason,
    Fragment,
    Message,
    Request,
    Role,
    Structure,
    Text,
    ToolCall,
    Usage,
)

GEMINI = dialects.get("gemini")
VERTEX = dialects.get("vertex")


def body_of(request: Request, *, model: str = "gemini-3.8-flash") -> dict[str, Any]:
    """Return the body that is sent."""
    provider = Provider("g", ROWS["gemini"], model, "https://generativelanguage.googleapis.com")
    body: dict[str, Any] = json.loads(GEMINI.encode(request, provider).body)
    return body


def said(role: Role, text: str, *calls: ToolCall, answers: str | None = None) -> Message:
    """Make one turn."""
    return Message(role, (Fragment(text, ()),) if text else (), calls=calls, answers=answers)


def heard(*chunks: object) -> recorded.Heard:
    """Hear a stream of chunks, with Google's line ends."""
    return recorded.hear(GEMINI, "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks).encode())


def parts(*items: object, finish: str | None = None, **more: object) -> dict[str, Any]:
    """Make a chunk with one candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(items), "role": "model"}}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **more}


# --- requests ---


def test_what_several_tools_brought_is_one_turn() -> None:
    """Results of parallel calls go back together, each with the name and, where the model gave one, the id of its call."""
    calls = (ToolCall("call_1", "look", '{"a": 1}', "c2ln"), ToolCall("gemini-call-1", "list", "broken"))
    body = body_of(
        Request((
            said(Role.USER, "check"),
            said(Role.ASSISTANT, "I look", *calls),
            said(Role.TOOL, "one", answers="call_1"),
            said(Role.TOOL, "two", answers="gemini-call-1"),
            said(Role.USER, "and?"),
        ))
    )  # fmt: skip
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "check"}]},
        {
            "role": "model",
            "parts": [
                {"text": "I look"},
                {"functionCall": {"id": "call_1", "name": "look", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "list", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_1", "name": "look", "response": {"result": "one"}}},
                {"functionResponse": {"name": "list", "response": {"result": "two"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


def test_a_call_goes_back_as_it_came() -> None:
    """A call that was heard is sent with the signature that it brought, word for word, and without the id that we gave it."""
    part = {"functionCall": {"name": "look", "args": {"q": "é"}}, "thoughtSignature": "c2lnbmF0dXJl"}
    (call,) = heard(parts(part, finish="STOP")).calls
    turn = body_of(Request((said(Role.ASSISTANT, "", call),)))["contents"][0]
    assert turn == {"role": "model", "parts": [part]}


@pytest.mark.parametrize(
    ("model", "signature"),
    [
        ("gemini-3.8-flash", "skip_thought_signature_validator"),
        ("gemini-pro-latest", "skip_thought_signature_validator"),
        ("models/gemini-4-argon", "skip_thought_signature_validator"),
        ("gemini-2.5-pro", None),
        ("gemini-2.0-flash", None),
        ("gemma-3-27b-it", None),
    ],
)
def test_a_call_of_another_model_says_that_it_has_no_signature(model: str, signature: str | None) -> None:
    """Gemini 3 refuses a call without a signature, so it is told that there is none; older models know no such thing."""
    calls = (ToolCall("toolu_1", "look", "{}"), ToolCall("toolu_2", "list", "{}"))
    turn = body_of(Request((said(Role.ASSISTANT, "", *calls),)), model=model)["contents"][0]
    assert [part.get("thoughtSignature") for part in turn["parts"]] == [signature, None]


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-3.8-flash", Effort.NONE, {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", Effort.NONE, {"thinkingLevel": "low"}),
        ("gemini-3.8-flash", Effort.HIGH, {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-flash-latest", Effort.MEDIUM, {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-2.5-flash", Effort.NONE, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Effort.NONE, {"thinkingBudget": 128}),
        ("models/gemini-2.5-pro", Effort.HIGH, {"includeThoughts": True, "thinkingBudget": 24576}),
    ],
)
def test_effort_is_a_level_or_a_budget(model: str, effort: Effort, thinking: dict[str, Any]) -> None:
    """Each generation is told in its own way how much to think; both at once would be an error."""
    body = body_of(Request((said(Role.USER, "why"),), effort=effort), model=model)
    assert body["generationConfig"]["thinkingConfig"] == thinking
    assert "thinkingConfig" not in body_of(Request((said(Role.USER, "why"),)), model=model)["generationConfig"]


def test_a_structure_is_promised() -> None:
    """A schema is sent where the provider holds the model to it."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = Request((said(Role.USER, "x"),), structure=Structure("s", json.dumps(schema)), top_k=3)
    older = body_of(asked, model="gemini-2.5-flash")["generationConfig"]
    assert (older["responseMimeType"], older["responseJsonSchema"]) == ("application/json", schema)
    assert older["topK"] == 3


def test_a_silent_system_is_left_out() -> None:
    """An empty instruction would be an error, so none is sent; several keep their order, the stable first."""
    assert "systemInstruction" not in body_of(Request((said(Role.SYSTEM, " "), said(Role.USER, "x"))))
    two = body_of(Request((said(Role.SYSTEM, "one"), said(Role.SYSTEM, "two"), said(Role.USER, "x"))))
    assert two["systemInstruction"]["parts"] == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3.8-flash", "/v1/models/gemini-3.8-flash:generateContent"),
        ("models/gemini-3.8-flash", "/v1/models/gemini-3.8-flash:generateContent"),
        ("tunedModels/mine", "/v1/tunedModels/mine:generateContent"),
        ("a?b#c d", "/v1/models/a%3Fb%23c%20d:generateContent"),
    ],
)
def test_a_model_is_a_part_of_the_path(model: str, path: str) -> None:
    """A name in either spelling leads to the model, and no character of it ends the path."""
    provider = Provider("g", ROWS["gemini"], model, "https://generativelanguage.googleapis.com")
    assert GEMINI.encode(Request((), stream=False), provider).path == path


# --- answers ---


def test_a_blocked_prompt_is_a_refusal_whatever_it_is_called() -> None:
    """Every block reason, those of the future among them, ends the answer as refused, with the provider's own word."""
    for reason in ("SAFETY", "PROHIBITED_CONTENT", "JAILBREAK", "WORD_OF_2031"):
        answer = heard({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 3}})
        assert answer.error is None
        assert answer.finished == Finished(FinishReason.REFUSED, reason)
        assert answer.usage == Usage(3)


def test_the_last_reason_counts() -> None:
    """Older models say in each chunk that they are done: what follows is still the answer, and the last word holds."""
    answer = heard(parts({"text": "a"}, finish="STOP"), parts({"text": "b"}, finish="MAX_TOKENS"))
    assert (answer.text, answer.finished) == ("ab", Finished(FinishReason.LENGTH, "MAX_TOKENS"))


def test_thoughts_are_apart_and_the_rest_is_passed_over() -> None:
    """Thoughts are no answer; pictures, programs and their results, which nobody asked for, are neither."""
    answer = heard(
        parts({"text": "hm", "thought": True}, {"text": "yes", "thoughtSignature": "x"}),
        parts({"inlineData": {"data": "AAAA"}}, {"executableCode": {"code": "1"}}, {"futurePart": {"text": "no"}}),
        parts({"text": " indeed"}, finish="STOP", futureField=1),
    )
    assert (answer.text, answer.reasoning, answer.error) == ("yes indeed", "hm", None)


def test_calls_without_ids_are_told_apart() -> None:
    """Parallel calls without ids get some of ours; one with an id keeps it; all mean that the model waits for results."""
    call = {"functionCall": {"name": "look"}}
    answer = heard(parts(call, call), parts({"functionCall": {"name": "look", "id": "x1", "args": 7}}, finish="STOP"))
    assert [(c.id, c.name, c.arguments) for c in answer.calls] == [
        ("gemini-call-0", "look", "{}"),
        ("gemini-call-1", "look", "{}"),
        ("x1", "look", "{}"),
    ]
    assert answer.finished == Finished(FinishReason.TOOL_CALLS, "STOP")


def test_only_the_first_candidate_is_read() -> None:
    """A second answer beside the first one is not mixed into it."""
    chunk = parts({"text": "first"}, finish="STOP")
    chunk["candidates"].append({"index": 1, "content": {"parts": [{"text": "second"}]}})
    assert heard(chunk).text == "first"


def test_a_stream_that_only_thought_is_no_answer() -> None:
    """Whatever was said, without a reason to end it broke off."""
    for answer in (heard(), heard({}), heard(parts({"text": "x", "thought": True})), heard(parts({"text": "x"}))):
        assert answer.error is not None
        assert answer.error.kind is Kind.BROKEN_STREAM
        assert answer.error.partial is bool(answer.text)


def test_a_whole_answer_without_a_message_is_none() -> None:
    """An object with neither candidate nor word about the prompt is no answer; one without a reason is whole."""
    for body in (b"{}", b'{"candidates": []}', b'{"usageMetadata": {}}', b"[]", b"[{}]"):
        with pytest.raises(ProviderError):
            GEMINI.read(body)
    deltas = GEMINI.read(json.dumps(parts({"text": "x"})).encode())
    assert deltas == [Text("x"), Finished(FinishReason.OTHER)]


# --- failures ---


def failure(status: int, code: str, message: str, *details: object) -> ProviderError:
    """Classify a failure in Google's envelope."""
    told = {"error": {"code": status, "message": message, "status": code, "details": list(details)}}
    return GEMINI.explain(status, {}, json.dumps(told).encode())


QUOTA = "You exceeded your current quota, please check your plan and billing details. Please retry in 20.5s."


def test_a_days_quota_is_not_waited_for() -> None:
    """The quota of a day, in either form of its name, is as good as an empty purse until tomorrow: somebody else is asked."""
    retry = {"retryDelay": "20s"}
    for detail in (
        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
        {"metadata": {"quota_limit": "GenerateContentRequestsPerDayPerProject"}},
    ):
        error = failure(429, "RESOURCE_EXHAUSTED", QUOTA, detail, retry)
        assert (error.kind, error.retry_after, error.code) == (Kind.NO_CREDIT, None, "RESOURCE_EXHAUSTED")
    minute = {"violations": [{"quotaId": "GenerateContentPaidTierInputTokensPerModelPerMinute"}]}
    error = failure(429, "RESOURCE_EXHAUSTED", QUOTA, minute, retry)
    assert (error.kind, error.retry_after) == (Kind.RATE, 20.5)


@pytest.mark.parametrize(
    ("status", "code", "message", "details", "kind"),
    [
        (
            400,
            "INVALID_ARGUMENT",
            "API key expired. Please renew the API key.",
            [{"reason": "API_KEY_INVALID"}],
            "auth",
        ),
        (401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", [], "auth"),
        (403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied", [], "forbidden"),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", [], "forbidden"),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (5).",
            [],
            "too-long",
        ),
        (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", [], "rate"),
        (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", [], "no-credit"),
        (500, "INTERNAL", "An internal error has occurred.", [], "server"),
        (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", [], "overloaded"),
        (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", [], "timeout"),
        (418, "WORD_OF_2031", "Something new.", [{"reason": 7}, None], "bad-request"),
    ],
)
def test_every_failure_of_google_has_its_kind(
    status: int, code: str, message: str, details: list[object], kind: str
) -> None:
    """Status, word and details together say what went wrong, as an answer and, array or not, in the middle of a stream."""
    error = failure(status, code, message, *details)
    assert (error.kind, error.code, error.message) == (Kind(kind), code, message)
    told = {"error": {"code": status, "message": message, "status": code, "details": details}}
    for chunk in (told, [told]):
        late = heard(parts({"text": "so far"}), chunk)
        assert late.error is not None
        assert (late.error.kind, late.error.partial, late.text) == (Kind(kind), True, "so far")


@pytest.mark.parametrize("key", ["AIza" + "x" * 35, "AQ." + "x" * 40, "ya29." + "x-y_z.0" * 10])
def test_a_key_of_google_is_blotted_out(key: str) -> None:
    """Neither a key nor a token that Google repeats reaches a log or an editor."""
    assert failure(403, "PERMISSION_DENIED", f"{key} may not").message == "*** may not"


def test_a_web_page_is_named_as_one() -> None:
    """A wrong location of Vertex AI answers with a web page: that is said, and nothing of it is shown but its title."""
    page = b"<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p>The requested URL was not found"
    error = VERTEX.explain(404, {"content-type": "text/html"}, page)
    assert error.kind is Kind.NO_MODEL
    assert "Error 404 (Not Found)" in error.message


# --- lists of models ---


def test_published_models_are_listed_by_their_last_name() -> None:
    """Vertex AI names models with their publisher; people do not."""
    listed = {
        "publisherModels": [{"name": "publishers/google/models/gemini-3.8-flash"}, {"name": ""}, None, {"name": 1}]
    }
    assert [model.name for model in VERTEX.models(json.dumps(listed).encode())] == ["gemini-3.8-flash"]
    claude = dialects.get("vertex_anthropic").list_models()
    assert claude.path.partition("?")[0] == "/v1beta1/publishers/anthropic/models"
    with pytest.raises(ProviderError, match="denied") as caught:
        VERTEX.models(b'{"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}')
    assert caught.value.kind is Kind.FORBIDDEN


# --- garbage ---

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make objects with some of these fields, or something else altogether."""
    return st.fixed_dictionaries({}, optional=fields) | anything


call = some(name=st.sampled_from(["a", "\ud83d"]) | anything, args=anything, id=anything)
part = some(text=st.text(max_size=3) | anything, thought=anything, functionCall=call, thoughtSignature=anything)
candidate = some(
    content=some(parts=st.lists(part, max_size=3) | anything), finishReason=st.just("STOP") | anything, index=anything
)
chunk = some(
    candidates=st.lists(candidate, max_size=2) | anything,
    promptFeedback=some(blockReason=anything),
    usageMetadata=some(promptTokenCount=anything, candidatesTokenCount=anything, thoughtsTokenCount=anything),
    modelVersion=anything,
    error=some(
        code=anything,
        status=anything,
        message=anything,
        details=st.lists(some(violations=anything, metadata=anything, reason=anything), max_size=2),
    ),
)


@given(st.lists(chunk, max_size=4))
@settings(max_examples=300, deadline=None)
def test_chunks_of_any_shape_give_deltas_or_a_provider_error(chunks: list[object]) -> None:
    """The right fields with the wrong things in them: nothing but ProviderError comes out, and all text can be written."""
    decoder = GEMINI.decoder()
    with contextlib.suppress(ProviderError):
        for item in chunks:
            for delta in decoder.decode(Frame(None, json.dumps(item))):
                for word in dataclasses.astuple(delta):
                    str(word).encode("utf-8")
                if isinstance(delta, ToolCall):
                    assert delta.id
                    assert isinstance(json.loads(delta.arguments), dict)
        decoder.end()
    for item in [*chunks, chunks]:
        body = json.dumps(item).encode()
        with contextlib.suppress(ProviderError):
            GEMINI.read(body)
        with contextlib.suppress(ProviderError):
            VERTEX.models(body)
        assert GEMINI.explain(429, {}, body).message


def test_ten_megabytes_in_one_event_are_read() -> None:
    """A very large event is an answer like any other."""
    assert len(heard(parts({"text": "x" * 10_000_000}, finish="STOP")).text) == 10_000_000
