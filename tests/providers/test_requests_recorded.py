"""What we send is what the official SDKs send, or the difference stands here with its reason."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

import parts
from glossator_providers import dialects
from glossator_providers.auth import sign
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
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
}
REQUESTS = ("1-system-user", "2-multi-turn", "4-streaming")
MEANINGFUL = ("accept", "content-type", "authorization", "x-api-key", "anthropic-version")

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
}
# What the SDK says and we do not: field and reason.
THEIRS: dict[str, dict[str, str]] = {
    "ollama": {"tools": "an empty list of tools says nothing"},
    "mistral": {"stream": "false is the default of the API; true is sent"},
}
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
    signed = any(header.lower() in ("authorization", "x-api-key") for header, _ in recorded["headers"])
    provider = Provider(
        name=kind,
        row=row,
        model=recorded["body"]["model"],
        base_url=row.base_url,
        key=key if signed else None,
        max_tokens=1024,
    )
    payload = dialects.get(row.dialect).encode(request(name, logical), provider)

    assert payload.method == recorded["method"]
    theirs = recorded["default_base_url"].replace("localhost", "127.0.0.1") + recorded["path_after_base_url"]
    assert provider.base_url + payload.path == theirs
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
    provider = Provider(name=kind, row=row, model=recorded["model"], base_url=row.base_url or "")
    body = json.loads(dialects.get(row.dialect).encode(asked, provider).body)
    ours, theirs = body.get("options", body), recorded.get("options", recorded)
    for field in ("max_tokens", "max_completion_tokens", "num_predict", "temperature", "stop", "stop_sequences"):
        assert ours.get(field) == theirs.get(field)
    plain = json.loads(dialects.get(row.dialect).encode(Request(messages=()), provider).body)
    assert not {"temperature", "top_p", "stop", "stop_sequences"} & {*plain, *plain.get("options", {})}


@pytest.mark.parametrize("kind", FOLDERS)
def test_models_are_listed_as_the_official_sdk_lists_them(kind: str) -> None:
    """Method, path and headers of the request for the list are the vendor's own."""
    folder = parts.shared_data("wire", "sdk-requests")
    recorded = json.loads((folder / FOLDERS[kind] / "8-list-models.json").read_text())
    row = ROWS[kind]
    payload = dialects.get(row.dialect).list_models()
    theirs = recorded["default_base_url"].replace("localhost", "127.0.0.1") + recorded["path_after_base_url"]
    assert (payload.method, f"{row.base_url}{payload.path.partition('?')[0]}") == (recorded["method"], theirs)
    assert payload.body == b""
    # Anthropic's pages hold 20 models unless more are asked for.
    assert payload.path.partition("?")[2] == ("limit=1000" if kind == "anthropic" else recorded["query"])
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
        provider = Provider(name="p", row=row, model="m", base_url=row.base_url or "")
        body = dialects.get(row.dialect).encode(Request(messages=(message,)), provider).body
        assert json.loads(body)["messages"][-1]["content"] == text
        assert "日本語のテキスト" in body.decode("utf-8")
