"""A run's folder: what is in it, and when a run may be gone on with.

config.json             all that rebuilds the tagger: classes, method, backbone, preprocessing; and how it was trained
model.safetensors       its weights, written as soon as training has ended
completion.safetensors  what known labels of an image say of its unknown ones, where that helps; looked for after that
tuning.json             thresholds and calibration, once they were looked for (`tuning.py`)
labels.parquet          the table, with the split that was used
skipped.csv             images that were left out, and why
checkpoints/            `last.ckpt` to go on from, `best.ckpt`
history.json            what was measured in each epoch; metrics.csv has the same as a table, tensorboard/ as curves
validation.json         the best epoch on validation
test.json               the evaluation of the part `test`, where the table has one with known labels
headlines.json          one sentence's worth of figures for each evaluation (`headline.py`)
report.html             all of it on a page
review/                 what people decided (`decisions.sqlite`), and what the model said of the images they were shown
======================  ==========================================================================
=======
=======================  ==========================================================================
config.json              all that rebuilds the tagger: classes, method, backbone, preprocessing; and how it was trained
model.safetensors        its weights, written as soon as training has ended
completion.safetensors   what known labels of an image say of its unknown ones, where that helps; looked for after that
tuning.json              thresholds and calibration, once they were looked for (`tuning.py`)
labels.parquet           the table, with the split that was used
skipped.csv              images that were left out, and why
checkpoints/             `last.ckpt` to go on from, `best.ckpt`
history.json             what was measured in each epoch; metrics.csv has the same as a table, tensorboard/ as curves
selection.json           the settings that were compared, and the ones chosen, where they were searched
out_of_fold.safetensors  logits of the training images by models that did not learn from them, after a search
validation.json          the best epoch on validation, or out-of-fold predictions where no validation set was used
test.json                the same model on the part `test` of the table, where that has known labels
report.html              all of it on a page
review/                  what people decided (`decisions.sqlite`), and what the model said of the images they were shown
=======================  ==========================================================================
"""

import inspect
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
    """Paths in a run's folder, and what is written there.

    Args:
        folder: It need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.json"
        self.weights = self.folder / "model.safetensors"
        self.completion = self.folder / "completion.safetensors"
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
        """Begin, or go on.

        Args:
            config: As `write_config` takes it.
            resume: Go on where the run here stopped; `auto` only if there is one.

        Returns:
            The checkpoint to go on from; None to begin.

        Raises:
            FileExistsError: There is a run, and it is not to be gone on with.
            FileNotFoundError: There is none to go on with.
            ValueError: The run there had other settings; the message names them.
        """
        exists = self.config.exists()
        if exists and not resume:
            raise FileExistsError(
                f"{self.folder} holds a run: go on with it by resume=True (--resume), or give another out (--out)"
            )
        if not exists and resume is True:
            raise FileNotFoundError(
                f"{self.folder} holds no run to go on with; leave resume (--resume) out to begin"
            )
        if exists:
            self._check_same(config)
        for left in self.folder.rglob(".*.part*"):  # of a run that was killed while it wrote
            left.unlink()
        self.write_config(config)
        return self.last if exists and self.last.exists() else None

    def join(self, resume: bool | Literal["auto"]) -> Path | None:
        """Take part in what another process started: the checkpoint to go on from, None to begin."""
        return self.last if resume and self.last.exists() else None

    def _check_same(self, config: Mapping[str, Any]) -> None:
        from partlabel.training.config import HERE_ONLY

        before, now = _flat(_asked(read_json(self.config))), _flat(_asked(json.loads(json.dumps(config))))
        changed = [
            f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
            and name.rpartition(".")[2] not in {*HERE_ONLY, "partlabel"}
            and name != "name"  # of the folder, which may have been moved
        ]
        if changed:
            raise ValueError(
                f"{self.folder} holds a run with other settings: {some(changed)}; go on with the same ones, or give "
                "another out (--out)"
            )

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what rebuilds the tagger."""
        write_json(self.config, config)

    def table(self, images: str | Path | None = None) -> LabelTable:
        """The table of the run, with the split it used.

        Args:
            images: The image folder; where it was in training if None.
        """
        return LabelTable.read(
            self.labels, images or read_json(self.config)["data"]["images"], missing="keep"
        )

    def write_history(
        self, history: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, float | int]]
    ) -> None:
        """Write what was measured so far, as JSON and as a table."""
        import polars as pl

        write_json(self.history, history)
        with atomic_write(self.metrics) as aside:
            pl.from_dicts([dict(row) for row in columns], infer_schema_length=None).write_csv(aside)


def withdraws(fit: Callable[P, T]) -> Callable[P, T]:
    """Let a function that trains leave no run behind where it fails before its first step.

    Args:
        fit: Its argument `out` names the run's folder; an error of its training says in `after_step` how far it came.
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
                _take_back(run.folder, before)
            raise

    return withdrawing


def _take_back(folder: Path, before: set[str] | None) -> None:
    """Delete what came into a folder, and the folder if it was not there before."""
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
    """A short name for exactly these images, classes, labels and parts."""
    parts = json.dumps([table.images, table.classes, table.split], ensure_ascii=False)
    return blake2b(parts.encode() + table.labels.tobytes(), digest_size=8).hexdigest()


def _asked(config: dict[str, Any]) -> dict[str, Any]:
    """The description of a run before a search of settings replaced what was asked by what was found."""
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
