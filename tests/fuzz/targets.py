"""What is fuzzed, and what must hold for whatever comes in: a result that is well formed, or a ProviderError, and nothing else."""

from __future__ import annotations

import base64
import json
import math
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Self

from hypothesis import strategies as st

from fuzz import seeds, shapes
from glossator_providers import allowances, dialects, framing
from glossator_providers.catalog import ROWS
from glossator_providers.dialects import Decoder, Dialect
from glossator_providers.errors import ProviderError
from glossator_providers.framing import Frame, Framing
from glossator_providers.model import Delta, Finished, ModelInfo, Progress, Reasoning, Started, Text, ToolCall, Usage

SMALL_LIMIT = 1 << 12  # bytes of a frame where the framings themselves are tried: theirs would never be reached
_LONGEST_TOLD = 1400  # characters of a failure: a message of 1000, and what is said around it
_MOST_TOKENS = 1 << 56


@dataclass(frozen=True, slots=True)
class Given:
    """One input, which can be written into a line and be read back from it."""

    body: bytes = b""
    cuts: tuple[int, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def line(self) -> str:
        """Write it down so that it can be given again."""
        body = base64.b64encode(self.body).decode()
        value = {"body": body, "cuts": self.cuts, "status": self.status, "headers": self.headers}
        return base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode()

    @classmethod
    def of(cls, line: str) -> Self:
        """Read what `line` wrote."""
        value = json.loads(zlib.decompress(base64.urlsafe_b64decode(line)))
        headers = tuple((name, told) for name, told in value["headers"])
        return cls(base64.b64decode(value["body"]), tuple(value["cuts"]), value["status"], headers)

    @property
    def pieces(self) -> list[bytes]:
        """The body as it arrives."""
        places = (0, *self.cuts, len(self.body))
        return [self.body[start:end] for start, end in pairwise(places)]


def varied(given: Given, chance: random.Random, *, times: int) -> Iterator[Given]:
    """Yield an input and others like it, damaged at single places and cut elsewhere: far cheaper than to draw as many."""
    yield given
    for _ in range(times if given.body else 0):
        body, place = bytearray(given.body), chance.randrange(len(given.body))
        match chance.randrange(6):
            case 0:
                body[place] ^= 1 << chance.randrange(8)
            case 1:
                del body[place:]
            case 2:
                del body[place : place + chance.randrange(1, 30)]
            case 3:
                body[place:place] = chance.choice(_INSERTED)
            case 4:
                body[place : place + 1] = chance.choice(_INSERTED)
            case _:
                body[place:place] = body[place : place + chance.randrange(1, 300)]
        cuts = tuple(sorted(chance.randrange(len(body) + 1) for _ in range(chance.randrange(6))))
        yield replace(given, body=bytes(body), cuts=cuts)


_INSERTED = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\r", b"\n\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xf0\x9f"),
    *(
        b"null",
        b"-1",
        b"9" * 30,
        b"1e999",
        b'"\\ud800"',
        b"[]",
        b"{}",
        b"true",
        b'"error":{},',
        b'"error":"x",',
        b"data: ",
    ),
)


@dataclass(frozen=True, slots=True)
class Target:
    """One reader: the inputs that are tried, and the check that must hold for every one of them."""

    inputs: Callable[[], st.SearchStrategy[Given]]  # made where it is wanted: the recorded traffic is read for it
    check: Callable[[Given], None]


Outcome = tuple[list[Any], tuple[object, ...] | None]


def outcome(read: Callable[[list[Any]], None]) -> Outcome:
    """Return what a reader gives out, and its failure in comparable form."""
    given: list[Any] = []
    try:
        read(given)
    except ProviderError as error:
        sound(error)
        return given, (error.kind, error.message, error.status, error.code, error.partial)
    return given, None


def sound(error: ProviderError) -> None:
    """Check that a failure can be shown, logged and written down."""
    said = str(error)
    said.encode()
    assert 0 < len(error.message) <= _LONGEST_TOLD, "a failure without words, or with too many"
    assert all(letter.isprintable() or letter in "\n\t" for letter in said if letter < "\xa0"), "control characters"
    if error.code is not None:
        error.code.encode()
        assert 0 < len(error.code) <= 100, "a code that is none"
    assert error.retry_after is None or 0 < error.retry_after < math.inf


def well_formed(deltas: list[Delta], *, finishes: int) -> None:
    """Check what a decoder may give out: texts that can be written down, numbers of tokens, an end as often as it may come."""
    ends = 0
    for delta in deltas:
        match delta:
            case Text(said) | Reasoning(said):
                assert said
                said.encode()
            case Started(model, host):
                assert model
                (model + (host or "")).encode()
            case ToolCall():
                assert delta.id
                assert delta.name
                (delta.id + delta.name + delta.arguments + (delta.signature or "")).encode()
            case Usage():
                told = [getattr(delta, name) for name in Usage.__slots__]
                assert all(number is None or 0 <= number < _MOST_TOKENS for number in told)
            case Finished(_, raw):
                ends += 1
                (raw or "").encode()
            case Progress():
                pass
    assert ends <= finishes, "more ends than one"


def listen(
    stream: framing.EventStream | framing.Lines | framing.AmazonEvents,
    decoder: Decoder,
    pieces: list[bytes],
    given: list[Any],
) -> None:
    """Decode a stream as the router does: up to its last event, or up to the end of the body."""
    for piece in (*pieces, None):
        for frame in stream.end() if piece is None else stream.feed(piece):
            given += decoder.decode(frame)
        if decoder.done:
            break
    decoder.end()


def _check_stream(dialect: Dialect, row: str, finishes: int, given: Given) -> None:
    def hear(pieces: list[bytes]) -> Outcome:
        return outcome(partial(listen, framing.splitter(dialect.framing), dialect.decoder(ROWS[row]), pieces))

    whole, cut = hear([given.body]), hear(given.pieces)
    well_formed(whole[0], finishes=finishes)
    assert whole == cut, "another split of the same bytes is heard otherwise"


@st.composite
def _streams(draw: shapes.Draw, name: str, how: Framing) -> Given:
    events = draw(shapes.told(seeds.streams(name)))
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    body = draw(shapes.damaged(shapes.framed(events, how, line_end)))
    return Given(body, draw(shapes.cuts(len(body))))


def _check_document(dialect: Dialect, given: Given) -> None:
    deltas, _ = outcome(lambda into: into.extend(dialect.read(given.body)))
    well_formed(deltas, finishes=len(deltas))
    listed, _ = outcome(lambda into: into.extend(dialect.models(given.body)))
    for model in listed:
        assert isinstance(model, ModelInfo)
        assert model.name
        model.name.encode()
        assert all(
            number is None or 0 <= number < _MOST_TOKENS for number in (model.context_tokens, model.output_tokens)
        )
    error = dialect.explain(given.status, dict(given.headers), given.body, clock=lambda: 1_795_000_000.0)
    sound(error)
    assert error.status == given.status


@st.composite
def _documents(draw: shapes.Draw, name: str) -> Given:
    found = seeds.documents(name)
    value = draw(st.sampled_from(found))
    for _ in range(draw(st.integers(0, 3))):
        value = draw(shapes.bent(value, found))
    body = draw(shapes.damaged(shapes.written(value).encode("utf-8", "surrogatepass")))
    status = draw(st.sampled_from([200, 302, 400, 401, 404, 413, 429, 500, 503, 529, 999]))
    return Given(body, (), status, draw(shapes.headers()))


def _check_framing(how: Framing, given: Given) -> None:
    def split(pieces: list[bytes]) -> Outcome:
        def read(into: list[Any]) -> None:
            stream = framing.splitter(how)
            for piece in pieces:
                into += stream.feed(piece)
            into += stream.end()

        return outcome(read)

    before, framing.LIMIT = framing.LIMIT, SMALL_LIMIT
    try:
        whole, cut = split([given.body]), split(given.pieces)
    finally:
        framing.LIMIT = before
    for frame in whole[0]:
        assert isinstance(frame, Frame)
        assert frame.data or how == "amazon" or frame.data == ""
        ((frame.event or "") + frame.data).encode()
    assert whole == cut, "another split of the same bytes gives other frames"


_LIKELY = {
    "sse": (
        b"data: a",
        b"data:",
        b"event: x",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b": k",
        b"\xef\xbb\xbf",
        b"{",
        b"\xc3",
        b"id: 1",
    ),
    "ndjson": (b'{"a":1}', b"\n", b"\r\n", b"\xc3", b"\xa9", b" ", b"\xe2\x80\xa8", b"\x00"),
    "amazon": (
        shapes.amazon(b'{"a":1}', **{":message-type": "event", ":event-type": "x"}),
        shapes.amazon(b"", **{":message-type": "error", ":error-code": "x", ":error-message": "y"}),
        shapes.amazon(b"\xff", **{":message-type": "exception"}),
        shapes.amazon(b"{}", **{"\x00": "\x00" * 300}),
        shapes.amazon(b"x" * SMALL_LIMIT, **{":message-type": "event"}),
        b"\x00\x00\x00\x10\x00\x00\x00\x00",
    ),
}


@st.composite
def _bytes(draw: shapes.Draw, how: Framing) -> Given:
    likely = st.sampled_from(_LIKELY[how]) | st.binary(max_size=12) | st.sampled_from([b"x" * 1000, b"y" * SMALL_LIMIT])
    body = draw(shapes.damaged(b"".join(draw(st.lists(likely, max_size=12)))))
    return Given(body, draw(shapes.cuts(len(body))))


def _check_allowances(given: Given) -> None:
    for allowance in allowances.read(dict(given.headers), clock=lambda: 1_795_000_000.0):
        allowance.what.encode()
        assert all(number is None or number >= 0 for number in (allowance.limit, allowance.remaining))
        assert allowance.resets_in is None or 0 <= allowance.resets_in < math.inf


def _targets() -> Mapping[str, Target]:
    found: dict[str, Target] = {}
    hows: tuple[Framing, ...] = ("sse", "ndjson", "amazon")
    for how in hows:
        found[f"framing-{how}"] = Target(partial(_bytes, how), partial(_check_framing, how))
    found["allowances"] = Target(lambda: shapes.headers().map(lambda told: Given(headers=told)), _check_allowances)
    for name, row in ROWS_OF.items():
        dialect = dialects.get(name)
        # Google's last word is the last of several: see the note in `Decoder`.
        finishes = 1_000_000 if name == "gemini" else 1
        found[f"stream-{name}"] = Target(
            partial(_streams, name, dialect.framing), partial(_check_stream, dialect, row, finishes)
        )
        found[f"document-{name}"] = Target(partial(_documents, name), partial(_check_document, dialect))
    found["document-vertex"] = Target(partial(_documents, "gemini"), partial(_check_document, dialects.get("vertex")))
    return found


# Every decoder once; the other dialects are these at other addresses, save for the list of models that Vertex has.
ROWS_OF: Mapping[str, str] = {
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "gemini": "gemini",
    "ollama": "ollama",
    "openai_chat": "openai-compatible",
    "openai_responses": "openai-responses",
}
TARGETS: Mapping[str, Target] = _targets()
