"""Who may read the page: the person who was given its URL, and nobody else on the machine or on the web.

The server listens on loopback, where other users of the machine, and any web page that a browser shows, can send
requests:

* A random token, in the fragment of the URL, is required for all data. The page keeps it in the session storage of its
  origin and sends it as a header, which no other origin can. It is not a cookie: browsers send cookies to every port of
  a host, so to servers of other users as well.
* The Host header must name loopback: a name of the web that is made to lead here (DNS rebinding) is refused. So is a
  request that the browser marks as coming from another site.
* The page loads nothing but its own files and runs no script of another origin, and none in the markup.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

TOKEN_BYTES = 32
SCHEME = "Bearer "
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer."""


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def refusal(host: str | None, origin: str | None, site: str | None) -> str | None:
    """Why a request is refused whatever it is for, by its headers Host, Origin and Sec-Fetch-Site.

    The port may be another one, because the page may be forwarded (``ssh -L``).
    """
    name = (host or "").lower()
    if _without_port(name) not in LOOPBACK:
        return "the Host header does not name loopback: open the URL that decco ui has printed"
    if origin is not None and origin.lower() != f"http://{name}":
        return "the request comes from another origin"
    if site is not None and site not in ("same-origin", "none"):
        return "the request comes from another site"
    return None


def is_allowed(authorization: str | None, token: str) -> bool:
    """Whether the Authorization header has the token; takes the same time for every wrong one."""
    given = (authorization or "").removeprefix(SCHEME) if (authorization or "").startswith(SCHEME) else ""
    return hmac.compare_digest(given.encode(), token.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
