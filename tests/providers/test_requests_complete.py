"""Sampling, tools, results, long texts, reasoning and caching are sent as the official SDKs send them, or the reason stands here.

The first requests, and those of the dialects that came later, are compared in test_requests_recorded.py and beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import parts
import recorded
from glossator_providers import capabilities, dialects
from glossator_providers.auth import sign
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.model import Effort, Fragment, Message, Origin, OriginKind, Request, Role, Tool, ToolCall
from glossator_providers.secrets import Secret

CHAT = (
    "openai-chat",
    "openai-chat-org-project",
    "xai",
    "deepseek",
    "mistral",
    "groq",
    "openrouter",
    "lmstudio",
    "llamacpp",
)
ANTHROPIC = ("anthropic-2023-06-01", "anthropic", "anthropic-oauth-2023-06-01", "anthropic-oauth")
KINDS = {
    **{folder: folder for folder in CHAT},
    "openai-chat": "openai",
    "openai-chat-org-project": "openai",
    **dict.fromkeys(ANTHROPIC, "anthropic"),
    "ollama": "ollama",
}
# Requests that we never make, and why.
NOT_MADE = {
    "9-count-tokens": "tokens are estimated without network",
    "9-show": "a model's context is read from the list of models",
    "9b-ps": "which models are loaded makes no difference to us",
    "8-list-models": "compared in test_requests_recorded.py",
}
MEANINGFUL = (
    *("accept", "content-type", "authorization", "x-api-key", "anthropic-version"),
    *("openai-organization", "openai-project"),
)
SECRET = "sk-secret-0123456789"


@dataclass(frozen=True)
class Difference:
    """A field that we send otherwise; `ours` makes our value from the SDK's body, None where we send none."""

    folders: tuple[str, ...]
    cases: tuple[str, ...]  # none: all
    field: str
    ours: Callable[[dict[str, Any]], Any]
    reason: str


def nothing(_body: dict[str, Any]) -> None:
    """Leave a field out."""


def fixed(*, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Send this value."""
    return lambda _body: value


def bound(body: dict[str, Any]) -> int:
    """Return the bound that the SDK's caller gave, or ours."""
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 1024)


def said_by_system(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages with the role of the system in its older name."""
    return [message | ({"role": "system"} if message["role"] == "developer" else {}) for message in body["messages"]]


def without_names(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return Mistral's messages in the form that all others take."""
    messages = []
    for message in body["messages"]:
        kept = {name: value for name, value in message.items() if name not in ("prefix", "name")}
        for call in kept.get("tool_calls", []):
            call.pop("index")
            kept["content"] = None
        messages.append(kept)
    return messages


def marked(body: dict[str, Any]) -> Any:
    """Return what Anthropic's system says as a block that is marked for the cache."""
    said = body.get("system")
    return [{"type": "text", "text": said, "cache_control": {"type": "ephemeral"}}] if isinstance(said, str) else said


def with_texts(body: dict[str, Any]) -> Any:
    """Return Ollama's messages with an empty text where the SDK has none."""
    return [{"content": "", **message} for message in body["messages"]]


FIRST = ("1-system-user", "2-multi-turn", "4-streaming")
BOUNDED_AS_NEW = ("openai-chat", "openai-chat-org-project", "groq")
BOUNDED_AS_OLD = tuple(folder for folder in CHAT if folder not in BOUNDED_AS_NEW)
OPENAI = ("openai-chat", "openai-chat-org-project")
REJECTED = "the model rejects it: an error at worst, nothing at best"
DIFFERENCES = (
    Difference(
        BOUNDED_AS_NEW, (), "max_completion_tokens", bound, "an answer is always bounded: it is the user's money"
    ),
    Difference(BOUNDED_AS_OLD, (), "max_tokens", bound, "an answer is always bounded: it is the user's money"),
    Difference(BOUNDED_AS_OLD, ("7-reasoning",), "max_completion_tokens", nothing, "these document `max_tokens`"),
    Difference((*CHAT, *ANTHROPIC), ("5-tool-call",), "tool_choice", nothing, "that the model chooses is the default"),
    Difference(
        CHAT, ("7-reasoning",), "messages", said_by_system, "the role `system` is taken by all, `developer` by some"
    ),
    Difference(OPENAI, ("7-reasoning",), "verbosity", nothing, "nobody asked us for it"),
    Difference(OPENAI, ("3-sampling",), "temperature", nothing, REJECTED),
    Difference(OPENAI, ("3-sampling",), "top_p", nothing, REJECTED),
    Difference(("openrouter",), ("3-sampling",), "temperature", nothing, REJECTED),
    Difference(("openrouter",), ("3-sampling",), "top_p", nothing, REJECTED),
    Difference(("openrouter",), ("7-reasoning",), "usage", nothing, "it is told without asking"),
    Difference(
        OPENAI,
        ("4-streaming",),
        "stream_options",
        fixed(value={"include_usage": True, "include_obfuscation": False}),
        "padding against eavesdroppers doubles a stream that goes over TLS to one user",
    ),
    Difference(
        ("deepseek",),
        ("5b-tool-result",),
        "thinking",
        fixed(value={"type": "disabled"}),
        "it would want its thoughts back",
    ),
    Difference(("mistral",), (), "stream", lambda body: body["stream"] or None, "false is the default of the API"),
    Difference(("mistral",), (), "messages", without_names, "defaults, and fields that the API does not need"),
    Difference(ANTHROPIC, (), "system", marked, "the stable part is marked for the cache, which only a block can be"),
    Difference(ANTHROPIC, ("3-sampling",), "temperature", nothing, REJECTED),
    Difference(ANTHROPIC, ("3-sampling",), "top_p", nothing, REJECTED),
    Difference(
        ANTHROPIC,
        ("7c-thinking-adaptive-effort",),
        "thinking",
        fixed(value={"type": "adaptive"}),
        "thoughts may be shown",
    ),
    Difference(("ollama",), (), "truncate", fixed(value=False), "rather an error than a prompt without its beginning"),
    Difference(("ollama",), (), "shift", fixed(value=False), "rather an end than an answer that forgot its question"),
    Difference(("ollama",), (), "tools", lambda body: body.get("tools") or None, "an empty list says nothing"),
    Difference(("ollama",), (), "keep_alive", nothing, "how long a model stays loaded is for its owner to say"),
    Difference(
        ("ollama",),
        (),
        "options",
        lambda body: {"num_predict": 1024, **body.get("options", {}), "num_ctx": 8192},
        "the default context cuts prompts off silently; ours grows with the prompt",
    ),
    Difference(("ollama",), ("5b-tool-result",), "messages", with_texts, "an empty text is what a message always has"),
)
# A header that differs, and why.
OTHER_HEADERS: dict[str, dict[str, str | None]] = {
    # Under the API version that we speak; dialects/anthropic.py says why. The key goes as that version has it.
    "anthropic": {"anthropic-version": "2023-06-01", "x-api-key": "***", "authorization": None},
    "anthropic-oauth": {"anthropic-version": "2023-06-01"},
    # Their SDK names the type of a stream; `stream: true` is what decides, as their own curl examples show.
    "mistral": {"accept": "application/json"},
}


def recorded_requests() -> list[tuple[str, str]]:
    """Return folder and case of every request that an official SDK sent in these dialects."""
    folder = recorded._WIRE / "sdk-requests"
    return [
        (name, path.stem)
        for name in KINDS
        for path in sorted((folder / name).glob("*.json"))
        if path.stem not in NOT_MADE
    ]


def said(role: Role, text: str, **more: Any) -> Message:
    """Make one turn."""
    return Message(role, (Fragment(text, (Origin(OriginKind.INSTRUCTION),)),), **more)


def logical(case: str, body: dict[str, Any], told: dict[str, Any]) -> Request:
    """Make the logical request that the SDKs were given, as LOGICAL.json and the name of the case describe it."""
    system, user = said(Role.SYSTEM, told["system"]), said(Role.USER, told["user"])
    check = said(Role.USER, "Check a.py")
    tool = Tool(told["tool"]["name"], told["tool"]["description"], json.dumps(told["tool"]["schema"]))
    spoken = {
        "2-multi-turn": (system, *(said(Role(role), text) for role, text in told["turns"])),
        "5-tool-call": (system, check),
        "5b-tool-result": (system, check, *_called(tool, body)),
        "6-long-unicode": (said(Role.USER, told["long"]),),
        "7b-thinking-budget": (user,),
        "7c-thinking-adaptive-effort": (user,),
    }
    first = str(body.get("system") or "") + json.dumps(body["messages"][0])
    messages = spoken.get(case, (system, user))
    if case == "6-long-unicode" and told["system"] in first:
        messages = (system, *messages)
    return Request(
        messages,
        stream=case == "4-streaming",
        max_tokens=body.get("max_completion_tokens")
        or body.get("max_tokens")
        or (256 if case == "3-sampling" else None),
        temperature=0.2 if case == "3-sampling" else None,
        top_p=0.9 if case == "3-sampling" else None,
        stop=("END", "\n\n") if case == "3-sampling" else (),
        tools=(tool,) if case.startswith("5") else (),
        effort=Effort.LOW if case in ("7-reasoning", "7-thinking") or case.startswith(("7b", "7c")) else None,
    )


def _called(tool: Tool, body: dict[str, Any]) -> tuple[Message, Message]:
    told = json.dumps(body)
    identity = next((one for one in ("toolu_1", "D681PevKs") if one in told), "call_1")
    call = ToolCall(identity, tool.name, '{"path":"a.py"}')
    return said(Role.ASSISTANT, "", calls=(call,)), said(Role.TOOL, "no problems", answers=identity)


@pytest.mark.parametrize(("folder", "case"), recorded_requests())
def test_every_request_is_the_official_sdks(folder: str, case: str) -> None:
    """Method, address, headers and body, as the router would send them, are the vendor's own library's, save for the tables."""
    data = parts.shared_data("wire", "sdk-requests")
    theirs = json.loads((data / folder / f"{case}.json").read_text())
    row = ROWS[KINDS[folder]]
    signed = any(header.lower() in ("authorization", "x-api-key") for header, _ in theirs["headers"])
    provider = Provider(
        name="p",
        row=row,
        model=theirs["body"]["model"],
        base_url=row.base_url or "",
        key=Secret(SECRET, source="ANTHROPIC_AUTH_TOKEN" if "oauth" in folder else "A_KEY") if signed else None,
        max_tokens=1024,
        organization="org-***" if "org-project" in folder else None,
        project="proj-***" if "org-project" in folder else None,
    )
    asked = logical(case, theirs["body"], json.loads((data / "LOGICAL.json").read_text()))
    payload = dialects.get(row.dialect).encode(capabilities.fitting(asked, provider), provider)

    assert payload.method == theirs["method"]
    address = theirs["default_base_url"].replace("localhost", "127.0.0.1") + theirs["path_after_base_url"]
    assert (provider.base_url + payload.path, theirs["query"]) == (address, "")

    ours = {header.lower(): value for header, value in payload.headers}
    for header, value in sign(provider, payload):
        ours[header.lower()] = (value.reveal() if isinstance(value, Secret) else value).replace(SECRET, "***")
    meant = {header.lower(): value for header, value in theirs["headers"] if header.lower() in MEANINGFUL}
    meant |= OTHER_HEADERS.get(folder, {})
    if "org-project" in folder:  # the recording has blotted the names out, or has its own
        meant |= {"openai-organization": "org-***", "openai-project": "proj-***"}
        assert {"openai-organization", "openai-project"} <= {header.lower() for header, _ in theirs["headers"]}
    assert ours == {header: value for header, value in meant.items() if value is not None}

    expected = dict(theirs["body"])
    for difference in DIFFERENCES:
        if folder in difference.folders and (not difference.cases or case in difference.cases):
            value = difference.ours(theirs["body"])
            if value is None:
                expected.pop(difference.field, None)
            else:
                expected[difference.field] = value
    assert json.loads(payload.body) == expected


def test_the_tables_name_what_is_there() -> None:
    """A difference that no recording shows any more is taken off its table."""
    data = parts.shared_data("wire", "sdk-requests")
    for difference in DIFFERENCES:
        bodies = [
            json.loads((data / folder / f"{case}.json").read_text())["body"]
            for folder, case in recorded_requests()
            if folder in difference.folders and (not difference.cases or case in difference.cases)
        ]
        assert any(body.get(difference.field) != difference.ours(body) for body in bodies), difference
    names = {path.stem for name in KINDS for path in (data / name).glob("*.json")}
    assert names >= NOT_MADE.keys()
