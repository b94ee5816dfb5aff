"""What can be known of a provider without paying: whether it answers, takes its key and has the model, or in one sentence why not.

Only lists of models are asked for, and of whom has none whether anybody is at its address. Where an address brings no list,
its usual slips are tried at the same origin: a `/v1` too many or too few, the path of a call at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from urllib.parse import urlsplit

from glossator_providers import capabilities
from glossator_providers.catalog import Provider
from glossator_providers.errors import GlossatorError, Kind, ProviderError
from glossator_providers.keys import CALLS
from glossator_providers.model import ModelInfo
from glossator_providers.models import WEB_PAGE, same_model

# Without a list of their models, for some or for all of their users: Azure's gateways, Google where a sign-in may not read
# what is published, and servers that only speak like OpenAI's.
_MAY_LIST_NOTHING = frozenset({"azure", "azure-responses", "vertex", "vertex-anthropic", "openai-compatible"})
_OPEN_LISTS = frozenset({"openrouter"})  # https://openrouter.ai/docs/api-reference/list-available-models
_NO_SUCH_PAGE = frozenset({404, 405, 501})  # what is answered where there is no list
_FORBIDDEN = frozenset({400, 403})  # what Google answers where it may not be read
_IN_BETWEEN = frozenset({403, 407, 502, 503, 504, 511})  # what proxies and sign-in pages of a network answer with
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Asks(Protocol):
    """What is needed of the router."""

    async def list_models(self, provider: Provider) -> list[ModelInfo]:
        """Ask a provider which models it has; raises ProviderError or EgressDenied."""
        ...

    async def reach(self, provider: Provider) -> None:
        """Find the key, and ask the address without it whether anybody is there; raises as `list_models` does."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: `seconds` until it answered, and in `note` what is wrong or what could not be proven, in one sentence.

    `no list`: it answers and does not list its models, so only a call that costs could prove more.
    """

    state: Literal["up", "down", "no list"]
    models: tuple[ModelInfo, ...] = ()
    seconds: float | None = None
    note: str | None = None


async def check(
    provider: Provider, router: Asks, *, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
) -> Check:
    """Ask a provider what costs nothing, and say what was learned; raises nothing that a provider can cause."""
    began = clock()
    try:
        if provider.row.dialect == "bedrock":
            await router.reach(provider)
            return Check(
                "no list", (), clock() - began, _unproven(provider, "its list of models is at another address")
            )
        models = await router.list_models(provider)
    except GlossatorError as error:
        seconds = clock() - began
        if not isinstance(error, ProviderError):
            return Check("down", note=str(error))
        if _looks_misplaced(error) and (better := await _elsewhere(provider, router)) is not None:
            return Check(
                "down", note=f"its list of models is at {better} and not at {provider.base_url}: correct base_url"
            )
        if _lists_nothing(provider, error):
            return Check(
                "no list", (), seconds, _unproven(provider, f"it does not list its models (HTTP {error.status})")
            )
        return Check("down", note=sentence(provider, error, environment))
    return Check("up", tuple(models), clock() - began, _doubt(provider, models))


def sentence(provider: Provider, error: ProviderError, environment: Mapping[str, str]) -> str:
    """Say in one sentence what is wrong and what to do about it; *environment* may name a proxy."""
    place, title = urlsplit(provider.base_url).netloc, provider.row.title
    said = error.message + (f" (HTTP {error.status})" if error.status else "")  # the name stands beside it already
    if error.status == 407:  # noqa: PLR2004  Proxy Authentication Required
        return f"a proxy in between wants a sign-in first (HTTP 407), so {place} was not reached: ask whoever runs your network"
    if error.code == WEB_PAGE and error.status in _IN_BETWEEN:
        return f"{said}; it is not the answer of {title}: a proxy or a sign-in page of your network stands in between"
    if error.code == WEB_PAGE or error.status in _NO_SUCH_PAGE:
        return f"{said}; there is no list of models at {provider.base_url}: correct base_url{_usual(provider)}"
    match error.kind:
        case Kind.AUTH if error.status and provider.key is not None:
            return f"{said}; the key from {provider.key.source or 'the configuration'} is not accepted: make or copy it anew"
        case Kind.AUTH if error.status:
            return f"{said}; it wants a key: name one with key_env"
        case Kind.NETWORK | Kind.TIMEOUT if provider.local and not _is_about_encryption(error):
            return f"{said}; nobody answers at {provider.socket or place}: is {title} running there?"
        case Kind.NETWORK | Kind.TIMEOUT if proxy := next((name for name in _PROXIES if environment.get(name)), None):
            return f"{said}; {proxy} is set, but no proxy is used: allow {place} to be reached directly, or set base_url to a gateway"
        case _:
            return said


def _doubt(provider: Provider, models: Iterable[ModelInfo]) -> str | None:
    """Say what is doubtful about a provider that listed its models."""
    told = _about_the_model(provider, models)
    if told is None and provider.row.kind in _OPEN_LISTS and provider.key is not None:
        return "its list is open to everybody: whether its key is accepted, only a call that costs could show"
    return told


def _about_the_model(provider: Provider, models: Iterable[ModelInfo]) -> str | None:
    """Say what is doubtful about the model, by the names that its provider listed."""
    names = [one.name for one in models]
    if not provider.model or not names or any(same_model(name, provider.model) for name in names):
        return None
    if provider.row.kind in ("azure", "azure-responses"):
        return f"it lists models and not deployments: only a call that costs could show whether {provider.model} is one"
    near = capabilities.nearest(provider.model, names)
    return f"it lists no model {provider.model}" + (f"; the nearest names are {', '.join(near)}" if near else "")


def _unproven(provider: Provider, why: str) -> str:
    key = "no key is set" if provider.key is None else f"{provider.key.source or 'its key'} is set"
    found = "credentials were found" if provider.key is None and provider.row.auth == "aws" else key
    return f"{why}; its address answers and {found}, and only a call that costs could prove more"


def _lists_nothing(provider: Provider, error: ProviderError) -> bool:
    """Say whether this failure may mean that there is no list, and nothing worse."""
    if provider.row.kind not in _MAY_LIST_NOTHING or error.code == WEB_PAGE:
        return False
    return error.status in (_NO_SUCH_PAGE | _FORBIDDEN if provider.row.auth == "google" else _NO_SUCH_PAGE)


def _looks_misplaced(error: ProviderError) -> bool:
    """Say whether somebody answered, and with something else than a list or a reason not to give it."""
    no_list = error.status in (None, 200) and error.kind in (Kind.BAD_REQUEST, Kind.BROKEN_STREAM, Kind.SERVER)
    return error.status in _NO_SUCH_PAGE or (no_list and error.kind is not Kind.NETWORK)


async def _elsewhere(provider: Provider, router: Asks) -> str | None:
    """Return the address at the same origin where there is a list, None where none of the usual slips explains it."""
    for address in _corrections(provider):
        try:
            if await router.list_models(replace(provider, base_url=address)):
                return address
        except GlossatorError:
            continue
    return None


def _corrections(provider: Provider) -> list[str]:
    """Return what may have been meant by a base URL, the likeliest first."""
    parts = urlsplit(provider.base_url)
    path = parts.path.rstrip("/")
    short = next((path.removesuffix(ending) for ending in CALLS if path.endswith(ending)), path)
    usual = urlsplit(provider.row.base_url or "").path.rstrip("/")
    meant = [short, usual, short.removesuffix("/v1") if short.endswith("/v1") else f"{short}/v1"]
    return [parts._replace(path=one).geturl() for one in dict.fromkeys(meant) if one != path]


def _usual(provider: Provider) -> str:
    return f" (that of {provider.row.title} is {provider.row.base_url})" if provider.row.base_url else ""


def _is_about_encryption(error: ProviderError) -> bool:
    return "certificate" in error.message or "encrypted" in error.message
