"""The recorded traffic of real providers, with what their official SDKs read from it: see `../shared/data/wire/README.md`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glossator_providers import dialects
from glossator_providers.catalog import ROWS, Row
from glossator_providers.errors import ProviderError
from glossator_providers.framing import Frame, splitter
from glossator_providers.model import Delta, Finished, Reasoning, Started, Text, ToolCall, Usage
from parts import ROOT

_WIRE = Path(os.environ.get("GLOSSATOR_TEST_DATA", ROOT.parent / "shared" / "data")) / "wire"

# The folders whose traffic our dialects speak, and the catalog row that stands for each.
FOLDERS = {
    "openai-chat": "openai",
    "anthropic": "anthropic",
    "ollama": "ollama",
    "ollama-openai": "openai-compatible",
    "llamacpp": "llamacpp",
    "lmstudio": "lmstudio",
    "vllm": "vllm",
    "xai": "xai",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "groq": "groq",
    "openrouter": "openrouter",
    "gemini": "gemini",
    "vertex": "vertex",
    "vertex-anthropic": "vertex-anthropic",
    "bedrock": "bedrock",
    "bedrock-mantle": "openai-compatible",
    "openai-responses": "openai-responses",
    "azure": "azure",
    "azure-responses": "azure-responses",
    "xai-responses": "xai-responses",
    "cohere": "cohere",
}

_COMPATIBLE = {"anthropic-compat": "anthropic", "responses-compat": "openai-responses"}


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded exchange."""

    folder: Path

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def row(self) -> Row:
        # llama.cpp speaks the protocols of others too.
        spoken = next((kind for word, kind in _COMPATIBLE.items() if word in self.folder.name), None)
        return ROWS[spoken or FOLDERS[self.folder.parent.name]]

    @property
    def dialect(self) -> dialects.Dialect:
        return dialects.get(self.row.dialect)

    @property
    def body(self) -> bytes:
        return (self.folder / "response.body").read_bytes()

    @property
    def response(self) -> dict[str, Any]:
        return self._json("response.json")

    @property
    def expected(self) -> dict[str, Any]:
        return self._json("expected.json")

    @property
    def suggested(self) -> dict[str, Any] | None:
        return self._json("suggested.json") if (self.folder / "suggested.json").exists() else None

    @property
    def streamed(self) -> bool:
        return bool(self.expected["stream"]) and self.response["status"] == 200

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found


@dataclass(frozen=True, slots=True)
class Heard:
    """What our decoder makes of an answer: the deltas, and the failure that ended it."""

    deltas: tuple[Delta, ...]
    error: ProviderError | None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, Text))

    @property
    def reasoning(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, Reasoning))

    @property
    def started(self) -> Started | None:
        return next((delta for delta in self.deltas if isinstance(delta, Started)), None)

    @property
    def finished(self) -> Finished | None:
        return next((delta for delta in reversed(self.deltas) if isinstance(delta, Finished)), None)

    @property
    def calls(self) -> list[ToolCall]:
        return [delta for delta in self.deltas if isinstance(delta, ToolCall)]

    @property
    def usage(self) -> Usage | None:
        return next((delta for delta in reversed(self.deltas) if isinstance(delta, Usage)), None)


def cases(*, kept: Callable[[Case], bool] = lambda case: True) -> list[Case]:
    """Return the recorded cases that our dialects speak; none where the data is not beside the checkout."""
    found = [Case(folder) for name in FOLDERS for folder in sorted(_folders(name))]
    return [case for case in found if kept(case)]


def _folders(name: str) -> Iterator[Path]:
    parent = _WIRE / "dev" / name
    return (folder for folder in parent.iterdir() if folder.is_dir()) if parent.is_dir() else iter(())


def frames(dialect: dialects.Dialect, pieces: list[bytes]) -> list[Frame]:
    """Split bytes that arrive in these pieces into frames, as far as they can be split."""
    found: list[Frame] = []
    with contextlib.suppress(ProviderError):
        found.extend(split(dialect, pieces))
    return found


def split(dialect: dialects.Dialect, pieces: list[bytes]) -> Iterator[Frame]:
    """Yield the frames of bytes that arrive in these pieces; raises ProviderError where they are damaged."""
    splitting = splitter(dialect.framing)
    for piece in pieces:
        yield from splitting.feed(piece)
    yield from splitting.end()


def hear(dialect: dialects.Dialect, body: bytes, *, row: Row | None = None) -> Heard:
    """Decode a streamed answer to its end or its failure."""
    deltas: list[Delta] = []
    try:
        decoder = dialect.decoder(row)
        for frame in split(dialect, [body]):
            deltas += decoder.decode(frame)
        decoder.end()
    except ProviderError as error:
        error.partial = error.partial or any(isinstance(delta, Text) for delta in deltas)  # as the router does
        return Heard(tuple(deltas), error)
    return Heard(tuple(deltas), None)


def strings(value: object) -> list[str]:
    """Return every string inside a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []
