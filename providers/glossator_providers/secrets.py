"""Keys that cannot be printed: read from the environment or from a command, shown by nothing but `reveal`."""

from __future__ import annotations

import hmac
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Never, Self

from glossator_providers.errors import ConfigError

COMMAND_TIMEOUT = 30.0  # seconds; a password manager may have to ask its owner first
_RENEWED_BEFORE = 300.0  # seconds before its end that a token is not used any more
_LONGEST = 16 * 1024  # characters; the longest real keys are tokens of a few kilobytes


class Secret:
    """A key or a header that holds one; its text is given by `reveal` alone, never by printing, pickling or comparing.

    `source` says where it comes from, in words that may be shown: `ANTHROPIC_API_KEY`, `the command pass`.
    """

    __slots__ = ("_load", "_lock", "_text", "source")

    def __init__(self, text: str | Callable[[], str], *, source: str = "the configuration") -> None:
        """Keep a text, or a function that fetches it when it is first revealed; raises ConfigError where it is no key."""
        self.source = source
        self._load = text if callable(text) else None
        self._text = None if callable(text) else checked(text, source)
        self._lock = threading.Lock()

    @classmethod
    def later(cls, load: Callable[[], str], *, source: str) -> Self:
        """Make a secret whose text is fetched when it is first revealed, and then kept."""
        return cls(load, source=source)

    @property
    def ready(self) -> bool:
        """Whether `reveal` answers at once; otherwise it runs something and belongs on another thread."""
        return self._text is not None

    def reveal(self) -> str:
        """Return the text; raises ConfigError where it cannot be fetched."""
        with self._lock:
            if self._text is None:
                assert self._load is not None
                self._text = checked(self._load(), self.source)
            return self._text

    def prefixed(self, prefix: str) -> Secret:
        """Return a secret of `prefix` and this one, as in `Bearer …`; runs the command if it has not run yet."""
        return Secret(prefix + self.reveal(), source=self.source)

    def __repr__(self) -> str:
        return f"Secret(from {self.source})"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self is other:
            return True
        if self._text is None or other._text is None:
            return self.source == other.source and self._load == other._load
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        # The same for all: a hash of the text would be a hint of it, and equal secrets may have different sources.
        return hash(Secret)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memory: dict[int, object]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a secret is not written anywhere, so it cannot be pickled")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A key that ends, in seconds since the epoch; `payer` names the project that pays where the key's owner chose one."""

    text: str = field(repr=False)
    ends: float
    payer: str | None = None


class Token(Secret):
    """A key that ends: *fetch* gives it when it is needed and shortly before its end."""

    __slots__ = ("_clock", "_ends", "_fetch", "_renewing", "payer")

    def __init__(self, fetch: Callable[[], Fetched], *, source: str, clock: Callable[[], float] = time.time) -> None:
        """`payer` is known once the key has been fetched."""
        super().__init__(self._renew, source=source)
        self._fetch = fetch
        self._clock = clock
        self._ends = 0.0
        self.payer: str | None = None
        self._renewing = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether `reveal` answers at once; otherwise it asks somebody and belongs on another thread."""
        return super().ready and self._clock() < self._ends - _RENEWED_BEFORE

    def reveal(self) -> str:
        """Return the text; raises ConfigError where there is none to be had, ProviderError where nobody answers."""
        with self._renewing:
            if not self.ready:
                self._text = None
            return super().reveal()

    def _renew(self) -> str:
        fetched = self._fetch()
        self._ends, self.payer = fetched.ends, fetched.payer
        return fetched.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and (self.source, self._fetch) == (other.source, other._fetch)

    __hash__ = Secret.__hash__


def checked(text: str, source: str) -> str:
    """Return `text` without surrounding blanks; raises ConfigError, without showing it, where it can be no key."""
    text = text.strip()
    if not text:
        raise ConfigError(f"the key from {source} is empty; set it, or remove that provider")
    if len(text) > _LONGEST:
        raise ConfigError(f"the key from {source} is longer than {_LONGEST} characters; is it the right file?")
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(
            f"the key from {source} holds characters that no key has, such as a line break or a curly quote; copy it once more"
        )
    return text


def from_environment(names: Sequence[str], environment: Mapping[str, str]) -> Secret | None:
    """Return the key in the first of these variables that is set and not blank; raises ConfigError where it is no key."""
    for name in names:
        value = environment.get(name, "")
        if value.strip():
            return Secret(value, source=name)
    return None


def from_command(argv: Sequence[str], *, timeout: float = COMMAND_TIMEOUT) -> Secret:
    """Return the key that a command prints on its first line; it runs without a shell, when the key is first needed.

    The rest of the output is left alone: password managers print notes below the password. `timeout` is in seconds.
    """
    if not argv or not argv[0].strip():
        raise ConfigError(
            'key_command is empty; write the program and its arguments, as in ["pass", "show", "anthropic"]'
        )
    return Secret.later(_Command(tuple(argv), timeout), source=f"the command {os.path.basename(argv[0])}")  # noqa: PTH119  a name to show, not a path to open


class _Command:
    """Run one command and return the first line that it prints; two of the same arguments are equal."""

    __slots__ = ("argv", "timeout")

    def __init__(self, argv: tuple[str, ...], timeout: float) -> None:
        self.argv = argv
        self.timeout = timeout

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Command) and self.argv == other.argv

    def __hash__(self) -> int:
        return hash(self.argv)

    def __call__(self) -> str:
        name = self.argv[0]
        try:
            process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # it may quote the key, so nobody gets to see it
                start_new_session=True,  # so that all that it started can be ended with it
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its name or an argument cannot be passed on"
            raise ConfigError(f"the key command {name!r} could not be started ({reason}); check key_command") from None
        with process:
            try:
                output, _ = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                _end(process)
                raise ConfigError(
                    f"the key command {name!r} did not answer within {self.timeout:g} s and was ended; unlock it, or try it in a terminal"
                ) from None
        if process.returncode != 0:
            raise ConfigError(
                f"the key command {name!r} failed with status {process.returncode}; run it in a terminal to see why"
            )
        return output.partition(b"\n")[0].decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and everything that it started, and forget what it printed."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        process.kill()  # no process groups on this system, or the group is gone
    assert process.stdout is not None
    process.stdout.close()
