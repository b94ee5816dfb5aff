"""Where a request would go: who may answer it and who may not, with the reasons in words; opens no connection, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from glossator_providers.catalog import Provider
from glossator_providers.errors import GlossatorError, NoProvider, PolicyRefusal
from glossator_providers.model import Level, ModelInfo, Request
from glossator_providers.models import leaves_the_machine
from glossator_providers.privacy import Cleared, Decision, Policy, is_near
from glossator_providers.privacy.permitted import forbidden

Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request would go: who may answer, in the order of asking, and who may not, with the reason in words.

    `warnings` is what the user should know of it, such as a budget that is nearly spent; `reason` why the first is the first.
    So many secrets are `masked` before it is sent.
    """

    decision: Decision
    candidates: tuple[Provider, ...]
    refused: tuple[tuple[Provider, str], ...]
    warnings: tuple[str, ...] = ()
    reason: str = ""
    masked: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """Two providers compared in daily use: so large a share of the requests that either may answer goes to the second first."""

    between: tuple[str, str]
    share: float = 0.5


def named(request: Request, providers: Sequence[Provider], groups: Groups) -> list[Provider]:
    """Return the providers that the request names, each with the model that it names; all where it names none."""
    chosen = list(providers)
    if request.provider is not None:
        names = groups.get(request.provider, (request.provider,))
        chosen = [provider for name in names for provider in providers if provider.name == name]
    elif request.model is not None:
        chosen = [provider for provider in chosen if provider.model == request.model] or chosen
    if request.model is None:
        return chosen
    return [replace(provider, model=request.model) for provider in chosen]


def objection(provider: Provider, cleared: Cleared, policy: Policy) -> str | None:
    """Say in words why this provider may not or cannot answer, None where nothing stands against it."""
    near = is_near(provider, policy.trusted_hosts)
    if (denied := forbidden(provider, policy, near=near)) is not None:
        return denied
    if not cleared.covers(provider):
        if provider.found and not near and cleared.decision.level is Level.OPEN:
            return "it was found by its key, and you have not allowed it in this workspace yet"
        because = "; ".join(str(reason) for reason in cleared.decision.reasons) or "the privacy rules say so"
        return f"only a model on this machine may see this: {because}"
    if cleared.decision.level > Level.OPEN and leaves_the_machine(ModelInfo(provider.model)):
        return f"its model {provider.model} runs on another machine"
    if provider.key is None and provider.row.key_required and not near:
        return f"its key is missing: set {' or '.join(provider.row.key_env or provider.row.project_env)}"
    return None


def nobody(request: Request, route: Route, providers: Sequence[Provider], policy: Policy) -> GlossatorError:
    """Say why nobody can be asked, and what the user can do."""
    if request.provider is not None and not route.refused:
        names = ", ".join(provider.name for provider in providers) or "none"
        return NoProvider(f"no provider is called {request.provider!r}; there are: {names}")
    said = "; ".join(f"{provider.name}: {reason}" for provider, reason in route.refused)
    away = any(not is_near(provider, policy.trusted_hosts) for provider, _ in route.refused)
    if route.decision.level is not Level.OPEN and away:
        rules = tuple(reason.rule for reason in route.decision.reasons)
        because = "; ".join(str(reason) for reason in route.decision.reasons)
        return PolicyRefusal(
            f"this stays on this machine ({because}), and no local model is there to answer; "
            "start Ollama, LM Studio, llama.cpp or vLLM, or configure a local provider",
            rules,
        )
    if said:
        return NoProvider(f"no provider can be asked: {said}")
    return NoProvider(
        "no model provider is configured or running; start Ollama, LM Studio, llama.cpp or vLLM, "
        "set a key such as ANTHROPIC_API_KEY, or write a configuration file"
    )
