"""Chat completions at Azure: OpenAI's protocol at Azure's addresses.

https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle. An address is that of a resource,
`https://NAME.openai.azure.com` or `https://NAME.services.ai.azure.com`. Below it lies the API v1, which takes the name of
a deployment as the model, and the older one, where the deployment stands in the path and a date in the query; the
latter is used where the configuration has an `api_version`.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from glossator_providers.catalog import Provider
from glossator_providers.dialects import openai_chat
from glossator_providers.dialects.dialect import Payload
from glossator_providers.model import Request

framing = openai_chat.framing
decoder = openai_chat.decoder
read = openai_chat.read
explain = openai_chat.explain
models = openai_chat.models


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down for this provider."""
    payload = openai_chat.encode(request, provider)
    deployment = quote(request.model or provider.model, safe="")
    return replace(payload, path=path(payload.path, provider, below=f"/deployments/{deployment}"))


def path(endpoint: str, provider: Provider, *, below: str = "") -> str:
    """Return where an endpoint is in a resource; `below` is what stands before it in the older API."""
    if provider.api_version is None:
        return f"/openai/v1{endpoint}"
    return f"/openai{below}{endpoint}?api-version={quote(provider.api_version, safe='')}"


def list_models() -> Payload:
    """Write down the request for the models that the resource has; every resource has the API v1."""
    payload = openai_chat.list_models()
    return replace(payload, path=f"/openai/v1{payload.path}")
