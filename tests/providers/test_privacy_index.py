"""The lines of private files are recognised wherever they stand, and what everybody writes closes nothing."""

from __future__ import annotations

import gzip
import json
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers import privacy
from glossator_providers.errors import PolicyRefusal
from glossator_providers.model import Fragment, Level, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.privacy.index import PrivateLines
from glossator_providers.privacy.provenance import Places
from parts import ROOT, shared_data

PRIVATE = '''"""How the desk prices the notes of Zephyr, agreed with Initech on 14 March."""

import math

BARRIER_SHIFT = 0.0373
DESKS = {"initech-fra": 4471, "initech-sgp": 9082}


def price_zephyr_note(notional, volatility, months_to_call):
    """Discount at the rate that only this desk knows, 4.81 % above the curve."""
    shifted = notional * math.exp(-(0.0481 + BARRIER_SHIFT) * months_to_call / 12)
    if volatility > 0.275:
        shifted -= DESKS["initech-fra"] * 17.5
    return round(shifted, 4)


def settle_with_counterparty(note, counterparty_limit):
    """Settle on T+3, never above the limit that Initech granted in the side letter."""
    return min(note.amount_in_francs, counterparty_limit * 0.8125)
'''
ORDINARY = '''"""Read settings from a file."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys

logger = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    args = parser.parse_args()
    with open(args.path, encoding="utf-8") as file:
        settings = json.load(file)
    if __name__ == "__main__":
        logging.basicConfig(level=logging.INFO)
    try:
        print(settings)
    except Exception as error:
        logger.exception("failed: %s", error)
        raise
    return None


if __name__ == "__main__":
    main()
'''
HOME = "file:///work/pricing.py"
OTHER = "file:///work/notes.py"


@pytest.fixture(scope="module")
def lines() -> PrivateLines:
    """Return an index of one private file."""
    known = PrivateLines()
    known.add(HOME, PRIVATE, Level.PRIVATE)
    return known


def commented(text: str) -> str:
    """Put a text into a comment."""
    return textwrap.indent(text, "# ", lambda line: True)


def diffed(text: str) -> str:
    """Show a text as what a diff adds."""
    return "@@ -0,0 +1,21 @@\n" + textwrap.indent(text, "+", lambda line: True)


DISGUISES = st.sampled_from([
    lambda text: text,
    commented,
    diffed,
    str.upper,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),
    lambda text: textwrap.indent(text, "\t\t"),
    lambda text: text.replace("    ", "  "),
    lambda text: text.replace('"', "'"),
    lambda text: f"<pre>{text}</pre>",
    lambda text: ORDINARY + text + ORDINARY,
    lambda text: "".join(f"{line}\n\n" for line in text.split("\n")),
])  # fmt: skip


@given(disguises=st.lists(DISGUISES, max_size=3), first=st.integers(7, 13), count=st.integers(6, 14))
def test_what_was_copied_stays_private(lines: PrivateLines, disguises: list[object], first: int, count: int) -> None:
    """Six lines or more of a private file are recognised, indented, commented, diffed, with other line ends, in other code."""
    text = "\n".join(PRIVATE.split("\n")[first : first + count])
    for disguise in disguises:
        assert callable(disguise)
        text = disguise(text)
    shared = lines.find([text])
    assert shared is not None
    assert (shared.uri, shared.level) == (HOME, Level.PRIVATE)


@given(width=st.integers(30, 200))
def test_lines_that_were_broken_anew_stay_private(lines: PrivateLines, width: int) -> None:
    """A wrapped text has other lines, and the same words."""
    assert lines.find([textwrap.fill(PRIVATE, width)]) is not None


def test_one_line_of_its_own_is_enough(lines: PrivateLines) -> None:
    """Numbers and names that stand in one line of a private file close a text; a line of common words does not."""
    assert lines.find(['x = {"initech-fra": 4471, "initech-sgp": 9082}', "y = 1"]) is None
    assert lines.find(['DESKS = {"initech-fra": 4471, "initech-sgp": 9082}']) is not None
    assert lines.find(["    return round(shifted, 4)\n"]) is None
    known = PrivateLines()
    common = [
        "time.sleep(1000)",
        "http://localhost:8080",
        "# since 2024-01-01",
        'digits = "0123456789"',
        "ip = 127.0.0.1:80",
    ]
    for number, line in enumerate(common):
        known.add(f"file:///work/{number}", line, Level.PRIVATE)
    assert [line for line in common if known.find([line]) is not None] == []


def test_pieces_in_several_fragments_count_together(lines: PrivateLines) -> None:
    """Two lines, each too little, are too much in one request."""
    one, other = "    if volatility > 0.275:", "def settle_with_counterparty(note, counterparty_limit):"
    assert lines.find([one]) is None
    assert lines.find([other]) is None
    assert lines.find([one, ORDINARY, other]) is not None


@given(st.text(max_size=300))
def test_other_text_is_not_private(lines: PrivateLines, text: str) -> None:
    """What has nothing of the private file is not closed by it, whatever it is."""
    assert lines.find([text, ORDINARY]) is None


def test_what_several_open_files_hold_is_everybodys() -> None:
    """The header of a licence in a private file closes no other file that bears it."""
    licence = commented(
        "Permission is hereby granted to any person obtaining a copy of version 2.0\nof this software\n"
    )
    known = PrivateLines()
    known.add(HOME, licence + PRIVATE, Level.PRIVATE)
    assert known.find([licence + ORDINARY]) is not None
    for number in range(3):
        known.add_open(licence + f"x = {number}")
    assert known.find([licence + ORDINARY]) is None
    assert known.find([licence + PRIVATE]) is not None


def test_its_memory_is_bounded() -> None:
    """However many private files are seen, the latest are known, and of no file is any text kept."""
    known = PrivateLines()
    for number in range(40):
        known.add(
            f"file:///work/{number}", "\n".join(f"line{number} of {n} {n * 7919}" for n in range(8000)), Level.PRIVATE
        )
    assert len(known._lines) + len(known._runs) <= 300_000
    assert known.find(["\n".join(f"line39 of {n} {n * 7919}" for n in range(9))]) is not None
    assert b"line39" not in repr(vars(known)).encode()


def test_two_sessions_have_two_keys() -> None:
    """What one process remembers says nothing to another."""
    one, other = PrivateLines(), PrivateLines()
    for known in (one, other):
        known.add(HOME, PRIVATE, Level.PRIVATE)
    assert not one._lines.keys() & other._lines.keys()
    assert not one._runs.keys() & other._runs.keys()


def test_looking_for_lines_goes_unnoticed() -> None:
    """A fragment of 20 KB is compared with all private files in about a millisecond of CPU."""
    known = PrivateLines()
    sources = sorted((ROOT / "providers").rglob("*.py"))
    for path in sources:
        known.add(path.as_uri(), path.read_text(encoding="utf-8"), Level.PRIVATE)
    text = (ORDINARY * 40)[:20_000]
    taken = []
    for _ in range(20):
        began = time.process_time()
        known.find([text])
        taken.append(time.process_time() - began)
    assert min(taken) < 0.004, "about 0.7 ms where the machine is quiet"


def index_of(name: str, texts: dict[str, str]) -> PrivateLines:
    """Return the index of a session in which all of *texts* are open but one."""
    known = PrivateLines()
    for other, text in texts.items():
        if other != name:
            known.add_open(text)
    known.add(name, texts[name], Level.PRIVATE)
    return known


def test_our_own_sources_do_not_close_each_other() -> None:
    """Were one source of this project private, fewer than one in a hundred of the others would be taken for copies of it."""
    texts = {str(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "server").rglob("*.py"))}
    closed = pairs = 0
    for name in list(texts)[::12]:
        known = index_of(name, texts)
        closed += sum(known.find([text]) is not None for other, text in texts.items() if other != name)
        pairs += len(texts) - 1
    assert closed / pairs < 0.01


def test_files_of_different_projects_do_not_close_each_other() -> None:
    """Real files of six languages from different projects share nothing that counts."""
    texts: dict[str, str] = {}
    with gzip.open(shared_data("fixes", "broken_dev.jsonl.gz"), "rt", encoding="utf-8") as cases:
        for case in map(json.loads, cases):
            texts.setdefault(case["group"], "\n".join(map(str, case["files"].values())))
    closed = pairs = 0
    for name in list(texts)[::6]:
        known = index_of(name, texts)
        closed += sum(known.find([text]) is not None for other, text in texts.items() if other != name)
        pairs += len(texts) - 1
    assert pairs > 1000
    assert closed / pairs < 0.001


def ask(text: str, uri: str, root: Path) -> Request:
    """Make a request about a document."""
    fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, uri),))
    return Request((Message(Role.USER, (fragment,)),), roots=(str(root),))


def level_of(text: str, path: Path, files: LocalFiles, **policy: tuple[str, ...]) -> Level:
    """Judge a text as that of a file."""
    path.touch()
    request = ask(text, path.as_uri(), path.parent)
    return privacy.clear(request, policy=Policy(**policy), files=files).decision.level  # type: ignore[arg-type]  # tuples


def test_a_copy_of_a_private_document_is_private(tmp_path: Path) -> None:
    """What was seen in a private file is private in an open one, and the reason names the private one."""
    files = LocalFiles()
    assert level_of(PRIVATE, tmp_path / "copy.py", files, private=("pricing.py",)) is Level.OPEN
    assert level_of(PRIVATE, tmp_path / "pricing.py", files, private=("pricing.py",)) is Level.PRIVATE
    assert level_of(ORDINARY, tmp_path / "copy.py", files, private=("pricing.py",)) is Level.OPEN
    assert level_of(ORDINARY + PRIVATE, tmp_path / "copy.py", files, private=("pricing.py",)) is Level.PRIVATE
    decision = privacy.judge_text(
        (tmp_path / "copy.py").as_uri(),
        f"x = 1\n{PRIVATE}",
        policy=Policy(private=("pricing.py",)),
        roots=(str(tmp_path),),
        files=files,
    )
    (reason,) = decision.reasons
    assert (reason.source, reason.rule, reason.range) == ("index", "lines of pricing.py", (1, 0, 2, 0))
    assert "initech" not in repr(decision).lower()
    pasted = Request(
        (Message(Role.USER, (Fragment(PRIVATE, (Origin(OriginKind.INSTRUCTION),)),)),), roots=(str(tmp_path),)
    )
    assert privacy.judge(pasted, policy=Policy(private=("pricing.py",)), files=files).level is Level.PRIVATE


def test_a_copy_of_what_no_model_may_see_is_seen_by_none(tmp_path: Path) -> None:
    """The level goes with the lines."""
    files = LocalFiles()
    with pytest.raises(PolicyRefusal):
        level_of(PRIVATE, tmp_path / "pay.py", files, never=("pay.py",))
    with pytest.raises(PolicyRefusal, match=r"pay\.py"):
        level_of(PRIVATE, tmp_path / "copy.py", files, never=("pay.py",))


def test_what_was_cut_out_of_a_private_file_stays_private(tmp_path: Path) -> None:
    """Lines that were moved from a private file to an open one are known although the private one holds them no more."""
    files = LocalFiles()
    level_of(PRIVATE, tmp_path / "pricing.py", files, private=("pricing.py",))
    level_of("pass\n", tmp_path / "pricing.py", files, private=("pricing.py",))
    assert level_of(PRIVATE, tmp_path / "copy.py", files, private=("pricing.py",)) is Level.PRIVATE


def test_a_file_that_is_opened_up_closes_no_other(tmp_path: Path) -> None:
    """Once the rule is gone, its lines are anybody's."""
    files = LocalFiles()
    level_of(PRIVATE, tmp_path / "pricing.py", files, private=("pricing.py",))
    assert level_of(PRIVATE, tmp_path / "copy.py", files) is Level.OPEN


def test_built_and_installed_copies_close_nothing(tmp_path: Path) -> None:
    """What git ignores in `build/` is a copy of an open source, which stays open; what it ignores elsewhere is not."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("build/\nlocal.py\n", encoding="utf-8")
    (tmp_path / "build").mkdir()
    request = ask(PRIVATE, (tmp_path / "build" / "pricing.py").as_uri(), tmp_path)
    (tmp_path / "build" / "pricing.py").touch()
    files = LocalFiles()
    assert privacy.judge(request, policy=Policy(), files=files).level is Level.PRIVATE
    assert level_of(PRIVATE, tmp_path / "pricing.py", files) is Level.OPEN
    assert level_of(PRIVATE, tmp_path / "local.py", files) is Level.PRIVATE
    assert level_of(PRIVATE, tmp_path / "pricing.py", files) is Level.PRIVATE


def test_private_files_near_by_are_known_before_they_are_opened(tmp_path: Path) -> None:
    """Looking around reads what ignore files and built-in rules close, and leaves out binary files, links and large ones."""
    for name, text in {
        ".aiignore": "desk/\n",
        "desk/pricing.py": PRIVATE,
        "open.py": ORDINARY,
        "large.env": PRIVATE * 300,
        "image.key": PRIVATE + "\0",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path)
    files = LocalFiles()
    places = Places(Policy(), (str(tmp_path),), files)
    places.look_around(clock=lambda: 0.0)
    (reason,) = places.of_lines([PRIVATE], uris=(OTHER,))
    assert reason.rule == "lines of desk/pricing.py"


def test_looking_around_ends_in_time(tmp_path: Path) -> None:
    """In a workspace without end it reads what it can until its time is over."""
    for number in range(50):
        (tmp_path / f"{number}.env").write_text(f"{PRIVATE}{number}", encoding="utf-8")
    ticks = iter(range(1000))
    files = LocalFiles()
    Places(Policy(), (str(tmp_path),), files).look_around(seconds=10, clock=lambda: next(ticks))
    assert 1 <= len(files.lines._known) <= 10
    assert files.lines.find([PRIVATE]) is not None
