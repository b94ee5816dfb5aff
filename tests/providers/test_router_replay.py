"""Recorded traffic through the real door and the real router gives what the official SDKs read from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import parts
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import Kind
from glossator_providers.model import Answered, FinishReason, Fragment, Message, Origin, OriginKind, Request, Role, Text
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import RequestFailed, Router
from glossator_providers.testing import Replay
from glossator_providers.transport import Transport

ROW_OF = {
    "openai-chat": "openai",
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "ollama": "ollama",
    "gemini": "gemini",
    "vertex": "vertex",
    "vertex-anthropic": "vertex-anthropic",
}
# Where we read what the SDK does not, or the other way round: tests/providers/test_wire_recorded.py says why.
OTHERWISE = ("vendor-streaming-success-quotes-escaped", "plain--gemini-flash-latest-8b11d")
PATHS = re.compile(r"(/chat/completions|/messages|/api/chat|/converse|/converse-stream|[cC]ontent|Predict)$")
FINISH = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSED,
    "content_filter": FinishReason.REFUSED,
    "guardrail_intervened": FinishReason.REFUSED,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.REFUSED,
}


@dataclass(frozen=True)
class Case:
    """One recorded response and what the vendor's own SDK made of it."""

    folder: Path
    family: str
    expected: dict[str, Any]
    body: bytes

    @property
    def stream(self) -> bool:
        return bool(self.expected.get("stream"))


def cases(family: str) -> list[Case]:
    """Return the recorded answers of chats: of the other calls there is no text to compare."""
    found = []
    for folder in sorted(parts.shared_data("wire", "dev", family).iterdir()):
        expected = json.loads((folder / "expected.json").read_bytes())
        path = json.loads((folder / "request.json").read_bytes()).get("path") or ""
        if PATHS.search(path) and folder.name not in OTHERWISE:
            found.append(Case(folder, family, expected, (folder / "response.body").read_bytes()))
    assert found
    return found


async def answer_of(case: Case, *, piece: int) -> tuple[str, Any]:
    """Return the text that was shown, and the answer or the error."""
    shown: list[str] = []
    transport = Transport()
    try:
        async with Replay.of(case.folder, piece=piece) as replay:
            provider = Provider("replay", ROWS[ROW_OF[case.family]], "m", replay.origin)
            router = Router([provider], transport=transport, policy=Policy(), files=LocalFiles(), max_attempts=1)
            fragment = Fragment("hello", (Origin(OriginKind.INSTRUCTION),))
            request = Request((Message(Role.USER, (fragment,)),), stream=case.stream)
            try:
                async for event in router.ask(request):
                    if isinstance(event, Text):
                        shown.append(event.text)
                    elif isinstance(event, Answered):
                        return "".join(shown), event.answer
            except RequestFailed as error:
                return "".join(shown), error
            raise AssertionError("the last event was not Answered")
    finally:
        await transport.aclose()


@pytest.mark.parametrize("piece", [7, 1371])
@pytest.mark.parametrize("family", sorted(ROW_OF))
async def test_recorded_traffic_reads_as_the_official_sdk_reads_it(family: str, piece: int) -> None:
    """Text, finish and usage are the SDK's; a stream without its last event is an error, although the SDK takes it for an answer."""
    answered = failed = 0
    for case in cases(family):
        if piece == 7 and len(case.body) > 50_000:
            continue  # its second half splits like its first
        name = case.folder.name
        shown, result = await answer_of(case, piece=piece)
        expected = case.expected
        if isinstance(result, RequestFailed):
            failed += 1
            assert expected["outcome"] == "error" or "clean-eof" in name, (name, str(result))
            if "clean-eof" in name:
                assert result.kind is Kind.BROKEN_STREAM, name
            if case.stream:
                assert shown.startswith(expected.get("text") or ""), name
                assert result.partial == bool(shown), name
            continue
        answered += 1
        assert expected["outcome"] == "ok", name
        assert result.text == shown == (expected["text"] or ""), name
        if expected["finish_reason"] in FINISH:
            assert result.finish is FINISH[expected["finish_reason"]], name
        usage = expected.get("usage") or {}
        if usage.get("output") is not None:
            told = result.usage.told_output_tokens
            assert (result.usage.output_tokens if told is None else told) == usage["output"], name
        if usage.get("input") is not None:
            cache = (
                (usage.get("cached") or 0) + (usage.get("cache_write") or 0)
                if family in ("anthropic", "bedrock", "vertex-anthropic")
                else 0
            )
            assert result.usage.input_tokens == usage["input"] + cache, name
    assert answered > 3
    assert failed > 3 or family == "vertex-anthropic", "of Claude on Vertex AI only answers are on record"
