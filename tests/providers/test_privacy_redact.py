"""Redaction: no secret travels, every one comes back, and what a model lost or made up is noticed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers import privacy
from glossator_providers.errors import PolicyRefusal
from glossator_providers.model import (
    Answer,
    FinishReason,
    Fragment,
    Level,
    Message,
    Origin,
    OriginKind,
    Request,
    Role,
    ToolCall,
    Usage,
)
from glossator_providers.privacy import LocalFiles, Policy, contents
from glossator_providers.privacy.redact import Redacted, Restoring, lost, redact

# Made of two halves, so that no scanner takes this file for a leak.
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ"
AWS = "AKIA" + "Q3XW5YZ7TR2PLMN4"
PASSWORD = "hunter" + "7!Qz"
SAID = Origin(OriginKind.INSTRUCTION)
KEY = bytes(range(32))
ASKED_FOR = Policy(on_secret="redact")


def ask(*texts: str, origin: Origin = SAID) -> Request:
    """Make a request of one message."""
    return Request((Message(Role.USER, tuple(Fragment(text, (origin,)) for text in texts)),))


def redacted(
    request: Request, *, policy: Policy = ASKED_FOR, key: bytes = KEY, whole: Request | None = None
) -> Redacted:
    """Redact as the product does."""
    return redact(request, policy=policy, files=LocalFiles(), key=key, whole=whole)


def sent(told: Redacted) -> str:
    """Return all that would travel."""
    return "\n".join(message.text for message in told.request.messages)


def answer(text: str, *calls: ToolCall) -> Answer:
    """Return what a model has answered."""
    return Answer(text, "", FinishReason.STOP, Usage(), "far", "m", local=False, attempts=(), calls=calls)


SECRETS = st.sampled_from([
    f"key = '{GITHUB}'",
    f"aws_access_key_id = {AWS}",
    f'password = "{PASSWORD}"',
    f"url = 'postgres://app:{PASSWORD}@db.example/x'",
    f"curl -u admin:{PASSWORD} https://x",
    f"export API_TOKEN={'Zq3vB8xK1mN5pR7tW9yD' * 12}",
    f"Authorization: Bearer {'Zq3vB8xK1mN5pR7tW9yD2fH4jL6sA0cE'}.",
])  # fmt: skip
HARMLESS = st.sampled_from(["import os", "def f(x):", "    return x + 1", "# ein Kommentar: ü 𝄞", "", "\tx = 'a'\r"])
TEXTS = st.lists(st.one_of(SECRETS, HARMLESS), max_size=8).map("\n".join)


@given(TEXTS, TEXTS)
def test_no_secret_travels_and_all_come_back(one: str, other: str) -> None:
    """Whatever secrets stand in the fragments of a request, it is open without them, and complete when they are put back."""
    request = ask(one, "\n", other)
    found = {text[finding.start : finding.end] for text in (one, other) for finding in contents.scan(text)}
    told = redacted(request)
    assert bool(told.masks) == bool(found)
    assert privacy.judge(told.request, policy=ASKED_FOR, files=LocalFiles()).level is Level.OPEN
    assert not [secret for secret in found if secret in sent(told)]
    assert told.restore(sent(told)) == request.messages[0].text
    assert told.request.masked == len(told.masks)


@given(TEXTS, st.data())
def test_an_answer_is_restored_however_it_is_split(text: str, data: st.DataObject) -> None:
    """The pieces shown while an answer comes are, joined, what the whole answer says, and no placeholder is shown."""
    told = redacted(ask(text))
    said = f"{sent(told)} redacted0x is no placeholder, and redac"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=12)))
    live = Restoring(told)
    shown = [live.feed(said[one:other]) for one, other in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    assert "".join([*shown, live.end()]) == told.restore(said)
    assert told.restore(sent(told)) == text


def test_a_placeholder_has_the_shape_of_its_secret_and_says_nothing_of_it() -> None:
    """It is as long as most keys, of the same case, the same in one session, another in the next, and no key to a scanner."""
    (mask,) = redacted(ask(f"key = '{GITHUB}'")).masks
    assert re.fullmatch(r"redacted0x[0-9a-f]+", mask.placeholder)
    assert len(mask.placeholder) == len(mask.secret) == 40
    (other,) = redacted(ask(f"aws_access_key_id = {AWS}")).masks
    assert re.fullmatch(r"REDACTED0X[0-9A-F]{14}", other.placeholder)
    (again,) = redacted(ask(f"# another place\nx = '{GITHUB}'")).masks
    (later,) = redacted(ask(f"key = '{GITHUB}'"), key=bytes(32)).masks
    assert again.placeholder == mask.placeholder != later.placeholder
    assert GITHUB not in repr(redacted(ask(GITHUB)).masks)
    for rule in ("password", "secret_key", "api_key", "aws_secret_access_key"):
        assert contents.scan(f'{rule} = "{mask.placeholder}"\nhttps://u:{mask.placeholder}@h.example') == ()


@pytest.mark.parametrize("policy", [Policy(), Policy(on_secret="refuse")])
def test_only_who_asks_for_it_gets_it(policy: Policy) -> None:
    """Without `redact` in the user's configuration nothing is changed."""
    request = ask(f"key = '{GITHUB}'")
    assert redacted(request, policy=policy) == Redacted(request)


def test_what_is_private_by_its_place_is_not_redacted_into_openness(tmp_path: Path) -> None:
    """A file that its path, an ignore file or the settings close stays closed, whatever is masked in it."""
    (tmp_path / ".env").touch()
    (tmp_path / "app.py").touch()
    for name, policy in ((".env", ASKED_FOR), ("app.py", replace(ASKED_FOR, private=("*.py",)))):
        origin = Origin(OriginKind.DOCUMENT, (tmp_path / name).as_uri())
        request = replace(ask(f"key = '{GITHUB}'", origin=origin), roots=(str(tmp_path),))
        assert redacted(request, policy=policy) == Redacted(request)


def test_a_private_key_stays_here() -> None:
    """Of a private key a rule knows only the beginning: the request stays as it is, and closed, with the other secrets in it."""
    key = "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n"
    request = ask(f"key = '{GITHUB}'\n{key}")
    assert redacted(request) == Redacted(request)
    assert privacy.judge(request, policy=ASKED_FOR, files=LocalFiles()).level is Level.PRIVATE


def test_a_secret_across_a_seam_stays_here() -> None:
    """What becomes a secret only where two fragments meet cannot be replaced in either."""
    request = ask(f"key = '{GITHUB}'\nkey = '{GITHUB[:20]}", f"{GITHUB[20:]}'")
    assert redacted(request) == Redacted(request)


def test_the_whole_document_says_what_is_a_secret() -> None:
    """A part of a document, in which nothing tells that a word is a password, is sent without it all the same."""
    whole = ask(f'password = "{PASSWORD}"\nconnect("app", "{PASSWORD}")\n')
    told = redacted(ask(f'connect("app", "{PASSWORD}")\n'), whole=whole)
    assert PASSWORD not in sent(told)
    assert [mask.secret for mask in told.masks] == [PASSWORD]


def test_a_shortened_quotation_of_a_secret_is_masked_too() -> None:
    """A checker's message that quotes the first half of a key is sent without it."""
    told = redacted(ask(f"key = '{GITHUB}'", f"line too long: key = '{GITHUB[:18]}…'"))
    assert GITHUB[:12] not in sent(told)
    assert told.restore(sent(told)) == f"key = '{GITHUB}'line too long: key = '{GITHUB[:18]}…'"


def test_a_long_value_is_masked_to_its_end() -> None:
    """A rule that counts to two hundred leaves nothing of a longer secret behind."""
    secret = "".join(f"{number:x}Qz7" for number in range(200))
    assert secret[-40:] not in sent(redacted(ask(f"docker run -e API_TOKEN={secret} image")))


@pytest.mark.parametrize("how", ["other case", "cut off", "made up"])
def test_a_changed_placeholder_is_noticed(how: str) -> None:
    """A placeholder in another case, cut off or made up refuses the answer, in its text and in what it would pass to a tool."""
    told = redacted(ask(f"key = '{GITHUB}'"))
    word = told.masks[0].placeholder
    word = {"other case": word.upper(), "cut off": word[:-3], "made up": f"{word[:12]}0000{word[16:]}"}[how]
    for one in (answer(f"x = '{word}'"), answer("", ToolCall("1", "write", f'{{"text": "{word}"}}'))):
        with pytest.raises(PolicyRefusal, match="masked secret") as raised:
            told.restore_answer(one)
        assert raised.value.rules == ('on_secret = "redact"',)


def test_words_that_only_look_like_placeholders_may_be_said_again() -> None:
    """A text that showed such a word before may show it in the answer."""
    told = redacted(ask(f"key = '{GITHUB}'  # was redacted0x12ab"))
    said = f"The old one was redacted0x12ab, the new one is {told.masks[0].placeholder}."
    assert told.restore_answer(answer(said)).text == f"The old one was redacted0x12ab, the new one is {GITHUB}."


def test_arguments_of_a_tool_are_restored_as_json() -> None:
    """A secret with a quotation mark stays inside its string."""
    told = redacted(ask("curl -u admin:s3cr\\t7Qz_w https://x"))
    (mask,) = told.masks
    call = ToolCall("1", "write", f'{{"text": "{mask.placeholder}"}}')
    (restored,) = told.restore_answer(answer("", call)).calls
    assert restored.arguments == '{"text": "s3cr\\\\t7Qz_w"}'


def test_a_lost_secret_is_counted() -> None:
    """A secret counts as lost where it stands less often than before, and a short one only as a word."""
    assert lost((GITHUB,), before=f"a = '{GITHUB}'", after="a = ''") == 1
    assert lost((GITHUB,), before=f"a = '{GITHUB}'", after=f"b = a = '{GITHUB}'") == 0
    assert lost(("pass1",), before="x = 'pass1'\npass12 = 1", after="x = y\npass12 = pass13 = 1") == 1
