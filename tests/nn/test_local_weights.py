"""Backbones from local weights, and what heads are given of a transformer."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from partlabel import Tagger
from partlabel.cli.main import main
from partlabel.nn.backbone import create
from partlabel.nn.pooling import CovariancePooling
from small import train_words

SIZE, WIDTH = 64, 64
VIT = {"backbone": "test_vit", "image_size": SIZE}
QUICK = {"epochs": 1, "cache": "none", "weight_decay": 0.02, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(3)
    return timm.create_model("test_vit", num_classes=0, img_size=SIZE).eval()


@pytest.fixture(scope="module")
def weights(vit, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(vit.state_dict(), path)
    return path


@pytest.mark.parametrize("head", ["average", "covariance"])
def test_a_vector_head_is_given_the_class_token_and_the_mean_of_the_patches(
    vit, weights, table, tmp_path, head
):
    tagger = Tagger(table.classes, "bce", head=head, weights=weights, **VIT)
    tagger.fit(table, out=tmp_path / "a", **QUICK)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        tokens, given = vit.forward_features(images), tagger.model.backbone(images)
    expected = torch.cat([tokens[:, 1:].mean(1), tokens[:, 0]], 1)
    torch.testing.assert_close(given.mean((2, 3))[:, : 2 * WIDTH], expected)
    assert np.array_equal(Tagger.load(tmp_path / "a").scores(table), tagger.scores(table))


def test_a_map_head_is_given_the_patches(vit, weights, table, tmp_path):
    tagger = Tagger(table.classes, "bce", head="residual", weights=weights, **VIT)
    tagger.fit(table, out=tmp_path / "a", **QUICK)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        tokens, given = vit.forward_features(images), tagger.model.backbone(images)
        attention = tagger.model.outputs(images).attention
    torch.testing.assert_close(given.flatten(2).transpose(1, 2), tokens[:, 1:])
    assert attention.shape == (2, len(table.classes), SIZE // 16, SIZE // 16)


def test_a_class_token_takes_no_part_in_covariances():
    maps = torch.randn(5, 6, 3, 3)
    token = torch.randn(5, 4, 1, 1).expand(-1, -1, 3, 3)
    plain, beside = CovariancePooling(6, 3), CovariancePooling(10, 3, token_channels=4)
    plain.fit([maps])
    beside.fit([torch.cat([maps, token], 1)])
    pooled, with_token = plain(maps)[..., 0, 0], beside(torch.cat([maps, token], 1))[..., 0, 0]
    torch.testing.assert_close(with_token[:, 10:], pooled[:, 6:])
    torch.testing.assert_close(with_token[:, :10], torch.cat([pooled[:, :6], token[..., 0, 0]], 1))


def test_cached_features_with_and_without_a_class_token_are_told_apart():
    stems = [str(create("test_vit", False, "none", SIZE, class_token=token).stem) for token in (False, True)]
    assert stems[0] != stems[1]


def test_a_search_on_a_transformer_uses_the_class_token(weights, table, tmp_path):
    tagger = Tagger(table.classes, head="average", weights=weights, **VIT)
    tagger.fit(table, out=tmp_path / "a", cache_dir=str(tmp_path / "cache"))
    assert tagger.model.head.channels == 2 * WIDTH
    # A loaded tagger reads the images; the cache has features in half precision.
    loaded = Tagger.load(tmp_path / "a").scores(table)
    np.testing.assert_allclose(loaded, tagger.scores(table), rtol=1e-2, atol=1e-2)


def test_weights_are_an_option(vit, collection, tmp_path):
    path = tmp_path / "vit.pth"
    torch.save(vit.state_dict(), path)
    typed = train_words(collection)
    sizes = ["--backbone", "test_vit", "--image-size", str(SIZE), "--epochs", "1", "--cache", "none"]
    out = ["--weight-decay", "0.02", "--accelerator", "cpu", "--out", str(tmp_path / "a")]
    assert main([*typed, *sizes, *out, "--weights", str(path)]) == 0
    ours = Tagger.load(tmp_path / "a").model.backbone.state_dict()
    assert any(torch.equal(value, vit.state_dict()["blocks.0.attn.qkv.weight"]) for value in ours.values())


def test_weights_of_another_model_are_refused_by_name(table, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(
        ValueError, match=r"other.safetensors does not fit test_vit: \d+ are missing: cls_token"
    ):
        Tagger(table.classes, "bce", weights=path, **VIT).fit(table, out=tmp_path / "a", **QUICK)
