"""Who has answered this kind of question well before: learned from what became of earlier answers, on this machine alone.

For each model of a provider, each task and each rule of a checker two faded counts and a time are kept, and the same for the
task and for everything together: where little is known of a rule, what is known of the task speaks for it. Who comes first is drawn
by what is known (Thompson sampling, https://en.wikipedia.org/wiki/Thompson_sampling): the better one nearly always, and one of whom
little is known often enough to learn of it.
"""

from __future__ import annotations

import enum
import random
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from glossator_providers.model import Who

FADING = 0.98  # what is left of a count when the next lesson comes: the last fifty or so decide
_LARGEST = 3000  # of what is kept; the longest unused goes
_GUESS = 0.75  # of answers that are good, where nothing is known
_WEIGHT = 4.0  # lessons that what is known of the task, or guessed, counts for
_PATIENCE = 30.0  # seconds: an answer that takes so long is worth half of one that comes at once
_TOLD_FROM = 2.5  # lessons from which a share of good answers means something
_MOST_LESSONS = 1 / (1 - FADING)  # that fading leaves
_LONGEST_TIME = 86_400.0  # seconds

# A rule is the checker's own name for it; what looks otherwise may be anything, and is not kept.
_RULE = re.compile(r"[\w./:@-]{1,64}")


class Outcome(enum.StrEnum):
    """What became of an answer."""

    VERIFIED = "verified"  # its checker says that it holds
    KEPT = "kept"  # the user took it
    ANSWERED = "answered"  # nobody said anything of it
    UNDONE = "undone"  # the user took it back, or did not want it
    FAILED = "failed"  # there was none, or it could not be used


def worth(outcome: Outcome) -> float | None:
    """Return how good an outcome is, from 0 to 1; None where it says nothing."""
    match outcome:
        case Outcome.VERIFIED | Outcome.KEPT:
            return 1.0
        case Outcome.UNDONE | Outcome.FAILED:
            return 0.0
        case Outcome.ANSWERED:
            return None
    assert_never(outcome)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What became of one answer, and how many seconds it took."""

    provider: str
    model: str
    task: str
    outcome: Outcome
    seconds: float
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """What is kept of one place: faded counts of good and bad answers, and the seconds that all of them took.

    A place is a model of a provider with a task and a rule. An empty rule stands for all rules, an empty task for all tasks.
    As an addition (`additions`) it is what one lesson adds: what was there is first multiplied by `FADING`.
    """

    provider: str
    model: str
    task: str
    rule: str
    good: float
    bad: float
    seconds: float


def additions(lesson: Lesson) -> tuple[Learned, ...]:
    """Return what a lesson adds, and where: so a database that several servers share can add it up as `Adaptive` does."""
    good = worth(lesson.outcome)
    if good is None:
        return ()
    rule = known_rule(lesson.rule)
    places = dict.fromkeys([(lesson.task, rule), (lesson.task, ""), ("", "")])
    seconds = _within(lesson.seconds, _LONGEST_TIME)
    return tuple(Learned(lesson.provider, lesson.model, task, rule, good, 1.0 - good, seconds) for task, rule in places)


def known_rule(rule: str | None) -> str:
    """Return a rule's name if it looks like one, else nothing."""
    return rule if rule and _RULE.fullmatch(rule) else ""


@dataclass(slots=True)
class _Counts:
    good: float = 0.0
    bad: float = 0.0
    seconds: float = 0.0

    @property
    def lessons(self) -> float:
        return self.good + self.bad


class Adaptive:
    """What earlier answers have taught; *learned* is what was kept of them."""

    def __init__(self, learned: Iterable[Learned] = ()) -> None:
        self._counts: OrderedDict[tuple[str, str, str, str], _Counts] = OrderedDict()
        self.recall(learned)

    def recall(self, learned: Iterable[Learned]) -> None:
        """Take what was kept of earlier answers, in place of what is known of the same."""
        for one in learned:
            good, bad = _within(one.good, _MOST_LESSONS), _within(one.bad, _MOST_LESSONS)
            self._put(one, _Counts(good, bad, _within(one.seconds, _MOST_LESSONS * _LONGEST_TIME)))

    def __len__(self) -> int:
        return len(self._counts)

    def learn(self, lesson: Lesson) -> None:
        """Learn from what became of an answer."""
        for one in additions(lesson):
            before = self._counts.get(_place(one), _Counts())
            self._put(
                one,
                _Counts(
                    before.good * FADING + one.good,
                    before.bad * FADING + one.bad,
                    before.seconds * FADING + one.seconds,
                ),
            )

    def promise(self, who: Who, *, task: str, rule: str | None, chance: float) -> float:
        """Draw how good its next answer may be, from 0 to 1, for one who does not like to wait; *chance* is in [0, 1)."""
        share, lessons = self._share(who, task, known_rule(rule))
        good, bad = share * lessons, (1.0 - share) * lessons
        # A sequence of its own for each draw: the same chance gives the same promise.
        drawn = random.Random(chance).betavariate(good, bad)  # noqa: S311  nothing is to be kept secret by it
        return drawn * _PATIENCE / (_PATIENCE + self._seconds(who, task, known_rule(rule)))

    def told(self, who: Who, *, task: str, rule: str | None) -> str:
        """Say in words what is known of its answers."""
        rule = known_rule(rule)
        for place, words in (((task, rule), f"{task} {rule}".strip()), ((task, ""), task), (("", ""), "all tasks")):
            counts = self._at(who, *place)
            if counts.lessons >= _TOLD_FROM:
                return f"{counts.good / counts.lessons:.0%} of its answers to {words} were good"
        return "tried to learn how good its answers are"

    def _share(self, who: Who, task: str, rule: str) -> tuple[float, float]:
        """Return the expected share of good answers, and how many lessons this is worth."""
        share, lessons = _GUESS, _WEIGHT
        for place in dict.fromkeys([("", ""), (task, ""), (task, rule)]):
            counts = self._at(who, *place)
            # Whatever the wider place taught counts for a few lessons here, so that a narrower one can contradict it.
            lessons = _WEIGHT + counts.lessons
            share = (share * _WEIGHT + counts.good) / lessons
        return share, lessons

    def _seconds(self, who: Who, task: str, rule: str) -> float:
        """Return how many seconds its answers take, in the narrowest place of which something is known."""
        for place in ((task, rule), (task, ""), ("", "")):
            counts = self._at(who, *place)
            if counts.lessons > 0:
                return counts.seconds / counts.lessons
        return 0.0

    def _at(self, who: Who, task: str, rule: str) -> _Counts:
        return self._counts.get((*who, task, rule)) or _Counts()

    def _put(self, one: Learned, counts: _Counts) -> None:
        self._counts[_place(one)] = counts
        self._counts.move_to_end(_place(one))
        if len(self._counts) > _LARGEST:
            self._counts.popitem(last=False)


def _place(one: Learned) -> tuple[str, str, str, str]:
    return one.provider, one.model, one.task, one.rule


def _within(number: float, most: float) -> float:
    """Return a number that is neither negative nor too large, whatever somebody kept."""
    return min(max(0.0, number), most)
