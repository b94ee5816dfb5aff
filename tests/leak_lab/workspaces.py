"""Workspaces made of a seed: open files beside private ones of every kind, each line, name and key with a mark of its own."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote

from glossator_providers.privacy.ignore import NAMES
from leak_lab.canaries import Canaries

_BY_NAME = (
    ".env",
    ".env.local",
    "id_rsa",
    "id_ed25519",
    ".npmrc",
    ".netrc",
    "server.pem",
    "private.key",
    "terraform.tfvars",
)
_FOLDERS = ("secrets", ".ssh", ".aws", ".secrets", ".kube")
_SHAPES: tuple[tuple[str, str], ...] = (  # a line of an ignore file, and what it closes
    ("hidden/", "hidden/inner.py"),
    ("*.hid.py", "some.hid.py"),
    ("/only.py", "only.py"),
    ("**/deep/**", "a/deep/b/c.py"),
    ("part-[0-9].py", "part-7.py"),
    ("*\n!open.py", "closed.py"),
    ("Mixed", "mixed/x.py"),
)


@dataclass(frozen=True)
class Document:
    """One document as an editor would open it; `level` is `open`, `private` or `never`."""

    kind: str
    uri: str
    text: str
    level: str
    path: Path | None = None


@dataclass
class Workspace:
    """The folders of one session and what stands in them."""

    home: Path  # the user's: configuration, state, cache, temporary files
    root: Path
    outside: Path
    documents: list[Document] = field(default_factory=list)
    project_rules: list[str] = field(default_factory=list)

    def of(self, *levels: str) -> list[Document]:
        """Return the documents of these levels."""
        return [one for one in self.documents if one.level in levels]


class Builder:
    """Writes the files of one workspace."""

    def __init__(self, folder: Path, random: Random, canaries: Canaries) -> None:
        self.random = random
        self.canaries = canaries
        self.made = Workspace(folder / "home", folder / "work" / "project", folder / "work" / "elsewhere")
        for place in (self.made.home, self.made.root, self.made.outside, self.made.root / ".git"):
            place.mkdir(parents=True)
        self._number = 0

    def add(self, kind: str) -> None:
        """Add a document of a kind, one of `KINDS`."""
        self._number += 1
        KINDS[kind](self, kind)

    def number(self) -> int:
        self._number += 1
        return self._number

    def code(self, about: str, *, level: str = "private", lines: int = 6) -> str:
        """Return a text in which every line has a mark; of an open document none has."""
        if level == "open":
            rows = [f"def step_{n}(a, b):\n    total = a + {n}\n    return totl" for n in range(lines // 2)]
            return "import os\n\n\n" + "\n\n\n".join(rows) + "\n"
        rows = []
        for number in range(lines):
            mark = self.canaries.make(f"{level}: line {number + 1} of {about}")
            rows.append(f"def {mark}(a):" if number % 2 == 0 else f"    return a + {number}  # {mark}")
        return "\n".join(rows) + "\n"

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def keep(self, kind: str, path: Path, text: str, *, level: str = "private", uri: str | None = None) -> None:
        self.made.documents.append(Document(kind, uri or path.as_uri(), text, level, path))

    def private(self, kind: str, path: Path, *, level: str = "private", uri: str | None = None) -> Path:
        text = self.code(kind, level=level)
        self.write(path, text)
        self.keep(kind, path, text, level=level, uri=uri)
        return path

    def named(self, folder: Path) -> Path:
        """Return a file name that is itself marked, as those of private files are."""
        return folder / f"{self.canaries.make('private: a file name')}.py"


def _open(make: Builder, kind: str) -> None:
    path = make.made.root / f"src/module_{make.number()}.py"
    text = make.code(kind, level="open", lines=make.random.randrange(2, 8))
    make.keep(kind, make.write(path, text), text, level="open")


def _by_name(make: Builder, kind: str) -> None:
    make.private(kind, make.made.root / f"d{make.number()}" / make.random.choice(_BY_NAME))


def _by_case(make: Builder, kind: str) -> None:
    name = make.random.choice(_BY_NAME)
    spelled = "".join(make.random.choice((one.upper(), one)) for one in name)
    make.private(kind, make.made.root / f"d{make.number()}" / (spelled if spelled != name else name.upper()))


def _by_folder(make: Builder, kind: str) -> None:
    make.private(kind, make.named(make.made.root / f"d{make.number()}" / make.random.choice(_FOLDERS)))


def _by_folder_case(make: Builder, kind: str) -> None:
    make.private(kind, make.named(make.made.root / f"d{make.number()}" / make.random.choice(_FOLDERS).upper()))


def _ignored(make: Builder, kind: str) -> None:
    line, closed = make.random.choice(_SHAPES)
    folder = make.made.root / f"d{make.number()}"
    make.write(
        folder / make.random.choice([one for one in NAMES if one not in {".noai", ".gitignore"}]), f"# rules\n{line}\n"
    )
    make.private(kind, folder / closed)


def _git_ignored(make: Builder, kind: str) -> None:
    line, closed = make.random.choice(_SHAPES)
    folder = make.made.root / f"d{make.number()}"
    make.write(folder / ".gitignore", f"{line}\n")
    make.private(kind, folder / closed)


def _no_ai(make: Builder, kind: str) -> None:
    folder = make.made.root / f"d{make.number()}"
    make.write(folder / ".noai", "")
    make.private(kind, make.named(folder / "inner"))


def _broken_ignore(make: Builder, kind: str) -> None:
    folder = make.made.root / f"d{make.number()}"
    if make.random.random() < 0.5:
        make.write(folder / ".aiignore", "nothing\0at all\n")
    else:
        (folder / ".cursorignore").mkdir(parents=True)
    make.private(kind, make.named(folder))


def _hidden_target(make: Builder) -> Path:
    """Return a private file that an innocent name will lead to."""
    path = make.made.root / f"d{make.number()}" / "secrets" / "target.py"
    return make.write(path, make.code("a file behind a link"))


def _link(make: Builder, kind: str) -> None:
    target = _hidden_target(make)
    link = make.made.root / f"shown_{make.number()}.py"
    link.symlink_to(target)
    make.keep(kind, link, target.read_text("utf-8"))


def _linked_folder(make: Builder, kind: str) -> None:
    target = _hidden_target(make)
    link = make.made.root / f"folder_{make.number()}"
    link.symlink_to(target.parent, target_is_directory=True)
    make.keep(kind, link / target.name, target.read_text("utf-8"))


def _link_into(make: Builder, kind: str) -> None:
    """Add a private name that leads to an ordinary file: the name alone closes it."""
    target = make.write(make.made.root / f"plain_{make.number()}.py", make.code(kind))
    link = make.made.root / f"d{make.number()}" / ".env"
    link.parent.mkdir()
    link.symlink_to(target)
    make.keep(kind, link, target.read_text("utf-8"))


def _outside(make: Builder, kind: str) -> None:
    make.private(kind, make.named(make.made.outside))


def _link_outside(make: Builder, kind: str) -> None:
    path = make.write(make.made.outside / f"far_{make.number()}.py", make.code(kind))
    link = make.made.root / f"near_{make.number()}.py"
    link.symlink_to(path)
    make.keep(kind, link, path.read_text("utf-8"))


def _beside_root(make: Builder, kind: str) -> None:
    """Add a folder whose name only begins like the workspace's."""
    make.private(kind, make.named(make.made.root.with_name(make.made.root.name + "-other")))


def _composed(make: Builder, kind: str) -> None:
    folder = make.made.root / f"d{make.number()}"
    make.write(folder / ".aiignore", unicodedata.normalize("NFC", "geh\u00e9im/\n"))
    make.private(kind, make.named(folder / unicodedata.normalize("NFD", "geh\u00e9im")))


def _user_rule(make: Builder, kind: str) -> None:
    make.private(kind, make.made.root / "vault" / f"v{make.number()}.py")


def _never_rule(make: Builder, kind: str) -> None:
    make.private(kind, make.made.root / "payroll" / f"p{make.number()}.py", level="never")


def _project_rule(make: Builder, kind: str) -> None:
    name = f"infra_{make.number()}"
    make.made.project_rules.append(f"{name}/**")
    make.private(kind, make.made.root / name / "x.py")


def _untitled(make: Builder, kind: str) -> None:
    text = make.code(kind)
    make.made.documents.append(Document(kind, f"untitled:Untitled-{make.number()}", text, "private"))


def _notebook(make: Builder, kind: str) -> None:
    text = make.code(kind)
    path = quote(str(make.made.root / f"n{make.number()}.ipynb"))
    make.made.documents.append(Document(kind, f"vscode-notebook-cell:{path}#W1sZmlsZQ", text, "private"))


def _unsaved(make: Builder, kind: str) -> None:
    path = make.named(make.made.root)
    make.made.documents.append(Document(kind, path.as_uri(), make.code(kind), "private"))


def _encoded(make: Builder, kind: str) -> None:
    """Add a URI in which every character of the name is escaped."""
    path = make.write(make.made.root / f"d{make.number()}" / make.random.choice(_BY_NAME), make.code(kind))
    name = "".join(f"%{byte:02{make.random.choice('xX')}}" for byte in path.name.encode())
    make.keep(kind, path, path.read_text("utf-8"), uri=f"{path.parent.as_uri()}/{name}")


def _dotted(make: Builder, kind: str) -> None:
    path = make.write(make.made.root / f"d{make.number()}" / "secrets" / "x.py", make.code(kind))
    way = make.random.choice(("./", "nowhere/../", "/", ".//./"))
    if way == "nowhere/../":
        (path.parent / "nowhere").mkdir()
    make.keep(kind, path, path.read_text("utf-8"), uri=f"{path.parent.as_uri()}/{way}{path.name}")


def _secret(make: Builder, kind: str) -> None:
    """Add an open file with a secret in it: only the secret is marked."""
    path = make.made.root / f"src/config_{make.number()}.py"
    text = make.code(kind, level="open") + f"{secret(make.canaries, make.random)}\n"
    make.keep(kind, make.write(path, text), text, level="secret")


def _secret_below(make: Builder, kind: str) -> None:
    """Add a long open file whose secret stands far from the code that is asked about: it closes that code too."""
    path = make.made.root / f"src/long_{make.number()}.py"
    rows = "".join(f"def filler_{number}(value):\n    return value * {number}\n\n\n" for number in range(400))
    text = f"{make.code(kind, level='beside')}\n\n{rows}{secret(make.canaries, make.random)}\n"
    make.keep(kind, make.write(path, text), text, level="secret")


def _copied(make: Builder, kind: str) -> None:
    """Add an ordinary file that is a copy of a private one."""
    text = make.code(kind, lines=10)
    make.write(make.made.root / f"d{make.number()}" / make.random.choice(_BY_NAME), text)
    make.keep(kind, make.write(make.made.root / f"src/copy_{make.number()}.py", text), text)


def _hard_link(make: Builder, kind: str) -> None:
    target = _hidden_target(make)
    link = make.made.root / f"hard_{make.number()}.py"
    link.hardlink_to(target)
    make.keep(kind, link, target.read_text("utf-8"))


KINDS: dict[str, Callable[[Builder, str], None]] = {
    "open": _open,
    "by name": _by_name,
    "by case": _by_case,
    "by folder": _by_folder,
    "by folder's case": _by_folder_case,
    "ignored": _ignored,
    "ignored by git": _git_ignored,
    "no AI": _no_ai,
    "broken ignore file": _broken_ignore,
    "link": _link,
    "linked folder": _linked_folder,
    "private link": _link_into,
    "outside": _outside,
    "link to outside": _link_outside,
    "beside the root": _beside_root,
    "composed": _composed,
    "user's rule": _user_rule,
    "never": _never_rule,
    "project's rule": _project_rule,
    "untitled": _untitled,
    "notebook": _notebook,
    "unsaved": _unsaved,
    "encoded": _encoded,
    "dotted": _dotted,
    "copied": _copied,
    "hard link": _hard_link,
    "secret": _secret,
    "secret below": _secret_below,
}


def secret(canaries: Canaries, random: Random) -> str:
    """Return a line with a token as a vendor makes them, marked; put together here, so that no scanner finds it in this file."""
    prefix, groups = random.choice((("ghp" + "_", 9), ("sk-ant-" + "api03-", 8), ("gl" + "pat-", 6), ("npm" + "_", 9)))
    return f'client = connect("{prefix}{canaries.make("secret: a token in an open file", groups=groups)}")'


def key(canaries: Canaries, kind: str) -> str:
    """Return an API key of a provider, marked."""
    return "k" + string.ascii_lowercase[:3] + "-" + canaries.make(f"key: {kind}", groups=9)
