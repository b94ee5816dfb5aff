"""The table of commands: what `glossator --help` lists."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from glossator.cli import (
    apply,
    ask,
    compare,
    config,
    demo,
    doctor,
    document,
    explain,
    failures,
    fix,
    forget,
    ledger,
    privacy,
    prompts,
    providers,
    refactor,
    review,
    serve,
    tests,
    usage,
    why,
)

cli = typer.Typer(
    name="glossator",
    help="Explain, fix and refactor the code you point at, with the model you choose; private code stays on this machine.",
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cli.command("serve")(serve.serve)
cli.command("demo")(demo.demo)
cli.command("explain")(explain.explain)
cli.command("fix")(fix.fix)
cli.command("refactor")(refactor.refactor)
cli.command("document")(document.document)
cli.command("tests")(tests.write_tests)
cli.command("review")(review.review)
cli.command("ask")(ask.ask)
cli.command("compare")(compare.compare)
cli.command("apply")(apply.apply)
cli.command("why")(why.why)
cli.command("prompts")(prompts.prompts)
cli.command("providers")(providers.providers)
cli.command("doctor")(doctor.doctor)
cli.command("usage")(usage.usage)
cli.command("forget")(forget.forget)
cli.add_typer(privacy.group, name="privacy")
cli.add_typer(ledger.group, name="ledger")
cli.add_typer(config.group, name="config")


@cli.callback()
def every(
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """Explain, fix and refactor the code you point at, with the model you choose; private code stays on this machine."""
    if version:
        from importlib.metadata import version as version_of

        print(f"glossator {version_of('glossator')}")
        raise typer.Exit


def invoke(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* name; return its exit code."""
    try:
        outcome = cli(list(arguments), prog_name="glossator", standalone_mode=False)
    except Exception as problem:
        # What was typed wrong: an exception of click, which typer may carry inside of itself or import.
        show = getattr(problem, "show", None)
        if show is None or not hasattr(problem, "exit_code"):
            raise
        show(file=sys.stderr)
        if "--json" in arguments:
            problem = failures.UsageError(str(getattr(problem, "message", "") or problem))
            print(json.dumps({"error": failures.as_object(problem)}))
        return failures.USAGE
    return outcome if isinstance(outcome, int) else failures.DONE
