"""How a call is signed: which header carries the key, and when a key must stay where it is."""

from __future__ import annotations

from collections.abc import Collection

from glossator_providers.catalog import Provider, host_of, is_loopback
from glossator_providers.errors import ConfigError, Kind, ProviderError
from glossator_providers.secrets import Secret


def sign(provider: Provider, *, trusted_hosts: Collection[str] = ()) -> tuple[tuple[str, Secret | str], ...]:
    """Return the headers that authorise a call to this provider.

    Raises ProviderError(AUTH), so that another provider can be asked, where a key is needed and absent, cannot be
    fetched, or would travel unencrypted to another machine that the user did not list in `trusted_hosts`.
    A key from a command is fetched here, which takes time: while `provider.key.ready` is false, call on a thread.
    """
    if provider.key is None:
        if provider.row.key_required and not provider.local:
            names = " or ".join(provider.row.key_env)
            raise _refusal(
                provider,
                f"no key for {provider.row.title} is configured; set {names}, or key_env or key_command in the configuration",
            )
        return ()
    _check_encrypted(provider, trusted_hosts)
    try:
        if provider.row.auth == "x-api-key":
            return (("x-api-key", Secret(provider.key.reveal(), source=provider.key.source)),)
        return (("authorization", provider.key.prefixed("Bearer ")),)
    except ConfigError as error:
        raise _refusal(provider, str(error)) from error


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
