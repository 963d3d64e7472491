"""Label issues: known labels that a model contradicts; `partlabel inspect --run`.

A label is contradicted where the model's probability is typical of the opposite label: for an absent label,
of the images labelled as showing the class, and the reverse. Typical is the class's own mean, as in confident learning
(Northcutt, Jiang & Chuang, JAIR 2021, arXiv:1911.00068), because a rare class never gets a high probability. The
distance beyond it, in log-odds, is the label's *margin*, by which labels are ranked.

Images that the model was not trained on are judged fairly. Training images were learned with the wrong label, so the
model contradicts too few of them: they are compared among themselves, and marked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import TRAIN
from partlabel.priors.scale import log_odds
from partlabel.tagger import Tagger
from partlabel.training.run_folder import Run

ENOUGH = 5
"""Minimum number of labels for a mean; below it the mean over all images is used, and else one half."""
_SURE = 1e-7  # from 0 and 1


class Suspect(NamedTuple):
    """A known label that the model contradicts.

    Attributes:
        image: Image path as in the table.
        name: Class name.
        present: Label in the table.
        probability: The model's probability that the class is present.
        margin: Distance beyond the typical probability of the opposite label, in log-odds.
        seen: Whether the model was trained on the image.
    """

    image: str
    name: str
    present: bool
    probability: float
    margin: float
    seen: bool


@dataclass(frozen=True)
class Suspects:
    """Labels of a table that a model contradicts.

    Attributes:
        model: Name of the model.
        judged: Number of known labels that were checked.
        seen: Number of them on training images; None where that is not recorded.
        number: Number of contradicted labels.
        first: The worst of each class, the class with the largest margin first.
    """

    model: str
    judged: int
    seen: int | None
    number: int
    first: tuple[Suspect, ...]

    @property
    def by_class(self) -> dict[str, list[Suspect]]:
        """The worst label of each class."""
        found: dict[str, list[Suspect]] = {}
        for each in self.first:
            found.setdefault(each.name, []).append(each)
        return found


def find_label_issues(
    tagger: Tagger,
    table: LabelTable,
    trained_on: Collection[str] | None,
    most: int = 5,
    batch_size: int = 64,
    workers: int = 0,
) -> Suspects:
    """Check every known label of a table; the image's other known labels give evidence, as in `fill`.

    Args:
        tagger: A fitted or loaded tagger.
        table: A table with a root. Images that cannot be read are left out.
        trained_on: Training images of the model, as the table names them; None where that is not recorded.
        most: Maximum number of labels listed per class.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.

    Raises:
        ValueError: Classes differ, no image can be read, or `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"suspects is {most}; of each class one label or more is named")
    table, probability = tagger.judge(table, batch_size, workers, skip_broken=True)
    seen = np.isin(table.images, list(trained_on or ()))
    margin = margins(probability, table.labels, seen)
    known = (table.labels != UNKNOWN).sum(axis=1)
    return Suspects(
        tagger.name,
        int(known.sum()),
        None if trained_on is None else int(known[seen].sum()),
        int((margin >= 0).sum()),
        _worst(table, probability, margin, seen, most),
    )


def trained_on(run: Run) -> tuple[str, ...] | None:
    """Return the training images of a run; None where its folder does not record them."""
    return LabelTable.read(run.labels).part(TRAIN).images if run.labels.exists() else None


def margins(
    probability: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    seen: Bool[np.ndarray, " image"],
) -> Float[np.ndarray, "image class"]:
    """Compute the margin of each known label; -inf for unknown ones.

    Args:
        probability: Probabilities that the class is present.
        labels: PRESENT, ABSENT or UNKNOWN.
        seen: Training images of the model; they are compared among themselves, and so are the others.
    """
    z = log_odds(probability, _SURE)
    margin = np.full(labels.shape, -np.inf)
    for group in (seen, ~seen):
        present, absent = (_typical(probability, labels == code, group) for code in (PRESENT, ABSENT))
        here = group[:, None]
        margin = np.where(here & (labels == ABSENT), z - present, margin)
        margin = np.where(here & (labels == PRESENT), absent - z, margin)
    return margin


def _typical(
    probability: Float[np.ndarray, "image class"],
    labelled: Bool[np.ndarray, "image class"],
    group: Bool[np.ndarray, " image"],
) -> Float[np.ndarray, " class"]:
    """Compute log-odds of each class's mean probability at a label, in the group or, if too small, in all images."""
    typical = np.full(labelled.shape[1], 0.5)
    for those in (labelled, labelled & group[:, None]):
        number = those.sum(axis=0)
        mean = np.where(those, probability, 0).sum(axis=0) / np.maximum(number, 1)
        typical = np.where(number >= ENOUGH, mean, typical)
    return log_odds(typical, _SURE)


def _worst(
    table: LabelTable, probability: np.ndarray, margin: np.ndarray, seen: np.ndarray, most: int
) -> tuple[Suspect, ...]:
    found = []
    for column in np.argsort(-margin.max(axis=0, initial=-np.inf), kind="stable").tolist():
        rows = np.argsort(-margin[:, column], kind="stable")[:most].tolist()
        found += [
            Suspect(
                table.images[row],
                table.classes[column],
                bool(table.labels[row, column] == PRESENT),
                float(probability[row, column]),
                float(margin[row, column]),
                bool(seen[row]),
            )
            for row in rows
            if margin[row, column] >= 0
        ]
    return tuple(found)
