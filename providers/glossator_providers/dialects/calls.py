"""Tool calls put together: they arrive in pieces, and count only once they are whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from glossator_providers.dialects.characters import mend
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import ToolCall

_LARGEST = 16 << 20  # characters of all calls of one answer, as much as an answer may have of text
_COST = 64  # what a call is counted as before it has a word: otherwise calls of nothing would have no end


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Calls:
    """The calls of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: dict[object, _Call] = {}
        self._keys: dict[
            str, object
        ] = {}  # by the ids: looking through all calls for each would take an hour for the most
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, key: object, *, identity: str = "", name: str = "", arguments: str = "") -> None:
        """Take a piece of the call that the wire knows as *key*; raises ProviderError where the calls never end."""
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call()
            self._size += _COST
        if identity and not call.id:
            call.id = identity
            self._keys.setdefault(identity, key)
            self._size += len(identity)
        if name and not call.name:
            call.name = name
            self._size += len(name)
        self._size += len(arguments)
        if self._size > _LARGEST:
            raise ProviderError(Kind.BROKEN_STREAM, "its call of a tool does not end and was cut off")
        if arguments:
            call.arguments.append(arguments)

    def key_of(self, place: int, identity: str) -> object:
        """Return the key of a piece without one: a new id begins a call, all else goes on with the last, or with the *place*th."""
        if identity:
            return self._keys.get(identity, identity)
        return next(reversed(self._calls)) if self._calls and place == 0 else place

    def end(self) -> list[ToolCall]:
        """Return the calls and forget them: those without a name are nobody's, those without an id are numbered."""
        calls = [
            ToolCall(mend(call.id) or f"call_{number}", mend(call.name), mend("".join(call.arguments)) or "{}")
            for number, call in enumerate(self._calls.values())
            if call.name
        ]
        self._calls.clear()
        self._keys.clear()
        return calls
