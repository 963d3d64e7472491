"""The HTTP application (FastAPI): `/predict`, `/classes`, `/health`, `/metrics`, and the routes of Label Studio.

Every error is an object with `detail`, a sentence; the table of statuses in docs/serving.md says what the client can
do.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from fastapi import FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.datastructures import UploadFile as Uploaded

from partlabel import __version__
from partlabel.core.access_control import Guard
from partlabel.deploy.serving import label_studio
from partlabel.deploy.serving.gate import RETRY, Gate
from partlabel.deploy.serving.service import Service, UploadedPicture
from partlabel.deploy.serving.uploads import Refused

ERRORS = {
    400: "The form is malformed, or the header `Host` does not name this server.",
    403: "The request comes from a page of another site.",
    408: "The request took too long to arrive.",
    413: "The request has too many bytes, or an image too many pixels.",
    415: "The type of the body or of a file is not supported.",
    422: "An image is broken or takes too long, there are too many files or none, or an option is invalid.",
    500: "The server failed.",
    503: "The queue is full, or the server is stopping: retry after `Retry-After` seconds.",
}


class ErrorResponse(BaseModel):
    """The reason why a request was not served."""

    detail: str


class ClassProbability(BaseModel):
    """The probability of a class in an image, and whether it reaches the class's threshold."""

    name: str
    probability: float
    threshold: float
    above: bool


class Prediction(BaseModel):
    """The classes of a file, the most probable first."""

    file: str
    classes: list[ClassProbability]


class Predictions(BaseModel):
    """One prediction per file, in the order of the request."""

    model: str
    version: str
    predictions: list[Prediction]


class Health(BaseModel):
    """The state of the server and the model it serves."""

    status: str
    model: str
    version: str
    digest: str
    classes: int
    image_size: int


class ClassThreshold(BaseModel):
    """A class and its decision threshold."""

    name: str
    threshold: float


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI documentation of error statuses."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": ErrorResponse, "description": ERRORS[status]}
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def create(
    service: Service,
    label_studio_files: Path | None = None,
    lines: bool = False,
    host: str = "127.0.0.1",
    known_as: str | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        service: Predicts images.
        label_studio_files: Folder with the images of Label Studio's tasks; None for no Label Studio routes.
        lines: Whether to write one log line per request.
        host: Address that the server is bound to; requests under its names are accepted.
        known_as: Further host names, such as those of a proxy or a container, separated by commas.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title=f"partlabel: {service.model.description.name}",
        version=__version__,
        summary="Multi-label image recognition.",
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from other servers
        redoc_url=None,
    )
    bodies = {"/predict": "multipart/form-data"}
    _add_prediction(app, service)
    _add_description(app, service)
    if label_studio_files is not None:
        app.include_router(
            label_studio.router(
                service, label_studio_files, responses(400, 403, 408, 413, 415, 422, 500, 503)
            )
        )
        bodies |= dict.fromkeys(label_studio.POSTED, "application/json")
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    paths = cache(lambda: frozenset(app.openapi()["paths"]))
    app.add_middleware(
        Gate,
        limits=service.limits,
        metrics=service.metrics,
        bodies=bodies,
        paths=paths,
        guard=Guard(host, None, known_as=known_as),
        lines=lines,
    )
    return app


def _add_prediction(app: FastAPI, service: Service) -> None:
    """Add the route that predicts."""
    description, most = service.model.description, service.limits.files

    @app.post("/predict", responses=responses(400, 403, 408, 413, 415, 422, 500, 503))
    async def predict(
        files: Annotated[list[UploadFile], File(min_length=1, max_length=most)],
        top: Annotated[
            int | None,
            Query(
                ge=1,
                description="Number of classes to return per file, the most probable ones; default: all.",
            ),
        ] = None,
        threshold: Annotated[
            float | None, Query(ge=0, le=1, description="Threshold for all classes, instead of their own.")
        ] = None,
    ) -> Predictions:
        """Predict the classes in one or several images."""
        names = [_shown(file.filename) for file in files]
        found = await service.recognise(
            [_picture(name, file) for name, file in zip(names, files, strict=True)]
        )
        return Predictions(
            model=description.name,
            version=description.version,
            predictions=[
                Prediction(file=name, classes=_ranked(service, row, top, threshold))
                for name, row in zip(names, _all_read(names, found), strict=True)
            ],
        )


def _add_description(app: FastAPI, service: Service) -> None:
    """Add the routes that describe the model, its state and its use."""
    description = service.model.description

    @app.get("/classes", responses=responses(400, 403, 500))
    async def classes() -> list[ClassThreshold]:
        """List the classes in the order of the model, and their thresholds."""
        return [
            ClassThreshold(name=name, threshold=description.threshold(column))
            for column, name in enumerate(description.classes)
        ]

    @app.get("/health", responses=responses(400, 403, 500, 503))
    async def health() -> Health:
        """Report whether the server answers requests."""
        if not service.batcher.is_working:
            raise Refused(503, "the server is stopping")
        return Health(
            status="ready",
            model=description.name,
            version=description.version,
            digest=service.model.digest,
            classes=len(description.classes),
            image_size=description.image_size,
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **responses(400, 403, 500),
        },
    )
    async def metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _picture(name: str, file: Uploaded) -> UploadedPicture:
    return UploadedPicture(name, lambda: cast(Any, file.file))


def _ranked(
    service: Service, row: np.ndarray, top: int | None, threshold: float | None
) -> list[ClassProbability]:
    """Return the classes of an image, the most probable first."""
    description = service.model.description
    ranked = []
    for column in np.argsort(-row, kind="stable")[:top].tolist():
        from_here = description.threshold(column) if threshold is None else threshold
        probability = float(row[column])
        ranked.append(
            ClassProbability(
                name=description.classes[column],
                probability=probability,
                threshold=from_here,
                above=probability >= from_here,
            )
        )
    return ranked


def _all_read(names: Sequence[str], found: Sequence[np.ndarray | Refused]) -> list[np.ndarray]:
    """Return the results if all files could be read.

    Raises:
        Refused: Some could not be read; with the status of the first, and the reasons of all.
    """
    bad = [(at, each) for at, each in enumerate(found) if isinstance(each, Refused)]
    if bad:
        reasons = "; ".join(f"file {at + 1} ({names[at]!r}): {each.reason}" for at, each in bad)
        raise Refused(bad[0][1].status, reasons)
    return [each for each in found if not isinstance(each, Refused)]


def _shown(name: str | None) -> str:
    """Return a file name that can be written: of limited length and valid in UTF-8."""
    return (name or "")[:200].encode("utf-8", "replace").decode()


async def _refused(request: Request, error: Exception) -> Response:
    refused = cast(Refused, error)
    headers = RETRY if refused.status == 503 else None
    return JSONResponse({"detail": refused.reason}, refused.status, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """Turn FastAPI's validation errors into one sentence."""
    reasons = "; ".join(
        f"{' '.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in cast(RequestValidationError, error).errors()
    )
    return JSONResponse({"detail": reasons.encode("utf-8", "replace").decode()}, 422)
