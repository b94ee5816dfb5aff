"""What is published of models: prices and contexts, from genai-prices, which others keep current.

The package holds its data as 1.6 MB of Python, and brings an HTTP client that only its updates would use: to import it takes
some hundredths of a second and 20 MB, or a third of a second and 100 MB where it must be compiled first. So nothing on the
way of a request imports it: only who asks for a price or a context does, which is a command, or a request that has failed
already. Its update over the network is off unless somebody starts it, and nobody does: what is installed is what counts.
https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from glossator_providers.catalog import Provider
from glossator_providers.model import Usage

if TYPE_CHECKING:
    from genai_prices import types

# The names that the data has for our kinds; those that are absent are found by their address, or not at all.
_NAMES: Mapping[str, str] = {
    "anthropic": "anthropic",
    "azure": "azure",
    "azure-responses": "azure",
    "bedrock": "aws",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openai-responses": "openai",
    "openrouter": "openrouter",
    "vertex": "google",
    "vertex-anthropic": "google",
    "xai": "x-ai",
    "xai-responses": "x-ai",
}


def context_tokens(provider: Provider) -> int | None:
    """Return how many tokens the provider's model takes, None where nobody says."""
    found = _find(provider)
    return found[1].context_window if found else None


def prices(provider: Provider, *, at: datetime | None = None) -> tuple[float, float] | None:
    """Return the dollars for a million tokens asked and answered, None where nobody says; of tiers the first."""
    found = _find(provider)
    if found is None:
        return None
    told = found[1].get_prices(at or datetime.now(tz=UTC))
    amounts = [_base(told.input_mtok), _base(told.output_mtok)]
    return (amounts[0], amounts[1]) if amounts[0] is not None and amounts[1] is not None else None


def price(provider: Provider, usage: Usage, *, at: datetime | None = None) -> float | None:
    """Return the dollars that these tokens cost, with what was read from the cache and written to it at its own price."""
    found = _find(provider)
    if found is None:
        return None
    from genai_prices import Usage as Counted

    asked, cached = usage.input_tokens or 0, usage.cached_tokens or 0
    # Anthropic leaves out of its own number what the cache had a part in: what was not read was written.
    written = 0 if usage.told_input_tokens is None else max(0, asked - usage.told_input_tokens - cached)
    counted = Counted(
        input_tokens=asked,
        cache_read_tokens=min(cached, asked),
        cache_write_tokens=written,
        output_tokens=usage.output_tokens or 0,
    )
    owner, model = found
    try:
        calculated = model.calc_price(
            counted,
            owner,
            genai_request_timestamp=at or datetime.now(tz=UTC),
            auto_update_timestamp=None,
            price_context=None,
        )
    except (LookupError, ValueError):
        return None
    return float(calculated.total_price)


def names(provider: Provider) -> tuple[str, ...]:
    """Return the models that are known of this kind of provider, without those that are withdrawn."""
    owner = _owner(provider)
    return tuple(model.id for model in owner.models if not model.deprecated) if owner else ()


def _find(provider: Provider) -> tuple[types.Provider, types.ModelInfo] | None:
    if provider.local or not provider.model:
        return None
    return _looked_up(provider.row.kind, provider.base_url, provider.model)


def _owner(provider: Provider) -> types.Provider | None:
    return None if provider.local else _looked_up_owner(provider.row.kind, provider.base_url)


@functools.lru_cache(maxsize=64)
def _looked_up(kind: str, address: str, model: str) -> tuple[types.Provider, types.ModelInfo] | None:
    from genai_prices.data_snapshot import get_snapshot

    owner = _looked_up_owner(kind, address)
    if owner is None:
        return None
    try:
        return get_snapshot().find_provider_model(model, owner, None, None)
    except LookupError:
        return None


@functools.lru_cache(maxsize=64)
def _looked_up_owner(kind: str, address: str) -> types.Provider | None:
    from genai_prices.data_snapshot import get_snapshot

    name = _NAMES.get(kind)
    try:
        return get_snapshot().find_provider(None, name, None if name else address)
    except LookupError:
        return None


def _base(amount: object) -> float | None:
    """Return a price in dollars: of tiers, that of the first."""
    amount = getattr(amount, "base", amount)
    return float(amount) if isinstance(amount, (Decimal, int, float)) else None
