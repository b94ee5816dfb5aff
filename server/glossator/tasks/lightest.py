"""Keep what would close a request out of it: a hint from a private file is not worth the model that could have answered."""

from __future__ import annotations

from dataclasses import replace

from glossator.context import Context
from glossator.tasks.conversation import Models
from glossator_providers.model import Fragment, Message, Request, Role
from glossator_providers.privacy import Source

_KEPT: frozenset[Source] = frozenset({"path", "ignore", "policy", "content", "index"})


def without_closing(context: Context, models: Models, *, roots: tuple[str, ...]) -> Context:
    """Drop each related place that would make the request travel less far than the document itself lets it."""
    if not context.related:
        return context
    context = replace(
        context,
        problems=tuple(
            _discreet(said, quiet, models, roots) for said, quiet in zip(context.problems, context.quiet, strict=True)
        ),
    )
    level = _level(models, (context.subject,), roots)
    kept = tuple(place for place in context.related if _level(models, (context.subject, place), roots) <= level)
    dropped = len(context.related) - len(kept)
    if not dropped:
        return context
    note = f"{dropped} related {'place is' if dropped == 1 else 'places are'} in files that stay private."
    return replace(context, related=kept, left_out=f"{context.left_out} {note}".strip())


def _discreet(said: Fragment, quiet: Fragment, models: Models, roots: tuple[str, ...]) -> Fragment:
    """Return a problem without its checker's words where these are about a file that is kept private, and may quote it.

    A library outside of the workspace, or one that git ignores, is no such file: most words about it are of public things.
    """
    document, *related = said.origins
    for origin in related:
        route = models.route(Request((Message(Role.USER, (Fragment("", (origin,)),)),), roots=roots))
        if any(reason.uri == origin.uri and reason.source in _KEPT for reason in route.decision.reasons):
            return quiet
    return replace(said, origins=(document,))


def _level(models: Models, fragments: tuple[Fragment, ...], roots: tuple[str, ...]) -> int:
    return models.route(Request((Message(Role.USER, fragments),), roots=roots)).decision.level
