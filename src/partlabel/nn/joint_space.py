"""The space of images and texts, for prompts that are learned: text encoder with gradients, and map of image features.

A prompt is a sentence whose first tokens are learned (CoOp: Zhou et al., IJCV 2022, arXiv:2109.01134). Any text encoder
with a table of token vectors serves: the sentence begins with placeholders, whose vectors a hook on the table replaces.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

PLACEHOLDER = "x"
"""A word that is one token for every tokenizer."""
PROBE = 8


@dataclass(frozen=True, eq=False)
class TextNetwork:
    """A frozen text encoder through which gradients pass to the vectors of tokens.

    Attributes:
        tokens: Function from sentences to the input of `vectors`: token numbers, or a mapping with `input_ids`.
        vectors: Function from tokens to the vectors of the sentences.
        module: The encoder, with all its parts.
        embedding: Its table of token vectors.
    """

    tokens: Callable[[Sequence[str]], Any]
    vectors: Callable[[Any], Float[Tensor, "text dim"]]
    module: nn.Module
    embedding: nn.Module

    @classmethod
    def of(
        cls,
        tokens: Callable[[Sequence[str]], Any],
        vectors: Callable[[Any], Tensor],
        module: nn.Module,
        of: nn.Module | None = None,
    ) -> "TextNetwork":
        """Freeze an encoder, whose token vectors are the largest table among its parts, or among those of `of`."""
        parts = (module if of is None else of).modules()
        tables = [each for each in parts if isinstance(each, nn.Embedding)]
        module.requires_grad_(False).eval()
        return cls(tokens, vectors, module, max(tables, key=lambda table: table.num_embeddings))

    @property
    def width(self) -> int:
        """Length of the vector of a token."""
        return int(self.embedding.weight.shape[1])  # type: ignore[index]


@dataclass(frozen=True, eq=False)
class JointSpace:
    """The space in which places of photos are compared with prompts about classes; copies share the encoder.

    Attributes:
        names: Class names, as they stand in a sentence.
        text: The text encoder.
        of_text: Function from its vectors into the space.
        projection: Linear map of the features of a place into the space.
        offset: Vector that is added to it.
        scale: Inverse temperature: the factor of a cosine in a logit.
    """

    names: tuple[str, ...]
    text: TextNetwork
    of_text: Callable[[Float[Tensor, "text embedding"]], Float[Tensor, "text dim"]]
    projection: Float[Tensor, "dim channel"]
    offset: Float[Tensor, " dim"]
    scale: float = 100.0
    _tokens: dict[tuple[int, int, str], Any] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> "JointSpace":
        return self

    def encode(self, context: Float[Tensor, "class kind token width"]) -> Float[Tensor, "class kind dim"]:
        """Compute the unit vector of every class with every kind of prompt, with gradients to the learned tokens.

        Args:
            context: Vectors of the tokens before the class name.

        Raises:
            ValueError: The prompts are too long for the text encoder.
        """
        kinds, count = context.shape[1:3]
        tokens = self._sentences(kinds, count, context.device)
        self.text.module.to(context.device)
        with (
            torch.autocast(context.device.type, enabled=False),
            _replaced(self.text.embedding, context.flatten(0, 1).float(), self._placeholder),
        ):
            vectors = self.of_text(self.text.vectors(tokens))
        return normalize(vectors, dim=1).unflatten(0, (len(self.names), kinds))

    def words(self, text: str) -> Float[Tensor, "token width"]:
        """Return the vectors of the tokens of some words."""
        run = [self._placeholder] * PROBE
        (alone,), (row,) = (
            _numbers(self.text.tokens([f"{before}{' '.join([PLACEHOLDER] * PROBE)}"])).tolist()
            for before in ("", f"{text} ")
        )
        first, after = (_position(run, of) for of in (alone, row))
        numbers = torch.tensor(row[first:after], device=next(self.text.module.parameters()).device)
        return self.text.embedding(numbers).detach().float()

    def _sentences(self, kinds: int, count: int, device: torch.device) -> Any:
        """Return the tokens of all prompts on a device, computed once."""
        key = (kinds, count, str(device))
        if key not in self._tokens:
            before = " ".join([PLACEHOLDER] * count)
            tokens = self.text.tokens([f"{before} {name}." for name in self.names for _ in range(kinds)])
            found = (_numbers(tokens) == self._placeholder).sum(1)
            if (found < count).any():
                raise ValueError(
                    f"prompts of {count} tokens are too long for the text encoder: give --method.tokens 16"
                )
            self._tokens[key] = _on(tokens, device)
        return self._tokens[key]

    @cached_property
    def _placeholder(self) -> int:
        """Number of the token of the placeholder: that of the first run of equal tokens."""
        (row,) = _numbers(self.text.tokens([" ".join([PLACEHOLDER] * PROBE)])).tolist()
        starts = range(len(row) - PROBE + 1)
        return next(row[at] for at in starts if set(row[at : at + PROBE]) == {row[at]})


@contextmanager
def _replaced(
    embedding: nn.Module, context: Float[Tensor, "text token width"], placeholder: int
) -> Iterator[None]:
    """Let the first placeholders of every sentence have learned vectors."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        of_placeholder = inputs[0] == placeholder
        order = of_placeholder.cumsum(1) - 1
        learned = of_placeholder & (order < context.shape[1])
        at = order.clamp(0, context.shape[1] - 1)[..., None].expand(-1, -1, context.shape[2])
        return torch.where(learned[..., None], context.gather(1, at), output)

    handle = embedding.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _position(run: list[int], row: list[int]) -> int:
    """Return where a run of tokens begins in a row."""
    return next(at for at in range(len(row)) if row[at : at + len(run)] == run)


def _numbers(tokens: Any) -> Int64[Tensor, "text position"]:
    """Return the token numbers of sentences."""
    return tokens["input_ids"] if isinstance(tokens, Mapping) else tokens


def _on(tokens: Any, device: torch.device) -> Any:
    """Copy tokens to a device."""
    if isinstance(tokens, Mapping):
        return {
            name: value.to(device) if isinstance(value, Tensor) else value for name, value in tokens.items()
        }
    return tokens.to(device)
