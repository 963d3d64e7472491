"""Words as evidence for unknown labels, when a table is filled or reviewed: texts of photos, and names of classes.

Fitted after training on out-of-fold logits: the recogniser, the sources that learn from texts, and the comparison of
photos with class names by a tower, with weights that are estimated together (`transfer/teacher.py`). The recogniser
itself never sees a text; photos without one are judged by the image alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from partlabel.core.files import atomic_write, read_tensors
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import TextFeatures, WordFeatures
from partlabel.transfer.combination import Combination
from partlabel.transfer.sources import Observed
from partlabel.transfer.sources.text import Text
from partlabel.transfer.teacher import Teacher

SOURCES = ("recogniser", "text", "class_names", "similar_texts", "zero_shot")
"""Evidence sources of texts and class names, and the recogniser."""
WITHOUT_LABELS = ("recogniser", "class_names", "zero_shot")
"""Those that are used where no label is known."""
REMEDY = "copy it again from where the model came from; without the file words do not inform unknown labels"


@dataclass(frozen=True, eq=False)
class TextEvidence:
    """Sources that learn from texts and class names, and what they need.

    Attributes:
        teacher: The fitted sources.
        embedder: Name of the embedder of texts; empty where no texts are used.
        text_dim: Length of a text embedding; 0 where no texts are used.
        tower: Digest of the tower that compares photos with class names; empty without one.
        names: Classes that the sources were fitted to, where those of the tagger changed since; else empty.
        columns: For each class of the tagger its number among `names`, -1 for none; empty where they are the same.
    """

    teacher: Teacher
    embedder: str
    text_dim: int
    tower: str = ""
    names: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes that the sources were fitted to."""
        assert self.teacher.whole is not None
        return len(self.teacher.whole.offset)

    @property
    def suits(self) -> int:
        """Number of classes of the tagger that it belongs to."""
        return len(self.columns) or self.classes

    def of_columns(self, columns: Sequence[int], names: Sequence[str]) -> "TextEvidence":
        """Return the evidence for a tagger of other classes, those without evidence of their own among them.

        Args:
            columns: For each class of that tagger its number among those of the tagger now, -1 for none.
            names: Classes of the tagger now.
        """
        own = self.columns or tuple(range(self.classes))
        found = tuple(own[at] if at >= 0 else -1 for at in columns)
        return replace(self, names=self.names or tuple(names), columns=found)

    @torch.no_grad()
    def logits(
        self, logits: Float[np.ndarray, "image class"], beside: WordFeatures
    ) -> Float[np.ndarray, "image class"]:
        """Combine the logits of the recogniser with the evidence of texts and class names."""
        own = self._own(logits)
        odds = self.teacher(_given(own, np.full(own.shape, UNKNOWN, np.int8), beside)).numpy()
        return self._of_tagger(odds, logits)

    def _own(self, logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image own_class"]:
        """Return the logits of the classes that the sources were fitted to; zeros for those that are gone."""
        if not self.columns:
            return logits
        found = np.zeros((len(logits), self.classes), logits.dtype)
        for at, own in reversed(list(enumerate(self.columns))):
            if own >= 0:
                found[:, own] = logits[:, at]
        return found

    def _of_tagger(
        self, own: Float[np.ndarray, "image own_class"], others: Float[np.ndarray, "image class"]
    ) -> Float[np.ndarray, "image class"]:
        """Return the values of the tagger's classes: `others` for those without evidence."""
        if not self.columns:
            return own
        columns = np.array(self.columns)
        return np.where(columns >= 0, own[:, columns], others)

    @torch.no_grad()
    def shares(
        self, logits: Float[np.ndarray, "image class"], beside: WordFeatures
    ) -> Mapping[str, Float[np.ndarray, "image class"]]:
        """Compute what each source adds to the log-odds of each label, relative to its mean over images."""
        own, none = self._own(logits), np.zeros_like(logits)
        found = self.teacher.shares(_given(own, np.full(own.shape, UNKNOWN, np.int8), beside))
        return {
            name: self._of_tagger(share.numpy(), none)
            for name, share in zip(self.teacher.parts, found, strict=True)
        }

    def no_text(self, images: int) -> TextFeatures | None:
        """Return the features of images without text; None where no texts are used."""
        if not self.embedder:
            return None
        blank = torch.zeros(images, self.classes)
        return TextFeatures(torch.zeros(images, self.text_dim), blank, blank, torch.zeros(images).bool())

    def text_slope(self, column: int) -> Float[Tensor, " dim"] | None:
        """Return the change of the log-odds of a class per change of the mean embedding by the source `text`.

        None if that source has no weight, or the class no evidence.
        """
        column = self.columns[column] if self.columns else column
        if column < 0:
            return None
        names, whole = list(self.teacher.parts), self.teacher.whole
        assert whole is not None
        if "text" not in names or not whole.weight[names.index("text")]:
            return None
        number, part = names.index("text"), self.teacher.parts["text"]
        assert isinstance(part, Text)
        return part.linear.weight[column] * whole.weight[number] / whole.spread[number]

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.torch import save_file

        whole, plain = self.teacher.whole, self.teacher.plain
        assert whole is not None and plain is not None
        state = {f"teacher.{name}": value for name, value in self.teacher.state_dict().items()}
        for kind, found in (("whole", whole), ("plain", plain)):
            state |= {f"{kind}.{name}": value for name, value in found._asdict().items()}
        about = {
            "embedder": self.embedder,
            "tower": self.tower,
            "dim": str(self.text_dim),
            "sources": json.dumps(list(self.teacher.parts)),
        }
        if self.columns:
            about |= {"names": json.dumps(self.names), "columns": json.dumps(self.columns)}
        with atomic_write(path) as aside:
            save_file({name: value.clone().contiguous() for name, value in state.items()}, aside, about)

    @classmethod
    def load(cls, path: Path) -> "TextEvidence":
        """Read the file that `save` wrote.

        Raises:
            ValueError: The file is damaged, or is not of this format.
        """
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        state = read_tensors(path, load_file, REMEDY)
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
            dim, names = int(about["dim"]), json.loads(about["sources"])
            if not set(names) <= set(SOURCES):
                raise ValueError(f"unknown sources {names}")
            found = {
                kind: Combination(**{name: state[f"{kind}.{name}"] for name in Combination._fields})
                for kind in ("whole", "plain")
            }
            classes = len(found["whole"].offset)
            teacher = Teacher.create(names, {"classes": classes, "text_dim": dim})
            prefix = "teacher."
            teacher.load_state_dict(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"{path} holds no evidence of words ({error}); {REMEDY}") from error
        teacher.whole, teacher.plain = found["whole"], found["plain"]
        names, columns = (tuple(json.loads(about.get(key, "[]"))) for key in ("names", "columns"))
        return cls(teacher.eval(), about["embedder"], dim, about.get("tower", ""), names, columns)


@torch.no_grad()
def fit_text_evidence(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    beside: WordFeatures,
    embedder: str,
    fold: np.ndarray,
    unknown_weight: float = 0.0,
    tower: str = "",
) -> tuple[TextEvidence, Float[np.ndarray, "image class"]] | None:
    """Fit the sources to known labels; None if neither texts nor class names say anything about them.

    Where no label is known, mentions of class names and the scores of the tower are added to the logits (`Teacher`).

    Args:
        logits: Logits of training images by models that were not trained on them.
        labels: Labels of the images.
        beside: Their texts, their logits by class names, or both.
        embedder: Name of the embedder of the texts.
        fold: Fold of each image, from 0.
        unknown_weight: Weight of unknown labels as absent, as in `methods/evidence.py`.
        tower: Digest of the tower that the logits by class names come from.

    Returns:
        The evidence, and the out-of-fold log-odds of the training images.
    """
    given = _given(logits, labels, beside, fold, unknown_weight)
    teacher = Teacher.of(given, SOURCES if given.targets.weight.any() else WITHOUT_LABELS)
    odds = teacher.fit(given)
    if not any(weight for name, weight in teacher.weights.items() if name != "recogniser"):
        return None
    text_dim = 0 if beside.text is None else beside.text.vectors.shape[1]
    named = tower if "zero_shot" in teacher.parts else ""
    return TextEvidence(teacher.eval(), embedder if text_dim else "", text_dim, named), odds.numpy()


def _given(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    beside: WordFeatures,
    fold: np.ndarray | None = None,
    unknown_weight: float = 0.0,
) -> Observed:
    known = torch.from_numpy(np.array(labels))
    assumed = torch.full(known.shape, unknown_weight)
    targets = Targets.known(known).fill(Targets(torch.zeros(known.shape), assumed))
    folds = (
        torch.zeros(len(labels), dtype=torch.int64) if fold is None else torch.from_numpy(np.asarray(fold))
    )
    seen = torch.from_numpy(np.asarray(logits, np.float32))
    return Observed(known, targets, folds, seen, None, beside.text, beside.zero_shot)
