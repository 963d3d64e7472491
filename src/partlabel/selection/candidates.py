"""Candidates of the search: rules for unknown labels, heads, and a rule on a head with its score."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel import methods
from partlabel.core.targets import Labels
from partlabel.core.types import TextFeatures
from partlabel.methods import Method
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.nn.linear_path import Design
from partlabel.selection.cross_validation import Problem


@dataclass(frozen=True)
class Rule:
    """A method and its options, which decide how unknown labels are used.

    Attributes:
        method: A name in `methods`, or a dotted path.
        options: Options of the method, by name.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_fixed(self) -> bool:
        """Whether its targets do not depend on predictions."""
        return methods.get(self.method).has_fixed_targets()

    def __str__(self) -> str:
        """Format the rule for people, as in `weak_negatives (weight 0.2)`."""
        listed = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.method} ({listed})" if listed else self.method


FIXED = (
    Rule("bce"),
    Rule("weak_negatives"),
    Rule("weak_negatives", {"weight": 0.2}),
    Rule("assume_negative"),
    Rule("label_smoothing"),
)
"""Rules whose targets do not depend on predictions; a whole path of weight decays takes seconds."""
SELF_TRAINING = (Rule("soft_sst"), Rule("curriculum"))
"""Rules that learn from predictions: tried on the best head, near the best weight decay."""
EVIDENCE = "evidence"
"""Method that learns from the texts beside the photos: tried where there are texts, or a tower."""
TEXT_PRIOR = "text_prior"
"""Method whose weights start from the class names: tried where there is a tower."""
HEADS = ("covariance", "rooted_average", "average")
"""Linear heads; all rules are compared on the first, which is also chosen in ties."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pooled features and labels of all training images.

    Attributes:
        maps: Pooled feature maps: first the mean of every channel, then the features that `CovariancePooling` adds, if
            the backbone has it.
        channels: Number of channel means.
        labels: PRESENT, ABSENT or UNKNOWN.
        classes: Description of the classes.
        fold: Fold of each image in cross-validation, from 0.
        text: Features of the texts that accompany the images; None without texts.
        zero_shot: Logits of the classes by their names; None without encoders that were aligned.
        second: Feature of each image by a second backbone; None without one.
        designs: Design of each head and its options, computed once.
        named: For each design the solution whose logits are closest to `zero_shot`, computed once.
        context: Keys of folder, minute and place of each image; None unless they are asked for.
        given: Labels that the criterion counts, those that do not follow from rules; None for all.
    """

    maps: Float[Tensor, "image channel"]
    channels: int
    labels: Labels
    classes: Classes
    fold: Int64[Tensor, " image"]
    text: TextFeatures | None = None
    zero_shot: Float[Tensor, "image class"] | None = None
    second: Float[Tensor, "image second_feature"] | None = None
    designs: dict[str, Design] = field(default_factory=dict)
    named: dict[int, Float[Tensor, "coordinate class"]] = field(default_factory=dict)
    context: Int64[Tensor, "image kind"] | None = None
    given: Labels | None = None

    @property
    def judged(self) -> Labels:
        """Labels that the criterion counts."""
        return self.labels if self.given is None else self.given

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    def maps_of(self, head: type[Average]) -> Float[Tensor, "image channel 1 1"]:
        """Return the pooled maps that a head uses."""
        maps = self.maps if head.covariance_rank else self.maps[:, : self.channels]
        return maps[..., None, None]

    def design(self, head: str, options: Mapping[str, Any]) -> Design:
        """Return the head's features, standardised and rotated."""
        key = f"{head} {dict(options)}"
        if key not in self.designs:
            kind = linear_head(head)
            maps = self.maps_of(kind)
            with torch.no_grad():
                self.designs[key] = Design.of(kind(maps.shape[1], self.classes, **options).pooled(maps))
        return self.designs[key]

    def problem(
        self,
        head: str,
        design: Design,
        decay: float,
        tolerance: float = 1e-6,
        shared: dict[str, Any] | None = None,
    ) -> Problem:
        """Build the problem of all images; `shared` holds what was computed from these images before."""
        maps = self.maps_of(linear_head(head))
        if self.zero_shot is not None and id(design) not in self.named:
            self.named[id(design)] = design.nearest(self.zero_shot)
        return Problem(
            maps,
            self.labels,
            design,
            decay,
            self.fold,
            tolerance=tolerance,
            text=self.text,
            zero_shot=self.zero_shot,
            named=self.named.get(id(design)),
            second=self.second,
            shared={} if shared is None else shared,
            context=self.context,
        )


def linear_head(name: str) -> type[Average]:
    """Return the linear head of a name.

    Raises:
        ValueError: There is no such head, or it is not linear.
    """
    kind = heads.get(name)
    if not issubclass(kind, Average):
        linear = [each for each in heads.names() if issubclass(heads.get(each), Average)]
        raise ValueError(
            f"the head {name!r} is not linear, and the search fits linear heads: {', '.join(linear)}; take one of "
            f"them, or name a method and its weight decay, as in --method soft_sst --head {name} --weight-decay 0.02"
        )
    return kind


def build(data: TrainingSet, rule: Rule, head: str, options: Mapping[str, Any]) -> Method:
    """Build the method of a rule on a head, with the identity as its backbone: its inputs are pooled maps."""
    kind = linear_head(head)
    channels = data.maps_of(kind).shape[1]
    with torch.random.fork_rng(devices=[]):
        made = kind(channels, data.classes, **options)
        return methods.get(rule.method)(nn.Identity(), made, **rule.options)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A rule on a head at its best weight decay, scored by cross-validation.

    Attributes:
        rule: Rule for unknown labels.
        head: Name of the head.
        weight_decay: Best weight decay, in the unit of `TrainingConfig.weight_decay`.
        cost: Criterion of the out-of-fold logits; lower is better.
        seconds: Duration of the search for the weight decay.
        tried: Cost of each weight decay that was tried.
        logits: Out-of-fold logits at the best weight decay.
    """

    rule: Rule
    head: str
    weight_decay: float
    cost: float
    seconds: float
    tried: Mapping[float, float]
    logits: Float[Tensor, "image class"]
