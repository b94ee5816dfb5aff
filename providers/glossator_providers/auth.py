"""How a call is signed: which header carries the key, and when a key must stay where it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from glossator_providers import aws
from glossator_providers.catalog import Provider, host_of, is_loopback
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import ConfigError, Kind, ProviderError
from glossator_providers.secrets import Secret, Token

SECONDS = 30.0  # to find AWS credentials, which may have to be asked for

Headers = tuple[tuple[str, Secret | str], ...]


async def signed(
    provider: Provider,
    payload: Payload,
    *,
    trusted_hosts: Collection[str] = (),
    find_credentials: Callable[[], aws.Credentials] = aws.find_credentials,
    seconds: float = SECONDS,
) -> Headers:
    """Return what `sign` returns, on a thread where it runs a command or looks for credentials; raises ProviderError(AUTH).

    *seconds* bounds the search for AWS credentials; a command has a limit of its own.
    """
    waits = provider.row.auth == "aws" if provider.key is None else not provider.key.ready
    if not waits:
        return sign(provider, payload, trusted_hosts=trusted_hosts)
    work = asyncio.to_thread(sign, provider, payload, trusted_hosts=trusted_hosts, find_credentials=find_credentials)
    if provider.key is not None:
        return await work
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise _refusal(
            provider,
            f"its AWS credentials were not found within {seconds:g} s; look at AWS_PROFILE and its credential process",
        ) from None


def sign(
    provider: Provider,
    payload: Payload | None = None,
    *,
    trusted_hosts: Collection[str] = (),
    clock: Callable[[], float] = time.time,
    find_credentials: Callable[[], aws.Credentials] = aws.find_credentials,
) -> Headers:
    """Return the headers that authorise a call to this provider.

    A signature of AWS is one of the call itself, so it needs *payload*, and *clock*, in seconds since the epoch.

    Raises ProviderError(AUTH), so that another provider can be asked, where a key is needed and absent, cannot be
    fetched, or would travel unencrypted to another machine that the user did not list in `trusted_hosts`.
    A key from a command is fetched here, which takes time: while `provider.key.ready` is false, call on a thread.
    """
    if provider.key is None:
        if provider.row.key_required and not provider.local:
            names = " or ".join(provider.row.key_env or provider.row.project_env)
            raise _refusal(
                provider,
                f"no key for {provider.row.title} is configured; set {names}, or key_env or key_command in the configuration",
            )
        if provider.row.auth == "aws" and not provider.local and payload is not None:
            return _sign_for_aws(provider, payload, trusted_hosts, clock(), find_credentials)
        return ()
    _check_encrypted(provider, trusted_hosts)
    try:
        if provider.row.auth == "x-api-key" and _is_token_of_anthropic(provider.key):
            return (("authorization", provider.key.prefixed("Bearer ")),)
        if provider.row.auth in ("x-api-key", "x-goog-api-key"):
            return ((provider.row.auth, Secret(provider.key.reveal(), source=provider.key.source)),)
        if provider.row.auth == "google" and provider.project is None:
            # A key without a project is one of express mode; with a project it is an access token.
            return (("x-goog-api-key", Secret(provider.key.reveal(), source=provider.key.source)),)
        if provider.row.auth == "api-key" and not _is_token(provider.key):
            return (("api-key", Secret(provider.key.reveal(), source=provider.key.source)),)
        bearer = provider.key.prefixed("Bearer ")  # first: it fetches the key, which may bring the name of who pays
        return (("authorization", bearer), *_payer(provider))
    except ConfigError as error:
        raise _refusal(provider, str(error)) from error


def describe_key(provider: Provider) -> tuple[tuple[str, str], ...]:
    """Return the headers that would authorise a call, with words in place of the key; fetches no key and runs no command."""
    if provider.key is None:
        signed_by_aws = provider.row.auth == "aws" and not provider.local
        return (("authorization", "AWS's signature of this request"),) if signed_by_aws else ()
    words = f"(the key from {provider.key.source})"
    key = provider.key
    by_token = key.ready and (
        _is_token_of_anthropic(key)
        if provider.row.auth == "x-api-key"
        else provider.row.auth == "api-key" and _is_token(key)
    )
    if provider.row.auth == "google" and provider.project is None:
        return (("x-goog-api-key", words),)
    if provider.row.auth in ("x-api-key", "x-goog-api-key", "api-key") and not by_token:
        return ((provider.row.auth, words),)
    return (("authorization", f"Bearer {words}"), *((name, str(value)) for name, value in _payer(provider)))


def _payer(provider: Provider) -> Headers:
    """Return the headers that say who of several pays, https://platform.openai.com/docs/api-reference/authentication.

    Google's is https://cloud.google.com/docs/quotas/set-quota-project.
    """
    if isinstance(provider.key, Token) and provider.key.payer is not None:
        return (("x-goog-user-project", provider.key.payer),)
    if not provider.row.organization_env:
        return ()
    named = (("openai-organization", provider.organization), ("openai-project", provider.project))
    return tuple((header, value) for header, value in named if value is not None)


def _is_token_of_anthropic(key: Secret) -> bool:
    """Say whether this is a token of a login and no key: by the variable that holds it, or by its beginning."""
    return key.source == "ANTHROPIC_AUTH_TOKEN" or key.reveal().startswith("sk-ant-oat")


def _sign_for_aws(
    provider: Provider,
    payload: Payload,
    trusted_hosts: Collection[str],
    now: float,
    find_credentials: Callable[[], aws.Credentials],
) -> Headers:
    _check_encrypted(provider, trusted_hosts)  # the token of a session travels with the call
    content_type = next((value for name, value in payload.headers if name.lower() == "content-type"), None)
    url = provider.base_url.rstrip("/") + payload.path
    try:
        return aws.signature(payload.method, url, content_type, payload.body, credentials=find_credentials(), now=now)
    except ConfigError as error:
        raise _refusal(provider, str(error)) from error


def _is_token(key: Secret) -> bool:
    """Say whether this is a token of Entra and no key of Azure: such a token is three parts with dots (RFC 7519)."""
    return key.reveal().startswith("eyJ") and key.reveal().count(".") == 2  # noqa: PLR2004  header, claims, signature


def _check_encrypted(provider: Provider, trusted_hosts: Collection[str]) -> None:
    """Refuse to send a key in the clear, as botocore does, except to this machine or a host that the user trusts."""
    host = host_of(provider.base_url)
    if provider.base_url.lower().startswith("https://") or provider.socket is not None or is_loopback(host):
        return
    if host in {trusted.lower() for trusted in trusted_hosts}:
        return
    raise _refusal(
        provider,
        f"its address is not https, so on the way to {host or 'it'} anybody could read the key; "
        "use https, or list the host in privacy.trusted_hosts",
    )


def _refusal(provider: Provider, message: str) -> ProviderError:
    return ProviderError(Kind.AUTH, message, provider=provider.name)
