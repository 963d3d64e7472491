"""Command `evaluate`: evaluate a tagger against the known labels of a table."""

from pathlib import Path

from partlabel.cli.commands._command import command
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import RunOptions
from partlabel.cli.commands._saying import print_headline


@command("Judge", with_model=True)
def evaluate(
    data: RunOptions,
    *,
    split: str = "test",
    fiftyone: Path | None = None,
    inference: InferenceOptions,
) -> None:
    """Evaluate a tagger against the known labels of a table.

    Args:
        data: Run and label table.
        split: Part of the split to evaluate on; all images if the table has no split.
        fiftyone: File to write, .json: samples of FiftyOne with labels, predictions, and whether each is right.
        inference: Loading of the model and of images.
    """
    import numpy as np
    from rich import print as show

    from partlabel.core.column_rules import column_rules
    from partlabel.core.files import write_json
    from partlabel.data.evaluated_samples import evaluated
    from partlabel.data.tables.closure import with_added, without_rule_labels
    from partlabel.data.tables.splits import TRAIN, VAL, aligned
    from partlabel.evaluation import metrics
    from partlabel.evaluation.headline import HeadlineKind, headline
    from partlabel.evaluation.violations import count_violations
    from partlabel.posthoc.probability_model import probability

    tagger = inference.load(data.run)
    whole = with_added(without_rule_labels(data.chosen.read()), tagger.rules)
    part = aligned(whole.part(split) if whole.split else whole, tagger.classes)
    alone = tagger.scores(part, **inference.loading)
    logits = tagger.evidence.coherent_logits(alone)
    evaluation = metrics.evaluate(logits, part.labels, tagger.classes)
    evaluation.save(data.run / "evaluation.json")
    show(evaluation)
    if not whole.split or split != TRAIN:  # no headline for training images
        kind: HeadlineKind = "validation" if whole.split and split == VAL else "test"
        print_headline(headline(kind, logits, part.labels, tagger.classes))
    rules = column_rules(tagger.rules, tagger.classes)
    if rules is not None:
        print(f"predictions: {count_violations(tagger.evidence.probability(alone), rules).sentence}")
        print(f"the network alone: {count_violations(probability(alone), rules).sentence}")
    print(f"written to {data.run / 'evaluation.json'}")
    if fiftyone is not None:
        found = tagger.evidence.probability(alone)
        least = (
            np.full(len(tagger.classes), 0.5) if tagger.tuning is None else np.array(tagger.tuning.thresholds)
        )
        write_json(fiftyone, evaluated(part, found, least))
        print(f"samples with predictions written to {fiftyone}, for fiftyone.Dataset.from_json")
