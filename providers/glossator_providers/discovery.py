"""Find the model servers that run on this machine without anybody having configured them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from glossator_providers.catalog import ROWS, Provider, is_loopback
from glossator_providers.config import LOCAL_TIMEOUTS
from glossator_providers.errors import GlossatorError
from glossator_providers.models import choose_model, list_models
from glossator_providers.privacy import clear_probe
from glossator_providers.secrets import from_environment
from glossator_providers.transport import Transport

PROBE_TIMEOUT = 0.6  # seconds; what runs on this machine answers within milliseconds, or is too busy to be offered
_KINDS = ("ollama", "lmstudio", "llamacpp", "vllm")


async def find_local(
    transport: Transport,
    environment: Mapping[str, str],
    *,
    addresses: Mapping[str, str] | None = None,
    seconds: float = PROBE_TIMEOUT,
) -> tuple[Provider, ...]:
    """Return the running local servers that have a model to offer; asks all of them at once, each for at most `seconds`.

    *addresses* overrides the base URL of kinds, and then only those kinds are asked. GLOSSATOR_DISCOVERY=off asks nobody.
    """
    if environment.get("GLOSSATOR_DISCOVERY", "").strip().lower() in {"off", "0", "false", "no"}:
        return ()
    usual = addresses if addresses is not None else usual_addresses(environment)
    await transport.warm()  # else the first question would pay for loading the HTTP client out of its own time
    probes = [_probe(kind, address, transport, environment, seconds) for kind, address in usual.items()]
    return tuple(provider for provider in await asyncio.gather(*probes) if provider is not None)


def usual_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where each kind of local server listens unless told otherwise; Ollama is told by OLLAMA_HOST."""
    addresses = {kind: url for kind in _KINDS if (url := ROWS[kind].base_url) is not None}
    told = environment.get("OLLAMA_HOST", "").strip()
    if told:
        address = ollama_address(told)
        if address is None:
            del addresses["ollama"]  # its user keeps it on another machine: nothing to find on this one
        else:
            addresses["ollama"] = address
    return addresses


def ollama_address(host: str) -> str | None:
    """Return the base URL that OLLAMA_HOST means, None where that is not this machine.

    Its forms, as Ollama itself reads them: `host`, `host:port`, `:port`, `http://host:port/path`; see
    https://github.com/ollama/ollama/blob/main/envconfig/config.go.
    """
    scheme, _, rest = host.rpartition("://")
    if scheme not in {"", "http"}:
        return None  # https on this machine would need a certificate that nobody has
    rest = rest.strip("/")
    if re.fullmatch(r"[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*", rest):
        rest = f"[{rest}]"  # a bare IPv6 address
    try:
        parts = urlsplit(f"//{rest}")
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        return None
    if name in {"0.0.0.0", "::"}:  # noqa: S104  what a server listens on; a client reaches it by loopback
        name = "127.0.0.1"
    if not is_loopback(name):
        return None
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port or (80 if scheme else 11434)}{parts.path}"


def together(configured: tuple[Provider, ...], found: tuple[Provider, ...]) -> tuple[Provider, ...]:
    """Return the found servers, without those that the user has configured, after the configured ones; the strategy orders them."""
    names = {provider.name for provider in configured}
    addresses = {provider.base_url for provider in configured}
    fresh = [provider for provider in found if provider.name not in names and provider.base_url not in addresses]
    return (*configured, *fresh)


async def _probe(
    kind: str, address: str, transport: Transport, environment: Mapping[str, str], seconds: float
) -> Provider | None:
    row = ROWS[kind]
    try:
        key = from_environment(row.key_env, environment)
        server = Provider(kind, row, "", address, key=key, timeouts=LOCAL_TIMEOUTS, found=True)
        models = await list_models(server, transport=transport, cleared=clear_probe(), seconds=seconds)
    except GlossatorError:
        return None  # nobody there, or nobody that we can talk to
    model = choose_model(models)
    return replace(server, model=model) if model else None
