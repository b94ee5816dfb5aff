"""The benchmarks compare what can be compared: every client hears every word of the same streams, and the ratios are ratios."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report, streams
from benchmarks.figures import against, compare
from benchmarks.stream_client import CLIENTS, MODELS
from benchmarks.stream_source import STREAMS, words

# Whom it takes seconds to import is asked in one protocol only; the benchmark itself tells of the others.
PEERS = [("SDK", dialect) for dialect in STREAMS] + [("LiteLLM", "openai_chat")]


@pytest.mark.parametrize("client", ["Glossator", "httpx"])
@pytest.mark.parametrize("dialect", list(STREAMS))
async def test_every_word_of_the_benchmarks_own_provider_is_heard(
    dialect: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece of each protocol's stream comes once, alone and in order, in answers of any length, one after another."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "no-key-at-all")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with streams.source(dialect) as port:
        async with CLIENTS[client](dialect, f"http://127.0.0.1:{port}") as ask:
            for count in (1, 2, 300):
                assert [piece async for piece in ask(f"Say {count} words")] == list(words(count))


@pytest.mark.slow
@pytest.mark.parametrize(("client", "dialect"), PEERS)
def test_whom_we_are_compared_with_accepts_the_streams(client: str, dialect: str) -> None:
    """The official SDKs and LiteLLM, where `make bench` has installed them, take the stream for one of the protocol's own."""
    if not streams.PYTHONS[client].exists():
        pytest.skip(f"{client} is not installed; `make bench` does that")
    with streams.source(dialect) as port:
        measured = streams.listen(client, dialect, port, long=1, short=1)  # counts the words that it hears
    assert all(value > 0 for value in measured.values())


def test_every_protocol_is_measured_with_every_client() -> None:
    """A dialect that is added to the product's own is missed here until the benchmarks know it."""
    from glossator_providers.catalog import ROWS

    faces = {"azure", "azure_responses", "vertex", "vertex_anthropic"}  # another address and signature, the same stream
    assert set(STREAMS) == set(MODELS) == {row.dialect for row in ROWS.values()} - faces


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that is slow in one round is slow for both: the ratio does not see it, nor does it see one outlier."""
    assert against([2, 20, 4], [1, 10, 2]).ratio == 2
    assert against([2, 20, 4], [1, 10, 2]).spread == 0
    assert against([2, 20, 4], [1, 10, 2]).added == 2
    figure = compare("a thing", "ms", {"ours": [3, 3, 900], "reference": [2, 2, 2]})
    assert (figure.ours, figure.reference, figure.ratio, figure.rounds) == (3, 2, 1.5, 3)


def test_a_section_measured_again_leaves_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not named on the command line stands in the file as before, in its place; an unknown name changes nothing."""
    file = tmp_path / "benchmarks.md"
    monkeypatch.setattr(report, "SECTIONS", {"one": ("First", lambda: "1"), "two": ("Second", lambda: "2")})
    report.main([str(file)])
    assert [body[-1] for body in report.sections(file.read_text("utf-8")).values()] == ["1", "2"]
    monkeypatch.setattr(report, "SECTIONS", {"one": ("First", lambda: "3"), "two": ("Second", lambda: "4")})
    report.main([str(file), "two"])
    assert [body[-1] for body in report.sections(file.read_text("utf-8")).values()] == ["1", "4"]
    before = file.read_text("utf-8")
    with pytest.raises(SystemExit, match="one, two"):
        report.main([str(file), "three"])
    assert file.read_text("utf-8") == before
