"""What `--check` and `doctor` say of a provider, each sentence against a real server on loopback that does wrong so."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.checking import Check, check, sentence
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.secrets import Secret
from glossator_providers.transport import Transport

MODELS = {"object": "list", "data": [{"id": "gpt-6-sol"}, {"id": "gpt-6-luna"}]}
KEY = Secret("sk-" + "proj" + "-0123456789abcdefghij", source="OPENAI_API_KEY")
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to Wi-Fi</title></head></html>"
REFUSED = {
    "error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}
}


@dataclass
class Site:
    """A server of HTTP on loopback: what it answers by path, and the requests that it got."""

    answers: Mapping[str, tuple[int, str, bytes]]
    otherwise: tuple[int, str, bytes] = (404, "application/json", b'{"error":{"message":"Not Found"}}')
    asked: list[str] = field(default_factory=list)
    origin: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            status, kind, body = self.answers.get(head.split(" ")[1], self.otherwise)
            fields = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close"
            writer.write(f"HTTP/1.1 {status} X\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # who was refused at the door said nothing more
        finally:
            writer.close()


@asynccontextmanager
async def site(
    answers: Mapping[str, tuple[int, str, bytes]] | None = None,
    *,
    otherwise: tuple[int, str, bytes] | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Site]:
    """Run a site until the block is left."""
    served = Site(answers or {}) if otherwise is None else Site(answers or {}, otherwise)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=context)
    served.origin = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield served


def models(listed: object = MODELS) -> tuple[int, str, bytes]:
    """Return the answer of a list of models."""
    return 200, "application/json", json.dumps(listed).encode()


def provider(kind: str, address: str, *, model: str = "gpt-6-sol", key: Secret | None = KEY) -> Provider:
    """Make a provider of this kind at an address of ours."""
    return Provider("work", ROWS[kind], model, address, key=key)


async def checked(asked: Provider, **environment: str) -> Check:
    """Check a provider by a router and a door of its own."""
    transport = Transport()
    router = Router([asked], transport=transport, policy=Policy(), files=LocalFiles())
    try:
        return await check(asked, router, environment=environment)
    finally:
        await transport.aclose()


async def test_who_lists_its_models_is_up() -> None:
    """The models are told and how long it took, and nothing is left to say."""
    async with site({"/v1/models": models()}) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
    assert (found.state, [one.name for one in found.models], found.note) == ("up", ["gpt-6-sol", "gpt-6-luna"], None)
    assert found.seconds is not None
    assert all(head.startswith("GET ") for head in served.asked), "nothing was asked that costs"


async def test_a_model_that_is_not_in_the_list_is_told_with_the_nearest() -> None:
    """It is up, for its other models answer; the nearest names are proposed."""
    async with site({"/v1/models": models()}) as served:
        found = await checked(provider("openai", f"{served.origin}/v1", model="gpt-6-soll"))
    assert found.state == "up"
    assert found.note == "it lists no model gpt-6-soll; the nearest names are gpt-6-sol, gpt-6-luna"


async def test_a_wrong_key_is_told_by_the_place_that_it_came_from() -> None:
    """The vendor's own word, the variable, and not the key; and nothing else is tried with it."""
    async with site(otherwise=(401, "application/json", json.dumps(REFUSED).encode())) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
        without = await checked(provider("openai-compatible", f"{served.origin}/v1", key=None))
    assert found.state == without.state == "down"
    assert "Incorrect API key provided (HTTP 401)" in (found.note or "")
    assert (found.note or "").endswith("the key from OPENAI_API_KEY is not accepted: make or copy it anew")
    assert (without.note or "").endswith("it wants a key: name one with key_env")
    assert KEY.reveal() not in str(found)
    assert len(served.asked) == 2


@pytest.mark.parametrize(
    ("written", "right"),
    [("", "/v1"), ("/v1/chat/completions", "/v1"), ("/v1/models", "/v1"), ("/v2", "/v1")],
)
async def test_a_slip_in_the_path_is_found(written: str, right: str) -> None:
    """A missing /v1, a call's path or another version: the address that has the list is named; only this origin is asked."""
    async with site({"/v1/models": models()}) as served:
        found = await checked(provider("openai", f"{served.origin}{written}"))
    assert found.state == "down"
    assert found.note == (
        f"its list of models is at {served.origin}{right} and not at {served.origin}{written}: correct base_url"
    )


async def test_a_version_too_many_is_found() -> None:
    """Ollama's own protocol lies at the root: the address of its other protocol is corrected."""
    async with site({"/api/tags": models({"models": [{"name": "gemma3", "model": "gemma3"}]})}) as served:
        found = await checked(provider("ollama", f"{served.origin}/v1", key=None))
    assert found.note == f"its list of models is at {served.origin} and not at {served.origin}/v1: correct base_url"


async def test_an_address_without_anything_is_told_with_the_usual_one() -> None:
    """404 everywhere: the sentence names the address that was asked and the vendor's own."""
    async with site() as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
    assert found.state == "down"
    assert (found.note or "").endswith(
        f"there is no list of models at {served.origin}/v1: correct base_url (that of OpenAI is https://api.openai.com/v1)"
    )


async def test_a_web_page_is_no_list() -> None:
    """HTML with status 200 is a wrong address; with the status of a proxy it is somebody in between."""
    async with site(otherwise=(200, "text/html; charset=utf-8", PAGE)) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
    assert found.state == "down"
    assert "Sign in to Wi-Fi" in (found.note or "")
    assert "correct base_url" in (found.note or "")
    async with site(otherwise=(502, "text/html", PAGE)) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
    assert (found.note or "").endswith("a proxy or a sign-in page of your network stands in between")


async def test_a_proxy_that_wants_a_sign_in_is_told() -> None:
    """407 is never the provider's own answer."""
    async with site(otherwise=(407, "text/plain", b"Proxy Authentication Required")) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
    assert found.state == "down"
    assert (found.note or "").startswith("a proxy in between wants a sign-in first (HTTP 407)")


async def test_a_server_that_does_not_run_is_told(started_server: Callable[[int], None]) -> None:
    """Nobody listens on the port: the sentence names it and the program."""
    async with site() as served:
        address = served.origin
    started_server(int(address.rpartition(":")[2]))
    found = await checked(provider("ollama", address, key=None))
    assert found.state == "down"
    assert "refused" in (found.note or "")
    assert (found.note or "").endswith(f"nobody answers at {address.partition('://')[2]}: is Ollama running there?")


def test_a_proxy_that_is_not_used_is_told() -> None:
    """Where a cloud cannot be reached and a proxy stands in the environment, that is the likely reason."""
    cloud = replace(provider("openai", "https://api.openai.com/v1"))
    failure = ProviderError(Kind.TIMEOUT, "no connection could be made in time", provider="work")
    told = sentence(cloud, failure, {"HTTPS_PROXY": "http://proxy.example.test:3128"})
    assert told == (
        "no connection could be made in time; HTTPS_PROXY is set, but no proxy is used: "
        "allow api.openai.com to be reached directly, or set base_url to a gateway"
    )
    assert sentence(cloud, failure, {}) == "no connection could be made in time"


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    """The reason is the certificate's, and nobody is told to start a server that runs."""
    async with site(otherwise=models(), context=_self_signed(tmp_path)) as served:
        found = await checked(provider("openai", f"{served.origin}/v1"))
        plain = await checked(provider("openai", f"{served.origin.replace('https', 'http')}/v1"))
        assert served.asked == [], "nothing was sent"
    assert found.state == "down"
    assert "certificate" in (found.note or "")
    assert "running" not in (found.note or "")
    assert plain.state == "down"


async def test_a_server_without_a_list_is_not_down() -> None:
    """A server that only speaks like OpenAI's may have no list: it answers, and a call that costs is not made to prove more."""
    async with site() as served:
        found = await checked(provider("openai-compatible", f"{served.origin}/v1"))
    assert found.state == "no list"
    assert found.note == (
        "it does not list its models (HTTP 404); its address answers and OPENAI_API_KEY is set, "
        "and only a call that costs could prove more"
    )
    assert all(head.startswith("GET ") for head in served.asked)


async def test_bedrock_is_reached_without_a_key(started_server: Callable[[int], None]) -> None:
    """Its list is elsewhere, so its address is asked alone, without the key; where nobody answers it is down."""
    key = Secret("ABSK" + "a" * 40, source="AWS_BEARER_TOKEN_BEDROCK")
    async with site(otherwise=(403, "application/json", b'{"message":"Missing Authentication Token"}')) as served:
        asked = provider("bedrock", served.origin, model="us.amazon.nova-2-lite-v1:0", key=key)
        found = await checked(asked)
    assert found.state == "no list"
    assert "AWS_BEARER_TOKEN_BEDROCK is set" in (found.note or "")
    (head,) = served.asked
    assert head.startswith("GET / ")
    assert "authorization" not in head.lower()
    started_server(int(served.origin.rpartition(":")[2]))
    gone = await checked(asked)
    assert gone.state == "down"
    assert "refused" in (gone.note or "")


async def test_a_list_that_is_open_to_everybody_proves_no_key() -> None:
    """OpenRouter tells anybody its models, so nothing is claimed of the key."""
    async with site({"/api/v1/models": models()}) as served:
        found = await checked(provider("openrouter", f"{served.origin}/api/v1"))
    assert found.state == "up"
    assert "whether its key is accepted" in (found.note or "")


async def test_a_deployment_is_not_taken_for_a_model() -> None:
    """Azure lists what could be deployed: a name that is not among it may be a deployment all the same."""
    async with site({"/openai/v1/models": models()}) as served:
        found = await checked(provider("azure", served.origin, model="our-code-model"))
    assert found.state == "up"
    assert (found.note or "").startswith("it lists models and not deployments")


async def test_a_list_of_googles_that_may_not_be_read_is_no_failure() -> None:
    """A sign-in may ask a model and still not read what is published; one that is not known at all is down."""
    denied = json.dumps(
        {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}
    ).encode()
    async with site(otherwise=(403, "application/json", denied)) as served:
        asked = replace(provider("vertex", served.origin, model="gemini-3.8-flash"), project="p")
        found = await checked(asked)
    assert found.state == "no list"
    unknown = json.dumps(
        {"error": {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}}
    ).encode()
    async with site(otherwise=(401, "application/json", unknown)) as served:
        found = await checked(replace(asked, base_url=served.origin))
    assert found.state == "down"


def _self_signed(folder: Path) -> ssl.SSLContext:
    """Make a certificate that nobody vouches for."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(tz=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    file = folder / "self-signed.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
