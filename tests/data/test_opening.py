"""Files that are no photos, or are made to keep a reader busy, are refused before they are decoded."""

import os
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from attacks import encapsulated_postscript, many_scans
from partlabel.data.images.decode import decode, photo_formats
from partlabel.data.images.opening import opened, scans
from partlabel.reporting.thumbnails import read_small


def refused(path):
    with pytest.raises(OSError) as error:  # noqa: PT011 - Unsafe, or what `decode` makes of it
        decode(path)
    assert str(error.value).startswith(f"{path}: ")
    assert read_small(path, 64) is None
    return str(error.value).removeprefix(f"{path}: ")


def test_jpegs_of_many_scans_are_refused_without_being_decoded(tmp_path):
    (tmp_path / "a.jpg").write_bytes(many_scans(4000, 200))
    assert refused(tmp_path / "a.jpg").startswith("a JPEG of more than 32 scans")
    (tmp_path / "b.jpg").write_bytes(many_scans(8000, 20))
    assert refused(tmp_path / "b.jpg").startswith("a JPEG of more than 16 scans")


@pytest.mark.parametrize("progressive", [True, False])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_what_encoders_write_is_read(tmp_path, mode, progressive):
    noise = np.random.RandomState(0).randint(0, 255, (97, 61, len(Image.new(mode, (1, 1)).getbands())))
    image = Image.fromarray(noise.astype(np.uint8).squeeze(), mode)
    image.save(
        tmp_path / "a.jpg", progressive=progressive, comment="\N{PILE OF POO} \xff\xda", restart_marker_rows=1
    )
    assert decode(tmp_path / "a.jpg").size == (61, 97)


def test_scans_are_counted_as_a_decoder_goes_through_them():
    file = BytesIO()
    Image.new("RGB", (64, 64), (200, 10, 10)).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    assert scans(whole) == whole.count(b"\xff\xda") == 10
    hidden = whole[:2] + b"\xff\xe5\x00\x06\xff\xda\xff\xda" + whole[2:]  # within a segment that is skipped
    assert scans(hidden) == 10
    assert scans(whole + b"\xff\xda" * 99) == 10  # after the end
    assert scans(many_scans(64, 500), most=32) == 33
    assert scans(b"") == scans(b"\xff\xd8") == scans(b"\xff" * 9) == 0


def test_formats_that_start_a_program_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *args, **options: pytest.fail("a program was started"))
    (tmp_path / "a.jpg").write_bytes(encapsulated_postscript())
    assert refused(tmp_path / "a.jpg") == "not an image"
    (tmp_path / "b.png").write_bytes(b"%PDF-1.4\n%%EOF\n")
    assert refused(tmp_path / "b.png") == "not an image"
    assert not {"EPS", "PDF", "WMF", "FITS", "GRIB", "HDF5"} & {*photo_formats()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_pipes_and_devices_are_no_files(tmp_path):
    """To open a pipe would wait for whoever writes to it, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "a.jpg")
    assert refused(tmp_path / "a.jpg") == "a pipe or a device, not a file"
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    assert refused(tmp_path / "b.jpg") == "a pipe or a device, not a file"
    assert refused(tmp_path) == "a folder, not an image"


def test_a_file_that_is_open_is_read_from_where_it_was(tmp_path):
    Image.new("RGB", (20, 10), (1, 2, 3)).save(tmp_path / "a.jpg", progressive=True)
    with open(tmp_path / "a.jpg", "rb") as file, opened(file, ("JPEG",)) as image:
        assert np.asarray(image).shape == (10, 20, 3)
