"""What the editor's configuration says: the user may loosen, a workspace may only tighten; a wrong value warns once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

EXPLAIN_SHOW: Final = ("auto", "document", "hover", "message")
EDITS_CONFIRM: Final = ("never", "auto", "always")  # from the loosest to the strictest
CONFIGURATION: Final = ("providers", "router", "privacy", "budget")
_ON_SECRET: Final = ("redact", "local", "refuse")  # from the loosest to the strictest


@dataclass(frozen=True, slots=True)
class Settings:
    """What the LSP rooms go by; `configuration` is for the application, in the shape of the TOML files."""

    trusted: bool = True
    explain_show: str = "auto"
    edits_confirm: str = "auto"
    hover_hint: bool = False
    menu: bool = True
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """Settings, and a sentence for each value that could not be used."""

    settings: Settings
    warnings: tuple[str, ...] = ()


def read(user: object, workspace: object = None) -> Read:
    """Read the user's options (`initializationOptions`) and the workspace's (`workspace/configuration`)."""
    warnings: list[str] = []
    settings = _tastes(_mapping(user, "the options", warnings), Settings(), warnings)
    options = _mapping(user, "the options", [])
    trusted = _flag(options, "trusted", default=True, warnings=warnings)
    configuration = {name: options[name] for name in CONFIGURATION if isinstance(options.get(name), Mapping)}
    warnings.extend(_not_tables(options))
    local = _mapping(workspace, "the workspace's settings", warnings)
    own_confirm = settings.edits_confirm
    settings = _tastes(local, settings, warnings)
    # A repository that could switch the question off would only need a model that says what it wants.
    if EDITS_CONFIRM.index(settings.edits_confirm) < EDITS_CONFIRM.index(own_confirm):
        settings = replace(settings, edits_confirm=own_confirm)
        warnings.append("edits.confirm in a workspace's settings was ignored; a workspace may only ask more often")
    trusted = trusted and _flag(local, "trusted", default=True, warnings=warnings)
    warnings.extend(_not_tables(local))
    if (privacy := local.get("privacy")) is not None and isinstance(privacy, Mapping):
        own = configuration.get("privacy", {})
        configuration["privacy"] = _tighten(own, privacy, warnings)
    warnings.extend(
        f"{name} in a workspace's settings was ignored; set it in your own configuration file"
        for name in ("providers", "router", "budget")
        # Editors that send one configuration both ways repeat the user's own words here: that is no attempt.
        if isinstance(local.get(name), Mapping) and local[name] and local[name] != configuration.get(name)
    )
    return Read(replace(settings, trusted=trusted, configuration=configuration), tuple(dict.fromkeys(warnings)))


def _tighten(own: Mapping[str, Any], local: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """Return the user's privacy settings with what a workspace adds to their strictness."""
    privacy = dict(own)
    for name in ("private", "never"):
        if name in local:
            mine = own.get(name, [])
            privacy[name] = [
                *(mine if isinstance(mine, list) else []),
                *_words(local[name], f"privacy.{name}", warnings),
            ]
            privacy[name] = list(dict.fromkeys(privacy[name]))
    if "on_secret" in local:
        mine, theirs = own.get("on_secret", _ON_SECRET[0]), local["on_secret"]  # the user's own file may say anything
        if theirs not in _ON_SECRET:
            warnings.append(f"privacy.on_secret must be one of {', '.join(_ON_SECRET)}; the default is used")
        elif mine not in _ON_SECRET or _ON_SECRET.index(theirs) > _ON_SECRET.index(mine):
            privacy["on_secret"] = theirs
    loosening = sorted(set(local) - {"private", "never", "on_secret"})
    if loosening and any(local[name] != own.get(name) for name in loosening):
        warnings.append(f"privacy.{loosening[0]} in a workspace's settings was ignored; a workspace may only tighten")
    return privacy


def _tastes(options: Mapping[str, Any], settings: Settings, warnings: list[str]) -> Settings:
    """Read what changes only how things look."""
    return replace(
        settings,
        explain_show=_choice(options, ("explain", "show"), EXPLAIN_SHOW, settings.explain_show, warnings),
        edits_confirm=_choice(options, ("edits", "confirm"), EDITS_CONFIRM, settings.edits_confirm, warnings),
        hover_hint=_flag(_table(options, "hover", warnings), "hint", default=settings.hover_hint, warnings=warnings),
        menu=_flag(_table(options, "menu", warnings), "enabled", default=settings.menu, warnings=warnings),
    )


def _mapping(value: object, what: str, warnings: list[str]) -> Mapping[str, Any]:
    if value is None or (isinstance(value, list) and not value):  # an empty Lua table arrives as a list
        return {}
    if not isinstance(value, Mapping):
        warnings.append(f"{what} must be a table; they were ignored")
        return {}
    inner = value.get("glossator")  # some editors send the section inside of itself
    return inner if isinstance(inner, Mapping) else value


def _table(options: Mapping[str, Any], name: str, warnings: list[str]) -> Mapping[str, Any]:
    return _mapping(options.get(name), name, warnings)


def _not_tables(options: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} must be a table; it was ignored"
        for name in CONFIGURATION
        if options.get(name) not in (None, []) and not isinstance(options[name], Mapping)
    ]


def _words(value: object, name: str, warnings: list[str]) -> list[str]:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    warnings.append(f"{name} must be a list of patterns; it was ignored")
    return []


def _flag(options: Mapping[str, Any], name: str, *, default: bool, warnings: list[str]) -> bool:
    value = options.get(name)
    if value is None or isinstance(value, bool):
        return default if value is None else value
    warnings.append(f"{name} must be true or false; {str(default).lower()} is used")
    return default


def _choice(
    options: Mapping[str, Any], path: tuple[str, str], choices: tuple[str, ...], default: str, warnings: list[str]
) -> str:
    value = _table(options, path[0], warnings).get(path[1])
    if value is None:
        return default
    if isinstance(value, str) and value in choices:
        return value
    warnings.append(f"{'.'.join(path)} must be one of {', '.join(choices)}; {default} is used")
    return default
