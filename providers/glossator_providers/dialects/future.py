"""Kinds of events that we do not know: passed over, since protocols grow, and told in the log once each."""

from __future__ import annotations

import logging
import re

_LOG = logging.getLogger("glossator_providers.dialects")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_MOST = 100  # names in the life of a process: nobody fills a log, or the memory, by inventing them

_told: set[tuple[str, str]] = set()


def pass_over(dialect: str, name: str | None, *, known: re.Pattern[str] | None = None) -> None:
    """Tell once in the log that *dialect* has passed over an event of this *name*, unless it is among the *known*.

    Nothing else of the event is told.
    """
    if not name or len(_told) >= _MOST or (known is not None and known.fullmatch(name)):
        return
    # What does not look like a name may be anything, even a piece of somebody's code.
    shown = name if _NAME.fullmatch(name) else "a name that is none"
    if (dialect, shown) not in _told:
        _told.add((dialect, shown))
        _LOG.info("%s: an event of a kind that we do not know was passed over: %s", dialect, shown)
