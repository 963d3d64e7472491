"""Proposals of rules between classes, from the labels that are known together, for a person to accept.

`dog => animal` is proposed if of the images that show dog, and whose label of animal is known, nearly all show animal:
the lower end of the 95 % interval of that share (Clopper and Pearson, Biometrika 26, 1934) is at least `LEAST`, and
above the share of animal without dog. `day excludes night` is proposed likewise, if many images would show both by
chance; `one of` if, in addition, nearly every image shows one of the two. Rules that follow from others are left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import ClassRule, RuleKind
from partlabel.data.tables.closure import without_rule_labels
from partlabel.data.tables.label_table import LabelTable

LEAST, CONFIDENCE = 0.9, 0.95
"""Lowest share that is proposed, and the confidence of its interval."""
SUPPORT, CHANCE = 10, 5.0
"""Images that a proposal needs; and images that would show two classes by chance, where none or few do."""
MOST_CLASSES, MOST_SHOWN = 2000, 3


class Proposal(NamedTuple):
    """A proposed rule.

    Attributes:
        kind: Kind of the rule.
        classes: Names of the two classes.
        right: Number of images that obey it.
        of: Number of images that could break it.
        low: Lower end of the interval of the share.
        high: Upper end of the interval of the share.
        against: First images that break it.
    """

    kind: RuleKind
    classes: tuple[str, str]
    right: int
    of: int
    low: float
    high: float
    against: tuple[str, ...]

    @property
    def rule(self) -> ClassRule:
        """The rule itself."""
        return ClassRule(self.kind, self.classes)

    @property
    def sentence(self) -> str:
        """The rule, its support, its interval and its counter-examples."""
        text = f"{self.rule}: {self.right:,} of {self.of:,} ({self.low:.1%} to {self.high:.1%})"
        return text + (f"; not in {', '.join(self.against)}" if self.against else "")


def propose(table: LabelTable) -> list[Proposal]:
    """Propose rules between the classes of a table; labels that follow from rules do not count."""
    table = without_rule_labels(table)
    kept = np.sort(np.argsort(-(table.labels == PRESENT).sum(0), kind="stable")[:MOST_CLASSES])
    names, labels = [table.classes[at] for at in kept.tolist()], table.labels[:, kept]
    is_present, is_absent, is_known = labels == PRESENT, labels == ABSENT, labels != UNKNOWN
    both, first, known = (
        _together(*pair) for pair in ((is_present, is_present), (is_present, is_known), (is_known, is_known))
    )
    without = _together(is_absent, is_present) / np.maximum(_together(is_absent, is_known), 1)
    found: list[Proposal] = []

    def add(kind: RuleKind, pair: tuple[int, int], wrong: float, of: float, against: np.ndarray) -> None:
        low, high = (float(end) for end in interval(of - wrong, of))
        images = tuple(table.images[row] for row in np.flatnonzero(against)[:MOST_SHOWN])
        named = (names[pair[0]], names[pair[1]])
        found.append(Proposal(kind, named, int(of - wrong), int(of), low, high, images))

    for one, two in _implications(both, first, without):
        wrong, of = first[one, two] - both[one, two], first[one, two]
        add("implies", (one, two), wrong, of, is_present[:, one] & is_absent[:, two])
    for one, two in np.argwhere(_apart(both, first, known, is_present, is_known)).tolist():
        shared, neither = (each[:, one] & each[:, two] for each in (is_present, is_absent))
        of = known[one, two]
        wrong = both[one, two] + neither.sum()
        if interval(of - wrong, of)[0] >= LEAST:
            add("one_of", (one, two), wrong, of, shared | neither)
        else:
            of = first[one, two] + first[two, one] - both[one, two]
            add("excludes", (one, two), both[one, two], of, shared)
    return found


def interval(
    right: np.ndarray | float, of: np.ndarray | float
) -> tuple[Float[np.ndarray, "*any"], Float[np.ndarray, "*any"]]:
    """Compute the interval of a share by Clopper and Pearson; from 0 to 1 without an image."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    wrong = of - right
    low = np.where(right > 0, beta.ppf(tail, np.maximum(right, 1e-9), wrong + 1), 0.0)
    high = np.where(wrong > 0, beta.ppf(1 - tail, right + 1, np.maximum(wrong, 1e-9)), 1.0)
    return low, high


def _implications(both: np.ndarray, first: np.ndarray, without: np.ndarray) -> list[tuple[int, int]]:
    """Select implications: one direction of each pair, and none that follows from others."""
    low = interval(both, first)[0]
    likely = (first >= SUPPORT) & (low >= LEAST) & (low > without) & ~np.eye(len(low), dtype=bool)
    likely &= ~(likely.T & ((low < low.T) | ((low == low.T) & np.tril(np.ones_like(likely), -1))))
    reach = likely.copy()
    for _ in range(len(reach).bit_length()):
        reach |= (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    follows = (likely.astype(np.float32) @ reach.astype(np.float32)) > 0
    follows &= ~reach.T  # a circle of nearly equal classes keeps its rules
    return [(int(one), int(two)) for one, two in np.argwhere(likely & ~follows)]


def _apart(
    both: np.ndarray, first: np.ndarray, known: np.ndarray, is_present: np.ndarray, is_known: np.ndarray
) -> Bool[np.ndarray, "class class"]:
    """Select pairs of classes that exclude each other, above the diagonal."""
    share = is_present.sum(0) / np.maximum(is_known.sum(0), 1)
    chance = known * np.outer(share, share)
    low = interval(first - both, first)[0]
    likely = (first >= SUPPORT) & (low >= LEAST)
    return np.triu(likely & likely.T & (chance >= CHANCE) & (both < chance / 10), 1)


def _together(one: np.ndarray, other: np.ndarray) -> Float[np.ndarray, "class class"]:
    """Count the images of each pair of columns."""
    return (one.astype(np.float32).T @ other.astype(np.float32)).astype(np.float64)


def as_yaml(proposals: Sequence[Proposal], source: str) -> str:
    """Write proposals in the form of `rules.yaml`; those with a counter-example are comments."""
    lines = [
        f"# Rules that the known labels of {source} suggest. Delete what is wrong, remove the # of what is right in",
        "# spite of the images named, and rename the file to rules.yaml beside the table.",
    ]
    for kind in ("implies", "excludes", "one_of"):
        of_kind = [each for each in proposals if each.kind == kind]
        lines += [f"{kind}:"] if of_kind else []
        for each in of_kind:
            one, two = map(quoted, each.classes)
            rule = f"{one}: [{two}]" if kind == "implies" else f"- [{one}, {two}]"
            lines += [f"  # {each.sentence}", f"  {'# ' if each.against else ''}{rule}"]
    return "\n".join(lines) + "\n"


def quoted(name: str) -> str:
    """Quote a class name where YAML needs it."""
    import json

    import yaml

    plain = name.replace(" ", "").replace("_", "").replace("-", "").isalnum() and name[0].isalpha()
    return name if plain and yaml.safe_load(name) == name else json.dumps(name, ensure_ascii=False)
