"""In which form a model is asked for a change: by the user's word, by what it is, and by where it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glossator_providers.capabilities import edit_format, of
from glossator_providers.catalog import ROWS, Capabilities, EditFormat, Provider
from glossator_providers.config import Config, json_schema, providers
from glossator_providers.traits import is_small


@pytest.mark.parametrize(
    ("model", "small"),
    [
        ("qwen2.5-coder:1.5b", True),
        ("qwen2.5-coder:32b-instruct-q4_K_M", True),
        ("qwen3-coder:30b-a3b", True),
        ("qwen3-coder-480b-a35b-instruct", False),
        ("llama-3.1-405b", False),
        ("meta.llama3-1-70b-instruct-v1:0", False),
        ("mixtral-8x7b", True),
        ("openai/gpt-oss-20b", True),
        ("openai/gpt-oss-120b", False),
        ("command-r7b-12-2024", True),
        ("gemma-3-270m-it", True),
        ("SmolLM2-135M-Instruct", True),
        ("/models/Qwen3-4B-Q4_K_M.gguf", True),
        ("gpt-4o-mini", True),
        ("gpt-4.1-nano", True),
        ("gpt-4o", None),
        ("claude-haiku-4-5", None),
        ("claude-3-haiku-20240307", True),
        ("gemini-3.8-flash", None),
        ("llama3.2", None),
    ],
)
def test_a_name_tells_whether_a_model_is_small(model: str, *, small: bool | None) -> None:
    """The number of parameters in a name counts, then the vendors' small families; else nothing is claimed."""
    assert is_small(model) is small


def provider(kind: str, model: str, *, said: EditFormat | None = None, toy: bool = False) -> Provider:
    """Make a provider of this kind, of whose model the user says this."""
    row = ROWS[kind]
    address = row.base_url or "https://example.test/v1"
    return Provider(kind, row, model, address, toy=toy, capabilities=Capabilities(edit_format=said))


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        (provider("anthropic", "claude-sonnet-5-5"), "region-and-blocks"),
        (provider("groq", "llama-3.1-8b-instant"), "region"),
        (provider("ollama", "llama3.2"), "region"),
        (provider("vllm", "qwen3-coder-480b-a35b"), "region-and-blocks"),
        (provider("embedded", "toy", toy=True), "code"),
        (provider("embedded", "toy", toy=True, said="region"), "region"),
        (provider("ollama", "llama3.2", said="region-and-blocks"), "region-and-blocks"),
        (provider("anthropic", "claude-sonnet-5-5", said="code"), "code"),
    ],
)
def test_a_model_is_asked_in_a_form_that_it_masters(asked: Provider, form: str) -> None:
    """The user's word counts most; a small model writes the region alone, a toy just the code, and a local one is taken for small."""
    assert edit_format(asked) == form
    assert of(asked).edit_format == form


def test_the_form_is_set_in_the_configuration() -> None:
    """It is a capability like the others, the schema names its words, and another word is a mistake."""
    table = {"providers": {"x": {"kind": "groq", "capabilities": {"edit_format": "region"}}}}
    (found,) = providers(Config.model_validate(table), {})
    assert edit_format(replace(found, model="openai/gpt-oss-120b")) == "region"
    with pytest.raises(ValueError, match="region-and-blocks"):
        Config.model_validate({"providers": {"x": {"kind": "groq", "capabilities": {"edit_format": "diff"}}}})
    assert "region-and-blocks" in str(json_schema()["$defs"]["CapabilitySettings"]["properties"]["edit_format"])
