"""Read a TOML file for a pydantic model, and say what is wrong in it by file, line and key, never by value."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from glossator_providers.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

LARGEST_FILE = 1 << 20  # bytes

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<path>[^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*(?P<path>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def mistake(message: str) -> PydanticCustomError:
    """Return the error that a validator raises to have *message* told as it stands."""
    return PydanticCustomError("mistake", "{text}", {"text": message})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def read_table(path: Path) -> tuple[dict[str, Any], str] | None:
    """Return a TOML file as a table and as text, None where there is no file; raise `ConfigError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be read ({error.strerror or 'not a file'})") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: it is larger than {LARGEST_FILE >> 20} MiB")
    try:
        text = content.decode()
        return tomllib.loads(text), text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: this is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # Only the position is told: the message of the parser can quote the file, and a key may stand in it.
        where = re.search(r"at line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1  # it says "at end of document" otherwise
        raise ConfigError(f"{path}:{line}: this is not TOML (https://toml.io)") from None


def validate(model: type[Model], table: Mapping[str, Any], *, source: str, text: str = "") -> Model:
    """Return *table* as a model; raise `ConfigError` with one line for each mistake, at most five."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=False)
        lines = [_describe(model, detail, source, text) for detail in details[:5]]
        raise ConfigError("\n".join(lines)) from None  # pydantic's own error would show the values


def line_of(text: str, path: Sequence[str]) -> int | None:
    """Return the number of the line that sets a dotted key or opens its table, the nearest parent's where there is none."""
    best: tuple[int, int] | None = None
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _TABLE.match(line)) is not None:
            table = _parts(header["path"])
            here = table
        elif (key := _KEY.match(line)) is not None:
            here = table + _parts(key["path"])
        else:
            continue
        depth = min(len(path), len(here))
        if list(path[:depth]) == here[:depth] and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _describe(model: type[BaseModel], detail: Mapping[str, Any], source: str, text: str) -> str:
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    line = line_of(text, path)
    where = f"{source}:{line}" if line else source
    key = ".".join(path)
    match detail["type"]:
        case "extra_forbidden":
            if path[-1] in {"key", "api_key", "token", "secret", "password"}:
                return f"{where}: {key}: a key never stands in a file: name it with key_env, key_command or keychain"
            known = _fields_at(model, path[:-1])
            return f"{where}: {key}: this key is not known{did_you_mean(path[-1], known)}"
        case "mistake":
            return f"{where}: {key + ': ' if key else ''}{detail['msg']}"
        case _:
            said = str(detail["msg"])
            return f"{where}: {key}: {said[:1].lower()}{said[1:]}"


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the names of the fields that are known at a path inside a model."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _value_type(current.model_fields[part].annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _value_type(annotation: Any) -> Any:
    """Return the model inside `Model | None` or `dict[str, Model]`."""
    if typing.get_origin(annotation) in {dict, types.UnionType, typing.Union}:
        inner = [part for part in typing.get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        return inner[0] if inner else None
    return annotation


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(path)]
