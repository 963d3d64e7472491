"""New classes on a trained tagger: fitted on the features of its frozen backbone, beside everything that it has.

The old classes' logits stay the same bit for bit (`methods/_composed.py`). The training images are those of the run,
whose labels of the new classes are unknown, and those of the table with the new labels.

A class of which present labels are known for the most part is no fair sample, and a model of the known labels alone
would find it everywhere. Its unknown labels therefore count as absent (`assume_negative`). For the other classes the
rules of `--method auto` for unknown labels are compared, as `train` does, and the weight decay is searched in any case.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.core.rules import Rules
from partlabel.data.tables.closure import close
from partlabel.data.tables.joining import Join, join, moved
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TRAIN
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.posthoc import tuning_columns
from partlabel.priors.reviewed import Reviewed
from partlabel.selection.candidates import FIXED, Rule, TrainingSet
from partlabel.selection.cross_validation import folds
from partlabel.selection.result import Selection
from partlabel.selection.search import fold_count, search
from partlabel.training import settings_search
from partlabel.training.carrying import carry_over
from partlabel.training.composing import composed_state, composition_of, with_classes
from partlabel.training.composition import FittedPart
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import method_backbone
from partlabel.training.frozen_backbone import mean_channels
from partlabel.training.out_of_fold import OutOfFold
from partlabel.training.recognizer import Recognizer

ASSUMED = (Rule("assume_negative"),)
"""Rules for classes of which present labels are known for the most part."""
PLAIN_HEADS = ("rooted_average", "average")
"""Heads for new classes where the head of the run is not linear."""


class ClassFit(NamedTuple):
    """The fit of some of the new classes.

    Attributes:
        classes: The classes.
        assumed: Whether their unknown labels count as absent without a comparison of rules.
        selection: Result of the search of settings.
    """

    classes: tuple[str, ...]
    assumed: bool
    selection: Selection


class Extension(NamedTuple):
    """A tagger with new classes.

    Attributes:
        tagger: The tagger.
        join: The table of old and new labels.
        fits: The fits of the new classes.
    """

    tagger: Recognizer
    join: Join
    fits: tuple[ClassFit, ...]

    @property
    def train(self) -> LabelTable:
        """Return the training images."""
        return self.join.table.part(TRAIN)

    @property
    def record(self) -> dict[str, Any]:
        """Return how the new classes were fitted, for `config.json`."""
        return {"fits": [{"classes": list(each.classes), **each.selection.to_dict()} for each in self.fits]}


def extend(
    tagger: Recognizer,
    table: LabelTable,
    classes: Sequence[str] | None = None,
    trained_on: LabelTable | None = None,
    name: str | None = None,
    seed: int = 0,
    rules: Rules | None = None,
) -> Extension:
    """Add classes to a tagger; arguments and errors are those of `Tagger.extend`.

    Args:
        tagger: Fitted tagger; unchanged.
        table: Label table with the new classes.
        classes: New classes; None for all columns of the table that the tagger does not have.
        trained_on: Label table that the tagger was trained on; None for its out-of-fold images, where it has some.
        name: Name of the new tagger's run; None for that of the tagger.
        seed: Random seed of the folds.
        rules: Further rules between the classes; None for those of the tagger alone.
    """
    new = new_classes(tagger, table, classes)
    between = _all_rules(tagger, rules, new)
    if trained_on is None and tagger.out_of_fold is not None:
        trained_on = tagger.out_of_fold.table
    joined = join(trained_on, table, tagger.classes, new)
    if between:
        joined = joined._replace(table=close(joined.table, between).table)
    joined.table.path(0)  # an error where there is no image folder
    train = joined.table.part(TRAIN)
    labels = train.labels[:, len(tagger.classes) :]
    groups = divided(new, labels)
    fits = tuple(_fit(tagger, train, labels, new, group, assumed, seed) for group, assumed in groups)
    made = _with_parts(tagger, new, fits, between)
    made.name = made.name if name is None else f"{tagger.name.rpartition('@')[0]}@{name}"
    carry_over(tagger, made, [*range(len(tagger.classes)), *[-1] * len(new)])
    logits = _new_logits(new, fits)
    if made.tuning is not None:
        for group, _ in groups:
            at = [new.index(each) for each in group]
            origins = train.origins and train.origins.columns([train.classes.index(each) for each in group])
            asked = Reviewed.of(labels[:, at], origins)
            alone = tuning_columns.tuned_alone(made.tuning, group, logits[:, at], labels[:, at], seed, asked)
            made.tuning = tuning_columns.appended(made.tuning, alone)
        order = [made.tuning.classes.index(each) for each in made.classes]
        made.tuning = tuning_columns.selected(made.tuning, order, made.classes)
    made.out_of_fold = _out_of_fold(tagger, train, logits)
    return Extension(made, joined, fits)


def new_classes(tagger: Recognizer, table: LabelTable, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes to add.

    Raises:
        ValueError: One is in the tagger already or not in the table, or there is none.
    """
    has = set(tagger.classes)
    if classes is None:
        found = tuple(name for name in table.classes if name not in has)
        if not found:
            raise ValueError(
                f"all classes of the table are in {tagger.name} already: {some(table.classes)}; a class is added by a "
                "column of its own. To learn old classes from more labels, train again: partlabel train TABLE"
            )
        return found
    for name in classes:
        if name in has:
            raise ValueError(
                f"class {name!r} is in {tagger.name} already: leave it out of classes (--classes). To learn it from "
                "more labels, train again: partlabel train TABLE"
            )
        if name not in table.classes:
            raise ValueError(
                f"class {name!r} is not in the table{did_you_mean(name, table.classes)}; its classes: "
                f"{some(table.classes)}"
            )
    return tuple(dict.fromkeys(classes))


def _all_rules(tagger: Recognizer, more: Rules | None, new: Sequence[str]) -> Rules | None:
    """Return the rules of the tagger and more; an error if they contradict each other or lack a class."""
    if more is None:
        return tagger.rules
    more.check_names((*tagger.classes, *new))
    if added := [name for name in more.adds if name not in (*tagger.classes, *new)]:
        raise ValueError(
            f"{more.source} adds the class {added[0]!r}, which no label is known of: add it to the table as a column "
            "with labels, or remove it from the rules"
        )
    return more if tagger.rules is None else tagger.rules.joined(more)


def divided(
    classes: Sequence[str], labels: Int8[np.ndarray, "image class"]
) -> list[tuple[tuple[str, ...], bool]]:
    """Divide classes into those whose known labels are present for the most part, and the others.

    Raises:
        ValueError: No label of a class is known to be present, or there is nothing to tell it from.
    """
    present, absent, unknown = ((labels == code).sum(0) for code in (PRESENT, ABSENT, UNKNOWN))
    for at, name in enumerate(classes):
        if not present[at]:
            raise ValueError(
                f"no training image is known to show the new class {name!r}: label some, or leave the class out "
                "(--classes with the others)"
            )
        if not absent[at] + unknown[at]:
            raise ValueError(
                f"all {len(labels)} training images show the new class {name!r}, so that there is nothing to tell it "
                "from: add rows of photos without it to the table, with 0 in its column, or give the table of the run "
                "(trained_on=)"
            )
    mostly = absent < present
    found = ((tuple(np.array(classes, object)[mostly == which].tolist()), which) for which in (False, True))
    return [(group, which) for group, which in found if group]


def _fit(
    tagger: Recognizer,
    train: LabelTable,
    labels: Int8[np.ndarray, "image class"],
    new: Sequence[str],
    group: Sequence[str],
    assumed: bool,
    seed: int,
) -> ClassFit:
    """Find the settings of some of the new classes by cross-validation, and fit them."""
    known = torch.from_numpy(labels[:, [new.index(each) for each in group]].copy())
    backbone, classes = method_backbone(tagger.fitted_model()), Classes(tuple(group))
    names, options = _heads(tagger)
    where = tagger.cache
    config = TrainingConfig(
        cache=None if where.used else "none",
        cache_dir=None if where.folder is None else str(where.folder),
        cache_views=1,
    )
    settings = tagger.settings | {"head": names[0]}
    maps = settings_search.pooled_maps(backbone, train, settings, config, classes)
    fold = folds(known, fold_count(len(known)), seed)
    data = TrainingSet(maps, mean_channels(backbone), known, classes, fold)
    rules = rules_of_group(assumed, len(tagger.classes) + len(new))
    return ClassFit(tuple(group), assumed, search(data, rules, names, options))


def rules_of_group(assumed: bool, classes: int) -> tuple[Rule, ...]:
    """Return the rules to compare; the weight of weak negatives depends on the number of all classes of the tagger.

    By one of them, `soft_sst`, similar images inform the unknown labels of the new classes.
    """
    if assumed:
        return ASSUMED
    weak = {"weight": 1 / max(classes - 1, 1)}
    fixed = (Rule(each.method, each.options or weak) if each == FIXED[1] else each for each in FIXED)
    return *fixed, Rule("soft_sst")


def _heads(tagger: Recognizer) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the heads to compare, and their options: that of the run, if it is linear."""
    own = tagger.settings["head"]
    if heads.get(own).is_linear:
        return (own,), dict(tagger.settings["head_args"])
    return PLAIN_HEADS, {}


def _with_parts(
    tagger: Recognizer, new: Sequence[str], fits: Sequence[ClassFit], rules: Rules | None
) -> Recognizer:
    """Make the tagger that has the fitted methods beside its own."""
    before = composition_of(tagger)
    state, composition = composed_state(tagger), before
    for fit in fits:
        best, number = fit.selection.winner, len(composition.parts)
        options = _heads(tagger)[1]
        part = FittedPart(fit.classes, best.rule.method, dict(best.rule.options), best.head, options)
        composition = composition.with_part(part)
        own = fit.selection.model.state_dict()
        state |= {f"head.parts.{number}.{key}": value for key, value in own.items()}
    names = [name for fit in fits for name in fit.classes]
    places = [before.width + names.index(name) for name in new]
    composition = replace(composition, columns=(*before.columns, *((at,) for at in places)))
    return with_classes(tagger, (*tagger.classes, *new), composition, rules, state)


def _new_logits(new: Sequence[str], fits: Sequence[ClassFit]) -> Float[np.ndarray, "image class"]:
    """Return the out-of-fold logits of the new classes, in their order."""
    found = {name: fit.selection.logits[:, at] for fit in fits for at, name in enumerate(fit.classes)}
    return np.stack([found[name] for name in new], 1)


def _out_of_fold(
    tagger: Recognizer, train: LabelTable, new: Float[np.ndarray, "image class"]
) -> OutOfFold | None:
    """Return the out-of-fold logits of all classes; None where those of the old ones were not kept.

    The old classes were not trained on images that are new to the run, and their logits of them are the tagger's.
    """
    kept = tagger.out_of_fold
    if kept is None:
        return None
    there = kept._replace(table=moved(kept.table, train.root))
    old, found = there.logits_of(train)
    with_texts = (
        None if kept.with_texts is None else there._replace(logits=kept.with_texts).logits_of(train)[0]
    )
    if not found.all():
        others = train[~found]
        old[~found] = tagger.scores(others)
        if with_texts is not None:
            beside = tagger.beside(others)
            assert tagger.texts is not None and beside is not None
            with_texts[~found] = tagger.texts.logits(old[~found], beside)
    both = None if with_texts is None else np.concatenate([with_texts, new], 1)
    return OutOfFold(train, np.concatenate([old, new], 1).astype(np.float32), both)
