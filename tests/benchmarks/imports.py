"""What it costs to import the library, and to have a router ready to ask: CPU of a fresh interpreter, beside `import httpx`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import against, number
from benchmarks.streams import PYTHONS

_READY = """
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.privacy import Policy
from glossator_providers.privacy.files import LocalFiles
from glossator_providers.router import Router
from glossator_providers.transport import Transport
transport = Transport()
provider = Provider("a", ROWS["openai"], "gpt-4o", "https://api.openai.com/v1")
router = Router((provider,), transport=transport, policy=Policy(), files=LocalFiles())
"""
_WARM = f"{_READY}\nimport asyncio\nasyncio.run(transport.warm())\n"
REFERENCE = "`import httpx`"
# What is done, by whom, in whose environment.
CASES: Mapping[str, tuple[str, str]] = {
    REFERENCE: ("httpx", "import httpx"),
    "`import glossator_providers`": ("Glossator", "import glossator_providers"),
    "Glossator's router ready to ask, every protocol in it": ("Glossator", _READY),
    "the same, warm: HTTP client, certificates and all": ("Glossator", _WARM),
    "`httpx.AsyncClient()`": ("httpx", "import httpx; httpx.AsyncClient()"),
    "`openai.AsyncOpenAI()`": ("SDK", "import openai; openai.AsyncOpenAI(api_key='x').chat.completions"),
    "`anthropic.AsyncAnthropic()`": ("SDK", "import anthropic; anthropic.AsyncAnthropic(api_key='x').messages"),
    "`google.genai.Client()`": ("SDK", "from google import genai; genai.Client(api_key='x').aio.models"),
    "`boto3.client('bedrock-runtime')`": ("SDK", "import boto3; boto3.client('bedrock-runtime', 'us-east-1')"),
    "`cohere.AsyncClientV2()`": ("SDK", "import cohere; cohere.AsyncClientV2(api_key='x')"),
    "`ollama.AsyncClient()`": ("SDK", "import ollama; ollama.AsyncClient()"),
    "`import litellm`": ("LiteLLM", "import litellm"),
}
_TIMED = "import sys, time\nbegin = time.process_time()\nexec(sys.argv[1])\nprint()\nprint(time.process_time() - begin)"


def measure(rounds: int = 9) -> str:
    """Start an interpreter for each, in turn; return the section."""
    taken: dict[str, list[float]] = {what: [] for what in CASES}
    absent: set[str] = set()
    for _ in range(rounds):
        for what, (client, code) in CASES.items():
            if what not in absent and PYTHONS[client].exists():
                try:
                    taken[what].append(_milliseconds(PYTHONS[client], code))
                except subprocess.CalledProcessError:
                    absent.add(what)
    lines = [
        f"CPU of a fresh interpreter beyond its own start, median of {rounds} rounds in turn, files compiled and cached.",
        "",
        "| what | CPU | to `import httpx` |",
        "|---|---|---|",
    ]
    for what, measured in taken.items():
        if what in absent or not measured:
            lines.append(f"| {what} | not here | |")
        else:
            figure = against(measured, taken[REFERENCE])
            lines.append(f"| {what} | {number(figure.value)} ms | {number(figure.ratio)} ± {number(figure.spread)} |")
    return "\n".join(lines) + "\n"


def _milliseconds(python: Path, code: str) -> float:
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it would fetch its prices otherwise
    done = subprocess.run(
        [str(python), "-c", _TIMED, code], check=True, capture_output=True, text=True, env=environment
    )
    return float(done.stdout.splitlines()[-1]) * 1000
