"""A second backbone as teacher: in training alone, and only where it is another one."""

import numpy as np
import pytest

from partlabel import LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.training.config import TrainingConfig
from partlabel.training.second_backbone import second_features
from small import SMALL, train_words


@pytest.fixture(scope="module")
def table(collection):
    return LabelTable.read(collection / "labels.csv", collection / "photos").part("train")


@pytest.fixture
def random_weights(monkeypatch):
    """Backbones have random weights, for nothing is downloaded here."""
    from partlabel.nn import backbone as backbones

    create = backbones.create

    def untrained(name, pretrained=False, *given, **options):
        return create(name, False, *given, **options)

    monkeypatch.setattr(backbones, "create", untrained)


def test_its_features_are_rooted_means_with_mean_0_and_deviation_1(table, random_weights, tmp_path):
    config = TrainingConfig(teacher_backbone="test_efficientnet", cache_dir=str(tmp_path))
    features = second_features(table, {"image_size": 64}, config)
    assert features.shape[0] == len(table) and features.ndim == 2
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    deviation = features.std(0).numpy()
    np.testing.assert_allclose(deviation[deviation > 0.5], 1, atol=1e-4)


def test_without_one_there_are_no_features(table):
    assert second_features(table, {"image_size": 32}, TrainingConfig()) is None


def test_train_tries_evidence_with_it_and_the_tagger_needs_it_no_more(table, random_weights, tmp_path):
    tagger = Tagger(table.classes, **SMALL)
    tagger.fit(
        table, out=tmp_path / "run", teacher_backbone="test_efficientnet", cache_dir=str(tmp_path / "cache")
    )
    assert any(each.rule.method == "evidence" for each in tagger.selection.candidates)
    names = tagger.model.state_dict()
    assert not [name for name in names if "second" in name]
    assert tagger.predict(table).shape[0] == len(table)


def test_the_same_backbone_is_refused(collection, tmp_path, capsys):
    typed = ["train", str(collection / "labels.csv"), "--images", str(collection / "photos")]
    code = main([*typed, "--teacher-backbone", "lite0", "--out", str(tmp_path / "run")])
    assert code and "--teacher-backbone lite0 is the backbone of the tagger" in capsys.readouterr().err


def test_a_method_trained_by_steps_is_refused(collection, tmp_path, capsys):
    typed = train_words(collection)
    code = main(
        [*typed, "--weight-decay", "0.1", "--teacher-backbone", "lite2", "--out", str(tmp_path / "run")]
    )
    assert code and "leave it out, or leave out --method and --weight-decay" in capsys.readouterr().err
