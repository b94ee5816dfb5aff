"""Which models a server has, and which of them is the sensible one for somebody who named none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from glossator_providers import dialects
from glossator_providers.auth import signed
from glossator_providers.catalog import Provider
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import ModelInfo
from glossator_providers.privacy import Cleared
from glossator_providers.transport import Call, Transport

_LARGEST_LIST = 4 << 20  # bytes
_NO_CHAT = re.compile(r"embed|rerank|whisper|bge-|minilm|tts|moderation|dall-e|stable-diffusion|guard", re.IGNORECASE)
_CODE = re.compile(r"code|devstral|starcoder", re.IGNORECASE)
WEB_PAGE = "web-page"
"""The code of a failure where a page for a browser came instead of a list."""
_UNTAUGHT = re.compile(r"[-:_](base|fim|text)\b", re.IGNORECASE)


async def list_models(
    provider: Provider, *, transport: Transport, cleared: Cleared, seconds: float, trusted_hosts: tuple[str, ...] = ()
) -> list[ModelInfo]:
    """Ask a provider for its models; raises ProviderError or EgressDenied. `seconds` bounds the whole question."""
    dialect = dialects.get(provider.row.dialect)
    payload = dialect.list_models()
    call = Call(cleared, provider, payload, await signed(provider, payload, trusted_hosts=trusted_hosts))
    try:
        async with asyncio.timeout(seconds):
            try:
                status, response_headers, body = await _fetch(transport, call)
            except ProviderError as error:
                if error.kind is not Kind.NETWORK:
                    raise
                # A kept connection may have been closed by the other side just now; the question may be asked twice.
                status, response_headers, body = await _fetch(transport, call)
    except TimeoutError:
        raise ProviderError(
            Kind.TIMEOUT, f"it did not list its models within {seconds:g} s", provider=provider.name
        ) from None
    content_type = response_headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "text/html" or body[:64].lstrip()[:1] == b"<":
        told = dialect.explain(status, response_headers, body)
        raise ProviderError(Kind.SERVER, f"it {told.message}", status, WEB_PAGE, provider=provider.name)
    if status != 200:  # noqa: PLR2004  the only good answer to this question
        raise dialect.explain(status, response_headers, body)
    return dialect.models(body)


async def _fetch(transport: Transport, call: Call) -> tuple[int, Mapping[str, str], bytes]:
    async with transport.send(call) as response:
        return response.status, response.headers, await response.read(_LARGEST_LIST)


async def reach(
    provider: Provider, *, transport: Transport, cleared: Cleared, seconds: float, trusted_hosts: tuple[str, ...] = ()
) -> None:
    """Find a provider's key or credentials, and ask its address, without them, whether anybody answers there, whatever it says.

    Raises ProviderError or EgressDenied. `seconds` bounds the question.
    """
    question = Payload("GET", "/", (("accept", "*/*"),), b"")
    await signed(provider, question, trusted_hosts=trusted_hosts)
    try:
        async with asyncio.timeout(seconds):
            await _fetch(transport, Call(cleared, provider, question))
    except TimeoutError:
        raise ProviderError(Kind.TIMEOUT, f"it did not answer within {seconds:g} s", provider=provider.name) from None


def choose_model(models: Sequence[ModelInfo]) -> str | None:
    """Return the model to use of those that a server on this machine lists, None where none can chat.

    Models that are forwarded to another machine and those that only embed, rank or listen are left out. Then models made for
    code come before the others, and those taught to follow instructions before bare completion; the server's own order decides
    the rest (Ollama lists the newest first).
    """
    able = [model for model in models if not leaves_the_machine(model) and not _NO_CHAT.search(model.name)]
    ranked = sorted(able, key=lambda model: (bool(_UNTAUGHT.search(model.name)), not _CODE.search(model.name)))
    return ranked[0].name if ranked else None


def leaves_the_machine(model: ModelInfo) -> bool:
    """Say whether a local server would forward this model's requests, by its word or by its name (Ollama's `…-cloud`)."""
    return model.remote or model.name.endswith(("-cloud", ":cloud"))


def same_model(one: str, other: str) -> bool:
    """Say whether two names mean the same model: `gemma3` is `gemma3:latest` at Ollama, `claude-x@default` a version at Google."""
    return one.removesuffix(":latest").partition("@")[0] == other.removesuffix(":latest").partition("@")[0]
