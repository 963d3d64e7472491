"""The steps of `Tagger.fit`: checks, parts of the table, a search or a training by steps, and the run folder."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float

from partlabel.core import distributed
from partlabel.core.files import atomic_write
from partlabel.core.types import WordFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import Find, Parts, aligned, training_parts, with_val
from partlabel.methods import Method
from partlabel.nn.backbone import Backbone
from partlabel.training import (
    caching,
    hardware,
    search_checks,
    second_backbone,
    settings_search,
    weight_decay_search,
)
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import in_use, method_backbone
from partlabel.training.frozen_backbone import fit_pooling_on
from partlabel.training.recognizer import Recognizer
from partlabel.training.run_folder import Run, digest
from partlabel.training.texts import learned_words, training_texts
from partlabel.training.towers import loading, prompting, zero_shot
from partlabel.training.training_run import TrainingResult, TrainingRun, complete_search


class Fitted(NamedTuple):
    """Result of `Fitting.fit`.

    Attributes:
        result: Result of the training.
        graph: Label graph that the method was given.
    """

    result: TrainingResult
    graph: Float[np.ndarray, "class class"]


@dataclass(frozen=True)
class Fitting:
    """A tagger, and the data and configuration of its training.

    Attributes:
        tagger: Tagger to fit; changed in place.
        config: Training configuration.
        parts: Training and validation images.
        truth: Complete labels of the training images, if known.
        run: Run folder.
        find: Function that finds images that cannot be read.
        resume: Whether to resume the run, as in `Tagger.fit`.
        initial_run: Run folder whose backbone and head training begins with, if any.
        groups: Group of each image, for cross-validation.
        full_batch: Whether the full-batch solver fits the tagger, rather than training by steps.
    """

    tagger: Recognizer
    config: TrainingConfig
    parts: Parts
    truth: LabelTable | None
    run: Run
    find: Find
    resume: bool | Literal["auto"]
    initial_run: str | Path | None
    groups: Mapping[str, str] | None
    full_batch: bool

    @classmethod
    def prepare(
        cls,
        tagger: Recognizer,
        table: LabelTable,
        val: LabelTable | None,
        truth: LabelTable | None,
        run: Run,
        resume: bool | Literal["auto"],
        initial_run: str | Path | None,
        skip_broken: bool,
        groups: Sequence[str] | None,
        config: TrainingConfig,
    ) -> "Fitting":
        """Check the arguments, and divide the table; arguments and errors are those of `Tagger.fit`."""
        config.check_started(os.environ)
        hardware.check(config)
        tagger.restore_settings()
        search_checks.check(tagger.settings, config)
        full_batch = search_checks.fits_full_batch(tagger.settings, config)
        if not full_batch:
            search_checks.check_steps(tagger.settings)
        zero_shot.check(tagger.settings, config, full_batch)
        second_backbone.check(tagger.settings, config, full_batch)
        table = aligned(table, tagger.classes)
        val = None if val is None else aligned(val, tagger.classes, "the validation table")
        truth = None if truth is None else aligned(truth, tagger.classes, "the truth")
        tagger.name = f"{tagger.settings['method']}@{run.folder.resolve().name}"
        group_of = None if groups is None else dict(zip(table.images, groups, strict=True))
        tagger.cache = caching.where_of(config)
        find = _finder(tagger, config, initial_run, 1 if full_batch else None)
        share = 0.0 if full_batch else config.val
        parts = training_parts(table, val, share, config.seed, skip_broken, find, config.tower is None)
        search_checks.check_learnable(tagger.settings, parts.train)
        if full_batch and val is None:
            parts = with_val(parts)
        tagger.completion = tagger.texts = tagger.tuning = tagger.out_of_fold = tagger.selection = None
        tagger.tower = None
        tagger.lean = False
        return cls(tagger, config, parts, truth, run, find, resume, initial_run, group_of, full_batch)

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder."""
        return distributed.is_rank_zero() or not self.config.several

    def fit(self) -> Fitted:
        """Fit the tagger, and save it before later steps, which may take long or fail."""
        done = self._by_search() if self.full_batch else self._by_steps()
        self.tagger.completion, self.tagger.texts = done.result.completion, done.result.texts
        for found, path in (
            (self.tagger.completion, self.run.completion),
            (self.tagger.texts, self.run.texts),
        ):
            if self.writes and found is not None:
                found.save(path)
        if self.writes and self.tagger.tower is not None:
            self.tagger.tower.save(self.run.tower)
        return done

    def _by_search(self) -> Fitted:
        """Search the settings, and adopt the winner."""
        tagger, config = self.tagger, self.config
        search_checks.warn_of_unused(tagger.settings, config)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            backbone = self._search_backbone()
        description = self._describe()
        self._open(description)
        tower = None if config.tower is None else loading.load(config.tower, config.cache_dir)
        scores = zero_shot.training_scores(tower, self.parts.train, backbone, tagger.settings, config)
        beside = WordFeatures(training_texts(self.parts.train, config), scores)
        model, graph = self._search(backbone, beside)
        selection = tagger.selection
        assert selection is not None
        description |= tagger.description() | {
            "asked": tagger.asked,
            "selection": selection.to_dict()["winner"],
        }
        self._save(description)
        learned = learned_words(
            selection.logits, self.parts.train, beside, config, self._train_groups(), tower
        )
        result = complete_search(model, tagger.view, config, self.parts, self.run, selection, learned)
        tagger.tower = tower if learned is not None and learned.evidence.tower else None
        return Fitted(result, graph)

    def _search_backbone(self) -> Backbone:
        """Build the frozen backbone whose features the search compares."""
        tagger, state = self.tagger, None
        if self.initial_run is not None:
            other = type(tagger).load(self.initial_run)
            tagger.check_same(other, self.initial_run, ("backbone", "image_size", "pool"))
            state = settings_search.plain_state(other.settings, other.fitted_model())
        backbone = settings_search.start_backbone(
            tagger.initial_backbone(self.config.seed),
            state,
            tagger.settings["image_size"],
            self.parts,
            self.config,
        )
        tagger.view = (tagger.settings["image_size"], backbone.preprocessing)
        return backbone

    def _search(
        self, backbone: Backbone, beside: WordFeatures
    ) -> tuple[Method, Float[np.ndarray, "class class"]]:
        """Find the settings, and build the network with the winner's weights; return it and the label graph."""
        tagger, train = self.tagger, self.parts.train
        classes = describe_classes(train, tagger.settings["words"])
        found = settings_search.select(
            backbone, train, classes, tagger.settings, self.config, self._train_groups(), beside
        )
        best = found.winner
        tagger.selection = found
        tagger.change_settings(method=best.rule.method, method_args=dict(best.rule.options), head=best.head)
        tagger.name = f"{best.rule.method}@{tagger.name.rpartition('@')[2]}"
        model = tagger.model = tagger.build(classes)
        settings_search.take_over(model, found.model, backbone)
        return model, classes.graph_or_identity.numpy()

    def _train_groups(self) -> list[str] | None:
        """Return the group of each training image, if groups were given."""
        return None if self.groups is None else [self.groups[image] for image in self.parts.train.images]

    def _by_steps(self) -> Fitted:
        """Train by steps, with the weight decay that is given or found."""
        tagger, config = self.tagger, self.config
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            classes = describe_classes(self.parts.train, tagger.settings["words"])
            tower = prompting.tower_of(tagger.settings["method"], tagger.settings["image_size"], config)
            model = tagger.model = tagger.build(prompting.in_space(classes, tower))
            prompting.check_image_encoder(tower, model, tagger.settings["backbone"])
        if self.initial_run is not None:
            tagger.start_from(self.initial_run)
        description = self._describe()
        checkpoint, pooled = self._open(description), self.initial_run is not None
        if settings_search.searches_by_steps(tagger.settings, config, self.parts):
            decay = self._search_decay(model, pooled)
            config, checkpoint, pooled = config.with_options(weight_decay=decay), self.run.last, True
            description |= {"selection": {"weight_decay": decay}}
        training = TrainingRun(
            model, tagger.view, config, self.parts, self.run, self.truth, checkpoint, pooled
        )
        training.train()
        self._save(description)
        return Fitted(training.complete(), classes.graph_or_identity.numpy())

    def _search_decay(self, model: Method, pooled: bool) -> float:
        """Find the weight decay by training with a few values."""
        view, config = self.tagger.view, self.config
        if not pooled:
            cached = caching.if_used(method_backbone(model), config)
            fit_pooling_on(model.backbone, view, in_use(self.parts), cached)
        fresh = copy.deepcopy(model)
        return weight_decay_search.decay_by_steps(
            lambda: copy.deepcopy(fresh), view, config, self.parts, self.truth, self.run
        )

    def _describe(self) -> dict[str, Any]:
        """Describe the run as `config.json` does."""
        table = self.parts.table
        data = {"images": str(Path(table.root or ".").resolve()), "table": digest(table)}
        description = self.tagger.description() | {"training": self.config.to_dict(), "data": data}
        if self.initial_run is not None:
            description["started_from"] = str(self.initial_run)
        if self.tagger.recipe is not None:
            description["recipe"] = self.tagger.recipe
        return description

    def _open(self, description: Mapping[str, Any]) -> Path | None:
        """Create the run folder or open it to resume; return the checkpoint to resume from, if any."""
        if not self.writes:
            return self.run.join(self.resume)
        checkpoint = self.run.start(description, self.resume)
        self.parts.table.save(self.run.labels)
        if self.parts.skipped:
            with atomic_write(self.run.skipped) as aside:
                pl.DataFrame([broken._asdict() for broken in self.parts.skipped]).write_csv(aside)
        return checkpoint

    def _save(self, description: Mapping[str, Any]) -> None:
        if self.writes:
            self.tagger.save(self.run.folder, description)


def _finder(
    tagger: Recognizer, config: TrainingConfig, initial_run: str | Path | None, views: int | None
) -> Find:
    """Return the function that finds images that cannot be read, in the pass that caches features if there is one."""

    def backbone() -> Backbone:
        built = tagger.initial_backbone(config.seed)
        if initial_run is not None:
            state = type(tagger).load(initial_run).fitted_model().backbone.state_dict()
            built.load_state_dict(state, strict=False)
        return built

    frozen = tagger.settings["trainable"] == "none"
    return caching.finder(backbone, frozen, tagger.settings["image_size"], config, views)
