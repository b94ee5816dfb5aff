"""Gemini on Vertex AI: the dialect `gemini` below a project and a location, or in express mode without them.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference. Express mode has a key instead of a project:
https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
"""

from __future__ import annotations

from urllib.parse import quote

from glossator_providers.catalog import Provider
from glossator_providers.dialects.characters import mend
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.gemini import HEADERS, content, decoder, explain, framing, method, read
from glossator_providers.dialects.openai_chat import serialised
from glossator_providers.dialects.values import mapping, parse, text
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import ModelInfo, Request

__all__ = ["decoder", "encode", "explain", "framing", "list_models", "models", "place", "read"]


def encode(request: Request, provider: Provider) -> Payload:
    """Write the request down for the models that Google publishes."""
    model = quote((request.model or provider.model).removeprefix("publishers/google/models/"))
    path = f"/v1beta1{place(provider)}/publishers/google/models/{model}:{method(request)}"
    return Payload("POST", path, HEADERS, serialised(content(request, provider)))


def place(provider: Provider) -> str:
    """Return the part of a path that says whose computers and where; empty in express mode."""
    if provider.project is None:
        return ""
    return f"/projects/{quote(provider.project, safe=':')}/locations/{quote(provider.location or 'global')}"


def list_models() -> Payload:
    """Write down the request for the models that Google publishes there."""
    return Payload("GET", "/v1beta1/publishers/google/models?pageSize=200", (("accept", "*/*"),), b"")


def models(body: bytes) -> list[ModelInfo]:
    """Read a list of published models, of whoever publishes them; it tells no sizes."""
    value = parse(body)
    if "error" in mapping(value):
        raise explain(200, {}, body)
    listed = mapping(value).get("publisherModels")
    if not isinstance(listed, list):
        raise ProviderError(Kind.BAD_REQUEST, "the address did not answer with a list of models; check base_url")
    names = (text(mapping(item).get("name")).rpartition("/")[2] for item in listed)
    return [ModelInfo(mend(name)) for name in names if name]
