"""Listing the image files of a folder: which files are images, which subfolders are entered, and what is left out.

An image is a regular file with a suffix that the installed Pillow decodes (`decode.photo_suffixes`). Files and folders
whose names start with a dot are hidden and ignored. A linked folder is entered if it leads outside the folder; if it
leads inside, or to a folder already entered, it is left out, because its images are listed under their own path.
"""

import os
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from partlabel.core.fixes import Argument, InputError
from partlabel.core.messages import some
from partlabel.data.images.decode import HEIC, photo_suffixes

MOST = 5  # names that a message shows


@dataclass
class LeftOut:
    """Files and folders that a walk left out.

    Attributes:
        skip_broken: Leave out images whose names are not UTF-8 instead of refusing them.
        files: Number of files that are not images.
        named: First of these files, relative to the folder.
        links: Linked folders that were not entered.
        unreadable: Images whose names are not UTF-8, escaped.
        fix: Argument that leaves these images out, for messages.
    """

    skip_broken: bool = False
    files: int = 0
    named: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    fix: Argument | None = None

    def add(self, name: str) -> None:
        """Count a file that is not an image."""
        self.files += 1
        if self.files <= MOST:
            self.named.append(escaped(name))

    def warn(self, folder: Path) -> None:
        """Warn about what was left out.

        Args:
            folder: Folder that was walked.

        Warns:
            UserWarning: Something was left out.
        """
        notes = []
        if self.files:
            kind = "1 file of another kind" if self.files == 1 else f"{self.files:,} files of other kinds"
            more = f" and {self.files - MOST:,} more" if self.files > MOST else ""
            notes.append(f"{kind} left out: {', '.join(self.named)}{more}{_of_heic(self.named)}")
        if self.links:
            notes.append(f"{_number(self.links, 'linked folder')} not entered again: {some(self.links)}")
        if self.unreadable:
            number = _number(self.unreadable, "image")
            notes.append(f"{number} left out, whose name is not UTF-8: {some(self.unreadable)}")
        if notes:
            warnings.warn(f"{folder}: {'; '.join(notes)}", stacklevel=4)


def walk(folder: Path, left_out: LeftOut | None = None, beside: Collection[str] = ()) -> Iterator[str]:
    """Yield the images of a folder and its subfolders, with the names of only one folder in memory at a time.

    The order is always the same: the images of a folder by name, then its subfolders by name.

    Args:
        folder: Folder to walk.
        left_out: Record of what is left out.
        beside: Suffixes of files that the caller reads itself, in lower case; they are not counted.

    Raises:
        ValueError: Names of images are not UTF-8; raised after the last image, with these names.
    """
    left_out = LeftOut() if left_out is None else left_out
    top = os.path.realpath(folder)
    yield from _walk(str(folder), "", top, {top}, left_out, (*beside,))
    if left_out.unreadable and not left_out.skip_broken:
        number = _number(left_out.unreadable, "image")
        or_skip = () if left_out.fix is None else (", or leave it out with ", left_out.fix)
        raise InputError(
            f"{folder}: the name of {number} is not UTF-8: {some(left_out.unreadable)}; rename the file",
            *or_skip,
        )


def images_in(
    folder: Path, beside: Collection[str] = (), skip_broken: bool = False, fix: Argument | None = None
) -> list[str]:
    """Return all images of a folder and its subfolders in alphabetical order, and warn about what was left out.

    Args:
        folder: Folder to list.
        beside: Suffixes of files that the caller reads itself, as in `walk`.
        skip_broken: Leave out images whose names are not UTF-8 instead of refusing them.
        fix: Argument that sets `skip_broken`, for the message; None if the caller has none.

    Raises:
        ValueError: There are no images, or names of images are not UTF-8.

    Warns:
        UserWarning: Files or linked folders were left out.
    """
    left_out = LeftOut(skip_broken, fix=fix)
    images = sorted(walk(folder, left_out, beside))
    if not images:
        others = f"; it has {some(left_out.named)}{_of_heic(left_out.named)}" if left_out.named else ""
        raise ValueError(
            f"{folder}: no image in this folder or below{others}; looked for {', '.join(photo_suffixes())}"
        )
    left_out.warn(folder)
    return images


def is_photo(name: str) -> bool:
    """Return whether a name has the suffix of an image that can be decoded."""
    return name.lower().endswith(photo_suffixes())


def escaped(name: str) -> str:
    """Return a file name that can be printed, with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _walk(
    root: str, below: str, top: str, entered: set[str], left_out: LeftOut, beside: tuple[str, ...]
) -> Iterator[str]:
    """Yield the images below one folder; `below` is its path in the root, with `/` at its end."""
    folders = []
    with os.scandir(f"{root}/{below}") as entries:
        visible = sorted(
            (each for each in entries if not each.name.startswith(".")), key=lambda each: each.name
        )
    for entry in visible:
        name = f"{below}{entry.name}"
        if entry.is_dir():
            folders.append((name, entry.is_symlink()))
        elif not is_photo(entry.name) or not entry.is_file():
            if not entry.name.lower().endswith(beside or ("\0",)):
                left_out.add(name)
        elif escaped(name) != name:
            left_out.unreadable.append(escaped(name))
        else:
            yield name
    for name, linked in folders:
        if linked:
            real = os.path.realpath(f"{root}/{name}")
            if real in entered or f"{real}/".startswith(f"{top}/") or f"{top}/".startswith(f"{real}/"):
                left_out.links.append(escaped(name))
                continue
            entered.add(real)
        yield from _walk(root, f"{name}/", top, entered, left_out, beside)


def _number(things: list[str], what: str) -> str:
    return f"1 {what}" if len(things) == 1 else f"{len(things):,} {what}s"


def _of_heic(names: list[str]) -> str:
    """Return how to install HEIC support, if HEIC images were left out."""
    if not any(name.lower().endswith(HEIC) for name in names):
        return ""
    return " (pip install 'partlabel[heic]' reads HEIC)"
