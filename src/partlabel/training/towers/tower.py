"""An aligned tower: unit vectors of images and of sentences in one space, saved as a folder.

`config.json` names the backbone and the embedder, with a hash and a version; `projections.safetensors` holds the two
linear maps, and `sentences.safetensors` texts that it was aligned on. Both encoders stay where they are: nothing is
downloaded, and nothing is unpickled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from partlabel import __version__
from partlabel.core.files import atomic_write, read_json, read_tensors, write_json
from partlabel.data import embedders
from partlabel.data.cache import feature_cache
from partlabel.data.embedders import Embedder
from partlabel.data.mentions import plain_name
from partlabel.data.text_features import vector_store
from partlabel.nn.backbone import Backbone
from partlabel.nn.projections import Projections
from partlabel.training.frozen_backbone import trunk_digest
from partlabel.training.towers.sentences import Sentences

CONFIG, TENSORS, SENTENCES = "config.json", "projections.safetensors", "sentences.safetensors"
REMEDY = "copy the folder again from where it came from, or make it again (partlabel align)"
TEMPLATES = (
    "a photo of a {}",
    "a picture with a {} in it",
    "there is a {} in this scene",
    "a {} and other things",
    "several {}",
)
"""Sentences about a class; its vector is the mean of theirs."""


@dataclass(frozen=True)
class Encoders:
    """The locked encoders of a tower.

    Attributes:
        backbone: Name of the backbone.
        image_size: Side of the images in pixels.
        digest: Hash of the backbone's weights.
        embedder: Name of the embedder of texts.
        version: Version of the embedder.
    """

    backbone: str
    image_size: int
    digest: str
    embedder: str
    version: str


@dataclass(frozen=True, eq=False)
class AlignedTower:
    """A locked image encoder and a locked text encoder in one space.

    Attributes:
        projections: The maps into the common space.
        encoders: The encoders whose outputs are mapped.
        fitted: How it was fitted, for people: number of pairs, recall, settings.
        sentences: Texts that it was aligned on, which classify images by the classes that they mention; None without.
        cache_dir: Folder of caches, where vectors of sentences are stored; None for the default.
    """

    projections: Projections
    encoders: Encoders
    fitted: Mapping[str, Any] = field(default_factory=dict)
    cache_dir: str | None = None
    sentences: Sentences | None = None

    @property
    def scale(self) -> float:
        """Inverse temperature: the factor of a cosine in a logit."""
        return float(self.projections.scale.detach())

    @torch.no_grad()
    def image(self, features: Float[Tensor, "image channel"]) -> Float[Tensor, "image dim"]:
        """Compute unit vectors of images, from the mean of each feature map of the backbone."""
        return self.projections.image(features.float())

    @torch.no_grad()
    def dense(self, feature_map: Float[Tensor, "image channel *place"]) -> Float[Tensor, "image dim *place"]:
        """Project every place of feature maps; the mean over the places has the direction of `image`."""
        return self.projections.dense(feature_map.float())

    @torch.no_grad()
    def text(self, sentences: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Compute unit vectors of sentences.

        Raises:
            ImportError: The embedder is not installed.
            ValueError: It is installed in another version.
        """
        home = feature_cache.folder(self.cache_dir)
        vectors = vector_store.embedded(list(sentences), self.embedder, home)
        return self.projections.text(torch.from_numpy(np.asarray(vectors, np.float32)))

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder of sentences, in the version that the tower was aligned with."""
        found = embedders.find(self.encoders.embedder)
        if found.version != self.encoders.version:
            raise ValueError(
                f"the tower was aligned with the embedder {found.name} in version {self.encoders.version}, and "
                f"{found.version} is here: install the former, or align again (partlabel align)"
            )
        return found

    def classes(self, names: Sequence[str]) -> Float[Tensor, "class dim"]:
        """Compute unit vectors of classes, each the mean over `TEMPLATES`."""
        plain = [plain_name(name) for name in names]
        vectors = self.text([template.format(name) for name in plain for template in TEMPLATES])
        return normalize(vectors.unflatten(0, (len(plain), len(TEMPLATES))).mean(1), dim=1)

    def similarity(
        self, features: Float[Tensor, "image channel"], names: Sequence[str]
    ) -> Float[Tensor, "image class"]:
        """Compute the cosine of every image with every class name, or in its unit the score by sentences about it."""
        images = self.image(features)
        cosines = images @ self.classes(names).T
        return (
            cosines if self.sentences is None else self.sentences.scores(images, cosines, names, self.scale)
        )

    def check_backbone(self, backbone: Backbone, name: str) -> None:
        """Check that features are those that the tower was aligned on.

        Args:
            backbone: Frozen backbone of the features.
            name: Name of the backbone, for the message.

        Raises:
            ValueError: The backbone, or its weights, are others.
        """
        if trunk_digest(backbone) != self.encoders.digest:
            other = "" if name != self.encoders.backbone else " with other weights"
            raise ValueError(
                f"the tower was aligned with the backbone {self.encoders.backbone}{other}, not with {name}: give "
                f"--backbone {self.encoders.backbone}, or align again (partlabel align)"
            )

    def save(self, folder: str | Path) -> Path:
        """Write the tower to a folder."""
        from safetensors.torch import save_file

        folder = Path(folder)
        maps = self.projections
        sizes = {
            "image": maps.of_image.in_features,
            "text": maps.of_text.in_features,
            "common": maps.of_image.out_features,
        }
        state = {name: value.detach().clone().contiguous() for name, value in maps.state_dict().items()}
        with atomic_write(folder / TENSORS) as aside:
            save_file(state, aside)
        if self.sentences is not None:
            self.sentences.save(folder / SENTENCES)
        about = {"partlabel": __version__, "sizes": sizes, "encoders": asdict(self.encoders)}
        write_json(folder / CONFIG, about | {"fitted": dict(self.fitted)})
        return folder

    @classmethod
    def load(cls, folder: str | Path, cache_dir: str | None = None) -> "AlignedTower":
        """Load the tower that `save` wrote.

        Args:
            folder: Folder of the tower.
            cache_dir: Folder of caches; None for the default.

        Raises:
            FileNotFoundError: The folder holds no tower.
            ValueError: A file is damaged, or the two do not fit together.
        """
        from safetensors.torch import load_file

        config, tensors = Path(folder) / CONFIG, Path(folder) / TENSORS
        for file in (config, tensors):
            if not file.is_file():
                raise FileNotFoundError(f"{folder} holds no tower: there is no {file.name}; {REMEDY}")
        try:
            about = read_json(config)
            sizes, encoders = about["sizes"], _encoders(about["encoders"])
            projections = Projections(*(_whole(sizes[name]) for name in ("image", "text", "common")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{config} describes no tower ({error}); {REMEDY}") from error
        state = read_tensors(tensors, load_file, REMEDY)
        try:
            projections.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"{tensors} does not fit {config}; {REMEDY}") from error
        if not all(bool(value.isfinite().all()) for value in state.values()):
            raise ValueError(f"{tensors} holds numbers that are not finite; {REMEDY}")
        texts = Path(folder) / SENTENCES
        sentences = Sentences.load(texts, sizes["common"], REMEDY) if texts.is_file() else None
        return cls(projections.eval(), encoders, about.get("fitted", {}), cache_dir, sentences)


def _encoders(stated: Any) -> Encoders:
    """Check what a file states of the encoders."""
    for name, kind in get_type_hints(Encoders).items():
        if type(stated[name]) is not kind:
            raise TypeError(f"{name} is {stated[name]!r}")
    return Encoders(**stated)


def _whole(size: Any) -> int:
    """Check a size that a file states."""
    if type(size) is not int or not 0 < size < 1 << 20:
        raise ValueError(f"a size is {size!r}")
    return size
