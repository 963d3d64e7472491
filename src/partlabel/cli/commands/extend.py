"""Command `extend`: add classes to a trained tagger."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from partlabel.cli.commands._command import command
from partlabel.cli.commands._inference import InferenceOptions
from partlabel.cli.commands._reading import RuleOptions, RunOptions, TableOptions
from partlabel.cli.parser import UsageError
from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.training.extension import ClassFit, Extension


@command("Learn", with_model=True)
def extend(
    run: Path,
    *,
    labels: Path | None = None,
    out: Path | None = None,
    classes: str | None = None,
    images: Path | None = None,
    absent: Absent | None = None,
    format: dict[str, Any],
    between: RuleOptions,
    seed: int = 0,
    inference: InferenceOptions,
) -> None:
    """Add classes to a trained tagger; the predictions of the old classes do not change by a single bit.

    Args:
        run: Run folder; it is not changed.
        labels: Label table with the new classes, of photos that the run knows or of others; required.
        out: Run folder to write; required.
        classes: New classes, separated by commas; default: all columns of the table that the run does not have.
        images: Image folder of the table; default: that of the run.
        absent: Meaning of a class that is not mentioned, for formats that list only present classes.
        format: Format of the table.
        between: Rules between the classes, old and new; those of the run are kept.
        seed: Random seed of the folds of cross-validation.
        inference: Loading of the model and of images.
    """
    from partlabel.training import extension
    from partlabel.training.changed_run import write_changed
    from partlabel.training.run_folder import Run

    if labels is None or out is None:
        raise UsageError(
            f"missing: {'--labels' if labels is None else '--out'}; partlabel extend {run} --labels more.csv --out "
            f"{run.with_name(f'{run.name}-extended')}"
        )
    if Run(out).config.exists():
        raise FileExistsError(f"{out} holds a run: give another folder (--out)")
    tagger = inference.load(run)
    own = RunOptions(run)
    before = own.own.read(missing="keep") if Run(run).labels.exists() else None
    folder = images if images is not None or before is None else before.root
    more = TableOptions(labels, folder, absent, format).read()
    found = extension.extend(
        tagger, more, _listed(classes), before, out.resolve().name, seed, between.of(labels)
    )
    write_changed(found.tagger, found.join.table, Run(out), Run(run), found.record)
    print("\n".join([*_used(found, more.classes, tagger.classes), *map(_fitted, found.fits)]))
    print(_tuned(found, out))
    print(
        f"written to {out}: {len(found.tagger.classes):,} classes, the first {len(tagger.classes):,} as in {run}"
    )


def _listed(classes: str | None) -> list[str] | None:
    """Split names at commas."""
    if classes is None:
        return None
    names = [name.strip() for name in classes.split(",") if name.strip()]
    if not names:
        raise UsageError("--classes names no class; write them as --classes sheep,goat, or leave it out")
    return names


def _used(found: "Extension", there: tuple[str, ...], old: tuple[str, ...]) -> list[str]:
    """Say what of the table is used, and what is not."""
    join, new = found.join, set(found.tagger.classes)
    lines = [
        f"learning from {len(found.train):,} training photos, {join.new_images:,} of all photos are new to the run"
    ]
    if join.old_labels or join.differing:
        text = f"labels of old classes: {join.old_labels:,} are new, kept in the table of the run and not learned from"
        if join.differing:
            text += f"; {join.differing:,} differ from those of the run, which stay"
        lines.append(text)
    if left := [name for name in there if name not in new and name not in old]:
        from partlabel.core.messages import some

        lines.append(f"columns left out: {some(left)}")
    return lines


def _fitted(fit: "ClassFit") -> str:
    """Say how some classes were fitted."""
    from partlabel.core.messages import some

    best = fit.selection.winner
    text = f"{some(fit.classes)}: {fit.selection.known:,} labels known; {best.rule} on the head {best.head}, weight "
    text += f"decay {best.weight_decay:g} by cross-validation"
    if fit.assumed:
        text += "; known labels are mostly present, so unknown ones count as absent"
    return f"{text} ({fit.selection.seconds:.1f} s)"


def _tuned(found: "Extension", out: Path) -> str:
    """Say what became of thresholds and calibration."""
    if found.tagger.tuning is None:
        return f"no thresholds: the run has none; partlabel tune {out} finds those of all classes"
    return "thresholds and calibration: those of the old classes stay, and the new classes have their own"
