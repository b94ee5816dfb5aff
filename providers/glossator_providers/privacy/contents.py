"""Secrets that stand in a text itself: a table of rules in RE2, which needs linear time whatever the text is.

Every format is written from what the vendor publishes; a rule's comment names the page where it is not obvious.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import re2

LARGEST = 2_000_000  # characters; a longer text is closed unread, so that no menu waits
_MOST = 20  # findings; one is enough to close a text, the rest are for the reader
_SPECIFIC_CANDIDATES = 500  # places looked at closely; a text with more was made to keep us busy, and is closed
_GENERIC_CANDIDATES = 5000


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text that looks like a secret: offsets in code points, the end exclusive."""

    rule: str
    what: str
    start: int
    end: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One format of a secret. `pattern` is RE2 over bytes; its group, where it has one, is the secret itself.

    `entropy` is in bits per byte, what the secret must at least have.
    """

    name: str
    what: str
    pattern: str
    entropy: float = 0.0


_CONTINUED = bytes(range(0x80, 0xC0))  # the bytes of UTF-8 that begin no character

RULES: tuple[Rule, ...] = (
    # model vendors
    Rule("anthropic-key", "an Anthropic key", r"\bsk-ant-[a-z0-9]{2,12}-[\w-]{20,}", 3.0),
    Rule("openai-key", "an OpenAI key", r"\bsk-(?:proj|svcacct|admin|None)-[\w-]{20,}", 3.0),
    Rule("openai-user-key", "an OpenAI key", r"\bsk-[A-Za-z0-9]{20,}T3BlbkFJ[A-Za-z0-9]{20,}"),
    Rule("sk-key", "a key of a model vendor", r"\bsk-(?:or-v1-)?[A-Za-z0-9]{32,}\b", 3.0),
    Rule("google-key", "a Google key", r"\bAIza[\w-]{35}"),
    Rule("xai-key", "an xAI key", r"\bxai-[A-Za-z0-9]{40,}"),
    Rule("groq-key", "a Groq key", r"\bgsk_[A-Za-z0-9]{40,}"),
    Rule("huggingface-token", "a Hugging Face token", r"\b(?:hf_|api_org_)[A-Za-z]{34,}"),
    Rule("replicate-token", "a Replicate token", r"\br8_[A-Za-z0-9]{37}"),
    Rule("perplexity-key", "a Perplexity key", r"\bpplx-[A-Za-z0-9]{40,}"),
    # clouds
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    Rule("aws-access-key", "an AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7]{16}\b", 2.8),
    Rule("aws-bedrock-key", "an Amazon Bedrock key", r"\bABSK[A-Za-z0-9+/]{100,}={0,2}"),
    Rule("google-oauth-secret", "a Google client secret", r"\bGOCSPX-[\w-]{28}"),
    Rule("google-oauth-token", "a Google access token", r"\bya29\.[\w-]{40,}"),
    Rule("azure-storage-key", "an Azure storage key", r"(?i)AccountKey=[A-Za-z0-9+/]{86}=="),
    Rule("azure-sas", "an Azure shared access signature", r"[?&]sig=[A-Za-z0-9%+/]{40,}(?:%3D|=)"),
    Rule("azure-client-secret", "an Azure client secret", r"\b[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    Rule("digitalocean-token", "a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}"),
    Rule("alibaba-key", "an Alibaba key", r"\bLTAI[A-Za-z0-9]{17,21}\b", 3.0),
    Rule("tencent-key", "a Tencent key", r"\bAKID[A-Za-z0-9]{32}\b"),
    Rule("heroku-key", "a Heroku key", r"\bHRKU-[\w-]{36,60}"),
    Rule("flyio-token", "a Fly.io token", r"\bfo1_[\w-]{43}|\bfm[12][ar]?_[A-Za-z0-9+/]{100,}"),
    Rule("cloudflare-ca-key", "a Cloudflare origin key", r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    Rule("databricks-token", "a Databricks token", r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    Rule("vault-token", "a Vault token", r"\bhv[sbr]\.[\w-]{24,}", 3.0),
    Rule("terraform-token", "a Terraform token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"),
    Rule("pulumi-token", "a Pulumi token", r"\bpul-[a-f0-9]{40}"),
    Rule("doppler-token", "a Doppler token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,}"),
    Rule("infracost-key", "an Infracost key", r"\bico-[A-Za-z0-9]{32}"),
    # code and packages
    # https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    Rule("github-token", "a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,}", 2.8),
    Rule("github-fine-grained-token", "a GitHub token", r"\bgithub_pat_\w{40,}", 2.8),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    Rule("gitlab-token", "a GitLab token", r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[\w-]{20,}"),
    Rule("gitlab-runner-token", "a GitLab runner token", r"\bGR1348941[\w-]{20,}"),
    Rule("bitbucket-password", "a Bitbucket app password", r"\bATBB[A-Za-z0-9]{32}"),
    Rule("atlassian-token", "an Atlassian token", r"\bATATT3[\w=-]{100,}|\bATCTT3[\w=-]{100,}"),
    Rule("npm-token", "an npm token", r"\bnpm_[A-Za-z0-9]{36}|:_(?:authToken|password|auth)\s{0,30}=\s{0,30}([\w+/.-]{16,}=*)"),
    Rule("pypi-token", "a PyPI token", r"\bpypi-(?:AgEIcHlwaS5vcmc|AgENdGVzdC5weXBpLm9yZw)[\w-]{50,}"),
    Rule("rubygems-key", "a RubyGems key", r"\brubygems_[a-f0-9]{48}"),
    Rule("nuget-key", "a NuGet key", r"\boy2[a-z0-9]{43}\b"),
    Rule("crates-token", "a crates.io token", r"\bcio[A-Za-z0-9]{32}\b"),
    Rule("clojars-token", "a Clojars token", r"\bCLOJARS_[a-z0-9]{60}"),
    Rule("docker-token", "a Docker token", r"\bdckr_(?:pat|oat)_[\w-]{27,}"),
    Rule("artifactory-key", "an Artifactory key", r"\bAKCp[A-Za-z0-9]{60,}|\bcmVmd[A-Za-z0-9]{59}\b"),
    Rule("sonar-token", "a Sonar token", r"\bsq[upa]_[a-f0-9]{40}"),
    Rule("linear-key", "a Linear key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,}"),
    Rule("postman-key", "a Postman key", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    Rule("figma-token", "a Figma token", r"\bfig[dou]r?_[\w-]{40,}"),
    Rule("notion-token", "a Notion token", r"\bntn_[A-Za-z0-9]{40,}"),
    Rule("age-key", "an age key", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    Rule("1password-key", "a 1Password key", r"\bA3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}|\bops_eyJ[\w+/=-]{200,}"),
    # chat, mail, money
    # https://api.slack.com/concepts/token-types
    Rule("slack-token", "a Slack token", r"(?i)\bxox[abeoprs](?:\.xox[abeoprs])?-(?:\d-)?[\w-]{10,}", 2.0),
    Rule("slack-app-token", "a Slack token", r"(?i)\bxapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{20,}"),
    Rule("slack-webhook", "a Slack webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+-]{30,}"),
    Rule("discord-webhook", "a Discord webhook", r"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{40,}"),
    Rule("discord-token", "a Discord bot token", r"\b[MNO][A-Za-z\d_-]{23,25}\.[\w-]{6}\.[\w-]{27,38}"),
    Rule("teams-webhook", "a Teams webhook", r"webhook\.office\.com/webhookb2/[a-f0-9-]{36}@[a-f0-9-]{36}/\w+/[a-f0-9]{32}"),
    Rule("telegram-token", "a Telegram bot token", r"\b\d{8,10}:AA[\w-]{32,33}"),
    Rule("twilio-key", "a Twilio key", r"\bSK[a-f0-9]{32}\b"),
    Rule("sendgrid-key", "a SendGrid key", r"\bSG\.[\w-]{20,24}\.[\w-]{39,50}"),
    Rule("mailgun-key", "a Mailgun key", r"\b(?:key|pubkey)-[a-f0-9]{32}\b|\b[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}\b"),
    Rule("mailchimp-key", "a Mailchimp key", r"\b[a-f0-9]{32}-us\d{1,2}\b"),
    Rule("brevo-key", "a Brevo key", r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    # https://docs.stripe.com/keys
    Rule("stripe-key", "a Stripe key", r"\b(?:sk|rk)_(?:test|live|prod)_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/=]{24,}", 2.8),
    Rule("square-token", "a Square token", r"\bsq0(?:atp|csp|idp)-[\w-]{22,43}|\bEAAA[\w-]{60}"),
    Rule("shopify-token", "a Shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    Rule("facebook-token", "a Facebook token", r"\bEAA[A-Za-z]{2}[A-Za-z0-9]{50,}"),
    Rule("paypal-braintree-token", "a Braintree token", r"\baccess_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    Rule("plaid-token", "a Plaid token", r"\baccess-(?:sandbox|development|production)-[a-f0-9]{8}-[a-f0-9-]{27}"),
    # monitoring
    Rule("grafana-token", "a Grafana token", r"\bgl(?:c|sa)_[A-Za-z0-9+/_]{30,}|\beyJrIjoi[A-Za-z0-9]{60,}"),
    Rule("newrelic-key", "a New Relic key", r"\bNR(?:AK|II|RA|AA|JS|IQ)-[A-Za-z0-9_-]{20,40}"),
    Rule("sentry-token", "a Sentry token", r"\bsntry[su]_[A-Za-z0-9+/=_]{40,}"),
    Rule("dynatrace-token", "a Dynatrace token", r"\bdt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    Rule("launchdarkly-key", "a LaunchDarkly key", r"\b(?:sdk|mob|api)-[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{4}-[a-f0-9]{12}"),
    # published forms, each a prefix that its vendor chose so that scanners find it
    Rule("airtable-token", "an Airtable token", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    Rule("authress-key", "an Authress key", r"\b(?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[a-z0-9+/_=-]{30,120}", 2.0),
    Rule("buildkite-token", "a Buildkite token", r"\bbk(?:[au]a|ct|pt|ut|a[ju])_[\w-]{32,}", 3.0),
    Rule("circleci-token", "a CircleCI token", r"\bCCI(?:PAT|PRJ)_[A-Za-z0-9]{22}_[a-f0-9]{40}"),
    Rule("clickhouse-key", "a ClickHouse Cloud key", r"\b4b1d[A-Za-z0-9]{38}\b", 3.0),
    Rule("contentful-token", "a Contentful token", r"\bCFPAT-[\w-]{43}"),
    Rule("dropbox-token", "a Dropbox token", r"\bsl\.(?:u\.)?[\w-]{120,}"),
    Rule("duffel-token", "a Duffel token", r"\bduffel_(?:test|live)_[\w=-]{43}"),
    Rule("easypost-key", "an EasyPost key", r"\bEZ[AT]K[A-Za-z0-9]{54}\b"),
    Rule("elastic-key", "an Elastic Cloud key", r"\bess[au]_[\w-]{40,}", 3.0),
    Rule("flutterwave-key", "a Flutterwave key", r"\bFLW(?:PUBK|SECK)_TEST-[a-h0-9-]{12,36}", 2.0),
    Rule("frameio-token", "a Frame.io token", r"\bfio-u-[\w-]{64}"),
    Rule("instagram-token", "an Instagram token", r"\bIGQV[\w-]{100,}"),
    Rule("jina-key", "a Jina key", r"\bjina_[a-f0-9]{32}[\w-]{20,}"),
    Rule("langsmith-key", "a LangSmith key", r"\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    Rule("mapbox-token", "a Mapbox secret token", r"\b[st]k\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    Rule("mongodb-key", "a MongoDB Atlas secret", r"\bmdb_sa_sk_[\w-]{40}"),
    Rule("ngc-key", "an NVIDIA key", r"\bnvapi-[\w-]{60,}"),
    Rule("planetscale-token", "a PlanetScale token", r"\bpscale_(?:pw|tkn|oauth)_[\w.=-]{32,}", 3.0),
    Rule("prefect-key", "a Prefect key", r"\bpn[ub]_[A-Za-z0-9]{36}\b"),
    Rule("razorpay-key", "a Razorpay key", r"\brzp_(?:live|test)_[A-Za-z0-9]{14,}"),
    Rule("readme-key", "a ReadMe key", r"\brdme_[a-z0-9]{70}"),
    Rule("riot-key", "a Riot Games key", r"\bRGAPI-[a-f0-9]{8}-[a-f0-9-]{27}"),
    Rule("settlemint-token", "a SettleMint token", r"\bsm_(?:aat|pat|sat)_[A-Za-z0-9]{16}\b"),
    Rule("shippo-token", "a Shippo token", r"\bshippo_(?:live|test)_[a-fA-F0-9]{40}"),
    Rule("supabase-key", "a Supabase key", r"\bsb(?:p_[a-f0-9]{40}|_secret_[\w-]{30,})"),
    Rule("tailscale-key", "a Tailscale key", r"\btskey-[a-z]{2,12}-[A-Za-z0-9]{6,}-[A-Za-z0-9]{20,}", 2.5),
    Rule("tavily-key", "a Tavily key", r"\btvly-(?:dev-|prod-)?[A-Za-z0-9]{32}\b"),
    Rule("together-key", "a Together AI key", r"\btgp_v1_[\w-]{43}"),
    Rule("typeform-token", "a Typeform token", r"\btfp_[\w.=-]{59}"),
    Rule("vercel-token", "a Vercel token", r"\bvc[pikacr]_[A-Za-z0-9]{56}"),
    Rule("zoho-token", "a Zoho token", r"\b1000\.[a-f0-9]{32}\.[a-f0-9]{32}\b"),
    Rule("gemini-key", "a Gemini key", r"\bAQ\.Ab[\w-]{48,}"),
    Rule("elevenlabs-key", "an ElevenLabs key", r"\bsk_[a-f0-9]{48}\b"),
    Rule("cursor-key", "a Cursor key", r"\bkey_[a-f0-9]{64}\b"),
    Rule("azure-token", "an Azure key", r"\b[A-Za-z0-9]{52}JQQJ99[A-Z0-9]{2}A[A-Za-z0-9]{20,}|\b[A-Za-z0-9+/]{33}(?:\+ASt|AzFu|AzSe|ACDb)[A-Za-z0-9+/]{4,}={0,2}"),
    Rule("azure-shared-key", "an Azure shared access key", r"(?i)SharedAccessKey=([A-Za-z0-9+/]{43}=)"),
    Rule("amazon-mws-token", "an Amazon MWS token", r"\bamzn\.mws\.[a-z0-9]{8}-[a-z0-9-]{27}"),
    # formats
    # RFC 7468, OpenSSH, PGP
    Rule("private-key", "a private key", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|[\s\"',+\\])*[A-Za-z0-9+/=:]{6}"),
    Rule("putty-key", "a private key", r"PuTTY-User-Key-File-\d: (?:ssh|ecdsa)-"),
    # what a PEM key becomes once more in base64: `-----BEGIN `
    Rule("encoded-private-key", "a private key in base64", r"\bLS0tLS1CRUdJTi[A-Za-z0-9+/]{4,40}(?:UFJJVkFURSBLRVkt|BSSVZBVEUgS0VZL|QUklWQVRFIEtFWS)"),
    # RFC 7519: both parts are JSON objects, so both begin with `{"`
    Rule("jwt", "a signed token (JWT)", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{10,}"),
    # RFC 7517 section 9.3
    Rule("jwk", "a private key (JWK)", r"\b(?:d|dp|dq|qi|k)[\"']?\s{0,3}:\s{0,3}[\"']([A-Za-z0-9_-]{40,})[\"']", 4.0),
    Rule("nkey", "an NATS seed", r"\bS[UAOCNX][A-Z2-7]{56}\b", 3.5),
    Rule("url-password", "a password in a URL", r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s:/?#@\"'<>$%{}()\[\]*]{0,80}:([^\s/?#@\"'<>{}()\[\]*\\]{3,100})@[\w.%${-]", 1.5),
    Rule("curl-user", "a password on a command line", r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[ =]?[\"']?[\w.@-]{1,60}:([^\s\"'$<{]{4,80})", 1.5),
    Rule("aws-secret-key", "an AWS secret key", r"(?i)(?:aws_?)?secret_?(?:access_?)?key[\"']?\s{0,30}[:=]\s{0,30}[\"']?([A-Za-z0-9+/]{40})\b", 4.0),
)  # fmt: skip

KEYWORD = (
    r"(?:passw(?:or)?d|passwd|passwort|passphrase|passwort|pswd|secret|token|credential|"
    r"api_?-?key|access_?-?key|auth_?-?key|private_?-?key|secret_?-?key|account_?-?key|encryption_?-?key|encrypt_?-?key|"
    r"signing_?-?key|master_?-?key|crypt_?-?key|session_?-?key|storage_?-?key|license_?-?key|client_?-?key|"
    r"app_?-?key|app_?-?secret|shared_?-?key|\bpass\b|_pass\b|\bpwd\b|_pwd\b|dbpass|\bauth\b|_auth\b|\bpsk\b|nkey|oauth_verifier|client_?-?secret|\bpw\b|_pw\b|auth(?:orization)?_?-?code)"
)
_NAME = r"[\w.-]{0,40}?" + KEYWORD + r"[\w.-]{0,30}"
_PASSED = Rule("passed-secret", "a secret in quotes", r"(?i)[\"'](" + _NAME + r")[\"']\s{0,3}[,(]\s{0,3}[\"'`]([^\"'`\n]{4,300})[\"'`]")  # fmt: skip
_TOO_MANY = Rule("too-many", "more secrets than can be looked at", "")
# Forms that only say "here could be one": the first group is the name, the second the value, and the look of both decides.
_GENERIC: tuple[Rule, ...] = (
    Rule("assigned-secret", "a secret in quotes", r"(?i)(" + _NAME + r")[\"'`\]]{0,3}(?:[ \t]{1,40}|\s{0,5})(?::\s?(?:str|string|&str|&'static str)\s{0,3}=|(?:string|str)\s=|=>|:{1,3}=|\|\|=|==|!=|\?=|\+=|\.=|[=:])\s{0,5}(?:[a-z]{0,2}|new String\(|@|\(|\[\s{0,3})?[\"'`]([^\"'`\n]{4,300})[\"'`]"),
    _PASSED,
    Rule("configured-secret", "a secret in a configuration", r"(?im)^[ \t\f\r\-]{0,40}(?:(?:export|set|ENV|ARG)[ \t]+|(?:#|//)[ \t]?)?[\"'*]{0,2}(" + _NAME + r")[\"'*]{0,2}[ \t]{0,10}[=:][ \t]{0,10}([^\s\"'`,;#(){}\[\]<>$&|][^\s\"'`,;(){}\[\]<>$]{5,200})(?:[ \t]*;?\\?\r?$)"),
    Rule("environment-secret", "a secret in an environment variable", r"\b([A-Z][A-Z0-9_]{0,40}?(?:PASSWORD|PASSWD|PASS|PWD|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|CREDENTIALS?)[A-Z0-9_]{0,30})=[\"']?([^\s\"'`$<&;|(){}]{5,200})"),
    Rule("command-line-secret", "a secret on a command line", r"(?i)(?:^|[\s\"'])--?(" + _NAME + r")(?:=|\s{1,3}|[\"'],\s{0,3}[\"'])[\"']?([^\s\"'`$<&;|(){}\[\]-][^\s\"'`$<&;|(){}\[\]]{5,200})"),
    Rule("url-parameter", "a secret in a URL", r"(?i)[?&](\w{0,20}?(?:token|secret|api_?key|passwd|password|signature|verifier|credential)|key|sig|pwd)=([\w%.~+/-]{10,500})"),
    Rule("request-credentials", "the credentials of a request", r"(?i)\b(basic|bearer)\s{1,2}([A-Za-z0-9+/_.~-]{12,1000}={0,2}|[A-Za-z0-9+/]{6,11}={1,2})"),
    Rule("parameter-secret", "a secret among parameters", r"(?i)[?&;\"'](" + _NAME + r")=([^\s&;\"'`<>${}()\[\]\\]{4,200})(?:[&;\"'\\]|\s|$)"),
    Rule("header-secret", "a secret in a header", r"(?i)[\"'](" + _NAME + r"):\s?([^\s\"'`<>${}()\[\]\\]{8,300})\\?[\"']"),
    Rule("element-secret", "a secret in an element", r"(?i)<(" + _NAME + r")>\s{0,40}([^\s<>${}()\[\]]{4,300})[\s<]"),
    Rule("database-secret", "a password in a query", r"(?i)\b(password|identified(?:[ \t]+with[ \t]+[\w\"']{1,40})?[ \t]+(?:by|as)(?:[ \t]+password)?)[ \t]+'([^'\n]{4,200})'"),
    Rule("login-secret", "a password of a login", r"(?i)\b(?:login|user)[ \t]+[^\s\"']{1,80}\s{1,10}(password)[ \t]+([^\s\"'`<>${}()\[\],;]{4,200})"),
    Rule("random-key", "a key", r"(?i)\b([\w.-]{0,40}(?:key|secret|token)\w{0,12})[\"'`\]]{0,3}[ \t]{0,20}(?:=>|:=|[=:])[ \t]{0,20}(?:[\w.]{0,20}\(){0,2}[\"'`]?([\w+/=-]{24,300})[\"'`\s;),\\]"),
)  # fmt: skip
# Every match of a generic rule holds one of these words, begins on its line, and ends on the line where its value begins:
# at most so many bytes farther on. What stands between two excerpts belongs to no match.
_TRIGGER = r"(?i)pass|pw|pswd|psk|secret|token|credential|key|auth|login|user[ \t]|basic\s|bearer\s|sig=|signature=|verifier=|identified"
_REACH = 240
_BETWEEN = b"\n\0\n"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that was looked at closely, and whether it holds a secret; its places count from the start of its piece."""

    finding: Finding
    secret: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """What one piece of a text says: how many lines end in it, and what each rule met, by the rule's number."""

    lines: int
    met: tuple[tuple[int, tuple[Candidate, ...]], ...]


def scan(text: str) -> tuple[Finding, ...]:
    """Return what looks like a secret in *text*, at most twenty places, in the order of the text."""
    return join(((0, 0, examine(text)),))


def scan_specific(text: str) -> tuple[Finding, ...]:
    """Return only what has the form of a known vendor's secret or of a known format."""
    return join(((0, 0, examine(text, generic=False)),))


def examine(text: str, *, generic: bool = True) -> Piece:
    """Look through one piece of a text; `join` makes the answer for the whole of it."""
    data = text.encode("utf-8", "surrogatepass")
    met = [_meet_specific(data)]
    if generic:
        excerpt = _excerpt(data)
        met += [_meet_generic(rule, excerpt) for rule in _GENERIC]
    if not any(met):
        return Piece(data.count(b"\n"), ())
    places = locate(data, sorted({place for spans in met for start, end, _, _ in spans for place in (start, end)}))
    candidates = []
    for number, spans in enumerate(met):
        if spans:
            candidates.append((number, tuple(_describe(span, places) for span in spans)))
    return Piece(data.count(b"\n"), tuple(candidates))


def join(pieces: Iterable[tuple[int, int, Piece]]) -> tuple[Finding, ...]:
    """Tell what all *pieces* of a text hold; each comes with the code point and the line at which it begins, in order."""
    findings: list[Finding] = []
    looked, secrets = [0] * (1 + len(_GENERIC)), [0] * (1 + len(_GENERIC))
    for start, line, piece in pieces:
        for number, candidates in piece.met:
            limit = _GENERIC_CANDIDATES if number else _SPECIFIC_CANDIDATES
            for candidate in candidates:
                if secrets[number] >= _MOST or looked[number] > limit:
                    break
                looked[number] += 1
                if looked[number] > limit:
                    flood = replace(candidate.finding, rule=_TOO_MANY.name, what=_TOO_MANY.what)
                    findings.append(_moved(flood, start, line))
                elif candidate.secret:
                    secrets[number] += 1
                    findings.append(_moved(candidate.finding, start, line))
    told: list[Finding] = []
    for finding in sorted(findings, key=lambda finding: (finding.start, finding.end))[:_MOST]:
        if not told or finding.start >= told[-1].end:
            told.append(finding)
    return tuple(told)


_Span = tuple[int, int, Rule, bool]  # bytes; the last says whether it is a secret


def _meet_specific(data: bytes) -> list[_Span]:
    spans: list[_Span] = []
    secrets = 0
    for found in _any_specific().finditer(data):
        secret = _narrow(data, found.start())
        secrets += secret is not None
        spans.append((*found.span(), _TOO_MANY, False) if secret is None else secret)
        if len(spans) > _SPECIFIC_CANDIDATES or secrets >= _MOST:
            break
    return spans


@dataclass(frozen=True, slots=True)
class _Excerpt:
    """The lines of a text that a generic rule can meet, part after part; `shifts` lead back to the whole text."""

    data: bytes
    starts: tuple[int, ...]  # where each part begins in `data` …
    shifts: tuple[int, ...]  # … and how much farther on it begins in the text

    def place(self, offset: int) -> int:
        return offset + self.shifts[bisect_right(self.starts, offset) - 1]


def _excerpt(data: bytes) -> _Excerpt:
    """Cut out what stands around every word that a generic rule asks for: so most lines are read once, not once a rule."""
    parts: list[tuple[int, int]] = []
    for found in _compile(_TRIGGER).finditer(data):
        start, end = data.rfind(b"\n", 0, found.start()) + 1, data.find(b"\n", found.end() + _REACH) + 1 or len(data)
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    starts, shifts, place = [], [], 0
    for start, end in parts:
        starts.append(place)
        shifts.append(start - place)
        place += end - start + len(_BETWEEN)
    return _Excerpt(_BETWEEN.join(data[start:end] for start, end in parts), tuple(starts), tuple(shifts))


def _meet_generic(rule: Rule, excerpt: _Excerpt) -> list[_Span]:
    spans: list[_Span] = []
    secrets = 0
    data = excerpt.data
    for found in _compile(rule.pattern).finditer(data):
        name, value = found.group(1), found.group(2)
        start, end = found.span(2)
        secret = _judge(rule, name, value, quoted=data[start - 1 : start] in {b'"', b"'", b"`"})
        secrets += secret
        spans.append((excerpt.place(start), excerpt.place(end), rule, secret))
        if len(spans) > _GENERIC_CANDIDATES or secrets >= _MOST:
            break
    return spans


def _narrow(data: bytes, start: int) -> _Span | None:
    """Find which specific rule meets a secret at *start*, where the union of all of them meets something."""
    for rule in RULES:
        found = _compile(rule.pattern).match(data, start)
        if found is None:
            continue
        group = 1 if found.re.groups and found.group(1) else 0
        secret = found.group(group)
        if rule.name == "url-password" and _compile(_EXAMPLE_HOST).match(data, found.end() - 1) is not None:
            continue
        if entropy(secret) >= rule.entropy and not _is_placeholder(secret, specific=True):
            return (*found.span(group), rule, True)
    return None


def locate(data: bytes, offsets: list[int]) -> dict[int, tuple[int, int, int]]:
    """Return code point, line and column of each of *offsets*, which are in order."""
    places: dict[int, tuple[int, int, int]] = {}
    passed = place = line = line_start = 0  # bytes, code points, lines, bytes
    for offset in offsets:
        between = data[passed:offset]
        place += _length(between)
        line += between.count(b"\n")
        newline = data.rfind(b"\n", passed, offset)
        line_start = newline + 1 if newline >= 0 else line_start
        passed = offset
        places[offset] = (place, line, _length(data[line_start:offset]))
    return places


def _describe(span: _Span, places: dict[int, tuple[int, int, int]]) -> Candidate:
    start, end, rule, secret = span
    place, line, column = places[start]
    return Candidate(Finding(rule.name, rule.what, place, places[end][0], line, column), secret)


def _moved(finding: Finding, start: int, line: int) -> Finding:
    return replace(finding, start=finding.start + start, end=finding.end + start, line=finding.line + line)


def _length(data: bytes) -> int:
    """Count the characters that begin in *data*; a rule counts bytes, and may end in the middle of one."""
    return len(data.translate(None, _CONTINUED))


def find(pattern: str, data: bytes) -> Any:
    """Return the first match of an RE2 *pattern* in *data*, None where there is none."""
    return _compile(pattern).search(data)


def entropy(data: bytes) -> float:
    """Return Shannon's entropy of *data* in bits per byte."""
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values()) if total else 0.0


@lru_cache(maxsize=256)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = (
        64 << 20
    )  # bytes at most; with less, rules with many bounds fall back to an engine ten times slower
    return re2.compile(pattern.encode("ascii"), options)


@lru_cache(maxsize=1)
def _any_specific() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 64 << 20
    return re2.compile("|".join(f"(?:{rule.pattern})" for rule in RULES).encode("ascii"), options)


_PLACEHOLDER = (
    r"(?i)(?:[<\[{(*#].*|.*[>\])}]|[$%@]\D.*|.*(?:example|sample|placeholder|change_?-?me|replace|redacted|your_?-?|my_?-?(?:pass|secret|token|key)|"
    r"dummy|insert|todo|fixme|\.\.\.|xxx|\*\*\*|\$\{|\{\{|%\(|%[sd]|\{\w*\}).*|[x0.*_-]+|0?123456789?0?|.*(?:deadbeef|0123456789abcdef).*|(?:token|key|secret|refresh|access)[_-]?\d{1,6}|[a-z]+(?:-\d{1,4})+|null|none|nil|true|false|"
    r"undefined|optional|required|string|foo(?:bar)?|bar|baz|pass(?:word|wd)?|pwd|secret|token|user(?:name)?)"
)
_SPECIFIC_PLACEHOLDER = r"(?i).*(?:example|xxxxx|\.\.\.|\*\*\*|your_?-?|placeholder|redacted|<[a-z]|\$\{|\{\{|%[sdv]|0000000000|1234567890abcdef1234).*|(?i)(?:(?:some|my|the|your|new|old)?[_-]?pass(?:word|wd)?|foo|bar|baz|pwd|secret|token|pw|p|key)"
_HEX = r"[0-9a-f]+|[0-9A-F]+"
_NAMES_OTHER_KEYS = (
    r"(?i).*(?:public|primary|foreign|websocket|cache|sort|partition|site|lookup|group|object|pub|row|map|dict)_?-?key"
)
# By byte: lower 0, upper 1, digit 2, anything else 3.
_KIND = bytes(
    0 if 97 <= byte <= 122 else 1 if 65 <= byte <= 90 else 2 if 48 <= byte <= 57 else 3  # noqa: PLR2004  ASCII
    for byte in range(256)
)
_CODE = (
    r"(?:[a-zA-Z_$][\w$]*(?:(?:\.|->|::|:|/|-|\s)[a-zA-Z_$][\w$]*)+"  # a path of names: user.token, auth/token, x-auth-token
    r"|[a-z]+(?:[A-Z][a-z]+)+\d?|[A-Z][a-z]+(?:[A-Z][a-z]+)*\d?"  # camelCase, a Word
    r"|[a-z]+\d?(?:_[a-z]+\d?)*|[A-Z]+\d?(?:_[A-Z\d]+)*"  # snake_case, CONSTANT
    r"|(?:[a-z]+|\d+)(?:_(?:[a-z]+|\d+))+|_[a-z]+(?:_[a-z]+)*|[a-z_]+\s?\+\s?[a-z_]+"  # 0004_alter_user, a sum of names
    r"|[A-Z]\d?[a-z]*(?:[A-Z]+[a-z]+)+\d?"  # V1SecretProjection, AWSSecretKey
    r"|[-+]?[\d.,:]{1,12}|https?://.*|/.*|\.{1,2}/.*|[^&=]*&\w+=.*|[a-zA-Z_]+[?!]|.*[(\[{].*)"
)
_EXAMPLE_HOST = r"(?i)(?:[\w-]+\.)?example\.(?:com|net|org)\b"  # RFC 2606: nobody lives there
_WORDS = r"[a-z]{3,}(?:[_-][a-z]{3,})+"
_LONG_WORD = r"[a-z]{24,}|[A-Z]{24,}"  # no name holds a word as long
_NAMES_PASSWORD = r"(?i).*(?:pass|pwd|pswd|psk).*"  # noqa: S105  a name of passwords, none itself
_NAMES_PASSWORD_ALONE = (
    r"(?i)(?:.*[_.-])?(?:\w{0,12}password|passwd|pass|pwd|pswd|passphrase|\w{0,12}pass|passwort)[12]?"  # noqa: S105  as above
)
_CHOSEN = r"[A-Za-z][\w-]{4,}"  # word1, w0rd-1: a name in code as well, but under a password's name a password
_LABEL = (
    r"(?i)(?:text|test|stub|fake|mock|hidden|input|submit|reset|enter|confirm|current|new|old|pwd|pass\w*|secret|value|email|mail|login|auth\w*|plain|basic|"
    r"digest|keyring|prompt|ask|user\w*|any|str|int|bool|object|self|this|invalid|wrong|valid|empty|missing|required|weak|strong|default|"
    r"none|null|nil|type|name|data|form|field|const|var|let|func|function|return|await|async|new|yes|no|on|off|enabled|disabled|show|hide|env|"
    r"(?:pass\w*|user|test|sha|md|utf|v|oauth|base|http|p|arg|key|str|pw|bcrypt|pbkdf|argon)_?-?\d+\w{0,3})"
)
_NAMES_ABOUT_IT = (  # names that end like this hold something about a secret
    r"(?i).*(?:_?(?:id|ids|name|names|type|url|uri|path|file|filename|field|header|label|prompt|message|error|format|regex|pattern|length|"
    r"size|count|limit|expiry|expires|expires_?in|endpoint|policy|hint|help|text|title|desc|description|placeholder|class|version|scope|"
    r"method|status|state|mode|alg|algorithm|encoder|manager|service|provider|store|dir|location|arn|ref|test|tests|valid|validator|"
    r"enabled|required|column|param|parameter|key_?name|s3|bucket|public|publickey|ttl|timeout|encoding|scheme|hash)$|(?:.*[._-])?(?:set|get|check|validate|verify|is|has|hash|make)_.*)$"
)


_UNQUOTED = frozenset({"command-line-secret", "login-secret"})  # where prose would stand as well


# What the standards and vendors' manuals print as their examples: RFC 5849, 6749, 6750, 7617, 7519 and Oracle's scott.
_PUBLISHED = frozenset(
    {
        *(b"2YotnFZFEjr1zCsicMWpAA", b"tGzv3JOkF0XG5Qx2TlKWIA", b"mF_9.B5f-4.1JqM", b"czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        *(
            b"SplxlOBeZQQYbYS6WxSbIA",
            b"7Fjfp0ZBr1KtDRbnfVdmIw",
            b"gX1fBat3bV",
            b"hh5s93j4hdidpola",
            b"hdhd0244k9j7ao03",
        ),
        *(b"nnch734d00sl2jdk", b"pfkkdhi9sl3r4s00", b"ad180jjd733klru7", b"kkk9d7dh3k39sjv7", b"kd94hf93k423kf44"),
        *(b"j49sk3j29djd", b"dh893hdasih9", b"h480djs93hd8", b"489dks293j39", b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        *(b"dGVzdDoxMjPCow==", b"tiger"),
    }
)


def _judge(rule: Rule, name: bytes, value: bytes, *, quoted: bool) -> bool:
    """Say whether what *rule* met is a secret."""
    if rule.name == "random-key":
        about = _compile(_NAMES_OTHER_KEYS).fullmatch(name) or _compile(_NAMES_ABOUT_IT).fullmatch(name)
        return about is None and is_random(value)
    # lists of words in quotes look like a name and its value
    if rule is _PASSED and (not _has_digit(value) or (_is_code(value) and not is_random(value))):
        return False
    word = value.rstrip(b".,;:!?")
    if rule.name in _UNQUOTED and not quoted and word.isalpha() and (word.islower() or word.istitle()):
        return False
    return _looks_secret(name, value, quoted=quoted)


def is_random(value: bytes) -> bool:
    """Say whether *value* looks drawn by a machine: kinds of characters follow each other as no word or name has them."""
    if b"." in value:
        return all(is_random(part) for part in value.split(b"."))
    text = value.rstrip(b"=")
    if _compile(_HEX).fullmatch(text) is not None:
        return len(text) >= 32 and len(set(text.lower())) >= 9 and not text.isdigit()  # noqa: PLR2004  bytes of a key
    if len(text) < 16 or _compile(r"[\w+/-]+").fullmatch(text) is None or _is_placeholder(value, specific=True):  # noqa: PLR2004
        return False
    if _compile(r"[A-Z2-7]{32,}").fullmatch(text) is not None:  # base32
        return _has_digit(text) and entropy(text) >= 3.8  # noqa: PLR2004  random letters have 4 and more
    kinds = [_KIND[byte] for byte in text]
    changes = sum(one != other for one, other in pairwise(kinds))
    least = (
        (0.25 if len(text) >= 32 else 0.3) if _has_digit(text) else 0.6  # noqa: PLR2004  a longer one varies less
    )  # in camelCase two of five characters differ in kind from the one before
    return changes >= len(text) * least and entropy(text) >= 3.3  # noqa: PLR2004  random letters and digits have 4


def _looks_secret(name: bytes, value: bytes, *, quoted: bool) -> bool:
    """Say whether a value that a telling name is given looks like the secret itself and not like code, prose or a blank."""
    if value.isdigit() and _compile(_NAMES_PASSWORD_ALONE).fullmatch(name) is not None:
        return len(value) >= 6 and len(set(value)) >= 4 and value not in b"012345678901234567890"  # noqa: PLR2004
    if b" " in value or b"\t" in value or _is_placeholder(value, specific=False):
        return False
    if _compile(_NAMES_ABOUT_IT).fullmatch(name) is not None or value.lower() in name.lower():
        return False
    if _compile(_NAMES_PASSWORD).fullmatch(name) is None:
        value = value.rstrip(b".,;:!?")  # the end of a sentence, not of a token
    one_word = value.isalpha() and (value.islower() or value.isupper() or value.istitle())
    if _compile(_NAMES_PASSWORD).fullmatch(name) is not None:
        if (
            one_word
        ):  # chosen passwords are words; only where the name is the password's own, and the value no type or label
            return (
                _compile(_NAMES_PASSWORD_ALONE).fullmatch(name) is not None
                and _compile(_LABEL).fullmatch(value) is None
            )
        is_code = _is_code(value)
        if quoted and is_code and _compile(_WORDS).fullmatch(value) is not None:
            # words with lines between them: a chosen password where the name is the password's own, or a name of one
            return (
                _compile(_NAMES_PASSWORD_ALONE).fullmatch(name) is not None
                and _compile("(?i)" + KEYWORD + "|" + "user|name|text|field|input").search(value) is None
                and not any(_compile(_LABEL).fullmatch(part) for part in value.replace(b"-", b"_").split(b"_"))
            )
        chosen = (
            _has_digit(value)
            and _compile(_CHOSEN).fullmatch(value) is not None
            and _compile(_LABEL).fullmatch(value) is None
        )
        return (chosen or not is_code) and _kinds(value) >= 2 and entropy(value) >= 1.8  # noqa: PLR2004  measured
    if one_word:  # no language writes a single word as long as a token
        return len(value) >= 16 and entropy(value) >= 3.2 and _compile("(?i)" + KEYWORD).search(value) is None  # noqa: PLR2004  measured
    if _is_code(value) and not is_random(value):
        return False
    return len(value) >= 8 and _kinds(value) >= 2 and entropy(value) >= 2.9  # noqa: PLR2004  measured on labelled files


def _is_code(value: bytes) -> bool:
    return _compile(_CODE).fullmatch(value) is not None and _compile(_LONG_WORD).search(value) is None


def _has_digit(value: bytes) -> bool:
    return any(byte in b"0123456789" for byte in value)


def _kinds(value: bytes) -> int:
    """Count the kinds of characters in *value*: lower, upper, digits, others."""
    other = any(not chr(byte).isalnum() for byte in value)
    return _has_digit(value) + (value.lower() != value) + (value.upper() != value) + other


def _is_placeholder(value: bytes, *, specific: bool) -> bool:
    return (
        value in _PUBLISHED
        or _compile(_SPECIFIC_PLACEHOLDER if specific else _PLACEHOLDER).fullmatch(value) is not None
    )
