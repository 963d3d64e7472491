"""A time limit for the headers of a request, and a limit of open connections.

uvicorn (https://uvicorn.dev) has limits for what follows the headers, but waits for the headers without a time limit,
and each such connection takes one of the files that a process may have open.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_Protocol: Any = (
    AutoHTTPProtocol  # h11 or httptools: both have `connections`, `loop`, `transport` and `cycle`
)


def protocol(seconds: float, connections: int) -> type[asyncio.Protocol]:
    """Return a protocol for uvicorn.

    Args:
        seconds: Maximum time from accepting a connection, or the first byte of a later request, to the end of its
            headers.
        connections: Maximum number of open connections; further ones have to retry.
    """

    class Patient(_Protocol):
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > connections:
                self.say(503, f"at most {connections} connections can be open: retry in one second")
            else:
                self.watch()

        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():
                super().data_received(data)
                self.watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop()
            super().connection_lost(exc)

        def watch(self) -> None:
            """Start the timer while a request's headers are incomplete; stop it once they are complete."""
            if self.cycle is not None and not self.cycle.response_complete:
                self.stop()
            elif self.timer is None:
                self.timer = self.loop.call_later(seconds, self.give_up)

        def stop(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

        def give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.say(408, f"the request's headers did not arrive within {seconds:g} seconds")

        def say(self, status: int, detail: str) -> None:
            """Answer without calling the application, and close the connection."""
            self.stop()
            if not self.transport.is_closing():
                self.transport.write(_answer(status, detail))
                self.transport.close()

    return Patient


def _answer(status: int, detail: str) -> bytes:
    body = json.dumps({"detail": detail}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *(["retry-after: 1"] if status == 503 else []),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
