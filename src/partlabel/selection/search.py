"""The search: the order in which candidates are tried, and the choice between them.

First every rule for unknown labels on one head, over a path of weight decays; then the best rules on the other heads;
then the rules that learn from predictions, on their default heads. The winner is fitted again on all training images.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel import methods
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.core.targets import Targets
from partlabel.methods import Method
from partlabel.nn.cross_fitting import aligned_folds, fold_weights, out_of_fold
from partlabel.nn.linear_path import Design, solve
from partlabel.selection.candidates import (
    FIXED,
    HEADS,
    SELF_TRAINING,
    Candidate,
    Rule,
    TrainingSet,
    build,
)
from partlabel.selection.choice import preferred, suits
from partlabel.selection.criteria import Criterion, exceeds_error, unexplained, unexplained_by_class
from partlabel.selection.cross_validation import ALIGNED_BY, FINAL_TOLERANCE, INNER_FOLDS, folds
from partlabel.selection.result import Selection

STEP = 10**0.5
"""Factor between the weight decays of a path."""
STRONGEST, WEAKEST = 100.0, 1.0
"""Penalty per label of a class at the start and the earliest end of a path, which is extended if its end is best."""
FURTHER = 8
"""Maximum number of steps by which a path is extended on either side."""
FLOOR = 20.0
"""Penalty per label of a class, times the number of images, below which a path needs evidence (`_Lab.settled`)."""
ROUNDING = 1.01
"""Factor by which a weight decay may miss a limit, because `Candidate.tried` rounds to four digits."""
RISING = 2
"""Number of consecutive worse steps after which a path ends."""
BEST_RULES = 2
"""Number of rules that are tried on the other heads."""
MANY = 4_000
"""Number of images from which on three folds are enough."""


def fold_count(images: int) -> int:
    """Choose the number of folds of a cross-validation: five, or three with many images."""
    return 3 if images >= MANY else 5


def search(
    data: TrainingSet,
    rules: Sequence[Rule] = (*FIXED, *SELF_TRAINING),
    heads: Sequence[str] = HEADS,
    head_args: Mapping[str, Any] | None = None,
    criterion: Criterion = unexplained,
    decay: float | None = None,
) -> Selection:
    """Find the rule, the head and the weight decay with the lowest criterion, and fit them to all images.

    Args:
        data: Features, labels and folds.
        rules: Rules for unknown labels.
        heads: Linear heads; rules are compared on the first.
        head_args: Options of the heads, by name; None for the defaults.
        criterion: Function of out-of-fold logits and labels; lower is better.
        decay: Weight decay of all candidates; None to find it.
    """
    began = time.monotonic()
    found: list[Candidate] = []
    lab = _Lab(data, head_args or {}, criterion, decay)
    for rule, head in track(
        _plan(lab, rules, heads, found), "Comparing settings by cross-validation", unit="candidates"
    ):
        if all((each.rule, each.head) != (rule, head) for each in found):
            found.append(lab.candidate(rule, head, found))
    found.sort(key=lambda each: each.cost)
    best = preferred(found, data.judged, heads[0])
    if best is found[0] and not suits(best, data.judged):
        best = lab.chosen(found)
    found = [best, *(each for each in found if each is not best)]
    model = lab.refit(best)
    return Selection(
        candidates=tuple(found),
        criterion=getattr(criterion, "__name__", str(criterion)),
        images=len(data.labels),
        known=int((data.labels != UNKNOWN).sum()),
        folds=data.folds,
        seconds=time.monotonic() - began,
        model=model,
    )


def _plan(
    lab: "_Lab", rules: Sequence[Rule], heads: Sequence[str], found: list[Candidate]
) -> Iterator[tuple[Rule, str]]:
    """Yield the rule and head to try next, given the candidates found so far."""
    fixed = lab.distinct([rule for rule in rules if rule.is_fixed], heads[0])
    yield from ((rule, heads[0]) for rule in fixed)
    ahead = [each.rule for each in sorted(found, key=lambda each: each.cost)[:BEST_RULES]]
    yield from ((rule, head) for head in heads[1:] for rule in ahead)
    best = min(found, key=lambda each: each.cost).head if found else None
    labels = lab.data.labels
    both = ((labels == PRESENT).any(0) & (labels == ABSENT).any(0)).any()
    for rule in rules:
        # Predictions of a model that saw only present, or only absent, labels give no useful targets.
        if not rule.is_fixed and (both or not fixed or methods.get(rule.method).learns_without_labels):
            own = methods.get(rule.method).default_head
            yield from ((rule, head) for head in ([own if own in heads else best] if best else heads))


class _Lab:
    """Scores candidates on one training set."""

    def __init__(
        self,
        data: TrainingSet,
        head_args: Mapping[str, Any],
        criterion: Criterion,
        decay: float | None = None,
    ) -> None:
        self.data = data
        self.decay = decay
        self.head_args = head_args
        self.criterion = criterion
        self.starts: dict[str, float] = {}
        self.memos: dict[tuple[str, int], dict[str, Any]] = {}
        self.shared: dict[str, dict[str, Any]] = {}

    def design(self, head: str) -> Design:
        """Return the features of a head."""
        return self.data.design(head, self.head_args)

    def distinct(self, rules: Sequence[Rule], head: str) -> list[Rule]:
        """Drop rules whose targets are those of an earlier rule, as where no label is unknown."""
        found: list[tuple[Rule, Targets]] = []
        for rule in rules:
            targets = build(self.data, rule, head, self.head_args).fixed_targets(self.data.labels)
            assert targets is not None
            if not any(all(map(torch.equal, targets, earlier)) for _, earlier in found):
                found.append((rule, targets))
        return [rule for rule, _ in found]

    def candidate(self, rule: Rule, head: str, found: Sequence[Candidate]) -> Candidate:
        """Score a rule on a head at its best weight decay."""
        began = time.monotonic()
        if self.decay is not None:
            tried = {self.decay: self._cross_validate(rule, head, self.decay)}
        elif rule.is_fixed:
            tried = self._sweep(rule, head)
        else:
            tried = self._climb(rule, head, self._start(head, found))
        decay = self.settled(tried)
        costs = {each: cost for each, (cost, _) in sorted(tried.items())}
        return Candidate(rule, head, decay, costs[decay], time.monotonic() - began, costs, tried[decay][1])

    def _start(self, head: str, found: Sequence[Candidate]) -> float:
        """Find the best weight decay of a fit to the known labels, where the search for other rules starts."""
        known = Rule("bce")
        if head not in self.starts:
            same = [each.weight_decay for each in found if (each.rule, each.head) == (known, head)]
            self.starts[head] = (same or [self.candidate(known, head, found).weight_decay])[0]
        return self.starts[head]

    def _sweep(self, rule: Rule, head: str) -> dict[float, tuple[float, Tensor]]:
        """Compute cost and out-of-fold logits at each weight decay, from strong to weak, until the cost rises."""
        data, design = self.data, self.design(head)
        targets = build(data, rule, head, self.head_args).fixed_targets(data.labels)
        assert targets is not None
        columns, counted = fold_weights(targets, data.fold, data.folds)
        unit = 1 / max(data.labels.shape[1], 1)
        tried: dict[float, tuple[float, Tensor]] = {}
        start = None

        def score(decay: float, start: Tensor | None) -> Tensor:
            fitted = solve(design, columns, decay * counted, start)
            logits = out_of_fold(design, fitted, data.fold, data.folds)
            decay = float(f"{decay:.4g}")
            tried[decay] = self.criterion(logits, data.judged), logits
            return fitted

        for step in range(100):
            ratio = STRONGEST / STEP**step
            start = score(ratio * unit, start)
            costs = [cost for cost, _ in tried.values()]
            since = len(costs) - 1 - costs.index(min(costs))
            if (ratio < WEAKEST * 1.01 and since >= RISING) or ratio < WEAKEST / STEP**FURTHER:
                break
            if ratio < STRONGEST / STEP and since > RISING:
                break
        for step in range(1, FURTHER + 1):
            if min(tried, key=lambda each: tried[each][0]) < max(tried):
                break
            score(STRONGEST * STEP**step * unit, None)
        return tried

    def _floor(self) -> float:
        """Return the lowest weight decay that can be chosen without a significant gain."""
        images, classes = self.data.labels.shape
        return min(FLOOR / max(images, 1), WEAKEST) / max(classes, 1)

    def settled(self, tried: Mapping[float, tuple[float, Float[Tensor, "image class"]]]) -> float:
        """Choose the best weight decay, or one below the floor only if its gain exceeds a standard error.

        The gain is the mean difference over classes to the best above the floor. With few labels, costs along the path
        differ by noise, and a weight decay that is too low is the worse error (the one-standard-error rule of Breiman
        et al., "Classification and regression trees", 1984, section 3.4.3, for one side).
        """
        best = min(tried, key=lambda each: tried[each][0])
        strong = [each for each in tried if each >= self._floor() / ROUNDING]
        if best in strong or not strong:
            return best
        safe = min(strong, key=lambda each: tried[each][0])
        gain = self._by_class(tried[safe][1]) - self._by_class(tried[best][1])
        return best if exceeds_error(gain) else safe

    def _climb(self, rule: Rule, head: str, near: float) -> dict[float, tuple[float, Tensor]]:
        """Compute the same for a rule that learns from predictions: step away from a weight decay while the cost falls.

        With few labels its costs are noisy, and therefore it stays within the path of the other rules.
        """
        unit = 1 / max(self.data.labels.shape[1], 1)
        lowest, highest = self._floor(), STRONGEST * unit
        near = min(max(near, lowest), highest)
        tried = {near: self._cross_validate(rule, head, near)}
        for factor in (STEP, 1 / STEP):
            at = near
            for _ in range(FURTHER):
                at *= factor
                if not lowest / ROUNDING <= at <= highest * ROUNDING:
                    break
                tried[at] = self._cross_validate(rule, head, at)
                if min(tried, key=lambda each: tried[each][0]) != at:
                    break
        return tried

    def _cross_validate(
        self, rule: Rule, head: str, decay: float
    ) -> tuple[float, Float[Tensor, "image class"]]:
        """Fit a method without each fold, and predict that fold; the cost, and the out-of-fold logits."""
        data = self.data
        whole = data.problem(head, self.design(head), decay, shared=self._shared(head))
        logits = torch.empty(data.labels.shape)
        level = torch.empty(data.folds, data.labels.shape[1])
        some = torch.linspace(0, len(logits) - 1, min(len(logits), ALIGNED_BY)).round().long()
        for number in range(data.folds):
            outside = data.fold != number
            inner = folds(data.labels[outside], INNER_FOLDS, number)
            method = build(data, rule, head, self.head_args)
            part = whole.part(outside, inner, self.memos.setdefault((head, number), {}))
            method.fit_full_batch(part)
            method.eval()
            logits[~outside] = method.predict_rows(part, (~outside).nonzero().squeeze(1))
            level[number] = method.predict_rows(part, some).mean(0)
        logits = aligned_folds(logits, level, data.fold)
        return self.criterion(logits, data.judged), logits

    def _shared(self, head: str) -> dict[str, Any]:
        """Return what is kept of the images for a head, and drop that of other heads, which may be large."""
        if head not in self.shared:
            self.shared = {head: {}}
        return self.shared[head]

    def chosen(self, found: Sequence[Candidate]) -> Candidate:
        """Choose the best candidate; one that learns from predictions only if it is clearly better than the others.

        Such candidates have more freedom, and with few labels their costs are noisy: the mean gain over the classes
        has to exceed its standard error.
        """
        fixed = [each for each in found if each.rule.is_fixed]
        if not fixed or found[0] is fixed[0]:
            return found[0]
        gains = self._by_class(fixed[0].logits) - self._by_class(found[0].logits)
        return found[0] if exceeds_error(gains) else fixed[0]

    def _by_class(self, logits: Float[Tensor, "image class"]) -> Float[Tensor, " used"]:
        """Compute the cost of each class that has a known present label."""
        labels = self.data.judged
        return unexplained_by_class(logits, labels)[(labels == PRESENT).any(0)]

    def refit(self, best: Candidate) -> Method:
        """Fit the best candidate to all images."""
        method = build(self.data, best.rule, best.head, self.head_args)
        shared = self._shared(best.head)
        problem = self.data.problem(
            best.head, self.design(best.head), best.weight_decay, FINAL_TOLERANCE, shared
        )
        method.fit_full_batch(problem)
        return method.eval()
