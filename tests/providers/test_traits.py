"""What the names of models tell: one table of real names, with what their vendors say of them."""

from __future__ import annotations

import pytest

from glossator_providers import traits


@pytest.mark.parametrize(
    ("model", "sampled", "thinking"),
    [
        ("claude-3-haiku-20240307", True, None),
        ("claude-3-5-sonnet-latest", True, None),
        ("claude-3-7-sonnet-20250219", True, "budget"),
        ("claude-sonnet-4-20250514", True, "budget"),
        ("claude-sonnet-4@20250514", True, "budget"),
        ("claude-opus-4-1-20250805", True, "budget"),
        ("claude-haiku-4-5", True, "budget"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", True, "budget"),
        ("claude-opus-4-6", True, "effort"),
        ("claude-opus-4-7", False, "effort"),
        ("claude-opus-4-10", False, "effort"),
        ("claude-sonnet-5", False, "effort"),
        ("anthropic/claude-sonnet-5.5", False, "effort"),
        ("claude-fable-5-2", False, "effort"),
        ("gpt-4o", True, "budget"),
        ("qwen3-coder:30b", True, "budget"),
        ("gpt-5", False, "budget"),
        ("gpt-5-chat-latest", True, "budget"),
        ("openai/o4-mini", False, "budget"),
        ("gpt-6-sol", False, "budget"),
        ("openai/gpt-oss-120b", True, "budget"),
        ("gemini-2.5-pro", True, "budget"),
        ("gemini-3.5-flash-lite", False, "budget"),
        ("gemini-3.8-flash", False, "budget"),
    ],
)
def test_a_name_tells_what_is_rejected_and_how_to_ask_for_thoughts(
    model: str, *, sampled: bool, thinking: str | None
) -> None:
    """Sampling and thinking are as the vendors' pages of November 2026 say."""
    assert traits.takes_sampling(model) is sampled
    assert traits.thinking(model) == thinking


@pytest.mark.parametrize(
    ("model", "sampled"), [("gpt-5.1", True), ("gpt-6-sol", True), ("gpt-5-2025-08-07", False), ("gpt-6-astra", False)]
)
def test_a_model_that_is_told_not_to_think_may_be_sampled(model: str, *, sampled: bool) -> None:
    """OpenAI's models take a temperature with the effort `none`, those that know this effort."""
    assert traits.takes_sampling(model, thinks=False) is sampled


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("claude-sonnet-5-5", True),
        ("claude-3-haiku", False),
        ("gpt-4.1", False),
        ("gpt-6-luna", True),
        ("grok-4.20-non-reasoning", False),
        ("grok-4.7", True),
        ("deepseek-v4-pro", True),
        ("llama3.2", None),
    ],
)
def test_a_name_tells_whether_a_model_thinks_or_nothing(model: str, *, thinks: bool | None) -> None:
    """Where the name does not tell, nothing is claimed."""
    assert traits.can_think(model) is thinks
