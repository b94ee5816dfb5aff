"""Answer `initialize` before anything heavy is imported, then hand the connection to the real server.

pygls and lsprotocol need 380 ms of CPU before they could answer; an editor that starts need not wait for them.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from glossator.lsp.capabilities import answer
from glossator.lsp.channel import INVALID_REQUEST, PARSE_ERROR, Channel, Greeting, Pipes, is_message_id
from glossator.lsp.client import Client
from glossator.lsp.frames import Garbage, Splitter, decode, encode, failure

if TYPE_CHECKING:
    from glossator.lsp.application import Build

NOT_INITIALIZED = -32002

Answer = Callable[[Client], dict[str, Any]]


def serve(build: Build, *, tcp: tuple[str, int] | None = None) -> int:
    """Serve one editor on standard input and output, or on a loopback port, until it leaves; return the exit code.

    *build* makes the application; it is called in a thread, after `initialize` has been answered, and should do its
    imports itself.
    """
    # The imports that follow make a hundred thousand objects that stay, and waste that can wait; the connection collects.
    gc.disable()
    channel: Channel = take_standard_streams() if tcp is None else accept(*tcp)
    greeting = greet(channel, answer)
    if isinstance(greeting, int):
        channel.close()
        return greeting
    from glossator.lsp.server import run

    code = run(channel, greeting, build=build, environment=os.environ)
    leave_threads_behind(code)
    return code


def leave_threads_behind(code: int) -> None:
    """End the process at once where threads of others still work: the interpreter would wait for them, the editor does not."""
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    if others:
        sys.stderr.flush()
        os._exit(code)


def take_standard_streams() -> Pipes:
    """Keep standard input and output for the protocol alone: a stray `print` or a child process cannot reach them."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
        msvcrt.setmode(1, os.O_BINARY)
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Pipes(reading, writing)


def accept(host: str, port: int) -> Channel:
    """Wait for one editor on *host*:*port*, which must be this machine itself; 0 is any free port, told on stderr."""
    from glossator.lsp.tcp import accept_one

    return accept_one(host, port)


def greet(channel: Channel, answer: Answer) -> Greeting | int:
    """Wait for `initialize` and answer it; return an exit code where the editor leaves before."""
    splitter = Splitter()
    try:
        while data := channel.read():
            found = splitter.feed(data)
            for number, item in enumerate(found):
                if isinstance(outcome := _answer_first(channel, item, answer), int):
                    return outcome
                if outcome is not None:
                    client, params = outcome
                    return Greeting(params, client, splitter, tuple(found[number + 1 :]))
    except OSError:
        pass  # the editor is gone before it said anything
    return 1


def _answer_first(
    channel: Channel, item: bytes | Garbage, answer: Answer
) -> tuple[Client, Mapping[str, Any]] | int | None:
    """Answer one message before `initialize`; return what `initialize` said, an exit code for `exit`, None for the rest."""
    message = decode(item) if isinstance(item, bytes) else item
    if isinstance(message, Garbage):
        channel.write(encode(failure(None, PARSE_ERROR, f"Received {message.reason}; it was ignored")))
        return None
    if isinstance(message, list):
        channel.write(encode(failure(None, INVALID_REQUEST, "Batches are not part of LSP; it was ignored")))
        return None
    method, message_id = message.get("method"), message.get("id")
    if method == "exit":
        return 1
    if method != "initialize":
        if "id" in message and isinstance(method, str):
            known = message_id if is_message_id(message_id) else None
            channel.write(encode(failure(known, NOT_INITIALIZED, "The first request must be initialize")))
        return None
    if not is_message_id(message_id):
        channel.write(encode(failure(None, INVALID_REQUEST, "A request's id must be a number or a string")))
        return None
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    client = Client.of(params)
    channel.write(encode({"jsonrpc": "2.0", "id": message_id, "result": answer(client)}))
    return client, params
