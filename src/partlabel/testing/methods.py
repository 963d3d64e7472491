"""Contract tests of methods, also for methods of other packages."""

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.methods import Method
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.testing.tower import tiny_space

CHANNELS, CLASSES, WORD = 6, 5, 4
SMALL = {
    "dim": 8,
    "attention_dim": 7,
    "output_dim": 9,
    "pair_dim": 4,
    "pair_hidden_dim": 6,
    "memory_size": 3,
}
"""Small sizes, for constructors that have such an option; all other options keep their defaults."""
EARLY = Progress(epochs=40, batches=7)
LATE = Progress(epoch=30, step=200, batch=2, batches=7, epochs=40)
"""Past the start of every method, but not past what earlier epochs would have left behind."""


class ConvolutionBackbone(nn.Module):
    """A backbone of one convolution."""

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CHANNELS, 3, 2)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Tensor:
        """Compute a feature map."""
        return self.conv(images)


def small_options(constructor: Callable) -> dict[str, int]:
    """Choose those of the small sizes that a constructor takes."""
    return {k: v for k, v in SMALL.items() if k in inspect.signature(constructor).parameters}


def build_method(kind: type[Method], order: Int64[Tensor, " class"] | None = None) -> Method:
    """Build a small method on its default head, the same at every call.

    Args:
        kind: The method's class.
        order: Order of the classes; None for the usual one.
    """
    torch.manual_seed(0)
    order = torch.arange(CLASSES) if order is None else order
    vectors, graph = torch.randn(CLASSES, WORD)[order], torch.rand(CLASSES, CLASSES)[order][:, order]
    head_kind = heads.get(kind.default_head)
    names = tuple(f"class {int(i)}" for i in order)
    classes = Classes(names, vectors, graph, joint=tiny_space(names, CHANNELS))
    head = head_kind(CHANNELS, classes, **small_options(head_kind))
    return kind(ConvolutionBackbone(), head, **small_options(kind))


def example_batch(images: int = 4, fill: int | None = None) -> Batch:
    """Draw a batch, the same at every call.

    Args:
        images: Number of images.
        fill: Label of every cell; by default cells are drawn from the three values.
    """
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(-1, 2, (images, CLASSES), generator=generator).to(torch.int8)
    if fill is not None:
        labels = torch.full_like(labels, fill)
    return Batch(torch.randn(images, 3, 9, 9, generator=generator), labels, torch.arange(images))


def example_batches() -> dict[str, Batch]:
    """Draw a batch of each kind that training meets."""
    one_class_never_present = example_batch()
    column = one_class_never_present.labels[:, 2]
    one_class_never_present.labels[:, 2] = torch.where(column == PRESENT, ABSENT, column)
    return {
        "mixed": example_batch(),
        "one image": example_batch(1),
        "nothing known": example_batch(fill=UNKNOWN),
        "all present": example_batch(fill=PRESENT),
        "all absent": example_batch(fill=ABSENT),
        "one class never present": one_class_never_present,
    }


def _total(method: Method, batch: Batch, progress: Progress) -> Tensor:
    return torch.stack(list(method.step(batch, progress).terms.values())).sum()


def check_terms_and_gradients_are_finite_scalars(kind: type[Method]) -> None:
    """Check that every term is a finite scalar with finite gradients, early and late, for every kind of batch."""
    for progress in (EARLY, LATE):
        for name, batch in example_batches().items():
            method = build_method(kind)
            terms = method.step(batch, progress).terms
            assert terms, name
            for term, value in terms.items():
                assert value.shape == () and value.isfinite(), f"{name}: {term} is {value}"
            torch.stack(list(terms.values())).sum().backward()
            for parameter, tensor in method.named_parameters():
                assert tensor.grad is None or tensor.grad.isfinite().all(), f"{name}: {parameter}"


def check_known_labels_move_parameters(kind: type[Method]) -> None:
    """Check that at least one parameter has a nonzero gradient if labels are known."""
    method = build_method(kind)
    _total(method, example_batch(), EARLY).backward()
    assert any(p.grad is not None and (p.grad != 0).any() for p in method.parameters())


def check_mixed_precision_keeps_terms_and_gradients_finite(kind: type[Method]) -> None:
    """Check that terms and gradients are finite under autocast in bfloat16 and float16."""
    for dtype in (torch.bfloat16, torch.float16):
        method = build_method(kind)
        for progress in (EARLY, LATE):
            with torch.autocast("cpu", dtype):
                terms = method.step(example_batch(), progress).terms
            torch.stack([term.float() for term in terms.values()]).sum().backward()
            assert all(term.isfinite() for term in terms.values()), (dtype, terms)
        assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None), dtype


def check_unknown_labels_move_no_supervised_term(kind: type[Method]) -> None:
    """Check that without known labels the term `bce` is zero and has no gradient."""
    method = build_method(kind)
    supervised = method.step(example_batch(fill=UNKNOWN), EARLY).terms["bce"]
    supervised.backward()
    assert supervised == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in method.parameters())


def check_pseudo_labels_are_of_unknown_labels(kind: type[Method]) -> None:
    """Check that pseudo-labels have weight zero where a label is known."""
    batch = example_batch()
    for name, pseudo in build_method(kind).step(batch, LATE).pseudo_labels.items():
        assert (pseudo.weight[batch.labels != UNKNOWN] == 0).all(), name


def check_a_reloaded_method_continues(kind: type[Method]) -> None:
    """Check that all memory of a method is in its state: a copy gives the same next loss."""
    method = build_method(kind)
    optimizer = torch.optim.SGD(method.parameters(), 0.01)
    for _ in range(3):
        optimizer.zero_grad()
        _total(method, example_batch(), LATE).backward()
        optimizer.step()
    again = build_method(kind)
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    ours, theirs = (each.step(example_batch(), LATE).terms for each in (method, again))
    assert {k: v.item() for k, v in ours.items()} == {k: v.item() for k, v in theirs.items()}


def check_prediction_needs_what_the_method_names(kind: type[Method]) -> None:
    """Check that prediction does not depend on state that `predicts_with` does not name."""
    method = build_method(kind)
    method.step(example_batch(), LATE)
    other = build_method(kind)
    needed: dict[str, Any] = {
        key: value
        for key, value in method.state_dict().items()
        if any(key == part or key.startswith(f"{part}.") for part in method.predicts_with())
    }
    scrambled = {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in other.state_dict().items()
        if key not in needed
    }
    other.load_state_dict(scrambled | needed)
    images = example_batch().inputs
    assert torch.equal(other.eval()(images), method.eval()(images))


def check_one_logit_per_class(kind: type[Method]) -> None:
    """Check that logits are [image, class], and that those of an image do not depend on the other images."""
    method = build_method(kind).eval()
    images = example_batch(3).inputs
    together = method(images)
    assert together.shape == (3, CLASSES)
    torch.testing.assert_close(method(images[:1]), together[:1])


def check_documentation(kind: type[Method]) -> None:
    """Check that the docstring names paper, year and every option, and that the class has `adds` and `needs`."""
    text = kind.__doc__ or ""
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/\S+", text), "no arXiv id or DOI"
    assert re.search(r"\b(19|20)\d\d\b", text), "no year"
    for option in inspect.signature(kind).parameters:
        assert re.search(rf"^\s+{option}:", text, re.MULTILINE), f"{option} is not documented"
    assert kind.adds and kind.needs


def check_the_device_is_left_to_the_caller(kind: type[Method]) -> None:
    """Check that the method moves nothing to a device."""
    module = inspect.getmodule(kind)
    assert module is not None and ".cuda(" not in inspect.getsource(module)


METHOD_CHECKS = (
    check_terms_and_gradients_are_finite_scalars,
    check_known_labels_move_parameters,
    check_mixed_precision_keeps_terms_and_gradients_finite,
    check_unknown_labels_move_no_supervised_term,
    check_pseudo_labels_are_of_unknown_labels,
    check_a_reloaded_method_continues,
    check_prediction_needs_what_the_method_names,
    check_one_logit_per_class,
    check_documentation,
    check_the_device_is_left_to_the_caller,
)
"""All checks of a method."""
