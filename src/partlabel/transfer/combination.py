r"""Combine the log-odds of several evidence sources: one weight per source, estimated jointly.

    logit_c = offset_c + sum_s weight_s (score_sc - centre_sc) / spread_s

The weights maximise the likelihood of labels that the sources did not see (out-of-fold scores), all at once, so that
what two sources both know is counted once (a stacked generalisation, Wolpert, "Stacked generalization", Neural Networks
5, 1992; weights that are not negative as in Breiman, "Stacked regressions", Machine Learning 24, 1996). Sources are
added one after the other, each only if it explains the labels better by more than chance: a source without information
has the weight 0 and changes nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.targets import Targets
from partlabel.core.types import NameScale

CLEAR = 2.0
"""Standard errors by which a source has to lower the cross-entropy per image to be used."""
STEPS = 50
"""Maximum number of Newton steps."""
PRECISION = 1e-10
"""Share of the cost by which the last Newton step may still lower it."""


class Combination(NamedTuple):
    """Weights of evidence sources.

    Attributes:
        weight: Change of the log-odds per spread of each source; 0 for a source that is not used.
        centre: Mean score of each source and class.
        spread: Standard deviation of the centred scores of each source.
        offset: Log-odds of each class where every source is at its centre.
    """

    weight: Float[Tensor, " source"]
    centre: Float[Tensor, "source class"]
    spread: Float[Tensor, " source"]
    offset: Float[Tensor, " class"]

    def log_odds(self, scores: Float[Tensor, "source image class"]) -> Float[Tensor, "image class"]:
        """Combine the scores of all sources into log-odds."""
        return torch.einsum("sic,s->ic", self.standardised(scores), self.weight) + self.offset

    def shares(self, scores: Float[Tensor, "source image class"]) -> Float[Tensor, "source image class"]:
        """Compute the part of the log-odds that each source contributes, relative to its mean."""
        return self.standardised(scores) * self.weight[:, None, None]

    def standardised(
        self, scores: Float[Tensor, "used image class"], used: Sequence[int] | None = None
    ) -> Float[Tensor, "used image class"]:
        """Centre the scores of all sources, or of some, by source and class, and divide by the spread of the source."""
        rows = list(range(len(self.spread))) if used is None else list(used)
        return (scores - self.centre[rows][:, None]) / self.spread[rows][:, None, None]


def combine(
    scores: Float[Tensor, "source image class"], targets: Targets, kept: Sequence[int] = (0,)
) -> Combination:
    """Select the sources that help, and compute their weights.

    Forward selection: of the sources that are not used yet, the one that lowers the cost most is added, if it lowers
    the cost per image by more than `CLEAR` standard errors.

    Args:
        scores: Out-of-fold scores of each source; larger means more likely present.
        targets: What the combination is fitted to; labels of weight 0 are ignored.
        kept: Sources that are used in any case.
    """
    centre = scores.mean(1)
    spread = (scores - centre[:, None]).square().mean((1, 2)).sqrt().clamp(min=1e-12)
    start = Combination(scores.new_zeros(len(scores)), centre, spread, _prior(targets))
    used = list(kept)
    best = weigh(start, scores, targets, used)
    while len(used) < len(scores):
        others = [source for source in range(len(scores)) if source not in used]
        tried = {source: weigh(start, scores, targets, [*used, source]) for source in others}
        costs = {source: _costs(found, scores, targets) for source, found in tried.items()}
        source = min(costs, key=lambda each: float(costs[each].sum()))
        if not _clearly_lower(costs[source], _costs(best, scores, targets)):
            break
        used.append(source)
        best = tried[source]
    return best


def name_scale(zero_shot: Float[Tensor, "image class"], targets: Targets) -> NameScale:
    """Fit one weight for the standardised scores of all classes, and an offset for each class, to the known labels.

    A class without labels has the offset of `shares_by_name`.
    """
    spread = zero_shot.std(0, unbiased=False).clamp(min=1e-6)
    scores = ((zero_shot - zero_shot.mean(0)) / spread)[None]
    start = Combination(
        scores.new_zeros(1), scores.new_zeros(1, len(spread)), scores.new_ones(1), _prior(targets)
    )
    found = weigh(start, scores, targets, [0])
    slope = found.weight[0] / spread
    level = torch.where(targets.weight.any(0), found.offset, shares_by_name(zero_shot))
    return NameScale(slope, level - slope * zero_shot.mean(0))


def shares_by_name(zero_shot: Float[Tensor, "image class"]) -> Float[Tensor, " class"]:
    """Estimate the log-odds of each class, as if the softmax over the classes were its share of the images."""
    return zero_shot.softmax(1).mean(0).clamp(1e-3, 1 - 1e-3).logit()


def misfit(found: Combination, scores: Float[Tensor, "source image class"], targets: Targets) -> float:
    """Compute the cross-entropy of the targets under a combination, summed."""
    return float(_costs(found, scores, targets).sum())


def _costs(
    found: Combination, scores: Float[Tensor, "source image class"], targets: Targets
) -> Float[Tensor, " image"]:
    odds = found.log_odds(scores)
    return binary_cross_entropy_with_logits(odds, targets.value, targets.weight, reduction="none").sum(1)


def _clearly_lower(new: Float[Tensor, " image"], old: Float[Tensor, " image"]) -> bool:
    """Test whether the mean difference exceeds `CLEAR` standard errors over images."""
    gain = old - new
    return bool(gain.mean() > CLEAR * gain.std() / len(gain) ** 0.5)


def _prior(targets: Targets) -> Float[Tensor, " class"]:
    """Compute the log-odds of the mean target of each class, as if half a label of either kind were added."""
    present = (targets.value * targets.weight).sum(0)
    return ((present + 0.5) / (targets.weight.sum(0) + 1)).logit()


@torch.no_grad()
def weigh(
    start: Combination, scores: Float[Tensor, "source image class"], targets: Targets, used: Sequence[int]
) -> Combination:
    """Fit the weights of some sources and all offsets by Newton's method; those of other sources are 0.

    The penalty `|offset - prior|^2 / 2 + |weight|^2 / 2` keeps them bounded where few labels are known. A source
    whose weight would be negative is not used.

    Args:
        start: Centres, spreads and prior offsets.
        scores: As in `combine`.
        targets: As in `combine`.
        used: Numbers of the sources.
    """
    used = list(used)
    cells = _Cells.of(targets)
    while True:
        standard = cells.of_scores(start.standardised(scores[used], used))
        weight, offset = _newton(standard, start.offset.double(), cells)
        if not used or float(weight.min()) >= 0:
            break
        used.pop(int(weight.argmin()))
    whole = start.weight.clone()
    whole[used] = weight.float()
    return start._replace(weight=whole, offset=offset.float())


class _Cells(NamedTuple):
    """The labels with a target, of all images and classes in one row: most labels have none where few are known."""

    where: Int64[Tensor, " cell"]
    column: Int64[Tensor, " cell"]
    value: Float[Tensor, " cell"]
    weight: Float[Tensor, " cell"]

    @classmethod
    def of(cls, targets: Targets) -> "_Cells":
        where = targets.weight.flatten().nonzero().squeeze(1)
        value, weight = (each.flatten()[where].double() for each in targets)
        return cls(where, where % targets.weight.shape[1], value, weight)

    def of_scores(self, scores: Float[Tensor, "used image class"]) -> Float[Tensor, "used cell"]:
        return scores.flatten(1)[:, self.where].double()

    def by_class(self, values: Float[Tensor, "*used cell"], classes: int) -> Float[Tensor, "*used class"]:
        return values.new_zeros(*values.shape[:-1], classes).index_add_(-1, self.column, values)


def _newton(
    scores: Float[Tensor, "used cell"], prior: Float[Tensor, " class"], cells: _Cells
) -> tuple[Float[Tensor, " used"], Float[Tensor, " class"]]:
    """Minimise the penalised cross-entropy over weights and offsets.

    Offsets of different classes meet only through the weights: the Hessian is an arrow, and the offsets are eliminated
    (a Schur complement).
    """
    weight, offset, classes = scores.new_zeros(len(scores)), prior.clone(), len(prior)
    ridge = torch.eye(len(scores), dtype=scores.dtype)

    def judge(
        weight: Float[Tensor, " used"], offset: Float[Tensor, " class"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " cell"]]:
        odds = weight @ scores + offset[cells.column]
        misfit = binary_cross_entropy_with_logits(odds, cells.value, cells.weight, reduction="sum")
        return misfit + (weight.square().sum() + (offset - prior).square().sum()) / 2, odds

    now, odds = judge(weight, offset)
    for _ in range(STEPS):
        sure = odds.sigmoid()
        slope, bend = cells.weight * (sure - cells.value), cells.weight * sure * (1 - sure)
        d_weight = scores @ slope + weight
        d_offset = cells.by_class(slope, classes) + offset - prior
        bent = scores * bend
        both = bent @ scores.T + ridge
        across, own = cells.by_class(bent, classes), cells.by_class(bend, classes) + 1
        w_step = torch.linalg.solve(both - (across / own) @ across.T, d_weight - (across / own) @ d_offset)
        o_step = (d_offset - w_step @ across) / own
        length, (new, odds) = 1.0, judge(weight - w_step, offset - o_step)
        while new > now and length > 1e-6:
            length /= 2
            new, odds = judge(weight - length * w_step, offset - length * o_step)
        if now - new <= PRECISION * now.abs():
            break
        weight, offset, now = weight - length * w_step, offset - length * o_step, new
    return weight, offset
