"""AWS's signature, version 4, made by botocore's signer with the credentials that botocore finds; the call itself is ours.

Only here is botocore imported, and only when a call is signed: it is the extra `glossator[bedrock]`. It may read AWS's
variables and files and run the user's credential process; what it would ask AWS for over connections of its own (single
sign-on, roles, a machine's own role) is left out, because only the transport opens connections.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from glossator_providers.errors import ConfigError
from glossator_providers.secrets import Secret

_SERVICE = "bedrock"
_REGION = re.compile(r"(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_MISSING = (
    "botocore, which signs calls to AWS, is not installed; install glossator[bedrock], "
    "or set AWS_BEARER_TOKEN_BEDROCK to an API key of Bedrock"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call to AWS is signed with; `token` is there where the credentials last for a session only."""

    access_key: str = field(repr=False)
    secret_key: Secret
    token: Secret | None = None
    region: str | None = None  # the region that the user's own AWS configuration names


class CredentialFinder:
    """Find credentials where AWS's own tools look on this machine: the environment, a profile, a credential process.

    Those that renew themselves are kept; others may be replaced on disk by another program at any time, so they are read again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Any, str | None] | None = None

    def __call__(self) -> Credentials:
        """Return the credentials; raises ConfigError where there are none. It takes time: call it on a thread."""
        with self._lock:
            try:
                # Its log of what it read would hold keys, at the level DEBUG.
                logging.getLogger("botocore").setLevel(logging.WARNING)
                from botocore.credentials import RefreshableCredentials
                from botocore.exceptions import BotoCoreError, ClientError
                from botocore.session import Session
            except ImportError:
                raise ConfigError(_MISSING) from None
            try:
                found, region = self._kept or _resolved(Session())
                if isinstance(found, RefreshableCredentials):
                    self._kept = found, region
                frozen = None if found is None else found.get_frozen_credentials()
            except (
                BotoCoreError,
                ClientError,
                OSError,
                ValueError,
            ) as error:  # ValueError: of a process that prints no JSON
                self._kept = None
                # Not its words: those of a credential process may quote what it printed.
                raise ConfigError(
                    f"the AWS credentials could not be read ({type(error).__name__}); look at AWS_PROFILE and ~/.aws"
                ) from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise ConfigError(
                "no AWS credentials were found on this machine; set AWS_BEARER_TOKEN_BEDROCK, or AWS_PROFILE, or run: "
                'aws configure; with single sign-on or a role: eval "$(aws configure export-credentials --format env)"'
            )
        source = "the AWS configuration"
        token = Secret(frozen.token, source=source) if frozen.token else None
        return Credentials(frozen.access_key, Secret(frozen.secret_key, source=source), token, region)


find_credentials = CredentialFinder()


# botocore's names of the sources that need no connection.
_OFFLINE = frozenset({"env", "shared-credentials-file", "config-file", "boto-config", "custom-process"})


def _resolved(session: Any) -> tuple[Any, str | None]:
    resolver = session.get_component("credential_provider")
    for source in [one.METHOD for one in resolver.providers]:
        if source not in _OFFLINE:
            resolver.remove(source)
    return session.get_credentials(), session.get_config_variable("region")


def region_of(url: str, credentials: Credentials) -> str:
    """Return the region that the address names, else that of the AWS configuration; raises ConfigError where neither does."""
    named = _REGION.search((urlsplit(url).hostname or "") + ".")
    region = named[1] if named else credentials.region
    if not region:
        raise ConfigError(
            "its address names no region of AWS; use https://bedrock-runtime.REGION.amazonaws.com, "
            "or set AWS_DEFAULT_REGION"
        )
    return region


def signature(
    method: str, url: str, content_type: str | None, body: bytes, *, credentials: Credentials, now: float
) -> tuple[tuple[str, Secret | str], ...]:
    """Return the headers that sign a call; *now* is in seconds since the epoch.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The signer's one method
    for it all takes its time from the system and writes the session's token to its log; so its steps are called here.
    Raises ConfigError where no region is named or botocore is missing.
    """
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import ReadOnlyCredentials
    except ImportError:
        raise ConfigError(_MISSING) from None
    time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    token = credentials.token.reveal() if credentials.token else None
    headers = {"X-Amz-Date": time}
    if content_type is not None:
        headers["Content-Type"] = content_type
    if token is not None:
        headers["X-Amz-Security-Token"] = token
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    request.context["timestamp"] = time
    frozen = ReadOnlyCredentials(credentials.access_key, credentials.secret_key.reveal(), token)
    signer = SigV4Auth(frozen, _SERVICE, region_of(url, credentials))
    signed = signer.signed_headers(signer.headers_to_sign(request))
    text = signer.string_to_sign(request, signer.canonical_request(request))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, "
        f"Signature={signer.signature(text, request)}"
    )
    own: list[tuple[str, Secret | str]] = [("x-amz-date", time)]
    if credentials.token is not None:
        own.append(("x-amz-security-token", credentials.token))
    return (*own, ("authorization", Secret(authorization, source=credentials.secret_key.source)))
