"""Review: what is found names lines that are there and quotes them, comes while the model writes, and reads only what was asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import START, application, asking, environment_of, follow, place_of, project, snapshot_of
from glossator.document import Severity, Snapshot
from glossator.tasks import review as room
from glossator.tasks.findings import LONGEST_MESSAGE, Findings
from glossator.tasks.task import Ask, Found, Review, TaskName
from glossator_providers.testing import answering

CODE = "def collect(one, found=[]):\n    found.append(one)\n    return found\n\n\ndef last(some):\n    return some[len(some)]\n"
ANSWER = """Here is what I see.

FINDING 1 warning mutable-default
> def collect(one, found=[]):
The list is made once and shared by all calls. Make it inside.

**FINDING 7 error Off_By.One**
> `7| return some[len(some)]`
It reads behind the end.
"""
SNAPSHOT = Snapshot.of(CODE, uri="file:///a.py", language="python")


def read(answer: str, *, lines: range = range(7)) -> Findings:
    """Read a whole answer about CODE."""
    reading = Findings(SNAPSHOT, lines)
    reading.feed(answer)
    reading.end()
    reading.finish(whole=True)
    return reading


def finding(line: int | str = 7, quote: str = "return some[len(some)]", message: str = "It is wrong.") -> str:
    """Return one finding as a model writes it."""
    return f"FINDING {line} error off-by-one\n> {quote}\n{message}\n"


def test_findings_stand_where_they_are_quoted() -> None:
    """The region is that of the quoted words, the rule a slug, the severity as said; how it is decorated does not matter."""
    first, second = read(ANSWER).found
    assert (first.code, first.severity, first.source) == ("mutable-default", Severity.WARNING, "glossator")
    assert SNAPSHOT.slice(first.region) == "def collect(one, found=[]):"
    assert (second.code, second.severity) == ("off-by-one", Severity.ERROR)
    assert SNAPSHOT.slice(second.region) == "return some[len(some)]"
    assert second.message == "It reads behind the end."


@pytest.mark.parametrize(
    "answer",
    [
        finding(line=99),
        finding(line=0),
        finding(line=6),
        finding(quote="return some[len(some) - 1]"),
        finding(quote=""),
        finding(quote="[("),
        finding(message=""),
        finding(line=1, quote="def collect(one, found=[]):\n> return found"),
        "FINDING 7 error off-by-one\nIt is wrong, somewhere.\n",
    ],
)
def test_what_is_not_there_is_dropped_and_counted(answer: str) -> None:
    """A line that does not exist, a quote from elsewhere or of nothing, and a finding without words are not shown."""
    reading = read(answer)
    assert (reading.found, reading.dropped, reading.understood) == ([], 1, True)


def test_a_line_that_was_not_asked_about_is_no_finding() -> None:
    """What a model says of other lines than those under review is dropped."""
    assert read(finding(), lines=range(3)).dropped == 1


def test_an_answer_that_was_cut_off_loses_its_last_finding() -> None:
    """Nobody knows how the sentence would have gone on; those before it stay."""
    reading = Findings(SNAPSHOT, range(7))
    reading.feed(ANSWER)
    reading.end()
    reading.finish(whole=False)
    assert [one.code for one in reading.found] == ["mutable-default"]


def test_words_of_a_finding_are_harmless() -> None:
    """What an editor would render comes without images and hiding characters, on one line, and not without end."""
    (found,) = read(finding(message="See ![x](http://a.test/p.png)\u202e now.\n\n" + "word " * 500)).found
    assert "](http" not in found.message
    assert "\u202e" not in found.message
    assert "\n" not in found.message
    assert len(found.message) == LONGEST_MESSAGE


@given(st.lists(st.integers(1, 60), max_size=20))
def test_any_split_gives_the_same_findings(cuts: list[int]) -> None:
    """Wherever the network cuts an answer, it is read alike."""
    reading, rest = Findings(SNAPSHOT, range(7)), ANSWER
    for cut in cuts:
        reading.feed(rest[:cut])
        rest = rest[cut:]
    reading.feed(rest)
    reading.end()
    reading.finish(whole=True)
    assert reading.found == read(ANSWER).found


@given(st.text(max_size=400))
def test_any_answer_can_be_read(text: str) -> None:
    """Whatever a model writes, each finding is one of lines that are there."""
    for found in read(text + "\n" + finding() + text).found:
        assert 0 <= found.region.start.line <= found.region.end.line < len(SNAPSHOT.lines)


async def test_a_review_ends_with_what_stands_there(tmp_path: Path) -> None:
    """Findings are told while they come, the invented one is counted, and the structure is in the prompt."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with asking(workspace, answering(ANSWER + finding(line=3))) as (opened, fake):
        told, result = await follow(opened, Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START))
    assert isinstance(result, Review)
    assert [one.region.start.line for one in result.findings] == [0, 6]
    assert result.dropped == 1
    assert result.summary == "2 findings; 1 left out, which quoted what does not stand there (local: fake (fake-model))"
    assert [len(one.findings) for one in told if isinstance(one, Found)][-1] == 2
    prompt = fake.requests[0].json["messages"][1]["content"]
    assert "7|     return some[len(some)]\n" in prompt
    assert "collect: 3 lines, complexity 1, depth 0, 2 parameters" in prompt


async def test_a_finding_is_told_before_the_next_is_written(tmp_path: Path) -> None:
    """What is whole is shown at once, while the model still writes."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with asking(workspace) as (opened, fake):
        told: list[Found] = []
        more = asyncio.Event()

        async def listen() -> None:
            async for event in opened.run(Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START)):
                if isinstance(event, Found) and event.findings:
                    told.append(event)
                    more.set()

        listening = asyncio.create_task(listen())
        asked = await fake.asked()
        await asked.say(ANSWER.partition("> `7")[0])
        await asyncio.wait_for(more.wait(), 20)
        assert [one.code for one in told[0].findings] == ["mutable-default"]
        await asked.say("> return some[len(some)]\nIt reads behind the end.\n")
        await asked.finish()
        await listening
        assert [one.code for one in told[-1].findings] == ["mutable-default", "off-by-one"]


async def test_a_selection_is_all_that_is_reviewed(tmp_path: Path) -> None:
    """Of a selected function no other is reviewed."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with asking(workspace, answering(ANSWER)) as (opened, _):
        snapshot = snapshot_of(workspace / "a.py")
        _, result = await follow(opened, Ask(TaskName.REVIEW, snapshot, place_of(snapshot, "return some")))
    assert isinstance(result, Review)
    assert [one.region.start.line for one in result.findings] == [6]


async def test_changed_lines_are_marked_and_only_they_count(tmp_path: Path) -> None:
    """For a diff the whole function is shown, and its changed lines alone are reviewed."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with asking(workspace, answering(ANSWER)) as (opened, fake):
        ask = Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START, lines=((6, 7),))
        _, result = await follow(opened, ask)
    assert isinstance(result, Review)
    assert [one.region.start.line for one in result.findings] == [6]
    prompt = fake.requests[0].json["messages"][1]["content"]
    assert " 6| def last(some):\n+7|     return some[len(some)]\n" in prompt


async def test_without_a_model_the_structure_is_shown(tmp_path: Path) -> None:
    """Nobody can be asked: what stands out is found all the same, and the refusal is told with it."""
    body = "".join(f"    if a == {number}:\n        return {number}\n" for number in range(12))
    workspace = project(tmp_path / "work", {"a.py": f"def tangled(a):\n{body}"})
    async with application(workspace, environment_of(tmp_path / "user")) as opened:
        _, result = await follow(opened, Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START))
    assert isinstance(result, Review)
    assert [one.code for one in result.findings] == ["complex-function"]
    assert result.author is None
    assert result.refusal is not None
    assert result.refusal.kind == "no-provider"


async def test_an_answer_that_is_no_review_is_said_to_be_none(tmp_path: Path) -> None:
    """Chatter is not taken for a clean bill of health."""
    workspace = project(tmp_path / "work", {"a.py": CODE})
    async with asking(workspace, answering("Looks great to me!")) as (opened, _):
        _, result = await follow(opened, Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START))
    assert isinstance(result, Review)
    assert result.refusal is not None
    assert "could not be read as a review" in result.refusal.message


async def test_a_long_file_is_reviewed_in_parts(tmp_path: Path) -> None:
    """Each line is shown once, functions are not cut, and every part is asked about."""
    functions = "".join(f"def f{number}(a):\n    return a\n\n\n" for number in range(150))
    workspace = project(tmp_path / "work", {"a.py": functions})
    async with asking(workspace, answering("NO FINDINGS")) as (opened, fake):
        _, result = await follow(opened, Ask(TaskName.REVIEW, snapshot_of(workspace / "a.py"), START))
    assert isinstance(result, Review)
    assert result.findings == ()
    prompts = [one.json["messages"][1]["content"] for one in fake.requests]
    assert len(prompts) > 2
    shown = "\n".join(prompt[prompt.index("The code to review") :] for prompt in prompts)
    assert [shown.count(f"| def f{number}(a):\n") for number in range(150)] == [1] * 150


@given(st.integers(1, 1200), st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 1200)), max_size=4))
def test_parts_hold_every_line_once(count: int, some: list[tuple[int, int]]) -> None:
    """Whatever is to be reviewed, the parts cover it and do not overlap."""
    snapshot = Snapshot.of("".join(f"a = {number}\n" for number in range(count)), uri="file:///a.py", language="python")
    lines = room._asked_lines(Ask(TaskName.REVIEW, snapshot, START, lines=tuple(some)))
    shown = [number for piece in room._pieces(snapshot, lines) for number in room._numbers(piece)]
    assert sorted(shown) == sorted(set(shown))
    assert lines <= set(shown)
