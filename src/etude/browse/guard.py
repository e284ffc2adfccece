"""Guard: who may ask, and what a browser may do with the answer. Around every page.

Covered: names of other sites that point here (DNS rebinding), forms of other sites, frames, scripts
and styles that are not ours, guessing of types, bodies without an end; where the address is not
this machine's own, a key that only the printed address has. Not covered: encryption.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The hash of an empty text: plotly fills an empty <style> rule by rule, which needs no more."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' {EMPTY_STYLE}; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
OWN = ("127.0.0.1", "localhost", "::1")
_MACHINE = socket.gethostname().lower()
COOKIE = "etude-key"
KEY = "key"


class Guard:
    """Refuses what no page of ours would ask, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, *, host: str, key: str) -> None:
        self.app = app
        self.host = host
        self.key = key
        self.open = is_own(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(scope)
        await (self.app if refused is None else refused)(scope, receive, with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.knows(hosts[0]):
            return _no(421, "This address is not one of the page's own: use the one printed.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _no(405, "A page is asked with GET, and a decision sent with POST.")
        if scope["method"] == "POST" and headers.get("origin") != f"http://{hosts[0]}":
            return _no(403, "A decision must be sent from the page itself, not from another site.")
        elsewhere = headers.get("sec-fetch-site") == "cross-site"
        if elsewhere and scope["method"] == "POST":
            return _no(403, "A decision must be sent from the page itself, not from another site.")
        if elsewhere and headers.get("sec-fetch-mode") != "navigate":  # it could keep us busy
            return _no(403, "A page is asked from the page itself, or by a link.")
        return None if self.open else self._without_key(scope, headers)

    def _without_key(self, scope: Scope, headers: Headers) -> Response | None:
        """Whoever comes with the printed address gets the key as a cookie."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get(KEY, [""])[0]
        if same(given, self.key):
            answer = RedirectResponse(scope["path"], 303)
            answer.set_cookie(COOKIE, self.key, httponly=True, samesite="strict")
            return answer
        if not same(_cookie(headers, COOKIE), self.key):
            return _no(403, "Open the address that `etude browse` printed: it holds the key.")
        return None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server. An address in numbers can't be rebound.

        Any port will do: a tunnel to another machine may have another one.
        """
        try:
            split = urlsplit(f"//{host}")
            name = split.hostname or ""
            _ = split.port
        except ValueError:
            return False
        if split.netloc != host or split.username is not None:
            return False
        own = (*OWN, self.host.lower())
        return name in own or (not self.open and (_is_number(name) or name == _MACHINE))


def is_own(host: str) -> bool:
    """Whether only this machine reaches the address."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def same(one: str, other: str) -> bool:
    """Compared in a time that tells nothing."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def new_key() -> str:
    return secrets.token_urlsafe(24)


def _no(status: int, sentence: str) -> Response:
    return PlainTextResponse(sentence + "\n", status)
