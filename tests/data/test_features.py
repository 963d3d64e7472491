"""The feature cache gives what the backbone would have, and is computed again only if something in it changed."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from partlabel.data.features import FeatureDataset, compute
from partlabel.data.images import ImageDataset, Rows, eval_transform, train_transform
from partlabel.data.table import LabelTable
from partlabel.nn.backbone import Backbone, Preprocessing

SIZE, COUNT = 16, 6
PLAIN, LIGHT = eval_transform(SIZE, Preprocessing()), train_transform(SIZE, Preprocessing(), "light")


class Counted(nn.Conv2d):
    seen = 0

    def forward(self, x):
        Counted.seen += len(x)
        return super().forward(x)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    Counted.seen = 0
    return Backbone(Counted(3, 4, 3, 2), nn.Conv2d(4, 5, 3), 5)


@pytest.fixture
def table(tmp_path):
    for number in range(COUNT):
        pixels = np.random.RandomState(number).randint(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    names = tuple(f"{number}.png" for number in range(COUNT))
    labels = np.arange(COUNT, dtype=np.int8)[:, None] % 2
    return LabelTable(names, ("a",), labels, None, tmp_path)


def test_cached_features_are_those_of_the_stem(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    cached = FeatureDataset(files, table, np.arange(COUNT), seed=4)
    rows = [4, 0, 5, 2]
    for epoch in (-1, 0, 1, 2):
        batch, view = cached[Rows(epoch, rows)], cached.view_of(epoch)
        for place, row in enumerate(rows):
            image = ImageDataset(table, PLAIN, LIGHT if view[row] else None, SIZE).image(int(view[row]), row)
            expected = backbone.stem_outputs(image[None])[0]
            torch.testing.assert_close(batch.images[place], expected, rtol=2e-3, atol=2e-3)
        assert batch.labels[:, 0].tolist() == [0, 0, 1, 0] and batch.index.tolist() == rows


def test_views_are_drawn_anew_each_epoch_and_the_same_again(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    one, other = (FeatureDataset(files, table, np.arange(COUNT), seed=4) for _ in range(2))
    drawn = [one.view_of(epoch).tolist() for epoch in range(20)]
    assert len({tuple(views) for views in drawn}) > 1 and {v for views in drawn for v in views} == {0, 1, 2}
    assert [other.view_of(epoch).tolist() for epoch in reversed(range(20))] == drawn[::-1]
    assert not one.view_of(-1).any()


def test_rows_point_into_the_file(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    whole = FeatureDataset(files, table, np.arange(COUNT))
    part = FeatureDataset(files, table[[5, 3]], np.array([5, 3]))
    assert torch.equal(part[Rows(-1, [0, 1])].images, whole[Rows(-1, [5, 3])].images)


def test_what_is_there_is_not_computed_again(backbone, table, tmp_path):
    compute(backbone, table, PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    assert Counted.seen == 2 * COUNT
    compute(backbone, table.with_labels(1 - table.labels), PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    assert Counted.seen == 3 * COUNT, "labels do not matter, and a view more is one view's work"


def test_what_changed_is_computed_again(backbone, table, tmp_path):
    first = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    os.utime(table.path(2), (1, 1))
    touched = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    fewer = compute(backbone, table[:4], PLAIN, size=SIZE, where=tmp_path / "c")
    smaller = compute(backbone, table, eval_transform(8, Preprocessing()), size=8, where=tmp_path / "c")
    with torch.no_grad():
        backbone.stem.weight[0, 0, 0, 0] += 1
    other = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    assert len({*first, *touched, *fewer, *smaller, *other}) == 5


def test_a_computation_that_failed_leaves_nothing_behind(backbone, table, tmp_path):
    table.path(5).write_text("broken meanwhile")
    with pytest.raises(OSError, match=r"5.png: not an image"):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


def test_values_too_large_for_the_file_are_refused(backbone, table, tmp_path):
    with torch.no_grad():
        backbone.stem.weight *= 1e6
    with pytest.raises(ValueError, match="do not fit float16: train without --cache"):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")


def test_a_backbone_without_a_frozen_part_is_refused(table, tmp_path):
    free = Backbone(nn.Identity(), nn.Conv2d(3, 5, 3), 5)
    with pytest.raises(ValueError, match="this one has no such part: give --trainable last or none"):
        compute(free, table, PLAIN, where=tmp_path / "c")
