"""pygls made robust: one response to every request, nothing that blocks the loop, no code in the logs, an orderly end.

The faults of pygls 2.1.1 that are closed here are numbered in the tests, `tests/server/test_lsp_wire.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, PyglsError
from pygls.lsp.server import LanguageServer
from pygls.progress import Progress
from pygls.protocol import LanguageServerProtocol

from glossator.lsp.channel import INVALID_REQUEST, PARSE_ERROR, Channel, Greeting, is_message_id
from glossator.lsp.frames import Garbage, Splitter, decode, encode, failure
from glossator.lsp.mend import mend
from glossator.lsp.outbox import Item, Outbox

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800

SECONDS_TO_CLOSE = 2.0
SECONDS_TO_FLUSH = 1.0
SECONDS_FOR_REST = 0.5
READS_AHEAD = 64

MessageId = int | str
Message = dict[str, Any] | list[Any] | Garbage

log = logging.getLogger("glossator.lsp")


class Refused(Exception):
    """The editor answered one of our requests with an error."""


class ForgetfulProgress(Progress):
    """pygls's progress, which forgets a token once it has ended."""

    def end(self, token: types.ProgressToken, value: types.WorkDoneProgressEnd) -> None:
        super().end(token, value)
        self.tokens.pop(token, None)


class Protocol(LanguageServerProtocol):
    """The dispatch of one connection; all methods run on the loop."""

    def __init__(self, server: Server, converter: Any) -> None:
        super().__init__(server, converter)
        self.progress = ForgetfulProgress(self)
        self.finished: Future[int] = Future()  # the exit code
        self.extension: dict[str, type[Any]] = {}  # the params of messages that LSP does not know
        self.late_cancel: Callable[[MessageId], None] = lambda _: (
            None
        )  # a request is cancelled that was answered already
        self.unreadable: Callable[[str, Any], None] = lambda _, __: None  # a notification could not be decoded
        self._asked: dict[MessageId, Future[Any]] = {}
        self._asked_type: dict[MessageId, type[Any] | None] = {}
        self._open: set[MessageId] = set()  # requests of the editor without an answer yet
        self._outbox: Outbox | None = None
        self.cancelled_early: set[MessageId] = set()  # written by the reading thread
        self._next_id = 0

    def _register_builtin_features(self) -> None:
        # None of pygls's own: its document copy is corrupted by a form feed, its generators cannot be cancelled, and
        # its `initialize` fails on capabilities that are newer than it.
        self.fm.add_builtin_feature(types.WORKSPACE_EXECUTE_COMMAND, self._execute_command)
        self.fm.add_builtin_feature(types.SHUTDOWN, self._shut_down)

    def attach(self, outbox: Outbox) -> None:
        """Send through *outbox* from now on."""
        self._outbox = outbox

    # what comes in

    def receive(self, message: Message) -> None:
        """Handle one message from the editor."""
        if isinstance(message, Garbage):
            self._send(failure(None, PARSE_ERROR, f"Received {message.reason}; it was ignored"))
        elif isinstance(message, list):
            self._send(failure(None, INVALID_REQUEST, "Batches are not part of LSP; it was ignored"))
        elif isinstance(method := message.get("method"), str):
            params = message.get("params")
            if "id" not in message:
                self._receive_notification(method, params)
            elif is_message_id(message["id"]):
                contextvars.copy_context().run(self._receive_request, message["id"], method, params)
            else:
                self._send(failure(None, INVALID_REQUEST, "A request's id must be a number or a string"))
        elif "result" in message or "error" in message:
            self._receive_response(message)
        else:
            known = message.get("id")
            identifier = known if is_message_id(known) else None
            self._send(failure(identifier, INVALID_REQUEST, "Neither a request nor a response; it was ignored"))

    def _receive_request(self, message_id: MessageId, method: str, raw: Any) -> None:
        if message_id in self._open:
            self._send(
                failure(message_id, INVALID_REQUEST, "This id belongs to a request that is still being answered")
            )
            return
        self._open.add(message_id)
        if message_id in self.cancelled_early:
            self._fail(message_id, REQUEST_CANCELLED, "Cancelled")
        elif self._shutdown:
            self._fail(message_id, INVALID_REQUEST, "The server is shutting down")
        elif method == types.INITIALIZE:
            self._fail(message_id, INVALID_REQUEST, "The server has been initialized already")
        elif method not in self.fm.builtin_features and method not in self.fm.features:
            self._fail(message_id, METHOD_NOT_FOUND, f"Method not found: {method[:80]}")
        else:
            try:
                params = self._structure(method, raw)
            except Exception as problem:  # noqa: BLE001  whatever a converter raises means the same
                log.warning("Could not read the params of %s: %s", method, type(problem).__name__)
                self._fail(message_id, INVALID_PARAMS, f"The params of {method} could not be read")
                return
            if method == types.SHUTDOWN:
                self._shutdown = True
            self._handle_request(message_id, method, params)

    def _receive_notification(self, method: str, raw: Any) -> None:
        if method == types.EXIT:
            self.finish(0 if self._shutdown else 1)
        elif method == types.CANCEL_REQUEST:
            self._cancel(raw.get("id") if isinstance(raw, dict) else None)
        elif not self._shutdown and method in self.fm.features:
            try:
                params = self._structure(method, raw)
            except Exception as problem:  # noqa: BLE001  whatever a converter raises means the same
                log.warning("Ignored a %s that could not be read: %s", method, type(problem).__name__)
                self.unreadable(method, raw)
                return
            self._handle_notification(method, params)

    def _receive_response(self, message: dict[str, Any]) -> None:
        message_id = message.get("id")
        if not is_message_id(message_id):
            return
        future = self._asked.pop(message_id, None)
        wanted = self._asked_type.pop(message_id, None)
        if future is None or not future.set_running_or_notify_cancel():
            return  # an answer to a question that nobody asks any more
        if (error := message.get("error")) is not None:
            text = error.get("message") if isinstance(error, dict) else None
            future.set_exception(Refused(text if isinstance(text, str) else "no reason was given"))
            return
        result = message.get("result")
        if wanted is not None:
            with contextlib.suppress(Exception):  # an answer of another shape is handed on as it is
                result = self._converter.structure(
                    {"jsonrpc": "2.0", "id": message_id, "result": result}, wanted
                ).result
        future.set_result(result)

    def _structure(self, method: str, raw: Any) -> Any:
        params_type: Any = self.extension.get(method)
        if params_type is None and method in types.METHOD_TO_TYPES:
            params_type = types.METHOD_TO_TYPES[method][2]
        if params_type is None:
            return raw
        try:
            return self._converter.structure(raw, params_type)
        except Exception:  # noqa: BLE001  whatever a converter raises means the same
            return self._converter.structure(mend(raw, self._is_diagnostic), params_type)

    def _is_diagnostic(self, raw: Any) -> bool:
        try:
            self._converter.structure(raw, types.Diagnostic)
        except Exception:  # noqa: BLE001  whatever a converter raises means the same
            return False
        return True

    def _cancel(self, message_id: object) -> None:
        if not is_message_id(message_id):
            return
        self.cancelled_early.discard(message_id)
        if (future := self._request_futures.get(message_id)) is not None:
            future.cancel()
        else:
            self.late_cancel(message_id)

    # handlers of our own

    async def _execute_command(self, params: types.ExecuteCommandParams) -> Any:
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise JsonRpcInvalidParams(f"Unknown command: {params.command[:80]}")
        result = handler(*(params.arguments or ()))
        return await result if inspect.isawaitable(result) else result

    async def _shut_down(self, _: object) -> None:
        current = self.msg_id
        for message_id, future in list(self._request_futures.items()):
            if message_id != current:
                future.cancel()
        if (handler := self.fm.features.get(types.SHUTDOWN)) is not None:
            result = handler(None)
            if inspect.isawaitable(result):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(result, SECONDS_TO_CLOSE)

    def finish(self, code: int) -> None:
        """End the connection with this exit code; the first one counts."""
        if not self.finished.done():
            self.finished.set_result(code)

    def leave(self) -> None:
        """End the connection because the editor is gone."""
        self.finish(0 if self._shutdown else 1)

    # what goes out

    def _send_handler_result(self, future: Future[Any], *, msg_id: MessageId) -> None:
        self._request_futures.pop(msg_id, None)
        if future.cancelled():
            self._fail(msg_id, REQUEST_CANCELLED, "Cancelled")
            return
        problem = future.exception()
        if problem is None:
            self._answer(msg_id, future.result())
        elif isinstance(problem, asyncio.CancelledError):
            self._fail(msg_id, REQUEST_CANCELLED, "Cancelled")
        elif isinstance(problem, JsonRpcException):
            self._fail(msg_id, problem.code or INTERNAL_ERROR, problem.message or "Failed")
        else:
            log.error("A request failed: %s", describe_failure(problem))
            self._fail(msg_id, INTERNAL_ERROR, "Glossator ran into a problem of its own; its log names the place")

    def _check_handler_result(self, future: Future[Any]) -> None:
        if not future.cancelled() and (problem := future.exception()) is not None:
            log.error("A notification failed: %s", describe_failure(problem))

    def _answer(self, message_id: MessageId, result: Any) -> None:
        try:
            data = encode({"jsonrpc": "2.0", "id": message_id, "result": self._converter.unstructure(result)})
        except Exception as problem:  # noqa: BLE001  the request must be answered whatever the result is
            log.error("A result could not be written: %s", describe_failure(problem))  # noqa: TRY400  its message may quote code
            self._fail(message_id, INTERNAL_ERROR, "The result could not be written")
            return
        self._close_request(message_id)
        self.put(data)

    def _fail(self, message_id: MessageId, code: int, message: str) -> None:
        self._close_request(message_id)
        self._send(failure(message_id, code, message))

    def _close_request(self, message_id: MessageId) -> None:
        self._open.discard(message_id)

    def _send(self, message: Mapping[str, Any]) -> None:
        self.put(encode(message))

    def put(self, item: Item) -> None:
        """Send what is encoded already, or will be when its turn has come."""
        if self._outbox is not None:
            self._outbox.put(item)

    def _send_data(self, data: Any) -> None:
        self._send(self._converter.unstructure(data))

    def encode_notification(self, method: str, params: Any) -> bytes:
        """Return the bytes of a notification."""
        return encode({"jsonrpc": "2.0", "method": method, "params": self._converter.unstructure(params)})

    def notify(self, method: str, params: Any | None = None) -> None:
        self.put(self.encode_notification(method, params))

    def send_request(
        self,
        method: str,
        params: Any | None = None,
        callback: Callable[[Any], None] | None = None,
        msg_id: MessageId | None = None,
    ) -> Future[Any]:
        future = self._begin_request(method, params, msg_id, self.get_result_type(method))
        if callback is not None:
            future.add_done_callback(lambda done: callback(done.result()))
        return future

    def _begin_request(
        self, method: str, params: Any, message_id: MessageId | None, wanted: type[Any] | None
    ) -> Future[Any]:
        if message_id is None:
            self._next_id += 1
            message_id = f"glossator-{self._next_id}"
        future: Future[Any] = Future()
        self._asked[message_id] = future
        self._asked_type[message_id] = wanted
        future.add_done_callback(lambda _: self._forget_request(message_id))
        self._send(
            {"jsonrpc": "2.0", "id": message_id, "method": method, "params": self._converter.unstructure(params)}
        )
        return future

    def _forget_request(self, message_id: MessageId) -> None:
        self._asked.pop(message_id, None)
        self._asked_type.pop(message_id, None)

    async def ask(self, method: str, params: Any = None, *, seconds: float | None = None) -> Any:
        """Ask the editor; return its result as unparsed JSON. Raises `Refused`, and TimeoutError after *seconds*."""
        future = asyncio.wrap_future(self._begin_request(method, params, None, None))
        return await asyncio.wait_for(future, seconds)


class Server(LanguageServer):
    """pygls's server over `Protocol`; `converse` runs it."""

    protocol: Protocol

    def __init__(self, name: str, version: str) -> None:
        super().__init__(name, version, protocol_cls=Protocol)
        self._tasks: set[asyncio.Task[Any]] = set()

    def report_server_error(self, error: Exception, source: type[PyglsError | JsonRpcException]) -> None:
        log.error("%s: %s", source.__name__, describe_failure(error))  # never to the editor: it may be why we failed

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run *work* beside everything else; a failure is logged, and the end of the connection cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._drop_task)
        return task

    def _drop_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.error("%s failed: %s", task.get_name(), describe_failure(problem))

    async def cancel_tasks(self) -> None:
        """Cancel all that `spawn` has begun, and wait until it has ended."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SECONDS_TO_CLOSE)


Close = Callable[[], Coroutine[Any, Any, None]]


async def converse(server: Server, channel: Channel, greeting: Greeting, *, close: Close | None = None) -> int:
    """Serve the editor at *channel* until it leaves; return the exit code. *close* ends what the server holds open."""
    loop = asyncio.get_running_loop()
    protocol = server.protocol

    def call(function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the connection has ended already
            loop.call_soon_threadsafe(function, *arguments)

    outbox = Outbox(channel, gone=protocol.leave)
    protocol.attach(outbox)
    inbox: deque[Message] = deque(read_body(item, protocol.cancelled_early) for item in greeting.early)
    room = threading.BoundedSemaphore(READS_AHEAD)

    def drain() -> None:
        while inbox:
            protocol.receive(inbox.popleft())

    def handle_read() -> None:
        room.release()
        drain()

    def read_all(splitter: Splitter) -> None:
        with contextlib.suppress(OSError):  # a broken connection ends as a closed one does
            while data := channel.read():
                inbox.extend(read_body(item, protocol.cancelled_early) for item in splitter.feed(data))
                room.acquire()  # an editor that floods us waits, the queue does not grow
                call(handle_read)
        call(protocol.leave)

    drain()
    threading.Thread(target=read_all, args=(greeting.splitter,), name="glossator-reader", daemon=True).start()
    try:
        return await asyncio.wrap_future(protocol.finished)
    finally:
        await server.cancel_tasks()
        if close is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(close(), SECONDS_TO_CLOSE)
        await outbox.finish(SECONDS_TO_FLUSH)
        channel.close()


def read_body(item: bytes | Garbage, cancelled: set[MessageId]) -> Message:
    """Return the JSON of a body; note a cancellation at once, so that it also reaches requests that still wait."""
    message = decode(item) if isinstance(item, bytes) else item
    if isinstance(message, dict) and message.get("method") == types.CANCEL_REQUEST:
        params = message.get("params")
        message_id = params.get("id") if isinstance(params, dict) else None
        if isinstance(message_id, (int, str)) and not isinstance(message_id, bool):
            cancelled.add(message_id)
    return message


def run(server: Server, channel: Channel, greeting: Greeting, *, close: Close | None = None) -> int:
    """Run `converse` in a new loop; unlike `asyncio.run` it does not wait for threads that others have left working."""
    quiet_logs()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_log_loop_failure)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            loop.add_signal_handler(number, server.protocol.leave)
    try:
        return loop.run_until_complete(converse(server, channel, greeting, close=close))
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=SECONDS_FOR_REST))
        loop.close()


def describe_failure(problem: BaseException) -> str:
    """Say what failed and where, without the message, which may quote code."""
    place = problem.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    return f"{type(problem).__name__}{where}"


def _log_loop_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    problem = context.get("exception")
    log.error("%s", describe_failure(problem) if isinstance(problem, BaseException) else "a failure in the event loop")


class _Redacted(logging.Handler):
    """Hand on the fixed words of a record and nothing that was put into them."""

    def emit(self, record: logging.LogRecord) -> None:
        failed = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        words = record.msg if isinstance(record.msg, str) and record.args else "(a message without fixed words)"
        log.log(record.levelno, "%s: %s%s", record.name, words.replace("%", ""), f" ({failed})" if failed else "")


def quiet_logs() -> None:
    """Keep pygls's logs to warnings, and code and params out of them."""
    logger = logging.getLogger("pygls")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.handlers = [_Redacted()]
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it prints the repr of whatever fails


def configure_log(stream: Any = None) -> None:
    """Send our own warnings to *stream*, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("glossator")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
