"""Methods side by side: each computes what it computed alone, and classes choose among the columns."""

import pytest
import torch

from partlabel import methods
from partlabel.methods._composed import Composed, ComposedHead, part_state
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.testing.methods import (
    CHANNELS,
    CLASSES,
    LATE,
    WORD,
    build_method,
    example_batch,
    small_options,
)
from partlabel.training.composition import Composition, FittedPart

NEW = FittedPart(("sheep", "goat"), "bce", {}, "average", {})


def part_of(name, word_dim=WORD):
    """The description of the method that `build_method` builds, without its backbone."""
    kind = methods.get(name)
    head = heads.get(kind.default_head)
    names = tuple(f"class {number}" for number in range(CLASSES))
    return FittedPart(names, name, small_options(kind), kind.default_head, small_options(head), word_dim)


def together(whole, part, columns):
    own = part.build(CHANNELS)
    own.load_state_dict(part_state(own, whole.state_dict()))
    other = NEW.build(CHANNELS)
    torch.nn.init.normal_(other.head.linear.weight, generator=torch.Generator().manual_seed(2))
    names = Classes(tuple(map(str, range(len(columns)))))
    return Composed(whole.backbone, ComposedHead(CHANNELS, names, [own, other], columns)).eval()


@pytest.mark.parametrize("name", methods.names())
def test_beside_new_classes_a_method_computes_the_same_bits(name):
    whole = build_method(methods.get(name))
    whole.step(example_batch(), LATE)
    whole.eval()
    if whole.head.is_linear:  # which starts with zeros
        torch.nn.init.normal_(whole.head.linear.weight)
    images = example_batch(8).inputs
    composed = together(whole, part_of(name), [(at,) for at in range(CLASSES + 2)])
    assert torch.equal(composed(images)[:, :CLASSES], whole(images))
    assert composed(images).shape == (8, CLASSES + 2)


def test_a_class_of_several_columns_has_the_largest_logit_and_others_may_be_gone():
    whole = build_method(methods.get("bce")).eval()
    torch.nn.init.normal_(whole.head.linear.weight)
    images = example_batch(8).inputs
    every = together(whole, part_of("bce"), [(at,) for at in range(CLASSES + 2)])(images)
    found = together(whole, part_of("bce"), [(6,), (1, 3), (0,)])(images)
    assert torch.equal(found, torch.stack([every[:, 6], every[:, [1, 3]].amax(1), every[:, 0]], 1))


def test_columns_that_nothing_computes_are_an_error():
    with pytest.raises(ValueError, match="the methods have 2 columns, and column 2 is none of them"):
        Composition((NEW,), ((0,), (2,))).build(torch.nn.Identity(), CHANNELS, ("a", "b"))
