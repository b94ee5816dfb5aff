"""Bytes become frames whatever pieces they come in, within bounds, and garbage becomes a clear error."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import LIMIT, AmazonEvents, EventStream, Frame, Lines


def split(splitter: EventStream | Lines | AmazonEvents, *pieces: bytes) -> list[Frame]:
    """Feed the pieces and end."""
    return [frame for piece in pieces for frame in splitter.feed(piece)] + splitter.end()


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (b"data: a\n\ndata: b\n\n", [Frame(None, "a"), Frame(None, "b")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [Frame("x", "a"), Frame(None, "b")]),
        (b"data:a\rdata: b\r\rdata:  c\r\n\r\n", [Frame(None, "a\nb"), Frame(None, " c")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Frame(None, "a")]),
        (b"\n\n\r\n\rdata: a\n\n", [Frame(None, "a")]),
        (b": keep-alive\n\n: OPENROUTER PROCESSING\n\ndata: a\n\n", [Frame(None, "a")]),
        (b"id: 7\nretry: 10\nfuture: x\nnocolon\ndata: a\n\n", [Frame(None, "a")]),
        (b"event: ping\n\ndata: a\n\n", [Frame(None, "a")]),
        (b"data\n\ndata:\n\n", [Frame(None, ""), Frame(None, "")]),
        (b"data: caf\xc3\xa9 \xe2\x80\xa8 x\x0b\x0c\xc2\x85\n\n", [Frame(None, "café \u2028 x\x0b\x0c\x85")]),
        (b"data: a\x00b\n\n", [Frame(None, "a\x00b")]),
        (b"data: [DONE]\n", [Frame(None, "[DONE]")]),
        (b"data: [DONE]", [Frame(None, "[DONE]")]),
        (b"", []),
        (b"\xef\xbb", []),
    ],
)
def test_event_streams_are_split_as_the_standard_says(body: bytes, frames: list[Frame]) -> None:
    """Line ends, comments, names, blank values and the byte order mark are read as WHATWG has them."""
    if body == b"\xef\xbb":
        with pytest.raises(ProviderError):
            split(EventStream(), body)
        return
    assert split(EventStream(), body) == frames
    for point in range(len(body) + 1):
        assert split(EventStream(), body[:point], body[point:]) == frames
    assert split(EventStream(), *(bytes([byte]) for byte in body)) == frames


def test_a_frame_is_given_out_as_soon_as_it_is_whole() -> None:
    """Nobody waits for the byte after a blank line, not even after a carriage return that could have a line feed."""
    stream = EventStream()
    assert stream.feed(b"data: a\r\n\r") == [Frame(None, "a")]
    assert stream.feed(b"\ndata: b\n\n") == [Frame(None, "b")]


@pytest.mark.parametrize("body", [b'{"error": "no"}', b'\n\n{\n\n "error": "no"\n}\n', b"\xef\xbb\xbf[1,\r\n2]"])
def test_plain_json_in_place_of_an_event_stream_is_one_frame(body: bytes) -> None:
    """An error that a server sends as JSON with status 200 reaches the decoder whole, blank lines and all."""
    text = body.decode("utf-8-sig").strip()
    for point in range(len(body) + 1):
        assert split(EventStream(), body[:point], body[point:]) == [Frame(None, text)]


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (b'{"a":1}\n{"b":2}\n', [Frame(None, '{"a":1}'), Frame(None, '{"b":2}')]),
        (b'{"a":1}\r\n\r\n\n  \n{"b":2}', [Frame(None, '{"a":1}'), Frame(None, '{"b":2}')]),
        (b'"\xe2\x80\xa8\x0b"\n', [Frame(None, '"\u2028\x0b"')]),
        (b"", []),
        (b"\n", []),
    ],
)
def test_lines_are_split_at_line_feeds_alone(body: bytes, frames: list[Frame]) -> None:
    """Only a line feed ends a line; what else Python takes for a line end may stand inside a JSON string."""
    for point in range(len(body) + 1):
        assert split(Lines(), body[:point], body[point:]) == frames


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_any_pieces_of_any_bytes_give_the_same_frames_or_the_same_error(pieces: list[bytes]) -> None:
    """Whatever the bytes are, how they were cut changes nothing, and only ProviderError comes out."""
    for kind in (EventStream, Lines, AmazonEvents):
        assert outcome(kind(), pieces) == outcome(kind(), [b"".join(pieces)])


@given(
    st.lists(st.sampled_from([b"data: x\n", b"\n", b"\r", b"\r\n", b"event: e\n", b": c\r", b"data", b"{", b"\xff"])),
    st.integers(1, 5),
)
def test_any_pieces_of_likely_bytes_give_the_same_frames_or_the_same_error(parts: list[bytes], size: int) -> None:
    """The same for bytes that look like a stream, in pieces of one size."""
    body = b"".join(parts)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    for kind in (EventStream, Lines):
        assert outcome(kind(), pieces) == outcome(kind(), [body])


def outcome(splitter: EventStream | Lines | AmazonEvents, pieces: list[bytes]) -> list[Frame] | Kind:
    """Return the frames, or the kind of the failure."""
    try:
        return split(splitter, *pieces)
    except ProviderError as error:
        return error.kind


def test_a_frame_of_ten_megabytes_is_read() -> None:
    """One event may be large, and comes whole."""
    data = b"x" * 10_000_000
    assert [len(frame.data) for frame in split(EventStream(), b"data: " + data + b"\n\n")] == [len(data)]
    assert [len(frame.data) for frame in split(Lines(), data + b"\n")] == [len(data)]
    assert [len(frame.data) for frame in split(AmazonEvents(), message(EVENT, data))] == [len(data)]


@pytest.mark.parametrize(
    ("splitter", "piece"),
    [
        (EventStream(), b"data: " + b"x" * 65536),  # one line without an end
        (EventStream(), b"data: " + b"x" * 65536 + b"\n"),  # many lines without a blank one
        (EventStream(), b"data:\n" * 10_000),  # many lines of nothing
        (EventStream(), b"{" * 65536),  # JSON without an end
        (EventStream(), b"x" * 65536),  # no protocol at all
        (Lines(), b"x" * 65536),
    ],
)
def test_memory_is_bounded(splitter: EventStream | Lines, piece: bytes) -> None:
    """A frame that never ends is given up at the limit with a clear error, not collected until the memory is full."""

    def feed() -> None:
        for _ in range(2 * LIMIT // len(piece)):
            splitter.feed(piece)

    with pytest.raises(ProviderError, match="larger than 16 MiB") as caught:
        feed()
    assert caught.value.kind is Kind.BROKEN_STREAM


def test_endless_comments_and_blank_lines_cost_no_memory() -> None:
    """Keep-alives may come for ever: they are no part of any frame."""
    stream = EventStream()
    for _ in range(40):
        assert stream.feed((b": keep-alive\n\n" + b"\r\n") * 40_000) == []
    assert split(stream, b"data: a\n\n") == [Frame(None, "a")]


@pytest.mark.parametrize("splitter", [EventStream(), Lines()])
def test_bytes_that_are_no_utf8_are_an_error(splitter: EventStream | Lines) -> None:
    """Half a character is never guessed at: the code that would hold it may be written to a file."""
    with pytest.raises(ProviderError, match="not UTF-8") as caught:
        split(splitter, b"data: caf\xc3\n\n")
    assert caught.value.kind is Kind.BROKEN_STREAM


# --- Amazon's binary events ---


def header(name: str, value: bytes, kind: int = 7) -> bytes:
    """Write one header; kind 7 is a string."""
    sized = struct.pack(">H", len(value)) + value if kind in (6, 7) else value
    return bytes([len(name)]) + name.encode() + bytes([kind]) + sized


def message(
    headers: bytes, payload: bytes = b"{}", *, size: int | None = None, headers_size: int | None = None
) -> bytes:
    """Write one message with right checksums, if need be of wrong lengths."""
    whole = 16 + len(headers) + len(payload) if size is None else size
    prelude = struct.pack(">II", whole, len(headers) if headers_size is None else headers_size)
    prelude += struct.pack(">I", zlib.crc32(prelude))
    return prelude + headers + payload + struct.pack(">I", zlib.crc32(prelude + headers + payload))


TYPE = header(":message-type", b"event")
EVENT = header(":event-type", b"metadata") + header(":content-type", b"application/json") + TYPE


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (message(EVENT, b'{"a":1}') * 2, [Frame("metadata", '{"a":1}')] * 2),
        (message(EVENT, "caf\u00e9".encode()), [Frame("metadata", "caf\u00e9")]),
        (message(TYPE, b""), [Frame(None, "")]),
        (
            message(header(":message-type", b"exception") + header(":exception-type", b"oops"), b'{"message":"no"}'),
            [Frame("oops", '{"message":"no"}', failed=True)],
        ),
        (
            message(
                header(":message-type", b"error") + header(":error-code", b"E") + header(":error-message", b"no"), b""
            ),
            [Frame("E", json.dumps({"message": "no"}), failed=True)],
        ),
        (message(header(":message-type", b"error")), [Frame(None, json.dumps({"message": ""}), failed=True)]),
        (message(header(":message-type", b"hologram") + EVENT[:0]) + message(b""), []),
        # Every type of header is passed by: true, false, byte, short, integer, long, bytes, time, UUID.
        (
            message(
                b"".join(
                    header(f"x{kind}", b"\xff" * size, kind)
                    for kind, size in ((0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 3), (8, 8), (9, 16))
                )
                + EVENT
            ),
            [Frame("metadata", "{}")],
        ),
        (b"", []),
        (message(EVENT)[:-1], []),  # half a message: that the answer broke off is for the decoder to say
    ],
    ids=range(10),
)
def test_amazons_messages_are_split_wherever_they_are_cut(body: bytes, frames: list[Frame]) -> None:
    """Events, exceptions and errors are told apart, headers of all types are understood, messages of the future passed over."""
    for point in range(len(body) + 1):
        assert split(AmazonEvents(), body[:point], body[point:]) == frames
    assert split(AmazonEvents(), *(bytes([byte]) for byte in body)) == frames


@pytest.mark.parametrize(
    "body",
    [
        message(EVENT, size=8, headers_size=0),  # shorter than its own frame
        message(EVENT, headers_size=1000),  # headers that are longer than the message
        message(b"\x03ab"),  # a header that ends in its name
        message(header("a", b"", 10)),  # a type that there is not
        message(header("a", b"12", 4)),  # a value that ends too early
        message(header("a", b"x")[:-1]),
        message(b"\x01a\x07\x00"),
        message(header("a", b"\xff")),  # a string that is none
        message(EVENT, b"\xff"),
        b"HTTP/1.1 200 OK",
        b'{"message": "no event stream"}',
        b"<html><body>Sign in</body></html>",
        b"\0" * 16,
    ],
    ids=range(13),
)
def test_a_damaged_message_is_an_error_after_those_before_it(body: bytes) -> None:
    """What is no message breaks the stream; whole messages before it are given out first, however the bytes are cut."""
    good = message(EVENT)
    for point in range(len(good + body) + 1):
        stream, given = AmazonEvents(), list[Frame]()

        def feed(*pieces: bytes, stream: AmazonEvents = stream, given: list[Frame] = given) -> None:
            for piece in pieces:
                given.extend(stream.feed(piece))
            given.extend(stream.end())

        with pytest.raises(ProviderError) as caught:
            feed((good + body)[:point], (good + body)[point:])
        assert caught.value.kind is Kind.BROKEN_STREAM
        assert given == [Frame("metadata", "{}")]
        with pytest.raises(ProviderError):
            stream.feed(good)


@given(st.integers(0, 8 * len(message(EVENT, b'{"text":"hello"}')) - 1))
def test_a_single_flipped_bit_is_noticed(bit: int) -> None:
    """Whichever bit of a message was turned over on its way, the message is no frame."""
    damaged = bytearray(message(EVENT, b'{"text":"hello"}'))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProviderError):
        split(AmazonEvents(), bytes(damaged))


def test_an_endless_message_is_refused_at_its_beginning() -> None:
    """A length beyond the limit is not waited for: the prelude, which has its own checksum, is enough to give up."""
    with pytest.raises(ProviderError, match="larger than 16 MiB"):
        AmazonEvents().feed(message(b"", size=LIMIT + 1)[:12])
