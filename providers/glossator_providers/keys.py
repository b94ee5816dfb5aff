"""What a key and an address look like where they are right: said as a warning, never as a reason not to try.

Vendors change their keys, and gateways make their own, so only what is surely another vendor's key or a slip of the hand is
told. The key itself is never repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from glossator_providers.catalog import ROWS, Provider, host_of
from glossator_providers.errors import ConfigError, ProviderError

# How the vendors' own keys begin, in their consoles of November 2026; the longer beginning decides.
_BEGINNINGS: Mapping[str, str] = {
    "sk-ant-": "anthropic",
    "sk-or-": "openrouter",
    "sk-": "openai",
    "AIza": "gemini",
    "AQ.": "gemini",  # the newer form, bound to one service
    "gsk_": "groq",
    "xai-": "xai",
    "ABSK": "bedrock",
    "bedrock-api-key-": "bedrock",  # one that lasts for hours
}
_SHORTEST = 20  # characters
CALLS = ("/chat/completions", "/messages", "/responses", "/api/chat", "/api/generate", "/models")
"""The paths of calls, which are added to a base URL and so never stand at its end."""
# Others begin their keys with `sk-` as OpenAI does, or let any word be one.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "deepseek": ("sk-",),
    "openai-responses": ("sk-",),
    "xai-responses": ("xai-",),
    "vertex": ("AIza", "AQ."),
}
_FREE = ("mistral", "cohere", "azure", "azure-responses", "vertex-anthropic", "openai-compatible", "embedded")


def warning(provider: Provider) -> str | None:
    """Say in one sentence what looks wrong with a provider's key or address, None where nothing does.

    A key from a command or a keychain that was not asked yet is not asked for this.
    """
    return _of_address(provider) or _of_key(provider)


def _of_key(provider: Provider) -> str | None:
    row = provider.row
    # A variable that holds no key is read at once as well, to say so.
    if provider.key is None or not (provider.key.ready or provider.key.source in row.key_env):
        return None
    try:
        key = provider.key.reveal()
    except (ConfigError, ProviderError) as error:
        return str(error)
    source = provider.key.source or "its key"
    begins = max((start for start in _BEGINNINGS if key.startswith(start)), key=len, default=None)
    home, host = host_of(row.base_url or ""), host_of(provider.base_url)
    at_home = host == home if home else row.auth == "aws" and host.endswith(".amazonaws.com")
    if not at_home or row.local or row.kind in _FREE:
        return None
    usual = [start for start, kind in _BEGINNINGS.items() if kind == row.kind] + [*_ALSO.get(row.kind, ())]
    if not usual:
        return None
    if begins is not None and begins not in usual:
        return f"{source} looks like a key of {ROWS[_BEGINNINGS[begins]].title}, and not of {row.title}"
    if begins is None:
        return f"{source} does not begin with {' or '.join(usual)}, as keys of {row.title} do"
    if len(key) < _SHORTEST:
        return f"{source} is only {len(key)} characters long: was it cut off?"
    return None


def _of_address(provider: Provider) -> str | None:
    """Tell the slips that are made with base URLs: the path of a call at its end, or the one that is missing."""
    row, path = provider.row, urlsplit(provider.base_url).path.rstrip("/")
    for ending in CALLS:
        if path.endswith(ending):
            return f"base_url ends with {ending}, which is added to it: leave it out"
    if row.base_url is None or host_of(row.base_url) != host_of(provider.base_url):
        return None
    usual = urlsplit(row.base_url).path.rstrip("/")
    if path != usual and path in ("", "/v1", "/api"):
        return f"base_url has the path {path or '/'}, and that of {row.title} is {usual or '/'}"
    return None
