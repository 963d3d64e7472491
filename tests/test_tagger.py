"""The door for a user's code: fit, evaluate, predict, fill, save, load."""

import copy
import json
import shutil

import numpy as np
import polars as pl
import pytest
from PIL import Image

from partlabel import UNKNOWN, LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.data.images import dataset
from partlabel.data.tables.filled import FilledTable
from partlabel.evaluation.metrics import evaluate
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.probability_model import probability
from partlabel.training.run_folder import Run
from small import QUICK, SMALL


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def fitted(plain_run):
    return plain_run


def test_a_run_leaves_what_it_promises(fitted, table):
    _, out = fitted
    left = {path.name for path in out.iterdir()}
    assert left - {"completion.safetensors"} == {  # which is there where it helps
        *("config.json", "model.safetensors", "labels.parquet", "checkpoints", "history.json", "metrics.csv"),
        *("tensorboard", "validation.json", "test.json", "headlines.json", "report.html"),
    }
    kept = Run(out).table()
    assert (
        kept.images == table.images and np.array_equal(kept.labels, table.labels) and kept.path(0).is_file()
    )
    assert kept.split.count("train") + kept.split.count("val") == 24 and 3 <= kept.split.count("val") <= 9
    assert kept.part("test").images == table.part("test").images, "what was kept for testing stays so"


def test_a_run_killed_while_known_labels_are_looked_into_leaves_its_tagger(table, tmp_path, monkeypatch):
    def killed(*_):
        raise MemoryError

    monkeypatch.setattr("partlabel.posthoc.label_completion.fit_completion", killed)
    tagger, out = Tagger(table.classes, "bce", **SMALL), tmp_path / "run"
    tagger.completion = Completion(np.ones((len(table.classes),) * 2, np.float32))  # of what it was before
    with pytest.raises(MemoryError):
        tagger.fit(table, out=out, **QUICK)
    left = Tagger.load(out)
    assert left.completion is None and np.array_equal(left.scores(table), tagger.scores(table))
    monkeypatch.undo()
    tagger.fit(table, out=out, resume=True, **QUICK)
    assert np.array_equal(Tagger.load(out).scores(table), left.scores(table))


def test_a_loaded_tagger_says_the_same(fitted, table, tmp_path):
    tagger, out = fitted
    expected = tagger.scores(table)
    assert np.ptp(expected) > 0
    assert np.array_equal(Tagger.load(out).scores(table), expected)
    tagger.save(tmp_path / "elsewhere")
    loaded = Tagger.load(tmp_path / "elsewhere")
    assert np.array_equal(loaded.scores(table), expected)
    assert loaded.classes == table.classes and loaded.name == "bce@plain"


def test_a_method_with_words_graph_and_memory_is_loaded_again(table, tmp_path):
    words = tmp_path / "words.npz"
    vectors = np.random.RandomState(0).randn(4, 6).astype(np.float32)
    np.savez(words, names=np.array(table.classes), vectors=vectors)
    small = {"dim": 8, "attention_dim": 4, "output_dim": 8}
    transfer = {"pair_dim": 4, "pair_hidden_dim": 4, "memory_size": 3}
    tagger = Tagger(table.classes, "sst", transfer, "ssgrl", small, words=words, **SMALL)
    tagger.fit(table, out=tmp_path / "a", **QUICK)
    words.unlink()
    loaded = Tagger.load(tmp_path / "a")
    assert np.array_equal(loaded.scores(table), tagger.scores(table))
    for name, value in tagger.model.state_dict().items():
        assert np.array_equal(loaded.model.state_dict()[name], value), name
    assert np.array_equal(loaded.model.head.vectors, vectors)


def test_evaluation_is_that_of_the_scores_over_known_labels(fitted, table):
    tagger, _ = fitted
    assert tagger.evaluate(table) == evaluate(tagger.scores(table), table.labels, table.classes)


def test_columns_go_by_name(fitted, table):
    tagger, _ = fitted
    order = [2, 0, 3, 1]
    turned = LabelTable(
        table.images, tuple(table.classes[i] for i in order), table.labels[:, order], table.split, table.root
    )
    assert tagger.evaluate(turned) == tagger.evaluate(table)


def test_classes_that_differ_are_named(fitted, table):
    tagger, _ = fitted
    other = LabelTable(table.images, ("red", "green", "blue", "yelow"), table.labels, table.split, table.root)
    with pytest.raises(
        ValueError, match=r"class 'yellow' is in the model but not in the table \(did you mean 'yelow'\?\)"
    ):
        tagger.evaluate(other)
    more = LabelTable(
        table.images, (*table.classes, "pink"), np.pad(table.labels, ((0, 0), (0, 1))), None, table.root
    )
    with pytest.raises(ValueError, match="class 'pink' is in the table but not in the model"):
        tagger.fit(more, out="never")


def test_predictions_are_probabilities_by_image(fitted, table, collection, tmp_path):
    tagger, _ = fitted
    expected = probability(tagger.scores(table))
    found = tagger.predict(collection / "photos")
    assert found.columns == ["image", *table.classes] and found["image"].to_list() == list(table.images)
    np.testing.assert_allclose(found.drop("image").to_numpy(), expected, rtol=1e-5)
    some = [table.path(5), str(table.path(2))]
    listed = tagger.predict(some)
    np.testing.assert_allclose(listed.drop("image").to_numpy(), expected[[5, 2]], rtol=1e-5)
    one = tagger.predict(str(table.path(7)))
    assert one["image"].to_list() == ["07.png"]
    np.testing.assert_allclose(one.drop("image").to_numpy(), expected[[7]], rtol=1e-5)


def test_batches_and_caches_change_nothing(fitted, table, tmp_path):
    tagger, _ = fitted
    expected = tagger.scores(table)
    np.testing.assert_allclose(tagger.scores(table, batch_size=5), expected, rtol=1e-4, atol=1e-5)
    cached = tagger.scores(table, cache="features", cache_dir=tmp_path)
    np.testing.assert_allclose(cached, expected, atol=2e-2)
    assert len(list(tmp_path.glob("*/00000.npy"))) == 1


def test_filling_touches_blanks_alone(fitted, table):
    tagger, _ = fitted
    tagger = copy.copy(tagger)
    tagger.completion = None
    sure = probability(tagger.scores(table))
    blank = table.labels == UNKNOWN
    accept, reject = np.quantile(sure[blank], [0.7, 0.3])
    filled = tagger.fill(table, float(accept), float(reject))
    assert np.array_equal(filled.table.labels[~blank], table.labels[~blank])
    assert (filled.table.labels[blank] == 1).any() and (filled.table.labels[blank] == 0).any()
    assert np.array_equal(filled.table.labels == UNKNOWN, blank & (sure < accept) & (sure > reject))
    np.testing.assert_allclose(filled.probability[blank], sure[blank], rtol=1e-4)
    row, column = np.argwhere(blank)[0].tolist()
    assert filled.source_of(row, column) == "bce@plain"


def test_what_is_known_of_an_image_votes_when_its_blanks_are_filled(fitted, table, tmp_path):
    tagger = copy.copy(fitted[0])
    votes = np.zeros((4, 4), np.float32)
    votes[1, 0] = 50.0
    tagger.completion = Completion(votes)
    sure = tagger.fill(table).probability[:, 1]
    told = table.labels[table.labels[:, 1] == UNKNOWN, 0]
    asked = sure[table.labels[:, 1] == UNKNOWN]
    assert {0, UNKNOWN} <= set(told.tolist())
    assert asked[told == 0].max() < 0.01 < asked[told == UNKNOWN].min()
    assert Tagger.load(tagger.save(tmp_path / "saved")).completion.votes[1, 0] == 50.0


@pytest.mark.parametrize("name", ["filled.csv", "filled.parquet"])
def test_what_the_first_fill_accepted_stays_the_models_in_the_second(fitted, collection, tmp_path, name):
    run, photos = str(fitted[1]), str(collection / "photos")
    first, second = tmp_path / name, tmp_path / "again.csv"
    source = [str(collection / "labels.csv"), "--images", photos, "--accept", "0.5", "--reject", "0.3"]
    assert main(["fill", run, *source, "--out", str(first)]) == 0
    assert main(["fill", run, str(first), "--images", photos, "--out", str(second)]) == 0
    before, after = FilledTable.load(first), FilledTable.load(second)
    blank = LabelTable.read(collection / "labels.csv").labels == UNKNOWN
    made = blank & (before.table.labels != UNKNOWN)
    assert made.any() and np.array_equal(after.probability[made], before.probability[made])
    assert np.isnan(after.probability[~blank]).all()

    out = tmp_path / "r.json"
    assert main(["fill", run, str(first), "--images", photos, "--to", "fiftyone", "--out", str(out)]) == 0
    samples = json.loads(out.read_text())["samples"]
    for row, column in np.argwhere(made).tolist():
        listed = [each for field in ("positive_labels", "negative_labels") for each in
                  samples[row][field]["classifications"]]  # fmt: skip
        (said,) = [each for each in listed if each["label"] == after.table.classes[column]]
        assert said["tags"] == ["bce@plain"] and said["confidence"] >= 0.5


def test_a_run_of_another_seed_finds_the_cache_of_the_one_before(table, tmp_path):
    """Other images are set apart, and the pooling's components are those of all the same."""
    cache = {"cache": "features", "cache_views": 1, "cache_dir": str(tmp_path / "cache")}
    parts = []
    for seed in (0, 1):
        tagger = Tagger(table.classes, "soft_sst", image_size=32)
        tagger.fit(table, out=tmp_path / f"{seed}", **QUICK | cache | {"seed": seed})
        assert tagger.model.backbone.stem[-1].basis.abs().sum() > 0
        parts.append(LabelTable.read(tmp_path / f"{seed}" / "labels.parquet", missing="keep").split)
    assert parts[0] != parts[1]
    assert len(list((tmp_path / "cache").glob("*/view.json"))) == 2, "of train and val together, and of test"


@pytest.fixture
def broken(table, collection, tmp_path):
    """Return a table with a missing and a truncated training image, and a missing test image."""
    shutil.copytree(collection / "photos", tmp_path / "photos")
    (tmp_path / "photos/03.png").unlink()
    whole = (tmp_path / "photos/05.png").read_bytes()
    (tmp_path / "photos/05.png").write_bytes(whole[:60])
    (tmp_path / "photos/30.png").unlink()
    return LabelTable(table.images, table.classes, table.labels, table.split, tmp_path / "photos")


def test_broken_images_are_all_named_before_training(broken, tmp_path):
    with pytest.raises(ValueError, match=r"2 of 24 images cannot be read; .*skip_broken=True") as caught:
        Tagger(broken.classes, "bce", **SMALL).fit(broken, out=tmp_path / "a", **QUICK)
    assert "03.png: missing" in str(caught.value) and "05.png: " in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_broken_images_are_left_out_and_listed(broken, tmp_path):
    Tagger(broken.classes, "bce", **SMALL).fit(broken, out=tmp_path / "a", skip_broken=True, **QUICK)
    skipped = pl.read_csv(tmp_path / "a/skipped.csv")
    assert skipped["image"].to_list() == ["03.png", "05.png"] and skipped["reason"][0] == "missing"
    kept = LabelTable.read(tmp_path / "a/labels.parquet")
    assert set(broken.images) - set(kept.images) == {"03.png", "05.png"}


def test_prediction_leaves_broken_photos_out_only_if_told(fitted, broken):
    tagger, _ = fitted
    with pytest.raises(ValueError, match=r"1 of 30 images cannot be read"):
        tagger.predict(broken.root)
    assert len(tagger.predict(broken.root, skip_broken=True)) == 29


def test_images_are_read_once_to_be_predicted_and_filled(fitted, broken, monkeypatch):
    tagger, _ = fitted
    read, pixels = [], dataset.pixels
    monkeypatch.setattr(dataset, "pixels", lambda path, *more: read.append(path.name) or pixels(path, *more))
    expected = tagger.predict(broken.root, batch_size=4, skip_broken=True)
    assert sorted(read) == sorted(path.name for path in broken.root.iterdir())

    read.clear()
    filled = tagger.fill(broken, batch_size=4, skip_broken=True)
    blank = (broken.labels == UNKNOWN).any(axis=1)
    assert sorted(read) == [name for name, asked in zip(broken.images, blank, strict=True) if asked]
    gone = {name for name, asked in zip(broken.images, blank, strict=True) if asked} & {
        "03.png",
        "05.png",
        "30.png",
    }
    assert set(broken.images) - set(filled.table.images) == gone and len(gone) >= 2
    if tagger.completion is None:
        sure = dict(zip(expected["image"], expected.drop("image").to_numpy(), strict=True))
        for row in np.flatnonzero((filled.table.labels == UNKNOWN).any(axis=1)):
            unknown = filled.table.labels[row] == UNKNOWN
            np.testing.assert_allclose(
                filled.probability[row][unknown], sure[filled.table.images[row]][unknown], rtol=1e-4
            )


def test_a_table_is_filled_though_none_of_its_blanks_can_be_seen(fitted, broken):
    labels = np.zeros_like(broken.labels)
    labels[3] = UNKNOWN
    filled = fitted[0].fill(broken.with_labels(labels), skip_broken=True)
    assert len(filled.table) == len(broken) - 1 and "03.png" not in filled.table.images


def test_photos_none_of_which_can_be_read_are_an_error_all_the_same(fitted, tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(
        ValueError, match=r"none of the 1 images can be read; the first: a.png is not an image"
    ):
        fitted[0].predict(tmp_path, skip_broken=True)


def test_validation_may_be_a_part_or_a_table_of_its_own(table, tmp_path):
    split = ["val" if row < 6 else part for row, part in enumerate(table.split)]
    Tagger(table.classes, "bce", **SMALL).fit(table.with_split(split), out=tmp_path / "a", **QUICK)
    assert LabelTable.read(tmp_path / "a/labels.parquet").split == tuple(split)
    own = table.part("test")
    Tagger(table.classes, "bce", **SMALL).fit(table, out=tmp_path / "b", **QUICK | {"val": own})
    assert "val" not in LabelTable.read(tmp_path / "b/labels.parquet").parts
    images = json.loads((tmp_path / "b/validation.json").read_text())["images"]
    assert images == 8


def test_test_images_are_never_learned_from(table, tmp_path):
    """Whatever the test labels say, the weights are the same."""
    turned = table.labels.copy()
    turned[24:] = 1 - turned[24:]
    ends = []
    for name, given in (("a", table), ("b", table.with_labels(turned))):
        tagger = Tagger(table.classes, "bce", **SMALL).fit(given, out=tmp_path / name, **QUICK)
        ends.append(tagger.scores(table))
    assert np.array_equal(*ends)


def test_a_table_with_parts_needs_one_to_train_on(table, tmp_path):
    with pytest.raises(ValueError, match=r"has the parts 'test' and none is 'train'"):
        Tagger(table.classes, "bce", **SMALL).fit(table.part("test"), out=tmp_path / "a", **QUICK)


def test_a_table_of_which_nothing_is_known_is_refused(table, tmp_path):
    blank = table.with_labels(np.full_like(table.labels, UNKNOWN))
    with pytest.raises(ValueError, match=r"no label of the .* training images is known"):
        Tagger(table.classes, "bce", **SMALL).fit(blank, out=tmp_path / "a", **QUICK)


def test_options_that_do_not_exist_name_the_nearest(table):
    with pytest.raises(
        TypeError, match=r"SST has no option 'intra_treshold' \(did you mean 'intra_threshold'\?\)"
    ):
        Tagger(table.classes, "sst", {"intra_treshold": 0.9})
    with pytest.raises(ValueError, match=r"no head 'averge' \(did you mean 'average'\?\)"):
        Tagger(table.classes, "bce", head="averge")
    with pytest.raises(TypeError, match=r"no training option 'epoch' \(did you mean 'epochs'\?\)"):
        Tagger(table.classes, "bce", **SMALL).fit(table, epoch=3)


def test_a_tagger_that_was_not_fitted_says_so(table):
    with pytest.raises(ValueError, match=r"is not fitted: call fit\(\), or load a fitted one by Tagger.load"):
        Tagger(table.classes).scores(table)


def test_a_folder_without_a_finished_run_says_so(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no tagger: there is no config.json"):
        Tagger.load(tmp_path)
    shutil.copy(fitted[1] / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="has not ended: continue it by --resume"):
        Tagger.load(tmp_path)


def test_a_description_cannot_make_anything_but_methods_and_heads(fitted, tmp_path):
    """A model from a stranger: its config.json names a class that would run a program."""
    shutil.copytree(fitted[1], tmp_path / "a")
    description = json.loads((tmp_path / "a/config.json").read_text())
    description["tagger"] |= {
        "method": "subprocess.Popen",
        "method_args": {"args": ["touch", str(tmp_path / "x")]},
    }
    (tmp_path / "a/config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"subprocess.Popen is not a subclass of Method"):
        Tagger.load(tmp_path / "a")
    assert not (tmp_path / "x").exists()


def test_weights_of_another_model_are_refused(fitted, tmp_path):
    shutil.copytree(fitted[1], tmp_path / "a")
    description = json.loads((tmp_path / "a/config.json").read_text())
    description["classes"].append("pink")
    (tmp_path / "a/config.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"model.safetensors does not fit .*config.json"):
        Tagger.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["model.safetensors", "completion.safetensors"])
@pytest.mark.parametrize("kept", [0, 20, -10])
def test_a_file_that_was_cut_off_is_named(fitted, tmp_path, name, kept):
    shutil.copytree(fitted[1], tmp_path / "a")
    Completion(np.zeros((4, 4), np.float32)).save(tmp_path / "a/completion.safetensors")
    path = tmp_path / "a" / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"a/{name} is damaged, .*; copy it again from "):
        Tagger.load(tmp_path / "a")


def test_votes_of_other_classes_are_refused(fitted, tmp_path):
    shutil.copytree(fitted[1], tmp_path / "a")
    Completion(np.zeros((3, 3), np.float32)).save(tmp_path / "a/completion.safetensors")
    with pytest.raises(
        ValueError, match=r"completion.safetensors is of other classes than .*config.json; copy"
    ):
        Tagger.load(tmp_path / "a")


def test_a_photo_of_any_size_and_mode_is_taken(fitted, tmp_path):
    Image.new("L", (3, 500)).save(tmp_path / "thin.png")
    Image.new("RGBA", (1, 1)).save(tmp_path / "tiny.webp")
    assert np.isfinite(fitted[0].predict(tmp_path).drop("image").to_numpy()).all()
