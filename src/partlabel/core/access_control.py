"""Who may talk to the page: checks of every request, before anything is done for it.

- *Host*: a foreign name that was made to point here (DNS rebinding) is refused; this machine's names are not.
- *Token*: where the page can be reached from other machines, the link with `?token=` opens it once and leaves a cookie;
  compared in constant time; wrong ones are answered one after the other, each after half a second.
- *Origin*: what changes something is a POST from a page of this very address, or is refused; cookies go to this site
  alone. Nor may other sites load pages and pictures, for a page takes a question away from others; they may link here.
- *Content policy*: scripts, styles and images from here, nothing from anywhere else, nothing inline.
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
"""Of what is sent here; forms are far smaller."""


GUESS_SECONDS = 0.5
"""That a wrong token is waited with."""


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: HTTPStatus
    why: str


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> frozenset[str]:
    """The names that a page bound to an address may be asked for by; beyond loopback all numbers may, too."""
    if is_loopback(host):
        return frozenset({"localhost", "127.0.0.1", "::1", host})
    own = socket.gethostname()
    return frozenset({"localhost", host, own, own.partition(".")[0], f"{own.partition('.')[0]}.local"})


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page is behind a request; browsers that do not tell are taken to come by themselves."""
    return headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")


def _is_visit(headers: Mapping[str, str]) -> bool:
    """Whether a browser comes here with a whole window."""
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")


class Guard:
    """The checks.

    Args:
        host: The address that the page is bound to.
        token: Who comes needs it; None where everybody may.
        cookie: The name of the token's cookie.
        known_as: Another name that the page goes by, as of a proxy before it; several with commas between.
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
        """Why a request is not answered; None if it is.

        Args:
            method: GET, POST, ...
            headers: Of the request, by names in lower case.
            cookies: Of the request.
            offered: The token in its address.
        """
        host = headers.get("host", "")
        if not self._knows(host):
            return Refusal(HTTPStatus.BAD_REQUEST, f"this page does not go by the name {host!r}")
        if not self.admits(cookies.get(self.cookie)) and not self.admits(offered):
            return Refusal(
                HTTPStatus.FORBIDDEN, "open the whole link that `partlabel review` printed, with ?token="
            )
        if method not in ("GET", "HEAD", "POST"):
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "this page takes GET and POST")
        if method == "POST":
            return self._of_post(headers, host)
        if from_elsewhere(headers) and not _is_visit(headers):
            return Refusal(HTTPStatus.FORBIDDEN, "other sites may link here, and not load what is here")
        return None

    def is_guess(self, cookies: Mapping[str, str], offered: str | None) -> bool:
        """Whether a request came with a token that is not the right one."""
        tried = [token for token in (cookies.get(self.cookie), offered) if token is not None]
        return bool(tried) and not any(self.admits(token) for token in tried)

    async def slow_down(self) -> None:
        """Wait before a wrong token is answered: one after the other, so that more guessers guess no faster."""
        async with self._turn:
            await asyncio.sleep(self.wait)

    def refusal_of_call(self, headers: Mapping[str, str]) -> Refusal | None:
        """Why a program's request is not answered, which has no token and no page; None if it is.

        Programs send no `Origin`; where there is one, a browser asks for a page, and that has to be of this address.

        Args:
            headers: Of the request, by names in lower case.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._knows(host):
            return Refusal(HTTPStatus.BAD_REQUEST, f"this server does not go by the name {host[:100]!r}")
        if from_elsewhere(headers) or (
            origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        ):
            return Refusal(HTTPStatus.FORBIDDEN, "pages of other sites are not answered")
        return None

    def admits(self, token: str | None) -> bool:
        """Whether a token is the right one, or none is needed."""
        if self.token is None:
            return True
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())

    def _of_post(self, headers: Mapping[str, str], host: str) -> Refusal | None:
        origin = urlsplit(headers.get("origin", ""))
        if origin.scheme not in ("http", "https") or origin.netloc.lower() != host.lower():
            return Refusal(
                HTTPStatus.FORBIDDEN, "answers are taken from this page alone, and this came from elsewhere"
            )
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return Refusal(
                HTTPStatus.FORBIDDEN, "answers are taken from this page alone, and this came from elsewhere"
            )
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"forms have up to {MOST_BYTES:,} bytes")
        return None

    def _knows(self, host: str) -> bool:
        """Whether a request's `Host` is a name of this machine. Rebinding takes a name, so any number will do."""
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
