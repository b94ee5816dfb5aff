"""What each protocol says on the wire: requests to bytes, frames to deltas, failures to one vocabulary; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from glossator_providers.dialects import (
    anthropic,
    azure,
    azure_responses,
    bedrock,
    cohere,
    gemini,
    ollama,
    openai_chat,
    openai_responses,
    vertex,
    vertex_anthropic,
)
from glossator_providers.dialects.dialect import Decoder, Dialect, Payload

__all__ = ["DIALECTS", "Decoder", "Dialect", "Payload", "get"]

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "anthropic": anthropic,
        "azure": azure,
        "azure_responses": azure_responses,
        "bedrock": bedrock,
        "cohere": cohere,
        "gemini": gemini,
        "ollama": ollama,
        "openai_chat": openai_chat,
        "openai_responses": openai_responses,
        "vertex": vertex,
        "vertex_anthropic": vertex_anthropic,
    }
)


def get(name: str) -> Dialect:
    """Return the dialect that a catalog row names; raises KeyError for a name that no row has."""
    return DIALECTS[name]
