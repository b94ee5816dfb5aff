"""One background task for each thing that was asked: progress, live text, one result, one end, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from lsprotocol import types

from glossator.document import Region
from glossator.lsp.apply import Applied, Outcome, apply, combine, describe
from glossator.lsp.connection import SECONDS_FOR_APPLICATION, Connection, plain
from glossator.lsp.convert import text_edits
from glossator.lsp.display import Display, Library
from glossator.lsp.findings import Findings
from glossator.lsp.notices import Notices
from glossator.lsp.progress import Progress, last_line
from glossator.lsp.protocol import PREVIEW
from glossator.lsp.stream import Stream, describe_route
from glossator.lsp.wire import describe_failure
from glossator.tasks.task import (
    Ask,
    Author,
    Explanation,
    Found,
    Note,
    Proposal,
    Refusal,
    Restart,
    Result,
    Review,
    Routed,
    Said,
    Stage,
    TaskEvent,
    TaskName,
    Turn,
)
from glossator.tasks.task import (
    Progress as TaskProgress,
)
from glossator_providers.errors import GlossatorError

TAIL = 60
REMEMBERED = 50
SECONDS_BETWEEN_PREVIEWS = 0.15
SECONDS_TO_UNDO = 60.0  # after which it is an edit of the user's like others, and not our answer that was wrong

log = logging.getLogger("glossator.lsp")


@dataclass(slots=True, eq=False)
class Job:
    """One task of one document. `apply` is `edit`, `preview` or `none`."""

    name: str
    ask: Ask
    apply: str = "edit"
    request: int | str | None = None  # the id of the `glossator/run` that began it
    task: asyncio.Task[None] | None = None
    text: str = ""
    author: Author | None = None
    proposal: Proposal | None = None  # shown as a preview, not yet accepted
    answer: str | None = None
    cancelled_because: str = "cancelled"
    timer: asyncio.TimerHandle | None = field(default=None)

    @property
    def uri(self) -> str:
        return self.ask.snapshot.uri

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


class Jobs:
    """All jobs of one connection."""

    def __init__(self, connection: Connection, library: Library, notices: Notices, findings: Findings) -> None:
        self._connection = connection
        self._library = library
        self._notices = notices
        self._findings = findings
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._prefix = os.urandom(4).hex()  # progress tokens and file names of two runs must not meet

    def start(self, ask: Ask, *, apply_as: str = "edit", request: int | str | None = None) -> Job:
        """Begin a job; one that works on the same place gives way."""
        for other in self.running(ask.snapshot.uri):
            if other.ask.region == ask.region:
                self.cancel(other, "another request for the same place came")
        job = Job(f"{self._prefix}-{next(self._numbers)}", ask, apply_as, request)
        self._jobs[job.name] = job
        for name in [name for name, old in self._jobs.items() if not old.running and old is not job][:-REMEMBERED]:
            del self._jobs[name]
        stream = Stream(self._connection.server, job.name, wanted=self._connection.client.stream)
        job.task = self._connection.server.spawn(self._work(job, stream), name=f"job {ask.task.value}")
        # A task that is cancelled before its first step never runs a line of its own.
        job.task.add_done_callback(lambda task: _end_cancelled(stream, job) if task.cancelled() else None)
        return job

    def find(self, name: str | None) -> Job | None:
        """Return a job by name; without one, the job that was started last and still runs."""
        if name is not None:
            return self._jobs.get(name)
        running = [job for job in self._jobs.values() if job.running]
        return running[-1] if running else None

    def running(self, uri: str | None = None) -> list[Job]:
        """Return the jobs that work, all or those of one document."""
        return [job for job in self._jobs.values() if job.running and uri in (None, job.uri)]

    def cancel(self, job: Job, reason: str = "cancelled") -> None:
        """Cancel a job; harmless when it has ended."""
        if job.task is not None and not job.task.done():
            job.cancelled_because = reason
            job.task.cancel()

    def cancel_request(self, request: int | str) -> None:
        """Cancel the job that the request *request* began."""
        for job in self.running():
            if job.request == request:
                self.cancel(job)

    def cancel_token(self, token: int | str) -> None:
        """Cancel the job that shows its progress under *token*."""
        for job in self.running():
            if token_of(job) == token:
                self.cancel(job)

    def document_closed(self, uri: str) -> None:
        """End all jobs of a document that was closed, and forget its previews and what was found in it."""
        self._findings.clear(uri)
        for job in self._jobs.values():
            if job.uri != uri:
                continue
            if job.running:
                self.cancel(job, "the document was closed; nothing was applied")
            elif job.proposal is not None:
                self._withdraw(job)

    def document_changed(self, uri: str) -> None:
        """Move the previews and findings of a document along with what is typed."""
        self._findings.changed(uri)
        for job in self._jobs.values():
            if job.uri == uri and job.proposal is not None and job.timer is None:
                loop = asyncio.get_running_loop()
                job.timer = loop.call_later(SECONDS_BETWEEN_PREVIEWS, self._preview_again, job)

    async def cancel_all(self) -> None:
        """Cancel every job and wait for their ends."""
        tasks = [job.task for job in self.running() if job.task is not None]
        for job in self.running():
            self.cancel(job, "the server is shutting down")
        if tasks:
            await asyncio.wait(tasks)

    async def accept(self, job: Job) -> Applied | None:
        """Apply a preview that the user accepted; None where there is none."""
        proposal, job.proposal = job.proposal, None
        if proposal is None:
            return None
        applied = await self.take(proposal, job.ask)
        if applied.outcome not in {Outcome.APPLIED, Outcome.NOTHING}:
            self._connection.show(f"glossator: {applied.message}", types.MessageType.Warning)
        return applied

    def reject(self, job: Job) -> None:
        """Forget a preview that the user rejected."""
        proposal, job.proposal = job.proposal, None
        if proposal is not None:
            self._settle(proposal, job.ask, kept=False)

    async def take(self, proposal: Proposal, ask: Ask, *, anyway: bool = False) -> Applied:
        """Apply what the user said yes to."""
        applied = await self._apply(proposal, ask, anyway=anyway)
        if applied.outcome is Outcome.APPLIED:
            self._settle(proposal, ask, kept=True)
        return applied

    async def _apply(self, proposal: Proposal, ask: Ask, *, anyway: bool = False) -> Applied:
        """Apply a proposal, and notice for a while if it is undone."""
        session = self._connection.session
        document = session.documents.get(proposal.base.uri)
        before = document.snapshot().text if document is not None else None
        applied = await apply(self._connection, proposal, ask, anyway=anyway)
        if document is not None and applied.outcome is Outcome.APPLIED:
            undone = session.watch(document, lambda text: text == before)
            undone.add_done_callback(
                lambda future: None if future.cancelled() else self._settle(proposal, ask, kept=False)
            )
            asyncio.get_running_loop().call_later(SECONDS_TO_UNDO, undone.cancel)
        return applied

    def _settle(self, proposal: Proposal, ask: Ask, *, kept: bool) -> None:
        if self._connection.application is not None:
            self._connection.application.settle(ask, proposal, kept=kept)

    def _stays(self, ask: Ask) -> bool:
        application = self._connection.application
        return application is None or application.stays(ask)

    async def _work(self, job: Job, stream: Stream) -> None:
        connection = self._connection
        title = f"glossator: {job.ask.task.value}"
        progress = Progress(connection.server, token_of(job), title, supported=connection.client.progress)
        display = Display(connection, self._library, job.name, stays=lambda: self._stays(job.ask))
        try:
            result = await self._run(job, progress, stream, display)
            message = await self._conclude(job, result, progress, stream, display)
        except asyncio.CancelledError:
            message = job.cancelled_because
            _end_cancelled(stream, job)
            if "closed" in message:
                connection.show(f"glossator: {message}")
            progress.end(message)
            raise
        except Exception as problem:  # noqa: BLE001  the user is told, the server lives on
            message = (
                str(problem)
                if isinstance(problem, GlossatorError)
                else "glossator ran into a problem of its own; its log names the place"
            )
            log.error("A job failed: %s", describe_failure(problem))  # noqa: TRY400  its message may quote code
            stream.end(final=None, error={"code": "internal", "message": message, "retryable": False})
            connection.show(f"glossator: {message}", types.MessageType.Error)
        finally:
            self._notices.status_changed()
        progress.end(message)

    async def _run(self, job: Job, progress: Progress, stream: Stream, display: Display) -> Result:
        """Follow the task's events to its result."""
        application = await self._connection.wait_for_application(SECONDS_FOR_APPLICATION)
        if application is None:
            return Refusal("no-application", self._connection.broken or "glossator is still starting; try again")
        result: Result | None = None
        async with closing(application.run(job.ask)) as events:
            async for event in events:
                if isinstance(event, Result):
                    result = event
                else:
                    self._follow(job, event, progress, stream, display)
        return result or Refusal("internal", "The task ended without a result")

    def _follow(self, job: Job, event: TaskProgress, progress: Progress, stream: Stream, display: Display) -> None:
        match event:
            case Routed(author):
                self._begin(job, stream, author, reason=None)
                progress.report(f"{author.byline}: waiting")
            case Said(text):
                if not stream.begun:
                    self._begin(job, stream, job.author, reason=None)
                job.text += text
                stream.add(text)
                progress.report(last_line(job.text, TAIL))
                if job.ask.task in {TaskName.EXPLAIN, TaskName.ASK}:
                    display.grow(job.text)
            case Restart(reason):
                job.text = ""
                self._begin(job, stream, job.author, reason=reason)
                progress.report(reason)
            case Stage(message):
                progress.report(message)
            case Note(message):
                self._notices.say(message)
            case Found(findings):
                self._findings.report(job.ask.snapshot, findings)
            case _:
                assert_never(event)

    def _begin(self, job: Job, stream: Stream, author: Author | None, *, reason: str | None) -> None:
        if author is not None:
            job.author = author
        stream.begin(author, action=job.ask.task.value, uri=job.uri, reason=reason)

    async def _conclude(self, job: Job, result: Result, progress: Progress, stream: Stream, display: Display) -> str:
        """Show the result; return the words for the end of the progress."""
        if not stream.begun:
            author = None if isinstance(result, Refusal) else result.author
            self._begin(job, stream, author, reason=None)
        match result:
            case Explanation(markdown, author, cached):
                job.answer = markdown
                stream.end(final=markdown, outcome="explanation", author=describe_route(author), cached=cached)
                display.end(markdown)
                return f"done ({result.byline})"
            case Proposal():
                return await self._propose(job, result, progress, stream)
            case Review():
                return self._end_review(job, result, stream)
            case Refusal(kind, message, rules):
                error = {
                    "code": kind,
                    "message": message,
                    "rules": list(rules),
                    "retryable": kind not in {"policy", "no-provider"},
                }
                stream.end(final=None, error=error)
                words = (
                    f"{message} ({', '.join(rules)})"
                    if rules and not all(rule in message for rule in rules)
                    else message
                )
                self._notices.warn(words, kind=kind, provider=job.author.name if job.author else "")
                return words
        assert_never(result)

    def _end_review(self, job: Job, review: Review, stream: Stream) -> str:
        job.answer = "\n".join(f"{one.region.start.line + 1}: {one.message}" for one in review.findings)
        self._findings.report(job.ask.snapshot, review.findings)
        words = review.summary
        if review.refusal is not None:
            author = review.author or job.author
            self._notices.warn(review.refusal.message, kind=review.refusal.kind, provider=author.name if author else "")
            words = f"{words}: {review.refusal.message}"
        stream.end(final=job.answer, outcome="review", message=words, author=describe_route(review.author))
        return words

    async def _propose(self, job: Job, proposal: Proposal, progress: Progress, stream: Stream) -> str:
        job.answer = proposal.summary or job.text
        more: dict[str, Any] = {
            "outcome": "proposal",
            "summary": proposal.summary,
            "author": describe_route(proposal.author),
            "verdict": plain(proposal.verdict),
            "label": describe(proposal),
            "left": [
                {"line": one.diagnostic.region.start.line, "code": one.diagnostic.code, "reason": one.reason}
                for one in proposal.left
            ],
        }
        if proposal.verdict.withheld:
            applied = await apply(self._connection, proposal, job.ask)  # it says why not
        elif job.apply == "none":
            stream.end(final=job.text, **more)
            return describe(proposal)
        elif job.apply == "preview":
            job.proposal = proposal
            self._preview(job)
            stream.end(final=job.text, **more)
            return f"{describe(proposal)}: waiting for you"
        else:
            progress.report("applying")
            applied = await self._apply(proposal, job.ask)
        stream.end(final=job.text, applied=applied.outcome.value, message=applied.message, **more)
        if applied.outcome not in {Outcome.APPLIED, Outcome.NOTHING}:
            self._connection.show(f"glossator: {applied.message}", types.MessageType.Warning)
        elif proposal.left:
            self._connection.show(f"glossator: {proposal.summary}", types.MessageType.Warning)
        elif not proposal.verdict.verified:
            self._connection.show(f"glossator: {applied.message}")
        return applied.message

    def _preview(self, job: Job) -> None:
        """Send the whole state of a preview against the text of now."""
        document = self._connection.session.documents.get(job.uri)
        if document is None or job.proposal is None:
            return
        now = document.snapshot()
        wanted = combine(job.proposal, now, anyway=False)
        reference = {"uri": job.uri, "version": now.version}
        if wanted is None:
            self._notify_preview(job, {"textDocument": reference, "hunks": [], "state": "stale"})
            return
        encoding = self._connection.client.encoding
        hunks = [{"range": edit.range, "newText": edit.new_text} for edit in text_edits(now, wanted, encoding)]
        state = {"textDocument": reference, "hunks": hunks, "state": "complete", "label": describe(job.proposal)}
        self._notify_preview(job, state)

    def _preview_again(self, job: Job) -> None:
        job.timer = None
        if job.proposal is not None:
            self._preview(job)

    def _withdraw(self, job: Job) -> None:
        job.proposal = None
        reference = {"uri": job.uri, "version": None}
        self._notify_preview(job, {"textDocument": reference, "hunks": [], "state": "withdrawn"})

    def _notify_preview(self, job: Job, state: dict[str, Any]) -> None:
        if self._connection.client.preview:
            self._connection.server.protocol.notify(PREVIEW, {"job": job.name, **state})


def follow_up(job: Job, question: str, ask: Ask) -> Ask:
    """Return *ask* as the next turn of the conversation that *job* is part of."""
    said = job.ask.instruction or job.ask.task.value
    turn = Turn(said, job.answer or job.text, job.ask.snapshot)
    return replace(ask, task=TaskName.ASK, instruction=question, turns=(*job.ask.turns, turn))


def _end_cancelled(stream: Stream, job: Job) -> None:
    stream.end(final=None, error={"code": "cancelled", "message": job.cancelled_because, "retryable": True})


def token_of(job: Job) -> str:
    """Return the progress token of a job."""
    return f"glossator-{job.name}"


def same_place(job: Job, uri: str, region: Region) -> bool:
    """Say whether *job* works on *region*."""
    return job.uri == uri and job.ask.region.touches(region)


@contextlib.asynccontextmanager
async def closing(events: AsyncIterator[TaskEvent]) -> AsyncIterator[AsyncIterator[TaskEvent]]:
    """Close the iterator of a task at the end: that is how a task is cancelled."""
    try:
        yield events
    finally:
        close: Callable[[], Any] | None = getattr(events, "aclose", None)
        if close is not None:
            await close()
