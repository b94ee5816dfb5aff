"""Turn a template and pieces of text into messages in which every fragment still says where it came from.

A template has a block `system`, which never changes and so can be cached by providers, and a block `user`.
Only our own words pass through the template engine: a `Fragment` is put into its place afterwards, so that text from a
document can neither run as a template nor lose its origins.
"""

from __future__ import annotations

import contextlib
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


def compose(template: str, values: Mapping[str, Value], *, own: str | None = None) -> tuple[Message, Message]:
    """Render the blocks `system` and `user` of a template beside this file; `values` are what it may name.

    *own* is the user's folder of prompts: a template of the same name in it is taken instead, unless it is broken.
    """
    if own is not None and is_own(template, own):
        with contextlib.suppress(Exception):  # a template of a user may fail in any way; `problem_of` says in which
            return _rendered(_environment(own), template, values, Origin(OriginKind.INSTRUCTION))
    return _rendered(_environment(None), template, values, Origin(OriginKind.PRODUCT))


def is_own(template: str, own: str) -> bool:
    """Say whether the user has a prompt of this name in the folder *own*, broken or not."""
    return (Path(own) / f"{template}.md.jinja").is_file()


def problem_of(template: str, own: str) -> str | None:
    """Return why the user's prompt of this name cannot be used, None where it can."""
    values: dict[str, Value] = {name: _EXAMPLES[kind] for name, kind in VARIABLES[template].items()}
    nothing: dict[str, Value] = {
        name: None if VARIABLES[template][name].endswith("?") else values[name] for name in values
    }
    try:
        for one in (values, nothing):
            _rendered(_environment(own), template, one, Origin(OriginKind.INSTRUCTION))
    except KeyError as error:
        return f"it has no block {error.args[0]!r}"
    except Exception as error:  # noqa: BLE001  a template of a user may fail in any way
        line = getattr(error, "lineno", None)
        return f"line {line}: {error}" if line else str(error) or type(error).__name__
    return None


def source_of(template: str, own: str | None) -> str:
    """Return the text of the prompt that is in force; raises OSError."""
    folder = Path(own) if own is not None and is_own(template, own) and problem_of(template, own) is None else _HERE
    return (folder / f"{template}.md.jinja").read_text("utf-8")


_HERE = Path(__file__).parent
_EXAMPLES: Mapping[str, Value] = {
    "text": "text",
    "text?": "text",
    "yes or no": True,
    "code": Fragment("code", ()),
    "code?": Fragment("code", ()),
    "list": (Fragment("code", ()),),
}
_SURROUNDINGS: Mapping[str, str] = {
    "language": "text",
    "name": "code",
    "subject": "code",
    "problems": "list",
    "quiet": "list",
    "related": "list",
    "imports": "code?",
    "before": "code?",
    "after": "code?",
    "rule": "code?",
    "left_out": "text",
    "instruction": "code?",
}
# What each prompt may name, and of which type it is; `?` marks what may be missing.
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "ask": _SURROUNDINGS,
    "document": _SURROUNDINGS,
    "explain": _SURROUNDINGS,
    "fix": {**_SURROUNDINGS, "blocks": "yes or no"},
    "fix-toy": _SURROUNDINGS,
    "refactor": {**_SURROUNDINGS, "blocks": "yes or no"},
    "review": {**_SURROUNDINGS, "numbered": "list", "structure": "code?", "changed": "yes or no"},
    "tests": {**_SURROUNDINGS, "target": "code", "present": "code?"},
}


def _rendered(
    environment: SandboxedEnvironment, template: str, values: Mapping[str, Value], origin: Origin
) -> tuple[Message, Message]:
    loaded = environment.get_template(f"{template}.md.jinja")
    places: list[Fragment] = []
    context = loaded.new_context({name: _placed(value, places) for name, value in values.items()})
    system, user = ("".join(loaded.blocks[block](context)) for block in ("system", "user"))
    return (
        Message(Role.SYSTEM, tuple(_fragments(system, places, origin))),
        Message(Role.USER, tuple(_fragments(user, places, origin))),
    )


def dialogue(template: str, pieces: Mapping[str, Value], ask: Ask, *, question: Fragment) -> tuple[Message, ...]:
    """Return the messages of a first question, or of a follow-up with all that was said before."""
    uris = [turn.about.uri if turn.about is not None else ask.snapshot.uri for turn in ask.turns]
    questions = [
        typed(turn.question, uri) if turn.question else question for turn, uri in zip(ask.turns, uris, strict=True)
    ]
    questions.append(typed(ask.instruction, ask.snapshot.uri) if ask.instruction else question)
    system, user = compose(template, {**pieces, "instruction": questions[0]}, own=ask.prompts)
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


def _fragments(rendered: str, places: list[Fragment], origin: Origin) -> Iterator[Fragment]:
    for index, part in enumerate(_PLACE.split(rendered)):
        if index % 2:
            yield places[int(part)]
        elif part:
            yield Fragment(part, (origin,))


@functools.cache
def _environment(own: str | None) -> SandboxedEnvironment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(  # the text goes to a model, not to a browser: nothing is escaped
        loader=FileSystemLoader([own, _HERE] if own is not None else [_HERE]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
