"""What is left of a provider's limits, from the headers of any answer, in the spellings of all vendors.

OpenAI, Azure, Groq, xAI: `x-ratelimit-{limit,remaining,reset}-{requests,tokens,project-tokens}`, reset as `1m0.052s` or `6ms`;
https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers. Azure's reset is in seconds.
Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, reset as RFC 3339;
https://platform.claude.com/docs/en/api/rate-limits#response-headers.
Mistral: `x-ratelimit-{limit,remaining}-{req,tokens}-minute`, before that `ratelimitbysize-…` and `x-ratelimitbysize-…-{minute,month}`.
OpenRouter: `x-ratelimit-{limit,remaining,reset}` of requests, reset in milliseconds since the epoch;
https://openrouter.ai/docs/api-reference/limits. Cohere: `x-trial-endpoint-call-{limit,remaining}`, `x-endpoint-monthly-call-limit`.
Gemini and Bedrock tell nothing.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from glossator_providers.model import Allowance

_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"x-ratelimit-(?P<field>limit|remaining|reset)(?:-(?P<what>req|requests|tokens|(?:project|input|output)-tokens|project-requests))?(?:-(?P<span>minute|month|day))?",
        r"anthropic-ratelimit-(?P<what>requests|(?:input-|output-)?tokens)-(?P<field>limit|remaining|reset)(?P<span>)",
        r"(?:x-)?ratelimitbysize-(?P<field>limit|remaining|reset)(?:-(?P<span>minute|month))?(?P<what>)",
        r"x-(?P<span>trial|monthly)?-?endpoint-(?:monthly-)?call-(?P<field>limit|remaining)(?P<what>)",
    )
)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms])){1,5}")
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[dhms])")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = 1e9  # a larger number of seconds is a date, one a thousand times as large a date in milliseconds
_LARGEST = 1 << 53
_MOST = 12  # allowances: no vendor tells more


def read(headers: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> tuple[Allowance, ...]:
    """Return what the headers of an answer tell, each limit once; `clock` gives seconds since the epoch.

    What cannot be understood is as if it were not told.
    """
    found: dict[str, dict[str, float]] = {}
    for header, value in headers.items():
        name = header.lower()
        if not ("limit" in name or "-call-" in name) or len(value) > 64:  # noqa: PLR2004  the longest that was recorded has 27
            continue
        match = next((match for pattern in _NAMES if (match := pattern.fullmatch(name))), None)
        if match is None:
            continue
        field = match["field"]
        told = seconds_until(value, now=clock()) if field == "reset" else _number(value)
        if told is not None:
            found.setdefault(_what(name, match), {})[field] = told
    return tuple(
        Allowance(what, _whole(told.get("limit")), _whole(told.get("remaining")), told.get("reset"))
        for what, told in sorted(found.items())[:_MOST]
    )


def seconds_until(text: str, *, now: float) -> float | None:
    """Return in how many seconds that is: a duration, a date, a number of seconds, or either of the customary numbers since 1970."""
    text = text.strip()
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(text))
    number = _number(text)
    if number is not None:
        if number < _EPOCH:
            return number
        return max(0.0, (number / 1000 if number >= _EPOCH * 100 else number) - now)
    try:
        moment = datetime.fromisoformat(text)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _what(name: str, match: re.Match[str]) -> str:
    """Name a limit: what it counts, and over which time where that is not the vendor's usual one."""
    counted = match["what"] or ("tokens" if "bysize" in name else "requests")
    counted = "requests" if counted == "req" else counted.replace("-", " ")
    return f"{counted} a month" if "month" in name else counted


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < _LARGEST else None


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
