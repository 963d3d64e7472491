"""A second view of each image, made of the one that a batch holds: an image, or the cached output of frozen stages."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from partlabel.core import distributed
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Method
from partlabel.nn.backbone import Backbone

Views = Float[Tensor, "batch channel height width"]


def second_view(method: Method, batch: Batch, progress: Progress, erased: float) -> Views:
    """Mirror the batch and erase a square.

    Args:
        method: The method, for its backbone and its name in the message.
        batch: Images, or stem outputs.
        progress: Progress of the run, which the square depends on.
        erased: Side of the square, as a share of the view's sides.

    Raises:
        ValueError: The batch holds stem outputs that are no maps.
    """
    if isinstance(method.backbone, Backbone) and not method.backbone.has_places(batch.inputs):
        raise ValueError(
            f"{type(method).__name__} makes its second view of images or feature maps, and the stem of this backbone "
            "gives neither: train without the feature cache, or with --method.consistency 0"
        )
    (labels,) = distributed.all_gather_rows(batch.labels)
    generator = progress.generator(labels.device)
    corner = torch.rand(len(labels), 2, generator=generator, device=labels.device)
    return erase(batch.inputs.flip(3), corner[distributed.local_rows(batch.labels)], erased)


def erase(views: Views, corner: Float[Tensor, "batch 2"], share: float) -> Views:
    """Set a square of each image or map to its mean, per channel.

    Args:
        views: Images or maps.
        corner: Corner of the square, from 0 for top or left to 1 for the last position where it fits.
        share: Side of the square as a share of the view's; a view of one place keeps it.
    """
    rows, columns = (
        stretch(side, first, round(share * side))
        for side, first in zip(views.shape[2:], corner.T, strict=True)
    )
    erased = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(erased, views.mean((2, 3), keepdim=True), views)


def stretch(side: int, first: Float[Tensor, " batch"], length: int) -> Bool[Tensor, "batch side"]:
    """Test whether places lie in an interval of a given length and start."""
    begin = (first * (side - length + 1)).floor()[:, None]
    place = torch.arange(side, device=first.device)
    return (begin <= place) & (place < begin + length)
