"""Access tokens of Google Cloud: from the credentials that Google's own tools leave on a machine, renewed before they end.

https://cloud.google.com/docs/authentication/application-default-credentials. What must be signed is signed by google-auth,
the extra `vertex`. It opens no socket: each exchange that it wants is made by the door, on the thread that waits for the
token. Such an exchange carries credentials to Google, and never a word of the user's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from glossator_providers.catalog import Provider, Row, Timeouts, is_loopback
from glossator_providers.dialects.dialect import Payload
from glossator_providers.dialects.values import count, mapping, text
from glossator_providers.errors import ConfigError, EgressDenied, Kind, ProviderError
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, clear
from glossator_providers.secrets import Fetched, Token
from glossator_providers.transport import Call, Transport

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METADATA = "169.254.169.254"  # what answers on a machine of Google's: https://cloud.google.com/compute/docs/metadata
SECONDS = 10.0  # for one exchange
_LARGEST = 1 << 20  # bytes
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}")  # it becomes a header
_ADVICE = "run: gcloud auth application-default login, or look at GOOGLE_APPLICATION_CREDENTIALS"
_ROW = Row(kind="google-sign-in", title="Google's sign-in", dialect="", base_url=None, auth="none")


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of an exchange, as google-auth wants to see it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def find_token(environment: Mapping[str, str]) -> Token:
    """Return the token of whoever is signed in here; nothing is read or asked before it is first revealed."""
    quota_project = environment.get("GOOGLE_CLOUD_QUOTA_PROJECT", "").strip() or None
    credentials = Credentials(_file(environment), quota_project=quota_project)
    return Token(credentials, source="Google's application default credentials")


def _file(environment: Mapping[str, str]) -> Path:
    """Return where the credentials are, if anywhere: the file that the user names, else that of Google's command line."""
    named = environment.get("GOOGLE_APPLICATION_CREDENTIALS", "").strip()
    if named:
        return Path(named).expanduser()
    folder = environment.get("CLOUDSDK_CONFIG", "").strip()
    if not folder and environment.get("APPDATA"):
        folder = f"{environment['APPDATA']}/gcloud"
    return Path(folder or "~/.config/gcloud").expanduser() / "application_default_credentials.json"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Fetch a token when called; reads its file anew each time.

    *ask* makes the exchanges, and *metadata* is the address of what answers on a machine of Google's. *quota_project* pays
    instead of the one that the file names: https://cloud.google.com/docs/quotas/set-quota-project.
    """

    file: Path
    metadata: str = METADATA
    ask: Callable[..., Reply] | None = None
    quota_project: str | None = None

    def __call__(self) -> Fetched:
        """Return a token; raises ConfigError without usable credentials, ProviderError where nobody answers."""
        fetched = self._fetch()
        payer = self.quota_project or fetched.payer
        if payer is not None and not _PROJECT.fullmatch(str(payer)):
            raise ConfigError(
                "the quota project of Google's credentials is not the name of a project; set GOOGLE_CLOUD_QUOTA_PROJECT, or run: "
                "gcloud auth application-default set-quota-project NAME"
            )
        return replace(fetched, payer=payer)

    def _fetch(self) -> Fetched:
        try:
            content = self.file.read_text("utf-8")
        except FileNotFoundError:
            return self._ask_the_machine()
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"Google's credentials in {self.file} cannot be read; {_ADVICE}") from None
        return _sign_in(content, str(self.file), ask=self.ask or exchange)

    def _ask_the_machine(self) -> Fetched:
        """Ask what answers on Google's own machines; elsewhere nothing does."""
        now = dt.datetime.now(dt.UTC).timestamp()
        url = f"http://{self.metadata}/computeMetadata/v1/instance/service-accounts/default/token"
        try:
            reply = exchange(url, headers={"Metadata-Flavor": "Google"})
            told = mapping(json.loads(reply.data))
        except (ProviderError, ValueError, RecursionError):
            told = {}
        token, seconds = text(told.get("access_token")), count(told.get("expires_in"))
        if not token:
            raise ConfigError(f"no credentials for Google Cloud were found, {self.file} does not exist; {_ADVICE}")
        return Fetched(token, now + (seconds or 0))


def _sign_in(content: str, place: str, *, ask: Callable[..., Reply]) -> Fetched:
    """Exchange the credentials of a file for a token."""
    try:
        from google.auth import exceptions  # an extra, and slow to import
        from google.oauth2 import credentials as user
        from google.oauth2 import service_account
    except ImportError:
        raise ConfigError("Vertex AI needs the extra: install glossator[vertex]") from None
    credentials: Any
    try:
        told = mapping(json.loads(content))
        match told.get("type"):
            case "service_account":
                credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # google-auth does not say
                    told, scopes=[SCOPE]
                )
            case "authorized_user":
                credentials = user.Credentials.from_authorized_user_info(told)  # type: ignore[no-untyped-call]  # google-auth does not say
            case other:
                # Others run programs or ask third parties for their part, which is the command line's to do.
                raise ConfigError(
                    f"Google's credentials in {place} are of the kind {str(other)[:40]!r}, which is not read here; "
                    'set key_command = ["gcloud", "auth", "print-access-token"] and project'
                )
    except (ValueError, TypeError, RecursionError, exceptions.GoogleAuthError):
        raise ConfigError(f"Google's credentials in {place} are damaged; {_ADVICE}") from None
    try:
        credentials.refresh(ask)
    except exceptions.GoogleAuthError as error:
        why = str(error.args[0] if error.args else error).partition("\n")[0][:200]
        raise ConfigError(f"Google gave no access token for {place} ({why}); {_ADVICE}") from None
    ends = credentials.expiry.replace(tzinfo=dt.UTC).timestamp()
    return Fetched(credentials.token, ends, credentials.quota_project_id or None)


def exchange(
    url: str,
    method: Literal["GET", "POST"] = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: object,
) -> Reply:
    """Make one exchange for google-auth, through the door; raises ProviderError where nobody answers in time.

    It has google-auth's signature, https://googleapis.dev/python/google-auth/latest/reference/google.auth.transport.html,
    and a loop of its own, since google-auth waits for it: call it on a thread that has none.
    """
    content = body.encode() if isinstance(body, str) else body or b""
    return asyncio.run(_exchange(url, method, content, headers or {}, min(timeout or SECONDS, SECONDS)))


async def _exchange(
    url: str, method: Literal["GET", "POST"], body: bytes, headers: Mapping[str, str], seconds: float
) -> Reply:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise EgressDenied("Google's credentials name an address that is none, so nothing was sent") from None
    if parts.scheme != "https" and not (is_loopback(host) or host == METADATA):
        raise EgressDenied("Google's credentials name an address that is not https, so nothing was sent")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    payload = Payload(method, path, tuple(headers.items()), body)
    timeouts = Timeouts(connect=min(seconds, 3), total=seconds)
    provider = Provider(_ROW.title, _ROW, "", f"{parts.scheme}://{parts.netloc}", timeouts=timeouts)
    # What is sent are credentials, made here; said so, the door does not take them for a secret that slipped in.
    ours = Fragment(body.decode("utf-8", "replace"), (Origin(OriginKind.PRODUCT),))
    cleared = clear(Request((Message(Role.USER, (ours,)),)), policy=Policy(), files=LocalFiles())
    transport = Transport()
    try:
        async with asyncio.timeout(seconds), transport.send(Call(cleared, provider, payload)) as response:
            return Reply(response.status, response.headers, await response.read(_LARGEST))
    except TimeoutError:
        raise ProviderError(Kind.TIMEOUT, f"no answer within {seconds:g} s", provider=_ROW.title) from None
    finally:
        await transport.aclose()
