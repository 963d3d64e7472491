"""SST agrees with the numbers that the authors' implementation printed, to 1e-5 relative in float32."""

from pathlib import Path

import numpy as np
import pytest
import torch

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.deploy.authors_checkpoint import RENAMED, STACKED, load_sst
from partlabel.losses.contrastive import Contrastive
from partlabel.losses.partial_bce import PartialBCE
from partlabel.nn.pairs import pair_targets
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory

HERE = Path(__file__).parents[1] / "reference"
AFTER_RAMP = Progress(epoch=1, epochs=20)


def from_authors(labels: np.ndarray) -> torch.Tensor:
    """Their 1 / -1 / 0 in our codes."""
    return torch.tensor(np.select([labels == 1, labels == -1], [1, 0], -1), dtype=torch.int8)


@pytest.fixture(params=["sst_small", "sst_small_no_contrastive"])
def reference(request):
    with np.load(HERE / f"{request.param}.npz") as numbers:
        return {name: numbers[name] for name in numbers.files}


@pytest.fixture
def sst(reference):
    state = {
        k.removeprefix("state."): torch.tensor(v) for k, v in reference.items() if k.startswith("state.")
    }
    return load_sst(state)


@pytest.fixture
def batch(reference):
    labels = from_authors(reference["in.target"])
    return Batch(torch.tensor(reference["in.feature_map"]), labels, torch.arange(len(labels)))


def close(ours: torch.Tensor, theirs: np.ndarray) -> None:
    theirs = torch.as_tensor(theirs)
    torch.testing.assert_close(ours.detach(), theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_logits_features_attention_and_pair_logits_agree(reference, sst, batch):
    out = sst.head(batch.inputs)
    close(out.logits, reference["out.logits"])
    close(out.features, reference["out.semantic_features"])
    close(out.attention, np.moveaxis(reference["out.attention"], -1, 1))
    close(sst.pair_logits(out.features), reference["out.pair_logits"])


@pytest.mark.parametrize("class_block", [1, 2])
@pytest.mark.parametrize("pair_block", [1, 5])
def test_blocks_change_nothing(reference, sst, batch, class_block, pair_block):
    sst.head.decoupling.class_block, sst.pairs.pair_block = class_block, pair_block
    out = sst.head(batch.inputs)
    close(out.logits, reference["out.logits"])
    close(sst.pair_logits(out.features), reference["out.pair_logits"])


def test_memory_after_two_updates_agrees(reference, sst, batch):
    slots = reference["out.feature_bank_after_1"].shape[1]
    memory = FeatureMemory(sst.head.num_classes, slots, sst.head.feature_dim)
    memory.add(sst.head(batch.inputs).features, batch.labels)
    close(memory.newest_first(), reference["out.feature_bank_after_1"])
    second = torch.tensor(reference["in.feature_map_2"])
    memory.add(sst.head(second).features, from_authors(reference["in.target_2"]))
    close(memory.newest_first(), reference["out.feature_bank_after_2"])


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.95])
def test_both_kinds_of_pseudo_labels_agree(reference, sst, batch, threshold):
    """Their pseudo-label tables are the known labels and the pseudo-labels together."""
    features = sst.head(batch.inputs).features
    slots = reference["out.feature_bank_after_1"].shape[1]
    memory = FeatureMemory(sst.head.num_classes, slots, sst.head.feature_dim)
    for images, labels in [("in.feature_map", "in.target"), ("in.feature_map_2", "in.target_2")]:
        memory.add(sst.head(torch.tensor(reference[images])).features, from_authors(reference[labels]))
    together = torch.tensor(reference["out.pair_logits"]).sigmoid()
    score = pseudo_labels.cooccurrence_score(together, batch.labels)
    intra = pseudo_labels.accept(score, batch.labels, threshold)
    cross = pseudo_labels.accept(memory.similarity(features, True), batch.labels, threshold)
    for name, ours in [("intra", intra), ("cross", cross)]:
        theirs = from_authors(reference[f"out.{'inter' if name == 'cross' else name}_pseudo@{threshold}"])
        together = Targets.known(batch.labels).fill(ours)
        expected = Targets.known(theirs)
        assert torch.equal(together.weight, expected.weight), name
        assert torch.equal(together.value * together.weight, expected.value), name


def test_every_loss_agrees(reference, sst, batch):
    out = sst.head(batch.inputs)
    known, bce = Targets.known(batch.labels), PartialBCE()
    close(bce(out.logits, known), reference["loss.partial_bce"])
    for kind in ("intra", "inter"):
        with_pseudo = Targets.known(from_authors(reference[f"out.{kind}_pseudo@0.5"]))
        close(bce(out.logits, with_pseudo), reference[f"loss.{kind}_bce@0.5"])
    pairs = pair_targets(batch.labels, unknown_pairs_are_absent=True)
    close(sst.pair_loss(sst.pair_logits(out.features), pairs), reference["loss.cooccurrence_asl"])
    if "loss.contrastive" in reference:
        close(Contrastive()(out.features, batch.labels), reference["loss.contrastive"])


def test_every_gradient_agrees(reference, sst, batch):
    sst.pair_options = sst.pair_options._replace(unknown_are_absent=True)
    sst.contrast_weight = 0.05 if "loss.contrastive" in reference else 0.0
    terms = sst.step(batch, AFTER_RAMP).terms
    total = sum(terms.values())
    close(total, reference["loss.total"])
    total.backward()
    ours = {name: parameter.grad for name, parameter in sst.named_parameters()}
    compared = 0
    for name, theirs in RENAMED.items():
        if f"grad.{theirs}" in reference:
            close(ours[name], reference[f"grad.{theirs}"])
            compared += 1
    for name, parts in STACKED.items():
        for kind in ("weight", "bias"):
            close(
                ours[f"{name}.{kind}"], np.concatenate([reference[f"grad.{part}.{kind}"] for part in parts])
            )
            compared += len(parts)
    without_effect = 2  # the biases of their attention, which the softmax cancels
    assert compared == sum(name.startswith("grad.") for name in reference) - without_effect
