"""Probabilities that obey rules between classes: a parent at least as probable as its child, `one_of` with the sum 1.

From the independent probabilities of a network, in this order:

1. a class becomes as probable as the most probable class that implies it (the max constraint module of C-HMCNN,
   Giunchiglia and Lukasiewicz, "Coherent hierarchical multi-label classification networks", NeurIPS 2020);
2. classes that exclude each other, and those of `one_of`, are divided by their sum where it is above 1;
3. a class becomes at most as probable as every class that it implies. Now all but the sums of `one_of` hold;
4. `one_of` is divided by its sum, and what the raised classes imply is raised with them (step 1);
5. where that breaks a rule, all connected classes move toward one fixed coherent point, by the smallest share that is
   enough.

Probabilities that obey the rules do not change. The paper has step 1 alone, since it has implications alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from partlabel.core.column_rules import ColumnRules
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels

NEVER = -1e4
"""Logit of a class that does not take part."""
SURE, TINY = 1e-6, 1e-12
"""Distance of a probability from 0 and 1 where it becomes a logit; what keeps a sum above 0."""
Probabilities = Float[Tensor, "batch class"]
Numbers = Int64[Tensor, "class most"]


class Coherence(nn.Module):
    """The layer after the sigmoid: probabilities in, coherent probabilities out.

    Args:
        rules: Rules for the columns of the output.

    Raises:
        ValueError: No image can obey all rules.
    """

    below: Numbers
    above: Numbers
    lists: Int64[Tensor, "list most"]
    listed: Float[Tensor, "list most"]
    lists_of: Numbers
    one_of: Int64[Tensor, " class"]
    size: Float[Tensor, " class"]
    rivals: Numbers
    rival: Bool[Tensor, "class most"]
    constraint: Float[Tensor, "constraint class"]
    bound: Float[Tensor, " constraint"]
    slack: Float[Tensor, " constraint"]
    joined: Float[Tensor, "class constraint"]
    inside: Float[Tensor, " class"]

    def __init__(self, rules: ColumnRules) -> None:
        super().__init__()
        implied, count = rules.implied, len(rules.columns)
        whole = rules.groups("one_of")
        lists = [*whole, *rules.groups("excludes")]
        self.has_lists, self.has_one_of = bool(lists), bool(whole)
        self._keep("below", _padded([np.flatnonzero(each) for each in implied.T]))
        self._keep("above", _padded([np.flatnonzero(each) for each in implied]))
        most = max(map(len, lists), default=1)
        at = torch.zeros(len(lists), most, dtype=torch.int64)
        there = torch.zeros(len(lists), most)
        for number, names in enumerate(lists):
            at[number, : len(names)], there[number, : len(names)] = torch.tensor(names), 1.0
        self._keep("lists", at)
        self._keep("listed", there)
        nowhere = len(lists)  # a list without members, whose factor is 1
        of = [[number for number, names in enumerate(lists) if c in names] or [nowhere] for c in range(count)]
        self._keep("lists_of", _padded(of))
        one_of = [
            next((number for number, names in enumerate(whole) if c in names), nowhere) for c in range(count)
        ]
        self._keep("one_of", torch.tensor(one_of))
        others = [[o for o in whole[n] if o != c] if n != nowhere else [c] for c, n in enumerate(one_of)]
        self._keep("rivals", _padded(others))
        self._keep(
            "rival", _padded([range(len(each)) for each in others]) == torch.arange(self.rivals.shape[1])
        )
        sizes = [0.0 if number == nowhere else float(len(lists[number])) for number in one_of]
        self._keep("size", torch.tensor(sizes))
        rest = _Inequalities.of(implied, whole, rules.groups("excludes"), rules.rules.source)
        for name in ("constraint", "bound", "slack", "joined", "inside"):
            self._keep(name, getattr(rest, name))

    def _keep(self, name: str, values: Tensor) -> None:
        """Register a buffer that is not saved, since it follows from the rules."""
        self.register_buffer(name, values, persistent=False)

    def forward(self, probability: Probabilities) -> Probabilities:
        """Compute coherent probabilities."""
        found = self.raised(probability)
        if self.has_lists:
            factor = 1 / self._sums(found).clamp(min=1)
            found = found * factor[:, self.lists_of].amin(2)
            found = found[:, self.above].amin(2)
        if not self.has_one_of:
            return found
        member = self.size > 0
        whole = (found + TINY) / (self._sums(found)[:, self.one_of] + TINY * self.size)
        found = torch.where(member, whole, found)
        found = torch.where(member, found, self.raised(found))
        return self._repaired(found)

    def raised(self, values: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Compute the maximum over each class and the classes that imply it, of probabilities or of logits."""
        return values[:, self.below].amax(2)

    def learned(self, logits: Float[Tensor, "batch class"], labels: Labels) -> Float[Tensor, "batch class"]:
        """Compute the logits whose binary cross-entropy is the coherent loss (`methods/coherent.py`).

        The logit of a present class is the largest of itself and the present classes that imply it; of another class,
        the largest of itself and all classes that imply it.
        """
        present = self.raised(torch.where(labels == PRESENT, logits, NEVER))
        return torch.where(labels == PRESENT, present, self.raised(logits))

    def within_lists(self, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Compute logits whose sigmoid is the softmax within each list of `one_of`; those of other classes stay."""
        if not self.has_one_of:
            return logits
        rivals = torch.where(self.rival, logits[:, self.rivals], NEVER).logsumexp(2)
        return torch.where(self.size > 0, logits - rivals, logits)

    def logits(self, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Compute the logits of coherent probabilities; logits of probabilities that stay as they are do not change."""
        raised = self.raised(logits)
        before = raised.sigmoid()
        after = self(before)
        return torch.where(after == before, raised, after.clamp(SURE, 1 - SURE).logit())

    def thresholds(self, thresholds: Sequence[float]) -> tuple[float, ...]:
        """Raise the threshold of each class to those of the classes that it implies."""
        return tuple(max(thresholds[c] for c in above) for above in self.above.tolist())

    def with_known(self, probability: Probabilities, labels: Labels) -> Probabilities:
        """Compute coherent probabilities of unknown labels given the known ones; those of known labels ignore them."""
        known = torch.where(labels == PRESENT, 1.0, torch.where(labels == ABSENT, 0.0, probability))
        return torch.where(labels == UNKNOWN, self(known), self(probability))

    def _sums(self, probability: Probabilities) -> Float[Tensor, "batch list_and_none"]:
        """Compute the sum of each list, and 1 for no list."""
        sums = (probability[:, self.lists] * self.listed).sum(2)
        return torch.cat([sums, torch.ones_like(probability[:, :1])], 1)

    def _repaired(self, found: Probabilities) -> Probabilities:
        """Move connected classes toward the inside point as far as an inequality needs it."""
        if not len(self.constraint):
            return found
        beyond = (found @ self.constraint.T - self.bound - SURE).clamp(min=0)  # no rounding errors
        share = beyond / (beyond + self.slack).clamp(min=TINY)
        move = (share[:, None] * self.joined).amax(2)
        return found + move * (self.inside - found)


class _Inequalities:
    """The inequalities of classes that are connected with a list of `one_of`, as `constraint @ p <= bound`."""

    def __init__(
        self, constraint: np.ndarray, bound: np.ndarray, joined: np.ndarray, inside: np.ndarray
    ) -> None:
        self.constraint = torch.from_numpy(constraint).float()
        self.bound = torch.from_numpy(bound).float()
        self.slack = torch.from_numpy(np.maximum(bound - constraint @ inside, 0)).float()
        self.joined = torch.from_numpy(joined).float()
        self.inside = torch.from_numpy(inside).float()

    @classmethod
    def of(
        cls,
        implied: np.ndarray,
        one_of: Sequence[Sequence[int]],
        excludes: Sequence[Sequence[int]],
        source: str,
    ) -> "_Inequalities":
        """Collect them, and find a point with the largest distance from all of them by linear programming."""
        from scipy.sparse.csgraph import connected_components

        count = len(implied)
        together = implied.copy()
        for names in [*one_of, *excludes]:
            together[np.ix_(names, names)] = True
        number = connected_components(together, directed=False)[1]
        needed = np.isin(number, number[[names[0] for names in one_of]] if one_of else [])
        rows, bounds = [], []
        for child, parent in np.argwhere(implied & ~np.eye(count, dtype=bool)):
            if needed[child]:
                row = np.zeros(count)
                row[child], row[parent] = 1, -1
                rows.append(row)
                bounds.append(0.0)
        for names in excludes:
            if needed[names[0]]:
                rows.append(np.isin(np.arange(count), names).astype(float))
                bounds.append(1.0)
        constraint, bound = np.array(rows).reshape(-1, count), np.array(bounds)
        joined = (
            np.array([number[np.flatnonzero(row)[0]] == number for row in constraint]).reshape(-1, count).T
        )
        return cls(constraint, bound, joined, _inside(constraint, bound, one_of, needed, source))


def _inside(
    constraint: np.ndarray,
    bound: np.ndarray,
    one_of: Sequence[Sequence[int]],
    needed: np.ndarray,
    source: str,
) -> np.ndarray:
    """Find the coherent point with the largest distance from all inequalities."""
    from scipy.optimize import linprog

    count = len(needed)
    if not one_of:
        return np.zeros(count)
    equal = np.array([np.isin(np.arange(count), names) for names in one_of], float)
    distance = np.concatenate(
        [np.zeros(count), [-1.0]]
    )  # maximised, so that it is the last variable's negative
    found = linprog(
        distance,
        np.hstack([constraint, np.ones((len(constraint), 1))]) if len(constraint) else None,
        bound if len(constraint) else None,
        np.hstack([equal, np.zeros((len(equal), 1))]),
        np.ones(len(equal)),
        [(0, 1)] * count + [(0, 1)],
    )
    if found.x is None:
        raise ValueError(
            f"{source}: no image can obey all rules of one_of and excludes together; remove one of them"
        )
    return np.where(needed, found.x[:count], 0.0)


def _padded(rows: Sequence[Sequence[int] | np.ndarray]) -> Int64[Tensor, "row most"]:
    """Return lists of numbers as a matrix; shorter ones repeat their first number."""
    most = max(map(len, rows), default=1)
    return torch.tensor(
        [[*map(int, row), *[int(row[0])] * (most - len(row))] for row in rows], dtype=torch.int64
    )
