"""What a session is about: everything, or one area more than others, so that few sessions suffice to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType


@dataclass(frozen=True)
class Profile:
    """Which documents, providers and actions there are, and how often what happens; empty means all alike."""

    documents: tuple[str, ...] = ()
    providers: tuple[str, ...] = ("both", "both", "clouds", "found", "impostors", "forwarding")
    actions: Mapping[str, float] = field(default_factory=dict)
    on_secret: tuple[str, ...] = ("local", "local", "redact", "refuse")
    faults: tuple[float, ...] = (0.0, 0.0, 0.2, 0.6)
    redirects: float = 0.05
    hostile: float = 0.3  # repositories that try to loosen what they can
    consent: float = 0.5
    trust: float = 0.4
    restart: float = 0.2
    most: int = 5  # documents that are not open
    impostors: tuple[str, ...] = ()  # addresses that look local
    closed: float = 0.6  # how often one of them is the next that something is done with


_ASK: Mapping[str, float] = MappingProxyType({"run": 3, "command": 1, "reopen": 1})

_IN_FILES = Profile(providers=("clouds",), actions=_ASK, faults=(0.0,), redirects=0, restart=0, most=12, closed=0.9)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "everything": Profile(),
        "paths": replace(
            _IN_FILES,
            documents=(
                "by name",
                "by case",
                "by folder",
                "by folder's case",
                "composed",
                "encoded",
                "dotted",
                "unsaved",
            ),
        ),
        "ignore files": replace(
            _IN_FILES, documents=("ignored", "ignored by git", "no AI", "broken ignore file", "composed")
        ),
        "links": replace(
            _IN_FILES,
            documents=("link", "linked folder", "private link", "link to outside", "hard link", "copied"),
        ),
        "places": replace(_IN_FILES, documents=("outside", "beside the root", "untitled", "notebook", "unsaved")),
        "contents": Profile(
            documents=("secret", "secret below"),
            providers=("clouds", "clouds", "both"),
            actions=MappingProxyType({"run": 3, "quoted": 2, "typed": 2, "change": 2, "follow": 1}),
            faults=(0.0,),
            redirects=0,
        ),
        "contexts": Profile(
            documents=("by name", "ignored", "link", "secret", "secret below", "untitled"),
            providers=("clouds", "both"),
            actions=MappingProxyType({"related": 3, "quoted": 2, "follow": 4, "run": 1, "rules": 1}),
            faults=(0.0,),
            redirects=0,
        ),
        "peers": Profile(
            closed=0.9,
            documents=("by name", "ignored", "secret", "user's rule"),
            providers=("impostors", "impostors", "forwarding"),
            actions=_ASK,
            faults=(0.0, 0.2),
            redirects=0,
        ),
        "trusted names": Profile(
            documents=("by name", "ignored", "user's rule"),
            providers=("impostors",),
            actions=_ASK,
            faults=(0.0,),
            redirects=0,
            trust=1,
            closed=0.9,
            impostors=("gpu.lan.evil.test", "notgpu.lan"),
        ),
        "pools": Profile(
            documents=("by name", "ignored", "user's rule"),
            providers=("impostors",),
            actions=MappingProxyType({"repeat": 1}),
            faults=(0.0,),
            redirects=0,
            closed=0.9,
            impostors=("localhost", "models.localhost", "rebinding.localhost"),
        ),
        "conversations": Profile(
            documents=("by name", "ignored", "user's rule", "link"),
            providers=("both",),
            actions=MappingProxyType({"run": 1, "follow": 3}),
            faults=(0.0,),
            redirects=0,
            closed=0.8,
        ),
        "masked": Profile(
            documents=("secret",),
            providers=("clouds",),
            actions=MappingProxyType({"again": 1}),
            on_secret=("redact",),
            faults=(0.0,),
            redirects=0,
            closed=0.9,
        ),
        "ways": Profile(providers=("both", "clouds"), actions=_ASK, faults=(0.0, 0.2), redirects=0.4),
        "faults": Profile(providers=("both",), faults=(0.6, 0.9), redirects=0.1),
        "consent": Profile(providers=("found",), hostile=0.6, restart=0.5, faults=(0.0,), redirects=0),
        "at rest": Profile(
            providers=("both",),
            actions=MappingProxyType({"again": 3, "run": 2, "related": 1, "follow": 1}),
            faults=(0.0, 0.4),
            redirects=0,
            restart=0.6,
        ),
        "loosening": Profile(
            documents=("project's rule", "by name", "secret", "never", "user's rule"),
            providers=("both", "clouds", "impostors"),
            hostile=1.0,
            closed=0.9,
            actions=MappingProxyType({"run": 3, "configure": 1, "quoted": 1}),
            faults=(0.0,),
            redirects=0,
        ),
    }
)
