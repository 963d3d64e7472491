"""What the head of SST costs, by number of classes: time and peak memory, ours against the algebra as published.

    make bench                                          # 20, 80, 200 classes; adds to runs/bench/head.csv
    python benchmarks/head.py --classes 80 --threads 1 --dtype bf16 --compile
    python benchmarks/head.py --only ours --classes 500 1000 --rank 64

One step is forward, memory update, pseudo-labels, all five losses and backward, from a feature map of the backbone
(which gets a gradient too) on. `literal.py` shares our parameters; before anything is timed, loss and every gradient of
the two are compared. They are timed in turns, in one process, and so is the one large matrix product whose rate sets
the floor: on a machine that others use too, the ratios are more reliable than the seconds. With one thread the
seconds are those of the processor, which leave out waiting for others (column `clock`). Memory is measured in a process
of its own for each: what the resident set grows by over one step at its highest, gradients of parameters included,
parameters themselves not.

The comparison is made in float64, with half the images: in float32 rounding decides on which side of its kink a relu's
input that is nearly 0 falls, and of the millions of inputs of the pair head a few always are, whatever the algebra.

What does not fit the free memory is left out and said to be.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import torch
from made_with import commit, versions
from torch import Tensor, nn

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.methods.sst import SST
from partlabel.nn.classes import Classes
from partlabel.nn.heads.ssgrl import SSGRL
from partlabel.transfer import pseudo_labels

sys.path.insert(0, str(Path(__file__).parent))
from literal import LiteralSST

CHANNELS, SIDE, WORD, DIM, NARROW, STEPS, SLOTS = 2048, 7, 300, 1024, 512, 3, 100
LARGE = 3072
"""Side of the matrices whose product sets the floor."""
KNOWN, SHOWN = 0.5, 0.1
"""Shares of the labels that are known, and of the labels that are present."""

Run = Callable[[], float]


class Case(NamedTuple):
    """What is run."""

    sst: SST
    literal: LiteralSST
    batch: Batch

    def ours(self) -> dict[str, Tensor]:
        """Loss terms by the package."""
        return self.sst.step(self.batch, Progress(epoch=self.sst.start_epoch)).terms

    def published(self) -> dict[str, Tensor]:
        """Loss terms as the paper writes them."""
        return self.literal.terms(self.batch)


class FeatureMaps(nn.Identity):
    """The backbone is not measured."""

    channels = CHANNELS


def build(classes: int, batch: int, rank: int = 0, doubled: bool = False) -> Case:
    """An SST of random weights with a full memory, and a batch of random feature maps and labels."""
    torch.manual_seed(0)
    graph = torch.rand(classes, classes)
    known = Classes(
        tuple(map(str, range(classes))), torch.randn(classes, WORD), graph / graph.sum(1, keepdim=True)
    )
    # The factorised pairs exist because labels are few: they are trained as they would be.
    options = {"pair_rank": rank} if rank else {"unknown_pairs_are_absent": True}
    head = SSGRL(CHANNELS, known, DIM, NARROW, DIM, STEPS)
    sst = SST(FeatureMaps(), head, count_empty_slots=True, threshold_floor=-1.0, memory_size=SLOTS, **options)
    sst.memory.features.normal_()
    sst.memory.count.fill_(SLOTS)
    labels = torch.where(torch.rand(batch, classes) < SHOWN, PRESENT, ABSENT).to(torch.int8)
    share = min(KNOWN, 100 / classes) if rank else KNOWN
    labels[torch.rand(batch, classes) >= share] = UNKNOWN
    labels[:, 0] = PRESENT
    maps = torch.randn(batch, CHANNELS, SIDE, SIDE)
    if doubled:
        sst, maps = sst.double(), maps.double()
    maps.requires_grad_()
    return Case(sst.train(), LiteralSST(sst), Batch(maps, labels, torch.arange(batch)))


def calibrate(case: Case) -> None:
    """Put both thresholds where no score is, so that rounding decides nothing and some pseudo-labels are found."""
    sst, labels = case.sst, case.batch.labels
    with torch.no_grad():
        features = sst.head(case.batch.inputs).features
        assert features is not None
        probability = sst.pair_logits(features).sigmoid()
        before = {name: value.clone() for name, value in sst.memory.state_dict().items()}
        sst.memory.add(features, labels)
        cross = sst.memory.similarity(features, count_empty_slots=True)
        sst.memory.load_state_dict(before)
    sst.intra_threshold = _gap(pseudo_labels.cooccurrence_score(probability, labels)[labels == UNKNOWN])
    sst.cross_threshold = _gap(cross[labels == UNKNOWN])


def _gap(scores: Tensor) -> float:
    """Find the middle of the widest gap in the middle half of the scores."""
    middle = scores.sort().values[len(scores) // 4 : -len(scores) // 4 + 1]
    widest = int(middle.diff().argmax())
    return float(middle[widest : widest + 2].mean())


def differences(case: Case) -> tuple[float, float]:
    """Between the two: of the loss, relative, and of the gradients, relative to the largest of each tensor."""
    calibrate(case)
    before = {name: value.clone() for name, value in case.sst.memory.state_dict().items()}
    found = []
    for terms in (case.ours, case.published):
        case.sst.memory.load_state_dict(before)
        _forget(case)
        loss = sum(terms().values(), torch.zeros(()))
        loss.backward()
        found.append((loss.item(), {name: _grad(value).clone() for name, value in _leaves(case).items()}))
    (our_loss, ours), (loss, theirs) = found
    apart = max(float((ours[k] - theirs[k]).abs().max() / theirs[k].abs().max()) for k in theirs)
    return float(abs(our_loss - loss) / abs(loss)), apart


def _leaves(case: Case) -> dict[str, Tensor]:
    return dict(case.sst.named_parameters()) | {"feature map": case.batch.inputs}


def _grad(value: Tensor) -> Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad


def _forget(case: Case) -> None:
    for value in _leaves(case).values():
        value.grad = None


def clock() -> float:
    """Read processor time if one thread works, otherwise wall time."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def step(case: Case, terms: Callable[[], dict[str, Tensor]], bf16: bool = False) -> Run:
    """A training step without the optimiser's."""

    def run() -> float:
        _forget(case)
        start = clock()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = sum(terms().values(), torch.zeros(()))
        loss.backward()
        return clock() - start

    return run


def product(bf16: bool) -> Run:
    """One large matrix product."""
    a, b = (torch.randn(LARGE, LARGE, dtype=torch.bfloat16 if bf16 else torch.float32) for _ in range(2))

    def run() -> float:
        start = clock()
        torch.mm(a, b)
        return clock() - start

    return run


def floor_flops(classes: int, batch: int, rank: int = 0) -> float:
    """Operations of the matrix products of a step that no identity we know of removes, recomputation left out.

    Products of two things that both need a gradient count three times; those with the graph or the word vectors,
    which need none, twice. Sums of elementwise products (the tanh of the attention with v, a pair's hidden values with
    its classifier) are not counted.
    """
    places, cells, pairs = batch * SIDE * SIDE, batch * classes, classes * (classes - 1) // 2
    thrice = places * CHANNELS * DIM  # reduce
    thrice += places * DIM * NARROW  # fc1 of the attention
    thrice += cells * SIDE * SIDE * DIM  # attended features
    thrice += STEPS * cells * (2 * DIM * 3 * DIM + DIM * 2 * DIM + DIM * DIM)  # the graph's gates
    thrice += cells * 2 * DIM * DIM  # join
    if rank:
        thrice += cells * DIM * NARROW + 2 * cells * NARROW * rank
    else:
        thrice += cells * DIM * NARROW + cells * NARROW * 2 * DIM + pairs * DIM * DIM
    twice = classes * WORD * NARROW + STEPS * 2 * classes * cells * DIM
    return 2.0 * (3 * thrice + 2 * twice)


def literal_bytes(classes: int, batch: int) -> float:
    """About what the published algebra takes, the parameters' gradients included."""
    pairs, beside = classes * (classes - 1) / 2, batch * SIDE * SIDE * classes
    return 4 * (batch * pairs * 5.5 * DIM + beside * 5 * DIM + pairs * DIM) + 4e8


def our_bytes(classes: int, batch: int, rank: int = 0) -> float:
    """About what building and running ours takes."""
    pairs = 0 if rank else classes * (classes - 1) / 2
    return 4 * (2.2 * pairs * DIM + classes * DIM * (2.2 * SLOTS + 30 * batch)) + 8e8


def free_bytes() -> float:
    """Memory that is free, or unbounded where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def peak(arguments: argparse.Namespace, arm: str, classes: int, rank: int) -> float | None:
    """Bytes that one step adds to a fresh process at most; None where the system does not say."""
    command = [sys.executable, __file__, "--peak", arm, "--classes", str(classes), "--rank", str(rank)]
    command += ["--batch", str(arguments.batch), "--threads", str(arguments.threads)]
    command += ["--dtype", "bf16" if arm == "bf16" else "float32"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def report_peak(arguments: argparse.Namespace) -> None:
    """Print the peak of one step of one arm; runs in a process of its own."""
    case = build(arguments.classes[0], arguments.batch, arguments.rank)
    terms = case.published if arguments.peak == "literal" else case.ours
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from here on
        before = _status("VmRSS")
        step(case, terms, arguments.dtype == "bf16")()
        print(json.dumps(_status("VmHWM") - before))
    except OSError:
        print("null")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def machine(threads: int) -> dict[str, object]:
    """Describe the machine and versions that the figures depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return {
        "threads": threads,
        "clock": "processor" if threads == 1 else "wall",
        "cores": os.cpu_count(),
        "cpu": f"{cpu} ({torch.backends.cpu.get_cpu_capability()})",
        **versions("torch"),
        "commit": commit(),
    }


def compiled(case: Case) -> Case:
    """Compile the head with `torch.compile`."""
    case.sst.head.compile()
    return case


def measure(arguments: argparse.Namespace, classes: int, rank: int) -> list[dict[str, object]]:
    """Measure the rows of one number of classes."""
    batch = arguments.batch
    free = free_bytes()
    if our_bytes(classes, batch, rank) > free:
        print(f"{classes} classes: left out, ours needs about {our_bytes(classes, batch, rank) / 1e9:.0f} GB")
        return []
    case = build(classes, batch, rank)
    arms: dict[str, Run] = {"ours": step(case, case.ours)}
    error: tuple[float | None, float | None] = None, None
    if arguments.only == "ours" or rank:
        pass
    elif literal_bytes(classes, batch) + our_bytes(classes, batch) > free:
        need = literal_bytes(classes, batch) / 1e9
        print(f"{classes} classes: the published algebra is left out, it needs about {need:.0f} GB")
    else:
        error = differences(build(classes, (batch + 1) // 2, doubled=True))
        print(f"{classes} classes: loss apart by {error[0]:.1e}, gradients by {error[1]:.1e}")
        if max(error) > 1e-5:
            raise SystemExit("ours and the published algebra do not agree to 1e-5: nothing is timed")
        arms["literal"] = step(case, case.published)
    if arguments.dtype == "bf16":
        arms["bf16"] = step(case, case.ours, bf16=True)
    if arguments.compile and shutil.which(os.environ.get("CXX", "g++")):
        other = compiled(build(classes, batch, rank))
        arms["compiled"] = step(other, other.ours)
    elif arguments.compile:
        print("no C++ compiler is found: torch.compile is not measured")
    products = {arm: product(arm == "bf16") for arm in arms}
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    rates: dict[str, list[float]] = {arm: [] for arm in arms}
    for repeat in range(arguments.repeats + 1):  # the first warms up
        for arm, run in arms.items():
            took, large = run(), products[arm]()
            if repeat:
                seconds[arm].append(took)
                rates[arm].append(2 * LARGE**3 / large)
    _forget(case)
    rows: list[dict[str, object]] = []
    for arm in arms:
        median, rate = statistics.median(seconds[arm]), statistics.median(rates[arm])
        floor = floor_flops(classes, batch, rank) / rate
        top = None if arm == "compiled" else peak(arguments, arm, classes, rank)
        rows.append(
            {
                "classes": classes,
                "arm": f"rank {rank}" if rank else arm,
                "batch": batch,
                "seconds": round(median, 4),
                "fastest": round(min(seconds[arm]), 4),
                "slowest": round(max(seconds[arm]), 4),
                "repeats": arguments.repeats,
                "peak_mb": None if top is None else round(top / 1e6, 1),
                "floor_gflop": round(floor_flops(classes, batch, rank) / 1e9, 1),
                "gflops_of_product": round(rate / 1e9, 1),
                "of_floor": round(floor / median, 3),
                "loss_apart": error[0],
                "gradients_apart": error[1],
                "load": round(os.getloadavg()[0], 2),
            }
            | machine(arguments.threads)
        )
    return rows


def say(rows: list[dict[str, object]]) -> None:
    """Print the rows of one number of classes, and the ratios."""
    for row in rows:
        print(
            f"{row['classes']:>6} {row['arm']:>9}: {row['seconds']:8.3f} s, {row['peak_mb'] or 0:8.0f} MB, "
            f"{row['of_floor']:4.0%} of the floor of {row['floor_gflop']} GFLOP at "
            f"{row['gflops_of_product']} GFLOP/s, load {row['load']}",
            flush=True,
        )
    by = {row["arm"]: row for row in rows}
    if {"ours", "literal"} <= by.keys():
        faster = by["literal"]["seconds"] / by["ours"]["seconds"]  # type: ignore[operator]
        print(f"{rows[0]['classes']:>6} ours is {faster:.2f} times faster", end="")
        if by["ours"]["peak_mb"] and by["literal"]["peak_mb"]:
            print(f" in {by['ours']['peak_mb'] / by['literal']['peak_mb']:.0%} of the memory", end="")  # type: ignore[operator]
        print(flush=True)


def main() -> None:
    """Measure, print, and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[20, 80, 200])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=["float32", "bf16"], default="float32", help="bf16: autocast too")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile of the head too")
    parser.add_argument("--only", choices=["ours"], help="leave the published algebra out")
    parser.add_argument("--rank", type=int, default=0, help="the factorised pair classifier of this rank")
    parser.add_argument("--out", type=Path, help="CSV that the rows are added to")
    parser.add_argument("--peak", choices=["ours", "literal", "bf16"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        return report_peak(arguments)
    for classes in arguments.classes:
        rows = measure(arguments, classes, arguments.rank)
        say(rows)
        if arguments.out and rows:
            table = pl.DataFrame(rows, infer_schema_length=None)
            if arguments.out.exists():
                table = pl.concat([pl.read_csv(arguments.out), table], how="diagonal_relaxed")
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            table.write_csv(arguments.out)


if __name__ == "__main__":
    main()
