"""Several servers share one quota in a real store, go on without it when it is away, and share again when it is back."""

from __future__ import annotations

import asyncio
import importlib
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

import audit
import store_sender
import store_server
from glossator_providers import shared_quota
from glossator_providers.catalog import ROWS, Limits, Provider
from glossator_providers.errors import ConfigError, Kind, ProviderError
from glossator_providers.limits import Limiter
from glossator_providers.shared_quota import SharedQuota
from hand_clock import HandClock
from store_server import Store

WORK = Provider("work", ROWS["anthropic"], "m", "https://example.invalid")
AWAY = "limits hold for this process alone"


@pytest.fixture
def store(started_server: Callable[[int], None]) -> Iterator[Store]:
    """Run a store of this test's own."""
    with store_server.running(started_server) as store:
        yield store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Give a clock that also the library reads, which would otherwise read the system's."""
    clock = HandClock(1_780_000_000.0)

    class Module:
        time = staticmethod(clock.time)

    monkeypatch.setattr(importlib.import_module("limits.aio.storage.redis.redispy"), "time", Module)
    return clock


def limiter(store: Store, clock: HandClock) -> Limiter:
    """Return what one server keeps to its limits with."""
    return Limiter(clock=clock.time, sleep=clock.sleep, url=store.url, wall=clock.time)


async def go(limiter: Limiter, provider: Provider, tokens: int = 1, *, longest: float = 0) -> bool:
    """Say whether a request got its turn."""
    try:
        async with limiter.turn(provider, tokens, background=False, longest=longest):
            return True
    except ProviderError as error:
        if error.kind is not Kind.RATE:
            raise
        return False


def problems(*limiters: Limiter) -> list[str | None]:
    """Return what ails the shared quota, as each of these servers says."""
    return [limiter.problem for limiter in limiters]


def most_in(moments: Sequence[float], seconds: float) -> int:
    """Return how many of these moments lie in the fullest stretch of so many seconds."""
    return max(sum(start <= other < start + seconds for other in moments) for start in moments)


async def test_sixty_a_minute_is_sixty_for_all(store: Store, clock: HandClock) -> None:
    """Three servers that ask as often as they may, for ten minutes, never ask more than sixty times in any minute."""
    servers = [limiter(store, clock) for _ in range(3)]
    provider = replace(WORK, limits=Limits(60))
    moments: list[float] = []
    for step in range(600):
        for server in servers[step % 3 :] + servers[: step % 3]:
            moments += [clock.now] * await go(server, provider)
        clock.now += 1 if step % 7 else 0.4
    assert most_in(moments, 60) <= 60
    assert len(moments) > 60 * 8
    assert problems(*servers) == [None] * 3
    for server in servers:
        await server.aclose()


async def test_tokens_are_shared_too(store: Store, clock: HandClock) -> None:
    """Large limits are counted in few entries, and never in anybody's favour."""
    one, other = limiter(store, clock), limiter(store, clock)
    provider = replace(WORK, limits=Limits(1000, 1_000_001))
    sent = []
    for server in (one, other) * 200:
        if await go(server, provider, 33_333):
            sent.append((clock.now, 33_333))
        clock.now += 0.75
    minutes = [sum(tokens for moment, tokens in sent if start <= moment < start + 60) for start, _ in sent]
    assert 900_000 < max(minutes) <= 1_000_001
    await one.aclose()
    await other.aclose()


async def test_who_waits_for_the_others_goes_when_there_is_room(store: Store, clock: HandClock) -> None:
    """A server that finds the quota used up by another one says so, waits, and goes within a second or so of its minute."""
    one, other = limiter(store, clock), limiter(store, clock)
    provider = replace(WORK, limits=Limits(2))
    began = clock.now
    assert await go(one, provider)
    assert await go(one, provider)
    assert other.expected(provider, 1) is None
    assert not await go(other, provider, longest=10)
    wait = other.expected(provider, 1)
    assert wait is not None
    assert wait.seconds == pytest.approx(61)
    assert wait.reason == "work allows 2 requests a minute, for all who share it"
    waiting = asyncio.create_task(go(other, provider, longest=100))
    while not waiting.done():
        await asyncio.wait([waiting], timeout=0.02)
        await clock.move(5)
    assert waiting.result()
    assert clock.now - began < 90
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_store_that_goes_away_stops_nobody(
    store: Store, clock: HandClock, connections: list[audit.Attempt], how: str
) -> None:
    """Each server goes on with its own limits and says so; when the store is back, it hears of what was sent, and is shared."""
    one, other = limiter(store, clock), limiter(store, clock)
    provider = replace(WORK, limits=Limits(10))
    assert await go(one, provider)
    assert await go(other, provider)
    (store.stop if how == "stopped" else store.kill)()
    connections.clear()
    for _ in range(4):
        assert await go(one, provider)
    assert len(connections) <= 2, "each request asked a store that is away"
    assert problems(one, other) == [
        f"the shared quota at 127.0.0.1:{store.port} {'does not answer' if how == 'stopped' else 'cannot be reached'}; {AWAY}",
        None,
    ]
    (store.go_on if how == "stopped" else store.start_again)()
    clock.now += 6
    assert await go(one, provider)
    assert problems(one) == [None]
    # Six of one's and at least the latest of the other's count, so that three or four are left, for both together.
    granted = [await go(server, provider) for server in (one, other) * 5]
    assert sum(granted) <= (3 if how == "stopped" else 4)
    assert not granted[-1]
    await one.aclose()
    await other.aclose()


async def test_alone_the_own_limits_hold(store: Store, clock: HandClock) -> None:
    """Without the store a server keeps to the whole limit by itself."""
    store.kill()
    server = limiter(store, clock)
    provider = replace(WORK, limits=Limits(3))
    assert [await go(server, provider) for _ in range(5)] == [True] * 3 + [False] * 2
    assert server.problem == f"the shared quota at 127.0.0.1:{store.port} cannot be reached; {AWAY}"
    await server.aclose()


async def test_whoever_is_cancelled_while_the_store_is_asked_leaves_no_hole(store: Store, clock: HandClock) -> None:
    """A request that is given up in that moment keeps no place, and the next one goes."""
    server = limiter(store, clock)
    provider = replace(WORK, limits=Limits(10, None, 1))
    assert await go(server, provider)
    store.stop()
    first = asyncio.create_task(go(server, provider, longest=50))
    second = asyncio.create_task(go(server, provider, longest=50))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first, second], timeout=10)
    assert first.cancelled()
    assert second.result()
    assert server.expected(provider, 1) is None
    await server.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "stopped", "killed"])
def test_processes_share_a_quota(store: Store, fault: str) -> None:
    """Two real processes with six requests in two seconds: together they keep to it; without the store each does, and says so."""
    requests, seconds = 6, 2.0
    command = [sys.executable, store_sender.__file__, store.url, str(requests), str(seconds), "12"]
    senders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        if fault != "none":
            _wait_for_lines(senders[0], 4)
            (store.stop if fault == "stopped" else store.kill)()
        told = [sender.communicate(timeout=60)[0].splitlines() for sender in senders]
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
        if fault == "stopped":
            store.go_on()
    moments = [[float(line.split()[1]) for line in lines if line.startswith("went")] for lines in told]
    said = [[line for line in lines if line.startswith("problem")] for lines in told]
    if fault == "none":
        assert most_in([*moments[0], *moments[1]], seconds) <= requests
        assert sum(map(len, moments)) > requests
        assert said == [[], []]
    else:
        for mine, lines in zip(moments, said, strict=True):
            assert most_in(mine, seconds) <= requests
            assert len(mine) > requests
            assert lines[0].endswith(AWAY)


def _wait_for_lines(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        process.stdout.readline()


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:6379", "redis://", "redis:///0", "127.0.0.1:6379", "redis://127.0.0.1:99999", "memory://x"),
        *("redis+sentinel://127.0.0.1:6379/name", "redis+cluster://127.0.0.1:6379", "unix:///tmp/socket"),
        *("redis://127.0.0.1:6379/0?host=example.com", "redis://127.0.0.1:6379/../x", "redis://a,b:1/0"),
    ],
)
def test_only_a_plain_address_is_taken(url: str) -> None:
    """What could lead elsewhere than it says is no address of a store."""
    with pytest.raises(ConfigError, match="redis://HOST:PORT"):
        SharedQuota(url, clock=time.monotonic)


async def test_only_that_address_is_connected_to(
    store: Store, clock: HandClock, connections: list[audit.Attempt]
) -> None:
    """Nothing but the store is looked up or connected to, and nothing at all before a limited request goes out."""
    server = limiter(store, clock)
    connections.clear()
    assert await go(server, WORK)
    assert not connections
    assert await go(server, replace(WORK, limits=Limits(5)))
    assert {attempt.address for attempt in connections if attempt.event == "socket.connect"} == {
        f"127.0.0.1:{store.port}"
    }
    await server.aclose()


async def test_the_store_holds_numbers_under_plain_names(store: Store, clock: HandClock) -> None:
    """Nothing is kept in the store but moments, under names of the provider's kind, name and limit."""
    server = limiter(store, clock)
    assert await go(server, replace(WORK, name="a b/c:ü", limits=Limits(5, 100)), 50)
    with socket.create_connection(("127.0.0.1", store.port)) as connection:
        connection.sendall(b"KEYS *\r\n")
        names = [line for line in connection.recv(4096).decode().split("\r\n") if line[:1] not in {"*", "$", ""}]
    assert sorted(names) == [
        "glossator:requests/anthropic/a%20b%2Fc%3A%C3%BC/5/61/second",
        "glossator:tokens/anthropic/a%20b%2Fc%3A%C3%BC/100/61/second",
    ]
    await server.aclose()


async def test_a_password_is_never_shown(store: Store, clock: HandClock) -> None:
    """A store that wants another password is told in words that repeat none."""
    url = store.url.replace("redis://", "valkey://somebody:topsecret@")
    server = Limiter(clock=clock.time, sleep=clock.sleep, url=url, wall=clock.time)
    assert await go(server, replace(WORK, limits=Limits(5)))
    assert server.problem == (
        f"the shared quota at 127.0.0.1:{store.port} does not accept the user or the password of its address; {AWAY}"
    )
    await server.aclose()


async def test_without_the_packages_limits_hold_alone(monkeypatch: pytest.MonkeyPatch, clock: HandClock) -> None:
    """Where the extra is not installed, it is named, and requests go on."""
    monkeypatch.setattr(shared_quota, "_is_installed", lambda: False)
    server = Limiter(clock=clock.time, sleep=clock.sleep, url="redis://127.0.0.1:1", wall=clock.time)
    assert server.problem is not None
    assert "install glossator[redis]" in server.problem
    assert [await go(server, replace(WORK, limits=Limits(1))) for _ in range(2)] == [True, False]
    clock.now += 1e9
    assert await go(server, replace(WORK, limits=Limits(1)), longest=math.inf)
