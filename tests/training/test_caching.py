"""With a frozen backbone each photo is decoded once, whatever is done with it afterwards."""

import json
import shutil
import warnings

import numpy as np
import polars as pl
import pytest
import torch

from partlabel.core.labels import UNKNOWN
from partlabel.data.cache import feature_cache
from partlabel.data.images import broken, dataset
from partlabel.data.images.dataset import eval_transform
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.result import Evaluation
from partlabel.nn import backbone as backbones
from partlabel.reporting import thumbnails
from partlabel.tagger import Tagger
from partlabel.training import caching
from partlabel.training.config import TrainingConfig

SMALL = {"image_size": 32, "backbone": "test_resnet", "pretrained": False}
QUICK = {"epochs": 1, "batch_size": 8, "val": 0.25, "accelerator": "cpu", "weight_decay": 0.02}


@pytest.fixture
def photos(collection, tmp_path):
    """Return a table with copied photos, so that no other test knows them; the last two are nearly equal."""
    shutil.copytree(collection / "photos", tmp_path / "photos")
    return LabelTable.read(collection / "labels.csv", tmp_path / "photos")


@pytest.fixture
def decoded(monkeypatch):
    """Record the names of the photos that were decoded, except for thumbnails."""
    names = []

    def counted(decode):
        return lambda path, *more, **options: names.append(path.name) or decode(path, *more, **options)

    monkeypatch.setattr(dataset, "pixels", counted(dataset.pixels))
    monkeypatch.setattr(broken, "decode", counted(broken.decode))
    monkeypatch.setattr(thumbnails, "read_small", lambda path, size: None)
    return names


def test_what_trains_on_cached_features_by_itself():
    assert caching.uses_cache(True, TrainingConfig())
    assert not caching.uses_cache(False, TrainingConfig())
    assert caching.uses_cache(False, TrainingConfig(cache="features"))
    assert not caching.uses_cache(True, TrainingConfig(cache="none"))


@pytest.mark.parametrize(
    ("method", "head", "options"),
    [
        ("auto", None, {}),
        ("bce", "average", {}),
        ("bce", "covariance", {"cache_views": 3, "weight_decay": 0.02}),
        ("sst", "ssgrl", {"cache_views": 2, "weight_decay": 0.02}),
    ],
)
def test_a_photo_is_decoded_once_in_a_training_and_never_in_the_next(
    photos, tmp_path, decoded, method, head, options
):
    cache = {"cache_dir": str(tmp_path / "cache"), "weight_decay": None} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Tagger(photos.classes, method, head=head, **SMALL).fit(photos, out=tmp_path / "a", **QUICK | cache)
        assert sorted(decoded) == sorted(photos.images)
        decoded.clear()
        again = Tagger(photos.classes, method, head=head, **SMALL)
        again.fit(photos, out=tmp_path / "b", **QUICK | cache)
    assert decoded == []
    tagger = Tagger.load(tmp_path / "b", trust=True)
    tagger.evaluate(photos.part("test"))
    tagger.fill(LabelTable.read(tmp_path / "b/labels.parquet", photos.root))
    assert decoded == [], "evaluating and filling take what training left"


def test_a_broken_photo_costs_nothing_of_what_was_computed(photos, tmp_path, decoded):
    cache = {"cache_dir": str(tmp_path / "cache"), "augment": "none"}
    (photos.root / "05.png").write_bytes(b"no image")
    (photos.root / "03.png").unlink()
    with pytest.raises(ValueError, match=r"2 of 24 images cannot be read; .*skip_broken=True") as caught:
        Tagger(photos.classes, "bce", head="covariance", **SMALL).fit(
            photos, out=tmp_path / "a", **QUICK | cache
        )
    assert "03.png: missing" in str(caught.value) and "05.png: not an image" in str(caught.value)
    assert not (tmp_path / "a").exists()
    decoded.clear()
    tagger = Tagger(photos.classes, "bce", head="covariance", **SMALL)
    tagger.fit(photos, out=tmp_path / "a", skip_broken=True, **QUICK | cache)
    test = [image for image, part in zip(photos.images, photos.split, strict=True) if part == "test"]
    assert sorted(decoded) == sorted(["05.png", *test]), (
        "the broken one again, and what was not looked at yet"
    )
    assert pl.read_csv(tmp_path / "a/skipped.csv")["image"].to_list() == ["03.png", "05.png"]


def test_the_pooling_is_that_of_the_photos_whether_kept_or_fitted(photos, tmp_path):
    def made(where):
        backbone = backbones.create(trainable="none", image_size=32, covariance_rank=2)
        plain = eval_transform(32, backbone.preprocessing)
        (view,) = feature_cache.compute(backbone, photos, plain, size=32, where=tmp_path / where)
        return backbone, view.take(np.arange(len(photos)))

    (fitted, one), (loaded, other), (fresh, third) = made("a"), made("a"), made("b")
    direct = backbones.create(trainable="none", image_size=32, covariance_rank=2)
    plain = dataset.ImageDataset(photos, eval_transform(32, direct.preprocessing), size=32)
    stacked = torch.stack([plain.image(-1, row) for row in range(len(photos))])
    backbones.fit_pooling(direct, stacked.split(8))
    for backbone in (loaded, fresh, direct):
        assert torch.equal(fitted.pooling.basis, backbone.pooling.basis)
    assert np.array_equal(one, other) and np.array_equal(one, third)
    expected = fitted.stem_outputs(stacked).numpy()
    np.testing.assert_allclose(one, expected, rtol=2e-3, atol=2e-3)


def test_scores_from_the_cache_are_those_of_the_photos(photos, tmp_path):
    cache = {"cache_dir": str(tmp_path / "cache"), "augment": "none"}
    tagger = Tagger(photos.classes, "bce", head="covariance", **SMALL)
    tagger.fit(photos, out=tmp_path / "a", **QUICK | cache)
    shutil.copy(photos.root / "00.png", photos.root / "new.png")
    labels = np.full((3, len(photos.classes)), UNKNOWN, np.int8)
    some = LabelTable(("31.png", "new.png", "02.png"), photos.classes, labels, root=photos.root)
    found = tagger.scores(some)
    np.testing.assert_allclose(found, tagger.scores(some, cache="none"), atol=2e-2)
    np.testing.assert_allclose(found[1], tagger.scores(photos[:1])[0], atol=2e-2)


def test_without_a_cache_nothing_is_written(photos, tmp_path):
    tagger = Tagger(photos.classes, "bce", head="average", **SMALL)
    tagger.fit(photos, out=tmp_path / "a", cache="none", cache_dir=str(tmp_path / "cache"), **QUICK)
    assert not (tmp_path / "cache").exists()
    assert json.loads((tmp_path / "a/config.json").read_text())["training"]["cache"] == "none"
    assert not Tagger.load(tmp_path / "a").cache.used


def test_the_size_of_the_cache_is_said_before_it_is_computed(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PARTLABEL_QUIET")
    tagger = Tagger(photos.classes, "bce", head="average", **SMALL)
    tagger.fit(photos, out=tmp_path / "a", cache_dir=str(tmp_path / "cache"), cache_views=2, **QUICK)
    said = capsys.readouterr().err
    assert f"Caching features of 24 photos in 2 views: 9.51KB in {tmp_path / 'cache'}" in said


def test_a_labelled_part_test_is_scored_at_the_end(photos, tmp_path):
    tagger = Tagger(photos.classes, "bce", head="average", **SMALL)
    tagger.fit(photos, out=tmp_path / "a", **QUICK)
    scored = Evaluation.load(tmp_path / "a/test.json")
    expected = tagger.evaluate(photos.part("test"))
    assert scored.images == 8 and scored.map == pytest.approx(expected.map)

    labels = photos.labels.copy()
    labels[24:] = UNKNOWN
    tagger.fit(photos.with_labels(labels), out=tmp_path / "b", **QUICK)
    assert not (tmp_path / "b/test.json").exists(), "nothing is known of it"


def test_the_part_test_is_decoded_once_with_and_without_the_cache(photos, tmp_path, decoded):
    of_test = [f"{row}.png" for row in range(24, 32)]
    tagger = Tagger(photos.classes, "bce", head="average", **SMALL)
    for cache in ("none", "features"):
        decoded.clear()
        tagger.fit(photos, out=tmp_path / cache, cache=cache, cache_dir=str(tmp_path / "store"), **QUICK)
        assert sorted(name for name in decoded if name in of_test) == of_test, cache


def test_test_photos_that_cannot_be_read_cost_no_training(photos, tmp_path):
    (photos.root / "30.png").unlink()
    tagger = Tagger(photos.classes, "bce", head="average", **SMALL)
    for out, cache in (("a", None), ("b", "none")):
        with pytest.warns(
            UserWarning, match=r"1 of 8 images of the part 'test' cannot be read.*30.png \(missing\)"
        ):
            tagger.fit(photos, out=tmp_path / out, cache=cache, **QUICK)
        assert Evaluation.load(tmp_path / out / "test.json").images == 7
