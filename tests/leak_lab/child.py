"""The real server in a process of its own, whose event loop lives in the lab's internet."""

from __future__ import annotations

import asyncio
import os
import sys

import audit
from leak_lab.internet import Policy, load

if __name__ == "__main__":
    audit.install()
    asyncio.set_event_loop_policy(Policy(load(os.environ["LEAK_LAB_INTERNET"])))
    from glossator.__main__ import main

    sys.argv[1:] = ["serve"]
    sys.exit(main())
