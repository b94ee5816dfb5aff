"""The checkers of one workspace: found, run on a text and read, with nothing written into it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from glossator.checkers import find, shadow
from glossator.checkers.row import CheckerFailed, Finding, Job, Output, Row, Tool
from glossator.checkers.run import run, trim
from glossator.checkers.table import ROWS
from glossator.document import Diagnostic, Snapshot

TIME_LIMIT = 10.0  # seconds
_SUFFIXES: Mapping[str, str] = {
    "python": ".py",
    "c": ".c",
    "cpp": ".cpp",
    "c++": ".cpp",
    "rust": ".rs",
    "typescript": ".ts",
    "typescriptreact": ".tsx",
    "tsx": ".tsx",
    "javascript": ".js",
    "javascriptreact": ".jsx",
    "jsx": ".jsx",
    "shellscript": ".sh",
    "bash": ".sh",
    "sh": ".sh",
}
_OWN_PROGRAMS = Path(sys.executable).parent


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Make a folder that only this user can read, spelled as checkers report it, and remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="glossator-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


class Toolbox:
    """The installed checkers, as they serve documents under *roots* (absolute paths).

    In a workspace that is not *trusted* no program from inside of it is run, and no checker that runs the workspace's
    files. *own* is the folder of last resort; *time_limit* is in seconds, for one run.
    """

    def __init__(
        self,
        *,
        roots: tuple[str, ...],
        trusted: bool,
        environment: Mapping[str, str],
        own: Path | None = _OWN_PROGRAMS,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._roots = tuple(Path(os.path.normpath(root)) for root in roots)
        self._trusted = trusted
        self._environment = environment
        self._own = own
        self._time_limit = time_limit

    def checker_for(self, diagnostic: Diagnostic, language: str) -> str | None:
        """Return the row that reports such diagnostics, None for a source that is not known; looks at no file."""
        source = (diagnostic.source or "").strip().lower()
        return next((row.name for row in ROWS.values() if source in row.sources and language in row.languages), None)

    def general(self, language: str, near: str | None) -> str | None:
        """Return the first installed checker of *language*, for a change that no diagnostic asked for."""
        return next(
            (row.name for row in ROWS.values() if language in row.languages and self.find(row.name, near)), None
        )

    def find(self, name: str, near: str | Path | None) -> Tool | None:
        """Return the program of row *name* that serves the document *near*, an absolute path."""
        row = ROWS.get(name)
        if row is None:
            return None
        path = Path(os.path.normpath(near)) if near is not None else None
        for program in row.programs:
            for found in find.programs(
                program,
                near=path,
                roots=self._roots,
                trusted=self._trusted,
                environment=self._environment,
                own=self._own,
            ):
                return Tool(name, str(found))
        return None

    async def check(
        self, name: str, snapshot: Snapshot, text: str, *, codes: frozenset[str] = frozenset()
    ) -> tuple[Diagnostic, ...]:
        """Return what checker *name* says of *text* in the place of *snapshot*'s; raises CheckerFailed.

        *codes* are rules that are to be on, where the checker can switch on single ones.
        """
        return tuple(finding.diagnostic for finding in await self.inspect(name, snapshot, text, codes=codes))

    async def inspect(
        self, name: str, snapshot: Snapshot, text: str, *, codes: frozenset[str] = frozenset()
    ) -> tuple[Finding, ...]:
        """Do what `check` does, and return also the edits that the checker itself offers; raises CheckerFailed."""
        row = ROWS[name]
        tool = self._demand(row, snapshot.path)
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError:
            raise CheckerFailed(f"the text holds half a character, {name} cannot read it") from None
        new = Snapshot.of(
            text, uri=snapshot.uri, language=snapshot.language, version=snapshot.version, path=snapshot.path
        )
        with _private_folder() as scratch:
            root, file = self._place(snapshot, scratch)
            if row.shadow:
                (scratch / "shadow").mkdir()
                root, file = shadow.make(scratch / "shadow", root=root, file=file, data=data)
            (scratch / "tmp").mkdir()
            interpreter = find.interpreter(file, (root,)) if self._trusted else None
            job = Job(
                tool.path,
                new,
                root,
                file,
                scratch / "tmp",
                codes,
                # A tool in the environment of the project knows it by itself.
                str(interpreter)
                if interpreter and Path(tool.path).parent.resolve() != interpreter.parent.resolve()
                else None,
            )
            try:
                command = row.command(job)
            except OSError as error:
                raise CheckerFailed(f"the check by {name} could not be prepared: {error.strerror}") from None
            output = await run(
                command.arguments,
                folder=command.folder if command.folder.is_dir() else scratch,
                stdin=data if command.stdin else b"",
                environment=trim(self._environment, job.scratch) | dict(command.environment),
                time_limit=self._time_limit,
            )
            return row.read(output, job)

    async def call(self, name: str, arguments: tuple[str, ...], *, near: str | None) -> Output:
        """Run checker *name* with *arguments* of our own, away from the workspace; raises CheckerFailed."""
        tool = self._demand(ROWS[name], near)
        with _private_folder() as scratch:
            return await run(
                (tool.path, *arguments),
                folder=scratch,
                stdin=b"",
                environment=trim(self._environment, scratch),
                time_limit=self._time_limit,
            )

    def _demand(self, row: Row, near: str | None) -> Tool:
        if row.runs_workspace and not self._trusted:
            raise CheckerFailed(f"{row.name} may run code of this workspace, which is not trusted")
        tool = self.find(row.name, near)
        if tool is None:
            raise CheckerFailed(f"{row.name} is not installed where Glossator could find it")
        return tool

    def _place(self, snapshot: Snapshot, scratch: Path) -> tuple[Path, Path]:
        """Return the root and the path of the document; one without a file stands alone in an empty folder."""
        if snapshot.path is None:
            return scratch / "untitled", scratch / "untitled" / f"untitled{_SUFFIXES.get(snapshot.language, '.txt')}"
        path = Path(os.path.normpath(snapshot.path))
        return find.root_of(path, self._roots) or path.parent, path
