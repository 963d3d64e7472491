"""By how much each word of a text moves its embedding: the text is embedded again without the word."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.data.embedders import Embedder
from partlabel.data.mentions import word_spans
from partlabel.data.text_features.vector_store import unit_vectors


def word_effects(text: str, embedder: Embedder) -> tuple[list[tuple[int, int]], Float[Tensor, "word dim"]]:
    """Compute the embedding of a text minus that of the text without each of its words; nothing is stored.

    Args:
        text: Text.
        embedder: Embedder.

    Returns:
        The words as pairs of begin and end, and the difference for each.
    """
    spans = word_spans(text)
    texts = [text, *(_without(text, span) for span in spans)]
    vectors = torch.from_numpy(unit_vectors(texts, embedder)).float()
    return spans, vectors[0] - vectors[1:]


def _without(text: str, span: Sequence[int]) -> str:
    return f"{text[: span[0]]} {text[span[1] :]}"
