"""ASGI middleware that every request passes: limits before its body is read, Prometheus metrics, and a log line.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from partlabel.core.access_control import Guard
from partlabel.deploy.serving.uploads import Limits

BUSY = "at most {} images can wait: retry in one second"
RETRY = {"Retry-After": "1"}
log = logging.getLogger("partlabel.deploy.serving")


class Metrics:
    """The metrics of one server, in a registry of its own.

    Args:
        waiting: Returns the number of images accepted and not yet answered.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "partlabel_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "partlabel_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            registry=self.registry,
        )
        self.batch = Histogram(
            "partlabel_batch_size",
            "Images per run of the model.",
            buckets=[1, 2, 4, 8, 16, 32, 64, 128],
            registry=self.registry,
        )
        queue = Gauge(
            "partlabel_queue_length", "Images accepted and not yet answered.", registry=self.registry
        )
        queue.set_function(waiting)


class Gate:
    """Middleware in front of an application.

    Args:
        app: The application.
        limits: Limits of requests.
        metrics: Updated for each request.
        bodies: Required media type of the body, by path.
        paths: Returns the existing paths; all other paths count as one in the metrics.
        guard: Checks the headers `Host` and `Origin`.
        lines: Whether to write one log line per request.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        bodies: Mapping[str, str],
        paths: Callable[[], frozenset[str]],
        guard: Guard,
        lines: bool = False,
    ) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.bodies = bodies
        self.paths = paths
        self.guard = guard
        self.lines = lines
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pass(scope, receive, watched)
        except asyncio.CancelledError:  # the server is stopping, and its grace period is over
            if not status:
                await _problem(503, "the server is stopping", RETRY)(scope, receive, watched)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if not status:
                answer = JSONResponse({"detail": "the server failed; see its log"}, 500)
                await answer(scope, receive, watched)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or answer why it was refused."""
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if foreign := self.guard.refusal_of_call(headers):
            await _problem(foreign.status, foreign.why)(scope, receive, send)
            return
        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        if refused := self._refusal(scope["path"], headers):
            await refused(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, self._counted(receive), send)
        finally:
            self.inside -= 1

    def _refusal(self, path: str, headers: Mapping[str, str]) -> JSONResponse | None:
        """Return the answer to a request that its headers rule out, or None."""
        required = self.bodies.get(path)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if required is not None and kind != required:
            return _problem(415, f"the content type is {kind or 'missing'}; send {required}")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._bytes:
            return _problem(413, self._too_large)
        if self.inside >= self.limits.waiting:
            return _problem(503, BUSY.format(self.limits.waiting), RETRY)
        return None

    def _counted(self, receive: Receive) -> Receive:
        """Limit the size of a body and the time it takes to arrive."""
        loop = asyncio.get_running_loop()
        until, got, whole = loop.time() + self.limits.seconds, 0, False

        async def limited() -> Message:
            nonlocal got, whole
            if whole:
                return await receive()  # waits for the client to disconnect
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - loop.time()))
            except TimeoutError as error:
                late = f"the request did not arrive within {self.limits.seconds:g} seconds"
                raise HTTPException(408, late) from error
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > self._bytes:
                raise HTTPException(413, self._too_large)
            return message

        return limited

    @property
    def _bytes(self) -> float:
        return self.limits.megabytes * 1e6

    @property
    def _too_large(self) -> str:
        return f"the request has more than {self.limits.megabytes:g} megabytes"

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self.paths() else "other"
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        if self.lines:
            log.info("%s %r %s %.0f ms", scope["method"], scope["path"], status, seconds * 1000)


def _problem(status: int, detail: str, headers: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
