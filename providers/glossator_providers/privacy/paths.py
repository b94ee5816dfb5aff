"""What the path of a file says: files that usually hold secrets, and files that are not the workspace's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from glossator_providers.model import Level
from glossator_providers.privacy.files import Files
from glossator_providers.privacy.ignore import reasons as ignore_reasons
from glossator_providers.privacy.patterns import BadPattern, compile_all, compile_glob, encode, fold
from glossator_providers.privacy.policy import Policy
from glossator_providers.privacy.reasons import Reason

# Names of files, and of folders (with a slash at the end), that usually hold secrets, by what they hold.
BUILT_IN: dict[str, tuple[str, ...]] = {
    "environment values": (
        ".env",
        ".env.*",
        "*.env",
        ".env-*",
        ".env_*",
        ".envrc",
        ".envrc.*",
        ".dev.vars",
        ".flaskenv",
    ),
    "a private key or certificate": (
        *(
            "*.pem",
            "*.key",
            "*.p8",
            "*.p12",
            "*.pfx",
            "*.pk8",
            "*.pkcs12",
            "*.pvk",
            "*.snk",
            "*.ppk",
            "*.der",
            "*.crt",
            "*.cer",
        ),
        *("*.jks", "*.jceks", "*.bks", "*.bcfks", "*.keystore", "*.keytab", "*.age", "*.agekey", "*.gpg", "*.pgp"),
        *(
            "*.mobileprovision",
            "*.provisionprofile",
            "*.ovpn",
            ".pki/",
            "private_keys/",
            "private-keys/",
            "private-keys-v1.d/",
        ),
    ),
    "SSH and GnuPG keys": (
        *(
            ".ssh/",
            ".gnupg/",
            "id_rsa*",
            "id_dsa*",
            "id_ecdsa*",
            "id_ed25519*",
            "*_rsa",
            "*_dsa",
            "*_ecdsa",
            "*_ed25519",
        ),
        *("ssh_host_*_key", "authorized_keys", "known_hosts", "secring.*"),
    ),
    "passwords": (
        *(
            "*.kdb",
            "*.kdbx",
            "*.psafe3",
            "*.1pif",
            "*.1pux",
            "*.opvault/",
            "*.agilekeychain/",
            "*.keychain",
            "*.keychain-db",
        ),
        *(
            ".password-store/",
            "logins.json",
            "key4.db",
            "login data",
            "cookies.txt",
            "cookies.sqlite",
            "passwords.*",
            "passwd",
        ),
        *("shadow", "gshadow", "sudoers", ".htpasswd", "htpasswd", ".netrc", "_netrc", ".git-credentials", ".pgpass"),
        *(
            "pgpass.conf",
            ".my.cnf",
            ".mylogin.cnf",
            ".msmtprc",
            ".fetchmailrc",
            "wpa_supplicant.conf",
            "*.nmconnection",
        ),
        *("vault_pass*", "vault-pass*", ".vault_pass*", ".vault-pass*", ".vault-token", "wallet.dat"),
    ),
    "secrets": (
        *(".secrets", ".secrets/", "secrets/", "*.secret", "*.secrets", "master.key", "*.yml.enc", "*.yaml.enc"),
        *(
            f"{name}.{kind}"
            for name in ("secret", "secrets", "credentials", "creds")
            for kind in ("json", "yml", "yaml", "toml")
        ),
        *(
            f"{name}.{kind}"
            for name in ("secret", "secrets", "credentials", "creds")
            for kind in ("ini", "properties", "txt", "xml")
        ),
        *(
            "secrets.*.json",
            "secrets.*.yml",
            "secrets.*.yaml",
            "credentials.*.json",
            "credentials",
            "token.txt",
            "*.token",
        ),
    ),
    "cloud credentials": (
        *(".aws/", ".azure/", ".gcp/", ".gcloud/", ".oci/", ".kube/", ".docker/", ".config/gcloud/", ".config/doctl/"),
        *(".boto", ".s3cfg", ".passwd-s3fs", "accesstokens.json", "application_default_credentials.json", "kubeconfig"),
        *("*.kubeconfig", ".dockercfg", ".dockerconfigjson", "*service-account*.json", "*service_account*.json"),
        *("client_secret*.json", "google-services.json", "googleservice-info.plist", "*firebase-adminsdk*.json"),
        *(
            "*.tfstate",
            "*.tfstate.*",
            "*.tfvars",
            "*.tfvars.json",
            ".terraformrc",
            "terraform.rc",
            "credentials.tfrc.json",
        ),
    ),
    "tokens of a package registry": (
        *(
            ".npmrc",
            ".yarnrc",
            ".yarnrc.yml",
            ".pypirc",
            ".gem/",
            ".cargo/credentials*",
            "nuget.config",
            "settings-security.xml",
        ),
        *(
            ".m2/settings.xml",
            "auth.json",
            "key.properties",
            "keystore.properties",
            "signing.properties",
            "local.properties",
        ),
    ),
    "tokens of a tool": (
        *(
            "gh/hosts.yml",
            ".config/hub",
            "mcp.json",
            ".mcp.json",
            "claude_desktop_config.json",
            ".claude.json",
            ".ftpconfig",
        ),
        *(
            "sftp.json",
            "sftp-config.json",
            "recentservers.xml",
            "sitemanager.xml",
            "wp-config.php",
            ".wgetrc",
            ".curlrc",
        ),
    ),
    # https://learn.microsoft.com/windows/win32/fileio/naming-a-file#short-vs-long-names
    "a short name of Windows, which may be that of any file": ("*~[1-9]", "*~[1-9].*", "*~[1-9]/"),
    "recorded data": (
        *(".*_history", ".lesshst", ".viminfo", "*.har", "*.pcap", "*.pcapng", "*.hprof", "*.dmp"),
        *("*.sqlite", "*.sqlite3", "*.db", "*.mdb", "*.dump"),
    ),
}
_HARMLESS = (".example", ".sample", ".template")  # `.env.example` is there to be read


@dataclass(frozen=True, slots=True)
class Rule:
    """One built-in rule: its glob, what such files hold, and whether it speaks of a folder or of a nested path."""

    glob: str
    holds: str
    folder: bool
    nested: bool
    matcher: Any


@lru_cache(maxsize=1)
def _rules() -> tuple[Rule, ...]:
    rules = []
    for holds, globs in BUILT_IN.items():
        for glob in globs:
            body = glob.rstrip("/")
            nested = "/" in body
            matcher = compile_glob(f"**/{body}" if nested else body, by_name=not nested)
            rules.append(Rule(glob, holds, glob.endswith("/"), nested, matcher))
    return tuple(rules)


@lru_cache(maxsize=1)
def _some_rule() -> Any:
    """Return what meets every path that some rule meets: one question for nearly all files, which no rule meets."""
    return compile_all((glob.rstrip("/"), glob.endswith("/")) for globs in BUILT_IN.values() for glob in globs)


@lru_cache(maxsize=4096)
def built_in(path: str, outer: str = "") -> tuple[Rule, ...]:
    """Return the built-in rules that *path* meets. *outer* is the part of it above the workspace.

    Hidden folders (`.ssh/`) count wherever they stand, others (`secrets/`) only inside the workspace: where somebody keeps
    the whole of it says little.
    """
    folded = fold(path).strip("/")
    if _some_rule().fullmatch(encode(folded)) is None:
        return ()
    names = folded.split("/")
    below = len(outer.strip("/").split("/")) if outer.strip("/") else 0
    met = []
    for rule in _rules():
        if rule.folder:
            first = 1 if rule.glob.startswith((".", "*.")) else below + 1
            places = range(first, len(names))
        elif names[-1].endswith(_HARMLESS):
            continue
        else:
            places = range(len(names), len(names) + 1)
        subjects = ("/".join(names[:place]) if rule.nested else names[place - 1] for place in places)
        if any(rule.matcher.fullmatch(encode(subject)) is not None for subject in subjects):
            met.append(rule)
    return tuple(met)


def to_path(uri: str) -> str | None:
    """Return the absolute path that a ``file:`` URI names, None for every other URI and for what names no path."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "file":
        return None
    rest = rest.partition("#")[0].partition("?")[0]
    if rest.startswith("//"):
        authority, _, tail = rest[2:].partition("/")
        if authority.lower() not in {"", "localhost"}:
            return None
        rest = "/" + tail
    try:
        path = unquote_to_bytes(rest.encode("utf-8")).decode("utf-8", "surrogateescape")  # once: `%252e` stays `%2e`
    except UnicodeEncodeError:
        return None
    if not path.startswith("/") or "\0" in path:
        return None
    if os.name == "nt" and path[2:3] == ":":
        path = path[1:]
    return path


def reasons(uri: str, *, policy: Policy, roots: Iterable[str], files: Files) -> list[Reason]:
    """Return every reason that the place of a document gives; none of them where it is an ordinary file of the workspace."""
    path = to_path(uri)
    if path is None:
        scheme = uri.partition(":")[0] if ":" in uri else "no"
        clause = f"it is no file on this machine ({scheme}: document)"
        return [Reason(Level.PRIVATE, f"scheme {scheme}", "scheme", uri, clause=clause)]
    spelled = os.path.normpath(path).replace("//", "/")
    tops = [os.path.normpath(root) for root in roots if os.path.isabs(root)]  # noqa: PTH117  strings all along
    try:
        resolved = files.resolve(path)
        shared = files.has_other_names(resolved)
    except (OSError, ValueError):
        clause = "no file can be found at its path, it may not be saved yet"
        found = [Reason(Level.PRIVATE, "unresolved path", "workspace", uri, clause=clause)]
        return found + _of_place(spelled, tops, policy=policy, files=files, uri=uri)
    real_tops = _resolve_all(tops, files)
    # Usually both spellings of a workspace are one: then its ignore files are asked once.
    every = list(dict.fromkeys(tops + real_tops))
    found = _of_place(spelled, every, policy=policy, files=files, uri=uri)
    if resolved != spelled:
        found += _of_place(resolved, real_tops, policy=policy, files=files, uri=uri)
    if shared:  # nobody can tell what its other names say, and whether they lie in the workspace
        clause = "it has another name somewhere (a hard link), which may be that of a private file"
        found.append(Reason(Level.PRIVATE, "hard link", "path", uri, clause=clause))
    return found


def below_root(uri: str, roots: Iterable[str]) -> str:
    """Return the path of a document as rules of others see it: below its workspace, or whole without the first slash."""
    spelled = to_path(uri)
    if spelled is None:
        return ""
    path = os.path.normpath(spelled)
    for root in roots:
        if path.startswith(os.path.normpath(root).rstrip("/") + "/"):
            return path[len(os.path.normpath(root).rstrip("/")) + 1 :]
    return path.lstrip("/")


def _resolve_all(roots: list[str], files: Files) -> list[str]:
    resolved = []
    for root in roots:
        try:
            resolved.append(files.resolve(root))
        except (OSError, ValueError):
            continue  # a root that is not there holds no file
    return resolved


def _of_place(path: str, roots: list[str], *, policy: Policy, files: Files, uri: str) -> list[Reason]:
    found = []
    inside = [root for root in roots if path.startswith(root.rstrip("/") + "/")]
    for rule in built_in(path, min(inside, key=len, default="")):
        clause = f"its path meets the built-in rule `{rule.glob}` ({rule.holds})"
        found.append(Reason(Level.PRIVATE, f"built-in {rule.glob}", "path", uri, clause=clause))
    if not inside:
        clause = "it lies outside the workspace" if roots else "no workspace is open, so it lies outside"
        found.append(Reason(Level.PRIVATE, "outside the workspace", "workspace", uri, clause=clause))
    relative = [path[len(root.rstrip("/")) + 1 :] for root in inside]
    for own in policy.rules.closed_paths(min(relative, key=len, default=path.lstrip("/"))):
        clause = f"its path meets the rule `{own.name}` of your own rules"
        found.append(Reason(Level.PRIVATE, own.name, "path", uri, clause=clause))
    for level, globs in ((Level.NEVER, policy.never), (Level.PRIVATE, policy.private)):
        for glob in globs:
            if _meets(glob, [*relative, path.lstrip("/")]):
                name = f"{level.name.lower()} {glob}"
                clause = (
                    f"the rule `{glob}` in the settings says {'no model at all' if level is Level.NEVER else 'private'}"
                )
                found.append(Reason(level, name, "policy", uri, clause=clause))
    for root in inside:
        found += ignore_reasons(path, _top(root, files), files=files, uri=uri)
    return found


def _meets(glob: str, paths: list[str]) -> bool:
    """Say whether one of *paths*, or a folder above it, meets the user's *glob*; one that cannot be read meets all."""
    body = glob.strip()
    if body.startswith("~/"):
        body = os.path.expanduser(body)  # noqa: PTH111  a glob is no path
    by_name = "/" not in body.rstrip("/")
    try:
        matcher = _glob(body.strip("/"), by_name=by_name)
    except BadPattern:
        return True
    for path in paths:
        names = fold(path).split("/")
        places = range(1, len(names) + (not body.endswith("/")))  # with a slash at its end it means folders
        subjects = (names[place - 1] if by_name else "/".join(names[:place]) for place in places)
        if any(matcher.fullmatch(encode(subject)) is not None for subject in subjects):
            return True
    return False


@lru_cache(maxsize=1024)
def _glob(body: str, *, by_name: bool) -> Any:
    return compile_glob(body, by_name=by_name)


def _top(root: str, files: Files) -> str:
    """Return the top of the repository around *root*, or *root* itself: ignore files above the workspace count too."""
    folder = root
    while True:
        if files.exists(f"{folder.rstrip('/')}/.git"):
            return folder
        parent = os.path.dirname(folder)  # noqa: PTH120  a string is wanted
        if parent == folder:
            return root
        folder = parent
