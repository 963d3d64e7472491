"""TextPrior: the weights of a class start from its name, and the labels teach the difference.

    logit_c = t_c . x + b_c,   t_c = slope_c text_c + delta_c,   minimise BCE(known labels) + decay |delta|^2

text_c are the weights whose logits are the resemblance of the image to the name of the class, by an image encoder and a
text encoder that were aligned (docs/towers.md); they are given and fixed. One weight of the standardised scores of all
classes, and an offset for each, are fitted to the known labels first. A class without labels keeps its name alone, and
with many labels the name no longer matters.

This is PositiveCoOp (Rawlekar et al., WACV 2025, arXiv:2409.08381) without the text encoder in the graph: that has a
learned prompt and a free residual for presence, and a free vector r_c without text for absence. On one pooled feature
its `sigmoid(z+ - z-)` depends on `text_c + delta_c - r_c` alone, and decay on both is decay on their difference. A
residual on fixed text features is TaskRes (Yu et al., CVPR 2023, arXiv:2211.10277).
"""

from typing import ClassVar

import torch

from partlabel.core.targets import Targets
from partlabel.methods._base import FullBatch
from partlabel.methods._supervised import Supervised
from partlabel.transfer.combination import name_scale


class TextPrior(Supervised):
    """Weights start from the class names, and labels add a residual (after PositiveCoOp, WACV 2025, arXiv:2409.08381).

    The full-batch solver fits it, with a tower. In training by steps it is partial BCE.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; a linear one.
    """

    default_head: ClassVar[str] = "covariance"
    adds: ClassVar[str] = "weights decay towards those of the class names, instead of to zero"
    needs: ClassVar[str] = "labels, a linear head, a tower"
    needs_full_batch: ClassVar[bool] = True

    @torch.no_grad()
    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit the scale of the names to the known labels, then the head with its weights pulled towards the names.

        Raises:
            ValueError: There is no tower.
        """
        if problem.zero_shot is None:
            raise ValueError(
                "the method text_prior starts from class names, and there is no tower: give --tower FOLDER "
                "(partlabel align makes one; docs/towers.md), or another --method"
            )
        known = Targets.known(problem.labels)
        problem.fit(self.head, known, names=name_scale(problem.zero_shot, known))
