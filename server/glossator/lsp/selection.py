"""Who is asked first in this session, as the user picks it; and asking those again who rest after failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from glossator.lsp.connection import Connection, plain
from glossator.lsp.notices import Notices
from glossator.lsp.wire import Refused
from glossator_providers.errors import GlossatorError

AUTOMATIC = "automatic"
_SECONDS_TO_PICK = 120.0
_PICKED = "✓ "


class Selection:
    """The commands `glossator.selectProvider` and `glossator.resetProvider` of one connection."""

    def __init__(self, connection: Connection, notices: Notices) -> None:
        self._connection = connection
        self._notices = notices

    async def select(self, *given: Any) -> Any:
        """Ask the named provider or group first from now on; where none is named, let the user pick one."""
        if not given or given == (None,):
            # In the background: eglot waits for this answer before it shows a question.
            self._connection.server.spawn(self._pick(), name="selection")
            return None
        return await self._prefer(_name(given))

    async def reset(self, *given: Any) -> None:
        """Let a provider that rests after failures be asked again, or all of them."""
        name = _name(given) if given else None
        application = await self._connection.wait_for_application(1.0)
        if application is None:
            self._connection.show(f"glossator: {self._not_there()}", types.MessageType.Warning)
            return
        try:
            application.reset(name)
        except GlossatorError as problem:
            self._connection.show(f"glossator: {problem}", types.MessageType.Warning)
            return
        self._connection.show(f"glossator: {name or 'everybody'} may be asked again")
        self._notices.status_changed()

    async def _pick(self) -> None:
        application = await self._connection.wait_for_application(1.0)
        choices = list_choices(plain(await application.status())) if application is not None else {}
        if len(choices) < 2:  # noqa: PLR2004  the automatic one is always among them
            self._connection.show(f"glossator: {self._not_there() if application is None else 'no model is there'}")
            return
        actions = [types.MessageActionItem(title) for title in choices]
        params = types.ShowMessageRequestParams(types.MessageType.Info, "glossator: who is asked first?", actions)
        try:
            answer = await self._connection.server.protocol.ask(
                "window/showMessageRequest", params, seconds=_SECONDS_TO_PICK
            )
        except Refused:
            names = ", ".join(name or AUTOMATIC for name in choices.values())
            self._connection.show(f"glossator: this editor shows no list; name one of {names} after the command")
            return
        except TimeoutError:
            return
        title = answer.get("title") if isinstance(answer, dict) else None
        if title in choices:
            await self._prefer(choices[title])

    async def _prefer(self, name: str | None) -> Any:
        application = await self._connection.wait_for_application(1.0)
        if application is None:
            self._connection.show(f"glossator: {self._not_there()}", types.MessageType.Warning)
            return None
        try:
            await application.prefer(name)
        except GlossatorError as problem:
            self._connection.show(f"glossator: {problem}", types.MessageType.Warning)
            return None
        status = plain(await application.status())
        self._connection.show(f"glossator: {_said(name, status)}")
        self._connection.built()  # menus name who would be asked
        return {"preferred": name, "first": status.get("first")} if self._connection.client.extension else None

    def _not_there(self) -> str:
        return self._connection.broken or "glossator is still starting; try again"


def list_choices(status: Any) -> dict[str, str | None]:
    """Return what can be chosen: titles as the user reads them, and the names that they stand for."""
    status = status if isinstance(status, Mapping) else {}
    preferred = status.get("preferred")
    choices: dict[str, str | None] = {f"{'' if preferred else _PICKED}Automatic": None}
    for one in _objects(status.get("providers")):
        where = "toy model" if one.get("toy") else "local" if one.get("local") else "cloud"
        about = [f"{where}: {one.get('model') or 'its own choice'}", _standing(one)]
        choices[_title(one["name"], about, preferred)] = one["name"]
    for name, members in (status.get("groups") or {}).items():
        choices[_title(name, [f"group: {', '.join(members)}"], preferred)] = name
    return choices


def _title(name: str, about: Iterable[str], preferred: object) -> str:
    return f"{_PICKED if name == preferred else ''}{name} ({', '.join(filter(None, about))})"


def _standing(provider: Mapping[str, Any]) -> str:
    """Say what keeps a provider from answering now, nothing where nothing does."""
    if provider.get("state") not in {None, "ready"}:
        return str(provider["state"])
    if provider.get("retryIn"):
        return f"rests for {provider['retryIn']:.0f} s"
    health = provider.get("health")
    return str(health) if health in {"failing", "down", "slow"} else ""


def _said(name: str | None, status: Mapping[str, Any]) -> str:
    """Say in one sentence who is asked from now on, and what stands against it."""
    if name is None:
        return f"providers are chosen automatically again; the first would be {status.get('first') or 'nobody'}"
    provider = next((one for one in _objects(status.get("providers")) if one["name"] == name), {})
    standing = _standing(provider)
    return f"{name} is asked first from now on" + (f"; as it stands: {standing}" if standing else "")


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping) and "name" in one] if isinstance(value, list) else []


def _name(given: tuple[Any, ...]) -> str | None:
    """Read the name of a provider or group from the arguments of a command; None is the automatic choice."""
    (first, *_) = given
    name = first.get("provider") if isinstance(first, dict) else first
    if name is not None and not isinstance(name, str):
        raise JsonRpcInvalidParams('Name a provider or a group, as a word or as {"provider": name}')
    return None if name is None or name.strip().lower() in {"", AUTOMATIC} else name.strip()
