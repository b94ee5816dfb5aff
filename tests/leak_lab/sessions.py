"""One session of an editor, made of a seed: a workspace, a configuration, servers in some mood, and a user who does everything.

What must hold at its end: no mark of private text in a byte that went to anybody who is not proven to be this machine, none in
a file that the product wrote, and nobody asked whom the user has not allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from glossator.app import Application
from glossator_providers.catalog import ROWS
from leak_lab.canaries import Canaries
from leak_lab.internet import NOWHERE
from leak_lab.peers import (
    CLOUDS,
    COLLECTOR,
    IMPOSTORS,
    OTHERS,
    PLAIN,
    TRUSTED,
    Heard,
    Peers,
    impostor_address,
    impostor_kind,
)
from leak_lab.profiles import Profile
from leak_lab.workspaces import KINDS, Builder, Document, Workspace, key, secret
from lsp_client import PYTHON, Client, Editor, Failed, in_process, spawn

_WAIT = 60.0  # seconds; on a busy machine, several providers that fail one after the other take a while
_ALLOW = "Allow in this workspace"
_ABLE: dict[str, Any] = {
    "workspace": {"applyEdit": True, "configuration": True},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "textDocument": {
        "codeAction": {"codeActionLiteralSupport": {}},
        "hover": {"contentFormat": ["markdown"]},
    },
    "experimental": {"glossator": {"version": 1, "stream": True, "preview": True, "status": True}},
}


@dataclass
class Outcome:
    """What became of one session; `leaks` are sentences, empty where all is well."""

    seed: int
    leaks: list[str] = field(default_factory=list)
    requests: int = 0  # with a body, to a cloud
    kept: int = 0  # requests with marks that went to this machine, and nowhere else
    jobs: int = 0
    consented: bool = False


@dataclass
class _Plan:
    """Who is configured, and how."""

    lines: list[str]
    environment: dict[str, str]
    keys: dict[str, str]  # by kind of cloud
    found: bool = False
    order: list[str] = field(default_factory=list)


class Session:
    """One session on its way."""

    def __init__(self, seed: int, profile: Profile, peers: Peers, folder: Path) -> None:
        self.random = Random(seed)
        self.profile = profile
        self.peers = peers
        self.canaries = Canaries(Random(seed + 1))
        builder = Builder(folder, self.random, self.canaries)
        for _ in range(self.random.randrange(2, 4)):
            builder.add("open")
        for kind in self._some_kinds():
            builder.add(kind)
        self.world: Workspace = builder.made
        self.outcome = Outcome(seed)
        self.on_secret = self.random.choice(profile.on_secret)
        self.trust = self.random.random() < profile.trust
        self.plan = self._plan()
        self.jobs: list[tuple[str, Document]] = []
        self.before_consent = 0
        self.editor: Editor | None = None
        self.opened: dict[str, Document] = {}

    def _some_kinds(self) -> list[str]:
        kinds = [kind for kind in (self.profile.documents or tuple(KINDS)) if kind != "open"]
        return (
            [self.random.choice(kinds) for _ in range(self.random.randrange(3, self.profile.most + 1))] if kinds else []
        )

    # configuration

    def _plan(self) -> _Plan:
        random, mode = self.random, self.random.choice(self.profile.providers)
        plan = _Plan([], {}, {})
        clouds = random.sample(CLOUDS, k=random.randrange(1, 3))
        provider = functools.partial(self._provider, plan)
        match mode:
            case "found":
                plan.found = True
                for kind in clouds:
                    plan.keys[kind] = plan.environment[ROWS[kind].key_env[0]] = key(self.canaries, kind)
            case "both":
                self._near(provider)
            case "impostors":
                self._impostors(provider)
            case "forwarding":
                model = random.choice(["afar", "big:120b-cloud"])
                provider("afar", "ollama", self.peers.near["ollama"].origin, model)
        if mode != "found":
            self._clouds(provider, clouds)
        random.shuffle(plan.order)
        self._router(plan)
        return plan

    def _provider(self, plan: _Plan, name: str, kind: str, url: str | None = None, model: str = "here") -> None:
        """Configure a provider, with a key of its own where it has one."""
        plan.order.append(name)
        plan.lines += [f"[providers.{name}]", f'kind = "{kind}"', f'model = "{model}"']
        plan.lines += [f'base_url = "{url}"'] if url else []
        variable = f"KEY_OF_{name.upper()}"
        if name == "cloud_bare":  # a key that would be readable on the way
            plan.environment[variable] = key(self.canaries, "no cloud")
        elif kind in self.peers.clouds:
            plan.keys[kind] = plan.environment[variable] = key(self.canaries, kind)
        # Local servers at another address than usual must be told which key is theirs, even if none is set.
        if variable in plan.environment or kind in {"lmstudio", "vllm", "llamacpp"}:
            plan.lines.append(f'key_env = "{variable}"')
        plan.lines.append("timeout = { connect = 2, first_token = 0.6, idle = 0.6, total = 3 }")

    def _clouds(self, provider: Callable[..., None], kinds: list[str]) -> None:
        for kind in kinds:
            provider(f"cloud_{kind}", kind)
        if self.random.random() < 0.3:
            kind = self.random.choice(list(OTHERS))
            provider("cloud_other", kind, OTHERS[kind])
        if self.random.random() < 0.4:
            provider("cloud_plain", "openai-compatible", f"http://{PLAIN}:8000/v1")
        if self.random.random() < 0.2:
            provider("cloud_bare", "openai", f"http://{PLAIN}:8000/v1")

    def _near(self, provider: Callable[..., None]) -> None:
        near = self.peers.near
        provider("near", "ollama", near["ollama"].origin)
        if self.random.random() < 0.4:
            provider("near_too", "lmstudio", f"{near['lmstudio'].origin}/v1".replace("127.0.0.1", "127.1"))

    def _impostors(self, provider: Callable[..., None]) -> None:
        for number in range(self.random.randrange(1, 4)):
            host, kind = self.random.choice(self.profile.impostors or tuple(IMPOSTORS)), impostor_kind(self.random)
            provider(f"like_{number}", kind, impostor_address(self.peers, host, kind))
        provider("lan", "openai-compatible", f"http://{TRUSTED}:8000/v1")

    def _router(self, plan: _Plan) -> None:
        random = self.random
        strategies = ("local-first", "priority", "round-robin", "random", "fastest", "load-balanced", "sticky")
        privacy = [f'on_secret = "{self.on_secret}"', 'private = ["vault/**"]', 'never = ["payroll/**"]']
        privacy += [f'trusted_hosts = ["{TRUSTED}", "192.168.7.7"]'] if self.trust else []
        plan.lines[:0] = [
            "[router]",
            f'strategy = "{random.choice(strategies)}"',
            f"max_retries = {int(random.random() < 0.2)}",
            f"hedge = {str(random.random() < 0.3).lower()}",
            *([f"order = {json.dumps(plan.order)}"] if plan.order else []),
            "[privacy]",
            *privacy,
            "[cache]",
            f'answers = "{random.choice(["disk", "disk", "memory"])}"',
        ]

    def environment(self) -> dict[str, str]:
        """Write the user's files and return the environment of the product."""
        home = self.world.home
        (home / "config.toml").write_text("\n".join(self.plan.lines) + "\n", encoding="utf-8")
        self._project_file()
        return {
            "HOME": str(home),
            "PATH": str(home),  # without a checker: none of them is what is looked at here
            "LANG": "C.UTF-8",
            "TMPDIR": str(home / "tmp"),
            "GLOSSATOR_CONFIG": str(home / "config.toml"),
            "GLOSSATOR_STATE_DIR": str(home / "state"),
            "GLOSSATOR_CACHE_DIR": str(home / "cache"),
            "GLOSSATOR_DISCOVERY": "off",
            **self.plan.environment,
        }

    def _project_file(self) -> None:
        """Write the rules of a repository, and at times all by which it tries to loosen something."""
        rules = self.world.project_rules
        hostile = self.random.random() < self.profile.hostile
        if not rules and not hostile:
            return
        lines = ["[privacy]", f"private = {json.dumps(rules)}"]
        if hostile:
            lines += [
                f'on_secret = "{self.random.choice(["redact", "local"])}"',
                f'trusted_hosts = ["{COLLECTOR}", "{NOWHERE}"]',
                "cloud_allowed = true",
            ]
            lines += [
                "[providers.theirs]",
                'kind = "ollama"',
                f'base_url = "http://{COLLECTOR}:8000"',
                'model = "here"',
            ]
            lines += ["[router]", 'order = ["theirs"]']
        (self.world.root / ".glossator.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    # the editor

    def settings_of_workspace(self) -> Any:
        """Return the workspace's settings when they are asked for."""
        if self.random.random() >= self.profile.hostile:
            return None
        theirs = {"kind": "ollama", "base_url": f"http://{COLLECTOR}:8000", "model": "here"}
        return {
            "privacy": {"on_secret": "local", "trusted_hosts": [COLLECTOR, NOWHERE], "private": []},
            "providers": {"theirs": theirs},
            "router": {"order": ["theirs"]},
        }

    def consent(self, _: Any) -> Any:
        answer = self.random.random()
        if answer < self.profile.consent:
            self.before_consent = len([one for one in self.peers.heard() if not one.near])
            self.outcome.consented = True
            return {"title": _ALLOW}
        return {"title": "Not now"} if answer < 0.9 else None

    async def play(self, client: Client, *, actions: int) -> None:
        """Begin, do so many things, and leave."""
        client.handlers["window/showMessageRequest"] = self.consent
        client.handlers["workspace/configuration"] = lambda _: [self.settings_of_workspace()]
        client.handlers["window/showDocument"] = lambda _: {"success": True}
        self.editor = Editor(client)
        self.opened = {}
        self.jobs = []
        root = self.world.root.as_uri()
        folders = [{"uri": root, "name": "project"}]
        await client.initialize(_ABLE, rootUri=root, workspaceFolders=folders)
        for document in [*self.world.of("open")[:2], self._any()]:
            self.open(document)
        for _ in range(actions):
            action = self.random.choices(*self._weights())[0]
            with contextlib.suppress(Failed):
                await action(client)
        await self._idle(client)

    def _weights(self) -> tuple[list[Callable[[Client], Any]], list[float]]:
        actions: dict[str, Callable[[Client], Any]] = {
            "run": self.run,
            "command": self.command,
            "related": self.related,
            "quoted": self.quoted,
            "typed": self.typed,
            "follow": self.follow,
            "change": self.change,
            "reopen": self.reopen,
            "rename": self.rename,
            "look": self.look,
            "why": self.why,
            "configure": self.configure,
            "rules": self.rules,
            "cancel": self.cancel,
            "accept": self.accept,
            "again": self.again,
            "repeat": self.repeat,
        }
        weights = self.profile.actions or dict.fromkeys(actions, 1.0)
        names = [name for name in actions if weights.get(name)]
        return [actions[name] for name in names], [weights[name] for name in names]

    def _any(self) -> Document:
        """Return a document, private ones as often as open ones."""
        closed = self.world.of("private", "never", "secret")
        return self.random.choice(
            closed if closed and self.random.random() < self.profile.closed else self.world.of("open")
        )

    def _is_open(self) -> Document:
        return self.open(self.random.choice(self.world.of("open")))

    def open(self, document: Document) -> Document:
        assert self.editor is not None
        if document.uri not in self.opened:
            self.opened[document.uri] = document
            self.editor.open(document.uri, document.text)
        return document

    def _range(self, document: Document) -> Any:
        assert self.editor is not None
        text = self.editor.texts[document.uri]
        line = self.random.randrange(max(1, min(text.count("\n"), 24)))
        return {"start": {"line": line, "character": 0}, "end": {"line": line, "character": self.random.choice([0, 4])}}

    def _diagnostic(self, range_: Any, message: str, related: list[Any] | None = None) -> dict[str, Any]:
        told = {
            "range": range_,
            "message": message,
            "source": "Pyright",
            "code": "reportUndefinedVariable",
            "severity": 1,
        }
        return told | ({"relatedInformation": related} if related else {})

    async def _run(self, client: Client, document: Document, **more: Any) -> str:
        action = self.random.choice(["explain", "fix", "refactor", "ask"])
        range_ = self._range(document)
        params = {
            "action": action,
            "textDocument": {"uri": document.uri},
            "range": range_,
            "instruction": None if action in {"explain", "fix"} else "Say it in simpler words",
            "diagnostics": [self._diagnostic(range_, '"totl" is not defined')] if action == "fix" else None,
            "apply": self.random.choice(["edit", "preview", "none"]),
            **more,
        }
        result = await client.request(
            "glossator/run", {name: value for name, value in params.items() if value is not None}
        )
        self.outcome.jobs += 1
        self.jobs.append((result["job"], document))
        await self._end(client, result["job"])
        return str(result["job"])

    async def _end(self, client: Client, job: str) -> None:
        await client.until(lambda: job in _ended(client), _WAIT)
        broken = [
            one["error"]["message"] for one in _ends(client) if (one.get("error") or {}).get("code") == "no-application"
        ]
        if broken:  # a product that does not run leaks nothing, and proves nothing
            raise RuntimeError(broken[0])

    async def run(self, client: Client) -> None:
        """Begin a task about any document, of any provider at times."""
        more: dict[str, Any] = {}
        names = [line[11:-1] for line in self.plan.lines if line.startswith("[providers.")]
        if names and self.random.random() < 0.3:
            more["provider"] = self.random.choice(names)
        if self.random.random() < 0.1:
            more["model"] = self.random.choice(["big:120b-cloud", "afar", "here"])
        await self._run(client, self.open(self._any()), **more)

    async def command(self, client: Client) -> None:
        """Send a command, as editors without our extension do."""
        document = self.open(self._any())
        name = self.random.choice(["explain", "fix", "refactor", "ask"])
        argument = {"uri": document.uri, "range": self._range(document), "instruction": "Tell me"}
        await client.request("workspace/executeCommand", {"command": f"glossator.{name}", "arguments": [argument]})
        await self._idle(client)

    async def related(self, client: Client) -> None:
        """Ask about a problem of an open file that, as another server says, has to do with a private one."""
        document = self._is_open()
        # What a single line says of a copy that nobody has opened is known to no rule.
        closed = [one for one in self.world.of("private", "never") if one.kind != "copied"]
        if not closed:
            return
        other = self.random.choice(closed)
        line = self.random.randrange(max(1, other.text.count("\n")))
        place = {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 3}}
        words = f"see {other.text.splitlines()[line]}"
        range_ = self._range(document)
        told = self._diagnostic(
            range_, "it is not what it should be", [{"location": {"uri": other.uri, "range": place}, "message": words}]
        )
        client.notify("glossator/diagnostics", {"textDocument": {"uri": document.uri}, "diagnostics": [told]})
        action = self.random.choice(["explain", "fix", "ask"])
        await self._run(client, document, action=action, range=range_, diagnostics=self.random.choice([None, [told]]))

    async def quoted(self, client: Client) -> None:
        """Ask about a problem whose message quotes a secret."""
        document = self._is_open()
        range_ = self._range(document)
        told = self._diagnostic(range_, f"bad call: {secret(self.canaries, self.random)}")
        await self._run(
            client, document, action=self.random.choice(["explain", "fix"]), range=range_, diagnostics=[told]
        )

    async def typed(self, client: Client) -> None:
        """Ask with words into which the user has pasted a secret."""
        words = f"Why does this fail: {secret(self.canaries, self.random)}"
        await self._run(client, self._is_open(), action=self.random.choice(["ask", "refactor"]), instruction=words)

    async def follow(self, client: Client) -> None:
        """Ask further about an earlier answer, at times about another document than that."""
        if not self.jobs:
            await self.run(client)
        job, about = self.random.choice(self.jobs)
        closed = [one for one in self.jobs if one[1].level != "open"]
        if closed and self.random.random() < 0.5:
            job, about = self.random.choice(closed)
        document = self._is_open() if self.random.random() < 0.6 else self.open(about)
        params = {"question": "And why is that?", "job": job, "textDocument": {"uri": document.uri}}
        result = await client.request(
            "glossator/ask", params | ({"range": self._range(document)} if document is not about else {})
        )
        self.jobs.append((result["job"], about))
        self.outcome.jobs += 1
        await self._end(client, result["job"])

    async def change(self, client: Client) -> None:
        """Type; at times paste a secret into an open file, and ask about the file at once."""
        assert self.editor is not None
        document = self.open(self._any())
        text = self.editor.texts[document.uri]
        secretly = document.level == "open" and self.random.random() < 0.5
        words = f"\n{secret(self.canaries, self.random)}\n" if secretly else "\n# changed\n"
        self.editor.type(document.uri, len(text), len(text), words)
        await self._run(client, document)
        if secretly:  # and taken out again: what was learned of the document before must not be believed
            self.editor.type(document.uri, len(text), len(self.editor.texts[document.uri]), "")

    async def reopen(self, client: Client) -> None:
        """Close a document and open it again."""
        assert self.editor is not None
        document = self.open(self._any())
        self.editor.close(document.uri)
        del self.opened[document.uri]
        await self._run(client, self.open(document))

    async def rename(self, client: Client) -> None:
        """Give an open file a private name, with text that nobody has seen before."""
        assert self.editor is not None
        document = self._is_open()
        builder_text = f"def {self.canaries.make('private: a renamed file')}():\n    return 1\n"
        path = (
            self.world.root
            / f"renamed_{self.random.randrange(1_000_000)}"
            / self.random.choice([".env", "id_rsa", "secrets.json"])
        )
        path.parent.mkdir(exist_ok=True)
        if path.exists() or document.path is None:
            return
        path.write_text(builder_text, encoding="utf-8")
        self.editor.close(document.uri)
        del self.opened[document.uri]
        renamed = Document("renamed", path.as_uri(), builder_text, "private", path)
        await self._run(client, self.open(renamed))

    async def look(self, client: Client) -> None:
        """Open menus and hovers."""
        document = self.open(self._any())
        range_ = self._range(document)
        identifier = {"uri": document.uri}
        context = {"diagnostics": [self._diagnostic(range_, "it is wrong")]}
        await client.request(
            "textDocument/codeAction", {"textDocument": identifier, "range": range_, "context": context}
        )
        await client.request("textDocument/hover", {"textDocument": identifier, "position": range_["start"]})

    async def why(self, client: Client) -> None:
        """Ask where this would go."""
        document = self.open(self._any())
        await client.request("glossator/why", {"textDocument": {"uri": document.uri}})
        await client.request("glossator/status")

    async def configure(self, client: Client) -> None:
        """Change the settings: the product is built anew."""
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.request("glossator/status")

    async def rules(self, client: Client) -> None:
        """Add an ignore file while the editor is open: what it closes is closed from then on."""
        folder = self.world.root / f"later_{self.random.randrange(1_000_000)}"
        folder.mkdir(exist_ok=True)
        path = folder / "module.py"
        text = "def early():\n    return 1\n"
        path.write_text(text, encoding="utf-8")
        rules = folder / self.random.choice([".aiignore", ".cursorignore", ".gitignore"])
        rules.write_text("*.txt\n", encoding="utf-8")
        early = self.open(Document("later", path.as_uri(), text, "open", path))
        await self._run(client, early)
        rules.write_text("*.py\n", encoding="utf-8")
        assert self.editor is not None
        mark = self.canaries.make("private: typed after the rule came")
        old = self.editor.texts[early.uri]
        self.editor.type(early.uri, len(old), len(old), f"\ndef {mark}():\n    return 2\n")
        await self._run(client, early)

    async def cancel(self, client: Client) -> None:
        """Cancel a task while it runs."""
        document = self.open(self._any())
        params = {"action": "explain", "textDocument": {"uri": document.uri}, "range": self._range(document)}
        result = await client.request("glossator/run", params)
        self.outcome.jobs += 1
        await asyncio.sleep(self.random.random() * 0.01)
        await client.request("glossator/cancel", {"job": result["job"]})
        await self._end(client, result["job"])

    async def accept(self, client: Client) -> None:
        """Accept a preview."""
        job = await self._run(
            client, self.open(self._any()), action="refactor", instruction="Rename it", apply="preview"
        )
        client.notify("glossator/didAccept", {"job": job})
        await client.request("glossator/status")

    async def again(self, client: Client) -> None:
        """Ask the same twice: what is kept of the first answer comes into play."""
        document = self.open(self._any())
        range_ = self._range(document)
        told = [self._diagnostic(range_, '"totl" is not defined')]
        for _ in range(2):
            await self._run(client, document, action="explain", range=range_, diagnostics=told)

    async def repeat(self, client: Client) -> None:
        """Ask about an open file before and after a private one, of whoever is first in the order."""
        await self._run(client, self._is_open())
        await self._run(client, self.open(self._any()))
        await self._run(client, self._is_open())

    async def _idle(self, client: Client) -> None:
        for _ in range(400):
            status = await client.request("glossator/status")
            if not status.get("jobs"):
                return
            await asyncio.sleep(0.02)

    # what is looked at

    def judge(self, heard: list[Heard], written: Mapping[str, bytes]) -> Outcome:
        """Look at all that was sent and written; return the outcome."""
        outcome = self.outcome
        for one in heard:
            found = self._found(one)
            if one.near:
                outcome.kept += bool(self.canaries.find(one.data))
            elif one.data.startswith(b"POST"):
                outcome.requests += 1
            if found:
                outcome.leaks.append(f"{one.peer} was sent {'; '.join(sorted(found))}")
            if one.peer.startswith("trap"):
                outcome.leaks.append(f"{one.peer} was reached: {one.data[:80]!r}")
        for name, content in written.items():
            if marks := self.canaries.find(content):
                outcome.leaks.append(f"{name} holds {'; '.join(sorted(marks))}")
        far = [one for one in heard if not one.near and one.peer != "name server"]
        early = far[: self.before_consent] if outcome.consented else far
        if self.plan.found and early:
            outcome.leaks.append(f"{early[0].peer} was asked before the user allowed it")
        return outcome

    def _found(self, one: Heard) -> frozenset[str]:
        """Return what stands in the bytes that a peer was sent and should not have been."""
        own = self.plan.keys.get(one.peer.removeprefix("cloud "))
        found = self.canaries.find(_without_key(one.data, own) if own is not None else one.data)
        if one.near:
            nowhere = {"never", "key"} | ({"secret", "beside"} if self.on_secret == "refuse" else set())
            return frozenset(about for about in found if about.partition(":")[0] in nowhere)
        if self.on_secret == "redact":  # what stands beside a secret that is masked may travel
            return frozenset(about for about in found if not about.startswith("beside"))
        return found


def _without_key(data: bytes, key: str) -> bytes:
    """Take a provider's own key out of the headers that carry keys: there, and only there, it may stand."""
    head, gap, body = data.partition(b"\r\n\r\n")
    lines = [
        line
        for line in head.split(b"\r\n")
        if not (
            line.lower().startswith((b"authorization:", b"x-api-key:", b"x-goog-api-key:", b"api-key:"))
            and key.encode() in line
        )
    ]
    return b"\r\n".join(lines) + gap + body


def _ended(client: Client) -> set[str]:
    return {one["job"] for one in _ends(client)}


def _ends(client: Client) -> list[dict[str, Any]]:
    return [one for one in client.heard("glossator/stream") if one["kind"] == "end"]


def written_by(home: Path, configuration: str = "config.toml") -> dict[str, bytes]:
    """Return every file that the product left in the user's folders, its name among its bytes."""
    return {
        str(path.relative_to(home)): str(path.relative_to(home)).encode() + b"\n" + path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name != configuration
    }


def logged(client: Client) -> bytes:
    """Return what the server said into logs and traces of the editor."""
    told = [client.heard(name) for name in ("window/logMessage", "$/logTrace", "telemetry/event")]
    return json.dumps(told).encode()


async def play(seed: int, profile: Profile, peers: Peers, folder: Path, *, child: bool = False) -> Outcome:
    """Play the session of this seed and judge it; with *child* the server is a process of its own."""
    session = Session(seed, profile, peers, folder)
    environment = prepare(session, seed)
    log = session.world.home / "log.txt"
    times = 2 if session.random.random() < profile.restart else 1
    told = b""
    for _ in range(times):
        opening = _child(environment, peers, log) if child else _here(environment, log)
        async with opening as client:
            await asyncio.wait_for(session.play(client, actions=session.random.randrange(3, 7)), 120)
            told += logged(client)
            await client.leave()
    written = written_by(session.world.home) | {"the editor's log": told}
    return session.judge(peers.heard(), written)


def prepare(session: Session, seed: int) -> dict[str, str]:
    """Write the user's files, tell the servers how to behave, and return the environment of the product."""
    profile, peers = session.profile, session.peers
    peers.mood.random = Random(seed + 2)
    peers.mood.faults = session.random.choice(profile.faults)
    peers.mood.slow = 0.05
    peers.mood.redirects = profile.redirects
    peers.mood.forwarded = ("afar", "big:120b-cloud")
    peers.trust = session.trust
    peers.forget()
    (session.world.home / "tmp").mkdir()
    return session.environment()


@asynccontextmanager
async def _here(environment: Mapping[str, str], log: Path) -> AsyncIterator[Client]:
    """Serve in this loop; everything that anybody logs at any level goes into a file."""
    root = logging.getLogger()
    handler = logging.FileHandler(log, encoding="utf-8")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        async with in_process(Application.build, environment=environment) as client:
            yield client
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


@asynccontextmanager
async def _child(environment: Mapping[str, str], peers: Peers, log: Path) -> AsyncIterator[Client]:
    """Serve in a process of its own, in the same internet; what it writes to standard error is a log too."""
    names = log.with_name("names.txt")
    peers.internet.record = str(names)
    carried = {
        name: value for name, value in os.environ.items() if name.upper().endswith("_PROXY") or name == "SSL_CERT_FILE"
    }
    given = {
        **carried,
        **environment,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LEAK_LAB_INTERNET": peers.internet.dump(),
    }
    peers.internet.record = None
    with log.open("ab") as errors:
        async with spawn((PYTHON, "-m", "leak_lab.child"), environment=given, stderr=errors) as client:
            yield client
    if names.exists():
        peers.internet.asked += names.read_text("utf-8").splitlines()
        names.unlink()
