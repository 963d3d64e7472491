"""Hierarchical keywords of photos, such as `animal|dog` in `lr:hierarchicalSubject`: dog implies animal."""

from itertools import pairwise
from pathlib import Path

from partlabel.core.progress_bar import track
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.images.listing import images_in
from partlabel.data.readers.keywords import keywords_of


def recognises(path: Path) -> bool:
    """Return whether it is a folder."""
    return path.is_dir()


def read(path: Path) -> Rules:
    """Read the keywords of all photos of a folder, and of the `.xmp` files beside them.

    Raises:
        ValueError: No photo has a hierarchical keyword.
    """
    listed = images_in(path, (".xmp",))
    paths = [
        levels
        for image in track(listed, "Reading keywords", unit="photos")
        for levels in keywords_of(path / image)
    ]
    pairs = dict.fromkeys(
        (below, above) for levels in paths for above, below in pairwise(levels) if below != above
    )
    if not pairs:
        raise ValueError(
            f"{path}: none of the {len(listed)} photos has a hierarchical keyword (such as animal|dog in "
            "lr:hierarchicalSubject); write the rules into a file rules.yaml instead"
        )
    return Rules(tuple(ClassRule("implies", pair) for pair in pairs), (), str(path), names_all=False)
