"""Keep what would close a request out of it: a hint from a private file is not worth the model that could have answered."""

from __future__ import annotations

from dataclasses import replace

from glossator.context import Context
from glossator.tasks.conversation import Models
from glossator_providers.model import Fragment, Message, Request, Role


def without_closing(context: Context, models: Models, *, roots: tuple[str, ...]) -> Context:
    """Drop each related place that would make the request travel less far than the document itself lets it."""
    if not context.related:
        return context
    level = _level(models, (context.subject,), roots)
    kept = tuple(place for place in context.related if _level(models, (context.subject, place), roots) <= level)
    dropped = len(context.related) - len(kept)
    if not dropped:
        return context
    note = f"{dropped} related {'place is' if dropped == 1 else 'places are'} in files that stay private."
    return replace(context, related=kept, left_out=f"{context.left_out} {note}".strip())


def _level(models: Models, fragments: tuple[Fragment, ...], roots: tuple[str, ...]) -> int:
    return models.route(Request((Message(Role.USER, fragments),), roots=roots)).decision.level
