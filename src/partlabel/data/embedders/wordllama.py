"""wordllama: the mean of trained token vectors, length 256 (16 MB of weights in its wheel)."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from partlabel.data.embedders._base import Embedder, Embeddings, package_folder, single_pieces


class WordLlama(Embedder):
    """The mean of the token vectors of wordllama."""

    quick: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("wordllama")
        self.folder = package_folder("wordllama")

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed each text; zeros for an empty one."""
        return np.asarray(self._model.embed(list(texts)), dtype=np.float32)

    def knows(self, words: Sequence[str]) -> list[bool]:
        """Return whether each word is one piece of the tokenizer."""
        return single_pieces(self.folder / "tokenizers/l2_supercat_tokenizer_config.json", words)

    @cached_property
    def _model(self) -> Any:
        import wordllama

        # Its own look-up misses the tokenizer in the wheel by a letter and would download it: point its cache there.
        return wordllama.WordLlama.load(cache_dir=self.folder, disable_download=True)
