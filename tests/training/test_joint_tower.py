"""Image-text models as towers: prediction by names, evidence in training and in filling."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from partlabel import LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.nn.backbone import create
from partlabel.training.run_folder import Run
from partlabel.training.towers import loading
from partlabel.training.towers._base import TEMPLATES, Tower
from partlabel.training.towers.joint import JointTower
from partlabel.training.towers.zero_shot import predict_names
from tiny_clip import DIM, NAMES, open_clip, register, tiny

NAMED = ["red", "blue thing"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return register(tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def table(collection):
    return LabelTable.read(collection / "labels.csv", images=collection / "photos")


def typed(models, name):
    return f"open_clip:{name}@{models / name}.safetensors"


@pytest.mark.parametrize("name", NAMES)
def test_a_model_predicts_names_as_open_clip_compares_them(models, table, name):
    tower, whole = loading.load(typed(models, name)), tiny(NAMES[name])
    assert isinstance(tower, JointTower) and isinstance(tower, Tower)
    backbone = tower.encoder()
    images = torch.randn(3, 3, tower.image_size, tower.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        means = backbone(images).mean((2, 3))
        photos = normalize(whole.encode_image(images), dim=1)
        sentences = [template.format(each) for each in NAMED for template in TEMPLATES]
        texts = normalize(whole.encode_text(open_clip.SimpleTokenizer()(sentences)), dim=1)
    expected = photos @ normalize(texts.unflatten(0, (2, len(TEMPLATES))).mean(1), dim=1).T
    torch.testing.assert_close(tower.similarity(means, NAMED), expected, rtol=1e-3, atol=1e-4)
    assert tower.dense(backbone(images)).shape[1] == DIM
    found = predict_names(typed(models, name), table, NAMED)[1]
    assert found.shape == (len(table), 2) and ((found > 0) & (found < 1)).all()
    if tower.bias is not None:
        assert tower.bias == pytest.approx(-1.0) and found.max() < 0.9999


def test_the_tower_is_recognised_in_a_backbone_that_is_the_same_model(models):
    tower = loading.load(typed(models, "tiny-vit"))
    weights = models / "tiny-vit.safetensors"
    assert tower.fits(create("open_clip:tiny-vit", "auto", "none", 32, weights=weights, class_token=True))
    assert not tower.fits(create("open_clip:tiny-vit", "auto", "none", 32, weights=weights))
    assert not tower.fits(create("open_clip:tiny-vit", False, "none", 32, class_token=True))
    assert not tower.fits(create("test_resnet", False, "none", 32))


def test_a_run_with_another_backbone_is_trained_filled_and_moved(models, table, tmp_path, capsys):
    blank = table.hide(part="train", known=0.0, seed=1)
    small = {"backbone": "test_resnet", "pretrained": False, "image_size": 32}
    tagger = Tagger(table.classes, **small).fit(blank, out=tmp_path / "a", tower=typed(models, "tiny-vit"))
    expected = tagger.fill(blank).probability
    moved = Tagger.load(shutil.move(tmp_path / "a", tmp_path / "b"))
    assert (Run(tmp_path / "b").tower / "config.json").is_file()
    np.testing.assert_allclose(moved.fill(blank).probability, expected, atol=1e-3)
    (tmp_path / "b/tower/config.json").write_text(
        '{"model": "open_clip:tiny-vit", "weights": "/gone.safetensors"}'
    )
    with pytest.raises(FileNotFoundError, match=r"no file of weights /gone\.safetensors"):
        loading.load(tmp_path / "b/tower")
    (tmp_path / "b/tower/config.json").write_text('{"model": "open_clip:hf-hub:owner/model"}')
    with pytest.raises(ValueError, match="no plain name of a model"):
        loading.load(tmp_path / "b/tower")


def test_predict_takes_a_model_and_says_what_is_wrong_with_one(models, table, tmp_path, capsys):
    command = ["predict", str(table.root), "--classes", "red, blue", "--out", str(tmp_path / "p.csv")]
    assert main([*command, "--tower", typed(models, "tiny-sigmoid")]) == 0
    assert "2 probabilities for each of 32 photos" in capsys.readouterr().out
    assert main([*command, "--tower", "open_clip:tiny-vti"]) == 2
    assert "tiny-vit" in capsys.readouterr().err
    assert main([*command, "--tower", "open_clip:tiny-vit@nothing.pt"]) == 2
    assert "no file of weights nothing.pt" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_prompts_pass_through_the_text_encoder_like_words(models, name):
    tower, before = loading.load(typed(models, name)), "a photo of a"
    space = tower.joint_space(["dog", "x ray"])
    start = open_clip.SimpleTokenizer()([before])[0, 1:5]
    context = space.text.embedding(start).expand(2, 1, -1, -1)
    expected = tower.text([f"{before} dog.", f"{before} x ray."])
    torch.testing.assert_close(space.encode(context)[:, 0], expected, rtol=1e-3, atol=1e-4)


def test_prompts_are_trained_on_a_model_at_another_image_size_and_predict_without_it(models, table, tmp_path):
    given = {"backbone": "open_clip:tiny-vit", "image_size": 48, "weights": models / "tiny-vit.safetensors"}
    options = {"epochs": 1, "accelerator": "cpu", "weight_decay": 0.0}
    tagger = Tagger(table.classes, "dualcoop_pp", **given)
    tagger.fit(table, out=tmp_path / "a", tower=typed(models, "tiny-vit"), **options)
    expected = tagger.scores(table)
    assert tagger.model.head.weight.shape == (len(table.classes), 3, DIM)
    loaded = Tagger.load(tmp_path / "a")
    np.testing.assert_allclose(loaded.scores(table), expected, atol=1e-4)
    np.testing.assert_allclose(loaded.for_prediction().scores(table), expected, atol=1e-4)
    other = Tagger(
        table.classes,
        "dualcoop",
        **given | {"backbone": "open_clip:tiny-resnet", "weights": None, "pretrained": False},
    )
    with pytest.raises(ValueError, match="the image encoder of the tower is open_clip:tiny-vit"):
        other.fit(table, out=tmp_path / "b", tower=typed(models, "tiny-vit"), **options)
    with pytest.raises(ValueError, match=r"dualcoop compares photos with class names .*give --tower FOLDER"):
        other.fit(table, out=tmp_path / "c", **options)
