"""What is learned from what became of answers: the better provider is found, little is lost on the way, and little is kept."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.adaptive import FADING, Adaptive, Learned, Lesson, Outcome, additions, known_rule

GOOD, BAD = ("good", "m"), ("bad", "m")


def lesson(name: str, outcome: Outcome, *, task: str = "fix", rule: str = "", seconds: float = 2) -> Lesson:
    """Make a lesson of the model `m` of this provider."""
    return Lesson(name, "m", task, outcome, seconds, rule)


def play(
    share: dict[str, float], *, seed: int, requests: int = 400, seconds: dict[str, float] | None = None
) -> list[str]:
    """Let providers with these shares of good answers be chosen by what is learned, and return who was."""
    chance = random.Random(seed)
    adaptive, chosen = Adaptive(), []
    for _ in range(requests):
        promises = {
            name: adaptive.promise((name, "m"), task="fix", rule="F401", chance=chance.random()) for name in share
        }
        name = max(promises, key=promises.__getitem__)
        outcome = Outcome.VERIFIED if chance.random() < share[name] else Outcome.FAILED
        adaptive.learn(lesson(name, outcome, rule="F401", seconds=(seconds or {}).get(name, 2)))
        chosen.append(name)
    return chosen


@pytest.mark.parametrize("seed", range(10))
def test_the_better_one_is_found(seed: int) -> None:
    """Of two that are right in 9 and in 5 of 10 cases, the better answers nearly all requests after the first hundred."""
    chosen = play({"bad": 0.5, "good": 0.9}, seed=seed)
    assert chosen[100:].count("good") >= 0.85 * 300
    # Choosing by lot would lose 80 answers here.
    assert chosen.count("bad") * 0.4 <= 30


def test_the_regret_is_bounded() -> None:
    """Over many seeds and three providers, less than a third of what choosing by lot loses is lost, in the mean."""
    share = {"bad": 0.3, "middle": 0.6, "good": 0.9}
    lost = []
    for seed in range(30):
        chosen = play(share, seed=100 + seed, requests=300)
        lost.append(sum(0.9 - share[name] for name in chosen))
    by_lot = 300 * 0.3
    assert statistics.mean(lost) < by_lot / 3
    assert max(lost) < by_lot * 0.6


def test_of_equals_the_quicker_one_is_chosen() -> None:
    """Who is as often right and takes a fifth of the time answers most requests."""
    chosen = play({"slow": 0.9, "quick": 0.9}, seed=5, seconds={"slow": 25, "quick": 5})
    assert chosen[100:].count("quick") >= 0.85 * 300


def test_who_became_better_is_noticed() -> None:
    """What was learned fades: after some fifty lessons to the contrary, the contrary is believed."""
    adaptive = Adaptive()
    for _ in range(300):
        adaptive.learn(lesson("good", Outcome.FAILED))
    for _ in range(100):
        adaptive.learn(lesson("good", Outcome.VERIFIED))
    drawn = [adaptive.promise(GOOD, task="fix", rule="", chance=number / 50) for number in range(50)]
    assert statistics.mean(drawn) > 0.7


def mean_promise(adaptive: Adaptive, who: tuple[str, str], *, task: str = "fix", rule: str = "") -> float:
    """Return what is promised in the mean of many draws."""
    return statistics.mean(adaptive.promise(who, task=task, rule=rule, chance=n / 200) for n in range(200))


def test_what_is_known_of_the_task_speaks_for_a_new_rule() -> None:
    """A rule that was never met is judged by the task, a task by everything, and what is known of the rule is worth more."""
    adaptive = Adaptive()
    for _ in range(50):
        adaptive.learn(lesson("good", Outcome.VERIFIED, rule="F401"))
        adaptive.learn(lesson("bad", Outcome.UNDONE, rule="F401"))
    for task, rule in (("fix", "E501"), ("explain", "")):
        assert (
            mean_promise(adaptive, GOOD, task=task, rule=rule) > mean_promise(adaptive, BAD, task=task, rule=rule) + 0.2
        )
    for _ in range(50):
        adaptive.learn(lesson("good", Outcome.UNDONE, rule="E501"))
        adaptive.learn(lesson("bad", Outcome.VERIFIED, rule="E501"))
    assert mean_promise(adaptive, GOOD, rule="E501") < mean_promise(adaptive, BAD, rule="E501") - 0.3
    assert mean_promise(adaptive, GOOD, rule="F401") > mean_promise(adaptive, BAD, rule="F401") + 0.3


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_worth(outcome: Outcome) -> None:
    """Kept and verified count for, undone and failed against, and an answer of which nothing is known teaches nothing."""
    adaptive = Adaptive()
    adaptive.learn(lesson("good", outcome))
    expected = {Outcome.VERIFIED: 1, Outcome.KEPT: 1, Outcome.UNDONE: -1, Outcome.FAILED: -1, Outcome.ANSWERED: 0}
    difference = mean_promise(adaptive, GOOD, task="fix") * 32 / 30 - mean_promise(Adaptive(), GOOD, task="fix")
    if outcome is Outcome.ANSWERED:
        assert len(adaptive) == 0
    else:
        assert math.copysign(1, difference) == expected[outcome]


def test_it_says_what_it_knows() -> None:
    """In words, of the narrowest place of which a few lessons are known."""
    adaptive = Adaptive()
    adaptive.learn(lesson("good", Outcome.KEPT, rule="ruff:F401"))
    assert adaptive.told(GOOD, task="fix", rule="ruff:F401") == "tried to learn how good its answers are"
    for _ in range(3):
        adaptive.learn(lesson("good", Outcome.KEPT, rule="ruff:F401"))
    assert adaptive.told(GOOD, task="fix", rule="ruff:F401") == "100% of its answers to fix ruff:F401 were good"
    assert adaptive.told(GOOD, task="fix", rule="E501") == "100% of its answers to fix were good"
    assert adaptive.told(GOOD, task="ask", rule=None) == "100% of its answers to all tasks were good"


def test_only_names_of_rules_are_kept() -> None:
    """What does not look like a rule's name may be anything, so it is left out."""
    assert [
        known_rule(rule) for rule in ("F401", "reportGeneralTypeIssues", "clippy::needless_return", "@ts/no-x")
    ] == [*("F401", "reportGeneralTypeIssues", "clippy::needless_return", "@ts/no-x")]
    assert [known_rule(rule) for rule in ("a = secret()", "x" * 65, "", None, "two words", "F401\n")] == [""] * 6
    assert {one.rule for one in additions(lesson("good", Outcome.KEPT, rule="password = 'x'"))} == {""}


LESSONS = st.lists(
    st.builds(
        Lesson,
        provider=st.sampled_from(["a", "b"]),
        model=st.sampled_from(["m", ""]),
        task=st.sampled_from(["fix", "ask"]),
        outcome=st.sampled_from(Outcome),
        seconds=st.floats(allow_nan=True),
        rule=st.sampled_from(["", "F401", "no rule"]),
    ),
    max_size=30,
)


@given(lessons=LESSONS)
def test_a_database_that_adds_up_the_same_knows_the_same(lessons: list[Lesson]) -> None:
    """Multiply by FADING and add, for every place that a lesson touches: what comes out teaches a new one the same."""
    adaptive = Adaptive()
    table: dict[tuple[str, str, str, str], list[float]] = {}
    for one in lessons:
        adaptive.learn(one)
        for added in additions(one):
            row = table.setdefault((added.provider, added.model, added.task, added.rule), [0.0, 0.0, 0.0])
            row[:] = [
                before * FADING + now for before, now in zip(row, (added.good, added.bad, added.seconds), strict=True)
            ]
    again = Adaptive(Learned(*place, *row) for place, row in table.items())
    for who in (("a", "m"), ("b", "")):
        for rule in ("", "F401", None):
            promise = adaptive.promise(who, task="fix", rule=rule, chance=0.3)
            assert 0 <= promise <= 1
            assert again.promise(who, task="fix", rule=rule, chance=0.3) == pytest.approx(promise)
            assert again.told(who, task="fix", rule=rule) == adaptive.told(who, task="fix", rule=rule)


@given(
    kept=st.tuples(st.floats(), st.floats(), st.floats()),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_whatever_was_kept_can_be_read(kept: tuple[float, float, float], chance: float) -> None:
    """A row that somebody damaged promises something between 0 and 1, the same for the same chance."""
    adaptive = Adaptive([Learned("good", "m", "fix", "", *kept)])
    promise = adaptive.promise(GOOD, task="fix", rule="F401", chance=chance)
    assert 0 <= promise <= 1
    assert adaptive.promise(GOOD, task="fix", rule="F401", chance=chance) == promise
    assert adaptive.told(GOOD, task="fix", rule="F401")


def test_memory_is_bounded() -> None:
    """Of five thousand rules three thousand places are kept, what is used among them."""
    adaptive = Adaptive()
    for number in range(5000):
        adaptive.learn(lesson("good", Outcome.KEPT, rule=f"R{number}"))
        if number == 2500:
            for _ in range(3):
                adaptive.learn(lesson("good", Outcome.KEPT, rule="R0"))
    assert len(adaptive) == 3000
    assert adaptive.told(GOOD, task="fix", rule="R0") == "100% of its answers to fix R0 were good"
