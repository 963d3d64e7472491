"""The search of settings for a tagger: features of the training images in, a fitted tagger out (docs/selection.md).

`--method auto` compares methods, heads and weight decays by cross-validation. For a given method only the weight decay
is searched: by the same solver where it can be fitted full batch, else by training on part of the images.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.core import registry
from partlabel.core.labels import UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.core.targets import Labels
from partlabel.core.types import WordFeatures
from partlabel.data.images.loader import loader
from partlabel.data.images.threads import ahead
from partlabel.data.tables.closure import without_rule_labels
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import Parts
from partlabel.methods import Method
from partlabel.nn import heads
from partlabel.nn.backbone import Backbone
from partlabel.nn.classes import Classes
from partlabel.selection.advice import evidence_rule
from partlabel.selection.candidates import (
    EVIDENCE,
    FIXED,
    HEADS,
    SELF_TRAINING,
    TEXT_PRIOR,
    Rule,
    TrainingSet,
    linear_head,
)
from partlabel.selection.cross_validation import folds
from partlabel.selection.result import Selection
from partlabel.selection.search import fold_count, search
from partlabel.selection.unlabelled import search_unlabelled
from partlabel.training import caching
from partlabel.training.config import AUTO, WEIGHT_DECAY, TrainingConfig
from partlabel.training.context import asked_context
from partlabel.training.datasets import in_use, plain_images
from partlabel.training.frozen_backbone import fit_pooling_on, mean_channels
from partlabel.training.second_backbone import second_features


def heads_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the heads to compare: the given one, or all of `HEADS`."""
    return HEADS if settings["head"] is None else (settings["head"],)


def rules_of(
    settings: Mapping[str, Any], labels: Labels, informed: bool, with_tower: bool
) -> tuple[Rule, ...]:
    """Return the rules to compare: the given method, or all; those that more than images informs only then."""
    if settings["method"] != AUTO:
        return (Rule(settings["method"], settings["method_args"]),)
    found = [*FIXED, *SELF_TRAINING]
    if informed or with_tower:
        found.append(evidence_rule(labels))
    if with_tower:
        found.append(Rule(TEXT_PRIOR))
    return tuple(found)


def covariance_rank(settings: Mapping[str, Any]) -> int:
    """Return the number of pooling components that the head needs; the maximum over the searched heads."""
    if settings["method"] == AUTO:
        return max(linear_head(head).covariance_rank for head in heads_of(settings))
    kind = registry.choose(
        heads.__name__, settings["head"], heads.Head, settings["head_args"], ("channels", "classes")
    )
    return kind.covariance_rank


def start_backbone(
    body: Backbone, start: Mapping[str, Tensor] | None, image_size: int, parts: Parts, config: TrainingConfig
) -> Backbone:
    """Prepare the frozen backbone whose features are compared: its initial state, and its pooling fitted.

    Args:
        body: Backbone with its pretrained weights; changed in place.
        start: Initial state of the backbone; None for its pretrained weights.
        image_size: Side of the images in pixels.
        parts: The images that a pooling is fitted on.
        config: Training configuration.
    """
    fitted = False
    if start is not None:
        body.load_state_dict(start, strict=False)
        fitted = any(name.endswith(".basis") for name in start)
    if not fitted:
        cached = caching.if_used(body, config)
        fit_pooling_on(body, (image_size, body.preprocessing), in_use(parts), cached)
    return body.eval()


def plain_state(settings: Mapping[str, Any], model: Method) -> dict[str, Tensor]:
    """Return the state of a frozen backbone.

    Raises:
        ValueError: Part of the backbone is trained.
    """
    if settings["trainable"] != "none":
        raise ValueError(
            f"--start-from names a run with --trainable {settings['trainable']}, and the search needs a frozen "
            "backbone: name the method of that run and a --weight-decay, or leave --start-from out"
        )
    return dict(model.backbone.state_dict())


def pooled_maps(
    backbone: Backbone,
    table: LabelTable,
    settings: Mapping[str, Any],
    config: TrainingConfig,
    classes: Classes,
) -> Float[Tensor, "image channel"]:
    """Compute the pooled feature map of every image of a table."""
    head = linear_head(heads_of(settings)[0])(backbone.channels, classes)
    cached = caching.uses_cache(backbone.is_frozen, config)
    images = plain_images(backbone, (settings["image_size"], backbone.preprocessing), table, config)
    batches = loader(images, config.batch_size, workers=0 if cached else config.workers)
    found = []
    with torch.no_grad():
        for batch in track(ahead(batches), "Pooling features", len(table), "photos", config.batch_size):
            found.append(head.reduced(backbone(batch.inputs)).float())
    return torch.cat(found)


def select(
    backbone: Backbone,
    table: LabelTable,
    classes: Classes,
    settings: Mapping[str, Any],
    config: TrainingConfig,
    groups: Sequence[str] | None = None,
    beside: WordFeatures | None = None,
) -> Selection:
    """Find the settings for the training images.

    Args:
        backbone: Frozen backbone, with its pooling fitted.
        table: The training images.
        classes: Description of the classes.
        settings: Settings of the tagger.
        config: Training configuration.
        groups: Group of each training image; images of one group share a fold. None: every image is its own group.
        beside: Texts of the training images, and their logits by class names; None for neither.
    """
    labels = torch.from_numpy(np.array(table.labels))
    fold = folds(labels, min(fold_count(len(table)), _units(table, groups)), config.seed, groups)
    maps = pooled_maps(backbone, table, settings, config, classes)
    second, context = second_features(table, settings, config), asked_context(table, settings)
    plain, words = mean_channels(backbone), beside or WordFeatures()
    given = torch.from_numpy(np.array(without_rule_labels(table).labels))
    data = TrainingSet(maps, plain, labels, classes, fold, *words, second, context=context, given=given)
    if not (labels != UNKNOWN).any():
        (rule,) = (each for each in rules_of(settings, labels, True, False) if each.method == EVIDENCE)
        return search_unlabelled(data, heads_of(settings)[0], settings["head_args"], rule)
    text, named = beside or WordFeatures()
    rules = rules_of(settings, labels, text is not None or second is not None, named is not None)
    return search(data, rules, heads_of(settings), settings["head_args"])


def _units(table: LabelTable, groups: Sequence[str] | None) -> int:
    """Count the images, or groups, that are divided into folds; at least two."""
    return max(len(table) if groups is None else len(set(groups)), 2)


def take_over(model: Method, selected: Method, backbone: Backbone) -> None:
    """Copy the backbone of the search, and the fitted state of the winner, to a tagger's model."""
    own = model.backbone.state_dict()
    model.backbone.load_state_dict({k: v for k, v in backbone.state_dict().items() if k in own}, strict=False)
    state = {f"backbone.{name}": value for name, value in model.backbone.state_dict().items()}
    model.load_state_dict(state | selected.state_dict())
    model.eval()


def searches_by_steps(settings: Mapping[str, Any], config: TrainingConfig, parts: Parts) -> bool:
    """Return whether the weight decay of a method that is trained by steps is searched; warn where it is not.

    Every value requires a training: it is searched where the backbone is frozen, or its frozen part cached.
    """
    if config.weight_decay is not None:
        return False
    if config.several:
        reason = "several processes train"
    elif settings["trainable"] != "none" and config.cache != "features":
        reason = "part of the backbone is trained"
    elif parts.val is None:
        reason = "there is no validation set"
    else:
        return True
    warnings.warn(
        f"the weight decay is {WEIGHT_DECAY}, and is not searched because {reason}: give --weight-decay to set it",
        stacklevel=4,
    )
    return False
