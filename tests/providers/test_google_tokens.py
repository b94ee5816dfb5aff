"""Google's access tokens: fetched with what its tools leave on a machine, through our door, and renewed in time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from glossator_providers.auth import sign, signed
from glossator_providers.catalog import ROWS, Provider
from glossator_providers.config import Sources, load, providers
from glossator_providers.dialects import get
from glossator_providers.errors import ConfigError, EgressDenied, Kind, ProviderError
from glossator_providers.google_tokens import Credentials, Reply, exchange, find_token
from glossator_providers.model import Request
from glossator_providers.secrets import Fetched, Token

pytest.importorskip("google.auth", reason="the extra glossator[vertex] is not installed")


class Google(HTTPServer):
    """What answers where tokens are given out; it keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: list[tuple[int, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Counter(BaseHTTPRequestHandler):
    """Answer with what is next in line, or with a token."""

    server: Google

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        number = len(self.server.asked)
        usual = (200, {"access_token": f"ya29.{number}", "expires_in": 3600, "token_type": "Bearer"})
        status, answer = self.server.answers.pop(0) if self.server.answers else usual
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815  the name that the library calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's signature
        """Print nothing."""


@pytest.fixture
def google() -> Iterator[Google]:
    """Run the counter on loopback."""
    with Google() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def user_file(folder: Path) -> Path:
    """Write what `gcloud auth application-default login` leaves."""
    path = folder / "application_default_credentials.json"
    told = {"type": "authorized_user", "client_id": "c", "client_secret": "GOCSPX-" + "a" * 28, "refresh_token": "1//r"}
    path.write_text(json.dumps(told))
    return path


def redirected(google: Google) -> Callable[..., Reply]:
    """Make the exchanges of somebody who is signed in, which always go to the same address, with the counter instead."""

    def ask(url: str, **arguments: Any) -> Reply:
        assert url == "https://oauth2.googleapis.com/token"
        return exchange(f"{google.url}/token", **arguments)

    return ask


def service_file(folder: Path, google: Google) -> Path:
    """Write the key file of a service account, with a key of its own."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    told = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": key.decode()}
    path = folder / "service.json"
    path.write_text(json.dumps({**told, "private_key_id": "1", "token_uri": f"{google.url}/token"}))
    return path


def test_a_service_account_signs_for_its_token(tmp_path: Path, google: Google) -> None:
    """One signed assertion is exchanged for a token, though the door refuses signed tokens inside of prompts."""
    token = find_token({"GOOGLE_APPLICATION_CREDENTIALS": str(service_file(tmp_path, google))})
    before = token.ready, list(google.asked)
    assert token.reveal() == "ya29.1"
    assert (*before, token.ready) == (False, [], True), "nothing is asked before it is needed"
    ((path, headers, body),) = google.asked
    assert path == "/token"
    assert headers["user-agent"] == "glossator", "it went through our door"
    assert parse_qs(body)["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert parse_qs(body)["assertion"][0].count(".") == 2


def test_a_user_who_is_signed_in_gets_a_token(tmp_path: Path, google: Google) -> None:
    """The file that Google's command line leaves is found where it leaves it."""
    assert find_token({"CLOUDSDK_CONFIG": str(tmp_path)}) == Token(
        Credentials(user_file(tmp_path)), source="Google's application default credentials"
    )
    assert Credentials(user_file(tmp_path), ask=redirected(google))().text == "ya29.1"
    ((_, _, body),) = google.asked
    assert parse_qs(body)["refresh_token"] == ["1//r"]


def test_a_token_is_kept_and_renewed_before_its_end() -> None:
    """One is fetched when it is needed, the next five minutes before the first one ends."""
    now, fetched = [1000.0], iter([Fetched("first", 4600.0), Fetched("second", 8200.0)])
    token = Token(lambda: next(fetched), source="Google", clock=lambda: now[0])
    ready = [token.ready]
    assert [token.reveal(), token.reveal()] == ["first", "first"]
    for moment in (4299, 4301):
        now[0] = moment
        ready.append(token.ready)
    assert ready == [False, True, False]
    assert token.reveal() == "second"
    assert "second" not in repr(token)


def test_a_machine_of_googles_gives_a_token(tmp_path: Path, google: Google) -> None:
    """Without a file the machine itself is asked; where nothing answers, the message says what to do."""
    fetched = Credentials(tmp_path / "none.json", metadata=f"127.0.0.1:{google.server_port}")()
    assert fetched.text == "ya29.1"
    assert "ya29" not in repr(fetched)
    assert fetched.ends > 0
    ((path, headers, _),) = google.asked
    assert path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert headers["metadata-flavor"] == "Google"
    google.answers = [(404, "no")]
    with pytest.raises(ConfigError, match="gcloud auth application-default login"):
        Credentials(tmp_path / "none.json", metadata=f"127.0.0.1:{google.server_port}")()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "damaged"),
        ("[]", "not read here"),
        ("{}", "not read here"),
        ('{"type": "external_account"}', "print-access-token"),
        ('{"type": "service_account"}', "damaged"),
        ('{"type": "service_account", "client_email": "a", "token_uri": "b", "private_key": "c"}', "damaged"),
        ('{"type": "authorized_user"}', "damaged"),
        ('{"type": "authorized_user", "client_id": 1, "client_secret": 2, "refresh_token": null}', "no access token"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_credentials_that_are_none_are_told(tmp_path: Path, content: str, said: str) -> None:
    """A damaged file, or one of a kind that is not read, is named with the way out, and nothing of it is repeated."""
    file = tmp_path / "credentials.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=said) as caught:
        Credentials(file)()
    assert str(file) in str(caught.value)


def test_a_refused_sign_in_is_told(tmp_path: Path, google: Google) -> None:
    """What Google says is told with the way out; it is the failure of this provider, not of the whole request."""
    google.answers = [(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})]
    key = Token(Credentials(user_file(tmp_path), ask=redirected(google)), source="Google")
    provider = Provider("v", ROWS["vertex"], "m", "https://aiplatform.googleapis.com", key, project="p")
    with pytest.raises(ProviderError, match="Token has been expired or revoked") as caught:
        sign(provider)
    assert caught.value.kind is Kind.AUTH
    assert "GOCSPX" not in str(caught.value)


def test_credentials_do_not_travel_in_the_clear() -> None:
    """An address that is not https, or that is none, is not asked, whatever the file says."""
    for url in ("http://token.example.com/token", "token", "http://[::1"):
        with pytest.raises(EgressDenied, match="nothing was sent"):
            exchange(url, "POST", b"refresh_token=x")


async def test_a_call_is_signed_with_the_token(tmp_path: Path, google: Google) -> None:
    """Signing fetches the token on a thread, so the editor's loop goes on; the next call has it at once."""
    provider = Provider(
        "v",
        ROWS["vertex"],
        "m",
        "https://aiplatform.googleapis.com",
        Token(Credentials(user_file(tmp_path), ask=redirected(google)), source="Google"),
        project="p",
    )
    payload = get("vertex").encode(Request(()), provider)
    for _ in range(2):
        ((name, value),) = await asyncio.wait_for(signed(provider, payload), 20)
        assert not isinstance(value, str)
        assert (name, value.reveal()) == ("authorization", "Bearer ya29.1")
    assert len(google.asked) == 1


async def test_who_pays_is_named_where_the_user_chose_a_project(tmp_path: Path, google: Google) -> None:
    """The quota project of the credentials is told with every call, as Google's own library does; the variable counts more."""
    file = user_file(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), "quota_project_id": "ours"}))
    for variable, expected in ((None, "ours"), ("theirs", "theirs")):
        key = Token(Credentials(file, ask=redirected(google), quota_project=variable), source="Google")
        provider = Provider("v", ROWS["vertex"], "m", "https://aiplatform.googleapis.com", key, project="p")
        headers = dict(await asyncio.wait_for(signed(provider, get("vertex").encode(Request(()), provider)), 20))
        assert headers["x-goog-user-project"] == expected
    broken = Token(Credentials(file, ask=redirected(google), quota_project="a\r\nb"), source="Google")
    with pytest.raises(ConfigError, match="set-quota-project"):
        await asyncio.to_thread(broken.reveal)
    found = find_token({"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GOOGLE_CLOUD_QUOTA_PROJECT": "theirs"})
    assert found == Token(Credentials(file, quota_project="theirs"), source="Google's application default credentials")


def configured(folder: Path, table: str, environment: dict[str, str]) -> Provider:
    """Read one provider from a configuration file."""
    file = folder / "config.toml"
    file.write_text(table)
    loaded = load(Sources(environment=environment, user=file, organisation=()))
    (provider,) = providers(loaded.config, environment)
    return provider


def test_project_and_location_come_from_the_configuration_or_the_variables(tmp_path: Path) -> None:
    """What the user wrote counts before the variables; the location is a part of the address."""
    variables = {"GOOGLE_CLOUD_PROJECT": "ours", "GOOGLE_CLOUD_LOCATION": "us-central1"}
    plain = configured(tmp_path, '[providers.v]\nkind = "vertex"\n', variables)
    assert (plain.project, plain.location) == ("ours", "us-central1")
    assert plain.base_url == "https://us-central1-aiplatform.googleapis.com"
    assert isinstance(plain.key, Token)
    told = '[providers.v]\nkind = "vertex-anthropic"\nproject = "mine"\nlocation = "eu"\n'
    chosen = configured(tmp_path, told, {**variables, "CLOUD_ML_REGION": "us-east5"})
    assert (chosen.project, chosen.base_url) == ("mine", "https://aiplatform.eu.rep.googleapis.com")
    everywhere = configured(tmp_path, '[providers.v]\nkind = "vertex"\nproject = "mine"\n', {})
    assert everywhere.base_url == "https://aiplatform.googleapis.com"
    path = get("vertex").encode(Request(()), everywhere).path
    assert path.startswith("/v1beta1/projects/mine/locations/global/publishers/google/models/")


def test_express_mode_is_a_key_without_a_project(tmp_path: Path) -> None:
    """A named key is that of express mode, whatever project the variables name; without key and project nobody is asked."""
    variables = {"GOOGLE_CLOUD_PROJECT": "ours", "EXPRESS": "k"}
    express = configured(tmp_path, '[providers.v]\nkind = "vertex"\nkey_env = "EXPRESS"\n', variables)
    assert express.project is None
    ((name, _),) = sign(express)
    assert name == "x-goog-api-key"
    nobody = configured(tmp_path, '[providers.v]\nkind = "vertex"\n', {})
    with pytest.raises(ProviderError, match="GOOGLE_CLOUD_PROJECT"):
        sign(nobody)
    claude = configured(tmp_path, '[providers.v]\nkind = "vertex-anthropic"\n', {})
    with pytest.raises(ProviderError, match="GOOGLE_CLOUD_PROJECT"):
        get("vertex_anthropic").encode(Request(()), claude)


@pytest.mark.parametrize(
    ("table", "variables", "said"),
    [
        ('kind = "vertex"\nlocation = "evil.example/"', {}, "location"),
        ('kind = "vertex"\nproject = "../other"', {}, "project"),
        ('kind = "groq"\nproject = "p"', {}, "Google Cloud's"),
        ('kind = "vertex"\nproject = "p"\nbase_url = "https://gateway.example"', {}, "key_env"),
        ('kind = "vertex"', {"GOOGLE_CLOUD_LOCATION": "evil.example/"}, "GOOGLE_CLOUD_LOCATION"),
        ('kind = "vertex"', {"GOOGLE_CLOUD_PROJECT": "a b"}, "GOOGLE_CLOUD_PROJECT"),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, table: str, variables: dict[str, str], said: str) -> None:
    """What would lead elsewhere, or send Google's credentials to somebody else, is refused with the name of the setting."""
    with pytest.raises(ConfigError, match=said):
        configured(tmp_path, f"[providers.v]\n{table}\n", variables)


def test_a_server_on_this_machine_gets_no_credentials(tmp_path: Path) -> None:
    """A loopback address is asked without a token, unless a key is named for it."""
    table = '[providers.v]\nkind = "vertex"\nproject = "p"\nbase_url = "http://127.0.0.1:9"\n'
    local = configured(tmp_path, table, {})
    assert local.key is None
    assert sign(local) == ()
