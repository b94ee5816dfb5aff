"""Take unparsed wire data apart without trusting it: a value of the wrong type is as if it were absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import ToolCall

_DECODER = json.JSONDecoder()
_DEEPEST = (
    200  # levels of arrays and objects: no protocol has a tenth of it, and whoever walks through more runs out of stack
)


def parse(data: str | bytes, *, partial: bool = False) -> Any:
    """Read a JSON text; raises ProviderError(BROKEN_STREAM) that says what stood there instead, without quoting it."""
    try:
        return load(data)
    except ValueError:
        raise ProviderError(
            Kind.BROKEN_STREAM,
            f"the answer is {_look(data)} where JSON was expected; check the address, or ask again",
            partial=partial,
        ) from None


def load(data: str | bytes) -> Any:
    """Read a JSON text; raises ValueError for bad JSON, bad UTF-8, a number of a million digits, or what is nested too deeply."""
    try:
        if isinstance(data, str) and data.startswith("{"):
            value, end = _DECODER.raw_decode(data)  # json.loads would look for blanks at both ends: a third more time
            if end != len(data):
                value = json.loads(data)
        else:
            value = json.loads(data)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    opened = data.count("{") + data.count("[") if isinstance(data, str) else data.count(b"{") + data.count(b"[")
    if opened > _DEEPEST and _is_deep(value):
        raise ValueError("the JSON is nested too deeply")
    return value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return a JSON array, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a JSON string, or an empty one."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """Return a number of tokens, or None where it is no such number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        return None
    return value


def arguments_of(call: ToolCall) -> Mapping[str, Any]:
    """Return a call's arguments as an object, for wires that take nothing else; empty where the model wrote no object."""
    try:
        return mapping(load(call.arguments))
    except ValueError:
        return {}


def _look(data: str | bytes) -> str:
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError:
            return "not UTF-8"
    start = data[:200]
    start = start.lstrip("\ufeff \t\r\n")
    if not start:
        return "empty"
    if start.startswith("<"):
        return "a web page"
    if start.startswith(("{", "[")):
        return "cut short or malformed"
    return "something else"
