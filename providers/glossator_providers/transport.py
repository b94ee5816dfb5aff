"""The front door: the only room that opens a socket, and only for what privacy has cleared.

Nothing heavy is imported before the first call: a language server starts without an HTTP client.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from glossator_providers.catalog import Provider
from glossator_providers.dialects.dialect import Payload
from glossator_providers.egress_ledger import Arrival, Departure, EgressLedger
from glossator_providers.errors import EgressDenied, Kind, ProviderError
from glossator_providers.model import Usage
from glossator_providers.privacy.decide import Cleared, inspect, is_near, is_trusted
from glossator_providers.secrets import Secret

if TYPE_CHECKING:
    import ssl

    import httpcore
    import httpx
    from httpcore import AsyncNetworkBackend, AsyncNetworkStream
    from httpx import AsyncBaseTransport
else:  # both libraries ask only for the methods, and importing them here would cost every start-up
    AsyncNetworkBackend = AsyncBaseTransport = object

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Return all literal addresses of a host name and port."""

_IDLE = 60.0  # seconds that an unused connection is kept
_LEFT_BYTES = (
    1 << 16
)  # what is still read of an answer that nobody wants any more, so that its connection can be reused
_LEFT_SECONDS = 0.25
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade", "te"}
)
_ALWAYS = (("accept-encoding", "identity"), ("user-agent", "glossator"))
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})
_HOST = re.compile(r"[a-z0-9.:_-]{1,253}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way out: what was cleared, to whom, as which bytes; `headers` sign it.

    `usage` says, when it is over, which tokens the provider has counted.
    """

    cleared: Cleared
    provider: Provider
    payload: Payload
    headers: tuple[tuple[str, Secret | str], ...] = field(default=(), repr=False)
    usage: Callable[[], Usage] = Usage


class Response:
    """What a provider answers, as it comes in: `status`, `headers` with names in lower case, and then the body."""

    def __init__(self, raw: httpx.Response, provider: str) -> None:
        self.status: int = raw.status_code
        self.received = 0  # bytes of the body
        self.peer = _peer_of(raw)
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in raw.headers.items()}
        # Straight from the connection: httpx would pass every piece through three more iterators that add nothing.
        self._pieces: AsyncIterator[bytes] = aiter(raw.extensions["answer"].stream)
        self._provider = provider

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, from where the last iteration stopped; raises ProviderError where it breaks off."""
        with _failures_named(self._provider):
            async for piece in self._pieces:
                self.received += len(piece)
                yield piece

    async def read(self, limit: int) -> bytes:
        """Return the whole body; raises ProviderError(BROKEN_STREAM) where it has more than *limit* bytes."""
        body = bytearray()
        async for piece in self.chunks():
            body += piece
            if len(body) > limit:
                message = f"the answer is larger than {limit} bytes, so the connection was closed"
                raise ProviderError(Kind.BROKEN_STREAM, message, self.status, provider=self._provider)
        return bytes(body)

    async def drain(self) -> None:
        """Read the little that is left, so that the connection serves the next call; give up soon."""
        left = _LEFT_BYTES
        try:
            async with asyncio.timeout(_LEFT_SECONDS):
                async for piece in self.chunks():
                    left -= len(piece)
                    if left < 0:
                        return
        except (TimeoutError, ProviderError):
            return  # the answer was already complete; what follows it is no failure


@dataclass(slots=True)
class _Note:
    """What is known of a request by the time it ends."""

    response: Response | None = None

    def arrival(self, outcome: str, usage: Usage) -> Arrival:
        """Return it as the ledger writes it."""
        response = self.response
        if response is None:
            return Arrival(outcome, usage=usage)
        return Arrival(outcome, response.peer, response.status, response.received, usage)


class Transport:
    """The connections of this process. `proxy` is used for clouds alone, and only if the user configured it."""

    def __init__(
        self,
        *,
        trusted_hosts: tuple[str, ...] = (),
        proxy: str | None = None,
        resolve: Resolve | None = None,
        make_context: Callable[[], ssl.SSLContext] | None = None,
        ledger: EgressLedger | None = None,
    ) -> None:
        """*resolve* and *make_context* replace the system's name look-up and trusted certificates; *ledger* notes every request."""
        self.ledger = ledger
        self._proxied = proxy is not None
        self._trusted = trusted_hosts
        self._make_context = make_context or _make_context
        self._opening = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        look_up = resolve or _resolve
        near = {scheme: _Backend(look_up, trusted_hosts, certified=scheme == "https") for scheme in ("http", "https")}
        self._doorway = _Doorway(_Backend(resolve, None), near, proxy)
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Response]:
        """Send *call* and give its response; leaving the block early, or by an exception, closes the connection.

        Raises EgressDenied before any socket is opened where the clearance does not cover the provider, and before a byte
        is sent where the address turns out to be another; ProviderError where the provider cannot be reached.
        """
        provider = call.provider
        if not call.cleared.covers(provider):
            reasons = "; ".join(str(reason) for reason in call.cleared.decision.reasons[:3])
            level = call.cleared.decision.level.name.lower()
            raise EgressDenied(
                f"this is {level} and may not go to {provider.name}" + (f": {reasons}" if reasons else "")
            )
        near = provider.local or is_near(provider, self._trusted)
        base = _base(provider)
        headers = await _headers(call, encrypted=near or base.scheme == "https")
        inspect(call.payload.body, call.cleared, local=near)
        client = await self._open(encrypted=base.scheme == "https")
        request = _request(call, base, headers, near=near)
        async with self._noted(call, request, near=near) as note:
            with _failures_named(provider.name):
                raw = await client.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                note.response = response = Response(raw, provider.name)
                _refuse_redirect(response, provider)
                _refuse_encoding(response, provider)
                yield response
                await response.drain()
            finally:
                await raw.aclose()

    @asynccontextmanager
    async def _noted(self, call: Call, request: httpx.Request, *, near: bool) -> AsyncIterator[_Note]:
        """Write into the ledger that a request leaves, before it does, and how it ended."""
        note = _Note()
        if self.ledger is None:
            yield note
            return
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        size, proxied = len(call.payload.body), self._proxied and not near
        departure = Departure(
            call.provider, call.cleared, call.payload.method, request.url.host, port, size, near, proxied
        )
        name, outcome = await self.ledger.sent(departure), "given up"
        try:
            yield note
            outcome = "complete"
        except ProviderError as error:
            outcome = error.kind.value
            raise
        except EgressDenied:
            outcome = "denied"
            raise
        finally:
            self.ledger.ended(name, note.arrival(outcome, call.usage()))

    async def warm(self) -> None:
        """Get ready for the first call, which is then as fast as every other; opens no connection."""
        await self._open(encrypted=False)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self.ledger is not None:
            await self.ledger.aclose()

    async def _open(self, *, encrypted: bool) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                await asyncio.to_thread(_import_libraries)
                import httpx

                self._client = httpx.AsyncClient(transport=self._doorway, trust_env=False, follow_redirects=False)
            if encrypted and self._doorway.context is None:
                self._doorway.context = await asyncio.to_thread(self._make_context)
            return self._client


def _base(provider: Provider) -> SplitResult:
    """Return the parts of the provider's address; raises ProviderError where it is none, EgressDenied where it holds a key."""
    try:
        base = urlsplit(provider.base_url)
        usable = base.scheme in {"http", "https"} and bool(base.hostname) and base.port != 0
    except ValueError:
        usable = False
    if not usable:
        message = "its base_url is no http or https address, so it was not asked; correct it in the configuration"
        raise ProviderError(Kind.BAD_REQUEST, message, provider=provider.name)
    if "@" in base.netloc:
        raise EgressDenied(f"the base_url of {provider.name} holds a user name; use key_env or key_command instead")
    return base


def destination(provider: Provider, payload: Payload) -> str:
    """Return the whole address of a request. A path can never lead to another origin: it begins with a slash behind the host.

    Raises EgressDenied or ProviderError where there is none.
    """
    base, path = _base(provider), payload.path
    if not path.startswith("/"):
        raise EgressDenied("a path that does not begin with a slash could name another host, so nothing was sent")
    query = ("&" if "?" in path else "?") + base.query if base.query else ""
    return f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}{path}{query}"


def headers_of(payload: Payload) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request but those of the connection and those that sign it."""
    return (*_ALWAYS, *payload.headers)


async def _headers(call: Call, *, encrypted: bool) -> list[tuple[str, str]]:
    """Return all headers but those of the connection; raises EgressDenied where a key would travel in the clear."""
    headers = list(_ALWAYS)
    for name, value in (*call.payload.headers, *call.headers):
        if name.lower() in _OWN_HEADERS:
            raise EgressDenied(f"the header {name.lower()} belongs to the connection, so nothing was sent")
        if (isinstance(value, Secret) or name.lower() in _KEY_HEADERS) and not encrypted:
            message = "its address is not https, so the key would be readable on the way; use https, or list the host as trusted"
            raise EgressDenied(f"{call.provider.name}: {message}")
        if isinstance(value, str):
            headers.append((name, value))
        elif value.ready:
            headers.append((name, value.reveal()))
        else:
            headers.append((name, await asyncio.to_thread(value.reveal)))
    return headers


def _request(call: Call, base: SplitResult, headers: list[tuple[str, str]], *, near: bool) -> httpx.Request:
    """Put the request together; what a URL's reader makes of the address must be the provider's origin."""
    import httpx

    provider = call.provider
    origin = f"{base.scheme}://{base.netloc}"
    try:
        url = httpx.URL(destination(provider, call.payload))
        expected = httpx.URL(origin)
    except httpx.InvalidURL:
        message = "its base_url is no usable address, so it was not asked; correct it in the configuration"
        raise ProviderError(Kind.BAD_REQUEST, message, provider=provider.name) from None
    if (url.scheme, url.host, url.port) != (expected.scheme, expected.host, expected.port):
        raise EgressDenied(f"the request would not have gone to the address of {provider.name}, so nothing was sent")
    timeouts = provider.timeouts
    timeout = {"connect": timeouts.connect, "pool": timeouts.connect, "read": timeouts.total, "write": timeouts.total}
    extensions = {"timeout": timeout, "near": near, "socket": provider.socket}
    return httpx.Request(call.payload.method, url, headers=headers, content=call.payload.body, extensions=extensions)


def _refuse_redirect(response: Response, provider: Provider) -> None:
    if 300 <= response.status < 400:  # noqa: PLR2004  the class of HTTP's redirections
        try:
            host = (urlsplit(response.headers.get("location", "")).hostname or "").lower()
        except ValueError:
            host = ""
        target = host if _HOST.fullmatch(host) else "another address of its own"
        message = f"it redirects to {target}, which is never followed; if that is right, configure it as base_url"
        raise ProviderError(Kind.BAD_REQUEST, message, response.status, provider=provider.name)


def _refuse_encoding(response: Response, provider: Provider) -> None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        message = "it answered in a compression that was not asked for, so the answer was not read"
        raise ProviderError(Kind.BROKEN_STREAM, message, response.status, provider=provider.name)


class _Doorway(AsyncBaseTransport):
    """Pools of connections, those that are proven to end nearby apart from all others."""

    def __init__(self, far: _Backend, near: Mapping[str, _Backend], proxy: str | None) -> None:
        self.context: ssl.SSLContext | None = None
        self._far = far
        self._near = near
        self._proxy = proxy
        self._pools: dict[tuple[bool, str | None, str], httpcore.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        import httpcore
        import httpx

        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        outgoing = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.content, extensions=request.extensions
        )
        pool = self._pool(
            near=request.extensions["near"], socket=request.extensions["socket"], scheme=request.url.scheme
        )
        answer = await pool.handle_async_request(outgoing)
        stream = _body_class()(answer)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, extensions={"answer": answer})

    async def aclose(self) -> None:
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.aclose()

    def _pool(self, *, near: bool, socket: str | None, scheme: str) -> httpcore.AsyncConnectionPool:
        import httpcore

        key = (near, socket, scheme)
        if key not in self._pools:
            common: dict[str, Any] = {
                "ssl_context": self.context,
                "max_connections": None,
                "max_keepalive_connections": 8,
                "keepalive_expiry": _IDLE,
                "network_backend": self._near[scheme] if near else self._far,
            }
            if self._proxy is not None and not near:
                self._pools[key] = httpcore.AsyncHTTPProxy(**_proxy_arguments(self._proxy), **common)
            else:
                self._pools[key] = httpcore.AsyncConnectionPool(uds=socket, **common)
        return self._pools[key]


def _proxy_arguments(proxy: str) -> dict[str, Any]:
    import httpx

    url = httpx.URL(proxy)
    address = str(url.copy_with(userinfo=b""))
    return {"proxy_url": address, "proxy_auth": (url.username, url.password) if url.userinfo else None}


@functools.cache
def _body_class() -> Any:
    """Make the class of a response's body: httpx insists on its own base class, which is not imported before the first call."""
    import httpx

    class Body(httpx.AsyncByteStream):
        """What httpx must close; `Response.chunks` reads the answer itself."""

        def __init__(self, answer: httpcore.Response) -> None:
            self._answer = answer

        async def aclose(self) -> None:
            await self._answer.aclose()

    return Body


class _Backend(AsyncNetworkBackend):
    """Opens the sockets. With *trusted* hosts given, only those that end on this machine or on one of them.

    The name is looked up once, every address it has must be near, the connection goes to the literal address, and the
    open connection is asked once more where it ends: no answer of a name server can move it. A host that is trusted by its
    name is believed where it is *certified*, which TLS proves before a byte is sent; else its address must be listed too.
    """

    def __init__(self, resolve: Resolve | None, trusted: tuple[str, ...] | None, *, certified: bool = False) -> None:
        self._resolve = resolve
        self._trusted = trusted
        self._certified = certified

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> AsyncNetworkStream:
        import httpcore

        inner = httpcore.AnyIOBackend()
        if self._resolve is None:
            return await inner.connect_tcp(host, port, timeout, local_address, socket_options)
        addresses = await self._look_up(host, port, timeout)
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = await inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if self._trusted is not None and not _same(_peer(stream), address):
                await stream.aclose()
                raise EgressDenied(
                    f"the connection to {host} ended at another address than it should, so nothing was sent"
                )
            return stream
        raise failure or httpcore.ConnectError("the name has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        socket_options: Any = None,
    ) -> AsyncNetworkStream:
        import httpcore

        return await httpcore.AnyIOBackend().connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _look_up(self, host: str, port: int, seconds: float | None) -> list[str]:
        import httpcore

        assert self._resolve is not None
        try:
            async with asyncio.timeout(seconds):
                addresses = list(dict.fromkeys(await self._resolve(host, port)))
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name could not be looked up in time") from None
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name could not be looked up") from error
        if self._trusted is None:
            return addresses
        by_name = is_trusted(host, self._trusted)
        if by_name and self._certified:
            return addresses
        for address in addresses:
            if not _is_loopback(address) and not is_trusted(address, self._trusted):
                if by_name:
                    raise EgressDenied(
                        f"{host} is trusted by a name that any name server can move, now to {address}, so nothing was sent; "
                        "use https, or list that address under trusted_hosts too"
                    )
                raise EgressDenied(
                    f"{host} claims to be this machine but is at {address}, so nothing was sent; "
                    "if you trust it like this machine, list it under trusted_hosts in your own configuration"
                )
        return addresses


async def _resolve(host: str, port: int) -> list[str]:
    import socket

    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _peer_of(raw: httpx.Response) -> str | None:
    """Return where the connection of a response ends, as the system knows it; a Unix socket is this machine's."""
    stream = raw.extensions["answer"].extensions.get("network_stream")
    address = None if stream is None else stream.get_extra_info("server_addr")
    return (
        f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "a Unix socket" if address is not None else None
    )


def _peer(stream: AsyncNetworkStream) -> str:
    address = stream.get_extra_info("server_addr")
    return str(address[0]) if isinstance(address, tuple) else ""


def _literal(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        literal = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(literal, "ipv4_mapped", None) or literal


def _is_loopback(address: str) -> bool:
    literal = _literal(address)
    return literal is not None and literal.is_loopback


def _same(one: str, other: str) -> bool:
    return _literal(one) is not None and _literal(one) == _literal(other)


def _import_libraries() -> None:
    """Import what the first call needs, on a thread: together they take longer than a keystroke may wait."""
    import encodings.idna  # noqa: F401  the first look-up of a name imports it otherwise

    import anyio._backends._asyncio  # noqa: F401  anyio imports it in the middle of the first connection otherwise
    import httpcore  # noqa: F401  see above
    import httpx  # noqa: F401  see above


def _make_context() -> ssl.SSLContext:
    """Trust what the system trusts and what Mozilla trusts: a company's own authority stands in the system's store only."""
    import ssl

    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@contextmanager
def _failures_named(provider: str) -> Iterator[None]:
    """Turn every failure of a connection into a ProviderError; its text and its chain hold no header and no address."""
    import httpcore

    try:
        yield
    except httpcore.ConnectTimeout:
        raise ProviderError(Kind.TIMEOUT, "no connection could be made in time", provider=provider) from None
    except httpcore.TimeoutException:
        raise ProviderError(Kind.TIMEOUT, "it did not answer in time", provider=provider) from None
    except httpcore.ConnectError as error:
        raise ProviderError(Kind.NETWORK, _describe(error), provider=provider) from None
    except httpcore.LocalProtocolError:
        message = "the request could not be sent, one of its headers is not allowed in HTTP; look at the key for stray characters"
        raise ProviderError(Kind.BAD_REQUEST, message, provider=provider) from None
    except httpcore.ProxyError:
        raise ProviderError(Kind.NETWORK, "the proxy did not let it through", provider=provider) from None
    except httpcore.RemoteProtocolError:
        raise ProviderError(Kind.NETWORK, "it broke off, or did not speak HTTP", provider=provider) from None
    except (httpcore.NetworkError, httpcore.UnsupportedProtocol, OSError):
        raise ProviderError(Kind.NETWORK, "the connection broke", provider=provider) from None


def _describe(error: BaseException) -> str:
    """Say why a connection could not be made, from the system's error beneath."""
    import socket
    import ssl

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "its name could not be found"
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            return f"its certificate could not be verified ({why}), so nothing was sent; check base_url, or the system's certificates"
        if isinstance(cause, ssl.SSLError):
            return "no encrypted connection could be made; check whether base_url should begin with http or https"
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return f"cannot connect ({os.strerror(cause.errno).lower()})"
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return "cannot connect"
