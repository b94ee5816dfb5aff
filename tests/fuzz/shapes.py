"""Broken input that still looks like the real thing: JSON bent at one place, frames cut, swapped, doubled, bytes damaged."""

from __future__ import annotations

import binascii
import json
import struct
from typing import Any, TypeVar

from hypothesis import strategies as st

from fuzz.seeds import Event, Word
from glossator_providers.framing import Framing

Draw = Any  # hypothesis has no name for what `composite` gives
Value = TypeVar("Value")

_DEPTHS = (20, 200, 450, 900, *range(930, 1000, 7), 1100, 20_000)
_EDGES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 429, 503, 1 << 53, -(1 << 63), 10**400, 0.0, -0.0, 1.5, 1e308, 5e-324),
    *("", " ", "\x00", "\n", "\ud800", "\udc00", "\ud83d", "\ude00", "\ufeff", "\u2028", "\u202e", "😀", "x" * 3000),
    *(
        "[DONE]",
        "error",
        "stop",
        "tool_calls",
        "content_filter",
        "length",
        "network_error",
        "https://x",
        "1e999",
        "48s",
    ),
    *('{"error":{"message":"x"}}', '{"detail":' * 50, "\x1b[31mred", "Please try again in 999999ms", "rate limit"),
    *([], {}, [[]], [None], [{}], {"": None}, {"error": {}}, {"error": "x"}, {"detail": {"detail": []}}),
    *map(Word, ("1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "-" + "9" * 4299, "1" + "0" * 4000, "tru", "", '"')),
    *map(Word, ('{"a":1,"a":2}', '{"error":null,"error":"x"}', '"\\u0000"', '"\\ud800\\u0041"', '"\\x"', "01", "'a'")),
)
_KEYS = (
    *("a", "detail", "error", "message", "content", "delta", "response", "output", "args", "input", "arguments"),
    *("retry_after", "metadata", "raw", "usage", "function", "code", "type", "loc", "index", "id", "model", "name"),
)
_SCALARS = st.sampled_from(_EDGES) | st.integers() | st.floats() | st.text(max_size=8)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def deep(draw: Draw) -> Word:
    """Nest arrays or objects as deeply as a parser bears, and deeper."""
    depth = draw(st.sampled_from(_DEPTHS))
    opening, closing = draw(
        st.sampled_from([("[", "]"), *((json.dumps({key: None})[:-5], "}") for key in _KEYS), ('[{"a":', "}]")])
    )
    return Word(opening * depth + draw(st.sampled_from(["", "1", '"x"', "null"])) + closing * depth)


@st.composite
def bent(draw: Draw, value: Any, others: tuple[Any, ...]) -> Any:
    """Return a JSON value that is changed at one place; *others* lend it pieces of theirs."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 4)):
        places = list(value) if isinstance(value, dict) else range(len(value))
        place = draw(st.sampled_from(places))
        changed: Any = dict(value) if isinstance(value, dict) else list(value)
        changed[place] = draw(bent(value[place], others))
        return changed
    match draw(st.integers(0, 7)):
        case 0:
            return draw(deep())
        case 1:
            return [value]
        case 2:
            return {draw(st.sampled_from(_KEYS)): value}
        case 3 if isinstance(value, dict):
            return {**value, draw(st.sampled_from(_KEYS)): draw(_ANY)}
        case 3 if isinstance(value, list):
            return [*value, *value]
        case 4:
            return draw(_piece(draw(st.sampled_from(others))))
        case 5 if isinstance(value, dict) and value:
            return _doubled(value, draw(bent(value, others)))
        case _:
            return draw(_ANY)


@st.composite
def _piece(draw: Draw, value: Any) -> Any:
    while isinstance(value, (dict, list)) and value and draw(st.booleans()):
        value = draw(st.sampled_from(list(value.values()) if isinstance(value, dict) else value))
    return value


def _doubled(value: dict[str, Any], other: Any) -> Any:
    """Write an object whose keys come twice, the second time with other values."""
    if not isinstance(other, dict) or not other:
        return other
    return Word(f"{written(value)[:-1]},{written(other)[1:]}")


def written(value: Any) -> str:
    """Write JSON down with all that stands in it for things that JSON does not have."""
    if isinstance(value, Word):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=not isinstance(value, str) or len(value) % 2 == 1)


@st.composite
def told(draw: Draw, streams: tuple[tuple[Event, ...], ...]) -> list[tuple[str | None, str]]:
    """Return the events of a stream, some of them bent, left out, doubled, swapped or taken from another."""
    events: list[Event] = list(draw(st.sampled_from(streams)))
    others = tuple(event[1] for event in events)
    for _ in range(draw(st.integers(0, 3))):
        if not events:
            break
        place = draw(st.integers(0, len(events) - 1))
        match draw(st.integers(0, 6)):
            case 0:
                del events[place]
            case 1:
                events.insert(place, events[place])
            case 2:
                events.insert(draw(st.integers(0, len(events) - 1)), events.pop(place))
            case 3:
                events[place] = draw(st.sampled_from(draw(st.sampled_from(streams))))
            case 4:
                name = draw(st.sampled_from(["error", "", "ping", "message_stop", "future", "a\x00b", "\ud800", None]))
                events[place] = (name, events[place][1])
            case _:
                events[place] = (events[place][0], draw(bent(events[place][1], others)))
    return [(name, written(value)) for name, value in events]


def framed(events: list[tuple[str | None, str]], framing: Framing, line_end: str = "\n") -> bytes:
    """Write events as the bytes of a stream."""
    if framing == "amazon":
        return b"".join(amazon(_bytes(data), **_kinds(name)) for name, data in events)
    if framing == "ndjson":
        return b"".join(_bytes(data) + b"\n" for _, data in events)
    pieces = [
        (f"event: {name}{line_end}" if name is not None else "")
        + "".join(f"data: {line}{line_end}" for line in data.split("\n"))
        + line_end
        for name, data in events
    ]
    return b"".join(map(_bytes, pieces))


def _kinds(name: str | None) -> dict[str, str]:
    if (name or "").endswith("Exception"):
        return {":message-type": "exception", ":exception-type": name or ""}
    return (
        {":message-type": "error", ":error-code": "x"}
        if name == "error"
        else {":message-type": "event", ":event-type": name or ""}
    )


def amazon(payload: bytes, **headers: str) -> bytes:
    """Write one message of Amazon's, with the checksums that it must have."""
    block = b"".join(
        bytes([len(_bytes(name))]) + _bytes(name) + b"\x07" + struct.pack(">H", len(_bytes(value))) + _bytes(value)
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + block + payload
    return message + struct.pack(">I", binascii.crc32(message))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: Draw, body: bytes) -> bytes:
    """Return the bytes as they are, or cut short, flipped, overwritten, repeated, in another encoding or with something before them."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        place = draw(st.integers(0, max(0, len(body) - 1)))
        match draw(st.integers(0, 7)):
            case 0:
                body = body[:place]
            case 1 if body:
                body = body[:place] + bytes([body[place] ^ (1 << draw(st.integers(0, 7)))]) + body[place + 1 :]
            case 2:
                body = body[:place] + draw(st.binary(max_size=6)) + body[place:]
            case 3:
                length = draw(st.integers(0, 40))
                body = body[:place] + body[place + length :]
            case 4:
                length = draw(st.integers(0, 400))
                body = body[: place + length] + body[place:]
            case 5:
                body = (
                    draw(st.sampled_from([b"\xef\xbb\xbf", b"\n\n", b"<html>", b": hello\n\n", b"\x00", b"{", b"["]))
                    + body
                )
            case 6:
                body = body.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"", b"\n\n", b"\x00"])))
            case _:
                coding = draw(st.sampled_from(["utf-16", "utf-32", "latin-1"]))
                body = body.decode("utf-8", "replace").encode(coding, "replace")
    return body


@st.composite
def cuts(draw: Draw, size: int) -> tuple[int, ...]:
    """Return the places where that many bytes are cut."""
    if draw(st.booleans()):
        step = draw(st.integers(max(1, size // 500), max(1, size // 500) + 40))
        return tuple(range(step, size, step))
    return tuple(sorted(draw(st.sets(st.integers(0, size), max_size=8))))


_WORDS = (
    *("retry-after", "retry-after-ms", "date", "content-type", "x-amzn-ErrorType", "X-RateLimit-Limit-Requests"),
    *("x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests", "anthropic-ratelimit-tokens-reset"),
    *(
        "x-ratelimitbysize-limit-minute",
        "x-trial-endpoint-call-limit",
        "x-endpoint-monthly-call-limit",
        "x-ratelimit-reset",
    ),
)
_HEADER = st.sampled_from(
    [
        *("", "0", "-1", "1", "1e400", "nan", "inf", "1_0", "٣", "9" * 400, "1m0.052s", "6ms", "1d2h", "1700000000000"),
        *("Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 99 Nov 99999 10:00:00 +9999", "2026-11-20T10:00:00Z", "0001-01-01"),
        *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "Mon, 01 Jan 0001 00:00:00 +2359", "\x00", "a#b:c"),
        *("ThrottlingException:http://x/", "1 Jan 1", "1 2 3 4 5 6", "Mon, 1 Jan 2026 25:61:61 -0000", ":", "#"),
    ]
)


def headers() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    """Draw the headers of an answer, with values as no vendor sends them."""
    value = _HEADER | st.text(max_size=30) | st.datetimes().map(str) | st.floats().map(str)
    return st.lists(st.tuples(st.sampled_from(_WORDS), value), max_size=5).map(tuple)
