"""Find what FILE:LINE:COL names, and read it as an editor would have sent it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from glossator.cli.failures import UsageError
from glossator.document import Point, Region, Snapshot

LARGEST = 8 << 20  # bytes: no editor sends more, and no model reads it

_BOM = b"\xef\xbb\xbf"
# LSP's language ids: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#textDocumentItem
_LANGUAGES = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascriptreact",
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "typescriptreact",
    ".go": "go",
    ".rs": "rust",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".hpp": "cpp",
    ".sh": "shellscript",
    ".bash": "shellscript",
    ".java": "java",
    ".rb": "ruby",
    ".php": "php",
    ".lua": "lua",
    ".cs": "csharp",
    ".swift": "swift",
    ".kt": "kotlin",
    ".html": "html",
    ".css": "css",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".md": "markdown",
    ".sql": "sql",
}
_SHEBANGS = {"python": "python", "bash": "shellscript", "sh": "shellscript", "node": "javascript"}
_AT_LINE = re.compile(r"(.+?):([0-9]+):?", re.DOTALL)
_AT_COLUMN = re.compile(r"(.+?):([0-9]+):([0-9]+):?", re.DOTALL)
_RANGE = re.compile(r"([0-9]+):([0-9]+)-([0-9]+):([0-9]+)")
_MARKERS = (".git", ".hg", ".glossator.toml")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as it was read: its bytes, and the text in them. `marked` says that it began with a byte order mark."""

    path: Path
    data: bytes
    snapshot: Snapshot
    marked: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A file and, if one was named, a position in it from 0; without a column the whole line is meant."""

    path: Path
    line: int | None = None
    column: int | None = None


def read_place(text: str) -> Place:
    """Read FILE, FILE:LINE or FILE:LINE:COL, both counted from 1; a file whose name ends like that wins."""
    readings = _readings(text)
    if not readings:
        raise UsageError("name a file: FILE, FILE:LINE or FILE:LINE:COL")
    path, line, column = next((one for one in readings if is_file(Path(one[0]))), readings[-1])
    if (line is not None and int(line) < 1) or (column is not None and int(column) < 1):
        raise UsageError(f"lines and columns are counted from 1: {text}")
    return Place(Path(path), int(line) - 1 if line else None, int(column) - 1 if column else None)


def _readings(text: str) -> list[tuple[str, str | None, str | None]]:
    """Return what FILE:LINE:COL can mean, the longest name first: colons and digits may belong to it."""
    found: list[tuple[str, str | None, str | None]] = [
        (name, None, None) for name in (text, text.removesuffix(":")) if name
    ]
    if at_line := _AT_LINE.fullmatch(text):
        found.append((at_line[1], at_line[2], None))
    if at_column := _AT_COLUMN.fullmatch(text):
        found.append((at_column[1], at_column[2], at_column[3]))
    return found


def read_range(text: str) -> Region:
    """Read L:C-L:C, counted from 1, the end exclusive."""
    found = _RANGE.fullmatch(text)
    if found is None or "0" in found.groups():
        raise UsageError(f"a range is LINE:COL-LINE:COL, counted from 1, not {text!r}")
    numbers = [int(number) - 1 for number in found.groups()]
    start, end = Point(*numbers[:2]), Point(*numbers[2:])
    if end < start:
        raise UsageError(f"the range {text} ends before it begins")
    return Region(start, end)


def open_file(path: Path) -> Opened:
    """Read a text file; raises UsageError where there is none that an editor could show."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file")
        if path.exists() and not path.is_file():  # a pipe, say, on which we would wait for ever
            raise UsageError(f"{path} is no regular file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST >> 20} MiB")
    marked = data.startswith(_BOM)
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start}): nothing was done with it") from None
    return Opened(path, data, snapshot_of(path, text), marked)


def read_text(name: str) -> str:
    """Read a text that is not to be changed from a file, or from standard input for `-`; raises UsageError."""
    what = "standard input" if name == "-" else name
    try:
        if name == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise UsageError(f"{what} is larger than {LARGEST >> 20} MiB")
    try:
        return data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} is not UTF-8 text (byte {error.start})") from None


def region_of(text: str, snapshot: Snapshot) -> Region:
    """Read L:C-L:C as a part of the text; an end behind the text's is the text's. Raises UsageError."""
    region = read_range(text)
    end = snapshot.whole.end
    if region.start > end:
        raise UsageError(f"the range {text} begins behind the end of the file, which has {len(snapshot.lines)} lines")
    inside = [
        Point(point.line, min(point.column, len(snapshot.line(point.line)))) for point in (region.start, region.end)
    ]
    return Region(inside[0], min(inside[1], end))


def snapshot_of(path: Path, text: str) -> Snapshot:
    """Make what an editor would have sent of this file; a relative path is one in the current folder."""
    absolute = path.absolute()
    return Snapshot.of(text, uri=absolute.as_uri(), language=language_of(absolute, text), path=str(absolute))


def language_of(path: Path, text: str) -> str:
    """Return LSP's name of the language by the file's ending, else by its first line; empty if neither tells."""
    known = _LANGUAGES.get(path.suffix.lower())
    if known is not None:
        return known
    first = text[:100].partition("\n")[0]
    if first.startswith("#!"):
        program = re.sub(r"[0-9.]+$", "", first.split()[-1].rpartition("/")[2]) if first.split()[1:] else ""
        program = program or re.sub(r"[0-9.]+$", "", first.rpartition("/")[2].strip())
        return _SHEBANGS.get(program, "")
    return ""


def region_at(place: Place, snapshot: Snapshot) -> Region:
    """Return what a place names: a point, a whole line, or without a line the start of the file."""
    if place.line is None:
        return Region(Point(0, 0), Point(0, 0))
    if place.line >= max(1, len(snapshot.lines)):
        raise UsageError(f"{place.path} has {len(snapshot.lines)} lines: there is no line {place.line + 1}")
    length = len(snapshot.line(place.line))
    if place.column is None:
        return Region(Point(place.line, 0), Point(place.line, length))
    point = Point(place.line, min(place.column, length))
    return Region(point, point)


def is_file(path: Path) -> bool:
    """Say whether there is a regular file; where that cannot be seen there is none."""
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be looked into
        return False


def is_folder(path: Path) -> bool:
    """Say whether there is a folder; where that cannot be seen there is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def root_of(path: Path) -> Path:
    """Return the folder that an editor would have opened for this file: its repository, else where we stand, else its own."""
    folder = path.absolute() if is_folder(path) else path.absolute().parent
    for candidate in (folder, *folder.parents):
        if any(_exists(candidate / marker) for marker in _MARKERS):
            return candidate
    here = Path.cwd()
    return here if folder == here or here in folder.parents else folder
