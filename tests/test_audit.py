"""The watch over connections sees what code tries, here and in child processes, and lets only the test run's own through."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import audit

TESTS = Path(__file__).resolve().parent


def refused(watch: audit.Watch, event: str, *arguments: object) -> str | None:
    """Return why *watch* refuses an event, None where it lets it pass."""
    try:
        watch.audit(event, arguments)
    except audit.ConnectionForbidden as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "host", ["192.0.2.7", "8.8.8.8", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.7", "example.com"]
)
def test_other_machines_are_refused(host: str) -> None:
    """Whatever is not loopback is refused, and the message names it."""
    assert host in (refused(audit.Watch(), "socket.connect", None, (host, 443)) or "")


def test_a_port_that_nobody_of_us_opened_is_refused() -> None:
    """A server that happens to run on the developer's machine must not take part in a test."""
    assert "started_server" in (refused(audit.Watch(), "socket.connect", None, ("127.0.0.1", 9)) or "")


def test_names_are_not_looked_up() -> None:
    """A look-up tells a name server what is asked; addresses and localhost ask nobody."""
    watch = audit.Watch()
    assert refused(watch, "socket.getaddrinfo", "api.example.com", 443, 0, 0, 0)
    for host in ("127.0.0.1", "localhost", None, "::1", "127.1", b"127.0.0.1"):
        assert refused(watch, "socket.getaddrinfo", host, 80, 0, 0, 0) is None
    assert len(watch.attempts) == 7


async def test_servers_of_the_test_are_reachable_and_listed(connections: list[audit.Attempt]) -> None:
    """A server in the test's own loop may be connected to, and the attempt is on the list."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    assert [attempt.address for attempt in connections if attempt.event == "socket.connect"] == [f"127.0.0.1:{port}"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose port it is without being asked")
def test_servers_of_child_processes_are_reachable() -> None:
    """A child's port belongs to the test run without a word said."""
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_a_port_can_be_declared(started_server: Callable[[int], None]) -> None:
    """A test that wants a refused connection says which port it knows to be empty."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started_server(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_swallowed_refusal_still_fails_the_test(tmp_path: Path) -> None:
    """Code that catches everything cannot hide from the test run that it tried."""
    for name in ("conftest.py", "audit.py"):
        (tmp_path / name).symlink_to(TESTS / name)
    (tmp_path / "test_it.py").write_text(
        "import socket\n"
        "def test_hides():\n"
        "    try:\n"
        "        socket.create_connection(('192.0.2.7', 443), timeout=1)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "192.0.2.7:443: it is not this machine" in done.stdout


def test_children_write_down_what_they_try(watched_child: audit.WatchedChild) -> None:
    """A child Python under the watch leaves a record, empty when it opened nothing."""
    environment = dict(watched_child.environment)
    subprocess.run([sys.executable, "-c", "pass"], env=environment, check=True, timeout=60)
    assert watched_child.watching
    assert watched_child.attempts() == []
    program = "import socket; s = socket.socket(); s.settimeout(5); s.connect_ex(('127.0.0.1', 9))"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    assert watched_child.attempts() == [audit.Attempt("socket.connect", "127.0.0.1:9")]
