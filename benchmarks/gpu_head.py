"""SST's head on a device, against the algebra as published: a part of `gpu_check.py`."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from gpu_measure import Figure, Sizes, free, seconds
from head import Case, build, differences, floor_flops
from torch import Tensor

DOUBLED = 200
"""Maximum number of classes for which the two algebras are compared in float64."""


def head(sizes: Sizes, device: torch.device) -> Iterator[Figure]:
    """Compare a step of SST's head with the algebra as published, by number of classes."""
    until = time.perf_counter() + sizes.compile_for
    for classes, batch in sizes.classes.items():
        torch.compiler.reset()
        if classes <= DOUBLED:
            with torch.device(device):
                apart = differences(build(classes, 2, doubled=True))
            for name, off in zip(("loss", "gradients"), apart, strict=True):
                yield Figure(f"{classes} classes", f"{name} apart, float64", off)
        with torch.device(device):
            case = build(classes, batch)
        yield from _arms(case, classes, batch, sizes, device, until)


def _arms(
    case: Case, classes: int, batch: int, sizes: Sizes, device: torch.device, until: float
) -> Iterator[Figure]:
    """Time the ways to compute one head; one that does not fit memory, or that fails, is a figure without a value."""
    taken: dict[str, float] = {}
    peaks = {bf16: _product_rate(sizes, device, bf16) for bf16 in (False, True)}
    for bf16, rate in peaks.items():
        yield Figure("matrix product", f"TFLOP/s, {'bf16' if bf16 else 'float32'}", rate / 1e12)
    arms: dict[str, tuple[Callable[[], dict[str, Tensor]], bool]] = {
        "ours float32": (case.ours, False),
        "ours bf16": (case.ours, True),
        "published float32": (case.published, False),
        "published bf16": (case.published, True),
        "ours compiled": (case.ours, False),
        "ours compiled bf16": (case.ours, True),
    }
    for arm, (terms, bf16) in arms.items():
        label = f"{classes} classes, {arm}"
        if "compiled" in arm and time.perf_counter() > until:
            yield Figure(label, "seconds", math.nan, "left out: the time for compilation is over")
            continue
        if "compiled" in arm and "ours compiled" not in taken:
            case.sst.head.compile(backend=sizes.compiler)
        try:
            took, room = _step_cost(case, terms, bf16, sizes.repeats, device)
        except Exception as error:  # out of memory, or what the compiler does not take
            yield Figure(label, "seconds", math.nan, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        taken[arm] = took
        flops = floor_flops(classes, batch) / took
        yield Figure(label, "seconds", took)
        yield Figure(label, "MB", room / 1e6)
        yield Figure(label, "TFLOP/s", flops / 1e12)
        yield Figure(label, "share of the matrix product", flops / peaks[bf16])
    for arm, (_, bf16) in arms.items():
        published = f"published {'bf16' if bf16 else 'float32'}"
        if arm.startswith("ours") and {arm, published} <= taken.keys():
            ratio = taken[published] / taken[arm]
            yield Figure(f"{classes} classes, {arm}", "times as fast as published", ratio)


def _step_cost(
    case: Case, terms: Callable[[], dict[str, Tensor]], bf16: bool, repeats: int, device: torch.device
) -> tuple[float, float]:
    """Measure seconds of a step without the optimiser's, and the memory it adds."""
    leaves = [case.batch.inputs, *case.sst.parameters()]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = torch.stack([term.float() for term in terms().values()]).sum()
        loss.backward()

    try:
        step()
        room = _most(step, device)
        return seconds(step, repeats, device), room
    finally:
        for leaf in leaves:
            leaf.grad = None
        free(device)


def _most(run: Callable[[], None], device: torch.device) -> float:
    """Return the bytes that a run adds to the device's memory at most; NaN on a CPU."""
    if device.type != "cuda":
        return math.nan
    free(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def _product_rate(sizes: Sizes, device: torch.device, bf16: bool) -> float:
    """Return the operations a second of one large matrix product, the peak that can be reached."""
    kind = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(sizes.product, sizes.product, dtype=kind, device=device) for _ in range(2))
    return 2 * sizes.product**3 / seconds(lambda: a @ b, sizes.repeats, device)
