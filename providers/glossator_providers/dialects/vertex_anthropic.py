"""Claude on Vertex AI: the dialect `anthropic` at Google's path, with the version in the body and the model in the path.

https://platform.claude.com/docs/en/api/claude-on-vertex-ai. The version is the one that goes with the protocol that we
speak; dialects/anthropic.py says why it is not the newer one.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from glossator_providers.catalog import Provider
from glossator_providers.dialects import anthropic
from glossator_providers.dialects.anthropic import decoder, framing, read
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.gemini import explain  # before Claude sees a request, Google may refuse it
from glossator_providers.dialects.openai_chat import serialised
from glossator_providers.dialects.vertex import models, place
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import Request

__all__ = ["decoder", "encode", "explain", "framing", "list_models", "models", "read"]

VERSION = "vertex-2023-10-16"


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down; raises ProviderError(AUTH) without a project, since Claude is not sold in express mode."""
    if provider.project is None and not provider.local:
        raise ProviderError(
            Kind.AUTH,
            "no Google Cloud project is named; set project in the configuration, or GOOGLE_CLOUD_PROJECT",
            provider=provider.name,
        )
    plain = anthropic.encode(request, provider)
    body = json.loads(plain.body)
    model = quote(body.pop("model").removeprefix("publishers/anthropic/models/"))
    body["anthropic_version"] = VERSION
    # The path decides whether the answer is streamed, and the body says it once more, as the official SDK does.
    method = "streamRawPredict" if request.stream else "rawPredict"
    headers = tuple((name, value) for name, value in plain.headers if name != "anthropic-version")
    path = f"/v1{place(provider)}/publishers/anthropic/models/{model}:{method}"
    return Payload("POST", path, headers, serialised(body))


def list_models() -> Payload:
    """Write down the request for the models that Anthropic publishes there."""
    return Payload("GET", "/v1beta1/publishers/anthropic/models?pageSize=200", (("accept", "*/*"),), b"")
