r"""Time of a frozen backbone by PyTorch, ONNX Runtime and OpenVINO, and the difference of their outputs.

    python benchmarks/runtimes.py --out benchmarks/results/runtimes.csv
    python benchmarks/runtimes.py --table benchmarks/results/runtimes.csv

The network alone, on random images in batches of 8, with ImageNet weights for lite0 and random ones for others. All
ways take turns in one process. `eager` is the fastest way of PyTorch that was found (channels last, inference mode),
`compiled` is `torch.compile` with frozen weights (it needs a C++ compiler), `openvino f32` is what the package uses.
`cpu_ms` are milliseconds of the processor per image, which leave out waiting for other programs; `wall_ms` are those
of the clock. `off` is the largest difference from `eager`, relative to its largest value.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rows import read, stamp, write
from torch import nn

from partlabel.nn import backbone as backbones
from partlabel.nn import frozen_runtime
from partlabel.nn.backbones import full_name
from partlabel.nn.frozen_runtime import CPU_BATCH

Way = Callable[[torch.Tensor], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One way to compute one backbone."""

    backbone: str
    size: int
    threads: int
    way: str
    cpu_ms: float
    wall_ms: float
    off: float
    making_s: float
    load: float
    commit: str
    versions: str


def ways(module: nn.Module, size: int) -> dict[str, Callable[[], Way]]:
    """Every way to compute a module, made when it is called."""

    def eager() -> Way:
        def run(images: torch.Tensor) -> np.ndarray:
            with torch.inference_mode():
                return module(images.contiguous(memory_format=torch.channels_last)).numpy()

        return run

    def compiled() -> Way:
        from torch._inductor import config

        config.freezing = True
        made = torch.compile(module)

        def run(images: torch.Tensor) -> np.ndarray:
            with torch.no_grad():
                return made(images.contiguous(memory_format=torch.channels_last)).numpy()

        run(torch.zeros(CPU_BATCH, 3, size, size))
        return run

    def onnxruntime() -> Way:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            torch.onnx.export(module, (torch.zeros(CPU_BATCH, 3, size, size),), path, dynamo=False)
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda images: session.run(None, {name: images.numpy()})[0]

    def openvino(precision: str) -> Way:
        made = frozen_runtime.compiled(frozen_runtime.graph(module, size), precision)
        return lambda images: made(images.numpy())[0]

    found: dict[str, Callable[[], Way]] = {"eager": eager}
    if which("g++"):
        found["compiled"] = compiled
    if find_spec("onnxruntime"):
        found["onnxruntime"] = onnxruntime
    if find_spec("openvino"):
        found |= {f"openvino {each}": partial(openvino, each) for each in ("f32", "bf16")}
    return found


def measure(name: str, size: int, rounds: int) -> list[Row]:
    """Time all ways in turns."""
    pretrained = "auto" if full_name(name) == backbones.LITE0 else False
    module = backbones.create(name, pretrained=pretrained, trainable="none", image_size=size).eval().stem
    images = torch.randn(CPU_BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))
    made, making = {}, {}
    for way, make in ways(module, size).items():
        began = time.process_time()
        made[way] = make()
        making[way] = time.process_time() - began
    expected = np.array(made["eager"](images))
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in made}
    for _ in range(rounds):
        for way, run in made.items():
            wall, busy = time.perf_counter(), time.process_time()
            run(images)
            taken[way].append((time.process_time() - busy, time.perf_counter() - wall))
    rows = []
    for way, run in made.items():
        busy, wall = (1e3 * each / CPU_BATCH for each in np.median(taken[way], axis=0))
        off = float(np.abs(run(images) - expected).max() / np.abs(expected).max())
        figures = round(busy, 2), round(wall, 2), float(f"{off:.1e}"), round(making[way], 1)
        rows.append(Row(name, size, torch.get_num_threads(), way, *figures, os.getloadavg()[0], *stamp()))
    return rows


def table(rows: list[Row]) -> str:
    """Format rows as Markdown, with the ratio to `eager` of the same run."""
    lines = [
        "| backbone, pixels, threads | way | ms of the processor per image | times as fast | ms | difference |",
        "|---" * 6 + "|",
    ]
    eager = {(row.backbone, row.size, row.threads): row.cpu_ms for row in rows if row.way == "eager"}
    for row in rows:
        ratio = eager[row.backbone, row.size, row.threads] / row.cpu_ms
        which_one = f"{row.backbone}, {row.size}, {row.threads}"
        lines.append(
            f"| {which_one} | {row.way} | {row.cpu_ms:.1f} | {ratio:.1f} | {row.wall_ms:.1f} | {row.off:.0e} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the table of a file."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument(
        "--backbones", nargs="+", default=["lite0:224", "dinov2-s:224", "convnext-t:224", "resnet50:224"]
    )
    asked.add_argument("--rounds", type=int, default=15)
    asked.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/runtimes.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    torch.set_num_threads(args.threads)
    rows: list[Row] = []
    for each in args.backbones:
        name, _, size = each.rpartition(":")
        rows += measure(name, int(size), args.rounds)
        write(args.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
