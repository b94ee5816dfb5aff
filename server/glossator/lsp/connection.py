"""What the rooms of one connection share: the wire, the editor's abilities, the session, and the application once it is there."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from lsprotocol import types

from glossator import settings as settings_module
from glossator.lsp.application import Application, Build
from glossator.lsp.client import Client
from glossator.lsp.wire import Refused, Server, describe_failure
from glossator.session import Session, path_of
from glossator.settings import Settings
from glossator_providers.errors import GlossatorError

SECONDS_FOR_FIRST_QUESTIONS = 0.05
SECONDS_FOR_CONFIGURATION = 1.0
SECONDS_FOR_APPLICATION = 30.0
SECONDS_FOR_CONSENT = 120.0
SWITCH_SECONDS = 0.005  # Python's own: how long a thread computes before another one gets its turn
SWITCH_SECONDS_MEANWHILE = 0.0005  # the imports of the application would let each message wait that often
ALLOW = "Allow in this workspace"

log = logging.getLogger("glossator.lsp")


class Connection:
    """One editor. `application` is None until it is built; `broken` says why it never will be."""

    def __init__(
        self,
        server: Server,
        client: Client,
        session: Session,
        *,
        build: Build,
        options: object,
        environment: Mapping[str, str],
    ) -> None:
        self.server = server
        self.client = client
        self.session = session
        self.environment = environment
        self.application: Application | None = None
        self.broken: str | None = None
        self.settings = Settings()
        self.roots = tuple(path for uri in client.roots if (path := path_of(uri)) is not None)
        self.built: Callable[[], None] = lambda: None  # an application has come, or chooses otherwise than before
        self._build = build
        self._options = options
        self._ready = asyncio.Event()
        self._beginning: asyncio.TimerHandle | None = None
        self._started = False
        self._warned: set[str] = set()
        self._old: list[Application] = []

    def begin(self) -> None:
        """Start soon: what the editor asks in the same breath as it says `initialized` is answered first."""
        if self._beginning is None:
            loop = asyncio.get_running_loop()
            self._beginning = loop.call_later(
                SECONDS_FOR_FIRST_QUESTIONS, lambda: self.server.spawn(self.start(), name="start")
            )

    async def start(self) -> None:
        """Read the settings and build the application; once."""
        if self._started:
            return
        self._started = True
        await self.read_settings()
        await self.build()

    async def read_settings(self) -> bool:
        """Ask the editor for its settings; say whether anything has changed that the application must know."""
        before = self.settings
        read = settings_module.read(self._options, await self._pull())
        self.settings = read.settings
        for warning in read.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self.show(f"glossator: {warning}", types.MessageType.Warning)
        return (before.trusted, before.configuration) != (read.settings.trusted, read.settings.configuration)

    async def _pull(self) -> object:
        if not self.client.configuration:
            return None
        # Neovim drops items without a section.
        scope = self.client.roots[0] if self.client.roots else None
        params = types.ConfigurationParams([types.ConfigurationItem(scope_uri=scope, section="glossator")])
        try:
            result = await self.server.protocol.ask(
                "workspace/configuration", params, seconds=SECONDS_FOR_CONFIGURATION
            )
        except (Refused, TimeoutError):
            return None
        return result[0] if isinstance(result, list) and result else None

    async def build(self) -> None:
        """Build the application in a thread, in place of the one before."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Application] = loop.create_future()

        def work() -> None:
            collect_what_start_up_left()
            sys.setswitchinterval(SWITCH_SECONDS_MEANWHILE)
            try:
                application = self._build(
                    roots=self.roots,
                    environment=self.environment,
                    trusted=self.settings.trusted,
                    settings=self.settings.configuration or None,
                )
            except BaseException as problem:  # noqa: BLE001  it belongs to the one who waits
                _tell(loop, made, None, problem)
            else:
                _tell(loop, made, application, None)
            finally:
                sys.setswitchinterval(SWITCH_SECONDS)

        # A daemon thread: an import that hangs must not keep the process from ending.
        threading.Thread(target=work, name="glossator-build", daemon=True).start()
        try:
            application = await made
        except Exception as problem:  # noqa: BLE001  the server lives on, and says so
            self.broken = (
                str(problem) if isinstance(problem, GlossatorError) else "glossator could not start; see its log"
            )
            log.error("The application could not be built: %s", describe_failure(problem))  # noqa: TRY400  its message may hold a key
            self.show(f"glossator: {self.broken}", types.MessageType.Error)
            self._ready.set()
            return
        finally:
            gc.freeze()  # what has been made stays: it need not be looked through again and again
        application.consent = self.consent
        if self.application is not None:
            application.preferred = self.application.preferred
            self._old.append(self.application)  # its jobs go on; it is closed with the connection
        self.application, self.broken = application, None
        self._ready.set()
        self.built()
        self.server.spawn(self._discover(application), name="discovery")

    async def _discover(self, application: Application) -> None:
        await application.discover()
        self.built()

    async def wait_for_application(self, seconds: float) -> Application | None:
        """Return the application, None if it is not there within *seconds* or could not be built."""
        if not self._started:
            self.server.spawn(self.start(), name="start")  # an editor that asks before it has said `initialized`
        if not self._ready.is_set():
            try:
                await asyncio.wait_for(self._ready.wait(), seconds)
            except TimeoutError:
                return None
        return self.application

    async def consent(self, question: str) -> bool:
        """Ask the user a yes-or-no question; no answer is a no."""
        actions = [types.MessageActionItem(ALLOW), types.MessageActionItem("Not now")]
        params = types.ShowMessageRequestParams(types.MessageType.Warning, f"glossator: {question}", actions)
        try:
            answer = await self.server.protocol.ask("window/showMessageRequest", params, seconds=SECONDS_FOR_CONSENT)
        except (Refused, TimeoutError):
            return False
        return isinstance(answer, dict) and answer.get("title") == ALLOW

    async def close(self) -> None:
        """Close all applications."""
        if self._beginning is not None:
            self._beginning.cancel()
        for application in (*self._old, *([self.application] if self.application else ())):
            await application.aclose()

    def show(self, message: str, kind: types.MessageType = types.MessageType.Info) -> None:
        """Show the user one line."""
        self.server.protocol.notify(
            "window/showMessage", types.ShowMessageParams(type=kind, message=" ".join(message.split()))
        )


def collect_what_start_up_left() -> None:
    """Let the next imports use again the quarter of the memory that the first ones left, and collect as usual from now on."""
    if not gc.isenabled():
        gc.collect()
        gc.freeze()
        gc.enable()


def _tell(
    loop: asyncio.AbstractEventLoop,
    made: asyncio.Future[Application],
    application: Application | None,
    problem: BaseException | None,
) -> None:
    def settle() -> None:
        if made.done():
            return
        if application is not None:
            made.set_result(application)
        else:
            made.set_exception(problem if isinstance(problem, Exception) else RuntimeError("the build was interrupted"))

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        log.debug("The connection ended before the application was built")


def plain(value: Any) -> Any:
    """Return *value* as JSON: dataclasses become objects with camel-case names."""
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {_camel(name): plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "value") and hasattr(value, "name"):  # an enum; the name of a number, the word of a word
        return value.value if isinstance(value.value, str) else str(value.name).lower()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
