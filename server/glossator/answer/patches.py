"""Read the forms in which models write patches: SEARCH/REPLACE, FIND/REPLACE, unified diff, apply_patch, pseudo-diff, line ranges.

Each function takes the answer's lines and the file's lines and returns the file's new lines, why not, or None where the
answer is in another form. Line numbers are never trusted to place a hunk; its text must match.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from glossator.answer.fences import fences
from glossator.answer.placing import Place, Refused, locate, locate_loosely, nearest, the_one

Lines = list[str]


@dataclass(frozen=True, slots=True)
class Target:
    """The file that an answer is about: its lines without their ends, its path as far as known, the asked region's lines."""

    lines: tuple[str, ...]
    path: str
    inside: tuple[int, int] | None = None
    others: tuple[Target, ...] = ()  # the other files that the answer may speak of

    def is_named(self, path: str) -> bool:
        """Say whether *path*, as an answer spells it, can be this file."""
        spelled = [
            part
            for part in re.split(r"[\\/]+", path.strip().strip("`*\"'").rstrip(":"))
            if part not in {"", ".", "a", "b"}
        ]
        own = [part for part in re.split(r"[\\/]+", self.path) if part]
        if not spelled or not own:
            return True
        return spelled[-1].lower() == own[-1].lower()


@dataclass(slots=True)
class Block:
    """One exchange of lines. `path` is the file that it names, empty where it names none."""

    old: Lines
    new: Lines
    path: str = ""
    after: Lines = field(default_factory=list)  # lines that stand somewhere above it, in order
    readings: tuple[tuple[Lines, Lines], ...] = ()  # the other ways to read it
    ranked: bool = False  # the readings stand in order of likelihood: the first that fits is meant


@dataclass(frozen=True, slots=True)
class Patch:
    """What was read: the blocks, the answer's lines that they stand in, and whether they say how the file ends."""

    blocks: tuple[Block, ...]
    spans: tuple[tuple[int, int], ...] = ()
    ends_open: bool | None = None  # the new file has no final newline; None where the patch does not say


_HEAD = re.compile(r"\s*<{5,9}\s*(?:SEARCH|ORIGINAL|HEAD|OLD|FIND|BEFORE|CURRENT)?\b[^<>]*$", re.IGNORECASE)
_DIVIDER = re.compile(r"\s*={5,9}\s*$")
_MOST_BLANKS = 10  # lines around what is looked for
_MOST_DIVIDERS = 8  # `=======` within one block; where code has them too, each is tried
_TAIL = re.compile(r"\s*>{5,9}\s*(?:REPLACE|UPDATED|NEW|AFTER|MODIFIED)?\b[^<>]*$", re.IGNORECASE)


def search_replace(answer: Sequence[str]) -> Patch | Refused | None:
    """Read `<<<<<<< SEARCH` … `=======` … `>>>>>>> REPLACE` blocks in their spellings, fenced or not."""
    blocks: list[Block] = []
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(answer):
        if not _HEAD.match(answer[at]):
            at += 1
            continue
        end = next(
            (
                number
                for number in range(at + 1, len(answer))
                if _TAIL.match(answer[number]) or _HEAD.match(answer[number])
            ),
            None,
        )
        dividers = [number for number in range(at + 1, end or len(answer)) if _DIVIDER.match(answer[number])]
        if end is None or not _TAIL.match(answer[end]) or not dividers:
            if not blocks and not dividers:
                return None
            return Refused("truncated", "a SEARCH/REPLACE block is not complete")
        if len(dividers) > _MOST_DIVIDERS:
            return Refused("ambiguous", "a SEARCH/REPLACE block can be read in many ways")
        # Code may hold such a line itself; then it most likely stands as often in the old code as in the new.
        halves = sorted(dividers, key=lambda middle: abs(dividers.index(middle) - (len(dividers) - 1) / 2))
        readings = tuple((list(answer[at + 1 : middle]), list(answer[middle + 1 : end])) for middle in halves)
        path = _path_above(answer, at)
        blocks.append(Block(*readings[0], path=path, readings=readings[1:], ranked=len(dividers) % 2 == 1))
        spans.append((at, end + 1))
        at = end + 1
    return Patch(tuple(blocks), tuple(spans)) if blocks else None


_FIND = re.compile(r"\s*-{3,}\s*FIND\s*$")
_REPLACE = re.compile(r"\s*-{3,}\s*REPLACE\s*$")
_FILEPATH = re.compile(r"\s*-{3,}\s*FILEPATH\s+(?P<path>.+?)\s*$")
_COMPLETE = re.compile(r"\s*-{3,}\s*COMPLETE\s*$")


def find_replace(answer: Sequence[str]) -> Patch | Refused | None:
    """Read `---FILEPATH` `---FIND` fence `---REPLACE` fence `---COMPLETE` (VS Code's Copilot asks for this form)."""
    marks = [
        number
        for number, line in enumerate(answer)
        if any(mark.match(line) for mark in (_FIND, _REPLACE, _FILEPATH, _COMPLETE))
    ]
    if not any(_FIND.match(answer[number]) for number in marks):
        return None
    blocks: list[Block] = []
    path = ""
    old: Lines | None = None
    for number, following in zip(marks, [*marks[1:], len(answer)], strict=True):
        named = _FILEPATH.match(answer[number])
        if named:
            path = named["path"]
        elif not _COMPLETE.match(answer[number]):
            inside = fences(answer[number + 1 : following])
            if len(inside) != 1 or not inside[0].closed:
                return Refused("truncated", "a FIND/REPLACE block is not complete")
            if _FIND.match(answer[number]):
                old = list(inside[0].lines)
            elif old is not None:
                blocks.append(Block(old, list(inside[0].lines), path))
                old = None
    if old is not None:
        return Refused("truncated", "a FIND block has no REPLACE")
    return Patch(tuple(blocks)) if blocks else None


_HUNK = re.compile(r"@@(?:\s*-\d+(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@)?(?P<context>.*)$")
_FILE_LINE = re.compile(r"(?:---|\+\+\+)\s+(?P<path>[^\t]+?)\s*(?:\t.*)?$")


def unified_diff(answer: Sequence[str]) -> Patch | Refused | None:
    """Read a unified diff, in a fence or bare; the numbers of its hunks are not believed."""
    body = _diff_body(answer)
    if body is None:
        return None
    blocks: list[Block] = []
    path = ""
    hunk: Lines | None = None
    for number, line in enumerate(body):
        named = _FILE_LINE.match(line)
        following = body[number + 1] if number + 1 < len(body) else ""
        if named and (
            (line.startswith("---") and following.startswith("+++"))
            or (line.startswith("+++") and body[number - 1].startswith("---"))
        ):
            path = named["path"] if named["path"] != "/dev/null" else path
            if line.startswith("---") and named["path"] == "/dev/null":
                return Refused("other-file", "the patch makes a new file")
            hunk = None
        elif _HUNK.match(line):
            hunk = []
            blocks.append(Block(hunk, [], path))
        elif line.startswith(
            ("diff --git ", "index ", "new file mode", "deleted file mode", "similarity index", "rename ")
        ):
            hunk = None
        elif hunk is not None:
            hunk.append(line)
    hunks = tuple(_hunk(block.old, block.path) for block in blocks if any(line.strip() for line in block.old))
    return Patch(hunks, ends_open=_ends_open(body)) if hunks else None


def _ends_open(body: Sequence[str]) -> bool | None:
    """Say whether the new side of a diff ends without a newline; None where the diff does not tell."""
    marked = [before[:1] for before, line in pairwise(body) if line.startswith("\\ No newline")]
    if not marked:
        return None
    return any(mark in {"+", " "} for mark in marked)


def apply_patch(answer: Sequence[str]) -> Patch | Refused | None:  # noqa: C901  one line of the form is one branch
    """Read OpenAI's `*** Begin Patch` form (https://github.com/openai/codex, apply_patch)."""
    start = next((number for number, line in enumerate(answer) if line.strip() == "*** Begin Patch"), None)
    if start is None:
        return None
    end = next((number for number in range(start, len(answer)) if answer[number].strip() == "*** End Patch"), None)
    if end is None:
        return Refused("truncated", "the patch has no end")
    blocks: list[Block] = []
    path = ""
    hunk: Lines = []
    headers: Lines = []

    def close() -> None:
        if any(line.strip() for line in hunk):
            block = _hunk(hunk, path)
            block.after = list(headers)
            blocks.append(block)
            headers.clear()
        hunk.clear()

    for line in answer[start + 1 : end]:
        if line.startswith(("*** Add File:", "*** Delete File:", "*** Move to:")):
            return Refused("other-file", "the patch adds, moves or deletes a file")
        if line.startswith("*** Update File:"):
            close()
            path = line.partition(":")[2].strip()
        elif line.startswith("*** End of File"):
            continue
        elif line.startswith("@@"):
            close()
            header = line.strip("@ ").strip()
            if header:
                headers.append(header)
        else:
            hunk.append(line)
    close()
    return Patch(tuple(blocks)) if blocks else None


def pseudo_diff(answer: Sequence[str]) -> Patch | Refused | None:
    """Read lines marked `+` and `-` among others that are not, without headers: a fence of `diff`, or all of the answer."""
    inside = [block for block in fences(answer) if block.language in {"diff", "patch"}]
    if len(inside) > 1 or (inside and not inside[0].closed):
        return None
    body = list(inside[0].lines) if inside else list(answer)
    if not inside and fences(answer):
        return None
    marked = [line for line in body if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]
    if not marked or not any(line.startswith("-") or not line.startswith("+") for line in body if line.strip()):
        return None
    return Patch((_hunk(body, ""),))


_EDIT = re.compile(r"\s*edit (?P<first>\d+):(?P<last>\d+)(?:\s+\S+)?\s*$")
_END_OF_EDIT = re.compile(r"\s*end_of_edit\s*$")


def line_range(answer: Sequence[str], target: Target) -> Lines | Refused | None:
    """Read SWE-agent's `edit FIRST:LAST` … `end_of_edit`; lines from 1, the last one included."""
    starts = [number for number, line in enumerate(answer) if _EDIT.match(line)]
    if not starts:
        return None
    if len(starts) > 1:
        return Refused("ambiguous", "there are several edits by line numbers")
    command = _EDIT.match(answer[starts[0]])
    assert command is not None
    end = next((number for number in range(starts[0], len(answer)) if _END_OF_EDIT.match(answer[number])), None)
    if end is None:
        return Refused("truncated", "the edit has no end")
    first, last = int(command["first"]), int(command["last"])
    if not 1 <= first <= last <= len(target.lines) + 1:
        return Refused("no-match", f"the file has no lines {first} to {last}")
    return [*target.lines[: first - 1], *answer[starts[0] + 1 : end], *target.lines[last:]]


def tool_call(answer: str) -> Patch | Refused | None:
    """Read a tool call written as JSON: a replacement of strings, or a patch as an argument."""
    if not answer.lstrip().startswith("{"):
        return None
    try:
        call = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    arguments = call.get("arguments", call.get("input", call)) if isinstance(call, dict) else None
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    patch = arguments.get("input") or arguments.get("patch")
    if isinstance(patch, str):
        return apply_patch(_lines(patch))
    old = _first_text(arguments, "oldString", "old_string", "old_str", "oldStr")
    new = _first_text(arguments, "newString", "new_string", "new_str", "newStr")
    if old is None or new is None:
        return None
    path = _first_text(arguments, "filePath", "file_path", "path") or ""
    return Patch((Block(_lines(old), _lines(new), path),))


def applied(patch: Patch, target: Target) -> Lines | Refused:
    """Return the target's lines with every block of *patch* put in its only place; one that has none refuses all."""
    lines = list(target.lines)
    others = 0
    for block in patch.blocks:
        named = target.is_named(block.path)
        elsewhere = any(bool(block.path) and other.is_named(block.path) for other in target.others)
        if elsewhere and not named:
            continue
        changed = _put(lines, block, target, named=named)
        if isinstance(changed, Refused):
            if not named:
                others += 1
                continue
            return changed
        lines = changed
    if others:
        return Refused("other-file", f"{others} of {len(patch.blocks)} changes are for another file")
    return lines


def _put(lines: Lines, block: Block, target: Target, *, named: bool) -> Lines | Refused:
    refused: Refused | None = None
    done: list[Lines] = []
    for old, new in ((block.old, block.new), *block.readings):
        if not any(line.strip() for line in old):
            if not any(line.strip() for line in lines):
                done.append([*new, *lines])
                continue
            refused = refused or Refused("ambiguous", "a block does not say what it replaces")
            continue
        places, fitting = _places(lines, old, new)
        place = the_one(_below(lines, places, block.after), inside=target.inside)
        if isinstance(place, Refused):
            within = _within_line(lines, old, new) if named and not places else None
            if within is not None:
                done.append(within)
            else:
                if place.outcome == "no-match" and named:
                    place = replace(place, near=nearest(lines, old))
                # Ambiguity says more than a reading that fits nowhere.
                refused = place if refused is None or place.outcome == "ambiguous" else refused
            continue
        done.append([*lines[: place.start], *place.fitted(fitting), *lines[place.end :]])
    if done and (block.ranked or all(one == done[0] for one in done)):
        return done[0]
    return (
        Refused("ambiguous", "a block can be read in several ways")
        if done
        else refused or Refused("no-match", "nothing to replace")
    )


def _places(lines: Lines, old: Lines, new: Lines) -> tuple[list[Place], Lines]:
    """Find *old* with its blank lines around, else with ever fewer of them; return what then stands for *new*."""
    old, new = list(old), list(new)
    for _ in range(_MOST_BLANKS):
        places = locate(lines, old)
        if places:
            return places, new
        if not old[-1].strip():
            old.pop()
            new = new[:-1] if new and not new[-1].strip() else new
        elif not old[0].strip():
            old.pop(0)
            new = new[1:] if new and not new[0].strip() else new
        else:
            break
    return locate_loosely(lines, old), new


def _below(lines: Lines, places: list[Place], headers: Sequence[str]) -> list[Place]:
    """Keep the first place below the *headers*, if they can be found; else all."""
    at = 0
    for header in headers:
        found = next((number for number in range(at, len(lines)) if lines[number].strip() == header), None)
        if found is None:
            found = next((number for number in range(at, len(lines)) if header in lines[number]), None)
        if found is None:
            return places
        at = found + 1
    if not headers:
        return places
    return [place for place in places if place.end >= at][:1] or places


def _within_line(lines: Lines, old: Lines, new: Lines) -> Lines | None:
    """Exchange a stretch of text that begins or ends within a line, if it stands there once."""
    whole, wanted = "\n".join(lines), "\n".join(old)
    if len(wanted.strip()) < 4 or whole.count(wanted) != 1:  # noqa: PLR2004  shorter ones say nothing
        return None
    return whole.replace(wanted, "\n".join(new)).split("\n")


def _hunk(body: Sequence[str], path: str) -> Block:
    """Make a block of diff lines. Context may lack its leading space: that is its second reading."""
    body = [line for line in body if not line.startswith("\\ No newline")]
    strict = _sides(body, margin=True)
    loose = _sides(body, margin=False)
    over = _sides(body, margin=False, mark=" ")  # the mark was written over the first blank of the indentation
    return Block(*strict, path=path, readings=(loose, over), ranked=True)


def _sides(body: Sequence[str], *, margin: bool, mark: str = "") -> tuple[Lines, Lines]:
    """Return the old and the new lines; *margin*: context begins with a space that is not its own."""
    old: Lines = []
    new: Lines = []
    for line in body:
        if line.startswith("-"):
            old.append(mark + line[1:])
        elif line.startswith("+"):
            new.append(mark + line[1:])
        else:
            kept = line[1:] if margin and line.startswith(" ") else line
            old.append(kept)
            new.append(kept)
    return old, new


def _diff_body(answer: Sequence[str]) -> Lines | None:
    inside = [block for block in fences(answer) if any(_HUNK.match(line) for line in block.lines)]
    if inside:
        return [line for block in inside for line in block.lines]
    hunks = [number for number, line in enumerate(answer) if line.startswith("@@")]
    if not hunks:
        return None
    return list(answer)


def _path_above(answer: Sequence[str], at: int) -> str:
    """Return the file name that stands right above a block, over its fence; empty if none does."""
    for line in reversed(answer[max(0, at - 3) : at]):
        stripped = line.strip().strip("*`#:").strip()
        if _TAIL.match(line):
            return ""
        if re.match(r"\s*(?:`{3,}|~{3,})", line):
            info = line.strip("`~ \t")
            if re.fullmatch(r"[\w.\-/\\]+[/\\][\w.\-]+|[\w\-]+\.\w+", info):
                return info
            continue
        if re.match(r"\s*<\w+>", line) or not stripped:
            continue
        return (
            stripped
            if re.fullmatch(r"[\w.\-/\\ ()\[\]@+]+", stripped)
            and ("." in stripped or "/" in stripped)
            and " " not in stripped
            else ""
        )
    return ""


def _first_text(values: dict[str, object], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := values.get(name), str)), None)


def _lines(text: str) -> Lines:
    return text.replace("\r\n", "\n").split("\n")
