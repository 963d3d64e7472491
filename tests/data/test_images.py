"""Images: the right way up, in RGB, augmented by seed, epoch and image alone; the broken ones found."""

import numpy as np
import pytest
import torch
from PIL import Image

from partlabel.core.types import Preprocessing
from partlabel.data.images import dataset
from partlabel.data.images.dataset import (
    BatchRows,
    Broken,
    ImageDataset,
    eval_transform,
    find_broken,
    train_transform,
)
from partlabel.data.images.decode import decode
from partlabel.data.images.loader import Batches, loader
from partlabel.data.tables.label_table import LabelTable

PLAIN = Preprocessing((0.0,), (1.0,))


def noise(width=40, height=30, seed=0):
    return Image.fromarray(np.random.RandomState(seed).randint(0, 255, (height, width, 3), np.uint8))


def table(folder, names):
    return LabelTable(tuple(names), ("a",), np.zeros((len(names), 1), np.int8), None, folder)


@pytest.fixture
def photos(tmp_path):
    for number in range(7):
        noise(seed=number).save(tmp_path / f"{number}.png")
    return table(tmp_path, [f"{number}.png" for number in range(7)])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_the_way_up_it_was_taken(tmp_path, orientation):
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste("red", (0, 0, 8, 8))  # top left
    turn = {  # what a camera stores so that undoing it gives the upright image
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    noise().convert(mode).save(tmp_path / "a.tif" if mode in ("CMYK", "LA") else tmp_path / "a.png")
    (path,) = tmp_path.iterdir()
    assert decode(path).mode == "RGB"


def test_sixteen_bits_keep_their_brightness(tmp_path):
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = np.asarray(decode(tmp_path / "a.png"))[..., 0].astype(float)
    assert np.abs(found - values / 257).max() <= 1


def test_large_photos_are_read_smaller_but_never_too_small(tmp_path):
    noise(800, 600).save(tmp_path / "a.jpg")
    assert decode(tmp_path / "a.jpg").size == (800, 600)
    assert decode(tmp_path / "a.jpg", 100).size == (200, 150)
    assert decode(tmp_path / "a.jpg", 500).size == (800, 600)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_large_images_of_any_kind_come_smaller_too(tmp_path, mode):
    """Of a file without draft modes each pixel is the mean of a square of pixels."""
    noise(80, 60).convert(mode).save(tmp_path / "a.tif")
    whole, small = decode(tmp_path / "a.tif"), decode(tmp_path / "a.tif", 20)
    assert whole.size == (80, 60) and small.size == (27, 20)
    squares = np.asarray(whole)[:, :78].reshape(20, 3, 26, 3, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(np.asarray(small)[:, :26] - squares).max() <= 1


def test_a_turned_photo_is_turned_after_it_was_made_small(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(80, 60).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert decode(tmp_path / "a.jpg").size == (60, 80)
    assert decode(tmp_path / "a.jpg", 30).size == (30, 40)
    upright = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB").transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(decode(tmp_path / "a.jpg"), upright)


def test_every_broken_image_is_named_with_its_reason(tmp_path, monkeypatch):
    noise().save(tmp_path / "fine.png")
    noise(300, 300).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image at all")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    Image.new("1", (2000, 2000)).save(tmp_path / "bomb.png")
    Image.new("1", (1200, 1200)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    names = [
        "gone.png",
        "fine.png",
        "cut.jpg",
        "text.jpg",
        "empty.png",
        "folder.png",
        "bomb.png",
        "large.png",
    ]
    assert find_broken(table(tmp_path, names)) == [
        Broken("gone.png", "missing"),
        Broken("cut.jpg", "truncated"),
        Broken("text.jpg", "not an image"),
        Broken("empty.png", "an empty file"),
        Broken("folder.png", "a folder, not an image"),
        Broken("bomb.png", "more than 2,000,000 pixels, which may be a decompression bomb"),
    ]


def test_leaving_all_images_out_is_an_error(photos):
    with pytest.raises(ValueError, match=r"none of the 7 images can be read; the first: 0.png is missing"):
        dataset.skip(photos, [Broken(name, "missing") for name in photos.images])


@pytest.mark.parametrize("scheme", ["light", "paper", "none"])
def test_training_images_have_the_size_asked_for(scheme):
    pixels = torch.randint(0, 255, (3, 50, 90), dtype=torch.uint8)
    out = train_transform(56, Preprocessing(), scheme)(pixels)
    assert out.shape == (3, 56, 56) and out.dtype == torch.float32
    assert out.min() >= -1 and out.max() <= 1


def test_the_papers_crops_are_squares_of_five_sizes():
    """Of an image whose channels hold their own coordinates, the crop can be read off."""
    axis = (2 * torch.arange(128)).to(torch.uint8)
    pixels = torch.stack([axis.expand(128, 128), axis[:, None].expand(128, 128), axis.expand(128, 128)])
    look = train_transform(112, PLAIN, "paper")  # 448 / 4, so that the sides are the paper's / 4
    torch.manual_seed(0)
    sides, flips = set(), set()
    for _ in range(60):
        out = look(pixels) * 255
        wide = (out[0, 56, 107] - out[0, 56, 4]) / 103 * 112 / 2
        high = (out[1, 107, 56] - out[1, 4, 56]) / 103 * 112 / 2
        assert abs(abs(wide) - high) < 3
        sides.add(min((512, 448, 384, 320, 256), key=lambda side: abs(side - 4 * float(high))))
        flips.add(bool(wide < 0))
    assert sides == {512, 448, 384, 320, 256} and flips == {True, False}


def test_an_image_is_augmented_by_seed_epoch_and_row_alone(photos):
    look = train_transform(16, PLAIN, "light")
    data = ImageDataset(photos, eval_transform(16, PLAIN), look, 16, seed=5)
    alone, among = data[BatchRows(3, [4])], data[BatchRows(3, [1, 4, 2])]
    assert torch.equal(alone.inputs[0], among.inputs[1])
    assert not torch.equal(alone.inputs[0], data[BatchRows(4, [4])].inputs[0])
    other = ImageDataset(photos, eval_transform(16, PLAIN), look, 16, seed=6)
    assert not torch.equal(alone.inputs[0], other[BatchRows(3, [4])].inputs[0])
    state = torch.get_rng_state()
    _ = data[BatchRows(0, [0])]
    assert torch.equal(state, torch.get_rng_state()), "the draw leaves others' chance alone"


def test_evaluation_sees_plain_images(photos):
    look = train_transform(16, PLAIN, "light")
    data = ImageDataset(photos, eval_transform(16, PLAIN), look, 16)
    plain = ImageDataset(photos, eval_transform(16, PLAIN), None, 16)
    assert torch.equal(data[BatchRows("plain", [2, 3])].inputs, plain[BatchRows(7, [2, 3])].inputs)


def test_workers_change_nothing(photos):
    def batches(workers):
        data = ImageDataset(photos, eval_transform(16, PLAIN), train_transform(16, PLAIN), 16, seed=1)
        made = loader(data, 3, shuffle=True, seed=2, workers=workers)
        made.sampler.set_epoch(4)
        return list(made)

    for one, other in zip(batches(0), batches(2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_threads_change_nothing_and_keep_broken_images_apart(photos, monkeypatch):
    (photos.path(2)).write_text("no image")
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)  # noqa: B023
        made = {"plain": eval_transform(16, PLAIN), "augment": train_transform(16, PLAIN), "size": 16}
        found.append(ImageDataset(photos, leave_out=True, **made)[BatchRows(1, list(range(7)))])
        with pytest.raises(OSError, match=r"2\.png: not an image"):
            ImageDataset(photos, **made)[BatchRows(1, list(range(7)))]
    assert found[0].index.tolist() == [0, 1, 3, 4, 5, 6]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 4), (7, 3), (9, 4), (8, 4), (5, 4), (10, 3), (6, 1)])
def test_every_image_comes_once_an_epoch_and_none_alone(count, size):
    batches = Batches(count, size, shuffle=True, seed=1)
    orders = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        asked = list(batches)
        assert len(asked) == len(batches) and all(one.view == epoch for one in asked)
        orders.append([row for one in asked for row in one.rows])
        assert sorted(orders[-1]) == list(range(count))
        assert all(len(one.rows) > 1 for one in asked) or size == 1 or count == 1
    assert orders[0] != orders[1] or count == 1
    batches.set_epoch(0)
    assert [row for one in batches for row in one.rows] == orders[0]


def test_evaluation_takes_every_image_once_in_order():
    asked = list(Batches(9, 4))
    assert [one.rows for one in asked] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert all(one.view == "plain" for one in asked)


PICTURE = np.add.outer(np.arange(0, 128, 2), np.arange(0, 128, 2)).astype(np.uint8)  # 0 to 252


def saved(folder, name, values):
    Image.fromarray(values).save(folder / name)
    return folder / name


def deep(folder):
    """Draw the same picture with 8 bits, and in every other supported mode."""
    whole = PICTURE.astype(np.uint16)
    yield saved(folder, "8.png", PICTURE)
    yield saved(folder, "16.png", whole * 257)
    yield saved(folder, "16.tif", whole * 257)
    yield saved(folder, "12.png", whole * 16)
    yield saved(folder, "12.tif", whole * 16)
    yield saved(folder, "8in16.png", whole)
    yield saved(folder, "int32.tif", whole.astype(np.int32) * 257)
    yield saved(folder, "float.tif", (PICTURE / 255).astype(np.float32))


def test_a_picture_looks_the_same_whatever_the_depth_of_its_pixels(tmp_path):
    plain, *others = deep(tmp_path)
    wanted = np.asarray(decode(plain)).astype(int)
    for path in others:
        found = np.asarray(decode(path)).astype(int)
        assert found.shape == wanted.shape, path.name
        assert np.abs(found - wanted).max() <= 1, path.name


def test_colours_of_twelve_bits_are_not_black(tmp_path):
    """Pillow keeps the upper 8 of 16 bits, so that 4 of 12 are left."""
    import struct
    import zlib

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = np.repeat(PICTURE.astype(np.uint16)[..., None] * 16, 3, axis=2).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    found = np.asarray(decode(tmp_path / "a.png")).astype(int)
    assert np.abs(found - PICTURE[..., None].astype(int)).max() <= 17


@pytest.mark.parametrize("values", [[0.0, 255.0], [-1.0, 1.0], [0.0, float("nan")], [0.0, float("inf")]])
def test_floats_of_no_stated_range_are_refused_by_name(tmp_path, values):
    path = saved(tmp_path, "a.tif", np.array([values] * 2, np.float32))
    with pytest.raises(
        OSError, match=r"a.tif: 32-bit float with values from .* to .*, but only 0 to 1 can be read"
    ):
        decode(path)


def test_images_that_were_scaled_are_counted(tmp_path):
    from partlabel.audit import inspection

    names = [path.name for path in deep(tmp_path)]
    table = LabelTable(tuple(names), ("dog",), np.ones((len(names), 1), np.int8), root=tmp_path)
    with pytest.warns(
        UserWarning, match="2 of 8 images have 12 bits in 16, and were scaled to 8 bits: 12.png, 12.tif"
    ):
        assert find_broken(table) == []
    found = inspection.inspect(table, look=True)
    assert {each.what: each.images for each in found.scaled} == {
        "12 bits in 16": ("12.png", "12.tif"),
        "8 bits in 16": ("8in16.png",),
        "32-bit float": ("float.tif",),
    }
