"""Each minute, while an editor is connected, look how the idle providers are, and tell the editor what is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from glossator.lsp.connection import Connection, log
from glossator.lsp.notices import Notices
from glossator.lsp.wire import describe_failure

SECONDS_BETWEEN_LOOKS = 60.0

Sleep = Callable[[float], Awaitable[None]]


async def look_each_minute(connection: Connection, notices: Notices, *, sleep: Sleep = asyncio.sleep) -> NoReturn:
    """Look until the connection ends, which cancels this."""
    while True:
        await sleep(SECONDS_BETWEEN_LOOKS)
        if connection.application is None:
            continue
        try:
            news = await connection.application.look()
        except Exception as failure:  # noqa: BLE001  the next look may go well
            log.error("Nobody could be looked at: %s", describe_failure(failure))
            continue
        if news:
            notices.status_changed()
