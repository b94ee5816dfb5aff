"""Tool calls put together: they arrive in pieces, and count only once they are whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from glossator_providers.dialects.characters import mend
from glossator_providers.errors import Kind, ProviderError
from glossator_providers.model import ToolCall

_LARGEST = 16 << 20  # characters of all arguments of one answer, as much as an answer may have of text


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Calls:
    """The calls of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: dict[object, _Call] = {}
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, key: object, *, identity: str = "", name: str = "", arguments: str = "") -> None:
        """Take a piece of the call that the wire knows as *key*; raises ProviderError where the arguments never end."""
        call = self._calls.setdefault(key, _Call())
        call.id = call.id or identity
        call.name = call.name or name
        self._size += len(arguments)
        if self._size > _LARGEST:
            raise ProviderError(Kind.BROKEN_STREAM, "its call of a tool does not end and was cut off")
        if arguments:
            call.arguments.append(arguments)

    def key_of(self, place: int, identity: str) -> object:
        """Return the key of a piece without one: a new id begins a call, all else goes on with the last, or with the *place*th."""
        if identity:
            return next((key for key, call in self._calls.items() if call.id == identity), identity)
        keys = list(self._calls)
        return keys[-1] if keys and place == 0 else place

    def end(self) -> list[ToolCall]:
        """Return the calls and forget them: those without a name are nobody's, those without an id are numbered."""
        calls = [
            ToolCall(mend(call.id) or f"call_{number}", mend(call.name), mend("".join(call.arguments)) or "{}")
            for number, call in enumerate(self._calls.values())
            if call.name
        ]
        self._calls.clear()
        return calls
