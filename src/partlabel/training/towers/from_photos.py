"""A tower of photos with texts: features of a frozen backbone, embeddings of the texts, and the fitted projections."""

from dataclasses import asdict, replace

import numpy as np
import torch

from partlabel.data import embedders
from partlabel.data.cache import feature_cache
from partlabel.data.embedders import Embedder
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import vector_store
from partlabel.nn.backbone import Backbone
from partlabel.nn.backbones import full_name
from partlabel.nn.heads.covariance import Covariance
from partlabel.training.frozen_backbone import trunk_digest
from partlabel.training.towers.config import AlignmentConfig, EncoderConfig
from partlabel.training.towers.fitting import AlignmentPairs, check_count, fit_projections
from partlabel.training.towers.photos import mean_features
from partlabel.training.towers.sentences import Sentences
from partlabel.training.towers.tower import AlignedTower, Encoders, initial_encoder


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
    given = str(encoders.pretrained).lower()
    names = Encoders(
        full_name(encoders.backbone),
        encoders.image_size,
        "",
        embedder.name,
        embedder.version,
        given,
        "" if encoders.weights is None else str(encoders.weights.resolve()),
        config.seed,
    )
    backbone = initial_encoder(names, Covariance.covariance_rank)
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
    names = replace(names, digest=trunk_digest(backbone))
    with torch.no_grad():
        vectors = found.projections.text(pairs.texts)
    written = [text for of_photo in table.texts or () for text in of_photo]
    sentences = Sentences.some_of(written, vectors, config.sentences)
    return AlignedTower(found.projections, names, about, encoders.cache_dir, sentences)


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
