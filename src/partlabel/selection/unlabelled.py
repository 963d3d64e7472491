"""The search where no label is known: texts or a tower know the names of the classes, and nothing is cross-validated.

The only rule is `evidence`, whose teacher then has the class names alone: their mentions in the texts beside the
photos, and the similarity of photos and names by an aligned tower. Of the weight decays, the one is chosen whose
out-of-fold predictions have the lowest cross-entropy against the soft labels.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.targets import Targets
from partlabel.core.types import TextFeatures
from partlabel.methods.evidence import Evidence
from partlabel.selection.candidates import EVIDENCE, Candidate, Rule, TrainingSet, build
from partlabel.selection.cross_validation import FINAL_TOLERANCE
from partlabel.selection.result import Selection

DECAYS = tuple(10 ** (1 - step / 2) for step in range(11))
"""Candidate weight decays times the number of classes, from strong to weak."""
RISING = 2
"""Weight decays in a row that have to be worse before the search ends."""
NAMES_ALONE = Rule(EVIDENCE)
"""The rule without options."""
RESEMBLES = 0.35
"""Cosine of a text and a class name from which on the text has to do with the class, where no text mentions any."""
FIX = (
    "label some images, present and absent classes (partlabel start without --texts proposes which), or give texts in "
    "which class names occur (--texts captions.csv, --texts filename; docs/texts.md), or a tower "
    "(--tower; docs/towers.md)"
)
"""What to do where nothing is known."""


def check_informative(text: TextFeatures | None) -> None:
    """Check that texts have to do with the classes.

    Args:
        text: Features of the texts; None without texts.

    Raises:
        ValueError: There are no texts, or none mentions or resembles the name of a class.
    """
    if text is None or not text.available.any():
        raise ValueError(f"no label is known, and no photo has a text: {FIX}")
    if not text.mentions.any() and float(text.similarity.max()) < RESEMBLES:
        raise ValueError(
            f"no label is known, and none of {int(text.available.sum())} photos with text has one that mentions or "
            f"resembles the name of a class: rename the classes to words of the texts, {FIX}"
        )


def search_unlabelled(
    data: TrainingSet, head: str, head_args: Mapping[str, Any] | None = None, rule: Rule = NAMES_ALONE
) -> Selection:
    """Find the weight decay of `evidence` and fit it, where no label is known.

    Args:
        data: Features, texts and folds; the labels are all unknown.
        head: Name of a linear head.
        head_args: Options of the head, by name; None for the defaults.
        rule: Method `evidence`, with its options.

    Raises:
        ValueError: There are no scores of the class names, and no texts or none that has to do with a class.
    """
    if data.zero_shot is None:
        check_informative(data.text)
    began = time.monotonic()
    options = head_args or {}
    problem = data.problem(head, data.design(head, options), 1.0)
    method = build(data, rule, head, options)
    assert isinstance(method, Evidence)
    soft = method.taught(problem)
    tried: dict[float, tuple[float, Float[Tensor, "image class"]]] = {}
    for decay in DECAYS:
        decay /= max(data.labels.shape[1], 1)
        logits = replace(problem, decay=decay).cross_fit(soft)
        tried[decay] = _cost(logits, soft), logits
        best = min(tried, key=lambda each: tried[each][0])
        if list(tried).index(best) < len(tried) - RISING:
            break
    # The strength of `fit_full_batch` for a share of known labels of 0; the memo keeps the sources that are fitted.
    whole = best * data.labels.numel()
    method.fit_full_batch(replace(problem, decay=whole, tolerance=FINAL_TOLERANCE))
    seconds = time.monotonic() - began
    costs = {decay: cost for decay, (cost, _) in sorted(tried.items())}
    winner = Candidate(rule, head, best, costs[best], seconds, costs, tried[best][1])
    return Selection(
        candidates=(winner,),
        criterion="cross-entropy against the soft labels",
        images=len(data.labels),
        known=0,
        folds=data.folds,
        seconds=seconds,
        model=method.eval(),
    )


def _cost(logits: Float[Tensor, "image class"], soft: Targets) -> float:
    """Compute the mean cross-entropy against soft labels."""
    total = binary_cross_entropy_with_logits(logits, soft.value, soft.weight, reduction="sum")
    return float(total / soft.weight.sum())
