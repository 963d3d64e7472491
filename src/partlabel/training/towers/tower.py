"""An aligned tower: unit vectors of images and of sentences in one space, saved as a folder.

`config.json` names the backbone and the embedder, with a hash and a version; `projections.safetensors` holds the two
linear maps, and `sentences.safetensors` texts that it was aligned on. Both encoders stay where they are: nothing is
downloaded, and nothing is unpickled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from partlabel import __version__
from partlabel.core.files import atomic_write, read_json, read_tensors, write_json
from partlabel.data import embedders
from partlabel.data.cache import feature_cache
from partlabel.data.cache.pooling_store import weights_digest
from partlabel.data.embedders import Embedder
from partlabel.data.mentions import plain_name
from partlabel.data.text_features import vector_store
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.joint_space import JointSpace
from partlabel.nn.projections import Projections
from partlabel.training.frozen_backbone import mean_channels, trunk_digest
from partlabel.training.towers._base import Tower
from partlabel.training.towers.sentences import Sentences

CONFIG, TENSORS, SENTENCES = "config.json", "projections.safetensors", "sentences.safetensors"
REMEDY = "copy the folder again from where it came from, or make it again (partlabel align)"


@dataclass(frozen=True)
class Encoders:
    """The locked encoders of a tower.

    Attributes:
        backbone: Name of the backbone.
        image_size: Side of the images in pixels.
        digest: Hash of the backbone's weights.
        embedder: Name of the embedder of texts.
        version: Version of the embedder.
        pretrained: Source of the backbone's weights, `auto`, `true` or `false`.
        weights: File of the backbone's weights, in place of `pretrained`; empty for none.
        seed: Random seed of weights that are random.
    """

    backbone: str
    image_size: int
    digest: str
    embedder: str
    version: str
    pretrained: str = "auto"
    weights: str = ""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class AlignedTower(Tower):
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
    def name(self) -> str:
        """Name for messages."""
        return f"tower of {self.encoders.backbone} and {self.encoders.embedder}"

    @cached_property
    def digest(self) -> str:
        """Hash of the projections, of the sentences, and of what says which encoders they belong to."""
        texts = () if self.sentences is None else self.sentences.texts
        about = [self.encoders.digest, self.encoders.embedder, self.encoders.version, *texts]
        return blake2b(
            weights_digest(self.projections) + json.dumps(about).encode(), digest_size=16
        ).hexdigest()

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that it was aligned on."""
        return self.encoders.image_size

    @property
    def bias(self) -> None:
        """None: it was aligned by a softmax."""
        return None

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

    def fits(self, backbone: Backbone) -> bool:
        """Return whether a backbone has the weights that the tower was aligned with, and no trained part."""
        channels = self.projections.of_image.in_features
        same = backbone.is_frozen and mean_channels(backbone) == channels
        return same and trunk_digest(backbone) == self.encoders.digest

    def similarity(
        self, features: Float[Tensor, "image channel"], names: Sequence[str]
    ) -> Float[Tensor, "image class"]:
        """Compute the cosine of every image with every class name, or in its unit the score by sentences about it."""
        images = self.image(features)
        cosines = images @ self.classes(names).T
        return (
            cosines if self.sentences is None else self.sentences.scores(images, cosines, names, self.scale)
        )

    def encoder(self, covariance_rank: int = 0) -> Backbone:
        """Build the image encoder; arguments and errors are those of `Tower.encoder`."""
        about = self.encoders
        try:
            built = initial_encoder(about, covariance_rank)
        except OSError as error:
            raise OSError(f"the image encoder of the tower cannot be built: {error}") from error
        self.check_backbone(built, about.backbone)
        return built

    def check_backbone(self, backbone: Backbone, name: str) -> None:
        """Check that features are those that the tower was aligned on; arguments and errors are those of `Tower`."""
        if trunk_digest(backbone) != self.encoders.digest:
            other = "" if name != self.encoders.backbone else " with other weights"
            raise ValueError(
                f"the tower was aligned with the backbone {self.encoders.backbone}{other}, not with {name}: give "
                f"--backbone {self.encoders.backbone}, or align again (partlabel align)"
            )

    def joint_space(self, names: Sequence[str]) -> JointSpace:
        """Return the common space with the embedder as a network; errors are those of `Tower.joint_space`."""
        maps = self.projections.requires_grad_(False)
        weight = (maps.of_image.weight / maps.spread).detach()
        offset = (maps.of_image.bias - weight @ maps.centre).detach()
        plain = tuple(plain_name(name) for name in names)
        return JointSpace(plain, self.embedder.network(), maps.text, weight, offset, self.scale)

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
    stated = {"pretrained": "auto", "weights": "", "seed": 0} | stated
    for name, kind in get_type_hints(Encoders).items():
        if type(stated[name]) is not kind:
            raise TypeError(f"{name} is {stated[name]!r}")
    return Encoders(**stated)


def initial_encoder(encoders: Encoders, covariance_rank: int = 0) -> Backbone:
    """Build the backbone of a tower as a training with its random seed does, so that both use the same features.

    Args:
        encoders: What names the backbone; its hash is not checked.
        covariance_rank: Components of the covariance pooling.

    Raises:
        OSError: Weights cannot be read or downloaded.
    """
    pretrained = {"auto": "auto", "true": True, "false": False}[encoders.pretrained]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(encoders.seed)
        return backbones.create(
            encoders.backbone,
            pretrained,  # type: ignore[arg-type]
            "none",
            encoders.image_size,
            covariance_rank=covariance_rank,
            weights=encoders.weights or None,
            class_token=True,
        )


def _whole(size: Any) -> int:
    """Check a size that a file states."""
    if type(size) is not int or not 0 < size < 1 << 20:
        raise ValueError(f"a size is {size!r}")
    return size
