"""Models answer in many forms: what fits in exactly one way is taken, everything else is refused with its reason."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glossator.answer import AnswerStream, Outcome, Reading, read, read_all
from glossator.answer.placing import nearest
from glossator.document import Point, Region, Snapshot
from glossator_providers.model import FinishReason

FILE = """import os
import sys


def total(items):
    result = 0
    for item in items:
        result = result + item
    return resul


def other():
    print("x")
    print("x")
"""
FIXED = FILE.replace("return resul\n", "return result\n")
REGION = Region(Point(4, 0), Point(9, 0))
BODY = "def total(items):\n    result = 0\n    for item in items:\n        result = result + item\n    return result\n"


def asked(
    answer: str,
    *,
    text: str = FILE,
    language: str = "python",
    region: Region | None = REGION,
    finish: FinishReason = FinishReason.STOP,
) -> Reading:
    """Read *answer* to a question about *text*; *region* None is the whole file."""
    base = Snapshot.of(text, uri="file:///project/app.py", language=language, path="/project/app.py")
    return read(answer, finish=finish, base=base, region=region or base.whole)


OLD_BODY = BODY.replace("return result\n", "return resul\n")

GOOD = {
    "region": f"Fixes the name.\n\n```python\n{BODY}```\n",
    "no language": f"```\n{BODY}```",
    "tildes": f"~~~python\n{BODY}~~~\n",
    "long fence": f"`````py\n{BODY}`````\n",
    "indented fence": "1. So:\n\n   ```python\n" + "".join(f"   {line}\n" for line in BODY.splitlines()) + "   ```\n",
    "indented code": "```python\n" + "".join(f"    {line}\n" for line in BODY.splitlines()) + "```\n",
    "crlf": f"Fixed:\r\n```python\r\n{BODY}```\r\n".replace("\r\n", "\n").replace("\n", "\r\n"),
    "line numbers": "```python\n"
    + "".join(f"{number:3} | {line}\n" for number, line in enumerate(BODY.splitlines(), 5))
    + "```\n",
    "whole file": f"```python\n{FIXED}```\n",
    "old code first": f"Your code:\n```python\n{OLD_BODY}```\n```python\n{BODY}```\n",
    "old code with a remark": "```python\n"
    + BODY.replace("return result\n", "return resul  # wrong\n")
    + f"```\nBetter:\n```python\n{BODY}```\n",
    "with an example": f"```python\n{BODY}\n\nprint(total([1, 2]))\n```\n",
    "with the line after": f'```python\n{BODY}\n\ndef other():\n    print("x")\n    print("x")\n```\n',
    "with a shell": f"```python\n{BODY}```\nRun it:\n```bash\npython app.py\n```\n",
    "imports repeated": f"```python\nimport os\nimport sys\n\n\n{BODY}```\n",
    "the rest told": f"```python\n# ... existing imports ...\n\n\n{BODY}\n\n# rest of the code remains unchanged\n```\n",
    "search": "app.py\n```python\n<<<<<<< SEARCH\n    return resul\n=======\n    return result\n>>>>>>> REPLACE\n```\n",
    "search bare": "<<<<<<< SEARCH\n    return resul\n=======\n    return result\n>>>>>>> REPLACE",
    "search original": "<<<<<<< ORIGINAL\n    return resul\n=======\n    return result\n>>>>>>> UPDATED\n",
    "search without indentation": "<<<<<<< SEARCH\nreturn resul\n=======\nreturn result\n>>>>>>> REPLACE\n",
    "search with blanks at line ends": "<<<<<<< SEARCH\n        result = result + item  \n    return resul\t\n=======\n        result = result + item\n    return result\n>>>>>>> REPLACE\n",
    "find": "---FILEPATH /elsewhere/app.py\n---FIND\n```python\n    return resul\n```\n---REPLACE\n```python\n    return result\n```\n---COMPLETE\n",
    "udiff": "```diff\n--- a/app.py\n+++ b/app.py\n@@ -70,3 +70,3 @@\n     for item in items:\n         result = result + item\n-    return resul\n+    return result\n```\n",
    "udiff without numbers": "```diff\n@@ ... @@\n         result = result + item\n-    return resul\n+    return result\n```\n",
    "patch": "*** Begin Patch\n*** Update File: app.py\n@@ def total(items):\n         result = result + item\n-    return resul\n+    return result\n*** End Patch\n",
    "pseudo": "```diff\n         result = result + item\n-    return resul\n+    return result\n```\n",
    "tag": f"<code>\n{BODY}</code>\nThe name was wrong.",
    "tool": '{"name": "edit", "arguments": {"oldString": "return resul\\n\\n", "newString": "return result\\n\\n"}}',
    "lines": "```\nedit 9:9\n    return result\nend_of_edit\n```\n",
}


def test_bare_code_for_the_region() -> None:
    """An answer that is nothing but code takes the region's place if it defines what that defines; prose does not."""
    assert asked(BODY).text == FIXED
    assert asked(f"Sure. {BODY}").outcome is Outcome.NO_MATCH
    assert asked("def sum_up(items):\n    return sum(items)\n").outcome is Outcome.NO_MATCH
    assert asked(BODY.replace("result = 0", "# ... existing code ...")).outcome is Outcome.NO_MATCH
    statement = Region(Point(8, 0), Point(9, 0))
    assert asked("    return result\n", region=statement).text == FIXED
    for prose in ("return result\n", "    return it to whom it may concern, says the law\n", "    return (result\n"):
        assert asked(prose, region=statement).text is None


def test_what_a_block_may_have_meant_is_shown() -> None:
    """Where the lines of a block do not stand in the file, those that are most like them are named; else none."""
    block = "<<<<<<< SEARCH\n{}\n=======\nx\n>>>>>>> REPLACE\n"
    shifted = asked(block.format("    for item in items:\n        result += item\n    return result"))
    assert shifted.outcome is Outcome.NO_MATCH
    assert shifted.near == tuple(FILE.split("\n")[4:11])
    spelled = asked(block.format("    retrun resul"))
    assert "    return resul" in spelled.near
    assert asked(block.format("@@@@")).near == ()
    assert asked(block.format("    x\n" * 300)).near == ()


@given(
    st.lists(st.sampled_from(["a = 1", "  b()", "", "}", "c"]), max_size=30),
    st.lists(st.sampled_from(["a = 2", "b()", "", "}", "C", "x" * 300]), max_size=90),
)
def test_the_nearest_lines_stand_in_the_file(lines: list[str], search: list[str]) -> None:
    """Whatever is looked for, what is shown is a piece of the file, and not a long one."""
    near = nearest(lines, search)
    assert len(near) <= 50
    assert not near or any(tuple(lines[at : at + len(near)]) == near for at in range(len(lines)))


@pytest.mark.parametrize("form", GOOD)
def test_forms_that_are_understood(form: str) -> None:
    """Each form that models use gives the same edit of the same region."""
    reading = asked(GOOD[form])
    assert reading == Reading(Outcome.EDIT, FIXED, reading.prose, "")


@pytest.mark.parametrize("form", [form for form in GOOD if form != "lines"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_files_own_line_ends_stay(form: str, end: str) -> None:
    """A CRLF file stays one, also without a final newline."""
    text = FILE.replace("\n", end).removesuffix(end)
    assert asked(GOOD[form], text=text).text == FIXED.replace("\n", end).removesuffix(end)


BAD = {
    "cannot": ("CANNOT FIX: the name `resul` comes from elsewhere.", Outcome.CANNOT_FIX),
    "cannot in bold": ("**CANNOT FIX:** no.\n```python\nx = 1\n```", Outcome.CANNOT_FIX),
    "empty": ("", Outcome.NO_MATCH),
    "blank": (" \n\n", Outcome.NO_MATCH),
    "prose": ("I would rename it.", Outcome.NO_MATCH),
    "unclosed fence": (f"```python\n{BODY}", Outcome.TRUNCATED),
    "unclosed search": ("<<<<<<< SEARCH\n    return resul\n=======\n    return", Outcome.TRUNCATED),
    "unclosed tag": (f"<code>\n{BODY}", Outcome.TRUNCATED),
    "unclosed patch": ("*** Begin Patch\n*** Update File: app.py\n@@\n-    return resul\n", Outcome.TRUNCATED),
    "rest unchanged": (
        "```python\ndef total(items):\n    # ... existing code ...\n    return result\n```",
        Outcome.ELIDED,
    ),
    "lone dots": ("```python\ndef total(items):\n    ...\n    return result\n```", Outcome.ELIDED),
    "elided replace": (
        "<<<<<<< SEARCH\n    return resul\n=======\n    # ... rest of code ...\n    return result\n>>>>>>> REPLACE",
        Outcome.ELIDED,
    ),
    "hallucinated search": (
        "<<<<<<< SEARCH\n    return missing\n=======\n    return result\n>>>>>>> REPLACE",
        Outcome.NO_MATCH,
    ),
    "one of two matches": (
        "<<<<<<< SEARCH\n    return resul\n=======\n    return result\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nnowhere\n=======\nx\n>>>>>>> REPLACE",
        Outcome.NO_MATCH,
    ),
    "search at two places": (
        '<<<<<<< SEARCH\n    print("x")\n=======\n    print("y")\n>>>>>>> REPLACE',
        Outcome.AMBIGUOUS,
    ),
    "search of nothing": ("<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE", Outcome.AMBIGUOUS),
    "only quotes": (f"You wrote:\n```python\n{FILE}```\nThat is fine.", Outcome.NO_MATCH),
    "a fragment": ("```python\n    return result\n```", Outcome.NO_MATCH),
    "another function": ("```python\ndef unrelated():\n    pass\n```", Outcome.NO_MATCH),
    "only a shell": ("```bash\npip install x\n```", Outcome.NO_MATCH),
    "no change": ("<<<<<<< SEARCH\n    return resul\n=======\n    return resul\n>>>>>>> REPLACE", Outcome.NO_CHANGE),
    "another file": (
        "other.py\n```python\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```",
        Outcome.OTHER_FILE,
    ),
    "a new file": ("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1\n", Outcome.OTHER_FILE),
    "broken syntax": ("```python\ndef total(items):\n    return result)\n```", Outcome.AMBIGUOUS),
    "hidden characters": (
        f"```python\n{BODY.replace('result = 0', 'result = 0  # ' + chr(0x202E))}```",
        Outcome.AMBIGUOUS,
    ),
    "marks in the code": (
        "<<<<<<< SEARCH\n    return resul\n=======\n    return result\n>>>>>>> UPDATED file\n>>>>>>> REPLACE\nx",
        Outcome.EDIT,
    ),
    "lines that are not there": ("edit 900:901\nx\nend_of_edit", Outcome.NO_MATCH),
    "two tags": ("<code>\na = 1\n</code>\n<code>\na = 2\n</code>", Outcome.AMBIGUOUS),
}


@pytest.mark.parametrize("form", BAD)
def test_what_is_not_certain_is_refused(form: str) -> None:
    """Every doubt has its own label, a reason in words, and no text."""
    answer, outcome = BAD[form]
    reading = asked(answer)
    assert reading.outcome is outcome
    if outcome is not Outcome.EDIT:
        assert reading.text is None
        assert reading.reason


def test_an_answer_that_was_cut_off_is_never_applied() -> None:
    """A model that stopped for length said less than it meant, however whole it looks."""
    for answer in GOOD.values():
        assert asked(answer, finish=FinishReason.LENGTH).outcome is Outcome.TRUNCATED
    assert asked("I must not.", finish=FinishReason.REFUSED).outcome is Outcome.CANNOT_FIX


def test_cannot_fix_says_why() -> None:
    """The model's reason reaches the user, cleaned."""
    reading = asked("CANNOT FIX: see ![x](https://evil.example/p.png)\u202e")
    assert "evil.example" in reading.reason
    assert "![" not in reading.reason
    assert "\u202e" not in reading.reason


def test_a_region_and_a_second_place() -> None:
    """The form that is asked for: the region in a fence, an import in a SEARCH/REPLACE block."""
    answer = f"Fixed.\n\n```python\n{BODY.replace('result + item', 'math.fsum([result, item])')}```\n\n<<<<<<< SEARCH\nimport os\n=======\nimport math\nimport os\n>>>>>>> REPLACE\n"
    reading = asked(answer)
    assert reading.text == FIXED.replace("result + item", "math.fsum([result, item])").replace(
        "import os", "import math\nimport os"
    )
    assert reading.prose == "Fixed."


def test_the_region_decides_between_two_places() -> None:
    """A SEARCH that stands twice in the file and once in the region means the one in the region."""
    text = "def a():\n    return 1\n\n\ndef b():\n    return 1\n"
    answer = "<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE"
    assert (
        asked(answer, text=text, region=Region(Point(4, 0), Point(6, 0))).text
        == "def a():\n    return 1\n\n\ndef b():\n    return 2\n"
    )
    assert asked(answer, text=text, region=None).outcome is Outcome.AMBIGUOUS


def test_a_method_keeps_its_indentation() -> None:
    """A method that the model wrote at the margin goes back to where it was."""
    text = "class A:\n    def m(self):\n        return 1\n\n    def n(self):\n        return 2\n"
    reading = asked("```python\ndef m(self):\n    return 3\n```", text=text, region=Region(Point(1, 0), Point(3, 0)))
    assert reading.text == text.replace("return 1", "return 3")


def test_tabs_stay_tabs() -> None:
    """A SEARCH with spaces finds lines with tabs, and what replaces them is indented with tabs."""
    text = "function f() {\n\tif (a) {\n\t\treturn 1;\n\t}\n}\n"
    answer = (
        "<<<<<<< SEARCH\n  if (a) {\n    return 1;\n  }\n=======\n  if (a && b) {\n    return 2;\n  }\n>>>>>>> REPLACE"
    )
    assert asked(answer, text=text, language="javascript", region=None).text == text.replace("(a)", "(a && b)").replace(
        "1", "2"
    )


def test_code_with_marks_of_its_own() -> None:
    """Lines of equals signs and fences inside the code do not end a block early."""
    text = "Title\n=======\n\n```\ncode\n```\n\nold\n"
    answer = "<<<<<<< SEARCH\nTitle\n=======\n\n```\ncode\n```\n\nold\n=======\nTitle\n=======\n\n```\ncode\n```\n\nnew\n>>>>>>> REPLACE"
    assert asked(answer, text=text, language="markdown", region=None).text == text.replace("old", "new")


def test_a_docstring_with_a_fence() -> None:
    """A fence inside a docstring is code."""
    text = 'def f():\n    """Doc.\n\n    ```\n    f()\n    ```\n    """\n    return 1\n'
    answer = f"```python\n{text.replace('return 1', 'return 2')}```"
    assert asked(answer, text=text, region=None).text == text.replace("return 1", "return 2")


def test_elisions_that_were_there_stay() -> None:
    """`...` as a body in a stub is code, not an omission."""
    text = "class P(Protocol):\n    def f(self) -> int:\n        ...\n\n    def g(self) -> str:\n        ...\n"
    answer = f"```python\n{text.replace('int', 'bool')}```"
    assert asked(answer, text=text, region=None).text == text.replace("int", "bool")


def test_several_files() -> None:
    """One answer for two files gives one reading each; a change of a third refuses all."""
    bases = [
        Snapshot.of(text, uri=f"file:///w/{name}", language="python", path=f"/w/{name}")
        for name, text in (("a.py", "x = 1\n"), ("b.py", "y = 1\n"))
    ]
    block = "{0}\n```python\n<<<<<<< SEARCH\n{1} = 1\n=======\n{1} = 2\n>>>>>>> REPLACE\n```\n"
    both = block.format("a.py", "x") + block.format("b.py", "y")
    assert [one.text for one in read_all(both, finish=FinishReason.STOP, bases=bases)] == ["x = 2\n", "y = 2\n"]
    third = both + block.format("c.py", "z")
    assert [one.outcome for one in read_all(third, finish=FinishReason.STOP, bases=bases)] == [Outcome.OTHER_FILE] * 2
    assert read(both, finish=FinishReason.STOP, base=bases[0], region=bases[0].whole).outcome is Outcome.OTHER_FILE


PIECES = [
    *GOOD.values(),
    *(answer for answer, _ in BAD.values()),
    "```",
    "\n```\n",
    "<<<<<<< SEARCH\n",
    "=======\n",
    ">>>>>>> REPLACE\n",
    "...",
    "@@\n",
    "-x\n",
    "+x\n",
    "<code>",
    "\x00",
    "\ud800",
    "\u202e",
    "\r",
    "*** Begin Patch\n",
    "edit 1:2\n",
    "{",
    "1 | x\n",
]


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.sampled_from([FILE, FILE.replace("\n", "\r\n"), "", "\n", "x"]),
    st.sampled_from(["python", "go", ""]),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_no_answer_is_too_strange(answer: str, text: str, language: str, start: int, end: int) -> None:
    """Any mixture of forms gives an edit or a reason, never an exception, and never a mark or hidden character in the file."""
    reading = asked(answer, text=text, language=language, region=Region(Point(start, 0), Point(end, 0)))
    assert (reading.text is None) == (reading.outcome is not Outcome.EDIT)
    if reading.text is not None:
        assert reading.text != text
        assert ">>>>>>> REPLACE" not in reading.text
        assert "\u202e" not in reading.text


@pytest.mark.parametrize(
    "piece",
    [
        "```\nx\n",
        "```\nx\n```\n",
        "<<<<<<< SEARCH\n",
        "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n",
        "=======\n",
        "-a\n+b\n",
        "<code>",
        "@@\n-x\n+y\n",
        "{",
        "\n",
        "a/",
    ],
)
def test_hostile_answers_take_bounded_time(piece: str) -> None:
    """60,000 characters of any mark are read in moments."""
    text = "x = 1\n" * 3000
    start = time.thread_time()
    asked(piece * (60_000 // len(piece)), text=text)
    asked("<<<<<<< SEARCH\n" + piece * (60_000 // len(piece)) + "\n>>>>>>> REPLACE\n", text=text)
    assert time.thread_time() - start < 10


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9))
def test_the_live_text_says_what_the_answer_says(sizes: list[int]) -> None:
    """However the answer is split, its words and code are shown, in order and once."""
    answer = GOOD["region"].replace("name", "name 😀 ![x](https://evil.example/p.png)")
    stream, shown, at, turn = AnswerStream(), "", 0, 0
    while at < len(answer):
        shown += stream.feed(answer[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    shown += stream.end()
    assert shown == answer.replace("![x](https://evil.example/p.png)", "x (`https://evil.example/p.png`)")
