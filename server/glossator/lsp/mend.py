"""Params that did not decode, made decodable where that is harmless: clamped positions, unknown numbers, broken diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LARGEST_POSITION = 2**31 - 1
_DEPTH = 64
_DECORATION = ("severity", "tags", "codeDescription", "relatedInformation", "data", "code", "source")


def mend(raw: Any, is_diagnostic: Callable[[Any], bool]) -> Any:
    """Return a copy of *raw* in which what a newer or older protocol would spell differently is left out."""
    return _mend(raw, is_diagnostic, 0)


def _mend(raw: Any, is_diagnostic: Callable[[Any], bool], depth: int) -> Any:
    if depth > _DEPTH:
        return None
    if isinstance(raw, list):
        return [_mend(item, is_diagnostic, depth + 1) for item in raw]
    if not isinstance(raw, dict):
        return raw
    mended = {key: _mend(value, is_diagnostic, depth + 1) for key, value in raw.items()}
    for name in ("line", "character"):
        if isinstance(mended.get(name), (int, float)) and not isinstance(mended[name], bool):
            mended[name] = int(min(max(mended[name], 0), LARGEST_POSITION))
    if mended.get("triggerKind") not in (1, 2):
        mended.pop("triggerKind", None)
    if "diagnostics" in mended:
        mended["diagnostics"] = _diagnostics(mended["diagnostics"], is_diagnostic)
    return mended


def _diagnostics(raw: Any, is_diagnostic: Callable[[Any], bool]) -> list[Any]:
    kept: list[Any] = []
    for item in raw if isinstance(raw, list) else []:
        if not isinstance(item, dict):
            continue
        plain = dict(item)
        for name in ("", *_DECORATION):
            plain.pop(name, None)
            if is_diagnostic(plain):
                kept.append(plain)
                break
    return kept
