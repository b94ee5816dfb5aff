"""What an answer leaves out within a symbol is filled in where the file allows one reading, and is never guessed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator.answer import Outcome, read
from glossator.answer.filling import filled
from glossator.document import Snapshot
from glossator_providers.model import FinishReason

GO = """func processUser(id int) error {
	validate(id)
	if slow(id) {
		wait(id)
	}
	updateUser(id)
	return nil
}
"""
PYTHON = """def counted(items, size):
    counts = [0] * size
    for item in items:
        counts[item] += 1

    found = []
    for at, count in enumerate(items):
        found.extend([at] * count)

    return found
"""
LOOP = PYTHON[PYTHON.index("    for at") :]
JSON = """{
  "name": "one",
  "parts": {
    "first": [{
      "id": 1
    }],
    "second": [{
      "id": 2
    }]
  },
  "scripts": {
    "build": "make"
  }
}
"""

CERTAIN = {
    "above a new line": (
        GO,
        "func processUser(id int) error {\n\t// ... existing code ...\n\tlog.Info(id)\n\treturn nil\n}\n",
        GO.replace("\treturn", "\tlog.Info(id)\n\treturn"),
    ),
    "below a new line": (
        GO,
        "func processUser(id int) error {\n\tvalidate(id)\n\tlog.Info(id)\n\t// ... rest unchanged ...\n}\n",
        GO.replace("\tvalidate(id)\n", "\tvalidate(id)\n\tlog.Info(id)\n"),
    ),
    "around a changed block": (
        GO,
        "func processUser(id int) error {\n\t// ...\n\tif slow(id) {\n\t\twait(id, 2)\n\t}\n\t// ...\n}\n",
        GO.replace("wait(id)", "wait(id, 2)"),
    ),
    "under a changed head": (
        GO,
        "func processUser(id string) error {\n\t// ... existing code ...\n\treturn nil\n}\n",
        GO.replace("id int", "id string"),
    ),
    "by indentation alone": (
        PYTHON,
        f"def counted(items, size):\n    # ... existing code ...\n{LOOP}".replace(
            "[at] * count)", "[at] * counts[at])"
        ),
        PYTHON.replace("[at] * count)", "[at] * counts[at])"),
    ),
    "at several depths": (
        JSON,
        '{\n  // ...\n  "parts": {\n    "first": [{\n      "id": 1,\n      "size": 5\n    }],\n    // ...\n  },\n  // ...\n}\n',
        JSON.replace('"id": 1\n', '"id": 1,\n      "size": 5\n'),
    ),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_what_can_be_meant_in_one_way_is_filled_in(case: str) -> None:
    """The lines that an answer stands on say what lies between them."""
    part, code, wanted = CERTAIN[case]
    assert filled(code.split("\n"), part.split("\n")) == wanted.rstrip("\n").split("\n")


DOUBTFUL = {
    "the line may be one that is left out, changed": (
        PYTHON,
        f"def counted(items, size):\n    # ...\n{LOOP}".replace("enumerate(items)", "enumerate(counts)  # not items"),
    ),
    "the new line hangs between two elisions": (
        GO,
        "func processUser(id int) error {\n\t// ...\n\tlog.Info(id)\n\t// ...\n}\n",
    ),
    "lines vanish without a word": (
        GO,
        "func processUser(id int) error {\n\t// ...\n\tif slow(id) {\n\treturn nil\n}\n",
    ),
    "the elision says that something goes": (
        GO,
        "func processUser(id int) error {\n\tvalidate(id)\n\t// ... removed code ...\n\treturn nil\n}\n",
    ),
    "nothing is left to stand for": (
        GO,
        "func processUser(id int) error {\n\t// ...\n\tvalidate(id)\n\tif slow(id) {\n\t\twait(id)\n\t}\n",
    ),
    "the elision stands at another depth": (GO, "func processUser(id int) error {\n// ...\n\treturn nil\n}\n"),
    "it would tear a bracket": ("f(\n1\n)\ng(\n2\n)\n", "f(\n# ...\n2\n)\n"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_can_be_meant_otherwise_is_not(case: str) -> None:
    """No line is doubled, lost or torn by a guess."""
    part, code = DOUBTFUL[case]
    assert filled(code.split("\n"), part.split("\n")) is None


def test_an_answer_is_filled_in_within_its_symbol() -> None:
    """The symbol that the answer names is the part that its elisions speak of; the rest of the file stays."""
    text = f"package main\n\nfunc other() {{\n\tvalidate(1)\n}}\n\n{GO}"
    answer = (
        "So:\n\n```go\nfunc processUser(id int) error {\n\t// ... existing code ...\n\tlog(id)\n\treturn nil\n}\n```\n"
    )
    base = Snapshot.of(text, uri="file:///project/a.go", language="go", path="/project/a.go")
    reading = read(answer, finish=FinishReason.STOP, base=base, region=base.whole)
    assert reading.outcome is Outcome.EDIT
    assert reading.text == text.replace("\treturn", "\tlog(id)\n\treturn")


@st.composite
def lazy_answers(draw: st.DrawFn) -> tuple[list[str], list[str], list[str]]:
    """Make a function, what it becomes, and an answer that leaves out some of what stays."""
    count = draw(st.integers(4, 12))
    body: list[str] = []
    for number in range(count):
        if draw(st.booleans()):
            body += [f"    while wait{number}():", f"        again{number}()", "        tick()"]
        else:
            body.append(f"    step{number}(tick)")
    head = ["def f(tick):"]
    statements = [at for at, line in enumerate(body) if not line.startswith("        ")]
    changed = draw(st.sampled_from(statements))
    new = draw(st.sampled_from([["    fresh = 1"], ["    if fresh:", "        tick()"], []]))
    wanted = [*head, *body[:changed], *new, *body[changed:]]
    first = draw(st.sampled_from([at for at in statements if at <= changed]))
    last = draw(st.sampled_from([at for at in (*statements, len(body)) if at >= changed]))
    answer = [*head, "    # ... existing code ..."] if first > 0 else list(head)
    answer += [*body[first:changed], *new, *body[changed:last]]
    answer += ["    # ... rest of the function ..."] if last < len(body) else []
    return [*head, *body], answer, wanted


@given(lazy_answers())
def test_what_is_filled_in_is_what_was_left_out(lazy: tuple[list[str], list[str], list[str]]) -> None:
    """Whatever is left out above and below a change, the whole is what it would have been, or nothing."""
    part, answer, wanted = lazy
    assert filled(answer, part) in (None, wanted)


@pytest.mark.parametrize("line", ["\tx()", "\t}", "\tif x {"])
def test_lines_that_are_all_alike_take_bounded_time(line: str) -> None:
    """A thousand equal lines between elisions are given up soon."""
    started = time.process_time()
    assert filled(["f {", "\t// ...", *[line, "\t// ..."] * 200, "}"], ["f {", *[line] * 900, "}"]) is None
    assert time.process_time() - started < 5  # two seconds at most on a slow machine; unbounded it would be hours
