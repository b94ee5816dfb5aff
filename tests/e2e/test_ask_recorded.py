"""`glossator ask --json` reads recorded traffic as the official SDKs do, and what they take for an answer too soon is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import parts
import recorded
from applications import application, environment_of
from e2e.command import glossator
from glossator.cli.ask import put, to_json
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.testing import Replay

KINDS = recorded.FOLDERS
# Whole answers without a word for why they ended: nothing was cut off, and a prompt that was refused is a finish of its own.
WITHOUT_A_WORD = (
    "openrouter/plain-unicode-emoji--deepseek-deepseek-r1-a3269",
    "gemini/vendor-streaming-failure-prompt-blocked-safety",
    "gemini/vendor-unary-failure-only-prompt-feedback",
    "vertex/plain-modelarmor--gemini-2.5-flash-2c8cd",
    "vertex/vendor-streaming-failure-prompt-blocked-safety-with-message",
)
# Where we differ on purpose from what the SDK says: tests/providers/test_wire_recorded.py and test_dialects.py hold us to it.
OTHERWISE = (
    "gemini/plain--gemini-flash-latest-8b11d",  # an array of chunks, which the SDK cannot read
    "lmstudio/stream-silent-empty-overflow",  # an answer of nothing, which means that the prompt did not fit
)
# Chat requests of another API of the same server, which we do not use.
OTHER_API = ("/api/generate",)


def configured(case: Path, replay: Replay) -> str:
    """Return the configuration of the provider that this recording is of."""
    kind = recorded.Case(case).row.kind  # llama.cpp speaks the protocols of others too
    path = "/v1" if kind == "openai" else ""
    return (
        f'[providers.recorded]\nkind = "{kind}"\nbase_url = "{replay.origin}{path}"\nmodel = "recorded"\n'
        'key_env = "RECORDED_KEY"\n'
        + ('project = "recorded"\nlocation = "here"\n' if kind.startswith("vertex") else "")
    )


async def put_to(case: Path, folder: Path, *, stream: bool) -> dict[str, Any]:
    """Ask a server that serves this recording, with all of the product but the process around it."""
    async with Replay.of(case) as replay:
        environment = environment_of(folder, configured(case, replay), RECORDED_KEY="not-a-key")
        fragment = Fragment("Say it again", (Origin(OriginKind.INSTRUCTION),))
        request = Request((Message(Role.USER, (fragment,)),), provider="recorded", stream=stream)
        async with application(folder, environment) as opened:
            return to_json(await put(request, opened))


def chats(provider: str) -> list[Path]:
    """Return the recorded cases of a provider that answer a chat request."""
    found = []
    for case in sorted(parts.shared_data("wire", "dev", provider).iterdir()):
        path = json.loads((case / "request.json").read_bytes()).get("path") or ""
        expected = json.loads((case / "expected.json").read_bytes())
        asks = expected["outcome"] != "skip" and "list" not in expected["call"]
        if asks and not path.startswith(OTHER_API) and recorded.Case(case).name not in OTHERWISE:
            found.append(case)
    return found


def expectation(case: Path) -> dict[str, Any]:
    """Return what the official SDK made of a recording."""
    expected: dict[str, Any] = json.loads((case / "expected.json").read_bytes())
    return expected


@pytest.mark.parametrize("provider", KINDS)
async def test_recorded_answers_are_read_as_the_official_sdk_reads_them(provider: str, tmp_path: Path) -> None:
    """Text, model, reason for the end and usage are the SDK's; an answer without its last event is an error."""
    wrong: list[str] = []
    cases = chats(provider)
    assert cases
    for case in cases:
        expected = expectation(case)
        try:
            compare(await put_to(case, tmp_path / case.name, stream=expected["stream"]), expected, case)
        except AssertionError as problem:
            wrong.append(f"{provider}/{case.name}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provider", "name", "code"),
    [
        ("openai-chat", "stream-long--gpt-4o-mini-b85aa", 0),
        ("openai-chat", "midstream-clean-eof-no-done", 1),
        ("anthropic", "stream-unicode-emoji--claude-haiku-4-5-20251001-12e17", 0),
        ("anthropic", "error-529-overloaded", 1),
        ("ollama", "stream-unicode-emoji-length--gemma3-1b-ce862", 0),
        ("ollama", "cut-connection-mid-line", 1),
        ("bedrock", "stream-reasoning--us.anthropic.claude-sonnet-4-f7bde", 0),
        ("bedrock", "corrupt-crc", 1),
        ("openai-responses", "stream-unicode--gpt-4.1-4a8f0", 0),
        ("openai-responses", "midstream-clean-eof-no-terminal", 1),
        ("azure", "stream-unicode--gpt-5.2-2025-12-11-6d5bb", 0),
        ("azure", "error-400-content-filter", 1),
        ("cohere", "stream-thinking-cached--command-a-plus-05-2026-408d2", 0),
        ("cohere", "stream-error--command-a-03-2025-1c1f5", 1),
    ],
)
async def test_the_command_prints_one_object_and_exits_by_the_outcome(
    provider: str, name: str, code: int, tmp_path: Path
) -> None:
    """`glossator ask --json` itself: the object on stdout is what was read, and a cut stream exits with 1."""
    case = parts.shared_data("wire", "dev", provider, name)
    expected = expectation(case)
    async with Replay.of(case) as replay:
        environment = environment_of(tmp_path, configured(case, replay), RECORDED_KEY="not-a-key")
        arguments = ("ask", "Say it again", "--json", "--provider", "recorded")
        more = () if expected["stream"] else ("--no-stream",)
        done = await glossator(*arguments, *more, environment=environment, folder=tmp_path)
    assert done.code == code
    compare(done.json, expected, case)
    assert "not-a-key" not in done.out + done.err


@pytest.mark.parametrize("provider", KINDS)
async def test_the_reason_for_the_end_is_the_providers_own_word(provider: str, tmp_path: Path) -> None:
    """`finish_reason` is what the SDK prints: `end_turn` at Anthropic, `tool_calls` at OpenAI, `load` at Ollama."""
    told, expected = {}, {}
    for case in chats(provider):
        reading = expectation(case)
        if (
            reading["outcome"] == "ok"
            and "delta_error" not in reading
            and recorded.Case(case).name not in WITHOUT_A_WORD
        ):
            expected[case.name] = reading["finish_reason"]
            answer = await put_to(case, tmp_path / case.name, stream=reading["stream"])
            told[case.name] = answer["finish_reason"]
    assert told == expected


def compare(told: dict[str, Any], expected: dict[str, Any], case: Path) -> None:
    """Demand the SDK's reading, except where it takes a cut stream, or a failure, for a whole answer."""
    cut = expected["outcome"] == "ok" and expected["finish_reason"] is None
    if recorded.Case(case).name in WITHOUT_A_WORD:
        assert cut, "the SDK has a word for it: take it out of the table"
        cut = False
    failed = "delta_error" in expected  # Cohere's SDK leaves the caller to see that an answer ended with an error
    if expected["outcome"] == "error" or cut or failed:
        assert told["error"] is not None, "no error"
        assert told["finish_reason"] is None, told["finish_reason"]
        assert told["attempts"], "no attempt"
        status = (expected.get("error") or {}).get("status_code")
        if isinstance(status, int) and status >= 400:
            assert told["error"]["status"] == status, told["error"]["status"]
        return
    assert told["error"] is None, told["error"]
    assert told["text"] == expected["text"], "another text"
    # Bedrock's answers name no model: it is the one that was asked.
    assert told["model"] == (expected["model"] or "recorded"), told["model"]
    assert told["finish_reason"] is not None
    assert told["provider"] == "recorded", told["provider"]
    usage = expected["usage"]
    if usage:
        assert told["usage"]["input_tokens"] == usage["input"], told["usage"]
        assert told["usage"]["output_tokens"] == usage["output"], told["usage"]
        assert (told["usage"]["cached_tokens"] or 0) == (usage["cached"] or 0), told["usage"]
