"""Specification of a tagger: classes, method, head and backbone, and the network built from them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from partlabel import methods
from partlabel.core import registry
from partlabel.core.column_rules import column_rules
from partlabel.core.rules import Rules
from partlabel.core.types import Preprocessing
from partlabel.methods import Method
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.backbone import Backbone
from partlabel.nn.classes import Classes
from partlabel.nn.coherence import Coherence
from partlabel.selection.candidates import linear_head
from partlabel.training import settings_search
from partlabel.training.composition import Composition
from partlabel.training.config import AUTO

CHOSEN = ("method", "method_args", "head", "head_args")


class Specification:
    """Classes and settings, from which networks are built.

    Args:
        classes: Class names, in the order of every output.
        pretrained: Source of the backbone's weights, as in `partlabel.Tagger`.
        settings: The other arguments of `partlabel.Tagger`, by name; `head` may be None.
        weights: File with the backbone's weights, in place of `pretrained`; None for none.

    Attributes:
        classes: Class names.
        pretrained: Source of the backbone's weights.
        weights: File with them; None for none.
        settings: The settings, with the head's name; after a search, with the method and the head that were found.
        asked: The settings before a search changed them.
        view: Image side in pixels, and the normalisation that the backbone expects.
        word_dim: Dimension of the class vectors that the network was built with; None without vectors.
        rules: Rules between the classes; None without rules.
        coherence: Layer of probabilities that obey them; None without rules.
        composition: Parts of a tagger that was extended or whose classes were edited; None for a network of one part.

    Raises:
        ValueError: There is no such method or head, or `auto` cannot search on the head.
        TypeError: It has no such option; the message names the most similar one.
    """

    def __init__(
        self,
        classes: Sequence[str],
        pretrained: bool | Literal["auto"],
        settings: Mapping[str, Any],
        weights: str | Path | None = None,
    ) -> None:
        self.classes = tuple(classes)
        self.pretrained = pretrained
        self.weights = weights
        self._method: type[Method] | None = None
        self._head: type[heads.Head] | None = None
        head = self._choose(*(settings[name] for name in CHOSEN))
        self.settings = dict(settings) | {"head": head}
        self.asked = dict(self.settings)
        self.view = (self.settings["image_size"], Preprocessing())
        self.word_dim: int | None = None
        self.rules: Rules | None = None
        self.coherence: Coherence | None = None
        self.composition: Composition | None = None

    def set_rules(self, rules: Rules | None) -> None:
        """Set the rules between the classes, which predictions obey from now on.

        Raises:
            ValueError: A class of the rules does not exist, or no image can obey all rules.
        """
        compiled = column_rules(rules, self.classes)
        self.rules = None if compiled is None else compiled.rules
        self.coherence = None if compiled is None else Coherence(compiled)

    def _choose(
        self, method: str, method_args: Mapping[str, Any], head: str | None, head_args: Mapping[str, Any]
    ) -> str | None:
        """Find the classes of method and head; return the head's name, None where a search has to find one."""
        if method == AUTO:
            for options, what in ((method_args, "method"), ({} if head else head_args, "head")):
                if options:
                    raise TypeError(
                        f"the {what} is searched, and has no option {next(iter(options))!r}: name the {what}"
                    )
            if head is None:
                return None
            linear_head(head)
        else:
            self._method = registry.choose(
                methods.__name__, method, Method, method_args, ("backbone", "head")
            )
            head = head or self._method.default_head
        self._head = registry.choose(heads.__name__, head, heads.Head, head_args, ("channels", "classes"))
        return head

    def change_settings(self, **settings: Any) -> None:
        """Change method, head or their options to those that a search has found."""
        self.settings |= settings
        self._choose(*(self.settings[name] for name in CHOSEN))

    def restore_settings(self) -> None:
        """Restore the settings that were given, before a search changed them; a fit builds a network of one part."""
        self.settings = dict(self.asked)
        self.composition = None

    @property
    def covariance_rank(self) -> int:
        """Components of the pooling that the head, or one of the searched heads, needs; 0 for none."""
        return settings_search.covariance_rank(self.settings)

    def initial_backbone(self, seed: int) -> Backbone:
        """Build the backbone that a training with that random seed begins with."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            # Before a search has found a head: the searched heads are linear, and these want the class token.
            return self._backbone(self.covariance_rank, self._head is None or self._head.wants_class_token)

    def build(self, classes: Classes) -> Method:
        """Build the method with head and backbone, before training; sets `view` and `word_dim`."""
        assert self._method is not None and self._head is not None
        classes = replace(classes, rules=column_rules(self.rules, self.classes))
        body = self._backbone(self._head.covariance_rank, self._head.wants_class_token)
        self.view = (self.settings["image_size"], body.preprocessing)
        if self.composition is not None:
            return self.composition.build(body, body.channels, self.classes)
        self.word_dim = None if classes.vectors is None else classes.vectors.shape[1]
        head = self._head(body.channels, classes, **self.settings["head_args"])
        return self._method(body, head, **self.settings["method_args"])

    def _backbone(self, covariance_rank: int, class_token: bool) -> Backbone:
        known = self.settings
        return backbones.create(
            known["backbone"],
            self.pretrained,
            known["trainable"],
            known["image_size"],
            known["pool"],
            covariance_rank,
            self.weights,
            class_token,
        )

    def check_same(self, other: "Specification", folder: str | Path, names: Sequence[str]) -> None:
        """Check that the tagger of another run has the same settings and classes.

        Args:
            other: The other tagger.
            folder: Run folder of the other tagger, for the message.
            names: Names of the settings to compare.

        Raises:
            ValueError: Settings differ; the message names them.
        """
        differing = [
            f"{name} is {self.settings[name]!r} and was {other.settings[name]!r}"
            for name in names
            if self.settings[name] != other.settings[name]
        ]
        if other.composition is not None:
            differing.append("it was extended or edited, so that its network has parts: name a run of train")
        if self.classes != other.classes:
            differing.append("the classes are others, or in another order")
        if differing:
            raise ValueError(f"cannot start from {folder}: {'; '.join(differing)}")
