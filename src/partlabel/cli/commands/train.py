"""Command `train`: train a tagger on the known labels of a table."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import Missing, RuleOptions, TableOptions, TextOptions
from partlabel.cli.commands._saying import (
    print_headline,
    say_closure,
    say_how_known,
    say_texts,
    say_without_labels,
)
from partlabel.core.progress_bar import say

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.training.run_folder import Run


@command("Learn", with_model=True)
def train(
    data: TableOptions,
    known: float | None = None,
    hide_seed: int = 0,
    out: Path = Path("runs/a"),
    resume: bool = False,
    start_from: Path | None = None,
    skip_broken: bool = False,
    trust: bool = False,
    group: str | None = None,
    *,
    beside: TextOptions,
    between: RuleOptions,
    method: dict[str, Any],
    head: dict[str, Any],
    recipe: str | None = None,
    **options: Any,
) -> None:
    """Train a tagger on the known labels of a table.

    Args:
        data: Label table.
        table: Label table: a file or folder in any format of `--format`. If it has a split, its part `train` is trained
            on.
        known: Share of the labels (0 to 1) that stays known, for benchmarks; the others are hidden before training.
        hide_seed: Random seed of the hiding; 0 in the literature.
        out: Run folder.
        resume: Resume the run in `out` from its last checkpoint.
        start_from: Run folder whose backbone and head initialise training, for example after a review added labels.
        skip_broken: Leave out images that cannot be read, and list them in the run folder.
        trust: With --start-from: also import that model's method and head from its own folder.
        group: Column of a CSV or parquet table with the group of each image (a patient, a scene, a day);
            cross-validation keeps the images of a group in one fold.
        beside: Texts of the photos.
        between: Rules between classes.
        method: Training method.
        head: Classification head, from the feature map to the classes.
        recipe: Value of --config, recorded in the run folder.
        **options: Fields of `TrainingConfig`, and arguments of `Tagger`.
    """
    from partlabel.core import distributed, safe_loading
    from partlabel.data.tables.closure import close
    from partlabel.tagger import Tagger
    from partlabel.training.config import TrainingConfig
    from partlabel.training.run_folder import Run

    say(f"Reading {data.table}")
    whole, groups = _read(data, group, "keep" if skip_broken else "refuse", beside)
    given = whole if known is None else whole.hide(part=_part(whole, "train"), known=known, seed=hide_seed)
    rules = between.of(data.table)
    closure = close(given, rules) if rules else None
    given = given if closure is None else closure.table
    config = TrainingConfig(**{field.name: options.pop(field.name) for field in fields(TrainingConfig)})
    safe_loading.import_typed([method, head], [Path.cwd()])
    if start_from is not None and trust:
        Tagger.load(start_from, trust)  # imports what it names
    tagger = Tagger(given.classes, **_chosen(method, head), **options)
    tagger.recipe = recipe
    if distributed.is_rank_zero():
        say_texts(given, data.table if not beside.texts else None)
        say_closure(closure)
        _say_advice(given)
    try:
        tagger.fit(
            given,
            truth=None if known is None else whole,
            out=out,
            resume=resume,
            start_from=start_from,
            skip_broken=skip_broken,
            groups=groups,
            rules=rules,
            config=config,
        )
    except (KeyboardInterrupt, SystemExit) as stop:  # interrupted before or after the training loop
        if not distributed.is_rank_zero():
            sys.exit(130)  # the first process prints the message
        if isinstance(stop, KeyboardInterrupt) and str(stop):
            raise
        raise KeyboardInterrupt(_how_to_resume(Run(out))) from None
    if distributed.is_rank_zero():
        _say_trained(Run(out))


def _read(
    data: TableOptions, group: str | None, missing: Missing, beside: TextOptions
) -> "tuple[LabelTable, list[str] | None]":
    """Read the table, and the group of each image where a column is named."""
    if group is None:
        return data.read(missing, beside.texts), None
    return data.read_grouped(group, missing, beside.texts)


def _chosen(method: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """Return the names and the options of method and head as arguments of `Tagger`."""
    from partlabel.training.config import AUTO

    of_method, of_head = dict(method), dict(head)
    names = {"method": of_method.pop("name"), "head": of_head.pop("name")}
    if names["head"] == AUTO:
        names["head"] = None
    return {**names, "method_args": of_method, "head_args": of_head}


def _how_to_resume(run: "Run") -> str:
    """Say that training was interrupted, and how it continues."""
    begun = run.last.exists()
    how = "continues after the last complete epoch" if begun else "starts over, because no epoch was complete"
    return f"interrupted; the same command with --resume {how} (run folder {run.folder})"


def _say_trained(run: "Run") -> None:
    """Print the results of training: the test evaluation first, where the table has a labelled part `test`."""
    from rich import print as show

    from partlabel.core.files import read_json
    from partlabel.data.tables.splits import TRAIN
    from partlabel.evaluation import headline
    from partlabel.reporting.text_weights import text_weights
    from partlabel.selection.table import candidates_table
    from partlabel.training.out_of_fold import OutOfFold

    kept = OutOfFold.of(run)
    train = run.table().part(TRAIN) if kept is None else kept.table
    tower = read_json(run.config)["training"]["tower"]
    if kept is not None and not kept.table.known:
        say_without_labels(kept.table, tower)
    elif kept is not None:
        say_how_known(kept.table.labels, kept.table.origins, kept.logits)
    else:
        say_how_known(train.labels, train.origins)
    if run.selection.exists():
        show(candidates_table(read_json(run.selection)))
    for each in headline.load(run.headlines):
        print_headline(each)
    texts = text_weights(run, train.texts is not None, train.known > 0)
    if texts is not None:
        print(f"{texts.sentence} The trained model needs the image alone.")
    print(f"model in {run.folder}, report in {run.report}")


def _say_advice(table: "LabelTable") -> None:
    """Print which method suits the known labels of the training images, if there are any."""
    from partlabel.selection.advice import advice

    table = table.part("train") if "train" in table.parts else table
    if table.known:
        print(advice(table.labels, table.texts is not None))


def _part(table: "LabelTable", name: str) -> str | None:
    return name if name in table.parts else None
