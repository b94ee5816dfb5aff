"""Where a document lies: built-in rules, aliases of a path, links, other schemes, the user's rules."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers.model import Fragment, Level, Message, Origin, OriginKind, Request, Role
from glossator_providers.privacy import Decision, Found, LocalFiles, Policy, clear, judge_text, paths
from glossator_providers.privacy.patterns import encode, fold


def judge(uri: str, root: Path, **policy: tuple[str, ...]) -> Decision:
    """Judge an empty document of the workspace *root*."""
    return judge_text(uri, "", policy=Policy(**policy), roots=(str(root),), files=LocalFiles())  # type: ignore[arg-type]


def make(root: Path, *names: str) -> None:
    """Create empty files below *root*."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def sources(decision: Decision) -> set[str]:
    """Return the sources of all reasons."""
    return {reason.source for reason in decision.reasons}


def test_an_ordinary_file_is_open(tmp_path: Path) -> None:
    """A source file of the workspace that no rule names may go to any provider."""
    make(tmp_path, "src/app.py", "src/secrets.py", "src/keys.go", ".env.example", "docs/id_rsa.md.sample", "README.md")
    for name in ("src/app.py", "src/secrets.py", "src/keys.go", ".env.example", "docs/id_rsa.md.sample", "README.md"):
        assert judge((tmp_path / name).as_uri(), tmp_path) == Decision(Level.OPEN), name


ALIASES = [
    *(".env", ".ENV", ".Env", ".env.local", "prod.env", "deep/.env", "id_rsa", "ID_RSA.bak", "server.pem", "Server.PEM"),
    *(".ssh/config", ".SSH/Config", ".aws/credentials", "a/.aws/b/c", "secrets/a.py", "Secrets/A.py", "secrets.yml"),
    *("terraform.tfvars", "x.tfstate.backup", ".npmrc", "service-account-prod.json", ".bash_history", "vault_pass.txt"),
    *(".env.", ".env ", ".env::$DATA", "secrets./a.py", ".e\u200bnv", "\u212aubeconfig"),
]  # fmt: skip


@pytest.mark.parametrize("name", ALIASES)
def test_sensitive_names_are_private_in_every_spelling(tmp_path: Path, name: str) -> None:
    """Case, composition, invisible characters, trailing dots and streams do not hide a sensitive file."""
    make(tmp_path, name)
    decision = judge((tmp_path / name).as_uri(), tmp_path)
    assert decision.level is Level.PRIVATE
    assert "built-in" in decision.reasons[0].rule
    assert "`" in str(decision.reasons[0])


@pytest.mark.parametrize("spelling", ["%2e%65nv", ".%65nv", "%2Eenv", "./.env", "x/../.env", ".//.env"])
def test_uris_are_decoded_before_they_are_judged(tmp_path: Path, spelling: str) -> None:
    """Percent signs and dots in a URI do not hide what file it names."""
    make(tmp_path, ".env", "x/y")
    assert judge(f"{tmp_path.as_uri()}/{spelling}", tmp_path).level is Level.PRIVATE


def test_decoding_happens_once(tmp_path: Path) -> None:
    """A file that is really called `%2eenv` is not taken for another."""
    make(tmp_path, "%2eenv.py")
    assert judge((tmp_path / "%2eenv.py").as_uri(), tmp_path).level is Level.OPEN
    assert paths.to_path("file:///a/%252e") == "/a/%2e"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composition_does_not_matter(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    """The user's rule meets a name however its accents are composed."""
    name = unicodedata.normalize(form, "Löhne/März.py")
    make(tmp_path, name)
    for rule in ("löhne/**", unicodedata.normalize("NFD", "LÖHNE/")):
        decision = judge((tmp_path / name).as_uri(), tmp_path, never=(rule,))
        assert decision.level is Level.NEVER


@pytest.mark.parametrize(
    "uri",
    [
        *("untitled:Untitled-1", "vscode-remote://ssh/home/a.py", "git:/repo/a.py?x", "vscode-vfs://github/a/b", "http://a/b.py"),
        *("file://server/share/a.py", "file:relative.py", "/no/scheme.py", "", "file:", "file:///a%00b", "FILE:%2Fa", "memory:x"),
        *("file:///\udcff\ud800", "jdt://contents/x", "zipfile:///a.zip::b", "file:///C:/a.py"),
    ],
)  # fmt: skip
def test_what_is_no_file_here_is_private(tmp_path: Path, uri: str) -> None:
    """Without a file on this machine there is no place that could be trusted."""
    decision = judge(uri, tmp_path)
    assert decision.level is Level.PRIVATE
    assert sources(decision) <= {"scheme", "workspace"}


def test_links_out_of_and_into_the_workspace(tmp_path: Path) -> None:
    """A link is judged by where it stands and by where it leads."""
    root, outside = tmp_path / "work", tmp_path / "outside"
    make(root, "app.py", ".env", "real/b.py")
    make(outside, "other.py")
    (root / "out.py").symlink_to(outside / "other.py")
    (root / "alias.py").symlink_to(root / ".env")
    (root / "folder").symlink_to(outside)
    (root / "inner").symlink_to(root / "real")
    (outside / "in.py").symlink_to(root / "app.py")
    (root / "loop.py").symlink_to("loop.py")
    assert sources(judge((root / "out.py").as_uri(), root)) == {"workspace"}
    assert sources(judge((root / "alias.py").as_uri(), root)) == {"path"}
    assert sources(judge((root / "folder/other.py").as_uri(), root)) == {"workspace"}
    assert judge((root / "inner/b.py").as_uri(), root).level is Level.OPEN
    assert sources(judge((outside / "in.py").as_uri(), root)) == {"workspace"}
    assert sources(judge((root / "loop.py").as_uri(), root)) == {"workspace"}


def test_ignore_files_meet_the_place_a_link_leads_to(tmp_path: Path) -> None:
    """A link into an ignored folder is ignored."""
    make(tmp_path, "closed/a.py")
    (tmp_path / ".aiignore").write_text("closed/\n")
    (tmp_path / "open.py").symlink_to(tmp_path / "closed" / "a.py")
    assert sources(judge((tmp_path / "open.py").as_uri(), tmp_path)) == {"ignore"}


def test_a_root_that_is_a_link_is_a_root(tmp_path: Path) -> None:
    """Editors may spell the workspace by a link and the file by where it leads, or the reverse."""
    make(tmp_path / "real", "a.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for root in ("real", "link"):
        for place in ("real", "link"):
            expected = Level.PRIVATE if (root, place) == ("real", "link") else Level.OPEN
            assert judge((tmp_path / place / "a.py").as_uri(), tmp_path / root).level is expected


def test_neighbours_of_the_workspace_are_outside(tmp_path: Path) -> None:
    """A folder whose name only begins like the workspace's is not in it; without a workspace everything is outside."""
    make(tmp_path, "work/a.py", "work2/a.py")
    assert judge((tmp_path / "work2/a.py").as_uri(), tmp_path / "work").level is Level.PRIVATE
    assert judge(f"{(tmp_path / 'work').as_uri()}/../work2/a.py", tmp_path / "work").level is Level.PRIVATE
    uri = (tmp_path / "work/a.py").as_uri()
    assert judge_text(uri, "", policy=Policy(), roots=(), files=LocalFiles()).level is Level.PRIVATE


def test_a_file_that_is_not_there_is_private(tmp_path: Path) -> None:
    """What was never saved has no place yet, and the reason says so."""
    decision = judge((tmp_path / "new.py").as_uri(), tmp_path)
    assert decision.level is Level.PRIVATE
    assert "not be saved yet" in str(decision.reasons[0])


@pytest.mark.parametrize(
    ("rule", "name", "closes"),
    [
        ("infra/**", "infra/main.py", "yes"),
        ("infra", "infra/deep/main.py", "yes"),
        ("infra/", "infra/main.py", "yes"),
        ("infra/", "a/infra/main.py", "yes"),
        ("/infra", "a/infra/main.py", "no"),
        ("/infra", "infra/main.py", "yes"),
        ("**/payroll/**", "a/payroll/b/c.py", "yes"),
        ("**/payroll/**", "payroll/c.py", "yes"),
        ("*.py", "a/b.PY", "yes"),
        ("/*.py", "a/b.py", "no"),
        ("a/*/c.py", "a/b/c.py", "yes"),
        ("a/*/c.py", "a/b/b/c.py", "no"),
        ("[", "a.py", "yes"),
        ("infra/", "infra", "no"),
    ],
)
def test_the_users_rules(tmp_path: Path, rule: str, name: str, closes: str) -> None:
    """The user's globs read like lines of a .gitignore, in any case; one that cannot be read closes everything."""
    make(tmp_path, name)
    never = judge((tmp_path / name).as_uri(), tmp_path, never=(rule,))
    private = judge((tmp_path / name).as_uri(), tmp_path, private=(rule,))
    assert never.level is (Level.NEVER if closes == "yes" else Level.OPEN)
    assert private.level is (Level.PRIVATE if closes == "yes" else Level.OPEN)
    if closes == "yes":
        assert rule in str(never.reasons[0])
        assert never.reasons[0].source == "policy"


def test_the_users_rules_meet_whole_paths(tmp_path: Path) -> None:
    """A rule can name a place outside every workspace."""
    make(tmp_path, "clients/acme/a.py")
    decision = judge(
        (tmp_path / "clients/acme/a.py").as_uri(), tmp_path / "clients/acme", never=(f"{tmp_path}/clients/**",)
    )
    assert decision.level is Level.NEVER


def test_ignore_files_above_the_workspace_count(tmp_path: Path) -> None:
    """Opening a subfolder of a repository does not escape what its top says."""
    make(tmp_path, "sub/a.py", "sub/b.py")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".aiignore").write_text("/sub/a.py\n")
    assert judge((tmp_path / "sub/a.py").as_uri(), tmp_path / "sub").level is Level.PRIVATE
    assert judge((tmp_path / "sub/b.py").as_uri(), tmp_path / "sub").level is Level.OPEN


def test_where_the_workspace_is_kept_says_little(tmp_path: Path) -> None:
    """A workspace below a folder called `secrets` is an ordinary one; below `.ssh` it is not."""
    make(tmp_path, "secrets/work/a.py", ".ssh/work/a.py")
    assert judge((tmp_path / "secrets/work/a.py").as_uri(), tmp_path / "secrets/work").level is Level.OPEN
    assert judge((tmp_path / ".ssh/work/a.py").as_uri(), tmp_path / ".ssh/work").level is Level.PRIVATE


@given(st.text(min_size=1, max_size=40))
def test_folding_is_stable(name: str) -> None:
    """Folding a path twice gives what folding it once gives, so comparisons agree."""
    assert fold(fold(name)) == fold(name)


@given(st.text(max_size=60))
def test_any_uri_is_judged(uri: str) -> None:
    """Whatever an editor sends as a URI, the answer is a decision, and it is not open unless it is a file here."""
    assert judge_text(uri, "", policy=Policy(), roots=("/nowhere",), files=LocalFiles()).level is Level.PRIVATE


@given(st.lists(st.text(alphabet="abAB.é /%", min_size=1, max_size=6), min_size=1, max_size=4))
def test_paths_survive_their_uri(names: list[str]) -> None:
    """A path that was made a URI is found again."""
    path = "/" + "/".join(names)
    assert paths.to_path("file://" + quote(path)) == path


def test_there_are_about_a_hundred_rules_and_each_meets_itself() -> None:
    """Every built-in rule meets a path made from its own glob."""
    rules = paths._rules()
    assert len(rules) >= 90
    for rule in rules:
        sample = rule.glob.rstrip("/").replace("*", "x").replace("[1-9]", "1")
        path = f"work/{sample}/inside" if rule.folder else f"work/{sample}"
        assert rule in paths.built_in(path), rule.glob


class CountedFiles(LocalFiles):
    """The real disk, with every question noted."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def read(self, path: str) -> Found | None:
        self.asked.append(f"read {path}")
        return super().read(path)

    def resolve(self, path: str) -> str:
        self.asked.append(f"resolve {path}")
        return super().resolve(path)

    def exists(self, path: str) -> bool:
        self.asked.append(f"exists {path}")
        return super().exists(path)


def test_the_disk_is_asked_each_thing_once_and_anew_each_time(tmp_path: Path) -> None:
    """One decision asks no file twice, and the next one sees an ignore file that was written since."""
    path = tmp_path / "src" / "app.py"
    path.parent.mkdir()
    path.touch()
    files = CountedFiles()
    request = Request(
        (Message(Role.USER, (Fragment("x = 1", (Origin(OriginKind.DOCUMENT, path.as_uri()),)),)),),
        roots=(str(tmp_path),),
    )
    assert clear(request, policy=Policy(), files=files).decision.level is Level.OPEN
    assert len(files.asked) == len(set(files.asked)) > 0
    (path.parent / ".aiignore").write_text("*.py\n")
    assert clear(request, policy=Policy(), files=files).decision.level is Level.PRIVATE
    (path.parent / ".aiignore").unlink()
    assert clear(request, policy=Policy(), files=files).decision.level is Level.OPEN


@given(
    st.lists(
        st.sampled_from([glob.strip("*/") or "x" for globs in paths.BUILT_IN.values() for glob in globs])
        | st.sampled_from(["a", "src", ".config", "gcloud", "é", "X.ENV", ".env.example", "x\n.pem", "id_rsa.pub"]),
        min_size=1,
        max_size=4,
    ).map("/".join)
)
def test_the_one_question_for_all_rules_loses_none(path: str) -> None:
    """Whatever path some built-in rule meets by itself, the union of all of them lets through to be looked at."""
    names = fold(path).strip("/").split("/")
    for rule in paths._rules():
        for place in range(1, len(names) + (not rule.folder)):
            if not rule.folder and place < len(names):
                continue
            subject = "/".join(names[:place]) if rule.nested else names[place - 1]
            if rule.matcher.fullmatch(encode(subject)) is not None:
                assert paths._some_rule().fullmatch(encode("/".join(names))) is not None, rule.glob
