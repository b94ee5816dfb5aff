"""What we send is what the official SDKs send, or the difference stands here with its reason."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

import parts
from glossator_providers import dialects
from glossator_providers.auth import sign
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.model import (
    Effort,
    Fragment,
    Message,
    Origin,
    OriginKind,
    Request,
    Role,
    Tool,
    ToolCall,
)
from glossator_providers.secrets import Secret

# The folder of each SDK's requests. Anthropic's is that of the API version that we speak; dialects/anthropic.py says why.
FOLDERS = {
    "anthropic": "anthropic-2023-06-01",
    "openai": "openai-chat",
    "xai": "xai",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "groq": "groq",
    "openrouter": "openrouter",
    "ollama": "ollama",
    "lmstudio": "lmstudio",
    "llamacpp": "llamacpp",
    "gemini": "gemini",
    "vertex": "vertex",
    "vertex-anthropic": "vertex-anthropic-2023-06-01",
}
REQUESTS = ("1-system-user", "2-multi-turn", "4-streaming")
MEANINGFUL = ("accept", "content-type", "authorization", "x-api-key", "x-goog-api-key", "anthropic-version")

# What we say beyond the SDK's body, or otherwise, by kind: field, value, reason. "…" as value: any.
OURS: dict[str, dict[str, tuple[Any, str]]] = {
    "openai": {
        "max_completion_tokens": (1024, "an answer is always bounded: it is the user's money"),
        "stream_options": (
            {"include_usage": True, "include_obfuscation": False},
            "padding against eavesdroppers doubles a stream that goes over TLS to one user",
        ),
    },
    "xai": {"max_tokens": (1024, "an answer is always bounded")},
    "deepseek": {"max_tokens": (1024, "an answer is always bounded")},
    "mistral": {"max_tokens": (1024, "an answer is always bounded")},
    "groq": {"max_completion_tokens": (1024, "an answer is always bounded")},
    "openrouter": {"max_tokens": (1024, "an answer is always bounded")},
    "lmstudio": {"max_tokens": (1024, "an answer is always bounded")},
    "llamacpp": {"max_tokens": (1024, "an answer is always bounded")},
    "ollama": {
        "options": ({"num_ctx": 8192, "num_predict": 1024}, "the default context cuts prompts off silently"),
        "truncate": (False, "rather an error than a prompt without its beginning"),
        "shift": (False, "rather an end than an answer that forgot its question"),
    },
    "anthropic": {
        "system": (
            [
                {
                    "type": "text",
                    "text": "You are a code assistant. Answer briefly.",
                    "cache_control": {"type": "ephemeral"},
                }
            ],
            "the stable part is marked for the cache, which only a block can be",
        ),
    },
    "gemini": {"generationConfig": ({"maxOutputTokens": 1024}, "an answer is always bounded")},
    "vertex": {"generationConfig": ({"maxOutputTokens": 1024}, "an answer is always bounded")},
}
OURS["vertex-anthropic"] = OURS["anthropic"]
# What the SDK says and we do not: field and reason.
THEIRS: dict[str, dict[str, str]] = {
    "ollama": {"tools": "an empty list of tools says nothing"},
    "mistral": {"stream": "false is the default of the API; true is sent"},
}
# The SDKs turn the pages of a list, where we ask for one that is large enough.
LARGER_PAGES = {"anthropic": "limit=1000", "gemini": "pageSize=1000", "vertex": "pageSize=200"}
# Headers that differ.
OTHER_HEADERS: dict[str, dict[str, str]] = {
    # Their SDK names the type of a stream; `stream: true` is what decides, as their own curl examples show.
    "mistral": {"accept": "application/json"},
}


def request(name: str, logical: dict[str, Any]) -> Request:
    """Make the logical request that the SDKs were given."""
    turns = logical["turns"] if name == "2-multi-turn" else [["user", logical["user"]]]
    spoken = [("system", logical["system"]), *turns]
    return Request(
        messages=tuple(
            Message(Role(role), (Fragment(text, (Origin(OriginKind.INSTRUCTION),)),)) for role, text in spoken
        ),
        stream=name == "4-streaming",
    )


def model_of(recorded: dict[str, Any]) -> str:
    """Return the model that a recorded request names, in its body or, at Google, in its path."""
    body = recorded["body"]
    found = re.search(r"/models/([^:]+):", recorded["path_after_base_url"])
    return str(body["model"]) if "model" in body else found[1] if found else ""


def place_of(recorded: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Return the address that a recorded request went to, and at Google the project and the location in its path."""
    address = recorded["default_base_url"].replace("localhost", "127.0.0.1").rstrip("/")
    found = re.search(r"/projects/([^/]+)/locations/([^/]+)/", recorded["path_after_base_url"])
    if found:
        return address.removesuffix("/v1"), found[1], found[2]
    return address, None, None


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_request_is_the_official_sdks(kind: str, name: str) -> None:
    """Method, address, headers and body are those of the vendor's own library, save for the tables above."""
    folder = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((folder / FOLDERS[kind] / f"{name}.json").read_text())
    logical = json.loads((folder / "LOGICAL.json").read_text())
    row = ROWS[kind]
    assert row.base_url is not None
    key = Secret("sk-secret-0123456789")
    signed = any(
        header.lower() in ("authorization", "x-api-key", "x-goog-api-key") for header, _ in recorded["headers"]
    )
    address, project, location = place_of(recorded)
    provider = Provider(
        name=kind,
        row=row,
        model=model_of(recorded),
        base_url=address if project else row.base_url,
        project=project,
        location=location,
        key=key if signed else None,
        max_tokens=1024,
    )
    payload = dialects.get(row.dialect).encode(request(name, logical), provider)

    assert payload.method == recorded["method"]
    theirs = recorded["default_base_url"].replace("localhost", "127.0.0.1").rstrip("/")
    assert provider.base_url + payload.path.partition("?")[0] == theirs + recorded["path_after_base_url"]
    assert urlsplit(payload.path).query == recorded["query"]

    ours = {header.lower(): value for header, value in payload.headers}
    for header, value in sign(provider):
        revealed = value.reveal() if isinstance(value, Secret) else value
        ours[header.lower()] = revealed.replace("sk-secret-0123456789", "***")
    meant = {header.lower(): value for header, value in recorded["headers"] if header.lower() in MEANINGFUL}
    assert ours == {**meant, **OTHER_HEADERS.get(kind, {})}

    body = json.loads(payload.body)
    expected = dict(recorded["body"])
    for field, (value, reason) in OURS.get(kind, {}).items():
        assert reason
        if field == "stream_options" and name != "4-streaming":
            continue
        assert expected.get(field) != value, "no difference any more: remove it from the table"
        expected[field] = value
    for field in THEIRS.get(kind, {}):
        if field == "stream" and name == "4-streaming":
            continue
        del expected[field]
    if kind == "mistral":
        for message in expected["messages"]:
            message.pop("prefix", None)  # false is the default of the API
    assert body == expected


@pytest.mark.parametrize("kind", [kind for kind in FOLDERS if kind != "mistral"])
def test_sampling_and_limits_stand_where_the_official_sdk_puts_them(kind: str) -> None:
    """Temperature, stop words and the bound of the answer go into the fields that the vendor's own library fills."""
    folder = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((folder / FOLDERS[kind] / "3-sampling.json").read_text())["body"]
    row = ROWS[kind]
    asked = Request(messages=(), max_tokens=256, temperature=0.2, stop=("END", "\n\n"), stream=False)
    provider = Provider(name=kind, row=row, model=recorded.get("model", "m"), base_url=row.base_url or "", project="p")
    body = json.loads(dialects.get(row.dialect).encode(asked, provider).body)
    ours, theirs = settings_of(body), settings_of(recorded)
    for field in ("max_tokens", "max_completion_tokens", "num_predict", "temperature", "stop", "stop_sequences"):
        assert ours.get(field) == theirs.get(field)
    for field in ("maxOutputTokens", "stopSequences"):
        assert ours.get(field) == theirs.get(field)
    plain = json.loads(dialects.get(row.dialect).encode(Request(messages=()), provider).body)
    assert not {"temperature", "top_p", "topP", "stop", "stop_sequences", "stopSequences"} & {*settings_of(plain)}


def settings_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return where a body says how to answer: in itself, or in a field of its own."""
    found: dict[str, Any] = body.get("options") or body.get("generationConfig") or body
    return found


@pytest.mark.parametrize("kind", [kind for kind in FOLDERS if kind != "vertex-anthropic"])
def test_models_are_listed_as_the_official_sdk_lists_them(kind: str) -> None:
    """Method, path and headers of the request for the list are the vendor's own."""
    folder = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((folder / FOLDERS[kind] / "8-list-models.json").read_text())
    row = ROWS[kind]
    payload = dialects.get(row.dialect).list_models()
    theirs = recorded["default_base_url"].replace("localhost", "127.0.0.1").rstrip("/")
    # The row's own address is that of Vertex AI's location `global`.
    theirs = theirs.replace("us-central1-", "") + recorded["path_after_base_url"]
    assert (payload.method, f"{row.base_url}{payload.path.partition('?')[0]}") == (recorded["method"], theirs)
    assert payload.body == b""
    assert payload.path.partition("?")[2] == LARGER_PAGES.get(kind, recorded["query"])
    meant = {
        header.lower(): value
        for header, value in recorded["headers"]
        if header.lower() in ("accept", "anthropic-version")
    }
    assert dict(payload.headers) == meant


def test_the_long_text_goes_out_as_the_user_wrote_it() -> None:
    """Scripts, emoji, quotes and backslashes arrive as they are, in UTF-8 without escapes, so the door can inspect them."""
    folder = parts.shared_data("wire", "sdk-requests")
    text = json.loads((folder / "LOGICAL.json").read_text())["long"]
    message = Message(Role.USER, (Fragment(text, ()),))
    for row in ROWS.values():
        provider = Provider(name="p", row=row, model="m", base_url=row.base_url or "", project="p")
        body = dialects.get(row.dialect).encode(Request(messages=(message,)), provider).body
        assert text in strings(json.loads(body))
        assert "日本語のテキスト" in body.decode("utf-8")


def strings(value: object) -> list[str]:
    """Return every string inside a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


# The Python SDK writes three fields in its own spelling; Google reads both, and documents this one.
SPELT_BY_GOOGLE = {
    "parameters_json_schema": "parametersJsonSchema",
    "include_thoughts": "includeThoughts",
    "thinking_budget": "thinkingBudget",
}


def documented(value: Any) -> Any:
    """Return a body of Google's SDK with its fields spelt as Google documents them."""
    if isinstance(value, dict):
        return {SPELT_BY_GOOGLE.get(name, name): documented(item) for name, item in value.items()}
    return [documented(item) for item in value] if isinstance(value, list) else value


def said(role: Role, text: str, **more: Any) -> Message:
    """Make one turn of a conversation."""
    return Message(role, (Fragment(text, (Origin(OriginKind.INSTRUCTION),)),) if text else (), **more)


@pytest.mark.parametrize("name", ["3-sampling", "5-tool-call", "5b-tool-result", "6-long-unicode", "7-thinking"])
@pytest.mark.parametrize("folder", ["gemini", "vertex", "vertex-express"])
def test_a_request_to_google_is_its_sdks(folder: str, name: str) -> None:
    """Sampling, tools, their results, long texts and thinking are written as Google's library writes them, in both modes."""
    data = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((data / folder / f"{name}.json").read_text())
    logical = json.loads((data / "LOGICAL.json").read_text())
    address, project, location = place_of(recorded)
    row = ROWS[folder.removesuffix("-express")]
    provider = Provider("p", row, model_of(recorded), address, project=project, location=location, max_tokens=256)
    system = said(Role.SYSTEM, logical["system"])
    tool = Tool(logical["tool"]["name"], logical["tool"]["description"], json.dumps(logical["tool"]["schema"]))
    call = ToolCall("gemini-call-0", tool.name, '{"path": "a.py"}')  # an id of ours: the model gave none
    check = said(Role.USER, "Check a.py")
    explain = said(Role.USER, logical["user"])
    asked = {
        "3-sampling": Request((system, explain), temperature=0.2, top_p=0.9, stop=("END", "\n\n"), stream=False),
        "5-tool-call": Request((system, check), tools=(tool,), stream=False),
        "5b-tool-result": Request(
            (
                system,
                check,
                said(Role.ASSISTANT, "", calls=(call,)),
                said(Role.TOOL, "no problems", answers=call.id),
            ),
            tools=(tool,),
            stream=False,
        ),
        "6-long-unicode": Request((system, said(Role.USER, logical["long"])), stream=False),
        "7-thinking": Request((system, explain), effort=Effort.LOW, stream=False),
    }[name]
    payload = dialects.get(row.dialect).encode(asked, provider)
    assert (payload.method, address + payload.path) == (recorded["method"], address + recorded["path_after_base_url"])
    expected = documented(recorded["body"])
    expected["generationConfig"]["maxOutputTokens"] = 256  # an answer is always bounded
    if name == "5b-tool-result":
        # Gemini 3 answers 400 to a call without its signature; this is the documented word for one that has none.
        expected["contents"][1]["parts"][0]["thoughtSignature"] = "skip_thought_signature_validator"
    if name in ("3-sampling", "7-thinking"):
        # The recorded settings are those of an older model than the recorded name.
        older = dataclasses.replace(provider, model="gemini-2.5-flash")
        assert json.loads(dialects.get(row.dialect).encode(asked, older).body) == expected
        # This one takes no sampling any more, and a level in the place of a budget.
        expected["generationConfig"] = {
            name: value for name, value in expected["generationConfig"].items() if name not in ("temperature", "topP")
        }
        if name == "7-thinking":
            expected["generationConfig"]["thinkingConfig"] = {"includeThoughts": True, "thinkingLevel": "low"}
    assert json.loads(payload.body) == expected


VERTEX_VERSIONS = {"vertex-anthropic-2023-06-01": "vertex-2023-10-16", "vertex-anthropic": "2026-10-21"}


@pytest.mark.parametrize(
    "name",
    [
        *REQUESTS,
        "3-sampling",
        "5-tool-call",
        "5b-tool-result",
        "6-long-unicode",
        "7-cache-control",
        "7b-thinking-budget",
        "7c-thinking-adaptive-effort",
    ],
)
@pytest.mark.parametrize("folder", VERTEX_VERSIONS)
def test_claude_on_vertex_differs_as_its_sdk_differs(folder: str, name: str) -> None:
    """Anthropic's SDK sends to Vertex AI what it sends home, save model and version: so do we, of the older version."""
    data = parts.shared_data("wire", "sdk-requests")
    there = json.loads((data / folder / f"{name}.json").read_text())
    home = json.loads((data / folder.removeprefix("vertex-") / f"{name}.json").read_text())
    model = home["body"].pop("model")
    method = "streamRawPredict" if home["body"].get("stream") else "rawPredict"
    assert there["body"] == {**home["body"], "anthropic_version": VERTEX_VERSIONS[folder]}
    assert there["path_after_base_url"].endswith(f"/publishers/anthropic/models/{model}:{method}")

    logical = json.loads((data / "LOGICAL.json").read_text())
    tool = Tool(logical["tool"]["name"], logical["tool"]["description"], json.dumps(logical["tool"]["schema"]))
    asked = Request(
        (
            said(Role.SYSTEM, logical["system"]),
            said(Role.USER, logical["long"]),
            said(Role.ASSISTANT, "", calls=(ToolCall("toolu_1", tool.name, '{"path": "a.py"}'),)),
            said(Role.TOOL, "no problems", answers="toolu_1"),
        ),
        tools=(tool,),
        effort=Effort.HIGH,
        temperature=0.2,
        stop=("END",),
        stream=method == "streamRawPredict",
    )
    address, project, location = place_of(there)
    ours = {
        kind: dialects.get(ROWS[kind].dialect).encode(
            asked, Provider("p", ROWS[kind], model, address, project=project, location=location)
        )
        for kind in ("anthropic", "vertex-anthropic")
    }
    body = json.loads(ours["anthropic"].body)
    assert body.pop("model") == model
    assert json.loads(ours["vertex-anthropic"].body) == {**body, "anthropic_version": "vertex-2023-10-16"}
    theirs = there["default_base_url"].rstrip("/") + there["path_after_base_url"]
    assert address.removesuffix("/v1") + ours["vertex-anthropic"].path == theirs


def test_the_key_of_express_mode_is_no_token() -> None:
    """A key without a project is sent as `x-goog-api-key`, a token for a project as bearer, as Google's library does."""
    data = parts.shared_data("wire", "sdk-requests")
    for folder, project in (("vertex-express", None), ("vertex", "proj")):
        recorded = json.loads((data / folder / "1-system-user.json").read_text())
        provider = Provider("p", ROWS["vertex"], "m", "https://aiplatform.googleapis.com", Secret("k"), project=project)
        ((header, value),) = sign(provider)
        assert isinstance(value, Secret)
        theirs = {name.lower(): told for name, told in recorded["headers"]}
        assert value.reveal() == theirs[header].replace("***", "k")


# The row that each SDK folder of these stands for. Azure's resource is the user's own, so these rows have no address.
RESOURCE = "https://RESOURCE.openai.azure.com"
MORE_FOLDERS = {
    "openai-responses": "openai-responses",
    "xai-responses": "xai-responses",
    "azure-responses": "azure-responses",
    "azure-v1": "azure",
    "azure-deployments": "azure",
    "azure-deployments-entra": "azure",
    "cohere": "cohere",
}
RECORDED = (
    "1-system-user",
    "2-multi-turn",
    "3-sampling",
    "4-streaming",
    "5-tool-call",
    "5b-tool-result",
    "6-long-unicode",
)
RECORDED_OF_SOME = {
    "openai-responses": ("7-reasoning",),
    "xai-responses": ("7-reasoning",),
    "azure-responses": ("7-reasoning",),
    "cohere": ("7-thinking",),
}
BOUNDS = {
    "openai_responses": "max_output_tokens",
    "azure_responses": "max_output_tokens",
    "azure": "max_completion_tokens",
    "cohere": "max_tokens",
}
# What stands in a body of ours and in none of the SDK's: field, value, reason.
ALWAYS_OURS: dict[str, dict[str, tuple[Any, str]]] = {
    "openai_responses": {
        "store": (False, "kept nowhere, nobody has to delete it; the default is to keep it for 30 days")
    },
    "azure_responses": {"store": (False, "as at OpenAI")},
}
# What the SDK was told to say and we do not: field and reason.
NEVER_OURS = {
    "tool_choice": "that the model may choose is the default",
    "include": "thoughts that only their provider can read are not kept here, so they need not be sent",
}


def provider_of(folder: str, recorded: dict[str, Any]) -> Provider:
    """Make the provider that the SDK was configured as; Azure's older API has a version, and its tokens are no keys."""
    row = ROWS[MORE_FOLDERS[folder]]
    version = "2024-10-21" if "deployments" in folder else None
    key = Secret("eyJhbGciOiJub25lIn0.e30.c2lnbmVk" if "entra" in folder else "sk-secret-0123456789")
    model = (recorded["body"] or {}).get("model", "m")
    return Provider("p", row, model, row.base_url or RESOURCE, key, max_tokens=1024, api_version=version)


def asked_of(name: str, body: dict[str, Any], logical: dict[str, Any]) -> Request:
    """Make the logical request of this name, in the form that the body of it has."""
    tool = Tool(logical["tool"]["name"], logical["tool"]["description"], json.dumps(logical["tool"]["schema"]))
    written = json.dumps(body)
    identity = "t1" if '"t1"' in written else "call_1"
    plan = "I will check." if "tool_plan" in written else ""
    call = ToolCall(identity, tool.name, '{"path":"a.py"}')
    check = said(Role.USER, "Check a.py")
    result = (said(Role.ASSISTANT, plan, calls=(call,)), said(Role.TOOL, "no problems", answers=identity))
    turns = {
        "2-multi-turn": tuple(said(Role(role), text) for role, text in logical["turns"]),
        "5-tool-call": (check,),
        "5b-tool-result": (check, *result),
        "6-long-unicode": (said(Role.USER, logical["long"]),),
    }
    system = (said(Role.SYSTEM, logical["system"]),) if logical["system"] in written else ()
    plain = Request(
        (*system, *turns.get(name, (said(Role.USER, logical["user"]),))),
        stream=name == "4-streaming",
        tools=(tool,) if name in ("5-tool-call", "5b-tool-result") else (),
        effort=Effort.LOW if name.startswith("7-") else None,
    )
    sampled = dataclasses.replace(plain, max_tokens=256, temperature=0.2, top_p=0.9, stop=("END", "\n\n"))
    return sampled if name == "3-sampling" else plain


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder in MORE_FOLDERS for name in (*RECORDED, *RECORDED_OF_SOME.get(folder, ()))],
)
def test_a_request_by_responses_to_azure_or_to_cohere_is_the_official_sdks(folder: str, name: str) -> None:
    """Every logical request is written as the vendor's own library writes it, save for the tables above."""
    data = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((data / folder / f"{name}.json").read_text())
    logical = json.loads((data / "LOGICAL.json").read_text())
    provider = provider_of(folder, recorded)
    payload = dialects.get(provider.row.dialect).encode(asked_of(name, recorded["body"], logical), provider)

    address = recorded["default_base_url"].partition(" ")[0].rstrip("/")
    path, _, query = payload.path.partition("?")
    assert (payload.method, provider.base_url + path) == (recorded["method"], address + recorded["path_after_base_url"])
    assert query == recorded["query"]
    check_headers(folder, recorded, payload, provider)

    expected = {field: value for field, value in recorded["body"].items() if field not in NEVER_OURS}
    expected.setdefault(BOUNDS[provider.row.dialect], 1024)  # an answer is always bounded
    for field, (value, reason) in ALWAYS_OURS.get(provider.row.dialect, {}).items():
        assert reason
        expected[field] = value
    if folder == "openai-responses" and name == "4-streaming":
        # Padding against eavesdroppers doubles a stream that goes over TLS to one user.
        expected["stream_options"] = {"include_obfuscation": False}
    assert json.loads(payload.body) == expected


def check_headers(folder: str, recorded: dict[str, Any], payload: dialects.Payload, provider: Provider) -> None:
    """Compare the meaningful headers with those of the SDK."""
    ours = {header.lower(): value for header, value in payload.headers}
    for header, value in sign(provider):
        assert isinstance(value, Secret)
        assert provider.key is not None
        ours[header] = value.reveal().replace(provider.key.reveal(), "***")
    meant = {
        header.lower(): value for header, value in recorded["headers"] if header.lower() in (*MEANINGFUL, "api-key")
    }
    if folder in ("azure-v1", "azure-responses"):
        # The SDK of OpenAI knows no header for keys but this one; Azure documents its own for the same addresses.
        assert meant.pop("authorization") == "Bearer ***"
        meant["api-key"] = "***"
    assert ours == meant


@pytest.mark.parametrize("folder", ["azure-v1", "cohere"])
def test_these_models_are_listed_as_the_official_sdk_lists_them(folder: str) -> None:
    """Method, address and headers of the request for the list are the vendor's own; a page of Cohere's is made larger."""
    data = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((data / folder / "8-list-models.json").read_text())
    provider = provider_of(folder, recorded)
    payload = dialects.get(provider.row.dialect).list_models()
    address = recorded["default_base_url"].rstrip("/") + recorded["path_after_base_url"]
    path, _, query = payload.path.partition("?")
    assert (payload.method, provider.base_url + path, payload.body) == (recorded["method"], address, b"")
    assert query == ("page_size=1000&endpoint=chat" if folder == "cohere" else recorded["query"])
    check_headers(folder, recorded, payload, provider)
