"""JPEGs by simplejpeg have the pixels of Pillow, bit for bit, and what it does not decode is Pillow's."""

import numpy as np
import pytest
from PIL import Image

from partlabel.data.images import pixels as module
from partlabel.data.images.decode import decode
from partlabel.data.images.pixels import pixels, simplejpeg_decoder

SAVED = {
    "plain": {},
    "all colours": {"subsampling": 0},
    "half the colours": {"subsampling": 1},
    "progressive": {"progressive": True},
    "rotated": {"exif": 6},
    "coarse": {"quality": 20},
}


@pytest.fixture
def made(monkeypatch):
    """Count what simplejpeg decodes."""
    simplejpeg = pytest.importorskip(
        "simplejpeg", reason="it is not installed: pip install 'partlabel[fast]'"
    )
    assert simplejpeg_decoder() is simplejpeg.decode_jpeg, "it gives other pixels than this Pillow"
    found = []

    def counted(*given, **options):
        found.append(simplejpeg.decode_jpeg(*given, **options))
        return found[-1]

    monkeypatch.setattr(module, "simplejpeg_decoder", lambda: counted)
    return found


def picture(width=301, height=203, mode="RGB"):
    random = np.random.RandomState(0)
    smooth = np.add.outer(np.arange(height), np.arange(width))[..., None] * (0.2, 0.3, 0.1)
    values = smooth + random.randint(0, 60, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert(mode)


def saved(path, image, exif=None, **options):
    if exif:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = exif
    image.save(path, **options)
    return path


@pytest.mark.parametrize("at_least", [None, 150, 100, 40, 20, 8])
@pytest.mark.parametrize("kind", SAVED)
def test_pixels_are_those_of_pillow(tmp_path, made, kind, at_least):
    path = saved(tmp_path / "a.jpg", picture(), **SAVED[kind])
    assert np.array_equal(pixels(path, at_least), np.asarray(decode(path, at_least)))
    assert bool(made) == (kind != "rotated" and at_least not in (8,))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_are_those_of_pillow(tmp_path, made, mode):
    path = saved(tmp_path / "a.jpg", picture(mode=mode))
    assert np.array_equal(pixels(path, 100), np.asarray(decode(path, 100)))
    assert bool(made) == (mode == "L")


def test_a_png_is_decoded_by_pillow(tmp_path, made):
    path = saved(tmp_path / "a.png", picture())
    assert np.array_equal(pixels(path), np.asarray(decode(path))) and not made


def test_a_truncated_jpeg_has_the_error_of_pillow(tmp_path, made):
    path = saved(tmp_path / "a.jpg", picture())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(OSError, match=r"a.jpg: truncated"):
        pixels(path)


def test_a_decoder_with_other_pixels_is_not_used(monkeypatch):
    simplejpeg = pytest.importorskip("simplejpeg")
    true = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *given, **options: true(*given, **options) ^ 1)
    assert simplejpeg_decoder.__wrapped__() is None
