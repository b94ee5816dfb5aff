"""Who is asked first, under every strategy: an order of those who may answer, and of nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.adaptive import Adaptive, Lesson, Outcome
from glossator_providers.catalog import ROWS, Limits, Provider
from glossator_providers.errors import ConfigError
from glossator_providers.health import UNKNOWN, Health, View
from glossator_providers.model import Attempt, Fragment, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy
from glossator_providers.router import Router
from glossator_providers.strategies import BUILT_IN, Asked, Candidate, Rule, Strategies, Strategy, load_strategy
from glossator_providers.testing import FakeProvider, answering
from glossator_providers.transport import Transport

ASKED = Asked("explain", 1000, 4096)


def one(name: str, **changes: Any) -> Candidate:
    """Make somebody who may answer, in the cloud where nothing else is said."""
    provider = Provider(name, ROWS["anthropic"], f"model of {name}", "https://api.example")
    return dataclasses.replace(Candidate(provider, local=False), **changes)


def timed(p50: float, *, attempts: int = 10, failures: int = 0, score: float = 1.0) -> View:
    """Make the view of somebody who is well known."""
    return View("up", score, attempts=attempts, failures=failures, p50=p50, p95=p50)


def always(number: float) -> Callable[[], float]:
    """Make a chance that is always the same."""
    return lambda: number


def choose(strategy: str = "local-first", chance: Callable[[], float] = lambda: 0.5, **options: Any) -> Strategies:
    """Make a choice of strategy; a function of one's own is given as `own`."""
    own = options.pop("own", None)
    if own is not None:
        options["load"] = always_load(own)
    return Strategies(strategy, chance=chance, **options)


def always_load(function: Strategy) -> Callable[[str], Strategy]:
    """Make a loader of this function alone."""
    return lambda _: function


def names(strategies: Strategies, *candidates: Candidate, asked: Asked = ASKED, first: Sequence[str] = ()) -> list[str]:
    """Return the names in their order."""
    return [candidate.name for candidate in strategies.arrange(asked, candidates, first=first).candidates]


HOME, WORK, SPARE = one("home", local=True), one("work"), one("spare")


def test_local_first_keeps_the_users_order_within_each_place() -> None:
    """Who is here comes first, then the order of the user, groups and all, then the order of configuration."""
    here = one("here", local=True)
    assert names(choose(), WORK, SPARE, HOME, here) == ["home", "here", "work", "spare"]
    assert names(choose(order=["spare", "here"]), WORK, SPARE, HOME, here) == ["here", "home", "spare", "work"]
    grouped = choose(order=["team"], groups={"team": ["spare", "here"]})
    assert names(grouped, WORK, SPARE, HOME, here) == ["here", "home", "spare", "work"]


def test_priority_is_the_users_order_alone() -> None:
    """Where the user says so, a cloud comes before what runs here."""
    assert names(choose("priority", order=["work", "home"]), SPARE, HOME, WORK) == ["work", "home", "spare"]


def test_the_cheapest_is_what_costs_least() -> None:
    """What runs here costs nothing, and what nobody can price comes last."""
    dear, cheap, free = one("dear", dollars=0.3), one("cheap", dollars=0.001), one("free", dollars=0.0)
    assert names(choose("cheapest"), WORK, dear, cheap, free, HOME) == ["home", "free", "cheap", "dear", "work"]
    assert choose("cheapest").arrange(ASKED, [dear, cheap]).reason == "the cheapest: $0.0010 at most"
    assert choose("cheapest").arrange(ASKED, [HOME, cheap]).reason == "it costs nothing"


def test_the_fastest_is_the_one_that_answers_soonest() -> None:
    """By the time to the first token, longer for who must often be asked in vain."""
    quick, slow = one("quick", health=timed(0.4)), one("slow", health=timed(2.0))
    strategies = choose("fastest")
    assert names(strategies, slow, quick) == ["quick", "slow"]
    assert strategies.arrange(ASKED, [slow, quick]).reason == "the fastest here: 0.4 s to the first token"
    flaky = one("flaky", health=timed(0.4, failures=5, score=0.1))
    assert names(strategies, flaky, slow) == ["slow", "flaky"]


def test_who_was_not_timed_is_tried_now_and_then() -> None:
    """The new one comes first in a quarter of the requests and in all of the background, but not while it fails."""
    quick, new = one("quick", health=timed(0.4)), one("new")
    assert names(choose("fastest", always(0.3)), quick, new) == ["quick", "new"]
    curious = choose("fastest", always(0.2))
    assert curious.arrange(ASKED, [quick, new]).reason == "tried to learn how fast it is"
    assert names(curious, quick, new) == ["new", "quick"]
    background = dataclasses.replace(ASKED, background=True)
    assert names(choose("fastest", always(0.9)), quick, new, asked=background) == ["new", "quick"]
    failing = one("new", health=View("failing", 0.5, attempts=1, failures=1))
    assert names(curious, quick, failing) == ["quick", "new"]


@pytest.mark.parametrize("seed", range(5))
def test_the_fastest_is_found_and_followed(seed: int) -> None:
    """In a simulation on real health: the quickest is nearly always asked after 40 requests, and another after it became slow."""
    chance = random.Random(seed)
    now = 0.0
    health = Health(clock=lambda: now)
    strategies = choose("fastest", chance.random)
    speed = {"slow": 3.0, "quick": 0.4, "middle": 1.0}
    asked = []
    for number in range(400):
        if number == 200:
            speed["quick"] = 6.0
        candidates = [one(name, health=health.view((name, f"model of {name}"))) for name in speed]
        name = names(strategies, *candidates)[0]
        strategies.began(name)
        first = speed[name] * chance.uniform(0.8, 1.3)
        health.note(Attempt(name, f"model of {name}", local=False, seconds=first + 1, first_token_seconds=first))
        now += 5
        asked.append(name)
    assert set(asked[:40]) == set(speed)
    assert Counter(asked[40:200])["quick"] >= 155
    assert Counter(asked[260:])["middle"] >= 135


def test_round_robin_gives_everybody_a_turn() -> None:
    """Each is first once in a round, also who was added later, and looking does not take a turn."""
    strategies = choose("round-robin")
    firsts = []
    for _ in range(6):
        names(strategies, HOME, WORK, SPARE)
        firsts.append(names(strategies, HOME, WORK, SPARE)[0])
        strategies.began(firsts[-1])
    assert firsts == ["home", "work", "spare"] * 2
    assert names(strategies, HOME, WORK, one("new"), SPARE) == ["new", "home", "work", "spare"]


@pytest.mark.parametrize("strategy", ["random", "load-balanced"])
def test_equals_share_alike(strategy: str) -> None:
    """Of three equal ones each is first in a third of the requests, and in each place of the order as often."""
    strategies = choose(strategy, random.Random(7).random)
    orders: Counter[tuple[str, ...]] = Counter()
    for _ in range(6000):
        orders[tuple(names(strategies, HOME, WORK, SPARE))] += 1
        strategies.began("home")
    assert len(orders) == 6
    assert all(850 < count < 1150 for count in orders.values())


def test_load_is_shared_by_weight() -> None:
    """Who is at three requests is first a quarter as often as who is at none, and who fails always almost never, but still."""
    busy, free = one("busy", active=3), one("free")
    broken = one("broken", health=View("down", 0.0))
    strategies = choose("load-balanced", random.Random(11).random)
    first: Counter[str] = Counter()
    for _ in range(20_000):
        first[names(strategies, broken, busy, free)[0]] += 1
        strategies.began("any")
    share = {name: count / 20_000 for name, count in first.items()}
    assert share["busy"] == pytest.approx(0.25 / 1.26, abs=0.012)
    assert share["free"] == pytest.approx(1 / 1.26, abs=0.012)
    assert 0 < share["broken"] < 0.02


def test_what_is_announced_is_what_happens() -> None:
    """The order of a menu is that of the request that follows, whatever chance there is."""
    for strategy in BUILT_IN:
        strategies = choose(strategy, random.Random(3).random)
        for _ in range(20):
            order = names(strategies, HOME, WORK, SPARE)
            assert all(names(strategies, HOME, WORK, SPARE) == order for _ in range(3))
            strategies.began(order[0])


def test_a_thread_stays_where_it_is_known() -> None:
    """The same thread goes to who answered it, elsewhere only while that one cannot be asked, and comes back."""
    strategies = choose("sticky", order=["work", "spare"])
    thread = dataclasses.replace(ASKED, thread="a")
    strategies.answered(thread, "spare")
    away = dataclasses.replace(SPARE, available=False)
    assert names(strategies, WORK, SPARE, asked=thread) == ["spare", "work"]
    assert strategies.arrange(thread, [WORK, SPARE]).reason == "it has answered here before and may still know the text"
    assert names(strategies, WORK, away, asked=thread) == ["work", "spare"]
    strategies.answered(thread, "work")
    assert names(strategies, one("new", local=True), WORK, away, asked=thread) == ["work", "new", "spare"]
    assert names(strategies, WORK, SPARE, asked=thread) == ["spare", "work"]
    assert names(strategies, WORK, SPARE, asked=dataclasses.replace(ASKED, thread="b")) == ["work", "spare"]
    assert names(strategies, WORK, SPARE) == ["work", "spare"]


def test_threads_are_not_remembered_for_ever() -> None:
    """Of seven hundred threads the last five hundred are known, one that is still used among them."""
    strategies = choose("sticky")
    for number in range(700):
        strategies.answered(dataclasses.replace(ASKED, thread=f"t{number}"), "work")
        if number in (0, 400):
            strategies.answered(dataclasses.replace(ASKED, thread="used"), "spare")
    strategies.answered(ASKED, "work")
    threads = strategies._memory.threads
    assert len(threads) == 500
    assert {"used", "t699"} <= threads.keys()


def test_what_was_learned_decides() -> None:
    """The adaptive strategy puts first whose answers were good, and says so."""
    adaptive = Adaptive()
    for _ in range(40):
        adaptive.learn(Lesson("work", "model of work", "fix", Outcome.UNDONE, 2))
        adaptive.learn(Lesson("spare", "model of spare", "fix", Outcome.VERIFIED, 2, rule="F401"))
    asked = Asked("fix", 1000, 4096, rule="F401")
    arranged = choose("adaptive", adaptive=adaptive).arrange(asked, [WORK, SPARE])
    assert [candidate.name for candidate in arranged.candidates] == ["spare", "work"]
    assert arranged.reason == "100% of its answers to fix F401 were good"
    assert choose("adaptive").arrange(asked, [WORK, SPARE]).reason == "tried to learn how good its answers are"


def test_who_cannot_be_asked_comes_last_but_is_asked() -> None:
    """A breaker or a queue puts the first of the order behind the others, and is told; alone it is still there."""
    resting = dataclasses.replace(HOME, available=False)
    arranged = choose().arrange(ASKED, [resting, WORK, SPARE])
    assert [candidate.name for candidate in arranged.candidates] == ["work", "spare", "home"]
    assert arranged.reason == "the first that is configured; home cannot be asked now"
    assert names(choose(), resting) == ["home"]


def test_a_large_request_goes_where_it_fits() -> None:
    """A window that surely cannot hold it is refused with both sizes; one that may not hold the answer comes after the others."""
    large = Asked("review", 10_000, 4096)
    tiny, small, roomy = (one("tiny", context_tokens=8000), one("small", context_tokens=16_000), one("roomy"))
    arranged = choose().arrange(large, [tiny, dataclasses.replace(small, local=True), roomy])
    assert [candidate.name for candidate in arranged.candidates] == ["small", "roomy"]
    assert arranged.refused == ((tiny, "its window of 8,000 tokens cannot hold this request of about 10,000"),)
    tight = one("tight", context_tokens=12_000, local=True)
    arranged = choose().arrange(large, [tight, roomy])
    assert [candidate.name for candidate in arranged.candidates] == ["roomy", "tight"]
    assert arranged.reason == "the first that is configured; the window of tight may be too small for this"
    assert names(choose(), tight, asked=large) == ["tight"]
    assert names(choose(), one("nearly", context_tokens=9000), asked=large) == [
        "nearly"
    ]  # the estimate may be too high
    assert choose().arrange(large, [tiny]).candidates == ()


def test_a_small_window_is_enough_for_a_small_request() -> None:
    """The bound of the answer does not drive a short question from a small model here to a cloud."""
    small = one("small", local=True, context_tokens=4096)
    for bound in (4096, 0):
        assert names(choose(), WORK, small, asked=Asked("explain", 1500, bound)) == ["small", "work"]
        assert names(choose(), WORK, small, asked=Asked("explain", 2500, bound)) == ["work", "small"]
    assert names(choose(), WORK, small, asked=Asked("explain", 2500, 1000)) == ["small", "work"]


def test_rules_choose_by_what_is_asked() -> None:
    """The first rule that holds decides: a strategy for these tasks, or providers and groups first."""
    quick = one("quick", health=timed(0.2))
    here = one("here", local=True, health=timed(5))
    rules = [
        Rule("team", tasks=("review",), larger_than=20_000),
        Rule("fastest", tasks=("explain", "review")),
        Rule(("spare", "team"), tasks=("fix",)),
        Rule("work", larger_than=50_000),
    ]
    strategies = choose(rules=rules, groups={"team": ["work", "quick"]})
    everybody = (here, quick, WORK, SPARE)
    assert names(strategies, *everybody)[0] == "quick"
    assert names(strategies, *everybody, asked=Asked("review", 30_000, 100)) == ["work", "quick", "here", "spare"]
    assert names(strategies, *everybody, asked=Asked("fix", 10, 100)) == ["spare", "work", "quick", "here"]
    assert names(strategies, *everybody, asked=Asked("ask", 50_000, 100)) == ["here", "quick", "work", "spare"]
    assert names(strategies, *everybody, asked=Asked("ask", 50_001, 100))[0] == "work"
    arranged = strategies.arrange(Asked("fix", 10, 100), everybody)
    assert arranged.reason == "one of your rules puts it first"


def test_what_the_request_names_comes_before_the_rules() -> None:
    """A group or provider that is named for this request comes first, in its order, whatever rule holds."""
    strategies = choose(rules=[Rule(("home",))], groups={"team": ["spare", "work"]})
    assert names(strategies, HOME, WORK, SPARE, first=["team"]) == ["spare", "work", "home"]
    assert strategies.arrange(ASKED, [HOME, WORK], first=["work"]).reason == "you asked for it"


def test_the_users_own_function_decides() -> None:
    """It sees what is asked and who may answer; whom it leaves out is not asked, and that is told."""

    def backwards(asked: Asked, candidates: Sequence[Candidate]) -> Sequence[str]:
        assert asked is ASKED
        return [candidate.name for candidate in reversed(candidates)][:2]

    arranged = choose("mine:backwards", own=backwards).arrange(ASKED, [HOME, WORK, SPARE])
    assert [candidate.name for candidate in arranged.candidates] == ["spare", "work"]
    assert arranged.refused == ((HOME, "the strategy mine:backwards leaves it out"),)
    assert arranged.warnings == ()
    assert arranged.reason == "the strategy mine:backwards puts it first"


def test_a_rule_runs_nobodys_code() -> None:
    """Rules may come from where a repository can write, so what looks like a function in one is taken for a provider."""
    colon = one("mine:run")
    strategies = choose(rules=[Rule("mine:run")], own=fails(AssertionError("it was run")))
    arranged = strategies.arrange(ASKED, [HOME, colon])
    assert [candidate.name for candidate in arranged.candidates] == ["mine:run", "home"]
    assert arranged.warnings == ()


class Untellable(Exception):
    """A failure that cannot even be told."""

    def __str__(self) -> str:
        raise ValueError("no words")


def fails(error: BaseException) -> Strategy:
    """Make a function that raises this."""

    def failing(asked: Asked, candidates: Sequence[Candidate]) -> Sequence[str]:
        raise error

    return failing


async def later(asked: Asked, candidates: Sequence[Candidate]) -> Sequence[str]:
    """Return names, but only to who waits."""
    return ["work"]


def returns(value: Any) -> Strategy:
    """Make a function that returns this, whatever it is."""
    return lambda asked, candidates: value


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (fails(ZeroDivisionError("by zero")), "failed: ZeroDivisionError: by zero"),
        (fails(SystemExit(3)), "failed: SystemExit: 3"),
        (fails(Untellable()), "failed: "),
        (later, "async function"),
        (returns([]), "names nobody"),
        (returns(None), "failed: TypeError: 'NoneType'"),
        (returns(3), "failed: TypeError: 'int'"),
        (returns("work"), "names 'w', who is not among"),
        (returns(["work", "work"]), "names somebody twice"),
        (returns(["work", "elsewhere"]), "names 'elsewhere', who is not among"),
        (returns(["work", "home", "spare", "home"]), "twice"),
        (returns([WORK]), "returns a Candidate where a name should stand"),
        (returns([["work"]]), "returns a list where a name should stand"),
        (returns(itertools.repeat("work")), "somebody twice"),
        (returns(1 / number for number in [1, 0]), "failed: ZeroDivisionError"),
        (returns(["x" * 1000]), "who is not among"),
    ],
)
def test_an_own_function_that_goes_wrong_is_survived(own: Any, said: str) -> None:
    """The usual order holds, and the warning names the function and its fault in a line."""
    arranged = choose("mine:wrong", own=own).arrange(ASKED, [WORK, HOME, SPARE])
    assert [candidate.name for candidate in arranged.candidates] == ["home", "work", "spare"]
    assert arranged.refused == ()
    assert arranged.reason == "on this machine or one that you trust"
    (warning,) = arranged.warnings
    assert "mine:wrong" in warning
    assert said in warning
    assert len(warning) < 300
    assert "\n" not in warning


def test_an_interrupt_is_not_swallowed() -> None:
    """Ctrl-C while the user's function runs ends the program as ever."""
    with pytest.raises(KeyboardInterrupt):
        choose("mine:stuck", own=fails(KeyboardInterrupt())).arrange(ASKED, [WORK, HOME])


def test_what_cannot_be_loaded_is_tried_once_and_told() -> None:
    """A name that means nothing leaves the usual order with the reason, and does not run an import for each menu."""
    tried: list[str] = []

    def load(name: str) -> Strategy:
        tried.append(name)
        return load_strategy(name)

    strategies = choose("no_such_module:f", load=load)
    for _ in range(3):
        arranged = strategies.arrange(ASKED, [WORK, HOME])
        assert [candidate.name for candidate in arranged.candidates] == ["home", "work"]
        assert "no_such_module:f cannot be loaded: ModuleNotFoundError" in arranged.warnings[0]
    assert tried == ["no_such_module:f"]


def test_functions_are_found_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`package.module:function`, also within a class, and an entry point of the group; anything else is refused with a reason."""
    assert load_strategy("json:JSONDecoder.decode") is __import__("json").JSONDecoder.decode
    entry = importlib.metadata.EntryPoint("mine", "operator:itemgetter", "glossator.strategies")
    points = importlib.metadata.EntryPoints([entry])
    monkeypatch.setattr(importlib.metadata, "entry_points", points.select)
    assert load_strategy("mine") is __import__("operator").itemgetter
    for name, said in [
        ("other", "neither built in"),
        ("json:missing", "AttributeError"),
        ("json:__name__", "is no function"),
        (":", "cannot be loaded"),
        ("json:", "neither built in"),
    ]:
        with pytest.raises(ConfigError, match=said):
            load_strategy(name)


@pytest.mark.parametrize("strategy", ["round-robin", "random", "load-balanced"])
@pytest.mark.parametrize("concurrent", [None, 2])
async def test_requests_that_come_together_are_shared(strategy: str, concurrent: int | None) -> None:
    """Forty requests at once go to both of two providers, also where most of them must wait for their turn."""
    kind, limits = "openai-compatible", Limits(concurrent=concurrent)
    transport = Transport()
    try:
        async with (
            FakeProvider(kind, respond=answering("a")) as first,
            FakeProvider(kind, respond=answering("b")) as second,
        ):
            providers = [
                Provider(name, ROWS[kind], "m", fake.base_url, limits=limits)
                for name, fake in (("one", first), ("two", second))
            ]
            router = Router(
                providers,
                transport=transport,
                policy=Policy(),
                files=LocalFiles(),
                strategy=strategy,
                random=random.Random(1).random,
            )
            fragment = Fragment("hello", (Origin(OriginKind.INSTRUCTION),))
            request = Request((Message(Role.USER, (fragment,)),))
            answers = await asyncio.gather(*(router.answer(request) for _ in range(40)))
    finally:
        await transport.aclose()
    shares = Counter(answer.provider for answer in answers)
    assert shares.total() == 40
    assert min(shares["one"], shares["two"]) >= 12


VIEWS = st.builds(
    View,
    state=st.sampled_from(["unknown", "up", "slow", "failing", "down"]),
    score=st.floats(0, 1),
    attempts=st.integers(0, 50),
    failures=st.integers(0, 50),
    p50=st.none() | st.floats(0, 1e4),
)
CANDIDATES = st.lists(
    st.builds(
        one,
        st.sampled_from("abcdef"),
        local=st.booleans(),
        health=VIEWS | st.just(UNKNOWN),
        dollars=st.none() | st.floats(0, 100),
        context_tokens=st.none() | st.integers(1, 100_000),
        active=st.integers(0, 50),
        available=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda candidate: candidate.name,
)
ASKING = st.builds(
    Asked,
    task=st.sampled_from(["ask", "fix"]),
    input_tokens=st.integers(0, 100_000),
    max_tokens=st.integers(1, 10_000),
    thread=st.none() | st.sampled_from("xy"),
    background=st.booleans(),
    rule=st.none() | st.text(max_size=5),
)
RULES = st.lists(
    st.builds(
        Rule,
        use=st.sampled_from([*BUILT_IN, "g", "z", "mine:own"]) | st.lists(st.sampled_from("abgz")).map(tuple),
        tasks=st.just(()) | st.just(("fix",)),
        larger_than=st.none() | st.integers(0, 50_000),
    ),
    max_size=3,
)


@given(
    strategy=st.sampled_from([*BUILT_IN, "mine:own"]),
    rounds=st.lists(st.tuples(ASKING, CANDIDATES, st.lists(st.sampled_from("abgz"), max_size=2)), max_size=5),
    rules=RULES,
    seed=st.integers(0, 99),
    said=st.one_of(st.none(), st.lists(st.sampled_from("abcdefz"))),
)
def test_every_strategy_returns_who_it_was_given(
    strategy: str,
    rounds: list[tuple[Asked, list[Candidate], list[str]]],
    rules: list[Rule],
    seed: int,
    said: list[str] | None,
) -> None:
    """Whatever is asked: nobody is added, doubled or lost, who cannot be asked is last, and the same chance gives the same order."""
    twins = [
        choose(
            strategy, random.Random(seed).random, rules=rules, groups={"g": ["c", "a"]}, order=["b"], own=returns(said)
        )
        for _ in range(2)
    ]
    for asked, candidates, first in rounds:
        arranged, again = [twin.arrange(asked, candidates, first=first) for twin in twins]
        assert arranged == again
        together = [*arranged.candidates, *(candidate for candidate, _ in arranged.refused)]
        assert sorted(candidate.name for candidate in together) == sorted(candidate.name for candidate in candidates)
        assert all(candidate in candidates for candidate in together)
        available = [candidate.available for candidate in arranged.candidates]
        assert available == sorted(available, reverse=True)
        assert bool(arranged.reason) == bool(arranged.candidates)
        if arranged.candidates:
            for twin in twins:
                twin.began(arranged.candidates[0].name)
                twin.answered(asked, arranged.candidates[-1].name)


@given(
    said=st.recursive(st.none() | st.integers() | st.text(max_size=3) | st.sampled_from("abc"), st.lists, max_leaves=9)
)
def test_an_own_function_never_adds_anybody(said: Any) -> None:
    """Whatever it returns, those who are asked are among those who may be."""
    candidates = [one("a"), one("b")]
    arranged = choose("mine:own", own=returns(said)).arrange(ASKED, candidates)
    assert arranged.candidates
    assert set(arranged.candidates) <= set(candidates)
    usable = isinstance(said, (list, str)) and {*said} <= {"a", "b"} if not nested(said) else False
    assert bool(arranged.warnings) != bool(usable and said and len(set(said)) == len(said))


def nested(said: Any) -> bool:
    """Say whether a list holds lists."""
    return isinstance(said, list) and any(isinstance(inner, list) for inner in said)
