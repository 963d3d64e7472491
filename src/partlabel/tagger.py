"""The door for a user's code: a tagger is fitted to a label table, evaluated, asked, saved and loaded."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int8

from partlabel import __version__, methods
from partlabel.core import distributed, errors, registry, safe_loading
from partlabel.core.files import read_tensors
from partlabel.core.fixes import Argument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.core.types import Preprocessing
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.methods import Method
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.posthoc import label_completion
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.tuning import Tuning
from partlabel.priors.expected import PrecisionOf
from partlabel.selection.candidates import linear_head
from partlabel.training.caching import Where
from partlabel.training.config import AUTO, Cache, TrainingConfig
from partlabel.training.description import read_description
from partlabel.training.out_of_fold import OutOfFold
from partlabel.training.run_folder import Run, digest, withdraws

if TYPE_CHECKING:
    import polars as pl

    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.splits import Parts
    from partlabel.evaluation.metrics import Evaluation
    from partlabel.priors.expected import Expected
    from partlabel.selection.result import Selection

Tuned = Literal["tuned"]
PREDICTION = "prediction"
"""What `config.json` says of the state, where only what prediction needs is there."""


class Tagger:
    """Tells which classes are in an image.

    Args:
        classes: Their names, in the order of every output.
        method: How to learn: a name in `methods`, or a dotted path to a `Method`; `auto` finds method, head and weight
            decay by cross-validation (docs/selection.md).
        method_args: Its options.
        head: From feature map to classes: a name in `nn/heads`; by default the method's own, or what `auto` finds.
        head_args: Its options.
        backbone: A timm model.
        pretrained: `auto` takes ImageNet weights from an installed package for `tf_efficientnet_lite0` and timm's
            download for others; True always timm's; False none.
        trainable: What of the backbone is trained: its `last` stage, `none` or `all`.
        image_size: Side in pixels that images are resized to.
        pool: Average the feature map over squares of so many places a side (the authors of SST: 2).
        words: Where class vectors come from: `learned`, a GloVe text or npz file, or an embedder's name.

    Raises:
        ValueError: There is no such method or head, or `auto` cannot search on the head.
        TypeError: It has no such option; the message names the nearest.

    Attributes:
        model: The method, once fitted or loaded.
        view: Side of the images, and what the backbone expects of them.
        completion: What known labels of an image say of its unknown ones; None where that does not help.
        tuning: Thresholds, and the calibration that `predict` and `fill` apply; None until it was looked for.
        out_of_fold: Logits of the training images by models that did not see them; None where none were kept.
        lean: Whether it holds only what prediction needs, and not what training kept besides.
        settings: The arguments that rebuild it; after a search, with the method and the head that were found.
        selection: What the search of the last `fit` found; None without one.
        recipe: The recipes or files that settings came from, for the record; None without one.
        cache: The feature cache that training left, and that scoring looks into.
        name: Method and run, as in `sst@a`: the source of the labels it fills in.
    """

    def __init__(
        self,
        classes: Sequence[str],
        method: str = AUTO,
        method_args: Mapping[str, Any] | None = None,
        head: str | None = None,
        head_args: Mapping[str, Any] | None = None,
        backbone: str = backbones.LITE0,
        pretrained: bool | Literal["auto"] = "auto",
        trainable: backbones.Trainable = "none",
        image_size: int = 224,
        pool: int = 1,
        words: str | Path | None = None,
    ) -> None:
        self.classes = tuple(classes)
        head = self._choose(method, method_args or {}, head, head_args or {})
        self.pretrained = pretrained
        self.settings: dict[str, Any] = {
            "method": method,
            "method_args": dict(method_args or {}),
            "head": head,
            "head_args": dict(head_args or {}),
            "backbone": backbone,
            "trainable": trainable,
            "image_size": image_size,
            "pool": pool,
            "words": None if words is None else str(words),
        }
        self._asked = dict(self.settings)
        self.recipe: str | None = None
        self.selection: Selection | None = None
        self.model: Method | None = None
        self.completion: Completion | None = None
        self.tuning: Tuning | None = None
        self.out_of_fold: OutOfFold | None = None
        self.lean = False
        self.view = (image_size, Preprocessing())
        self.cache = Where()
        self._word_dim: int | None = None
        self.name = f"{method}@unnamed"

    def _choose(
        self, method: str, method_args: Mapping[str, Any], head: str | None, head_args: Mapping[str, Any]
    ) -> str | None:
        """Find the classes of method and head; the name of the head, None where a search is to find one."""
        if method == AUTO:
            for options, what in ((method_args, "method"), ({} if head else head_args, "head")):
                if options:
                    raise TypeError(
                        f"the {what} is searched, and has no option {next(iter(options))!r}: name the {what}"
                    )
            if head is None:
                return None
            linear_head(head)
        else:
            self._method = registry.choose(
                methods.__name__, method, Method, method_args, ("backbone", "head")
            )
            head = head or self._method.default_head
        self._head = registry.choose(heads.__name__, head, heads.Head, head_args, ("channels", "classes"))
        return head

    @withdraws
    def fit(
        self,
        table: LabelTable,
        *,
        val: LabelTable | float | None = None,
        truth: LabelTable | None = None,
        out: str | Path = "runs/a",
        resume: bool | Literal["auto"] = False,
        start_from: str | Path | None = None,
        skip_broken: bool = False,
        groups: Sequence[str] | None = None,
        config: TrainingConfig | None = None,
        **options: Any,
    ) -> "Tagger":
        """Train on the known labels of a table, from the start.

        With `method="auto"`, and for a method that can be fitted full batch and whose weight decay is not given,
        settings are found by cross-validation and no image is set apart (docs/selection.md). Other methods are trained
        by steps, and keep the epoch that is best on validation.

        Args:
            table: If it has a split, its part `train` is trained on and its part `val`, if any, chooses the epoch.
            val: Chooses the epoch instead: a table, or a share of the training images.
            truth: The same images and classes with all labels known: measures pseudo-labels, never trains.
            out: The run's folder (`run.py` says what is in it).
            resume: Go on where the run in `out` stopped; `auto` starts anew if there is none.
            start_from: A run whose backbone and head are begun with, as after more labels became known. What a method
                remembers (images, features, judgements) begins empty.
            skip_broken: Leave images out that cannot be read, and list them in `skipped.csv`.
            groups: A name per image of the table; in cross-validation, images of one group stay together.
            config: How to train.
            **options: Fields of `TrainingConfig`, changed in `config`.

        Raises:
            ValueError: Classes differ, images cannot be read, nothing is known, settings are not those of the run, or
                what is begun with is another kind of network.
            FileExistsError: `out` holds a run, which is not to be gone on with.
            FloatingPointError: A loss is not finite.
            OSError: An image vanished, a process that reads images died, or a file cannot be written.
            KeyboardInterrupt: By Ctrl-C; the message says how to go on.
        """
        from partlabel.data.tables.splits import aligned, training_parts, with_val
        from partlabel.training import caching, hardware, pipeline, settings_search

        if isinstance(val, int | float):
            options["val"] = float(val)
            val = None
        config = (config or TrainingConfig()).with_options(**options)
        config.check_started(os.environ)
        hardware.check(config)
        self._restart()
        settings_search.check(self.settings, config)
        full_batch = settings_search.fits_full_batch(self.settings, config)
        table = aligned(table, self.classes)
        val = None if val is None else aligned(val, self.classes, "the validation table")
        truth = None if truth is None else aligned(truth, self.classes, "the truth")
        run = Run(out)
        self.name = f"{self.settings['method']}@{run.folder.resolve().name}"
        group_of = None if groups is None else dict(zip(table.images, groups, strict=True))
        self.cache = caching.where_of(config)
        find = caching.finder(self, config, start_from, 1 if full_batch else None)
        parts = training_parts(table, val, 0.0 if full_batch else config.val, config.seed, skip_broken, find)
        self.completion, self.tuning, self.out_of_fold, self.lean = None, None, None, False
        if full_batch:
            settings_search.warn_of_unused(self.settings, config)
            parts = parts if val is not None else with_val(parts)
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                backbone = self._search_on(parts, start_from, config)
        else:
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                self.model, graph = self._start(parts)
            if start_from is not None:
                self._begin_with(start_from)
        about = {"images": str(Path(table.root or ".").resolve()), "table": digest(parts.table)}
        description = self._description() | {"training": config.to_dict(), "data": about}
        if start_from is not None:
            description["started_from"] = str(start_from)
        if self.recipe is not None:
            description["recipe"] = self.recipe
        writes = distributed.is_rank_zero() or not config.several
        checkpoint = run.start(description, resume) if writes else run.join(resume)
        if writes:
            pipeline.write_parts(run, parts)

        def keep() -> None:
            if writes:
                self.save(run.folder, description)

        if full_batch:
            inside = None if group_of is None else [group_of[image] for image in parts.train.images]
            graph = self._find_settings(backbone, parts, config, inside)
            assert self.selection is not None and self.model is not None
            description |= self._description() | {
                "asked": self._asked,
                "selection": self.selection.to_dict()["winner"],
            }
            outcome = pipeline.without_steps(
                self.model, self.view, config, parts, run, self.selection, trained=keep
            )
        else:
            assert self.model is not None
            pooled = start_from is not None
            if settings_search.searches_by_steps(self.settings, config, parts):
                if not pooled:
                    pipeline.fit_pooling_on(
                        self.model.backbone,
                        self.view,
                        pipeline.in_use(parts),
                        caching.if_used(self.model, config),
                    )
                pooled = True
                fresh = copy.deepcopy(self.model)
                decay = settings_search.decay_by_steps(
                    lambda: copy.deepcopy(fresh), self.view, config, parts, truth, run
                )
                config = config.with_options(weight_decay=decay)
                checkpoint = run.last
                description |= {"selection": {"weight_decay": decay}}
            assert self.model is not None
            outcome = pipeline.train(
                self.model, self.view, config, parts, truth, run, checkpoint, pooled, trained=keep
            )
        self.completion = outcome.completion
        if writes:
            if self.completion is not None:
                self.completion.save(run.completion)
            pipeline.write_results(self, run, parts, outcome, graph, find)
            self.out_of_fold = OutOfFold.of(run)
        return self

    def scores(
        self,
        table: LabelTable,
        batch_size: int = 64,
        workers: int = 0,
        cache: Cache | None = None,
        cache_dir: str | Path | None = None,
    ) -> Float[np.ndarray, "image class"]:
        """Logits of every image of a table.

        Args:
            table: With a root; its labels do not matter.
            batch_size: Images at a time.
            workers: Processes that read images.
            cache: `features` keeps what the frozen part of the backbone makes of the images; `none` decodes all of
                them; by default those are decoded that training, or a call with `features`, did not leave in the cache.
            cache_dir: Where caches are.

        Raises:
            OSError: An image cannot be read.
        """
        from partlabel.training.pipeline import scores

        where = Where(cache != "none" and self.cache.used, cache_dir or self.cache.folder)
        return scores(self._fitted(), self.view, table, batch_size, workers, cache == "features", where)

    def logits_unseen(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Logits of every image of a table; of training images those of models that did not see them, where kept.

        Args:
            table: With a root.
            batch_size: Images at a time.
            workers: Processes that read images.

        Raises:
            OSError: An image cannot be read.
        """
        found = np.zeros((len(table), len(self.classes)), np.float32)
        rows = np.full(len(table), -1) if self.out_of_fold is None else self.out_of_fold.rows(table)
        if self.out_of_fold is not None:
            found[rows >= 0] = self.out_of_fold.logits[rows[rows >= 0]]
        if (rows < 0).any():
            found[rows < 0] = self.scores(table[rows < 0], batch_size, workers)
        return found

    def evaluate(
        self,
        table: LabelTable,
        batch_size: int = 64,
        workers: int = 0,
        cache: Cache | None = None,
        cache_dir: str | Path | None = None,
    ) -> "Evaluation":
        """Scores against the known labels of a table; arguments as `scores`.

        Raises:
            ValueError: The table's classes are not the model's.
        """
        from partlabel.data.tables.splits import aligned
        from partlabel.evaluation.metrics import evaluate

        table = aligned(table, self.classes)
        return evaluate(self.scores(table, batch_size, workers, cache, cache_dir), table.labels, self.classes)

    def predict(
        self,
        source: LabelTable | str | Path | Sequence[str | Path],
        batch_size: int = 64,
        workers: int = 0,
        skip_broken: bool = False,
    ) -> "pl.DataFrame":
        """The probability of every class in every image, calibrated where the tagger was tuned (`tuning.py`).

        Args:
            source: A folder of images, an image, a list of images, or a table.
            batch_size: Images at a time.
            workers: Processes that read images.
            skip_broken: Leave out images that cannot be read.

        Returns:
            A row per image: its path in `image`, and a column per class.

        Raises:
            ValueError: Images cannot be read, and are not to be left out: all are listed.
        """
        import polars as pl

        table, logits = self._scored(table_of(source, skip_broken), batch_size, workers, skip_broken)
        found = probability(logits if self.tuning is None else self.tuning.logits(logits))
        columns = {name: found[:, number] for number, name in enumerate(self.classes)}
        return pl.DataFrame({"image": table.images} | columns)

    def decide(
        self,
        source: LabelTable | str | Path | Sequence[str | Path],
        batch_size: int = 64,
        workers: int = 0,
        skip_broken: bool = False,
    ) -> "FilledTable":
        """What `predict` says, decided: present from each class's tuned threshold on, and absent below.

        Args:
            source: As `predict`; what a table knows does not matter.
            batch_size: Images at a time.
            workers: Processes that read images.
            skip_broken: Leave out images that cannot be read.

        Raises:
            ValueError: The tagger was not tuned, or as `predict`.
        """
        from partlabel.data.tables import filled

        ends = self._ends("tuned", "tuned", voted=False)
        found = self.predict(source, batch_size, workers, skip_broken)
        probability = found.drop("image").to_numpy()
        blank = made_read_only(np.full(probability.shape, UNKNOWN, np.int8))
        root = source.root if isinstance(source, LabelTable) else None
        table = LabelTable(tuple(found["image"]), self.classes, blank, root=root)
        return filled.fill(table, probability, *ends, self.name)

    def tuned(self) -> Tuning:
        """What `partlabel tune` found.

        Raises:
            ValueError: It was not asked to look.
        """
        if self.tuning is None:
            raise ValueError(
                f"{self.name} has no thresholds of its own: run partlabel tune RUN first, or give a probability"
            )
        return self.tuning

    def refuse_to_fill_by(
        self, accept: float | Tuned | None, reject: float | Tuned | None, precision: float | None = None
    ) -> None:
        """See that thresholds are fit for filling.

        Raises:
            ValueError: The tagger was not tuned and is to go by that, its thresholds are those of the largest F1, or
                both `accept` and `precision` are given.
        """
        if precision is not None:
            if accept is not None:
                raise ValueError(
                    "accept (--accept) and precision (--precision) both say which labels become present; give one"
                )
            if self.tuning is None or self.tuning.correction is None:
                raise ValueError(
                    f"precision (--precision) needs calibrated probabilities, and {self.name} has none: run partlabel "
                    "tune RUN first, or give a calibration set (--calibration FILE) or the mean number of present "
                    "classes per image (--prevalence NUMBER)"
                )
        for name, given in (("accept", accept), ("reject", reject)):
            if given == "tuned" and self.tuned().aim == "f1":
                raise ValueError(
                    f"--{name} tuned: the thresholds of {self.name} are those of the largest F1, at which many labels "
                    "are wrong, and are not for filling; fill at a stated precision instead (--precision 0.95), or "
                    "tune for one (partlabel tune RUN --aim precision --at 0.95)"
                )

    def _ends(
        self, accept: float | Tuned | None, reject: float | Tuned | None, voted: bool
    ) -> tuple[float | list[float] | None, float | list[float] | None]:
        """From which probability on and up to which one labels are made."""
        if "tuned" not in (accept, reject):
            return accept, reject  # type: ignore[return-value]
        tuning = self.tuned()
        cuts = (
            tuning.thresholds_filling
            if voted and self._votes and tuning.thresholds_filling
            else tuning.thresholds
        )
        found = np.array(cuts, np.float32)
        below = np.nextafter(found, np.float32(0))
        return (
            found.tolist() if accept == "tuned" else accept,
            below.tolist() if reject == "tuned" else reject,
        )

    def fill(
        self,
        table: "LabelTable | FilledTable",
        accept: float | Tuned | None = None,
        reject: float | Tuned | None = None,
        batch_size: int = 64,
        workers: int = 0,
        skip_broken: bool = False,
        precision: float | None = None,
        precision_of: PrecisionOf = "overall",
    ) -> "FilledTable":
        """The table with a probability for every unknown label; known labels stay untouched.

        The known labels of an image vote for its unknown ones, where that was found to help (`completion.py`): what is
        filled in may differ from what `predict` says of the image alone. Where the tagger was tuned (`tuning.py`), the
        probabilities are calibrated.

        Args:
            table: Of the model's classes; of one that was filled before, what was said and how probable it was stays.
            accept: Unknown labels from this probability on become PRESENT; `tuned`: from their class's threshold on.
            reject: Unknown labels up to this probability become ABSENT; `tuned`: below their class's threshold.
            batch_size: Images at a time.
            workers: Processes that read images.
            skip_broken: Leave out images that cannot be read.
            precision: Expected share of the new present labels that is right; as many labels become PRESENT as that
                allows, instead of by `accept`.
            precision_of: Whether that is of all new present labels (`overall`), or of those of each class (`class`).

        Raises:
            ValueError: Thresholds are not 0 <= reject < accept <= 1 for a class, the tagger was not tuned and is to
                go by that, or was tuned for F1, which is no way to fill; or as `predict`.
        """
        from partlabel.data.images.dataset import find_broken, skip
        from partlabel.data.tables import filled
        from partlabel.priors import expected

        self.refuse_to_fill_by(accept, reject, precision)
        before = table if isinstance(table, filled.FilledTable) else filled.FilledTable.of(table)
        before = before.aligned(self.classes)
        table = before.table
        blank = (table.labels == UNKNOWN).any(axis=1)
        if blank.any():
            rows, logits = self._readable(table[blank], batch_size, workers, skip_broken)
            kept = ~blank
            kept[np.flatnonzero(blank)[rows]] = True
            if not kept.any():
                skip(table, find_broken(table))
            before, blank = before[kept], blank[kept]
        labels = before.table.labels
        found = np.zeros(labels.shape, np.float32)
        if blank.any():
            found[blank] = self._voted(logits, labels[blank], bool((labels != UNKNOWN).any()))
        unknown = labels == UNKNOWN
        if precision is not None:
            _, below = self._ends(None, reject, True)
            correction = self.tuned().correction
            from_ = expected.accepted(found, unknown, precision, precision_of, correction)
            return filled.fill(before, found, from_.tolist(), below, self.name)
        return filled.fill(before, found, *self._ends(accept, reject, True), self.name)

    def expected_right(self, before: LabelTable, after: "FilledTable") -> "Expected":
        """How many of the labels that `fill` made are right, by the probabilities that it gave them.

        Args:
            before: What was known, with the images of `after` among its own.
            after: What `fill` returned.
        """
        from partlabel.data.tables.splits import aligned
        from partlabel.priors import expected

        before = aligned(before, self.classes)
        row = {image: number for number, image in enumerate(before.images)}
        unknown = before.labels[[row[image] for image in after.table.images]] == UNKNOWN
        labels = after.table.labels
        correction = None if self.tuning is None else self.tuning.correction
        return expected.expected_right(
            after.probability, unknown & (labels == PRESENT), unknown & (labels == ABSENT), correction
        )

    def judge(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0, skip_broken: bool = False
    ) -> tuple[LabelTable, Float[np.ndarray, "image class"]]:
        """The probability of every label of a table, known or not, as `fill` has it: the image's other labels vote.

        Args:
            table: Of the model's classes.
            batch_size: Images at a time.
            workers: Processes that read images.
            skip_broken: Leave out images that cannot be read.

        Returns:
            The table in the order of the model's classes, without images left out; and the probabilities.
        """
        from partlabel.data.tables.splits import aligned

        table, logits = self._scored(aligned(table, self.classes), batch_size, workers, skip_broken)
        return table, self._voted(logits, table.labels)

    def to(self, device: str | torch.device) -> "Tagger":
        """Move the model, as to `cuda`."""
        self._fitted().to(device)
        return self

    def save(self, folder: str | Path, description: Mapping[str, Any] | None = None) -> Path:
        """Write all that the tagger is, `config.json` and `model.safetensors` first of all; `load` gives it back.

        Args:
            folder: Where.
            description: What `config.json` says; by default what rebuilds the tagger.
        """
        from safetensors.torch import save_file

        from partlabel.core.files import atomic_write

        run = Run(folder)
        state = {
            name: value.cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self._state().items()
        }
        run.write_config(description or self._description())
        for found, path in ((self.completion, run.completion), (self.tuning, run.tuning)):
            if found is not None:
                found.save(path)
            else:
                path.unlink(missing_ok=True)  # of a model that was here before
        with atomic_write(run.weights) as aside:
            save_file(state, aside)
        return run.folder

    def save_pretrained(
        self, folder: str | Path, with_training_state: bool = False, run: str | Path | None = None
    ) -> Path:
        """Write a folder in the shape of a model on the Hugging Face hub, with a card; `from_pretrained` reads it.

        Args:
            folder: Where; it need not exist.
            with_training_state: Keep what prediction does not need, such as SST's memory and pair head.
            run: The folder of the run that the tagger comes from, which the card tells of.

        Raises:
            ValueError: The tagger knows nothing yet, or without the training state it says something else.
        """
        from partlabel.deploy import hub

        return hub.save_folder(self, folder, with_training_state, run)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        with_training_state: bool = False,
        run: str | Path | None = None,
        **options: Any,
    ) -> str:
        """Upload the folder of `save_pretrained` to a repository on the Hugging Face hub.

        A model card that is in the repository already is kept, because its licence was filled in by hand, unless
        `replace_card` is given. Files of an earlier model are deleted in the same commit.

        Args:
            repo_id: Repository, `owner/name`; created if it does not exist.
            with_training_state: As `save_pretrained`.
            run: As `save_pretrained`.
            **options: `revision`, `private`, `replace_card`, `create_pr`, `commit_message`, `token`; as `hub.push`.

        Returns:
            The address of the commit or of the pull request.

        Raises:
            ValueError: As `save_pretrained`, or `repo_id` is not the name of a repository.
            OSError: The hub cannot be reached or refuses the upload.
        """
        from tempfile import TemporaryDirectory

        from partlabel.deploy import hub

        with TemporaryDirectory(prefix="partlabel-") as folder:
            return hub.push(hub.save_folder(self, folder, with_training_state, run), repo_id, **options)

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> "Tagger":
        """The tagger in a folder, or else in a repository on the Hugging Face hub.

        Args:
            name: A folder that `save_pretrained`, `save` or a run left, or a repository, `owner/name`.
            **options: As `huggingface_hub.snapshot_download`: `revision`, `token`, `cache_dir`, `local_files_only`.

        Raises:
            OSError: There is no such folder and no such repository, or it cannot be reached.
            ValueError: As `load`.
        """
        from partlabel.deploy import hub

        return cls.load(hub.fetch(name, **options))

    @classmethod
    def load(cls, folder: str | Path, trust: bool = False) -> "Tagger":
        """The tagger that `save`, or a run, left in a folder.

        Nothing is unpickled, no network is asked, and no code is run but that of installed packages.

        Args:
            folder: Of the model.
            trust: Import its method and head also from the working directory and from the folder itself, and take a
                backbone that timm has from elsewhere (`hf-hub:owner/name`).

        Raises:
            FileNotFoundError: There is none; the message says whether its run has not ended.
            ValueError: A file is damaged, its weights are not those of its description, its votes or its tuning are of
                other classes; or it is not trusted, and its method or head is in no installed package, or its backbone
                is no plain name of timm's.
        """
        from safetensors.torch import load_file

        run = Run(folder)
        if not run.config.exists():
            raise FileNotFoundError(f"{run.folder} holds no tagger: there is no config.json")
        if not run.weights.exists():
            raise FileNotFoundError(f"the run in {run.folder} has not ended: go on with it by --resume")
        state = read_tensors(
            run.weights, load_file, "copy it again from where the model came from, or train again"
        )
        description = read_description(run.config, cls)
        named = [description["tagger"].get(name) for name in ("method", "method_args", "head", "head_args")]
        if trust:
            safe_loading.import_typed(named, [Path.cwd(), run.folder])
        else:
            safe_loading.refuse_uninstalled(run.config, named, [Path.cwd(), run.folder])
            backbones.refuse_elsewhere(run.config, description["tagger"].get("backbone"))
        with errors.naming(run.config, "no tagger can be made of it"):
            try:
                tagger = cls._restored(description, state)
            except RuntimeError as error:
                raise ValueError(
                    f"{run.weights} does not fit {run.config}: {errors.on_one_line(error)}"
                ) from error
        tagger.cache = cache_of(description.get("training"), trust)
        if run.completion.exists():
            tagger.completion = Completion.load(run.completion)
            if tagger.completion.votes.shape != (len(tagger.classes), len(tagger.classes)):
                raise ValueError(
                    f"{run.completion} is of other classes than {run.config}; {label_completion.MEND}"
                )
        if run.tuning.exists():
            tagger.tuning = Tuning.load(run.tuning)
            if tagger.tuning.classes != tagger.classes:
                raise ValueError(
                    f"{run.tuning} is of other classes than {run.config}: run partlabel tune again"
                )
        tagger.out_of_fold = OutOfFold.of(run)
        return tagger

    def for_prediction(self) -> "Tagger":
        """A copy on the CPU with nothing but what prediction needs: without the state that only training has.

        Raises:
            ValueError: It says something else than the tagger: the method keeps too little in `predicts_with`.
        """
        model = self._fitted()
        state = {name: value.cpu() for name, value in model.state_dict().items() if _is_of(name, model)}
        copy = Tagger._restored(self._description() | {"state": PREDICTION}, state)
        copy.completion, copy.tuning = self.completion, self.tuning
        size, device = self.view[0], next(model.parameters()).device
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            before, after = model(images.to(device)).cpu(), copy._fitted()(images)
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"without what only training needs, {type(model).__name__} says something else; its `predicts_with` "
                "has to name all that prediction needs"
            )
        return copy

    @classmethod
    def _restored(cls, description: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> "Tagger":
        """The tagger of a description and weights.

        Raises:
            RuntimeError: They do not fit.
        """
        tagger = cls(description["classes"], **description["tagger"], pretrained=False)
        word_dim = description["word_dim"]
        vectors = None if word_dim is None else torch.zeros(len(tagger.classes), word_dim)
        model = tagger._build(Classes(tagger.classes, vectors))
        tagger.lean = description.get("state") == PREDICTION
        left_out = {}
        if tagger.lean:  # which then is as it was before training
            left_out = {name: value for name, value in model.state_dict().items() if not _is_of(name, model)}
        model.load_state_dict({**left_out, **state})
        if lacking := [name for name in model.state_dict() if _is_of(name, model) and name not in state]:
            raise RuntimeError(f"it lacks {some(lacking)}")
        tagger.model, tagger.name = model.eval(), description["name"]
        return tagger

    @property
    def covariance_rank(self) -> int:
        """Components of the pooling that the head wants, or one of those that are searched; 0 for none."""
        from partlabel.training import settings_search

        return settings_search.covariance_rank(self.settings)

    def _start(self, parts: "Parts") -> tuple[Method, np.ndarray]:
        """The method before training, and the label graph it was given."""
        from partlabel.training.pipeline import describe_classes

        classes = describe_classes(parts.train, self.settings["words"])
        return self._build(classes), classes.graph_or_identity.numpy()

    def _restart(self) -> None:
        """Forget what an earlier search found."""
        self.settings, self.selection = dict(self._asked), None

    def _search_on(
        self, parts: "Parts", start_from: str | Path | None, config: TrainingConfig
    ) -> backbones.Backbone:
        """The frozen backbone whose features a search compares."""
        from partlabel.training import settings_search

        start = None if start_from is None else self._same_backbone(start_from)
        backbone = settings_search.search_backbone(self.settings, self.pretrained, start, parts, config)
        self.view = (self.settings["image_size"], backbone.preprocessing)
        return backbone

    def _find_settings(
        self,
        backbone: backbones.Backbone,
        parts: "Parts",
        config: TrainingConfig,
        groups: Sequence[str] | None,
    ) -> np.ndarray:
        """Search, and take over the winner; the label graph."""
        from partlabel.training import settings_search
        from partlabel.training.pipeline import describe_classes

        classes = describe_classes(parts.train, self.settings["words"])
        self.selection = settings_search.select(backbone, parts.train, classes, self.settings, config, groups)
        best = self.selection.winner
        self.settings |= {
            "method": best.rule.method,
            "method_args": dict(best.rule.options),
            "head": best.head,
        }
        self._choose(*(self.settings[name] for name in ("method", "method_args", "head", "head_args")))
        self.name = f"{best.rule.method}@{self.name.rpartition('@')[2]}"
        self.model = self._build(classes)
        settings_search.take_over(self.model, self.selection.model, backbone)
        return classes.graph_or_identity.numpy()

    def _same_backbone(self, folder: str | Path) -> "Tagger":
        """Another run, seen to have the same backbone and classes."""
        other = Tagger.load(folder)
        self._check_same(other, folder, ("backbone", "image_size", "pool"))
        return other

    def _begin_with(self, folder: str | Path) -> None:
        """Take backbone and head of another run, which must be of the same kind."""
        other = Tagger.load(folder)
        same = ("head", "head_args", "backbone", "trainable", "image_size", "pool", "words")
        self._check_same(other, folder, same)
        ours, theirs = self._fitted(), other._fitted()
        ours.backbone.load_state_dict(theirs.backbone.state_dict())
        ours.head.load_state_dict(theirs.head.state_dict())

    def _check_same(self, other: "Tagger", folder: str | Path, names: Sequence[str]) -> None:
        """See that what is begun with has the same settings."""
        differing = [
            f"{name} is {self.settings[name]!r} and was {other.settings[name]!r}"
            for name in names
            if self.settings[name] != other.settings[name]
        ]
        if self.classes != other.classes:
            differing.append("the classes are others, or in another order")
        if differing:
            raise ValueError(f"cannot start from {folder}: {'; '.join(differing)}")

    def _build(self, classes: Classes) -> Method:
        known = self.settings
        body = backbones.create(
            known["backbone"], self.pretrained, known["trainable"], known["image_size"], known["pool"],
            self._head.covariance_rank,
        )  # fmt: skip
        self.view = (known["image_size"], body.preprocessing)
        self._word_dim = None if classes.vectors is None else classes.vectors.shape[1]
        return self._method(
            body, self._head(body.channels, classes, **known["head_args"]), **known["method_args"]
        )

    def _state(self) -> dict[str, torch.Tensor]:
        """What is saved of the model."""
        model = self._fitted()
        return {
            name: value for name, value in model.state_dict().items() if not self.lean or _is_of(name, model)
        }

    def _description(self) -> dict[str, Any]:
        size, preprocessing = self.view
        state = {"state": PREDICTION} if self.lean else {}
        return state | {
            "partlabel": __version__,
            "name": self.name,
            "classes": list(self.classes),
            "tagger": self.settings,
            "pretrained": self.pretrained,
            "word_dim": self._word_dim,
            "preprocessing": {"resize": [size, size], "interpolation": "bicubic", **preprocessing._asdict()},
        }

    def _scored(
        self, table: LabelTable, batch_size: int, workers: int, skip_broken: bool
    ) -> tuple[LabelTable, Float[np.ndarray, "image class"]]:
        """The images of a table that can be read, and their logits."""
        from partlabel.data.images.dataset import find_broken, skip
        from partlabel.training.pipeline import scored_readable

        rows, logits = scored_readable(
            self._fitted(), self.view, table, batch_size, workers, skip_broken, self.cache
        )
        if len(rows) < len(table):
            table = table[rows] if len(rows) else skip(table, find_broken(table))
        return table, logits

    @property
    def _votes(self) -> bool:
        """Whether unknown labels have a calibration of their own: known ones vote, or were no fair sample."""
        return self.completion is not None or (self.tuning is not None and not self.tuning.fair)

    def _voted(
        self,
        logits: Float[np.ndarray, "image class"],
        labels: Int8[np.ndarray, "image class"],
        some_known: bool = True,
    ) -> Float[np.ndarray, "image class"]:
        """Calibrated probabilities after the vote of each image's known labels, of which none votes for itself.

        Where nothing at all is known of a table, its labels are those of random images.
        """
        if self.completion is not None:
            logits = self.completion.logits(logits, labels)
        if self.tuning is not None:
            filling = self._votes and (some_known or self.tuning.fair)
            logits = self.tuning.logits_filling(logits) if filling else self.tuning.logits(logits)
        return probability(logits)

    def _readable(
        self, table: LabelTable, batch_size: int, workers: int, skip_broken: bool
    ) -> tuple[np.ndarray, Float[np.ndarray, "image class"]]:
        """Rows of the images that can be read, and their logits; of training images as `logits_unseen`."""
        from partlabel.training.pipeline import scored_readable

        if self.out_of_fold is None:
            return scored_readable(
                self._fitted(), self.view, table, batch_size, workers, skip_broken, self.cache
            )
        kept = self.out_of_fold.rows(table)
        logits, readable = np.zeros((len(table), len(self.classes)), np.float32), kept >= 0
        logits[readable] = self.out_of_fold.logits[kept[readable]]
        others = np.flatnonzero(~readable)
        if len(others):
            rows, found = scored_readable(
                self._fitted(), self.view, table[others], batch_size, workers, skip_broken, self.cache
            )
            logits[others[rows]], readable[others[rows]] = found, True
        return np.flatnonzero(readable), logits[readable]

    def _fitted(self) -> Method:
        if self.model is None:
            raise ValueError("this tagger knows nothing yet: fit it, or take one by Tagger.load(folder)")
        return self.model


def cache_of(training: object, trust: bool) -> Where:
    """Return where a loaded tagger looks for cached features.

    Args:
        training: The key `training` of `config.json`, which may be anything.
        trust: Whether to look in the folder that it names; otherwise in the user's own cache folder alone.
    """
    if not isinstance(training, dict):
        return Where()
    folder = training.get("cache_dir") if trust else None
    return Where(training.get("cache") != "none", folder if isinstance(folder, str) else None)


def _is_of(name: str, model: Method) -> bool:
    """Whether prediction needs a parameter or buffer."""
    return any(name == part or name.startswith(f"{part}.") for part in model.predicts_with())


def probability(logits: Float[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
    """The sigmoid."""
    return torch.from_numpy(logits).sigmoid().numpy()


def table_of(source: LabelTable | str | Path | Sequence[str | Path], skip_broken: bool = False) -> LabelTable:
    """A table without classes of a folder's images, of one, or of several; a table is itself."""
    if isinstance(source, LabelTable):
        return source
    if isinstance(source, str | Path):
        if Path(source).is_dir():
            from partlabel.data.images.listing import images_in

            listed = images_in(Path(source), (), skip_broken, Argument("skip_broken", True))
            return LabelTable(tuple(listed), (), np.zeros((len(listed), 0), np.int8), root=Path(source))
        source = [source]
    paths = [os.path.abspath(path) for path in source]
    root = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    images = tuple(Path(path).relative_to(root).as_posix() for path in paths)
    return LabelTable(images, (), np.zeros((len(images), 0), np.int8), root=root)
