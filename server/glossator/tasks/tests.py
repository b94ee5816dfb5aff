"""Write tests for a symbol: a new test file, or an addition to the one that is there; nothing of it is run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from glossator.checkers.toolbox import Toolbox
from glossator.context import fenced, gather, language_word, region_of
from glossator.document import Snapshot
from glossator.tasks.conversation import Models
from glossator.tasks.ladder import Tries
from glossator.tasks.lightest import without_closing
from glossator.tasks.prompt import compose, pieces_of, typed
from glossator.tasks.rewrite import rewrite
from glossator.tasks.task import Ask, Refusal, TaskEvent, Verdict
from glossator.verify import verify
from glossator_providers.model import Fragment, Origin, OriginKind, Request

_SCRIPTS = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact"})
_FOLDERS = ("tests", "test")
LARGEST = 200_000  # characters of a test file that is added to


async def write_tests(ask: Ask, *, toolbox: Toolbox | None, models: Models) -> AsyncGenerator[TaskEvent]:
    """Propose tests of the selection, or of the symbol around the cursor; the proposal's base is the test file."""
    snapshot = ask.snapshot
    path = place_of_tests(snapshot, ask.roots)
    if path is None:
        yield Refusal(
            "bad-request",
            "Where tests of this file belong is not known here; ask with refactor to have some written into it",
        )
        return
    try:
        target = _read(path, snapshot.language)
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        yield Refusal("failed", f"{path.name} cannot be read, so nothing is added to it: {problem}")
        return

    async def check(text: str) -> Verdict:
        return await verify(target, text, (), region=target.whole, toolbox=toolbox)

    context = without_closing(gather(snapshot, region_of(snapshot, ask.region, ())), models, roots=ask.roots)
    shown = fenced(target.text, language_word(target.language))
    pieces = {
        **pieces_of(context),
        "target": _of(target, fenced(_relative(path, ask.roots))),
        "present": _of(target, shown) if target.text.strip() else None,
        "instruction": typed(ask.instruction, snapshot.uri) if ask.instruction else None,
    }
    request = Request(
        compose("tests", pieces, own=ask.prompts),
        task="tests",
        roots=ask.roots,
        provider=ask.provider,
        model=ask.model,
        thread=snapshot.uri,
        temperature=0.0,
    )
    story = rewrite(
        request,
        base=target,
        region=None,
        models=models,
        check=check,
        tries=Tries(target.text, unproven=ask.unproven),
        checker=None,
    )
    async with aclosing(story) as events:
        async for event in events:
            yield event


def place_of_tests(snapshot: Snapshot, roots: tuple[str, ...]) -> Path | None:
    """Return the file in which tests of a document stand by the custom of its language; None where no custom is known."""
    if snapshot.path is None:
        return None
    path = Path(snapshot.path)
    if snapshot.language == "go":
        return path.with_name(f"{path.stem}_test.go")
    if snapshot.language in _SCRIPTS:
        return path.with_name(f"{path.stem}.test{path.suffix}")
    if snapshot.language != "python":
        return None
    name = f"test_{path.stem}.py"
    tops = {Path(root) for root in roots}
    for folder in path.parents:
        if not any(top == folder or top in folder.parents for top in tops):
            break
        for tests in _FOLDERS:
            if (folder / tests).is_dir():
                return folder / tests / name
    return path.with_name(name)


def _read(path: Path, language: str) -> Snapshot:
    """Return the test file as it is, or an empty one; raises OSError, UnicodeDecodeError, ValueError."""
    text = ""
    if path.exists():
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        text = path.read_bytes().decode("utf-8")
    return Snapshot.of(text, uri=path.as_uri(), language=language, path=str(path))


def _relative(path: Path, roots: tuple[str, ...]) -> str:
    root = next((root for root in roots if path.is_relative_to(root)), None)
    return path.relative_to(root).as_posix() if root is not None else path.name


def _of(snapshot: Snapshot, text: str) -> Fragment:
    return Fragment(text, (Origin(OriginKind.CONTEXT, snapshot.uri),))
