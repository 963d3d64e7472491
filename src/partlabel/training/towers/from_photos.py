"""A tower of photos with texts: features of a frozen backbone, embeddings of the texts, and the fitted projections."""

from dataclasses import asdict

import numpy as np
import torch

from partlabel.data import embedders
from partlabel.data.cache import feature_cache
from partlabel.data.embedders import Embedder
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import vector_store
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.backbones import full_name
from partlabel.nn.heads.covariance import Covariance
from partlabel.training.frozen_backbone import plain_view, pooling_of, trunk_digest
from partlabel.training.towers.config import AlignmentConfig, EncoderConfig
from partlabel.training.towers.fitting import AlignmentPairs, check_count, fit_projections
from partlabel.training.towers.sentences import Sentences
from partlabel.training.towers.tower import AlignedTower, Encoders

AT_ONCE = 4096
"""Photos whose features are read at a time."""


def align_photos(
    table: LabelTable, encoders: EncoderConfig | None = None, config: AlignmentConfig | None = None
) -> AlignedTower:
    """Align images and texts on the photos of a table that have texts; labels are not used.

    Args:
        table: Photos with texts.
        encoders: The locked encoders; None for the defaults.
        config: How the projections are fitted; None for the defaults.

    Raises:
        ValueError: Too few photos have a text.
        OSError: A photo cannot be read.
    """
    encoders, config = encoders or EncoderConfig(), config or AlignmentConfig()
    embedder = embedders.announced(encoders.embedder)
    backbone = _backbone(encoders, config.seed)
    pairs = _pairs(table, backbone, embedder, encoders)
    found = fit_projections(pairs, config)
    about = {
        "photos": found.train,
        "validation": found.val,
        "texts": len(pairs.texts),
        "recall": found.recalls[found.epoch - 1],
        "chance": found.chance,
        "epoch": found.epoch,
        "settings": asdict(config),
    }
    names = (
        full_name(encoders.backbone),
        encoders.image_size,
        trunk_digest(backbone),
        embedder.name,
        embedder.version,
    )
    with torch.no_grad():
        vectors = found.projections.text(pairs.texts)
    written = [text for of_photo in table.texts or () for text in of_photo]
    sentences = Sentences.some_of(written, vectors, config.sentences)
    return AlignedTower(found.projections, Encoders(*names), about, encoders.cache_dir, sentences)


def _pairs(
    table: LabelTable, backbone: Backbone, embedder: Embedder, encoders: EncoderConfig
) -> AlignmentPairs:
    """Compute the features of the photos that have texts, and the embeddings of these."""
    texts = [each for each in table.texts or () if each]
    check_count(len(texts))
    chosen = table[np.array([bool(each) for each in table.texts or ()])]
    sentences = [text for of_photo in texts for text in of_photo]
    photo = torch.tensor([row for row, of_photo in enumerate(texts) for _ in of_photo])
    home = feature_cache.folder(encoders.cache_dir)
    return AlignmentPairs(
        mean_features(backbone, chosen, encoders.image_size, encoders.cache_dir),
        torch.from_numpy(vector_store.embedded(sentences, embedder, home).astype(np.float32)),
        photo,
    )


def mean_features(
    backbone: Backbone, table: LabelTable, size: int, cache_dir: str | None = None
) -> torch.Tensor:
    """Compute the mean of the feature map of every photo of a table; they are kept in the feature cache.

    Args:
        backbone: Frozen backbone with covariance pooling, whose output begins with the means.
        table: Photos.
        size: Side of the images in pixels.
        cache_dir: Folder of the cache; None for the default.
    """
    pooling = pooling_of(backbone)
    assert pooling is not None
    (view,) = plain_view(backbone, table, size, cache_dir)
    rows = np.arange(len(table))
    parts = [view.take(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    means = [
        np.asarray(part, np.float32).reshape(len(part), -1)[:, : pooling.mean_channels] for part in parts
    ]
    return torch.from_numpy(np.concatenate(means))


def _backbone(encoders: EncoderConfig, seed: int) -> Backbone:
    """Build the backbone as a training with that random seed does, so that both use the same cached features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return backbones.create(
            encoders.backbone,
            encoders.pretrained,
            "none",
            encoders.image_size,
            covariance_rank=Covariance.covariance_rank,
            weights=encoders.weights,
            class_token=True,
        )
