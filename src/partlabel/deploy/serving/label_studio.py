"""Label Studio's machine learning backend protocol: it sends tasks and receives choices to start from.

https://labelstud.io/guide/ml_create: Label Studio calls `health`, `setup`, `predict` and `webhook` below the configured
address, here `http://host:port/label-studio`. Images of tasks are read from one folder; no address is fetched.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple, cast
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers.label_studio import local_path
from partlabel.deploy.serving.service import Service, UploadedPicture
from partlabel.deploy.serving.uploads import Refused

PREFIX = "/label-studio"
POSTED = [f"{PREFIX}/{name}" for name in ("setup", "predict", "webhook")]
MOST_TASKS = 1000
log = logging.getLogger("partlabel.deploy.serving")


class Setup(BaseModel):
    """The request that Label Studio sends when it connects; further keys are ignored."""

    label_config: Annotated[str, Field(alias="schema", description="The labelling configuration.")] = ""


class Task(BaseModel):
    """A task; further keys are ignored."""

    id: int | None = None
    data: dict[str, Any]


class PredictionRequest(BaseModel):
    """Tasks to predict, and the labelling configuration."""

    tasks: Annotated[list[Task], Field(max_length=MOST_TASKS)]
    label_config: str


class WebhookEvent(BaseModel):
    """An event in Label Studio; further keys are ignored."""

    action: str | None = None


class Version(BaseModel):
    """The version that predictions are filed under."""

    model_version: str


class TaskPrediction(BaseModel):
    """The prediction of a task.

    Attributes:
        result: Selected choices, possibly none.
        score: Mean confidence over the choices; 0 where the image could not be read.
        model_version: Version that the prediction is filed under.
        error: Why the image could not be read; Label Studio ignores it.
    """

    result: list[dict[str, Any]]
    score: float
    model_version: str
    error: str | None = None


class Results(BaseModel):
    """One prediction per task, in order."""

    results: list[TaskPrediction]


class Status(BaseModel):
    """Status, in the words that Label Studio expects."""

    status: str
    model_class: str = "partlabel"


class Control(NamedTuple):
    """The choices of a labelling configuration.

    Attributes:
        name: Name of the `<Choices>`.
        to_name: Name of the `<Image>`.
        key: Key of a task's data with the image.
        columns: Columns of the model for the choices that are its classes.
        only_one: Whether at most one choice may be selected.
    """

    name: str
    to_name: str
    key: str
    columns: list[int]
    only_one: bool


def router(service: Service, files: Path, errors: dict[int | str, dict[str, Any]]) -> APIRouter:
    """Build the routes.

    Args:
        service: The service that predicts.
        files: Folder of the images.
        errors: Documentation of error responses.
    """
    routes = APIRouter(prefix=PREFIX, tags=["Label Studio"], responses=errors)
    description = service.model.description
    version = f"{description.name}-{service.model.digest}"
    root = files.resolve()

    @routes.get("/health")
    async def health() -> Status:
        """Report that the server is running."""
        return Status(status="UP")

    @routes.post("/setup")
    async def setup(asked: Setup) -> Version:
        """Check that the labelling configuration has choices that the model knows; one without any control passes."""
        if "<Choices" in asked.label_config:
            control(asked.label_config, description.classes)
        return Version(model_version=version)

    @routes.post("/predict")
    async def predict(asked: PredictionRequest) -> Results:
        """Predict the choices of each task."""
        choices = control(asked.label_config, description.classes)
        pictures = [_picture(task, choices.key, root) for task in asked.tasks]
        found: list[np.ndarray | Refused] = []
        for start in range(0, len(pictures), service.limits.files):
            found += await service.recognise(pictures[start : start + service.limits.files])
        unread = [
            (picture, each)
            for picture, each in zip(pictures, found, strict=True)
            if isinstance(each, Refused)
        ]
        for picture, each in unread:
            log.warning("Label Studio: %s: %s", picture.name, each.reason)
        if unread and len(unread) == len(found):
            picture, first = unread[0]
            raise Refused(first.status, f"no task's image could be read; {picture.name}: {first.reason}")
        return Results(results=[_prediction(service, choices, version, each) for each in found])

    @routes.post("/webhook")
    async def webhook(event: WebhookEvent) -> Status:
        """Accept and ignore an event: this server does not train."""
        return Status(status="ignored")

    return routes


def control(label_config: str, classes: Sequence[str]) -> Control:
    """Find the choices of a labelling configuration that the model predicts.

    Of several `<Choices>` about an image, the one named `classes` is used (as `partlabel import --to label_studio`
    writes it), else the one with most of the model's classes.

    Raises:
        Refused: 422, the configuration is no XML, or has no choices that are classes of the model.
    """
    root = _xml(label_config)
    images = {each.get("name"): each.get("value", "") for each in root.iter("Image")}
    column = {name: at for at, name in enumerate(classes)}
    found: list[Control] = []
    values: list[str] = []
    for each in root.iter("Choices"):
        named = [choice.get("alias") or choice.get("value") or "" for choice in each.iter("Choice")]
        values += named
        to_name = each.get("toName", "")
        if to_name in images:
            columns = [column[name] for name in named if name in column]
            key = images[to_name].removeprefix("$")
            only_one = each.get("choice", "single") != "multiple"
            found.append(Control(each.get("name", ""), to_name, key, columns, only_one))
    best = max(found, key=lambda each: (each.name == "classes", len(each.columns)), default=None)
    if best is None or not best.columns:
        near = next(filter(None, (did_you_mean(name, classes) for name in values)), "")
        raise Refused(
            422,
            f"label_config has no <Choices> about an <Image> with classes of the model; its choices are "
            f"{some(map(repr, values)) or 'none'}{near}, the model's classes {some(map(repr, classes))}",
        )
    return best


def _xml(label_config: str) -> ElementTree.Element:
    """Parse a labelling configuration; refuse document types, which let a small file expand to a large one."""
    if "<!DOCTYPE" in label_config.upper():
        raise Refused(422, "label_config has a document type, which is not read")
    try:
        return ElementTree.fromstring(label_config)
    except (ElementTree.ParseError, ValueError) as error:
        raise Refused(422, f"label_config is not XML: {error}") from error


def _picture(task: Task, key: str, root: Path) -> UploadedPicture:
    """Build a task's image, searched for when it is opened."""

    def opened() -> AbstractContextManager[BinaryIO]:
        address = task.data.get(key)
        if not isinstance(address, str):
            raise Refused(422, f"its data has no {key!r}")
        path = _inside(root, address)
        if path is None:
            raise Refused(
                422,
                f"{address[:200]!r} is no file below the folder that is served; addresses are not fetched",
            )
        return cast(Any, path.open("rb"))

    return UploadedPicture("a task without id" if task.id is None else f"task {task.id}", opened)


def _inside(root: Path, address: str) -> Path | None:
    """Find the file of an address below a folder; None if there is none, or a link leads out of it."""
    try:
        uploaded = unquote(urlsplit(address).path).removeprefix("/data/")  # in Label Studio's own folder
        for name in (local_path(address, root), uploaded):
            path = (root / name).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    except (OSError, ValueError):  # names that no file can have
        pass
    return None


def _prediction(
    service: Service, choices: Control, version: str, found: np.ndarray | Refused
) -> TaskPrediction:
    if isinstance(found, Refused):
        return TaskPrediction(result=[], score=0.0, model_version=version, error=found.reason)
    description = service.model.description
    ticked = [column for column in choices.columns if found[column] >= description.threshold(column)]
    if choices.only_one:
        ticked = sorted(ticked, key=lambda column: -found[column])[:1]
    value = {"choices": [description.classes[column] for column in ticked]}
    result = {"from_name": choices.name, "to_name": choices.to_name, "type": "choices", "value": value}
    probability = found[choices.columns]
    sure = float(np.maximum(probability, 1 - probability).mean())
    return TaskPrediction(result=[result] if ticked else [], score=sure, model_version=version)
