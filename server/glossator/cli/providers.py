"""`glossator providers`: who could answer, and with `--check`, who does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator.cli.usage import read, share
from glossator_providers import capabilities, checking, keys, published
from glossator_providers.health import in_seconds

if TYPE_CHECKING:
    from rich.text import Text

    from glossator.app import Application
    from glossator.status import ProviderStatus
    from glossator_providers.catalog import Provider
    from glossator_providers.model import ModelInfo


def providers(
    *,
    check: Annotated[bool, typer.Option("--check", help="Ask each for its list of models; costs nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """List the providers that are configured or found, in the order in which they would be asked."""
    return asyncio.run(_providers(check=check, as_json=as_json))


async def _providers(*, check: bool, as_json: bool) -> int:
    from glossator.cli.work import application

    async with application(Path.cwd()) as product:
        status = await product.status()
        by_name = {provider.name: provider for provider in product.router.providers}
        checks = [_row(product, one, by_name[one.name], check=check) for one in status.providers]
        rows = await asyncio.gather(*checks)
    recent = await _recent()
    for row in rows:
        row["last_day"] = recent.get(row["name"])
    if as_json:
        show.as_json({"providers": rows})
    else:
        _tell(rows, status.message)
    return failures.FAILED if any(row["state"] == "down" for row in rows) else failures.DONE


async def _row(product: Application, status: ProviderStatus, provider: Provider, *, check: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": status.name,
        "kind": status.kind,
        "local": status.local,
        "model": status.model,
        "toy": status.toy,
        "state": status.state,
        "latency": None,
        "models": None,
        "warning": keys.warning(provider),
        "note": None,
        "error": None,
    }
    models: tuple[ModelInfo, ...] = ()
    if check and status.state != "ask first":
        found = await checking.check(provider, product.router, environment=product.environment)
        models = found.models
        row["state"] = found.state
        match found.state:
            case "down":
                row["error"] = found.note
            case "no list":
                row |= {"latency": _rounded(found.seconds), "note": found.note}
            case "up":
                row |= {"latency": _rounded(found.seconds), "models": [one.name for one in models]}
                row["warning"] = row["warning"] or found.note
    return row | _known(provider, models)


async def _recent() -> dict[str, dict[str, Any]]:
    """Return how the requests of the last 24 hours went, by provider, of all servers and commands of this user."""
    summary, _ = await read("provider", datetime.now(tz=UTC) - timedelta(days=1))
    return {
        line.name: {
            "requests": line.attempts,
            "success": None if line.success is None else round(line.success, 4),
            "p50": _rounded(line.first_token.median if line.first_token else None),
            "p95": _rounded(line.first_token.p95 if line.first_token else None),
            "failures": dict(line.failures),
        }
        for line in summary.lines
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _known(provider: Provider, models: Iterable[ModelInfo]) -> dict[str, Any]:
    """Return what is known of a provider's model: what it can do, its sizes in tokens, its price in dollars a million tokens."""
    known = capabilities.of(provider, listed=models)
    price = published.prices(provider)
    return {
        "capabilities": list(capabilities.words(known)),
        "context_tokens": known.context_tokens,
        "output_tokens": known.output_tokens,
        "edit_format": known.edit_format,
        "price": 0 if provider.local else {"input": price[0], "output": price[1]} if price else None,
    }


def _tell(rows: list[dict[str, Any]], message: str) -> None:
    """Print two lines for each provider: who, where, which model, for what price, in which state; and what the model can do.

    A third one tells how the requests of the last day went, where there were any.
    """
    from rich.cells import cell_len
    from rich.console import Console

    if not rows:
        show.say(message)
        return
    console = Console(highlight=False)
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    others = sum(widths) - widths[_MODEL] + len(_GAP) * (len(widths) - 1)
    widths[_MODEL] = min(widths[_MODEL], max(console.width - others, _SHORTEST_MODEL))
    console.print(_line(_HEADINGS, widths), style="bold", no_wrap=True, overflow="crop")
    for row, cells in zip(rows, lines[1:], strict=True):
        console.print(_line(cells, widths), no_wrap=True, overflow="crop")
        for details in filter(None, (_details(row), _last_day(row["last_day"]))):
            console.print(_GAP + details, style="dim", no_wrap=True, overflow="ellipsis", markup=False)
    for row in rows:
        for word in ("error", "warning", "note"):
            if row[word]:
                show.say(f"{row['name']}: {row[word]}")


_HEADINGS = ("name", "where", "model", "$/million", "state")
_MODEL = 2  # the column that gives way where the terminal is narrow
_SHORTEST_MODEL = 12
_GAP = "  "


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    where = "toy model" if row["toy"] else "local" if row["local"] else "cloud"
    latency = f" {row['latency']:.2g} s" if row["latency"] is not None else ""
    cells = (row["name"], where, row["model"] or "its own choice", _price(row["price"]), f"{row['state']}{latency}")
    return tuple(show.printable(cell) for cell in cells)


def _line(cells: tuple[str, ...], widths: list[int]) -> Text:
    from rich.text import Text

    line = Text()
    for cell, width in zip(cells, widths, strict=True):
        shown = Text(cell)
        shown.truncate(width, overflow="ellipsis", pad=True)
        line.append_text(shown).append(_GAP)
    line.rstrip()
    return line


def _details(row: dict[str, Any]) -> str:
    """Say of a model what no heading is needed for."""
    context = f"{_thousands(row['context_tokens'])} tokens of context" if row["context_tokens"] else ""
    can = ", ".join(word for word in row["capabilities"] if word != "stream")
    return show.printable(" · ".join(part for part in (row["kind"], context, can) if part))


def _last_day(recent: dict[str, Any] | None) -> str:
    """Say how the requests of the last day went, as the usage ledger has them."""
    if recent is None:
        return ""
    number = recent["requests"]
    said = [f"last day: {number:,} request{'s'[: number != 1]}"]
    if recent["success"] is not None:
        said.append(f"{share(recent['success'])} answered")
    if recent["p50"] is not None:
        said.append(f"{in_seconds(recent['p50'])} to the first token")
    said += [f"{count:,} {kind}" for kind, count in recent["failures"].items()]
    return show.printable(", ".join(said))


def _thousands(number: int) -> str:
    """Write a number of tokens in a few characters: 8k, 128k, 1M, 1.05M."""
    if number >= 1e6:  # noqa: PLR2004  a million
        return f"{number / 1e6:.3g}M"
    return f"{number // 1024}k" if number % 1024 == 0 else f"{number / 1e3:.3g}k"


def _price(price: dict[str, float] | int | None) -> str:
    """Say a price in a few characters: dollars for a million tokens asked and answered."""
    if isinstance(price, dict):
        return f"${price['input']:g}/{price['output']:g}"
    return "?" if price is None else "free"
