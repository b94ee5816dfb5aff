"""Amazon Bedrock: requests and signatures are the official SDK's, and the corners of its protocol that no recording shows."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parts
import recorded
from glossator_providers import aws, dialects
from glossator_providers.auth import sign, signed
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import ConfigError, Kind, ProviderError
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
from glossator_providers.secrets import Secret

BEDROCK = dialects.get("bedrock")
ADDRESS = "https://bedrock-runtime.us-east-1.amazonaws.com"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CREDENTIALS = aws.Credentials("AKIDEXAMPLE", Secret("secret"))
CASES = (
    *("1-system-user", "2-multi-turn", "3-sampling", "4-streaming", "5-tool-call", "5b-tool-result"),
    *("6-long-unicode", "7-cache-point-and-thinking", "7b-model-arn-path"),
)


def provider(model: str = CLAUDE, *, base_url: str = ADDRESS, key: Secret | None = None) -> Provider:
    """Make a provider of this kind."""
    return Provider("bedrock", ROWS["bedrock"], model, base_url, key=key, max_tokens=1024)


def said(role: Role, text: str, **more: Any) -> Message:
    """Make one turn of a conversation."""
    return Message(role, (Fragment(text, ()),) if text else (), **more)


def body_of(request: Request, model: str = CLAUDE) -> dict[str, Any]:
    """Write a request down and return its body."""
    body: dict[str, Any] = json.loads(BEDROCK.encode(request, provider(model)).body)
    return body


# --- what is sent ---


def logical_request(name: str, logical: dict[str, Any]) -> Request:
    """Make the logical request that the SDK was given."""
    system, explain = said(Role.SYSTEM, logical["system"]), said(Role.USER, logical["user"])
    tool = Tool(logical["tool"]["name"], logical["tool"]["description"], json.dumps(logical["tool"]["schema"]))
    check = (system, said(Role.USER, "Check a.py"))
    call = ToolCall("t1", tool.name, '{"path": "a.py"}')
    result = (said(Role.ASSISTANT, "", calls=(call,)), said(Role.TOOL, "no problems", answers="t1"))
    turns = tuple(said(Role(role), text) for role, text in logical["turns"])
    return {
        "1-system-user": Request((system, explain), stream=False),
        "2-multi-turn": Request((system, *turns), stream=False),
        "3-sampling": Request(
            (system, explain), temperature=0.2, top_p=0.9, max_tokens=256, stop=("END", "\n\n"), stream=False
        ),
        "4-streaming": Request((system, explain)),
        "5-tool-call": Request(check, tools=(tool,), stream=False),
        "5b-tool-result": Request((*check, *result), tools=(tool,), stream=False),
        "6-long-unicode": Request((system, said(Role.USER, logical["long"])), stream=False),
        "7-cache-point-and-thinking": Request((system, explain), effort=Effort.LOW, max_tokens=4096, stream=False),
        "7b-model-arn-path": Request((explain,), stream=False),
    }[name]


@pytest.mark.parametrize("name", CASES)
def test_a_request_is_the_official_sdks(name: str) -> None:
    """Method, path, headers and body are those of boto3, save for three fields, each with its reason."""
    data = parts.shared_data("wire", "sdk-requests")
    theirs = json.loads((data / "bedrock-bearer" / f"{name}.json").read_text())
    logical = json.loads((data / "LOGICAL.json").read_text())
    model = unquote(theirs["path_after_base_url"].split("/")[2])
    asked = provider(model, base_url=theirs["default_base_url"], key=Secret("sk-secret"))
    payload = BEDROCK.encode(logical_request(name, logical), asked)
    assert (payload.method, payload.path) == (theirs["method"], theirs["path_after_base_url"])

    ours = {header: value.replace("sk-secret", "***") for header, value in revealed(sign(asked, payload))}
    ours |= payload.headers
    meant = {header.lower(): value for header, value in theirs["headers"]}
    assert ours == {header: meant[header] for header in ("authorization", "content-type")}

    expected = theirs["body"]
    # An answer is always bounded, and what is thought is part of it.
    bound = 4096 if "additionalModelRequestFields" in expected else 1024
    expected["inferenceConfig"] = {"maxTokens": bound, **expected.get("inferenceConfig", {})}
    if "system" in expected and name != "7-cache-point-and-thinking":
        # The stable part is marked for the cache, not only where somebody asks for it.
        expected["system"].append({"cachePoint": {"type": "default"}})
    if "toolConfig" in expected:
        # The default, said aloud; some models accept no choice at all.
        assert expected["toolConfig"].pop("toolChoice") == {"auto": {}}
    assert json.loads(payload.body) == expected


def revealed(headers: tuple[tuple[str, Secret | str], ...]) -> list[tuple[str, str]]:
    """Return headers as they go out."""
    return [(name, value.reveal() if isinstance(value, Secret) else value) for name, value in headers]


@pytest.mark.parametrize(
    ("model", "cached"),
    [
        (CLAUDE, True),
        ("global.anthropic.claude-opus-5-5", True),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5", True),
        ("us.amazon.nova-2-lite-v1:0", True),
        ("amazon.nova-micro-v1:0", True),
        ("anthropic.claude-v2", False),
        ("anthropic.claude-3-sonnet-20240229-v1:0", False),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", False),
        ("us.deepseek.r1-v1:0", False),
        ("meta.llama3-2-1b-instruct-v1:0", False),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijk2", False),
    ],
)
def test_only_models_that_take_a_cache_point_get_one(model: str, cached: bool) -> None:  # noqa: FBT001  the table's second column
    """Other models refuse the whole request for it; where it stands, it follows all that the system says."""
    system = body_of(Request((said(Role.SYSTEM, "a"), said(Role.SYSTEM, " "), said(Role.SYSTEM, "b"))), model)["system"]
    point = [{"cachePoint": {"type": "default"}}]
    assert system == [{"text": "a"}, {"text": "b"}, *(point if cached else [])]
    assert "system" not in body_of(Request((said(Role.SYSTEM, " "), said(Role.USER, "hi"))), model)


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        (CLAUDE, None, None),
        (CLAUDE, Effort.NONE, None),
        (CLAUDE, Effort.LOW, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            Effort.HIGH,
            {"thinking": {"type": "enabled", "budget_tokens": 16384}},
        ),
        (
            "us.anthropic.claude-opus-4-6-v1",
            Effort.LOW,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (
            "eu.anthropic.claude-haiku-5-5",
            Effort.HIGH,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("anthropic.claude-3-haiku-20240307-v1:0", Effort.HIGH, None),
        (
            "us.amazon.nova-2-lite-v1:0",
            Effort.HIGH,
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
        ),
        ("us.amazon.nova-2-lite-v1:0", Effort.NONE, {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", Effort.MEDIUM, {"reasoning_effort": "medium"}),
        ("us.deepseek.r1-v1:0", Effort.MEDIUM, None),
    ],
)
def test_effort_is_asked_for_in_the_words_of_the_models_maker(
    model: str, effort: Effort | None, fields: dict[str, Any] | None
) -> None:
    """Converse passes on how much to think as each vendor has it; a model that knows nothing of it is not told."""
    assert (
        body_of(Request((said(Role.USER, "hi"),), effort=effort, max_tokens=32_000), model).get(
            "additionalModelRequestFields"
        )
        == fields
    )


def test_sampling_stands_where_the_models_maker_wants_it() -> None:
    """Converse has no field for top-k, so it goes where each vendor has it; a model that draws as it will is not told."""
    request = Request((said(Role.USER, "hi"),), temperature=0.5, top_p=0.9, top_k=7, max_tokens=8000)
    assert body_of(request)["inferenceConfig"] == {"maxTokens": 8000, "temperature": 0.5, "topP": 0.9}
    assert body_of(request)["additionalModelRequestFields"] == {"top_k": 7}
    nova, llama = body_of(request, "amazon.nova-lite-v1:0"), body_of(request, "meta.llama3-2-1b-instruct-v1:0")
    assert nova["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 7}}
    assert "additionalModelRequestFields" not in llama
    newest, thinking = body_of(request, "eu.anthropic.claude-opus-5-5"), body_of(replace(request, effort=Effort.LOW))
    assert newest["inferenceConfig"] == thinking["inferenceConfig"] == {"maxTokens": 8000}
    assert set(thinking["additionalModelRequestFields"]) == {"thinking"}


def test_turns_alternate_and_hold_no_blank_text() -> None:
    """Results of several calls are one user's turn, blank texts are left out, and arguments that are no object are none."""
    calls = (ToolCall("1", "a", '{"x": 1}'), ToolCall("2", "b", "[broken"), ToolCall("3", "c", "7"))
    conversation = (
        said(Role.USER, "one"),
        said(Role.USER, "two"),
        said(Role.ASSISTANT, "  ", calls=calls),
        said(Role.TOOL, "A", answers="1"),
        said(Role.TOOL, "", answers="2"),
        said(Role.USER, "three"),
        said(Role.ASSISTANT, " "),
    )
    assert body_of(Request(conversation))["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "1", "name": "a", "input": {"x": 1}}},
                {"toolUse": {"toolUseId": "2", "name": "b", "input": {}}},
                {"toolUse": {"toolUseId": "3", "name": "c", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "1", "content": [{"text": "A"}]}},
                {"toolResult": {"toolUseId": "2", "content": []}},
                {"text": "three"},
            ],
        },
    ]


def test_a_structure_is_asked_for_as_recorded() -> None:
    """The schema of an answer travels as a string, as in the recorded request of another client."""
    data = parts.shared_data("wire", "dev", "bedrock", "plain--zai.glm-4.7-flash-c5bc5")
    theirs = json.loads((data / "request.json").read_text())["body"]
    told = theirs["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    request = Request((said(Role.USER, "hi"),), structure=Structure(told["name"], told["schema"]))
    assert body_of(request, "zai.glm-4.7-flash")["outputConfig"] == theirs["outputConfig"]


def test_models_are_not_listed_since_the_list_is_elsewhere() -> None:
    """No key goes to the control plane, another origin than the one that it was configured for."""
    for ask in (BEDROCK.list_models, lambda: BEDROCK.models(b'{"modelSummaries": []}')):
        with pytest.raises(ProviderError, match="another address") as caught:
            ask()
        assert caught.value.kind is Kind.BAD_REQUEST


# --- how it is signed ---


@pytest.mark.parametrize("name", [*CASES, "8-list-models", "9-session-token"])
def test_a_signature_is_the_official_sdks(name: str) -> None:
    """The known answers, with an encoded model or ARN in the path, without a body and with a session's token."""
    theirs = json.loads((parts.shared_data("wire", "sdk-requests") / "bedrock-sigv4" / f"{name}.json").read_text())
    known = theirs["sigv4_known_answer"]
    headers = {header.lower(): value for header, value in theirs["headers"]}
    body = b"" if theirs["body"] is None else json.dumps(theirs["body"]).encode()
    token = Secret(headers["x-amz-security-token"]) if "x-amz-security-token" in headers else None
    ours = aws.signature(
        theirs["method"],
        f"http://{known['host']}{known['raw_path_sent']}",
        headers.get("content-type"),
        body,
        credentials=aws.Credentials(known["access_key"], Secret(known["secret_key"]), token, known["region"]),
        now=seconds(known["x-amz-date"]),
    )
    expected = {"x-amz-date": known["x-amz-date"], "authorization": known["authorization"]}
    if token is not None:
        expected["x-amz-security-token"] = "SESSIONTOKEN"
    assert dict(revealed(ours)) == expected


def seconds(stamp: str) -> float:
    """Return the seconds since the epoch of a date as AWS writes it."""
    from datetime import UTC, datetime

    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def test_a_call_is_signed_where_there_is_no_key() -> None:
    """With a key there is no signature, without one the whole call is signed, at the clock's time and in the address's region."""
    payload = BEDROCK.encode(Request((said(Role.USER, "hi"),)), provider())
    clock, find = (lambda: seconds("20261121T010838Z")), (lambda: CREDENTIALS)
    assert revealed(sign(provider(key=Secret("k")), payload, find_credentials=never)) == [("authorization", "Bearer k")]
    headers = sign(provider(), payload, clock=clock, find_credentials=find)
    assert isinstance(headers[-1][1], Secret)
    told = dict(revealed(headers))
    assert told["x-amz-date"] == "20261121T010838Z"
    assert told["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature="
    )
    other = Payload(payload.method, payload.path, payload.headers, payload.body + b" ")
    assert sign(provider(), other, clock=clock, find_credentials=find) != headers
    elsewhere = provider(base_url="https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com")
    assert "/eu-central-1/bedrock/" in dict(revealed(sign(elsewhere, payload, find_credentials=find)))["authorization"]


def never() -> aws.Credentials:
    """Fail: nobody may look for credentials here."""
    raise AssertionError("credentials were looked for")


def test_no_signature_goes_where_anybody_could_read_it() -> None:
    """A loopback address is not signed for, and a plain http address of another machine is refused as for any key."""
    payload = BEDROCK.encode(Request(()), provider())
    assert sign(provider(base_url="http://127.0.0.1:9"), payload, find_credentials=never) == ()
    with pytest.raises(ProviderError, match="not https"):
        sign(provider(base_url="http://gateway.lan"), payload, find_credentials=never)


def test_a_region_that_nobody_names_is_told() -> None:
    """An address without a region takes that of the AWS configuration; without one the error says how to name it."""
    payload = BEDROCK.encode(Request(()), provider())
    gateway = provider(base_url="https://gateway.example.com")
    with pytest.raises(ProviderError, match="names no region") as caught:
        sign(gateway, payload, find_credentials=lambda: CREDENTIALS)
    assert caught.value.kind is Kind.AUTH
    found = aws.Credentials("AKIDEXAMPLE", Secret("secret"), None, "sa-east-1")
    assert "/sa-east-1/" in dict(revealed(sign(gateway, payload, find_credentials=lambda: found)))["authorization"]


@pytest.fixture
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that sets AWS's files and variables, and nothing else of this machine's is seen."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(config: str = "", credentials: str = "", **variables: str) -> None:
        for name, text in (("config", config), ("credentials", credentials)):
            (tmp_path / name).write_text(text)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return write


def test_credentials_are_found_where_the_tools_of_aws_look(aws_files: Callable[..., None]) -> None:
    """A profile's keys and region, replaced on disk at any time, and before them the environment's with their token."""
    find = aws.CredentialFinder()
    for secret in ("one", "two"):
        aws_files(
            "[profile work]\nregion = eu-west-1\n",
            f"[work]\naws_access_key_id = AKID\naws_secret_access_key = {secret}\n",
            AWS_PROFILE="work",
        )
        found = find()
        assert (found.access_key, found.secret_key.reveal(), found.token) == ("AKID", secret, None)
        assert found.region == "eu-west-1"
    aws_files("[profile work]\n", AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="S", AWS_SESSION_TOKEN="T")
    found = find()
    assert found.token is not None
    assert (found.access_key, found.secret_key.reveal(), found.token.reveal()) == ("A", "S", "T")
    assert not {"'A'", "'S'", "'T'"} & set(repr(found).replace("=", " ").split())


@pytest.mark.parametrize(
    ("config", "variables", "message"),
    [
        ("", {}, "no AWS credentials were found"),
        ("", {"AWS_PROFILE": "gone"}, "ProfileNotFound"),
        ("", {"AWS_ACCESS_KEY_ID": "AKIDSECRET"}, "PartialCredentialsError"),
        ("[default]\ncredential_process = sh -c 'echo AKIDSECRET >&2; exit 1'\n", {}, "CredentialRetrievalError"),
        ("[default]\ncredential_process = echo AKIDSECRET\n", {}, "JSONDecodeError"),
        (
            "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\n",
            {},
            "export-credentials",
        ),
        (
            "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = x\n[profile x]\nsso_account_id = 1\n",
            {},
            "export-cred",
        ),
        ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/"}, "export-credentials"),
        ("[broken", {}, "ConfigParseError"),
    ],
)
def test_credentials_that_cannot_be_found_are_told_without_a_word_of_them(
    aws_files: Callable[..., None], config: str, variables: dict[str, str], message: str
) -> None:
    """Each way to have none ends in one sentence with the way out, which quotes nothing that was read."""
    aws_files(config, **variables)
    with pytest.raises(ConfigError, match=message) as caught:
        aws.CredentialFinder()()
    assert "AKIDSECRET" not in str(caught.value)
    payload = BEDROCK.encode(Request(()), provider())
    with pytest.raises(ProviderError) as refused:
        sign(provider(), payload, find_credentials=aws.CredentialFinder())
    assert refused.value.kind is Kind.AUTH


async def test_credentials_are_never_logged(aws_files: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level no logger says a key or a token, when they are found nor when a call is signed."""
    aws_files(AWS_ACCESS_KEY_ID="AKIDHIDDEN", AWS_SECRET_ACCESS_KEY="SECRETHIDDEN", AWS_SESSION_TOKEN="TOKENHIDDEN")
    with caplog.at_level(logging.DEBUG):
        payload = BEDROCK.encode(Request((said(Role.USER, "hi"),)), provider())
        headers = await signed(provider(), payload)
    assert [name for name, _ in headers] == ["x-amz-date", "x-amz-security-token", "authorization"]
    assert "HIDDEN" not in caplog.text
    assert "HIDDEN" not in repr(headers)


async def test_credentials_are_not_waited_for_without_end() -> None:
    """A search that hangs, as where the network swallows it, becomes an error that says so; a key needs no search."""
    released = threading.Event()

    def hang() -> aws.Credentials:
        released.wait(30)
        return CREDENTIALS

    payload = BEDROCK.encode(Request(()), provider())
    try:
        with pytest.raises(ProviderError, match=r"not found within 0\.05 s") as caught:
            await signed(provider(), payload, find_credentials=hang, seconds=0.05)
        assert caught.value.kind is Kind.AUTH
        assert await signed(provider(key=Secret("k")), payload, find_credentials=hang)
    finally:
        released.set()


def test_keys_of_aws_are_blotted_out_of_messages() -> None:
    """A key that a gateway repeats in its refusal is not shown."""
    for key in ("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "AKIAIOSFODNN7EXAMPLE"):
        error = BEDROCK.explain(403, {}, json.dumps({"message": f"the key {key} is unknown"}).encode())
        assert error.message == "the key *** is unknown"


# --- what is read ---


def hear(*events: tuple[str, object]) -> recorded.Heard:
    """Hear a stream of these events."""
    decoder, deltas = BEDROCK.decoder(), list[Delta]()
    try:
        for name, value in events:
            deltas += decoder.decode(Frame(name, json.dumps(value)))
        decoder.end()
    except ProviderError as error:
        return recorded.Heard(tuple(deltas), error)
    return recorded.Heard(tuple(deltas), None)


def delta(value: object, index: int = 0) -> tuple[str, object]:
    """Write a piece of a block."""
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": value}


STOP = ("messageStop", {"stopReason": "end_turn"})
METADATA = ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 2, "cacheWriteInputTokens": 7}})


def test_an_answer_needs_both_of_its_last_events() -> None:
    """Without `messageStop` or without `metadata` the connection was cut, and what follows both is no part of the answer."""
    for events in ((delta({"text": "hi"}), STOP), (delta({"text": "hi"}), METADATA), ()):
        heard = hear(*events)
        assert heard.error is not None
        assert (heard.error.kind, heard.error.partial) == (Kind.BROKEN_STREAM, bool(heard.text))
    heard = hear(delta({"text": "hi"}), STOP, METADATA, delta({"text": "!"}), ("future", 1))
    assert heard == recorded.Heard(
        (Text("hi"), Finished(FinishReason.STOP, "end_turn"), Usage(12, 2, None, told_input_tokens=5)), None
    )


def test_events_and_pieces_of_the_future_are_passed_over() -> None:
    """New events, pieces, headers and reasons disturb nothing; a character that is torn between two pieces is joined."""
    heard = hear(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"hologram": {}}}),
        ("hologramDelta", ["x"]),
        delta({"hologram": {"text": "no"}}),
        delta({"reasoningContent": {"text": "hm \ud83d"}}),
        delta({"reasoningContent": {"text": "\ude00"}}),
        delta({"reasoningContent": {"signature": "no"}}),
        delta({"reasoningContent": {"redactedContent": "bm8="}}),
        delta({"text": "a\ud83d"}, 1),
        ("messageStop", {"stopReason": "tired"}),
        ("metadata", {"trace": {"promptRouter": {"invokedModelId": "m"}}}),
    )
    assert heard.error is None
    assert heard.deltas == (
        Reasoning("hm "),
        Reasoning("😀"),
        Progress(),
        Progress(),
        Text("a"),
        Text("\ufffd"),
        Finished(FinishReason.OTHER, "tired"),
        Started("m"),
    )


def test_calls_of_tools_are_given_whole() -> None:
    """Pieces of two calls are kept apart; a call without arguments has none, and one whose end is missing still counts."""
    first = {"toolUse": {"toolUseId": "1", "name": "a"}}
    heard = hear(
        ("contentBlockStart", {"contentBlockIndex": 0, "start": first}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "2", "name": "b"}}}),
        delta({"toolUse": {"input": '{"x"'}}, 0),
        delta({"toolUse": {"input": ": 1}"}}, 0),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockStop", {"contentBlockIndex": 7}),
        ("messageStop", {"stopReason": "tool_use"}),
        METADATA,
    )
    assert heard.calls == [ToolCall("1", "a", '{"x": 1}'), ToolCall("2", "b", "{}")]
    assert heard.finished == Finished(FinishReason.TOOL_CALLS, "tool_use")


@pytest.mark.parametrize(
    ("name", "data", "kind", "message"),
    [
        ("throttlingException", '{"message": "slower"}', Kind.RATE, "slower"),
        ("serviceUnavailableException", '{"message": "busy"}', Kind.OVERLOADED, "busy"),
        ("validationException", '{"message": "bad"}', Kind.BAD_REQUEST, "bad"),
        ("validationException", '{"message": "Input is too long for requested model."}', Kind.TOO_LONG, "Input is too"),
        ("modelTimeoutException", "{}", Kind.TIMEOUT, "modelTimeoutException"),
        ("modelStreamErrorException", '{"originalMessage": "boom"}', Kind.SERVER, "boom"),
        ("futureException", "<html>", Kind.SERVER, "futureException"),
        (None, "", Kind.SERVER, "an error without a name"),
    ],
)
def test_a_failure_in_the_stream_is_classified(name: str | None, data: str, kind: Kind, message: str) -> None:
    """An exception that comes as a frame ends the answer, with its name as code and what had arrived marked as partial."""
    decoder = BEDROCK.decoder()
    decoder.decode(Frame(*delta_frame("hi")))
    with pytest.raises(ProviderError) as caught:
        decoder.decode(Frame(name, data, failed=True))
    assert (caught.value.kind, caught.value.partial) == (kind, True)
    assert caught.value.message.startswith(message)
    assert name is None or caught.value.code == name


def delta_frame(text: str) -> tuple[str, str]:
    """Write the frame of a piece of text."""
    name, value = delta({"text": text})
    return name, json.dumps(value)


@pytest.mark.parametrize(
    ("status", "name", "body", "kind"),
    [
        (
            403,
            "UnrecognizedClientException",
            {"message": "The security token included in the request is invalid."},
            "auth",
        ),
        (403, "InvalidSignatureException", {"message": "Signature expired: 20261121T010838Z is now earlier"}, "auth"),
        (403, "", {"Message": "Authentication failed: Please make sure your API Key is valid."}, "auth"),
        (403, "", {"Message": "Bearer Token has expired"}, "auth"),
        (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"}, "auth"),
        (403, "AccessDeniedException", {"message": "You don't have access to the model with that ID."}, "forbidden"),
        (403, "AccessDeniedException", {"Message": "User: x is not authorized to perform: y"}, "forbidden"),
        (403, "", {}, "forbidden"),
        (400, "ValidationException", {"message": "The provided model identifier is invalid."}, "no-model"),
        (
            400,
            "ValidationException",
            {"message": "Invocation with on-demand throughput isn\u2019t supported."},
            "no-model",
        ),
        (400, "ValidationException", {"message": "Malformed input request"}, "bad-request"),
        (400, "ServiceQuotaExceededException", {"message": "quota"}, "rate"),
        (
            404,
            "ResourceNotFoundException",
            {"message": "This model version has reached the end of its life."},
            "no-model",
        ),
        (424, "ModelErrorException", {"message": "The model failed", "originalStatusCode": 500}, "server"),
        (429, "ModelNotReadyException", {"message": "The model is not ready"}, "overloaded"),
        (429, "ThrottlingException", {"message": "Too many tokens, please wait before trying again."}, "rate"),
        (429, "ThrottlingException", {"message": "Too many tokens per day, please wait"}, "no-credit"),
        (500, "InternalServerException", {"message": "oh"}, "server"),
        (404, "", {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}}, "no-model"),
        (400, "", {"__type": "com.amazon.coral.service#ExpiredTokenException"}, "auth"),
    ],
)
def test_a_failed_call_is_classified_by_its_name_and_its_words(
    status: int, name: str, body: dict[str, Any], kind: str
) -> None:
    """The header names the failure; where a gateway has lost it, the words and the status must do."""
    headers = {"X-Amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"} if name else {}
    error = BEDROCK.explain(status, headers, json.dumps(body).encode())
    assert (error.kind, error.status) == (Kind(kind), status)
    assert error.code == (name or (None if "__type" not in body else "ExpiredTokenException"))


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b"null",
            b'{"output": {}}',
            b'{"output": {"message": {"content": {}}}}',
            b"\xff",
        ),
        *(b'{"error": "no"}', b'{"message": "no"}', b"[" * 100_000),
    ],
)
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    """Status 200 with anything but a message is BROKEN_STREAM or the failure that it reports, never an empty answer."""
    with pytest.raises(ProviderError):
        BEDROCK.read(body)
    assert recorded.hear(BEDROCK, body).error is not None


WORDS = [
    *("contentBlockIndex", "delta", "text", "toolUse", "input", "toolUseId", "name", "type", "start", "stopReason"),
    *("usage", "inputTokens", "outputTokens", "cacheReadInputTokens", "trace", "promptRouter", "invokedModelId"),
    *("output", "message", "content", "reasoningContent", "reasoningText", "error", "__type", "code", "Message"),
]
EVENTS = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "future",
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(["server_tool_use", "end_turn", "\ud83d", "\ude00", "\0", "{", "a#b:c"])
    | st.text(st.characters(exclude_categories=[]), max_size=5)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)


@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), values | st.binary(max_size=20), st.booleans()), max_size=6),
    st.text(max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_events_of_any_shape_give_deltas_or_a_provider_error(told: list[tuple[str, object, bool]], name: str) -> None:
    """Known words in the wrong places, wrong types, lone surrogates, no JSON: only ProviderError comes out, and text is UTF-8."""
    decoder = BEDROCK.decoder()
    with contextlib.suppress(ProviderError):
        for event, value, failed in told:
            data = value.decode("latin-1") if isinstance(value, bytes) else json.dumps(value)
            written(decoder.decode(Frame(event, data, failed=failed and event == "future")))
        decoder.end()
    for _, value, _ in told:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        with contextlib.suppress(ProviderError):
            written(BEDROCK.read(body))
        for status in (200, 400, 500):
            error = BEDROCK.explain(status, {"x-amzn-errortype": name}, body)
            assert error.message
            (error.message + (error.code or "")).encode("utf-8")


def written(deltas: list[Delta]) -> None:
    """Fail on a delta whose text could not be written."""
    for told in deltas:
        match told:
            case Text(text) | Reasoning(text):
                assert text
                text.encode("utf-8")
            case Started(model):
                model.encode("utf-8")
            case ToolCall(identifier, called, arguments):
                (identifier + called + arguments).encode("utf-8")
            case Finished(_, raw):
                (raw or "").encode("utf-8")
            case Usage():
                pass


@given(st.text(st.characters(exclude_categories=[]), min_size=1, max_size=30))
def test_any_name_of_a_model_stays_one_step_of_the_path(model: str) -> None:
    """Slashes, question marks and half characters in a name lead nowhere else."""
    path = BEDROCK.encode(Request(()), provider(model)).path
    assert path.isascii()
    assert path.count("/") == 3
    assert "?" not in path
    assert "#" not in path


def test_ten_megabytes_in_one_event_are_read() -> None:
    """A very large event is an answer like any other."""
    text = "x" * 10_000_000
    assert len(hear(delta({"text": text}), STOP, METADATA).text) == len(text)
