"""Out-of-fold logits: models that miss different presences are made comparable."""

import torch

from partlabel.nn.cross_fitting import out_of_fold
from partlabel.nn.linear_path import Design


def test_models_that_differ_by_their_intercepts_alone_give_the_same_out_of_fold_logits():
    design = Design.of(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))
    coordinates, fold = design.rotated.shape[1], torch.arange(30) % 3
    one = torch.randn(coordinates, 2, generator=torch.Generator().manual_seed(1))
    models = [one.clone() for _ in range(3)]
    for model, shift in zip(models, (-4.0, 1.0, 3.0), strict=True):  # of mean 0
        model[-1] += shift
    torch.testing.assert_close(out_of_fold(design, torch.cat(models, 1), fold, 3), design.rotated @ one)
