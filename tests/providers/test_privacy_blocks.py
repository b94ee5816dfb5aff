"""Scanning by blocks says what scanning the whole text says, whatever stands at the seams and whatever was edited."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator_providers.model import Fragment, Level, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, blocks, clear, contents

VALUE = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
HEADER = "-----BEGIN RSA PRIVATE KEY-----"
PARTS = [
    *("password", "api_key", "token", "secret_key", "aws_secret_access_key", "AccountKey", "_authToken", "client-secret"),
    *("export ", "ENV ", "#", "// ", "basic ", "Bearer", "curl", "curl https://a.b", "-u", "--user ", "--password", "jwk"),
    *("d", '"d"', "qi'", "k", ":", "=", " = ", ":=", "=>", ": str =", "(", ",", "[", "']", '"', "'", "`", "new String("),
    *("\n", "\n", "\n", "\n\n", "\r\n", "\\n", " ", "\t", "    ", "\f", "\n" * 45, " " * 90, "\n    " * 60, "\u2028", "é", "\ud800"),
    *(HEADER, f'"{HEADER}\\n"', "-----BEGIN PGP PRIVATE KEY BLOCK-----", "MIIEpAIBAAKCAQEA", "hunter2", "Tr0ub4dor", VALUE),
    *(f'"{VALUE}"', "'hunter2!9'", "a:Tr0ub4dor", "ghp_" + VALUE, "://app:Tr0ub4dor@db", "eyJhbGciOiJIUzI1NiJ9.", "x" * 200),
    *("login app", "user me", "<token>", "</token>", "[", "?=", "::=", "&auth_pwd=", "identified by ", "'X-Auth-Token: "),
    *("pass\n", "x = 1\n", "return value)\n", "}\n", "-", "---", "\\", "+", "word " * 30 + "\n"),
]  # fmt: skip
# Secrets over several lines, each with every way to stand around a line end.
SPREAD = [
    HEADER + "\n" + "MIIEpAIBAAKCAQEA" * 4,
    f'"{HEADER}\\n" +\n\n\n  "MIIEpAIBAAKCAQEA"',
    "password =\n    'Tr0ub4dor'",
    'api_key: str =\n\n  "' + VALUE + '"',
    '"client_secret"\n:\n"' + VALUE + '"',
    "connect('password',\n 'Tr0ub4dor')",
    "aws_secret_access_key" + " " * 25 + "=\n\n" + " " * 25 + '"wJalrXUtnFEMIK7MDENGbPxRfiCYzzz9KEY12345"',
    f"Authorization: Bearer\n{VALUE}",
    "tool --password\nTr0ub4dor",
    "curl https://a.b/" + "c" * 180 + "\n-u app:Tr0ub4dor",
    f'"d"\n:\n "{VALUE}{VALUE}"',
    f"//registry/:_authToken\n\n=\n\n{VALUE}",
    f"api_tokens = [\n  '{VALUE}'",
    f"<client_secret>\n{VALUE}",
    "machine db login app\npassword Tr0ub4dor",
    f"token ?=\n`{VALUE}`",
    f"'X-Auth-Token:\n{VALUE}'",
]


def whole(text: str) -> tuple[contents.Finding, ...]:
    """Return what the scan of the whole text says."""
    return contents.scan(text)


texts = st.lists(st.sampled_from(PARTS) | st.sampled_from(SPREAD) | st.text(max_size=5), max_size=40).map("".join)


@settings(max_examples=400, deadline=None)
@given(texts, texts)
def test_no_rule_meets_across_the_end_of_a_block(above: str, below: str) -> None:
    """Where a block may end, the two sides by themselves hold exactly what the whole holds."""
    above += "\n"
    if blocks.may_end(above + below, len(above)):
        one, other = contents.examine(above), contents.examine(below)
        joined = contents.join([(0, 0, one), (len(above), above.count("\n"), other)])
        assert joined == whole(above + below)


@pytest.mark.parametrize("secret", SPREAD)
@pytest.mark.parametrize("gap", ["", "x = 1\n", "x = 1\n" * 20])
def test_a_secret_over_several_lines_is_never_cut(secret: str, gap: str) -> None:
    """No line end inside such a secret ends a block, so that it is found wherever the borders fall."""
    assert whole(secret + "\n"), secret
    for place in [place for place, character in enumerate(secret) if character == "\n"]:
        assert not blocks.may_end(gap + secret, len(gap) + place + 1)
    size = blocks.Scanner(0)._size
    for shift in range(0, size, 7):
        text = "#" * shift + "\n" + "y = 2\n" * (size // 6) + secret + "\n" + "z = 3\n" * size
        assert blocks.Scanner(size).scan(text) == whole(text) != ()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_edits_of_any_text_change_the_answer_as_a_whole_scan_would(data: st.DataObject) -> None:
    """After every insertion, deletion, replacement and move, what is remembered leads to the same findings."""
    scanner = blocks.Scanner(0)
    filler = st.sampled_from(["x = 1\n" * 60, "value = compute(thing)\n" * 25, "# prose about nothing at all\n" * 12])
    text = "".join(data.draw(st.lists(filler | texts, max_size=25)))
    assert scanner.scan(text) == whole(text)
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from([0, 0, 0, 1, 5, 100, 700])))
        inserted = data.draw(st.sampled_from(["", "x", "\n", "é"]) | texts | st.just(text[end : end + 900]))
        text = text[:start] + inserted + text[end:]
        assert scanner.scan(text) == whole(text)


def test_a_text_that_grows_at_its_end_is_read_anew_there() -> None:
    """The end of a text is no end of a block: what is appended may complete a secret that began there."""
    scanner = blocks.Scanner(0)
    text = "x = 1\n" * 300 + "password =\n"
    assert scanner.scan(text) == ()
    grown = text + "  'Tr0ub4dor'\n" + "y = 2\n" * 300
    assert scanner.scan(grown) == whole(grown) != ()


def test_floods_end_where_the_whole_scan_ends() -> None:
    """The limits on what is looked at closely count over all blocks together."""
    near = "\n".join(f'"password", "word{"x" * (number % 7)}"\n}}\n' + "}\n" * 40 for number in range(6_000))
    many = "\n".join("}\n" * 40 + f"password = 'Tr0ub{number}dor'" for number in range(40))
    for text in (near, many):
        assert blocks.scan(text) == whole(text) != ()
        assert blocks.scan("x" + text) == whole("x" + text)
    assert len(blocks.scan(many)) == 20


def test_nothing_of_a_text_is_remembered() -> None:
    """Neither the texts nor their pieces are reachable from the scanner: only keyed hashes, lengths and findings."""
    scanner = blocks.Scanner()
    text = "".join(f"value_{number} = 'words of the user'\n" for number in range(2_000)) + "password = 'Tr0ub4dor'\n"
    assert scanner.scan(text)
    assert all(word not in repr(scanner._texts) for word in ("words", "Tr0ub4dor"))
    for number in range(100):
        scanner.scan(f"{number}\n" + text)
        scanner.scan(text + f"\n{number}")
    assert len(scanner._texts) <= 16


def test_typing_into_a_large_file_costs_a_fraction_of_the_whole_scan() -> None:
    """In 10,000 lines a changed character costs less than a sixth of the whole scan, with line ends typed as well."""
    text = "".join(
        f"    value_{number} = compute(self.items[{number}], key={number % 7})\n" for number in range(10_000)
    )
    place = len(text) // 2
    blocks.scan(text)
    changed, entire = [], []
    for number in range(60):
        text = text[:place] + ("\n" if number % 9 == 0 else "x") + text[place:]
        place += 1
        began = time.process_time()
        assert blocks.scan(text) == ()
        changed.append(time.process_time() - began)
        if number % 6 == 0:
            began = time.process_time()
            contents.scan(text)
            entire.append(time.process_time() - began)
    one, all_of_it = statistics.median(changed), statistics.median(entire)
    print(f"{len(text)} characters: {one * 1000:.2f} ms after a keystroke, {all_of_it * 1000:.2f} ms for the whole")
    assert one * 6 < all_of_it


def test_edits_in_many_places_still_find_most_blocks_known() -> None:
    """Of a text edited at three places at once, what lies between them is not scanned again."""
    text = "".join(
        f"    value_{number} = compute(self.items[{number}], key={number % 7})\n" for number in range(10_000)
    )
    scanner = blocks.Scanner()
    scanner.scan(text)
    before = {block.piece for block in scanner._texts[0]}
    chance = random.Random(3)
    for place in sorted((chance.randrange(len(text)) for _ in range(3)), reverse=True):
        text = text[:place] + "x" + text[place:]
    scanner.scan(text)
    known = [block for block in scanner._texts[0] if block.piece in before]
    assert len(known) > len(scanner._texts[0]) * 0.6


def test_a_file_full_of_telling_words_is_still_divided() -> None:
    """A parser's every line speaks of tokens; its lines end blocks all the same, so that typing into it stays cheap."""
    line = "    if (token->kind == TOKEN_{0}) {{ check_password(token, secret_{0}); return next_token(self); }}\n"
    text = "".join(line.format(number % 40) for number in range(2_000))
    scanner = blocks.Scanner()
    assert scanner.scan(text) == whole(text)
    assert len(scanner._texts[0]) > len(text) / blocks.SIZE / 2


def test_clearing_a_request_uses_what_is_remembered(tmp_path: Path) -> None:
    """The decision about a whole document after a keystroke costs a fraction of the scan, as a menu needs it."""
    path = tmp_path / "app.py"
    path.touch()
    text = "".join(
        f"    value_{number} = compute(self.items[{number}], key={number % 7})\n" for number in range(10_000)
    )
    cleared, entire = [], []
    files = LocalFiles()
    for number in range(30):
        text = text[:300_000] + "x" + text[300_000:]
        fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, path.as_uri()),))
        request = Request((Message(Role.USER, (fragment,)),), roots=(str(tmp_path),))
        began = time.process_time()
        assert clear(request, policy=Policy(), files=files).decision.level is Level.OPEN
        cleared.append(time.process_time() - began)
        if number % 6 == 0:
            began = time.process_time()
            contents.scan(text)
            entire.append(time.process_time() - began)
    assert statistics.median(cleared) * 4 < statistics.median(entire)
