"""Whether an embedder covers the language of texts: the share of their words that are in its vocabulary.

A word is in the vocabulary of a tokenizer if it is one piece. Of the words of English captions (coco18) 97 % are one
piece of the tokenizer of all-MiniLM-L6-v2 and 86 % of that of wordllama (benchmarks/results/text-embedders.csv); in
other languages fewer are. Proper names and misspelt words lower the share, too.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np

from partlabel.data.embedders import Embedder
from partlabel.data.mentions import words_in

ENOUGH = 0.75
"""Share of words below which texts are probably in a language that the embedder was not trained on."""
MOST_TEXTS = 2000


def coverage(texts: Sequence[str], embedder: Embedder) -> float:
    """Compute the share of words of texts that an embedder has in its vocabulary; 1 without words.

    Args:
        texts: Texts; of many, 2,000 at equal distances are read.
        embedder: Embedder.
    """
    step = max(ceil(len(texts) / MOST_TEXTS), 1)
    words = [word for text in texts[::step] for word in words_in(text) if not word.isdecimal()]
    distinct = sorted(set(words))
    known = dict(zip(distinct, embedder.knows(distinct), strict=True))
    return float(np.mean([known[word] for word in words])) if words else 1.0


def warning(share: float, embedder: Embedder) -> str | None:
    """Return what to say of a share of known words; None if it is high enough."""
    if share >= ENOUGH:
        return None
    return (
        f"only {share:.0%} of the words of the texts are in the vocabulary of {embedder.name}: they may be in a "
        "language that it was not trained on; give the folder of a multilingual sentence transformer"
    )
