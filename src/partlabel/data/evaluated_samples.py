"""Predictions and how right they are, as samples of FiftyOne: its evaluation has none of several labels per image.

The fields are those of its evaluation of detections: every label has `eval`, one of `tp`, `fp`, `fn` and `tn`, and
every sample the number of each, by which the App sorts and filters. Unknown labels count for nothing; a prediction
about one has no `eval`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.data import writers
from partlabel.data.tables.label_table import LabelTable

FIELDS = {"positive_labels": PRESENT, "negative_labels": ABSENT}
COUNTS = ("eval_tp", "eval_fp", "eval_fn", "eval_tn")


def evaluated(
    table: LabelTable, probability: Float[np.ndarray, "image class"], least: Float[np.ndarray, " class"]
) -> dict[str, Any]:
    """Return samples as `writers.fiftyone`, with a field `predictions` and the evaluation.

    Args:
        table: Known labels.
        probability: Predicted probabilities that the class is present.
        least: Probability of each class from which on it is predicted.
    """
    content = writers.fiftyone(table)
    predicted = probability >= least
    for row, sample in enumerate(content["samples"]):
        known = table.labels[row]
        for field, code in FIELDS.items():
            for label, column in zip(
                sample[field]["classifications"], np.flatnonzero(known == code), strict=True
            ):
                label["eval"] = _word(bool(predicted[row, column]), code)
        found = [
            _prediction(table.classes[column], float(probability[row, column]), int(known[column]))
            for column in np.flatnonzero(predicted[row]).tolist()
        ]
        sample["predictions"] = {"_cls": "Classifications", "classifications": found}
        words = [label["eval"] for field in FIELDS for label in sample[field]["classifications"]]
        sample |= {name: words.count(name.removeprefix("eval_")) for name in COUNTS}
    fields = content["sample_fields"]
    numbers = dict.fromkeys(COUNTS, "fiftyone.core.fields.IntField")
    content["sample_fields"] = {**fields, "predictions": fields["positive_labels"], **numbers}
    return content


def _word(predicted: bool, code: int) -> str:
    """Return what a prediction about a known label is."""
    if code == PRESENT:
        return "tp" if predicted else "fn"
    return "fp" if predicted else "tn"


def _prediction(name: str, probability: float, code: int) -> dict[str, Any]:
    """Return a predicted class."""
    label = {"_cls": "Classification", "label": name, "confidence": round(probability, 6)}
    return label | ({"eval": _word(True, code)} if code in (PRESENT, ABSENT) else {})
