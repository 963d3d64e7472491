"""An exported model: an ONNX file that describes its classes and its input.

The file is as `partlabel export --to onnx` writes it: one input `image`, float32 [batch, 3, side, side], RGB from 0 to
1; outputs `logits` and `probability`, float32 [batch, class]; and the fields of `Description` as JSON, under
`partlabel` in its metadata. Normalisation and calibration are inside the graph.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from pydantic import BaseModel, Field, ValidationError, model_validator

from partlabel.core.errors import first_line
from partlabel.deploy.serving.uploads import Shape

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
KEY, FORMAT, DEFAULT_THRESHOLD = "partlabel", 1, 0.5
EXPORT = "export it again: partlabel export RUN --to onnx"
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class Description(BaseModel):
    """The metadata of an exported file.

    Attributes:
        format: Version of the metadata.
        name: Name of the model.
        classes: Class names in the order of the outputs.
        image_size: Side of the input image in pixels.
        interpolation: Resampling filter.
        thresholds: Decision threshold of each class; None: 0.5 for all.
        version: Version of partlabel that wrote the file.
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
        """Return the probability from which a class is predicted present."""
        return DEFAULT_THRESHOLD if self.thresholds is None else self.thresholds[column]


class Model:
    """An onnxruntime session and the metadata of its file.

    Args:
        session: Session of the file.
        description: Metadata of the file.
        digest: First eight hexadecimal digits of the file's SHA-256 hash.
    """

    def __init__(self, session: Any, description: Description, digest: str) -> None:
        self.session = session
        self.description = description
        self.digest = digest

    @classmethod
    def load(cls, path: Path, threads: int | None = None) -> "Model":
        """Load a file, and run it on gray images.

        Args:
            path: ONNX file.
            threads: Threads that compute one batch; None: one per core.

        Raises:
            ValueError: It is not an ONNX file, or `partlabel export` did not write it; the message says what to do.
            FileNotFoundError: It does not exist.
        """
        import onnxruntime

        if path.is_dir():
            raise IsADirectoryError(
                f"{path} is a folder; serve needs the file that this command writes: partlabel export {path} --to onnx"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file; {EXPORT}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Threads that spin while they wait doubled the processor time, which the decoding processes need, too.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        available = onnxruntime.get_available_providers()
        try:
            session = onnxruntime.InferenceSession(
                path, options, [name for name in PROVIDERS if name in available]
            )
        except Exception as error:  # onnxruntime's own, of a dozen unrelated kinds
            raise ValueError(f"{path}: onnxruntime cannot read it ({first_line(error)}); {EXPORT}") from error
        model = cls(session, _description(path, session), _digest(path))
        model._try(path)
        return model

    def probability(
        self, pixels: UInt8[np.ndarray, "batch side side 3"]
    ) -> Float32[np.ndarray, "batch class"]:
        """Predict the probability of each class in each image."""
        image = np.ascontiguousarray(np.moveaxis(pixels, 3, 1), dtype=np.float32)
        image /= 255
        return self.session.run(["probability"], {"image": image})[0]

    @property
    def shape(self) -> Shape:
        """Size and interpolation of input images."""
        return Shape(self.description.image_size, self.description.interpolation)

    def _try(self, path: Path) -> None:
        """Run the model on two gray images, so that a file with wrong shapes is refused at the start."""
        side, classes = self.description.image_size, len(self.description.classes)
        try:
            found = self.probability(np.full((2, side, side, 3), 128, np.uint8))
        except Exception as error:
            raise ValueError(f"{path}: cannot be run on 2 images ({first_line(error)}); {EXPORT}") from error
        if found.shape != (2, classes) or not np.isfinite(found).all():
            raise ValueError(
                f"{path}: returns probabilities of shape {list(found.shape)} for 2 images and {classes} classes, "
                f"or values that are not finite; {EXPORT}"
            )


def _description(path: Path, session: Any) -> Description:
    """Read the metadata of the file."""
    written = session.get_modelmeta().custom_metadata_map.get(KEY)
    if written is None:
        raise ValueError(
            f"{path}: does not describe its classes, so it was not written by `partlabel export`; {EXPORT}"
        )
    try:
        return Description.model_validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if place == "format":
            raise ValueError(
                f"{path}: this version reads format {FORMAT}, and the file has another; upgrade partlabel, or {EXPORT}"
            ) from error
        raise ValueError(f"{path}: {place or 'its description'}: {first['msg']}; {EXPORT}") from error


def _digest(path: Path) -> str:
    """Hash the file, and the separate file of its weights if there is one."""
    found = sha256()
    for part in (path, path.with_name(f"{path.name}.data")):
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    found.update(block)
    return found.hexdigest()[:8]
