"""The feature cache gives what the backbone would have, and is computed again only if something in it changed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from partlabel.core.types import Preprocessing
from partlabel.data.cache import eviction, feature_cache, feature_pass
from partlabel.data.cache.feature_cache import compute
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.cache.shard_file import Layout
from partlabel.data.images import dataset
from partlabel.data.images.dataset import BatchRows, ImageDataset, eval_transform, train_transform
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.backbone import Backbone, create

SIZE, COUNT = 16, 6
PLAIN, LIGHT = eval_transform(SIZE, Preprocessing()), train_transform(SIZE, Preprocessing(), "light")


class Counted(nn.Conv2d):
    seen = 0

    def forward(self, x):
        Counted.seen += len(x) * bool(x.any())  # a black image only asks what shape comes out
        return super().forward(x)


def seeded():
    torch.manual_seed(0)
    Counted.seen = 0
    return Backbone(Counted(3, 4, 3, 2), nn.Conv2d(4, 5, 3), 5)


@pytest.fixture
def backbone():
    return seeded()


def compute_seeded(folder, table, cache="c"):
    return compute(seeded(), table, PLAIN, LIGHT, 1, SIZE, folder / cache, per_shard=2)


def files_in(cache):
    return sorted(path.name for path in cache.glob("*/[0-9]*.npy"))


def start(folder, die=0, wait=0.0):
    """A process that computes a view of shards of two images, and writes how many images it computed."""
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), str(die), str(wait)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def draws_of(table):
    """Return the bytes of the photo, which augmentations depend on."""
    files = (table.path(row).read_bytes() for row in range(len(table)))
    return [int(blake2b(file, digest_size=16).hexdigest()[:8], 16) for file in files]


@pytest.fixture
def table(tmp_path):
    return draw(tmp_path)


def draw(tmp_path, seed=0):
    for number in range(COUNT):
        pixels = np.random.RandomState(seed + number).randint(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    names = tuple(f"{number}.png" for number in range(COUNT))
    labels = np.arange(COUNT, dtype=np.int8)[:, None] % 2
    return LabelTable(names, ("a",), labels, None, tmp_path)


def test_cached_features_are_those_of_the_stem(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    cached = FeatureDataset(files, table, np.arange(COUNT), seed=4)
    draws = draws_of(table)
    rows = [4, 0, 5, 2]
    for epoch in ("plain", 0, 1, 2):
        batch, view = cached[BatchRows(epoch, rows)], cached.view_of(epoch)
        for place, row in enumerate(rows):
            images = ImageDataset(table, PLAIN, LIGHT if view[row] else None, SIZE, draws=draws)
            image = images.image(int(view[row]), row)
            expected = backbone.stem_outputs(image[None])[0]
            torch.testing.assert_close(batch.inputs[place], expected, rtol=2e-3, atol=2e-3)
        assert batch.labels[:, 0].tolist() == [0, 0, 1, 0] and batch.index.tolist() == rows


def test_views_are_drawn_anew_each_epoch_and_the_same_again(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    one, other = (FeatureDataset(files, table, np.arange(COUNT), seed=4) for _ in range(2))
    drawn = [one.view_of(epoch).tolist() for epoch in range(20)]
    assert len({tuple(views) for views in drawn}) > 1 and {v for views in drawn for v in views} == {0, 1, 2}
    assert [other.view_of(epoch).tolist() for epoch in reversed(range(20))] == drawn[::-1]
    assert not one.view_of("plain").any()


def test_rows_point_into_the_file(backbone, table, tmp_path):
    files = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    whole = FeatureDataset(files, table, np.arange(COUNT))
    part = FeatureDataset(files, table[[5, 3]], np.array([5, 3]))
    assert torch.equal(part[BatchRows("plain", [0, 1])].inputs, whole[BatchRows("plain", [5, 3])].inputs)


def test_what_is_there_is_not_computed_again(backbone, table, tmp_path):
    compute(backbone, table, PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    assert Counted.seen == 2 * COUNT
    compute(backbone, table.with_labels(1 - table.labels), PLAIN, LIGHT, 3, SIZE, tmp_path / "c")
    assert Counted.seen == 3 * COUNT, "labels do not matter, and a view more is one view's work"


def test_only_what_changed_is_computed_again(backbone, table, tmp_path):
    def seen(*of, size=SIZE, plain=PLAIN):
        before = Counted.seen
        (view,) = compute(backbone, *of, plain, size=size, where=tmp_path / "c")
        return Counted.seen - before, [held.path for held in view.held]

    first, paths = seen(table)
    assert first == COUNT and len(paths) == 1
    Image.fromarray(np.full((20, 24, 3), 7, np.uint8)).save(table.path(2))
    changed, both = seen(table)
    assert changed == 1 and both[0] == paths[0] and len(both) == 2, (
        "the photo that changed, in a view of its own"
    )
    assert seen(table[:2]) == (0, paths) and seen(table[[5, 3, 2]]) == (0, both)
    smaller, other = seen(table, size=8, plain=eval_transform(8, Preprocessing()))
    assert smaller == COUNT and not set(other) & set(both)
    with torch.no_grad():
        backbone.stem.weight[0, 0, 0, 0] += 1
    assert seen(table)[0] == COUNT


def test_features_taken_from_several_views_are_those_of_each_photo(backbone, table, tmp_path):
    whole = compute(seeded(), table, PLAIN, LIGHT, 2, SIZE, tmp_path / "whole")
    for part in ([4, 1], [0, 5], [5, 2, 1, 3]):
        compute(backbone, table[part], PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    Counted.seen = 0
    parts = compute(backbone, table[[3, 1, 4, 0, 5, 2]], PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    assert Counted.seen == 0
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.take(np.array([3, 1, 4, 0, 5, 2])), other.take(np.arange(COUNT)))


def test_a_photo_that_is_twice_in_a_table_is_computed_once(backbone, table, tmp_path):
    shutil.copy(table.path(0), table.path(3))
    (view,) = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    assert Counted.seen == COUNT - 1
    assert np.array_equal(view.take(np.array([0])), view.take(np.array([3])))


def test_a_copy_of_the_images_is_not_computed_again(backbone, table, tmp_path):
    compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    for row in range(COUNT):
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / f"copy/{table.images[row]}").write_bytes(table.path(row).read_bytes())
    copy = LabelTable(table.images, table.classes, np.array(table.labels), None, tmp_path / "copy")
    compute(backbone, copy, PLAIN, size=SIZE, where=tmp_path / "c")
    assert Counted.seen == COUNT


def test_photos_that_cannot_be_read_are_found_in_the_pass_and_the_others_kept(backbone, table, tmp_path):
    whole = table.path(4).read_bytes()
    table.path(4).write_text("broken meanwhile")
    table.path(1).unlink()
    with pytest.raises(OSError, match=r"1.png: missing"):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", per_shard=2)
    assert files_in(tmp_path / "c") == ["00000.npy", "00001.npy", "00002.npy"]
    assert not list((tmp_path / "c").rglob("*.part*"))
    Counted.seen = 0
    (view,), broken = feature_cache.lookup(
        backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", per_shard=2
    )
    assert broken == [("1.png", "missing"), ("4.png", "not an image")] and Counted.seen == 0
    assert view.there.tolist() == [True, False, True, True, False, True]
    with pytest.raises(ValueError, match="1 of 2 images have no features"):
        view.take(np.array([0, 4]))
    table.path(4).write_bytes(whole)
    compute(backbone, table[[0, 2, 3, 4, 5]], PLAIN, size=SIZE, where=tmp_path / "c", per_shard=2)
    assert Counted.seen == 1


def test_a_photo_that_could_not_be_read_for_a_moment_is_computed_later(
    backbone, table, tmp_path, monkeypatch
):
    def fail(self, row, before=ImageDataset.pixels):
        if row == 2:
            raise OSError(f"{self.paths[row]}: too many open files")
        return before(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDataset, "pixels", fail)
        _, broken = feature_cache.lookup(backbone, table, PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    assert broken == [("2.png", "too many open files")]
    Counted.seen = 0
    compute(backbone, table, PLAIN, LIGHT, 2, SIZE, tmp_path / "c")
    assert Counted.seen == 2


def test_each_photo_is_decoded_once_for_all_its_views(backbone, table, tmp_path, monkeypatch):
    decoded = []
    pixels = dataset.pixels
    monkeypatch.setattr(
        dataset, "pixels", lambda path, *more: decoded.append(path.name) or pixels(path, *more)
    )
    compute(backbone, table, PLAIN, LIGHT, 4, SIZE, tmp_path / "c")
    assert sorted(decoded) == sorted(table.images)


def test_a_killed_computation_goes_on_where_it_stopped(table, tmp_path):
    killed = start(tmp_path, die=5)
    killed.wait(100)
    assert killed.returncode == -signal.SIGKILL
    assert files_in(tmp_path / "c") == ["00000.npy", "00001.npy"], "of images 0 to 3; it died in 4 and 5"
    assert list((tmp_path / "c").rglob(".*.part*")), "what it left half-written"
    cached = FeatureDataset(compute_seeded(tmp_path, table), table, np.arange(COUNT))
    assert Counted.seen == 2, "the last shard alone"
    assert files_in(tmp_path / "c") == ["00000.npy", "00001.npy", "00002.npy"]
    assert not list((tmp_path / "c").rglob(".*.part*"))

    fresh = FeatureDataset(compute_seeded(tmp_path, table, "other"), table, np.arange(COUNT))
    asked = BatchRows("plain", list(range(COUNT)))
    assert torch.equal(cached[asked].inputs, fresh[asked].inputs)


def test_two_processes_compute_a_view_once(table, tmp_path):
    other = start(tmp_path, wait=0.2)
    while other.poll() is None and not list(tmp_path.glob("c/*/.*.part.npy")):
        time.sleep(0.01)
    cached = FeatureDataset(compute_seeded(tmp_path, table), table, np.arange(COUNT))
    assert other.communicate(timeout=100) == (str(COUNT), "")
    assert Counted.seen == 0, "this one waited for the other"
    assert len(cached[BatchRows("plain", list(range(COUNT)))].inputs) == COUNT


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_shard_is_found_and_computed_again(backbone, table, tmp_path, damage):
    def view():
        (view,) = compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", per_shard=2)
        return view

    asked = BatchRows("plain", list(range(COUNT)))
    path = view().held[0].path / "00001.npy"
    before = FeatureDataset([view()], table, np.arange(COUNT))[asked].inputs
    whole = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    elif damage == "cut":
        path.write_bytes(whole[:-30])
    else:
        path.unlink()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        repaired = view()
    why = {
        "flipped": "a wrong checksum",
        "cut": f"{len(whole) - 30} bytes in place of {len(whole)}",
        "gone": None,
    }
    expected = [f"{path} is damaged ({why[damage]}) and is computed again"] if why[damage] else []
    assert [str(warning.message) for warning in said] == expected
    assert path.read_bytes() == whole and Counted.seen == COUNT + 2, "two images were computed again"
    assert torch.equal(FeatureDataset([repaired], table, np.arange(COUNT))[asked].inputs, before)


VIEW_BYTES = 128 + COUNT * 2 * 4 * 7 * 7 + 16
"""Of the view of six images: a header, a map of 4 channels and 7 by 7 places each, and a checksum."""


def test_views_that_do_not_fit_the_bound_are_refused_before_anything_is_computed(backbone, table, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"cache needs 7.49KB \(3 views of 6 images, 392B each\), and --cache-size allows 6KB: "
        r"give --cache-size 7.49KB, or --cache-views 2, a smaller",
    ):
        compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c", limit=6000)
    assert Counted.seen == 0 and not files_in(tmp_path / "c")
    compute(backbone, table, PLAIN, LIGHT, 3, SIZE, tmp_path / "c", limit=3 * VIEW_BYTES)


def test_the_views_least_recently_used_make_room(backbone, tmp_path):
    def use(number, limit=None):
        """Compute a view of another collection, which is then unused; return its path."""
        (tmp_path / str(number)).mkdir(exist_ok=True)
        photos = draw(tmp_path / str(number), 10 * number)
        (view,) = compute(backbone, photos, PLAIN, size=SIZE, where=tmp_path / "c", limit=limit)
        return view.held[0].path

    def at(path, second):
        os.utime(path / "in-use.lock", (second, second))

    first, second, third = (use(number) for number in (1, 2, 3))
    for number, path in enumerate((second, third, first)):
        at(path, number)
    use(4, 3 * VIEW_BYTES)
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    at(first, 1)
    at(third, 2)
    assert use(1) == first, "which now is the one last used"
    use(5, 3 * VIEW_BYTES)
    assert [path.exists() for path in (first, third)] == [True, False]


def test_a_view_in_use_is_never_deleted(backbone, table, tmp_path):
    used = FeatureDataset(
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c"), table, np.arange(COUNT)
    )
    (tmp_path / "rest").mkdir()
    rest = draw(tmp_path / "rest", 100)
    with pytest.raises(OSError, match=r"2.5KB in .*c are in use: wait for .* or --cache-size 5KB"):
        compute(backbone, rest, PLAIN, size=SIZE, where=tmp_path / "c", limit=4000)
    path = used.views[0].held[0].path
    assert path.exists()
    del used
    compute(backbone, rest, PLAIN, size=SIZE, where=tmp_path / "c", limit=4000)
    assert not path.exists()


def test_where_there_are_no_locks_all_works_but_nothing_is_deleted(backbone, table, tmp_path, monkeypatch):
    monkeypatch.setattr(eviction, "fcntl", None)
    for _ in range(2):
        compute(backbone, table, PLAIN, LIGHT, 2, SIZE, tmp_path / "c", limit=2 * VIEW_BYTES)
    assert Counted.seen == 2 * COUNT
    with pytest.raises(OSError, match=r"5KB in .*c are in use"):
        compute(backbone, draw(tmp_path, 100), PLAIN, size=SIZE, where=tmp_path / "c", limit=2 * VIEW_BYTES)
    assert len(files_in(tmp_path / "c")) == 2


def test_one_process_at_a_time_holds_a_lock_and_another_says_that_it_waits(tmp_path, monkeypatch):
    said, order = [], []
    monkeypatch.setattr(eviction, "say", said.append)
    path = tmp_path / "computing.lock"

    def second():
        with eviction.locked(path, "Waiting for the other") as alone:
            order.append(("second", alone))

    with eviction.locked(path) as alone:
        other = threading.Thread(target=second)
        other.start()
        other.join(0.2)
        order.append(("first", alone))
    other.join(10)
    assert order == [("first", True), ("second", True)] and said == ["Waiting for the other"]


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(self, *args, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(eviction.FileLock, "acquire", refuse)
    with eviction.locked(tmp_path / "computing.lock") as alone:
        assert not alone


def test_a_view_that_is_promised_counts_before_it_is_computed(backbone, table, tmp_path):
    """Two runs that start at once would both find the folder empty."""
    layout = Layout(COUNT, (4, 7, 7), COUNT)
    (promised,) = eviction.reserve(tmp_path / "c", {"promised": layout})
    with pytest.raises(OSError, match=r"2.5KB in .*c are in use"):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", limit=2 * VIEW_BYTES - 1)
    compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", limit=2 * VIEW_BYTES)
    assert promised.path.exists()


def test_nothing_but_views_is_deleted(backbone, table, tmp_path):
    (tmp_path / "c/mine").mkdir(parents=True)
    (tmp_path / "c/mine/large.npy").write_bytes(bytes(10_000))
    compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c", limit=3000)
    assert (tmp_path / "c/mine/large.npy").exists()


def test_a_disk_without_room_is_noticed_before_anything_is_computed(backbone, table, tmp_path, monkeypatch):
    monkeypatch.setattr(
        eviction.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 500, 500)
    )
    with pytest.raises(
        OSError, match=r"needs 2.5KB .*, and the disk of .*c has 500B left: give a --cache-dir on"
    ):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")
    assert Counted.seen == 0


def test_a_real_backbone_says_the_same_of_cached_and_of_decoded_images(table, tmp_path):
    torch.manual_seed(0)
    body = create("test_resnet", pretrained=False, image_size=32)
    plain, light = eval_transform(32, body.preprocessing), train_transform(32, body.preprocessing)
    views = compute(body, table, plain, light, 3, 32, tmp_path / "c", per_shard=4)
    cached = FeatureDataset(views, table, np.arange(COUNT), seed=4)
    for epoch in ("plain", 0, 1):
        seen = cached.view_of(epoch)
        photos = ImageDataset(table, plain, light, 32, draws=draws_of(table))
        images = [photos.image(int(seen[row]) or "plain", row) for row in range(COUNT)]
        with torch.no_grad():
            expected = body.eval()(torch.stack(images))
            found = body(cached[BatchRows(epoch, list(range(COUNT)))].inputs)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


def test_values_too_large_for_the_file_are_refused(backbone, table, tmp_path):
    with torch.no_grad():
        backbone.stem.weight *= 1e6
    with pytest.raises(ValueError, match="do not fit float16: give --cache none"):
        compute(backbone, table, PLAIN, size=SIZE, where=tmp_path / "c")


def test_a_backbone_without_a_frozen_part_is_refused(table, tmp_path):
    free = Backbone(nn.Identity(), nn.Conv2d(3, 5, 3), 5)
    with pytest.raises(ValueError, match="this backbone has no such part: give --trainable last or none"):
        compute(free, table, PLAIN, where=tmp_path / "c")


if __name__ == "__main__":
    here, (die, wait) = Path(sys.argv[1]), map(float, sys.argv[2:])
    labels = np.arange(COUNT, dtype=np.int8)[:, None] % 2
    photos = LabelTable(tuple(f"{number}.png" for number in range(COUNT)), ("a",), labels, None, here)
    body, before, feature_pass.BATCH = seeded(), ImageDataset.pixels, 1

    def pixels(self, row):
        time.sleep(wait)
        if row == die > 0:
            time.sleep(0.5)  # while the batch before it is written
            os.kill(os.getpid(), signal.SIGKILL)
        return before(self, row)

    ImageDataset.pixels = pixels
    compute(body, photos, PLAIN, LIGHT, 1, SIZE, here / "c", per_shard=2)
    print(Counted.seen, end="")
