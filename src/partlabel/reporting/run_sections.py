"""What the report of a run shows besides its curves: headlines, the score on test, and all settings.

Everything is read from the run's folder, so that whoever writes `test.json`, `headlines.json` or `selection.json` there
before the report is written finds it on the page.
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
    """Measure what a run came to, and write it down beside the headlines of other kinds; test comes first.

    Args:
        run: The run.
        kind: What the images are.
        predictions: Logits and labels of those images; None where there are none.
        classes: The columns' names.
    """
    if predictions is not None:
        others = [each for each in headline.load(run.headlines) if each.kind != kind]
        headline.save([headline.headline(kind, *predictions, classes), *others], run.headlines)
    return headline.load(run.headlines)


def shown(run: Run) -> dict[str, Any]:
    """What a run's folder holds for `report.build`: headlines, the evaluation on test, the search, the settings."""
    return {
        "headlines": headline.load(run.headlines),
        "test": Evaluation.load(run.test) if run.test.exists() else None,
        "selection": read_json(selection) if (selection := run.folder / "selection.json").exists() else None,
        "settings": settings(read_json(run.config)) if run.config.exists() else None,
    }


def settings(description: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a run as the report lists them: what it is first, then how it was trained.

    Args:
        description: As `config.json` has it.
    """
    from partlabel.training.settings_search import UNUSED

    tagger, training = description.get("tagger", {}), description.get("training", {})
    chosen = description.get("selection", {})
    if "method" in chosen:  # fitted at once: what only steps use was not used
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
