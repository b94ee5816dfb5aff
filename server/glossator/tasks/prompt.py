"""Turn a template and pieces of text into messages in which every fragment still says where it came from.

A template has a block `system`, which never changes and so can be cached by providers, and a block `user`.
Only our own words pass through the template engine: a `Fragment` is put into its place afterwards, so that text from a
document can neither run as a template nor lose its origins.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from glossator.context import Context
from glossator.tasks.task import Ask
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Role

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

Value = str | bool | Fragment | tuple[Fragment, ...] | None

_PRODUCT = (Origin(OriginKind.PRODUCT),)
_PLACE = re.compile("\ue000(\\d+)\ue001")  # private-use characters: no template contains them


def compose(template: str, values: Mapping[str, Value]) -> tuple[Message, Message]:
    """Render the blocks `system` and `user` of a template beside this file; `values` are what it may name."""
    loaded = _environment().get_template(f"{template}.md.jinja")
    places: list[Fragment] = []
    context = loaded.new_context({name: _placed(value, places) for name, value in values.items()})
    system, user = ("".join(loaded.blocks[block](context)) for block in ("system", "user"))
    return (
        Message(Role.SYSTEM, tuple(_fragments(system, places))),
        Message(Role.USER, tuple(_fragments(user, places))),
    )


def dialogue(template: str, pieces: Mapping[str, Value], ask: Ask, *, question: Fragment) -> tuple[Message, ...]:
    """Return the messages of a first question, or of a follow-up with all that was said before."""
    uris = [turn.about.uri if turn.about is not None else ask.snapshot.uri for turn in ask.turns]
    questions = [
        typed(turn.question, uri) if turn.question else question for turn, uri in zip(ask.turns, uris, strict=True)
    ]
    questions.append(typed(ask.instruction, ask.snapshot.uri) if ask.instruction else question)
    system, user = compose(template, {**pieces, "instruction": questions[0]})
    messages = [system, user]
    for turn, uri, following in zip(ask.turns, uris, questions[1:], strict=True):
        messages.append(answered(turn.answer, uri))
        messages.append(Message(Role.USER, (following,)))
    return tuple(messages)


def pieces_of(context: Context) -> dict[str, Value]:
    """Return the pieces of a context under the names that templates use."""
    return {field.name: getattr(context, field.name) for field in fields(context) if field.name != "region"}


def words(text: str) -> Fragment:
    """Make a fragment of our own words."""
    return Fragment(text, _PRODUCT)


def typed(text: str, uri: str | None = None) -> Fragment:
    """Make a fragment of what the user typed; `uri` names the document that it was typed about."""
    return Fragment(text, (Origin(OriginKind.INSTRUCTION, uri),))


def answered(text: str, uri: str) -> Message:
    """Make the message in which an earlier answer about a document is told again."""
    return Message(Role.ASSISTANT, (Fragment(text, (Origin(OriginKind.ANSWER, uri),)),))


def _placed(value: Value, places: list[Fragment]) -> object:
    if isinstance(value, Fragment):
        places.append(value)
        return f"\ue000{len(places) - 1}\ue001"
    if isinstance(value, tuple):
        return [_placed(one, places) for one in value]
    return value


def _fragments(rendered: str, places: list[Fragment]) -> Iterator[Fragment]:
    for index, part in enumerate(_PLACE.split(rendered)):
        if index % 2:
            yield places[int(part)]
        elif part:
            yield words(part)


@functools.cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(  # the text goes to a model, not to a browser: nothing is escaped
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
