"""The HTTP application (FastAPI): `/predict`, `/classes`, `/health`, `/metrics`, and Label Studio's under a prefix.

Every error is an object with `detail`, a sentence; its status says whose turn it is (docs/serving.md has the table).
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
    400: "The form is not well-formed, or the server does not go by the name in `Host`.",
    403: "A page of another site asked.",
    408: "The request took too long to arrive.",
    413: "The request has too many bytes, or a picture too many pixels.",
    415: "The body, or a file, is of a type that is not read here.",
    422: "A picture is broken or takes too long, there are too many files or none, or an option makes no sense.",
    500: "The server failed.",
    503: "More pictures wait than may, or the server is stopping: come back after `Retry-After` seconds.",
}


class ErrorResponse(BaseModel):
    """Why a request was not served."""

    detail: str


class ClassProbability(BaseModel):
    """A class in a picture: how probable, and whether from its threshold on."""

    name: str
    probability: float
    threshold: float
    above: bool


class Prediction(BaseModel):
    """A file's classes, the most probable first."""

    file: str
    classes: list[ClassProbability]


class Predictions(BaseModel):
    """One prediction a file, in the order sent."""

    model: str
    version: str
    predictions: list[Prediction]


class Health(BaseModel):
    """That the server answers, and with what."""

    status: str
    model: str
    version: str
    digest: str
    classes: int
    image_size: int


class ClassThreshold(BaseModel):
    """A class and the probability from which it is called present."""

    name: str
    threshold: float


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of errors."""
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
    """The application.

    Args:
        service: What is done with pictures.
        label_studio_files: Folder that the images of Label Studio's tasks lie in; none of its routes without it.
        lines: Whether each request has its line in the log.
        host: The address that it is bound to, whose names it goes by.
        known_as: Another name, as of a proxy before it or of a container; several with commas between.
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
        summary="Which classes are in a picture.",
        lifespan=lifespan,
        docs_url=None,  # those pages load their scripts from elsewhere
        redoc_url=None,
    )
    bodies = {"/predict": "multipart/form-data"}
    _add_routes(app, service)
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


def _add_routes(app: FastAPI, service: Service) -> None:
    description, most = service.model.description, service.limits.files

    @app.post("/predict", responses=responses(400, 403, 408, 413, 415, 422, 500, 503))
    async def predict(
        files: Annotated[list[UploadFile], File(min_length=1, max_length=most)],
        top: Annotated[int | None, Query(ge=1, description="Only so many classes of each file.")] = None,
        threshold: Annotated[
            float | None, Query(ge=0, le=1, description="For all classes, instead of their own.")
        ] = None,
    ) -> Predictions:
        """Which classes are in one or several pictures."""
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

    @app.get("/classes", responses=responses(400, 403, 500))
    async def classes() -> list[ClassThreshold]:
        """The classes in the order of the model, and their thresholds."""
        return [
            ClassThreshold(name=name, threshold=description.threshold(column))
            for column, name in enumerate(description.classes)
        ]

    @app.get("/health", responses=responses(400, 403, 500, 503))
    async def health() -> Health:
        """Whether pictures are answered."""
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
        """Figures for Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _picture(name: str, file: Uploaded) -> UploadedPicture:
    return UploadedPicture(name, lambda: cast(Any, file.file))


def _ranked(
    service: Service, row: np.ndarray, top: int | None, threshold: float | None
) -> list[ClassProbability]:
    """The classes of a picture, the most probable first."""
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
    """What was found, if all files could be read.

    Raises:
        Refused: Some could not; with the status of the first, and the reasons of all.
    """
    bad = [(at, each) for at, each in enumerate(found) if isinstance(each, Refused)]
    if bad:
        told = "; ".join(f"file {at + 1} ({names[at]!r}): {each.reason}" for at, each in bad)
        raise Refused(bad[0][1].status, told)
    return [each for each in found if not isinstance(each, Refused)]


def _shown(name: str | None) -> str:
    """A file's name as it can be written: not too long, and nothing that UTF-8 has no bytes for."""
    return (name or "")[:200].encode("utf-8", "replace").decode()


async def _refused(request: Request, error: Exception) -> Response:
    refused = cast(Refused, error)
    headers = RETRY if refused.status == 503 else None
    return JSONResponse({"detail": refused.reason}, refused.status, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """What FastAPI says of a request that does not fit, as one sentence."""
    told = "; ".join(
        f"{' '.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in cast(RequestValidationError, error).errors()
    )
    return JSONResponse({"detail": told.encode("utf-8", "replace").decode()}, 422)
