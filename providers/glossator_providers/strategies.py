"""Who is asked first: an order of those who may answer, and a word on why; nobody is added, and only what cannot help is left out.

What is built in are keys to sort by. The user's own is a function of what is asked and who could answer, which returns names;
whatever it does wrong, the request goes on in the usual order and says so. `arrange` changes nothing, so that menus may ask too:
what strategies remember is told by `began` and `answered`.
"""

from __future__ import annotations

import importlib
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import CoroutineType
from typing import Any, cast

from glossator_providers.adaptive import Adaptive
from glossator_providers.catalog import Provider
from glossator_providers.errors import ConfigError
from glossator_providers.health import UNKNOWN, View, in_seconds
from glossator_providers.model import Level, Who

BUILT_IN = (
    *("local-first", "priority", "fastest", "cheapest", "round-robin", "random", "load-balanced", "sticky", "adaptive"),
)
GROUP = "glossator.strategies"  # of entry points
USUAL = "local-first"
_KNOWN = 3  # answers after which it is known how fast a provider is
_CURIOSITY = (
    0.25  # of the requests of persons that go to one who was not timed yet; nobody waits for those in the background
)
_LEAST_WEIGHT = 0.01  # of who fails always: it is asked now and then, so that it is noticed when it is mended
_THREADS = 500  # that it is known of who answered them
_DOUBT = 0.8  # of an estimate of tokens is surely there
_SHORT_ANSWER = 512  # tokens
_LONGEST_NAME = 64  # characters, in a message
_NEW = "tried to learn how fast it is"
_DRAWN = {
    "round-robin": "it is its turn",
    "random": "drawn by lot",
    "load-balanced": "drawn by lot, the busy ones more seldom",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One who may answer; `available` says that it can be asked at once: it is not resting after failures, and has no queue.

    `dollars` is what this request may cost there, None where nobody knows; `active` counts the requests that it is at.
    """

    provider: Provider
    local: bool
    health: View = UNKNOWN
    dollars: float | None = None
    context_tokens: int | None = None
    active: int = 0
    available: bool = True

    @property
    def name(self) -> str:
        return self.provider.name


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, as far as it decides who is asked: no word of it.

    `max_tokens` bounds the answer, and 0 leaves that to each provider. `thread` names the conversation or document that it
    belongs to, `rule` the checker's rule that it is about.
    """

    task: str
    input_tokens: int
    max_tokens: int
    level: Level = Level.OPEN
    thread: str | None = None
    background: bool = False
    rule: str | None = None


Strategy = Callable[[Asked, Sequence[Candidate]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Another choice for some requests: those of these tasks, and larger than so many tokens.

    `use` is the name of a built-in strategy, or else names of groups and providers, which come first in this order. It is no
    function of one's own: rules may come from an editor's settings, and those from a repository.
    """

    use: str | tuple[str, ...]
    tasks: tuple[str, ...] = ()
    larger_than: int | None = None

    def holds(self, asked: Asked) -> bool:
        """Say whether this request is one of those."""
        small = self.larger_than is not None and asked.input_tokens <= self.larger_than
        return not small and (not self.tasks or asked.task in self.tasks)


@dataclass(frozen=True, slots=True)
class Arranged:
    """Whom to ask, in this order; whom not, and why; what the user should know; and why the first is the first, in words."""

    candidates: tuple[Candidate, ...]
    refused: tuple[tuple[Candidate, str], ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class _Memory:
    """What strategies look at beside the candidates."""

    order: Mapping[str, int]
    chance: Callable[[], float]
    adaptive: Adaptive
    turn: int = 0
    turns: dict[str, int] = field(default_factory=dict)  # when each was asked last
    threads: OrderedDict[str, tuple[str, ...]] = field(default_factory=OrderedDict)  # who has answered each, in turn
    draws: dict[str, float] = field(default_factory=dict)

    def place(self, candidate: Candidate) -> int:
        """Return where the user's order has it; the rest follow as they were configured."""
        return self.order.get(candidate.name, len(self.order))

    def usual(self, candidate: Candidate) -> tuple[bool, int]:
        return not candidate.local, self.place(candidate)

    def draw(self, name: str) -> float:
        """Return a random number that stays the same until a request begins: what was announced is what happens."""
        if name not in self.draws:
            self.draws[name] = self.chance()
        return self.draws[name]

    def home(self, asked: Asked, candidate: Candidate) -> int:
        """Return how many answered this thread before this one did."""
        homes = self.threads.get(asked.thread, ()) if asked.thread is not None else ()
        return homes.index(candidate.name) if candidate.name in homes else len(homes)


class Strategies:
    """The user's choice of who is asked first, with the *rules* for some requests that come before it.

    *strategy* is one of `BUILT_IN`, `package.module:function` or an entry point of the group `glossator.strategies`. *order* and
    rules may name groups. *chance* gives random numbers in [0, 1), and *load* finds a function by its name, or raises ConfigError.
    """

    def __init__(
        self,
        strategy: str = USUAL,
        *,
        chance: Callable[[], float],
        order: Sequence[str] = (),
        groups: Mapping[str, Sequence[str]] | None = None,
        rules: Iterable[Rule] = (),
        adaptive: Adaptive | None = None,
        load: Callable[[str], Strategy] | None = None,
    ) -> None:
        self._strategy = strategy
        self._groups = groups or {}
        self._rules = tuple(rules)
        self._load = load or load_strategy
        self._loaded: dict[str, Strategy | ConfigError] = {}
        self._memory = _Memory(
            {provider: place for place, provider in enumerate(self._members(order))}, chance, adaptive or Adaptive()
        )

    def arrange(self, asked: Asked, candidates: Sequence[Candidate], *, first: Sequence[str] = ()) -> Arranged:
        """Put those who may answer into an order; *first* are those that the request itself names, also by their group.

        Those who cannot be asked now come last, and before them those whose window may be too small. The warnings are the same
        each time: whoever shows them shows each once.
        """
        fitting, refused = _that_fit(asked, candidates)
        strategy, preferred = self._choice(asked)
        preferred = self._members(first) or preferred
        strategy, names, warnings = self._named(strategy, asked, fitting)
        if names is None:
            wished = sorted(fitting, key=lambda one: _key(strategy, asked, one, self._memory))
        else:
            wished = sorted((one for one in fitting if one.name in names), key=lambda one: names.index(one.name))
            left_out = [one for one in fitting if one.name not in names]
            refused = (*refused, *((one, f"the strategy {strategy} leaves it out") for one in left_out))
        wished.sort(key=lambda one: preferred.index(one.name) if one.name in preferred else len(preferred))
        ranked = sorted(wished, key=lambda one: (not one.available, _is_tight(asked, one)))
        if not ranked:
            return Arranged((), refused, warnings)
        reason = _because(strategy, asked, ranked[0], self._memory)
        if len(ranked) == 1:
            reason = "the only one who can answer"
        elif ranked[0].name in preferred:
            reason = "you asked for it" if first else "one of your rules puts it first"
        return Arranged(tuple(ranked), refused, warnings, reason + _despite(asked, wished[0], ranked[0]))

    def began(self, name: str) -> None:
        """Note that this provider is asked now: the next request is another's turn, and is drawn anew."""
        self._memory.turn += 1
        self._memory.turns[name] = self._memory.turn
        self._memory.draws.clear()

    def answered(self, asked: Asked, name: str) -> None:
        """Note that this provider has answered: it holds the thread in its cache now."""
        if asked.thread is None:
            return
        threads = self._memory.threads
        homes = threads.pop(asked.thread, ())
        threads[asked.thread] = homes if name in homes else (*homes, name)
        if len(threads) > _THREADS:
            threads.popitem(last=False)

    def _members(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the providers that are meant, each group replaced by its own."""
        return tuple(dict.fromkeys(member for name in names for member in self._groups.get(name, (name,))))

    def _choice(self, asked: Asked) -> tuple[str, tuple[str, ...]]:
        """Return the strategy for this request by the first rule that holds for it, and the providers that it wants first."""
        rule = next((rule for rule in self._rules if rule.holds(asked)), None)
        if rule is None:
            return self._strategy, ()
        if isinstance(rule.use, str) and rule.use in BUILT_IN:
            return rule.use, ()
        return self._strategy, self._members((rule.use,) if isinstance(rule.use, str) else rule.use)

    def _named(
        self, strategy: str, asked: Asked, candidates: Sequence[Candidate]
    ) -> tuple[str, list[str] | None, tuple[str, ...]]:
        """Return the names that the user's own function gives, None for a built-in strategy, and the usual one where it goes wrong."""
        if strategy in BUILT_IN or not candidates:
            return strategy, None, ()
        try:
            return strategy, self._own(strategy, asked, candidates), ()
        except ConfigError as error:
            return USUAL, None, (f"{error}; providers are asked in the usual order, {USUAL}",)

    def _own(self, name: str, asked: Asked, candidates: Sequence[Candidate]) -> list[str]:
        """Return what the user's own function says, if it can be used; raises ConfigError."""
        if name not in self._loaded:
            try:
                self._loaded[name] = self._load(name)
            except ConfigError as error:
                self._loaded[name] = error
        function = self._loaded[name]
        if isinstance(function, ConfigError):
            raise function
        try:
            said: Any = function(asked, tuple(candidates))
            if isinstance(said, CoroutineType):
                said.close()
                raise TypeError("it is an async function, and nobody waits for it")  # noqa: TRY301  as one of its own
            names = list(islice(said, len(candidates) + 1))
        except (Exception, SystemExit) as error:  # it is the user's own code, which may do anything
            raise ConfigError(f"the strategy {name} failed: {_said(error)}") from error
        _check(name, names, candidates)
        return names


def is_installed(name: str) -> bool:
    """Say whether a package that is installed offers a strategy of this name; runs nothing of it."""
    from importlib import metadata  # slow to import, and wanted by few

    return bool(metadata.entry_points(group=GROUP, name=name))


def load_strategy(name: str) -> Strategy:
    """Return the function that `package.module:function` or an entry point is; raises ConfigError. Runs its module."""
    module, _, function = name.partition(":")
    try:
        if function:
            loaded: Any = importlib.import_module(module)
            for part in function.split("."):
                loaded = getattr(loaded, part)
        else:
            from importlib import metadata  # slow to import, and wanted by few

            found = list(metadata.entry_points(group=GROUP, name=name))
            if not found:
                raise LookupError(f"neither built in ({', '.join(BUILT_IN)}) nor an entry point of {GROUP}")  # noqa: TRY301  told as the others
            loaded = found[0].load()
    except (Exception, SystemExit) as error:  # importing runs the user's own code
        raise ConfigError(f"the strategy {name} cannot be loaded: {_said(error)}") from error
    if not callable(loaded):
        raise ConfigError(f"the strategy {name} is no function")
    return cast("Strategy", loaded)


def _check(name: str, names: Sequence[Any], candidates: Sequence[Candidate]) -> None:
    """Raise ConfigError where what the user's own function returned is no choice among the candidates."""
    known = {candidate.name for candidate in candidates}
    if not names:
        raise ConfigError(f"the strategy {name} names nobody")
    for one in names:
        if not isinstance(one, str):
            raise ConfigError(f"the strategy {name} returns a {type(one).__name__} where a name should stand")
        if one not in known:
            shown = repr(one[:_LONGEST_NAME])
            raise ConfigError(f"the strategy {name} names {shown}, who is not among those who may be asked")
    if len(set(names)) < len(names):
        raise ConfigError(f"the strategy {name} names somebody twice")


def _said(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _that_fit(
    asked: Asked, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], tuple[tuple[Candidate, str], ...]]:
    """Part those whose window can hold the request from those where it surely cannot."""
    fitting: list[Candidate] = []
    refused: list[tuple[Candidate, str]] = []
    for candidate in candidates:
        window = candidate.context_tokens
        if window is not None and asked.input_tokens * _DOUBT >= window:
            refused.append((
                candidate,
                f"its window of {window:,} tokens cannot hold this request of about {asked.input_tokens:,}",
            ))  # fmt: skip
        else:
            fitting.append(candidate)
    return fitting, tuple(refused)


def _is_tight(asked: Asked, one: Candidate) -> bool:
    """Say whether its window may be too small for the request with its answer, which is seldom longer than what is asked.

    The most that may be answered would be too much to want here: every small model on this machine would be passed over.
    """
    answer = min(asked.max_tokens or one.provider.max_tokens, max(asked.input_tokens, _SHORT_ANSWER))
    return one.context_tokens is not None and asked.input_tokens + answer > one.context_tokens


def _despite(asked: Asked, wished: Candidate, first: Candidate) -> str:
    """Say why another comes before the one who would have been the first."""
    if not wished.available and first.available:
        return f"; {wished.name} cannot be asked now"
    if _is_tight(asked, wished) and not _is_tight(asked, first):
        return f"; the window of {wished.name} may be too small for this"
    return ""


def _key(strategy: str, asked: Asked, one: Candidate, memory: _Memory) -> tuple[Any, ...]:
    """Return what a built-in strategy sorts by; the smallest is asked first, and of equals the one that usually is."""
    match strategy:
        case "priority":
            return (memory.place(one),)
        case "fastest":
            return *_haste(asked, one, memory), memory.usual(one)
        case "cheapest":
            dollars = 0.0 if one.local else one.dollars
            return dollars is None, dollars, memory.usual(one)
        case "round-robin":
            return memory.turns.get(one.name, 0), memory.usual(one)
        case "random":
            return (memory.draw(one.name),)
        case "load-balanced":
            # The largest of all chance ** (1 / weight) is each one as often as its weight is among all weights
            # (Efraimidis and Spirakis, https://doi.org/10.1016/j.ipl.2005.11.003).
            return -(memory.draw(one.name) ** (1.0 / _weight(one))), memory.usual(one)
        case "sticky":
            return memory.home(asked, one), memory.usual(one)
        case "adaptive":
            chance = memory.draw(one.name)
            return -memory.adaptive.promise(_who(one), task=asked.task, rule=asked.rule, chance=chance), memory.usual(
                one
            )
        case _:
            return memory.usual(one)


def _because(strategy: str, asked: Asked, one: Candidate, memory: _Memory) -> str:
    """Say in words why a strategy puts this one first."""
    match strategy:
        case "fastest":
            return (
                f"the fastest here: {in_seconds(one.health.p50 or 0.0)} to the first token" if _is_timed(one) else _NEW
            )
        case "cheapest":
            return _because_of_price(one)
        case "round-robin" | "random" | "load-balanced":
            return _DRAWN[strategy]
        case "sticky" if memory.home(asked, one) == 0 and asked.thread in memory.threads:
            return "it has answered here before and may still know the text"
        case "adaptive":
            return memory.adaptive.told(_who(one), task=asked.task, rule=asked.rule)
        case "local-first" | "sticky" if one.local:
            return "on this machine or one that you trust"
        case "local-first" | "sticky" | "priority":
            return "the first of your order" if one.name in memory.order else "the first that is configured"
        case _:
            return f"the strategy {strategy} puts it first"


def _because_of_price(one: Candidate) -> str:
    if one.local or one.dollars == 0:
        return "it costs nothing"
    return (
        "nobody knows what the others cost either"
        if one.dollars is None
        else f"the cheapest: ${one.dollars:.4f} at most"
    )


def _who(one: Candidate) -> Who:
    return one.name, one.provider.model


def _is_timed(one: Candidate) -> bool:
    return one.health.p50 is not None and one.health.attempts - one.health.failures >= _KNOWN


def _haste(asked: Asked, one: Candidate, memory: _Memory) -> tuple[int, float]:
    """Sort by the time to an answer: to the first token, and longer where some requests must be asked again elsewhere.

    Who was not timed yet comes now and then before all others, unless it is known to fail, so that it becomes known.
    """
    if _is_timed(one):
        return 1, (one.health.p50 or 0.0) / max(one.health.score, _LEAST_WEIGHT)
    curious = asked.background or memory.draw("") < _CURIOSITY
    return 0 if curious and one.health.state not in ("failing", "down") else 2, one.health.attempts


def _weight(one: Candidate) -> float:
    return max(one.health.score, _LEAST_WEIGHT) / (1 + one.active)
