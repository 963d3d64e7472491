"""Settings of uvicorn: limits, and a shutdown within seconds."""

from typing import TYPE_CHECKING, Any

from partlabel.deploy.serving.patience import protocol
from partlabel.deploy.serving.uploads import Limits

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

LAST_SECONDS = 5
"""Time in seconds for requests in progress to finish after the server receives a signal to stop."""


def config(app: "FastAPI", limits: Limits, **options: Any) -> "uvicorn.Config":
    """Return uvicorn's settings for an application.

    Args:
        app: Application of `app.create`.
        limits: Limits of requests.
        **options: Passed to `uvicorn.Config`.
    """
    import uvicorn

    return uvicorn.Config(
        app,
        http=protocol(limits.header_seconds, connections(limits)),
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=LAST_SECONDS,
        **options,
    )


def connections(limits: Limits) -> int:
    """Return the maximum number of open connections: at most half of the files that this process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return limits.connections
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        limits.connections if files == resource.RLIM_INFINITY else min(limits.connections, max(1, files // 2))
    )
