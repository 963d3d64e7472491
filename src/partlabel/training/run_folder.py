"""A run's folder: its files, and when a run may be resumed.

=======================  ==========================================================================
config.json              classes, method, backbone, preprocessing, which rebuild the tagger; and the training settings
model.safetensors        weights, written as soon as training has ended
completion.safetensors   weights by which known labels of an image inform its unknown ones, where that helps
texts.safetensors        what was learned from texts beside the photos and from class names, where that helps
tower/                   the tower that compares photos with class names, where that informs unknown labels
tuning.json              thresholds and calibration, after `tune` (`tuning_result.py`)
labels.parquet           the table, with the split that was used
skipped.csv              images that were left out, and why
checkpoints/             `last.ckpt` to resume from, `best.ckpt`
history.json             metrics of each epoch; metrics.csv has them as a table, tensorboard/ as curves
selection.json           the settings that were compared, and the chosen ones, after a search
out_of_fold.safetensors  out-of-fold logits of the training images, after a search
validation.json          evaluation of the best epoch on the validation set, or of out-of-fold predictions without one
test.json                evaluation of the same model on the part `test`, where the table has one with known labels
headlines.json           the figures of one sentence for each evaluation (`headline.py`)
report.html              all results on one page
review/                  decisions of reviewers (`decisions.sqlite`), and predictions for the images they were shown
=======================  ==========================================================================
"""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from partlabel.core.files import atomic_write, read_json, write_json
from partlabel.core.messages import some
from partlabel.data.tables.label_table import LabelTable

P = ParamSpec("P")
T = TypeVar("T")


class Run:
    """The paths in a run's folder, and the functions that write them.

    Args:
        folder: Run folder; it need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.json"
        self.weights = self.folder / "model.safetensors"
        self.completion = self.folder / "completion.safetensors"
        self.texts = self.folder / "texts.safetensors"
        self.tower = self.folder / "tower"
        self.tuning = self.folder / "tuning.json"
        self.labels = self.folder / "labels.parquet"
        self.skipped = self.folder / "skipped.csv"
        self.selection = self.folder / "selection.json"
        self.out_of_fold = self.folder / "out_of_fold.safetensors"
        self.history = self.folder / "history.json"
        self.metrics = self.folder / "metrics.csv"
        self.validation = self.folder / "validation.json"
        self.test = self.folder / "test.json"
        self.headlines = self.folder / "headlines.json"
        self.report = self.folder / "report.html"
        self.review = self.folder / "review"
        self.decisions = self.review / "decisions.sqlite"
        self.last = self.folder / "checkpoints" / "last.ckpt"
        self.best = self.folder / "checkpoints" / "best.ckpt"

    def start(self, config: Mapping[str, Any], resume: bool | Literal["auto"]) -> Path | None:
        """Start or resume the run.

        Args:
            config: Content of `config.json`.
            resume: Whether to resume the run in the folder; `auto` resumes it if there is one.

        Returns:
            The checkpoint to resume from; None for a new run.

        Raises:
            FileExistsError: There is a run, and it is not to be resumed.
            FileNotFoundError: There is no run to resume.
            ValueError: The run has other settings; the message names them.
        """
        exists = self.config.exists()
        if exists and not resume:
            raise FileExistsError(
                f"{self.folder} holds a run: resume it by resume=True (--resume), or give another out (--out)"
            )
        if not exists and resume is True:
            raise FileNotFoundError(
                f"{self.folder} holds no run to resume; leave out resume (--resume) to start one"
            )
        if exists:
            self._check_same(config)
        for left in self.folder.rglob(".*.part*"):  # half-written by a run that was killed
            left.unlink()
        self.write_config(config)
        return self.last if exists and self.last.exists() else None

    def join(self, resume: bool | Literal["auto"]) -> Path | None:
        """Join a run that another process started; return the checkpoint to resume from, None for a new run."""
        return self.last if resume and self.last.exists() else None

    def _check_same(self, config: Mapping[str, Any]) -> None:
        from partlabel.training.config import HERE_ONLY

        before, now = _flat(_asked(read_json(self.config))), _flat(_asked(json.loads(json.dumps(config))))
        changed = [
            f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
            and name.rpartition(".")[2] not in {*HERE_ONLY, "partlabel"}
            and name != "name"  # the folder may have been moved
        ]
        if changed:
            raise ValueError(
                f"{self.folder} holds a run with other settings: {some(changed)}; resume with the same ones, or give "
                "another out (--out)"
            )

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json`, from which the tagger is rebuilt."""
        write_json(self.config, config)

    def table(self, images: str | Path | None = None) -> LabelTable:
        """Read the table of the run, with the split it used.

        Args:
            images: Image folder; None for that of training, which may be gone: what needs no photo goes on without it.
        """
        trained_on = read_json(self.config)["data"]["images"]
        if images is None and trained_on is not None and not Path(trained_on).is_dir():
            return replace(LabelTable.read(self.labels), root=Path(trained_on))
        return LabelTable.read(self.labels, images or trained_on, missing="keep")

    def write_history(
        self, history: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, float | int]]
    ) -> None:
        """Write the metrics so far, as JSON and as a table."""
        import polars as pl

        write_json(self.history, history)
        with atomic_write(self.metrics) as aside:
            pl.from_dicts([dict(row) for row in columns], infer_schema_length=None).write_csv(aside)


def removes_failed_run(fit: Callable[P, T]) -> Callable[P, T]:
    """Decorate a training function so that it leaves no run behind if it fails before its first step.

    Args:
        fit: Training function; its argument `out` is the run's folder, and errors of its training carry `after_step`.
    """
    signature = inspect.signature(fit)

    @wraps(fit)
    def withdrawing(*args: P.args, **options: P.kwargs) -> T:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        run = Run(bound.arguments["out"])
        before = {each.name for each in run.folder.iterdir()} if run.folder.is_dir() else None
        try:
            return fit(*args, **options)
        except Exception as error:
            from partlabel.core import distributed

            begun = getattr(error, "after_step", 0) or run.last.exists() or run.weights.exists()
            if not begun and run.config.name not in (before or ()) and distributed.is_rank_zero():
                _remove_added(run.folder, before)
            raise

    return withdrawing


def _remove_added(folder: Path, before: set[str] | None) -> None:
    """Delete what was added to a folder, and the folder itself if it is new."""
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.name in (before or ()):
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
    if before is None and folder.is_dir():
        with suppress(OSError):
            folder.rmdir()


def digest(table: LabelTable) -> str:
    """Hash images, classes, labels and parts of a table."""
    parts = json.dumps([table.images, table.classes, table.split], ensure_ascii=False)
    return blake2b(parts.encode() + table.labels.tobytes(), digest_size=8).hexdigest()


def _asked(config: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a run before a search replaced the requested settings by the chosen ones."""
    config = dict(config)
    if "asked" in config:
        config["tagger"] = config.pop("asked")
    config.pop("name", None)
    config.pop("selection", None)
    return config


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
