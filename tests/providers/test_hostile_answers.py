"""Answers that are made to break whoever reads them: too deep, without end, in another encoding, or written for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

import recorded
from glossator_providers import dialects
from glossator_providers.asking import Heard
from glossator_providers.dialects.calls import Calls
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import AmazonEvents, EventStream, Frame, Framing, Lines, splitter
from glossator_providers.model import Text, ToolCall

# Where what is nested is walked through once more after it was parsed: a failure's sentence, a delay, a call's arguments.
NESTS: Mapping[str, str] = {
    "sentence": '{"error": %s}',
    "delay": '{"error": {"message": "x", "retry_after": %s}}',
    "arguments of Gemini": '{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": %s}}}]}}]}',
    "arguments of Anthropic": '{"content": [{"type": "tool_use", "id": "a", "name": "b", "input": {"a": %s}}]}',
    "arguments of Ollama": '{"message": {"tool_calls": [{"function": {"name": "f", "arguments": %s}}]}, "done": true}',
    "anything": "%s",
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("dialect", dialects.DIALECTS)
@pytest.mark.parametrize("depth", [300, 960, 20_000])
def test_no_depth_exhausts_the_stack(dialect: str, nest: str, depth: int) -> None:
    """What is nested deeper than any protocol is malformed, long before reading it would run out of stack."""
    spoken = dialects.get(dialect)
    for opening, closing in (("[", "]"), ('{"detail":', "}"), ('{"error":', "}")):
        document = NESTS[nest] % (opening * depth + "1" + closing * depth)
        with pytest.raises(ProviderError, match="cut short or malformed"):
            spoken.decoder().decode(Frame("metadata", document))
        with pytest.raises(ProviderError, match="cut short or malformed"):
            spoken.read(document.encode())
        with pytest.raises(ProviderError):
            spoken.models(document.encode())
        with pytest.raises(ProviderError):
            spoken.decoder().decode(Frame("throttlingException", document, failed=True))
        assert spoken.explain(400, {}, document.encode()).kind is Kind.BAD_REQUEST


@pytest.mark.parametrize("dialect", dialects.DIALECTS)
def test_the_sentence_of_a_failure_steers_no_terminal(dialect: str) -> None:
    """Escape sequences and characters that turn the direction of reading are taken out of a message and of a code."""
    hostile = "\x1b[2J\x07over\u202eloaded\x9b"
    bodies = (
        {"error": {"message": hostile, "code": hostile, "status": hostile}},
        {"message": hostile, "__type": hostile},
        {"error": hostile},
    )
    headers = {"x-amzn-ErrorType": hostile}
    for body in bodies:
        error = dialects.get(dialect).explain(400, headers, json.dumps(body).encode())
        told = error.message + (error.code or "")
        assert "loaded" in told
        assert not set(told) & set("\x1b\x07\u202e\x9b")


def test_calls_without_end_are_given_up() -> None:
    """Calls that say nothing, and names without measure, are bounded as well as arguments are."""
    calls = Calls()

    def call_for_ever() -> None:
        for number in range(1 << 20):
            calls.feed(number, name="f")

    with pytest.raises(ProviderError, match="does not end") as caught:
        call_for_ever()
    assert caught.value.kind is Kind.BROKEN_STREAM
    with pytest.raises(ProviderError, match="does not end"):
        Calls().feed(0, name="x" * (17 << 20))


def test_an_answer_of_ollama_in_another_encoding_is_an_error() -> None:
    """What is not UTF-8 is no answer, in one piece as in a stream: no character is guessed."""
    body = '{"model": "m", "message": {"content": "Grüße"}, "done": true}'.encode("latin-1")
    with pytest.raises(ProviderError, match="not UTF-8") as caught:
        dialects.get("ollama").read(body)
    assert caught.value.kind is Kind.BROKEN_STREAM


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic", "gemini", "bedrock", "cohere", "openai_responses"])
def test_a_document_in_another_encoding_is_named_as_one(dialect: str) -> None:
    """The sentence says what is wrong with it."""
    with pytest.raises(ProviderError, match="the answer is not UTF-8 where JSON was expected"):
        dialects.get(dialect).read('{"content": "Grüße"}'.encode("latin-1"))


def test_a_model_of_vertex_has_a_name_that_can_be_written_down() -> None:
    """Half a character in a list of models is replaced."""
    body = b'{"publisherModels": [{"name": "publishers/google/models/gemini-\\ud800"}]}'
    assert dialects.get("vertex").models(body)[0].name == "gemini-\ufffd"


@pytest.mark.parametrize(
    ("framing", "body", "text"),
    [("sse", b"data: 1\n\ndata: \xff\n\n", "1"), ("ndjson", b"1\n\xff\n2\n", "1")],
)
def test_what_came_before_the_damage_is_given_out(framing: Framing, body: bytes, text: str) -> None:
    """The frames before bytes that are no text come first, however the bytes were cut; after that there is only the failure."""
    for size in (1, 3, len(body)):
        stream = splitter(framing)
        given: list[Frame] = []

        def feed(
            size: int = size, stream: EventStream | Lines | AmazonEvents = stream, given: list[Frame] = given
        ) -> None:
            for start in range(0, len(body) + size, size):
                given.extend(stream.feed(body[start : start + size]))

        with pytest.raises(ProviderError, match="not UTF-8"):
            feed()
        assert [frame.data for frame in given] == [text]
        with pytest.raises(ProviderError, match="not UTF-8"):
            stream.feed(b"data: 3\n\n")
        with pytest.raises(ProviderError, match="not UTF-8"):
            stream.end()


def test_a_document_in_place_of_bedrocks_stream_is_read() -> None:
    """An error or a whole answer in plain JSON, where binary events were asked for, is what it says, wherever it was cut."""
    bedrock = dialects.get("bedrock")
    failed = recorded.hear(bedrock, b'{"message": "Too many requests, please wait before trying again."}')
    assert failed.error is not None
    assert failed.error.kind is Kind.BROKEN_STREAM  # Amazon names a failure in a header, which no decoder sees
    failed = recorded.hear(bedrock, b'{"error": {"message": "Too many requests"}}')
    assert failed.error is not None
    assert failed.error.kind is Kind.RATE
    answer = json.dumps({"output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": "end_turn"}).encode()
    for size in (1, len(answer)):
        pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
        (frame,) = recorded.frames(bedrock, pieces)
        assert Text("hi") in bedrock.decoder().decode(frame)


def test_calls_without_end_are_cut_off() -> None:
    """Calls that come whole, one event each, are bounded like text is, however little each of them says."""
    heard = Heard(0.0, "m", local=True, stays=False)

    def listen() -> None:
        for _ in range(1 << 20):
            heard.hear(ToolCall("", "f", "{}"), lambda: 0.0)

    with pytest.raises(ProviderError, match="does not end"):
        listen()
    assert len(heard.calls) < 1 << 18
