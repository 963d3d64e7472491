"""Quality of pseudo-labels: count, precision and recall of each source, on cells whose label is unknown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.result import NAN


@dataclass(frozen=True)
class Quality:
    """Number and quality of the pseudo-labels of one source in an epoch, on unknown cells.

    Attributes:
        count: Number of present pseudo-labels.
        checked: Number of present pseudo-labels with ground truth.
        right: Number of correct present pseudo-labels.
        wanted: Number of unknown cells that are present according to the ground truth.
        count_absent: Number of absent pseudo-labels.
        checked_absent: Number of absent pseudo-labels with ground truth.
        right_absent: Number of correct absent pseudo-labels.
    """

    count: int
    checked: int
    right: int
    wanted: int
    count_absent: int
    checked_absent: int
    right_absent: int

    @property
    def precision(self) -> float:
        """Share of the pseudo-labels saying present that is true; NaN without ground truth."""
        return self.right / self.checked if self.checked else NAN

    @property
    def recall(self) -> float:
        """Share of the hidden present labels that were found; NaN if there are none."""
        return self.right / self.wanted if self.wanted else NAN

    @property
    def precision_absent(self) -> float:
        """Share of the pseudo-labels saying absent that is true; NaN without ground truth."""
        return self.right_absent / self.checked_absent if self.checked_absent else NAN

    @property
    def numbers(self) -> dict[str, float]:
        """Return count, precision and recall by name, for logs; those of absence only if there are any."""
        present = {"count": float(self.count), "precision": self.precision, "recall": self.recall}
        absent = {"count absent": float(self.count_absent), "precision absent": self.precision_absent}
        return present | absent if self.count_absent else present


@runtime_checkable
class _Targets(Protocol):
    """The interface of `Targets`, in torch or NumPy."""

    @property
    def value(self) -> Any: ...

    @property
    def weight(self) -> Any: ...


class PseudoLabelQuality:
    """Counts the pseudo-labels of an epoch by source, against the ground truth where there is any.

    Only cells with an unknown label count: pseudo-labels never overrule a person. A pseudo-label says present where its
    value is at least 0.5. Present and absent are counted apart, because nearly any guess of absence is right. Accepts
    torch tensors or NumPy arrays; on a GPU nothing is synchronised before `compute`.
    """

    def __init__(self) -> None:
        self._counts: dict[str, list[Any]] = {}

    def update(self, pseudo_labels: Mapping[str, _Targets], labels: Any, truth: Any = None) -> None:
        """Count a batch.

        Args:
            pseudo_labels: Values and weights [batch, class] of each source; weight 0 is no pseudo-label.
            labels: The labels that the method was given, [batch, class].
            truth: The ground truth, [batch, class], UNKNOWN where there is none; None if there is none at all.
        """
        hidden = labels == UNKNOWN
        truth = labels if truth is None else truth
        for name, targets in pseudo_labels.items():
            filled = hidden & (targets.weight > 0)
            present, absent = filled & (targets.value >= 0.5), filled & (targets.value < 0.5)
            cells = (
                present,
                present & (truth != UNKNOWN),
                present & (truth == PRESENT),
                hidden & (truth == PRESENT),
                absent,
                absent & (truth != UNKNOWN),
                absent & (truth == ABSENT),
            )
            before = self._counts.get(name, [0] * len(cells))
            self._counts[name] = [n + cell.sum() for n, cell in zip(before, cells, strict=True)]

    def compute(self) -> dict[str, Quality]:
        """Return the quality of each source since the last `reset`."""
        return {name: Quality(*map(int, counts)) for name, counts in self._counts.items()}

    def add_up(self, total: Callable[[Any], Any]) -> None:
        """Sum the counts over processes.

        Args:
            total: Function that sums a tensor over the processes.
        """
        self._counts = {name: [total(n) for n in counts] for name, counts in self._counts.items()}

    def reset(self) -> None:
        """Set all counts to 0, for the next epoch."""
        self._counts.clear()
