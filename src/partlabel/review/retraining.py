"""The model of a review fitted again beside it after a number of decisions, in a thread of its own.

A fit takes the labels that are known at its start; answers that arrive meanwhile stay, and count towards the next fit.
What it gained is measured by cross-validation: the model before and the model after predict every known label without
the labels of that photo, in the same folds. A model with a higher cross-entropy and a lower mAP is not adopted.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.evaluation import metrics
from partlabel.review.refitting import Refitting
from partlabel.review.session import Session


class Fidelity(NamedTuple):
    """How well known labels are predicted.

    Attributes:
        cross_entropy: Mean cross-entropy of the known labels, in nats.
        map: mAP, in [0, 1]; NaN where no class has a known label of either kind.
    """

    cross_entropy: float
    map: float

    @classmethod
    def of(cls, logits: Float[np.ndarray, "row class"], labels: Int8[np.ndarray, "row class"]) -> "Fidelity":
        """Measure log-odds against known labels."""
        known = labels != UNKNOWN
        sign = np.where(labels == PRESENT, -1.0, 1.0)[known]
        names = [str(column) for column in range(labels.shape[1])]
        return cls(
            float(np.logaddexp(0, sign * logits[known]).mean()), metrics.evaluate(logits, labels, names).map
        )


class Retraining:
    """Fits of a review's model, one at a time; the session counts decisions.

    Args:
        session: Review session, which adopts the models.
        refitting: What a fit needs besides labels.
        every: Number of decisions between two fits.
        clock: Function that returns the time, for the page.
    """

    def __init__(
        self,
        session: Session,
        refitting: Refitting,
        every: int,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.session, self.refitting, self.every, self.clock = session, refitting, every, clock
        self._waiting = 0
        self._unseen: Float[np.ndarray, "row class"] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow the session from now on; decisions that were made before count, too."""
        with self.session.lock:
            self.session.count_decided = self.count
            self.count(int((self.session.answered != self.session.table.labels).sum()))

    def count(self, decisions: int) -> None:
        """Count decisions, and start a fit if there are enough of them; called with the session's lock held."""
        self._waiting += decisions
        if self._waiting >= self.every and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="retraining", daemon=True)
            self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until no fit is running."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        """Fit until fewer decisions than `every` have arrived meanwhile."""
        while True:
            with self.session.lock:
                if self._waiting < self.every:
                    self._thread = None
                    return
                decisions, self._waiting = self._waiting, 0
                labels = self.session.labels.copy()
            try:
                self.session.retrained = self._fit(labels, decisions)
            except Exception as error:  # whatever it is, the page shows it, and the review continues
                self.session.retrained = (
                    f"The model could not be fitted again at {self._now()}: {error}. The review continues "
                    "with the earlier predictions."
                )

    def _fit(self, labels: Int8[np.ndarray, "image class"], decisions: int) -> str:
        """Fit the model, adopt it if it is better, and say what it gained."""
        learned = labels[self.refitting.rows]
        known = int((learned != UNKNOWN).sum())
        if not known:
            return ""
        before = self._before()
        found = self.refitting.fit(labels)
        old, new = Fidelity.of(before, learned), Fidelity.of(found.unseen, learned)
        better = new.cross_entropy <= old.cross_entropy or new.map >= old.map
        if better:
            self._unseen = found.unseen
            self.session.adopt(found)
        adopted = "" if better else " This is no better: the earlier predictions stay."
        return (
            f"Fitted again at {self._now()} on {known:,} known labels, {decisions:,} decisions later: cross-validated "
            f"cross-entropy {old.cross_entropy:.3f} → {new.cross_entropy:.3f}, mAP {100 * old.map:.1f} → "
            f"{100 * new.map:.1f}.{adopted}"
        )

    def _before(self) -> Float[np.ndarray, "row class"]:
        """Return predictions by the model in use, of every photo without its labels.

        At first, it is fitted to the labels that the table knows; without any, the run's own predictions were made
        without these labels, too.
        """
        if self._unseen is None:
            session, rows = self.session, self.refitting.rows
            start = session.table.labels
            some = bool((start[rows] != UNKNOWN).any())
            self._unseen = self.refitting.fit(start).unseen if some else session.logits[rows].copy()
        return self._unseen

    def _now(self) -> str:
        return f"{self.clock():%H:%M}"
