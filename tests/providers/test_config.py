"""The configuration: who may say what, and that whoever comes later can only be stricter."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glossator_providers import config
from glossator_providers.config import Loaded, Sources
from glossator_providers.config_file import line_of
from glossator_providers.errors import ConfigError


class Places:
    """The files of one test, written where `load` looks for them."""

    def __init__(self, folder: Path) -> None:
        self.user = folder / "config.toml"
        self.organisation = folder / "policy.toml"
        self.second = folder / "second-policy.toml"
        self.root = folder / "project"
        self.root.mkdir()
        self.project = self.root / ".glossator.toml"

    def load(self, environment: Mapping[str, str] | None = None, editor: Mapping[str, Any] | None = None) -> Loaded:
        """Load everything that was written."""
        return config.load(
            Sources(environment or {}, self.user, (self.organisation, self.second), (self.root,), editor)
        )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Give a place for each file, none of them written yet."""
    return Places(tmp_path)


WHOLE = """
[providers.work]
kind = "anthropic"
model = "claude-sonnet-5-5"
base_url = "https://gateway.example/anthropic"
key_env = "ANTHROPIC_API_KEY"
max_tokens = 4096
timeout = { connect = 5, first_token = 30, idle = 20, total = 120 }
limits = { requests_per_minute = 50, tokens_per_minute = 100000 }

[router]
strategy = "local-first"
order = ["ollama", "work"]
groups = { review = ["work", "ollama"] }

[privacy]
private = ["infra/**"]
never = ["**/payroll/**"]
trusted_hosts = []
on_secret = "local"

[budget]
daily = { hard = 5.00, soft = 3.00 }
"""


def test_the_documented_example_is_understood(places: Places) -> None:
    """Every key of the documentation is accepted and arrives where it is used."""
    places.user.write_text(WHOLE)
    loaded = places.load({"ANTHROPIC_API_KEY": "k-1"})
    (work,) = config.providers(loaded.config, {"ANTHROPIC_API_KEY": "k-1"})
    assert (work.name, work.row.kind, work.model) == ("work", "anthropic", "claude-sonnet-5-5")
    assert work.key is not None
    assert work.key.reveal() == "k-1"
    assert (work.timeouts.first_token, work.max_tokens, work.found) == (30, 4096, False)
    assert config.policy(loaded.config).private == ("infra/**",)
    assert loaded.origins["router.order"] == str(places.user)
    assert not loaded.problems
    assert (work.limits.requests_per_minute, work.limits.tokens_per_minute) == (50, 100_000)


def test_nothing_written_is_no_configuration(places: Places) -> None:
    """Without files and variables there are defaults, no providers and no problems."""
    loaded = places.load()
    assert config.providers(loaded.config, {}) == ()
    assert loaded.problems == ()
    assert loaded.config.router.strategy == "local-first"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[providers.x]\nkind = "antropic"',
            "config.toml:2: providers.x.kind: the kind 'antropic' is not known; did you mean",
        ),
        (
            '[privacy]\n\nprivat = ["a"]',
            "config.toml:3: privacy.privat: this key is not known; did you mean 'private'?",
        ),
        ("[provider.x]\nkind = 'openai'", "config.toml:1: provider: this key is not known; did you mean 'providers'?"),
        ('[providers.x]\nkind = "openai"\ntimeout = { idel = 3 }', "did you mean 'idle'?"),
        (
            '[providers.x]\nkind = "openai"\napi_key = "k-secret"',
            "config.toml:3: providers.x.api_key: a key never stands in a file",
        ),
        ('[privacy]\nprivate = "infra"', "config.toml:2: privacy.private:"),
        ('[router]\norder = ["wrk"]\n[providers.work]\nkind = "openai"', "did you mean 'work'?"),
        (
            '[router]\nstrategy = "fastst"',
            "config.toml:2: router.strategy: the strategy 'fastst' is not known; did you mean",
        ),
        ('[router]\nquota = "http://h"', "this is not the address of a store"),
        ('[router]\nquota = "redis://u:k-secret@h"', "name it with quota_env"),
        ('[router]\nquota = "redis://h"\nquota_env = "Q"', "quota and quota_env exclude each other"),
        ('[[router.rules]]\nuse = "fastest"', "a rule needs tasks"),
        ('[[router.rules]]\ntasks = ["explain"]\nuse = "nobody"', "[router] names the provider 'nobody'"),
        ('[[router.rules]]\ntasks = ["explain"]\nuse = ["ollama", "nobody"]', "names the provider 'nobody'"),
        ('[[router.rules]]\ntasks = ["explain"]\nuse = "mine:choose"', "a rule cannot use the function 'mine:choose'"),
        (
            '[[router.rules]]\ntasks = ["explain"]\nuse = ["mine:choose"]',
            "a rule cannot use the function 'mine:choose'",
        ),
        ('[router]\nsplit = { between = ["a", "ollama"] }', "[router] names the provider 'a'"),
        ("[router]\nstrategy = ", "config.toml:2: this is not TOML"),
        ('[providers.x]\nkind = "openai-compatible"\nmodel = "m"', "needs a base_url"),
        ('[providers.x]\nkind = "embedded"', "name the model"),
        ('[providers.x]\nkind = "openai"\nbase_url = "https://u:k-secret@h"', "an address holds no user"),
        ('[providers.x]\nkind = "openai"\nbase_url = "ftp://h"', "this is not an address"),
        ('[providers.x]\nkind = "openai"\nbase_url = "https://h:99999"', "this is not an address"),
        ('[providers.x]\nkind = "openai"\nkey_env = "A"\nkey_command = ["b"]', "exclude each other"),
        ('[providers.x]\nkind = "openai"\nbase_url = "https://elsewhere.example/v1"', 'key_env = "OPENAI_API_KEY"'),
        ("[providers.x]\nkind = 'openai'\nmax_tokens = 0", "config.toml:3: providers.x.max_tokens:"),
        ('providers = "k-secret"', "config.toml:1: providers:"),
    ],
)
def test_a_mistake_of_the_user_is_told_by_file_line_and_key(places: Places, text: str, said: str) -> None:
    """A broken file stops with one sentence that shows the place and never a value that could be a key."""
    places.user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        places.load()
    assert said in str(caught.value)
    assert "k-secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = 1\n\xff", b"x" * (2 << 20)])
def test_a_file_that_is_no_text_is_told(places: Places, content: bytes) -> None:
    """Bytes that are no UTF-8, or far too many, are an error that names the file."""
    places.user.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        places.load()


def test_a_folder_in_place_of_the_file_is_told(places: Places) -> None:
    """What cannot be read is an error, not an absence."""
    places.user.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        places.load()


def test_a_key_stays_with_its_origin(places: Places) -> None:
    """The usual key goes to the usual address only: a loopback address gets it only if the user names it there."""
    places.user.write_text(
        '[providers.own]\nkind = "openai"\n'
        '[providers.near]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[providers.named]\nkind = "openai"\nbase_url = "https://gateway.example/v1"\nkey_env = "OPENAI_API_KEY"\n'
        '[providers.spelled]\nkind = "openai"\nbase_url = "https://API.openai.com:443/v1/"\n'
    )
    environment = {"OPENAI_API_KEY": "k-1"}
    keys = {p.name: p.key for p in config.providers(places.load(environment).config, environment)}
    assert [name for name, key in keys.items() if key is not None] == ["own", "named", "spelled"]


def test_a_key_that_can_be_no_key_fails_only_its_own_calls(places: Places) -> None:
    """A broken variable is told when that provider is asked; the other providers work."""
    places.user.write_text('[providers.a]\nkind = "openai"\n[providers.b]\nkind = "anthropic"\n')
    environment = {"OPENAI_API_KEY": "two\nlines", "ANTHROPIC_API_KEY": "k"}
    a, b = config.providers(places.load(environment).config, environment)
    assert a.key is not None
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        a.key.reveal()
    assert b.key is not None
    assert b.key.reveal() == "k"


def test_a_key_command_runs_when_the_key_is_needed(places: Places, tmp_path: Path) -> None:
    """Reading the configuration runs nothing."""
    mark = tmp_path / "ran"
    places.user.write_text(f'[providers.a]\nkind = "openai"\nkey_command = ["sh", "-c", "touch {mark}; echo k-2"]\n')
    (a,) = config.providers(places.load().config, {})
    assert not mark.exists()
    assert a.key is not None
    assert a.key.reveal() == "k-2"


def test_without_configuration_the_usual_keys_are_found() -> None:
    """A provider is found by its key variable, in its vendor's or its other name, and is marked as found."""
    found = config.providers(config.Config(), {"CLAUDE_API_KEY": "k", "XAI_API_KEY": " ", "OLLAMA_HOST": "x"})
    assert [(p.name, p.found, p.local) for p in found] == [("anthropic", True, False)]


def test_the_customary_variables_choose_a_kind(places: Places) -> None:
    """LLM_PROVIDER with its companions is a whole configuration."""
    environment = {
        "LLM_PROVIDER": "claude",
        "LLM_API_KEY": "k-3",
        "LLM_MODEL": "m",
        "LLM_MAX_TOKENS": "77",
        "LLM_TIMEOUT": "9",
        "LLM_MAX_RETRIES": "0",
    }
    loaded = places.load(environment)
    (provider,) = config.providers(loaded.config, environment)
    assert (provider.name, provider.model, provider.max_tokens) == ("anthropic", "m", 77)
    assert (provider.timeouts.total, provider.timeouts.idle) == (9, 20)
    assert provider.key is not None
    assert provider.key.reveal() == "k-3"
    assert (loaded.config.router.max_retries, loaded.config.router.order) == (0, ("anthropic",))


def test_the_customary_variables_choose_among_the_configured(places: Places) -> None:
    """A configured name is put first and keeps its own key."""
    places.user.write_text(WHOLE)
    environment = {"LLM_PROVIDER": "work", "LLM_MODEL": "m2", "LLM_API_KEY": "k-4", "ANTHROPIC_API_KEY": "k-1"}
    loaded = places.load(environment)
    (work,) = config.providers(loaded.config, environment)
    assert (work.model, loaded.config.router.order) == ("m2", ("work", "ollama"))
    assert work.key is not None
    assert work.key.reveal() == "k-1"
    assert any("own key" in problem.message for problem in loaded.problems)


@pytest.mark.parametrize(
    "environment",
    [{"LLM_PROVIDER": "nobody"}, {"LLM_PROVIDER": "openai", "LLM_MAX_TOKENS": "many"}, {"LLM_MAX_RETRIES": "-1"}],
)
def test_customary_variables_that_make_no_sense_are_told(places: Places, environment: dict[str, str]) -> None:
    """A wrong variable is an error that says LLM_."""
    with pytest.raises(ConfigError, match="LLM_"):
        places.load(environment)


def test_a_project_can_only_forbid(places: Places) -> None:
    """A repository's file adds forbidden paths; endpoints, keys, commands and looser rules are ignored and named."""
    places.user.write_text('[privacy]\nprivate = ["a"]\non_secret = "refuse"\n')
    places.project.write_text(
        '[privacy]\nprivate = ["b"]\nnever = ["c"]\non_secret = "local"\ntrusted_hosts = ["evil.example"]\n'
        '[providers.evil]\nkind = "openai"\nbase_url = "https://evil.example"\nkey_command = ["touch", "/nowhere"]\n'
        '[router]\norder = ["evil"]\nstrategy = "priority"\n'
    )
    loaded = places.load()
    privacy = loaded.config.privacy
    assert (privacy.private, privacy.never, privacy.on_secret) == (("a", "b"), ("c",), "refuse")
    assert privacy.trusted_hosts == ()
    assert loaded.config.providers == {}
    assert loaded.config.router == config.RouterSettings()
    assert {problem.message.split(" ")[0] for problem in loaded.problems} == {
        "providers",
        "router",
        "privacy.trusted_hosts",
    }
    assert loaded.origins["privacy.private"] == f"{places.user}, {places.project}"


@pytest.mark.parametrize(
    "content",
    [
        b"[privacy",
        b"\xff",
        b"privacy = 5",
        b'[privacy]\nprivate = "infra"',
        b"[privacy]\nnever = [1]",
        b"x" * (2 << 20),
    ],
)
def test_a_broken_project_file_closes_the_workspace(places: Places, content: bytes) -> None:
    """What a repository meant to forbid is not known, so nothing of it leaves the machine, and that is said."""
    places.project.write_bytes(content)
    loaded = places.load()
    assert loaded.config.privacy.private == ("**",)
    assert "stays on this machine until" in str(loaded.problems[0])


def test_a_project_file_that_is_a_folder_closes_the_workspace(places: Places) -> None:
    """Something that stands there and cannot be read is not the same as nothing."""
    places.project.mkdir()
    assert places.load().config.privacy.private == ("**",)


def test_the_organisation_tightens_everything(places: Places) -> None:
    """Its lists are added, its stricter word counts, and only hosts that it lists may be trusted."""
    places.user.write_text(
        '[privacy]\nprivate = ["a"]\ntrusted_hosts = ["box", "gpu"]\n[budget]\ndaily = { hard = 9 }\n'
    )
    places.organisation.write_text(
        '[privacy]\nprivate = ["b"]\non_secret = "refuse"\ntrusted_hosts = ["gpu"]\n[budget]\ndaily = { hard = 5, soft = 3 }\n'
    )
    loaded = places.load()
    privacy = loaded.config.privacy
    assert (privacy.private, privacy.on_secret, privacy.trusted_hosts) == (("a", "b"), "refuse", ("gpu",))
    assert loaded.config.budget.daily == config.Limit(hard=5, soft=3)
    assert any("box" in problem.message for problem in loaded.problems)


def test_a_second_policy_only_tightens_the_first(places: Places) -> None:
    """Whoever sets a variable of the environment cannot loosen what the organisation wrote."""
    places.organisation.write_text('[privacy]\nnever = ["pay/**"]\ntrusted_hosts = ["10.0.0.7"]')
    places.second.write_text('[privacy]\nprivate = ["x/**"]\ntrusted_hosts = ["10.0.0.7", "10.6.6.6"]')
    privacy = places.load().config.privacy
    assert (privacy.never, privacy.private, privacy.trusted_hosts) == (("pay/**",), ("x/**",), ("10.0.0.7",))


def test_a_policy_that_is_named_and_not_there_stops(places: Places) -> None:
    """A policy that somebody named holds something back: without it nothing is let go."""
    environment = {"GLOSSATOR_CONFIG": str(places.user), "GLOSSATOR_POLICY": str(places.organisation)}
    sources = config.standard_sources(roots=[places.root], environment=environment)
    with pytest.raises(ConfigError, match=r"policy\.toml.*GLOSSATOR_POLICY"):
        config.load(sources)
    places.organisation.write_text('[privacy]\nnever = ["pay/**"]')
    assert config.load(sources).config.privacy.never == ("pay/**",)


def test_a_broken_policy_of_the_organisation_stops(places: Places) -> None:
    """A policy that is not understood is not guessed at."""
    places.organisation.write_text('[providers.x]\nkind = "openai"')
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        places.load()


def test_the_editor_brings_no_address_key_or_command(places: Places) -> None:
    """Settings that a repository could have slipped into the editor choose among what the user configured, and tighten."""
    places.user.write_text('[providers.work]\nkind = "anthropic"\n[privacy]\nprivate = ["a"]\n')
    loaded = places.load(
        editor={
            "providers": {
                "work": {"model": "m3", "base_url": "https://evil.example", "key_command": ["x"]},
                "evil": {"kind": "openai", "base_url": "https://evil.example"},
            },
            "privacy": {"never": ["b"], "trusted_hosts": ["evil.example"]},
            "router": {"strategy": "priority", "quota": "redis://evil.example", "hedge": True},
            "trace": {"server": "off"},
        }
    )
    (work,) = config.providers(loaded.config, {})
    assert (work.model, work.base_url, work.key) == ("m3", "https://api.anthropic.com", None)
    assert (loaded.config.privacy.private, loaded.config.privacy.never) == (("a",), ("b",))
    assert (loaded.config.privacy.trusted_hosts, loaded.config.router.strategy) == ((), "priority")
    assert {problem.message.split(" ")[0] for problem in loaded.problems} == {
        "providers.work.base_url",
        "providers.work.key_command",
        "providers.evil",
        "privacy.trusted_hosts",
        "router.quota",
        "router.hedge",
        "trace",
    }
    assert loaded.origins["providers.work.model"] == "the editor's settings"


def test_the_editor_names_no_function_to_run(places: Places) -> None:
    """A strategy that is a function would run what a repository holds: only the user's own file names one."""
    loaded = places.load(editor={"router": {"strategy": "evil.module:choose"}})
    assert loaded.config.router.strategy == "local-first"
    assert [problem.message.split(" ")[0] for problem in loaded.problems] == ["router.strategy"]


def test_a_rule_takes_several_providers_in_their_order(places: Places) -> None:
    """A list of groups and providers is as good as one name."""
    places.user.write_text(
        '[providers.a]\nkind = "ollama"\n[providers.b]\nkind = "ollama"\n[router]\ngroups = { both = ["b", "a"] }\n'
        '[[router.rules]]\ntasks = ["explain"]\nuse = ["both", "a"]\n'
    )
    (rule,) = places.load().config.router.rules
    assert rule.use == ("both", "a")


def test_an_installed_strategy_is_named_in_the_user_s_own_file_alone(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of an entry point is as good as that of a function, and an editor's settings name neither."""
    entry = importlib.metadata.EntryPoint("mine", "operator:itemgetter", "glossator.strategies")
    monkeypatch.setattr(importlib.metadata, "entry_points", importlib.metadata.EntryPoints([entry]).select)
    places.user.write_text('[router]\nstrategy = "mine"\n')
    assert places.load().config.router.strategy == "mine"
    places.user.write_text("")
    loaded = places.load(editor={"router": {"strategy": "mine"}})
    assert loaded.config.router.strategy == "local-first"
    assert [problem.message.split(" ")[0] for problem in loaded.problems] == ["router.strategy"]


@pytest.mark.parametrize("editor", [{"privacy": 5}, {"privacy": {"privat": []}}, {"router": {"strategy": 1}}])
def test_editor_settings_that_make_no_sense_are_told(places: Places, editor: dict[str, Any]) -> None:
    """What the editor meant to forbid is not guessed at either."""
    with pytest.raises(ConfigError, match="the editor's settings"):
        places.load(editor=editor)


def test_local_kinds_get_the_path_of_their_api(places: Places) -> None:
    """`http://127.0.0.1:9090` for a llama.cpp means its API below /v1; a path of the user's stays."""
    places.user.write_text(
        '[providers.a]\nkind = "llamacpp"\nbase_url = "http://127.0.0.1:9090/"\n'
        '[providers.b]\nkind = "llamacpp"\nbase_url = "http://127.0.0.1:9090/other"\n'
        '[providers.c]\nkind = "ollama"\nbase_url = "http://127.0.0.1:9090"\n'
    )
    found = config.providers(places.load().config, {})
    assert [p.base_url[-6:] for p in found] == ["090/v1", "/other", "1:9090"]
    assert found[0].timeouts == config.LOCAL_TIMEOUTS


@pytest.mark.parametrize("end", ["", "/", "/openai", "/openai/v1/"])
@pytest.mark.parametrize("kind", ["azure", "azure-responses"])
def test_a_resource_of_azure_is_named_in_any_customary_form(places: Places, kind: str, end: str) -> None:
    """Its address may end with the API; the version chooses the older one; the usual variables hold the key."""
    written = f'[providers.a]\nkind = "{kind}"\nmodel = "mine"\nbase_url = "https://r.openai.azure.com{end}"\n'
    places.user.write_text(written)
    environment = {"AZURE_OPENAI_API_KEY": "0123456789abcdef"}
    (provider,) = config.providers(places.load().config, environment)
    assert (provider.base_url, provider.model, provider.api_version) == ("https://r.openai.azure.com", "mine", None)
    assert provider.key is not None
    places.user.write_text(f'{written}api_version = "2024-10-21"\n')
    assert config.providers(places.load().config, environment)[0].api_version == "2024-10-21"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "azure"\nbase_url = "https://r.openai.azure.com"', "needs a model"),
        ('kind = "openai"\napi_version = "2024-10-21"', "api_version is a setting of azure"),
        ('kind = "azure"\nmodel = "m"\nbase_url = "https://r.example"\napi_version = "1&x=2"', "api_version"),
    ],
)
def test_what_azure_needs_is_told(places: Places, text: str, said: str) -> None:
    """A resource and a deployment are needed, and its version belongs to nobody else."""
    places.user.write_text(f"[providers.a]\n{text}\n")
    with pytest.raises(ConfigError, match=said):
        places.load()


KEYS = {"AWS_BEARER_TOKEN_BEDROCK": "ABSK0123456789abcdef", "AZURE_OPENAI_API_KEY": "0123456789abcdef0123456789abcdef"}


@pytest.mark.parametrize(
    ("kind", "host", "ours"),
    [
        ("bedrock", "bedrock-runtime.us-east-1.amazonaws.com", True),
        ("bedrock", "BEDROCK-runtime-fips.us-gov-west-1.amazonaws.com", True),
        ("bedrock", "vpce-0a1-x.bedrock-runtime.eu-central-1.vpce.amazonaws.com", True),
        ("bedrock", "bedrock-runtime.cn-north-1.amazonaws.com.cn", True),
        ("bedrock", "bedrock-runtime.us-east-1.amazonaws.com.evil.example", False),
        ("bedrock", "evil.execute-api.us-east-1.amazonaws.com", False),
        ("bedrock", "ec2-203-0-113-9.compute.amazonaws.com", False),
        ("bedrock", "evilbedrock-runtime.us-east-1.amazonaws.com", False),
        ("azure", "r.openai.azure.com", True),
        ("azure-responses", "r.services.ai.azure.com", True),
        ("azure", "r.cognitiveservices.azure.us", True),
        ("azure", "evil.westus.cloudapp.azure.com", False),
        ("azure", "openai.azure.com.evil.example", False),
        ("azure", "evilopenai.azure.com", False),
    ],
)
def test_a_key_of_a_cloud_goes_to_that_clouds_own_hosts_alone(kind: str, host: str, *, ours: bool) -> None:
    """The usual variable is sent to no other address, not even to another customer's server there, unless key_env names it."""
    table = {"kind": kind, "model": "m", "base_url": f"https://{host}"}
    if ours:
        (found,) = config.providers(config.Config.model_validate({"providers": {"x": table}}), KEYS)
        assert found.key is not None
        return
    with pytest.raises(ValueError, match="credentials are not sent there: name the key for it with key_env"):
        config.Config.model_validate({"providers": {"x": table}})
    named = config.Config.model_validate({"providers": {"x": {**table, "key_env": "MINE"}}})
    (found,) = config.providers(named, {**KEYS, "MINE": "k"})
    assert found.key is not None
    assert found.key.source == "MINE"


@pytest.mark.parametrize("kind", ["bedrock", "azure"])
def test_a_server_on_this_machine_gets_no_clouds_key(kind: str) -> None:
    """A loopback address is asked without the usual variable, as for all others."""
    table = {"kind": kind, "model": "m", "base_url": "http://127.0.0.1:9"}
    (found,) = config.providers(config.Config.model_validate({"providers": {"x": table}}), KEYS)
    assert found.key is None


def test_azures_address_may_come_with_its_key() -> None:
    """Without base_url the variables of its official library are read; a version only beside their address; a bad one is named."""
    read = functools.partial(
        config.providers, config.Config.model_validate({"providers": {"a": {"kind": "azure", "model": "mine"}}})
    )
    beside = {**KEYS, "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/", "OPENAI_API_VERSION": "2024-10-21"}
    (found,) = read(beside)
    assert (found.base_url, found.api_version) == ("https://r.openai.azure.com", "2024-10-21")
    assert found.key is not None
    written = {"kind": "azure", "model": "mine", "base_url": "https://other.openai.azure.com"}
    (own,) = config.providers(config.Config.model_validate({"providers": {"a": written}}), beside)
    assert (own.base_url, own.api_version) == ("https://other.openai.azure.com", None)
    with pytest.raises(ConfigError, match="needs a base_url, or AZURE_OPENAI_ENDPOINT"):
        read(KEYS)
    for bad in ("r.openai.azure.com", "https://user:word@r.openai.azure.com"):
        with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT: "):
            read({**KEYS, "AZURE_OPENAI_ENDPOINT": bad})
    with pytest.raises(ConfigError, match="OPENAI_API_VERSION"):
        read({**beside, "OPENAI_API_VERSION": "1&x=2"})
    assert config.providers(config.Config(), beside) == (), "which deployment is meant, no variable says"


def test_one_key_finds_one_provider() -> None:
    """A vendor with two protocols is found once; the second protocol is for those who ask for it."""
    environment = {"OPENAI_API_KEY": "sk-0123456789abcdef", "XAI_API_KEY": "xai-0123456789", "CO_API_KEY": "0123456789"}
    found = config.providers(config.Config(), environment)
    assert [provider.name for provider in found] == ["openai", "xai", "cohere"]


def test_the_schema_describes_what_is_accepted() -> None:
    """The JSON schema is JSON and knows every kind and every section."""
    schema = json.loads(json.dumps(config.json_schema()))
    assert set(schema["properties"]) == {"providers", "router", "privacy", "budget", "cache"}
    assert "ollama" in schema["$defs"]["ProviderSettings"]["properties"]["kind"]["enum"]


def test_the_standard_places_can_be_moved() -> None:
    """GLOSSATOR_CONFIG and GLOSSATOR_POLICY name other files."""
    sources = config.standard_sources(
        roots=["/w"], environment={"GLOSSATOR_CONFIG": "/c.toml", "GLOSSATOR_POLICY": "/p.toml"}
    )
    assert (sources.user, sources.organisation, sources.roots) == (
        Path("/c.toml"),
        (config.ORGANISATION_FILE, Path("/p.toml")),
        (Path("/w"),),
    )
    usual = config.standard_sources(environment={})
    assert (usual.user.name, usual.organisation) == ("config.toml", (config.ORGANISATION_FILE,))


def test_files_that_say_nothing_of_secrets_leave_them_to_the_user(places: Places) -> None:
    """Redaction, the loosest choice, is the user's own; what the organisation says tightens it, its silence does not."""
    places.user.write_text('[privacy]\non_secret = "redact"\n')
    places.project.write_text('[privacy]\nprivate = ["a"]\n')
    places.organisation.write_text('[privacy]\nnever = ["b"]\n')
    assert places.load().config.privacy.on_secret == "redact"
    assert config.policy(places.load().config).on_secret == "redact"
    places.organisation.write_text('[privacy]\non_secret = "local"\n')
    assert places.load().config.privacy.on_secret == "local"


patterns = st.lists(st.sampled_from(["a", "b/**", "*.pem", "**"]), max_size=3).map(tuple)


@given(
    user=st.fixed_dictionaries(
        {"private": patterns, "never": patterns, "on_secret": st.sampled_from(["redact", "local", "refuse"])}
    ),
    project=st.dictionaries(
        st.sampled_from(["private", "never", "on_secret", "trusted_hosts", "other"]),
        st.one_of(patterns.map(list), st.sampled_from(["redact", "local", "refuse", "x"]), st.integers()),
    ),
    rest=st.dictionaries(st.sampled_from(["providers", "router", "budget", "x"]), st.just({"y": 1})),
)
def test_no_project_file_loosens_anything(
    tmp_path_factory: pytest.TempPathFactory, user: dict[str, Any], project: dict[str, Any], rest: dict[str, Any]
) -> None:
    """Whatever stands in a repository's file, all that was forbidden before stays forbidden, and nothing else changes."""
    places = Places(tmp_path_factory.mktemp("case"))
    places.user.write_text("[privacy]\n" + _toml(user))
    before = places.load().config
    places.project.write_text(
        "".join(f"[{name}]\n{_toml(table)}" for name, table in rest.items()) + "[privacy]\n" + _toml(project)
    )
    after = places.load().config
    assert set(before.privacy.private) <= set(after.privacy.private)
    assert set(before.privacy.never) <= set(after.privacy.never)
    strictness = ["redact", "local", "refuse"]
    assert strictness.index(before.privacy.on_secret) <= strictness.index(after.privacy.on_secret)
    assert (after.providers, after.router, after.budget) == (before.providers, before.router, before.budget)
    assert after.privacy.trusted_hosts == before.privacy.trusted_hosts


def _toml(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def test_a_line_is_found_by_table_and_key() -> None:
    """Dotted keys, quoted keys and comments do not mislead the search for a line."""
    text = '# [a]\n[a."b c"]  # x\nd = 1\ne.f = 2\n[a]\n"g" = 3\n'
    assert line_of(text, ["a", "b c", "d"]) == 3
    assert line_of(text, ["a", "b c", "e", "f"]) == 4
    assert line_of(text, ["a", "g"]) == 6
    assert line_of(text, ["a", "b c", "missing"]) == 2
    assert line_of(text, ["nothing"]) is None


def test_who_pays_is_named_beside_the_key_of_openai() -> None:
    """The organization and the project come from the customary variables or the file, and go to OpenAI's own address alone."""
    environment = {
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_ORG_ID": "org-Ab1",
        "OPENAI_PROJECT_ID": "proj_Cd2",
        "GROQ_API_KEY": "g",
    }
    found = {one.name: (one.organization, one.project) for one in config.providers(config.Config(), environment)}
    assert found == {"openai": ("org-Ab1", "proj_Cd2"), "groq": (None, None)}
    table = {
        "mine": {"kind": "openai", "organization": "org-mine"},
        "proxy": {"kind": "openai", "base_url": "https://proxy.example.test/v1", "key_env": "OPENAI_API_KEY"},
    }
    configured = {
        one.name: (one.organization, one.project)
        for one in config.providers(config.Config.model_validate({"providers": table}), environment)
    }
    assert configured == {"mine": ("org-mine", "proj_Cd2"), "proxy": (None, None)}
    with pytest.raises(ValueError, match="organization is OpenAI's"):
        config.Config.model_validate({"providers": {"g": {"kind": "groq", "organization": "org"}}})


def test_the_user_knows_a_model_better() -> None:
    """What the file says a model can do stands beside the provider; a word that is not known is a mistake."""
    said = {"context_tokens": 32_000, "sampling": False}
    table = {"providers": {"x": {"kind": "groq", "capabilities": said}}}
    (found,) = config.providers(config.Config.model_validate(table), {})
    assert (found.capabilities.context_tokens, found.capabilities.sampling, found.capabilities.tools) == (
        32_000,
        False,
        None,
    )
    with pytest.raises(ValueError, match="telepathy"):
        config.Config.model_validate({"providers": {"x": {"kind": "groq", "capabilities": {"telepathy": True}}}})
