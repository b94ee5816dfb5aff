"""The corners of each protocol that no recording shows, and bad input: only ProviderError may come out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recorded
from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.dialects.calls import Calls
from glossator_providers.dialects.characters import Joiner, mend
from glossator_providers.dialects.failure import explain
from glossator_providers.dialects.ollama import context_for
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import Frame
from glossator_providers.model import (
    Delta,
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
    Tool,
    ToolCall,
    Usage,
)

CHAT, ANTHROPIC, OLLAMA = (dialects.get(name) for name in ("openai_chat", "anthropic", "ollama"))


def chunk(delta: object = None, finish: str | None = None, **more: object) -> str:
    """Write one chunk of a chat completion."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return json.dumps({"model": "m", "choices": [choice], **more})


def chat(*events: str, kind: str = "openai") -> recorded.Heard:
    """Hear an event stream of these data lines."""
    body = "".join(f"data: {event}\n\n" for event in events)
    return recorded.hear(CHAT, body.encode(), row=ROWS[kind])


def messages(*events: object) -> recorded.Heard:
    """Hear an event stream of Anthropic's protocol."""
    return recorded.hear(ANTHROPIC, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


def lines(*values: object) -> recorded.Heard:
    """Hear lines of Ollama's protocol."""
    return recorded.hear(OLLAMA, "".join(json.dumps(value) + "\n" for value in values).encode())


def asked(*texts: str, role: Role = Role.USER) -> Request:
    """Make a request of these messages."""
    return Request(messages=tuple(Message(role, (Fragment(text, ()),)) for text in texts))


# --- chat completions ---


def test_the_last_event_is_needed_where_it_is_known_to_come() -> None:
    """A finish reason without `[DONE]` is a cut connection at a known server, and the model's word at an unknown one."""
    events = (chunk({"content": "hi"}), chunk(finish="stop"))
    known, unknown = chat(*events), chat(*events, kind="openai-compatible")
    assert known.error is not None
    assert (known.error.kind, known.error.partial, known.text) == (Kind.BROKEN_STREAM, True, "hi")
    assert unknown.error is None
    assert unknown.finished == Finished(FinishReason.STOP, "stop")


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
def test_the_last_event_alone_is_no_answer(kind: str) -> None:
    """`[DONE]` without a finish reason ends nothing: the model never said that it was done."""
    for events in (("[DONE]",), (chunk({"content": "hi"}), "[DONE]"), ()):
        heard = chat(*events, kind=kind)
        assert heard.error is not None
        assert heard.error.kind is Kind.BROKEN_STREAM


def test_what_follows_the_last_event_is_no_part_of_the_answer() -> None:
    """Bytes after `[DONE]` are left alone, whatever they are."""
    heard = chat(chunk({"content": "hi"}), chunk(finish="stop"), "[DONE]", chunk({"content": "!"}), "garbage")
    assert (heard.text, heard.error) == ("hi", None)


def test_a_plain_json_error_on_a_stream_request_is_that_error() -> None:
    """Status 200 and an error in plain JSON is how xAI answers some stream requests; its SDK takes that for silence."""
    body = b'{"code":"invalid-argument","error":"Incorrect API key provided: sk***YA."}'
    heard = recorded.hear(CHAT, body, row=ROWS["xai"])
    assert heard.error is not None
    assert (heard.error.kind, heard.error.code) == (Kind.AUTH, "invalid-argument")


def test_a_whole_answer_on_a_stream_request_is_read() -> None:
    """A server that cannot stream sends the answer at once, and that is an answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    whole = {"object": "chat.completion", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 1}}
    heard = recorded.hear(CHAT, json.dumps(whole).encode(), row=ROWS["openai"])
    assert heard == recorded.Heard((Started("m"), Text("hi"), Finished(FinishReason.STOP, "stop"), Usage(1)), None)
    message = {"type": "message", "model": "m", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}
    heard = recorded.hear(ANTHROPIC, json.dumps(message).encode())
    assert heard == recorded.Heard((Started("m"), Text("hi"), Finished(FinishReason.STOP, "end_turn")), None)


def test_a_refusal_is_told_and_is_no_answer() -> None:
    """What the model says when it declines is shown, and its finish reason is not that of an answer."""
    heard = chat(chunk({"refusal": "I can"}), chunk({"refusal": "not"}), chunk(finish="stop"), "[DONE]")
    assert (heard.text, heard.finished) == ("I cannot", Finished(FinishReason.REFUSED, "stop"))
    message = {"content": None, "refusal": "no"}
    deltas = CHAT.read(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert deltas == [Text("no"), Finished(FinishReason.REFUSED, "stop")]
    assert chat(chunk(finish="content_filter"), "[DONE]").finished == Finished(FinishReason.REFUSED, "content_filter")


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource"])
def test_a_finish_reason_that_means_failure_is_one(finish: str) -> None:
    """OpenRouter and DeepSeek break an answer off with a finish reason; it is no end of an answer."""
    heard = chat(chunk({"content": "hi"}), chunk(finish=finish), "[DONE]")
    assert heard.error is not None
    assert heard.error.kind in (Kind.SERVER, Kind.OVERLOADED)
    assert heard.error.partial
    with pytest.raises(ProviderError):
        CHAT.read(json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": finish}]}).encode())


def test_a_silent_answer_is_an_error_only_where_nothing_was_said() -> None:
    """Nothing at all with "stop" is a prompt that did not fit; a thought, a tool or counted tokens are an answer."""
    assert chat(chunk(finish="stop"), "[DONE]").error is not None
    assert chat(chunk(finish="stop"), kind="openai-compatible").error is not None
    assert chat(chunk({"reasoning": "hm"}), chunk(finish="stop"), "[DONE]").error is None
    assert chat(chunk({"tool_calls": [{}]}), chunk(finish="stop"), "[DONE]").error is None
    assert chat(chunk(finish="stop", usage={"completion_tokens": 2}), "[DONE]").error is None
    assert chat(chunk(finish="length"), "[DONE]").error is None


def test_unknown_words_are_accepted() -> None:
    """Finish reasons, roles, fields and parts of the future change nothing that is known."""
    heard = chat(
        chunk({"role": "oracle", "content": [{"type": "hologram"}, 7, {"type": "text", "text": "hi"}]}, colour="red"),
        json.dumps({"choices": None, "usage": "soon"}),
        json.dumps([1, 2]),
        "null",
        chunk(finish="bored"),
        "[DONE]",
    )
    assert (heard.text, heard.error, heard.finished) == ("hi", None, Finished(FinishReason.OTHER, "bored"))


def test_only_the_first_of_several_answers_is_read() -> None:
    """Somebody's default of two answers does not weave them into one."""
    second = json.dumps({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
    heard = chat(chunk({"content": "yes"}), second, chunk(finish="stop"), "[DONE]")
    assert (heard.text, heard.finished) == ("yes", Finished(FinishReason.STOP, "stop"))


@pytest.mark.parametrize(
    "told", [{"prompt_tokens": -1}, {"prompt_tokens": True}, {"prompt_tokens": "9"}, {"prompt_tokens": 1e9}, [1], 5]
)
def test_usage_that_is_no_number_of_tokens_is_not_told(told: object) -> None:
    """A wrong type or a negative number is as if it were absent."""
    heard = chat(chunk({"content": "hi"}), chunk(finish="stop", usage=told), "[DONE]")
    assert heard.error is None
    assert heard.usage in (None, Usage())


# --- tools ---


def test_a_call_whose_arguments_come_in_pieces_is_told_once_whole() -> None:
    """Two calls in pieces that alternate are two calls; until they are whole, each piece is a sign of life."""
    heard = chat(
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "read", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "list", "arguments": '{"n"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"p":"\ud83d'}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": ":1}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '\ude00"}'}}]}),
        chunk(finish="tool_calls"),
        "[DONE]",
    )
    assert heard.error is None
    assert heard.deltas == (
        Started("m"),
        *[Progress()] * 5,
        ToolCall("a", "read", '{"p":"😀"}'),
        ToolCall("b", "list", '{"n":1}'),
        Finished(FinishReason.TOOL_CALLS, "tool_calls"),
    )


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    """Gateways leave the index out, send arguments as an object, or use the form of 2023; a call without a name is none."""
    heard = chat(
        chunk({"tool_calls": [{"id": "a", "function": {"name": "read", "arguments": "{"}}]}),
        chunk({"tool_calls": [{"function": {"arguments": "}"}}]}),
        chunk({"tool_calls": [{"id": "b", "function": {"name": "list", "arguments": {"n": 1}}}, {"index": 7}]}),
        chunk(finish="tool_calls"),
        "[DONE]",
    )
    assert heard.calls == [ToolCall("a", "read", "{}"), ToolCall("b", "list", '{"n":1}')]
    old = chat(chunk({"function_call": {"name": "f", "arguments": "{}"}}), chunk(finish="function_call"), "[DONE]")
    assert old.calls == [ToolCall("call_0", "f", "{}")]
    several = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g", "arguments": "{}"}}]
    assert [call.name for call in chat(chunk({"tool_calls": several}), chunk(finish="stop"), "[DONE]").calls] == [
        "f",
        "g",
    ]


def test_a_call_that_was_cut_off_is_none() -> None:
    """A stream that ends inside a call's arguments gives no call to act upon."""
    piece = {"index": 0, "id": "a", "function": {"name": "delete", "arguments": '{"path": "/'}}
    heard = chat(chunk({"tool_calls": [piece]}))
    assert heard.calls == []
    assert heard.error is not None


def test_arguments_that_do_not_end_are_given_up() -> None:
    """Arguments are bounded as texts are."""
    calls = Calls()
    calls.feed(0, name="f", arguments="x" * ((16 << 20) - 65))  # a call and its name count as well
    with pytest.raises(ProviderError, match="does not end"):
        calls.feed(0, arguments="x")


def conversation() -> Request:
    """Return a conversation in which two tools were called, one of them with arguments that are no JSON."""
    said = (Fragment("", ()),)
    calls = (ToolCall("a", "read", '{"p":1}'), ToolCall("b", "list", "{broken"))
    return Request(
        messages=(
            Message(Role.USER, (Fragment("do it", ()),)),
            Message(Role.ASSISTANT, said, calls=calls),
            Message(Role.TOOL, (Fragment("one", ()),), answers="a"),
            Message(Role.TOOL, (Fragment("two", ()),), answers="b"),
        ),
        tools=(Tool("read", "Read", '{"type":"object"}'),),
        effort=Effort.HIGH,
    )


def sent(kind: str, request: Request, *, model: str = "m") -> dict[str, Any]:
    """Return the body that is sent to a provider of this kind."""
    body: dict[str, Any] = json.loads(
        dialects.get(ROWS[kind].dialect).encode(request, replace(provider(kind), model=model)).body
    )
    return body


def test_the_results_of_one_turn_are_one_message_for_anthropic() -> None:
    """Anthropic wants all results in the turn that follows the calls, and arguments as an object whatever was written."""
    turns = sent("anthropic", conversation())["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["input"] for block in turns[1]["content"]] == [{"p": 1}, {}]
    assert [block["tool_use_id"] for block in turns[2]["content"]] == ["a", "b"]


def test_ollama_is_told_which_tool_brought_a_result() -> None:
    """Ollama goes by the tool's name, which is found by the id of the call that is answered."""
    turns = sent("ollama", conversation())["messages"]
    assert [turn.get("tool_name") for turn in turns] == [None, None, "read", "list"]
    assert turns[1]["tool_calls"][1]["function"]["arguments"] == {}
    heard = lines(
        {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": "é"}}}]}},
        {"message": {"tool_calls": [{"id": "x", "function": {"name": "g"}}]}, "done": True},
    )
    assert heard.calls == [ToolCall("call_0", "f", '{"a":"é"}'), ToolCall("x", "g", "{}")]


def test_thoughts_that_were_not_kept_are_not_asked_for_again() -> None:
    """After a tool's result DeepSeek, and Claude that thinks by a number of tokens, would want their thoughts back."""
    assert sent("deepseek", conversation())["thinking"] == {"type": "disabled"}
    assert "thinking" not in sent("anthropic", conversation(), model="claude-haiku-4-5")
    assert sent("anthropic", conversation(), model="claude-sonnet-5-5")["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("kind", "model", "effort", "expected"),
    [
        ("openai", "gpt-6-sol", Effort.LOW, {"reasoning_effort": "low"}),
        ("openai", "gpt-6-sol", Effort.NONE, {"reasoning_effort": "none"}),
        ("mistral", "mistral-small-latest", Effort.MEDIUM, {"reasoning_effort": "high"}),
        ("mistral", "mistral-small-latest", Effort.LOW, {"reasoning_effort": "none"}),
        ("openrouter", "x/y", Effort.HIGH, {"reasoning": {"effort": "high"}}),
        ("deepseek", "deepseek-v4-pro", Effort.NONE, {"thinking": {"type": "disabled"}}),
        ("llamacpp", "m", Effort.NONE, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", "m", Effort.LOW, {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "low"}}),
        ("ollama", "gpt-oss:20b", Effort.LOW, {"think": "low"}),
        ("ollama", "qwen3", Effort.NONE, {"think": False}),
        ("anthropic", "claude-haiku-4-5", Effort.LOW, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("anthropic", "claude-haiku-4-5", Effort.HIGH, {"thinking": {"type": "enabled", "budget_tokens": 3072}}),
        ("anthropic", "claude-haiku-4-5", Effort.NONE, {}),
        ("anthropic", "claude-3-5-haiku-latest", Effort.HIGH, {}),
        ("anthropic", "claude-sonnet-5-5", Effort.NONE, {"output_config": {"effort": "low"}}),
        (
            "anthropic",
            "claude-sonnet-5-5",
            Effort.HIGH,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
    ],
)
def test_each_provider_is_told_how_much_to_think_in_its_own_words(
    kind: str, model: str, effort: Effort, expected: dict[str, Any]
) -> None:
    """What is added to the body by an effort is what the vendor's page says, and nothing else."""
    plain = sent(kind, Request(messages=()), model=model)
    body = sent(kind, Request(messages=(), effort=effort), model=model)
    assert {name: value for name, value in body.items() if name not in plain} == expected


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (
            "openai",
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
        ),
        ("deepseek", "response_format", {"type": "json_object"}),
        ("anthropic", "output_config", {"format": {"type": "json_schema", "schema": {}}}),
        ("ollama", "format", {}),
    ],
)
def test_the_shape_of_an_answer_is_asked_for_where_it_can_be_promised(
    kind: str, field: str, expected: dict[str, Any]
) -> None:
    """A structure goes into the vendor's own field, in its own form."""
    assert sent(kind, Request(messages=(), structure=Structure("n", "{}")))[field] == expected


# --- halves of characters ---


def test_a_character_that_is_torn_between_two_events_is_joined() -> None:
    """The halves of an emoji from a server that counts in UTF-16 make one emoji; a lone half becomes U+FFFD."""
    first, second = r'{"choices":[{"delta":{"content":"a\ud83d"}}]}', r'{"choices":[{"delta":{"content":"\ude00b"}}]}'
    assert chat(first, second, chunk(finish="stop"), "[DONE]").text == "a😀b"
    assert chat(first, chunk(finish="stop"), "[DONE]").text == "a\ufffd"
    assert chat(second, chunk(finish="stop"), "[DONE]").text == "\ufffdb"
    assert lines(
        {"model": "m", "message": {"content": "a\ud83d"}}, {"message": {"content": "\ude00"}}, {"done": True}
    ).text == ("a😀")
    assert lines({"message": {"content": "\ud83d"}}, {"done": True}).text == "\ufffd"


@given(st.lists(st.text(st.characters(categories=["L", "Cs", "So"]), max_size=3)))
def test_pieces_are_joined_as_if_they_were_one(pieces: list[str]) -> None:
    """Whatever halves stand where, the joined text is that of the whole, and can be written as UTF-8."""
    joiner = Joiner()
    joined = "".join(joiner.feed(piece) for piece in pieces) + joiner.end()
    assert joined == mend("".join(pieces))
    joined.encode("utf-8")


@given(st.text(st.characters(categories=["L", "Cs", "Cc", "Zl"])))
def test_any_text_can_be_sent(text: str) -> None:
    """Lone surrogates in a document, which no UTF-8 can hold, do not keep it from being asked about."""
    for row in ROWS.values():
        body = dialects.get(row.dialect).encode(asked(text), provider(row.kind)).body
        assert mend(text) in recorded.strings(json.loads(body)) or not text.strip()  # some leave blank texts out


def provider(kind: str) -> Provider:
    """Make a provider of this kind."""
    row = ROWS[kind]
    return Provider(name=kind, row=row, model="m", base_url=row.base_url or "http://127.0.0.1:1/v1", project="p")


# --- Anthropic ---


def test_thoughts_are_kept_apart_and_the_rest_passed_over() -> None:
    """Thinking is Reasoning; signatures are a sign of life; redacted thoughts, citations and future events are nothing."""
    heard = messages(
        {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}},
        {"type": "ping"},
        {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": "h"}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "m"}},
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "x"}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_delta", "delta": {"type": "hologram_delta", "text": "?"}},
        {"type": "message_rewound"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    )
    assert heard.error is None
    assert heard.deltas == (
        Started("m"),
        Usage(3),
        Reasoning("h"),
        Reasoning("m"),
        Progress(),
        Text("a"),
        Text("b"),
        Usage(3, 4),
        Finished(FinishReason.STOP, "end_turn"),
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.REFUSED),
        ("pause_turn", FinishReason.OTHER),
        ("bored", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
def test_every_stop_reason_of_anthropic_has_its_meaning(raw: str | None, reason: FinishReason) -> None:
    """What an SDK knows and what it does not know is one of our reasons, with the raw word beside it."""
    heard = messages({"type": "message_delta", "delta": {"stop_reason": raw}}, {"type": "message_stop"})
    assert heard == recorded.Heard((Finished(reason, raw),), None)


def test_the_last_block_of_the_system_is_marked_for_the_cache() -> None:
    """The mark stands after everything that stays the same, and no empty block is sent."""
    request = Request(messages=(*asked("rules", "", "more", role=Role.SYSTEM).messages, *asked("do").messages))
    body = json.loads(ANTHROPIC.encode(request, provider("anthropic")).body)
    assert body["system"] == [
        {"type": "text", "text": "rules"},
        {"type": "text", "text": "more", "cache_control": {"type": "ephemeral"}},
    ]
    assert body["messages"] == [{"role": "user", "content": "do"}]
    assert "system" not in json.loads(ANTHROPIC.encode(asked("do"), provider("anthropic")).body)


# --- Ollama ---


def test_a_forwarded_answer_names_the_other_machine() -> None:
    """`remote_host` reaches the router with the first line that tells it, early or late."""
    heard = lines({"model": "m", "remote_host": "https://ollama.com:443", "done": True, "done_reason": "stop"})
    assert heard.deltas[0] == Started("m", "https://ollama.com:443")
    heard = lines({"model": "m", "message": {"content": "a"}}, {"remote_host": "h", "done": True})
    assert [delta for delta in heard.deltas if isinstance(delta, Started)] == [Started("m"), Started("m", "h")]


def test_the_model_named_in_the_request_wins() -> None:
    """A request that names its model is asked of that model, in every dialect."""
    request = Request(messages=(), model="other")
    for kind in ("openai", "anthropic", "ollama"):
        body = json.loads(dialects.get(ROWS[kind].dialect).encode(request, provider(kind)).body)
        assert body["model"] == "other"


@given(st.lists(st.text(max_size=2000), max_size=4), st.integers(1, 200_000))
def test_the_context_holds_the_prompt_and_the_answer(texts: list[str], answer: int) -> None:
    """It is a power of two, at least 8192, and neither too small for plain letters nor larger than digits would want."""
    context = context_for(asked(*texts), answer_tokens=answer)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert context >= max(8192, size // 4 + answer)
    assert context & (context - 1) == 0
    assert context <= max(8192, 2 * (2 * size + 65 * len(texts) + answer))


# --- failures ---

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC, in seconds since the epoch


@pytest.mark.parametrize(
    ("status", "headers", "body", "delay"),
    [
        (429, {"Retry-After": "16"}, "", 16),
        (429, {"retry-after": "1", "retry-after-ms": "0"}, "", 1),
        (429, {"retry-after": "0"}, "", None),
        (429, {"retry-after-ms": "1500"}, "", 1.5),
        (503, {"retry-after": "Wed, 18 Nov 2026 11:07:10 GMT"}, "", 30),
        (503, {"retry-after": "Wed, 18 Nov 2026 11:07:10 GMT", "date": "Wed, 18 Nov 2026 11:07:05 GMT"}, "", 5),
        (503, {"retry-after": "Wed, 18 Nov 2020 11:07:10 GMT"}, "", None),
        (429, {"retry-after": "soon"}, "", None),
        (429, {"retry-after": "-5"}, "", None),
        (429, {"retry-after": "inf"}, "", None),
        (429, {"retry-after": "nan"}, "", None),
        (429, {"retry-after": "9" * 5000}, "", None),
        (429, {}, {"error": {"message": "Rate limit reached. Please try again in 5.289s. Visit us."}}, 5.289),
        (429, {}, {"error": {"message": "Please try again in 1m30.5s."}}, 90.5),
        (429, {}, {"error": {"message": "Please try again in 494ms."}}, 0.494),
        (429, {}, {"error": {"message": "Please retry after 20 seconds"}}, 20),
        (429, {"retry-after": "2"}, {"error": {"message": "try again in 6ms"}}, 2),
        (429, {}, {"error": {"message": "slow", "metadata": {"retry_after_seconds": 7}}}, 7),
        (429, {}, {"error": {"message": "slow", "details": [{"retryDelay": "48s"}]}}, 48),
        (429, {}, {"error": {"message": "Limit 15000, Used 11972 s, try later"}}, None),
        (200, {"retry-after": "31"}, {"error": {"message": "no"}}, None),
    ],
)
def test_delays_are_read_in_every_spelling(
    status: int, headers: dict[str, str], body: Any, delay: float | None
) -> None:
    """The longest delay that an error tells counts, in seconds; nothing that is not later than now does."""
    error = explain(status, headers, json.dumps(body).encode(), clock=lambda: NOW)
    assert error.retry_after == (None if delay is None else pytest.approx(delay))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, Kind.NO_CREDIT),
        (400, {"error": {"message": "Your credit balance is too low to access the Anthropic API."}}, Kind.NO_CREDIT),
        (429, {"error": {"message": "Request too large for gpt-4o", "code": "rate_limit_exceeded"}}, Kind.TOO_LONG),
        (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, Kind.TOO_LONG),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2"}}, Kind.TOO_LONG),
        (400, {"error": "the input exceeds the context length"}, Kind.TOO_LONG),
        (403, {"error": {"message": "requires moderation", "code": 403}}, Kind.REFUSED),
        (400, {"error": {"code": "content_filter", "message": "filtered"}}, Kind.REFUSED),
        (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, Kind.NO_MODEL),
        (400, {"detail": "Invalid model: mistral-huge"}, Kind.NO_MODEL),
        (422, {"detail": [{"loc": ["body", "stop"], "msg": "not permitted", "input": "CODE"}]}, Kind.BAD_REQUEST),
        (498, {"error": {"message": "full"}}, Kind.OVERLOADED),
        (501, {"error": {"message": "This server does not support that"}}, Kind.BAD_REQUEST),
        (504, b"upstream timed out", Kind.TIMEOUT),
        (301, b"", Kind.BAD_REQUEST),
        (418, b"", Kind.BAD_REQUEST),
        (599, b"", Kind.SERVER),
    ],
)
def test_the_body_decides_before_the_status(status: int, body: Any, kind: Kind) -> None:
    """What went wrong is what the body says; the status decides only where the body does not."""
    error = explain(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (error.kind, error.status) == (kind, status)
    assert error.message
    assert "CODE" not in error.message


def test_a_passed_on_error_is_unpacked() -> None:
    """OpenRouter puts the real provider's error, as text, into `metadata.raw`: its sentence is the one to show."""
    raw = json.dumps({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}})
    body = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
    error = explain(400, {}, json.dumps(body).encode())
    assert (error.kind, error.message) == (Kind.TOO_LONG, "prompt is too long: 9 tokens > 8 maximum")


@pytest.mark.parametrize(
    "key", ["sk-proj-abcDEF0123456789", "gsk_abcdefgh12345678", "xai-abcdefgh1234", "k", "plainkeywithoutprefix"]
)
def test_a_key_in_a_message_is_blotted_out(key: str) -> None:
    """OpenAI repeats a wrong key; it does not reach a log or an editor."""
    body = {"error": {"message": f"Incorrect API key provided: {key}. See our page.", "code": "invalid_api_key"}}
    error = explain(401, {}, json.dumps(body).encode())
    assert error.message == "Incorrect API key provided: ***. See our page."


def test_a_message_is_bounded() -> None:
    """A novel in the place of a message is cut."""
    error = explain(500, {}, json.dumps({"error": {"message": "x" * 1_000_000}}).encode())
    assert len(error.message) < 1100


@pytest.mark.parametrize(
    "body", [b"<html><head><title>502 Bad Gateway</title></head>", b"<!DOCTYPE html><body>secret page</body>", b""]
)
def test_a_web_page_is_named_as_one(body: bytes) -> None:
    """A proxy's page is summed up by its title, not poured into the message."""
    error = explain(502, {}, body)
    assert error.kind is Kind.SERVER
    assert "web page" in error.message or not body
    assert "secret" not in error.message


# --- bad input ---

# The dialects whose frames are JSON; bedrock's are not, and have their own test.
WRITTEN = [dialect for dialect in dialects.DIALECTS.values() if dialect.framing in ("sse", "ndjson")]
WORDS = [
    *("choices", "delta", "message", "content", "usage", "error", "type", "model", "finish_reason", "index", "object"),
    *("text", "thinking", "stop_reason", "content_block", "done", "done_reason", "response", "remote_host", "models"),
    *("data", "id", "name", "code", "status", "details", "metadata", "raw", "detail", "loc", "msg", "x_groq", "meta"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens", "reasoning"),
    *("input_tokens", "output_tokens", "retryDelay", "retry_after", "refusal", "tool_calls", "raw_status_code"),
    *("function", "arguments", "function_call", "input", "partial_json", "tool"),
    *("candidates", "content", "parts", "thought", "functionCall", "args", "finishReason", "promptFeedback"),
    *(
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
        "thoughtsTokenCount",
        "modelVersion",
        "violations",
        "quotaId",
    ),
    *("supportedGenerationMethods", "publisherModels", "thoughtSignature", "reason"),
    *(
        "item",
        "output",
        "summary",
        "call_id",
        "incomplete_details",
        "tool_plan",
        "tokens",
        "billed_units",
        "error_type",
    ),
    *("endpoints", "context_length"),
]
VALUES = [
    *("text_delta", "message_start", "message_delta", "message_stop", "content_block_delta", "error", "stop", "length"),
    *(
        "tool_use",
        "input_json_delta",
        "thinking",
        "text",
        "thinking_delta",
        "message",
        "chat.completion",
        "\ud83d",
        "\ude00",
        "\0",
        "{",
        "STOP",
        "SAFETY",
        "RESOURCE_EXHAUSTED",
        "PerDay",
        '{"error":1}',
    ),
    *("response.output_text.delta", "response.output_item.done", "response.completed", "response.failed", "incomplete"),
    *("function_call", "reasoning", "response", "content-delta", "tool-plan-delta", "tool-call-start", "message-end"),
    *("ERROR", "tool-call-delta"),
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(VALUES)
    | st.text(st.characters(exclude_categories=[]), max_size=5)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)
events = st.sampled_from([None, "error", "message_stop", "ping", "future"])


def checked(deltas: list[Delta]) -> None:
    """Fail on a delta whose text could not be written."""
    for delta in deltas:
        match delta:
            case Text(text) | Reasoning(text):
                assert text
                text.encode("utf-8")
            case Started(model, host):
                (model + (host or "")).encode("utf-8")
            case Finished(_, raw):
                (raw or "").encode("utf-8")
            case ToolCall(identity, tool, arguments):
                assert identity
                assert tool
                assert arguments
                (identity + tool + arguments).encode("utf-8")
            case Usage() | Progress():
                pass


def survive(dialect: dialects.Dialect, frames: list[Frame], body: bytes) -> None:
    """Show all of it to every reader of a dialect; anything but ProviderError escapes and fails the test."""
    decoder = dialect.decoder()
    with contextlib.suppress(ProviderError):
        for frame in frames:
            checked(decoder.decode(frame))
        decoder.end()
    with contextlib.suppress(ProviderError):
        checked(dialect.read(body))
    with contextlib.suppress(ProviderError):
        assert all(model.name.encode("utf-8") for model in dialect.models(body))
    for status in (200, 400, 429, 500):
        error = dialect.explain(status, {"retry-after": body[:20].decode("latin-1")}, body)
        error.message.encode("utf-8")
        assert error.message
        assert error.retry_after is None or error.retry_after > 0


@given(st.lists(st.tuples(events, values), max_size=6))
@settings(max_examples=300, deadline=None)
def test_json_of_any_shape_gives_deltas_or_a_provider_error(told: list[tuple[str | None, object]]) -> None:
    """Known words in the wrong places, wrong types, huge numbers, lone surrogates: nothing else comes out."""
    frames = [Frame(event, json.dumps(value)) for event, value in told]
    for dialect in WRITTEN:
        survive(dialect, frames, frames[0].data.encode() if frames else b"")


@given(st.binary(max_size=200), st.text(max_size=100))
@settings(deadline=None)
def test_any_bytes_give_deltas_or_a_provider_error(body: bytes, text: str) -> None:
    """Bytes that are no JSON at all, and texts that are no frame."""
    for dialect in WRITTEN:
        survive(dialect, [Frame(None, text)], body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<!DOCTYPE html><html><title>Sign in</title></html>",
        b"[]",
        b"[[]]",
        b"null",
        b"true",
        b'"text"',
        b"{}",
        b"1e999",
        b"9" * 5000,
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        '{"error": "é"}'.encode("latin-1"),
        '{"error": "é"}'.encode("utf-16"),
        '\ufeff{"error": "é"}'.encode(),
        b'{"error": "\x00"}',
        b'{"error": "\\u0000"}',
        b'{"error": {"message": {"message": {"detail": [1, [2]]}}}}',
        b'{"error": {"code": 999999999999999999999999999, "message": 7}}',
        b'{"error": [], "data": {}, "models": 7, "choices": {}, "content": 1}',
        b'{"data": [null, 1, {"id": 5}, {"id": ""}], "models": [null, {"name": []}]}',
    ],
    ids=range(23),
)
def test_known_garbage_gives_a_provider_error(body: bytes) -> None:
    """Empty, HTML, other encodings, NUL, too deep, too large: each reader says so in a sentence."""
    for dialect in WRITTEN:
        survive(dialect, [Frame("error", body.decode("latin-1"))], body)
        survive(dialect, [Frame(None, body.decode("latin-1"))], body)
        with pytest.raises(ProviderError) as caught:
            dialect.read(body)
        assert caught.value.message
        heard = recorded.hear(dialect, body)
        assert heard.error is not None


def test_ten_megabytes_in_one_event_are_read() -> None:
    """A very large event is an answer like any other."""
    text = "x" * 10_000_000
    assert len(chat(chunk({"content": text}), chunk(finish="stop"), "[DONE]").text) == len(text)
    assert len(lines({"message": {"content": text}}, {"done": True}).text) == len(text)
    start = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    assert len(messages(start, {"type": "message_stop"}).text) == len(text)
    assert len(explain(500, {}, json.dumps({"error": text}).encode()).message) < 1100


def test_an_unknown_dialect_is_an_error() -> None:
    """A row can only name a dialect that there is."""
    with pytest.raises(KeyError):
        dialects.get("telepathy")
