"""Contents of a run's report that are read from the run folder: headlines, the score on test, the search, all settings.

A command that writes `test.json`, `headlines.json` or `selection.json` there before the report is written finds it on
the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.files import read_json
from partlabel.evaluation import headline
from partlabel.evaluation.headline import Headline, HeadlineKind
from partlabel.evaluation.result import Evaluation
from partlabel.training.run_folder import Run


def announce(
    run: Run,
    kind: HeadlineKind,
    predictions: tuple[Float[np.ndarray, "image class"], Int8[np.ndarray, "image class"]] | None,
    classes: Sequence[str],
) -> list[Headline]:
    """Measure the headline of an evaluation, and save it beside those of other kinds.

    Args:
        run: Run folder.
        kind: Kind of images.
        predictions: Logits and labels of the images; None if there are none.
        classes: Class names.

    Returns:
        All headlines of the run, test first.
    """
    if predictions is not None:
        others = [other for other in headline.load(run.headlines) if other.kind != kind]
        headline.save([headline.headline(kind, *predictions, classes), *others], run.headlines)
    return headline.load(run.headlines)


def shown(run: Run) -> dict[str, Any]:
    """Collect arguments of `run_report.build` from a run folder: headlines, test evaluation, search and settings."""
    return {
        "headlines": headline.load(run.headlines),
        "test": Evaluation.load(run.test) if run.test.exists() else None,
        "selection": read_json(selection) if (selection := run.selection).exists() else None,
        "settings": settings(read_json(run.config)) if run.config.exists() else None,
    }


def settings(description: Mapping[str, Any]) -> dict[str, Any]:
    """List all settings of a run in the order of the report: the model first, then its training.

    Args:
        description: Contents of `config.json`.
    """
    from partlabel.training.search_checks import UNUSED

    tagger, training = description.get("tagger", {}), description.get("training", {})
    chosen = description.get("selection", {})
    if "method" in chosen:  # the full-batch solver uses no settings of steps
        training = {name: value for name, value in training.items() if name not in UNUSED}
    first = {name: value for name, value in tagger.items() if name not in ("method_args", "head_args")}
    return {
        "recipe": description.get("recipe"),
        **first,
        "method": first.get("method"),
        **{f"method.{name}": value for name, value in tagger.get("method_args", {}).items()},
        **{f"head.{name}": value for name, value in tagger.get("head_args", {}).items()},
        **training,
        **({"weight_decay": chosen["weight_decay"]} if chosen.get("weight_decay") is not None else {}),
        "started_from": description.get("started_from"),
        "partlabel": description.get("partlabel"),
    }
