"""What is left of a provider's limits is read from every vendor's headers, and nonsense in them is passed over."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parts
import recorded
from glossator_providers import allowances
from glossator_providers.model import Allowance

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m0.052s", 60.052),
        ("6ms", 0.006),
        ("0s", 0),
        ("2h3m4s", 7384),
        ("1d", 86400),
        ("59.369s", 59.369),
        ("7", 7),
        ("0", 0),
        ("2026-05-28T20:27:40Z", 60),
        ("2026-05-28T22:27:40+02:00", 60),
        ("2026-05-28T20:27:40", 60),
        ("2020-01-01T00:00:00Z", 0),
        ("1780000060", 60),
        ("1780000060000", 60),
        ("-1", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("1m0.052", None),
        ("9999-99-99T00:00:00Z", None),
    ],
)
def test_every_spelling_of_a_moment_is_understood(text: str, seconds: float | None) -> None:
    """Durations as OpenAI and Groq write them, RFC 3339, seconds, and seconds or milliseconds since 1970."""
    told = allowances.seconds_until(text, now=NOW)
    assert told == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "X-Ratelimit-Limit-Requests": "10000",
                "x-ratelimit-remaining-requests": "9999",
                "x-ratelimit-reset-requests": "6ms",
                "x-ratelimit-limit-tokens": "200000",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1m0.052s",
                "x-ratelimit-remaining-project-tokens": "5",
            },
            [
                Allowance("project tokens", None, 5),
                Allowance("requests", 10000, 9999, 0.006),
                Allowance("tokens", 200000, 0, 60.052),
            ],
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "30000",
                "anthropic-ratelimit-input-tokens-remaining": "29000",
                "anthropic-ratelimit-input-tokens-reset": "2026-05-28T20:27:40Z",
            },
            [Allowance("input tokens", 30000, 29000, 60)],
        ),
        (
            {"X-Ratelimit-Limit-Req-Minute": "100", "X-Ratelimit-Remaining-Tokens-Minute": "98188"},
            [Allowance("requests", 100), Allowance("tokens", None, 98188)],
        ),
        (
            {"ratelimitbysize-limit": "500000", "ratelimitbysize-reset": "19", "x-ratelimitbysize-limit-month": "9"},
            [Allowance("tokens", 500000, None, 19), Allowance("tokens a month", 9)],
        ),
        (
            {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1780000060000"},
            [Allowance("requests", 20, 0, 60)],
        ),
        (
            {"x-trial-endpoint-call-limit": "40", "x-endpoint-monthly-call-limit": "1000"},
            [Allowance("requests", 40), Allowance("requests a month", 1000)],
        ),
        ({"x-ratelimit-limit-requests": "X-RATELIMIT-LIMIT-REQUESTS-XXX", "x-ratelimit-key": "gpt"}, []),
        ({"content-type": "text/plain"}, []),
    ],
)
def test_the_headers_of_every_vendor_are_read(headers: dict[str, str], expected: list[Allowance]) -> None:
    """One allowance for each limit, whatever the vendor calls it."""
    assert list(allowances.read(headers, clock=lambda: NOW)) == expected


def test_what_was_recorded_is_understood() -> None:
    """Of every recording whose headers tell a remaining number, that number is read."""
    parts.shared_data("wire", "dev")
    read = 0
    for case in recorded.cases():
        headers = case.response["headers"]
        told = {int(value) for name, value in headers.items() if "-remaining" in name.lower() and value.isdigit()}
        found = {one.remaining for one in allowances.read(headers, clock=lambda: NOW) if one.remaining is not None}
        assert found == told or "ratelimitbysize" in " ".join(headers).lower(), case.name
        read += bool(found)
    assert read > 20


names = st.sampled_from(
    ["x-ratelimit-limit-requests", "x-ratelimit-reset", "anthropic-ratelimit-tokens-reset", "ratelimitbysize-reset"]
) | st.text(max_size=20)


@given(st.dictionaries(names, st.text(max_size=70) | st.floats().map(str) | st.datetimes().map(str)))
def test_any_headers_give_numbers_or_nothing(headers: dict[str, str]) -> None:
    """Nothing in a header raises, and what is told is finite and not negative."""
    for one in allowances.read(headers, clock=lambda: NOW):
        for number in (one.limit, one.remaining, one.resets_in):
            assert number is None or (number >= 0 and math.isfinite(number))
