"""The whole product with a real Neovim, cut off from every network: each address of the internet and each name leads to the lab.

Needs Linux that lets a process have a network and mounts of its own; where it does not, that is said and nothing is proven.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from e2e.neovim import Neovim, NeovimFailed, start_neovim
from editors.neovims import Installed, find_neovims
from leak_lab.internet import Internet
from leak_lab.peers import Mood, Peers, opened
from leak_lab.profiles import Profile
from leak_lab.sessions import Outcome, Session, prepare, written_by

SESSIONS = 6
_SERVED = (443, *range(8000, 8006))  # by one of the lab's servers, found by the address that was meant
_TRAPPED = (21, 22, 25, 80, 1234, 3128, 8080, 8443, 9200, 11434)
_NAMES = 53
_NAME_SERVER = "127.0.0.53"  # an outer address would have to answer as itself, which a socket for all of them cannot
_ANSWER_SECONDS = 6.0  # that the editor is given to show something; who answers nothing has sent what there is
_PROFILE = Profile(
    documents=(
        *("by folder", "by folder's case", "ignored", "no AI", "link", "linked folder", "link to outside", "outside"),
        *("copied", "hard link", "secret", "secret below", "never", "user's rule", "project's rule", "composed"),
    ),
    providers=("both", "clouds", "impostors"),  # the question for consent is Neovim's own, and would wait for a key
    faults=(0.0, 0.2),
    most=8,
)


def enter() -> int:
    """Play the sessions in a namespace of their own; 0 where nothing leaked, or where there can be none."""
    flags = ["--net", "--mount"] if os.geteuid() == 0 else ["--map-root-user", "--net", "--mount"]
    reason = _impossible(flags)
    if reason is not None:
        print(f"the namespace ring was skipped: {reason}")
        return 0
    return subprocess.run(["unshare", *flags, sys.executable, "-m", "leak_lab", "inside"], check=False).returncode


def _impossible(flags: list[str]) -> str | None:
    """Say why there can be no namespace here, None where there can."""
    for name in ("unshare", "ip", "mount"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    if subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True).returncode != 0:
        return "this system lets nobody have a network of their own (see user namespaces)"
    return None if find_neovims() else "no Neovim is installed: `make parts` brings one"


def play() -> int:
    """Make the internet ours, and play; only inside of the namespace."""
    with tempfile.TemporaryDirectory(prefix="leak-lab-") as name:
        folder = Path(name)
        (folder / "resolv.conf").write_text(
            f"nameserver {_NAME_SERVER}\noptions timeout:1 attempts:1\n", encoding="ascii"
        )
        for command in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"],
            ["mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf"],
        ):
            subprocess.run(command, check=True)
        subprocess.run(["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"], check=False, capture_output=True)
        outcomes = asyncio.run(_play(folder))
    leaks = [f"session {one.seed}: {leak}" for one in outcomes for leak in one.leaks]
    for leak in leaks[:20]:
        print(leak)
    told = {name: sum(int(getattr(one, name)) for one in outcomes) for name in ("jobs", "requests", "kept")}
    print(
        f"{len(outcomes)} sessions with a real Neovim in a network of our own: {told['jobs']} tasks, {told['requests']} requests "
        f"to clouds, {told['kept']} with private text that stayed; {len(leaks)} leaks"
    )
    return 1 if leaks or not told["requests"] or not told["kept"] else 0


async def _play(folder: Path) -> list[Outcome]:
    internet, mood = Internet(0), Mood()
    outcomes = []
    async with opened(internet, mood, folder) as peers, _relays(internet):
        os.environ["SSL_CERT_FILE"] = str(folder / "authority.pem")
        for seed in range(SESSIONS):
            place = folder / str(seed)
            place.mkdir()
            outcomes.append(await _one(seed, peers, place))
    return outcomes


async def _one(seed: int, peers: Peers, folder: Path) -> Outcome:
    session = Session(seed, _PROFILE, peers, folder)
    environment = prepare(session, seed)
    environment["SSL_CERT_FILE"] = os.environ["SSL_CERT_FILE"]
    environment |= dict.fromkeys(("HTTPS_PROXY", "http_proxy", "ALL_PROXY"), f"http://127.0.0.1:{peers.proxy_port}")
    installed = find_neovims()[seed % len(find_neovims())]
    with _Wire() as wire:
        await _edit(session, installed, environment)
    session.judge(peers.heard(), written_by(session.world.home))
    for (address, port), data in wire.flows().items():
        if (
            found := session.canaries.find(data) if port != 443 else ()
        ):  # that one is encrypted: its server told what came
            session.outcome.leaks.append(f"{address}:{port} was sent {'; '.join(sorted(found))}")
        if port not in (*_SERVED, _NAMES):
            session.outcome.leaks.append(f"{address}:{port} was called")
    return session.outcome


async def _edit(session: Session, installed: Installed, environment: dict[str, str]) -> None:
    """Open every document in Neovim, and ask about it."""
    async with start_neovim(installed, environment=environment) as editor:
        for document in session.world.documents:
            if document.path is None:
                continue
            with contextlib.suppress(NeovimFailed):
                await editor.run(f"vim.cmd.edit(vim.fn.fnameescape([[{document.path}]]))")
                await editor.until(
                    "(vim.lsp.get_clients({ name = 'glossator', bufnr = 0 })[1] or {}).initialized", deadline=10
                )
                await editor.cursor(session.random.choice([1, 2]), 0)
                for command in session.random.sample(["explain", "fix", "why"], k=2):
                    session.outcome.jobs += 1
                    await _ask(editor, command)


async def _ask(editor: Neovim, command: str) -> None:
    before = await editor.value("#_G.messages")
    await editor.command(f"Glossator {command}")
    with contextlib.suppress(NeovimFailed):
        await editor.until(f"#_G.messages > {before} or float_text() ~= nil", deadline=_ANSWER_SECONDS)
    await asyncio.sleep(0.3)
    await editor.run("pcall(vim.cmd, 'fclose!')")


@asynccontextmanager
async def _relays(internet: Internet) -> AsyncIterator[None]:
    """Answer names, and hand each connection to whoever stands behind the address that was meant."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        with contextlib.suppress(OSError):
            real = internet.port(address, port) or internet.trap
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", real)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    async with AsyncExitStack() as stack:
        for port in (*_SERVED, *_TRAPPED):
            server = await asyncio.start_server(relay, "0.0.0.0", port)
            stack.callback(server.close)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _NameServer(internet), local_addr=(_NAME_SERVER, _NAMES)
        )
        stack.callback(transport.close)
        yield


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class _NameServer(asyncio.DatagramProtocol):
    """Gives every name an address (RFC 1035); of IPv6 it knows none."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, place = [], 12
        while (size := data[place]) != 0:
            labels.append(data[place + 1 : place + 1 + size].decode("latin-1"))
            place += size + 1
        question = data[12 : place + 5]
        addresses = self._internet.addresses(".".join(labels)) if question[-4:-2] == b"\0\1" else []
        answers = b"".join(
            b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses if ":" not in address
        )
        counts = struct.pack(">HHHH", 1, len(addresses), 0, 0)
        self._transport.sendto(data[:2] + b"\x81\x80" + counts + question + answers, addr)


class _Wire:
    """Listens to every packet of the namespace; whatever goes to another address than loopback is kept, by where it goes."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._socket.settimeout(0.2)
        self._packets: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                packet, (_, _, kind, *_) = self._socket.recvfrom(1 << 17)
                if kind != socket.PACKET_OUTGOING:  # each is seen on its way out and on its way in
                    self._packets.append(packet[14:])

    def flows(self) -> dict[tuple[str, int], bytes]:
        """Return all bytes that went to each address and port outside of this machine, in the order in which they went."""
        sent: defaultdict[tuple[str, int], bytearray] = defaultdict(bytearray)
        for packet in self._packets:
            if packet[0] >> 4 == 4:
                address = socket.inet_ntoa(packet[16:20])
                protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
            else:
                address = socket.inet_ntop(socket.AF_INET6, packet[24:40])
                protocol, rest = packet[6], packet[40:]
            if address.startswith("127.") or address == "::1" or protocol not in (6, 17):
                continue
            at, port = struct.unpack(">HH", rest[:4])
            if at in (*_SERVED, *_TRAPPED, _NAMES) and at < port:
                continue  # an answer of one of our servers: both ends have outer addresses here
            head = (rest[12] >> 4) * 4 if protocol == 6 else 8
            sent[address, port] += rest[head:]
        return {where: bytes(data) for where, data in sent.items()}
