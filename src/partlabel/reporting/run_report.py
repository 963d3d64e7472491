"""Self-contained report of a run: `report.html`.

The page loads no external resources (its content security policy forbids it), supports light mode, dark mode and
printing, and can be sent by mail. Sections without data are left out. All text is escaped.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float, Int8
from markupsafe import Markup

from partlabel.core.files import atomic_write
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.headline import FEWEST, KINDS, Headline, HeadlineKind
from partlabel.evaluation.metrics import Evaluation, precision_recall
from partlabel.reporting import svg_plots, thumbnails
from partlabel.reporting.jinja import templates

MOST_NAMES = 40  # classes in a label graph before it shows the most frequent only
MOST_CURVES = 24  # precision-recall curves before it shows the best and the worst half
MOST_PAIRS = 12  # classes in the co-occurrence of one image
MOST_MAPS = 5  # attention maps of one image
MOST_CANDIDATES = 12  # settings that a search compared


class Epoch(TypedDict, total=False):
    """Log of an epoch: `epoch`, loss `terms` by name, `val_map`, and statistics of pseudo-labels by source."""

    epoch: int
    terms: Mapping[str, float | None]
    val_map: float | None
    pseudo_labels: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, eq=False)
class Example:
    """One image of the report.

    Attributes:
        path: Image file.
        labels: Known labels: PRESENT, ABSENT or UNKNOWN.
        probability: Predicted probability of every class.
        cooccurrence: Probability that two classes occur together in this image; symmetric.
        attention: Attention map of every class, in any scale.
    """

    path: Path
    labels: Int8[np.ndarray, " class"] | None = None
    probability: Float[np.ndarray, " class"] | None = None
    cooccurrence: Float[np.ndarray, "class class"] | None = None
    attention: Float[np.ndarray, "class h w"] | None = None

    def order(self, classes: int) -> list[int]:
        """Sort classes: known present, then unknown, then known absent; within each group by falling probability."""
        rank = np.zeros(classes)
        if self.probability is not None:
            rank = rank + self.probability
        elif self.cooccurrence is not None:
            rank = rank + self.cooccurrence.mean(0)
        if self.labels is not None:
            rank = rank + 2 * (self.labels == PRESENT) - 2 * (self.labels == ABSENT)
        return np.argsort(-rank, kind="stable").tolist()


def build(
    out: str | Path,
    *,
    title: str,
    settings: Mapping[str, object] | None = None,
    evaluation: Evaluation | None = None,
    baseline: tuple[str, Evaluation] | None = None,
    predictions: tuple[Float[np.ndarray, "test class"], Int8[np.ndarray, "test class"]] | None = None,
    history: Sequence[Epoch] = (),
    table: LabelTable | None = None,
    filled: Float[np.ndarray, "image class"] | None = None,
    truth: Int8[np.ndarray, "image class"] | None = None,
    graph: Float[np.ndarray, "class class"] | None = None,
    examples: Sequence[Example] = (),
    thumbnails: int = 14,
    kind: HeadlineKind = "validation",
    headlines: Sequence[Headline] = (),
    test: Evaluation | None = None,
    selection: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of a run.

    Args:
        out: File to write; written completely or not at all.
        title: Title of the page.
        settings: Settings of the run by name; nested mappings become dotted names.
        evaluation: Evaluation of the model.
        baseline: Name and evaluation of a baseline over the same classes.
        predictions: Scores and known labels of the evaluated images, for precision-recall curves.
        history: Logs of the epochs, in order.
        table: Label table that the model was trained on, or that was filled.
        filled: Probability of every label of `table`; those that are unknown in `table` are shown.
        truth: Ground truth of `table`'s images where available, to mark filled labels as right or wrong.
        graph: Label graph, P(column present | row present).
        examples: Images to show with attention maps and co-occurrence.
        thumbnails: Maximum number of filled labels shown of each kind.
        kind: Kind of images that `evaluation` was measured on.
        headlines: Headline of each evaluation, shown first.
        test: Evaluation on the part `test`; shown before `evaluation`.
        selection: Result of a search of settings, in the format of `selection.json`.

    Returns:
        The file.

    Raises:
        ValueError: `evaluation` and `table` have different classes, or class names are needed and neither is given.
    """
    names = _names(evaluation, table, needed=graph is not None or predictions is not None or bool(examples))
    shown = {
        "title": title,
        "settings": _flat(settings or {}),
        "headlines": sorted(headlines, key=lambda each: KINDS.index(each.kind)),
        "evaluations": _evaluations(test, evaluation, kind),
        "kind_of_baseline": kind,
        "fewest": FEWEST,
        "selection": _selection(selection),
        "evaluation": evaluation,
        "baseline": baseline,
        "baseline_ap": {c.name: c.ap for c in baseline[1].scored} if baseline else {},
        "curves": _curves(*predictions, names) if predictions else [],
        "training": _training(history),
        "counts": class_counts(table) if table is not None and table.labels.size else [],
        "extent": _extent(table) if table is not None else None,
        "surest": _cells(table, filled, truth, thumbnails, lambda p: -p),
        "doubtful": _cells(table, filled, truth, thumbnails, lambda p: np.abs(p - 0.5)),
        "graph": _graph(graph, names, table) if graph is not None else None,
        "examples": _examples(examples, names),
    }
    return write_page(Path(out), "report.html", shown)


def _evaluations(
    test: Evaluation | None, other: Evaluation | None, kind: HeadlineKind
) -> list[dict[str, Any]]:
    """List evaluations, test first, with their names and the classes that are left out of the headline."""
    named = [("test", test)] if test is not None else []
    named += [(kind, other)] if other is not None else []
    return [
        {"kind": name, "of": evaluation, "few": {c.name for c in evaluation.classes if c.present < FEWEST}}
        for name, evaluation in named
    ]


def _selection(selection: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """List the compared settings, best first, at most `MOST_CANDIDATES` of them."""
    if not selection or not selection.get("candidates"):
        return None
    candidates = sorted(selection["candidates"], key=lambda each: each.get("cost", 0.0))
    rows = [
        {
            name: each.get(name)
            for name in ("method", "method_args", "head", "weight_decay", "cost", "seconds")
        }
        for each in candidates
    ]
    criterion = str(selection.get("criterion", "")).replace("_", " ")
    return {
        "rows": rows[:MOST_CANDIDATES],
        "of": len(rows),
        "criterion": criterion,
        "folds": selection.get("folds"),
    }


def write_page(out: Path, template: str, shown: Mapping[str, Any]) -> Path:
    """Write a self-contained page.

    Args:
        out: File to write; written completely or not at all.
        template: Name of the template in `templates/`.
        shown: Variables of the template; the script and its hash, for the content security policy, are added.
    """
    pages = templates()
    script = pages.get_template("report.js").render()
    added = {"script": Markup(script), "script_hash": b64encode(sha256(script.encode()).digest()).decode()}
    with atomic_write(out) as aside:
        aside.write_text(pages.get_template(template).render({**shown, **added}), encoding="utf-8")
    return out


def _names(evaluation: Evaluation | None, table: LabelTable | None, needed: bool) -> tuple[str, ...]:
    if evaluation is not None and table is not None and evaluation.names != table.classes:
        raise ValueError(
            "the evaluation has other classes than the table: give an evaluation of a model for this table"
        )
    if evaluation is not None:
        return evaluation.names
    if table is not None:
        return table.classes
    if needed:
        raise ValueError("the class names are missing: also give `evaluation` or `table`")
    return ()


def _flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Flatten nested settings to dotted names with text values; None is left out."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + str(name)] = f"{value:g}" if isinstance(value, float) else str(value)
    return flat


def _curves(scores: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Compute precision-recall curves as points of a 100 x 100 box, by falling AP; if many, the middle is left out."""
    curves: list[dict[str, Any]] = []
    for c, name in enumerate(names):
        curve = precision_recall(scores[:, c], labels[:, c])
        if curve is None or not (labels[:, c] == ABSENT).any():
            continue
        ap = float(-np.sum(np.diff(curve.recall) * curve.precision[:-1]))
        recall, precision = curve.recall[::-1], curve.precision[::-1]
        kept = np.unique(np.searchsorted(recall, np.linspace(0, 1, 120)))
        points = zip(100 * recall[kept], 100 - 100 * precision[kept], strict=True)
        chance = (labels[:, c] == PRESENT).sum() / (labels[:, c] != UNKNOWN).sum()
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        curves.append({"name": name, "ap": ap, "line": line, "chance": float(chance)})
    curves.sort(key=lambda curve: -curve["ap"])
    if len(curves) <= MOST_CURVES:
        return curves
    return curves[: MOST_CURVES // 2] + curves[-MOST_CURVES // 2 :]


def _training(history: Sequence[Epoch]) -> dict[str, list[tuple[str, Markup]]]:
    """Plot loss terms, validation and pseudo-labels over the epochs."""
    if not history:
        return {"losses": [], "validation": [], "pseudo_labels": []}
    epochs = [epoch.get("epoch", n) for n, epoch in enumerate(history)]
    terms = dict.fromkeys(name for epoch in history for name in epoch.get("terms", {}))
    losses = [
        (
            name,
            svg_plots.line_plot(
                {name: [e.get("terms", {}).get(name) for e in history]}, epochs, legend=False, first_colour=n
            ),
        )
        for n, name in enumerate(terms)
    ]
    maps = [epoch.get("val_map") for epoch in history]
    validation = (
        [("mAP on validation", svg_plots.line_plot({"mAP": maps}, epochs, shares=True, legend=False))]
        if any(maps)
        else []
    )
    return {"losses": losses, "validation": validation, "pseudo_labels": _pseudo_labels(history, epochs)}


def _pseudo_labels(history: Sequence[Epoch], epochs: Sequence[int]) -> list[tuple[str, Markup]]:
    sources = dict.fromkeys(name for epoch in history for name in epoch.get("pseudo_labels", {}))
    drawn = []
    for number in ("count", "precision", "recall"):
        values = {
            source: [e.get("pseudo_labels", {}).get(source, {}).get(number) for e in history]
            for source in sources
        }
        if any(value is not None and value == value for line in values.values() for value in line):
            drawn.append((number, svg_plots.line_plot(values, epochs, shares=number != "count")))
    return drawn


def class_counts(table: LabelTable) -> list[dict[str, Any]]:
    """Count present, absent and unknown labels of every class, the most often present class first."""
    found = statistics.counts(table.labels)
    columns = [
        {"name": name, **{word: int(number) for word, number in zip(found._fields, numbers, strict=True)}}
        for name, *numbers in zip(table.classes, *found, strict=True)
    ]
    return sorted(columns, key=lambda column: -column["present"])


def _extent(table: LabelTable) -> dict[str, Any]:
    cells = max(table.labels.size, 1)
    return {
        "images": len(table),
        "classes": len(table.classes),
        "known": float((table.labels != UNKNOWN).sum() / cells),
    }


def _cells(
    table: LabelTable | None,
    probability: np.ndarray | None,
    truth: np.ndarray | None,
    most: int,
    key: Callable[[np.ndarray], np.ndarray],
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
                "truth": {PRESENT: "present", ABSENT: "absent"}.get(true),
            }
        )
    return cells


def _graph(graph: np.ndarray, names: Sequence[str], table: LabelTable | None) -> dict[str, Any]:
    """Draw the label graph, of the most frequent classes if there are many, and list its strongest links."""
    weight = graph.sum(0) if table is None else (table.labels == PRESENT).sum(0)
    kept = np.sort(np.argsort(-weight, kind="stable")[:MOST_NAMES])
    apart = np.where(np.eye(len(names), dtype=bool), -1, np.nan_to_num(graph))
    strongest = [divmod(int(n), len(names)) for n in np.argsort(-apart, axis=None, kind="stable")[:6]]
    links = [(names[i], names[j], float(apart[i, j])) for i, j in strongest if apart[i, j] > 0]
    picture = svg_plots.heat_map(graph[np.ix_(kept, kept)], [names[c] for c in kept])
    return {"picture": picture, "links": links, "kept": len(kept), "of": len(names)}


def _examples(examples: Sequence[Example], names: Sequence[str]) -> list[dict[str, Any]]:
    """Prepare examples: images, co-occurrence on a common scale, and attention maps of the relevant classes."""
    pairs = [_pairs(example, names) for example in examples]
    highest = max((svg_plots.top(matrix) for matrix, _ in pairs if matrix is not None), default=1.0)
    return [
        {
            "name": example.path.name,
            "photo": thumbnails.thumbnail(example.path, 320),
            "tags": [_tag(example, c, names) for c in example.order(len(names))[:6]],
            "pairs": None if matrix is None else svg_plots.heat_map(matrix, chosen, highest=highest),
            "attention": _attention(example, names),
        }
        for example, (matrix, chosen) in zip(examples, pairs, strict=True)
    ]


def _pairs(example: Example, names: Sequence[str]) -> tuple[np.ndarray | None, list[str]]:
    """Select the co-occurrence of the relevant classes of an image, and their names."""
    order = example.order(len(names))[:MOST_PAIRS]
    matrix = None if example.cooccurrence is None else example.cooccurrence[np.ix_(order, order)]
    return matrix, [names[c] for c in order]


def _attention(example: Example, names: Sequence[str]) -> list[dict[str, Any]]:
    if example.attention is None:
        return []
    return [
        {"photo": thumbnails.spotlight(example.path, example.attention[c], 240)} | _tag(example, c, names)
        for c in example.order(len(names))[:MOST_MAPS]
    ]


def _tag(example: Example, c: int, names: Sequence[str]) -> dict[str, Any]:
    """Describe a class of an image: its known label and its predicted probability."""
    label = UNKNOWN if example.labels is None else int(example.labels[c])
    probability = None if example.probability is None else float(example.probability[c])
    return {
        "class": names[c],
        "known": {PRESENT: "present", ABSENT: "absent"}.get(label),
        "probability": probability,
    }
