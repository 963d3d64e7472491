"""What a report shows of a label table: its counts, its filled labels and its label graph."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.reporting import svg_plots, thumbnails

MOST_NAMES = 40  # classes in a label graph before it shows the most frequent only


def class_counts(table: LabelTable) -> list[dict[str, Any]]:
    """Count present, absent and unknown labels of every class, the most often present class first."""
    found = statistics.counts(table.labels)
    columns = [
        {"name": name, **{word: int(number) for word, number in zip(found._fields, numbers, strict=True)}}
        for name, *numbers in zip(table.classes, *found, strict=True)
    ]
    return sorted(columns, key=lambda column: -column["present"])


def extent_shown(table: LabelTable) -> dict[str, Any]:
    """Count images and classes, and compute the share of known labels."""
    cells = max(table.labels.size, 1)
    return {
        "images": len(table),
        "classes": len(table.classes),
        "known": float((table.labels != UNKNOWN).sum() / cells),
    }


def filled_cells(
    table: LabelTable | None,
    probability: np.ndarray | None,
    truth: np.ndarray | None,
    most: int,
    key: Callable[[np.ndarray], np.ndarray],
    reasons: Mapping[tuple[str, str], str],
) -> list[dict[str, Any]]:
    """Select filled labels with the smallest keys, one per image and few per class, as thumbnails."""
    if table is None or probability is None:
        return []
    rows, columns = np.nonzero((table.labels == UNKNOWN) & np.isfinite(probability))
    order = np.argsort(key(probability[rows, columns]), kind="stable")[: 500 * most]
    often = max(2, -(-most // max(len(table.classes), 1)))
    images: set[int] = set()
    times = [0] * len(table.classes)
    cells: list[dict[str, Any]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if len(cells) == most:
            break
        if row in images or times[column] == often:
            continue
        images.add(row)
        times[column] += 1
        true = UNKNOWN if truth is None else int(truth[row, column])
        cells.append(
            {
                "image": table.images[row],
                "photo": thumbnails.thumbnail(table.path(row) if table.root is not None else None),
                "class": table.classes[column],
                "probability": float(probability[row, column]),
                "reason": reasons.get((table.images[row], table.classes[column]), ""),
                "truth": {PRESENT: "present", ABSENT: "absent"}.get(true),
            }
        )
    return cells


def label_graph_shown(graph: np.ndarray, names: Sequence[str], table: LabelTable | None) -> dict[str, Any]:
    """Draw the label graph, of the most frequent classes if there are many, and list its strongest links."""
    weight = graph.sum(0) if table is None else (table.labels == PRESENT).sum(0)
    kept = np.sort(np.argsort(-weight, kind="stable")[:MOST_NAMES])
    apart = np.where(np.eye(len(names), dtype=bool), -1, np.nan_to_num(graph))
    strongest = [divmod(int(n), len(names)) for n in np.argsort(-apart, axis=None, kind="stable")[:6]]
    links = [(names[i], names[j], float(apart[i, j])) for i, j in strongest if apart[i, j] > 0]
    picture = svg_plots.heat_map(graph[np.ix_(kept, kept)], [names[c] for c in kept])
    return {"picture": picture, "links": links, "kept": len(kept), "of": len(names)}
