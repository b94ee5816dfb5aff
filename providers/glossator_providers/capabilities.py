"""What a model can do and what may be asked of it: said by the user, listed by the provider, published, or told by its name.

In this order, each for itself: the user may know better than all. `fitting` is on the way of every request and uses only
what is at hand there, the user's word and the name; `of` may import what is published, so it is for commands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from glossator_providers import published, traits
from glossator_providers.catalog import Capabilities, EditFormat, Provider
from glossator_providers.model import Effort, ModelInfo, Request

Value = TypeVar("Value")

_NEAREST = 3  # names that are proposed for one that does not exist
# Who reads a repeated beginning of a prompt from a cache, by itself or because we mark it.
_CACHING = frozenset({
    *("anthropic", "bedrock", "vertex", "vertex-anthropic", "gemini", "openai", "openai-responses", "azure", "azure-responses"),
    *("xai", "xai-responses", "deepseek", "mistral", "groq", "cohere", "ollama", "llamacpp", "embedded", "vllm", "lmstudio"),
})  # fmt: skip


def of(provider: Provider, *, listed: Iterable[ModelInfo] = ()) -> Capabilities:
    """Return all that is known of the provider's model; *listed* is what the provider itself lists, if it was asked."""
    said = provider.capabilities
    entry = next((one for one in listed if one.name == provider.model), None)
    context, longest = (entry.context_tokens, entry.output_tokens) if entry else (None, None)
    thinks = traits.can_think(provider.model)
    return Capabilities(
        context_tokens=_first(said.context_tokens, context) or published.context_tokens(provider),
        output_tokens=_first(said.output_tokens, longest),
        streaming=_first(said.streaming, True),  # noqa: FBT003  every dialect streams
        reasoning=_first(said.reasoning, thinks),
        caching=_first(said.caching, provider.row.kind in _CACHING or None),
        tools=_first(said.tools, None if provider.local else True),  # a local server's models differ, and say so late
        sampling=_first(said.sampling, traits.takes_sampling(provider.model)),
        edit_format=edit_format(provider),
    )


def edit_format(provider: Provider) -> EditFormat:
    """Return the form in which the provider's model is asked for a change; whatever form it answers in is read.

    A server on this machine is taken for one of a small model unless the name tells another size.
    """
    if provider.capabilities.edit_format is not None:
        return provider.capabilities.edit_format
    if provider.toy:
        return "code"
    return "region" if _first(traits.is_small(provider.model), provider.local) else "region-and-blocks"


def fitting(request: Request, provider: Provider) -> Request:
    """Return the request without what this model is known to reject: sampling, an effort, more tokens than it can write."""
    model, said = request.model or provider.model, provider.capabilities
    thinks = _first(said.reasoning, traits.can_think(model))
    if request.effort is not None and thinks is False:
        request = replace(request, effort=None)
    samples = said.sampling
    if samples is None:
        samples = traits.takes_sampling(model, thinks=request.effort is not Effort.NONE)
    if not samples and (request.temperature, request.top_p, request.top_k) != (None, None, None):
        request = replace(request, temperature=None, top_p=None, top_k=None)
    if said.streaming is False:
        request = replace(request, stream=False)
    most = said.output_tokens
    if most is not None and (request.max_tokens or provider.max_tokens) > most:
        request = replace(request, max_tokens=most)
    return request


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the names that look most like one that does not exist, the likeliest first."""
    names = list(dict.fromkeys(known))
    lower = {one.lower(): one for one in names}
    alike = difflib.get_close_matches(name.lower(), lower, n=_NEAREST, cutoff=0.5)
    holding = [one for one in lower if name.lower() in one or one in name.lower()]
    return tuple(lower[one] for one in dict.fromkeys([*alike, *holding]))[:_NEAREST]


def words(capabilities: Capabilities) -> tuple[str, ...]:
    """Return what a model can do in single words, as `glossator providers` shows it."""
    can = {
        "stream": capabilities.streaming,
        "reasoning": capabilities.reasoning,
        "caching": capabilities.caching,
        "tools": capabilities.tools,
        "sampling": capabilities.sampling,
    }
    return tuple(word for word, able in can.items() if able)


def _first(said: Value | None, otherwise: Value | None) -> Value | None:
    return otherwise if said is None else said
