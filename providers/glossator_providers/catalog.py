"""The providers as rows: where each one is, what it speaks, how it is signed, and where it differs from its dialect.

A new provider is a row; a quirk is a field, with the page that justifies it beside the value.
Model names are the vendors' of November 2026: they are defaults for somebody who named none, and nothing depends on them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from glossator_providers.secrets import Secret

Auth = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "google", "aws", "none"]
# The form in which a model is asked for a change of code. "region-and-blocks": the whole region in one fenced block, and a
# SEARCH/REPLACE block for each second place. "region": the one fenced block alone. "code": the code without any further rule.
EditFormat = Literal["region-and-blocks", "region", "code"]


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one kind of provider; `base_url` is None where only the user can know it."""

    kind: str
    title: str  # how its makers write it
    dialect: str
    base_url: str | None
    # "none": it asks for no key. "aws": it asks for a key or else for a signature. A key of either is a bearer token.
    auth: Auth
    key_env: tuple[str, ...] = ()  # the variables that usually hold its key, the vendor's own name first
    organization_env: tuple[
        str, ...
    ] = ()  # the variables that name the organization that pays, where a key has several
    project_env: tuple[
        str, ...
    ] = ()  # the variables that usually name the project; auth "google": whose computers are asked …
    location_env: tuple[str, ...] = ()  # … and the location
    local: bool = False  # it is meant to run on this machine
    found: bool = True  # its key alone is enough to use it; not so for the second of two protocols of one vendor
    default_model: str | None = None
    # Quirks of the openai_chat dialect; the others need none so far.
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    include_usage: bool = False  # a stream tells the usage only if asked by `stream_options`
    include_obfuscation: bool | None = None  # None: the option is not known there, so it is not sent
    done_marker: bool = True  # a stream that ends without `[DONE]` was cut off
    top_k: bool = False  # it knows `top_k`, which is not of OpenAI's protocol
    structure: Literal["json_schema", "json_object"] = (
        "json_schema"  # the strictest promise that it makes of an answer's shape
    )
    # How it is told how much to think; None: not at all.
    effort: Literal["reasoning_effort", "high-or-none", "reasoning", "thinking", "template"] | None = None

    @property
    def key_required(self) -> bool:
        """Whether it answers nobody without a key."""
        return self.auth == "google" or (self.auth not in ("aws", "none") and bool(self.key_env))


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds: for the connection, the first token, between tokens, and in all."""

    connect: float = 5
    first_token: float = 30
    idle: float = 20
    total: float = 120


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast a provider may be asked, as the user says; None: as fast as one likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None  # requests at the same time


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do and takes; None: not known, or, where the user says it, not said. Sizes are in tokens."""

    context_tokens: int | None = None
    output_tokens: int | None = None
    streaming: bool | None = None
    reasoning: bool | None = None
    caching: bool | None = None
    tools: bool | None = None
    sampling: bool | None = None  # temperature, top_p and top_k are taken
    edit_format: EditFormat | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured provider: a row with the user's choices."""

    name: str
    row: Row
    model: str
    base_url: str
    key: Secret | None = None
    max_tokens: int = 4096
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    socket: str | None = None  # the path of a Unix socket
    found: bool = False  # found by itself (a key variable, a running server), not configured by the user
    toy: bool = False
    capabilities: Capabilities = (
        Capabilities()
    )  # what the user says of the model, which counts more than all that is known
    project: str | None = (
        None  # of Google Cloud: whose computers are asked; None in express mode. Of OpenAI: which one pays
    )
    organization: str | None = None  # of OpenAI: which one pays
    location: str | None = None  # of Google Cloud
    api_version: str | None = None  # of Azure: the date of the older API; None for the API v1

    @property
    def local(self) -> bool:
        """Whether it claims to be on this machine; only the open connection proves it."""
        return self.row.local or self.socket is not None or is_loopback(host_of(self.base_url))


# These two are asked many times for each request, and for the same few addresses.
@lru_cache(maxsize=256)
def host_of(url: str) -> str:
    """Return the host that a URL names, in lower case; empty where it names none or is malformed."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Say whether a host name or address, as written, means this machine; resolves nothing."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True  # RFC 6761: these never name another machine
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


_ROWS = (
    Row(
        kind="anthropic",
        title="Anthropic",
        dialect="anthropic",
        base_url="https://api.anthropic.com",  # https://platform.claude.com/docs/en/api/overview
        auth="x-api-key",  # see dialects/anthropic.py for why not the bearer form of the newer API version
        # The last is a token, which is sent as bearer: https://platform.claude.com/docs/en/api/sdks/python
        key_env=("ANTHROPIC_API_KEY", "CLAUDE_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        default_model="claude-sonnet-5-5",
    ),
    Row(
        kind="openai",
        title="OpenAI",
        dialect="openai_chat",
        base_url="https://api.openai.com/v1",  # https://platform.openai.com/docs/api-reference/chat
        auth="bearer",
        key_env=("OPENAI_API_KEY",),
        organization_env=("OPENAI_ORG_ID",),  # https://platform.openai.com/docs/api-reference/authentication
        project_env=("OPENAI_PROJECT_ID",),
        default_model="gpt-6-sol",
        # Reasoning models answer `max_tokens` with 400 unsupported_parameter:
        # https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_completion_tokens
        max_tokens_field="max_completion_tokens",
        include_usage=True,  # https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
        include_obfuscation=False,  # same page: padding against timing attacks, half of the bytes of a stream
        effort="reasoning_effort",  # https://platform.openai.com/docs/api-reference/chat/create#chat-create-reasoning_effort
    ),
    Row(
        kind="openai-responses",
        title="OpenAI Responses",
        dialect="openai_responses",
        base_url="https://api.openai.com/v1",  # https://platform.openai.com/docs/api-reference/responses
        auth="bearer",
        key_env=("OPENAI_API_KEY",),
        organization_env=("OPENAI_ORG_ID",),  # https://platform.openai.com/docs/api-reference/authentication
        project_env=("OPENAI_PROJECT_ID",),
        found=False,
        default_model="gpt-6-sol",
        # https://platform.openai.com/docs/api-reference/responses/create#responses-create-stream_options
        include_obfuscation=False,
    ),
    Row(
        kind="azure",
        title="Azure OpenAI",
        dialect="azure",
        base_url=None,  # that of the user's own resource, as its model is the user's own deployment
        auth="api-key",  # https://learn.microsoft.com/azure/ai-foundry/openai/reference#authentication
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),  # the second holds a token of Entra
        # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning#api--feature-support
        max_tokens_field="max_completion_tokens",
        effort="reasoning_effort",
        include_usage=True,
    ),
    Row(
        kind="azure-responses",
        title="Azure OpenAI Responses",
        dialect="azure_responses",
        base_url=None,  # https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses
        auth="api-key",
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    ),
    Row(
        kind="gemini",
        title="Google Gemini",
        dialect="gemini",
        base_url="https://generativelanguage.googleapis.com",  # https://ai.google.dev/api
        auth="x-goog-api-key",  # never `?key=` in the address: addresses are logged
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),  # https://ai.google.dev/gemini-api/docs/api-key
        default_model="gemini-3.8-flash",
    ),
    Row(
        kind="vertex",
        title="Google Vertex AI",
        dialect="vertex",
        # The address of the location `global`; config.py makes that of any other.
        base_url="https://aiplatform.googleapis.com",  # https://cloud.google.com/vertex-ai/docs/reference/rest
        auth="google",  # an access token of google_tokens.py, or the key of express mode
        # https://googleapis.github.io/python-genai/#create-a-client
        project_env=("GOOGLE_CLOUD_PROJECT",),
        location_env=("GOOGLE_CLOUD_LOCATION",),
        default_model="gemini-3.8-flash",
    ),
    Row(
        kind="vertex-anthropic",
        title="Claude on Vertex AI",
        dialect="vertex_anthropic",
        base_url="https://aiplatform.googleapis.com",  # https://platform.claude.com/docs/en/api/claude-on-vertex-ai
        auth="google",
        project_env=("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"),  # same page, for the first of each
        location_env=("CLOUD_ML_REGION", "GOOGLE_CLOUD_LOCATION"),
        default_model="claude-sonnet-5-5",
    ),
    Row(
        kind="xai",
        title="xAI Grok",
        dialect="openai_chat",
        base_url="https://api.x.ai/v1",  # https://docs.x.ai/docs/api-reference
        auth="bearer",
        key_env=("XAI_API_KEY", "GROK_API_KEY"),
        default_model="grok-4.6",
        include_usage=True,  # sent unasked too, as recorded; asking is what their own examples do
        effort="reasoning_effort",  # https://docs.x.ai/docs/guides/reasoning
    ),
    Row(
        kind="xai-responses",
        title="xAI Grok Responses",
        dialect="openai_responses",
        base_url="https://api.x.ai/v1",  # https://docs.x.ai/docs/api-reference#create-new-response
        auth="bearer",
        key_env=("XAI_API_KEY", "GROK_API_KEY"),
        found=False,
        default_model="grok-4.6",
    ),
    Row(
        kind="cohere",
        title="Cohere",
        dialect="cohere",
        base_url="https://api.cohere.com",  # https://docs.cohere.com/reference/chat
        auth="bearer",
        key_env=("CO_API_KEY", "COHERE_API_KEY"),  # the first is the one that their SDK reads
        default_model="command-a-plus-05-2026",
    ),
    Row(
        kind="deepseek",
        title="DeepSeek",
        dialect="openai_chat",
        base_url="https://api.deepseek.com",  # https://api-docs.deepseek.com
        auth="bearer",
        key_env=("DEEPSEEK_API_KEY",),
        default_model="deepseek-v4-pro",
        include_usage=True,  # https://api-docs.deepseek.com/api/create-chat-completion
        structure="json_object",  # https://api-docs.deepseek.com/guides/json_mode
        effort="thinking",  # https://api-docs.deepseek.com/guides/thinking_mode
    ),
    Row(
        kind="mistral",
        title="Mistral",
        dialect="openai_chat",
        base_url="https://api.mistral.ai/v1",  # https://docs.mistral.ai/api
        auth="bearer",
        key_env=("MISTRAL_API_KEY",),
        default_model="mistral-medium-latest",
        # Usage comes unasked, and an unknown field (`stream_options`, `max_completion_tokens`) is 422 extra_forbidden.
        effort="high-or-none",  # https://docs.mistral.ai/capabilities/reasoning/adjustable
    ),
    Row(
        kind="groq",
        title="Groq",
        dialect="openai_chat",
        base_url="https://api.groq.com/openai/v1",  # https://console.groq.com/docs/api-reference
        auth="bearer",
        key_env=("GROQ_API_KEY",),
        default_model="openai/gpt-oss-120b",
        max_tokens_field="max_completion_tokens",  # same page: `max_tokens` is deprecated in favour of it
        # Usage comes unasked, in `x_groq` of the last chunk.
        effort="reasoning_effort",  # https://console.groq.com/docs/reasoning
    ),
    Row(
        kind="openrouter",
        title="OpenRouter",
        dialect="openai_chat",
        base_url="https://openrouter.ai/api/v1",  # https://openrouter.ai/docs/api-reference/overview
        auth="bearer",
        key_env=("OPENROUTER_API_KEY",),
        default_model="openrouter/auto",  # https://openrouter.ai/docs/features/model-routing
        include_usage=True,  # https://openrouter.ai/docs/use-cases/usage-accounting
        top_k=True,  # https://openrouter.ai/docs/api-reference/parameters
        effort="reasoning",  # https://openrouter.ai/docs/use-cases/reasoning-tokens
    ),
    Row(
        kind="bedrock",
        title="Amazon Bedrock",
        dialect="bedrock",
        # https://bedrock-runtime.REGION.amazonaws.com: where code may be read is the user's to say, so no region is assumed.
        # Bedrock's other face, https://bedrock-mantle.REGION.api.aws/openai/v1, speaks chat completions: configure it as
        # `openai-compatible` with key_env = "AWS_BEARER_TOKEN_BEDROCK".
        # https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
        base_url=None,
        auth="aws",  # https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        # No default model: which names are served depends on the region, and on where it may pass a request on to.
    ),
    Row(
        kind="ollama",
        title="Ollama",
        dialect="ollama",
        base_url="http://127.0.0.1:11434",  # https://docs.ollama.com/api
        auth="none",  # OLLAMA_API_KEY belongs to ollama.com, so it is not picked up for a server on this machine
        local=True,
    ),
    Row(
        kind="lmstudio",
        title="LM Studio",
        dialect="openai_chat",
        base_url="http://127.0.0.1:1234/v1",  # https://lmstudio.ai/docs/developer/openai-compat
        auth="none",
        key_env=("LM_API_TOKEN",),  # https://lmstudio.ai/docs/developer/core/authentication
        local=True,
        include_usage=True,
        top_k=True,  # https://lmstudio.ai/docs/developer/openai-compat/chat-completions
        effort="reasoning_effort",
    ),
    Row(
        kind="llamacpp",
        title="llama.cpp",
        dialect="openai_chat",
        base_url="http://127.0.0.1:8080/v1",  # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
        auth="none",
        key_env=("LLAMA_API_KEY",),
        local=True,
        include_usage=True,  # recorded: without it a stream tells `timings` only
        top_k=True,
        effort="template",  # same page, `chat_template_kwargs`
    ),
    Row(
        kind="vllm",
        title="vLLM",
        dialect="openai_chat",
        base_url="http://127.0.0.1:8000/v1",  # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
        auth="none",
        key_env=("VLLM_API_KEY",),
        local=True,
        include_usage=True,
        top_k=True,
        effort="template",  # https://docs.vllm.ai/en/latest/features/reasoning_outputs.html
    ),
    Row(
        kind="openai-compatible",
        title="OpenAI-compatible server",
        dialect="openai_chat",
        base_url=None,
        auth="bearer",
        include_usage=True,
        done_marker=False,  # every server that we know sends it; of one that we do not know the model's own word must do
        effort="reasoning_effort",
    ),
    Row(
        kind="embedded",
        title="Embedded model",
        dialect="openai_chat",
        base_url=None,  # a child process on a private socket, started when it is needed
        auth="bearer",
        local=True,
        include_usage=True,
        top_k=True,
        effort="template",
    ),
)

ROWS: Mapping[str, Row] = MappingProxyType({row.kind: row for row in _ROWS})
