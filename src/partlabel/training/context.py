"""Folder, time and place of the training photos, where the evidence sources that a user names compare them."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from partlabel.data.images.context import context_keys
from partlabel.data.tables.label_table import LabelTable
from partlabel.selection.candidates import EVIDENCE
from partlabel.transfer import sources
from partlabel.transfer.teacher import with_default


def asked_context(table: LabelTable, settings: Mapping[str, Any]) -> Int64[Tensor, "image kind"] | None:
    """Compute the keys of the training photos (`data/images/context.py`); None unless a source needs them.

    Args:
        table: The training images.
        settings: Settings of the tagger; `sources` is an option of the method `evidence`.
    """
    if settings["method"] != EVIDENCE:
        return None
    names = with_default(settings["method_args"].get("sources", ""))
    if not any("context" in sources.get(name).needs for name in names):
        return None
    return torch.from_numpy(context_keys(table.images, table.root))
