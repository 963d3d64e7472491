"""What one GPU does: the tests marked `gpu`, SST's head, training steps, `predict`. Under eight minutes, no network.

    make gpu-check                               # adds its rows to benchmarks/results/gpu.csv
    python benchmarks/gpu_check.py --parts head training
    python benchmarks/gpu_check.py --small       # in seconds, on a CPU too (--device cpu); its figures mean nothing

One function is one part. A row is one measured value; rows are written after every part, so that a part that fails or
is stopped costs only its own. Seconds are medians after a warm-up, and the device is awaited before
and after each. Weights and pixels are random: speed does not depend on them.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gpu_head import head
from gpu_measure import FULL, SMALL, Figure, Sizes
from gpu_training import training
from made_with import commit, versions
from PIL import Image
from rows import read, write

from partlabel import Tagger
from partlabel.nn.classes import Classes

Part = Callable[[Sizes, torch.device], Iterator[Figure]]

ROOT = Path(__file__).parents[1]


def tests(sizes: Sizes, device: torch.device) -> Iterator[Figure]:
    """Run the tests marked `gpu`."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    last = (done.stdout.splitlines() or [""])[-1]
    if done.returncode:
        print(done.stdout[-4000:] + done.stderr[-2000:])
    yield Figure("pytest -m gpu", "error" if done.returncode else "exit status", done.returncode, last)


def prediction(sizes: Sizes, device: torch.device) -> Iterator[Figure]:
    """Time `predict`, from files to probabilities."""
    name, size = sizes.predictor
    tagger = Tagger(
        [f"class {n}" for n in range(80)], "bce", backbone=name, pretrained=False, image_size=size
    )
    torch.manual_seed(0)
    tagger.model = tagger.build(Classes(tagger.classes)).eval()
    tagger.to(device)
    with tempfile.TemporaryDirectory() as folder:
        photos = list(_photos(Path(folder), sizes.photos))
        for workers in sorted({min(each, os.cpu_count() or 1) for each in sizes.workers}):
            tagger.predict(photos[:100], workers=workers)
            began = time.perf_counter()
            tagger.predict(photos, workers=workers)
            rate = len(photos) / (time.perf_counter() - began)
            yield Figure(f"{name} at {size}", f"photos a second, {workers} workers", rate)


def _photos(folder: Path, count: int) -> Iterator[Path]:
    """Write photos of 640 x 480 pixels, with gradients and some noise, as JPEG files."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), np.int16)
        noisy = smooth + random.integers(-8, 9, smooth.shape, np.int16)
        path = folder / f"{number:05}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        yield path


PARTS: dict[str, Part] = {"tests": tests, "head": head, "training": training, "prediction": prediction}


@dataclass(frozen=True)
class Row:
    """One measured value, and what it was measured with."""

    part: str
    case: str
    measure: str
    value: float
    note: str
    device: str
    command: str
    commit: str
    torch: str
    python: str


def run(names: list[str], sizes: Sizes, device: torch.device, out: Path | None) -> list[Row]:
    """Measure parts one by one, print their figures, and add them to a file."""
    rows = read(out, Row) if out is not None else []
    command = shlex.join(["python", "benchmarks/gpu_check.py", *sys.argv[1:]])
    made = versions("torch")
    with_what = name_of(device), command, commit(), made["torch"], made["python"]
    for name in names:
        began = time.perf_counter()
        print(f"\n{name}", flush=True)
        for figure in _figures(PARTS[name], sizes, device):
            print(f"  {figure.case:24} {figure.measure:34} {figure.value:12.4g} {figure.note}", flush=True)
            rows.append(Row(name, *figure, *with_what))
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            write(out, rows)
    return rows


def _figures(part: Part, sizes: Sizes, device: torch.device) -> Iterator[Figure]:
    """Measure a part; what stops it is a figure, so that the other parts are still measured."""
    try:
        yield from part(sizes, device)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        yield Figure("stopped", "error", float("nan"), f"{type(error).__name__}: {first}")


def name_of(device: torch.device) -> str:
    """Name the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def main() -> None:
    """Measure all parts, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="tiny sizes, to test the programme")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, help="CSV that the rows are added to")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU here; --small --device cpu tests the programme without one")
    rows = run(args.parts, SMALL if args.small else FULL, device, args.out)
    if any(row.measure == "error" for row in rows):
        raise SystemExit("some parts were stopped: see the lines `stopped`")


if __name__ == "__main__":
    main()
