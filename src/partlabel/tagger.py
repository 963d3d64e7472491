"""The user interface: a tagger is fitted to a label table, evaluated, applied, saved and loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from partlabel.core.labels import UNKNOWN
from partlabel.core.rules import Rules
from partlabel.data.tables.closure import close, with_added
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.deploy.hub_recognizer import HubRecognizer
from partlabel.posthoc.probability_model import ProbabilityModel, Tuned
from partlabel.priors.expected import PrecisionOf
from partlabel.training.config import Cache, TrainingConfig
from partlabel.training.out_of_fold import OutOfFold
from partlabel.training.run_folder import Run, removes_failed_run

if TYPE_CHECKING:
    import polars as pl

    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.of_images import ImageSource
    from partlabel.evaluation.metrics import Evaluation
    from partlabel.priors.expected import Expected


class Tagger(HubRecognizer):
    """Multi-label image recogniser that learns from partial labels.

    Args:
        classes: Class names, in the order of every output.
        method: Training method: a name in `methods`, or a dotted path to a `Method`; `auto` finds method, head and
            weight decay by cross-validation (docs/selection.md).
        method_args: Options of the method, by name.
        head: Head, a name in `nn/heads`; None for the default of the method, or the one that `auto` finds.
        head_args: Options of the head, by name.
        backbone: Model name in timm.
        pretrained: `auto` loads ImageNet weights from an installed package for `tf_efficientnet_lite0`, and downloads
            them for other models; True always downloads; False gives random weights.
        trainable: Trained part of the backbone: its `last` stage, `none` or `all`.
        image_size: Side in pixels that images are resized to.
        pool: Side of the squares of the feature map that are averaged (2 in the code of SST's authors).
        words: Source of class vectors: `learned`, a GloVe text or npz file, or the name of an embedder.
        weights: Local weights of the backbone, a safetensors or `.pth` file with the tensors of that timm model, in
            place of `pretrained`; nothing in it is run.

    Attributes:
        settings: Settings, by the names of the arguments; after a search, with the method and head that were found.
        model: The network; None before `fit` or `load`.
        view: Image side in pixels, and the normalisation that the backbone expects.
        completion: Label completion, which predicts unknown labels from the known ones of an image; None where it does
            not help.
        tower: Tower that compares photos with class names; None where that informs no unknown labels.
        tuning: Thresholds and calibration; None before `partlabel tune`.
        out_of_fold: Logits of the training images by models that were not trained on them; None if there are none.
        lean: Whether the tagger holds only the state that prediction needs.
        selection: Result of the search of the last `fit`; None without a search.
        recipe: Recipes or files that the settings came from, for the record.
        cache: The feature cache of training, which inference uses too.
        name: Method and run, such as `sst@a`: the source of the labels that it fills in.
    """

    @removes_failed_run
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
        rules: Rules | None = None,
        config: TrainingConfig | None = None,
        **options: Any,
    ) -> "Tagger":
        """Train on the known labels of a table.

        With `method="auto"`, and for a method that can be fitted full batch and whose weight decay is not given,
        settings are found by cross-validation and no validation set is used (docs/selection.md). Other methods are
        trained by steps, with early stopping: the epoch that is best on the validation set is kept.

        Args:
            table: Label table; if it has a split, part `train` is trained on, and part `val` is the validation set.
            val: Validation set instead: a table, or a share of the training images, in [0, 1).
            truth: Ground truth of the same images and classes, which measures pseudo-labels and is not trained on.
            out: Run folder (`run_folder.py` lists its files).
            resume: Whether to continue the run in `out`; `auto` starts a new one if there is none.
            start_from: Run folder with the initial weights of backbone and head, for instance after more labels became
                known; None for pretrained weights.
            skip_broken: Whether to leave out images that cannot be read, and list them in `skipped.csv`.
            groups: Group of each image; images of one group stay together in cross-validation. None: every image is
                its own group.
            rules: Rules between classes (docs/rules.md): training uses what follows from known labels, and predictions
                obey them. The tagger's classes include those that the rules add.
            config: Training configuration; None for the defaults.
            **options: Fields of `TrainingConfig` that replace those of `config`.

        Raises:
            ValueError: Classes differ, images cannot be read, no label is known, settings are not those of the run to
                resume, or the network to start from is of another kind.
            FileExistsError: `out` holds a run, and `resume` is false.
            FloatingPointError: The loss is not finite.
            OSError: An image vanished, a worker process died, or a file cannot be written.
            KeyboardInterrupt: Ctrl-C was pressed; the message says how to resume.
        """
        from partlabel.reporting import run_outputs
        from partlabel.training.fitting import Fitting

        if isinstance(val, int | float):
            options["val"], val = float(val), None
        config, run = (config or TrainingConfig()).with_options(**options), Run(out)
        self.set_rules(rules)
        if rules:
            table = close(table, rules).table
            val = None if val is None else close(val, rules).table
            truth = None if truth is None else close(truth, rules).table
        fitting = Fitting.prepare(
            self, table, val, truth, run, resume, start_from, skip_broken, groups, config
        )
        result, graph = fitting.fit()
        if fitting.writes:
            run_outputs.write_results(self, run, fitting.parts, result, graph, fitting.find)
            self.out_of_fold = OutOfFold.of(run)
        return self

    @property
    def evidence(self) -> ProbabilityModel:
        """Label completion, calibration and thresholds, which convert logits to probabilities and labels."""
        return ProbabilityModel(self.name, self.completion, self.tuning, self.texts, self.coherence)

    def closed(self, table: "LabelTable | FilledTable") -> "FilledTable":
        """Return a table in the order of the tagger's classes, with the labels that follow from rules, if it has any.

        Raises:
            ValueError: The table's classes are not the tagger's.
        """
        from partlabel.data.tables import filled, filled_rules

        before = table if isinstance(table, filled.FilledTable) else filled.FilledTable.of(table)
        return (filled_rules.close_filled(before, self.rules) if self.rules else before).aligned(self.classes)

    def logits_unseen(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0
    ) -> Float[np.ndarray, "image class"]:
        """Compute logits as `scores` does, but out-of-fold logits for training images, where kept."""
        if self.out_of_fold is None:
            return self.scores(table, batch_size, workers)
        logits, kept = self.out_of_fold.logits_of(table)
        if not kept.all():
            logits[~kept] = self.scores(table[~kept], batch_size, workers)
        return logits

    def evaluate(
        self,
        table: LabelTable,
        batch_size: int = 64,
        workers: int = 0,
        cache: Cache | None = None,
        cache_dir: str | Path | None = None,
    ) -> "Evaluation":
        """Evaluate on the known labels of a table; the arguments are those of `scores`.

        Raises:
            ValueError: The table's classes are not the model's.
        """
        from partlabel.data.tables.splits import aligned
        from partlabel.evaluation.metrics import evaluate

        table = aligned(with_added(table, self.rules), self.classes)
        logits = self.evidence.coherent_logits(self.scores(table, batch_size, workers, cache, cache_dir))
        return evaluate(logits, table.labels, self.classes)

    def predict(
        self, source: "ImageSource", batch_size: int = 64, workers: int = 0, skip_broken: bool = False
    ) -> "pl.DataFrame":
        """Compute the probability of every class in every image, calibrated where the tagger was tuned.

        Args:
            source: A folder of images, an image, a list of images, or a table.
            batch_size: Images per batch.
            workers: DataLoader worker processes; 0 loads in the main process.
            skip_broken: Whether to leave out images that cannot be read.

        Returns:
            A row per image: its path in `image`, and a column per class.

        Raises:
            ValueError: Images cannot be read, and `skip_broken` is false; the message lists all of them.
        """
        import polars as pl

        from partlabel.data.tables.of_images import table_of
        from partlabel.training.filling import readable

        table, logits = readable(self, table_of(source, skip_broken), batch_size, workers, skip_broken)
        found = self.evidence.probability(logits)
        return pl.DataFrame({"image": table.images} | dict(zip(self.classes, found.T, strict=True)))

    def decide(
        self, source: "ImageSource", batch_size: int = 64, workers: int = 0, skip_broken: bool = False
    ) -> "FilledTable":
        """Decide every label by the tuned threshold of its class; arguments and errors are those of `predict`.

        Raises:
            ValueError: The tagger was not tuned.
        """
        from partlabel.data.tables import filled

        ends = self.evidence.thresholds("tuned", "tuned", filling=False)
        found = self.predict(source, batch_size, workers, skip_broken)
        probability = found.drop("image").to_numpy()
        blank = made_read_only(np.full(probability.shape, UNKNOWN, np.int8))
        root = source.root if isinstance(source, LabelTable) else None
        table = LabelTable(tuple(found["image"]), self.classes, blank, root=root)
        return filled.fill(table, probability, *ends, self.name)

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
        """Compute a probability for every unknown label of a table; known labels do not change.

        With rules between classes, labels that follow from known ones come first, and new labels obey the rules.
        Texts beside the photos (`table.texts`), class names that a tower compares with the photos, and known labels of
        an image are evidence where that was found to help (`text_evidence.py`, `label_completion.py`), so that
        probabilities may differ from those of `predict`.

        Args:
            table: Label table of the model's classes; labels and probabilities of a filled table are kept.
            accept: Probability from which on unknown labels become PRESENT; `tuned`: the threshold of each class.
            reject: Probability up to which unknown labels become ABSENT; `tuned`: all below the threshold.
            batch_size: Images per batch.
            workers: DataLoader worker processes; 0 loads in the main process.
            skip_broken: Whether to leave out images that cannot be read.
            precision: Expected share of the new present labels that is right, in (0, 1): as many labels become PRESENT
                as that allows, instead of by `accept`.
            precision_of: Labels that `precision` refers to: all new present labels (`overall`), or those of each class
                (`class`).

        Raises:
            ValueError: Thresholds are not 0 <= reject < accept <= 1 for a class; tuned thresholds are requested, and
                the tagger was not tuned or was tuned for F1; or an error of `predict`.
        """
        from partlabel.data.tables import filled, filled_rules
        from partlabel.training.filling import with_readable

        evidence = self.evidence
        evidence.check_filling(accept, reject, precision)
        before, logits = with_readable(self, self.closed(table), batch_size, workers, skip_broken)
        labels = before.table.labels
        blank, found = (labels == UNKNOWN).any(axis=1), np.zeros(labels.shape, np.float32)
        if blank.any():
            beside = self.beside(before.table[blank], batch_size, workers)
            some = bool((labels != UNKNOWN).any())
            found[blank] = evidence.probability_with_known(logits, labels[blank], some, beside)
        ends = evidence.ends(found, labels == UNKNOWN, accept, reject, precision, precision_of)
        after = filled.fill(before, found, *ends, self.name)
        return filled_rules.settle_labels(after, before, self.rules) if self.rules else after

    def expected_right(self, before: LabelTable, after: "FilledTable") -> "Expected":
        """Compute the expected number of correct labels among those that `fill` made, from their probabilities.

        Args:
            before: Label table before filling, which has the images of `after`.
            after: Result of `fill`.
        """
        from partlabel.data.tables.splits import aligned

        return self.evidence.expected_right(aligned(with_added(before, self.rules), self.classes), after)

    def judge(
        self, table: LabelTable, batch_size: int = 64, workers: int = 0, skip_broken: bool = False
    ) -> tuple[LabelTable, Float[np.ndarray, "image class"]]:
        """Compute the probability of every label, known or not, given the other labels of its image, as `fill` does.

        Arguments and errors are those of `predict`.

        Returns:
            The table in the order of the model's classes, without images left out; and the probabilities.
        """
        from partlabel.data.tables.splits import aligned
        from partlabel.training.filling import readable

        table = aligned(with_added(table, self.rules), self.classes)
        table, logits = readable(self, table, batch_size, workers, skip_broken)
        beside = self.beside(table, batch_size, workers)
        return table, self.evidence.probability_with_known(logits, table.labels, beside=beside)
