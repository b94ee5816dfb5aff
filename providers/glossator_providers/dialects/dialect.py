"""The face that every dialect shows, and the payload that it makes; a dialect is a module of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from glossator_providers.catalog import Provider, Row
from glossator_providers.errors import ProviderError
from glossator_providers.framing import Frame, Framing
from glossator_providers.model import Delta, ModelInfo, Request


@dataclass(frozen=True, slots=True)
class Payload:
    """One HTTP request without its address and its signature; `path` is appended to the provider's base URL."""

    method: Literal["GET", "POST"]
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Decoder(Protocol):
    """The state of one streamed answer.

    It gives at most one Started (a second one only to add a `remote_host` that came late), any number of Text,
    Reasoning and Usage, of which the last Usage counts and is complete, and at most one Finished.
    """

    @property
    def done(self) -> bool:
        """Whether the protocol's last event was seen: nothing that follows belongs to the answer."""

    def decode(self, frame: Frame) -> list[Delta]:
        """Read one frame; raises ProviderError where the provider reports a failure or breaks its protocol."""

    def end(self) -> None:
        """Say that the body has ended; raises ProviderError(BROKEN_STREAM) unless the answer is complete."""


class Dialect(Protocol):
    """One protocol; see the fields of catalog.Row for what differs among the providers that speak it."""

    @property
    def framing(self) -> Framing:
        """How a streamed answer is cut into frames."""

    def encode(self, request: Request, provider: Provider) -> Payload:
        """Write the request down for this provider."""

    def decoder(self, row: Row | None = None) -> Decoder:
        """Make the state for one streamed answer; `row` gives the provider's quirks, without it the strict reading holds."""

    def read(self, body: bytes) -> list[Delta]:
        """Read a whole answer that was not streamed; raises ProviderError where it is a failure or no answer."""

    def explain(
        self, status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = ...
    ) -> ProviderError:
        """Classify a failed call; `clock` gives seconds since the epoch, for delays that are told as a date."""

    def list_models(self) -> Payload:
        """Write down the request for the models that the provider has."""

    def models(self, body: bytes) -> list[ModelInfo]:
        """Read the list of models; raises ProviderError where it is none."""
