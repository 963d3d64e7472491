"""What `inspect` finds, on tables and drawings small enough to see it by eye."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from drawings import draw_photos
from partlabel import LabelTable
from partlabel.audit import inspection, near_duplicates

LABELS = np.array([[1, 0, -1, 1], [1, 1, -1, 0], [1, -1, 1, -1], [-1, 0, 1, -1]], np.int8)


def table(labels=LABELS, split=None, root=None, images=None):
    images = images or tuple(f"{row}.jpg" for row in range(len(labels)))
    classes = tuple("abcdefgh"[: labels.shape[1]])
    return LabelTable(images, classes, labels, split, root)


def test_classes_are_counted_and_those_with_one_side_are_named():
    found = inspection.inspect(table())
    assert found.classes[0] == ("a", 3, 0, 1) and found.classes[3] == ("d", 1, 1, 2)
    assert found.never_absent == ("a", "c") and found.never_present == ()
    assert found.known == 10 / 16
    assert not found.looked


def test_pairs_never_known_together_and_never_present_together():
    found = inspection.inspect(table())
    assert {(one, other) for one, other, _ in found.never_together.first} == {("c", "d")}
    # b and c are both known in the last image alone, b and d in the first two, where d is not with b
    assert {(one, other) for one, other, _ in found.apart.first} == {("b", "c"), ("b", "d")}
    expected = {(one, other): number for one, other, number in found.apart.first}
    assert expected["b", "d"] == pytest.approx(2 * (1 / 3) * (1 / 2))  # 2 images, b in a third, d in a half
    assert found.apart.number == 2


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six drawings, of which 5 is 0 made smaller and darker, 6 a copy of 1, 7 white and 8 cut off."""
    folder = tmp_path_factory.mktemp("photos")
    draw_photos(folder, 5)
    names = sorted(path.name for path in folder.iterdir())
    random = np.random.RandomState(0)
    for name in names:  # of drawings alike, noise in large squares makes photos that differ
        noise = Image.fromarray(random.randint(0, 255, (7, 7, 3), np.uint8)).resize((96, 96), 3)
        noise.save(folder / name)
    first = Image.open(folder / names[0])
    ImageEnhance.Brightness(first.resize((60, 60))).enhance(0.8).save(folder / "small.jpg", quality=60)
    (folder / "copy.png").write_bytes((folder / names[1]).read_bytes())
    Image.new("RGB", (50, 50), "white").save(folder / "white.png")
    Image.new("RGB", (50, 50), "white").save(folder / "white2.png")
    (folder / "cut.png").write_bytes((folder / names[2]).read_bytes()[:60])
    return folder, (*names, "small.jpg", "copy.png", "white.png", "white2.png", "cut.png", "gone.png")


def test_near_duplicates_are_grouped_and_told_across_parts_and_labels(photos):
    folder, images = photos
    labels = np.full((len(images), 2), -1, np.int8)
    labels[0], labels[5] = (1, 0), (0, 0)
    split = tuple("test" if name == "small.jpg" else "train" for name in images)
    found = inspection.inspect(table(labels, split, folder, images), look=True)
    assert {each.images for each in found.alike} == {(images[0], "small.jpg"), (images[1], "copy.png")}
    assert found.leaks == (((images[0], "small.jpg"), ("train", "test"), ("a",)),)
    assert [each.image for each in found.broken] == ["cut.png", "gone.png"]
    assert found.broken[1].reason == "missing"


def test_an_image_of_one_colour_is_like_no_other():
    assert near_duplicates.difference_hash(Image.new("RGB", (40, 40), "white")) is None
    assert near_duplicates.groups([None, None], 6) == []


def test_a_hash_says_what_grows_lighter_to_the_right_and_downwards():
    ramp = Image.fromarray(np.tile(np.arange(0, 180, 2, np.uint8), (90, 1)))
    bits = near_duplicates.difference_hash(ramp)
    assert bits is not None and bits[:64].all() and not bits[64:].any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_groups_are_those_of_comparing_all_with_all(seed, most):
    random = np.random.RandomState(seed)
    start = random.rand(3, near_duplicates.BITS) < 0.5
    hashes = start[random.randint(3, size=12)] ^ (random.rand(12, near_duplicates.BITS) < 0.04)
    linked = (hashes[:, None] != hashes[None]).sum(axis=2) <= most
    for _ in range(4):  # paths of up to sixteen steps
        linked = linked @ linked
    naive = {tuple(np.flatnonzero(row).tolist()) for row in linked if row.sum() > 1}
    assert {tuple(group) for group in near_duplicates.groups(list(hashes), most)} == naive


def test_photos_that_differ_step_by_step_are_one_group():
    steps = np.tri(41, near_duplicates.BITS, -1, dtype=bool)[
        ::4
    ]  # each has four bits more than the one before
    order = np.random.RandomState(0).permutation(len(steps))
    lone = ~np.zeros(near_duplicates.BITS, bool)
    assert near_duplicates.groups([*steps[order], lone], 4) == [list(range(len(steps)))]
    assert near_duplicates.groups([*steps[order], lone], 3) == []


def test_a_distance_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="near_bits is 99; near-duplicates differ in 0 to 32 of 128 bits"):
        inspection.inspect(table(), near_bits=99)
