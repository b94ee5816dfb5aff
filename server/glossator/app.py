"""Where the parts meet: one object that every front (the language server, the command line) asks for everything."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from glossator.checkers.toolbox import Toolbox
from glossator.consent import HOW_TO_ALLOW, Consent, Remembered, question, state_folder
from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.handbook import Handbook
from glossator.looks import Clock, look_at_idle
from glossator.markdown import clean
from glossator.preview import Preview, as_markdown, sending
from glossator.shelf import Shelf
from glossator.status import NOBODY, Status, status_of
from glossator.tasks.ask import ask as answer_question
from glossator.tasks.conversation import author_for
from glossator.tasks.document import document
from glossator.tasks.explain import explain
from glossator.tasks.explanations import Explanations
from glossator.tasks.fix import fix
from glossator.tasks.fix_all import fix_all
from glossator.tasks.prompt import VARIABLES, is_own, problem_of
from glossator.tasks.refactor import refactor
from glossator.tasks.review import review
from glossator.tasks.task import Ask, Author, Explanation, Note, Proposal, Refusal, TaskEvent, TaskName
from glossator.tasks.tests import write_tests
from glossator_providers import cost
from glossator_providers.adaptive import Lesson, Outcome
from glossator_providers.breaker import Thresholds
from glossator_providers.budget import budgets
from glossator_providers.catalog import Provider
from glossator_providers.config import Config, Loaded, load, policy, providers, quota, standard_sources
from glossator_providers.discovery import find_local, together
from glossator_providers.egress_ledger import EGRESS_FOLDER, EgressLedger
from glossator_providers.embedded import Embedded
from glossator_providers.errors import GlossatorError, NoProvider, PolicyRefusal
from glossator_providers.model import (
    Answer,
    Answered,
    Chosen,
    Event,
    Fragment,
    Level,
    Masked,
    Message,
    Origin,
    OriginKind,
    Reasoning,
    Request,
    Restarted,
    Role,
    Text,
)
from glossator_providers.privacy import LocalFiles, Policy, is_near, judge_text
from glossator_providers.privacy.permitted import forbidden
from glossator_providers.privacy.provenance import Places
from glossator_providers.privacy.redact import Redacted, Restoring, redact
from glossator_providers.route import Route, Split
from glossator_providers.router import Router
from glossator_providers.state import State
from glossator_providers.strategies import Rule
from glossator_providers.transport import Transport
from glossator_providers.usage_ledger import LEDGER_FILE, UsageLedger

_MOST_OFFERS = 500
_MOST_PAGES = 200
_SECONDS_WITHOUT_PAGE = 10.0  # until a hover asks again for a rule that nobody documented


@dataclass(frozen=True, slots=True)
class Offer:
    """Where a model request about a document would go, or why to none; checkers serve in either case."""

    author: Author | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class WhyReason:
    """One rule behind a decision; `range` is start line, start column, end line, end column, from 0, the end exclusive."""

    rule: str
    source: str
    range: tuple[int, int, int, int] | None
    clause: str


@dataclass(frozen=True, slots=True)
class Why:
    """How far a document may travel, by which rules, and who would be asked, in that order."""

    uri: str
    path: str | None
    level: str
    reasons: tuple[WhyReason, ...]
    route: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    redactions: int = 0


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may leave the machine from a workspace.

    Clouds that are `configured` may be used everywhere; those that were only `found` by their key, where `clouds_allowed`.
    """

    clouds_allowed: bool
    configured: tuple[str, ...]
    found: tuple[str, ...]
    other_workspaces: int
    on_secret: str
    private: tuple[str, ...]
    never: tuple[str, ...]
    trusted_hosts: tuple[str, ...]


class Application:
    """The product without a front; made by `build`, closed by `aclose`.

    `consent` asks the user a yes-or-no question; where there is nobody to ask it is None, and the answer is no.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        roots: tuple[str, ...],
        environment: Mapping[str, str],
        trusted: bool = True,
        clock: Clock = time.monotonic,
    ) -> None:
        self.roots = roots
        self.loaded = loaded
        self.environment = environment
        self._prompts = str(standard_sources(roots=(), environment=environment).user.parent / "prompts")
        self.consent: Consent | None = None
        self._trusted = trusted
        self._clock = clock
        self._remembered = Remembered(state_folder(environment))
        self._consented = self._remembered.allowed(roots)  # as it was read last
        self._policy = replace(policy(loaded.config), cloud_allowed=self._consented)
        egress = EgressLedger(
            state_folder(environment) / EGRESS_FOLDER,
            required=loaded.config.privacy.require_ledger,
            price=lambda usage, provider, at: cost.account(usage, provider, at=at),
        )
        self._transport = Transport(trusted_hosts=self._policy.trusted_hosts, ledger=egress)
        self.state = _state(loaded.config, environment, clock=clock)
        self.state.troubles.append(lambda: egress.problem)
        self._embedded = Embedded(environment=environment)
        self._files = LocalFiles()
        self._looking = threading.Lock()
        self.looked_around = False
        self._mask_key = secrets.token_bytes(32)  # placeholders of one session tell nothing in another
        configured = providers(loaded.config, environment)
        self.router = self._make_router(loaded.config, configured)
        self._local_router = self._make_router(loaded.config, _near(configured, self._policy))
        self._toolboxes = {
            trust: Toolbox(roots=roots, trusted=trust, environment=environment) for trust in {trusted, False}
        }
        self._handbooks = {trust: Handbook(toolbox) for trust, toolbox in self._toolboxes.items()}
        self._shelf = Shelf(state_folder(environment) / "explanations.sqlite", clock=time.time)
        self._explanations = Explanations(shelf=self._shelf if loaded.config.cache.answers == "disk" else None)
        self._offers: OrderedDict[str, tuple[weakref.ref[Snapshot], Offer]] = OrderedDict()  # by URI, the latest
        self._clean_page = functools.lru_cache(maxsize=_MOST_PAGES)(_shown)
        self._pageless: dict[tuple[str | None, ...], float] = {}  # until when no page is looked for
        self._consenting = asyncio.Lock()

    @classmethod
    def build(
        cls,
        *,
        roots: tuple[str, ...],
        environment: Mapping[str, str],
        trusted: bool = True,
        settings: Mapping[str, Any] | None = None,
        clock: Clock = time.monotonic,
    ) -> Application:
        """Read the configuration and put the parts together; opens no connection; raises ConfigError."""
        loaded = load(standard_sources(roots=roots, environment=environment, editor=settings))
        return cls(loaded, roots=roots, environment=environment, trusted=trusted, clock=clock)

    @property
    def config(self) -> Config:
        """The merged configuration."""
        return self.loaded.config

    @property
    def toolbox(self) -> Toolbox:
        """The checkers of the workspace."""
        return self._toolboxes[self._trusted]

    async def discover(self) -> None:
        """Look for model servers on this machine; those that were configured stay as they are."""
        found = await find_local(self._transport, self.environment)
        self.use(together(self.router.providers, found))
        await asyncio.to_thread(self.look_around)

    def look_around(self) -> None:
        """Learn once what stands in the workspace's private files, so that a copy of it is known; takes up to a second."""
        with self._looking:
            if not self.looked_around:
                Places(self._policy, self.roots, self._files).look_around()
                self.looked_around = True
                self._offers.clear()

    def use(self, chosen: tuple[Provider, ...]) -> None:
        """Ask these providers from now on."""
        self.router.replace(chosen)
        self._local_router.replace(_near(chosen, self._policy))
        self._offers.clear()

    def allow_clouds(self, *, remember: bool) -> None:
        """Let the clouds be used whose keys are in the environment, in this workspace from now on or just this once."""
        if remember:
            self._remembered.allow(self.roots)
        self._policy = replace(self._policy, cloud_allowed=True)
        self._use_policy()

    def revoke_clouds(self) -> None:
        """Let those clouds be used no more in this workspace, before the user says yes again; raises OSError."""
        self._remembered.revoke(self.roots)
        self._policy = replace(self._policy, cloud_allowed=False)
        self._use_policy()

    @property
    def remembers_clouds(self) -> bool:
        """Whether the user's yes to clouds in this workspace is written down."""
        return self._remembered.allowed(self.roots)

    def privacy(self) -> Allowed:
        """Say what may leave the machine from this workspace."""
        self._follow_consent()
        near = self._policy.trusted_hosts
        far = [provider for provider in self.router.providers if not is_near(provider, near)]
        return Allowed(
            clouds_allowed=self._policy.cloud_allowed,
            configured=tuple(provider.name for provider in far if not provider.found),
            found=tuple(provider.name for provider in far if provider.found),
            other_workspaces=self._remembered.others(self.roots),
            on_secret=self._policy.on_secret,
            private=self._policy.private,
            never=self._policy.never,
            trusted_hosts=self._policy.trusted_hosts,
        )

    def _follow_consent(self) -> None:
        """Take into account what the user has allowed or revoked meanwhile, in another editor or on the command line."""
        remembered = self._remembered.allowed(self.roots)
        if remembered is not self._consented:
            self._consented = remembered
            self._policy = replace(self._policy, cloud_allowed=remembered)
            self._use_policy()

    def _use_policy(self) -> None:
        self._consented = self._remembered.allowed(self.roots)
        self.router.policy = self._policy
        self._local_router.policy = self._policy
        self._offers.clear()

    async def run(self, ask: Ask) -> AsyncGenerator[TaskEvent]:
        """Do what was asked; the last event is the result, and closing the iterator cancels."""
        self._follow_consent()
        ask = ask if ask.roots else replace(ask, roots=self.roots)
        ask = replace(ask, prompts=self._prompts)
        for broken, reason in self._broken_prompts(ask.task):
            yield Note(f"Your prompt {broken} is broken, so Glossator's own is used: {reason}")
        earlier = tuple(turn.about for turn in ask.turns if turn.about is not None)
        models = _Models(self, whole=_whole(ask.snapshot, *earlier, roots=ask.roots))
        async with aclosing(self._story(ask, models)) as events:
            async for event in events:
                yield event

    def _broken_prompts(self, task: TaskName) -> tuple[tuple[str, str], ...]:
        """Return the user's prompts for this task that cannot be used, each with the reason."""
        begins = "fix" if task is TaskName.FIX_ALL else task.value
        names = [name for name in VARIABLES if name.startswith(begins) and is_own(name, self._prompts)]
        problems = ((name, problem_of(name, self._prompts)) for name in names)
        return tuple((name, problem) for name, problem in problems if problem is not None)

    def _story(self, ask: Ask, models: _Models) -> AsyncGenerator[TaskEvent]:
        trust = self._trusted and ask.trusted
        toolbox, handbook = self._toolboxes[trust], self._handbooks[trust]
        match ask.task:
            case TaskName.EXPLAIN:
                return explain(ask, handbook=handbook, models=models, explanations=self._explanations)
            case TaskName.FIX:
                return fix(ask, handbook=handbook, toolbox=toolbox, models=models)
            case TaskName.FIX_ALL:
                return fix_all(ask, handbook=handbook, toolbox=toolbox, models=models)
            case TaskName.REFACTOR:
                return refactor(ask, toolbox=toolbox, models=models)
            case TaskName.ASK:
                return answer_question(ask, models=models)
            case TaskName.DOCUMENT:
                return document(ask, toolbox=toolbox, models=models)
            case TaskName.TESTS:
                return write_tests(ask, toolbox=toolbox, models=models)
            case TaskName.REVIEW:
                return review(ask, models=models)

    async def preview(self, ask: Ask) -> Preview:
        """Say where a task would go and what exactly it would send first; opens no connection, runs checkers as the task does."""
        ask = replace(ask, roots=ask.roots or self.roots, fresh=True, prompts=self._prompts)
        why = self.why(ask.snapshot)
        models = _Unasked(self, whole=_whole(ask.snapshot, roots=ask.roots))
        ended: TaskEvent | None = None
        try:
            async with aclosing(self._story(ask, models)) as events:
                async for event in events:
                    ended = event
        except _WouldAskError as found:
            return models.preview(found.request, why)
        author = getattr(ended, "author", None)
        if author is not None:
            return Preview(why, note=f"No model would be asked: {author.name} has the answer itself")
        return Preview(why, note=getattr(ended, "message", "No model would be asked"))

    async def describe_preview(self, ask: Ask) -> str:
        """Return that as a document for the user, in Markdown."""
        return as_markdown(await self.preview(ask))

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Put a request that is about no document to the models; raises what the router raises."""
        self._follow_consent()
        async with aclosing(_Models(self, whole=None).ask(request)) as events:
            async for event in events:
                yield event

    def offer(self, snapshot: Snapshot) -> Offer:
        """Say where a model request about this document would go; no connection, no wait."""
        known = self._offers.get(snapshot.uri)
        if known is not None and known[0]() is snapshot:
            return known[1]
        offer = self._make_offer(snapshot)
        self._offers[snapshot.uri] = weakref.ref(snapshot), offer
        self._offers.move_to_end(snapshot.uri)
        if len(self._offers) > _MOST_OFFERS:
            self._offers.popitem(last=False)
        return offer

    def latest_offer(self, snapshot: Snapshot) -> Offer:
        """Return the latest offer of this document, perhaps of an earlier version, for the titles of a menu.

        A menu does not wait until a long text has been looked through; the request that it begins is judged anew.
        """
        known = self._offers.get(snapshot.uri)
        return known[1] if known is not None else self.offer(snapshot)

    async def hover(self, snapshot: Snapshot, point: Point, diagnostics: tuple[Diagnostic, ...]) -> str | None:
        """Return what is known of the problems at this place: explanations given before, else rule pages; asks no model."""
        here = [one for one in diagnostics if one.region.touches(Region(point, point))]
        told: list[str] = []
        for diagnostic in here:
            known = self._explanations.find(snapshot, diagnostic)
            if known is not None:
                told.append(f"{known.markdown.rstrip()}\n\n*{known.author.byline}*")
            elif (page := await self._page(diagnostic, snapshot)) is not None:
                told.append(page)
        return "\n\n---\n\n".join(dict.fromkeys(told)) or None

    async def _page(self, diagnostic: Diagnostic, snapshot: Snapshot) -> str | None:
        """Return what is documented of a rule; only the first look at a checker costs anything."""
        handbook = self._handbooks[self._trusted]
        page = handbook.peek(diagnostic, snapshot.language)
        if page is None:
            folder = os.path.dirname(snapshot.path) if snapshot.path else None  # noqa: PTH120  a hover waits
            rule = (diagnostic.source, diagnostic.code, snapshot.language, folder)
            if self._clock() < self._pageless.get(rule, 0.0):
                return None
            page = await handbook.page(diagnostic, snapshot.language, snapshot.path)
            if page is None:
                if len(self._pageless) >= _MOST_PAGES:
                    self._pageless.clear()
                self._pageless[rule] = self._clock() + _SECONDS_WITHOUT_PAGE
                return None
        return self._clean_page(page.markdown)

    def known(self, snapshot: Snapshot, diagnostic: Diagnostic) -> Explanation | None:
        """Return the explanation of this problem that a model gave before, if the code is still the same."""
        return self._explanations.find(snapshot, diagnostic)

    def stays(self, ask: Ask) -> bool:
        """Say whether what is asked is about a private document, or one with masked secrets: then nothing of it is written to a disk."""
        earlier = tuple(turn.about for turn in ask.turns if turn.about is not None)
        route = self.route(_whole(ask.snapshot, *earlier, roots=self.roots))
        return route.decision.level is not Level.OPEN or bool(route.masked)

    def why(self, snapshot: Snapshot) -> Why:
        """Say how far a document may travel, by which rules, and who would be asked; opens no connection."""
        self._follow_consent()
        route = self.route(_whole(snapshot, roots=self.roots))
        decision = judge_text(snapshot.uri, snapshot.text, policy=self._policy, roots=self.roots, files=self._files)
        if decision.level is not route.decision.level:
            decision = route.decision  # the one by which requests go; the other only knows the places better
        return Why(
            uri=snapshot.uri,
            path=snapshot.path,
            level=decision.level.name.lower(),
            reasons=tuple(WhyReason(one.rule, one.source, one.range, str(one)) for one in decision.reasons),
            route=tuple(provider.name for provider in route.candidates),
            refused=tuple((provider.name, reason) for provider, reason in route.refused),
            redactions=route.masked,
        )

    async def status(self) -> Status:
        """Say which providers there are, how they have been, and whether any can be asked; opens no connection."""
        return status_of(self.router, groups=self.config.router.groups, spent=await self.state.spent_today())

    async def look(self) -> bool:
        """Look how idle providers are, unless the user does not want that; say whether any of them is not as it was."""
        return self.config.router.check_idle and await look_at_idle(self.router, clock=self._clock)

    @property
    def preferred(self) -> str | None:
        """The provider or group that is asked first in this session, whatever the strategy says."""
        return self.router.preferred

    @preferred.setter
    def preferred(self, name: str | None) -> None:
        self.router.preferred = self._local_router.preferred = name
        self._offers.clear()

    async def prefer(self, name: str | None) -> None:
        """Ask this provider, or those of this group, first from now on; None goes by the strategy again.

        Raises NoProvider for a name that nobody has, PolicyRefusal where the user does not allow its first use.
        """
        if name is not None:
            members = self._members(name)
            waiting = self._waiting_for_consent(members)
            if len(waiting) == len(members) and not await self._allowed(waiting):
                raise PolicyRefusal(
                    f"{name} may not be used in this workspace yet: {HOW_TO_ALLOW}", ("first use of a cloud",)
                )
        self.preferred = name

    def reset(self, name: str | None = None) -> None:
        """Let those be asked again who rest after failures: this provider, those of this group, or all; raises NoProvider."""
        for provider in self.router.providers if name is None else self._members(name):
            self.state.breakers.reset_provider(provider.name)

    def _members(self, name: str) -> tuple[Provider, ...]:
        """Return the provider of this name, or those of this group; raises NoProvider."""
        names = self.config.router.groups.get(name, (name,))
        members = tuple(provider for provider in self.router.providers if provider.name in names)
        if not members:
            known = [*(provider.name for provider in self.router.providers), *self.config.router.groups]
            raise NoProvider(f"no provider or group is called {name!r}; there are: {', '.join(known) or 'none'}")
        return members

    def settle(self, ask: Ask, proposal: Proposal, *, kept: bool) -> None:
        """Learn from what the user did with a change that a model made: kept it, or took it back."""
        author = proposal.author
        if author.model is None:
            return
        rule = ask.diagnostics[0].code if ask.diagnostics else None
        outcome = Outcome.KEPT if kept else Outcome.UNDONE
        self.learn(author.name, ask.model, ask.task.value, outcome, seconds=proposal.seconds, rule=rule)

    def learn(
        self, name: str, model: str | None, task: str, outcome: Outcome, *, seconds: float, rule: str | None
    ) -> None:
        """Learn what became of an answer of the provider *name*, which was asked for *model* or for its own."""
        # Not by the name that the answer bore: the next choice is among the models as they are configured.
        asked = model or next((one.model for one in self.router.providers if one.name == name), None)
        if asked is not None:
            self.state.learn(Lesson(name, asked, task, outcome, seconds, rule or ""))

    def route(self, request: Request) -> Route:
        """Say where a request would go; opens no connection."""
        return self._route(self.redacted(request))

    def _route(self, redacted: Redacted) -> Route:
        return replace(self.router.route(redacted.request), masked=len(redacted.masks))

    def redacted(self, request: Request, whole: Request | None = None) -> Redacted:
        """Return the request as it would be sent, without the secrets that the user wants masked; *whole* is what it is about."""
        return redact(request, policy=self._policy, files=self._files, key=self._mask_key, whole=whole)

    async def aclose(self) -> None:
        """Close the connections and end the child processes."""
        await self.state.aclose()
        await asyncio.to_thread(self._shelf.close)
        await self._embedded.aclose()
        await self._transport.aclose()

    def _make_router(self, config: Config, chosen: tuple[Provider, ...]) -> Router:
        settings = config.router
        return Router(
            chosen,
            transport=self._transport,
            policy=self._policy,
            files=self._files,
            strategy=settings.strategy,
            order=settings.order,
            groups=settings.groups,
            rules=tuple(Rule(rule.use, rule.tasks, rule.larger_than) for rule in settings.rules),
            split=Split(settings.split.between, settings.split.share) if settings.split else None,
            state=self.state,
            hedged=settings.hedge,
            prepare=self._embedded.prepare,
            max_attempts=settings.max_retries + 1,
        )

    def _make_offer(self, snapshot: Snapshot) -> Offer:
        route = self.route(_whole(snapshot, roots=self.roots))
        askable = self.askable(route)
        if route.candidates:
            return Offer(author_for(route.candidates[0]))
        if askable:
            return Offer(author_for(askable[0]))
        if route.decision.level is not Level.OPEN:
            because = "; ".join(str(reason) for reason in route.decision.reasons)
            rules = tuple(reason.rule for reason in route.decision.reasons)
            return Offer(None, Refusal("policy", f"no model on this machine may answer: {because}", rules))
        return Offer(None, Refusal("no-provider", str(NOBODY)))

    def askable(self, route: Route) -> tuple[Provider, ...]:
        """Return the clouds that only wait for the user's yes."""
        if route.decision.level is not Level.OPEN or self._policy.cloud_allowed:
            return ()
        refused = {provider.name for provider, _ in route.refused}
        waiting = self._waiting_for_consent(self.router.providers)
        return tuple(one for one in waiting if one.name in refused and not forbidden(one, self._policy, near=False))

    def _waiting_for_consent(self, some: tuple[Provider, ...]) -> tuple[Provider, ...]:
        if self._policy.cloud_allowed:
            return ()
        return tuple(provider for provider in some if provider.found and not provider.local)

    async def may_use_clouds(self, route: Route) -> bool:
        """Ask the user, once per workspace, where a request can go nowhere but to a cloud that nobody configured."""
        askable = self.askable(route)
        return bool(route.candidates) or not askable or await self._allowed(askable)

    async def _allowed(self, askable: tuple[Provider, ...]) -> bool:
        """Ask the user whether these clouds may be used in this workspace, and remember a yes."""
        async with self._consenting:
            if self._policy.cloud_allowed:
                return True
            if self.consent is None or not await self.consent(question(askable)):
                return False
            self.allow_clouds(remember=True)
            return True

    def local_router(self) -> Router:
        """Return the router with the same rules that knows the providers on this machine alone."""
        return self._local_router


class _Models:
    """The router for one task: what is known of the whole document closes each request made from a part of it."""

    def __init__(self, application: Application, *, whole: Request | None) -> None:
        self._application = application
        self._whole = whole
        self._known: dict[object, Route] = {}  # a document is scanned once, not for every question of a task

    @property
    def providers(self) -> tuple[Provider, ...]:
        return self._application.router.providers

    def route(self, request: Request) -> Route:
        redacted = self._redacted(request)
        route = replace(self._router(request).route(redacted.request), masked=len(redacted.masks))
        whole = self._whole_route(request)
        if whole is None or whole.decision.level <= route.decision.level:
            return route
        return Route(whole.decision, route.candidates if whole.candidates else (), whole.refused, masked=route.masked)

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        if not self._application.looked_around:
            await asyncio.to_thread(self._application.look_around)
            self._known.clear()
        redacted = self._redacted(request)
        story = self._ask(redacted.request)
        if redacted.masks:
            yield Masked(tuple(mask.secret for mask in redacted.masks))
            story = _restored(story, redacted)
        async with aclosing(story) as events:
            async for event in events:
                yield event

    def _redacted(self, request: Request) -> Redacted:
        return self._application.redacted(request, self._whole)

    async def _ask(self, request: Request) -> AsyncGenerator[Event]:
        """Put a request, without its secrets, to the models."""
        whole = self._whole_route(request)
        if whole is not None and whole.decision.level is not Level.OPEN and not whole.candidates:
            request = self._like_whole(request)  # the router says no, with the rule's name, before any connection
        elif not await self._application.may_use_clouds(self._application.route(request)):
            raise PolicyRefusal(
                f"no cloud may be used in this workspace yet: {HOW_TO_ALLOW}", ("first use of a cloud",)
            )
        async with aclosing(self._router(request).ask(request)) as events:
            async for event in events:
                yield event

    def learn(self, request: Request, answer: Answer, outcome: Outcome) -> None:
        self._application.learn(
            answer.provider,
            request.model,
            request.task,
            outcome,
            seconds=answer.attempts[-1].seconds,
            rule=request.rule,
        )

    def _router(self, request: Request) -> Router:
        whole = self._whole_route(request)
        stays = whole is not None and whole.decision.level is not Level.OPEN and bool(whole.candidates)
        return self._application.local_router() if stays else self._application.router

    def _whole_route(self, request: Request) -> Route | None:
        if self._whole is None:
            return None
        router = self._application.router
        key = (request.provider, request.model, router.policy, tuple(map(id, router.providers)))
        if key not in self._known:
            self._known[key] = self._application.route(self._like_whole(request))
        return self._known[key]

    def _like_whole(self, request: Request) -> Request:
        assert self._whole is not None
        return replace(self._whole, provider=request.provider, model=request.model)


class _WouldAskError(Exception):
    """A task has come to where it would ask a model for the first time."""

    def __init__(self, request: Request) -> None:
        super().__init__("a model would be asked now")
        self.request = request


class _Unasked(_Models):
    """The models for a task that is to show its first request and not to make it."""

    def ask(self, request: Request) -> AsyncGenerator[Event]:
        raise _WouldAskError(request)

    def preview(self, request: Request, why: Why) -> Preview:
        route = self.route(request)
        askable = self._application.askable(route)
        if not (route.candidates or askable):
            because = "; ".join(f"{provider.name}: {reason}" for provider, reason in route.refused)
            return Preview(why, note=f"No model may or can be asked{f' ({because})' if because else ''}")
        provider = (route.candidates or askable)[0]
        note = "" if route.candidates else f"{provider.name} would be asked once you have allowed it: {HOW_TO_ALLOW}"
        near = is_near(provider, self._application.router.policy.trusted_hosts)
        try:
            return Preview(why, sending(self._redacted(request).request, provider, local=near), note)
        except GlossatorError as error:
            return Preview(why, note=str(error))


async def _restored(story: AsyncGenerator[Event], redacted: Redacted) -> AsyncGenerator[Event]:
    """Put the masked secrets back into what comes; raises PolicyRefusal where a placeholder was made up."""
    said, thought = Restoring(redacted), Restoring(redacted)
    async with aclosing(story) as events:
        async for event in events:
            match event:
                case Text(text):
                    if text := said.feed(text):
                        yield Text(text)
                case Reasoning(text):
                    if text := thought.feed(text):
                        yield Reasoning(text)
                case Answered(answer):
                    answer = redacted.restore_answer(answer)
                    if text := thought.end():
                        yield Reasoning(text)
                    if text := said.end():
                        yield Text(text)
                    yield Answered(answer)
                case _:
                    if isinstance(event, Chosen | Restarted):  # what was said before is forgotten
                        said, thought = Restoring(redacted), Restoring(redacted)
                    yield event


def _whole(*snapshots: Snapshot, roots: tuple[str, ...]) -> Request:
    """Return the request that would send all of some documents: what closes it closes every request about them."""
    different = {(one.uri, one.lines): one for one in snapshots}.values()
    messages = tuple(
        Message(Role.USER, (Fragment(one.text, (Origin(OriginKind.DOCUMENT, one.uri),)),)) for one in different
    )
    return Request(messages, roots=roots)


def _state(config: Config, environment: Mapping[str, str], *, clock: Clock) -> State:
    """Make the memory of the routers; opens no connection and no file."""
    strategies = {config.router.strategy, *(rule.use for rule in config.router.rules)}
    return State(
        clock=clock,
        sleep=asyncio.sleep,
        thresholds=Thresholds(**config.router.breaker.model_dump()),
        quota=quota(config, environment),
        ledger=UsageLedger(state_folder(environment) / LEDGER_FILE),
        budgets=budgets(config.budget),
        learns="adaptive" in strategies,
    )


def _shown(markdown: str) -> str:
    """Return a checker's page fit for an editor."""
    return clean(markdown).rstrip()


def _near(chosen: tuple[Provider, ...], policy: Policy) -> tuple[Provider, ...]:
    """Return those on this machine, or on a host that the user trusts like it."""
    return tuple(provider for provider in chosen if is_near(provider, policy.trusted_hosts))
