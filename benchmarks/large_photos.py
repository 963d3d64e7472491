r"""Time of `predict` on photos of twelve megapixels against its bound: decoding and network, no core idle.

    python benchmarks/large_photos.py --threads 2 --out benchmarks/results/large-photos.csv

`decoding_ms` (from file to normalised tensor) and `network_ms` (the backbone by OpenVINO, batches of 8) are
milliseconds of the processor per photo, each alone with one thread; their sum over the threads is the bound.
`predict_ms` is the time of `predict` by the clock, `of_bound` the bound divided by it, `cpu_ms` its time of the
processor. `runnable` does not depend on other load: of the cores, the share that its threads could keep busy, from
samples of their states in /proc. All take turns; figures are medians. Photos are made of small ones (`images.py`).
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from images import SIZE, clocked, enlarge, small_tagger
from rows import stamp, write

from partlabel import LabelTable, Tagger
from partlabel.data.images.dataset import PLAIN, BatchRows, ImageDataset, eval_transform
from partlabel.nn.frozen_runtime import MANY, FrozenRuntime
from partlabel.training.datasets import method_backbone


@dataclass(frozen=True)
class Row:
    """`predict` against its bound."""

    photos: str
    threads: int
    decoding_ms: float
    network_ms: float
    bound_ms: float
    predict_ms: float
    per_second: float
    of_bound: float
    cpu_ms: float
    runnable: float
    load: float
    commit: str
    versions: str


def measure(name: str, tagger: Tagger, photos: list[Path], threads: int, rounds: int) -> Row:
    """Measure one set of photos."""
    labels = np.zeros((len(photos), 0), np.int8)
    table = LabelTable(tuple(path.name for path in photos), (), labels, root=photos[0].parent)
    dataset = ImageDataset(table, eval_transform(SIZE, tagger.view[1]), size=SIZE)
    every = BatchRows(PLAIN, list(range(len(photos))))
    backbone = method_backbone(tagger.fitted_model())
    torch.set_num_threads(1)
    images = dataset[every].inputs
    single = FrozenRuntime(backbone._before_pooling, SIZE)
    torch.set_num_threads(threads)
    backbone.runtime = None
    backbone.prepare(SIZE, MANY)
    taken = []
    for number in range(rounds + 1):
        torch.set_num_threads(1)
        decoding, network = clocked(lambda: dataset[every])[1], clocked(lambda: single(images))[1]
        torch.set_num_threads(threads)
        with sampled_states() as states:
            wall, busy = clocked(lambda: tagger.predict(photos))
        if number:
            runnable = np.minimum(states, threads).mean() / threads
            taken.append((decoding, network, wall, busy, runnable))
    decoding, network, wall, busy, runnable = (float(each) for each in np.median(taken, axis=0))
    bound = (decoding + network) / threads

    def each_ms(seconds: float) -> float:
        return round(1e3 * seconds / len(photos), 2)

    times = each_ms(decoding), each_ms(network), each_ms(bound), each_ms(wall)
    ratios = round(len(photos) / wall, 1), round(bound / wall, 3), each_ms(busy), round(runnable, 3)
    return Row(name, threads, *times, *ratios, round(os.getloadavg()[0], 1), *stamp())


@contextmanager
def sampled_states() -> Iterator[list[int]]:
    """Count the runnable threads of this process, every 10 milliseconds, in a process of its own."""
    found: list[int] = []
    with subprocess.Popen(
        [sys.executable, "-c", SAMPLER, str(os.getpid())], stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout is not None
        it.stdout.readline()
        try:
            yield found
        finally:
            it.terminate()
            found += [int(line) for line in it.stdout if line.strip().isdigit()]


SAMPLER = """
import sys, time
from pathlib import Path
print("ready", flush=True)
tasks = Path("/proc", sys.argv[1], "task")
while True:
    states = []
    for task in tasks.iterdir():
        try:
            states.append((task / "stat").read_text().rsplit(")", 1)[1].split()[0])
        except OSError:
            pass
    print(states.count("R"), flush=True)
    time.sleep(0.01)
"""


def main() -> None:
    """Measure small and large photos, and write the rows."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--large", type=int, default=8, help="different photos of 4000 x 3000")
    asked.add_argument("--images", type=int, default=128, help="photos of each set")
    asked.add_argument("--sets", nargs="+", default=["coco18", "4000 x 3000"])
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/large-photos.csv"))
    args = asked.parse_args()
    root = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    whole = LabelTable.read(root / "labels.csv", images=root).part("train")
    photos = [whole.path(row) for row in range(len(whole))]
    rows = []
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "large").mkdir()
        large = enlarge(photos, args.large, folder / "large")
        copies = [
            Path(shutil.copy(large[number % len(large)], folder / f"large/copy-{number}.jpg"))
            for number in range(args.images)
        ]
        tagger = small_tagger(whole[np.arange(64)], folder)
        sets = {"coco18": photos[: args.images], "4000 x 3000": copies}
        for name in args.sets:
            rows.append(measure(name, tagger, sets[name], args.threads, args.rounds))
            print(rows[-1], flush=True)
    write(args.out, rows)


if __name__ == "__main__":
    main()
