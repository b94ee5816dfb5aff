"""`glossator providers`: who could answer, and with `--check`, who does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glossator.cli import failures, show
from glossator.cli.options import AsJson
from glossator_providers import capabilities, keys, published
from glossator_providers.errors import GlossatorError
from glossator_providers.models import same_model

if TYPE_CHECKING:
    from glossator.app import Application, ProviderStatus
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
        status = product.status()
        by_name = {provider.name: provider for provider in product.router.providers}
        checks = [_row(product, one, by_name[one.name], check=check) for one in status.providers]
        rows = await asyncio.gather(*checks)
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
        "error": None,
    }
    models: list[ModelInfo] = []
    if check and status.state != "ask first":
        began = time.monotonic()
        try:
            models = await product.router.list_models(provider)
        except GlossatorError as error:
            return row | _known(provider, ()) | {"state": "down", "error": str(error)}
        row |= {"state": "up", "latency": round(time.monotonic() - began, 3), "models": [one.name for one in models]}
        if provider.model and models and not any(same_model(one.name, provider.model) for one in models):
            names = capabilities.nearest(provider.model, (one.name for one in models))
            nearest = f"; the nearest names are {', '.join(names)}" if names else ""
            row["warning"] = row["warning"] or f"it lists no model {provider.model}{nearest}"
    return row | _known(provider, models)


def _known(provider: Provider, models: Iterable[ModelInfo]) -> dict[str, Any]:
    """Return what is known of a provider's model: what it can do, its sizes in tokens, its price in dollars a million tokens."""
    known = capabilities.of(provider, listed=models)
    price = published.prices(provider)
    return {
        "capabilities": list(capabilities.words(known)),
        "context_tokens": known.context_tokens,
        "output_tokens": known.output_tokens,
        "price": 0 if provider.local else {"input": price[0], "output": price[1]} if price else None,
    }


def _tell(rows: list[dict[str, Any]], message: str) -> None:
    from rich.console import Console
    from rich.table import Table

    if not rows:
        show.say(message)
        return
    table = Table(box=None, pad_edge=False)
    for name in ("name", "kind", "where", "model", "can", "price", "state"):
        table.add_column(name)
    for row in rows:
        latency = f" ({row['latency']:g} s)" if row["latency"] is not None else ""
        where = "toy model" if row["toy"] else "local" if row["local"] else "cloud"
        can = " ".join(row["capabilities"])
        cells = (row["name"], row["kind"], where, row["model"], can, _price(row["price"]), f"{row['state']}{latency}")
        table.add_row(*(show.printable(str(cell)) for cell in cells))
    Console().print(table)
    for row in rows:
        for word in ("error", "warning"):
            if row[word]:
                show.say(f"{row['name']}: {row[word]}")


def _price(price: dict[str, float] | int | None) -> str:
    """Say a price in a few characters: dollars for a million tokens asked and answered."""
    if isinstance(price, dict):
        return f"${price['input']:g}/{price['output']:g}"
    return "?" if price is None else "free"
