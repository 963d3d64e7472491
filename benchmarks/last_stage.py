r"""Time of a step of `--trainable last` on cached features, by precision, layout, batch and optimiser.

    OMP_NUM_THREADS=1 python benchmarks/last_stage.py

A step is forward, the losses of `soft_sst` with the head `residual`, backward and the optimiser, on random features of
lite0's stem. All ways take turns; medians of the processor's time per image. `convolutions` and `normalisation` are
shares of the profiler, with their gradients.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.profiler import profile

from partlabel.core.types import Batch, Progress, StemOutput
from partlabel.methods.soft_sst import SoftSST
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.classes import Classes

BATCH, CLASSES = 64, 18


@dataclass(frozen=True)
class Way:
    """One way to compute a step."""

    name: str
    bf16: bool = False
    channels_last: bool = False
    fused: bool = False
    batch: int = BATCH


WAYS = (
    Way("float32"),
    Way("float32, channels last", channels_last=True),
    Way("float32, fused optimiser", fused=True),
    Way("float32, batches of 16", batch=16),
    Way("float32, batches of 32", batch=32),
    Way("bf16-mixed", bf16=True),
    Way("bf16-mixed, fused optimiser", bf16=True, fused=True),
)


class Steps:
    """A method, its optimisers, and a batch of random features."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        backbone = backbones.create(trainable="last", image_size=224)
        shape = backbone.stem_outputs(torch.zeros(1, 3, 224, 224)).shape[1:]
        self.features = torch.randn(BATCH, *shape).half().float()
        self.labels = torch.randint(-1, 2, (BATCH, CLASSES), dtype=torch.int8)
        classes = Classes(tuple(map(str, range(CLASSES))))
        self.method = SoftSST(backbone, heads.get("residual")(backbone.channels, classes)).train()
        trained = [each for each in self.method.parameters() if each.requires_grad]
        self.optimizers = {fused: torch.optim.Adam(trained, lr=1e-4, fused=fused) for fused in (False, True)}

    def run(self, way: Way) -> float:
        """Compute one step; return the milliseconds of the processor per image."""
        began = time.process_time()
        features = self.features[: way.batch]
        if way.channels_last:
            features = features.contiguous(memory_format=torch.channels_last)
        batch = Batch(StemOutput.of(features), self.labels[: way.batch], torch.arange(way.batch))
        optimizer = self.optimizers[way.fused]
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=way.bf16):
            terms = self.method.step(batch, Progress(batches=10)).terms
            loss = sum((term.float() for term in terms.values()), torch.zeros(()))
        loss.backward()
        optimizer.step()
        return 1e3 * (time.process_time() - began) / way.batch

    def shares(self, way: Way) -> tuple[float, float]:
        """Return the shares of the convolutions and of batch normalisation, with their gradients."""
        with profile() as found:
            for _ in range(3):
                self.run(way)
        parts = {"conv": 0.0, "batch_norm": 0.0}
        events = found.key_averages()
        whole = sum(event.self_cpu_time_total for event in events)
        for event in events:
            for part in parts:
                if part in event.key:
                    parts[part] += event.self_cpu_time_total / whole
        return parts["conv"], parts["batch_norm"]


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=9)
    args = asked.parse_args()
    steps = Steps()
    taken: dict[Way, list[float]] = {way: [] for way in WAYS}
    for number in range(args.rounds + 1):
        for way in WAYS:
            milliseconds = steps.run(way)
            if number:
                taken[way].append(milliseconds)
    for way, each in taken.items():
        convolutions, normalisation = steps.shares(way)
        shares = f"convolutions {convolutions:.0%}, normalisation {normalisation:.0%}"
        print(f"{way.name:28}: {np.median(each):.2f} ms, {shares}", flush=True)


if __name__ == "__main__":
    main()
