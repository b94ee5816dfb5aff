"""What a picked action or a typed command does: check the arguments, begin a job, answer at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from glossator.lsp.apply import Applied, Outcome
from glossator.lsp.arguments import Target, make_ask, read_arguments
from glossator.lsp.connection import Connection, plain
from glossator.lsp.convert import move
from glossator.lsp.findings import Findings
from glossator.lsp.jobs import Job, Jobs, follow_up
from glossator.lsp.progress import one_line
from glossator.lsp.protocol import AskParams, JobParams, RunParams, VerdictParams
from glossator.lsp.selection import Selection
from glossator.session import Pending
from glossator.tasks.task import Ask, TaskName

LONGEST_MESSAGE = 400


class Commands:
    """The commands and the requests of our extension, for one connection."""

    def __init__(self, connection: Connection, jobs: Jobs, selection: Selection, findings: Findings) -> None:
        self._connection = connection
        self._jobs = jobs
        self._selection = selection
        self._findings = findings

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """Return the commands by name."""
        return {
            "glossator.explain": lambda *given: self._start(TaskName.EXPLAIN, given),
            "glossator.fix": lambda *given: self._start(TaskName.FIX, given),
            "glossator.refactor": lambda *given: self._start(TaskName.REFACTOR, given),
            "glossator.ask": lambda *given: self._start(TaskName.ASK, given),
            "glossator.fixAll": lambda *given: self._start(TaskName.FIX_ALL, given),
            "glossator.document": lambda *given: self._start(TaskName.DOCUMENT, given),
            "glossator.tests": lambda *given: self._start(TaskName.TESTS, given),
            "glossator.review": lambda *given: self._start(TaskName.REVIEW, given),
            "glossator.clearReview": self.clear_review_command,
            "glossator.cancel": self.cancel_command,
            "glossator.status": self.status_command,
            "glossator.apply": self.apply_command,
            "glossator.selectProvider": self._selection.select,
            "glossator.resetProvider": self._selection.reset,
        }

    def _start(self, task: TaskName, given: tuple[Any, ...]) -> dict[str, str] | None:
        ask = make_ask(self._connection, task, read_arguments(self._connection, given))
        return self._reply(self._jobs.start(ask))

    def _reply(self, job: Job) -> dict[str, str] | None:
        return {"job": job.name} if self._connection.client.extension else None

    # typed or picked in any editor

    def cancel_command(self, *given: Any) -> None:
        """Cancel the named job, or the one that was started last."""
        name = next((one.get("job") if isinstance(one, dict) else one for one in given if one), None)
        if name is not None and not isinstance(name, str):
            raise JsonRpcInvalidParams("job must be the name of a job")
        job = self._jobs.find(name)
        if job is None or not job.running:
            self._connection.show("glossator: nothing is running")
            return
        self._jobs.cancel(job)

    def clear_review_command(self, *given: Any) -> None:
        """Take back what a review has found in the named document, or, if none is named, in all."""
        uri = next((one.get("uri") for one in given if isinstance(one, dict)), None)
        if uri is not None and not isinstance(uri, str):
            raise JsonRpcInvalidParams("uri must be the address of a document")
        if not self._findings.clear(uri):
            self._connection.show("glossator: no findings are shown")

    async def status_command(self, *_: Any) -> Any:
        """Show how the providers are; editors with our extension get it as an object too."""
        status = await self.status()
        self._connection.show(f"glossator: {summarise(status)}")
        return status if self._connection.client.extension else None

    async def apply_command(self, *given: Any) -> None:
        """Apply the proposal that waits for a document, or ask for it again."""
        target = read_arguments(self._connection, given)
        mode = next((one.get("mode") for one in given if isinstance(one, dict)), None)
        pending = self._connection.session.pending(target.uri)
        if pending is None:
            self._connection.show("glossator: nothing waits to be applied here")
            return
        if mode == "again":
            self._connection.session.forget_pending(target.uri)
            self._ask_again(pending)
            return
        # In the background: eglot waits for this answer before it takes an edit.
        work = self._apply(pending, anyway=mode == "anyway")
        self._connection.server.spawn(work, name="apply")

    async def _apply(self, pending: Pending, *, anyway: bool) -> None:
        applied = await self._jobs.take(pending.proposal, pending.ask, anyway=anyway)
        self._tell(applied)

    def _tell(self, applied: Applied) -> None:
        quiet = applied.outcome in {Outcome.APPLIED, Outcome.NOTHING}
        kind = types.MessageType.Info if quiet else types.MessageType.Warning
        self._connection.show(f"glossator: {applied.message}", kind)

    def _ask_again(self, pending: Pending) -> None:
        document = self._connection.session.documents.get(pending.proposal.base.uri)
        if document is None:
            return
        known = self._connection.session.known(document.buffer.uri)
        now = replace(pending.ask, snapshot=document.snapshot(), known=known)
        self._jobs.start(_at_the_same_place(pending.ask, now))

    # requests of editors with our extension

    def run(self, params: RunParams) -> dict[str, str]:
        """Answer `glossator/run`."""
        try:
            task = TaskName(params.action)
        except ValueError:
            raise JsonRpcInvalidParams(f"action must be one of {', '.join(TaskName)}") from None
        if params.apply not in {None, "edit", "preview", "none"}:
            raise JsonRpcInvalidParams("apply must be edit, preview or none")
        target = Target(
            uri=params.text_document.uri,
            version=params.text_document.version,
            range=params.range,
            diagnostics=None if params.diagnostics is None else tuple(params.diagnostics),
            instruction=params.instruction,
            provider=params.provider,
            model=params.model,
        )
        ask = make_ask(self._connection, task, target)
        job = self._jobs.start(ask, apply_as=params.apply or "edit", request=self._connection.server.protocol.msg_id)
        return {"job": job.name}

    def ask(self, params: AskParams) -> dict[str, str]:
        """Answer `glossator/ask`: a question about an earlier answer, or about a place."""
        earlier = self._jobs.find(params.job) if params.job is not None else None
        if params.job is not None and earlier is None:
            raise JsonRpcInvalidParams("This job is not known any more; ask about the code instead")
        if earlier is None and params.text_document is None:
            raise JsonRpcInvalidParams("A question needs a job or a document that it is about")
        uri = params.text_document.uri if params.text_document is not None else earlier.uri if earlier else ""
        version = params.text_document.version if params.text_document is not None else None
        target = Target(uri=uri, version=version, range=params.range, instruction=params.question)
        ask = make_ask(self._connection, TaskName.ASK, target)
        if earlier is not None:
            if params.range is None and earlier.uri == uri:
                ask = _at_the_same_place(earlier.ask, ask)
            ask = follow_up(earlier, params.question, ask)
        return {"job": self._jobs.start(ask, request=self._connection.server.protocol.msg_id).name}

    def cancel(self, params: JobParams) -> None:
        """Answer `glossator/cancel`; a job that has ended already is no error."""
        job = self._jobs.find(params.job)
        if job is not None:
            self._jobs.cancel(job)

    async def status(self, _: Any = None) -> Any:
        """Answer `glossator/status`."""
        application = await self._connection.wait_for_application(1.0)
        status = plain(await application.status()) if application is not None else {}
        if not isinstance(status, dict):
            status = {"providers": status}
        if application is None:
            status["health"] = "error" if self._connection.broken else "warning"
            status["message"] = self._connection.broken or "glossator is still starting"
        status["jobs"] = [
            {"job": job.name, "action": job.ask.task.value, "uri": job.uri, "state": "running"}
            for job in self._jobs.running()
        ]
        return status

    def did_accept(self, params: VerdictParams) -> None:
        """Take `glossator/didAccept`: apply the preview."""
        job = self._jobs.find(params.job)
        if job is not None:
            self._connection.server.spawn(self._jobs.accept(job), name="accept")

    def did_reject(self, params: VerdictParams) -> None:
        """Take `glossator/didReject`: forget the preview."""
        job = self._jobs.find(params.job)
        if job is not None:
            self._jobs.reject(job)


def _at_the_same_place(earlier: Ask, now: Ask) -> Ask:
    """Return *now* about what *earlier* was about, wherever that stands by now."""
    diagnostics = tuple(
        replace(one, region=move(one.region, earlier.snapshot, now.snapshot)) for one in earlier.diagnostics
    )
    return replace(now, region=move(earlier.region, earlier.snapshot, now.snapshot), diagnostics=diagnostics)


def summarise(status: Any) -> str:
    """Return a status on one line."""
    if not isinstance(status, dict):
        return one_line(str(status), LONGEST_MESSAGE)
    if isinstance(message := status.get("message"), str) and message:
        return one_line(message, LONGEST_MESSAGE)
    providers = status.get("providers") or []
    names = [
        f"{one.get('name') or one.get('id')} ({'local' if one.get('local') else 'cloud'}, {one.get('model')})"
        for one in providers
        if isinstance(one, dict)
    ]
    jobs = len(status.get("jobs") or [])
    words = ", ".join(names) or "no provider: the handbook alone"
    return one_line(f"{words}; {jobs} running", LONGEST_MESSAGE)
