"""What the user, the organisation, the project and the editor may say, put together so that the later can only be stricter.

* organisation  /etc/glossator/policy.toml, and $GLOSSATOR_POLICY beside it: [privacy] and [budget]; tightens everything
* user          $GLOSSATOR_CONFIG or the platform's configuration folder, glossator/config.toml: everything
* variables     LLM_PROVIDER LLM_MODEL LLM_API_KEY LLM_MAX_TOKENS LLM_TIMEOUT LLM_MAX_RETRIES: as the user
* project       .glossator.toml in a folder of the workspace: [privacy] stricter, all else ignored and said so
* editor        the editor's settings: an editor mixes the user's with the repository's, so they bring no address, key or command
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from glossator_providers.catalog import ROWS, Capabilities, EditFormat, Limits, Provider, Row, Timeouts, is_loopback
from glossator_providers.config_file import did_you_mean, mistake, read_table, validate
from glossator_providers.errors import ConfigError
from glossator_providers.privacy.policy import Policy
from glossator_providers.privacy.rules import LARGEST as LARGEST_RULES
from glossator_providers.privacy.rules import Rules
from glossator_providers.privacy.rules import parse as parse_rules
from glossator_providers.secrets import Secret, from_command, from_environment
from glossator_providers.strategies import BUILT_IN, GROUP, is_installed

ORGANISATION_FILE = Path("/etc/glossator/policy.toml")
EMBEDDED_ADDRESS = "http://localhost/v1"  # what an embedded model's requests say, whose socket is known once it runs
PROJECT_FILE = ".glossator.toml"
TOY = "toy"  # the model of an embedded provider that shows that any model runs

# What people call the kinds in LLM_PROVIDER.
_OTHER_NAMES = {"claude": "anthropic", "grok": "xai", "google": "gemini"}
_AZURE = ("azure", "azure-responses")
_VERSION = r"[\w.-]{1,64}"
_AZURE_ENDPOINT, _AZURE_VERSION = "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"
# Whose address is not one but many: their usual variables and credentials go nowhere else. Not all of AWS's and Azure's
# hosts count, for on most of them anybody may run a server.
_OWNERS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    "google": ("Google", re.compile(r".+\.googleapis\.com")),
    "aws": (  # https://docs.aws.amazon.com/general/latest/gr/bedrock.html, also in AWS's other partitions
        "AWS",
        re.compile(
            r"(?:.+\.)?bedrock(?:-runtime|-mantle)?(?:-fips)?\.[a-z0-9-]+\.(?:vpce\.)?"
            r"(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws|c2s\.ic\.gov|sc2s\.sgov\.gov)"
        ),
    ),
    "api-key": (  # https://learn.microsoft.com/azure/ai-services/cognitive-services-custom-subdomains
        "Azure",
        re.compile(r".+\.(?:openai|services\.ai|cognitiveservices)\.azure\.(?:com|us|cn)"),
    ),
}
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_STORES = ("redis", "rediss", "valkey", "valkeys")
# From the loosest to the strictest.
_ON_SECRET: tuple[Literal["redact", "local", "refuse"], ...] = ("redact", "local", "refuse")

# A model that is loaded first, or reads a long prompt on a laptop, takes its time; nobody else waits for it.
LOCAL_TIMEOUTS = Timeouts(connect=5, first_token=120, idle=60, total=600)

Name = Annotated[str, StringConstraints(pattern=r"^[\w][\w. /:-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Project = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}$")]
Location = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]  # it becomes a part of an address
Patterns = tuple[Annotated[str, StringConstraints(min_length=1)], ...]
RuleFiles = Annotated[Patterns, BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
_Amount = TypeVar("_Amount", int, float)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeoutSettings(_Table):
    """How long each part of an answer may take, in seconds; what is not said is 5, 30, 20, 120, on this machine 5, 120, 60, 600."""

    connect: Seconds | None = None
    first_token: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None


class LimitSettings(_Table):
    """How fast a provider may be asked."""

    requests_per_minute: int | None = Field(default=None, gt=0)
    tokens_per_minute: int | None = Field(default=None, gt=0)
    concurrent: int | None = Field(default=None, gt=0, description="requests at the same time")


class CapabilitySettings(_Table):
    """What the model can do, where you know better: a table of its own, for it is about the model and not the connection."""

    context_tokens: int | None = Field(default=None, gt=0)
    output_tokens: int | None = Field(default=None, gt=0)
    streaming: bool | None = None
    reasoning: bool | None = None
    caching: bool | None = None
    tools: bool | None = None
    sampling: bool | None = Field(default=None, description="temperature, top_p and top_k are taken")
    edit_format: EditFormat | None = Field(
        default=None,
        description="the form in which it is asked for a change: the region and SEARCH/REPLACE blocks for second places, "
        "the region alone, or just the code",
    )


class ProviderSettings(_Table):
    """One provider: a kind of the catalog with the user's choices; the key itself never stands here."""

    kind: str
    model: str | None = Field(default=None, min_length=1)
    base_url: str | None = None
    key_env: str | None = Field(default=None, min_length=1)
    key_command: tuple[str, ...] | None = Field(default=None, min_length=1)
    keychain: str | None = Field(default=None, min_length=1, description="the user name of an entry `glossator`")
    project: Project | None = Field(default=None, description="of Google Cloud, for Vertex AI; or of OpenAI")
    organization: Project | None = Field(default=None, description="of OpenAI, where a key belongs to several")
    location: Location | None = Field(default=None, description="of Google Cloud, for Vertex AI, such as us-central1")
    max_tokens: int = Field(default=4096, gt=0)
    api_version: str | None = Field(
        default=None, pattern=rf"^{_VERSION}$", description="of Azure's older API, whose address holds the deployment"
    )
    timeout: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings = LimitSettings()
    capabilities: CapabilitySettings = CapabilitySettings()

    @field_validator("kind")
    @classmethod
    def _know_the_kind(cls, kind: str) -> str:
        if kind not in ROWS:
            raise mistake(
                f"the kind {kind!r} is not known{did_you_mean(kind, ROWS)}; there are {', '.join(sorted(ROWS))}"
            )
        return kind

    @field_validator("base_url")
    @classmethod
    def _need_an_address(cls, url: str | None) -> str | None:
        return None if url is None else _checked_address(url)

    @model_validator(mode="after")
    def _belong_together(self) -> ProviderSettings:
        row = ROWS[self.kind]
        ways = [way for way in ("key_env", "key_command", "keychain") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise mistake(f"{' and '.join(ways)} exclude each other: keep one")
        if self.base_url is not None and self.kind == "embedded":
            raise mistake("an embedded model has no base_url: it runs in a process of its own")
        if self.base_url is None and row.base_url is None and self.kind not in ("embedded", *_AZURE):
            raise mistake(f"the kind {self.kind!r} needs a base_url")
        if self.model is None and self.kind == "embedded":
            raise mistake('name the model: model = "/path/to/model.gguf", or "toy" to see any model run')
        if self.model is None and row.default_model is None and not _is_local(self):
            raise mistake(f"the kind {self.kind!r} needs a model")
        if self.api_version is not None and self.kind not in _AZURE:
            raise mistake(f"api_version is a setting of {' and '.join(_AZURE)} alone: remove it")
        # A key belongs to the origin that it was configured with; a loopback address without a named key gets none.
        elsewhere = (
            self.base_url is not None and row.base_url is not None and _origin(self.base_url) != _origin(row.base_url)
        )
        if (
            row.auth in _OWNERS
            and self.base_url
            and not ways
            and not (_is_owners(self.base_url, row) or _is_local(self))
        ):
            owner, _ = _OWNERS[row.auth]
            same = f', even if it is the same: key_env = "{row.key_env[0]}"' if row.key_env else ""
            raise mistake(
                f"base_url is not an address of {owner}'s, so {owner}'s credentials are not sent there: name the key for it "
                f"with key_env{same}"
            )
        if elsewhere and row.key_env and not ways and not _is_local(self):
            raise mistake(
                f"base_url is not the address that {row.key_env[0]} belongs to: name the key for it with key_env, "
                f'even if it is the same: key_env = "{row.key_env[0]}"'
            )
        return self

    @model_validator(mode="after")
    def _know_who_pays(self) -> ProviderSettings:
        row = ROWS[self.kind]
        if (self.project and not row.project_env) or (self.location and row.auth != "google"):
            raise mistake(f"project and location are Google Cloud's: the kind {self.kind!r} has none")
        if self.organization and not row.organization_env:
            raise mistake(f"organization is OpenAI's: the kind {self.kind!r} has none")
        return self


class RuleSettings(_Table):
    """Who is asked for some of the requests: those of certain tasks, or those with a prompt larger than so many tokens."""

    tasks: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    larger_than: int | None = Field(default=None, gt=0, description="tokens of the prompt")
    use: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="a strategy, a group or a provider, or several groups and providers in their order"
    )

    @field_validator("use")
    @classmethod
    def _name_no_function(cls, use: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (use,) if isinstance(use, str) else use:
            if _FUNCTION.fullmatch(name):
                raise mistake(
                    f"a rule cannot use the function {name!r}: name strategies, groups or providers here, and a function "
                    "of your own as the strategy of [router]"
                )
        return use

    @model_validator(mode="after")
    def _say_when(self) -> RuleSettings:
        if not self.tasks and self.larger_than is None:
            raise mistake('a rule needs tasks, such as ["explain"], or larger_than, or both')
        return self


class SplitSettings(_Table):
    """Two providers compared in daily use: so large a share of the requests that either may answer goes to the second first."""

    between: tuple[str, str]
    share: float = Field(default=0.5, ge=0, le=1)


class BreakerSettings(_Table):
    """When a provider that fails is left alone: after so many failures within `window` seconds, for `rest` seconds at first."""

    failures: int = Field(default=5, gt=0, le=1000)
    window: Seconds = 60
    rest: Seconds = 30
    longest_rest: Seconds = 300


class RouterSettings(_Table):
    """Who is asked first."""

    strategy: str = Field(
        default="local-first",
        description=f"{', '.join(BUILT_IN)}, a function of your own as package.module:function, or the name of an entry point {GROUP}",
    )
    order: tuple[str, ...] = ()
    groups: dict[Name, tuple[str, ...]] = {}
    rules: tuple[RuleSettings, ...] = ()
    split: SplitSettings | None = None
    max_retries: int = Field(default=2, ge=0, le=20, description="how often one provider is asked again")
    breaker: BreakerSettings = BreakerSettings()
    hedge: bool = Field(
        default=False, description="ask a second provider when the first is later than it usually is: costs more"
    )
    check_idle: bool = Field(
        default=True,
        description="while you work, ask idle providers each minute for their list of models, which costs nothing, to know how they are",
    )
    quota: str | None = Field(
        default=None, description="redis://host:port of a store in which a team's limits are counted together"
    )
    quota_env: str | None = Field(
        default=None, min_length=1, description="the variable that holds that address, where it has a password"
    )

    @field_validator("strategy")
    @classmethod
    def _know_the_strategy(cls, strategy: str) -> str:
        if strategy not in BUILT_IN and not _FUNCTION.fullmatch(strategy) and not is_installed(strategy):
            raise mistake(
                f"the strategy {strategy!r} is not known{did_you_mean(strategy, BUILT_IN)}; there are "
                f"{', '.join(BUILT_IN)}, functions of your own as package.module:function, and the entry points {GROUP} of "
                "installed packages"
            )
        return strategy

    @field_validator("quota")
    @classmethod
    def _need_a_store(cls, quota: str | None) -> str | None:
        if quota is None:
            return None
        try:
            parts = urlsplit(quota)
            usable = parts.scheme in _STORES and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise mistake("this is not the address of a store such as redis://host:6379 or valkey://host:6379")
        if parts.username or parts.password:
            raise mistake("no password stands here: put the whole address into a variable and name it with quota_env")
        return quota

    @model_validator(mode="after")
    def _name_one_store(self) -> RouterSettings:
        if self.quota is not None and self.quota_env is not None:
            raise mistake("quota and quota_env exclude each other: keep one")
        return self


class PrivacySettings(_Table):
    """What may leave the machine."""

    private: Patterns = ()
    never: Patterns = ()
    trusted_hosts: Patterns = ()
    on_secret: Literal["local", "redact", "refuse"] = "local"  # noqa: S105  what to do with a secret, not one
    rules: RuleFiles = Field(
        default=(), description="files of rules as gitleaks reads them, from the folder of this file on"
    )
    allow: Patterns | None = Field(
        default=None,
        description="the only kinds (at their vendor's own address) and hosts (*.example.com: any below) that a request may leave "
        "the machine for",
    )
    deny: Patterns = Field(default=(), description="kinds and hosts of providers that are never asked")
    require_ledger: bool = Field(
        default=False, description="let nothing leave the machine that cannot be written into the egress ledger before"
    )


class Limit(_Table):
    """Money in US dollars, or tokens asked and answered: a warning at `soft`, no more at `hard`."""

    hard: float | None = Field(default=None, ge=0)
    soft: float | None = Field(default=None, ge=0)
    hard_tokens: int | None = Field(default=None, ge=0)
    soft_tokens: int | None = Field(default=None, ge=0)


class ProviderBudgetSettings(_Table):
    """How much may be spent with one provider."""

    daily: Limit | None = None
    monthly: Limit | None = None


class BudgetSettings(_Table):
    """How much may be spent beyond this machine in all, and with single providers."""

    daily: Limit | None = None
    monthly: Limit | None = None
    providers: dict[Name, ProviderBudgetSettings] = {}


class CacheSettings(_Table):
    """What is kept of answers; on disk only what models said of code that is open to any provider."""

    answers: Literal["disk", "memory"] = "disk"


class Config(_Table):
    """The whole configuration, as a user may write it."""

    providers: dict[Name, ProviderSettings] = {}
    router: RouterSettings = RouterSettings()
    privacy: PrivacySettings = PrivacySettings()
    budget: BudgetSettings = BudgetSettings()
    cache: CacheSettings = CacheSettings()

    @model_validator(mode="after")
    def _name_known_providers(self) -> Config:
        # A name that is no provider of this file may be one that is found by itself: those are called by their kind.
        known = {*self.providers, *ROWS, *self.router.groups}
        router = self.router
        named = [*router.order, *(name for group in router.groups.values() for name in group)]
        for rule in router.rules:
            named += rule.use if isinstance(rule.use, tuple) else () if rule.use in BUILT_IN else (rule.use,)
        named += router.split.between if router.split is not None else ()
        for name in named:
            if name not in known:
                raise mistake(
                    f"[router] names the provider {name!r}, which is not configured{did_you_mean(name, known)}"
                )
        payable = {*self.providers, *ROWS}
        for name in self.budget.providers:
            if name not in payable:
                raise mistake(
                    f"[budget] names the provider {name!r}, which is not configured{did_you_mean(name, payable)}"
                )
        return self


class _OrganisationFile(_Table):
    privacy: PrivacySettings = PrivacySettings()
    budget: BudgetSettings = BudgetSettings()


class _ProjectPrivacy(_Table):
    private: Patterns = ()
    never: Patterns = ()
    on_secret: Literal["local", "redact", "refuse"] | None = None
    allow: Patterns | None = None
    deny: Patterns = ()
    require_ledger: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings are read from; a file that does not exist says nothing."""

    environment: Mapping[str, str]
    user: Path
    organisation: tuple[Path, ...] = (ORGANISATION_FILE,)
    roots: tuple[Path, ...] = ()
    editor: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that was not obeyed, and why; the work goes on."""

    source: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The merged configuration; `origins` names the source of every value that is not a default, by its dotted key."""

    config: Config
    origins: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


def standard_sources(
    *, roots: Iterable[str | Path] = (), environment: Mapping[str, str], editor: Mapping[str, Any] | None = None
) -> Sources:
    """Return the places where settings are read from on this machine."""
    user = environment.get("GLOSSATOR_CONFIG")
    organisation = environment.get("GLOSSATOR_POLICY")
    return Sources(
        environment=environment,
        user=Path(user).expanduser() if user else platformdirs.user_config_path("glossator") / "config.toml",
        organisation=(ORGANISATION_FILE, *((Path(organisation).expanduser(),) if organisation else ())),
        roots=tuple(Path(root) for root in roots),
        editor=editor,
    )


def load(sources: Sources) -> Loaded:
    """Read and merge all sources; raise `ConfigError` for a broken file of the user or of the organisation."""
    named = sources.environment.get("GLOSSATOR_POLICY")
    if named and not Path(named).expanduser().exists():
        # Whoever names a policy wants something held back: going on without it would let it go.
        raise ConfigError(f"{named}: GLOSSATOR_POLICY names this file, and it is not there; correct or unset it")
    merge = _Merge()
    merge.take_user_file(sources.user)
    merge.take_variables(sources.environment)
    merge.take_editor(sources.editor or {})
    for root in sources.roots:
        merge.take_project_file(root / PROJECT_FILE)
    for path in sources.organisation:
        merge.take_organisation_file(path)
    for name in merge.config.privacy.rules:
        merge.problems += [Problem(name, problem) for problem in _own_rules([name]).problems]
    return Loaded(merge.config, merge.origins, tuple(merge.problems))


def providers(config: Config, environment: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return the configured providers, or without any those whose usual key variable is set; runs no key command."""
    if config.providers:
        return tuple(_configured(name, settings, environment) for name, settings in config.providers.items())
    found = []
    for row in ROWS.values():
        key = _key_in(row.key_env, environment)
        if (
            key is not None
            and row.found
            and not row.local
            and row.base_url is not None
            and row.default_model is not None
        ):
            project, organization = _payer(row, environment)
            found.append(
                Provider(
                    row.kind,
                    row,
                    row.default_model,
                    row.base_url,
                    key=key,
                    found=True,
                    project=project,
                    organization=organization,
                )
            )
    return tuple(found)


def quota(config: Config, environment: Mapping[str, str]) -> str | None:
    """Return the address of the store in which a team's limits are counted; raises ConfigError where its variable is not set."""
    variable = config.router.quota_env
    if variable is None:
        return config.router.quota
    url = environment.get(variable, "").strip()
    if not url:
        raise ConfigError(f"router.quota_env names {variable}, which is not set: set it, or remove the line")
    return url


def policy(config: Config) -> Policy:
    """Return what privacy needs to know of the configuration."""
    privacy = config.privacy
    return Policy(
        private=privacy.private,
        never=privacy.never,
        trusted_hosts=privacy.trusted_hosts,
        on_secret=privacy.on_secret,
        rules=_own_rules(privacy.rules),
        allow=privacy.allow,
        deny=privacy.deny,
    )


def _own_rules(files: Iterable[str]) -> Rules:
    """Read the files of rules; raises ConfigError where one cannot be read: nobody shall believe in rules that are not there."""
    rules = Rules()
    for file in files:
        try:
            status = Path(file).stat()
            if status.st_size > LARGEST_RULES:
                raise ConfigError(f"{file}: it is too large for a file of rules; split it")
            rules += _parse_rules(Path(file).read_bytes(), file)
        except OSError as error:
            raise ConfigError(
                f"privacy.rules: {file} cannot be read ({error.strerror or error}), so nothing is asked; repair the path or "
                "take it out"
            ) from error
    return rules


_parse_rules = lru_cache(maxsize=8)(parse_rules)  # the configuration is read again at every change of a setting


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the user's file."""
    schema = Config.model_json_schema()
    schema["$defs"]["ProviderSettings"]["properties"]["kind"]["enum"] = sorted(ROWS)
    return schema | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Glossator's configuration"}


class _Merge:
    """The configuration so far, and where each of its values comes from."""

    def __init__(self) -> None:
        self.config = Config()
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._hosts: frozenset[str] | None = None  # the only ones that the organisation lets be trusted

    def take_user_file(self, path: Path) -> None:
        """Take everything that the user wrote."""
        read = read_table(path)
        if read is not None:
            table, text = read
            self._take(_with_rules_of(table, path), source=str(path), text=text)

    def take_variables(self, environment: Mapping[str, str]) -> None:
        """Take the customary variables: `LLM_PROVIDER` names a configured provider or a kind, and puts it first."""
        variables = {name: environment[name].strip() for name in _VARIABLES if environment.get(name, "").strip()}
        retries = variables.pop("LLM_MAX_RETRIES", None)
        if retries is not None:
            self._take({"router": {"max_retries": retries}}, source="LLM_MAX_RETRIES")
        if "LLM_PROVIDER" not in variables:
            for variable in variables:
                self.problems.append(Problem(variable, "it does nothing without LLM_PROVIDER, which is not set"))
            return
        name, choices = self._named_provider(variables["LLM_PROVIDER"])
        if "LLM_API_KEY" in variables and "kind" in choices:
            choices["key_env"] = "LLM_API_KEY"
        elif "LLM_API_KEY" in variables:
            self.problems.append(Problem("LLM_API_KEY", f"the provider {name!r} is configured with its own key"))
        for variable, field in (("LLM_MODEL", "model"), ("LLM_MAX_TOKENS", "max_tokens")):
            if variable in variables:
                choices[field] = variables[variable]
        if "LLM_TIMEOUT" in variables:
            choices["timeout"] = {"total": variables["LLM_TIMEOUT"]}
        order = [name, *(other for other in self.config.router.order if other != name)]
        self._take({"providers": {name: choices}, "router": {"order": order}}, source="the LLM_… variables")

    def _named_provider(self, name: str) -> tuple[str, dict[str, Any]]:
        if name in self.config.providers:
            return name, {}
        kind = _OTHER_NAMES.get(name.lower(), name.lower())
        if kind not in ROWS:
            hint = did_you_mean(name, [*self.config.providers, *ROWS])
            raise ConfigError(f"LLM_PROVIDER: {name!r} is neither a configured provider nor a kind{hint}")
        return kind, {} if kind in self.config.providers else {"kind": kind}

    def take_editor(self, settings: Mapping[str, Any]) -> None:
        """Take the editor's settings, without what a repository could have slipped into them."""
        source = "the editor's settings"
        chosen: dict[str, Any] = {}
        for section, content in settings.items():
            if section not in Config.model_fields:
                self._ignore(source, section, f"it is not known{did_you_mean(section, Config.model_fields)}")
            elif section == "privacy":
                allowed = _table(content, f"{source}: {section}")
                if allowed.pop("rules", None) is not None:
                    self._ignore(source, "privacy.rules", "rules are named in your own configuration file only")
                if allowed.pop("trusted_hosts", None) is not None:
                    self._ignore(
                        source, "privacy.trusted_hosts", "hosts are trusted in your own configuration file only"
                    )
                self._tighten(validate(_ProjectPrivacy, allowed, source=f"{source}: privacy"), source)
            elif section == "budget":
                self._cap(
                    validate(BudgetSettings, _table(content, f"{source}: {section}"), source=f"{source}: budget"),
                    source,
                )
            elif section == "router":
                chosen["router"] = self._editor_router(_table(content, f"{source}: {section}"), source)
            else:
                chosen["providers"] = self._editor_providers(_table(content, f"{source}: {section}"), source)
        if chosen:
            self._take(chosen, source=source)

    def _editor_router(self, content: dict[str, Any], source: str) -> dict[str, Any]:
        for key in content.keys() & RouterSettings.model_fields.keys() - _EDITOR_MAY_ROUTE:
            del content[key]
            self._ignore(source, f"router.{key}", "this is set in your own configuration file only")
        strategy = str(content.get("strategy", ""))
        if ":" in strategy or (strategy and strategy not in BUILT_IN and is_installed(strategy)):
            del content["strategy"]
            self._ignore(
                source, "router.strategy", "a function of your own is named in your own configuration file only"
            )
        return content

    def _editor_providers(self, content: Mapping[str, Any], source: str) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for name, settings in content.items():
            if name not in self.config.providers or not isinstance(settings, Mapping):
                reason = "providers are added in your own configuration file: an editor cannot tell your settings from a repository's"
                self._ignore(source, f"providers.{name}", reason)
                continue
            chosen[name] = {key: value for key, value in settings.items() if key in _EDITOR_MAY_SET}
            for key in settings.keys() - _EDITOR_MAY_SET:
                self._ignore(source, f"providers.{name}.{key}", "this is set in your own configuration file only")
        return chosen

    def take_project_file(self, path: Path) -> None:
        """Take what a repository forbids; a file that cannot be understood forbids everything."""
        source = str(path)
        try:
            read = read_table(path)
            if read is None:
                return
            table, text = read
            privacy = _table(table.pop("privacy", {}), f"{path}: privacy")
            for key in [key for key in privacy if key not in _ProjectPrivacy.model_fields]:
                del privacy[key]
                self._ignore(
                    source, f"privacy.{key}", f"a project can only forbid: {', '.join(_ProjectPrivacy.model_fields)}"
                )
            for key in table:
                self._ignore(source, key, "a project can only forbid, under [privacy]")
            self._tighten(validate(_ProjectPrivacy, privacy, source=source, text=text), source)
        except ConfigError as error:
            self._tighten(_ProjectPrivacy(private=("**",)), source)
            self.problems.append(
                Problem(
                    source, f"everything in this workspace stays on this machine until the file is repaired: {error}"
                )
            )

    def take_organisation_file(self, path: Path) -> None:
        """Take what the organisation forbids; hosts that it lists are the only ones that may be trusted."""
        read = read_table(path)
        if read is None:
            return
        table, text = read
        file = validate(_OrganisationFile, _with_rules_of(table, path), source=str(path), text=text)
        self._tighten(
            _ProjectPrivacy(**file.privacy.model_dump(exclude={"trusted_hosts", "rules"}, exclude_unset=True)),
            str(path),
        )
        if file.privacy.rules:
            every = (*self.config.privacy.rules, *file.privacy.rules)
            self._set_privacy({"rules": tuple(dict.fromkeys(every))}, str(path))
        self._cap(file.budget, str(path))
        if "trusted_hosts" in file.privacy.model_fields_set:
            for host in set(self.config.privacy.trusted_hosts) - set(file.privacy.trusted_hosts):
                self.problems.append(Problem(str(path), f"the organisation does not let {host} be trusted"))
            # Only the first file can trust a host of its own: a variable of the environment must not widen what stands in /etc.
            hosts = tuple(host for host in file.privacy.trusted_hosts if self._hosts is None or host in self._hosts)
            self._hosts = frozenset(hosts)
            self._set_privacy({"trusted_hosts": hosts}, str(path))

    def _take(self, table: Mapping[str, Any], *, source: str, text: str = "") -> None:
        """Lay a table over what is there."""
        merged = _laid_over(self.config.model_dump(mode="json", exclude_unset=True), table)
        self.config = validate(Config, merged, source=source, text=text)
        for key in _leaves(table):
            self.origins[key] = source

    def _tighten(self, more: _ProjectPrivacy, source: str) -> None:
        now = self.config.privacy
        changes: dict[str, Any] = {}
        both = ("private", "never", "deny")
        for field, old, new in ((field, getattr(now, field), getattr(more, field)) for field in both):
            if set(new) - set(old):
                changes[field] = tuple(dict.fromkeys(old + new))
        if more.on_secret is not None and _ON_SECRET.index(more.on_secret) > _ON_SECRET.index(now.on_secret):
            changes["on_secret"] = more.on_secret
        if more.allow is not None and (now.allow is None or set(now.allow) - set(more.allow)):
            # A kind and a host that mean the same do not meet here: in doubt nobody is asked.
            changes["allow"] = tuple(one for one in more.allow if now.allow is None or one in now.allow)
        if more.require_ledger and not now.require_ledger:
            changes["require_ledger"] = True
        self._set_privacy(changes, source)

    def _set_privacy(self, changes: Mapping[str, Any], source: str) -> None:
        privacy = self.config.privacy.model_copy(update=dict(changes))
        self.config = self.config.model_copy(update={"privacy": privacy})
        for field in changes:
            self._add_origin(f"privacy.{field}", source)

    def _cap(self, budget: BudgetSettings, source: str) -> None:
        now = self.config.budget
        none = ProviderBudgetSettings()
        capped = BudgetSettings(
            daily=_lower(now.daily, budget.daily),
            monthly=_lower(now.monthly, budget.monthly),
            providers={
                name: _lower_both(now.providers.get(name, none), budget.providers.get(name, none))
                for name in now.providers | budget.providers
            },
        )
        if capped != now:
            self.config = self.config.model_copy(update={"budget": capped})
            self._add_origin("budget", source)

    def _add_origin(self, key: str, source: str) -> None:
        before = self.origins.get(key)
        self.origins[key] = f"{before}, {source}" if before else source

    def _ignore(self, source: str, key: str, reason: str) -> None:
        self.problems.append(Problem(source, f"{key} is ignored: {reason}"))


def _with_rules_of(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return *table* with its `privacy.rules` as whole paths: a file of rules is named from the folder of its configuration."""
    privacy = table.get("privacy")
    if not isinstance(privacy, dict):
        return table
    named = privacy.get("rules")
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
        return table  # the model says what is wrong with it
    whole = [str(path.absolute().parent / Path(name).expanduser()) for name in named]
    return table | {"privacy": privacy | {"rules": whole}}


_VARIABLES = ("LLM_PROVIDER", "LLM_API_KEY", "LLM_MODEL", "LLM_MAX_TOKENS", "LLM_MAX_RETRIES", "LLM_TIMEOUT")
_PROJECT: TypeAdapter[str] = TypeAdapter(Project)
_LOCATION: TypeAdapter[str] = TypeAdapter(Location)
_EDITOR_MAY_SET = frozenset({"model", "max_tokens", "timeout", "limits"})
_EDITOR_MAY_ROUTE = frozenset({"strategy", "order", "groups", "rules", "max_retries"})


def _configured(name: str, settings: ProviderSettings, environment: Mapping[str, str]) -> Provider:
    row = ROWS[settings.kind]
    own_key = _key(settings, row, environment)
    if settings.kind in _AZURE and settings.base_url is None:
        settings = _at_azures_endpoint(name, settings, environment)
    model = settings.model or row.default_model or ""
    if settings.kind == "embedded" and model != TOY:
        model = str(Path(model).expanduser())
    key, project, location = own_key, settings.project, settings.location
    if row.auth == "google":
        project = project or (_named(row.project_env, environment, _PROJECT) if key is None else None)
        location = location or _named(row.location_env, environment, _LOCATION)
        if key is None and project is not None and (settings.base_url is None or _is_owners(settings.base_url, row)):
            from glossator_providers.google_tokens import find_token  # with the HTTP client's door, wanted by few

            key = find_token(environment)
    organization = settings.organization
    if settings.base_url is None:
        project, organization = (
            one or other for one, other in zip((project, organization), _payer(row, environment), strict=True)
        )
    timeout = settings.timeout
    usual = LOCAL_TIMEOUTS if row.local else Timeouts()
    return Provider(
        name=name,
        row=row,
        model=model,
        base_url=_address(settings, row, location),
        key=key,
        project=project,
        organization=organization,
        location=location,
        max_tokens=settings.max_tokens,
        timeouts=Timeouts(
            connect=timeout.connect or usual.connect,
            first_token=timeout.first_token or usual.first_token,
            idle=timeout.idle or usual.idle,
            total=timeout.total or usual.total,
        ),
        limits=Limits(**settings.limits.model_dump()),
        toy=settings.kind == "embedded" and model == TOY,
        capabilities=Capabilities(**settings.capabilities.model_dump()),
        api_version=settings.api_version,
    )


def _at_azures_endpoint(name: str, settings: ProviderSettings, environment: Mapping[str, str]) -> ProviderSettings:
    """Take the address of a resource, and the older API's version, from the variables that hold its key's company.

    They are those of https://github.com/openai/openai-python/blob/main/src/openai/lib/azure.py; a version goes with the
    address that stands beside it, so one without the other says nothing. Raises ConfigError where there is no address.
    """
    endpoint = environment.get(_AZURE_ENDPOINT, "").strip()
    if not endpoint:
        raise ConfigError(f"providers.{name}: the kind {settings.kind!r} needs a base_url, or {_AZURE_ENDPOINT}")
    try:
        address = _checked_address(endpoint)
    except ValueError as error:
        raise ConfigError(f"{_AZURE_ENDPOINT}: {error}") from None
    version = settings.api_version or environment.get(_AZURE_VERSION, "").strip() or None
    if version is not None and not re.fullmatch(_VERSION, version):
        raise ConfigError(f"{_AZURE_VERSION}: {version[:60]!r} is no version such as 2024-10-21; correct the variable")
    return settings.model_copy(update={"base_url": address, "api_version": version})


def _checked_address(url: str) -> str:
    """Return an address without a slash at its end; raises a mistake, a ValueError, where it is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise mistake("this is not an address such as https://host/path or http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise mistake("an address holds no user and no password: name the key with key_env")
    if parts.query or parts.fragment:
        raise mistake("an address ends with its path: remove what follows ? or #")
    return url.rstrip("/")


def _payer(row: Row, environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the project and the organization that the environment names for a key that belongs to several."""
    if not row.organization_env:
        return None, None
    return _named(row.project_env, environment, _PROJECT), _named(row.organization_env, environment, _PROJECT)


def _address(settings: ProviderSettings, row: Row, location: str | None) -> str:
    if settings.base_url is None and row.auth == "google" and location not in (None, "global"):
        # https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations: two of them span a continent
        return (
            f"https://aiplatform.{location}.rep.googleapis.com"
            if location in ("us", "eu")
            else (f"https://{location}-aiplatform.googleapis.com")
        )
    if settings.base_url is None:
        return row.base_url or EMBEDDED_ADDRESS
    if row.local and row.base_url is not None and not urlsplit(settings.base_url).path:
        # `http://127.0.0.1:8081` for a llama.cpp means its API, which lies below /v1.
        return settings.base_url + urlsplit(row.base_url).path
    if settings.kind in _AZURE:
        # Microsoft's pages write the address of a resource as it is, and with the API that it is asked by.
        return settings.base_url.removesuffix("/openai/v1").removesuffix("/openai")
    return settings.base_url


def _key(settings: ProviderSettings, row: Row, environment: Mapping[str, str]) -> Secret | None:
    if settings.key_env is not None:
        return _key_in((settings.key_env,), environment)
    if settings.key_command is not None:
        return from_command(settings.key_command)
    if settings.keychain is not None:
        entry = settings.keychain
        return Secret.later(lambda: _key_in_keychain(entry), source=f"the keychain entry {entry}")
    if settings.base_url is None:
        return _key_in(row.key_env, environment)
    if row.base_url is None:
        at_home = row.auth not in _OWNERS or _is_owners(settings.base_url, row)
    else:
        at_home = _origin(settings.base_url) == _origin(row.base_url)
    return _key_in(row.key_env, environment) if at_home else None


def _key_in(names: tuple[str, ...], environment: Mapping[str, str]) -> Secret | None:
    try:
        return from_environment(names, environment)
    except ConfigError:
        # A value that can be no key fails the calls that need it, with the reason, and nobody else's.
        name = next(name for name in names if environment.get(name, "").strip())
        return Secret.later(lambda: environment[name], source=name)


def _key_in_keychain(entry: str) -> str:
    try:
        keyring = importlib.import_module("keyring")  # an extra, and slow to import
        errors = importlib.import_module("keyring.errors")
    except ImportError:
        raise ConfigError("the keychain needs the extra: install glossator[keyring]") from None
    try:
        password = keyring.get_password("glossator", entry)
    except errors.KeyringError:
        raise ConfigError(f"the keychain did not give the entry {entry!r}; unlock it and try again") from None
    if password is None:
        raise ConfigError(f"the keychain has no entry {entry!r}; add it with: keyring set glossator {entry}")
    return str(password)


def _named(names: tuple[str, ...], environment: Mapping[str, str], shape: TypeAdapter[str]) -> str | None:
    """Return the first of these variables that is set; raises ConfigError where it holds something else."""
    for name in names:
        value = environment.get(name, "").strip()
        if value:
            try:
                return shape.validate_python(value)
            except ValidationError:
                raise ConfigError(f"{name}: {value[:60]!r} is not the name of one; correct the variable") from None
    return None


def _is_owners(url: str, row: Row) -> bool:
    """Say whether an address belongs to those whose credentials this kind of provider is asked with."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    return parts.scheme == "https" and _OWNERS[row.auth][1].fullmatch(host) is not None


def _is_local(settings: ProviderSettings) -> bool:
    if settings.base_url is None:
        return ROWS[settings.kind].local
    return is_loopback(urlsplit(settings.base_url).hostname or "")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}[parts.scheme]


def _lower(now: Limit | None, other: Limit | None) -> Limit | None:
    if now is None or other is None:
        return now or other
    return Limit(
        hard=_least(now.hard, other.hard),
        soft=_least(now.soft, other.soft),
        hard_tokens=_least(now.hard_tokens, other.hard_tokens),
        soft_tokens=_least(now.soft_tokens, other.soft_tokens),
    )


def _lower_both(now: ProviderBudgetSettings, other: ProviderBudgetSettings) -> ProviderBudgetSettings:
    return ProviderBudgetSettings(daily=_lower(now.daily, other.daily), monthly=_lower(now.monthly, other.monthly))


def _least(one: _Amount | None, other: _Amount | None) -> _Amount | None:
    return min((amount for amount in (one, other) if amount is not None), default=None)


def _table(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: this is not a table")
    return dict(content)


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key
