"""Failures of all providers in one vocabulary: by what the body says first, then by the status.

A wrong key is 400 at xAI, an empty purse 429 at OpenAI, an overload 200 in the middle of a stream: the status alone misleads.
The raw status, code and message are kept. What looks like a key is blotted out of the message, and nothing else of the
body is repeated: some providers send the prompt back.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from glossator_providers.dialects.characters import presentable
from glossator_providers.dialects.values import items, load, mapping
from glossator_providers.errors import Kind, ProviderError

_LONGEST_MESSAGE = 1000  # characters

# The words of the providers for their failures, lower case; only those that mean one thing everywhere.
_CODES: Mapping[str, Kind] = {
    "invalid_api_key": Kind.AUTH,
    "authentication_error": Kind.AUTH,
    "unauthorized": Kind.AUTH,
    "permission_error": Kind.FORBIDDEN,
    "permission_denied": Kind.FORBIDDEN,
    "model_not_found": Kind.NO_MODEL,
    "not_found_error": Kind.NO_MODEL,
    "notfounderror": Kind.NO_MODEL,
    "insufficient_quota": Kind.NO_CREDIT,
    "insufficient_balance": Kind.NO_CREDIT,
    "billing_error": Kind.NO_CREDIT,
    "billing_hard_limit_reached": Kind.NO_CREDIT,
    "context_length_exceeded": Kind.TOO_LONG,
    "exceed_context_size_error": Kind.TOO_LONG,
    "request_too_large": Kind.TOO_LONG,
    "string_above_max_length": Kind.TOO_LONG,
    "rate_limit_exceeded": Kind.RATE,
    "rate_limit_error": Kind.RATE,
    "rate_limited": Kind.RATE,
    "too_many_requests": Kind.RATE,
    "overloaded_error": Kind.OVERLOADED,
    "server_is_overloaded": Kind.OVERLOADED,
    "engine_overloaded": Kind.OVERLOADED,
    "slow_down": Kind.OVERLOADED,
    "unavailable_error": Kind.OVERLOADED,
    "unreachable_backend": Kind.OVERLOADED,
    "service_unavailable": Kind.OVERLOADED,
    "timeout_error": Kind.TIMEOUT,
    "request_timeout": Kind.TIMEOUT,
    "content_filter": Kind.REFUSED,
    "content_policy_violation": Kind.REFUSED,
    "responsibleaipolicyviolation": Kind.REFUSED,
    "invalid_prompt": Kind.REFUSED,
    "unsupported_parameter": Kind.BAD_REQUEST,
    "unsupported_value": Kind.BAD_REQUEST,
    "tool_use_failed": Kind.BAD_REQUEST,
    "invalid_tool_generation": Kind.BAD_REQUEST,  # Cohere
    "too_many_tokens": Kind.TOO_LONG,  # Cohere
    # Amazon: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
    "expiredtokenexception": Kind.AUTH,
    "incompletesignature": Kind.AUTH,
    "incompletesignatureexception": Kind.AUTH,
    "invalidclienttokenid": Kind.AUTH,
    "invalidsignatureexception": Kind.AUTH,
    "missingauthenticationtokenexception": Kind.AUTH,
    "unrecognizedclientexception": Kind.AUTH,
    "accessdeniedexception": Kind.FORBIDDEN,
    "optinrequired": Kind.FORBIDDEN,
    "resourcenotfoundexception": Kind.NO_MODEL,
    "throttlingexception": Kind.RATE,
    "servicequotaexceededexception": Kind.RATE,
    "modelnotreadyexception": Kind.OVERLOADED,
    "serviceunavailableexception": Kind.OVERLOADED,
    "modeltimeoutexception": Kind.TIMEOUT,
}

# What the messages say where the code says nothing or too little; the first match decides.
_MESSAGES: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        # Not "try later": this one request is larger than a minute's allowance (OpenAI 429, Groq 413).
        (r"request too large|reduce your message size", Kind.TOO_LONG),
        # Amazon: a day is longer than anybody waits, so this is no matter of trying again.
        (r"too many tokens per day", Kind.NO_CREDIT),
        (r"exceeded your current quota|credit balance is too low|insufficient (balance|credits|funds)", Kind.NO_CREDIT),
        (
            (
                r"prompt (is )?too long|maximum context length|max(imum)? context (length|size|window)|available context size|"
                r"context length of only|exceeds? (the )?(model'?s )?context (length|size|limit|window)|"
                r"context (length|limit|window) (is |was )?exceeded|input (is|was)? ?too long|"
                r"number of input tokens exceeds|input tokens exceeded"
            ),
            Kind.TOO_LONG,
        ),
        (r"rate limit|rate-limited|too many requests", Kind.RATE),
        (
            (
                r"(incorrect|invalid|missing) (x-)?api[ -]?key|api key not valid|no api key|invalid x-api-key|"
                r"no cookie auth credentials|no auth credentials|"
                r"make sure your api key is valid|bearer token has expired|"
                r"security token included in the request is|request signature we calculated does not match|signature expired:"
            ),
            Kind.AUTH,
        ),
        (
            r"\bmodel\b.{0,200}?\b(not found|does not exist|is not available)|not a valid model|invalid model\b|unknown model",
            Kind.NO_MODEL,
        ),
        (
            r"model identifier is invalid|on-demand throughput isn",  # Amazon; the latter wants an inference profile's name
            Kind.NO_MODEL,
        ),
        (
            r"\boverloaded\b|capacity exceeded|at capacity|server busy|loading model|temporarily unavailable",
            Kind.OVERLOADED,
        ),
        # Ollama gave up loading a model, after five minutes unless told otherwise: asked again, it would begin again.
        (r"timed out waiting for llama runner", Kind.TIMEOUT),
        (r"requires moderation|flagged (as|by|for)|content management policy", Kind.REFUSED),
    )
)

_STATUSES: Mapping[int, Kind] = {
    401: Kind.AUTH,
    402: Kind.NO_CREDIT,
    403: Kind.FORBIDDEN,
    404: Kind.NO_MODEL,
    407: Kind.FORBIDDEN,
    408: Kind.TIMEOUT,
    410: Kind.NO_MODEL,
    413: Kind.TOO_LONG,
    424: Kind.SERVER,
    425: Kind.OVERLOADED,
    429: Kind.RATE,
    451: Kind.FORBIDDEN,
    498: Kind.OVERLOADED,  # Groq: the flex tier is full
    501: Kind.BAD_REQUEST,  # llama.cpp: this server cannot do that, however often it is asked
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    524: Kind.TIMEOUT,  # Cloudflare, before several providers
    529: Kind.OVERLOADED,  # Anthropic
}

# Said of everything that went wrong, so they count only where nothing else is known.
_VAGUE_CODES: Mapping[str, Kind] = {
    "invalid_request_error": Kind.BAD_REQUEST,
    "badrequesterror": Kind.BAD_REQUEST,
    "invalid-argument": Kind.BAD_REQUEST,
    "api_error": Kind.SERVER,
    "server_error": Kind.SERVER,
    "internal_server_error": Kind.SERVER,
    "validationexception": Kind.BAD_REQUEST,  # Amazon
}

_KEYS = re.compile(
    r"(?i:(?<=api key provided: )|(?<=api key: ))[^\s,;]+(?<!\.)"
    r"|\b(?:sk|pk|rk|gsk|xai|csk|nvapi|hf|key)[-_][A-Za-z0-9*_-]{8,}"
    r"|\b(?:ABSK|AKIA|ASIA)[A-Za-z0-9+/=]{12,}"  # Amazon
    r"|\b(?:AIza[\w-]{20,}|AQ\.[\w-]{20,}|ya29\.[\w.-]{20,})"  # Google
)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,200})", re.IGNORECASE)
_DELAY_IN_TEXT = re.compile(
    r"(?:try again|retry|wait)[^.0-9]{0,40}?((?:\d{1,6}(?:\.\d{1,9})?\s?(?:ms|milliseconds?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)\s?)+)",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)\s?(ms|mil|h|m|s)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "mil": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def explain(
    status: int, headers: Mapping[str, str], body: bytes, *, clock: Callable[[], float] = time.time
) -> ProviderError:
    """Classify a failed HTTP answer, whatever its body is; `clock` gives seconds since the epoch."""
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        value = load(body)
    except ValueError:
        value = None
    error = reported(value, status=status)
    if error is None:
        error = ProviderError(_kind(status, (), ""), _without_words(status, body), status)
    if status >= 400:  # noqa: PLR2004  Anthropic sends `retry-after` with good answers too, where it means nothing
        told = [*_delays_in_headers(lower, clock), *_delays_in_body(value), *_delays_in_text(error.message)]
        # The longest counts: Azure has sent `retry-after: 1` together with `retry-after-ms: 0`.
        error.retry_after = max((delay for delay in told if 0 < delay < math.inf), default=None)
    return error


def reported(value: object, *, status: int | None = None, partial: bool = False) -> ProviderError | None:
    """Return the failure that a JSON value reports, in any of the shapes in use, or None where it reports none.

    `status` is that of the answer, None in the middle of a stream, where the shapes are the same.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # Google wraps the error of a stream in an array
    whole = mapping(value)
    inner = whole.get("error")
    failed = status is not None and status >= 400  # noqa: PLR2004  the first status that is an error
    flat = whole.get("object") == "error" or whole.get("type") == "error" or (failed and bool(whole))
    if not inner and not flat:
        return None
    error = mapping(inner) or whole
    message = _message(inner, whole)
    named = [
        word for word in map(error.get, ("code", "type", "error_type", "status")) if isinstance(word, str) and word
    ]
    words = tuple(word.lower() for word in named)
    # In mid-stream some providers say as a number what the status would have been.
    numbers = (error.get(name) for name in ("status_code", "raw_status_code", "code", "http_code"))
    said = next((n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 400 <= n < 600), None)  # noqa: PLR2004  the statuses that are errors
    kind = _kind(status if failed else said, words, message)
    code = _blotted(named[0] if named else "" if said is None else str(said))[:100] or None
    return ProviderError(kind, _blotted(message) or f"an error without words ({kind})", status, code, partial=partial)


def check(value: object, *, event: str | None = None, partial: bool = False) -> None:
    """Raise the failure that a piece of an answer with status 200 reports; `event` is the name of its frame."""
    error = reported(value, partial=partial)
    if error is None and event == "error":
        error = reported({"error": value or "an error without words"}, partial=partial)
    if error is not None:
        raise error


def _kind(status: int | None, words: tuple[str, ...], message: str) -> Kind:
    """Classify by the body's words first, then by the status."""
    for pattern, kind in _MESSAGES:
        if pattern.search(message):
            return kind
    for word in words:
        if word in _CODES:
            return _CODES[word]
    if status is not None:
        if status in _STATUSES:
            return _STATUSES[status]
        return Kind.SERVER if status >= 500 else Kind.BAD_REQUEST  # noqa: PLR2004  the first status that is the server's fault
    return next((_VAGUE_CODES[word] for word in words if word in _VAGUE_CODES), Kind.SERVER)


def _message(inner: object, whole: Mapping[str, Any]) -> str:
    """Find the sentence for humans; OpenRouter keeps the real one in `metadata.raw`, Mistral has four places for it."""
    error = mapping(inner)
    raw = mapping(error.get("metadata")).get("raw")
    candidates = (
        inner,
        raw,
        error.get("message"),
        whole.get("message"),
        whole.get("detail"),
        error.get("type"),
        whole.get("code"),
    )
    for candidate in candidates:
        found = _sentence(candidate)
        if found:
            return found
    return ""


def _sentence(value: object) -> str:
    if isinstance(value, str):
        return _unpacked(value[: 4 * _LONGEST_MESSAGE].strip())
    if isinstance(value, dict) and "detail" in value:
        return _sentence(value["detail"])
    # A list of validation errors: what and where, never `input`, which repeats the prompt.
    parts = []
    for item in items(value)[:5]:
        entry = mapping(item)
        message = entry.get("msg") or entry.get("message")
        place = ".".join(str(step) for step in items(entry.get("loc")) if isinstance(step, (str, int)))
        if isinstance(message, str):
            parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)


def _unpacked(text: str) -> str:
    """Return the sentence inside an error that was passed on as a string of JSON, as OpenRouter does."""
    if not text.startswith("{"):
        return text
    try:
        whole = mapping(load(text))
    except ValueError:
        return text
    inner = mapping(whole.get("error"))
    message = inner.get("message") or whole.get("message") or whole.get("error")
    return message.strip() if isinstance(message, str) else text


def _without_words(status: int, body: bytes) -> str:
    """Say what came instead of an error in JSON."""
    if 300 <= status < 400:  # noqa: PLR2004  redirects
        return "the address answered with a redirect, which is not followed; set base_url to where it leads"
    start = body[:4096].decode("utf-8", "replace").strip()
    title = _TITLE.search(start)
    if title:
        return f"answered with a web page, “{_blotted(title[1].strip())}”"
    if start.startswith("<"):
        return "answered with a web page; check base_url"
    if start and len(start) <= 200 and "\n" not in start and start.isprintable():  # noqa: PLR2004  one short line, as proxies write
        return _blotted(start)
    return "answered without an explanation"


def _blotted(message: str) -> str:
    """Shorten a message and blot out what looks like a key: OpenAI repeats a wrong one."""
    message = _KEYS.sub("***", presentable(message[: 4 * _LONGEST_MESSAGE]))
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"


def _delays_in_headers(headers: Mapping[str, str], clock: Callable[[], float]) -> list[float]:
    """Return the delays that the headers tell, in seconds; https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    delays = []
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        delays.append(milliseconds / 1000)
    plain = headers.get("retry-after", "")
    seconds = _number(plain)
    if seconds is not None:
        delays.append(seconds)
    else:
        until = _date(plain)
        if until is not None:
            # The server's own clock made the date, so its `Date` is the better "now" than ours.
            now = _date(headers.get("date", ""))
            delays.append(until - (clock() if now is None else now))
    return delays


def _delays_in_body(value: object) -> list[float]:
    """Return the delays that stand as fields in the body, in seconds."""
    error = mapping(mapping(value).get("error")) or mapping(value)
    delays = []
    for place in (error, mapping(error.get("metadata"))):
        for name in ("retry_after", "retry_after_seconds"):
            told = _number(str(place.get(name, ""))[:40])
            if told is not None:
                delays.append(told)
    for detail in items(error.get("details")):
        told = _number(str(mapping(detail).get("retryDelay", ""))[:40].removesuffix("s"))
        if told is not None:
            delays.append(told)
    return delays


def _delays_in_text(message: str) -> list[float]:
    """Return the delay of "Please try again in 1m30.5s", in seconds."""
    found = _DELAY_IN_TEXT.search(message)
    if found is None:
        return []
    return [sum(float(amount) * _SECONDS[unit.lower()] for amount, unit in _DURATION.findall(found[1]))]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
