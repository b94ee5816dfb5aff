"""Write into an egress ledger as a process of its own, until all is written or the test kills it: FOLDER NAME COUNT."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from glossator_providers.catalog import ROWS, Provider
from glossator_providers.egress_ledger import Arrival, Departure, EgressLedger
from glossator_providers.model import Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, clear

TEXT = "def canary_of_the_ledger(): return 'canary-of-the-ledger'"
URI = "file:///home/canary-of-a-name/ledger.py"


def departure(name: str = "work", *, text: str = TEXT, base_url: str = "https://203.0.113.9/v1") -> Departure:
    """Return a request about a document that would leave the machine."""
    origins = (Origin(OriginKind.DOCUMENT, "file:///tmp/plain.py"), Origin(OriginKind.DIAGNOSTIC, URI))
    request = Request((Message(Role.USER, (Fragment(text, origins),)),), task="explain", roots=("/tmp", "/home"))
    cleared = clear(request, policy=Policy(trusted_hosts=("203.0.113.9",)), files=LocalFiles())
    provider = Provider(name, ROWS["openai-compatible"], "far-model", base_url)
    return Departure(provider, cleared, "POST", "203.0.113.9", 443, len(text), near=base_url.startswith("http:"))


async def write(folder: Path, name: str, count: int) -> None:
    """Write so many requests, and say after each that it stands there."""
    ledger = EgressLedger(folder)
    for _ in range(count):
        entry = await ledger.sent(departure(name))
        ledger.ended(entry, Arrival("complete", "203.0.113.9:443", 200, 12))
        print(entry, flush=True)
    await ledger.aclose()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
