"""Run by a child Python at its start: write each connection that it tries into the file that the test named."""

import os
import sys

_RECORD = os.environ.get("GLOSSATOR_TEST_CONNECTIONS")
_WATCHED = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}


def _spell(address: object) -> str:
    if isinstance(address, tuple) and len(address) > 1:
        return f"{address[0]}:{address[1]}"
    return os.fsdecode(address) if isinstance(address, (str, bytes)) else str(address)


def _write(event: str, address: object) -> None:
    import json

    line = json.dumps({"event": event, "address": _spell(address)}) + "\n"
    descriptor = os.open(str(_RECORD), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    position = _WATCHED.get(event)
    if position is not None:
        _write(event, arguments[position])


if _RECORD:
    os.close(os.open(_RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))  # it exists: the hook was there
    sys.addaudithook(_audit)
