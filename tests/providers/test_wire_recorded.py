"""Every recorded answer of a real provider is read as its official SDK read it, or better, with the reason."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parts
import recorded
from glossator_providers.errors import Kind, ProviderError, may_try_again
from glossator_providers.model import Finished, FinishReason, Usage

CASES = recorded.cases()
# What the SDK reads and we refuse, or the other way round, and why.
OTHER_OUTCOMES = {
    "vertex/vendor-streaming-success-quotes-escaped": "an edited sample without the end that every real stream has",
    "gemini/plain--gemini-flash-latest-8b11d": "asked for without `alt=sse`: one array of chunks, which we can read",
    "cohere/stream-error--command-a-03-2025-1c1f5": "a finish reason that means failure, with the sentence beside it",
}
FAILURES = [
    case
    for case in CASES
    if (case.suggested is not None or case.response["status"] >= 400) and case.name not in OTHER_OUTCOMES
]
ANSWERS = [
    case
    for case in CASES
    if case not in FAILURES
    and case.expected["outcome"] == "ok"
    and "models" not in case.expected
    and case.name not in OTHER_OUTCOMES
]
LISTS = [case for case in CASES if "models" in case.expected]
STREAMS = [case for case in CASES if case.streamed]

# Words of suggested.json for our kinds. Where two of them meet in one kind, the router would do the same for both.
KINDS = {
    "auth": Kind.AUTH,
    "content_filter": Kind.REFUSED,
    "permission": Kind.FORBIDDEN,
    "not_found": Kind.NO_MODEL,
    "quota": Kind.NO_CREDIT,
    "context_length": Kind.TOO_LONG,
    "too_large": Kind.TOO_LONG,
    "empty_response": Kind.TOO_LONG,  # LM Studio's way to say that the prompt did not fit
    "rate_limit": Kind.RATE,
    "overloaded": Kind.OVERLOADED,
    "server_error": Kind.SERVER,
    "timeout": Kind.TIMEOUT,
    "bad_request": Kind.BAD_REQUEST,
    "unknown": Kind.BAD_REQUEST,  # "Token limit reached", with the code 400, in mid-stream
    "truncated": Kind.BROKEN_STREAM,
    "connection": Kind.BROKEN_STREAM,  # all that a decoder can know; the transport says NETWORK before it is asked
}
# Where our delay is not the suggested one, and why.
OTHER_DELAYS = {
    # `retry-after: 1` and `retry-after-ms: 494` came together: the longest counts, since Azure has sent 1 and 0.
    "openai-chat/error-429-tpm": 1.0,
    # RetryInfo says 48 s, the message beside it 48.94: again the longest.
    "gemini/error-429--gemini-2.5-flash-c7c89": 48.939935699,
}
# Where our usage is not what the SDK tells, beyond the two rules of `usage_of`, and why.
OTHER_USAGES = {
    # Groq tells it in `x_groq`, which its SDK leaves to the caller to look for.
    "groq/stream-unicode-emoji-long--compound-beta-dea1a": Usage(5003, 359),
}

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSED,
    "pause_turn": FinishReason.OTHER,
    "load": FinishReason.OTHER,
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.REFUSED,
    "RECITATION": FinishReason.REFUSED,
    "FAKE_ENUM": FinishReason.OTHER,
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSED,
    "completed": FinishReason.STOP,
    "incomplete": FinishReason.LENGTH,  # the only one recorded is one of `max_output_tokens`
    None: FinishReason.OTHER,
}
# Where the reason means something else than its word, and why.
OTHER_REASONS = {
    # No candidate, but a word about the prompt: it was blocked.
    "gemini/vendor-unary-failure-only-prompt-feedback": FinishReason.REFUSED,
    # This server says the same of an answer that the bound cut off.
    "llamacpp/own-responses-compat-stream": FinishReason.OTHER,
}
# The dialects whose models stop with the same word whether they have answered or called a tool.
ONE_WORD_FOR_CALLS = ("gemini", "vertex", "openai_responses", "azure_responses")
# The dialects whose calls are compared with what the SDK read.
CALLING = ("gemini", "vertex", "bedrock", "openai_responses", "azure_responses", "azure", "cohere")
# Calls that the SDK reads and we do not give out, and why.
OTHER_CALLS = {
    # `server_tool_use`: the server has called its own tool and brings the result itself.
    "bedrock/stream-tool-tooluse--us.amazon.nova-2-lite-v1-3a0-f109e": ["nova_code_interpreter"],
}


def name(case: recorded.Case) -> str:
    """Name a case in a test's report."""
    return case.name


def heard_of(case: recorded.Case) -> recorded.Heard:
    """Read a case as the router would."""
    if case.response["status"] >= 400:
        return recorded.Heard((), case.dialect.explain(case.response["status"], case.response["headers"], case.body))
    if case.streamed:
        return recorded.hear(case.dialect, case.body, row=case.row)
    try:
        return recorded.Heard(tuple(case.dialect.read(case.body)), None)
    except ProviderError as error:
        return recorded.Heard((), error)


def usage_of(case: recorded.Case) -> Usage | None:
    """Return the usage that the SDK read, in our definition of it."""
    if case.name in OTHER_USAGES:
        return OTHER_USAGES[case.name]
    told = case.expected["usage"]
    if told is None or (told["input"], told["output"]) == (None, None):
        return None
    asked, answered, cached, thought = told["input"], told["output"], told["cached"], told.get("reasoning")
    usage = Usage(asked, answered, cached, thought)
    if case.row.dialect in ("gemini", "vertex") and thought:
        # Google's `candidatesTokenCount` leaves out what was thought, which is billed as output.
        return replace(usage, output_tokens=(answered or 0) + thought, told_output_tokens=answered)
    if case.row.dialect in ("anthropic", "vertex_anthropic", "bedrock") and (
        unseen := (cached or 0) + (told.get("cache_write") or 0)
    ):
        # Anthropic's `input_tokens`, and Bedrock's, leaves out what the cache had a part in; ours is the whole prompt.
        return replace(usage, input_tokens=asked + unseen, told_input_tokens=asked)
    if case.row.dialect == "cohere":
        # Its SDK leaves the thought and the billed tokens to the caller to look for.
        billed = told["raw"]["billed_units"]
        return replace(
            usage,
            reasoning_tokens=told["raw"]["tokens"].get("reasoning_tokens"),
            billed_input_tokens=billed["input_tokens"],
            billed_output_tokens=billed["output_tokens"],
        )
    if case.row.kind == "xai" and thought:
        # xAI's `completion_tokens` leaves out what was thought, which is billed as output; ours is the whole output.
        return replace(usage, output_tokens=answered + thought, told_output_tokens=answered)
    return usage


def test_the_recorded_traffic_is_there() -> None:
    """The data that this file reads lies beside the checkout; otherwise this line says so."""
    parts.shared_data("wire", "dev")
    assert len(CASES) > 200
    assert len(STREAMS) > 100


@pytest.mark.parametrize("case", ANSWERS, ids=name)
def test_an_answer_is_what_the_official_sdk_read(case: recorded.Case) -> None:
    """Text, thoughts, finish reason, usage and model are those that the vendor's own library reads."""
    if case.expected["outcome"] == "skip":
        pytest.skip("no chat")
    heard = heard_of(case)
    assert heard.error is None
    assert heard.text == case.expected["text"]
    # What Cohere's models write before they call a tool, a plan, is thought too.
    assert heard.reasoning == case.expected.get("tool_plan", "") + case.expected.get("reasoning", "")
    assert (heard.started.model if heard.started else None) == case.expected["model"]
    assert heard.finished is not None
    assert heard.finished.raw == case.expected["finish_reason"]
    assert heard.finished.reason is reason_of(case)
    assert heard.usage == usage_of(case)


def reason_of(case: recorded.Case) -> FinishReason:
    """Return the finish reason that the SDK read, in our vocabulary."""
    if case.name in OTHER_REASONS:
        return OTHER_REASONS[case.name]
    reason = FINISH_REASONS[case.expected["finish_reason"]]
    called = case.row.dialect in ONE_WORD_FOR_CALLS and case.expected.get("tool_calls")
    return FinishReason.TOOL_CALLS if called and reason is FinishReason.STOP else reason


@pytest.mark.parametrize("case", [case for case in ANSWERS if case.row.dialect in CALLING], ids=name)
def test_the_calls_of_tools_are_what_the_official_sdk_read(case: recorded.Case) -> None:
    """Every call is given once, whole, with its name, its arguments and the id that it came with."""
    left_out = OTHER_CALLS.get(case.name, [])
    told = [call for call in case.expected.get("tool_calls", []) if call["name"] not in left_out]
    calls = heard_of(case).calls
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (call["name"], arguments if isinstance(arguments := call["arguments"], dict) else json.loads(arguments))
        for call in told
    ]
    assert all(call.id == other["id"] for call, other in zip(calls, told, strict=True) if other["id"] is not None)
    assert len({call.id for call in calls}) == len(calls), "calls that came without an id are told apart all the same"


def test_a_stream_of_google_without_its_end_is_no_answer() -> None:
    """A stream without a finish reason is broken, though the official SDK takes it for an answer."""
    case = recorded.Case(parts.shared_data("wire", "dev", "vertex", "vendor-streaming-success-quotes-escaped"))
    heard = heard_of(case)
    assert heard.error is not None
    assert heard.error.kind is Kind.BROKEN_STREAM
    assert heard.text == case.expected["text"]


def test_a_stream_of_google_as_one_array_is_read() -> None:
    """A stream that comes as a JSON array, as it does where `alt=sse` is lost on the way, is read like any other."""
    case = recorded.Case(parts.shared_data("wire", "dev", "gemini", "plain--gemini-flash-latest-8b11d"))
    for heard in (heard_of(case), recorded.Heard(tuple(case.dialect.read(case.body)), None)):
        assert heard.error is None
        assert heard.text == "Hello! How can I help you today?"
        assert heard.finished == Finished(FinishReason.STOP, "STOP")
        assert heard.usage == Usage(2, 188, None, 179, told_output_tokens=9)
    with pytest.raises(ProviderError, match="broke off"):
        case.dialect.read(case.body.replace(b"finishReason", b"otherReason"))


def test_the_signature_of_a_call_is_kept() -> None:
    """What Gemini 3 wants back with a call comes with it."""
    case = recorded.Case(parts.shared_data("wire", "dev", "gemini", "stream-tool-crlf--gemini-3-pro-preview-d34ed"))
    (call,) = heard_of(case).calls
    assert call.signature is not None
    assert call.signature.startswith("EpwICpkIAXLI2nxl")


@pytest.mark.parametrize("case", FAILURES, ids=name)
def test_a_failure_is_named_as_argued(case: recorded.Case) -> None:
    """Kind, status, message, delay and what may be tried again are as the recordings and the documentation argue."""
    suggested, expected = case.suggested, case.expected
    assert suggested is not None
    heard = heard_of(case)
    if suggested["kind"] == "content_filter" and expected["outcome"] == "ok":
        assert heard.error is None
        assert heard.finished is not None
        assert heard.finished.reason is FinishReason.REFUSED
        return
    error = heard.error
    assert error is not None
    assert error.kind is KINDS[suggested["kind"]]
    assert may_try_again(error.kind) is suggested["retryable"]
    assert error.status == (case.response["status"] if case.response["status"] >= 400 else None)
    assert error.retry_after == OTHER_DELAYS.get(case.name, suggested.get("retry_after_s"))
    assert heard.text == expected["text"], "what arrived before the failure is what the SDK kept"
    assert error.partial is bool(expected["text"])
    if expected["outcome"] == "error" and suggested["kind"] != "connection":
        said = "\n".join(strings(expected["error"]))
        # What looks like a key is blotted out of ours; all the rest stands in theirs.
        assert all(part in said for part in error.message.split("***"))
        assert error.message.strip("*")


def strings(value: object) -> list[str]:
    """Return every string inside a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value.replace('\\"', '"')] if isinstance(value, str) else []


@pytest.mark.parametrize("case", LISTS, ids=name)
def test_a_list_of_models_is_what_the_official_sdk_read(case: recorded.Case) -> None:
    """Every model that the vendor's library lists is listed, in its order."""
    listed = case.expected["models"]
    if case.row.kind == "gemini":
        # Names without `models/`, as people write them, and only those that can answer: not what embeds, paints or listens.
        able = {
            model["name"]
            for model in json.loads(case.body)["models"]
            if "generateContent" in model["supportedGenerationMethods"]
        }
        assert 0 < len(able) < len(listed)
        listed = [name.removeprefix("models/") for name in listed if name in able]
    assert [model.name for model in case.dialect.models(case.body)] == listed


def test_a_model_that_ollama_forwards_is_marked_remote() -> None:
    """A model of ollama.com is told from one of this machine, though both answer on the same loopback address."""
    case = recorded.Case(parts.shared_data("wire", "dev", "ollama", "plain-tags-with-cloud-model"))
    assert {model.name: model.remote for model in case.dialect.models(case.body)} == {
        "qwen3-coder:30b": False,
        "gpt-oss:120b-cloud": True,
    }


def test_the_context_of_a_listed_model_is_told() -> None:
    """Where a list says how many tokens fit, it is read, in each vendor's word for it."""
    sizes = {
        case.row.kind: {model.name: model.context_tokens for model in case.dialect.models(case.body)} for case in LISTS
    }
    parts.shared_data("wire", "dev")
    assert sizes["llamacpp"] == {"tiny-random-llama": 1024}
    assert sizes["anthropic"]["claude-sonnet-5"] == 1_000_000
    assert sizes["openrouter"]["anthropic/claude-sonnet-5"] == 1_000_000
    assert sizes["mistral"]["mistral-medium-2505"] == 131_072
    assert sizes["gemini"]["gemini-2.5-pro"] == 1_048_576


def test_models_that_only_embed_are_not_listed() -> None:
    """LM Studio lists embedding models among the others; nobody can chat with them."""
    case = recorded.Case(parts.shared_data("wire", "dev", "lmstudio", "plain-v0-models"))
    found = {model.name: model.context_tokens for model in case.dialect.models(case.body)}
    assert found
    assert not any("embed" in model for model in found)
    assert all(found.values())


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_any_split_of_the_bytes_gives_the_same_deltas(case: recorded.Case) -> None:
    """The bytes cut in two, at every point (a sample where they are many), give the same frames, hence the same deltas."""
    body, dialect = case.body, case.dialect
    whole = recorded.frames(dialect, [body])
    assert whole
    step = 1 if len(body) <= 10_000 else len(body) // 100
    for point in {*range(0, len(body) + 1, step), *range(max(0, len(body) - 40), len(body))}:
        assert recorded.frames(dialect, [body[:point], body[point:]]) == whole


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_pieces_of_the_bytes_give_the_same_deltas(data: st.DataObject) -> None:
    """Pieces of any number and length give the same deltas, and end in the same failure."""
    parts.shared_data("wire", "dev")
    case = data.draw(st.sampled_from([case for case in STREAMS if len(case.body) < 40_000]), label="case")
    body = case.body
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=40), label="cuts"))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert recorded.frames(case.dialect, pieces) == recorded.frames(case.dialect, [body])


@pytest.mark.parametrize("size", [1, 7, 1371])
def test_a_stream_in_small_pieces_is_decoded_alike(size: int) -> None:
    """One stream of each folder, byte by byte, seven by seven and as the replaying server sends them, gives its deltas."""
    shortest = {case.row.kind: case for case in sorted(STREAMS, key=lambda case: -len(case.body)) if case in ANSWERS}
    for case in shortest.values():
        pieces = [case.body[start : start + size] for start in range(0, len(case.body), size)]
        decoder = case.dialect.decoder(case.row)
        deltas = [delta for frame in recorded.frames(case.dialect, pieces) for delta in decoder.decode(frame)]
        decoder.end()
        assert tuple(deltas) == recorded.hear(case.dialect, case.body, row=case.row).deltas


@pytest.mark.parametrize("case", [case for case in STREAMS if case in ANSWERS], ids=name)
def test_an_answer_that_breaks_off_anywhere_is_an_error(case: recorded.Case) -> None:
    """Whatever point the connection ends at before the protocol's last event, it is BROKEN_STREAM, never an answer."""
    if case.row.kind == "openai-compatible":
        pytest.skip("this row does without the last event; see test_dialects")
    if case.name.startswith("vertex/vendor-") and case.body.count(b"finishReason") > 1:
        pytest.skip("models of 2023 say in every chunk that they are done: where one breaks off cannot be told")
    # Cohere's `[DONE]` says nothing more than the event before it.
    body = case.body.rstrip().removesuffix(b"data: [DONE]" if case.row.dialect == "cohere" else b"").rstrip()
    step = max(1, len(body) // 40)
    for length in {*range(0, len(body), step), *range(max(0, len(body) - 60), len(body))}:
        heard = recorded.hear(case.dialect, body[:length], row=case.row)
        assert heard.error is not None, f"the first {length} of {len(body)} bytes passed for an answer"
        assert heard.error.kind is Kind.BROKEN_STREAM
        assert heard.error.partial is bool(heard.text)
