"""What each protocol says on the wire: requests to bytes, frames to deltas, failures to one vocabulary; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from glossator_providers.dialects import anthropic, ollama, openai_chat
from glossator_providers.dialects.dialect import Decoder, Dialect, Payload

__all__ = ["DIALECTS", "Decoder", "Dialect", "Payload", "get"]

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {"anthropic": anthropic, "ollama": ollama, "openai_chat": openai_chat}
)


def get(name: str) -> Dialect:
    """Return the dialect that a catalog row names; raises KeyError for a name that no row has."""
    return DIALECTS[name]
