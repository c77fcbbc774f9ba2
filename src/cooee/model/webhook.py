"""The reply webhook as rules: its URL, the request, what counts as taken, and when it is tried again.

Wire contract §7: an HTTP GET with six parameters; taken when the answer is 2xx and its body, stripped, is exactly
`0`. Anything else is tried again after 1, 2, 4 … minutes, at most an hour, for 24 hours. Then the delivery is
parked: the reply stays unretrieved, so that /api/replies passes it on, and a person may replay it.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from cooee.model.addresses import forbidden, literal
from cooee.model.clock import DAY, HOUR, MINUTE
from cooee.model.errors import ConfigError

GIVE_UP_MS = DAY
"""How long after its first failure a delivery is tried again."""
FIRST_RETRY_MS, MAX_RETRY_MS = MINUTE, HOUR
MAX_URL = 2000
MAX_USERNAME = 128
MAX_PASSWORD = 256
TAKEN = b"0"
MAX_ANSWER = 4096
"""Octets of an answer that are looked at."""
_SAFE = "!$%&'()*+,-./:;=?@[]_~"
"""What a URL's path and query may hold as it is."""


class DeliveryState(enum.IntEnum):
    """Numbers are stored. One that is under way is waiting: its account's webhook has an owner then."""

    WAITING = 1
    DELIVERED = 2
    PARKED = 3


class WebhookState(enum.IntEnum):
    """Numbers are stored."""

    ON = 1
    OFF = 2
    """Taken away: what still waits is parked."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where replies of an account go. `url` may hold a secret in its path or query; `host` is fit for logs."""

    url: str
    username: str
    password: str

    @property
    def host(self) -> str:
        """Host, and port where it is not the scheme's."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class ReplyCall:
    """A reply as the webhook tells it; `reference` is the ReferenceId of /api/replies."""

    originator: str
    recipient: str
    reference: str
    text: str


def check_url(text: str, *, allow_private: bool) -> str:
    """The URL as it is stored, see `clean_url`; ConfigError says what a webhook's URL must be."""
    try:
        url = clean_url(text.strip(), allow_private=allow_private)
    except ValueError as error:
        raise ConfigError(f"webhook URL refused: {error}") from None
    if len(url) > MAX_URL:
        raise ConfigError(f"webhook URL refused: it has {len(url)} characters, at most {MAX_URL} are kept")
    return url


def clean_url(text: str, *, allow_private: bool) -> str:
    """The URL with its host in lower case, no fragment, and everything but ASCII percent-encoded.

    ValueError says what is wrong with it. A host that is a name is judged anew whenever it is called, for what it
    resolves to may change.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("it holds a space or a control character, which is written %20 or the like")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("it is none: write https://host/path") from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it does not begin with https:// or http:// and a host, as in https://host/path")
    if "@" in parts.netloc:
        raise ValueError(
            "it holds a login; a receiver's login goes into the parameters username and password, "
            "see --webhook-username and --webhook-password-stdin"
        )
    number = port if port is not None else 443 if scheme == "https" else 80
    if number not in (80, 443) and number < 1024:
        raise ValueError(f"port {number} is none of a web server: 80, 443 and those from 1024 up are called")
    host = _host(parts.hostname)
    reason = _refused(host, allow_private)
    if reason:
        liftable = not allow_private and _refused(host, True) is None
        hint = " unless the setting webhook_allow_private allows it" if liftable else ""
        raise ValueError(f"{host} is {reason}, and nothing is sent there{hint}")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc += f":{port}"
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return f"{scheme}://{netloc}{quote(parts.path, safe=_SAFE) or '/'}{query}"


def _refused(host: str, allow_private: bool) -> str | None:
    address = literal(host)
    if address is not None:
        return forbidden(address, allow_private=allow_private)
    name = host.rstrip(".")
    return "loopback" if not allow_private and (name == "localhost" or name.endswith(".localhost")) else None


def _host(host: str) -> str:
    try:
        found = (host if host.isascii() else host.encode("idna").decode()).lower()
    except UnicodeError:
        found = ""
    # 127.1, 0x7f000001 and 2130706433 are addresses to a resolver: what ends in a number must be a plain one.
    last = found.rstrip(".").rpartition(".")[2]
    numeric = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None
    if literal(found) is None and (numeric or not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", found)):
        raise ValueError(f"'{host}' is no host name and no address")
    return found


def check_username(text: str) -> str:
    """`text`, if it may be the parameter `username`; ConfigError says why not."""
    if len(text) > MAX_USERNAME or (text and not text.isprintable()):
        raise ConfigError(f"the webhook's username has up to {MAX_USERNAME} printable characters")
    return text


def check_password(text: str) -> str:
    """`text`, if it may be the parameter `password`; ConfigError says why not."""
    if not 1 <= len(text) <= MAX_PASSWORD:
        raise ConfigError(f"the webhook's password has 1 to {MAX_PASSWORD} characters; this one has {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError("the webhook's password is not valid UTF-8 text") from None
    return text


def request_url(target: Target, call: ReplyCall) -> str:
    """The whole URL of a call: the webhook's own query first, then the six parameters, all of it ASCII."""
    values = (
        ("username", target.username), ("password", target.password), ("originator", call.originator),
        ("recipient", call.recipient), ("reference", call.reference), ("message_text", call.text),
    )  # fmt: skip
    # A lone surrogate, which a handset can send, has no UTF-8: it is told as the replacement character.
    query = "&".join(f"{name}={quote(_whole(value), safe='')}" for name, value in values)
    if "?" not in target.url:
        return f"{target.url}?{query}"
    return f"{target.url}{'' if target.url.endswith(('?', '&')) else '&'}{query}"


def _whole(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def masked(url: str) -> str:
    """The URL for a person: the values of its query are left out, for they may be secrets."""
    head, mark, query = url.partition("?")
    return head + mark + re.sub(r"=[^&]*", "=…", query)


def retry_ms(attempts: int) -> int:
    """How long to wait after that many failed attempts (1 or more): 1 m, 2 m, 4 m … at most 1 h."""
    return min(FIRST_RETRY_MS << min(attempts - 1, 10), MAX_RETRY_MS)
