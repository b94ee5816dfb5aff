"""Responses at Azure: OpenAI's newer protocol at Azure's addresses, which azure.py explains."""

from __future__ import annotations

from dataclasses import replace

from glossator_providers.catalog import Provider
from glossator_providers.dialects import azure, openai_responses
from glossator_providers.dialects.dialect import Payload
from glossator_providers.model import Request

framing = openai_responses.framing
decoder = openai_responses.decoder
read = openai_responses.read
explain = openai_responses.explain
list_models = azure.list_models
models = azure.models


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down for this provider; here the older API has the deployment in the body as well."""
    payload = openai_responses.encode(request, provider)
    return replace(payload, path=azure.path(payload.path, provider))
