"""What keeps strangers out: strict headers, cookies, tokens in forms.

Every form carries a token that is made from the cookie of whoever it was shown to, so that another site cannot
write it; and a POST whose Origin is another host is refused before that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""On everything that the console answers."""

FIELD = "csrf"
HEADER = "x-csrf-token"


class Cookies:
    """The console's cookies: an account's session, an operator's, and one for forms that come before both."""

    def __init__(self, *, https: bool, life_s: int) -> None:
        self._https = https
        self._life_s = life_s
        self.session = "__Host-cooee" if https else "cooee"
        self.operator = "__Secure-cooee-operator" if https else "cooee-operator"
        self.door = "__Host-cooee-door" if https else "cooee-door"

    def set_session(self, response: Response, token: str, *, operator: bool) -> None:
        """Signed in. An operator's cookie is sent to the operator pages only."""
        name, path = (self.operator, "/operator") if operator else (self.session, "/")
        response.set_cookie(
            name, token, max_age=self._life_s, path=path, secure=self._https, httponly=True, samesite="lax"
        )

    def drop_session(self, response: Response, *, operator: bool) -> None:
        """Signed out."""
        name, path = (self.operator, "/operator") if operator else (self.session, "/")
        response.delete_cookie(name, path=path, secure=self._https, httponly=True, samesite="lax")

    def set_door(self, response: Response, token: str) -> None:
        """For the form that signs in."""
        response.set_cookie(self.door, token, path="/", secure=self._https, httponly=True, samesite="lax")


def fresh_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def form_token(cookie: str) -> str:
    """What forms carry that are shown to whoever has this cookie; it does not tell the cookie."""
    return hmac.new(cookie.encode("utf-8", "surrogatepass"), b"cooee form", hashlib.sha256).hexdigest()


def token_fits(cookie: str, given: str) -> bool:
    """Whether a form was shown to whoever has this cookie."""
    return bool(cookie) and hmac.compare_digest(form_token(cookie), given.encode("ascii", "replace").decode())


def same_origin(request: Request) -> bool:
    """False for a request that a browser says comes from a page of another host."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return origin != "null" and host.lower() == request.headers.get("host", "").lower()
