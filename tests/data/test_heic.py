"""Photos of phones: HEIC files are listed, read and turned upright where pillow-heif is installed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from partlabel.data.images.decode import decode, photo_formats
from partlabel.data.tables.label_table import LabelTable

pillow_heif = pytest.importorskip(
    "pillow_heif", reason="pillow-heif is not installed: pip install 'partlabel[heic]'"
)


def write_heic(path: Path, orientation: int = 1) -> None:
    """Write 64 × 32 pixels, the left half red and the right half blue."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32, 0] = pixels[:, 32:, 2] = 255
    photo_formats()  # registers HEIF, for writing too
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(path, format="HEIF", quality=95, exif=exif.tobytes())


def test_the_pixels_of_a_heic_are_those_that_were_written(tmp_path: Path) -> None:
    write_heic(tmp_path / "IMG_1.HEIC")
    found = np.asarray(decode(tmp_path / "IMG_1.HEIC")).astype(int)
    assert found.shape == (32, 64, 3)
    np.testing.assert_allclose(found[16, 8], (255, 0, 0), atol=12)
    np.testing.assert_allclose(found[16, 56], (0, 0, 255), atol=12)


def test_a_heic_that_was_taken_upright_is_turned_once(tmp_path: Path) -> None:
    """Orientation 6: the left side of what is stored is the top of the photo."""
    write_heic(tmp_path / "a.heic", orientation=6)
    found = np.asarray(decode(tmp_path / "a.heic")).astype(int)
    assert found.shape == (64, 32, 3)
    np.testing.assert_allclose(found[8, 16], (255, 0, 0), atol=12)
    np.testing.assert_allclose(found[56, 16], (0, 0, 255), atol=12)


def test_a_folder_lists_its_heic_photos(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIC", "c.hif"):
        write_heic(tmp_path / name)
    assert LabelTable.read(tmp_path).images == ("a.heic", "b.HEIC", "c.hif")
