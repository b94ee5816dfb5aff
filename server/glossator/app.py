"""Where the parts meet: one object that every front (the language server, the command line) asks for everything."""

from __future__ import annotations

import asyncio
import functools
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from glossator.checkers.toolbox import Toolbox
from glossator.consent import HOW_TO_ALLOW, Consent, Remembered, question, state_folder
from glossator.document import Diagnostic, Point, Region, Snapshot
from glossator.handbook import Handbook
from glossator.markdown import clean
from glossator.shelf import Shelf
from glossator.tasks.ask import ask as answer_question
from glossator.tasks.conversation import author_for
from glossator.tasks.explain import explain
from glossator.tasks.explanations import Explanations
from glossator.tasks.fix import fix
from glossator.tasks.refactor import refactor
from glossator.tasks.task import Ask, Author, Explanation, Refusal, TaskEvent, TaskName
from glossator_providers.breaker import Thresholds
from glossator_providers.budget import budgets
from glossator_providers.catalog import Provider
from glossator_providers.config import Config, Loaded, load, policy, providers, quota, standard_sources
from glossator_providers.discovery import find_local, together
from glossator_providers.embedded import Embedded
from glossator_providers.errors import NoProvider, PolicyRefusal
from glossator_providers.model import Event, Fragment, Level, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, judge_text
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
class ProviderStatus:
    """A provider as it stands.

    `state` is `ready`, `no key`, `by name only` of a toy, or `ask first` where its use has not been allowed yet.
    """

    name: str
    kind: str
    model: str
    local: bool
    toy: bool
    state: str


@dataclass(frozen=True, slots=True)
class Status:
    """What is there to answer: `health` is `ok`, or `warning` with a `message` that says what to do."""

    health: str
    message: str
    providers: tuple[ProviderStatus, ...]


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.roots = roots
        self.loaded = loaded
        self.environment = environment
        self.consent: Consent | None = None
        self._trusted = trusted
        self._clock = clock
        self._remembered = Remembered(state_folder(environment))
        self._policy = replace(policy(loaded.config), cloud_allowed=self._remembered.allowed(roots))
        self._transport = Transport(trusted_hosts=self._policy.trusted_hosts)
        self._state = _state(loaded.config, environment)
        self._embedded = Embedded(environment=environment)
        self._files = LocalFiles()
        configured = providers(loaded.config, environment)
        self.router = self._make_router(loaded.config, configured)
        self._local_router = self._make_router(loaded.config, _local(configured))
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
    ) -> Application:
        """Read the configuration and put the parts together; opens no connection; raises ConfigError."""
        loaded = load(standard_sources(roots=roots, environment=environment, editor=settings))
        return cls(loaded, roots=roots, environment=environment, trusted=trusted)

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

    def use(self, chosen: tuple[Provider, ...]) -> None:
        """Ask these providers from now on."""
        self.router.replace(chosen)
        self._local_router.replace(_local(chosen))
        self._offers.clear()

    def allow_clouds(self, *, remember: bool) -> None:
        """Let the clouds be used whose keys are in the environment, in this workspace from now on or just this once."""
        if remember:
            self._remembered.allow(self.roots)
        self._policy = replace(self._policy, cloud_allowed=True)
        self.router.policy = self._policy
        self._local_router.policy = self._policy
        self._offers.clear()

    async def run(self, ask: Ask) -> AsyncGenerator[TaskEvent]:
        """Do what was asked; the last event is the result, and closing the iterator cancels."""
        ask = ask if ask.roots else replace(ask, roots=self.roots)
        trust = self._trusted and ask.trusted
        toolbox, handbook = self._toolboxes[trust], self._handbooks[trust]
        earlier = tuple(turn.about for turn in ask.turns if turn.about is not None)
        models = _Models(self, whole=_whole(ask.snapshot, *earlier, roots=ask.roots))
        match ask.task:
            case TaskName.EXPLAIN:
                story = explain(ask, handbook=handbook, models=models, explanations=self._explanations)
            case TaskName.FIX:
                story = fix(ask, handbook=handbook, toolbox=toolbox, models=models)
            case TaskName.REFACTOR:
                story = refactor(ask, toolbox=toolbox, models=models)
            case TaskName.ASK:
                story = answer_question(ask, models=models)
        async with aclosing(story) as events:
            async for event in events:
                yield event

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
        """Put a request that is about no document to the models; raises what the router raises."""
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

    def why(self, snapshot: Snapshot) -> Why:
        """Say how far a document may travel, by which rules, and who would be asked; opens no connection."""
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
        )

    def status(self) -> Status:
        """Say which providers there are and whether any can be asked."""
        empty = self.router.route(Request(messages=()))
        ready = {provider.name for provider in empty.candidates}
        every = tuple(
            ProviderStatus(
                provider.name,
                provider.row.kind,
                provider.model,
                provider.local,
                provider.toy,
                "ready" if provider.name in ready else _why_not_ready(provider),
            )
            for provider in self.router.providers
        )
        if every:
            return Status("ok", "", every)
        return Status("warning", str(_NOBODY), every)

    def route(self, request: Request) -> Route:
        """Say where a request would go; opens no connection."""
        return self.router.route(request)

    async def aclose(self) -> None:
        """Close the connections and end the child processes."""
        await self._state.aclose()
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
            state=self._state,
            hedged=settings.hedge,
            prepare=self._embedded.prepare,
            max_attempts=settings.max_retries + 1,
        )

    def _make_offer(self, snapshot: Snapshot) -> Offer:
        route = self.route(_whole(snapshot, roots=self.roots))
        askable = self._askable(route)
        if route.candidates:
            return Offer(author_for(route.candidates[0]))
        if askable:
            return Offer(author_for(askable[0]))
        if route.decision.level is not Level.OPEN:
            because = "; ".join(str(reason) for reason in route.decision.reasons)
            rules = tuple(reason.rule for reason in route.decision.reasons)
            return Offer(None, Refusal("policy", f"no model on this machine may answer: {because}", rules))
        return Offer(None, Refusal("no-provider", str(_NOBODY)))

    def _askable(self, route: Route) -> tuple[Provider, ...]:
        """Return the clouds that only wait for the user's yes."""
        if route.decision.level is not Level.OPEN or self._policy.cloud_allowed:
            return ()
        waiting = {provider.name for provider, _ in route.refused}
        return tuple(
            provider
            for provider in self.router.providers
            if provider.found and not provider.local and provider.name in waiting
        )

    async def may_use_clouds(self, route: Route) -> bool:
        """Ask the user, once per workspace, where a request can go nowhere but to a cloud that nobody configured."""
        askable = self._askable(route)
        if route.candidates or not askable:
            return True
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


_NOBODY = NoProvider(
    "no model is configured or running; start Ollama, LM Studio, llama.cpp or vLLM, set a key such as "
    "ANTHROPIC_API_KEY, or write a configuration file (glossator doctor says more)"
)


def _why_not_ready(provider: Provider) -> str:
    if provider.toy:
        return "by name only"
    return "no key" if provider.key is None and provider.row.key_required and not provider.local else "ask first"


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
        route = self._router(request).route(request)
        whole = self._whole_route(request)
        if whole is None or whole.decision.level <= route.decision.level:
            return route
        return Route(whole.decision, route.candidates if whole.candidates else (), whole.refused)

    async def ask(self, request: Request) -> AsyncGenerator[Event]:
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


def _whole(*snapshots: Snapshot, roots: tuple[str, ...]) -> Request:
    """Return the request that would send all of some documents: what closes it closes every request about them."""
    different = {(one.uri, one.lines): one for one in snapshots}.values()
    messages = tuple(
        Message(Role.USER, (Fragment(one.text, (Origin(OriginKind.DOCUMENT, one.uri),)),)) for one in different
    )
    return Request(messages, roots=roots)


def _state(config: Config, environment: Mapping[str, str]) -> State:
    """Make the memory of the routers; opens no connection and no file."""
    return State(
        clock=time.monotonic,
        sleep=asyncio.sleep,
        thresholds=Thresholds(**config.router.breaker.model_dump()),
        quota=quota(config, environment),
        ledger=UsageLedger(state_folder(environment) / LEDGER_FILE),
        budgets=budgets(config.budget),
    )


def _shown(markdown: str) -> str:
    """Return a checker's page fit for an editor."""
    return clean(markdown).rstrip()


def _local(chosen: tuple[Provider, ...]) -> tuple[Provider, ...]:
    return tuple(provider for provider in chosen if provider.local)
