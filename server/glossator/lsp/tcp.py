"""One editor over TCP on the loopback interface, for editors and debuggers that cannot start a process."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys


class Connection:
    """A channel over a socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def read(self) -> bytes:
        return self._socket.recv(1 << 16)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the other side may have closed it first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def accept_one(host: str, port: int) -> Connection:
    """Listen on *host*:*port* until one editor has come; raises ValueError for an address that others could reach."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"The server listens on this machine only; use 127.0.0.1 instead of {host}")
    with socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as door:
        print(f"glossator listens on {address}:{door.getsockname()[1]}", file=sys.stderr, flush=True)  # noqa: T201  a client must learn the port
        connected, _ = door.accept()
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(connected)
