"""OpenVINO behind predictions and the feature cache: the results are those of PyTorch."""

import copy

import numpy as np
import pytest

from partlabel import Tagger
from partlabel.data.cache import feature_cache
from partlabel.data.images.dataset import eval_transform
from partlabel.nn import backbone as backbones
from partlabel.nn import frozen_runtime
from small import QUICK, SMALL

pytest.importorskip("openvino", reason="openvino is not installed: pip install 'partlabel[fast]'")

FLOAT16_STEP = 2**-10
"""Maximum relative distance of two neighbouring float16 numbers, which the cache stores."""


@pytest.fixture(autouse=True)
def for_few_images(monkeypatch):
    monkeypatch.setattr(frozen_runtime, "MANY", 1)


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.mark.parametrize("trainable", ["none", "last"])
def test_predictions_are_those_of_pytorch(table, trainable, tmp_path, monkeypatch):
    tagger = Tagger(table.classes, "bce", trainable=trainable, **SMALL)
    tagger.fit(table, out=tmp_path / "run", **QUICK)
    fast = tagger.scores(table, cache="none")
    assert tagger.model.backbone.runtime is not None
    monkeypatch.setenv(frozen_runtime.SWITCH, "eager")
    tagger.model.backbone.runtime = None
    np.testing.assert_allclose(fast, tagger.scores(table, cache="none"), atol=1e-4)
    assert tagger.model.backbone.runtime is None


@pytest.mark.parametrize("rank", [0, 4])
def test_cached_features_are_those_of_pytorch(table, rank, tmp_path, monkeypatch):
    found, weights = [], None
    for where, switch in (("fast", ""), ("eager", "eager")):
        monkeypatch.setenv(frozen_runtime.SWITCH, switch)
        made = backbones.create(
            "test_resnet", pretrained=False, trainable="none", image_size=32, covariance_rank=rank
        )
        weights = weights or copy.deepcopy(made.state_dict())
        made.load_state_dict(weights)
        plain = eval_transform(32, made.preprocessing)
        (view,) = feature_cache.compute(made, table, plain, size=32, where=tmp_path / where)
        assert (made.runtime is None) == (switch == "eager")
        found.append(view.take(np.arange(len(table))).astype(np.float32))
    np.testing.assert_allclose(*found, atol=2e-3, rtol=FLOAT16_STEP)
