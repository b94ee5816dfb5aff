"""What the name of a model tells of the requests that it takes: which sampling it rejects, and how it is told to think.

The vendors list this nowhere in a form that a program could read, and a wrong guess is a 400. So where a family changed
its rules, the table names those that are old and will not become more; everything newer is taken for what its family
does since. As of November 2026:
Anthropic https://platform.claude.com/docs/en/about-claude/models/overview,
OpenAI https://platform.openai.com/docs/guides/reasoning, Google https://ai.google.dev/gemini-api/docs/models.
"""

from __future__ import annotations

import re
from typing import Literal

# Claude up to 4.6 takes temperature, top_p and top_k; from 4.7 on they are rejected.
_CLAUDE = re.compile(r"\bclaude-")
_CLAUDE_SAMPLED = re.compile(
    r"\bclaude-(?:v?[123]|instant|(?:opus|sonnet|haiku)-(?:3|4(?:-[0-6](?!\d)|(?!-\d{1,2}(?!\d)))))"
)
# Claude 3.7 to 4.5 is told to think by a number of tokens; those before cannot, those after are told an effort.
_CLAUDE_UNTHINKING = re.compile(r"\bclaude-(?:v?[12]|instant|3-(?!7)|3$|(?:opus|sonnet|haiku)-3)")
_CLAUDE_BUDGETED = re.compile(r"\bclaude-(?:3-7|(?:opus|sonnet|haiku)-4(?:-[0-5](?!\d)|(?!-\d{1,2}(?!\d))))")
# OpenAI's reasoning models reject temperature and top_p unless they are told not to think.
_OPENAI_REASONING = re.compile(r"(?:^|[/.])(?:o\d|gpt-(?:[5-9]|\d\d)(?!.*\bchat\b))")
_OPENAI_PLAIN = re.compile(r"(?:^|[/.])(?:chatgpt|gpt-(?:3|4)|gpt-[5-9].*\bchat\b)")
# Those of them that cannot be told not to think.
_ALWAYS_THINKING = re.compile(r"(?:^|[/.])(?:o\d|gpt-5(?!-\d(?!\d))|gpt-6-astra|gpt-6-1-sol|gpt-oss)")
_GEMINI_UNSAMPLED = re.compile(r"\bgemini-(?:3-5-flash-lite|3-[6-9]|[4-9])")
# How many thousand millions of parameters a name tells (`qwen2.5-coder:32b`, `command-r7b`, of `8x7b` and `30b-a3b` the
# larger number of one expert or of all), or millions.
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
# Up to here, measured, a model makes half as many right changes where it must write SEARCH/REPLACE blocks as where it
# writes the code anew (Qwen2.5-Coder-32B: 8.0 and 16.4 in 100); from 70 on it makes no difference.
# https://aider.chat/docs/leaderboards/
_SMALL = 40
# Small ones of vendors that tell no sizes, as the same tables have them.
_SMALL_NAMES = re.compile(
    r"\bgpt-(?:3|4o-mini)|\bo1-mini|-nano\b|\bclaude-(?:v?[12]|instant|3-haiku)|\bgemini-(?:1|2-0-flash-lite)|"
    r"\bcommand-(?:light|r7b)|\bministral|\btiny|\bsmol"
)


def plain(model: str) -> str:
    """Return a model's name in lower case, with `4.5` written as `4-5`: the vendors' resellers write either."""
    return re.sub(r"(?<=\d)\.(?=\d)", "-", model.lower())


def takes_sampling(model: str, *, thinks: bool = True) -> bool:
    """Say whether temperature, top_p and top_k may be sent; *thinks* is false where the model is told not to."""
    name = plain(model)
    if _CLAUDE.search(name):
        return bool(_CLAUDE_SAMPLED.search(name))
    if _OPENAI_REASONING.search(name):
        return not thinks and can_be_silent(model)
    return not _GEMINI_UNSAMPLED.search(name)


def thinking(model: str) -> Literal["effort", "budget"] | None:
    """Say how a model that is asked in Anthropic's protocol is told how much to think, None where it cannot think.

    A model that is not Claude is told a number of tokens: that is the older form, which other servers have learnt.
    """
    name = plain(model)
    if not _CLAUDE.search(name):
        return "budget"
    if _CLAUDE_UNTHINKING.search(name):
        return None
    return "budget" if _CLAUDE_BUDGETED.search(name) else "effort"


def can_think(model: str) -> bool | None:
    """Say whether a model thinks before it answers, None where its name does not tell."""
    name = plain(model)
    if _CLAUDE.search(name):
        return thinking(model) is not None
    if _OPENAI_REASONING.search(name) or re.search(
        r"gpt-oss|deepseek-(?:v[4-9]|r\d|reasoner|flash)|magistral|qwq", name
    ):
        return True
    if _OPENAI_PLAIN.search(name) or "non-reasoning" in name:
        return False
    if re.search(r"\bgrok-(?:[4-9]|3-mini)|\bgemini-(?:2-5|[3-9])|reason|think", name):
        return True
    return None


def can_be_silent(model: str) -> bool:
    """Say whether one of OpenAI's reasoning models can be told not to think at all; others: as far as is known."""
    return not _ALWAYS_THINKING.search(plain(model))


def is_small(model: str) -> bool | None:
    """Say whether a model is so small that every further rule about the form of its answer costs quality; None: not told."""
    sizes = [float(size) / (1 if unit == "b" else 1000) for size, unit in _SIZE.findall(model.lower())]
    if sizes:
        return max(sizes) <= _SMALL
    return True if _SMALL_NAMES.search(plain(model)) else None
