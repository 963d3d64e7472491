"""LogicMix and MixUp-PME against truth tables and loops; LogicMix around other methods."""

import copy
from itertools import product

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel import methods
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.bce import BCE
from partlabel.methods.logicmix import LogicMix
from partlabel.methods.mixup_pme import MixUpPME
from partlabel.methods.sst import SST
from partlabel.training.config import TrainingConfig
from partlabel.training.optimizer import optimizer
from partlabel.transfer import image_mixing
from trunk import CLASSES, Same, batch, residual

LATE = Progress(epoch=8, step=40, batch=0, batches=8, epochs=20)


@pytest.mark.parametrize("trio", list(product((PRESENT, ABSENT, UNKNOWN), repeat=3)))
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_labels_are_joined_by_or(trio, taken):
    labels = torch.tensor(trio, dtype=torch.int8)[:, None]
    partner = torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    share = (torch.arange(3) < taken).float()[:, None].expand(3, 3) / taken
    heard = trio[:taken]
    expected = PRESENT if PRESENT in heard else UNKNOWN if UNKNOWN in heard else ABSENT
    assert image_mixing.either(labels, partner, share)[0, 0] == expected


def test_mixtures_are_means_of_the_image_and_one_or_two_others_or_the_image_alone():
    model, given, counts = LogicMix(Same(), residual()), batch(8), {}
    for step in range(40):
        progress = Progress(step=step)
        generator = progress.generator()
        partner = image_mixing.partners(8, 3, generator)
        mixed = model.mixed(given, progress)
        for b in range(8):
            rows = partner[:, b].tolist()
            matches = [
                n
                for n in (1, 2, 3)
                if torch.allclose(mixed.inputs[b], given.inputs[rows[:n]].mean(0), atol=1e-6)
            ]
            assert matches
            if len(set(rows)) == 3:
                assert len(matches) == 1
                counts[matches[0]] = counts.get(matches[0], 0) + 1
                for c in range(CLASSES):
                    heard = given.labels[rows[: matches[0]], c].tolist()
                    expected = PRESENT if PRESENT in heard else UNKNOWN if UNKNOWN in heard else ABSENT
                    assert mixed.labels[b, c] == expected
    share = {n: count / sum(counts.values()) for n, count in counts.items()}
    assert share == pytest.approx({1: 0.5, 2: 0.25, 3: 0.25}, abs=0.1)
    assert torch.equal(mixed.index, given.index)


def test_the_other_method_sees_mixtures_alone():
    given, wrapped = batch(), LogicMix(Same(), residual(), "sst", {"pair_dim": 4, "pair_hidden_dim": 4})
    assert type(wrapped.inner) is SST
    sst = copy.deepcopy(wrapped.inner)
    terms, found = wrapped.step(given, LATE)
    assert terms == sst.step(wrapped.mixed(given, LATE), LATE).terms and "bce_cross" in terms
    assert found == {}
    assert torch.equal(wrapped.inner.memory.features, sst.memory.features)


def test_without_mixing_the_other_method_is_as_it_was():
    given, wrapped, plain = batch(), LogicMix(Same(), residual(), probability=0.0), BCE(Same(), residual())
    assert wrapped.step(given, LATE).terms == plain.step(given, LATE).terms
    assert torch.equal(wrapped(given.inputs), plain(given.inputs))


OF_SINGLE_IMAGES = (
    "cap",
    "cdul",
    "csl",
    "curriculum",
    "em_apl",
    "epr",
    "evidence",
    "ll_cp",
    "role",
    "soft_sst",
)


@pytest.mark.parametrize("name", OF_SINGLE_IMAGES)
def test_methods_that_keep_something_of_every_image_or_count_its_classes_are_refused(name):
    """A mixture lies in no row of the table, and shows more classes than an image."""
    with pytest.raises(ValueError, match=r"content of single images.*, which mixtures change"):
        LogicMix(Same(), residual(), name)


PROMPTED = {name for name in methods.names() if methods.get(name).needs_tower}
"""They compare photos with class names through a tower, which these tests have none of."""


@pytest.mark.parametrize("name", sorted({*methods.names()} - {"logicmix", *OF_SINGLE_IMAGES} - PROMPTED))
def test_any_other_method_learns_from_mixtures(name):
    wrapped = LogicMix(Same(), residual(), name)
    terms = wrapped.step(batch(), LATE).terms
    assert all(term.isfinite() for term in terms.values())
    sum(terms.values()).backward()
    assert wrapped.head.weight.grad.abs().sum() > 0


def test_weights_are_there_once():
    wrapped = LogicMix(Same(), residual())
    assert {name for name, _ in wrapped.named_parameters()} == {"inner.head.weight", "inner.head.bias"}
    assert all(name.startswith("inner.") for name in wrapped.state_dict())


class Groups(BCE):
    """Says itself what learns how."""

    def parameter_groups(self, lr, weight_decay):
        return [{"params": self.head.parameters(), "lr": 3 * lr, "weight_decay": weight_decay}]


def test_the_other_method_says_what_learns_how_if_it_does():
    wrapped = LogicMix(Same(), residual(), f"{__name__}.Groups")
    (group,) = optimizer(wrapped, TrainingConfig(lr=0.1)).param_groups
    assert group["lr"] == pytest.approx(0.3)
    assert LogicMix(Same(), residual()).parameter_groups(0.1, 0.0) is None


def test_what_the_other_method_declares_holds_for_both():
    late = LogicMix(Same(), residual(), "sst", {"start_epoch": 3, "pair_dim": 4, "pair_hidden_dim": 4})
    assert late.start_epoch == 3 and late.memories() == ("inner.memory",)
    features = torch.randn(2, late.head.num_classes, late.head.feature_dim)
    torch.testing.assert_close(late.cooccurrence(features), late.inner.cooccurrence(features))
    plain = LogicMix(Same(), residual())
    assert plain.start_epoch == 0 and plain.memories() == () and plain.cooccurrence(features) is None


def test_what_is_no_method_or_no_option_is_refused():
    with pytest.raises(ValueError, match=r"no method 'sts' \(did you mean 'sst'\?\)"):
        LogicMix(Same(), residual(), "sts")
    with pytest.raises(ValueError, match=r"fractions\.Fraction is not a subclass of Method"):
        LogicMix(Same(), residual(), "fractions.Fraction")
    with pytest.raises(TypeError, match=r"SST has no option 'start_epochs' \(did you mean 'start_epoch'\?\)"):
        LogicMix(Same(), residual(), "sst", {"start_epochs": 3})
    with pytest.raises(ValueError, match="a mixture has at least two images"):
        LogicMix(Same(), residual(), most=1)


def test_mixup_pme_is_a_loop():
    model, given = MixUpPME(Same(), residual(), least=0.6), batch()
    generator = LATE.generator()
    partner = image_mixing.partners(6, 2, generator)[1]
    kept = 0.6 + 0.4 * torch.rand(6, generator=generator)
    costs = []
    for b in range(6):
        other = int(partner[b])
        image = kept[b] * given.inputs[b] + (1 - kept[b]) * given.inputs[other]
        logits = model(image[None])[0]
        for c in range(CLASSES):
            ours, theirs = int(given.labels[b, c]), int(given.labels[other, c])
            if ours != UNKNOWN:
                target = kept[b] * ours + (1 - kept[b]) * (0.5 if theirs == UNKNOWN else theirs)
                costs.append(binary_cross_entropy_with_logits(logits[c], target))
    model.eval()
    torch.testing.assert_close(model.step(given, LATE).terms["bce"], torch.stack(costs).mean())


def test_mixup_pme_says_what_a_share_may_be():
    with pytest.raises(ValueError, match=r"least is 1\.5; it is a share of an image, from 0 to 1"):
        MixUpPME(Same(), residual(), least=1.5)
