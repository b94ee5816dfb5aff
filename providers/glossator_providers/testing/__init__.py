"""Model providers on strings: real HTTP servers on loopback, in the wire of a real provider, driven by hand or by a fault.

    async with FakeProvider("openai-compatible") as fake:
        task = asyncio.create_task(something_that_asks(fake.base_url))
        asked = await fake.asked()
        await asked.say("Hello")
        await asked.finish()

Every fault that a provider has shown in the wild can be played: see the methods of `Asked`, and `fault` for them by name.
`FaultServer` answers or fails as it is told and counts what it served; `Replay` serves recorded bytes.
"""

from __future__ import annotations

from glossator_providers.testing.fake import Asked, FakeProvider, Respond, answering, failing, in_turn
from glossator_providers.testing.faults import FAULTS, Counts, FaultServer, Unreliable, fault
from glossator_providers.testing.loopback import DEADLINE, HttpRequest, LoopbackServer
from glossator_providers.testing.replay import Replay
from glossator_providers.testing.wires import Wire, wire_of

__all__ = [
    "DEADLINE",
    "FAULTS",
    "Asked",
    "Counts",
    "FakeProvider",
    "FaultServer",
    "HttpRequest",
    "LoopbackServer",
    "Replay",
    "Respond",
    "Unreliable",
    "Wire",
    "answering",
    "failing",
    "fault",
    "in_turn",
    "wire_of",
]
