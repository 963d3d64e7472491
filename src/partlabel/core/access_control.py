"""Access control of the review page: checks of every request, before anything is done for it.

- *Host*: unknown host names that resolve to this machine (DNS rebinding) are refused; names of this machine are not.
- *Token*: where the page can be reached from other machines, the link with `?token=` opens it once and sets a cookie.
  Tokens are compared in constant time; wrong ones are answered one after the other, with a delay of half a second each.
- *Origin*: changes are POST requests from a page of the same origin, others are refused; cookies are same-site. Other
  sites may link here but not load pages and images, because loading a page leases a question.
- *Content policy*: scripts, styles and images of the same origin only, nothing inline.
"""

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer, with which browsers send `Origin: null` even to the page's own address.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
MOST_BYTES = 1 << 16
"""Maximum size of a form in bytes; real forms are far smaller."""


GUESS_SECONDS = 0.5
"""Delay in seconds before a wrong token is answered."""
OTHER_PAGE = "answers are accepted from this page only, and this request came from another one"
"""Reason why a form of another page is refused."""


class Refusal(NamedTuple):
    """The reason why a request is refused."""

    status: HTTPStatus
    why: str


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> frozenset[str]:
    """Return the accepted host names of an address; other than on loopback, all numeric addresses are accepted, too."""
    if is_loopback(host):
        return frozenset({"localhost", "127.0.0.1", "::1", host})
    own = socket.gethostname()
    return frozenset({"localhost", host, own, own.partition(".")[0], f"{own.partition('.')[0]}.local"})


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Return whether another site's page caused a request; without the header, a direct visit is assumed."""
    return headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Return whether a browser navigates to the page as a top-level document."""
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")


class Guard:
    """Checks of requests.

    Args:
        host: Address that the server is bound to.
        token: Token that visitors need; None for open access.
        cookie: Name of the token's cookie.
        known_as: Additional host names of the page, such as that of a reverse proxy, separated by commas.
    """

    def __init__(self, host: str, token: str | None, cookie: str = "", known_as: str | None = None) -> None:
        self.open_wide = not is_loopback(host)
        self.names = names_of(host) | {name for name in (known_as or "").split(",") if name}
        self.token = token
        self.cookie = cookie
        self.wait = GUESS_SECONDS
        self._turn = asyncio.Lock()

    def refusal(
        self, method: str, headers: Mapping[str, str], cookies: Mapping[str, str], offered: str | None
    ) -> Refusal | None:
        """Return the reason why a request is refused; None if it is accepted.

        Args:
            method: HTTP method.
            headers: Headers of the request, by lower-case names.
            cookies: Cookies of the request.
            offered: Token in the address of the request.
        """
        host = headers.get("host", "")
        if not self._knows(host):
            return _unknown_host(host)
        if not self.admits(cookies.get(self.cookie)) and not self.admits(offered):
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "open the complete link that `partlabel review` printed, including ?token=",
            )
        if method not in ("GET", "HEAD", "POST"):
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and POST requests are supported")
        if method == "POST":
            return self._of_post(headers, host)
        if from_elsewhere(headers) and not _is_visit(headers):
            return Refusal(HTTPStatus.FORBIDDEN, "other sites may link to this page but not load its content")
        return None

    def is_guess(self, cookies: Mapping[str, str], offered: str | None) -> bool:
        """Return whether a request came with a wrong token."""
        tried = [token for token in (cookies.get(self.cookie), offered) if token is not None]
        return bool(tried) and not any(self.admits(token) for token in tried)

    async def slow_down(self) -> None:
        """Delay the answer to a wrong token, one request at a time, so that parallel guessing is no faster."""
        async with self._turn:
            await asyncio.sleep(self.wait)

    def refusal_of_call(self, headers: Mapping[str, str]) -> Refusal | None:
        """Return the reason why a program's request, without token and page, is refused; None if it is accepted.

        Programs send no `Origin`; a request with one comes from a page in a browser, which must be of this origin.

        Args:
            headers: Headers of the request, by lower-case names.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._knows(host):
            return _unknown_host(host)
        if from_elsewhere(headers) or (
            origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        ):
            return Refusal(HTTPStatus.FORBIDDEN, "requests from pages of other sites are refused")
        return None

    def admits(self, token: str | None) -> bool:
        """Return whether a token is valid, or none is needed."""
        if self.token is None:
            return True
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())

    def _of_post(self, headers: Mapping[str, str], host: str) -> Refusal | None:
        origin = urlsplit(headers.get("origin", ""))
        is_own = origin.scheme in ("http", "https") and origin.netloc.lower() == host.lower()
        if not is_own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return Refusal(HTTPStatus.FORBIDDEN, OTHER_PAGE)
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form may have at most {MOST_BYTES:,} bytes"
            )
        return None

    def _knows(self, host: str) -> bool:
        """Return whether `Host` is a name of this machine; numeric addresses are safe, as rebinding needs a name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        if name in {known.lower() for known in self.names}:
            return True
        if not self.open_wide:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _unknown_host(host: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, f"unknown host name {host[:100]!r}: add it with --known-as")
