"""Which requests are let in: those to the page's own names, with GET, and with the token if others can reach the page.

Somebody else's page may make a browser ask 127.0.0.1. It cannot read the answer, as nothing here allows it to (no
CORS), unless its own name is made to lead here (DNS rebinding): then the Host header is that name, and is refused.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Door", "is_loopback", "names_of"]

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_FOREIGN: Final = "This server does not go by the name in the Host header: open the address that mqtrace ui printed."
_NO_TOKEN: Final = "The token is missing or not that of this start: open the address that mqtrace ui printed."
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
#: The Host header: a name or an address, and a port (RFC 9110, section 7.2).
_HOST: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]/@]+))(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def names_of(host: str) -> frozenset[str]:
    """The names that a server on ``host`` goes by."""
    names = {*_LOOPBACK, host.lower()}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


class Door:
    """ASGI middleware. ``names``: what the Host header may say; with a ``token`` also any address in figures.

    ``cookie``: the name of the cookie that keeps the token.
    """

    def __init__(
        self, inside: ASGIApp, names: Collection[str], token: str | None = None, cookie: str = "mqtrace"
    ) -> None:
        self._inside = inside
        self._names = names
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: there is none
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        turned_away = self._turned_away(scope)
        await (turned_away or self._inside)(scope, receive, sealed)

    def _turned_away(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_served_name(headers.getlist("host")):
            return _refused(
                scope,
                421,
                _FOREIGN,
            )
        if scope["method"] != "GET":
            refused = _refused(scope, 405, "Nothing can be changed here: GET is all there is.")
            refused.headers["allow"] = "GET"
            return refused
        return None if self._token is None else self._without_token(scope, headers, self._token)

    def _is_served_name(self, hosts: list[str]) -> bool:
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return False
        host = (match[1] or match[2]).lower().removesuffix(".")
        if host in self._names:
            return True
        if self._token is None:
            return False
        try:  # an address cannot be made to lead elsewhere
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _without_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = [value for name, value in query if name == "token"]
        if shown:
            if not _same(shown[-1], token):
                return self._refused_token(scope)
            if scope["path"].startswith("/api/"):
                return None
            # The token leaves the address, so that no link or screen shows it.
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = "/" + quote(scope["path"].lstrip("/\\"))  # `//name` would be an address of another server
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(self._cookie, token, httponly=True, samesite="lax")
            return answer
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(bearer.strip(), token):
            return None
        try:
            token_cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            token_cookie = None
        return None if token_cookie is not None and _same(token_cookie.value, token) else self._refused_token(scope)

    @staticmethod
    def _refused_token(scope: Scope) -> Response:
        refused = _refused(scope, 401, _NO_TOKEN)
        refused.headers["www-authenticate"] = "Bearer"
        return refused


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode(), token.encode())


def _refused(scope: Scope, status: int, sentence: str) -> Response:
    if scope["path"].startswith("/api/"):
        return JSONResponse({"error": sentence}, status)
    return PlainTextResponse(sentence + "\n", status)
