"""Ways to leak: each breaks a copy of the product where one of its locks is, and the lab must find every one out.

Many locks have a second behind them (a name is judged, and then the place where it leads; a request is judged, and then its
bytes). Where breaking one alone would therefore let nothing out, a mutant opens both: what is proven is that the lab sees it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import parts
from leak_lab.__main__ import begin

MOST_SESSIONS = 40  # of the mutant's profile, until one leaks
_FOLDERS = {"glossator_providers": "providers", "glossator": "server"}


@dataclass(frozen=True)
class Edit:
    """A text of one file of the product, which stands there exactly once, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One way to leak, with the profile whose sessions come by there."""

    name: str
    profile: str
    edits: tuple[Edit, ...]


def _mutant(name: str, profile: str, *edits: Edit | tuple[Edit, ...]) -> Mutant:
    flat = [one for edit in edits for one in (edit if isinstance(edit, tuple) else (edit,))]
    return Mutant(name, profile, tuple(flat))


_PATHS = "glossator_providers/privacy/paths.py"
_IGNORE = "glossator_providers/privacy/ignore.py"
_DECIDE = "glossator_providers/privacy/decide.py"
_PATTERNS = "glossator_providers/privacy/patterns.py"
_TRANSPORT = "glossator_providers/transport.py"
_CONFIG = "glossator_providers/config.py"
_ASKING = "glossator_providers/asking.py"
_APP = "glossator/app.py"
_CONTEXT = "glossator/context.py"
_PROMPT = "glossator/tasks/prompt.py"

# The nets behind the locks.
_NO_INDEX = Edit(
    _DECIDE, "return decide_by(reasons + known.of_lines(_texts(request), uris=uris))", "return decide_by(reasons)"
)
_NO_LAST_LOOK = Edit(_DECIDE, "for finding in (*contents.scan_specific(text), *own):", "for finding in ():")
_NO_WHOLE = Edit(_APP, "whole=_whole(ask.snapshot, *earlier, roots=ask.roots)", "whole=None")
_NO_EARLIER = Edit(
    _APP, "whole=_whole(ask.snapshot, *earlier, roots=ask.roots)", "whole=_whole(ask.snapshot, roots=ask.roots)"
)
_NO_PROOF = Edit(_TRANSPORT, "if self._trusted is not None and not _same(_peer(stream), address):", "if False:")
_OPEN_DOOR = (
    Edit(_TRANSPORT, "if not call.cleared.covers(provider):", "if False:"),
    Edit(_ASKING, "if not cleared.covers(provider):", "if False:"),
    Edit(_DECIDE, "if level is Level.NEVER or (level is Level.PRIVATE and not local):", "if False:"),
)
_ANY_ROUTER = Edit(
    _APP,
    "return self._application.local_router() if stays else self._application.router",
    "return self._application.router",
)

MUTANTS: tuple[Mutant, ...] = (
    # where a document lies
    _mutant("links are not followed", "links", Edit(_PATHS, "if resolved != spelled:", "if False:"), _NO_INDEX),
    _mutant(
        "only where a link leads counts, not its name",
        "links",
        Edit(_PATHS, "found = _of_place(spelled, every, policy", "found = _of_place(resolved, every, policy"),
    ),
    _mutant("hard links count as ordinary files", "links", Edit(_PATHS, "    if shared:", "    if False:"), _NO_INDEX),
    _mutant("upper and lower case are told apart", "paths", Edit(_PATTERNS, "return text.lower()", "return text")),
    _mutant(
        "composed and decomposed letters are told apart",
        "paths",
        Edit(
            _PATTERNS, 'unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())', "text.casefold()"
        ),
    ),
    _mutant(
        "a file that is not there is an ordinary one",
        "places",
        Edit(
            _PATHS, 'found = [Reason(Level.PRIVATE, "unresolved path", "workspace", uri, clause=clause)]', "found = []"
        ),
    ),
    _mutant(
        "documents that are no files are open",
        "places",
        Edit(_PATHS, 'return [Reason(Level.PRIVATE, f"scheme {scheme}", "scheme", uri, clause=clause)]', "return []"),
    ),
    _mutant("files outside of the workspace are open", "places", Edit(_PATHS, "    if not inside:", "    if False:")),
    _mutant(
        "a folder that begins like the workspace is the workspace",
        "places",
        Edit(
            _PATHS,
            'inside = [root for root in roots if path.startswith(root.rstrip("/") + "/")]',
            'inside = [root for root in roots if path.startswith(root.rstrip("/"))]',
        ),
    ),
    _mutant(
        "no name is sensitive by itself",
        "paths",
        Edit(_PATHS, 'for rule in built_in(path, min(inside, key=len, default="")):', "for rule in ():"),
    ),
    _mutant(
        "folders' names do not count", "paths", Edit(_PATHS, "places = range(first, len(names))", "places = range(0)")
    ),
    # ignore files
    _mutant(
        "only the ignore file at the top is read",
        "ignore files",
        Edit(
            _IGNORE,
            '        listings += _load(kind, folder, depth, shown="/".join([*names[:depth], kind]), files=files)',
            '        listings += _load(kind, folder, depth, shown="/".join([*names[:depth], kind]), files=files) if depth == 0 else []',
        ),
    ),
    _mutant(
        "what git ignores is open",
        "ignore files",
        Edit(_IGNORE, '    ".rooignore",\n    GIT,\n', '    ".rooignore",\n'),
    ),
    _mutant(
        "a broken ignore file opens its folder",
        "ignore files",
        Edit(_IGNORE, 'return Listing((), "it is not text")', "return Listing(())"),
    ),
    _mutant(
        ".noai is read as a list of patterns",
        "ignore files",
        Edit(_IGNORE, 'return Listing((), "the file is there")', "return Listing(())"),
    ),
    _mutant(
        "an ignore file is read once and never again",
        "contexts",
        Edit(
            "glossator_providers/privacy/files.py",
            "if known is not None and known[0] == stamp:",
            "if known is not None:",
        ),
    ),
    # rules of people
    _mutant(
        "the user's private rules are forgotten",
        "loosening",
        Edit(
            _PATHS, "((Level.NEVER, policy.never), (Level.PRIVATE, policy.private))", "((Level.NEVER, policy.never),)"
        ),
    ),
    _mutant(
        "never is taken for private",
        "loosening",
        Edit(_PATHS, "((Level.NEVER, policy.never), (Level.PRIVATE", "((Level.PRIVATE, policy.never), (Level.PRIVATE"),
    ),
    _mutant(
        "the project's file is not read",
        "loosening",
        Edit(_CONFIG, "        merge.take_project_file(root / PROJECT_FILE)", "        pass"),
    ),
    _mutant(
        "the project's file may name hosts and providers",
        "loosening",
        Edit(
            _CONFIG,
            '            privacy = _table(table.pop("privacy", {}), f"{path}: privacy")',
            '            privacy = _table(table.pop("privacy", {}), f"{path}: privacy")\n'
            '            own = {"trusted_hosts": privacy.get("trusted_hosts", [])}\n'
            '            self._take({"providers": table.get("providers", {}), "privacy": own}, source=source, text=text)',
        ),
    ),
    _mutant(
        "the project's file may say that secrets travel",
        "loosening",
        Edit(_CONFIG, "_ON_SECRET.index(more.on_secret) > _ON_SECRET.index(now.on_secret)", "True"),
    ),
    _mutant(
        "the workspace's settings may name hosts and providers",
        "loosening",
        Edit("glossator/settings.py", "    privacy = dict(own)\n", "    privacy = {**own, **local}\n"),
        Edit(
            "glossator/settings.py",
            "return Read(replace(settings, trusted=trusted, configuration=configuration)",
            'configuration |= {"providers": local["providers"]} if "providers" in local else {}\n'
            "    return Read(replace(settings, trusted=trusted, configuration=configuration)",
        ),
        Edit(
            _CONFIG,
            "        if chosen:\n            self._take(chosen, source=source)\n",
            '        hosts = settings.get("privacy", {}).get("trusted_hosts", [])\n'
            '        theirs = {"providers": settings.get("providers", {}), "privacy": {"trusted_hosts": hosts}}\n'
            "        self._take(theirs, source=source)\n",
        ),
    ),
    # what a document holds
    _mutant(
        "nobody looks for secrets",
        "contents",
        Edit(_DECIDE, "return _as_reasons(blocks.scan(text), level, uri)", "return []"),
        _NO_LAST_LOOK,
    ),
    _mutant("a part is judged without the whole document", "contents", _NO_WHOLE),
    _mutant("copies of private files are open", "links", _NO_INDEX),
    _mutant(
        "what the user typed is not looked at",
        "contents",
        Edit(_PROMPT, "Fragment(text, (Origin(OriginKind.INSTRUCTION, uri),))", "words(text)"),
    ),
    _mutant(
        "a checker's message has no origin",
        "contents",
        Edit(
            _CONTEXT,
            "return Fragment(told, tuple(Origin(OriginKind.DIAGNOSTIC, uri) for uri in dict.fromkeys(uris)))",
            "return Fragment(told, (Origin(OriginKind.PRODUCT),))",
        ),
    ),
    _mutant(
        "a related place has the document's origin",
        "contexts",
        Edit(
            _CONTEXT,
            "    return _piece(told, related.uri, OriginKind.DIAGNOSTIC)",
            "    return _piece(told, snapshot.uri, OriginKind.DIAGNOSTIC)",
        ),
        _NO_INDEX,
    ),
    _mutant(
        "a further question forgets the first one's document",
        "conversations",
        Edit(
            _PROMPT,
            "[turn.about.uri if turn.about is not None else ask.snapshot.uri for turn in ask.turns]",
            "[ask.snapshot.uri for turn in ask.turns]",
        ),
        _NO_EARLIER,
        _NO_INDEX,
    ),
    _mutant(
        "the level is computed before the conversation is joined",
        "conversations",
        Edit(
            _DECIDE,
            "    uris: set[str] = set()\n    for message in request.messages:\n",
            "    uris: set[str] = set()\n    for message in request.messages[:2]:\n",
        ),
        Edit(_PROMPT, "typed(turn.question, uri) if turn.question", "typed(turn.question) if turn.question"),
        _NO_EARLIER,
        _NO_INDEX,
    ),
    # who may answer
    _mutant(
        "those who may answer are not chosen by what they may see",
        "contexts",
        Edit("glossator_providers/router.py", "reason = objection(provider, cleared, self.policy)", "reason = None"),
        _OPEN_DOOR,
        _ANY_ROUTER,
    ),
    _mutant(
        "the first use of a cloud needs no yes",
        "consent",
        Edit(_DECIDE, "return policy.cloud_allowed or not provider.found", "return True"),
    ),
    _mutant(
        "any answer to the question is a yes",
        "consent",
        Edit(
            "glossator/lsp/connection.py",
            'return isinstance(answer, dict) and answer.get("title") == ALLOW',
            "return isinstance(answer, dict)",
        ),
    ),
    _mutant(
        "a model that runs elsewhere counts as local",
        "peers",
        Edit(
            _ASKING,
            "if must_stay and any(same_model(listed.name, model) and leaves_the_machine(listed) for listed in models):",
            "if False:",
        ),
        Edit(
            "glossator_providers/route.py",
            "if cleared.decision.level > Level.OPEN and leaves_the_machine(ModelInfo(provider.model)):",
            "if False:",
        ),
    ),
    # the door
    _mutant(
        "proxies of the environment are used",
        "ways",
        Edit(
            _TRANSPORT,
            "_Doorway(_Backend(resolve, None), near, proxy)",
            '_Doorway(_Backend(resolve, None), near, proxy or os.environ.get("HTTPS_PROXY"))',
        ),
    ),
    _mutant(
        "redirects are followed",
        "ways",
        Edit(
            _TRANSPORT,
            "                raw = await client.send(request, stream=True, auth=None, follow_redirects=False)\n",
            "                raw = await client.send(request, stream=True, auth=None, follow_redirects=False)\n"
            "                if 300 <= raw.status_code < 400:\n"
            '                    to, given = raw.headers["location"], {"content": request.content, "extensions": request.extensions}\n'
            "                    again = type(request)(request.method, to, headers=request.headers, **given)\n"
            "                    raw = await client.send(again, stream=True, auth=None)\n",
        ),
    ),
    _mutant(
        "a local name is believed without its address",
        "peers",
        Edit(_TRANSPORT, "if not _is_loopback(address) and not is_trusted(address, self._trusted):", "if False:"),
    ),
    _mutant(
        "only the first address of a name is looked at",
        "peers",
        Edit(
            _TRANSPORT,
            "        for address in addresses:\n            if not _is_loopback(address)",
            "        for address in addresses[:1]:\n            if not _is_loopback(address)",
        ),
    ),
    _mutant(
        "a name is looked up again when it is connected to",
        "peers",
        Edit(
            _TRANSPORT,
            "stream = await inner.connect_tcp(address, port, timeout, local_address, socket_options)",
            "stream = await inner.connect_tcp(host, port, timeout, local_address, socket_options)",
        ),
        _NO_PROOF,
    ),
    _mutant(
        "every IPv6 address that holds another is this machine",
        "peers",
        Edit(
            _TRANSPORT,
            "    return literal is not None and literal.is_loopback\n",
            '    return literal is not None and (literal.is_loopback or address.startswith("::ffff:"))\n',
        ),
        Edit(
            "glossator_providers/catalog.py",
            "    return (mapped or address).is_loopback\n",
            "    return (mapped or address).is_loopback or mapped is not None\n",
        ),
    ),
    _mutant(
        "link-local addresses are this machine",
        "peers",
        Edit(
            _TRANSPORT,
            "    return literal is not None and literal.is_loopback\n",
            "    return literal is not None and (literal.is_loopback or literal.is_link_local)\n",
        ),
        Edit(
            "glossator_providers/catalog.py",
            "    return (mapped or address).is_loopback\n",
            "    return (mapped or address).is_loopback or address.is_link_local\n",
        ),
    ),
    _mutant(
        "private networks are this machine",
        "peers",
        Edit(
            _TRANSPORT,
            "    return literal is not None and literal.is_loopback\n",
            "    return literal is not None and (literal.is_loopback or literal.is_private)\n",
        ),
    ),
    _mutant(
        "a name that begins like this machine's is this machine's",
        "peers",
        Edit(
            "glossator_providers/catalog.py",
            'if host == "localhost" or host.endswith(".localhost"):',
            'if host.startswith(("localhost", "127.")) or host.endswith(".localhost"):',
        ),
        Edit(
            _TRANSPORT, '"network_backend": self._near[scheme] if near else self._far,', '"network_backend": self._far,'
        ),
    ),
    _mutant(
        "a name that begins like a trusted one is trusted",
        "trusted names",
        Edit(
            _DECIDE,
            "_normal_host(trusted) == wanted for trusted",
            "wanted.startswith(_normal_host(trusted)) for trusted",
        ),
        Edit(_TRANSPORT, "        if by_name and self._certified:", "        if by_name:"),
    ),
    _mutant(
        "a name that ends like a trusted one is trusted",
        "trusted names",
        Edit(
            _DECIDE, "_normal_host(trusted) == wanted for trusted", "wanted.endswith(_normal_host(trusted)) for trusted"
        ),
        Edit(_TRANSPORT, "        if by_name and self._certified:", "        if by_name:"),
    ),
    _mutant(
        "connections nearby and to clouds share their pool",
        "pools",
        Edit(_TRANSPORT, "        key = (near, socket, scheme)", "        key = (False, socket, scheme)"),
    ),
    _mutant(
        "a key may travel in the clear",
        "ways",
        Edit(_TRANSPORT, "and not encrypted:", "and False:"),
        Edit("glossator_providers/auth.py", "    _check_encrypted(provider, trusted_hosts)\n    try:", "    try:"),
    ),
    # what stays behind
    _mutant(
        "requests are logged at debug",
        "at rest",
        Edit(
            _TRANSPORT,
            "        inspect(call.payload.body, call.cleared, local=near)",
            "        inspect(call.payload.body, call.cleared, local=near)\n"
            '        __import__("logging").getLogger("glossator.transport").debug("sending %s", call.payload.body)',
        ),
    ),
    _mutant(
        "failures are logged with the provider's words",
        "at rest",
        Edit(
            "glossator_providers/router.py",
            "            caught, error = problem, as_provider_error(problem, provider, partial=bool(heard.text))",
            "            caught, error = problem, as_provider_error(problem, provider, partial=bool(heard.text))\n"
            '            __import__("logging").getLogger("glossator.router").warning("failed: %s", error)',
        ),
    ),
    _mutant(
        "explanations of private code are kept on disk",
        "at rest",
        Edit(
            "glossator/tasks/explain.py",
            "open_now = route.decision.level is Level.OPEN and not route.masked",
            "open_now = True",
        ),
    ),
    _mutant(
        "explanations with secrets that were masked are kept on disk",
        "masked",
        Edit(
            "glossator/tasks/explain.py",
            "route.decision.level is Level.OPEN and not route.masked",
            "route.decision.level is Level.OPEN",
        ),
    ),
    _mutant(
        "the egress ledger names the documents",
        "at rest",
        Edit("glossator_providers/egress_ledger.py", "of = [_keyed(key, origin.uri) for", "of = [origin.uri for"),
    ),
    _mutant(
        "the egress ledger holds the text",
        "at rest",
        Edit("glossator_providers/egress_ledger.py", '{"text": _keyed(key, fragment.text)}', '{"text": fragment.text}'),
    ),
    _mutant(
        "the ledger of usage quotes the request",
        "at rest",
        Edit(
            "glossator_providers/state.py",
            "        task=end.request.task,\n        kind",
            '        task=" ".join(f.text for m in end.request.messages for f in m.fragments if f.origins[0].uri)[-60:],\n        kind',
        ),
    ),
)


def write(mutant: Mutant, folder: Path) -> list[str]:
    """Write the product with this mutant's edits to *folder*; return what belongs on the path. Raises ValueError where a text is gone."""
    for package, place in _FOLDERS.items():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(parts.ROOT / place / package, folder / place / package, ignore=ignored)
    for edit in mutant.edits:
        package = edit.file.partition("/")[0]
        path = folder / _FOLDERS[package] / edit.file
        text = path.read_text("utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{mutant.name}: this stands {text.count(edit.old)} times in {edit.file}: {edit.old!r}")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return [str(folder / place) for place in _FOLDERS.values()]


def hunt(names: Sequence[str], *, workers: int) -> int:
    """Play sessions with each mutant until one leaks; 0 where all were found out."""
    wanted = [one for one in MUTANTS if not names or any(name in one.name for name in names)]
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as threads:
        results = list(threads.map(_hunt, wanted))
    survived = [one.name for one, killed in zip(wanted, results, strict=True) if not killed]
    print(f"{len(wanted) - len(survived)} of {len(wanted)} mutants were found out in {time.monotonic() - began:.0f} s")
    for name in survived:
        print(f"SURVIVED: {name}")
    return 1 if survived or not wanted else 0


def _hunt(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix="leak-mutant-") as folder:
        path = write(mutant, Path(folder))
        process = begin(
            ("worker", mutant.profile, "0", str(MOST_SESSIONS), "--until-leak"), path=path, errors=subprocess.PIPE
        )
        told, errors = process.communicate()
    lines = told.splitlines()
    if process.returncode not in {0, 1} or (
        process.returncode == 1 and '"leaks": []' in (lines or ['"leaks": []'])[-1]
    ):
        print(f"{mutant.name}: the lab itself failed\n{errors[-2000:]}", flush=True)
        return False
    killed = process.returncode == 1
    print(
        f"{mutant.name}: {'found out' if killed else 'NOT found out'} in {len(lines)} sessions of {mutant.profile!r}",
        flush=True,
    )
    return killed
