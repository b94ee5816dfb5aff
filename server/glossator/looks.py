"""Look how idle providers are, while somebody is at work: by their lists of models, which cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from glossator_providers.catalog import Provider
from glossator_providers.errors import EgressDenied, GlossatorError, ProviderError
from glossator_providers.model import Request
from glossator_providers.router import Router

Clock = Callable[[], float]


async def look_at_idle(router: Router, *, clock: Clock) -> bool:
    """Ask those for their models of whom nothing was heard for a minute; say whether any of them is not as it was.

    Asked are those on this machine and those that the user asked something in this session; never one that may not be used
    yet, and nobody while no question is asked of anybody.
    """
    health = router.state.health
    ready = router.route(Request(messages=())).candidates
    fit = [one for one in ready if _costs_nothing(one) and (one.local or health.was_asked(one.name))]
    idle = health.idle(one.name for one in fit)
    changed = await asyncio.gather(*(_look(router, one, clock) for one in fit if one.name in idle))
    return any(changed)


def _costs_nothing(provider: Provider) -> bool:
    """Say whether nobody notices the question: a model of our own would be loaded, and a key asked for, perhaps with a prompt."""
    return provider.row.kind != "embedded" and (provider.key is None or provider.key.ready)


async def _look(router: Router, provider: Provider, clock: Clock) -> bool:
    who, health = (provider.name, provider.model), router.state.health
    before, began = health.view(who).state, clock()
    error: ProviderError | None = None
    try:
        await router.list_models(provider)
    except EgressDenied:
        return False  # we did not let it go out, which says nothing of the provider
    except ProviderError as failure:
        error = failure
    except GlossatorError:
        return False  # its key cannot be had, say: the next question tells that
    health.seen(provider.name, ok=error is None, seconds=clock() - began, error=error)
    return health.view(who).state != before
