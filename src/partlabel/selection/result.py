"""Result of the search: the candidates and the winner, as a table and as JSON; its out-of-fold logits in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from partlabel.core.files import atomic_write, read_tensors, write_json
from partlabel.methods import Method
from partlabel.selection.candidates import Candidate
from partlabel.selection.table import candidates_table

if TYPE_CHECKING:
    from rich.table import Table

WITHOUT = "train again, or delete it to go without out-of-fold predictions"


@dataclass(frozen=True, eq=False)
class Selection:
    """Result of the search.

    Attributes:
        candidates: Each rule on each head that was tried, at its best weight decay; the chosen one first.
        criterion: Name of the criterion; lower is better.
        images: Number of training images.
        known: Number of known labels.
        folds: Number of folds.
        seconds: Duration of the search.
        model: The winner fitted to all images, with the identity as its backbone: its inputs are pooled maps.
    """

    candidates: tuple[Candidate, ...]
    criterion: str
    images: int
    known: int
    folds: int
    seconds: float
    model: Method

    @property
    def winner(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[0]

    @property
    def logits(self) -> Float[np.ndarray, "image class"]:
        """The winner's logits of every training image, by models that were fitted without it."""
        return self.winner.logits.numpy()

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, for JSON."""
        return {
            "criterion": self.criterion,
            "images": self.images,
            "known": self.known,
            "folds": self.folds,
            "seconds": round(self.seconds, 2),
            "winner": _plain(self.winner),
            "candidates": [_plain(each) for each in self.candidates],
        }

    def save(self, path: Path, evaluated_on: str) -> None:
        """Write the result as JSON.

        Args:
            path: File to write.
            evaluated_on: Predictions or data that the run is evaluated on, for the record.
        """
        write_json(path, self.to_dict() | {"evaluated_on": evaluated_on})

    def __rich__(self) -> "Table":
        """Format the candidates as a table for the terminal."""
        return candidates_table(self.to_dict())


def _plain(candidate: Candidate) -> dict[str, Any]:
    return {
        "method": candidate.rule.method,
        "method_args": dict(candidate.rule.options),
        "head": candidate.head,
        "weight_decay": candidate.weight_decay,
        "cost": candidate.cost,
        "seconds": round(candidate.seconds, 2),
        "tried": [{"weight_decay": decay, "cost": cost} for decay, cost in candidate.tried.items()],
    }


def save_out_of_fold(
    path: Path,
    logits: Float[np.ndarray, "image class"],
    with_texts: Float[np.ndarray, "image class"] | None = None,
) -> None:
    """Write out-of-fold logits; rows are in the order of part `train` of the run's table.

    Args:
        path: File to write.
        logits: Out-of-fold logits of the recogniser.
        with_texts: Out-of-fold logits plus the evidence of the texts beside the photos; None without texts.
    """
    from safetensors.numpy import save_file

    with atomic_write(path) as aside:
        found = {"logits": logits} if with_texts is None else {"logits": logits, "with_texts": with_texts}
        save_file({name: np.ascontiguousarray(each, np.float32) for name, each in found.items()}, aside)


def load_out_of_fold(
    path: Path,
) -> tuple[Float[np.ndarray, "image class"], Float[np.ndarray, "image class"] | None]:
    """Read the logits that `save_out_of_fold` wrote, and those with the evidence of texts; None where there are none.

    Raises:
        ValueError: The file is damaged, or holds no logits.
    """
    from safetensors.numpy import load_file

    found = read_tensors(path, load_file, WITHOUT)
    if "logits" not in found:
        raise ValueError(f"{path} holds no logits; {WITHOUT}")
    return found["logits"], found.get("with_texts")
