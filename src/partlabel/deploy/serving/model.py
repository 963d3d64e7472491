"""An exported model: an ONNX file that says itself what its classes are and how pictures go in.

The file is as `partlabel export --to onnx` writes it: one input `image`, float32 [batch, 3, side, side], RGB from 0 to
1; outputs `logits` and `probability`, float32 [batch, class]; and what `Description` holds as JSON, under `partlabel`
in its metadata. Normalisation and calibration are inside the graph.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import BaseModel, Field, ValidationError, model_validator

from partlabel.deploy.serving.uploads import Shape

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
KEY, FORMAT, DEFAULT_THRESHOLD = "partlabel", 1, 0.5
EXPORT = "export it again: partlabel export RUN --to onnx"
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class Description(BaseModel):
    """What an exported file says of itself.

    Attributes:
        format: Of this description.
        name: Of the model.
        classes: In the order of the outputs.
        image_size: Side of the picture that goes in.
        interpolation: How pictures come to that size.
        thresholds: Probability from which a class is called present, one a class; 0.5 if none.
        version: Of the package that wrote the file.
    """

    format: Literal[1]
    name: str
    classes: list[str] = Field(min_length=1)
    image_size: int = Field(gt=0)
    interpolation: Interpolation
    thresholds: list[float] | None = None
    version: str

    @model_validator(mode="after")
    def _one_threshold_a_class(self) -> Any:
        if self.thresholds is not None and len(self.thresholds) != len(self.classes):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.classes)} classes")
        return self

    def threshold(self, column: int) -> float:
        """Probability from which a class is called present."""
        return DEFAULT_THRESHOLD if self.thresholds is None else self.thresholds[column]


class Model:
    """An onnxruntime session and what its file says.

    Args:
        session: Of the file.
        description: What it says.
        digest: Eight letters that differ between files.
    """

    def __init__(self, session: Any, description: Description, digest: str) -> None:
        self.session = session
        self.description = description
        self.digest = digest

    @classmethod
    def load(cls, path: Path, threads: int | None = None) -> "Model":
        """Read a file, and try it on a gray picture.

        Args:
            path: The file.
            threads: That one batch is computed with; as many as there are cores if none.

        Raises:
            ValueError: It is no ONNX file, or not one that `partlabel export` wrote; the message has the mend.
            FileNotFoundError: It is not there.
        """
        import onnxruntime

        if path.is_dir():
            raise IsADirectoryError(
                f"{path} is a folder; serve takes the file that this writes: partlabel export {path} --to onnx"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file; {EXPORT}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Threads that spin while they wait cost twice the processor where others want it too, as those that decode do.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        there = onnxruntime.get_available_providers()
        try:
            session = onnxruntime.InferenceSession(
                path, options, [name for name in PROVIDERS if name in there]
            )
        except Exception as error:  # onnxruntime's own, of a dozen unrelated kinds
            raise ValueError(
                f"{path}: onnxruntime cannot read it ({_first_line(error)}); {EXPORT}"
            ) from error
        model = cls(session, _description(path, session), _digest(path))
        model._try(path)
        return model

    def probability(
        self, pixels: UInt8[np.ndarray, "batch side side 3"]
    ) -> Float32[np.ndarray, "batch class"]:
        """The probability of each class in each picture."""
        image = np.ascontiguousarray(np.moveaxis(pixels, 3, 1), dtype=np.float32)
        image /= 255
        return self.session.run(["probability"], {"image": image})[0]

    @property
    def shape(self) -> Shape:
        """What pictures are made into."""
        return Shape(self.description.image_size, self.description.interpolation)

    def _try(self, path: Path) -> None:
        """Two gray pictures, so that a file of another shape is refused before anybody asks for anything."""
        side, classes = self.description.image_size, len(self.description.classes)
        try:
            found = self.probability(np.full((2, side, side, 3), 128, np.uint8))
        except Exception as error:
            raise ValueError(
                f"{path}: cannot be run on 2 pictures ({_first_line(error)}); {EXPORT}"
            ) from error
        if found.shape != (2, classes) or not np.isfinite(found).all():
            raise ValueError(
                f"{path}: gives probabilities of shape {list(found.shape)} for 2 pictures and {classes} classes, "
                f"or some that are no numbers; {EXPORT}"
            )


def _description(path: Path, session: Any) -> Description:
    """What the file says of itself."""
    written = session.get_modelmeta().custom_metadata_map.get(KEY)
    if written is None:
        raise ValueError(
            f"{path}: does not say what its classes are, so `partlabel export` did not write it; {EXPORT}"
        )
    try:
        return Description.model_validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if place == "format":
            raise ValueError(
                f"{path}: is in a format that this version does not know (it knows {FORMAT}); upgrade, or {EXPORT}"
            ) from error
        raise ValueError(f"{path}: {place or 'its description'}: {first['msg']}; {EXPORT}") from error


def _digest(path: Path) -> str:
    """Of the file, and of the weights beside it if they are in a file of their own."""
    found = sha256()
    for part in (path, path.with_name(f"{path.name}.data")):
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    found.update(block)
    return found.hexdigest()[:8]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
