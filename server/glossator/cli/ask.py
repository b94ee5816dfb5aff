"""`glossator ask`: one request through the router, with everything that is known of its answer."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AllowCloud, AsJson, Model, Provider
from glossator.cli.places import read_text
from glossator.tasks.conversation import aside
from glossator.tasks.task import Author, Stage
from glossator_providers.errors import ConfigError, GlossatorError
from glossator_providers.model import (
    Answer,
    Answered,
    Attempt,
    Chosen,
    Fragment,
    Masked,
    Message,
    Origin,
    OriginKind,
    Request,
    Restarted,
    Role,
    Text,
    Usage,
    Waiting,
    Warned,
)

if TYPE_CHECKING:
    from glossator.app import Application


def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question; - reads it from standard input.")],
    *,
    provider: Provider = None,
    model: Model = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Ask for the answer in one piece.")] = False,
    allow_cloud: AllowCloud = False,
    as_json: AsJson = False,
) -> int:
    """Ask a model one question, without any file."""
    try:
        fragment = Fragment(_question(text), (Origin(OriginKind.INSTRUCTION),))
        request = Request((Message(Role.USER, (fragment,)),), provider=provider, model=model, stream=not no_stream)
        # Naming the provider is the yes that is asked for before the first use of a cloud.
        return asyncio.run(_ask(request, allow_cloud=allow_cloud or provider is not None, as_json=as_json))
    except (failures.UsageError, ConfigError) as failure:
        if not as_json:
            raise
        show.say(failures.sentence(failure))
        show.as_json(to_json(Heard(error=failure)))
        return failures.exit_code(failure)


def _question(text: str) -> str:
    question = read_text("-") if text == "-" else text
    if not question.strip():
        raise failures.UsageError("the question is empty: say what you want to know")
    return question


@dataclass(slots=True)
class Heard:
    """What has come so far; of an answer that broke off, its text stays for those who want to see it."""

    live: bool = False
    watch: show.Watch | None = None  # where a person waits
    text: list[str] = field(default_factory=list)
    provider: str | None = None
    model: str | None = None
    answer: Answer | None = None
    error: GlossatorError | failures.UsageError | None = None


async def put(request: Request, product: Application, *, live: bool = False, watch: show.Watch | None = None) -> Heard:
    """Put a request to the models and return all that came of it; with *live*, print the text as it comes."""
    heard = Heard(live, watch)
    try:
        async with aclosing(product.ask(request)) as events:
            async for event in events:
                _hear(heard, event)
    except GlossatorError as error:
        heard.error = error
    return heard


async def _ask(request: Request, *, allow_cloud: bool, as_json: bool) -> int:
    from glossator.cli.work import application

    async with application(Path.cwd(), allow_cloud=allow_cloud) as product:
        with show.Watch() as watch:
            heard = await put(request, product, live=not as_json and sys.stdout.isatty(), watch=watch)
    if as_json:
        show.as_json(to_json(heard))
    else:
        _tell(heard)
    return failures.DONE if heard.error is None else failures.exit_code(heard.error)


def _hear(heard: Heard, event: object) -> None:
    match event:
        case Chosen(provider, model):
            heard.provider, heard.model = provider, model
            heard.text.clear()
            if heard.watch:
                heard.watch(Stage(f"asking {provider} ({model})" if model else f"asking {provider}"))
        case Text(text):
            heard.text.append(text)
            if heard.live:
                if heard.watch:
                    heard.watch.clear()
                print(show.printable(text), end="", flush=True)
        case Waiting() | Warned() | Masked():
            (heard.watch or show.Watch())(aside(event))
        case Restarted(error):
            if heard.live:
                print()
            show.say(f"that answer broke off ({error}); another attempt begins")
        case Answered(answer):
            heard.answer = answer


def _tell(heard: Heard) -> None:
    if heard.error is not None:
        if heard.live and heard.text:
            print()
        show.say(failures.sentence(heard.error))
        return
    assert heard.answer is not None, "without an error there is an answer"
    if heard.live:
        print()
    else:
        print(show.printable(heard.answer.text))
    show.say(f"— {Author(heard.answer.provider, heard.answer.model, local=heard.answer.local).byline}")


def to_json(heard: Heard) -> dict[str, Any]:
    """Return what `--json` promises."""
    answer = heard.answer
    usage = answer.usage if answer else Usage()
    attempts = answer.attempts if answer else getattr(heard.error, "attempts", ())
    return {
        "text": answer.text if answer else "".join(heard.text),
        "finish_reason": (answer.finish_raw or answer.finish.value) if answer else None,
        "usage": {
            # The provider's own numbers, which stand on its bill and in its SDK.
            "input_tokens": usage.input_tokens if usage.told_input_tokens is None else usage.told_input_tokens,
            "output_tokens": usage.output_tokens if usage.told_output_tokens is None else usage.told_output_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "model": answer.model if answer else heard.model,
        "provider": answer.provider if answer else heard.provider,
        "attempts": [_attempt(one) for one in attempts],
        "error": failures.as_object(heard.error) if heard.error else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "local": attempt.local,
        "seconds": round(attempt.seconds, 3),
        "first_token_seconds": None if attempt.first_token_seconds is None else round(attempt.first_token_seconds, 3),
        "error": failures.as_object(attempt.error) if attempt.error else None,
    }
