"""Everybody whom the product could talk to: clouds, local servers, impostors and traps, each a server that keeps every byte."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import parts
from glossator_providers.catalog import ROWS
from glossator_providers.testing import Asked, FakeProvider, fault
from leak_lab.internet import Internet, table

# Kinds that are at an address of their own, with the variable that holds their key.
CLOUDS = ("anthropic", "openai", "gemini", "mistral", "deepseek", "cohere", "groq", "xai", "openrouter")
OTHERS = {"openai-responses": "https://responses.cloud.test/v1", "azure": "https://mine.openai.azure.test"}
PLAIN = "gateway.cloud.test"  # a cloud without https and without a key
TRUSTED = "gpu.lan"  # a machine that the user may list as trusted
COLLECTOR = "collector.test"  # where redirects, project files and answers point

# Addresses that look local, or like the trusted machine, and are not: what a name answers at each look-up, None for a literal.
IMPOSTORS: dict[str, list[list[str]] | None] = {
    "localhost": [["203.0.113.7"]],
    "models.localhost": [["203.0.113.8"]],
    "ollama.localhost": [["127.0.0.2", "203.0.113.8"]],
    "127.0.0.1.nip.test": [["127.0.0.1"], ["203.0.113.9"]],
    "127.0.0.1.evil.test": [["203.0.113.9"]],
    "rebinding.localhost": [["127.0.0.1"], ["203.0.113.10"]],
    "gpu.lan.evil.test": [["203.0.113.11"]],
    "notgpu.lan": [["203.0.113.12"]],
    "192.168.7.20": None,
    "[::ffff:203.0.113.13]": None,
    "[fe80::7]": None,
    "0.0.0.1": None,
}
_PORT = 8000
CLOSED = 9  # a port on which nobody listens
_KINDS = ("ollama", "lmstudio", "openai-compatible", "vllm", "llamacpp")  # what an impostor may say that it is
_FAULTS = (
    *("500", "503", "529", "401", "404", "400", "closed before the headers", "reset after the headers"),
    *(
        "reset in the middle",
        "ends in the middle",
        "garbage",
        "error in the middle",
        "error at once",
        "web page",
        "echo",
    ),
    *("says nothing", "garbage in the middle", "a character cut in two"),
)
_MARKS = re.compile(rb"redacted0x\w+|(?:q[a-z0-9]{3}){4,9}")  # of private text, and what stands for a masked secret


@dataclass(frozen=True)
class Heard:
    """What one peer was sent: `near` says that it is proven to be this machine, or trusted like it."""

    peer: str
    data: bytes
    near: bool = False


@dataclass
class Mood:
    """How the servers behave in the session that runs."""

    random: Random = field(default_factory=lambda: Random(0))
    faults: float = 0.0
    slow: float = 0.0
    redirects: float = 0.0
    forwarded: tuple[str, ...] = ()  # models that the local Ollama runs elsewhere


class Peers:
    """All servers of a process, and the internet in which they are found."""

    def __init__(self, internet: Internet, mood: Mood) -> None:
        self.internet = internet
        self.mood = mood
        self.clouds: dict[str, FakeProvider] = {}
        self.near: dict[str, FakeProvider] = {}
        self.impostors: dict[str, FakeProvider] = {}
        self.plain: FakeProvider | None = None
        self.trapped: list[tuple[str, bytes]] = []
        self.proxy_port = 0
        self.authority = ""
        self.trust = False  # whether the session's user trusts the machine TRUSTED

    def forget(self) -> None:
        """Begin a new session."""
        for server in self._all():
            server.requests.clear()
        self.trapped.clear()
        self.internet.asked.clear()
        self.internet.names |= {name: [list(one) for one in answers] for name, answers in IMPOSTORS.items() if answers}

    def heard(self) -> list[Heard]:
        """Return all that was sent in this session."""
        told = [Heard(f"cloud {kind}", one.raw) for kind, server in self.clouds.items() for one in server.requests]
        for kind, server in self.impostors.items():
            told += [Heard(f"impostor {kind}", one.raw) for one in server.requests]
        if self.plain is not None:
            told += [Heard(f"cloud {PLAIN}", one.raw) for one in self.plain.requests]
        for name, server in self.near.items():
            for one in server.requests:
                near = self.trust if name == TRUSTED else not self._forwards(one.raw)
                told.append(Heard(f"local {name}", one.raw, near=near))
        told += [Heard(f"trap {name}", data) for name, data in self.trapped]
        told += [Heard("name server", name.encode()) for name in self.internet.asked]
        return told

    def _forwards(self, raw: bytes) -> bool:
        return any(f'"{model}"'.encode() in raw for model in self.mood.forwarded)

    def _all(self) -> list[FakeProvider]:
        servers = [*self.clouds.values(), *self.near.values(), *self.impostors.values()]
        return [*servers, self.plain] if self.plain is not None else servers

    async def respond(self, asked: Asked) -> None:
        """Answer as a model would, with words of what it was shown; or fail, or send the client elsewhere."""
        chance = self.mood.random
        if chance.random() < self.mood.redirects:
            status = chance.choice([301, 302, 303, 307, 308])
            await asked.reply(status, b"", {"location": f"http://{COLLECTOR}{asked.path}"})
            return
        if chance.random() < self.mood.faults:
            if chance.random() < 0.3:  # a provider that quotes what it was sent
                await asked.fail(400, {"error": {"message": asked.body.decode("utf-8", "replace")[-3000:]}})
            else:
                await fault(chance.choice(_FAULTS))(asked)
            return
        if chance.random() < self.mood.slow:
            await asyncio.sleep(0.2)
        marks = [one.decode() for one in _MARKS.findall(asked.body)[:3]]
        words = " ".join(marks) or "nothing"
        await asked.answer(
            "Done: ", f"it is about {words}.\n\n", f"```python\ndef mended():\n    return '{words}'\n```\n"
        )

    async def trap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        """Keep what comes, whatever it is, and hang up."""
        try:
            while data := await asyncio.wait_for(reader.read(65536), 0.5):
                self.trapped.append((name, data))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def opened(internet: Internet, mood: Mood, folder: Path) -> AsyncIterator[Peers]:
    """Start all servers; *folder* is for the certificate of the clouds, which must be trusted by SSL_CERT_FILE."""
    peers = Peers(internet, mood)
    hosts = {kind: urlsplit(ROWS[kind].base_url or "").hostname or "" for kind in CLOUDS}
    hosts |= {kind: urlsplit(url).hostname or "" for kind, url in OTHERS.items()}
    tls = certificate(folder, tuple(hosts.values()))
    async with AsyncExitStack() as stack:
        for number, (kind, host) in enumerate(hosts.items()):
            server = await stack.enter_async_context(FakeProvider(kind, respond=peers.respond, tls=tls))
            peers.clouds[kind] = server
            address = f"198.51.100.{number + 1}"
            internet.names |= table({host: [address]})
            internet.ports[f"{address}:443"] = _port(server)
        peers.plain = await stack.enter_async_context(FakeProvider(respond=peers.respond))
        internet.names |= table({PLAIN: ["198.51.100.100"], TRUSTED: ["192.168.7.7"]})
        internet.ports[f"198.51.100.100:{_PORT}"] = _port(peers.plain)
        for name, kind in (("ollama", "ollama"), ("lmstudio", "lmstudio"), (TRUSTED, "openai-compatible")):
            models, remote = (("here",), ("afar", "big:120b-cloud")) if kind == "ollama" else (("here",), ())
            made = FakeProvider(kind, models=models, remote_models=remote, respond=peers.respond)
            peers.near[name] = await stack.enter_async_context(made)
        internet.ports["127.0.0.2:*"] = CLOSED
        internet.ports[f"192.168.7.7:{_PORT}"] = _port(peers.near[TRUSTED])
        for kind in _KINDS:
            peers.impostors[kind] = await stack.enter_async_context(
                FakeProvider(kind, models=("here",), respond=peers.respond)
            )
        proxy = await asyncio.start_server(lambda r, w: peers.trap(r, w, "proxy"), "127.0.0.1")
        rest = await asyncio.start_server(lambda r, w: peers.trap(r, w, "elsewhere"), "127.0.0.1")
        for listening in (proxy, rest):
            stack.callback(listening.close)
        peers.proxy_port = proxy.sockets[0].getsockname()[1]
        internet.trap = rest.sockets[0].getsockname()[1]
        yield peers


def impostor_address(peers: Peers, host: str, kind: str) -> str:
    """Let the server of this *kind* stand behind *host*, and return what a user would write for it."""
    port = _PORT + 1 + list(_KINDS).index(kind)
    every = IMPOSTORS[host] or [[host.strip("[]")]]
    literals = {str(ipaddress.ip_address(address)) for answers in every for address in answers}
    for address in literals - {"127.0.0.2"}:
        peers.internet.ports[f"{address}:{port}"] = _port(peers.impostors[kind])
    # Who answers there is this machine indeed.
    peers.internet.ports[f"127.0.0.1:{port}"] = _port(peers.near["ollama" if kind == "ollama" else "lmstudio"])
    path = "/v1" if kind != "ollama" else ""
    return f"http://{host}:{port}{path}"


def impostor_kind(random: Random) -> str:
    """Return what an impostor says that it is."""
    return random.choice(_KINDS)


def _port(server: FakeProvider) -> int:
    return int(server.origin.rpartition(":")[2])


def certificate(folder: Path, hosts: tuple[str, ...]) -> ssl.SSLContext:
    """Write a certificate for *hosts* to *folder*, and return how a server shows it."""
    key, pem = folder / "server.key", folder / "authority.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ",".join(f"DNS:{host}" for host in dict.fromkeys(hosts))
    command = [
        *made,
        "-keyout",
        str(key),
        "-out",
        str(pem),
        "-subj",
        "/CN=leak lab",
        "-addext",
        f"subjectAltName={names}",
    ]
    subprocess.run([parts.program("openssl"), *command], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context
