"""Rules of an organisation's own: they find what gitleaks finds, close and never open, and cannot be made slow."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parts
from glossator_providers.config import Config, Sources, load
from glossator_providers.config import policy as to_policy
from glossator_providers.errors import ConfigError, EgressDenied
from glossator_providers.model import Fragment, Level, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import LocalFiles, Policy, clear, inspect, judge, judge_text, rules

FILE = r"""
title = "ours"
[allowlist]
paths = ['''^tests/''']
stopwords = ["sample"]

[[rules]]
id = "badge"
regex = '''(?i)badge[=:]\s*([a-z0-9]{12})'''
entropy = 2.5
keywords = ["badge"]
[[rules.allowlists]]
regexTarget = "line"
regexes = ['''# public$''']

[[rules]]
id = "payroll"
path = '''(^|/)payroll/'''

[[rules]]
id = "second"
regex = '''(one)-([a-z]+)'''
secretGroup = 2
path = '''\.conf$'''
"""


def found(text: str, path: str = "src/app.py", content: str = FILE) -> list[str]:
    """Return what the rules of *content* find, by name and text."""
    return [
        f"{one.rule} {text[one.start : one.end]}" for one in rules.parse(content.encode(), "ours.toml").scan(text, path)
    ]


def test_a_rule_finds_its_group() -> None:
    """The secret is the group of the expression, told by offset, line and column in code points."""
    assert found("é badge=a1b2c3d4e5f6") == ["badge a1b2c3d4e5f6"]
    (one,) = rules.parse(FILE.encode(), "ours.toml").scan("x\né badge: a1b2c3d4e5f6")
    assert (one.line, one.column) == (1, 9)


def test_a_rule_counts_by_keyword_entropy_and_path() -> None:
    """Without its keyword, with less entropy than it asks for, or in another file, a rule finds nothing."""
    assert found("badge=aaaaaaaaaaaa") == []
    assert found("one-secret", "a.py") == []
    assert found("one-secret", "a.conf") == ["second secret"]


def test_allowlists_count_for_their_own_file_of_rules() -> None:
    """Paths, stopwords and expressions of an allowlist silence the rules beside them."""
    assert found("badge=a1b2c3d4e5f6", "tests/a.py") == []
    assert found("badge=a1b2sample99") == []
    assert found("badge=a1b2c3d4e5f6 # public") == []
    other = rules.parse(b"[[rules]]\nid='other'\nregex='badge=\\w+'", "other.toml")
    both = rules.parse(FILE.encode(), "ours.toml") + other
    assert [one.rule for one in both.scan("badge=a1b2c3d4e5f6", "tests/a.py")] == ["other"]


def test_all_parts_of_an_allowlist_can_be_asked_for() -> None:
    """With the condition AND an allowlist silences only where path and expression agree."""
    content = (
        "[[rules]]\nid='a'\nregex='k=\\w+'\n[[rules.allowlists]]\ncondition='AND'\npaths=['^docs/']\nregexes=['public']"
    )
    assert found("k=public1", "docs/a", content) == []
    assert found("k=public1", "src/a", content) == ["a k=public1"]
    assert found("k=private", "docs/a", content) == ["a k=private"]


def test_a_path_alone_closes() -> None:
    """A rule without an expression closes files by their path."""
    ours = rules.parse(FILE.encode(), "ours.toml")
    assert [rule.name for rule in ours.closed_paths("hr/payroll/may.csv")] == ["payroll"]
    assert ours.closed_paths("hr/pay.csv") == ()


def test_what_re2_cannot_run_is_named() -> None:
    """A rule that looks ahead or repeats too often is left out and named; the others run."""
    content = (
        "[[rules]]\nid='ahead'\nregex='a(?=b)'\n[[rules]]\nid='often'\nregex='a{2000}'\n[[rules]]\nid='ok'\nregex='abc'"
    )
    read = rules.parse(content.encode(), "ours.toml")
    assert [rule.name for rule in read.rules] == ["ok"]
    assert ["ahead" in read.problems[0], "often" in read.problems[1]] == [True, True]


@pytest.mark.parametrize("content", [b"", b"\xff", b"rules = 1", b"[[rules]", b"x" * (5 << 20), b"a = " + b"[" * 5000])
def test_what_is_no_file_of_rules_is_refused(content: bytes) -> None:
    """A file without rules is an error that names it: nobody shall believe in rules that are not there."""
    with pytest.raises(ConfigError, match=r"ours\.toml"):
        rules.parse(content, "ours.toml")


def test_no_rule_of_others_can_be_made_slow() -> None:
    """Expressions that hang Python's own engine for hours need a moment, and a flood of matches closes the text."""
    content = "[[rules]]\nid='slow'\nregex='(a+)+$'\n[[rules]]\nid='nested'\nregex='((a|aa)+)+b'\n[[rules]]\nid='all'\nregex='.'\nentropy=9.0"
    began = time.process_time()
    assert "too-many" in {one.rule for one in rules.parse(content.encode(), "ours.toml").scan("a" * 20_000 + "!")}
    assert time.process_time() - began < 2


@given(st.text(max_size=80), st.text(max_size=200), st.text(max_size=30))
def test_any_expression_and_text_end_in_findings(expression: str, text: str, path: str) -> None:
    """Whatever stands in a rule, it is left out or finds places inside the text, in order."""
    content = "[[rules]]\nid = 'any'\nregex = " + '"' + "".join(f"\\U{ord(one):08x}" for one in expression) + '"'
    read = rules.parse(content.encode(), "ours.toml")
    last = -1
    for one in read.scan(text, path):
        assert last <= one.start <= one.end <= len(text)
        last = one.start


@pytest.mark.parametrize("name", ["gitleaks", "betterleaks"])
def test_the_files_of_others_are_read(name: str) -> None:
    """The rules that gitleaks and Betterleaks ship are read, all of them."""
    content = gzip.decompress(parts.shared_data("secrets", "rules", f"{name}.toml.gz").read_bytes())
    read = rules.parse(content, name)
    assert len(read.rules) > 200
    assert not [problem for problem in read.problems if "left out" in problem]


def ask(path: Path, text: str) -> Request:
    """Return a request about one document."""
    fragment = Fragment(text, (Origin(OriginKind.DOCUMENT, path.as_uri()),))
    return Request((Message(Role.USER, (fragment,)),), roots=(str(path.parent),))


def test_own_rules_decide_with_the_built_in_ones(tmp_path: Path) -> None:
    """What an own rule finds keeps a request at home, names its rule, and is said of the document alone as well."""
    path = tmp_path / "app.py"
    path.touch()
    policy = Policy(rules=rules.parse(FILE.encode(), "ours.toml"))
    files = LocalFiles()
    text = "x = 1\nbadge=a1b2c3d4e5f6\n"
    decision = judge(ask(path, text), policy=policy, files=files)
    assert (decision.level, [reason.rule for reason in decision.reasons]) == (Level.PRIVATE, ["badge"])
    (reason,) = judge_text(path.as_uri(), text, policy=policy, roots=(str(tmp_path),), files=files).reasons
    assert (reason.rule, reason.range) == ("badge", (1, 6, 1, 18))
    assert "a1b2c3d4e5f6" not in str(reason)
    assert judge(ask(path, text), policy=Policy(), files=files).level is Level.OPEN


def test_own_rules_close_paths_and_allow_only_their_own(tmp_path: Path) -> None:
    """A path rule closes a file; an allowlist of paths silences the own rules there, and no built-in one."""
    policy = Policy(rules=rules.parse(FILE.encode(), "ours.toml"))
    files = LocalFiles()
    for folder in ("payroll", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").touch()
    roots = (str(tmp_path),)

    def level(path: str, text: str) -> Level:
        return judge_text((tmp_path / path).as_uri(), text, policy=policy, roots=roots, files=files).level

    assert level("payroll/a.py", "x = 1") is Level.PRIVATE
    assert level("tests/a.py", "badge=a1b2c3d4e5f6") is Level.OPEN
    assert level("tests/a.py", "password = 'Tr0ub4dor'") is Level.PRIVATE


def test_the_door_asks_own_rules_once_more(tmp_path: Path) -> None:
    """What an own rule finds in the finished bytes, and in no fragment that was judged, is not sent."""
    path = tmp_path / "app.py"
    path.touch()
    policy = Policy(rules=rules.parse(FILE.encode(), "ours.toml"))
    cleared = clear(ask(path, "x = 1"), policy=policy, files=LocalFiles())
    inspect(b'{"content": "x = 1"}', cleared, local=False)
    with pytest.raises(EgressDenied, match="badge"):
        inspect(b'{"content": "bad\\u0067e=a1b2c3d4e5f6"}', cleared, local=False)


def test_rules_are_named_by_user_and_organisation_only(tmp_path: Path) -> None:
    """Rules of the user and of the organisation count together; those that an editor or a repository names are ignored."""
    for name in ("user", "organisation", "project"):
        (tmp_path / f"{name}.toml").write_text(f"[[rules]]\nid = '{name}'\nregex = 'k=\\w+'\n")
    user, organisation, project = (tmp_path / name for name in ("config.toml", "policy.toml", "work"))
    user.write_text("[privacy]\nrules = 'user.toml'\n")
    organisation.write_text("[privacy]\nrules = ['organisation.toml']\n")
    project.mkdir()
    (project / ".glossator.toml").write_text("[privacy]\nrules = '../project.toml'\n")
    loaded = load(
        Sources(
            user=user,
            organisation=(organisation,),
            roots=(project,),
            editor={"privacy": {"rules": str(tmp_path / "project.toml")}},
            environment={},
        )
    )
    assert [rule.name for rule in to_policy(loaded.config).rules.rules] == ["user", "organisation"]
    assert len([problem for problem in loaded.problems if "privacy.rules" in str(problem)]) == 2


def test_rules_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    """A file of rules that cannot be read stops everything, and says so: nobody shall believe in rules that are not there."""
    with pytest.raises(ConfigError, match="cannot be read"):
        to_policy(Config.model_validate({"privacy": {"rules": str(tmp_path / "nowhere.toml")}}))
