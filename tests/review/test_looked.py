"""What a model says of every image is what it says elsewhere, is kept, and computed again when it may have changed."""

import os
import shutil

import numpy as np
import pytest

from partlabel.data.tables.label_table import LabelTable
from partlabel.reporting.run_outputs import examples_of
from partlabel.review import predictions_cache
from partlabel.tagger import Tagger
from partlabel.training.config import TrainingConfig
from partlabel.training.run_folder import Run

QUICK = TrainingConfig(epochs=1, batch_size=8, val=0.0, accelerator="cpu", weight_decay=0.02)
SSGRL = {"dim": 8, "attention_dim": 4, "output_dim": 8}
KINDS = {
    "soft_sst": {"head": "covariance"},
    "sst": {"head": "ssgrl", "head_args": SSGRL, "method_args": {"pair_dim": 4, "pair_hidden_dim": 4}},
}


@pytest.fixture(scope="module")
def table(collection):
    return LabelTable.read(collection / "labels.csv", images=collection / "photos")


@pytest.fixture(scope="module", params=KINDS)
def fitted(request, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("looked") / request.param
    kind = KINDS[request.param]
    tagger = Tagger(table.classes, request.param, image_size=64, pretrained=False, **kind)
    return tagger.fit(table, out=out, config=QUICK), Run(out)


def test_it_says_what_the_model_says_and_images_are_compared_by_unit_features(fitted, table):
    tagger, run = fitted
    found = predictions_cache.load_predictions(tagger, run, table)
    assert np.allclose(found.logits, tagger.scores(table, cache="none"), atol=1e-5)
    assert np.allclose(np.linalg.norm(found.features.astype(np.float32), axis=1), 1, atol=1e-2)
    dim = tagger.model.head.image_dim or tagger.model.head.channels
    assert found.features.shape == (len(table), dim)


def test_it_is_computed_once_and_anew_with_other_weights(fitted, table, monkeypatch, tmp_path):
    tagger, run = fitted
    run = Run(shutil.copytree(run.folder, tmp_path / "run"))
    first = predictions_cache.load_predictions(tagger, run, table)
    with monkeypatch.context() as patch:
        patch.setattr(predictions_cache, "_look", None)
        again = predictions_cache.load_predictions(tagger, run, table)
        assert np.array_equal(first.logits, again.logits)
        assert np.array_equal(first.features, again.features)
        predictions_cache.load_predictions(
            tagger, run, table.with_labels(np.zeros_like(table.labels))
        )  # labels do not matter
        os.utime(run.weights, (1, 1))
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            predictions_cache.load_predictions(tagger, run, table)


def test_what_was_kept_and_is_damaged_is_looked_at_again(fitted, table, tmp_path):
    tagger, run = fitted
    run = Run(shutil.copytree(run.folder, tmp_path / "run"))
    first = predictions_cache.load_predictions(tagger, run, table)
    (kept,) = run.review.glob("looked-*")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-10])
    again = predictions_cache.load_predictions(tagger, run, table)
    assert np.array_equal(first.logits, again.logits)
    assert kept.read_bytes() == whole


def test_images_that_cannot_be_read_are_left_out(fitted, table, tmp_path):
    tagger, run = fitted
    photos = shutil.copytree(table.root, tmp_path / "photos")
    (photos / table.images[5]).write_bytes(b"no image")
    broken = LabelTable(table.images, table.classes, table.labels, table.split, photos)
    found = predictions_cache.load_predictions(
        tagger, Run(shutil.copytree(run.folder, tmp_path / "run")), broken
    )
    assert np.isnan(found.logits).any(axis=1).nonzero()[0].tolist() == [5]
    assert (found.features[5] == 0).all()


def test_an_image_looked_into_is_judged_as_everywhere(fitted, table):
    """By the method, whose logits may be more than its head's."""
    tagger, _ = fitted
    seen = examples_of(tagger, table[[3]])[0]
    assert np.allclose(seen.probability, 1 / (1 + np.exp(-tagger.scores(table[[3]])[0])), atol=1e-5)


def test_a_method_with_a_pair_head_has_pairs_and_attention_to_show(fitted, table):
    tagger, _ = fitted
    seen = examples_of(tagger, table[[3]])[0]
    has = tagger.settings["method"] == "sst"
    assert (seen.cooccurrence is not None) is has
    assert (seen.attention is not None) is has
