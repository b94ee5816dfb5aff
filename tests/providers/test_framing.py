"""Bytes become frames whatever pieces they come in, within bounds, and garbage becomes a clear error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.errors import Kind, ProviderError
from glossator_providers.framing import LIMIT, EventStream, Frame, Lines


def split(splitter: EventStream | Lines, *pieces: bytes) -> list[Frame]:
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
    for kind in (EventStream, Lines):
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


def outcome(splitter: EventStream | Lines, pieces: list[bytes]) -> list[Frame] | Kind:
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
