"""A key is shown by nothing but `reveal`, and comes from the environment or a command."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import pprint
import select
import sys
import threading
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.errors import ConfigError
from glossator_providers.secrets import Secret, from_command, from_environment

KEY = "sk-live-0123456789abcdef"


def test_no_way_of_printing_shows_the_key() -> None:
    """Printing, formatting, logging, a data class around it and a traceback show where it comes from, never what it is."""
    secret = Secret(KEY, source="OPENAI_API_KEY")
    provider = Provider(name="p", row=ROWS["openai"], model="m", base_url="https://api.openai.com/v1", key=secret)
    log = io.StringIO()
    logger = logging.getLogger("test_secrets")
    logger.addHandler(logging.StreamHandler(log))
    logger.error("key %s %r in %s", secret, secret, [secret])
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        "%s" % secret,  # noqa: UP031  one of the ways
        str([secret]),
        str({"key": secret}),
        repr(provider),
        pprint.pformat(provider),
        repr(secret.prefixed("Bearer ")),
        log.getvalue(),
        "".join(traceback.format_exception(ValueError(secret))),
        str(sorted(dir(secret))),
    ]
    assert not any("0123456789" in text for text in shown)
    assert all("OPENAI_API_KEY" in text for text in shown[:-1])
    assert secret.reveal() == KEY


def test_a_secret_cannot_be_written_anywhere() -> None:
    """Pickle and JSON refuse it; a copy is the same secret."""
    secret = Secret(KEY)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret]) == [secret]
    with pytest.raises(TypeError):
        vars(secret)


def test_equal_keys_are_equal_and_hash_says_nothing() -> None:
    """Secrets compare by their text, wherever they come from, and all have one hash."""
    assert Secret(KEY, source="A") == Secret(KEY, source="B")
    assert Secret(KEY) != Secret(KEY + "x")
    assert Secret(KEY) != KEY
    assert hash(Secret(KEY)) == hash(Secret(KEY + "x"))
    assert from_command(["pass", "a"]) == from_command(["pass", "a"])
    assert from_command(["pass", "a"]) != from_command(["pass", "b"])


def test_the_first_variable_that_is_set_wins() -> None:
    """The vendor's own name comes before the other one, blank values count as unset, and the source is remembered."""
    names = ROWS["anthropic"].key_env
    both = {"ANTHROPIC_API_KEY": "first", "CLAUDE_API_KEY": "second"}
    found = from_environment(names, both)
    assert found is not None
    assert (found.reveal(), found.source) == ("first", "ANTHROPIC_API_KEY")
    found = from_environment(names, {"ANTHROPIC_API_KEY": "  \n", "CLAUDE_API_KEY": " second\n"})
    assert found is not None
    assert (found.reveal(), found.source) == ("second", "CLAUDE_API_KEY")
    assert from_environment(names, {}) is None
    found = from_environment(ROWS["xai"].key_env, {"GROK_API_KEY": "third"})
    assert found is not None
    assert found.source == "GROK_API_KEY"


@given(st.text())
def test_any_value_is_a_key_or_a_clear_error_that_does_not_repeat_it(value: str) -> None:
    """What cannot stand in a header is refused, without showing it."""
    told, found = "", None
    try:
        found = from_environment(["KEY_NAME"], {"KEY_NAME": value})
    except ConfigError as error:
        told = str(error)
    if told:
        assert "KEY_NAME" in told
        assert len(value.strip()) < 4 or value.strip() not in told
    elif found is None:
        assert not value.strip()
    else:
        assert found.reveal() == value.strip()
        assert found.reveal().encode("ascii").decode().isprintable()


def test_a_command_runs_without_a_shell_once_and_when_first_needed(tmp_path: Path) -> None:
    """The first line of the output is the key; notes below it, as password managers keep them, are not."""
    script = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x' if p.exists() else 'x');"
        "print(sys.argv[2]); print('user: me')"
    )
    ran = tmp_path / "ran"
    secret = from_command([sys.executable, "-c", script, str(ran), "$(echo key) `id`;*"])
    assert not ran.exists()
    assert not secret.ready
    assert "python" in repr(secret)
    assert secret.reveal() == "$(echo key) `id`;*"
    assert secret.reveal() == "$(echo key) `id`;*", "the second time without running anything"
    assert ran.read_text() == "x"


def test_two_threads_run_the_command_once() -> None:
    """Whoever comes second waits for the first and gets the same key."""
    calls: list[int] = []

    def load() -> str:
        calls.append(1)
        return KEY

    secret = Secret.later(load, source="a test")
    threads = [threading.Thread(target=secret.reveal) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert calls == [1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "key_command is empty"),
        ([""], "key_command is empty"),
        (["/no/such/program"], "could not be started"),
        (["nul\0byte"], "could not be started"),
        ([sys.executable, "-c", f"import sys; print('{KEY}', file=sys.stderr); sys.exit(3)"], "failed with status 3"),
        ([sys.executable, "-c", "pass"], "is empty"),
        ([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff\\xfe')"], "characters that no key has"),
        ([sys.executable, "-c", "print('k' * 100_000)"], "longer than"),
    ],
)
def test_a_command_that_fails_says_so_without_what_it_printed(argv: list[str], message: str) -> None:
    """Each way to fail has its own sentence, which quotes no output."""
    with pytest.raises(ConfigError, match=message) as caught:
        from_command(argv).reveal()
    assert KEY not in str(caught.value)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """A password manager that waits for ever does not keep the server: its whole process group is ended."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    # The child of the command holds the fifo open: its end is how we see that child end.
    hang = "import os, signal, sys; os.fork() or os.write(os.open(sys.argv[1], os.O_WRONLY), b'x'); signal.pause()"
    try:
        with pytest.raises(ConfigError, match="did not answer within 2 s"):
            from_command([sys.executable, "-c", hang, str(fifo)], timeout=2).reveal()
        assert os.read(reader, 10) == b"x"
        ready, _, _ = select.select([reader], [], [], 10)
        assert ready
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)
