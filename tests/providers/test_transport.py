"""The door: it opens only for what was cleared, only to where it was meant to go, and closes at once when told."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import audit
import parts
from glossator_providers.catalog import ROWS, Provider, Timeouts
from glossator_providers.dialects.dialect import Payload
from glossator_providers.errors import EgressDenied, Kind, ProviderError
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import Cleared, LocalFiles, Policy, clear
from glossator_providers.secrets import Secret
from glossator_providers.transport import Call, Transport

INSTRUCTION = Origin(OriginKind.INSTRUCTION)
PRIVATE = Origin(OriginKind.DOCUMENT, "untitled:Untitled-1")
KEY = "canary-key-7f3a9c"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Capture:
    """A server on strings: answers each request with the next of its answers, and keeps what it received."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answers.pop(0) if self.answers else OK)
                await writer.drain()
                self.asked.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def capture(
    *answers: bytes, socket: Path | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Capture]:
    """Serve *answers* in this loop, on a port of the kernel's choice or a Unix socket."""
    server = Capture(list(answers))
    if socket is not None:
        listener = await asyncio.start_unix_server(server.serve, str(socket))
    else:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def opened(**arguments: Any) -> AsyncIterator[Transport]:
    """Give a transport and close it."""
    transport = Transport(**arguments)
    try:
        yield transport
    finally:
        await transport.aclose()


def provider(base_url: str, *, kind: str = "openai-compatible", **changes: Any) -> Provider:
    """Make a provider at *base_url*."""
    return Provider(name="work", row=ROWS[kind], model="m", base_url=base_url, **changes)


def cleared(text: str = "hello", origin: Origin = INSTRUCTION, **policy: Any) -> Cleared:
    """Clear one text; with the origin of an ordinary instruction it is open."""
    request = Request((Message(Role.USER, (Fragment(text, (origin,)),)),))
    return clear(request, policy=Policy(**policy), files=LocalFiles())


def call(
    to: Provider, what: Cleared | None = None, *, path: str = "/chat", key: str | None = None, body: bytes = b"{}"
) -> Call:
    """Put a call together."""
    headers = (("authorization", Secret(f"Bearer {key}")),) if key else ()
    return Call(what or cleared(), to, Payload("POST", path, (("content-type", "application/json"),), body), headers)


async def ask(transport: Transport, what: Call) -> bytes:
    """Send a call and return the whole body."""
    async with transport.send(what) as response:
        return await response.read(1 << 20)


def names(**hosts: list[str] | list[list[str]]) -> Callable[[str, int], Any]:
    """Make a name server: a list of lists gives another answer each time."""

    async def resolve(host: str, port: int) -> list[str]:
        if host == "127.0.0.1":
            return [host]
        answers: list[Any] = hosts[host.replace(".", "_")]
        found: list[str] = answers.pop(0) if isinstance(answers[0], list) else answers
        return found

    return resolve


async def test_a_call_arrives_as_it_was_made() -> None:
    """Method, path, body, key and nothing else of ours arrive; the connection is used again."""
    async with capture() as server, opened() as transport:
        to = provider(f"http://127.0.0.1:{server.port}/v1")
        assert await ask(transport, call(to, key=KEY, body=b'{"a": 1}')) == b"ok"
        assert await ask(transport, call(to)) == b"ok"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat HTTP/1.1"
    assert body == b'{"a": 1}'
    sent = {line.partition(":")[0].lower() for line in lines[1:]}
    assert sent == {"host", "accept-encoding", "user-agent", "content-type", "content-length", "authorization"}
    assert "authorization" not in server.requests[1].decode().lower()
    assert server.connections == 1


async def test_nothing_is_remembered_between_calls() -> None:
    """A cookie that a provider sets is not sent back: each call says only what it was made to say."""
    answer = OK.replace(b"\r\n\r\n", b"\r\nset-cookie: id=1; path=/\r\n\r\n")
    async with capture(answer) as server, opened() as transport:
        for _ in range(2):
            await ask(transport, call(provider(f"http://127.0.0.1:{server.port}")))
    assert b"cookie" not in server.requests[1].lower()


async def test_a_key_that_must_be_fetched_is_fetched_beside_the_loop() -> None:
    """A key from a command is asked for on a thread, so that the loop goes on meanwhile."""
    threads: list[threading.Thread] = []

    def fetch() -> str:
        threads.append(threading.current_thread())
        return KEY

    async with capture() as server, opened() as transport:
        payload = Payload("POST", "/chat", (), b"{}")
        to = provider(f"http://127.0.0.1:{server.port}")
        assert await ask(transport, Call(cleared(), to, payload, (("x-api-key", Secret(fetch)),))) == b"ok"
    assert KEY in server.requests[0].decode()
    assert threads != [threading.main_thread()]


async def test_the_query_of_an_address_stays(connections: list[audit.Attempt]) -> None:
    """An address that carries a query, as Azure's do, keeps it behind the path."""
    async with capture() as server, opened() as transport:
        await ask(transport, call(provider(f"http://127.0.0.1:{server.port}/v1/?api-version=3"), path="/chat?a=b"))
    assert server.requests[0].startswith(b"POST /v1/chat?a=b&api-version=3 HTTP/1.1\r\n")


async def test_private_text_opens_no_connection_to_a_cloud(connections: list[audit.Attempt]) -> None:
    """What is private is refused with its reason before any look-up or socket."""
    async with capture() as server, opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        with pytest.raises(EgressDenied, match=r"private.*untitled"):
            await ask(transport, call(provider(f"http://cloud.test:{server.port}"), cleared(origin=PRIVATE)))
        assert server.connections == 0
    assert connections == []


async def test_private_text_reaches_a_local_server() -> None:
    """The same text goes to a server that is proven to be here, by address, by name and over a Unix socket."""
    async with capture() as server, opened() as transport:
        for host in ("127.0.0.1", "localhost"):
            assert (
                await ask(transport, call(provider(f"http://{host}:{server.port}"), cleared(origin=PRIVATE))) == b"ok"
            )


async def test_a_unix_socket_is_local(tmp_path: Path) -> None:
    """A Unix socket is this machine, whatever host the address spells, and a key may go over it."""
    socket = tmp_path / "s"
    async with capture(socket=socket) as server, opened() as transport:
        to = provider("http://anywhere.test/v1", socket=str(socket))
        assert await ask(transport, call(to, cleared(origin=PRIVATE), key=KEY)) == b"ok"
    assert KEY in server.requests[0].decode()


@pytest.mark.parametrize(
    ("host", "answers", "outcome"),
    [
        ("localhost", ["127.0.0.1"], "passes"),
        ("localhost", ["::ffff:127.0.0.1"], "passes"),
        ("127.1", ["127.0.0.1"], "passes"),
        ("2130706433", ["127.0.0.1"], "passes"),
        ("localhost", ["192.0.2.7"], "refused"),
        ("localhost", ["127.0.0.1", "192.0.2.7"], "refused"),
        ("localhost", ["0.0.0.0"], "refused"),
        ("localhost", ["::"], "refused"),
        ("localhost", ["::ffff:192.0.2.7"], "refused"),
        ("localhost", ["fe80::1%eth0"], "refused"),
        ("0.0.0.0", ["0.0.0.0"], "refused"),
        ("192.0.2.7", ["192.0.2.7"], "refused"),
        ("[::ffff:192.0.2.7]", ["::ffff:192.0.2.7"], "refused"),
    ],
)
async def test_local_is_what_the_addresses_are(
    host: str, answers: list[str], outcome: str, connections: list[audit.Attempt]
) -> None:
    """A provider that claims to be local is believed only if every address of its name is loopback; else no socket opens."""

    async def resolve(name: str, port: int) -> list[str]:
        return answers

    async with capture() as server, opened(resolve=resolve) as transport:
        question = call(provider(f"http://{host}:{server.port}", kind="ollama"))
        if outcome == "passes":
            assert await ask(transport, question) == b"ok"
            return
        with pytest.raises(EgressDenied, match="trusted_hosts"):
            await ask(transport, question)
        assert server.connections == 0
    assert connections == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "017700000001"])
async def test_the_systems_own_look_up_knows_odd_spellings(host: str) -> None:
    """Spellings of an address that only the C library understands end at the address they mean."""
    async with capture() as server, opened() as transport:
        assert await ask(transport, call(provider(f"http://{host}:{server.port}", kind="ollama"))) == b"ok"


async def test_a_changing_answer_moves_nothing(connections: list[audit.Attempt]) -> None:
    """A name is looked up once for each connection: what the name server says next is never connected to unproven."""
    answers = [["127.0.0.1"], ["192.0.2.7"]]
    async with capture(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")) as server:
        async with opened(resolve=names(localhost=answers)) as transport:
            to = provider(f"http://localhost:{server.port}")
            assert await ask(transport, call(to, cleared(origin=PRIVATE))) == b"ok"
            with pytest.raises(EgressDenied, match=r"192\.0\.2\.7"):
                await ask(transport, call(to, cleared(origin=PRIVATE)))
        assert {attempt.address for attempt in connections} == {f"127.0.0.1:{server.port}"}
    assert answers == []


async def test_a_trusted_host_counts_as_this_machine() -> None:
    """A host that the user lists, by name or by address, gets private text; the same host unlisted does not."""
    resolve = names(gpu_test=["127.0.0.1"], other_test=["127.0.0.1"])
    async with capture() as server, opened(trusted_hosts=("GPU.test.",), resolve=resolve) as transport:
        private = cleared(origin=PRIVATE, trusted_hosts=("GPU.test.",))
        assert await ask(transport, call(provider(f"http://gpu.test:{server.port}"), private)) == b"ok"
        with pytest.raises(EgressDenied):
            await ask(transport, call(provider(f"http://other.test:{server.port}"), private))
        assert server.connections == 1


async def test_trust_of_the_door_is_its_own() -> None:
    """A host that only the clearance trusts, and not the door, still gets nothing private."""
    async with capture() as server, opened(resolve=names(gpu_test=["127.0.0.1"])) as transport:
        private = cleared(origin=PRIVATE, trusted_hosts=("gpu.test",))
        with pytest.raises(EgressDenied, match="left the machine"):
            await ask(transport, call(provider(f"http://gpu.test:{server.port}"), private))
        assert server.connections == 0


async def test_open_text_goes_to_a_cloud() -> None:
    """What is open may go to a provider that does not claim to be local."""
    async with capture() as server, opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        assert await ask(transport, call(provider(f"http://cloud.test:{server.port}"))) == b"ok"
    assert server.connections == 1


async def test_a_cloud_that_nobody_chose_waits_for_consent() -> None:
    """A cloud that was only found gets nothing until the user agreed once in this workspace."""
    async with capture() as server, opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        to = provider(f"http://cloud.test:{server.port}", found=True)
        with pytest.raises(EgressDenied):
            await ask(transport, call(to, cleared(cloud_allowed=False)))
        assert server.connections == 0
        assert await ask(transport, call(to, cleared(cloud_allowed=True))) == b"ok"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"])
async def test_proxies_of_the_environment_are_never_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment sees nothing, neither of a local server nor of a cloud."""
    async with capture() as proxy, capture() as server, opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for host in ("127.0.0.1", "cloud.test"):
            assert await ask(transport, call(provider(f"http://{host}:{server.port}"))) == b"ok"
    assert proxy.connections == 0
    assert len(server.requests) == 2


async def test_a_configured_proxy_carries_clouds_alone() -> None:
    """The user's proxy is asked for a cloud and never for this machine."""
    async with capture() as proxy, capture() as server, opened(proxy=f"http://127.0.0.1:{proxy.port}") as transport:
        assert await ask(transport, call(provider("http://cloud.test/v1"))) == b"ok"
        assert await ask(transport, call(provider(f"http://127.0.0.1:{server.port}"), cleared(origin=PRIVATE))) == b"ok"
    assert [request.split(b"\r\n")[0] for request in proxy.requests] == [b"POST http://cloud.test/v1/chat HTTP/1.1"]
    assert server.connections == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """A redirect is an error that names its target; the target sees neither body nor key."""
    async with capture() as target:
        location = f"http://127.0.0.1:{target.port}/steal"
        answer = f"HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
        async with capture(answer) as server, opened() as transport:
            with pytest.raises(ProviderError, match=r"redirects to 127\.0\.0\.1") as raised:
                await ask(transport, call(provider(f"http://127.0.0.1:{server.port}"), key=KEY))
        assert target.connections == 0
    assert raised.value.status == status
    assert raised.value.kind is Kind.BAD_REQUEST
    assert KEY not in repr(raised.value)


async def test_a_key_never_travels_in_the_clear(connections: list[audit.Attempt]) -> None:
    """Without https a key goes to this machine only; a cloud's address in http is refused before any socket."""
    async with opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        with pytest.raises(EgressDenied, match="https"):
            await ask(transport, call(provider("http://cloud.test"), key=KEY))
    assert connections == []


@pytest.mark.parametrize("path", ["@evil.test/chat", "chat", "", "//evil.test/chat", "/\\evil.test", "/../../chat"])
async def test_a_path_cannot_leave_the_origin(path: str) -> None:
    """Whatever path a dialect gives, the request goes to the configured address or nowhere."""
    async with capture() as server, opened() as transport:
        try:
            await ask(transport, call(provider(f"http://127.0.0.1:{server.port}"), path=path, key=KEY))
        except EgressDenied:
            assert server.connections == 0
        else:
            assert f"host: 127.0.0.1:{server.port}" in server.requests[0].decode().lower()


@pytest.mark.parametrize(
    "address", ["", "ftp://a/b", "http://", "http://[::1", "http://a:b/", "http://a:0/", "nonsense"]
)
async def test_a_broken_address_is_told(address: str) -> None:
    """An address that is none is an error of the configuration, in words, and no crash."""
    async with opened() as transport:
        with pytest.raises((ProviderError, EgressDenied)) as raised:
            await ask(transport, call(provider(address)))
    assert "base_url" in str(raised.value)


async def test_credentials_in_an_address_are_refused() -> None:
    """A name and a password in base_url would go into a header unasked."""
    async with opened() as transport:
        with pytest.raises(EgressDenied, match="key_env"):
            await ask(transport, call(provider("http://me:secret@127.0.0.1:1/")))


async def test_a_secret_in_the_finished_bytes_stops_at_the_door() -> None:
    """The body is looked through once more: a key that only the finished request shows goes nowhere but here."""
    body = b'{"text": "AKIA\\u0049OSFODNN7QZXWVUT"}'
    async with capture() as server, opened(resolve=names(cloud_test=["127.0.0.1"])) as transport:
        with pytest.raises(EgressDenied, match="aws-access-key"):
            await ask(transport, call(provider(f"http://cloud.test:{server.port}"), body=body))
        assert server.connections == 0
        assert await ask(transport, call(provider(f"http://127.0.0.1:{server.port}"), body=body)) == b"ok"


async def test_cancelling_closes_the_connection_at_once() -> None:
    """Cancelled before the first byte or in mid-stream, the server sees the connection closed within 200 ms."""
    stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for answer in (b"", stream):
        async with capture(answer) as server, opened() as transport:
            question = asyncio.create_task(ask(transport, call(provider(f"http://127.0.0.1:{server.port}"))))
            async with asyncio.timeout(10):
                await server.asked.wait()
            question.cancel()
            async with asyncio.timeout(0.2):
                await server.closed.wait()
            with pytest.raises(asyncio.CancelledError):
                await question


async def break_off(transport: Transport, what: Call) -> None:
    """Fail at the first piece of the answer."""
    async with transport.send(what) as response:
        async for piece in response.chunks():
            raise KeyError(piece)


async def test_leaving_early_closes_the_connection() -> None:
    """An iteration that is broken off by an exception closes the connection; nobody drains an endless answer."""
    stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with capture(stream) as server, opened() as transport:
        with pytest.raises(KeyError):
            await break_off(transport, call(provider(f"http://127.0.0.1:{server.port}")))
        async with asyncio.timeout(0.2):
            await server.closed.wait()


async def test_what_is_left_is_read_so_that_the_connection_is_used_again() -> None:
    """Stopping at a protocol's last event leaves the end of the body: it is read, and the next call needs no handshake."""
    stream = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n0\r\n\r\n"
    async with capture(stream, stream) as server, opened() as transport:
        for _ in range(2):
            async with transport.send(call(provider(f"http://127.0.0.1:{server.port}"))) as response:
                async for piece in response.chunks():
                    assert piece == b"[DONE]"
                    break
    assert server.connections == 1


async def test_an_endless_rest_is_not_waited_for() -> None:
    """A server that keeps talking after the end is hung up on instead of listened to."""
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n[DONE]\r\n"
    async with capture(endless) as server, opened() as transport:
        async with transport.send(call(provider(f"http://127.0.0.1:{server.port}"))) as response:
            async for _ in response.chunks():
                break
        async with asyncio.timeout(1):
            await server.closed.wait()


async def test_compression_is_refused() -> None:
    """An answer in an encoding that was not asked for is not unpacked: it could be a bomb."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"
    async with capture(answer) as server, opened() as transport:
        with pytest.raises(ProviderError, match="compression"):
            await ask(transport, call(provider(f"http://127.0.0.1:{server.port}")))
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def read_little(transport: Transport, what: Call) -> None:
    """Read an answer of at most 1000 bytes."""
    async with transport.send(what) as response:
        await response.read(1000)


async def test_too_large_an_answer_is_cut() -> None:
    """Reading a whole answer has a limit, and beyond it the connection is closed."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n" + b"x" * 100_000
    async with capture(answer) as server, opened() as transport:
        with pytest.raises(ProviderError, match="larger than 1000 bytes"):
            await read_little(transport, call(provider(f"http://127.0.0.1:{server.port}")))
        async with asyncio.timeout(1):
            await server.closed.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
    ],
)
async def test_a_broken_answer_is_a_network_failure(answer: bytes) -> None:
    """Half an answer, or something that is not HTTP, is told as such, without the bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with opened() as transport:
        with pytest.raises(ProviderError) as raised:
            await ask(transport, call(provider(f"http://127.0.0.1:{port}"), key=KEY))
    listener.close()
    assert raised.value.kind is Kind.NETWORK
    assert raised.value.provider == "work"
    assert raised.value.__cause__ is None
    assert KEY not in str(raised.value)


async def test_nobody_listening_is_a_network_failure(started_server: Callable[[int], None]) -> None:
    """A refused connection says so."""
    async with capture() as server:
        port = server.port
    started_server(port)
    async with opened() as transport:
        with pytest.raises(ProviderError, match="refused") as raised:
            await ask(transport, call(provider(f"http://127.0.0.1:{port}")))
    assert raised.value.kind is Kind.NETWORK


async def test_silence_is_a_timeout() -> None:
    """A server that accepts and never answers is a timeout, after the time that the provider is given in all."""
    async with capture(b"") as server, opened() as transport:
        to = dataclasses.replace(provider(f"http://127.0.0.1:{server.port}"), timeouts=Timeouts(connect=5, total=0.05))
        with pytest.raises(ProviderError) as raised:
            await ask(transport, call(to))
    assert raised.value.kind is Kind.TIMEOUT


async def test_a_slow_name_server_is_a_timeout() -> None:
    """A look-up that never ends counts into the time to connect."""

    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with opened(resolve=resolve) as transport:
        to = dataclasses.replace(provider("http://localhost:1"), timeouts=Timeouts(connect=0.05))
        with pytest.raises(ProviderError) as raised:
            await ask(transport, call(to))
    assert raised.value.kind is Kind.TIMEOUT


async def test_a_key_with_a_line_break_is_not_shown() -> None:
    """A header that HTTP does not allow is refused without quoting it."""
    async with capture() as server, opened() as transport:
        payload = Payload("POST", "/chat", (), b"{}")
        bad = Call(cleared(), provider(f"http://127.0.0.1:{server.port}"), payload, (("x-api-key", f"{KEY}\r\nx: y"),))
        with pytest.raises(ProviderError, match="stray characters") as raised:
            await ask(transport, bad)
        assert KEY not in repr(raised.value) + repr(raised.value.__context__.__class__)
        assert KEY not in repr(bad)
    assert server.requests == []


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """Make a server's certificate for localhost that nobody has signed."""
    key, pem = tmp_path / "key", tmp_path / "pem"
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:cloud.test"]
    subprocess.run([parts.program("openssl"), *command, *subject], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context


async def test_an_unknown_certificate_is_refused(certificate: ssl.SSLContext) -> None:
    """A certificate that nobody vouches for ends the attempt before the request, in words."""
    async with capture(context=certificate) as server, opened() as transport:
        with pytest.raises(ProviderError, match="certificate could not be verified") as raised:
            await ask(transport, call(provider(f"https://localhost:{server.port}"), key=KEY))
    assert raised.value.kind is Kind.NETWORK
    assert server.requests == []


async def test_a_key_travels_over_https(certificate: ssl.SSLContext, tmp_path: Path) -> None:
    """With a certificate that is trusted, a key reaches a cloud, and the context is made once."""
    made = 0

    def make() -> ssl.SSLContext:
        nonlocal made
        made += 1
        return ssl.create_default_context(cafile=str(tmp_path / "pem"))

    resolve = names(cloud_test=["127.0.0.1"])
    async with capture(context=certificate) as server, opened(resolve=resolve, make_context=make) as transport:
        for _ in range(2):
            assert await ask(transport, call(provider(f"https://cloud.test:{server.port}"), key=KEY)) == b"ok"
    assert KEY in server.requests[0].decode()
    assert server.connections == 1
    assert made == 1


async def test_https_where_http_is_spoken_is_told() -> None:
    """A server that answers a TLS greeting in plain text gives a sentence about the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with opened() as transport:
        with pytest.raises(ProviderError, match="encrypted connection"):
            await ask(transport, call(provider(f"https://localhost:{port}")))
    listener.close()


async def test_importing_the_door_is_cheap() -> None:
    """Nobody pays for an HTTP client by importing the door, nor by making a transport."""
    program = (
        "import sys; from glossator_providers.transport import Transport; Transport(); "
        "print(sorted({'httpx', 'httpcore', 'anyio', 'certifi', 'h11'} & set(sys.modules)))"
    )
    done = await asyncio.create_subprocess_exec(parts.program("python"), "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await done.communicate()
    assert out.decode().strip() == "[]"


async def test_a_warm_transport_has_nothing_left_to_load() -> None:
    """After `warm`, which opens no connection, the first call imports nothing more; warming twice changes nothing."""
    program = (
        "import asyncio, sys\n"
        "from glossator_providers.discovery import find_local\n"
        "from glossator_providers.testing import FakeProvider\n"
        "from glossator_providers.transport import Transport\n"
        "async def main():\n"
        "    transport = Transport()\n"
        "    async with FakeProvider('llamacpp') as fake:\n"
        "        await transport.warm()\n"
        "        await transport.warm()\n"
        "        before, connections = set(sys.modules), fake.connections\n"
        "        found = await find_local(transport, {}, addresses={'llamacpp': fake.base_url}, seconds=10)\n"
        "        heavy = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "        print(connections, len(found), sorted(heavy & {'httpx', 'httpcore', 'anyio', 'h11', 'encodings'}))\n"
        "        await transport.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.create_subprocess_exec(parts.program("python"), "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await done.communicate()
    assert out.decode().strip() == "0 1 []"
