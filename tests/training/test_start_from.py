"""A run may begin with the backbone and head of another, as after more labels became known."""

import pytest
import torch

from partlabel.data.tables.label_table import LabelTable
from partlabel.tagger import Tagger
from partlabel.training.config import TrainingConfig

STILL = TrainingConfig(epochs=1, batch_size=8, lr=1e-12, weight_decay=0.0, val=0.0, accelerator="cpu")


def tagger(table, **options):
    kept = {"method": "bce", "head": "covariance", "image_size": 64, "pretrained": False}
    return Tagger(table.classes, **(kept | options))


@pytest.fixture(scope="module")
def table(collection):
    return LabelTable.read(collection / "labels.csv", images=collection / "photos")


@pytest.fixture(scope="module")
def first(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "run"
    return tagger(table).fit(table, out=out, config=STILL, lr=0.01), out


def test_the_weights_of_the_other_run_are_begun_with_its_pooling_too(table, first, tmp_path):
    """With a learning rate of nothing they stay. The images are others, of which a pooling would be fitted again."""
    before, folder = first
    after = tagger(table).fit(table[4:], out=tmp_path / "run", config=STILL, start_from=folder)
    assert before.model.head.linear.weight.abs().max() > 1e-3
    torch.testing.assert_close(
        after.model.head.linear.weight, before.model.head.linear.weight, atol=1e-8, rtol=0
    )
    for name, value in before.model.backbone.state_dict().items():
        assert torch.equal(after.model.backbone.state_dict()[name], value), name


def test_a_method_that_judges_by_copies_begins_with_fresh_ones(table, first, tmp_path):
    """A copy that had seen the labels it judges would be hindsight."""
    before, folder = first
    after = tagger(table, method="soft_sst").fit(table, out=tmp_path / "run", config=STILL, start_from=folder)
    torch.testing.assert_close(
        after.model.head.linear.weight, before.model.head.linear.weight, atol=1e-8, rtol=0
    )
    assert after.model.folds[0].linear.weight.abs().max() < 1e-8


def test_another_kind_of_network_is_no_beginning(table, first, tmp_path):
    with pytest.raises(ValueError, match=r"cannot start from .*run: head is 'average' and was 'covariance'"):
        tagger(table, head="average").fit(table, out=tmp_path / "run", config=STILL, start_from=first[1])
    turned = LabelTable(
        table.images, table.classes[::-1], table.labels[:, ::-1].copy(), table.split, table.root
    )
    with pytest.raises(ValueError, match="the classes are others, or in another order"):
        tagger(turned).fit(turned, out=tmp_path / "run", config=STILL, start_from=first[1])
    assert not (tmp_path / "run").exists()


def test_where_a_run_began_is_written_down_and_held_to(table, first, tmp_path):
    tagger(table).fit(table, out=tmp_path / "run", config=STILL, start_from=first[1])
    assert f'"started_from": "{first[1]}"' in (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ValueError, match="holds a run with other settings: started_from was"):
        tagger(table).fit(table, out=tmp_path / "run", config=STILL, resume=True)
