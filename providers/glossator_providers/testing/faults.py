"""A provider that fails as it is told, in every way that has been seen, and counts what it served.

    async with FaultServer("anthropic", fault=fault("hangs in the middle")) as server:
        ...
        assert server.counts.requests == 1

What happens before a request is read (a closed port, a name that cannot be found, a certificate that nobody trusts) is no
behaviour of a server: give the client such an address.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from glossator_providers.testing.fake import Asked, Respond, base_url, list_models, play
from glossator_providers.testing.loopback import HttpRequest, LoopbackServer, phrase
from glossator_providers.testing.wires import wire_of

Sleep = Callable[[float], Awaitable[None]]

_BROKEN_OFF = "half an ans"
_DRIP = 5.0  # seconds between two bytes that keep a connection open
_STATUSES = (
    *(400, 401, 402, 403, 404, 408, 409, 413, 422, 429),
    *(500, 502, 503, 504, *range(520, 527), 529),
)
# Written by the gateway before a provider and not by the provider: nginx, Cloudflare.
_OF_GATEWAYS = frozenset({502, 504, *range(520, 527)})
_SENTENCES: Mapping[int, str] = {
    400: "Unknown field: temperatur",
    402: "Your account is not active, please check your billing details",
    404: "The model `fake-model` does not exist or you do not have access to it",
    413: "Request exceeds the maximum size",
    422: "messages: Field required",
    429: "Rate limit reached for requests",
    500: "The server had an error processing your request. Sorry about that!",
    503: "The model is overloaded. Please try again later.",
    529: "Overloaded",
}


async def _closed_before_the_headers(asked: Asked) -> None:
    asked.drop()


async def _reset_before_the_headers(asked: Asked) -> None:
    asked.reset()


async def _closed_after_the_headers(asked: Asked) -> None:
    await asked.start()
    asked.drop()


async def _reset_after_the_headers(asked: Asked) -> None:
    await asked.start()
    asked.reset()


async def _closed_in_the_middle(asked: Asked) -> None:
    await asked.half(_BROKEN_OFF)
    asked.drop()


async def _reset_in_the_middle(asked: Asked) -> None:
    await asked.half(_BROKEN_OFF)
    asked.reset()


async def _ends_in_the_middle(asked: Asked) -> None:
    await asked.half(_BROKEN_OFF)
    await asked.end()


async def _hangs_before_the_headers(asked: Asked) -> None:
    await asked.hang()


async def _hangs_after_the_headers(asked: Asked) -> None:
    await asked.start()
    await asked.hang()


async def _hangs_in_the_middle(asked: Asked) -> None:
    await asked.half(_BROKEN_OFF)
    await asked.hang()


async def _says_nothing(asked: Asked) -> None:
    await asked.end()


async def _garbage(asked: Asked) -> None:
    await asked.send(b"data: {{{\n\n\xff\xfe\x00{" * 3)
    await asked.end()


async def _garbage_in_the_middle(asked: Asked) -> None:
    await asked.half(_BROKEN_OFF)
    await _garbage(asked)


async def _a_character_cut_in_two(asked: Asked) -> None:
    if asked.stream:
        said = asked.wire.piece(asked.model, "text", "\N{BLACK HEART SUIT}", 0)
        await asked.send(said.replace("\N{BLACK HEART SUIT}".encode(), b"\xe2\x99"))
    else:
        await asked.send(b'{"text": "\xe2\x99"}')
    await asked.end()


async def _error_at_once(asked: Asked) -> None:
    await asked.fail_in_stream("Overloaded", "overloaded_error")


async def _error_in_the_middle(asked: Asked) -> None:
    if asked.stream:
        await asked.say(_BROKEN_OFF)
    await asked.fail_in_stream("Overloaded", "overloaded_error")


async def _web_page(asked: Asked) -> None:
    page = "<html><head><title>Sign in</title></head><body>…</body></html>"
    await asked.reply(200, page, {"content-type": "text/html; charset=utf-8"})


async def _echo(asked: Asked) -> None:
    await asked.reply(200, asked.body, {"content-type": "text/plain"})


async def _redirect(asked: Asked) -> None:
    await asked.reply(307, b"", {"location": "http://127.0.0.1:1/"})


async def _rate_limit_for_long(asked: Asked) -> None:
    await asked.fail(429, headers={"retry-after": "20"})


def _of_status(status: int) -> Respond:
    async def respond(asked: Asked) -> None:
        if status in _OF_GATEWAYS:
            page = (
                f"<html><head><title>{status} {phrase(status)}</title></head><body>error code: {status}</body></html>"
            )
            await asked.reply(status, page, {"content-type": "text/html"})
            return
        message = _SENTENCES.get(status, phrase(status))
        if status == 401:  # noqa: PLR2004  OpenAI repeats a wrong key
            message = f"Incorrect API key provided: {_key(asked.headers)}. You can find your API key in your account."
        failed = asked.wire.failure(status, message)
        waits = {"retry-after": "1"} if status == 429 else {}  # noqa: PLR2004  too many requests
        await asked.reply(status, failed.body, {**failed.headers, **waits})

    return respond


def _key(headers: Mapping[str, str]) -> str:
    """Return the key that a request was signed with."""
    signed = (headers.get(name) for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key"))
    return next((value for value in signed if value), "").removeprefix("Bearer ")


_BEHAVIOURS: Mapping[str, Respond] = MappingProxyType(
    {
        "closed before the headers": _closed_before_the_headers,
        "reset before the headers": _reset_before_the_headers,
        "closed after the headers": _closed_after_the_headers,
        "reset after the headers": _reset_after_the_headers,
        "closed in the middle": _closed_in_the_middle,
        "reset in the middle": _reset_in_the_middle,
        "ends in the middle": _ends_in_the_middle,
        "hangs before the headers": _hangs_before_the_headers,
        "hangs after the headers": _hangs_after_the_headers,
        "hangs in the middle": _hangs_in_the_middle,
        "says nothing": _says_nothing,
        "garbage": _garbage,
        "garbage in the middle": _garbage_in_the_middle,
        "a character cut in two": _a_character_cut_in_two,
        "error at once": _error_at_once,
        "error in the middle": _error_in_the_middle,
        "web page": _web_page,
        "echo": _echo,
        "redirect": _redirect,
        "429 for long": _rate_limit_for_long,
        **{str(status): _of_status(status) for status in _STATUSES},
    }
)
FAULTS: Sequence[str] = (*_BEHAVIOURS, "drips at first", "drips in the middle")


def fault(name: str, *, sleep: Sleep = asyncio.sleep) -> Respond:
    """Return the behaviour of this name, one of `FAULTS`; a number is that HTTP status, as the provider writes it.

    What drips sends bytes without content for as long as anybody listens, and *sleep* lies between them.
    Raises KeyError for a name that there is not.
    """

    async def drip(asked: Asked) -> None:
        if name == "drips in the middle":
            await asked.half(_BROKEN_OFF)
        asked.silent = True
        while not asked.closed.done():
            await asked.keep_alive()
            await sleep(_DRIP)

    return drip if name.startswith("drips") else _BEHAVIOURS[name]


_ENDINGS = ("closed", "reset", "ends", "error", "garbage", "500", "503", "529")


class Unreliable:
    """A behaviour that fails this share of the requests, each at a random point in a random way, and answers the others.

    `pieces` makes the answer to a request. The same *random* gives the same failures in the same order of requests.
    """

    def __init__(self, pieces: Callable[[Asked], Sequence[str]], *, share: float, random: Random) -> None:
        self.failed = 0
        self._pieces = pieces
        self._share = share
        self._random = random

    async def __call__(self, asked: Asked) -> None:
        """Answer a request, or fail in the middle of it."""
        pieces = self._pieces(asked)
        if self._random.random() >= self._share:
            await asked.answer(*pieces)
            return
        self.failed += 1
        ending = self._random.choice(_ENDINGS)
        if ending.isdigit():
            await fault(ending)(asked)
            return
        # None: before the headers; 0: after them; len(pieces): only the end is missing.
        point = self._random.choice([None, *range(len(pieces) + 1)])
        if point == 0:
            await asked.start()
        elif point is not None and asked.stream:
            for piece in pieces[:point]:
                await asked.say(piece)
        elif point is not None:
            await asked.half("".join(pieces))
        await _break(asked, ending, began=point is not None)


async def _break(asked: Asked, ending: str, *, began: bool) -> None:
    match ending:
        case "closed":
            asked.drop()
        case "reset":
            asked.reset()
        case "ends":
            await asked.end()
        case "error" if asked.stream or not began:
            await asked.fail_in_stream()
        case _:
            await _garbage(asked)


@dataclass(slots=True)
class Counts:
    """What a fault server served; tokens are those that it told in answers whose last byte it sent."""

    requests: int = 0
    answers: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class FaultServer(LoopbackServer):
    """A provider of a kind that answers in *pieces*, or does what `fault` says; both may be changed between two requests.

    `connections` counts every connection ever opened, `open_connections` those of now; `in_flight` are the requests whose
    answer has neither ended nor been hung up on, `silent` those of them to which nothing more will come.
    """

    def __init__(
        self,
        kind: str = "openai-compatible",
        *,
        pieces: Sequence[str] = ("Hello, ", "world"),
        fault: Respond | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self.kind = kind
        self.wire = wire_of(kind)
        self.pieces = pieces
        self.fault = fault
        self.counts = Counts()
        self._asked: set[Asked] = set()

    @property
    def base_url(self) -> str:
        """What a user would write in the configuration for this server."""
        return base_url(self.origin, self.kind)

    @property
    def in_flight(self) -> int:
        return sum(not asked.closed.done() for asked in self._asked)

    @property
    def silent(self) -> int:
        return sum(asked.silent and not asked.closed.done() for asked in self._asked)

    async def received(self, request: HttpRequest, writer: asyncio.StreamWriter, closed: asyncio.Future[None]) -> None:
        asked = Asked(request, writer, closed, wire=self.wire)
        if request.method == "GET":
            await list_models(asked, ("fake-model",))
            return
        self.counts.requests += 1
        self.start_task(self._serve(asked))

    async def _serve(self, asked: Asked) -> None:
        self._asked.add(asked)
        try:
            await play(self.fault or self._answer, asked)
        finally:
            self._asked.discard(asked)
        if asked.told is None:
            self.counts.failures += 1
        else:
            self.counts.answers += 1
            self.counts.input_tokens += asked.told[0]
            self.counts.output_tokens += asked.told[1]

    async def _answer(self, asked: Asked) -> None:
        for piece in self.pieces:
            await asked.say(piece)
        # Numbers that differ from request to request, so that sums that agree agree in every one of them.
        words = len(re.findall(rb"\w+", asked.body))
        await asked.finish(input_tokens=words, output_tokens=len(self.pieces))
