"""Time to group near-duplicates among up to a million photos by the hashes of `partlabel inspect`.

    PARTLABEL_DATA=... python benchmarks/near_duplicates.py --out benchmarks/results/near-duplicates.csv

`photos`: hashes of 3,000 training photos of coco18, each repeated with every bit flipped at random with probability
.15, so that neighbouring cells of hashes are as alike as in photos. `random`: bits by coin. In both a thousandth are
copies of others with three bits flipped, which are to be found: `found` is their share that is in a group.
"""

import argparse
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rows import stamp, write

from partlabel import LabelTable
from partlabel.audit import near_duplicates

BASE = 3000
FLIPPED, COPIED = 0.15, 0.001
MOST = 6
"""Differing bits of `inspect --near`, its default."""


@dataclass(frozen=True)
class Row:
    """One collection of hashes: seconds of the processor, and the largest memory of the process so far."""

    hashes: str
    count: int
    seconds: float
    groups: int
    found: float
    peak_mb: int
    commit: str
    versions: str


def photo_hashes(table: LabelTable) -> np.ndarray:
    """Compute the hashes of the first photos of a table; photos of nearly one colour have none."""
    found = []
    for row in range(min(BASE, len(table))):
        with Image.open(table.path(row)) as image:
            found.append(near_duplicates.difference_hash(image))
    return np.stack([each for each in found if each is not None])


def with_copies(hashes: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Append copies of a thousandth of the hashes, three bits flipped; return the positions of the copies, too."""
    chosen = random.permutation(len(hashes))[: int(COPIED * len(hashes))]
    copies = hashes[chosen].copy()
    for each in copies:
        each[random.permutation(copies.shape[1])[:3]] ^= True
    return np.concatenate([hashes, copies]), np.arange(len(hashes), len(hashes) + len(copies))


def measure(name: str, hashes: np.ndarray, random: np.random.RandomState) -> Row:
    """Group the hashes and planted copies of some of them."""
    whole, copies = with_copies(hashes, random)
    began = time.process_time()
    groups = near_duplicates.groups(list(whole), MOST)
    seconds = round(time.process_time() - began, 1)
    grouped = np.isin(copies, [each for group in groups for each in group])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Row(name, len(whole), seconds, len(groups), float(grouped.mean()), peak, *stamp())


def main() -> None:
    """Measure both collections at every size, and write the rows."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sizes", nargs="+", type=int, default=[100_000, 300_000, 1_000_000])
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/near-duplicates.csv"))
    args = asked.parse_args()
    root = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    base = photo_hashes(LabelTable.read(root / "labels.csv", images=root))
    rows: list[Row] = []
    for count in args.sizes:
        random = np.random.RandomState(0)
        flipped = random.rand(count, base.shape[1]) < FLIPPED
        photos = base[random.randint(len(base), size=count)] ^ flipped
        for name, hashes in (("photos", photos), ("random", random.rand(count, base.shape[1]) < 0.5)):
            rows.append(measure(name, hashes, random))
            print(rows[-1], flush=True)
            write(args.out, rows)


if __name__ == "__main__":
    main()
