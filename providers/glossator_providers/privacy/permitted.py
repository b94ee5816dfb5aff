"""Which providers the user and the organisation let be asked at all, by their kind or by the host of their address."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from glossator_providers.catalog import Provider, host_of
from glossator_providers.privacy.policy import Policy


def forbidden(provider: Provider, policy: Policy, *, near: bool) -> str | None:
    """Say why *provider* may never be asked, None where it may. What is *near* need not be allowed, and may be denied.

    A name has no say in it: whoever configures a provider may call it as they like.
    """
    if _is_among(provider, policy.deny, anywhere=True):
        return "privacy.deny names it: nobody may ask it"
    if policy.allow is None or near or _is_among(provider, policy.allow, anywhere=False):
        return None
    return "privacy.allow does not name it, and it would leave this machine"


def _is_among(provider: Provider, named: Iterable[str], *, anywhere: bool) -> bool:
    """Say whether a kind or a host (`*.corp.example`: any below it) means this provider.

    A kind that is allowed is allowed at its vendor's own address, for a kind is only a protocol elsewhere; one that is denied,
    *anywhere*.
    """
    host = host_of(provider.base_url).rstrip(".").lower()
    own = provider.row.base_url is not None and _origin(provider.base_url) == _origin(provider.row.base_url)
    for one in named:
        word = one.strip().rstrip(".").lower()
        if word == provider.row.kind and (anywhere or own):
            return True
        if word == host or (word.startswith("*.") and host.endswith(word[1:])):
            return True
    return False


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()
