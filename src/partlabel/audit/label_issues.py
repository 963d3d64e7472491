"""Labels that are perhaps wrong: known ones that a model contradicts; `partlabel inspect --run`.

A label is contradicted where the model gives its class a probability that is typical of the other label: of the images
said to show it for one that is said to be absent, and the other way round. Typical is the class's own mean, as in
confident learning (Northcutt, Jiang & Chuang, JAIR 2021, arXiv:1911.00068), since a rare class never gets a high
probability; and how far beyond it a label lies, in log-odds, is its *margin*, by which they are ranked.

Images that the model did not train on are judged fairly. Those that it trained on it has learned with the wrong label,
so that it contradicts too little: they are compared among themselves, and marked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import TRAIN
from partlabel.tagger import Tagger
from partlabel.training.run_folder import Run

ENOUGH = 5
"""Labels that a mean is taken of, at least: else of those of all images, else it is one half."""
_SURE = 1e-7  # from 0 and 1


class Suspect(NamedTuple):
    """A known label that the model contradicts.

    Attributes:
        image: As the table names it.
        name: Of the class.
        present: What the table says.
        probability: What the model says: that the class is present.
        margin: How far that lies beyond what is typical of the other label, in log-odds.
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
    """What a model contradicts.

    Attributes:
        model: Its name.
        judged: Known labels that it was asked about.
        seen: How many of them are of images that it was trained on; None where that is not known.
        number: How many it contradicts.
        first: Of each class the worst, the class with the largest margin first.
    """

    model: str
    judged: int
    seen: int | None
    number: int
    first: tuple[Suspect, ...]

    @property
    def by_class(self) -> dict[str, list[Suspect]]:
        """The first of each class."""
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
    """Ask a model about every known label of a table; the other known labels of an image vote, as in `fill`.

    Args:
        tagger: Fitted, or loaded.
        table: With a root. Images that cannot be read are left out.
        trained_on: Images that the model was trained on, as the table names them; None where that is not known.
        most: Labels of each class that are named.
        batch_size: Images at a time.
        workers: Processes that read images.

    Raises:
        ValueError: Classes differ, no image can be read, or `most` is not 1 or more.
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
    """The images that a run was trained on; None where its folder does not say."""
    return LabelTable.read(run.labels).part(TRAIN).images if run.labels.exists() else None


def margins(
    probability: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    seen: Bool[np.ndarray, " image"],
) -> Float[np.ndarray, "image class"]:
    """How far each known label lies beyond what is typical of the other label; -inf for unknown ones.

    Args:
        probability: That the class is present.
        labels: What is known.
        seen: Which images the model was trained on: they are compared among themselves, the others too.
    """
    z = _log_odds(probability)
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
    """Log-odds of each class's mean probability where it is labelled so: in the group, or if too few, in all images."""
    typical = np.full(labelled.shape[1], 0.5)
    for those in (labelled, labelled & group[:, None]):
        number = those.sum(axis=0)
        mean = np.where(those, probability, 0).sum(axis=0) / np.maximum(number, 1)
        typical = np.where(number >= ENOUGH, mean, typical)
    return _log_odds(typical)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    p = probability.astype(np.float64).clip(_SURE, 1 - _SURE)
    return np.log(p) - np.log1p(-p)


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
