"""An image folder that is searched for the image of a written path, by the rules of `paths.py`."""

import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from partlabel.data.images.listing import LeftOut, is_photo, walk
from partlabel.data.images.written_paths import comparable, composed, parts_of, tails, without_suffix

_MOST_WALKED = 100_000  # images, in a folder that is not named explicitly


class Match(NamedTuple):
    """Image to which a path was resolved, and how: `tail`, `name` or `stem`."""

    image: str
    how: str


class Ambiguous(NamedTuple):
    """Several images that a path may mean."""

    images: tuple[str, ...]


class ImageFolder:
    """An image folder; each subfolder is listed once, and all of them once a path is missing.

    Args:
        root: Image folder.
        named: Whether the user gave this folder as the image folder.
    """

    def __init__(self, root: Path, named: bool) -> None:
        self.root = root
        self.named = named
        self._files: dict[str, frozenset[str]] = {}
        self._index: _Index | None = None

    def has(self, path: str) -> bool:
        """Return whether a path is a file of the folder, spelled exactly so."""
        folder, _, name = path.rpartition("/")
        if folder.startswith(("/", "..")) or path.startswith("/"):
            return False
        if folder not in self._files:
            self._files[folder] = _files_in(f"{self.root}/{folder}")
        return name in self._files[folder]

    def find(self, written: str) -> Match | Ambiguous | None:
        """Return the image that a path means."""
        parts = parts_of(written)
        if not parts:
            return None
        is_id = not is_photo(parts[-1])
        for tail in tails(parts):
            if self.has(tail):
                return Match(tail, "tail")
            if (match := _only(tail, self.index.paths[comparable(tail)], "name")) is not None:
                return match
            if is_id and (match := _only(tail, self.index.stems[comparable(tail)], "stem")) is not None:
                return match
        if not self.named:
            return None
        whole = f"/{comparable('/'.join(parts))}"
        below = [path for path in self.named_alike(parts[-1]) if comparable(path).endswith(whole)]
        if not below and is_id:
            below = [
                each
                for each in self.index.of_stem[comparable(parts[-1])]
                if comparable(without_suffix(each)).endswith(whole)
            ]
        return _only("/".join(parts), below, "tail")

    def named_alike(self, path: str) -> list[str]:
        """Return the images of the same name in any subfolder."""
        parts = parts_of(path)
        return self.index.of_name[comparable(parts[-1])] if parts else []

    @property
    def index(self) -> "_Index":
        """Index of all images of the folder; of the first ones, if the user did not give the folder."""
        if self._index is None:
            images = walk(self.root, LeftOut(skip_broken=True))
            self._index = _Index(images if self.named else islice(images, _MOST_WALKED))
        return self._index


class _Index:
    """Images by what is the same in spite of case and Unicode form: path, path without suffix, name, stem."""

    def __init__(self, images: Iterator[str]) -> None:
        self.paths: dict[str, list[str]] = defaultdict(list)
        self.stems: dict[str, list[str]] = defaultdict(list)
        self.of_name: dict[str, list[str]] = defaultdict(list)
        self.of_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            key, stem = comparable(image), comparable(without_suffix(image))
            self.paths[key].append(image)
            self.stems[stem].append(image)
            self.of_name[key.rpartition("/")[2]].append(image)
            self.of_stem[stem.rpartition("/")[2]].append(image)


def _only(written: str, candidates: list[str], how: str) -> Match | Ambiguous | None:
    """Return the only candidate; of several, the one that differs only in Unicode form."""
    if len(candidates) > 1:
        same = [each for each in candidates if composed(each) == composed(written)]
        candidates = same if len(same) == 1 else candidates
    if len(candidates) > 1:
        return Ambiguous(tuple(candidates))
    return Match(candidates[0], how) if candidates else None


def _files_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()
