"""Self-contained report of a run: `report.html`.

The page loads no external resources (its content security policy forbids it), supports light mode, dark mode and
printing, and can be sent by mail. Sections without data are left out. All text is escaped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.headline import FEWEST, KINDS, Headline, HeadlineKind
from partlabel.evaluation.metrics import Evaluation, precision_recall
from partlabel.reporting.epochs import Epoch, training_plots
from partlabel.reporting.examples import Example, examples_shown
from partlabel.reporting.label_tables import class_counts, extent_shown, filled_cells, label_graph_shown
from partlabel.reporting.page import write_page
from partlabel.reporting.text_weights import TextWeights

MOST_CURVES = 24  # precision-recall curves before it shows the best and the worst half
MOST_CANDIDATES = 12  # settings that a search compared


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
    reasons: Mapping[tuple[str, str], str] | None = None,
    truth: Int8[np.ndarray, "image class"] | None = None,
    graph: Float[np.ndarray, "class class"] | None = None,
    examples: Sequence[Example] = (),
    thumbnails: int = 14,
    kind: HeadlineKind = "validation",
    headlines: Sequence[Headline] = (),
    test: Evaluation | None = None,
    selection: Mapping[str, Any] | None = None,
    texts: TextWeights | None = None,
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
        reasons: Reason for filled labels, by image and class, as in the file of `fill --explain`.
        truth: Ground truth of `table`'s images where available, to mark filled labels as right or wrong.
        graph: Label graph, P(column present | row present).
        examples: Images to show with attention maps and co-occurrence.
        thumbnails: Maximum number of filled labels shown of each kind.
        kind: Kind of images that `evaluation` was measured on.
        headlines: Headline of each evaluation, shown first.
        test: Evaluation on the part `test`; shown before `evaluation`.
        selection: Result of a search of settings, in the format of `selection.json`.
        texts: What the texts beside the training photos contributed; None where they have none.

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
        "texts": texts,
        "evaluation": evaluation,
        "baseline": baseline,
        "baseline_ap": {c.name: c.ap for c in baseline[1].scored} if baseline else {},
        "curves": _curves(*predictions, names) if predictions else [],
        "training": training_plots(history),
        "counts": class_counts(table) if table is not None and table.labels.size else [],
        "extent": extent_shown(table) if table is not None else None,
        "surest": filled_cells(table, filled, truth, thumbnails, lambda p: -p, reasons or {}),
        "doubtful": filled_cells(table, filled, truth, thumbnails, lambda p: np.abs(p - 0.5), reasons or {}),
        "graph": label_graph_shown(graph, names, table) if graph is not None else None,
        "examples": examples_shown(examples, names),
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
