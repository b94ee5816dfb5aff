"""`glossator providers` and `glossator doctor` as a person reads them and as a program does."""

from __future__ import annotations

from pathlib import Path

from applications import environment_of, project, table
from e2e.command import glossator
from glossator_providers.testing import FakeProvider

# Five of them, two with names that are longer than there is room for; nobody is asked, so nobody has to be there.
KEY = "sk-ant" + "-api03-0123456789abcdefghijklmnop"
FIVE = """
[providers.local]
kind = "ollama"
model = "qwen2.5-coder:7b-instruct-q4_K_M"

[providers.work]
kind = "anthropic"
model = "claude-sonnet-5-5"

[providers.openai]
kind = "openai"
model = "gpt-6-sol"

[providers.company-bedrock]
kind = "bedrock"
base_url = "https://bedrock-runtime.eu-central-1.amazonaws.com"
model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"

[providers.company-gateway]
kind = "openai-compatible"
base_url = "https://gateway.example.test/v1"
model = "company/code-assistant-large-2026-11"
capabilities = { edit_format = "region" }
"""


async def test_five_providers_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    """Two lines for each, none longer than the terminal; what must be cut is the model's name, and never a price or a state."""
    folder = project(tmp_path / "work", {})
    environment = environment_of(tmp_path / "user", FIVE, COLUMNS="80", ANTHROPIC_API_KEY=KEY)
    done = await glossator("providers", environment=environment, folder=folder)
    lines = done.out.splitlines()
    assert len(lines) == 1 + 2 * 5
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1::2]] == [
        "local",
        "work",
        "openai",
        "company-bedrock",
        "company-gateway",
    ]
    assert [line.split("  ")[-1].strip() for line in lines[1::2]] == ["ready", "ready", "no key", "ready", "ready"]
    assert "$2/10" in lines[3]
    assert lines[4] == "  anthropic · 1M tokens of context · reasoning, caching, tools"
    narrow = await glossator("providers", environment=environment | {"COLUMNS": "60"}, folder=folder)
    assert max(map(len, narrow.out.splitlines())) <= 72


async def test_a_program_reads_everything_of_a_provider(tmp_path: Path) -> None:
    """Every row holds what the documentation names, and the form in which a change is asked for."""
    folder = project(tmp_path / "work", {})
    done = await glossator("providers", "--json", environment=environment_of(tmp_path / "user", FIVE), folder=folder)
    rows = {row["name"]: row for row in done.json["providers"]}
    for row in rows.values():
        assert row.keys() >= {"name", "kind", "local", "model", "capabilities", "price", "state", "latency"}
    forms = {name: row["edit_format"] for name, row in rows.items()}
    assert forms == {
        "local": "region",
        "work": "region-and-blocks",
        "openai": "region-and-blocks",
        "company-bedrock": "region-and-blocks",
        "company-gateway": "region",
    }


async def test_the_doctor_asks_those_who_may_be_asked(tmp_path: Path) -> None:
    """A provider that answers is fine; one that does not is a problem with a sentence; one without a list is neither."""
    folder = project(tmp_path / "work", {})
    async with FakeProvider(models=("fake-model",)) as fake, FakeProvider() as other:
        gone = other.base_url
        await other.stop()
        silent = fake.base_url.removesuffix("/v1") + "/nothing"
        environment = environment_of(
            tmp_path / "user",
            table(fake),
            f'[providers.gone]\nkind = "openai-compatible"\nbase_url = "{gone}"\nmodel = "m"\n',
            f'[providers.slip]\nkind = "openai-compatible"\nbase_url = "{silent}"\nmodel = "m"\n',
        )
        done = await glossator("doctor", "--json", environment=environment, folder=folder)
    found = {one["what"]: one for one in done.json["findings"] if one["what"].startswith("model ")}
    assert done.code == 1
    assert (found["model fake"]["state"], found["model fake"]["detail"]) == ("ok", "local, fake-model, up")
    assert found["model gone"]["state"] == "problem"
    assert "nobody answers at" in found["model gone"]["advice"]
