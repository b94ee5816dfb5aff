"""How the providers are, for every front to show: who may be asked, how each has been of late, who rests, what was spent today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glossator.markdown import plain, visible
from glossator.tasks.conversation import author_for
from glossator_providers.budget import Spent
from glossator_providers.catalog import Provider
from glossator_providers.errors import NoProvider
from glossator_providers.model import Request
from glossator_providers.route import Groups
from glossator_providers.router import Router

_LONGEST_ERROR = 200  # characters
NOBODY = NoProvider(
    "no model is configured or running; start Ollama, LM Studio, llama.cpp or vLLM, set a key such as "
    "ANTHROPIC_API_KEY, or write a configuration file (glossator doctor says more)"
)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider as it stands; durations are in seconds.

    `state` is `ready`, `no key`, `by name only` of a toy, or `ask first` where its use has not been allowed yet. `health` is
    `unknown`, `up`, `slow`, `failing` or `down`, `score` from 0 to 1, and `p50` and `p95` are times to the first token. After
    failures it rests and is asked again in `retry_in`. What was spent today is counted beyond this machine alone.
    """

    name: str
    kind: str
    model: str
    local: bool
    toy: bool
    state: str
    health: str
    score: float
    p50: float | None
    p95: float | None
    last_error: str | None
    last_error_ago: float | None
    retry_in: float
    active: int
    dollars_today: float
    tokens_today: int


@dataclass(frozen=True, slots=True)
class Status:
    """What is there to answer: `health` is `ok`, or `warning` with a `message` that says what to do.

    `first` is who would be asked first for something that is not private, as menus name it; `preferred` the provider or group
    that the user chose for this session.
    """

    health: str
    message: str
    providers: tuple[ProviderStatus, ...]
    first: str | None = None
    preferred: str | None = None
    groups: Mapping[str, Sequence[str]] | None = None


def status_of(router: Router, *, groups: Groups, spent: Mapping[str, Spent]) -> Status:
    """Say how the providers of a router are; opens no connection."""
    candidates = router.route(Request(messages=())).candidates
    ready = {provider.name for provider in candidates}
    every = tuple(
        _provider_status(router, provider, ready=provider.name in ready, spent=spent.get(provider.name, Spent()))
        for provider in router.providers
    )
    message = _warning(every)
    return Status(
        "warning" if message else "ok",
        message,
        every,
        first=author_for(candidates[0]).title if candidates else None,
        preferred=router.preferred,
        groups=groups,
    )


def _provider_status(router: Router, provider: Provider, *, ready: bool, spent: Spent) -> ProviderStatus:
    who = (provider.name, provider.model)
    view = router.state.health.view(who)
    error = view.last_error
    return ProviderStatus(
        provider.name,
        provider.row.kind,
        provider.model,
        provider.local,
        provider.toy,
        "ready" if ready else _why_not_ready(provider),
        health=view.state,
        score=round(view.score, 3),
        p50=_rounded(view.p50),
        p95=_rounded(view.p95),
        last_error=None if error is None else plain(visible(f"{error.kind}: {error.message}"))[:_LONGEST_ERROR],
        last_error_ago=_rounded(view.last_error_ago),
        retry_in=round(router.state.breakers.retry_in(who), 1),
        active=router.state.active[who],
        dollars_today=round(spent.dollars, 6),
        tokens_today=spent.tokens,
    )


def _why_not_ready(provider: Provider) -> str:
    if provider.toy:
        return "by name only"
    return "no key" if provider.key is None and provider.row.key_required and not provider.local else "ask first"


def _warning(every: Sequence[ProviderStatus]) -> str:
    """Say what stands in the way of every answer, nothing where somebody may give one."""
    if not every:
        return str(NOBODY)
    ready = [one for one in every if one.state == "ready"]
    if not ready or any(one.retry_in == 0 for one in ready):
        return ""
    resting = "; ".join(f"{one.name} for {one.retry_in:.0f} s more ({one.last_error})" for one in ready)
    return f"all who may answer rest after failures: {resting}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
