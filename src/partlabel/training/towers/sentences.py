r"""Classifiers that are trained on sentences and applied to images through a tower: CoMC without any label.

CoMC (Liu et al., "Language-driven cross-modal classifier for zero-shot multi-label image recognition", ICML 2024)
trains a classifier on the vectors of sentences with noise and applies it to images, because both lie in one space.
TaI-DPT (Guo et al., CVPR 2023, arXiv:2211.12739) and TaI-Adapter (Zhu et al., 2023) train prompts and adapters in the
same way. The labels of a sentence are the classes that it mentions. Here the sentences are the texts that a tower was
aligned on.

    w_c = argmin sum_s BCE(w_c . (v_s + noise) + b_c, mentions_sc)
    score_ic = w_c . (0.7 u_i + 0.3 normalise(softmax_s(scale u_i . v_s) v_s)) + b_c

v are the vectors of sentences, u those of images. The noise is not drawn: to second order, noise of variance n^2 on
every number is a ridge penalty of `n^2 sum_s p (1 - p)` on w (Bishop, "Training with noise is equivalent to Tikhonov
regularization", Neural Computation 7, 1995).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.files import atomic_write, read_tensors
from partlabel.core.targets import Targets
from partlabel.data.mentions import mentioned
from partlabel.nn.linear_path import EPSILON, Design, solve

NOISE = 0.1
"""Standard deviation of the noise on a vector of length 1, as in CoMC."""
KEPT = 0.7
"""Share of the image's own vector in the vector that is classified, as in CoMC."""
ENOUGH = 2048
"""Maximum number of sentences that images are mapped onto; with 12,000 in their place, the mAP was 0.2 higher."""
FEWEST = 10
"""Number of sentences that mention a class from which on they classify better than its name."""
AT_ONCE = 1024
"""Images that are mapped at a time."""
SEPARATOR = "\0"
"""Character between the texts of a file, which no text holds."""


class Classifier(NamedTuple):
    """A linear classifier of vectors of length 1.

    Attributes:
        weight: Weights.
        bias: Intercepts.
        taught: Whether enough sentences mention each class.
    """

    weight: Float[Tensor, "class dim"]
    bias: Float[Tensor, " class"]
    taught: Bool[Tensor, " class"]


@dataclass(frozen=True, eq=False)
class Sentences:
    """Texts, and their vectors in the space of a tower.

    Attributes:
        texts: Texts.
        vectors: Their vectors, of length 1.
    """

    texts: tuple[str, ...]
    vectors: Float[Tensor, "sentence dim"]
    _trained: dict[tuple[str, ...], Classifier] = field(default_factory=dict)

    @classmethod
    def some_of(
        cls, texts: Sequence[str], vectors: Float[Tensor, "sentence dim"], most: int
    ) -> "Sentences | None":
        """Choose that many texts at most, evenly; None for 0."""
        if not most:
            return None
        chosen = evenly(len(texts), most)
        plain = (texts[row].replace(SEPARATOR, " ") for row in chosen.tolist())
        return cls(tuple(plain), vectors[chosen])

    def classifier(self, names: Sequence[str]) -> Classifier:
        """Train a classifier on the sentences that mention the classes; it is kept."""
        key = tuple(names)
        if key not in self._trained:
            mentions = torch.zeros(len(self.texts), len(key))
            for row, columns in enumerate(mentioned(key, self.texts)):
                mentions[row, columns] = 1
            self._trained[key] = train(self.vectors, mentions)
        return self._trained[key]

    def scores(
        self,
        images: Float[Tensor, "image dim"],
        cosines: Float[Tensor, "image class"],
        names: Sequence[str],
        scale: float,
    ) -> Float[Tensor, "image class"]:
        """Classify images, in the unit of cosines; a class that too few sentences mention has the cosine of its name.

        Args:
            images: Vectors of images, of length 1.
            cosines: Cosines of images and class names.
            names: Class names.
            scale: Inverse temperature of the tower.
        """
        found = self.classifier(names)
        logits = mapped(images, self.vectors, scale) @ found.weight.T + found.bias
        return torch.where(found.taught, logits / scale, cosines)

    def save(self, file: Path) -> None:
        """Write texts and vectors to a file."""
        from safetensors.torch import save_file

        text = torch.frombuffer(bytearray(SEPARATOR.join(self.texts).encode()), dtype=torch.uint8)
        with atomic_write(file) as aside:
            save_file({"texts": text, "vectors": self.vectors.half().contiguous()}, aside)

    @classmethod
    def load(cls, file: Path, dim: int, remedy: str) -> "Sentences":
        """Read the file that `save` wrote.

        Args:
            file: File.
            dim: Length of a vector.
            remedy: What to do with a damaged file, for the message.

        Raises:
            ValueError: The file is damaged.
        """
        from safetensors.torch import load_file

        state = read_tensors(file, load_file, remedy)
        try:
            texts = tuple(state["texts"].numpy().tobytes().decode().split(SEPARATOR))
            vectors = normalize(state["vectors"].float(), dim=1)
        except (KeyError, UnicodeDecodeError, IndexError) as error:
            raise ValueError(f"{file} holds no sentences ({error}); {remedy}") from error
        if vectors.shape != (len(texts), dim) or not vectors.isfinite().all():
            raise ValueError(f"{file} holds {len(texts)} texts, and other vectors; {remedy}")
        return cls(texts, vectors)


def train(sentences: Float[Tensor, "sentence dim"], mentions: Float[Tensor, "sentence class"]) -> Classifier:
    """Train a classifier on sentences, with the penalty that stands for noise.

    Args:
        sentences: Vectors of sentences, of length 1.
        mentions: 1 where a sentence mentions a class, else 0.
    """
    design = Design.of(sentences)
    share = mentions.mean(0)
    spread = len(sentences) * share * (1 - share)
    penalty = NOISE**2 / design.variance.mean().clamp(min=1e-8) * spread
    weight, bias = design.weights(
        solve(design, Targets(mentions, torch.ones_like(mentions)), penalty.clamp(min=1.0))
    )
    weight = weight * torch.rsqrt(design.variance + EPSILON)
    return Classifier(weight, bias - weight @ design.mean, mentions.sum(0) >= FEWEST)


def mapped(
    images: Float[Tensor, "image dim"], sentences: Float[Tensor, "sentence dim"], scale: float
) -> Float[Tensor, "image dim"]:
    """Move images towards the sentences that are close to them, which narrows the gap between the two."""
    some = sentences[evenly(len(sentences), ENOUGH)]
    near = [(scale * part @ some.T).softmax(1) @ some for part in images.split(AT_ONCE)]
    return KEPT * images + (1 - KEPT) * normalize(torch.cat(near), dim=1)


def evenly(count: int, most: int) -> Tensor:
    """Choose at most that many of some rows, evenly."""
    return torch.linspace(0, count - 1, min(count, most)).round().long()
