"""What a run leaves in its folder after training: evaluations, headlines and the report."""

import warnings

import numpy as np
import torch
from jaxtyping import Float, Int8

from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.images.broken import find_broken
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import loader
from partlabel.data.tables.closure import without_rule_labels
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TEST
from partlabel.data.tables.splits import Find, Parts
from partlabel.evaluation import metrics
from partlabel.evaluation.headline import HeadlineKind
from partlabel.posthoc.probability_model import ProbabilityModel
from partlabel.reporting import run_report, run_sections
from partlabel.reporting.examples import Example
from partlabel.reporting.text_weights import text_weights
from partlabel.training import caching
from partlabel.training.inference import scored_readable
from partlabel.training.recognizer import Recognizer
from partlabel.training.run_folder import Run
from partlabel.training.training_run import TrainingResult

BATCH = 64
"""Number of images that are scored together."""
EXAMPLES = 6
"""Number of images in the report's examples."""


def write_results(
    tagger: Recognizer,
    run: Run,
    parts: Parts,
    outcome: TrainingResult,
    graph: Float[np.ndarray, "class class"],
    find: Find,
) -> None:
    """Write the evaluations on validation and on the part `test`, where it has known labels, and the report."""
    evaluation, predictions, examples = None, None, []
    kind: HeadlineKind = "cross-validation" if parts.val is None else "validation"
    if parts.val is not None and outcome.val_logits is not None:
        predictions = judged(tagger, outcome.val_logits, parts.val)
    elif outcome.selection is not None:
        predictions = judged(tagger, outcome.selection.logits, parts.train)
    if predictions is not None and not (predictions[1] != UNKNOWN).any():
        predictions = None  # nothing can be measured
        examples = examples_of(tagger, parts.train[:EXAMPLES])
    if predictions is not None:
        evaluation = metrics.evaluate(*predictions, tagger.classes)
        evaluation.save(run.validation)
        run_sections.announce(run, kind, predictions, tagger.classes)
        examples = examples_of(tagger, (parts.train if parts.val is None else parts.val)[:EXAMPLES])
    tested = score_test(tagger, parts, find)
    if tested is not None:
        metrics.evaluate(*tested, tagger.classes).save(run.test)
        run_sections.announce(run, "test", tested, tagger.classes)
    run_report.build(
        run.report,
        title=tagger.name,
        evaluation=evaluation,
        predictions=predictions,
        history=outcome.history,  # type: ignore[arg-type]
        table=parts.train,
        graph=graph,
        examples=examples,
        kind=kind,
        texts=text_weights(run, parts.train.texts is not None, parts.train.known > 0),
        **run_sections.shown(run),
    )


def judged(
    tagger: Recognizer, logits: Float[np.ndarray, "image class"], table: LabelTable
) -> tuple[Float[np.ndarray, "image class"], Int8[np.ndarray, "image class"]]:
    """Return what is evaluated: logits that obey the rules, and known labels that do not follow from rules."""
    evidence = ProbabilityModel(tagger.name, None, None, coherence=tagger.coherence)
    return evidence.coherent_logits(logits), without_rule_labels(table).labels


def score_test(
    tagger: Recognizer, parts: Parts, find: Find
) -> tuple[Float[np.ndarray, "image class"], Int8[np.ndarray, "image class"]] | None:
    """Compute logits and labels of the part `test`; None where there is none, or none of its labels is known.

    Images that cannot be read are left out with a warning, so that a finished training does not fail because of them.
    Each image is read once.

    Args:
        tagger: Fitted tagger.
        parts: Parts of the table.
        find: Function that finds the images that cannot be read.
    """
    if TEST not in parts.table.parts:
        return None
    table, model = parts.table.part(TEST), tagger.model
    if not table.known or model is None:
        return None
    if find is not find_broken:
        find(table)  # the pass that caches features
    rows, logits = scored_readable(model, tagger.view, table, BATCH, 0, True, tagger.cache)
    missing = np.setdiff1d(np.arange(len(table)), rows)
    if len(missing):
        broken = find_broken(table[missing])
        listed = some((f"{image} ({reason})" for image, reason in broken), most=3)
        warnings.warn(
            f"{len(broken)} of {len(table)} images of the part 'test' cannot be read and are not scored: {listed}",
            stacklevel=2,
        )
    kept = table[rows] if len(rows) else None
    return None if kept is None or not kept.known else judged(tagger, logits, kept)


def examples_of(tagger: Recognizer, table: LabelTable) -> list[Example]:
    """Compute probabilities, attention and co-occurrence of a few images, where the method has them."""
    model = tagger.fitted_model()
    device = next(model.parameters()).device
    stored = caching.there(model, tagger.view, table, tagger.cache)
    images = (
        FeatureDataset([stored], table, np.arange(len(table)))
        if stored is not None and bool(stored.there.all())
        else ImageDataset(table, eval_transform(*tagger.view), size=tagger.view[0])
    )
    batch = next(iter(loader(images, len(table))))
    with torch.inference_mode():
        given = batch.inputs.to(device)
        out, judged = model.outputs(given), model(given)
        together = None
        if out.features is not None:
            together = model.cooccurrence(out.features)
    sure = judged.float().sigmoid().cpu().numpy()
    attention = None if out.attention is None else out.attention.float().cpu().numpy()
    return [
        Example(
            table.path(row),
            table.labels[row],
            sure[row],
            None if together is None else together[row].float().cpu().numpy(),
            None if attention is None else attention[row],
        )
        for row in range(len(table))
    ]
