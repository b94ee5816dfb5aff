"""Parity: the same cases for every row of the catalog. A row is only in the catalog once its recorded traffic is in here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import parts
import recorded
from glossator_providers import capabilities, dialects
from glossator_providers.auth import sign
from glossator_providers.catalog import ROWS, Provider, Row
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import (
    Effort,
    Fragment,
    Message,
    Origin,
    OriginKind,
    Request,
    Role,
    Structure,
    Tool,
    ToolCall,
)
from glossator_providers.secrets import Secret

# A row that speaks exactly as another, by which it is proven, and why that is enough.
STANDS_FOR = {
    "embedded": ("llamacpp", "the embedded model is llama.cpp's own server, in a child process"),
}
# Rows of which nobody has recorded this, and why the row is there all the same.
NO_GOOD_STREAM = {
    "lmstudio": "no good stream of it is public (README of the recordings); it speaks as llama.cpp does",
    "vllm": "no good stream of it is public (README of the recordings); it speaks as llama.cpp does",
}

SAID = (Origin(OriginKind.INSTRUCTION),)
SCHEMA = '{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}'


def said(role: Role, text: str, **more: Any) -> Message:
    """Make one turn."""
    return Message(role, (Fragment(text, SAID),), **more)


ASKED = Request((said(Role.SYSTEM, "Be brief: ✓."), said(Role.USER, "What is “x”? 😀")))
CALL = ToolCall("call_1", "read_file", '{"path":"ü.py"}')
# Everything that a request may ask for, by name.
REQUESTS: dict[str, Request] = {
    "plain": replace(ASKED, stream=False),
    "streamed": ASKED,
    "several turns": replace(
        ASKED, messages=(*ASKED.messages, said(Role.ASSISTANT, "A name."), said(Role.USER, "Which?"))
    ),
    "sampled": replace(ASKED, temperature=0.2, top_p=0.9, top_k=40, stop=("END",), max_tokens=77),
    "thinking": replace(ASKED, effort=Effort.HIGH, max_tokens=9000),
    "not thinking": replace(ASKED, effort=Effort.NONE),
    "structured": replace(ASKED, structure=Structure("answer", SCHEMA)),
    "with a tool": replace(ASKED, tools=(Tool("read_file", "Read a file", SCHEMA),)),
    "with a result": replace(
        ASKED,
        tools=(Tool("read_file", "Read a file", SCHEMA),),
        messages=(
            *ASKED.messages,
            said(Role.ASSISTANT, "", calls=(CALL,)),
            said(Role.TOOL, "print(1)", answers=CALL.id),
        ),
    ),
}


def cases_of(row: Row) -> list[recorded.Case]:
    """Return the recorded traffic that proves a row."""
    kind = STANDS_FOR.get(row.kind, (row.kind, ""))[0]
    return [case for case in recorded.cases() if case.row.kind == kind]


def is_good(case: recorded.Case) -> bool:
    """Say whether a case is a streamed answer that came to its end; what the SDKs take for one without, is none."""
    ended = case.expected.get("finish_reason") not in (None, "ERROR")
    return case.streamed and case.expected["outcome"] == "ok" and case.suggested is None and ended


def provider(row: Row) -> Provider:
    """Make a provider of this row."""
    address = row.base_url or "https://resource.example.test/v1"
    model = row.default_model or "some-model"
    return Provider(row.kind, row, model, address, Secret("sk-0123456789abcdef0123"), project="a-project")


@pytest.fixture(params=ROWS.values(), ids=list(ROWS))
def row(request: pytest.FixtureRequest) -> Row:
    """Give each row of the catalog."""
    found: Row = request.param
    return found


def test_a_row_has_its_recorded_stream(row: Row) -> None:
    """Somebody's real server has been heard in each row's protocol, or the table says why not."""
    parts.shared_data("wire", "dev")
    found = cases_of(row)
    assert found, f"no recorded traffic proves the row {row.kind}: record a stream, or take the row out"
    streams = [case for case in found if case.streamed]
    good = [case for case in streams if case.expected["outcome"] == "ok" and case.suggested is None]
    assert bool(good) is (row.kind not in NO_GOOD_STREAM), (
        f"{row.kind}: {len(streams)} streams, {len(good)} of them good"
    )


def test_a_row_is_heard_to_its_end(row: Row) -> None:
    """Each good stream gives text, a thought or a call, why it ended, and the model; cut before its end it is an error."""
    parts.shared_data("wire", "dev")
    for case in filter(is_good, cases_of(row)):
        heard = recorded.hear(case.dialect, case.body, row=case.row)
        assert heard.error is None, case.name
        assert heard.finished is not None, case.name
        assert heard.text == case.expected["text"], case.name
        assert len(heard.calls) <= len(case.expected.get("tool_calls") or []), case.name
        if case.row.done_marker and heard.text:
            cut = recorded.hear(case.dialect, case.body[: len(case.body) // 3], row=case.row)
            assert cut.error is not None, case.name
            assert cut.error.kind is Kind.BROKEN_STREAM, case.name


@pytest.mark.parametrize("name", REQUESTS)
def test_a_row_can_be_asked_for_everything(row: Row, name: str) -> None:
    """Each kind of request is one JSON body that holds what was said, unescaped, and goes to a path of its own."""
    asked = capabilities.fitting(REQUESTS[name], provider(row))
    payload = dialects.get(row.dialect).encode(asked, provider(row))
    assert payload.method == "POST"
    assert payload.path.startswith("/")
    body = json.loads(payload.body)
    assert isinstance(body, dict)
    text = payload.body.decode("utf-8")
    for message in asked.messages:
        assert all(part in text for part in message.text.split("\n"))
    assert ("read_file" in text) is bool(asked.tools)
    if name == "with a result":
        assert "ü.py" in text
    assert "sk-0123456789" not in text
    assert dict(payload.headers)["content-type"] == "application/json"


def test_nothing_is_sent_that_was_not_asked_for(row: Row) -> None:
    """A plain request names no sampling, no effort, no tool: what is not said is the provider's own default."""
    payload = dialects.get(row.dialect).encode(REQUESTS["plain"], provider(row))
    for word in (
        "temperature",
        "top_p",
        "topP",
        "topK",
        "top_k",
        "effort",
        "tools",
        "response_format",
        "thinkingConfig",
    ):
        assert f'"{word}"' not in payload.body.decode("utf-8")


def test_what_the_model_rejects_is_left_out(row: Row) -> None:
    """Whatever is asked of whichever default model, sampling goes only where it is taken."""
    known = capabilities.of(provider(row))
    fitted = capabilities.fitting(REQUESTS["sampled"], provider(row))
    assert (fitted.temperature is not None) is bool(known.sampling)


def test_a_row_is_signed_without_showing_the_key(row: Row) -> None:
    """The key is in the headers, as a secret, and nowhere else; a row whose calls are signed with it needs the call."""
    payload = dialects.get(row.dialect).encode(REQUESTS["plain"], provider(row))
    headers = sign(provider(row), payload)
    assert headers
    assert "0123456789" not in repr(headers)
    assert any("0123456789" in value.reveal() for _, value in headers if isinstance(value, Secret))


@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"[]", b"{}", b"\xff\xfe", b"null", b'{"a":"\x00"}', b"\x00" * 99]
)
def test_what_is_no_answer_is_an_error_of_the_provider(row: Row, body: bytes) -> None:
    """An empty body, a web page, JSON of the wrong shape, a wrong encoding and NUL bytes are never an answer."""
    dialect = dialects.get(row.dialect)
    with pytest.raises(ProviderError):
        dialect.read(body)
    heard = recorded.hear(dialect, body, row=row)
    assert heard.error is not None
    assert heard.text == ""
    error = dialect.explain(500, {}, body)
    assert error.kind in (Kind.SERVER, Kind.OVERLOADED)


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (401, {Kind.AUTH}),
        (403, {Kind.FORBIDDEN}),
        (404, {Kind.NO_MODEL}),
        (429, {Kind.RATE}),
        (500, {Kind.SERVER}),
        (503, {Kind.OVERLOADED}),
        (302, {Kind.BAD_REQUEST}),
    ],
)
def test_a_status_without_words_means_the_same_everywhere(row: Row, status: int, kinds: set[Kind]) -> None:
    """Where the body says nothing the status decides, alike in every dialect, and the delay in the header is read."""
    error = dialects.get(row.dialect).explain(status, {"retry-after": "7"}, b"")
    assert error.kind in kinds
    assert error.status == status
    assert error.retry_after == (7 if status >= 400 else None)


def test_ten_megabytes_in_one_event_are_an_answer(row: Row) -> None:
    """A very long event is read or refused, and what is refused is refused as a failure of the provider."""
    dialect = dialects.get(row.dialect)
    line = json.dumps({"type": "future", "padding": "x" * 10_000_000}).encode()
    body = b"data: " + line + b"\n\n" if dialect.framing == "sse" else line + b"\n"
    heard = recorded.hear(dialect, body, row=row)
    assert heard.error is not None
    assert heard.error.kind in (Kind.BROKEN_STREAM, Kind.SERVER, Kind.BAD_REQUEST)
