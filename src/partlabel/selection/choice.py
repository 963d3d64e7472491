"""The choice among candidates that cross-validation cannot distinguish from the best."""

from collections.abc import Sequence

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.selection.advice import kind_of
from partlabel.selection.candidates import EVIDENCE, TEXT_PRIOR, Candidate
from partlabel.selection.criteria import unexplained_by_class

ALIKE = 2.0
"""Standard errors of a difference up to which two candidates count as equally good."""


def preferred(found: Sequence[Candidate], labels: Labels, head: str) -> Candidate:
    """Choose among the candidates that cross-validation cannot distinguish from the best.

    With one to five known present labels per class, cross-validation hardly measures the benefit of similar images.
    Therefore the decision table (`advice.py`) decides between candidates within `ALIKE` standard errors of the best (of
    the mean difference over classes), for methods that learn from predictions or texts only. Otherwise, within one
    standard error, the best candidate on the first head is chosen.

    Args:
        found: Candidates, best first.
        labels: PRESENT, ABSENT or UNKNOWN.
        head: First head of the search.
    """
    best = found[0]
    used = (labels == PRESENT).any(0)
    if used.sum() < 2:
        return best
    costs = unexplained_by_class(best.logits, labels)

    def alike(other: Candidate, errors: float) -> bool:
        worse = (unexplained_by_class(other.logits, labels) - costs)[used]
        return bool(worse.mean() <= errors * worse.std() / len(worse) ** 0.5)

    for each in found:
        if not each.rule.is_fixed and suits(each, labels) and alike(each, ALIKE):
            return each
    fixed = [each for each in found if each.head == head and each.rule.is_fixed]
    if best.rule.is_fixed and best.head != head and fixed and alike(fixed[0], 1.0):
        return fixed[0]
    return best


def suits(candidate: Candidate, labels: Labels) -> bool:
    """Return whether a candidate's method is recommended for this kind of labels, or uses texts or a tower."""
    suited = kind_of(labels.numpy()).method if bool((labels != UNKNOWN).any()) else None
    return candidate.rule.method in (suited, EVIDENCE, TEXT_PRIOR)
