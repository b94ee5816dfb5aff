"""What `why` says of a file is what the router then does: the same providers, in the same order, or nobody.

A part of the cases runs with all tests; `make why` runs 10,000.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from applications import application, environment_of, follow, snapshot_of
from glossator.tasks.task import Ask, Routed, TaskName
from glossator_providers.errors import EgressDenied, Kind, ProviderError
from glossator_providers.transport import Call, Response

FILES = 10  # of one case
CASES = int(os.environ.get("GLOSSATOR_WHY_CASES", "200"))
SECRET = "hunter2-" + "Zq9vT4kLw8x"
TEXTS = ("x = 1\n", f'password = "{SECRET}"\n', "", "# " + "long line of words " * 40 + "\n", "naïve = '\u202eπ'\n")
NAMES = (
    "a.py",
    ".env",
    "infra/main.tf",
    "src/a.py",
    "build/out.py",
    "id_rsa",
    "src/payroll/p.py",
    "notes.ipynb",
    "A.PY",
)
IGNORES = ("", "*.py\n", "build/\n", "src/**\n!src/a.py\n", "[\n", "*\n")
# Names and addresses that are reserved for documentation, RFC 2606 and 5737: nobody is there, and the door asks nobody.
HOSTS = (
    "http://127.0.0.1:9/v1",
    "http://localhost:9/v1",
    "https://far.example/v1",
    "https://203.0.113.9/v1",
    "http://10.9.8.7:9/v1",
)


@dataclass(frozen=True)
class Case:
    """A workspace with some files, by their names and which of them are asked about as if unsaved; a user with providers and rules."""

    files: tuple[tuple[str, str, bool], ...]
    ignore: tuple[str, str]  # name of the file and its content
    hosts: tuple[str, ...]
    keyed: bool
    found: bool  # a key in the environment instead of a configuration
    allowed: bool
    on_secret: str
    private: tuple[str, ...]
    never: tuple[str, ...]
    trusted: tuple[str, ...]
    strategy: str

    @property
    def configuration(self) -> str:
        key = 'key_env = "ANY_KEY"\n' if self.keyed else ""
        tables = [
            f'[providers.p{n}]\nkind = "openai-compatible"\nmodel = "m"\nbase_url = "{host}"\n{key}'
            for n, host in enumerate(() if self.found else self.hosts)
        ]
        rules = [f'on_secret = "{self.on_secret}"', f"private = {list(self.private)}", f"never = {list(self.never)}"]
        rules.append(f"trusted_hosts = {list(self.trusted)}")
        return "\n".join(
            [f'strategy = "{self.strategy}"', "breaker = { failures = 1000 }", *tables, "[privacy]", *rules]
        )


def some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    """Return some of these."""
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


cases = st.builds(
    Case,
    files=st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS), st.booleans()), min_size=FILES, max_size=FILES
    ).map(tuple),
    ignore=st.tuples(st.sampled_from([".aiignore", ".gitignore", ".cursorignore"]), st.sampled_from(IGNORES)),
    hosts=st.lists(st.sampled_from(HOSTS), max_size=4, unique=True).map(tuple),
    keyed=st.booleans(),
    found=st.booleans(),
    allowed=st.booleans(),
    on_secret=st.sampled_from(["local", "redact", "refuse"]),
    private=some("src/**", "*.py"),
    never=some("**/payroll/**", "infra/**"),
    trusted=some("10.9.8.7", "far.example"),
    strategy=st.sampled_from(["local-first", "priority", "fastest"]),
)


class Door:
    """Stands in for the transport: notes whom it was asked to let a request go to, and that nobody is there."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def send(self, call: Call) -> AbstractAsyncContextManager[Response]:
        if not call.cleared.covers(call.provider):
            raise EgressDenied("not cleared")
        if self.asked[-1:] != [call.provider.name]:  # it may be asked for its models first
            self.asked.append(call.provider.name)
        raise ProviderError(Kind.SERVER, "nobody is there", provider=call.provider.name)


async def compare(case: Case, folder: Path) -> None:
    """Ask about each file, and see that those are asked whom `why` names."""
    work = folder / "work"
    work.mkdir()
    (work / case.ignore[0]).write_text(case.ignore[1], encoding="utf-8")
    found = {"OPENAI_API_KEY": "any", "MISTRAL_API_KEY": "any"} if case.found else {}
    environment = environment_of(folder / "user", case.configuration, ANY_KEY="any") | found
    async with application(work, environment) as opened:
        if case.allowed:
            opened.allow_clouds(remember=False)
        for name, text, unsaved in case.files:
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            snapshot = snapshot_of(path)
            if unsaved:
                snapshot = replace(snapshot, uri="untitled:Untitled-1", path=None)
            door = Door()
            for router in (opened.router, opened.local_router()):
                router._asking._transport = door  # type: ignore[assignment]
            said = opened.why(snapshot).route
            told, _ = await follow(opened, Ask(TaskName.ASK, snapshot, snapshot.whole, instruction="What is it?"))
            chosen = [event.author.name for event in told if isinstance(event, Routed)]
            assert tuple(dict.fromkeys(chosen)) == said, f"{name}: {said} was said, and {chosen} were asked"
            assert set(door.asked) <= set(said), f"{name}: {said} was said, and the door was asked for {door.asked}"


# Not made smaller: the sentence of a failure names the file, and a case takes a second.
@settings(max_examples=CASES // FILES, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(case=cases)
def test_why_agrees_with_what_the_router_does(case: Case) -> None:
    """Whoever `why` names is asked, in that order, and nobody else."""
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(compare(case, Path(name)))
