"""The rows are whole and consistent, and what claims to be local is on this machine."""

from __future__ import annotations

import dataclasses

import pytest

from glossator_providers import dialects
from glossator_providers.auth import sign
from glossator_providers.catalog import ROWS, Provider, Row, host_of, is_loopback
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.secrets import Secret

KEY = Secret("sk-0123456789abcdef", source="SOME_KEY")


def provider(
    kind: str, *, key: Secret | None = None, base_url: str | None = None, socket: str | None = None
) -> Provider:
    """Make a provider of this kind, with its row's own address or a loopback one."""
    row = ROWS[kind]
    address = base_url or row.base_url or "http://127.0.0.1:1/v1"
    return Provider(name=kind, row=row, model="m", base_url=address, key=key, socket=socket)


def test_every_promised_kind_has_a_row() -> None:
    """The kinds that the configuration may name are the rows, each under its own name."""
    assert list(ROWS) == [
        "anthropic",
        "openai",
        "openai-responses",
        "azure",
        "azure-responses",
        "gemini",
        "vertex",
        "vertex-anthropic",
        "xai",
        "xai-responses",
        "cohere",
        "deepseek",
        "mistral",
        "groq",
        "openrouter",
        "bedrock",
        "ollama",
        "lmstudio",
        "llamacpp",
        "vllm",
        "openai-compatible",
        "embedded",
    ]
    assert all(kind == row.kind for kind, row in ROWS.items())


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_row_is_consistent(row: Row) -> None:
    """Its dialect exists; a cloud is https, has a key and a default model; a local server is loopback and needs no key."""
    assert dialects.get(row.dialect).framing in ("sse", "ndjson", "amazon")
    if row.base_url is None:
        return
    assert not row.base_url.endswith("/")
    if row.local:
        assert is_loopback(host_of(row.base_url))
        assert not row.key_required
    else:
        assert row.base_url.startswith("https://")
        assert row.key_required
        assert row.default_model


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.nip.io", False),
        ("notlocalhost", False),
        ("2130706433", False),
        ("example.com", False),
    ],
)
def test_loopback_is_told_from_what_only_looks_like_it(host: str, local: bool) -> None:  # noqa: FBT001  the table's second column
    """Only names and addresses that can mean nothing but this machine claim to be local."""
    assert is_loopback(host) is local


def test_what_claims_to_be_local() -> None:
    """A local row, a Unix socket or a loopback address claims it; a cloud and a malformed address do not."""
    assert provider("ollama").local
    assert provider("openai", socket="/run/model.sock").local
    assert provider("openai", base_url="http://localhost:4000/v1").local
    assert not provider("openai").local
    assert not provider("openai-compatible", base_url="http://[::1").local


def test_calls_are_signed_as_each_row_says() -> None:
    """Anthropic takes `x-api-key`, Google `x-goog-api-key`, Azure `api-key`, all others a bearer token; a local server without a key gets none."""
    for kind, row in ROWS.items():
        ((name, value),) = sign(provider(kind, key=KEY))
        assert isinstance(value, Secret)
        assert "0123456789" not in repr(value)
        if row.auth in ("x-api-key", "x-goog-api-key", "api-key"):
            assert (name, value.reveal()) == (row.auth, "sk-0123456789abcdef")
        elif row.auth == "google":
            assert (name, value.reveal()) == ("x-goog-api-key", "sk-0123456789abcdef")  # no project: express mode
        else:
            assert (name, value.reveal()) == ("authorization", "Bearer sk-0123456789abcdef")
        if row.local or row.base_url is None:
            assert sign(provider(kind)) == ()


def test_a_missing_key_is_told_with_the_way_out() -> None:
    """Without its key a cloud is not called; the message names the variables, and another provider may be asked."""
    with pytest.raises(ProviderError, match="set ANTHROPIC_API_KEY or CLAUDE_API_KEY") as caught:
        sign(provider("anthropic"))
    assert caught.value.kind is Kind.AUTH


def test_a_key_never_travels_in_the_clear() -> None:
    """A key is refused to a plain http address of another machine, unless the user trusts that host."""
    remote = provider("vllm", key=KEY, base_url="http://gpu.lan:8000/v1")
    with pytest.raises(ProviderError, match="not https"):
        sign(remote)
    assert sign(remote, trusted_hosts=("GPU.lan",))
    assert sign(dataclasses.replace(remote, base_url="https://gpu.lan/v1"))
    assert sign(dataclasses.replace(remote, base_url="http://127.0.0.1:8000/v1"))
    assert sign(dataclasses.replace(remote, socket="/run/model.sock"))
    with pytest.raises(ProviderError):
        sign(dataclasses.replace(remote, base_url="http://[::1"))


def test_a_key_that_cannot_be_fetched_is_this_providers_failure_alone() -> None:
    """A failing key command becomes ProviderError(AUTH), so that the router asks the next provider."""

    def fail() -> str:
        return "  "

    with pytest.raises(ProviderError, match="is empty") as caught:
        sign(provider("openai", key=Secret.later(fail, source="the command pass")))
    assert caught.value.kind is Kind.AUTH


@pytest.mark.parametrize("kind", ["azure", "azure-responses"])
def test_a_token_of_entra_is_sent_as_one(kind: str) -> None:
    """Azure takes a key in a header of its own and a token as bearer; only the latter is three parts with dots."""
    address = "https://r.openai.azure.com"
    for key, expected in (
        ("0123456789abcdef0123456789abcdef", ("api-key", "0123456789abcdef0123456789abcdef")),
        ("eyJhbGciOi.eyJhdWQi.c2lnbg", ("authorization", "Bearer eyJhbGciOi.eyJhdWQi.c2lnbg")),
        ("eyJ0123456789", ("api-key", "eyJ0123456789")),
    ):
        ((name, value),) = sign(provider(kind, key=Secret(key), base_url=address))
        assert isinstance(value, Secret)
        assert (name, value.reveal()) == expected
    with pytest.raises(ProviderError, match="set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"):
        sign(provider(kind, base_url=address))
