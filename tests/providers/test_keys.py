"""Keys: what looks wrong with one is told in a sentence and stops nobody; the keychain gives them, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import keyring
import keyring.backend
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.config import Config, providers
from glossator_providers.errors import ConfigError
from glossator_providers.keys import warning
from glossator_providers.secrets import Secret

TAIL = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsT"


def provider(kind: str, key: str | None = None, *, base_url: str | None = None) -> Provider:
    """Make a provider of this kind with a key from its usual variable."""
    row = ROWS[kind]
    secret = None if key is None else Secret(key, source=row.key_env[0])
    return Provider(kind, row, "m", base_url or row.base_url or "https://example.test/v1", key=secret)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("anthropic", f"sk-ant-api03-{TAIL}"),
        ("openai", f"sk-proj-{TAIL}"),
        ("openai-responses", f"sk-{TAIL}"),
        ("deepseek", f"sk-{TAIL}"),
        ("gemini", f"AIza{TAIL}"),
        ("gemini", f"AQ.{TAIL}"),
        ("groq", f"gsk_{TAIL}"),
        ("xai", f"xai-{TAIL}"),
        ("openrouter", f"sk-or-v1-{TAIL}"),
        ("bedrock", f"ABSK{TAIL}"),
        ("bedrock", f"bedrock-api-key-{TAIL}"),
        ("mistral", TAIL),
        ("cohere", TAIL),
    ],
)
def test_a_key_of_its_vendor_is_no_cause_for_a_warning(kind: str, key: str) -> None:
    """Every vendor's own form is known, old and new."""
    assert warning(provider(kind, key)) is None


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("anthropic", f"sk-{TAIL}", "ANTHROPIC_API_KEY looks like a key of OpenAI, and not of Anthropic"),
        ("openai", f"sk-ant-api03-{TAIL}", "OPENAI_API_KEY looks like a key of Anthropic, and not of OpenAI"),
        ("groq", f"xai-{TAIL}", "GROQ_API_KEY looks like a key of xAI Grok, and not of Groq"),
        ("gemini", TAIL, "GEMINI_API_KEY does not begin with AIza or AQ., as keys of Google Gemini do"),
        ("xai", "xai-abc", "XAI_API_KEY is only 7 characters long: was it cut off?"),
    ],
)
def test_a_key_of_another_vendor_is_told(kind: str, key: str, said: str) -> None:
    """The sentence names the variable and both vendors, and nothing of the key."""
    told = warning(provider(kind, key))
    assert told == said
    assert TAIL not in told


def test_a_key_of_bedrock_is_known_by_its_beginning() -> None:
    """At an address of AWS's a key must look like one of Bedrock's; its access keys are no such keys."""
    address = "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert warning(provider("bedrock", f"ABSK{TAIL}", base_url=address)) is None
    told = warning(provider("bedrock", f"AKIA{TAIL}", base_url=address)) or ""
    assert told.startswith("AWS_BEARER_TOKEN_BEDROCK does not begin with ABSK or bedrock-api-key-")


def test_a_gateway_has_keys_of_its_own() -> None:
    """At another address any key may be right, and so it is at a server on this machine."""
    assert warning(provider("openai", "anything", base_url="https://gateway.example.test/v1")) is None
    assert warning(provider("llamacpp", "anything")) is None
    assert warning(provider("anthropic")) is None


def test_no_command_is_run_to_look_at_its_key() -> None:
    """A key that must be fetched is not fetched for a warning; a variable that holds no key is told."""

    def never() -> str:
        raise AssertionError("it was run")

    fetched = Secret.later(never, source="the command pass")
    assert warning(replace(provider("openai"), key=fetched)) is None
    blank = Secret.later(lambda: " \n", source="OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in (warning(replace(provider("openai"), key=blank)) or "")


@pytest.mark.parametrize(
    ("kind", "base_url", "said"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions", "ends with /chat/completions"),
        ("ollama", "http://127.0.0.1:11434/api/chat", "ends with /api/chat"),
        ("openai", "https://api.openai.com", "has the path /, and that of OpenAI is /v1"),
        ("anthropic", "https://api.anthropic.com/v1", "has the path /v1, and that of Anthropic is /"),
        ("ollama", "http://127.0.0.1:11434/v1", "has the path /v1, and that of Ollama is /"),
    ],
)
def test_a_slip_in_an_address_is_told(kind: str, base_url: str, said: str) -> None:
    """The path of a call at the end of base_url, or a version too many or too few, is told in one sentence."""
    assert said in (warning(provider(kind, base_url=base_url)) or "")


@given(st.sampled_from(sorted(ROWS)), st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60))
def test_no_key_stops_anybody_or_is_repeated(kind: str, key: str) -> None:
    """Whatever the key is, the warning is a sentence or nothing, without the key."""
    row = ROWS[kind]
    try:
        secret = Secret(key)
    except ConfigError:
        return
    told = warning(Provider(kind, row, "m", row.base_url or "https://example.test/v1", key=secret))
    assert told is None or len(key) < 8 or key not in told


class Keychain(keyring.backend.KeyringBackend):
    """A keychain in memory, which may be locked."""

    priority = 1.0
    entries = {("glossator", "work"): "sk-ant-from-the-keychain"}  # noqa: RUF012  never written to
    locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked("secret detail")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError

    def delete_password(self, service: str, username: str) -> None:
        raise keyring.errors.PasswordDeleteError


@pytest.fixture
def keychain() -> Iterator[Keychain]:
    """Register a keychain the way that keyring offers, and take it away again."""
    before = keyring.get_keyring()
    keychain = Keychain()  # type: ignore[no-untyped-call]  # keyring's own constructor has no types
    keyring.set_keyring(keychain)
    yield keychain
    keyring.set_keyring(before)


def from_keychain(entry: str) -> Secret:
    """Return the key of a provider that is configured with this entry."""
    settings = {"providers": {"work": {"kind": "anthropic", "keychain": entry}}}
    (found,) = [one for one in providers(Config.model_validate(settings), {}) if one.name == "work"]
    assert found.key is not None
    return found.key


def test_a_key_comes_from_the_keychain_when_it_is_needed(keychain: Keychain) -> None:
    """The entry `work` of the service `glossator` is read at the first use, and shown by nothing."""
    key = from_keychain("work")
    assert not key.ready
    assert key.reveal() == "sk-ant-from-the-keychain"
    assert "from-the-keychain" not in f"{key} {key!r}"


def test_a_keychain_without_the_entry_says_how_to_add_it(keychain: Keychain) -> None:
    """The message holds the command."""
    with pytest.raises(ConfigError, match="keyring set glossator home"):
        from_keychain("home").reveal()


def test_a_locked_keychain_is_told(keychain: Keychain) -> None:
    """The failure of the keychain is ours, without its details."""
    keychain.locked = True
    with pytest.raises(ConfigError, match="unlock it") as caught:
        from_keychain("work").reveal()
    assert "secret detail" not in str(caught.value)
