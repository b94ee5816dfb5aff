"""Marks that stand in private text and nowhere else: made here, and found again however they were disguised."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import gzip
import html
import lzma
import quopri
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from random import Random
from urllib.parse import unquote_to_bytes

_LETTERS = "abcdefghijklmnoprstuvwxyz0123456789"  # without q, which begins each group
_GROUPS = 5
# Two groups beside each other: eleven characters in a row of a mark always hold such a pair.
_PAIR = re.compile(rb"(?=(q[a-z0-9]{3}q[a-z0-9]{3}))")
_DEEPEST = 3  # disguises around each other
_MOST_VIEWS = 400
_MOST_BYTES = 8 << 20  # of one unpacked archive


class Canaries:
    """The marks of one session, each with what it stands in; `find` says which of them some bytes hold."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pairs: dict[bytes, str] = {}

    def make(self, about: str, *, groups: int = _GROUPS) -> str:
        """Return a new mark, a word of lower-case letters and digits, for a place that *about* describes."""
        mark = "".join("q" + "".join(self._random.choices(_LETTERS, k=3)) for _ in range(groups))
        for start in range(0, len(mark) - 4, 4):
            self._pairs[mark[start : start + 8].encode()] = about
        return mark

    def find(self, data: bytes) -> frozenset[str]:
        """Return what the marks in *data* stand in, raw or disguised."""
        found: set[str] = set()
        for view in views(data):
            for match in _PAIR.finditer(view.lower()):
                about = self._pairs.get(match[1])
                if about is not None:
                    found.add(about)
        return frozenset(found)


def views(data: bytes) -> Iterator[bytes]:
    """Yield *data* and all that it may be a disguise of, each once."""
    seen = {data}
    waiting = [(data, 0)]
    while waiting:
        view, depth = waiting.pop()
        yield view
        if depth == _DEEPEST:
            continue
        for reading in _READINGS:
            for inner in reading(view):
                if len(inner) >= 8 and inner not in seen and len(seen) < _MOST_VIEWS:
                    seen.add(inner)
                    # What only strips or turns letters leads to nothing new when it is done twice.
                    waiting.append((inner, _DEEPEST if reading in _LAST else depth + 1))


_ESCAPE = re.compile(rb"\\(?:u00|x|U000000)([0-9A-Fa-f]{2})|\\u\{([0-9A-Fa-f]{2})\}|\\([0-3][0-7]{2})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{14,}")
_LINED_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{40,80}\r?\n){1,}[A-Za-z0-9+/]*={0,2}")
_BASE32 = re.compile(rb"[A-Z2-7]{16,}|[a-z2-7]{16,}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :,-]?){8,}")
_NUMBERS = re.compile(rb"(?:\d{2,3}[ ,;]+){7,}\d{2,3}")
_PRINTED = bytes([0, 9, 10, 13, *range(32, 127)])
_MAGIC = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x5d\x00\x00",
    b"\x28\xb5\x2f\xfd",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
)
_FOR_URLS = bytes.maketrans(b"-_", b"+/")
_NOISE = re.compile(rb"[^A-Za-z0-9]+")


def _escaped(data: bytes) -> Iterator[bytes]:
    """Undo the escapes of JSON, Python, C and JavaScript that spell an ASCII character."""
    if b"\\" in data:
        yield _ESCAPE.sub(
            lambda found: bytes([int(found[1] or found[2], 16) if not found[3] else int(found[3], 8)]), data
        )
        yield data.replace(b"\\", b"")


def _percent(data: bytes) -> Iterator[bytes]:
    if b"%" in data:
        yield unquote_to_bytes(data)


def _entities(data: bytes) -> Iterator[bytes]:
    if b"&" in data:
        yield html.unescape(data.decode("latin-1")).encode("latin-1", "replace")


def _quoted_printable(data: bytes) -> Iterator[bytes]:
    if b"=" in data:
        yield quopri.decodestring(data)


def _wide(data: bytes) -> Iterator[bytes]:
    """Read UTF-16 and UTF-32 in either order: ASCII with zeros between."""
    if b"\0" in data:
        yield data.replace(b"\0", b"")


def _base64(data: bytes) -> Iterator[bytes]:
    runs = _BASE64.findall(data) + [re.sub(rb"\s", b"", one) for one in _LINED_BASE64.findall(data)]
    plain = [run.translate(_FOR_URLS) for run in runs]
    yield from _sensible(base64.b64decode(run[at : at + (len(run) - at) // 4 * 4]) for run in plain for at in range(4))


def _base32(data: bytes) -> Iterator[bytes]:
    runs = [run.upper() for run in _BASE32.findall(data)]
    yield from _sensible(base64.b32decode(run[at : at + (len(run) - at) // 8 * 8]) for run in runs for at in range(8))


def _hex(data: bytes) -> Iterator[bytes]:
    runs = [re.sub(rb"[^0-9A-Fa-f]", b"", run) for run in _HEX.findall(data)]
    yield from _sensible(binascii.unhexlify(run[at : at + (len(run) - at) // 2 * 2]) for run in runs for at in range(2))


def _sensible(decoded: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what may have been meant: archives each by itself, all text together; most words are no base64 of anything."""
    texts = []
    for one in decoded:
        if one.startswith(_MAGIC):
            yield one
        elif len(one.translate(None, _PRINTED)) * 5 <= len(one):
            texts.append(one)
    yield b"\n".join(texts)


def _numbers(data: bytes) -> Iterator[bytes]:
    """Read a list of character codes."""
    for run in _NUMBERS.findall(data):
        yield bytes(value for one in re.findall(rb"\d+", run) if (value := int(one)) < 256)


def _packed(data: bytes) -> Iterator[bytes]:
    """Unpack compressed streams, wherever they begin; what follows them or is missing of them does not matter."""
    starts: list[tuple[bytes, Callable[[], object]]] = [
        (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
        (b"BZh", bz2.BZ2Decompressor),
        (b"\xfd7zXZ", lzma.LZMADecompressor),
        (b"\x5d\x00\x00", lzma.LZMADecompressor),
        *((bytes([0x78, level]), zlib.decompressobj) for level in (0x01, 0x5E, 0x9C, 0xDA)),
    ]
    for magic, make in starts:
        place = data.find(magic)
        for _ in range(20):
            if place < 0:
                break
            yield _unpacked(make(), data[place:])
            place = data.find(magic, place + 1)
    yield _unpacked(zlib.decompressobj(-15), data)
    for end in (b"\r\n\r\n",):
        if end in data:
            yield _unpacked(zlib.decompressobj(-15), data.partition(end)[2])
    yield from _zstandard(data)


def _unpacked(decompressor: object, data: bytes) -> bytes:
    try:
        return bytes(decompressor.decompress(data, _MOST_BYTES))  # type: ignore[attr-defined]  # all of them have it
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        return b""


def _zstandard(data: bytes) -> Iterator[bytes]:
    """Unpack zstd where Python has it (from 3.14 on); before, nothing in the standard library can write it."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # only from Python 3.14 on
    except ImportError:
        return
    place = data.find(b"\x28\xb5\x2f\xfd")
    if place >= 0:
        try:
            yield zstd.ZstdDecompressor().decompress(data[place:], _MOST_BYTES)
        except zstd.ZstdError:
            return


def _dechunked(data: bytes) -> Iterator[bytes]:
    """Put HTTP's chunks together (RFC 9112, 7.1)."""
    body = data.partition(b"\r\n\r\n")[2] or data
    joined = bytearray()
    while match := re.match(rb"([0-9A-Fa-f]{1,6})(?:;[^\r\n]*)?\r\n", body):
        size = int(match[1], 16)
        joined += body[match.end() : match.end() + size]
        body = body[match.end() + size + 2 :]
    if joined:
        yield bytes(joined)


def _strings(data: bytes) -> Iterator[bytes]:
    """Put the text of a stream of JSON events together: a mark may be split over the events."""
    pieces = re.findall(rb'"(?:text|content|delta|thinking)":\s*"((?:[^"\\]|\\.)*)"', data)
    if len(pieces) > 1:
        yield b"".join(pieces)


def _stripped(data: bytes) -> Iterator[bytes]:
    yield _NOISE.sub(b"", data)
    yield re.sub(rb"[\s\x00-\x1f\x7f-\xff]+", b"", data)


def _reversed(data: bytes) -> Iterator[bytes]:
    yield data[::-1]


def _rotated(data: bytes) -> Iterator[bytes]:
    yield codecs.encode(data.decode("latin-1"), "rot13").encode("latin-1")


_LAST = (_stripped, _reversed, _rotated, _strings)
_READINGS: tuple[Callable[[bytes], Iterator[bytes]], ...] = (
    *(_escaped, _percent, _entities, _quoted_printable, _wide, _dechunked, _packed),
    *(_base64, _base32, _hex, _numbers, *_LAST),
)


def planted(mark: str) -> dict[str, bytes]:
    """Return *mark* in thirty disguises by name; the detector must find every one."""
    text = f"before {mark} after"
    raw = text.encode()
    return {
        "raw": raw,
        "upper case": raw.upper(),
        "swapped case": text.title().swapcase().encode(),
        "JSON escapes": "".join(f"\\u{ord(one):04x}" for one in text).encode(),
        "JSON in JSON": "".join(f"\\\\u{ord(one):04x}" for one in text).encode(),
        "Python repr of bytes": "".join(f"\\x{ord(one):02x}" for one in text).encode(),
        "octal escapes": "".join(f"\\{ord(one):03o}" for one in text).encode(),
        "percent": "".join(f"%{ord(one):02X}" for one in text).encode(),
        "percent twice": "".join(f"%25{ord(one):02x}" for one in text).encode(),
        "HTML decimal": "".join(f"&#{ord(one)};" for one in text).encode(),
        "HTML hexadecimal": "".join(f"&#x{ord(one):x};" for one in text).encode(),
        "quoted printable": "".join(f"={ord(one):02X}" for one in text).encode(),
        "UTF-16 little": text.encode("utf-16-le"),
        "UTF-16 big": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32-le"),
        "base64": b'{"x": "' + base64.b64encode(raw) + b'"}',
        "base64 off by one": b'"' + base64.b64encode(b"1" + raw) + b'"',
        "base64 off by two": b'"' + base64.b64encode(b"12" + raw)[1:] + b'"',
        "base64 for URLs": base64.urlsafe_b64encode(b"\xff\xfe\xfb" + raw),
        "base64 in lines": base64.encodebytes(raw * 5),
        "base32": base64.b32encode(raw),
        "hexadecimal": raw.hex().encode(),
        "hexadecimal with colons": raw.hex(":").encode(),
        "codes": ", ".join(str(ord(one)) for one in text).encode(),
        "gzip": gzip.compress(raw * 4),
        "zlib in base64": base64.b64encode(zlib.compress(raw * 4)),
        "deflate without a header": zlib.compress(raw * 4, wbits=-15),
        "bzip2": bz2.compress(raw * 4),
        "xz": lzma.compress(raw * 4),
        "reversed": raw[::-1],
        "rot13": codecs.encode(text, "rot13").encode(),
        "one chunk a character": b"".join(b"1\r\n" + bytes([one]) + b"\r\n" for one in raw),
        "an event a character": b"".join(b'data: {"delta":{"text": "' + bytes([one]) + b'"}}\n\n' for one in raw),
        "a space after each character": " ".join(text).encode(),
        "joined strings": '" + "'.join(mark[index : index + 3] for index in range(0, len(mark), 3)).encode(),
        "half of it": raw[: len("before ") + 12],
    }
