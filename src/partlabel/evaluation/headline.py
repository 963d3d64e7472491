"""Headline of an evaluation: one sentence with the score, the labels it was measured on, and its confidence interval.

The interval is that of `intervals.py`. Only NumPy is imported, so that any command can print a headline.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.files import atomic_write
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.evaluation.intervals import RESAMPLES, Mean, bootstrap_counts, class_scores, mean_with_interval

HeadlineKind = Literal["test", "validation", "cross-validation"]
KINDS: tuple[HeadlineKind, ...] = ("test", "validation", "cross-validation")
FEWEST = 5
"""Minimum number of known present labels of a class for its AP to count in a mean that is announced or selects."""
RULE = "treat unknown labels as absent (--method assume_negative)"
"""Recommendation where only present labels are known; measured in docs/results.md."""


@dataclass(frozen=True)
class Headline:
    """Summary of an evaluation, and of the labels it was measured on.

    Attributes:
        kind: Kind of images.
        images: Number of images.
        classes: Number of classes of the table.
        present: Number of known present labels.
        absent: Number of known absent labels.
        known: AP among known labels, mean over classes with `FEWEST` or more known present labels and a known absent
            one; None if there is no such class.
        all_known: AP among known labels, mean over all classes with a known label of each kind; None if there is none.
        others: AP of known present labels against all other images, unknown ones included, mean over classes with
            `FEWEST` or more known present labels; None if there is no such class.
        coverage: Share of the known present labels with a probability of at least one half; None if there is none.
        few: Classes with one or more, but fewer than `FEWEST`, known present labels.
        one_sided: Classes with `FEWEST` or more known present labels and no known absent one.
        empty: Classes without a known present label.
    """

    kind: HeadlineKind
    images: int
    classes: int
    present: int
    absent: int
    known: Mean | None
    all_known: Mean | None
    others: Mean | None
    coverage: float | None
    few: tuple[str, ...]
    one_sided: tuple[str, ...]
    empty: tuple[str, ...]

    @property
    def unknown(self) -> int:
        """Number of unknown labels."""
        return self.images * self.classes - self.present - self.absent

    @property
    def mean(self) -> Mean | None:
        """The mean to announce: among known labels if possible, else against all other images."""
        return self.known or self.all_known or self.others

    @property
    def basis(self) -> str:
        """Description of the labels behind the score."""
        if not self.present + self.absent:
            return f"no label is known on {_count(self.images, 'image')}"
        return (
            f"{_count(self.present + self.absent, 'known label')} ({self.present:,} present, {self.absent:,} absent) "
            f"on {_count(self.images, 'image')}"
        )

    @property
    def sentence(self) -> str:
        """The score with its interval and basis, in one sentence."""
        start = f"{self.kind.capitalize()}: "
        if self.known is not None:
            return f"{start}mAP {_with_interval(self.known)}, {self._over(self.known)}; {self.basis}"
        if self.all_known is not None:
            return (
                f"{start}mAP {_with_interval(self.all_known)}, over {_count(self.all_known.classes, 'class')} with "
                f"fewer than {FEWEST} known present labels each, too few to rely on; {self.basis}"
            )
        if self.others is not None:
            return (
                f"{start}mAP of known present labels against all other images {_with_interval(self.others)}, "
                f"{self._over(self.others)}; {self.basis}"
            )
        why = "" if not self.present + self.absent else ": too few labels of each kind to measure anything"
        return f"{start}{self.basis}{why}"

    @property
    def lines(self) -> list[str]:
        """The sentence, and the caveats that are needed to interpret it, one per line."""
        lines = [self.sentence, *self._beside(), *self._left_out()]
        if self.present and not self.absent:
            lines.append(f"Recommended where only present labels are known: {RULE}")
        return lines

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Headline":
        """Build a headline from the result of `dataclasses.asdict`, or from JSON of it."""
        means = {
            name: None if values[name] is None else Mean(**values[name])
            for name in ("known", "all_known", "others")
        }
        names = {name: tuple(values[name]) for name in ("few", "one_sided", "empty")}
        return cls(**{**values, **means, **names})

    def _over(self, mean: Mean) -> str:
        if mean.classes == self.classes:
            return f"over all {_count(self.classes, 'class')}"
        return f"over the {mean.classes} of {_count(self.classes, 'class')} with at least {FEWEST} known present labels"

    def _beside(self) -> list[str]:
        """Describe further scores that put the first one into context."""
        lines = []
        if self.known is not None:
            lines.append(f"A random ranking of the same labels has a mAP of {_percent(self.known.chance)}")
            if self.others is not None and self.unknown:
                lines.append(
                    f"Known present labels against all other images, unknown ones included: mAP "
                    f"{_with_interval(self.others)}; a random ranking has {_percent(self.others.chance)}"
                )
        elif self.all_known is None and self.others is not None:
            lines.append(
                f"A random ranking has {_percent(self.others.chance)}; the true value is higher if some of the "
                "other images contain the class without a label"
            )
        if self.coverage is not None and not self.absent:
            lines.append(
                f"{_percent(self.coverage)} of the known present labels have a probability of at least 0.5; "
                "precision cannot be measured without known absent labels"
            )
        return lines

    def _left_out(self) -> list[str]:
        """Name the classes that are left out of the announced mean, and why."""
        lines = []
        if self.few and self.known is not None and self.all_known is not None:
            also = (
                f"; including those of them that can be scored, mAP {_percent(self.all_known.value)} over "
                f"{_count(self.all_known.classes, 'class')}"
                if self.all_known.classes > self.known.classes
                else ""
            )
            lines.append(f"Left out, fewer than {FEWEST} known present labels: {some(self.few)}{also}")
        elif self.few and self.known is None and self.all_known is None and self.others is not None:
            lines.append(f"Left out, fewer than {FEWEST} known present labels: {some(self.few)}")
        if self.one_sided and self.known is not None:
            lines.append(f"Left out, no known absent label: {some(self.one_sided)}")
        if self.empty and self.present:
            lines.append(f"Left out, no known present label: {some(self.empty)}")
        return lines


def headline(
    kind: HeadlineKind,
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    classes: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Headline:
    """Measure the headline of logits against known labels.

    Args:
        kind: Kind of images.
        logits: Logit of every image and class; 0 is probability one half.
        labels: PRESENT, ABSENT or UNKNOWN.
        classes: Class names.
        resamples: Number of bootstrap samples for the interval.
        seed: Random seed of the bootstrap samples.

    Raises:
        ValueError: Shapes differ, or the logit of a known label is not finite.
    """
    if logits.shape != labels.shape or labels.shape[1:] != (len(classes),):
        raise ValueError(
            f"logits are {logits.shape}, labels {labels.shape}, and there are {len(classes)} classes"
        )
    if (bad := (labels != UNKNOWN) & ~np.isfinite(logits)).any():
        raise ValueError(
            f"{bad.sum():,} logits of known labels are not finite, in rows {some(np.flatnonzero(bad.any(1)))}: the "
            "model diverged, or an image could not be read"
        )
    present, absent = (labels == PRESENT).sum(0), (labels == ABSENT).sum(0)
    enough, scorable = present >= FEWEST, (present > 0) & (absent > 0)
    draws = bootstrap_counts(len(labels), resamples, seed)
    among_known = {
        c: class_scores(logits[:, c], labels[:, c], True, draws) for c in np.flatnonzero(scorable).tolist()
    }
    among_all = {
        c: among_known[c] if known else class_scores(logits[:, c], labels[:, c], False, draws)
        for c, known in enumerate(present + absent == len(labels))
        if enough[c] and present[c] < len(labels)
    }

    def named(chosen: Bool[np.ndarray, " class"]) -> tuple[str, ...]:
        return tuple(classes[c] for c in np.flatnonzero(chosen).tolist())

    total = int(present.sum())
    return Headline(
        kind,
        len(labels),
        len(classes),
        total,
        int(absent.sum()),
        mean_with_interval([scored for c, scored in among_known.items() if enough[c]]),
        mean_with_interval([*among_known.values()]),
        mean_with_interval([*among_all.values()]),
        float((logits[labels == PRESENT] >= 0).mean()) if total else None,
        named((present > 0) & ~enough),
        named(enough & (absent == 0)),
        named(present == 0),
    )


def save(headlines: Sequence[Headline], path: Path) -> None:
    """Write headlines as JSON, in the order of `KINDS`: test first."""
    ordered = sorted(headlines, key=lambda headline: KINDS.index(headline.kind))
    with atomic_write(path) as aside:
        text = json.dumps([asdict(headline) for headline in ordered], indent=1, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> list[Headline]:
    """Read headlines that `save` wrote; an empty list if the file does not exist."""
    if not path.exists():
        return []
    return [Headline.from_dict(values) for values in json.loads(path.read_text(encoding="utf-8"))]


def _with_interval(mean: Mean) -> str:
    return f"{_percent(mean.value)} (95 % interval {100 * mean.low:.1f} to {100 * mean.high:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(number: int, thing: str) -> str:
    plural = "classes" if thing == "class" else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"
