"""Reasons for and against a label, from all that a session knows."""

from contextlib import suppress

import numpy as np
from scipy.special import expit

from partlabel.core.labels import PRESENT
from partlabel.review import explanations
from partlabel.review.explanations import Vote
from partlabel.review.questions import Why
from partlabel.review.session import Session

MOST_PAIRS = 3


def why(session: Session, row: int, column: int) -> Why:
    """Collect reasons for and against a label."""
    labels, logits = session.labels[row], session.logits[row]
    often, seldom = session.habits.company(labels, column)
    evidence: list[Vote] = []
    if session.completion is not None:
        evidence = explanations.votes(session.completion.votes, logits, labels, column, session.table.classes)
    pairs: list[tuple[str, float]] = []
    together = None
    with suppress(OSError):  # the image has been removed since; the page shows that in its place
        together = None if session.gaze is None else session.gaze(row).cooccurrence
    if together is not None:
        present = [other for other in np.flatnonzero(labels == PRESENT).tolist() if other != column]
        present.sort(key=lambda other: -float(together[column, other]))
        pairs = [
            (session.table.classes[other], float(together[column, other])) for other in present[:MOST_PAIRS]
        ]
    alone = float(expit(logits[column]))
    near = session.similar.near(row, np.ascontiguousarray(session.labels[:, column]))
    said = None if session.beside is None else session.beside.reason(row, column)
    return Why(often, seldom, pairs, evidence, alone, near, said)
